//! A coordinator and its workers in one process, on real files and a real clock.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{Env, Observer, Reaction};
use seawall_protocol::config::{
    CheckpointConfig, CheckpointMode, HeartbeatConfig, RestartStrategy, StateBackend,
};
use seawall_protocol::coordinator::Outcome;
use seawall_protocol::event::Event;
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::JobResult;
use seawall_protocol::{CheckpointId, JobId, SessionId, WorkerId};
use seawall_runtime::connectors::{FileSink, GeneratorSource, Rated};
use seawall_runtime::control::Control;
use seawall_runtime::coordinator::{self, CoordinatorConfig};
use seawall_runtime::metrics::Metrics;
use seawall_runtime::storage::{Manifest, Storage, inspect, layout, record};
use seawall_runtime::tokio_env::{self, InProcessNetwork};
use seawall_runtime::wire::encode_message;
use seawall_runtime::worker::{self, WorkerConfig};
use seawall_runtime::{RuntimeError, storage::StorageError};
use seawall_stream::{Collect, Job, JobBuilder, KeyedProcess};

use crate::held_source::Held;
use crate::lying_store::{Lie, LyingStore};

mod held_source; // an end that waits for what a test waits for
mod lying_store; // listings that name nothing, or what was deleted

const SOURCE: GeneratorSource = GeneratorSource { records: 20_000, keys: 50, seed: 7 };
const PARALLELISM: u32 = 2;
/// The job does not end before so many checkpoints are completed, however slow the machine is.
const CHECKPOINTS: usize = 4;

/// Keeps the names of events.
#[derive(Default)]
struct Names(Mutex<Vec<&'static str>>);

#[async_trait]
impl Observer for Names {
    fn observe(&self, event: Event) -> Reaction {
        self.0.lock().unwrap().push(event.name());
        Reaction::Continue
    }

    async fn settle(&self) {}
}

impl Names {
    fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|it| **it == name).count()
    }
}

#[derive(Clone)]
struct Count;

impl KeyedProcess for Count {
    type Key = u64;
    type In = u64;
    type State = u64;
    type Out = (u64, u64);

    fn on_record(
        &mut self,
        _key: &u64,
        _record: u64,
        state: &mut Option<u64>,
        _out: &mut impl Collect<(u64, u64)>,
    ) {
        *state = Some(state.unwrap_or(0) + 1);
    }

    fn on_end(&mut self, key: &u64, state: &u64, out: &mut impl Collect<(u64, u64)>) {
        out.push((*key, *state));
    }
}

fn encode(record: &(u64, u64), bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("{},{}\n", record.0, record.1).as_bytes());
}

struct Cluster {
    directory: tempfile::TempDir,
    env: Env,
    names: Arc<Names>,
    job: Arc<Job>,
    heartbeat: HeartbeatConfig,
    storage: Storage,
    state: StateBackend,
    is_incremental: bool,
}

impl Cluster {
    fn new(rate: Option<u64>) -> Self {
        Self::holding(rate, |seen| seen.count("checkpoint-completed") < CHECKPOINTS)
    }

    /// The job does not end while `is_held`.
    fn holding(
        rate: Option<u64>,
        is_held: impl Fn(&Names) -> bool + Clone + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let names = Arc::new(Names::default());
        let env = tokio_env::env(Arc::new(InProcessNetwork::new()), names.clone());
        let builder = JobBuilder::new("keyed-count", PARALLELISM);
        let seen = Arc::clone(&names);
        let is_held = move || is_held(&seen);
        builder
            .source("numbers", Held::new(Rated::new(SOURCE, rate), is_held))
            .key_by(|key| *key)
            .process("count", Count)
            .sink("counts", FileSink::new(directory.path().join("output"), encode));
        let heartbeat = HeartbeatConfig::default();
        let storage = directory.path().join("data/checkpoints");
        let storage = Storage::on_disk(Arc::clone(&env.disk), storage);
        Self {
            directory,
            env,
            names,
            job: Arc::new(builder.build()),
            heartbeat,
            storage,
            state: StateBackend::Heap,
            is_incremental: false,
        }
    }

    fn storage(&self) -> Storage {
        self.storage.clone()
    }

    fn coordinator_config(&self) -> CoordinatorConfig {
        CoordinatorConfig {
            address: "coordinator".into(),
            storage: self.storage(),
            id: JobId(7),
            job: Arc::clone(&self.job),
            checkpoint: CheckpointConfig {
                interval: Some(Duration::from_millis(50)),
                retained: 2,
                ..CheckpointConfig::default()
            },
            restart: RestartStrategy::FixedDelay { attempts: 10, delay: Duration::from_millis(20) },
            heartbeat: self.heartbeat.clone(),
            control: Control::default(),
            restore: None,
            open: Arc::new(|_| unreachable!("nobody asks for savepoints")),
        }
    }

    async fn coordinator(&self) -> Result<Outcome, RuntimeError> {
        let running = coordinator::run(self.env.clone(), self.coordinator_config());
        tokio::time::timeout(Duration::from_mins(1), running).await.expect("it must end")
    }

    fn worker(&self, number: u32, slots: u32) -> tokio::task::JoinHandle<()> {
        let config = WorkerConfig {
            worker: WorkerId(number),
            slots,
            coordinator: "coordinator".into(),
            job: Arc::clone(&self.job),
            storage: self.storage(),
            mode: CheckpointMode::ExactlyOnce,
            state: self.state,
            scratch: self.directory.path().join("scratch"),
            is_incremental: self.is_incremental,
            without_channel_state: None,
            watermark_interval: Duration::from_millis(200),
            heartbeat: self.heartbeat.clone(),
            metrics: Arc::new(Metrics::default()),
        };
        let env = self.env.clone();
        tokio::spawn(async move { worker::run(env, config).await.unwrap() })
    }

    async fn until(&self, name: &str, count: usize) {
        assert!(count < CHECKPOINTS, "the job may have ended by then");
        while self.names.count(name) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Every key with its count, and that no key was written twice.
    fn output(&self) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        for file in std::fs::read_dir(self.directory.path().join("output")).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                continue;
            }
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let (key, count) = line.split_once(',').unwrap();
                let earlier = counts.insert(key.parse().unwrap(), count.parse().unwrap());
                assert_eq!(earlier, None, "key {key} was written twice");
            }
        }
        counts
    }

    fn pending_output(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("output/.pending")).unwrap().count()
    }
}

fn expected() -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for index in 0..SOURCE.records {
        *counts.entry(SOURCE.record(index)).or_insert(0) += 1;
    }
    counts
}

// Rules: N4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_to_its_end_and_its_output_is_complete() {
    let cluster = Cluster::new(Some(60_000));
    let workers = [cluster.worker(1, 1), cluster.worker(2, 1)];
    assert_eq!(cluster.coordinator().await.unwrap(), Outcome::Result(JobResult::Finished));
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(cluster.output(), expected());
    assert_eq!(cluster.pending_output(), 0);
    assert!(cluster.names.count("checkpoint-completed") >= 2);

    // What is left behind is in the record, and intact.
    let inventory = inspect::list(&cluster.storage()).await.unwrap();
    assert!(inventory.checkpoints.iter().all(inspect::Listed::is_retained), "{inventory:?}");
    for listed in &inventory.checkpoints {
        let problems = inspect::verify(&cluster.storage(), listed.checkpoint).await.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
    }

    // A job that has its result does not run again (P2).
    assert_eq!(cluster.coordinator().await.unwrap(), Outcome::Result(JobResult::Finished));
    assert_eq!(cluster.names.count("attempt-deployed"), 1);
}

// Rules: J1, J5, K4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_and_comes_back_changes_nothing_in_the_output() {
    let cluster = Cluster::new(Some(40_000));
    let _other = cluster.worker(1, 1);
    let dies = cluster.worker(2, 1);
    let chaos = async {
        cluster.until("checkpoint-completed", 2).await;
        dies.abort();
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop(cluster.worker(2, 1));
    };
    let (outcome, ()) = tokio::join!(cluster.coordinator(), chaos);
    assert_eq!(outcome.unwrap(), Outcome::Result(JobResult::Finished));
    assert_eq!(cluster.output(), expected());
    assert_eq!(cluster.names.count("attempt-deployed"), 2);
}

// Rules: F9, I8, J1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_on_disk_is_restored_from_the_store_whatever_the_dead_left_in_scratch() {
    let mut cluster = Cluster::new(Some(40_000));
    // A cache of a few keys, so that nearly all state is on disk.
    cluster.state = StateBackend::Disk { cache_bytes: 16 << 10 };
    cluster.is_incremental = true;
    // Names of the first attempts, as a process leaves them that dies between creating and unlinking.
    let scratch = cluster.directory.path().join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    for (index, attempt) in [(0, 1), (1, 1), (0, 2), (1, 2)] {
        let name = scratch.join(format!("op1-{index}-attempt-{attempt}"));
        std::fs::write(name, vec![0xA5; 1 << 16]).unwrap();
    }
    let _other = cluster.worker(1, 1);
    let dies = cluster.worker(2, 1);
    let chaos = async {
        cluster.until("checkpoint-completed", 3).await;
        dies.abort();
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop(cluster.worker(2, 1));
    };
    let (outcome, ()) = tokio::join!(cluster.coordinator(), chaos);
    assert_eq!(outcome.unwrap(), Outcome::Result(JobResult::Finished));
    assert_eq!(cluster.output(), expected());
    let left: Vec<_> = std::fs::read_dir(&scratch).unwrap().collect();
    assert!(left.is_empty(), "whoever opens a scratch file takes its name away: {left:?}");

    // Shared files are in use by what is retained, and by nothing else (T8).
    let inventory = inspect::list(&cluster.storage()).await.unwrap();
    let manifests = inventory.checkpoints.iter().filter_map(|it| it.manifest.as_ref().ok());
    let used: BTreeSet<_> = manifests.flat_map(Manifest::shared).map(|it| it.id).collect();
    let files = std::fs::read_dir(cluster.storage().root().join("shared")).unwrap();
    assert!(!used.is_empty());
    assert_eq!(files.count(), used.len(), "{used:?}");
    for listed in &inventory.checkpoints {
        let problems = inspect::verify(&cluster.storage(), listed.checkpoint).await.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
    }
}

// Rules: A1, H2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_dies_is_continued_by_the_next() {
    let cluster = Cluster::new(Some(40_000));
    let _workers = [cluster.worker(1, 1), cluster.worker(2, 1)];
    let first = coordinator::run(cluster.env.clone(), cluster.coordinator_config());
    let first = tokio::spawn(first);
    cluster.until("checkpoint-completed", 2).await;
    first.abort();
    // Its storage tasks die with a process; here they are given the time to end.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let restored = record::read(&cluster.storage()).await.unwrap().unwrap();
    assert!(!restored.retained.is_empty(), "{restored:?}");
    assert_eq!(cluster.coordinator().await.unwrap(), Outcome::Result(JobResult::Finished));
    assert_eq!(cluster.output(), expected());
    assert_eq!(cluster.names.count("coordinator-started"), 2);
}

/// A job whose coordinator and a worker die, over a store whose listings lie.
async fn survives(lie: Lie) {
    let mut cluster = Cluster::new(Some(40_000));
    let store = Arc::new(LyingStore::new(lie));
    cluster.storage = Storage::over(store, "some/job".into(), "lying://some/job");
    let dies = cluster.worker(1, 1);
    let _stays = cluster.worker(2, 1);
    let first = tokio::spawn(coordinator::run(cluster.env.clone(), cluster.coordinator_config()));
    cluster.until("checkpoint-completed", 3).await;
    first.abort();
    dies.abort();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _comes_back = cluster.worker(1, 1);
    assert_eq!(cluster.coordinator().await.unwrap(), Outcome::Result(JobResult::Finished));
    assert_eq!(cluster.output(), expected());
    assert!(cluster.names.count("coordinator-started") == 2);

    let record = record::read(&cluster.storage).await.unwrap().unwrap();
    assert_eq!(record.retained.len(), 2, "{record:?}");
    for checkpoint in record.retained {
        let problems = inspect::verify(&cluster.storage, checkpoint).await.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
    }
}

// Rules: H6
#[tokio::test]
async fn a_manifest_is_gone_before_a_remote_store_is_told_of_the_files_it_names() {
    let store = Arc::new(LyingStore::new(Lie::EverythingEver));
    let storage = Storage::over(Arc::<LyingStore>::clone(&store), "job".into(), "lying://job");
    let directory = storage.root().join("chk-7");
    for name in ["a.snapshot", "manifest", "z.snapshot"] {
        storage.put_new(&directory.join(name), name.as_bytes().to_vec()).await.unwrap();
    }
    inspect::delete(&storage, CheckpointId(7)).await.unwrap();
    let requests: Vec<usize> = store.deletions().iter().map(Vec::len).collect();
    assert_eq!(requests, [1, 2], "the files of one request go in any order");
    assert!(store.deletions()[0][0].as_ref().ends_with("/manifest"));
}

// Rules: R3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_restores_and_finishes_while_listings_name_nothing() {
    survives(Lie::Nothing).await;
}

// Rules: R3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_restores_and_finishes_while_listings_name_what_was_deleted() {
    survives(Lie::EverythingEver).await;
}

// Rules: P5, H2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_finds_a_newer_one_in_the_record_ends() {
    let cluster = Cluster::new(Some(10_000));
    let _worker = cluster.worker(1, PARALLELISM);
    let leading = tokio::spawn(coordinator::run(cluster.env.clone(), cluster.coordinator_config()));
    cluster.until("checkpoint-completed", 1).await;
    let mut record = record::read(&cluster.storage).await.unwrap().unwrap();
    record.token = record.token.next().next();
    while record::replace(&cluster.storage, &record).await.is_err() {}
    let ended = tokio::time::timeout(Duration::from_secs(20), leading).await;
    let error = ended.expect("it must end").unwrap().unwrap_err();
    assert!(matches!(error, RuntimeError::Storage(StorageError::Deposed { .. })), "{error}");
    let found = record::read(&cluster.storage).await.unwrap().unwrap();
    assert_eq!(found, record, "the record of the newer leader is as it wrote it");
}

/// Runs the job until it has a checkpoint, stops, and returns what is in the record.
async fn stopped_with_a_checkpoint(cluster: &Cluster) -> CheckpointId {
    let worker = cluster.worker(1, PARALLELISM);
    let running = tokio::spawn(coordinator::run(cluster.env.clone(), cluster.coordinator_config()));
    cluster.until("checkpoint-completed", 1).await;
    running.abort();
    worker.abort();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let record = record::read(&cluster.storage()).await.unwrap().unwrap();
    *record.retained.last().unwrap()
}

fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

// Rules: R2, H11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_newest_checkpoint_is_an_error_and_never_a_fallback() {
    let cluster = Cluster::new(Some(10_000));
    let newest = stopped_with_a_checkpoint(&cluster).await;
    damage(&layout::manifest(cluster.storage.root(), newest));
    let error = cluster.coordinator().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Storage(StorageError::Checksum { .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_storage_of_another_job_is_refused() {
    let cluster = Cluster::new(Some(10_000));
    stopped_with_a_checkpoint(&cluster).await;
    let config = CoordinatorConfig { id: JobId(8), ..cluster.coordinator_config() };
    let error = coordinator::run(cluster.env.clone(), config).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Storage(StorageError::OtherJob { .. })), "{error}");
}

/// Removes what sinks have pre-committed, between the last ack and the commit.
struct Loses {
    names: Arc<Names>,
    pending: PathBuf,
}

#[async_trait]
impl Observer for Loses {
    fn observe(&self, event: Event) -> Reaction {
        if let Event::CheckpointAcknowledged { .. } = event {
            for file in std::fs::read_dir(&self.pending).unwrap() {
                std::fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
        self.names.observe(event)
    }

    async fn settle(&self) {}
}

// Rules: K8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_is_lost_ends_the_job_at_once_and_is_never_skipped() {
    let mut cluster = Cluster::new(Some(60_000));
    let pending = cluster.directory.path().join("output/.pending");
    cluster.env.observer = Arc::new(Loses { names: Arc::clone(&cluster.names), pending });
    let _worker = cluster.worker(1, PARALLELISM);
    let outcome = cluster.coordinator().await.unwrap();
    let Outcome::Failed(cause) = outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("output is lost"), "{cause}");
    // Another attempt could not mend it, and the restart strategy allows ten (K8, O9).
    assert_eq!(cluster.names.count("attempt-deployed"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_does_not_receive_is_disconnected_and_holds_up_nobody() {
    // However slow the machine: it takes a thousand heartbeats to fill its queue.
    let mut cluster = Cluster::holding(None, |seen| seen.count("worker-lost") < 1);
    cluster.heartbeat = HeartbeatConfig {
        interval: Duration::from_millis(1),
        timeout: Duration::from_secs(30),
        ..HeartbeatConfig::default()
    };
    let _worker = cluster.worker(1, PARALLELISM);
    let deaf = async {
        cluster.until("coordinator-started", 1).await;
        let mut connection = cluster.env.network.connect("coordinator").await.unwrap();
        let register =
            ToCoordinator::Register { worker: WorkerId(9), session: SessionId(1), slots: 0 };
        connection.sender.send(encode_message(&register)).await.unwrap();
        while connection.sender.send(encode_message(&ToCoordinator::Heartbeat)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (outcome, ()) = tokio::join!(cluster.coordinator(), deaf);
    assert_eq!(outcome.unwrap(), Outcome::Result(JobResult::Finished));
    assert_eq!(cluster.output(), expected());
    assert!(cluster.names.count("worker-lost") >= 1, "the deaf worker was kept");
}

// Rules: O1
#[tokio::test]
async fn a_data_connection_that_does_not_say_what_it_feeds_is_dropped_in_time() {
    let mut cluster = Cluster::new(None);
    let timeout = Duration::from_millis(200);
    let interval = timeout / 4;
    cluster.heartbeat = HeartbeatConfig { interval, timeout, ..HeartbeatConfig::default() };
    let worker = cluster.worker(1, 1);
    let mut connection = loop {
        match cluster.env.network.connect("worker-1").await {
            Ok(connection) => break connection,
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    };
    let heard = tokio::time::timeout(Duration::from_mins(1), connection.receiver.receive()).await;
    assert_eq!(heard.expect("it is dropped").unwrap(), None);
    worker.abort();
}
