//! The coordinator: one leader's decisions about a job, from reading the store record to the result.
//!
//! It composes [`crate::trigger`] (when), [`crate::pending`] (acks), [`crate::store`] (the record) and
//! [`crate::failover`] (restarts), and adds deployment. Rules A, B, G, H, O and P4.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use crate::event::Event;
use crate::ids::{Attempt, CheckpointId, SessionId, SubtaskId, WorkerId};
use crate::message::{ToCoordinator, ToWorker};
use crate::record::{JobResult, SnapshotHandle, StoreRecord};

/// What a coordinator must know of its job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobPlan {
    /// Every subtask, ascending.
    pub subtasks: Vec<SubtaskPlan>,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
}

/// One subtask in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubtaskPlan {
    /// Which.
    pub subtask: SubtaskId,
    /// Whether barriers are injected here (B11).
    pub is_source: bool,
}

/// What happened to a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The first input of a leadership: what the store held.
    Recovered(StoreRecord),
    /// A message of a worker's session. `Register` is the first of each session.
    Message {
        /// From whom.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
        /// What.
        message: ToCoordinator,
    },
    /// The session's connection ended or broke.
    Disconnected {
        /// Whose.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
    },
    /// The store record of this write is durable.
    RecordPersisted(WriteId),
    /// The write failed; whether it took effect is unknown (H3).
    RecordFailed(WriteId),
    /// The manifest is durable.
    ManifestWritten(CheckpointId),
    /// The manifest could not be written.
    ManifestFailed(CheckpointId),
    /// A timer fired.
    Timer(Timer),
}

/// Numbers the writes of the store record within one leadership.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// The coordinator's timers. Arming one that is armed replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// When to take the next periodic checkpoint.
    Trigger,
    /// When the last completion is old enough for the next checkpoint (B3).
    MinPause,
    /// When a pending checkpoint expires (G4).
    CheckpointExpires(CheckpointId),
    /// When a failed record write is tried again.
    RecordRetry,
    /// When the next attempt starts (O9).
    Restart(Attempt),
    /// When the running attempt counts as stable (O9, exponential delay).
    Stable(Attempt),
    /// When a failure leaves the failure-rate window (O9).
    FailureForgotten(u32),
    /// When an attempt that does not stop makes its workers be taken for dead (O6).
    CancelExpires(Attempt),
    /// When to send the next sign of life to every worker (O1).
    Heartbeat,
    /// When a silent worker is taken for dead (O1).
    WorkerSilent(WorkerId),
}

/// A delay: exactly `least`, or drawn by the driver in `least..=most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delay {
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
}

impl Delay {
    /// A delay without jitter.
    pub const fn exactly(duration: Duration) -> Self {
        Self { least: duration, most: duration }
    }
}

/// What a coordinator wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Replace the store record, durably and atomically. Answered by `RecordPersisted` or `RecordFailed`.
    /// At most one is outstanding.
    Persist {
        /// Names the write in the answer.
        write: WriteId,
        /// The whole record.
        record: StoreRecord,
    },
    /// Write the checkpoint's manifest durably. Answered by `ManifestWritten` or `ManifestFailed`.
    WriteManifest {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Its snapshots, ascending by subtask.
        snapshots: Vec<SnapshotHandle>,
    },
    /// Delete every file of the checkpoint; a failure is noted, never fails the job (H6).
    DeleteCheckpoint(CheckpointId),
    /// Arm the timer.
    Arm(Timer, Delay),
    /// Disarm the timer; one that still fires is answered as stale.
    Disarm(Timer),
    /// Send to the session's connection; dropped when it is gone.
    Send {
        /// To whom.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
        /// What.
        message: ToWorker,
    },
    /// Close the session's connection.
    Disconnect {
        /// Whose.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
    },
    /// The job ended; the last effect of a leadership.
    Stop(Outcome),
    /// For the trace.
    Note(Event),
}

/// How a leadership ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The job has its result.
    Result(JobResult),
    /// The job failed for good; its checkpoints are kept (H9).
    Failed(String),
}
