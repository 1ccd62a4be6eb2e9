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
use seawall_env::Observer;
use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
pub use seawall_protocol::coordinator::Outcome;
use seawall_protocol::{JobId, WorkerId};
use seawall_runtime::RuntimeError;
use seawall_runtime::coordinator::{self, CoordinatorConfig};
use seawall_runtime::metrics::Metrics;
use seawall_runtime::tokio_env::{self, InProcessNetwork};
use seawall_runtime::worker::{self, WorkerConfig};
use seawall_stream::Job;

/// Where the coordinator listens on the in-process network.
const COORDINATOR: &str = "coordinator";

/// Within one process a lost connection is noticed at once, so silence only means a busy machine:
/// Flink's defaults, which never take a starved process for a dead one.
const HEARTBEAT: HeartbeatConfig =
    HeartbeatConfig { interval: Duration::from_secs(10), timeout: Duration::from_secs(50) };

/// A job and the settings to run it with.
pub struct LocalJob {
    /// The program.
    pub job: Arc<Job>,
    /// Its identity: two runs with the same one continue each other.
    pub id: JobId,
    /// The directory of its checkpoints, which belongs to this job alone.
    pub storage: PathBuf,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// Counters, for whoever wants to show them.
    pub metrics: Arc<Metrics>,
    /// Receives every event.
    pub observer: Arc<dyn Observer>,
}

/// Runs the job until it has its result, or fails for good. Must be awaited within a tokio runtime.
/// Dropping the future stops the job at any point; a later call continues.
///
/// # Errors
/// When storage is damaged or does not fit the job, or a source cannot list its input.
pub async fn run(local: LocalJob) -> Result<Outcome, RuntimeError> {
    let env = tokio_env::env(Arc::new(InProcessNetwork::new()), local.observer);
    let mode = local.checkpoint.mode;
    let coordinator = CoordinatorConfig {
        address: COORDINATOR.to_owned(),
        storage: local.storage.clone(),
        id: local.id,
        job: Arc::clone(&local.job),
        checkpoint: local.checkpoint,
        restart: local.restart,
        heartbeat: HEARTBEAT,
    };
    let worker = WorkerConfig {
        worker: WorkerId(1),
        slots: local.job.parallelism,
        coordinator: COORDINATOR.to_owned(),
        job: local.job,
        storage: local.storage,
        mode,
        heartbeat: HEARTBEAT,
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
