//! One subtask attempt: which barrier cuts its input, when it acks, when its sink commits, when it ends.
//!
//! It composes [`crate::aligner`] and [`crate::committer`]. Rules C, D, F and K. A subtask has inputs
//! (channels) or is a source (none); it may have a transactional sink at its tail.
//!
//! End of input, in this engine: a subtask whose input ended stays alive and keeps taking barriers
//! until a checkpoint that was taken after all subtasks ended is completed (N3, N4). So no checkpoint
//! ever contains a finished subtask.

use alloc::collections::BTreeSet;
use alloc::string::String;

use crate::config::CheckpointMode;
use crate::event::Event;
use crate::ids::{AttemptId, ChannelId, CheckpointId};
use crate::message::DeclineReason;

/// What a subtask attempt is, fixed at its deployment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Which execution.
    pub attempt: AttemptId,
    /// Its input channels are `0..channels`; a source has none.
    pub channels: u32,
    /// Whether a transactional sink is at its tail.
    pub has_sink: bool,
    /// How barriers are handled.
    pub mode: CheckpointMode,
    /// The checkpoint it was restored from.
    pub restored: Option<CheckpointId>,
    /// Transactions in the restored snapshot that may not have been committed (K4).
    pub restored_transactions: BTreeSet<CheckpointId>,
}

/// What happened to a subtask.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The first input: state is restored. Restored transactions are committed before anything else (K4).
    Start,
    /// The coordinator asks a source for a checkpoint.
    Trigger(CheckpointId),
    /// A barrier is at the head of a channel.
    Barrier {
        /// Which channel.
        channel: ChannelId,
        /// Of which checkpoint.
        checkpoint: CheckpointId,
    },
    /// A cancel marker is at the head of a channel (C6).
    CancelMarker {
        /// Which channel.
        channel: ChannelId,
        /// Of which checkpoint.
        checkpoint: CheckpointId,
    },
    /// The upstream subtask finished and will send nothing more, not even barriers (C3).
    Closed {
        /// Which channel.
        channel: ChannelId,
    },
    /// All input is processed and everything that depends on its end was emitted.
    InputEnded,
    /// The snapshot's bytes are durable.
    SnapshotDurable(CheckpointId),
    /// The snapshot's bytes could not be written (F6).
    SnapshotFailed(CheckpointId),
    /// The checkpoint is completed (may be late, repeated or skipped, K3).
    Completed {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Whether every subtask had ended before it was triggered: the subtask finishes once its
        /// transactions are committed (N3, N4).
        is_final: bool,
    },
    /// The checkpoint was given up.
    Aborted(CheckpointId),
    /// The sink's transaction of this checkpoint is visible.
    Committed(CheckpointId),
    /// The sink could not make it visible.
    CommitFailed {
        /// Which transaction.
        checkpoint: CheckpointId,
        /// Whether trying again could help (K8).
        is_retryable: bool,
    },
}

/// What a subtask wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Read nothing more from the channel until `Unblock`.
    Block(ChannelId),
    /// Read from the channel again.
    Unblock(ChannelId),
    /// Send the barrier on every output channel, behind everything emitted so far (C8).
    ForwardBarrier(CheckpointId),
    /// Send the cancel marker on every output channel (C6, F4).
    ForwardCancelMarker(CheckpointId),
    /// Pre-commit the sink's open transaction, if any, as the transaction of this checkpoint (K1). Atomic
    /// with the snapshot that follows.
    PreCommit(CheckpointId),
    /// Take the synchronous part of the snapshot now and write it in the background. Answered by
    /// `SnapshotDurable` or `SnapshotFailed`. It holds every transaction not known to be committed.
    Snapshot(CheckpointId),
    /// Tell the coordinator yes; the snapshot is durable (F7).
    Ack(CheckpointId),
    /// Tell the coordinator no.
    Decline(CheckpointId, DeclineReason),
    /// Make the transaction visible. Answered by `Committed` or `CommitFailed`.
    Commit(CheckpointId),
    /// Remove transactions of this sink subtask that are in no restored snapshot (K5).
    AbortLingering,
    /// Read input; the first effect after the restored transactions are committed.
    Run,
    /// Tell the coordinator that the input ended.
    ReportEnded,
    /// Close the output channels, report `Finished` and stop.
    Finish,
    /// Report `Failed` and stop.
    Fail {
        /// Why.
        cause: String,
    },
    /// For the trace.
    Note(Event),
}
