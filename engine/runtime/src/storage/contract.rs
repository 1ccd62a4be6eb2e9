//! What every store of checkpoints must do, as checks that any test can call against its own.
//!
//! Each function asserts one claim and panics where the store breaks it. They take no fault into account:
//! call them where there is none.
//!
//! Deliberately absent: what a crash keeps. Only a world that can crash can check that.

use std::path::{Path, PathBuf};

use futures_util::future::{join, join_all};
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::record::{SnapshotHandle, StoreRecord};
use seawall_protocol::{Attempt, CheckpointId, FencingToken, JobId, OperatorId, SubtaskId};

use crate::storage::{
    KeyedSection, Manifest, OperatorInfo, Snapshot, Storage, StorageError, inspect, layout,
    manifest, record, snapshot, splits,
};

const JOB: JobId = JobId(7);

/// Whether the store decides a conditional write in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Of two writers at the same moment one is refused.
    InOneStep,
    /// It looks and then writes; something else keeps a second writer out.
    LookedAt,
}

/// Every check. The storage is empty.
pub async fn all(storage: &Storage, condition: Condition) {
    storage.prepare().await.expect("the place can be made ready");
    missing_files_are_told_apart(storage).await;
    a_file_is_created_once(storage).await;
    a_file_is_deleted_twice_without_harm(storage).await;
    a_listing_names_files_and_directories(storage).await;
    a_replaced_file_is_the_old_or_the_new_one(storage).await;
    a_stale_version_is_refused(storage).await;
    if condition == Condition::InOneStep {
        one_of_many_writers_wins(storage).await;
        leaders_that_claim_at_once_are_told_apart(storage).await;
    }
    a_deposed_leader_is_refused(storage).await;
    a_checkpoint_is_written_read_and_deleted(storage).await;
    damage_is_detected(storage).await;
}

fn at(storage: &Storage, name: &str) -> PathBuf {
    storage.root().join(name)
}

async fn bytes(storage: &Storage, path: &Path) -> Vec<u8> {
    storage.get(path).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A file that nobody wrote is not there, and nothing else is wrong with it.
pub async fn missing_files_are_told_apart(storage: &Storage) {
    for name in ["none", "none/deeper"] {
        let error = storage.get(&at(storage, name)).await.expect_err("nobody wrote it");
        assert!(error.is_not_found(), "{error}");
    }
    assert_eq!(record::read(storage).await.expect("readable"), None);
    assert_eq!(splits::read(storage).await.expect("readable"), None);
    assert_eq!(storage.list(storage.root()).await.expect("readable"), []);
}

/// What was created is never overwritten (I9); creating the same again is no error.
pub async fn a_file_is_created_once(storage: &Storage) {
    for path in [at(storage, "once"), at(storage, "inner/once")] {
        storage.put_new(&path, b"first".to_vec()).await.expect("the name is free");
        let error = storage.put_new(&path, b"second".to_vec()).await.expect_err("it is taken");
        assert!(matches!(error, StorageError::Exists { .. }), "{error}");
        assert!(!error.is_uncertain(), "nothing was written: {error}");
        assert_eq!(bytes(storage, &path).await, b"first");
        storage.put_new(&path, b"first".to_vec()).await.expect("the same bytes are the same file");
        storage.delete(vec![path]).await.expect("it can go");
    }
}

/// Deleting what is not there is fine, and what is not named stays.
pub async fn a_file_is_deleted_twice_without_harm(storage: &Storage) {
    let (one, other) = (at(storage, "pair/one"), at(storage, "pair/other"));
    for path in [&one, &other] {
        storage.put_new(path, b"bytes".to_vec()).await.expect("the name is free");
    }
    for _ in 0..2 {
        storage.delete(vec![one.clone()]).await.expect("deleting is idempotent");
    }
    assert!(storage.get(&one).await.expect_err("it was deleted").is_not_found());
    assert_eq!(bytes(storage, &other).await, b"bytes");
    storage.delete(vec![one, other]).await.expect("deleting is idempotent");
    storage.delete(Vec::new()).await.expect("nothing is nothing");
}

/// A listing is sorted, one level deep, and tells files from directories.
pub async fn a_listing_names_files_and_directories(storage: &Storage) {
    let files = ["b", "a/x", "a/y", "ab/z"].map(|it| at(storage, it));
    for path in &files {
        storage.put_new(path, b"bytes".to_vec()).await.expect("the name is free");
    }
    let named = |entries: Vec<seawall_env::Entry>| -> Vec<_> {
        entries.into_iter().map(|it| (it.path, it.is_directory)).collect()
    };
    let listed = named(storage.list(storage.root()).await.expect("readable"));
    let expected = [("a", true), ("ab", true), ("b", false)];
    assert_eq!(listed, expected.map(|(name, is_directory)| (at(storage, name), is_directory)));
    let listed = named(storage.list(&at(storage, "a")).await.expect("readable"));
    assert_eq!(listed, ["a/x", "a/y"].map(|name| (at(storage, name), false)));
    assert_eq!(storage.list(&at(storage, "none")).await.expect("nothing is there"), []);

    storage.delete(files.to_vec()).await.expect("they can go");
    assert_eq!(storage.list(storage.root()).await.expect("readable"), [], "nothing is left behind");
}

/// Readers never see a part of a file, nor no file (R1).
pub async fn a_replaced_file_is_the_old_or_the_new_one(storage: &Storage) {
    let path = at(storage, "replaced");
    let content = |n: u8| vec![n; 1 + 40_000 * usize::from(n % 2)];
    storage.put_new(&path, content(0)).await.expect("the name is free");
    let writing = async {
        for n in 1..=20 {
            let version = storage.find(&path).await.expect("it is there").version;
            let replaced = storage.replace(&path, content(n), Some(version)).await;
            replaced.unwrap_or_else(|error| panic!("{error}"));
        }
    };
    let reading = async {
        for _ in 0..40 {
            let found = bytes(storage, &path).await;
            assert_eq!(found, content(found[0]), "a part of a file");
        }
    };
    join(writing, reading).await;
    assert_eq!(bytes(storage, &path).await, content(20));
    storage.delete(vec![path]).await.expect("it can go");
}

/// A file that changed since it was read is not replaced, and neither is one that is gone.
pub async fn a_stale_version_is_refused(storage: &Storage) {
    let path = at(storage, "versioned");
    storage.replace(&path, b"one".to_vec(), None).await.expect("the name is free");
    let first = storage.find(&path).await.expect("it is there").version;
    storage.replace(&path, b"two".to_vec(), Some(first.clone())).await.expect("it is the newest");
    for expected in [Some(first.clone()), None] {
        let refused = storage.replace(&path, b"three".to_vec(), expected).await;
        let error = refused.expect_err("it is another by now");
        let is_told = matches!(error, StorageError::Changed { .. } | StorageError::Exists { .. });
        assert!(is_told && !error.is_uncertain(), "{error}");
        assert_eq!(bytes(storage, &path).await, b"two");
    }
    storage.delete(vec![path.clone()]).await.expect("it can go");
    let error =
        storage.replace(&path, b"four".to_vec(), Some(first)).await.expect_err("it is gone");
    assert!(!error.is_uncertain(), "{error}");
    assert!(storage.get(&path).await.expect_err("nobody wrote it").is_not_found());
}

/// Of many writers that saw the same file one replaces it, and the others know that they did not (H2, P5).
pub async fn one_of_many_writers_wins(storage: &Storage) {
    let path = at(storage, "contested");
    let contend = async |expected: Option<_>| {
        let write = |n: u8| storage.replace(&path, vec![n; 100], expected.clone());
        let results = join_all((0..8).map(write)).await;
        let winners = (0..8_u8).zip(&results).filter(|(_, it)| it.is_ok());
        let winners: Vec<_> = winners.map(|(n, _)| n).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert_eq!(bytes(storage, &path).await, vec![winners[0]; 100]);
    };
    contend(None).await;
    let version = storage.find(&path).await.expect("it is there").version;
    contend(Some(version)).await;
    storage.delete(vec![path]).await.expect("it can go");
}

fn store_record(token: u64, retained: &[u64]) -> StoreRecord {
    StoreRecord {
        token: FencingToken(token),
        attempt: Attempt(2),
        next_checkpoint: CheckpointId(9),
        retained: retained.iter().copied().map(CheckpointId).collect(),
        ..StoreRecord::fresh(JOB)
    }
}

/// Two that read the same record and claim the same token do not both lead (P1, P5).
pub async fn leaders_that_claim_at_once_are_told_apart(storage: &Storage) {
    let (one, other) = (storage.for_leader(|| 1), storage.for_leader(|| 2));
    let claim = store_record(1, &[]);
    let (first, second) =
        join(record::replace(&one, &claim), record::replace(&other, &claim)).await;
    let (winner, loser, refused) = match (first, second) {
        (Ok(()), Err(refused)) => (&one, &other, refused),
        (Err(refused), Ok(())) => (&other, &one, refused),
        (first, second) => panic!("one of two leads: {first:?} {second:?}"),
    };
    assert!(matches!(refused, StorageError::Deposed { .. }), "{refused}");
    record::replace(winner, &store_record(1, &[3])).await.expect("it leads");
    let error = record::replace(loser, &store_record(1, &[4])).await.expect_err("it does not");
    assert!(matches!(error, StorageError::Deposed { .. }), "{error}");
    assert_eq!(record::read(storage).await.expect("readable"), Some(store_record(1, &[3])));
    storage.delete(vec![layout::record(storage.root())]).await.expect("it can go");
}

/// A leader with a newer token replaces the record, and then its predecessor never does (P5).
pub async fn a_deposed_leader_is_refused(storage: &Storage) {
    let (old, new) = (storage.for_leader(|| 1), storage.for_leader(|| 2));
    record::replace(&old, &store_record(1, &[3])).await.expect("there is no other");
    record::replace(&new, &store_record(2, &[3])).await.expect("its token is newer");
    let error = record::replace(&old, &store_record(1, &[4])).await.expect_err("it was deposed");
    assert!(matches!(error, StorageError::Deposed { .. }), "{error}");
    assert!(!error.is_uncertain(), "nothing was written: {error}");
    assert_eq!(record::read(storage).await.expect("readable"), Some(store_record(2, &[3])));
    storage.delete(vec![layout::record(storage.root())]).await.expect("it can go");
}

fn state(checkpoint: u64, index: u32) -> Snapshot {
    Snapshot {
        operator: "count".into(),
        subtask: SubtaskId::new(1, index),
        attempt: Attempt(1),
        checkpoint: CheckpointId(checkpoint),
        is_ended: false,
        splits: vec![vec![1, 2], vec![]],
        keyed: vec![KeyedSection { key_group: 3, entries: 2, bytes: (0..200).collect() }],
        operator_states: Vec::new(),
        shared: Vec::new(),
        transactions: vec![(CheckpointId(checkpoint), b"part-0".to_vec())],
        input: Vec::new(),
        output: Vec::new(),
    }
}

async fn checkpoint(storage: &Storage, id: u64) -> Vec<SnapshotHandle> {
    let mut snapshots = Vec::new();
    for index in 0..2 {
        let written = snapshot::write(storage, &state(id, index)).await;
        snapshots.push(written.unwrap_or_else(|error| panic!("{error}")));
    }
    let manifest = Manifest {
        job: JOB,
        job_name: "keyed-count".into(),
        checkpoint: CheckpointId(id),
        kind: CheckpointKind::Checkpoint,
        finished: Vec::new(),
        operators: vec![OperatorInfo {
            id: OperatorId(1),
            name: "count".into(),
            uid: "count".into(),
            parallelism: 2,
            key_groups: 128,
        }],
        snapshots: snapshots.clone(),
    };
    manifest::write(storage, &manifest).await.expect("the id is new");
    assert_eq!(manifest::read(storage, CheckpointId(id)).await.expect("readable"), manifest);
    snapshots
}

/// A checkpoint is read as it was written, listed, verified, and deleted without a trace (H6).
pub async fn a_checkpoint_is_written_read_and_deleted(storage: &Storage) {
    let id = CheckpointId(7);
    let handles = checkpoint(storage, 7).await;
    for (index, handle) in (0..).zip(&handles) {
        let read = snapshot::read(storage, id, handle).await.expect("readable");
        assert_eq!(read, state(7, index));
    }
    checkpoint(storage, 8).await;
    let record = store_record(1, &[7]);
    record::replace(storage, &record).await.expect("there is no other");
    let listed = inspect::list(storage).await.expect("readable").checkpoints;
    let listed: Vec<_> = listed.iter().map(|it| (it.checkpoint.0, it.is_retained())).collect();
    assert_eq!(listed, [(7, true), (8, false)]);
    assert_eq!(inspect::remove_orphans(storage, &record).await, [at(storage, "chk-8")]);
    let problems = inspect::verify(storage, id).await.expect("readable");
    assert!(problems.is_empty(), "{problems:?}");

    storage.delete(vec![layout::record(storage.root())]).await.expect("it can go");
    for _ in 0..2 {
        inspect::delete(storage, id).await.expect("deleting is idempotent");
    }
    assert_eq!(storage.list(storage.root()).await.expect("readable"), []);
}

/// A file that is short, longer, changed, foreign, of another place or gone is an error that names it, and
/// never a value (R2).
pub async fn damage_is_detected(storage: &Storage) {
    let handles = checkpoint(storage, 7).await;
    let id = CheckpointId(7);
    let paths = [
        layout::manifest(storage.root(), id),
        layout::snapshot(storage.root(), id, SubtaskId::new(1, 0), Attempt(1)),
    ];
    for path in &paths {
        let whole = bytes(storage, path).await;
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        let longer = [&whole[..], &[0]].concat();
        for (damaged, says) in [
            (whole[..whole.len() - 1].to_vec(), " is short: "),
            (Vec::new(), " is short: "),
            (longer, " is torn: "),
            (changed, " is damaged: "),
            (b"something else".to_vec(), " of seawall: its first bytes are foreign"),
        ] {
            overwrite(storage, path, damaged).await;
            let problems = inspect::verify(storage, id).await.expect("there is no record");
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let is_named =
                |it: &String| it.contains(says) && it.contains(path.to_str().expect("text"));
            assert!(problems.iter().any(is_named), "{says}: {problems:?}");
            assert!(problems.iter().all(|it| it.contains("\nhint: ")), "{problems:?}");
        }
        overwrite(storage, path, whole).await;
    }
    let other = layout::snapshot(storage.root(), id, SubtaskId::new(1, 1), Attempt(1));
    let of_other = bytes(storage, &other).await;
    overwrite(storage, &paths[1], of_other).await;
    let read = snapshot::read(storage, id, &handles[0]).await;
    read.expect_err("it is intact, and another's");
    storage.delete(vec![paths[1].clone()]).await.expect("it can go");
    let gone = snapshot::read(storage, id, &handles[0]).await.expect_err("it is gone");
    assert!(gone.is_not_found(), "{gone}");
    inspect::delete(storage, id).await.expect("it can go");
}

/// What no engine does: another content under the same name.
async fn overwrite(storage: &Storage, path: &Path, content: Vec<u8>) {
    let version = storage.find(path).await.expect("it is there").version;
    storage.replace(path, content, Some(version)).await.expect("nobody else writes");
}
