//! How long each phase of a snapshot takes at one subtask.
//!
//! A watch runs from the first barrier to the ack and is in one phase at a time, so that the phases
//! always add up to the whole (S2). Only durations of one clock are taken (A8).

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_protocol::CheckpointId;
use seawall_protocol::limits::{SNAPSHOTS_WRITING_MAX, TRACKED_BARRIERS_MAX};
use seawall_protocol::record::{SnapshotFigures, SnapshotPhase};

/// Watches that run at once; beyond that the oldest is dropped, and its figures with it.
const WATCHES_MAX: usize = SNAPSHOTS_WRITING_MAX + TRACKED_BARRIERS_MAX;

/// The watches of one subtask.
#[derive(Debug, Default)]
pub(crate) struct Watches(BTreeMap<CheckpointId, Watch>);

#[derive(Debug)]
struct Watch {
    phase: SnapshotPhase,
    since: Duration,
    figures: SnapshotFigures,
}

impl Watches {
    /// The checkpoint enters a phase; its watch starts when it does not run.
    pub(crate) fn enter(&mut self, checkpoint: CheckpointId, phase: SnapshotPhase, now: Duration) {
        let fresh = Watch { phase, since: now, figures: SnapshotFigures::default() };
        let watch = self.0.entry(checkpoint).or_insert(fresh);
        watch.count(now);
        watch.phase = phase;
        if self.0.len() > WATCHES_MAX {
            self.0.pop_first();
        }
    }

    /// The checkpoint is over here: the phase it was in, and what was counted. `None` when no barrier of
    /// it came.
    pub(crate) fn end(
        &mut self,
        checkpoint: CheckpointId,
        now: Duration,
    ) -> Option<(SnapshotPhase, SnapshotFigures)> {
        let mut watch = self.0.remove(&checkpoint)?;
        watch.count(now);
        Some((watch.phase, watch.figures))
    }
}

impl Watch {
    fn count(&mut self, now: Duration) {
        *self.figures.phase_mut(self.phase) += micros(now.saturating_sub(self.since));
        self.since = now;
    }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: CheckpointId = CheckpointId(1);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    // Rules: S2
    #[test]
    fn phases_add_up_to_the_whole() {
        let mut watches = Watches::default();
        watches.enter(ONE, SnapshotPhase::Alignment, at(10));
        watches.enter(ONE, SnapshotPhase::Output, at(15));
        watches.enter(ONE, SnapshotPhase::Sync, at(16));
        watches.enter(ONE, SnapshotPhase::Async, at(18));
        let (phase, figures) = watches.end(ONE, at(30)).unwrap();
        assert_eq!(phase, SnapshotPhase::Async);
        let expected = SnapshotFigures {
            alignment_us: 5_000,
            output_us: 1_000,
            sync_us: 2_000,
            async_us: 12_000,
            ..SnapshotFigures::default()
        };
        assert_eq!(figures, expected);
        assert_eq!(figures.measured_us(), 20_000);
        assert_eq!(watches.end(ONE, at(31)), None);
    }

    #[test]
    fn a_checkpoint_without_a_barrier_has_no_figures() {
        assert_eq!(Watches::default().end(ONE, at(1)), None);
    }

    #[test]
    fn watches_are_bounded() {
        let mut watches = Watches::default();
        for id in 0..1000 {
            watches.enter(CheckpointId(id), SnapshotPhase::Alignment, at(id));
        }
        assert_eq!(watches.0.len(), WATCHES_MAX);
        assert!(watches.end(CheckpointId(999), at(1000)).is_some());
    }
}
