//! Counters that programs show; no decision depends on them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What one process has done so far.
#[derive(Debug, Default)]
pub struct Metrics {
    records_in: AtomicU64,
    longest_queue: AtomicUsize,
}

impl Metrics {
    /// Adds records that sources emitted; replayed ones count again.
    pub fn add_records_in(&self, records: usize) {
        self.records_in.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// Records that sources emitted.
    pub fn records_in(&self) -> u64 {
        self.records_in.load(Ordering::Relaxed)
    }

    /// An input channel holds so many batches that its subtask has not taken.
    pub fn saw_queue(&self, batches: usize) {
        // All subtasks of a process share it: what is no news is not written.
        if batches > self.longest_queue.load(Ordering::Relaxed) {
            self.longest_queue.fetch_max(batches, Ordering::Relaxed);
        }
    }

    /// The most batches that an input channel held at once. Restored ones are not counted: there are as many
    /// as the checkpoint holds.
    pub fn longest_queue(&self) -> usize {
        self.longest_queue.load(Ordering::Relaxed)
    }
}
