//! Checkpoint storage on a real disk.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;
use std::sync::Arc;

use seawall_env::Disk;
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::record::{SnapshotHandle, StoreRecord};
use seawall_protocol::{Attempt, CheckpointId, FencingToken, JobId, OperatorId, SubtaskId};
use seawall_runtime::storage::snapshot::InFlight;
use seawall_runtime::storage::{
    KeyedSection, Manifest, OperatorInfo, Snapshot, Storage, StorageError, inspect, layout,
    manifest, record, snapshot,
};
use seawall_runtime::tokio_env::FileSystem;

fn on_disk(root: &Path) -> Storage {
    Storage::on_disk(Arc::new(FileSystem), root)
}

const JOB: JobId = JobId(7);

fn store_record(retained: &[u64]) -> StoreRecord {
    StoreRecord {
        token: FencingToken(3),
        attempt: Attempt(2),
        next_checkpoint: CheckpointId(9),
        retained: retained.iter().copied().map(CheckpointId).collect(),
        ..StoreRecord::fresh(JOB)
    }
}

fn in_flight(edge: u32, from: u32) -> InFlight {
    let (from, to) = (SubtaskId::new(edge, from), SubtaskId::new(edge + 1, 0));
    let batches = vec![vec![2, 7, 9].into(), vec![0].into()];
    InFlight { edge, from, to, batches }
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
        input: vec![in_flight(0, index)],
        output: vec![in_flight(1, index), in_flight(1, 1 - index)],
    }
}

async fn checkpoint(root: &Path, id: u64) -> Vec<SnapshotHandle> {
    let mut snapshots = Vec::new();
    for index in 0..2 {
        snapshots.push(snapshot::write(&on_disk(root), &state(id, index)).await.unwrap());
    }
    let manifest = Manifest {
        job: JOB,
        job_name: "keyed-count".into(),
        checkpoint: CheckpointId(id),
        kind: CheckpointKind::Checkpoint,
        operators: vec![OperatorInfo {
            id: OperatorId(1),
            name: "count".into(),
            uid: "count".into(),
            parallelism: 2,
            key_groups: 128,
        }],
        snapshots: snapshots.clone(),
        finished: Vec::new(),
    };
    manifest::write(&on_disk(root), &manifest).await.unwrap();
    assert_eq!(manifest::read(&on_disk(root), CheckpointId(id)).await.unwrap(), manifest);
    snapshots
}

async fn problems(root: &Path, id: u64) -> Vec<String> {
    let problems = inspect::verify(&on_disk(root), CheckpointId(id)).await.unwrap();
    problems.iter().map(|it| it.to_string().replace(&format!("{}/", root.display()), "")).collect()
}

#[tokio::test]
async fn a_job_that_never_ran_has_a_fresh_record() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(record::read(&on_disk(root.path())).await.unwrap(), None);
    let record = record::read_or_fresh(&on_disk(root.path()), JOB).await.unwrap();
    assert_eq!(record, StoreRecord::fresh(JOB));
}

#[tokio::test]
async fn a_replaced_record_is_read_back_and_leaves_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    for retained in [&[1_u64][..], &[1, 2], &[2]] {
        record::replace(&on_disk(root.path()), &store_record(retained)).await.unwrap();
        let read = record::read(&on_disk(root.path())).await.unwrap();
        assert_eq!(read, Some(store_record(retained)));
    }
    assert_eq!(FileSystem.list(root.path()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_record_of_another_job_is_refused() {
    let root = tempfile::tempdir().unwrap();
    record::replace(&on_disk(root.path()), &store_record(&[])).await.unwrap();
    let error = record::read_or_fresh(&on_disk(root.path()), JobId(8)).await.unwrap_err();
    assert!(matches!(error, StorageError::OtherJob { .. }), "{error}");
}

#[tokio::test]
async fn a_zombie_leader_does_not_replace_the_record_of_its_successor() {
    let root = tempfile::tempdir().unwrap();
    record::replace(&on_disk(root.path()), &store_record(&[7])).await.unwrap();
    let zombie = StoreRecord { token: FencingToken(2), ..store_record(&[6]) };
    let error = record::replace(&on_disk(root.path()), &zombie).await.unwrap_err();
    assert!(matches!(error, StorageError::Deposed { .. }), "{error}");
    let read = record::read(&on_disk(root.path())).await.unwrap();
    assert_eq!(read, Some(store_record(&[7])));
}

#[tokio::test]
async fn a_torn_record_is_an_error_and_never_absence() {
    let root = tempfile::tempdir().unwrap();
    record::replace(&on_disk(root.path()), &store_record(&[7])).await.unwrap();
    let path = layout::record(root.path());
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = record::read(&on_disk(root.path())).await.unwrap_err();
        assert!(error.to_string().contains("record is short"), "{error}");
    }
}

#[tokio::test]
async fn a_snapshot_is_read_back_through_its_handle() {
    let root = tempfile::tempdir().unwrap();
    let handles = checkpoint(root.path(), 7).await;
    for (index, handle) in (0..).zip(&handles) {
        let read = snapshot::read(&on_disk(root.path()), CheckpointId(7), handle).await.unwrap();
        assert_eq!(read, state(7, index));
    }
}

#[tokio::test]
async fn an_intact_file_that_is_not_the_acked_one_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let handles = checkpoint(root.path(), 7).await;
    let path = |index| {
        layout::snapshot(root.path(), CheckpointId(7), SubtaskId::new(1, index), Attempt(1))
    };
    std::fs::copy(path(0), path(1)).unwrap();
    snapshot::read(&on_disk(root.path()), CheckpointId(7), &handles[1]).await.unwrap_err();
}

#[tokio::test]
async fn an_intact_checkpoint_has_no_problems() {
    let root = tempfile::tempdir().unwrap();
    checkpoint(root.path(), 7).await;
    record::replace(&on_disk(root.path()), &store_record(&[7])).await.unwrap();
    assert_eq!(problems(root.path(), 7).await, Vec::<String>::new());
}

#[tokio::test]
async fn every_problem_of_a_checkpoint_is_named() {
    let root = tempfile::tempdir().unwrap();
    checkpoint(root.path(), 7).await;
    record::replace(&on_disk(root.path()), &store_record(&[6])).await.unwrap();
    let path = |index| {
        layout::snapshot(root.path(), CheckpointId(7), SubtaskId::new(1, index), Attempt(1))
    };
    std::fs::remove_file(path(0)).unwrap();
    let mut bytes = std::fs::read(path(1)).unwrap();
    bytes[40] ^= 1;
    std::fs::write(path(1), bytes).unwrap();

    let problems = problems(root.path(), 7).await;
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(problems[0].starts_with("checkpoint 7 is an orphan"), "{}", problems[0]);
    assert!(
        problems[1].starts_with("cannot read chk-7/op1-0-attempt-1.snapshot"),
        "{}",
        problems[1]
    );
    assert!(
        problems[2].starts_with("chk-7/op1-1-attempt-1.snapshot is damaged"),
        "{}",
        problems[2]
    );
}

#[tokio::test]
async fn orphans_are_listed_as_such_and_removed_at_the_next_start() {
    let root = tempfile::tempdir().unwrap();
    for id in [6, 7, 8] {
        checkpoint(root.path(), id).await;
    }
    let record = store_record(&[7]);
    record::replace(&on_disk(root.path()), &record).await.unwrap();
    std::fs::write(root.path().join("record-2.tmp"), b"half").unwrap();
    std::fs::write(root.path().join("notes.txt"), b"not ours").unwrap();

    let listed = inspect::list(&on_disk(root.path())).await.unwrap();
    let listed: Vec<_> =
        listed.checkpoints.iter().map(|it| (it.checkpoint.0, it.is_retained())).collect();
    assert_eq!(listed, [(6, false), (7, true), (8, false)]);

    let removed = inspect::remove_orphans(&on_disk(root.path()), &record).await;
    assert_eq!(removed.len(), 3, "{removed:?}");
    let left = FileSystem.list(root.path()).await.unwrap();
    let left: Vec<_> = left.iter().map(|it| it.path.file_name().unwrap().to_owned()).collect();
    assert_eq!(left, ["chk-7", "notes.txt", "record"]);
    assert_eq!(problems(root.path(), 7).await, Vec::<String>::new());
}

#[tokio::test]
async fn deleting_twice_is_fine() {
    let root = tempfile::tempdir().unwrap();
    checkpoint(root.path(), 7).await;
    for _ in 0..2 {
        inspect::delete(&on_disk(root.path()), CheckpointId(7)).await.unwrap();
    }
    assert_eq!(FileSystem.list(root.path()).await.unwrap(), []);
}
