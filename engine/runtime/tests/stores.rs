//! Every store keeps the contract of checkpoint storage. S3 does in `tests/real/s3.rs`, the simulated disk
//! in the tests of the simulator.

use std::path::Path;
use std::sync::Arc;

use object_store::memory::InMemory;
use seawall_env::Disk;
use seawall_runtime::storage::contract::{self, Condition};
use seawall_runtime::storage::{Storage, open};
use seawall_runtime::tokio_env::FileSystem;

fn disk() -> Arc<dyn Disk> {
    Arc::new(FileSystem)
}

// Rules: R1, R2, H6, I9
#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("not/there/yet");
    contract::all(&Storage::on_disk(disk(), &root), Condition::LookedAt).await;
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 0, "nothing is left behind");
}

// Rules: R1, R2, H2, H6, I9, P5
#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::all(&open("memory://", disk()).unwrap(), Condition::InOneStep).await;
}

// Rules: R1
#[tokio::test]
async fn jobs_in_one_store_do_not_see_each_other() {
    let store = Arc::new(InMemory::new());
    let job = |name: &str| Storage::over(store.clone(), name.into(), format!("memory://{name}"));
    for (name, neighbour) in [("jobs/1", "jobs/11"), ("jobs/11", "jobs/1")] {
        let path = job(neighbour).root().join("chk-1/manifest");
        job(neighbour).put_new(&path, b"bytes".to_vec()).await.unwrap();
        contract::all(&job(name), Condition::InOneStep).await;
        assert_eq!(job(neighbour).get(&path).await.unwrap(), b"bytes");
        job(neighbour).delete(vec![path]).await.unwrap();
    }
}

// Rules: R1
#[tokio::test]
async fn files_are_where_the_address_says() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("file://{}/a job", directory.path().display());
    let storage = open(&address, disk()).unwrap();
    storage.prepare().await.unwrap();
    let path = storage.root().join("chk-1/manifest");
    assert_eq!(path, directory.path().join("a job/chk-1/manifest"));
    storage.put_new(&path, b"bytes".to_vec()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"bytes");
}

// Rules: R4
#[tokio::test]
async fn a_place_that_cannot_be_written_says_which_file() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("file");
    std::fs::write(&root, b"in the way").unwrap();
    let storage = Storage::on_disk(disk(), &root);
    let said = |error: seawall_runtime::storage::StorageError| {
        assert!(!error.is_uncertain(), "nothing was written: {error}");
        error.to_string().replace(directory.path().to_str().unwrap(), "")
    };
    let error = said(storage.prepare().await.unwrap_err());
    assert!(error.starts_with("cannot create /file: "), "{error}");
    let put = storage.put_new(&root.join("chk-1/manifest"), b"bytes".to_vec()).await;
    let error = said(put.unwrap_err());
    assert!(error.starts_with("cannot create /file/chk-1: "), "{error}");
    assert_eq!(storage.last_failure().map(|it| it.contains("cannot create ")), Some(true));
    assert_eq!(std::fs::read(Path::new(&root)).unwrap(), b"in the way");
}
