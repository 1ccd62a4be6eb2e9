//! Links: what is special about one direction between two nodes.
//!
//! A link is cut, slow, narrow or flaky for as long as it is told to be. Besides, faults are armed that
//! strike one frame each, in the order in which they were armed. A frame that nobody would take anyway
//! is not struck: one that a partition holds back, one on a connection that is dead already.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::world::clock::Moment;
use crate::world::entropy::Stream;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// One direction between two nodes; as it comes, nothing is special about it.
#[derive(Default)]
pub(super) struct Link {
    pub(super) is_cut: bool,
    pub(super) latency: Option<RangeInclusive<Duration>>,
    bytes_per_second: Option<NonZeroU64>,
    /// When everything that was handed to it has left.
    free_at: Moment,
    pub(super) resets_per_mille: Option<u32>,
    armed: VecDeque<(Fate, u32)>,
    /// Something on its way may be later than latency alone makes it.
    pub(super) holds_up: bool,
}

/// What strikes one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It takes so much longer.
    Delayed(Moment),
    /// It never arrives.
    Lost,
    /// It arrives twice.
    Duplicated,
    /// Its connection is reset.
    Reset,
}

impl Link {
    /// The next `count` frames meet `fate`, once the faults armed before have struck.
    pub(super) fn arm(&mut self, fate: Fate, count: u32) {
        if count > 0 {
            self.armed.push_back((fate, count));
        }
    }

    /// What strikes the frame that is sent now. Draws only on a flaky link.
    pub(super) fn next_fate(&mut self, stream: &mut Stream) -> Option<Fate> {
        if let Some((fate, count)) = self.armed.pop_front() {
            if count > 1 {
                self.armed.push_front((fate, count - 1));
            }
            return Some(fate);
        }
        let resets = self.resets_per_mille?;
        (stream.below(1_000) < u64::from(resets)).then_some(Fate::Reset)
    }

    /// Bytes leave one after the other at this rate; `None` is at once. Whether a limit was lifted.
    pub(super) fn set_bandwidth(&mut self, bytes_per_second: Option<NonZeroU64>) -> bool {
        let was_limited = self.bytes_per_second.is_some();
        self.bytes_per_second = bytes_per_second;
        match bytes_per_second {
            Some(_) => self.holds_up = true,
            None => self.free_at = 0,
        }
        was_limited && bytes_per_second.is_none()
    }

    /// When `bytes` that are handed over now have left.
    pub(super) fn transmit(&mut self, now: Moment, bytes: usize) -> Moment {
        let Some(rate) = self.bytes_per_second else { return now };
        let takes = (bytes as u128 * NANOS_PER_SECOND).div_ceil(u128::from(rate.get()));
        let takes = Moment::try_from(takes).unwrap_or(Moment::MAX);
        self.free_at = self.free_at.max(now).saturating_add(takes);
        self.free_at
    }

    /// Nothing is special about it any more, except for its latency.
    pub(super) fn heal(&mut self) {
        *self = Self { latency: self.latency.take(), ..Self::default() };
    }
}
