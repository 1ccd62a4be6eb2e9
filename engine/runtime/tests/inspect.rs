//! Questions about checkpoints of a job that runs meanwhile: what it deletes is no damage, and what it still
//! names is.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use seawall_env::{Disk, Entry, File, Scratch};
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::record::StoreRecord;
use seawall_protocol::shared_files::SharedFileId;
use seawall_protocol::{Attempt, CheckpointId, FencingToken, JobId, SubtaskId};
use seawall_runtime::storage::inspect::{Problem, Standing};
use seawall_runtime::storage::shared::Run;
use seawall_runtime::storage::{
    Manifest, Snapshot, Storage, inspect, layout, manifest, record, shared, snapshot,
};
use seawall_runtime::tokio_env::FileSystem;

const JOB: JobId = JobId(7);
const OLD: CheckpointId = CheckpointId(7);
const NEW: CheckpointId = CheckpointId(8);

/// What happens while someone reads.
#[derive(Clone, Copy)]
enum Meanwhile {
    /// The job completes a newer checkpoint and subsumes the old one.
    Subsumed,
    /// A snapshot of a checkpoint that the job still needs is lost.
    Lost,
}

impl Meanwhile {
    async fn happen(self, root: &Path) {
        let storage = on_disk(root);
        if let Self::Lost = self {
            let snapshot = layout::snapshot(root, OLD, SubtaskId::new(0, 0), Attempt(1));
            return FileSystem.remove(&snapshot).await.unwrap();
        }
        checkpoint(&storage, NEW).await;
        record::replace(&storage, &store_record(NEW)).await.unwrap();
        inspect::delete(&storage, OLD).await.unwrap();
        shared::delete(&storage, &[shared_id(OLD)]).await.unwrap();
    }
}

/// A disk on which something happens just before the n-th file is opened.
struct Watched {
    root: PathBuf,
    left: AtomicU32,
    meanwhile: Meanwhile,
}

#[async_trait]
impl Disk for Watched {
    async fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let count = |left: u32| left.checked_sub(1);
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        if before == Ok(1) {
            self.meanwhile.happen(&self.root).await;
        }
        FileSystem.open(path).await
    }
    async fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        FileSystem.create(path).await
    }
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem.rename(from, to).await
    }
    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        FileSystem.sync_directory(path).await
    }
    async fn remove(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove(path).await
    }
    async fn remove_directory(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove_directory(path).await
    }
    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        FileSystem.create_directory(path).await
    }
    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        FileSystem.list(path).await
    }
    async fn scratch(&self, path: &Path) -> io::Result<Box<dyn Scratch>> {
        FileSystem.scratch(path).await
    }
}

fn on_disk(root: &Path) -> Storage {
    Storage::on_disk(Arc::new(FileSystem), root)
}

fn store_record(retained: CheckpointId) -> StoreRecord {
    let retained = vec![retained];
    StoreRecord { token: FencingToken(1), retained, ..StoreRecord::fresh(JOB) }
}

fn shared_id(checkpoint: CheckpointId) -> SharedFileId {
    SharedFileId { checkpoint, subtask: SubtaskId::new(0, 0), attempt: Attempt(1), sequence: 0 }
}

/// A checkpoint of two snapshots, the first of which refers to a shared file.
async fn checkpoint(storage: &Storage, id: CheckpointId) {
    let mut snapshots = Vec::new();
    for index in 0..2 {
        let mut files = Vec::new();
        if index == 0 {
            let run = Run { id: shared_id(id), is_base: true, groups: Vec::new() };
            files.push(shared::write(storage, &run, false).await.unwrap());
        }
        let snapshot = Snapshot {
            operator: "count".into(),
            subtask: SubtaskId::new(0, index),
            attempt: Attempt(1),
            checkpoint: id,
            is_ended: false,
            splits: Vec::new(),
            keyed: Vec::new(),
            operator_states: Vec::new(),
            shared: files,
            transactions: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
        };
        snapshots.push(snapshot::write(storage, &snapshot).await.unwrap());
    }
    let manifest = Manifest {
        job: JOB,
        job_name: "keyed-count".into(),
        checkpoint: id,
        kind: CheckpointKind::Checkpoint,
        operators: Vec::new(),
        snapshots,
        finished: Vec::new(),
    };
    manifest::write(storage, &manifest).await.unwrap();
}

/// Calls `look` with a checkpoint to which `meanwhile` happens at the first file that is opened, at the
/// second, and so on, until there is no such file. Returns how many there were.
async fn at_every_file(meanwhile: Meanwhile, look: impl AsyncFn(&Storage, u32)) -> u32 {
    for left in 1.. {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_path_buf();
        checkpoint(&on_disk(&root), OLD).await;
        record::replace(&on_disk(&root), &store_record(OLD)).await.unwrap();
        let watched = Watched { root: root.clone(), left: AtomicU32::new(left), meanwhile };
        let watched = Arc::new(watched);
        look(&Storage::on_disk(Arc::<Watched>::clone(&watched), &root), left).await;
        if watched.left.load(Ordering::SeqCst) > 0 {
            return left - 1;
        }
    }
    unreachable!("the files of a checkpoint have an end")
}

// Rules: H6
#[tokio::test]
async fn a_checkpoint_that_is_subsumed_while_it_is_verified_is_gone_and_never_damaged() {
    let files = at_every_file(Meanwhile::Subsumed, async |storage, at| {
        let problems = inspect::verify(storage, OLD).await.unwrap();
        match at {
            // Before the record was read nobody knows better than that it is not named.
            1 => assert!(matches!(problems[0], Problem::Orphan(OLD)), "{problems:?}"),
            2..=5 => assert!(matches!(problems[..], [Problem::Gone(OLD)]), "{at}: {problems:?}"),
            _ => assert!(problems.is_empty(), "{at}: {problems:?}"),
        }
    })
    .await;
    assert_eq!(files, 5, "record, manifest, two snapshots, a shared file");
}

// Rules: H6
#[tokio::test]
async fn a_checkpoint_that_is_subsumed_while_it_is_listed_is_gone_and_never_damaged() {
    let files = at_every_file(Meanwhile::Subsumed, async |storage, at| {
        let checkpoints = inspect::list(storage).await.unwrap().checkpoints;
        let old = checkpoints.iter().find(|it| it.checkpoint == OLD).unwrap();
        let (standing, is_read) = match at {
            1 | 2 => (Standing::Orphan, false),
            3 => (Standing::Gone, false),
            _ => (Standing::Retained, true),
        };
        assert_eq!((old.standing, old.manifest.is_ok()), (standing, is_read), "{at}: {old:?}");
    })
    .await;
    assert_eq!(files, 3, "the length of the record, the record, and the manifest");
}

// Rules: R2
#[tokio::test]
async fn a_file_that_is_lost_from_a_checkpoint_that_the_record_names_is_damage() {
    at_every_file(Meanwhile::Lost, async |storage, at| {
        let problems = inspect::verify(storage, OLD).await.unwrap();
        match at {
            1..=3 => assert!(matches!(problems[..], [Problem::File(_)]), "{at}: {problems:?}"),
            _ => assert!(problems.is_empty(), "it was read before: {at}: {problems:?}"),
        }
    })
    .await;
}
