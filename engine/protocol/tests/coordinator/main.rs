//! The coordinator against a small world of workers, a record register and a store of files, in which
//! writes fail before or after they took effect, workers die and leaders crash at any point; and against
//! transcripts, which say effect by effect what one input leads to.
//!
//! ```text
//! world ── faults ── checks ── promises      any history          inputs: of any kind
//! script ── attempts · checkpoints · aborts · requests            one history each
//! ```

mod aborts;
mod attempts;
mod checkpoints;
mod checks;
mod faults;
mod inputs;
mod promises;
mod requests;
mod rescale;
mod script;
mod world;

use std::time::Duration;

use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use seawall_protocol::coordinator::{Input, JobPlan, SubtaskPlan};
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::{SnapshotFigures, SnapshotHandle, StoreRecord};
use seawall_protocol::{AttemptId, CheckpointId, SubtaskId};

/// A store that holds `record`, whose checkpoints have no shared files.
fn recovered(record: StoreRecord) -> Input {
    Input::Recovered { record, shared: Vec::new() }
}

fn plan() -> JobPlan {
    let subtask = |operator, index| SubtaskPlan {
        subtask: SubtaskId::new(operator, index),
        upstream: (0..2).filter(|_| operator == 1).map(|it| SubtaskId::new(0, it)).collect(),
        has_union_state: false,
        acts_at_end: operator == 1,
    };
    JobPlan {
        subtasks: vec![subtask(0, 0), subtask(0, 1), subtask(1, 0), subtask(1, 1)],
        edges: Vec::new(),
        parallelism_max: 128,
        checkpoint: CheckpointConfig::default(),
        restart: RestartStrategy::FixedDelay { attempts: 10_000, delay: Duration::from_secs(1) },
        heartbeat: HeartbeatConfig::default(),
    }
}

fn ack(attempt: AttemptId, checkpoint: CheckpointId) -> ToCoordinator {
    let snapshot = SnapshotHandle {
        subtask: attempt.subtask,
        attempt: attempt.attempt,
        bytes: 10,
        checksum: 1,
        figures: SnapshotFigures::default(),
        shared: Vec::new(),
    };
    ToCoordinator::Ack { attempt, checkpoint, snapshot }
}
