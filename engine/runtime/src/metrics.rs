//! Counters that programs show; no decision depends on them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one process has done so far.
#[derive(Debug, Default)]
pub struct Metrics {
    records_in: AtomicU64,
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
}
