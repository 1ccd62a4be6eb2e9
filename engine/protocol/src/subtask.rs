//! One subtask attempt: which barrier cuts its input, when it acks, when its sink commits, when it ends.
//!
//! It composes [`crate::aligner`] and [`crate::committer`]. Rules C, D, F and K. A subtask has inputs
//! (channels) or is a source (none); it may have a transactional sink at its tail.
//!
//! An unaligned or timed checkpoint leaves its snapshot unsealed at the cut: in-flight data may still be added,
//! by input channels until their barriers, by output channels until the barrier left or overtook what was
//! queued before it (E2, E9). Only a sealed snapshot is written, so its ack covers all of it (E4).
//!
//! End of input: a subtask whose input ended takes barriers until a checkpoint that holds its end is
//! completed. Then it commits what that one holds, closes its outputs and finishes (N3, K13). It needs no
//! other subtask's end, and checkpoints go on without it (N1). Its last transaction is that of its first
//! checkpoint after the end: an id above every completed and restored one, like any other (K12).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use seawall_probe::sometimes;

use crate::aligner::{self, Aligner};
use crate::committer::{self, Committer};
use crate::config::{Alignment, CheckpointMode};
use crate::event::Event;
use crate::ids::{AttemptId, ChannelId, CheckpointId};
use crate::limits::SNAPSHOTS_WRITING_MAX;
use crate::message::{Barrier, CheckpointKind, DeclineReason};

/// What a subtask attempt is, fixed at its deployment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing about the subtask")]
pub struct Plan {
    /// Which execution.
    pub attempt: AttemptId,
    /// Its input channels are `0..channels`; a source has none.
    pub channels: u32,
    /// Those of pointwise edges: no barrier overtakes on them (E7).
    pub pointwise: BTreeSet<ChannelId>,
    /// Whether a transactional sink is at its tail.
    pub has_sink: bool,
    /// Whether an operator of it wants to hear of completed and aborted checkpoints.
    pub has_callbacks: bool,
    /// How barriers are handled.
    pub mode: CheckpointMode,
    /// The checkpoint it was restored from.
    pub restored: Option<CheckpointId>,
    /// Transactions in the restored snapshot that may not have been committed (K4).
    pub restored_transactions: BTreeSet<CheckpointId>,
    /// Whether the restored checkpoint holds the end of its input, or holds it as finished.
    pub is_restored_at_end: bool,
    /// Whether it finishes with the job's final checkpoint only, and not with its own (N5).
    pub finishes_together: bool,
    /// The job stops with the restored checkpoint: nothing is left but to commit its transactions (N7).
    pub is_stopping: bool,
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
    /// A barrier that may overtake is in the channel, behind records that were not read yet (E1, E9). It
    /// is told again as `Barrier`: at once on a channel that is being captured, else when it is at the head.
    Announced {
        /// Which channel.
        channel: ChannelId,
        /// Of which checkpoint.
        barrier: Barrier,
    },
    /// `Closed` is in a channel that is being captured, behind records that were not read yet.
    CloseAnnounced {
        /// Which channel.
        channel: ChannelId,
    },
    /// The forwarded barrier left on every output channel; the answer to `ForwardBarrier` of a timed one.
    BarrierSent(CheckpointId),
    /// A timer fired.
    Timer(Timer),
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
        /// Whether every subtask had ended before it was triggered, so that none follows it (N4).
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
            Self::Announced { channel, barrier } => {
                write!(f, "word of barrier {} on {channel}", barrier.checkpoint)
            }
            Self::CloseAnnounced { channel } => write!(f, "word of the close of {channel}"),
            Self::BarrierSent(checkpoint) => write!(f, "barrier {checkpoint} sent"),
            Self::Timer(Timer::AlignmentTimeout(checkpoint)) => {
                write!(f, "end of the time to align {checkpoint}")
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

/// What a subtask may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The checkpoint has been aligning, or its barrier waiting in the output, for as long as it may (E9).
    AlignmentTimeout(CheckpointId),
}

/// What a subtask wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Read nothing more from the channel until `Unblock`.
    Block(ChannelId),
    /// Read from the channel again.
    Unblock(ChannelId),
    /// Send the barrier on every output channel (C8). One that overtakes goes ahead of what is queued
    /// there, which is added to the snapshot that follows (E1, E2); any other, and every barrier on a
    /// pointwise edge (E7), behind everything emitted so far.
    ForwardBarrier(Barrier),
    /// The barrier waited in the output for as long as it may: from now on it overtakes as if it had been
    /// forwarded so, and what it overtakes is added to the snapshot (E9).
    OvertakeOutput(Barrier),
    /// Add to the snapshot what the channel holds before its barrier, until `EndCapture` (E2).
    CaptureInput {
        /// Which channel.
        channel: ChannelId,
        /// Which checkpoint.
        checkpoint: CheckpointId,
    },
    /// Add nothing more of the channel (E3).
    EndCapture {
        /// Which channel.
        channel: ChannelId,
        /// Which checkpoint.
        checkpoint: CheckpointId,
    },
    /// The snapshot's in-flight data is complete: write it (E4).
    SealSnapshot(CheckpointId),
    /// Give up a snapshot that is not sealed; it is not answered (E3).
    DiscardSnapshot(CheckpointId),
    /// Send the cancel marker on every output channel (C6, F4).
    ForwardCancelMarker(CheckpointId),
    /// Pre-commit the sink's open transaction, if any, as the transaction of this checkpoint (K1). Atomic
    /// with the snapshot that follows.
    PreCommit(CheckpointId),
    /// Take the synchronous part of the snapshot now and write it in the background: at once if the
    /// barrier waits for its turn, else when it is sealed. Answered by `SnapshotDurable` or
    /// `SnapshotFailed`. It holds every transaction not known to be committed.
    Snapshot(Barrier),
    /// Tell the coordinator yes; the snapshot is durable (F7).
    Ack(CheckpointId),
    /// Tell the coordinator no.
    Decline(CheckpointId, DeclineReason),
    /// Tell the operators that the checkpoint is completed, and with it every lower one (A3). May be
    /// repeated or left out (K3); never after the end of the input, nor behind a snapshot to stop with.
    TellCompleted(CheckpointId),
    /// Tell the operators that the checkpoint was given up. A later one may contain what it contained (K7).
    TellAborted(CheckpointId),
    /// The checkpoint is completed: a later snapshot may refer to its shared files instead of writing them
    /// again (I6). Older ones are confirmed with it.
    Confirm(CheckpointId),
    /// Make the transaction visible. Answered by `Committed` or `CommitFailed`.
    Commit(CheckpointId),
    /// Remove transactions of this sink subtask that are in no restored snapshot (K5).
    AbortLingering,
    /// Read input; the first effect after the restored transactions are committed.
    Run,
    /// A source: the input counts as ended here. Tell downstream, behind everything emitted so far (N7).
    EndInput,
    /// A source: read nothing more until `Resume` (N7).
    Pause,
    /// A source: read on.
    Resume,
    /// Tell the coordinator that the input ended.
    ReportEnded,
    /// Close the output channels, report `Finished` and stop. Nothing is left to commit (K13).
    Finish,
    /// Report `Failed` and stop.
    Fail {
        /// Why.
        cause: String,
    },
    /// Arm a timer; an armed one is replaced.
    Arm(Timer, Duration),
    /// Disarm a timer; fine when it is not armed.
    Disarm(Timer),
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
    /// The snapshot to which in-flight data may still be added. One at most (E10): a newer cut gives it up.
    unsealed: Option<Unsealed>,
    /// Whose alignment timeout is armed.
    timed: Option<CheckpointId>,
    /// The newest snapshot taken here, or the restored one.
    newest_snapshot: CheckpointId,
    end: End,
    /// The snapshot that the job is to stop with; nothing is read behind it (N7).
    stops_at: Option<CheckpointId>,
}

/// How far the end of the input has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    /// There is input.
    Ahead,
    /// It was read after this snapshot, the newest of that moment. Only a later one holds it.
    After(CheckpointId),
    /// A completed checkpoint holds it, or the job stops with that checkpoint. What is left is to commit
    /// (N3, N7).
    Completed,
}

/// A snapshot that waits for in-flight data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Unsealed {
    barrier: Barrier,
    /// Whether the barrier may still be queued in the output behind data.
    is_output_open: bool,
}

/// Where a subtask attempt is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    /// Not started.
    Created,
    /// Restored transactions are being committed; nothing is read (K4). A trigger that comes now waits.
    Restoring { postponed: Option<Barrier> },
    /// Input is read, or has ended.
    Running,
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
            aligner: Aligner::new(plan.mode, plan.channels, plan.pointwise.clone(), plan.restored),
            committer: Committer::new(plan.restored_transactions.clone()),
            writing: BTreeMap::new(),
            unsealed: None,
            timed: None,
            newest_snapshot,
            end: End::Ahead,
            stops_at: None,
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

    /// Whether a snapshot was taken that is not durable yet.
    pub fn is_writing(&self) -> bool {
        !self.writing.is_empty()
    }

    /// Whether a completed checkpoint holds its end, so that a snapshot now holds nothing but transactions
    /// that are to be committed (N2).
    pub fn is_finishing(&self) -> bool {
        self.end == End::Completed
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
            Phase::Created => {
                sometimes!(InputBeforeStart);
                stale(format!("{input} before the start"), effects);
            }
            Phase::Stopped => {
                sometimes!(InputAfterStop);
                stale(format!("{input} after the stop"), effects);
            }
            Phase::Restoring { .. } | Phase::Running => {
                self.on_live(&input, effects);
                self.finish_when_done(effects);
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
            Input::Announced { channel, barrier } => self.on_announced(channel, barrier, effects),
            Input::CloseAnnounced { channel } => {
                self.align(Some(channel), effects, |aligner, out| {
                    aligner.on_end_announced(channel, out);
                });
            }
            Input::BarrierSent(checkpoint) => self.on_barrier_sent(checkpoint, effects),
            Input::Timer(Timer::AlignmentTimeout(checkpoint)) => {
                self.on_timeout(checkpoint, effects);
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
            Input::SnapshotDurable(checkpoint) | Input::SnapshotFailed(checkpoint)
                if self.is_unsealed(checkpoint) =>
            {
                stale(format!("answer to unsealed snapshot {checkpoint}"), effects);
            }
            Input::SnapshotDurable(checkpoint) => match self.writing.remove(&checkpoint) {
                Some(true) => effects.push(Effect::Ack(checkpoint)),
                Some(false) => {
                    sometimes!(SnapshotOfAbortedIsDurable);
                    stale(format!("snapshot of aborted {checkpoint}"), effects);
                }
                None => stale(format!("snapshot of unknown {checkpoint}"), effects),
            },
            Input::SnapshotFailed(checkpoint) => match self.writing.remove(&checkpoint) {
                Some(true) => {
                    sometimes!(SnapshotCannotBeWritten);
                    self.decline(checkpoint, DeclineReason::AsyncException, effects);
                }
                Some(false) => {
                    sometimes!(SnapshotOfAbortedFails);
                    stale(format!("failed snapshot of aborted {checkpoint}"), effects);
                }
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
            Phase::Running => {
                self.align(Some(channel), effects, |aligner, out| {
                    aligner.on_barrier(channel, barrier, out);
                });
            }
            // Nothing may be read yet: `AbortLingering` would remove a transaction pre-committed now (F8).
            Phase::Created | Phase::Restoring { .. } | Phase::Stopped => {
                sometimes!(BarrierWhileCommittingRestored);
                let checkpoint = barrier.checkpoint;
                self.align(Some(channel), effects, |aligner, out| {
                    aligner.on_cancel_marker(checkpoint, out);
                });
                self.decline(checkpoint, DeclineReason::NotRunning, effects);
            }
        }
    }

    /// One that comes too early is awaited in its place, where it is declined or obeyed.
    fn on_announced(&mut self, channel: ChannelId, barrier: Barrier, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Running => {
                self.align(Some(channel), effects, |aligner, out| {
                    aligner.on_announced(channel, barrier, out);
                });
            }
            Phase::Created | Phase::Restoring { .. } | Phase::Stopped => {
                sometimes!(WordWhileCommittingRestored);
            }
        }
    }

    fn on_barrier_sent(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        match &mut self.unsealed {
            Some(unsealed) if unsealed.barrier.checkpoint == checkpoint => {
                unsealed.is_output_open = false;
                self.seal(effects);
            }
            _ => {
                sometimes!(BarrierSentForNothing);
                stale(format!("barrier {checkpoint} sent, which nothing waits for"), effects);
            }
        }
    }

    /// The time that a checkpoint may align is over, on the clock of this subtask alone (A8). It overtakes
    /// where it waits: at the input before the cut, in the output after it (E9).
    fn on_timeout(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        if self.timed != Some(checkpoint) {
            sometimes!(StaleAlignmentTimeout);
            stale(format!("alignment timeout of {checkpoint}"), effects);
            return;
        }
        self.timed = None;
        let attempt = self.plan.attempt;
        effects.push(Effect::Note(Event::AlignmentTimedOut { attempt, checkpoint }));
        if let Some(unsealed) = &mut self.unsealed
            && unsealed.barrier.checkpoint == checkpoint
        {
            sometimes!(TimeoutInTheOutput);
            unsealed.barrier.alignment = Alignment::Unaligned;
            unsealed.is_output_open = false;
            effects.push(Effect::OvertakeOutput(unsealed.barrier));
            self.seal(effects);
        } else {
            sometimes!(TimeoutAtTheInput);
            self.align(None, effects, |aligner, out| aligner.on_timeout(checkpoint, out));
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
                sometimes!(NewerTriggerTakesThePlace);
                *postponed = Some(barrier);
                self.align(None, effects, |aligner, out| aligner.on_cancel_marker(older, out));
                self.decline(older, DeclineReason::Subsumed, effects);
            }
            None => {
                sometimes!(TriggerWaitsForCommits);
                *postponed = Some(barrier);
            }
        }
    }

    fn on_input_ended(&mut self, effects: &mut Vec<Effect>) {
        if self.end != End::Ahead {
            stale("a second end of input", effects);
            return;
        }
        let attempt = self.plan.attempt;
        effects.push(Effect::Note(Event::SubtaskEnded { attempt }));
        effects.push(Effect::ReportEnded);
        self.end = End::After(self.newest_snapshot);
        sometimes!(
            self.plan.is_restored_at_end && self.plan.finishes_together,
            RestoredAtItsEndButHeld
        );
        if self.plan.is_restored_at_end && !self.plan.finishes_together {
            sometimes!(RestoredAtItsEnd);
            effects.push(Effect::Note(Event::SubtaskRestoredAtEnd { attempt }));
            self.end = End::Completed;
        }
    }

    /// Neither a commit nor a write is left behind (K13); who waits for a barrier gets the closed channel
    /// instead.
    fn finish_when_done(&mut self, effects: &mut Vec<Effect>) {
        let has_nothing_left = self.committer.is_settled() && self.writing.is_empty();
        sometimes!(
            self.end == End::Completed && self.committer.is_settled() && !has_nothing_left,
            FinishWaitsForSnapshot
        );
        if self.phase == Phase::Running && self.end == End::Completed && has_nothing_left {
            self.phase = Phase::Stopped;
            effects.push(Effect::Finish);
        }
    }

    fn on_completed(
        &mut self,
        checkpoint: CheckpointId,
        is_final: bool,
        effects: &mut Vec<Effect>,
    ) {
        if checkpoint > self.newest_snapshot {
            sometimes!(CompletionWithoutSnapshot);
            // It cannot be completed without this subtask's ack. Nothing is committed on such a word.
            stale(format!("completion of {checkpoint}, which has no snapshot here"), effects);
            return;
        }
        sometimes!(checkpoint < self.newest_snapshot, CompletionBehindNewerSnapshot);
        effects.push(Effect::Confirm(checkpoint));
        if self.tells() {
            effects.push(Effect::TellCompleted(checkpoint));
        } else {
            sometimes!(self.plan.has_callbacks, CompletionIsNotTold);
        }
        match self.end {
            End::After(newest_before) if newest_before < checkpoint => {
                if is_final || !self.plan.finishes_together {
                    self.end = End::Completed;
                } else {
                    sometimes!(EndHeldForTheFinalOne);
                }
            }
            End::Ahead | End::After(_) if is_final && self.stops_at == Some(checkpoint) => {
                sometimes!(StopCompletesBeforeTheEnd);
                self.end = End::Completed;
            }
            // To finish now would lose the records after the snapshot.
            End::Ahead | End::After(_) if is_final => {
                sometimes!(FinalBeforeTheEnd);
                stale(format!("final checkpoint {checkpoint} before the end of input"), effects);
            }
            End::Ahead => {}
            End::After(_) => sometimes!(CompletionOfCutBeforeTheEnd),
            End::Completed => sometimes!(CompletionWhileFinishing),
        }
        self.commit(effects, |committer, out| committer.on_completed(checkpoint, out));
    }

    /// Whether operators hear of checkpoints now: what they emit then must have a place in the output.
    fn tells(&self) -> bool {
        self.plan.has_callbacks
            && self.phase == Phase::Running
            && self.end == End::Ahead
            && self.stops_at.is_none()
    }

    /// The pre-committed transaction stays: it rides with the next completed checkpoint (K7).
    fn on_aborted(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        if self.tells() {
            sometimes!(AbortIsTold);
            effects.push(Effect::TellAborted(checkpoint));
        }
        self.discard_unsealed(checkpoint, effects);
        if let Some(is_wanted) = self.writing.get_mut(&checkpoint) {
            sometimes!(AbortWhileWriting);
            *is_wanted = false;
        }
        if self.stops_at == Some(checkpoint) && self.phase == Phase::Running {
            self.stops_at = None;
            if self.plan.channels == 0 {
                sometimes!(SourceReadsOnAfterStop);
                effects.push(Effect::Resume);
            }
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
                aligner::Effect::Started(barrier) => {
                    let checkpoint = barrier.checkpoint;
                    effects.push(Effect::Note(Event::AlignmentStarted { attempt, checkpoint }));
                    self.arm_timeout(barrier, effects);
                }
                aligner::Effect::Block { channel, checkpoint } => {
                    effects.push(Effect::Block(channel));
                    let blocked = Event::ChannelBlocked { attempt, checkpoint, channel };
                    effects.push(Effect::Note(blocked));
                }
                aligner::Effect::Cut(barrier) => self.on_cut(barrier, effects),
                aligner::Effect::Unblock(channel) => effects.push(Effect::Unblock(channel)),
                aligner::Effect::Capture { channel, checkpoint } => {
                    if self.is_unsealed(checkpoint) {
                        effects.push(Effect::CaptureInput { channel, checkpoint });
                    }
                }
                aligner::Effect::EndCapture { channel, checkpoint } => {
                    if self.is_unsealed(checkpoint) {
                        effects.push(Effect::EndCapture { channel, checkpoint });
                    }
                }
                aligner::Effect::AbandonCapture { checkpoint, is_subsumed } => {
                    self.discard_unsealed(checkpoint, effects);
                    effects.push(Effect::Note(Event::AlignmentAbandoned { attempt, checkpoint }));
                    if is_subsumed {
                        self.decline(checkpoint, DeclineReason::Subsumed, effects);
                    }
                }
                aligner::Effect::Abandon { checkpoint, is_subsumed } => {
                    self.disarm_timeout(checkpoint, effects);
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
        self.seal(effects);
    }

    fn is_unsealed(&self, checkpoint: CheckpointId) -> bool {
        self.unsealed.is_some_and(|it| it.barrier.checkpoint == checkpoint)
    }

    /// Seals the snapshot once nothing can be added to it (E4).
    fn seal(&mut self, effects: &mut Vec<Effect>) {
        let is_complete = |it: &Unsealed| {
            !it.is_output_open && self.aligner.capturing() != Some(it.barrier.checkpoint)
        };
        if let Some(unsealed) = self.unsealed.filter(is_complete) {
            let checkpoint = unsealed.barrier.checkpoint;
            self.unsealed = None;
            self.disarm_timeout(checkpoint, effects);
            effects.push(Effect::SealSnapshot(checkpoint));
        }
    }

    /// Gives up the checkpoint's snapshot if it is unsealed, and its timer.
    fn discard_unsealed(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        self.disarm_timeout(checkpoint, effects);
        if self.is_unsealed(checkpoint) {
            sometimes!(UnsealedSnapshotDiscarded);
            self.unsealed = None;
            self.writing.remove(&checkpoint);
            effects.push(Effect::DiscardSnapshot(checkpoint));
        }
    }

    /// The first barrier or announcement starts the time (E9); a newer one takes the timer over.
    fn arm_timeout(&mut self, barrier: Barrier, effects: &mut Vec<Effect>) {
        let checkpoint = barrier.checkpoint;
        let is_timed = self.plan.mode == CheckpointMode::ExactlyOnce;
        if let Alignment::AlignedFor(time) = barrier.overtakes()
            && is_timed
            && self.timed != Some(checkpoint)
        {
            if let Some(older) = self.timed {
                sometimes!(NewerBarrierTakesTheTimer);
                self.disarm_timeout(older, effects);
            }
            self.timed = Some(checkpoint);
            effects.push(Effect::Arm(Timer::AlignmentTimeout(checkpoint), time));
        }
    }

    fn disarm_timeout(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        if self.timed == Some(checkpoint) {
            self.timed = None;
            effects.push(Effect::Disarm(Timer::AlignmentTimeout(checkpoint)));
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
        if self.end == End::Completed && self.committer.is_settled() {
            sometimes!(BarrierBeforeTheFinish);
            // Only an older write is waited for, and there could always be another. The finish counts as
            // the ack, and the closed channels as the barrier (C3).
            self.disarm_timeout(checkpoint, effects);
            self.aligner.on_aborted(checkpoint, &mut Vec::new());
            stale(format!("barrier {checkpoint} before the finish"), effects);
            return;
        }
        // Both bounds are met only when writes or commits hang. A counted decline turns that into a
        // failover, where the restored transactions are committed first.
        let has_room = self.writing.len() < SNAPSHOTS_WRITING_MAX && !self.committer.is_full();
        if !has_room {
            sometimes!(self.writing.len() >= SNAPSHOTS_WRITING_MAX, TooManySnapshotsWriting);
            sometimes!(self.committer.is_full(), TooManyTransactions);
            self.disarm_timeout(checkpoint, effects);
            // The snapshot that would have been added to is not taken; only the capture needs to end.
            self.aligner.on_aborted(checkpoint, &mut Vec::new());
            effects.push(Effect::ForwardCancelMarker(checkpoint));
            self.decline(checkpoint, DeclineReason::AsyncException, effects);
            return;
        }

        let is_source = self.plan.channels == 0;
        if barrier.kind == (CheckpointKind::StopWithSavepoint { drain: true })
            && is_source
            && self.end == End::Ahead
        {
            // Everything that depends on the end is in front of the barrier, so the savepoint holds it.
            sometimes!(DrainEndsTheInput);
            effects.push(Effect::EndInput);
            self.on_input_ended(effects);
        }
        let attempt = self.plan.attempt;
        if let Some(older) = self.unsealed.map(|it| it.barrier.checkpoint) {
            sometimes!(CutDiscardsOlderUnsealed);
            self.discard_unsealed(older, effects);
            self.decline(older, DeclineReason::Subsumed, effects);
        }
        sometimes!(!self.writing.is_empty(), SnapshotWhileAnotherIsWritten);
        sometimes!(self.end == End::Completed, SnapshotWhileFinishing);
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
        if matches!(barrier.kind, CheckpointKind::StopWithSavepoint { .. }) {
            self.stops_at = Some(checkpoint);
            if is_source {
                sometimes!(StopPausesTheSource);
                effects.push(Effect::Pause);
            }
        }

        let overtakes = barrier.overtakes();
        let may_be_added_to =
            self.plan.mode == CheckpointMode::ExactlyOnce && overtakes != Alignment::Aligned;
        if may_be_added_to {
            let is_output_open = overtakes != Alignment::Unaligned;
            self.unsealed = Some(Unsealed { barrier, is_output_open });
            if is_output_open {
                // A source has no barrier that could have started the time.
                self.arm_timeout(barrier, effects);
            } else {
                self.disarm_timeout(checkpoint, effects);
            }
        }
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
                if self.plan.is_stopping {
                    sometimes!(RestoredOnlyToStop);
                    self.phase = Phase::Stopped;
                    return effects.push(Effect::Finish);
                }
                effects.push(Effect::Run);
                self.phase = Phase::Running;
                if let Some(barrier) = postponed {
                    sometimes!(WaitingTriggerBegins);
                    self.align(None, effects, |aligner, out| aligner.on_trigger(barrier, out));
                }
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
