//! What coordinator and workers say to each other. Carried in order over one connection (A7).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::config::Alignment;
use crate::ids::{Attempt, AttemptId, CheckpointId, FencingToken, SessionId, SubtaskId, WorkerId};
use crate::record::{SnapshotFigures, SnapshotHandle, SnapshotPhase};

/// From a worker to the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ToCoordinator {
    /// The first message on a connection.
    Register {
        /// Who.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
        /// Subtasks of each chain it has room for.
        slots: u32,
    },
    /// A sign of life (O1).
    Heartbeat,
    /// What the worker's subtasks of an attempt did since the last such message.
    Progress {
        /// The attempt.
        attempt: Attempt,
        /// Records its sources ingested.
        records: u64,
        /// Bytes of keyed state its operators changed.
        dirty_bytes: u64,
        /// Whether one of its sources is behind (B7).
        is_behind: bool,
    },
    /// The subtask's state is restored and its inputs accept connections.
    Ready(AttemptId),
    /// The subtask has read all its input and emitted all it ever will; it still takes barriers.
    Ended(AttemptId),
    /// The subtask ended, a completed checkpoint holds its end, everything is committed, and it stopped
    /// (N3). Checkpoints go on without it (N1).
    Finished(AttemptId),
    /// The subtask stopped because it was told to.
    Cancelled(AttemptId),
    /// The subtask failed.
    Failed {
        /// Which execution.
        attempt: AttemptId,
        /// Why, for people.
        cause: String,
        /// Whether another attempt could succeed (O9).
        fatal: bool,
    },
    /// The subtask's snapshot is durable (F7).
    Ack {
        /// Which execution.
        attempt: AttemptId,
        /// For which checkpoint.
        checkpoint: CheckpointId,
        /// Where it is.
        snapshot: SnapshotHandle,
    },
    /// How far the subtask had come with a checkpoint that was given up, for people; nothing follows.
    Unfinished {
        /// Which execution.
        attempt: AttemptId,
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// What it was doing.
        phase: SnapshotPhase,
        /// How long each phase took so far.
        figures: SnapshotFigures,
    },
    /// The subtask cannot take part in the checkpoint.
    Decline {
        /// Which execution.
        attempt: AttemptId,
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        reason: DeclineReason,
    },
}

/// From the coordinator to a worker. Each carries the leader's token; a worker refuses any other (A5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToWorker {
    /// The leadership that speaks.
    pub token: FencingToken,
    /// What it says.
    pub order: Order,
}

/// What a leader orders a worker to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    /// The registration is accepted; the answer to `Register`.
    Registered,
    /// A sign of life (O1).
    Heartbeat,
    /// Create these subtasks, restored from the checkpoint or from the beginning.
    Deploy(Deployment),
    /// Every subtask of the attempt is ready: connect the channels and process.
    Start(Attempt),
    /// Report progress at each heartbeat, when a source falls behind or catches up, and as soon as so much
    /// was done since the last report. Sent when a trigger depends on it.
    ReportProgress {
        /// The attempt.
        attempt: Attempt,
        /// Records.
        records: u64,
        /// Bytes of keyed state.
        dirty_bytes: u64,
    },
    /// Stop every subtask of the attempt and answer `Cancelled` for each.
    Cancel(Attempt),
    /// Take a checkpoint.
    Trigger {
        /// For this attempt.
        attempt: Attempt,
        /// The checkpoint, and how it is taken.
        barrier: Barrier,
        /// Who is told: sources, and subtasks whose whole upstream has finished (B11, N1).
        subtasks: Vec<SubtaskId>,
    },
    /// The checkpoint is completed: its record is durable (H1).
    Completed {
        /// For this attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Whether every subtask had ended before it was triggered, so that none follows it (N4). Only
        /// the coordinator knows.
        is_final: bool,
    },
    /// The checkpoint was given up.
    Aborted {
        /// For this attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
}

/// What a barrier says: which checkpoint it marks, and how that one is taken.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Barrier {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// What it is taken for.
    pub kind: CheckpointKind,
    /// Whether the barrier waits behind the records before it. A barrier that overtook on one channel
    /// stays overtaking downstream (E9).
    pub alignment: Alignment,
}

impl Barrier {
    /// The barrier of an aligned checkpoint.
    pub fn aligned(checkpoint: CheckpointId) -> Self {
        Self { checkpoint, ..Self::default() }
    }

    /// Whether and when it overtakes records. That of a savepoint never does, nor that of a rescale: what
    /// it leaves is complete without in-flight data (E10, E11).
    pub fn overtakes(&self) -> Alignment {
        match self.kind {
            CheckpointKind::Checkpoint => self.alignment,
            CheckpointKind::Savepoint
            | CheckpointKind::StopWithSavepoint { .. }
            | CheckpointKind::Rescale { .. } => Alignment::Aligned,
        }
    }
}

/// What a checkpoint is taken for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum CheckpointKind {
    /// To recover from: subsumed by newer ones, deleted by the engine.
    #[default]
    Checkpoint,
    /// Asked for by a person, who owns it: never subsumed, complete in itself (H7).
    Savepoint,
    /// The job stops when it is completed (N7).
    StopWithSavepoint {
        /// Whether the input counts as ended first, so that nothing is left unfinished.
        drain: bool,
    },
    /// The job goes on from it with so many subtasks per operator (M7).
    Rescale {
        /// Subtasks of every operator.
        parallelism: u32,
    },
}

/// One worker's part of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deployment {
    /// The attempt.
    pub attempt: Attempt,
    /// Subtasks of every operator.
    pub parallelism: u32,
    /// The checkpoint to restore, the same for all subtasks (O7); `None` starts from the beginning (O10).
    pub restore: Option<CheckpointId>,
    /// The job stops with the restored checkpoint: its transactions are committed, and nothing is read (N7).
    pub is_stopping: bool,
    /// The subtasks of this worker.
    pub subtasks: Vec<SubtaskId>,
    /// Where every subtask of the job runs, in ascending order.
    pub locations: Vec<(SubtaskId, WorkerId)>,
    /// Those of the worker's subtasks that finish with the final checkpoint only, all together (N5).
    pub finish_together: Vec<SubtaskId>,
}

/// Why a subtask declined (S3; names from Flink's `CheckpointFailureReason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeclineReason {
    /// A newer barrier arrived before this one aligned (C5).
    Subsumed,
    /// The snapshot could not be written.
    AsyncException,
    /// The subtask is not running.
    NotRunning,
}
