//! Checkpoints that are wanted and have not begun, in the order in which they begin (B4).
//!
//! Savepoints come first, then the final checkpoint, then what a person asked for, then the automatic
//! one; within one rank the oldest. The queue is bounded: when it is full the last one loses its place,
//! and a newcomer has none while nobody but persons wait.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::coordinator::RequestId;
use crate::limits::WAITING_REQUESTS_MAX;
use crate::message::CheckpointKind;

/// A checkpoint that is wanted. Ordered as the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    /// Who goes first.
    pub rank: Rank,
    /// Grows within a rank.
    age: u64,
    /// What it is taken for.
    pub kind: CheckpointKind,
    /// Who waits for the answer.
    pub request: Option<RequestId>,
}

/// Who goes first, from first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// A savepoint: waits for no pause and for no checkpoint, unless barriers may overtake (E10).
    Savepoint,
    /// The final checkpoint: waits for no pause (N4).
    Final,
    /// A checkpoint somebody asked for: waits for no pause.
    Manual,
    /// The automatic one, of which at most one waits.
    Periodic,
}

impl Wanted {
    /// Wanted now, by nobody else.
    pub fn new(rank: Rank, kind: CheckpointKind, request: Option<RequestId>) -> Self {
        Self { rank, age: 0, kind, request }
    }

    /// The automatic checkpoint.
    pub fn periodic() -> Self {
        Self::new(Rank::Periodic, CheckpointKind::Checkpoint, None)
    }

    /// Whether all subtasks had ended before it was wanted.
    pub fn is_final(&self) -> bool {
        self.rank == Rank::Final
    }
}

/// The waiting ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Queue {
    waiting: BTreeSet<Wanted>,
}

impl Queue {
    /// Adds a newcomer. The one that has no place, if there is one: the last, or the newcomer itself.
    #[must_use]
    pub fn push(&mut self, newcomer: Wanted) -> Option<Wanted> {
        let is_full = self.waiting.len() >= WAITING_REQUESTS_MAX;
        let can_displace = self.waiting.last().is_some_and(|it| it.rank == Rank::Periodic);
        if is_full && !can_displace && !newcomer.is_final() {
            return Some(newcomer);
        }
        let of_rank = self.waiting.iter().rev().find(|it| it.rank == newcomer.rank);
        let age = of_rank.map_or(0, |it| it.age + 1);
        self.waiting.insert(Wanted { age, ..newcomer });
        if is_full { self.waiting.pop_last() } else { None }
    }

    /// The next to begin.
    pub fn first(&self) -> Option<&Wanted> {
        self.waiting.first()
    }

    /// Takes the next to begin.
    pub fn pop_first(&mut self) -> Option<Wanted> {
        self.waiting.pop_first()
    }

    /// Whether one of this rank waits.
    pub fn has(&self, rank: Rank) -> bool {
        self.waiting.iter().any(|it| it.rank == rank)
    }

    /// Whether such a kind waits.
    pub fn awaits(&self, is_such: impl Fn(CheckpointKind) -> bool) -> bool {
        self.waiting.iter().any(|it| is_such(it.kind))
    }

    /// Removes all of this rank.
    pub fn remove(&mut self, rank: Rank) {
        self.waiting.retain(|it| it.rank != rank);
    }

    /// Removes all, first to last.
    pub fn take_all(&mut self) -> Vec<Wanted> {
        core::mem::take(&mut self.waiting).into_iter().collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
