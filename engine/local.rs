//! A job in one process: one coordinator and one worker that talk over the in-process network.
//!
//! Nothing of the protocol is left out: barriers, acks, store record and failover are those of a
//! cluster. A process that is killed and started again continues from the newest checkpoint.
//!
//! Deliberately absent: protection of the directory against a second process; whoever calls this owns it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use seawall_config::{Settings, Warning};
use seawall_env::Observer;
use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy, StateBackend};
pub use seawall_protocol::coordinator::Outcome;
use seawall_protocol::{CheckpointId, JobId, WorkerId};
use seawall_runtime::RuntimeError;
use seawall_runtime::control::Control;
use seawall_runtime::coordinator::{self, CoordinatorConfig};
use seawall_runtime::metrics::Metrics;
use seawall_runtime::storage::savepoint::{Open, Restore};
use seawall_runtime::storage::{Storage, StorageError};
use seawall_runtime::tokio_env::{self, InProcessNetwork};
use seawall_runtime::worker::{self, WorkerConfig};
use seawall_stream::Job;
use seawall_stream::job::Operator;

/// Where the coordinator listens on the in-process network.
const COORDINATOR: &str = "coordinator";

/// A job and the settings to run it with.
pub struct LocalJob {
    /// The program.
    pub job: Arc<Job>,
    /// Its identity: two runs with the same one continue each other.
    pub id: JobId,
    /// Where its checkpoints are; the place belongs to this job alone.
    pub storage: Storage,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// Where live state is.
    pub state: StateBackend,
    /// The directory of its scratch files: the system's one for temporary files, unless someone says other.
    pub scratch: PathBuf,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// How death is suspected. Within one process a lost connection is noticed at once, so silence only
    /// means a busy machine: Flink's defaults never take a starved process for a dead one.
    pub heartbeat: HeartbeatConfig,
    /// Subtasks of each operator that the worker has room for; fewer than the job has, and it never starts.
    pub slots: u32,
    /// The checkpoint that is restored without its in-flight data (E12).
    pub without_channel_state: Option<CheckpointId>,
    /// Time between two watermarks of a subtask.
    pub watermark_interval: Duration,
    /// Counters, for whoever wants to show them.
    pub metrics: Arc<Metrics>,
    /// Receives every event.
    pub observer: Arc<dyn Observer>,
    /// The way to ask the running job for something.
    pub control: Control,
    /// The savepoint that the job starts from when its storage is empty.
    pub restore: Option<Restore>,
    /// Opens the places of savepoints.
    pub open: Open,
}

impl LocalJob {
    /// A job with what a configuration says, and nobody who watches it.
    pub fn new(job: Arc<Job>, id: JobId, storage: Storage, settings: &Settings) -> Self {
        Self {
            id,
            storage,
            checkpoint: settings.checkpoint.clone(),
            state: settings.backend,
            scratch: settings
                .scratch
                .clone()
                .unwrap_or_else(|| std::env::temp_dir().join("seawall")),
            restart: settings.restart.clone(),
            heartbeat: settings.heartbeat.clone(),
            // One process has room for as many subtasks as there can be: the job may be rescaled.
            slots: settings.slots.unwrap_or(job.key_groups),
            without_channel_state: settings.without_channel_state,
            watermark_interval: settings.watermark_interval,
            metrics: Arc::default(),
            observer: Arc::new(tokio_env::Unobserved),
            control: Control::default(),
            restore: None,
            open: Arc::new(open_place),
            job,
        }
    }
}

/// What should be looked at before the job runs: sinks whose transactions may end too early (K9).
pub fn warnings(job: &Job, settings: &Settings) -> Vec<Warning> {
    let of = |operator: &Operator| {
        let sink = operator.label.rsplit(" -> ").next().unwrap_or(&operator.name);
        settings.transaction_warning(sink, operator.transaction_timeout?)
    };
    job.operators.iter().filter_map(of).collect()
}

/// Opens a place of savepoints: a directory, or an address.
///
/// # Errors
/// As [`seawall_runtime::storage::open`].
pub fn open_place(place: &str) -> Result<Storage, StorageError> {
    seawall_runtime::storage::open(place, Arc::new(tokio_env::FileSystem))
}

/// Runs the job until it has its result, or fails for good. Must be awaited within a tokio runtime.
/// Dropping the future stops the job at any point; a later call continues.
///
/// # Errors
/// When storage is damaged or does not fit the job, or a source cannot list its input.
pub async fn run(local: LocalJob) -> Result<Outcome, RuntimeError> {
    let env = tokio_env::env(Arc::new(InProcessNetwork::new()), local.observer);
    let (mode, is_incremental) = (local.checkpoint.mode, local.checkpoint.is_incremental);
    let coordinator = CoordinatorConfig {
        address: COORDINATOR.to_owned(),
        storage: local.storage.clone(),
        id: local.id,
        job: Arc::clone(&local.job),
        checkpoint: local.checkpoint,
        restart: local.restart,
        heartbeat: local.heartbeat.clone(),
        control: local.control,
        restore: local.restore,
        open: local.open,
    };
    let worker = WorkerConfig {
        worker: WorkerId(1),
        slots: local.slots,
        coordinator: COORDINATOR.to_owned(),
        job: local.job,
        scratch: local.scratch,
        storage: local.storage,
        mode,
        state: local.state,
        is_incremental,
        without_channel_state: local.without_channel_state,
        watermark_interval: local.watermark_interval,
        heartbeat: local.heartbeat,
        metrics: local.metrics,
    };
    let leading = Box::pin(coordinator::run(env.clone(), coordinator));
    let working = Box::pin(worker::run(env, worker));
    match select(leading, working).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((Err(error), _)) => Err(error),
        Either::Right((Ok(()), leading)) => leading.await,
    }
}
