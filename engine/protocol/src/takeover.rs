//! What a subtask takes over when the job has another parallelism than its checkpoint (M5, M7, K10).
//!
//! ```text
//! splits          as they were listed, in turn            list state      as `operator_state` decides
//! keyed state     by key groups (M2)                      transactions    those of subtask i to i % now
//! ```
//!
//! Each split, key group and transaction goes to exactly one subtask. What was taken over is committed before
//! the first snapshot of its heir (K4), so a transaction is always in the snapshot of who wrote it, or of nobody:
//! else another heir, at another parallelism again, would abort what is not in its own (K5).
//!
//! Deliberately absent: records in flight. A checkpoint that another parallelism is restored from holds
//! none (E11).

use alloc::vec::Vec;
use core::ops::Range;

use crate::key_group::{former_owners, owned_by};

/// One subtask among `now`, where there were `before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Takeover {
    /// Which.
    pub index: u32,
    /// Subtasks of its operator.
    pub now: u32,
    /// Subtasks of its operator when the checkpoint was taken.
    pub before: u32,
    /// Key groups, then and now (M3).
    pub key_groups: u32,
}

impl Takeover {
    /// The former subtasks with state of its key groups.
    pub fn former_owners(&self) -> Range<u32> {
        former_owners(self.index, self.key_groups, self.now, self.before)
    }

    /// Whether it owns the key group.
    pub fn owns(&self, key_group: u32) -> bool {
        owned_by(self.index, self.key_groups, self.now).contains(&key_group)
    }

    /// Whether it commits, or aborts, what the former subtask had not committed.
    pub fn inherits_from(&self, former: u32) -> bool {
        former % self.now == self.index
    }

    /// The splits it reads, of those of each former subtask. They were dealt out in turn; taken up in turn they
    /// are in the order in which they were listed, and are dealt out as if the job began like this: who reads
    /// one after the other reads what was meant to be read first, first.
    pub fn splits<'a, T>(&self, of_former: &[&'a [T]]) -> Vec<&'a T> {
        let rounds = of_former.iter().map(|it| it.len()).max().unwrap_or(0);
        let listed = (0..rounds).flat_map(|nth| of_former.iter().filter_map(move |it| it.get(nth)));
        listed.skip(self.index as usize).step_by(self.now as usize).collect()
    }
}
