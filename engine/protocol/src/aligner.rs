//! Barrier alignment: one barrier on each input channel becomes one cut through a subtask's input.
//!
//! In exactly-once mode a channel that has delivered its barrier is blocked until every open channel has
//! delivered the same one, so no record from behind the cut touches the snapshot (C1). In at-least-once
//! mode nothing is blocked and barriers are only counted, so such records may count twice after a
//! restore (D5). Both are one machine: exactly-once collects the barriers of one checkpoint at a time
//! (C7), at-least-once of several (D2).
//!
//! Sources: Carbone et al., "Lightweight Asynchronous Snapshots for Distributed Dataflows", 2015; rules
//! C1-C9, D1-D5, F3 and F4.
//!
//! Deliberately absent: time. An alignment that takes too long ends with its checkpoint, which the
//! coordinator expires and then announces as aborted (G9).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::config::CheckpointMode;
use crate::ids::{ChannelId, CheckpointId};
use crate::limits::{REMEMBERED_CANCELLED_MAX, TRACKED_BARRIERS_MAX};
use crate::message::Barrier;

/// What alignment wants done, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The first barrier of the checkpoint arrived.
    Started(CheckpointId),
    /// Read nothing more from the channel until `Unblock`: it delivered its barrier of the checkpoint.
    Block {
        /// Which channel.
        channel: ChannelId,
        /// Which checkpoint it waits for.
        checkpoint: CheckpointId,
    },
    /// Every record before the barriers was processed and none from behind them: forward the barrier
    /// and take the snapshot now.
    Cut(Barrier),
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
    /// Channels that have not closed; each owes one barrier per checkpoint.
    open: BTreeSet<ChannelId>,
    /// Which open channels delivered the barrier, for each checkpoint that started and has no outcome.
    /// In exactly-once mode at most one, and its channels are the blocked ones.
    collecting: BTreeMap<CheckpointId, Collected>,
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
    /// The barrier as it goes on downstream.
    barrier: Barrier,
    delivered: BTreeSet<ChannelId>,
}

impl Aligner {
    /// Alignment over the channels `0..channels`, restored from a checkpoint or from the beginning.
    pub fn new(mode: CheckpointMode, channels: u32, restored: Option<CheckpointId>) -> Self {
        Self {
            mode,
            open: (0..channels).map(ChannelId).collect(),
            collecting: BTreeMap::new(),
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

    /// Handles the coordinator's trigger, which is to a source what a barrier on every channel is to
    /// other subtasks.
    pub fn on_trigger(&mut self, barrier: Barrier, out: &mut Vec<Effect>) {
        let checkpoint = barrier.checkpoint;
        if self.open.is_empty() && self.admits(checkpoint, out) {
            self.start(barrier);
            self.cut(checkpoint, out);
        } else if !self.open.is_empty() {
            out.push(Effect::Ignore(checkpoint)); // Only sources are triggered (B11).
        }
    }

    /// Handles the barrier at the head of a channel.
    pub fn on_barrier(&mut self, channel: ChannelId, barrier: Barrier, out: &mut Vec<Effect>) {
        let checkpoint = barrier.checkpoint;
        if !self.open.contains(&channel) {
            out.push(Effect::Ignore(checkpoint));
            return;
        }
        if self.mode == CheckpointMode::ExactlyOnce {
            // The channel passed over the barrier it owed, so the older alignment can never end (C5).
            self.abandon_below(checkpoint, out);
        }
        if !self.collecting.contains_key(&checkpoint) {
            if !self.admits(checkpoint, out) {
                return;
            }
            self.start(barrier);
            out.push(Effect::Started(checkpoint));
        }

        let collected = self.collecting.get_mut(&checkpoint).expect("it was started above");
        let delivered = &mut collected.delivered;
        if delivered.contains(&channel) {
            out.push(Effect::Ignore(checkpoint));
        } else if delivered.len() + 1 == self.open.len() {
            // The channel that completes the cut is never blocked, which is all of C9.
            self.cut(checkpoint, out);
        } else {
            delivered.insert(channel);
            if self.mode == CheckpointMode::ExactlyOnce {
                out.push(Effect::Block { channel, checkpoint });
            }
            self.drop_oldest_collected(out);
        }
    }

    /// Handles a cancel marker at the head of a channel: upstream will not send this barrier (C6). Also
    /// for a checkpoint that the subtask itself declines before it started.
    pub fn on_cancel_marker(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        if self.collecting.contains_key(&checkpoint) {
            self.abandon(checkpoint, false, out);
        } else if checkpoint <= self.newest || self.cancelled.get(&checkpoint) == Some(&true) {
            out.push(Effect::Ignore(checkpoint));
        } else {
            out.push(Effect::ForwardCancelMarker(checkpoint));
            self.remember_cancelled(checkpoint, true);
        }
    }

    /// Handles the coordinator's word that the checkpoint was given up. Outputs are told only where
    /// they would otherwise wait for a barrier: the coordinator tells every subtask itself.
    pub fn on_aborted(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        if self.collecting.contains_key(&checkpoint) {
            self.abandon(checkpoint, false, out);
        } else if checkpoint > self.newest && !self.cancelled.contains_key(&checkpoint) {
            self.remember_cancelled(checkpoint, false);
        }
    }

    /// Handles the end of a channel: from now on it owes no barrier (C3).
    pub fn on_closed(&mut self, channel: ChannelId, out: &mut Vec<Effect>) {
        if !self.open.remove(&channel) {
            return;
        }
        for collected in self.collecting.values_mut() {
            collected.delivered.remove(&channel);
        }
        let open = self.open.len();
        // Only the newest complete one is taken: it subsumes the others (D3).
        let complete = self.collecting.iter().rfind(|(_, it)| it.delivered.len() == open);
        if let Some(checkpoint) = complete.map(|(checkpoint, _)| *checkpoint) {
            self.cut(checkpoint, out);
        }
    }

    /// Whether the checkpoint may start here. One that was cancelled before it started leaves a cancel
    /// marker in the place of its barrier (F4), and older ones behind: its channel passed over them.
    fn admits(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) -> bool {
        if checkpoint <= self.newest {
            out.push(Effect::Ignore(checkpoint));
            return false;
        }
        let Some(outputs_know) = self.cancelled.get(&checkpoint).copied() else { return true };
        self.leave_behind(checkpoint);
        out.push(Effect::Ignore(checkpoint));
        if !outputs_know {
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
        while let Some((&older, _)) = self.collecting.range(..checkpoint).next() {
            self.abandon(older, true, out);
        }
    }

    fn drop_oldest_collected(&mut self, out: &mut Vec<Effect>) {
        while self.collecting.len() > TRACKED_BARRIERS_MAX {
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
            let (oldest, _) = self.cancelled.pop_first().expect("it is over its bound");
            self.leave_behind(oldest);
        }
    }
}
