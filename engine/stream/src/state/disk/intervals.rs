//! Which changes a later snapshot must hold: time between two snapshots as numbered intervals.
//!
//! A snapshot closes an interval. When its checkpoint is confirmed, changes up to then need not be written
//! again (I6); until then they belong to the next snapshot, too.

use std::collections::BTreeMap;
use std::ops::Range;

use seawall_protocol::CheckpointId;

/// Intervals that are kept for want of a confirmed checkpoint; with more the next snapshot is full.
const UNCONFIRMED_MAX: u32 = 16;

/// The intervals of one attempt.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    /// The oldest whose changes are remembered.
    first: u32,
    current: u32,
    /// The interval that each snapshot closed.
    closed_by: BTreeMap<CheckpointId, u32>,
    confirmed: Option<CheckpointId>,
    /// Remembered and not needed any more.
    obsolete: Range<u32>,
}

impl Intervals {
    /// State is that of the checkpoint, which is confirmed.
    pub(super) fn new(restored: Option<CheckpointId>) -> Self {
        Self { confirmed: restored, ..Self::default() }
    }

    /// Where a change of now belongs.
    pub(super) fn current(&self) -> u32 {
        self.current
    }

    /// A snapshot is taken. The intervals whose changes it adds to `since`, when that is what was
    /// confirmed last; otherwise it must be full.
    pub(super) fn on_snapshot(
        &mut self,
        checkpoint: CheckpointId,
        since: Option<CheckpointId>,
    ) -> Option<Range<u32>> {
        if self.current - self.first > UNCONFIRMED_MAX {
            self.forget(self.current);
            self.closed_by.clear();
            self.confirmed = None;
        }
        self.closed_by.insert(checkpoint, self.current);
        self.current += 1;
        let is_delta = since.is_some() && since == self.confirmed;
        is_delta.then_some(self.first..self.current)
    }

    /// The checkpoint is confirmed; one without a snapshot here means nothing.
    pub(super) fn on_confirmed(&mut self, checkpoint: CheckpointId) {
        if let Some(closed) = self.closed_by.get(&checkpoint) {
            self.forget(closed + 1);
            self.closed_by = self.closed_by.split_off(&checkpoint.next());
            self.confirmed = Some(checkpoint);
        }
    }

    fn forget(&mut self, first: u32) {
        self.obsolete =
            if self.obsolete.is_empty() { self.first } else { self.obsolete.start }..first;
        self.first = first;
    }

    /// The intervals that can be removed from the store now; returned once.
    pub(super) fn take_obsolete(&mut self) -> Range<u32> {
        std::mem::take(&mut self.obsolete)
    }
}
