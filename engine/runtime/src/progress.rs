//! What the subtasks of one attempt on one worker did since the coordinator last heard of it.
//!
//! Counted once a batch. A report leaves at each heartbeat, when a source falls behind or catches up, and
//! as soon as a share of a trigger's threshold was done, so that the trigger fires soon after it.
//! Nothing is reported while no trigger depends on it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use seawall_protocol::Attempt;
use seawall_protocol::message::ToCoordinator;

/// Shared by the subtasks of one attempt and the worker.
#[derive(Debug)]
pub struct ProgressCounter {
    attempt: Attempt,
    is_wanted: AtomicBool,
    records: AtomicU64,
    records_max: AtomicU64,
    dirty_bytes: AtomicU64,
    dirty_bytes_max: AtomicU64,
    /// Source subtasks that are behind.
    behind: AtomicU32,
}

impl ProgressCounter {
    /// Nothing was done, and nobody wants to know.
    pub fn new(attempt: Attempt) -> Self {
        Self {
            attempt,
            is_wanted: AtomicBool::new(false),
            records: AtomicU64::new(0),
            records_max: AtomicU64::new(u64::MAX),
            dirty_bytes: AtomicU64::new(0),
            dirty_bytes_max: AtomicU64::new(u64::MAX),
            behind: AtomicU32::new(0),
        }
    }

    /// From now on the coordinator wants to know, at the latest when so much was done.
    pub fn want(&self, records_max: u64, dirty_bytes_max: u64) {
        self.records_max.store(records_max, Ordering::Relaxed);
        self.dirty_bytes_max.store(dirty_bytes_max, Ordering::Relaxed);
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Counts; the report, when it is time for one.
    pub fn add(&self, records: u64, dirty_bytes: u64) -> Option<ToCoordinator> {
        let records = self.records.fetch_add(records, Ordering::Relaxed).saturating_add(records);
        let dirty_bytes =
            self.dirty_bytes.fetch_add(dirty_bytes, Ordering::Relaxed).saturating_add(dirty_bytes);
        let is_due = records >= self.records_max.load(Ordering::Relaxed)
            || dirty_bytes >= self.dirty_bytes_max.load(Ordering::Relaxed);
        if is_due { self.take() } else { None }
    }

    /// A source subtask fell behind, or caught up.
    pub fn set_behind(&self, is_behind: bool) -> Option<ToCoordinator> {
        if is_behind {
            self.behind.fetch_add(1, Ordering::Relaxed);
        } else {
            self.behind.fetch_sub(1, Ordering::Relaxed);
        }
        self.take()
    }

    /// What was done since the last report, when somebody wants to know.
    pub fn take(&self) -> Option<ToCoordinator> {
        self.is_wanted.load(Ordering::Relaxed).then(|| ToCoordinator::Progress {
            attempt: self.attempt,
            records: self.records.swap(0, Ordering::Relaxed),
            dirty_bytes: self.dirty_bytes.swap(0, Ordering::Relaxed),
            is_behind: self.behind.load(Ordering::Relaxed) > 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(report: Option<ToCoordinator>) -> Option<(u64, u64, bool)> {
        let ToCoordinator::Progress { records, dirty_bytes, is_behind, .. } = report? else {
            panic!("not progress");
        };
        Some((records, dirty_bytes, is_behind))
    }

    #[test]
    fn nothing_is_reported_before_somebody_wants_to_know_and_nothing_is_lost_meanwhile() {
        let counter = ProgressCounter::new(Attempt(1));
        assert_eq!(reported(counter.add(10, 1)), None);
        counter.want(11, u64::MAX);
        assert_eq!(reported(counter.add(1, 1)), Some((11, 2, false)));
        assert_eq!(reported(counter.add(10, 1000)), None);
        assert_eq!(reported(counter.take()), Some((10, 1000, false)));
    }

    #[test]
    fn a_share_of_either_threshold_and_a_change_of_the_backlog_are_reported_at_once() {
        let counter = ProgressCounter::new(Attempt(1));
        counter.want(100, 100);
        assert_eq!(reported(counter.add(0, 100)), Some((0, 100, false)));
        assert_eq!(reported(counter.add(100, 0)), Some((100, 0, false)));
        assert_eq!(reported(counter.set_behind(true)), Some((0, 0, true)));
        assert_eq!(reported(counter.set_behind(false)), Some((0, 0, false)));
    }
}
