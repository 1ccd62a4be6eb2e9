//! What a trace shows: one value for each thing that happened, under a stable name.
//!
//! Scenarios pin faults to these names, recovery traces print them, and `seawall-spec` judges their
//! history. A name is a contract: renaming one breaks scenario files.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, AttemptId, ChannelId, CheckpointId, FencingToken, SessionId, WorkerId};
use crate::message::DeclineReason;
use crate::watermark::EventTime;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident $({ $($field:ident: $type:ty),* $(,)? })? = $name:literal,)*) => {
        /// One thing that happened in the engine.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Event {
            $($(#[$doc])* $variant $({ $(#[doc = "See the variant."] $field: $type),* })?,)*
        }

        impl Event {
            /// Every name, in the order of declaration; the legal values of `on.event` in scenarios.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The stable name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant $({ $($field: _),* })? => $name,)* }
            }
        }
    };
}

events! {
    // The coordinator.
    /// A leader starts: the store record was read and the new token is durable.
    CoordinatorStarted { token: FencingToken, restored: Option<CheckpointId> } = "coordinator-started",
    /// A worker's registration was accepted.
    WorkerRegistered { worker: WorkerId, session: SessionId, slots: u32 } = "worker-registered",
    /// A worker is taken for dead: silence, a broken connection, or a new session of the same worker.
    WorkerLost { worker: WorkerId, session: SessionId, cause: String } = "worker-lost",
    /// The job waits for slots.
    WaitingForSlots { have: u32, need: u32 } = "waiting-for-slots",
    /// An attempt is sent to the workers.
    AttemptDeployed { attempt: Attempt, restore: Option<CheckpointId> } = "attempt-deployed",
    /// Every subtask of the attempt is ready and told to start.
    AttemptStarted { attempt: Attempt } = "attempt-started",
    /// The attempt failed and is being cancelled.
    AttemptFailed { attempt: Attempt, cause: String } = "attempt-failed",
    /// The next attempt will start after a delay.
    RestartScheduled { attempt: Attempt } = "restart-scheduled",
    /// The restart strategy gave up, or the failure cannot be retried.
    JobFailed { cause: String } = "job-failed",
    /// The job reached its end and its result is durable.
    JobFinished = "job-finished",
    /// A checkpoint was started: its id is durably reserved and the sources were told.
    CheckpointTriggered { checkpoint: CheckpointId, is_final: bool } = "checkpoint-triggered",
    /// A trigger was put off or dropped.
    TriggerSkipped { reason: SkipReason } = "trigger-skipped",
    /// A subtask that is no source was told to take its snapshot, because its whole upstream has finished (N1).
    TriggeredDirectly { attempt: AttemptId, checkpoint: CheckpointId } = "triggered-directly",
    /// A subtask finished before it acked: the checkpoint goes on without it (N1).
    FinishCounted { attempt: AttemptId, checkpoint: CheckpointId } = "finish-counted",
    /// An ack was counted.
    SnapshotAcked { attempt: AttemptId, checkpoint: CheckpointId } = "snapshot-acked",
    /// An ack had no effect: late, duplicate, or of an unknown attempt (G1).
    AckIgnored { attempt: AttemptId, checkpoint: CheckpointId, reason: AckAnswer } = "ack-ignored",
    /// Every subtask acked; the manifest is being written.
    CheckpointAcknowledged { checkpoint: CheckpointId } = "checkpoint-acknowledged",
    /// The manifest is durable; the store record is being replaced.
    ManifestWritten { checkpoint: CheckpointId } = "manifest-written",
    /// The record is durable: the checkpoint is completed (H1).
    CheckpointCompleted { checkpoint: CheckpointId } = "checkpoint-completed",
    /// The record says that the job stops with this checkpoint (N7).
    JobStopping { checkpoint: CheckpointId } = "job-stopping",
    /// The record says that the job goes on from this checkpoint with so many subtasks per operator (M7).
    JobRescaled { checkpoint: CheckpointId, parallelism: u32 } = "job-rescaled",
    /// A savepoint is where it belongs, whole, and its job will never fall back behind it (H7).
    SavepointCompleted { checkpoint: CheckpointId } = "savepoint-completed",
    /// The checkpoint was given up.
    CheckpointAborted { checkpoint: CheckpointId, reason: AbortReason } = "checkpoint-aborted",
    /// The record could not be written; it is written again before anything is restored (H3).
    RecordUncertain = "record-uncertain",
    /// A newer checkpoint took the place of this one in the record; its files are being deleted (H6).
    CheckpointSubsumed { checkpoint: CheckpointId } = "checkpoint-subsumed",
    /// A checkpoint left the record because it was too old, or because its job was cancelled; its files are
    /// being deleted (H6, H9).
    CheckpointDiscarded { checkpoint: CheckpointId } = "checkpoint-discarded",
    /// Somebody asked for the end of the job; everything is being stopped.
    CancelRequested = "cancel-requested",
    /// That the job was cancelled is durable (H9).
    JobCancelled = "job-cancelled",
    /// A source reports a backlog, or no source does any more (B7).
    BacklogReported { is_behind: bool } = "backlog-reported",
    /// A message or timer that no longer means anything.
    StaleInput { what: String } = "stale-input",

    // A worker.
    /// The worker process starts and looks for the coordinator.
    WorkerStarted { worker: WorkerId, session: SessionId } = "worker-started",
    /// The worker lost its coordinator and stops every subtask (P8).
    CoordinatorLost { worker: WorkerId, cause: String } = "coordinator-lost",
    /// An order with a foreign token was refused (A5).
    OrderRefused { worker: WorkerId, token: FencingToken } = "order-refused",

    // A subtask.
    /// The subtask is restored and accepts connections.
    SubtaskReady { attempt: AttemptId, restored: Option<CheckpointId> } = "subtask-ready",
    /// The subtask processes records.
    SubtaskStarted { attempt: AttemptId } = "subtask-started",
    /// The subtask has read all input and emitted all it ever will.
    SubtaskEnded { attempt: AttemptId } = "subtask-ended",
    /// The restored checkpoint holds the subtask's end: it commits what is left and finishes.
    SubtaskRestoredAtEnd { attempt: AttemptId } = "subtask-restored-at-end",
    /// A completed checkpoint holds the subtask's end, everything is committed, and it stopped (N3).
    SubtaskFinished { attempt: AttemptId } = "subtask-finished",
    /// The subtask stopped because it was told to.
    SubtaskCancelled { attempt: AttemptId } = "subtask-cancelled",
    /// The subtask failed.
    SubtaskFailed { attempt: AttemptId, cause: String } = "subtask-failed",
    /// The first barrier of a checkpoint arrived.
    AlignmentStarted { attempt: AttemptId, checkpoint: CheckpointId } = "alignment-started",
    /// A channel delivered its barrier and waits.
    ChannelBlocked { attempt: AttemptId, checkpoint: CheckpointId, channel: ChannelId } = "channel-blocked",
    /// A barrier that no longer means anything was passed over (C4).
    BarrierIgnored { attempt: AttemptId, checkpoint: CheckpointId, channel: ChannelId } = "barrier-ignored",
    /// The time to align is over: the barrier overtakes from now on (E9).
    AlignmentTimedOut { attempt: AttemptId, checkpoint: CheckpointId } = "alignment-timed-out",
    /// Alignment or capture was given up (C5, C6).
    AlignmentAbandoned { attempt: AttemptId, checkpoint: CheckpointId } = "alignment-abandoned",
    /// The barrier left on every output channel.
    BarrierForwarded { attempt: AttemptId, checkpoint: CheckpointId } = "barrier-forwarded",
    /// The synchronous part of the snapshot is done; the bytes are being written.
    SnapshotTaken { attempt: AttemptId, checkpoint: CheckpointId } = "snapshot-taken",
    /// The in-flight data of an unaligned or timed checkpoint is complete (E4): batches and their bytes.
    ChannelStateCaptured { attempt: AttemptId, checkpoint: CheckpointId, batches: u32, bytes: u64 } = "channel-state-captured",
    /// The restored in-flight data was processed and sent; new data follows (E6).
    ChannelStateReplayed { attempt: AttemptId, checkpoint: CheckpointId, batches: u32 } = "channel-state-replayed",
    /// The in-flight data of the restored checkpoint was left out, as the user asked (E12).
    ChannelStateLeftOut { attempt: AttemptId, checkpoint: CheckpointId, batches: u32 } = "channel-state-left-out",
    /// The snapshot is durable.
    SnapshotWritten { attempt: AttemptId, checkpoint: CheckpointId, bytes: u64 } = "snapshot-written",
    /// The snapshot could not be written.
    SnapshotFailed { attempt: AttemptId, checkpoint: CheckpointId, cause: String } = "snapshot-failed",
    /// The subtask said no.
    SnapshotDeclined { attempt: AttemptId, checkpoint: CheckpointId, reason: DeclineReason } = "snapshot-declined",
    /// The sink made a transaction durable (K1).
    TransactionPrecommitted { attempt: AttemptId, checkpoint: CheckpointId } = "transaction-precommitted",
    /// The sink made a transaction visible (K2). `restored` when it was found in a restored snapshot (K4).
    TransactionCommitted { attempt: AttemptId, checkpoint: CheckpointId, restored: bool } = "transaction-committed",
    /// A commit failed and is tried again (K8).
    CommitFailed { attempt: AttemptId, checkpoint: CheckpointId, cause: String } = "commit-failed",
    /// The sink removed transactions that belong to no restored snapshot (K5).
    LingeringAborted { attempt: AttemptId, transactions: u32 } = "lingering-aborted",
    /// The operators of a chain are told that the checkpoint is completed.
    CompletionTold { attempt: AttemptId, checkpoint: CheckpointId } = "completion-told",
    /// Event time rose in a subtask, or nothing is expected of its input for now, or something is again.
    WatermarkAdvanced { attempt: AttemptId, time: EventTime, is_idle: bool } = "watermark-advanced",
}

/// The answer to an ack; total (G1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AckAnswer {
    /// Counted.
    Success,
    /// Counted before; no effect.
    Duplicate,
    /// The attempt is not in the checkpoint's plan.
    Unknown,
    /// The checkpoint is not pending: expired, aborted, completed or never triggered.
    Discarded,
}

macro_rules! reasons {
    (
        $(#[$docs:meta])* $name:ident {
            $($(#[$doc:meta])* $variant:ident = $text:literal: $words:literal,)*
        }
    ) => {
        $(#[$docs])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every reason, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The rest of a sentence about the checkpoint, for people.
            pub fn in_words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}: it {}", self.name(), self.in_words())
            }
        }
    };
}

reasons! {
    /// Why a wanted checkpoint did not begin, or not at once (S3; names from Flink's
    /// `CheckpointFailureReason`, and names of our own for what only waits).
    SkipReason {
        /// No attempt runs, or it failed before the id was reserved (B9).
        NotAllRequiredTasksRunning = "NOT_ALL_REQUIRED_TASKS_RUNNING":
            "did not begin: not every subtask runs",
        /// The queue of requests is full, and this one goes last (B4).
        TooManyRequests = "TOO_MANY_CHECKPOINT_REQUESTS":
            "did not begin: too many requests wait already",
        /// The last completion is too recent for an automatic checkpoint (B3). It waits.
        MinimumTimeBetweenCheckpoints = "MINIMUM_TIME_BETWEEN_CHECKPOINTS":
            "waits: the last completion is too recent",
        /// An automatic checkpoint comes due after the final one is wanted (B12).
        PeriodicSchedulerShutdown = "PERIODIC_SCHEDULER_SHUTDOWN":
            "did not begin: the final checkpoint is on its way",
        /// The attempt failed while the request waited.
        CoordinatorSuspend = "CHECKPOINT_COORDINATOR_SUSPEND":
            "did not begin: the attempt failed meanwhile",
        /// The job ended while the request waited.
        CoordinatorShutdown = "CHECKPOINT_COORDINATOR_SHUTDOWN":
            "did not begin: the job ended meanwhile",
        /// As many are pending as may be (B2). It waits.
        TooManyPending = "TOO_MANY_PENDING_CHECKPOINTS":
            "waits: as many checkpoints are pending as may be",
        /// More are being deleted than may be pending (B5). It waits.
        TooManyCleaning = "TOO_MANY_CHECKPOINTS_BEING_CLEANED":
            "waits: old checkpoints are still being deleted",
        /// A subtask ended, and checkpoints after that are switched off.
        InputEndOfStream = "CHECKPOINT_DECLINED_INPUT_END_OF_STREAM":
            "did not begin: a subtask has ended",
        /// Some subtasks of an operator with union state finished and others did not (N5).
        PartlyFinishedUnionState = "PARTLY_FINISHED_UNION_STATE":
            "did not begin: a part of an operator with union state has finished",
        /// A trigger is in progress (B1). It waits.
        TriggerInProgress = "TRIGGER_IN_PROGRESS":
            "waits: another checkpoint is about to begin",
    }
}

reasons! {
    /// Why a checkpoint was given up (S3; names from Flink's `CheckpointFailureReason`).
    AbortReason {
        /// Not all acks came within the timeout. Counted (G6).
        Expired = "CHECKPOINT_EXPIRED": "expired: not every subtask acked in time",
        /// A subtask declined for a reason of its own. Counted.
        Declined = "CHECKPOINT_DECLINED": "was declined by a subtask",
        /// A subtask could not write its snapshot. Counted.
        AsyncException = "CHECKPOINT_ASYNC_EXCEPTION":
            "failed: a snapshot could not be written",
        /// The manifest or the record could not be written. Counted.
        FinalizeFailure = "FINALIZE_CHECKPOINT_FAILURE":
            "failed: its manifest or record could not be written",
        /// A newer one completed. Not counted.
        Subsumed = "CHECKPOINT_SUBSUMED": "was subsumed by a newer one",
        /// A newer barrier reached a subtask before this one had aligned (C5). Not counted.
        DeclinedSubsumed = "CHECKPOINT_DECLINED_SUBSUMED":
            "was declined: a newer barrier overtook it at a subtask",
        /// A barrier reached a subtask that was not running yet (F8). Not counted.
        DeclinedTaskNotReady = "CHECKPOINT_DECLINED_TASK_NOT_READY":
            "was declined: a subtask does not run yet",
        /// A subtask that takes part does not run any more: its attempt failed. Not counted.
        TaskFailure = "TASK_FAILURE": "ended: a subtask that had not acked failed",
        /// The attempt failed and another one follows. Not counted.
        JobFailover = "JOB_FAILOVER_REGION": "ended with its attempt",
        /// The attempt failed in a way that no other attempt can mend. Not counted.
        JobFailure = "JOB_FAILURE": "ended with its job, which failed",
        /// A subtask ended, and checkpoints after that are switched off (C3). Not counted.
        InputEndOfStream = "CHECKPOINT_DECLINED_INPUT_END_OF_STREAM":
            "was given up: a subtask has ended",
        /// The job was cancelled or finished. Not counted.
        CoordinatorShutdown = "CHECKPOINT_COORDINATOR_SHUTDOWN": "ended with its job",
    }
}

impl AbortReason {
    /// Whether it counts against the failure budget (G6).
    pub fn is_counted(self) -> bool {
        match self {
            Self::Expired | Self::Declined | Self::AsyncException | Self::FinalizeFailure => true,
            Self::Subsumed
            | Self::DeclinedSubsumed
            | Self::DeclinedTaskNotReady
            | Self::TaskFailure
            | Self::JobFailover
            | Self::JobFailure
            | Self::InputEndOfStream
            | Self::CoordinatorShutdown => false,
        }
    }
}
