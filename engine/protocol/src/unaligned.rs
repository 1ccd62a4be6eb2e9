//! The in-flight data of one unaligned checkpoint: which channels may still add to it.
//!
//! ```text
//! channel 0   ... processed | captured ........ barrier | of the next checkpoint
//! channel 1   ... processed | captured ... barrier | of the next checkpoint
//!                           cut: the snapshot is taken here
//! ```
//!
//! The cut through a channel is its barrier, wherever that is. What the channel holds before it, and was
//! not processed when the snapshot was taken, is part of the snapshot (E2). A channel ends its part by
//! delivering exactly this barrier (E3): a late one of an older checkpoint means nothing, which took three
//! fixes in Flink (FLINK-20097, FLINK-20645, FLINK-21104). The snapshot is acked only after every channel
//! did (E4), which [`crate::subtask`] sees to.
//!
//! Deliberately absent: edges inside a sink (E8). Here a sink pre-commits in the same step in which its
//! subtask is snapshotted, so no barrier travels between the two.

use alloc::collections::BTreeSet;

use crate::ids::{ChannelId, CheckpointId};

/// What is captured and not complete.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Capture {
    checkpoint: CheckpointId,
    /// Channels that owe their barrier; never empty.
    owing: BTreeSet<ChannelId>,
}

impl Capture {
    /// A capture on the channels that owe their barrier; `None` when none does.
    pub fn new(checkpoint: CheckpointId, owing: BTreeSet<ChannelId>) -> Option<Self> {
        (!owing.is_empty()).then_some(Self { checkpoint, owing })
    }

    /// Of which checkpoint.
    pub fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }

    /// Whether every channel delivered its barrier.
    pub fn is_complete(&self) -> bool {
        self.owing.is_empty()
    }

    /// The channel's part is whole. Whether it was not before.
    pub fn on_delivered(&mut self, channel: ChannelId) -> bool {
        self.owing.remove(&channel)
    }
}
