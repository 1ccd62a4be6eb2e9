//! Two-phase commit of one sink subtask: which pre-committed transaction is made visible, and when.
//!
//! A transaction is committed only when a checkpoint at or after its own is completed, in ascending
//! order, one at a time (K2). So what is visible is always a prefix of what was pre-committed. A lost,
//! late or repeated notification changes nothing but the moment: the next one, or the next attempt,
//! commits what is left (K3, K4).
//!
//! Deliberately absent: abort. A checkpoint that was reported as given up may still be restored (H4), so
//! its transaction rides with the next completed one (K7).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use crate::ids::CheckpointId;
use crate::limits::{COMMIT_RETRIES_MAX, PENDING_TRANSACTIONS_MAX};

/// What the committer wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Make the transaction visible; answered by [`Committer::on_committed`] or
    /// [`Committer::on_commit_failed`].
    Commit(CheckpointId),
    /// The transaction cannot be made visible; it is never skipped, so the attempt fails (K8).
    GiveUp {
        /// Which transaction.
        checkpoint: CheckpointId,
        /// How often it was tried.
        tries: u32,
    },
    /// The answer belongs to no outstanding commit.
    Ignore(CheckpointId),
}

/// The commit state of one sink subtask attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Committer {
    /// Pre-committed or restored, and not known to be visible.
    pending: BTreeSet<CheckpointId>,
    /// The newest checkpoint known to be completed; what is pending up to it is to be committed.
    completed: CheckpointId,
    /// The tries of the commit under way, which is that of the first pending transaction.
    tries: Option<u32>,
}

impl Committer {
    /// A committer that finds these transactions in its restored snapshot. They may all be committed:
    /// only completed checkpoints are restored.
    pub fn new(restored: BTreeSet<CheckpointId>) -> Self {
        let completed = restored.last().copied().unwrap_or_default();
        Self { pending: restored, completed, tries: None }
    }

    /// Whether nothing that may be committed is left.
    pub fn is_settled(&self) -> bool {
        self.due().is_none()
    }

    /// Whether one more transaction would exceed the bound.
    pub fn is_full(&self) -> bool {
        self.pending.len() >= PENDING_TRANSACTIONS_MAX
    }

    /// Starts committing the restored transactions.
    pub fn on_start(&mut self, out: &mut Vec<Effect>) {
        sometimes!(!self.pending.is_empty(), RestoredTransactions);
        sometimes!(self.pending.len() > 1, SeveralRestoredTransactions);
        self.commit_next(out);
    }

    /// Handles the pre-commit of a checkpoint's transaction.
    pub fn on_pre_commit(&mut self, checkpoint: CheckpointId) {
        assert!(!self.is_full(), "transaction {checkpoint} exceeds the bound");
        assert!(self.completed < checkpoint, "{checkpoint} pre-commits after its completion");
        let is_newest = self.pending.last().is_none_or(|newest| *newest < checkpoint);
        assert!(is_newest, "transaction {checkpoint} is out of order: {:?}", self.pending);
        self.pending.insert(checkpoint);
    }

    /// Handles the completion of a checkpoint; late, repeated and skipped ones are all the same (K3).
    pub fn on_completed(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        sometimes!(checkpoint <= self.completed, CompletionHeardAgain);
        sometimes!(self.tries.is_some(), CompletionDuringCommit);
        self.completed = self.completed.max(checkpoint);
        self.commit_next(out);
    }

    /// Handles the success of a commit.
    pub fn on_committed(&mut self, checkpoint: CheckpointId, out: &mut Vec<Effect>) {
        if self.outstanding() != Some(checkpoint) {
            out.push(Effect::Ignore(checkpoint));
            return;
        }
        self.pending.remove(&checkpoint);
        self.tries = None;
        self.commit_next(out);
    }

    /// Handles the failure of a commit: it is tried again within the bound (K8).
    pub fn on_commit_failed(
        &mut self,
        checkpoint: CheckpointId,
        is_retryable: bool,
        out: &mut Vec<Effect>,
    ) {
        if self.outstanding() != Some(checkpoint) {
            out.push(Effect::Ignore(checkpoint));
            return;
        }
        let tries = self.tries.take().expect("a commit is outstanding");
        if is_retryable && tries <= COMMIT_RETRIES_MAX {
            sometimes!(CommitIsTriedAgain);
            self.tries = Some(tries + 1);
            out.push(Effect::Commit(checkpoint));
        } else {
            sometimes!(!is_retryable, CommitFailsForGood);
            sometimes!(is_retryable, CommitTriesAreExhausted);
            out.push(Effect::GiveUp { checkpoint, tries });
        }
    }

    fn commit_next(&mut self, out: &mut Vec<Effect>) {
        if let Some(checkpoint) = self.due().filter(|_| self.tries.is_none()) {
            sometimes!(checkpoint < self.completed, TransactionRidesWithALaterOne);
            self.tries = Some(1);
            out.push(Effect::Commit(checkpoint));
        }
    }

    fn due(&self) -> Option<CheckpointId> {
        self.pending.first().copied().filter(|first| *first <= self.completed)
    }

    /// Nothing is ever inserted below the first pending transaction, so it stays the one under way.
    fn outstanding(&self) -> Option<CheckpointId> {
        self.pending.first().copied().filter(|_| self.tries.is_some())
    }
}
