//! Requests to a storage service that go wrong.

use std::path::Path;
use std::sync::Arc;

use seawall_protocol::record::StoreRecord;
use seawall_protocol::{CheckpointId, FencingToken, JobId};
use seawall_runtime::storage::{Storage, StorageError, record};
use seawall_sim::world::{Mishap, Request, View, World};

use crate::{MILLISECOND, SECOND, env, run, struck};

/// The storage of a node, through the service.
async fn storage(world: &World, node: &str) -> Storage {
    let disk = Arc::clone(&env(world, node).disk);
    let root = Path::new("/checkpoints");
    let reached = |store| world.service(node, root, store);
    let storage = Storage::on_disk(disk, root).through(reached);
    storage.prepare().await.unwrap();
    storage
}

const FILE: &str = "/checkpoints/chk-1/manifest";

fn is_there(world: &World) -> bool {
    world.disk().read(View::Durable, Path::new(FILE)).is_some()
}

async fn put(storage: &Storage) -> Result<(), StorageError> {
    storage.put_new(Path::new(FILE), b"bytes".to_vec()).await
}

// Rules: H3, R4
#[test]
fn an_indeterminate_put_is_carried_out_and_reported_failed_and_uncertain() {
    run(1, |world| async move {
        let storage = storage(&world, "one").await;
        let mishap = Mishap::Indeterminate(SECOND * 30);
        world.fail_service("one", mishap, Some(Request::Put), "chk-1", 1);
        let error = put(&storage).await.unwrap_err();
        assert!(world.now() > SECOND * 30, "the answer was waited for");
        assert!(error.is_uncertain(), "{error}");
        assert!(is_there(&world));
        put(&storage).await.unwrap();
        assert_eq!(struck(&world, "service-indeterminate"), 1);
    });
}

// Rules: R4
#[test]
fn a_refused_request_has_no_effect() {
    run(1, |world| async move {
        let storage = storage(&world, "one").await;
        world.fail_service("one", Mishap::Refused, None, "manifest", 2);
        put(&storage).await.unwrap_err();
        assert!(!is_there(&world));
        storage.get(Path::new(FILE)).await.unwrap_err();
        put(&storage).await.unwrap();
        world.fail_service("one", Mishap::Refused, Some(Request::Delete), "", 1);
        storage.delete(vec![FILE.into()]).await.unwrap_err();
        assert!(is_there(&world));
        world.fail_service("one", Mishap::Refused, Some(Request::List), "chk-1", 1);
        storage.list(Path::new("/checkpoints")).await.unwrap();
        storage.list(Path::new("/checkpoints/chk-1")).await.unwrap_err();
        assert_eq!(struck(&world, "service-refused"), 4);
    });
}

#[test]
fn an_indeterminate_deletion_removes_the_files_and_is_reported_failed() {
    run(1, |world| async move {
        let storage = storage(&world, "one").await;
        put(&storage).await.unwrap();
        let mishap = Mishap::Indeterminate(MILLISECOND);
        world.fail_service("one", mishap, Some(Request::Delete), "chk-1", 1);
        let error = storage.delete(vec![FILE.into()]).await.unwrap_err();
        assert!(error.is_uncertain() && !is_there(&world));
        storage.delete(vec![FILE.into()]).await.unwrap();
    });
}

// Rules: R4
#[test]
fn a_slow_upload_appears_at_its_end() {
    run(1, |world| async move {
        let storage = storage(&world, "one").await;
        world.fail_service("one", Mishap::Slow(SECOND * 20), Some(Request::Put), "chk-1", 1);
        let putting = storage.clone();
        world.spawn("put", async move { put(&putting).await.unwrap() });
        world.sleep(SECOND * 19).await;
        assert!(!is_there(&world));
        world.sleep(SECOND * 2).await;
        assert!(is_there(&world));
    });
}

fn record_of(next: u64) -> StoreRecord {
    StoreRecord {
        token: FencingToken(1),
        next_checkpoint: CheckpointId(next),
        ..StoreRecord::fresh(JobId(7))
    }
}

// Rules: H3, P5, R4
#[test]
fn a_conflict_with_nobody_else_refuses_conditional_puts_only_and_a_repetition_succeeds() {
    for is_applied in [false, true] {
        run(1, |world| async move {
            let storage = storage(&world, "one").await;
            let conflict = Mishap::Conflict { is_applied };
            world.fail_service("one", conflict, None, "", 1);
            let first = put(&storage).await;
            assert_eq!(first.is_ok(), is_applied, "its own file is recognized: {first:?}");
            assert_eq!(is_there(&world), is_applied);
            put(&storage).await.unwrap();
            record::replace(&storage, &record_of(1)).await.unwrap();
            world.fail_service("one", conflict, None, "record", 1);
            record::replace(&storage, &record_of(2)).await.unwrap_err();
            let found = record::read(&storage).await.unwrap().unwrap();
            assert_eq!(found.next_checkpoint.0, if is_applied { 2 } else { 1 });
            record::replace(&storage, &record_of(2)).await.unwrap();
            assert_eq!(struck(&world, "service-conflict"), 2);
        });
    }
}

#[test]
fn a_mishap_strikes_its_node_its_path_its_count_and_never_once_healed() {
    run(1, |world| async move {
        let (one, two) = (storage(&world, "one").await, storage(&world, "two").await);
        world.fail_service("one", Mishap::Refused, None, "chk-2", 1);
        put(&one).await.unwrap();
        world.fail_service("one", Mishap::Refused, Some(Request::Get), "chk-1", 1);
        two.get(Path::new(FILE)).await.unwrap();
        one.get(Path::new(FILE)).await.unwrap_err();
        one.get(Path::new(FILE)).await.unwrap();
        world.fail_service("one", Mishap::Refused, None, "", 9);
        world.heal_disks();
        one.get(Path::new(FILE)).await.unwrap();
    });
}
