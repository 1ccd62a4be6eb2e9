//! Barrier alignment: one barrier on each input channel becomes one cut through a subtask's input.
//!
//! ```text
//! aligned    first barrier ── block ──────────── last barrier: cut, unblock
//! unaligned  first barrier: cut ── capture ───── last barrier: captured
//! timed      first barrier ── block ── timeout: cut, unblock ── capture ── last barrier: captured
//! ```
//!
//! In exactly-once mode a channel that has delivered its barrier is blocked until every open channel has
//! delivered the same one, so no record from behind the cut touches the snapshot (C1). In at-least-once
//! mode nothing is blocked and barriers are only counted, so such records may count twice after a
//! restore (D5). Both are one machine: exactly-once collects the barriers of one checkpoint at a time
//! (C7), at-least-once of several (D2).
//!
//! An unaligned checkpoint cuts at the first barrier, or at the first word of one ([`Aligner::on_announced`]).
//! What a channel still holds before its barrier is captured into the snapshot ([`crate::unaligned`]).
//!
//! Sources: Carbone et al., "Lightweight Asynchronous Snapshots for Distributed Dataflows", 2015; rules
//! C1-C9, D1-D5, E1-E10, F3 and F4.
//!
//! Deliberately absent: time. [`crate::subtask`] arms the timer after which a timed alignment overtakes
//! (E9). An alignment that takes too long ends with its checkpoint, which the coordinator expires and
//! then announces as aborted (G9).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use seawall_probe::sometimes;

use crate::config::{Alignment, CheckpointMode};
use crate::ids::{ChannelId, CheckpointId};
use crate::limits::{REMEMBERED_CANCELLED_MAX, TRACKED_BARRIERS_MAX};
use crate::message::Barrier;
use crate::unaligned::Capture;

/// What alignment wants done, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The first barrier of the checkpoint arrived, or was announced.
    Started(Barrier),
    /// Read nothing more from the channel until `Unblock`: it delivered its barrier of the checkpoint.
    Block {
        /// Which channel.
        channel: ChannelId,
        /// Which checkpoint it waits for.
        checkpoint: CheckpointId,
    },
    /// Every record before the barriers was processed or is captured, and none from behind them was
    /// processed: forward the barrier and take the snapshot now. It overtakes what it says it overtakes.
    Cut(Barrier),
    /// What the channel holds before its barrier belongs to the snapshot that was just taken (E2): add it
    /// until `EndCapture`.
    Capture {
        /// Which channel.
        channel: ChannelId,
        /// Which checkpoint.
        checkpoint: CheckpointId,
    },
    /// The channel delivered its barrier: what follows belongs to the next checkpoint (E3).
    EndCapture {
        /// Which channel.
        channel: ChannelId,
        /// Which checkpoint.
        checkpoint: CheckpointId,
    },
    /// The capture is given up; what it added is of no use (E3).
    AbandonCapture {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Whether a newer barrier was the reason, which the coordinator does not know yet (C5).
        is_subsumed: bool,
    },
    /// Read from the channel again.
    Unblock(ChannelId),
    /// The barriers collected so far are forgotten; this subtask will never take this snapshot.
    Abandon {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Whether a newer barrier was the reason, which the coordinator does not know yet (C5).
        is_subsumed: bool,
    },
    /// Tell every output channel that this barrier will not come (C6, F4).
    ForwardCancelMarker(CheckpointId),
    /// The barrier or marker no longer means anything; its channel flows on (C4).
    Ignore(CheckpointId),
}

/// The alignment state of one subtask attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aligner {
    mode: CheckpointMode,
    /// Channels of pointwise edges, on which no barrier overtakes (E7).
    pointwise: BTreeSet<ChannelId>,
    /// Channels that have not closed; each owes one barrier per checkpoint.
    open: BTreeSet<ChannelId>,
    /// Which open channels delivered the barrier, for each checkpoint that started and has no outcome.
    /// In exactly-once mode at most one, and its channels are the blocked ones.
    collecting: BTreeMap<CheckpointId, Collected>,
    /// The unaligned checkpoint that was cut and whose barriers are not all here.
    capture: Option<Capture>,
    /// The newest checkpoint that started here, or whose barrier was passed over as cancelled; only
    /// newer ones start (C4, D4, F3).
    newest: CheckpointId,
    /// Checkpoints given up before they started here, and whether the outputs were told. All above
    /// `newest`, which keeps the others out.
    cancelled: BTreeMap<CheckpointId, bool>,
}

/// One checkpoint between its first and its last barrier.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Collected {
    /// The barrier as it goes on downstream. One that overtakes waits only for pointwise channels.
    barrier: Barrier,
    delivered: BTreeSet<ChannelId>,
}

impl Aligner {
    /// Alignment over the channels `0..channels`, some of them pointwise, restored from a checkpoint or
    /// from the beginning.
    pub fn new(
        mode: CheckpointMode,
        channels: u32,
        pointwise: BTreeSet<ChannelId>,
        restored: Option<CheckpointId>,
    ) -> Self {
        Self {
            mode,
            pointwise,
            open: (0..channels).map(ChannelId).collect(),
            collecting: BTreeMap::new(),
            capture: None,
            newest: restored.unwrap_or_default(),
            cancelled: BTreeMap::new(),
        }
    }

    /// The channels that wait for others; none in at-least-once mode.
    pub fn blocked(&self) -> impl Iterator<Item = ChannelId> + '_ {
        let is_blocking = self.mode == CheckpointMode::ExactlyOnce;
        self.collecting
            .values()
            .filter(move |_| is_blocking)
            .flat_map(|it| it.delivered.iter().copied())
    }

    /// Whether barriers of the checkpoint are being collected and nothing was cut.
    pub fn is_aligning(&self, checkpoint: CheckpointId) -> bool {
        self.collecting.contains_key(&checkpoint)
    }

    /// The checkpoint that was cut and whose in-flight data is not complete.
    pub fn capturing(&self) -> Option<CheckpointId> {
        self.capture.as_ref().map(Capture::checkpoint)
    }

    /// Handles the coordinator's trigger, which is to a source what a barrier on every channel is to
    /// other subtasks. Others are triggered when their whole upstream has finished (N1): channels that
    /// are open still hold what it sent last, and their ends count as their barriers (C3), unless the
    /// barrier overtakes.
    pub fn on_trigger(&mut self, barrier: Barrier, out: &mut Vec<Effect>) {
        let checkpoint = barrier.checkpoint;
        if self.is_aligning(checkpoint) {
            sometimes!(TriggerAfterItsBarrier);
            out.push(Effect::Ignore(checkpoint)); // A barrier came first.
        } else if self.open.is_empty() {
            if self.admits(checkpoint, out) {
                self.start(barrier);
                self.cut(checkpoint, out);
            }
        } else if self.begin(barrier, out) {
            sometimes!(TriggerWithOpenChannels);
            self.overtake(checkpoint, None, out);
        }
    }

    /// Handles the barrier at the head of a channel.
    pub fn on_barrier(&mut self, channel: ChannelId, barrier: Barrier, out: &mut Vec<Effect>) {
        let checkpoint = barrier.checkpoint;
        if !self.open.contains(&channel) {
            out.push(Effect::Ignore(checkpoint));
            return;
        }
        if self.capturing() == Some(checkpoint) {
            if !self.end_capture(channel, out) {
                sometimes!(BarrierBehindItsCapture);
                out.push(Effect::Ignore(checkpoint));
            }
            return;
        }
        if !self.begin(barrier, out) {
            return;
        }

        let delivered = &self.collecting[&checkpoint].delivered;
        if delivered.contains(&channel) {
            sometimes!(BarrierTwiceOnOneChannel);
            out.push(Effect::Ignore(checkpoint));
        } else if delivered.len() + 1 == self.open.len() {
            // The channel that completes the cut is never blocked, which is all of C9.
            self.cut(checkpoint, out);
        } else if !self.overtake(checkpoint, Some(channel), out) {
            let collected = self.collecting.get_mut(&checkpoint).expect("it was started above");
            collected.delivered.insert(channel);
            if self.mode == CheckpointMode::ExactlyOnce {
                out.push(Effect::Block { channel, checkpoint });
            }
            sometimes!(self.collecting.len() > 1, SeveralCheckpointsCounted);
            self.drop_oldest_collected(out);
        }
    }

    /// Handles the word that a barrier is in the channel, behind records that were not read yet. Of a
    /// barrier that overtakes it is as good as the barrier (E1); it starts a timed alignment (E9). Any
    /// other barrier is awaited in its place.
    pub fn on_announced(&mut self, channel: ChannelId, barrier: Barrier, out: &mut Vec<Effect>) {
        let checkpoint = barrier.checkpoint;
        let is_known = checkpoint <= self.newest && !self.is_aligning(checkpoint);
        let is_heeded = self.mode == CheckpointMode::ExactlyOnce
            && self.open.contains(&channel)
            && !self.pointwise.contains(&channel)
            && barrier.overtakes() != Alignment::Aligned;
        sometimes!(self.pointwise.contains(&channel), WordOfPointwiseBarrier);
        sometimes!(is_heeded && is_known, WordOfOldBarrier);
        if is_heeded && !is_known && self.begin(barrier, out) {
            self.overtake(checkpoint, None, out);
        }
    }

    /// Handles the end of the time that a timed alignment may take: from now on its barrier overtakes (E9).
    pub fn on_timeout(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        if let Some(collected) = self.collecting.get_mut(&checkpoint) {
            collected.barrier.alignment = Alignment::Unaligned;
            let has_cut = self.overtake(checkpoint, None, out);
            sometimes!(!has_cut, TimeoutWaitsForPointwise);
        }
    }

    /// Handles the word that a channel holds its end, behind records that were not read yet: all that
    /// it can add to a capture was added.
    pub fn on_end_announced(&mut self, channel: ChannelId, out: &mut Vec<Effect>) {
        let has_ended = self.end_capture(channel, out);
        sometimes!(has_ended, CloseEndsCapture);
    }

    /// Handles a cancel marker at the head of a channel: upstream will not send this barrier (C6). Also
    /// for a checkpoint that the subtask itself declines before it started.
    pub fn on_cancel_marker(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        if self.collecting.contains_key(&checkpoint) {
            sometimes!(CancelMarkerEndsAlignment);
            self.abandon(checkpoint, false, out);
        } else if self.capturing() == Some(checkpoint) {
            sometimes!(CancelMarkerEndsCapture);
            self.abandon_capture(false, out);
        } else if checkpoint <= self.newest || self.cancelled.get(&checkpoint) == Some(&true) {
            sometimes!(CancelMarkerRepeated);
            out.push(Effect::Ignore(checkpoint));
        } else {
            sometimes!(CancelMarkerAheadOfBarrier);
            out.push(Effect::ForwardCancelMarker(checkpoint));
            self.remember_cancelled(checkpoint, true);
        }
    }

    /// Handles the coordinator's word that the checkpoint was given up. Outputs are told only where
    /// they would otherwise wait for a barrier: the coordinator tells every subtask itself.
    pub fn on_aborted(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        if self.collecting.contains_key(&checkpoint) {
            sometimes!(AbortEndsAlignment);
            self.abandon(checkpoint, false, out);
        } else if self.capturing() == Some(checkpoint) {
            sometimes!(AbortEndsCapture);
            self.abandon_capture(false, out);
        } else if checkpoint > self.newest && !self.cancelled.contains_key(&checkpoint) {
            sometimes!(AbortAheadOfBarrier);
            self.remember_cancelled(checkpoint, false);
        }
    }

    /// Handles the end of a channel: from now on it owes no barrier (C3).
    pub fn on_closed(&mut self, channel: ChannelId, out: &mut Vec<Effect>) {
        if !self.open.remove(&channel) {
            return;
        }
        self.end_capture(channel, out);
        for collected in self.collecting.values_mut() {
            let was_blocked = collected.delivered.remove(&channel);
            sometimes!(was_blocked, BlockedChannelCloses);
        }
        let open = self.open.len();
        // Only the newest complete one is taken: it subsumes the others (D3).
        let complete = self.collecting.iter().rfind(|(_, it)| it.delivered.len() == open);
        if let Some(checkpoint) = complete.map(|(checkpoint, _)| *checkpoint) {
            sometimes!(CloseCompletesAlignment);
            self.cut(checkpoint, out);
        }
        // The pointwise channel that a barrier waited for may be the one that closed.
        if let Some(checkpoint) = self.collecting.keys().next_back().copied() {
            self.overtake(checkpoint, None, out);
        }
    }

    /// Makes room for the checkpoint and starts it, unless it has started. Whether its barriers are
    /// collected now.
    fn begin(&mut self, barrier: Barrier, out: &mut Vec<Effect>) -> bool {
        let checkpoint = barrier.checkpoint;
        if self.mode == CheckpointMode::ExactlyOnce {
            // The channel passed over the barrier it owed, so nothing older can ever end (C5).
            self.abandon_below(checkpoint, out);
        }
        if let Some(collected) = self.collecting.get_mut(&checkpoint) {
            // A barrier that overtook upstream overtakes here, whatever the first one said (E9).
            if barrier.overtakes() == Alignment::Unaligned {
                let was_timed = collected.barrier.alignment != Alignment::Unaligned;
                sometimes!(was_timed, OvertakingJoinsTimed);
                collected.barrier.alignment = Alignment::Unaligned;
            }
            return true;
        }
        if !self.admits(checkpoint, out) {
            return false;
        }
        self.start(barrier);
        out.push(Effect::Started(barrier));
        true
    }

    /// Cuts now if the barrier overtakes and no pointwise channel owes it (E1, E7). Whether it did. The
    /// channel that is just `delivering` it is not blocked.
    fn overtake(
        &mut self,
        checkpoint: CheckpointId,
        delivering: Option<ChannelId>,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(collected) = self.collecting.get(&checkpoint) else { return false };
        let owes = |it: &ChannelId| Some(*it) != delivering && !collected.delivered.contains(it);
        let owing: BTreeSet<_> = self.open.iter().copied().filter(owes).collect();
        let is_due = self.mode == CheckpointMode::ExactlyOnce
            && collected.barrier.overtakes() == Alignment::Unaligned
            && owing.is_disjoint(&self.pointwise);
        if !is_due {
            return false;
        }
        sometimes!(owing.is_empty(), OvertakesWithNothingOwed);
        let cut = self.collecting.remove(&checkpoint).expect("it was found above");
        out.push(Effect::Cut(cut.barrier));
        out.extend(owing.iter().map(|&channel| Effect::Capture { channel, checkpoint }));
        self.unblock(cut.delivered, out);
        self.capture = Capture::new(checkpoint, owing);
        true
    }

    /// The channel adds nothing more to the capture. Whether it was still adding.
    fn end_capture(&mut self, channel: ChannelId, out: &mut Vec<Effect>) -> bool {
        let Some(capture) = &mut self.capture else { return false };
        let has_ended = capture.on_delivered(channel);
        if has_ended {
            out.push(Effect::EndCapture { channel, checkpoint: capture.checkpoint() });
        }
        self.capture.take_if(|it| it.is_complete());
        has_ended
    }

    /// The cut was made and the barrier is on its way, so the outputs wait for nothing.
    fn abandon_capture(&mut self, is_subsumed: bool, out: &mut Vec<Effect>) {
        if let Some(given_up) = self.capture.take() {
            let checkpoint = given_up.checkpoint();
            out.push(Effect::AbandonCapture { checkpoint, is_subsumed });
        }
    }

    /// Whether the checkpoint may start here. One that was cancelled before it started leaves a cancel
    /// marker in the place of its barrier (F4), and older ones behind: its channel passed over them.
    fn admits(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) -> bool {
        if checkpoint <= self.newest {
            sometimes!(BarrierLeftBehind);
            out.push(Effect::Ignore(checkpoint));
            return false;
        }
        let Some(outputs_know) = self.cancelled.get(&checkpoint).copied() else { return true };
        sometimes!(BarrierOfCancelled);
        self.leave_behind(checkpoint);
        out.push(Effect::Ignore(checkpoint));
        if !outputs_know {
            sometimes!(CancelMarkerInBarriersPlace);
            out.push(Effect::ForwardCancelMarker(checkpoint));
        }
        false
    }

    fn start(&mut self, barrier: Barrier) {
        let checkpoint = barrier.checkpoint;
        assert!(self.newest < checkpoint, "{checkpoint} starts after {}", self.newest);
        self.leave_behind(checkpoint);
        self.collecting.insert(checkpoint, Collected { barrier, delivered: BTreeSet::new() });
        let is_alone = self.collecting.len() == 1;
        assert!(is_alone || self.mode == CheckpointMode::AtLeastOnce, "two alignments (C7)");
    }

    fn leave_behind(&mut self, checkpoint: CheckpointId) {
        self.newest = self.newest.max(checkpoint);
        self.cancelled.retain(|cancelled, _| *cancelled > checkpoint);
    }

    /// The channels stay blocked until the snapshot is taken and the barrier is on its way (C2).
    fn cut(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        self.abandon_below(checkpoint, out);
        let cut = self.collecting.remove(&checkpoint).expect("only what was started is cut");
        out.push(Effect::Cut(cut.barrier));
        self.unblock(cut.delivered, out);
    }

    fn abandon_below(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        if self.capturing().is_some_and(|it| it < checkpoint) {
            sometimes!(NewerBarrierEndsCapture);
            self.abandon_capture(true, out);
        }
        while let Some((&older, _)) = self.collecting.range(..checkpoint).next() {
            sometimes!(NewerBarrierEndsAlignment);
            self.abandon(older, true, out);
        }
    }

    fn drop_oldest_collected(&mut self, out: &mut Vec<Effect>) {
        while self.collecting.len() > TRACKED_BARRIERS_MAX {
            sometimes!(OldestCountedIsDropped);
            let (&oldest, _) = self.collecting.first_key_value().expect("it is over its bound");
            self.abandon(oldest, true, out);
        }
    }

    fn abandon(&mut self, checkpoint: CheckpointId, is_subsumed: bool, out: &mut Vec<Effect>) {
        if let Some(given_up) = self.collecting.remove(&checkpoint) {
            self.unblock(given_up.delivered, out);
        }
        out.push(Effect::Abandon { checkpoint, is_subsumed });
        out.push(Effect::ForwardCancelMarker(checkpoint));
    }

    fn unblock(&self, delivered: BTreeSet<ChannelId>, out: &mut Vec<Effect>) {
        if self.mode == CheckpointMode::ExactlyOnce {
            out.extend(delivered.into_iter().map(Effect::Unblock));
        }
    }

    /// A cancelled checkpoint that falls out of memory takes every older one with it: they may expire,
    /// but none of them can start again.
    fn remember_cancelled(&mut self, checkpoint: CheckpointId, outputs_know: bool) {
        self.cancelled.insert(checkpoint, outputs_know);
        if self.cancelled.len() > REMEMBERED_CANCELLED_MAX {
            sometimes!(OldestCancelledIsForgotten);
            let (oldest, _) = self.cancelled.pop_first().expect("it is over its bound");
            self.leave_behind(oldest);
        }
    }
}
