//! A disk that fails once, at every operation in turn, before or after doing it: what is there afterwards
//! is old or new, never in between, and trying again succeeds.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use seawall_env::{Disk, Entry, Env, File, Scratch};
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{Attempt, AttemptId, CheckpointId, FencingToken, JobId, SubtaskId};
use seawall_runtime::connectors::FileSink;
use seawall_runtime::connectors::file_sink::FileSinkWriter;
use seawall_runtime::storage::{Manifest, Snapshot, Storage, inspect, manifest, record, snapshot};
use seawall_runtime::tokio_env::{self, FileSystem, InProcessNetwork, Unobserved};
use seawall_stream::{Sink, SinkContext, SinkWriter};

/// Operations until the failure, and whether the failing one takes effect.
#[derive(Clone)]
struct Fault {
    left: Arc<AtomicU32>,
    takes_effect: bool,
}

impl Fault {
    fn new(left: u32, takes_effect: bool) -> Self {
        Self { left: Arc::new(AtomicU32::new(left)), takes_effect }
    }

    fn has_struck(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// Whether it is this operation.
    fn strikes(&self) -> bool {
        let count = |left: u32| left.checked_sub(1);
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) == Ok(1)
    }

    async fn run<T>(&self, operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        if !self.strikes() {
            return operation.await;
        }
        if self.takes_effect {
            let _ = operation.await;
        }
        Err(io::Error::other("planted"))
    }
}

struct Faulty<T>(T, Fault);

#[async_trait]
impl Disk for Faulty<FileSystem> {
    async fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = self.1.run(self.0.create(path)).await?;
        Ok(Box::new(Faulty(file, self.1.clone())))
    }
    async fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = self.1.run(self.0.open(path)).await?;
        Ok(Box::new(Faulty(file, self.1.clone())))
    }
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.1.run(self.0.rename(from, to)).await
    }
    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.1.run(self.0.sync_directory(path)).await
    }
    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.1.run(self.0.remove(path)).await
    }
    async fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.1.run(self.0.remove_directory(path)).await
    }
    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.1.run(self.0.create_directory(path)).await
    }
    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.1.run(self.0.list(path)).await
    }
    async fn scratch(&self, path: &Path) -> io::Result<Box<dyn Scratch>> {
        self.1.run(self.0.scratch(path)).await
    }
}

#[async_trait]
impl File for Faulty<Box<dyn File>> {
    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.1.strikes() {
            // A failed append may have written a part.
            let part = if self.1.takes_effect { bytes.len() / 2 } else { 0 };
            let _ = self.0.append(&bytes[..part]).await;
            return Err(io::Error::other("planted"));
        }
        self.0.append(bytes).await
    }
    async fn read_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        self.1.run(self.0.read_at(position, length)).await
    }
    async fn sync(&mut self) -> io::Result<()> {
        let Self(file, fault) = self;
        fault.run(file.sync()).await
    }
    async fn length(&self) -> io::Result<u64> {
        self.1.run(self.0.length()).await
    }
}

fn on_disk(root: &Path) -> Storage {
    Storage::on_disk(Arc::new(FileSystem), root)
}

fn faulty(fault: Fault, root: &Path) -> Storage {
    Storage::on_disk(Arc::new(Faulty(FileSystem, fault)), root)
}

/// Calls `check` with a fault at the first operation, the second, and so on, until none is left to strike.
async fn at_every_operation<F: Future<Output = ()>>(check: impl Fn(Fault) -> F) {
    for takes_effect in [false, true] {
        for left in 1.. {
            assert!(left < 1000, "the operation never ends");
            let fault = Fault::new(left, takes_effect);
            check(fault.clone()).await;
            if !fault.has_struck() {
                break;
            }
        }
    }
}

fn store_record(retained: u64) -> StoreRecord {
    StoreRecord {
        token: FencingToken(retained),
        retained: vec![CheckpointId(retained)],
        ..StoreRecord::fresh(JobId(7))
    }
}

// Rules: H2, R1, R4
#[tokio::test]
async fn the_record_is_the_old_one_or_the_new_one() {
    at_every_operation(async |fault: Fault| {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (old, new) = (store_record(1), store_record(2));
        record::replace(&on_disk(root), &old).await.unwrap();
        let replaced = record::replace(&faulty(fault, root), &new).await;
        let read = record::read(&on_disk(root)).await.unwrap().unwrap();
        assert!(read == new || (read == old && replaced.is_err()), "{replaced:?} {read:?}");

        record::replace(&on_disk(root), &new).await.unwrap();
        assert_eq!(record::read(&on_disk(root)).await.unwrap(), Some(new));
        assert_eq!(FileSystem.list(root).await.unwrap().len(), 1);
    })
    .await;
}

fn state(checkpoint: u64) -> Snapshot {
    Snapshot {
        operator: "count".into(),
        subtask: SubtaskId::new(0, 0),
        attempt: Attempt(1),
        checkpoint: CheckpointId(checkpoint),
        is_ended: false,
        splits: Vec::new(),
        keyed: Vec::new(),
        operator_states: Vec::new(),
        shared: Vec::new(),
        transactions: Vec::new(),
        input: Vec::new(),
        output: Vec::new(),
    }
}

async fn checkpoint(storage: &Storage, id: u64) -> Result<(), String> {
    let text = |error: seawall_runtime::storage::StorageError| error.to_string();
    let handle = snapshot::write(storage, &state(id)).await.map_err(text)?;
    let manifest = Manifest {
        job: JobId(7),
        job_name: "keyed-count".into(),
        checkpoint: CheckpointId(id),
        kind: seawall_protocol::message::CheckpointKind::Checkpoint,
        operators: Vec::new(),
        snapshots: vec![handle],
        finished: Vec::new(),
    };
    manifest::write(storage, &manifest).await.map_err(text)
}

// Rules: F7, R1, R4
#[tokio::test]
async fn a_checkpoint_that_was_written_without_an_error_is_intact() {
    at_every_operation(async |fault: Fault| {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        record::replace(&on_disk(root), &store_record(7)).await.unwrap();
        if checkpoint(&faulty(fault, root), 7).await.is_err() {
            // Its id is not used again (A1).
            record::replace(&on_disk(root), &store_record(8)).await.unwrap();
            checkpoint(&on_disk(root), 8).await.unwrap();
        }
        let newest = record::read(&on_disk(root)).await.unwrap().unwrap().retained[0];
        let problems = inspect::verify(&on_disk(root), newest).await.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
    })
    .await;
}

// Rules: H6
#[tokio::test]
async fn a_deletion_that_failed_is_finished_by_the_next() {
    at_every_operation(async |fault: Fault| {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        checkpoint(&on_disk(root), 7).await.unwrap();
        let _ = inspect::delete(&faulty(fault, root), CheckpointId(7)).await;
        inspect::delete(&on_disk(root), CheckpointId(7)).await.unwrap();
        assert_eq!(FileSystem.list(root).await.unwrap(), []);
    })
    .await;
}

async fn writer(
    directory: &Path,
    attempt: u32,
    fault: Fault,
) -> Result<FileSinkWriter<String>, String> {
    let env = tokio_env::env(Arc::new(InProcessNetwork::new()), Arc::new(Unobserved));
    let env = Env { disk: Arc::new(Faulty(FileSystem, fault)), ..env };
    let attempt = AttemptId { subtask: SubtaskId::new(2, 0), attempt: Attempt(attempt) };
    let encode = |record: &String, bytes: &mut Vec<u8>| bytes.extend_from_slice(record.as_bytes());
    let sink = FileSink::new(directory, encode);
    sink.open(SinkContext { env, attempt, parallelism: 8 }).await.map_err(|error| error.to_string())
}

fn healthy() -> Fault {
    Fault::new(u32::MAX, false)
}

async fn files(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in FileSystem.list(directory).await.unwrap() {
        if !entry.is_directory {
            names.push(entry.path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    names
}

// Rules: K4, K8
#[tokio::test]
async fn a_commit_that_failed_is_finished_by_the_next_attempt() {
    at_every_operation(async |fault: Fault| {
        let directory = tempfile::tempdir().unwrap();
        let mut first = writer(directory.path(), 1, healthy()).await.unwrap();
        first.write("one\n".into());
        let committable = first.pre_commit(CheckpointId(7)).await.unwrap().unwrap();
        // Opening costs operations too; the fault may strike there.
        if let Ok(mut second) = writer(directory.path(), 2, fault).await {
            let _ = second.commit(&committable).await;
        }
        let mut third = writer(directory.path(), 3, healthy()).await.unwrap();
        third.commit(&committable).await.unwrap();
        assert_eq!(files(directory.path()).await, ["part-0-chk-7.csv"]);
        let content = std::fs::read_to_string(directory.path().join("part-0-chk-7.csv")).unwrap();
        assert_eq!(content, "one\n");
        assert_eq!(files(&directory.path().join(".pending")).await, [""; 0]);
    })
    .await;
}

// Rules: K5
#[tokio::test]
async fn output_that_was_not_pre_committed_is_removed_by_the_next_attempt() {
    at_every_operation(async |fault: Fault| {
        let directory = tempfile::tempdir().unwrap();
        let mut is_pre_committed = false;
        if let Ok(mut first) = writer(directory.path(), 1, fault).await {
            first.write("one\n".into());
            is_pre_committed = first.pre_commit(CheckpointId(7)).await.is_ok();
        }
        let mut second = writer(directory.path(), 2, healthy()).await.unwrap();
        let removed = second.abort_lingering(&[]).await.unwrap();
        assert!(removed == 1 || !is_pre_committed, "removed {removed}");
        assert_eq!(files(&directory.path().join(".pending")).await, [""; 0]);
        assert_eq!(files(directory.path()).await, [""; 0]);
    })
    .await;
}
