//! One subtask attempt: which barrier cuts its input, when it acks, when its sink commits, when it ends.
//!
//! It composes [`crate::aligner`] and [`crate::committer`]. Rules C, D, F and K. A subtask has inputs
//! (channels) or is a source (none); it may have a transactional sink at its tail.
//!
//! End of input, in this engine: a subtask whose input ended stays alive and keeps taking barriers
//! until a checkpoint that was taken after all subtasks ended is completed (N3, N4). So no checkpoint
//! ever contains a finished subtask.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::aligner::{self, Aligner};
use crate::committer::{self, Committer};
use crate::config::CheckpointMode;
use crate::event::Event;
use crate::ids::{AttemptId, ChannelId, CheckpointId};
use crate::limits::SNAPSHOTS_WRITING_MAX;
use crate::message::{Barrier, DeclineReason};

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
    Trigger(Barrier),
    /// A barrier is at the head of a channel.
    Barrier {
        /// Which channel.
        channel: ChannelId,
        /// Of which checkpoint.
        barrier: Barrier,
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

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Trigger(barrier) => write!(f, "trigger of {}", barrier.checkpoint),
            Self::Barrier { channel, barrier } => {
                write!(f, "barrier {} on {channel}", barrier.checkpoint)
            }
            Self::CancelMarker { channel, checkpoint } => {
                write!(f, "cancel marker {checkpoint} on {channel}")
            }
            Self::Closed { channel } => write!(f, "close of {channel}"),
            Self::InputEnded => f.write_str("end of input"),
            Self::SnapshotDurable(checkpoint) => write!(f, "durable snapshot {checkpoint}"),
            Self::SnapshotFailed(checkpoint) => write!(f, "failed snapshot {checkpoint}"),
            Self::Completed { checkpoint, is_final: false } => {
                write!(f, "completion of {checkpoint}")
            }
            Self::Completed { checkpoint, is_final: true } => {
                write!(f, "completion of final {checkpoint}")
            }
            Self::Aborted(checkpoint) => write!(f, "abort of {checkpoint}"),
            Self::Committed(checkpoint) => write!(f, "commit of {checkpoint}"),
            Self::CommitFailed { checkpoint, .. } => write!(f, "failed commit of {checkpoint}"),
        }
    }
}

/// What a subtask wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Read nothing more from the channel until `Unblock`.
    Block(ChannelId),
    /// Read from the channel again.
    Unblock(ChannelId),
    /// Send the barrier on every output channel, behind everything emitted so far (C8).
    ForwardBarrier(Barrier),
    /// Send the cancel marker on every output channel (C6, F4).
    ForwardCancelMarker(CheckpointId),
    /// Pre-commit the sink's open transaction, if any, as the transaction of this checkpoint (K1). Atomic
    /// with the snapshot that follows.
    PreCommit(CheckpointId),
    /// Take the synchronous part of the snapshot now and write it in the background. Answered by
    /// `SnapshotDurable` or `SnapshotFailed`. It holds every transaction not known to be committed.
    Snapshot(Barrier),
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

/// The state of one subtask attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subtask {
    plan: Plan,
    phase: Phase,
    aligner: Aligner,
    committer: Committer,
    /// Snapshots being written in the background, and whether their checkpoint is still wanted.
    writing: BTreeMap<CheckpointId, bool>,
    /// The newest snapshot taken here, or the restored one.
    newest_snapshot: CheckpointId,
    /// Set when the input ended: the newest snapshot of that moment. Only a later one holds the end.
    ended_after: Option<CheckpointId>,
}

/// Where a subtask attempt is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    /// Not started.
    Created,
    /// Restored transactions are being committed; nothing is read (K4). A trigger that comes now waits.
    Restoring { postponed: Option<Barrier> },
    /// Input is read.
    Running,
    /// The final checkpoint is completed; its transactions are being committed.
    Finishing,
    /// Finished or failed; nothing follows.
    Stopped,
}

impl Subtask {
    /// A subtask attempt that has not started.
    pub fn new(plan: Plan) -> Self {
        let newest_snapshot = plan.restored.unwrap_or_default();
        assert!(
            plan.has_sink || plan.restored_transactions.is_empty(),
            "{} has transactions to commit and no sink",
            plan.attempt
        );
        assert!(
            plan.restored_transactions.last().is_none_or(|newest| *newest <= newest_snapshot),
            "{} restores {newest_snapshot} with newer transactions",
            plan.attempt
        );
        Self {
            phase: Phase::Created,
            aligner: Aligner::new(plan.mode, plan.channels, plan.restored),
            committer: Committer::new(plan.restored_transactions.clone()),
            writing: BTreeMap::new(),
            newest_snapshot,
            ended_after: None,
            plan,
        }
    }

    /// What it is.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it finished or failed, so that every further input is stale.
    pub fn has_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    /// The channels that must not be read now.
    pub fn blocked(&self) -> BTreeSet<ChannelId> {
        self.aligner.blocked().collect()
    }

    /// Decides the answer to what happened. Total.
    #[expect(clippy::needless_pass_by_value, reason = "every core takes its input whole")]
    pub fn handle(&mut self, input: Input, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Created if input == Input::Start => self.on_start(effects),
            Phase::Created => stale(format!("{input} before the start"), effects),
            Phase::Stopped => stale(format!("{input} after the stop"), effects),
            Phase::Restoring { .. } | Phase::Running | Phase::Finishing => {
                self.on_live(&input, effects);
            }
        }
    }

    fn on_start(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Restoring { postponed: None };
        self.commit(effects, Committer::on_start);
    }

    fn on_live(&mut self, input: &Input, effects: &mut Vec<Effect>) {
        match *input {
            Input::Start => stale("a second start", effects),
            Input::Trigger(barrier) => self.on_trigger(barrier, effects),
            Input::Barrier { channel, barrier } => {
                self.on_barrier(channel, barrier, effects);
            }
            Input::CancelMarker { channel, checkpoint } => {
                self.align(Some(channel), effects, |aligner, out| {
                    aligner.on_cancel_marker(checkpoint, out);
                });
            }
            Input::Closed { channel } => {
                self.align(Some(channel), effects, |aligner, out| aligner.on_closed(channel, out));
            }
            Input::InputEnded => self.on_input_ended(effects),
            Input::SnapshotDurable(checkpoint) => match self.writing.remove(&checkpoint) {
                Some(true) => effects.push(Effect::Ack(checkpoint)),
                Some(false) => stale(format!("snapshot of aborted {checkpoint}"), effects),
                None => stale(format!("snapshot of unknown {checkpoint}"), effects),
            },
            Input::SnapshotFailed(checkpoint) => match self.writing.remove(&checkpoint) {
                Some(true) => self.decline(checkpoint, DeclineReason::AsyncException, effects),
                Some(false) => stale(format!("failed snapshot of aborted {checkpoint}"), effects),
                None => stale(format!("failed snapshot of unknown {checkpoint}"), effects),
            },
            Input::Completed { checkpoint, is_final } => {
                self.on_completed(checkpoint, is_final, effects);
            }
            Input::Aborted(checkpoint) => self.on_aborted(checkpoint, effects),
            Input::Committed(checkpoint) => {
                self.commit(effects, |committer, out| committer.on_committed(checkpoint, out));
            }
            Input::CommitFailed { checkpoint, is_retryable } => {
                self.commit(effects, |committer, out| {
                    committer.on_commit_failed(checkpoint, is_retryable, out);
                });
            }
        }
    }

    fn on_barrier(&mut self, channel: ChannelId, barrier: Barrier, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Running | Phase::Finishing => {
                self.align(Some(channel), effects, |aligner, out| {
                    aligner.on_barrier(channel, barrier, out);
                });
            }
            // Nothing may be read yet: `AbortLingering` would remove a transaction pre-committed now (F8).
            Phase::Created | Phase::Restoring { .. } | Phase::Stopped => {
                let checkpoint = barrier.checkpoint;
                self.align(Some(channel), effects, |aligner, out| {
                    aligner.on_cancel_marker(checkpoint, out);
                });
                self.decline(checkpoint, DeclineReason::NotRunning, effects);
            }
        }
    }

    /// A trigger may overtake the commit of restored transactions. To decline it would count against the
    /// failure budget, so it waits for `Run`; of several the newest does.
    fn on_trigger(&mut self, barrier: Barrier, effects: &mut Vec<Effect>) {
        let Phase::Restoring { postponed } = &mut self.phase else {
            self.align(None, effects, |aligner, out| aligner.on_trigger(barrier, out));
            return;
        };
        let checkpoint = barrier.checkpoint;
        match postponed.map(|it| it.checkpoint) {
            Some(newer) if newer >= checkpoint => {
                stale(format!("trigger of {checkpoint} while {newer} waits"), effects);
            }
            Some(older) => {
                *postponed = Some(barrier);
                self.align(None, effects, |aligner, out| aligner.on_cancel_marker(older, out));
                self.decline(older, DeclineReason::Subsumed, effects);
            }
            None => *postponed = Some(barrier),
        }
    }

    fn on_input_ended(&mut self, effects: &mut Vec<Effect>) {
        if self.ended_after.is_some() {
            stale("a second end of input", effects);
            return;
        }
        self.ended_after = Some(self.newest_snapshot);
        effects.push(Effect::Note(Event::SubtaskEnded { attempt: self.plan.attempt }));
        effects.push(Effect::ReportEnded);
    }

    fn on_completed(
        &mut self,
        checkpoint: CheckpointId,
        is_final: bool,
        effects: &mut Vec<Effect>,
    ) {
        if checkpoint > self.newest_snapshot {
            // It cannot be completed without this subtask's ack. Nothing is committed on such a word.
            stale(format!("completion of {checkpoint}, which has no snapshot here"), effects);
            return;
        }
        if is_final {
            if self.ended_after.is_some_and(|before_end| before_end < checkpoint) {
                self.phase = Phase::Finishing;
            } else {
                // To finish now would lose the records after the snapshot.
                stale(format!("final checkpoint {checkpoint} before the end of input"), effects);
            }
        }
        self.commit(effects, |committer, out| committer.on_completed(checkpoint, out));
    }

    /// The pre-committed transaction stays: it rides with the next completed checkpoint (K7).
    fn on_aborted(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        if let Some(is_wanted) = self.writing.get_mut(&checkpoint) {
            *is_wanted = false;
        }
        self.align(None, effects, |aligner, out| aligner.on_aborted(checkpoint, out));
    }

    /// Lets the aligner decide and performs what follows for the subtask, in its order.
    fn align(
        &mut self,
        channel: Option<ChannelId>,
        effects: &mut Vec<Effect>,
        decide: impl FnOnce(&mut Aligner, &mut Vec<aligner::Effect>),
    ) {
        let attempt = self.plan.attempt;
        let mut decided = Vec::new();
        decide(&mut self.aligner, &mut decided);
        for effect in decided {
            match effect {
                aligner::Effect::Started(checkpoint) => {
                    effects.push(Effect::Note(Event::AlignmentStarted { attempt, checkpoint }));
                }
                aligner::Effect::Block { channel, checkpoint } => {
                    effects.push(Effect::Block(channel));
                    let blocked = Event::ChannelBlocked { attempt, checkpoint, channel };
                    effects.push(Effect::Note(blocked));
                }
                aligner::Effect::Cut(barrier) => self.on_cut(barrier, effects),
                aligner::Effect::Unblock(channel) => effects.push(Effect::Unblock(channel)),
                aligner::Effect::Abandon { checkpoint, is_subsumed } => {
                    effects.push(Effect::Note(Event::AlignmentAbandoned { attempt, checkpoint }));
                    if is_subsumed {
                        self.decline(checkpoint, DeclineReason::Subsumed, effects);
                    }
                }
                aligner::Effect::ForwardCancelMarker(checkpoint) => {
                    effects.push(Effect::ForwardCancelMarker(checkpoint));
                }
                aligner::Effect::Ignore(checkpoint) => match channel {
                    Some(channel) => {
                        let ignored = Event::BarrierIgnored { attempt, checkpoint, channel };
                        effects.push(Effect::Note(ignored));
                    }
                    None => stale(format!("trigger of {checkpoint}"), effects),
                },
            }
        }
    }

    /// The barrier leaves before the snapshot is taken, so that downstream aligns meanwhile (F2).
    fn on_cut(&mut self, barrier: Barrier, effects: &mut Vec<Effect>) {
        let checkpoint = barrier.checkpoint;
        assert!(
            self.newest_snapshot < checkpoint,
            "{checkpoint} cuts after {}",
            self.newest_snapshot
        );
        // Both bounds are met only when writes or commits hang. A counted decline turns that into a
        // failover, where the restored transactions are committed first.
        let has_room = self.writing.len() < SNAPSHOTS_WRITING_MAX && !self.committer.is_full();
        if !has_room {
            effects.push(Effect::ForwardCancelMarker(checkpoint));
            self.decline(checkpoint, DeclineReason::AsyncException, effects);
            return;
        }

        let attempt = self.plan.attempt;
        self.newest_snapshot = checkpoint;
        self.writing.insert(checkpoint, true);
        effects.push(Effect::ForwardBarrier(barrier));
        effects.push(Effect::Note(Event::BarrierForwarded { attempt, checkpoint }));
        if self.plan.has_sink {
            self.committer.on_pre_commit(checkpoint);
            effects.push(Effect::PreCommit(checkpoint));
        }
        effects.push(Effect::Snapshot(barrier));
        effects.push(Effect::Note(Event::SnapshotTaken { attempt, checkpoint }));
    }

    /// Lets the committer decide and performs what follows when nothing is left to commit.
    fn commit(
        &mut self,
        effects: &mut Vec<Effect>,
        decide: impl FnOnce(&mut Committer, &mut Vec<committer::Effect>),
    ) {
        let mut decided = Vec::new();
        decide(&mut self.committer, &mut decided);
        for effect in decided {
            match effect {
                committer::Effect::Commit(checkpoint) => effects.push(Effect::Commit(checkpoint)),
                committer::Effect::GiveUp { checkpoint, tries } => {
                    self.phase = Phase::Stopped;
                    let cause = format!(
                        "transaction {checkpoint} of {} was not committed in {tries} tries",
                        self.plan.attempt
                    );
                    effects.push(Effect::Fail { cause });
                }
                committer::Effect::Ignore(checkpoint) => {
                    stale(format!("answer to a commit of {checkpoint}"), effects);
                }
            }
        }
        if self.committer.is_settled() {
            self.on_settled(effects);
        }
    }

    fn on_settled(&mut self, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Restoring { postponed } => {
                // Only now is every transaction that this sink may commit visible, and what is left
                // belongs to no checkpoint that will ever be restored (K5).
                if self.plan.has_sink {
                    effects.push(Effect::AbortLingering);
                }
                effects.push(Effect::Run);
                self.phase = Phase::Running;
                if let Some(barrier) = postponed {
                    self.align(None, effects, |aligner, out| aligner.on_trigger(barrier, out));
                }
            }
            Phase::Finishing => {
                self.phase = Phase::Stopped;
                effects.push(Effect::Finish);
            }
            Phase::Created | Phase::Running | Phase::Stopped => {}
        }
    }

    fn decline(
        &mut self,
        checkpoint: CheckpointId,
        reason: DeclineReason,
        effects: &mut Vec<Effect>,
    ) {
        let attempt = self.plan.attempt;
        effects.push(Effect::Decline(checkpoint, reason));
        effects.push(Effect::Note(Event::SnapshotDeclined { attempt, checkpoint, reason }));
    }
}

fn stale(what: impl Into<String>, effects: &mut Vec<Effect>) {
    effects.push(Effect::Note(Event::StaleInput { what: what.into() }));
}
