//! Savepoints between their manifest and their answer (H7, K7).
//!
//! ```text
//! whole ─► uncovered ── a later checkpoint completes ─► exporting ─► answered
//!              └─ the attempt fails, or time runs out ─► given up
//! ```
//!
//! A savepoint holds transactions that its job has pre-committed and not committed; they ride with the
//! next completed checkpoint (K7). If the job failed before that one, it would fall back behind the
//! savepoint, remove those transactions and write their records again; whoever restored the savepoint
//! would miss them, or commit them a second time. So a savepoint is handed out only when it is
//! **covered**: a later checkpoint of the same attempt has completed. From then on its job never falls
//! back behind it, and commits its transactions. That is stricter than Flink, which describes the case
//! and leaves it to its users.
//!
//! Deliberately absent: stop-with-savepoint, which is stored for recovery and so covers itself.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::coordinator::RequestId;
use crate::ids::CheckpointId;

/// The whole savepoints of one leadership that were not answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Savepoints {
    /// Of the running attempt, and who waits for them.
    uncovered: BTreeMap<CheckpointId, Option<RequestId>>,
    /// On their way to where they belong; what happens to the attempt concerns them no more.
    exporting: BTreeMap<CheckpointId, Option<RequestId>>,
}

impl Savepoints {
    /// Its manifest is durable. [`Self::next_covered`] says when it is to be exported.
    pub fn on_whole(&mut self, checkpoint: CheckpointId, request: Option<RequestId>) {
        self.uncovered.insert(checkpoint, request);
    }

    /// A savepoint that is covered by the `newest` completed checkpoint and is to be exported now. Ids
    /// increase, and a savepoint ends with its attempt: so a newer checkpoint is of the same attempt.
    pub fn next_covered(&mut self, newest: Option<CheckpointId>) -> Option<CheckpointId> {
        let oldest = self.uncovered.first_entry().filter(|it| Some(*it.key()) < newest)?;
        let (checkpoint, request) = oldest.remove_entry();
        self.exporting.insert(checkpoint, request);
        Some(checkpoint)
    }

    /// The newest savepoint that waits for a later checkpoint.
    pub fn newest_uncovered(&self) -> Option<CheckpointId> {
        self.uncovered.last_key_value().map(|(checkpoint, _)| *checkpoint)
    }

    /// Gives one up that is not covered. Who waited for it, or `None` when it was not there.
    pub fn give_up(&mut self, checkpoint: CheckpointId) -> Option<Option<RequestId>> {
        self.uncovered.remove(&checkpoint)
    }

    /// The savepoints that are not covered, ascending. When their attempt ends they are to be given up.
    pub fn uncovered(&self) -> Vec<CheckpointId> {
        self.uncovered.keys().copied().collect()
    }

    /// It is exported, or could not be. Who waited for it, or `None` when it was not on its way.
    pub fn on_exported(&mut self, checkpoint: CheckpointId) -> Option<Option<RequestId>> {
        self.exporting.remove(&checkpoint)
    }

    /// Whether one is on its way: the job does not end before that is over.
    pub fn is_exporting(&self) -> bool {
        !self.exporting.is_empty()
    }
}
