//! Pending checkpoints: who still owes an ack, what an abort leaves behind, and how many failures in a
//! row are tolerated (G1-G8).
//!
//! A checkpoint is collecting acks, then its manifest is being written, then its record is being
//! replaced. Every ack, decline and manifest answer has a total answer; ids that were given up are
//! remembered so that what arrives late is deleted and not left behind.
//!
//! Deliberately absent: timeouts (a timer of the coordinator) and the record ([`crate::store`]).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use seawall_probe::sometimes;

use crate::coordinator::RequestId;
use crate::event::{AbortReason, AckAnswer};
use crate::ids::{Attempt, AttemptId, CheckpointId, SubtaskId};
use crate::limits::{PENDING_CHECKPOINTS_MAX, REMEMBERED_ABORTED_MAX};
use crate::message::CheckpointKind;
use crate::record::SnapshotHandle;
use crate::trigger::Wanted;

/// Every pending checkpoint of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PendingCheckpoints {
    pending: BTreeMap<CheckpointId, Pending>,
    /// The newest ids that were given up, oldest first.
    given_up: VecDeque<GivenUp>,
    budget: FailureBudget,
}

/// One checkpoint between its trigger and its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pending {
    /// The attempt whose state it holds.
    pub attempt: Attempt,
    /// Whether it was triggered after all subtasks ended.
    pub is_final: bool,
    /// What it is taken for.
    pub kind: CheckpointKind,
    /// Who waits for its end.
    pub request: Option<RequestId>,
    /// Subtasks that have not acked.
    awaited: BTreeSet<SubtaskId>,
    /// Subtasks that finished, so that it holds nothing of them (N1).
    finished: BTreeSet<SubtaskId>,
    snapshots: BTreeMap<SubtaskId, SnapshotHandle>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Collecting,
    WritingManifest,
    Publishing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct GivenUp {
    checkpoint: CheckpointId,
    /// Its manifest may still appear; its files are deleted after the answer.
    is_manifest_in_flight: bool,
}

/// What an ack led to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acked {
    /// How the ack is answered (G1).
    pub answer: AckAnswer,
    /// What belongs to it, when this was the last ack: write the manifest now.
    pub manifest: Option<Whole>,
    /// The snapshot belongs to a checkpoint that was given up: delete what it left.
    pub is_left_over: bool,
}

/// What belongs to a checkpoint that misses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Whole {
    /// Every snapshot, ascending by subtask.
    pub snapshots: Vec<SnapshotHandle>,
    /// The subtasks that finished, ascending; with those of the snapshots they are all.
    pub finished: Vec<SubtaskId>,
}

/// What the end of a subtask means for a pending checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FinishAnswer {
    /// Nothing: it acked, had finished before, or is of another attempt.
    NotAwaited,
    /// Others are awaited.
    Counted,
    /// It was the last one awaited: write the manifest now.
    Whole(Whole),
    /// Every subtask finished and none acked: nothing is left to take.
    NothingLeft,
}

/// What a manifest answer meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestAnswer {
    /// The checkpoint waited for it.
    Expected,
    /// The checkpoint was given up meanwhile: delete its files now.
    GivenUp,
    /// Nobody waited for it.
    Unknown,
}

/// What an abort leaves to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Aborted {
    /// The attempt of the checkpoint.
    pub attempt: Attempt,
    /// Whether it was a final checkpoint.
    pub is_final: bool,
    /// Who waits for its end.
    pub request: Option<RequestId>,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// Whether its files can be deleted now; otherwise when the manifest's answer comes.
    pub is_deletable: bool,
    /// The failure budget is spent: the attempt must fail (G6).
    pub is_budget_spent: bool,
}

impl PendingCheckpoints {
    /// Nothing is pending; ids up to `last_success` never count as failures.
    pub fn new(tolerable: u32, last_success: CheckpointId) -> Self {
        Self {
            pending: BTreeMap::new(),
            given_up: VecDeque::new(),
            budget: FailureBudget::new(tolerable, last_success),
        }
    }

    /// How many are pending.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is pending.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The pending ids, ascending.
    pub fn ids(&self) -> Vec<CheckpointId> {
        self.pending.keys().copied().collect()
    }

    /// One pending checkpoint.
    pub fn get(&self, checkpoint: CheckpointId) -> Option<&Pending> {
        self.pending.get(&checkpoint)
    }

    /// Starts to wait for the acks of `subtasks`; `finished` are all others.
    pub fn begin(
        &mut self,
        checkpoint: CheckpointId,
        attempt: Attempt,
        subtasks: impl IntoIterator<Item = SubtaskId>,
        finished: BTreeSet<SubtaskId>,
        wanted: Wanted,
    ) {
        assert!(self.pending.len() < PENDING_CHECKPOINTS_MAX, "too many pending");
        let newest = self.pending.last_key_value().map(|(id, _)| *id);
        assert!(newest < Some(checkpoint), "checkpoint {checkpoint} begins after {newest:?}");
        let awaited: BTreeSet<SubtaskId> = subtasks.into_iter().collect();
        assert!(!awaited.is_empty(), "checkpoint {checkpoint} of no subtask");
        let pending = Pending {
            attempt,
            is_final: wanted.is_final(),
            kind: wanted.kind,
            request: wanted.request,
            awaited,
            finished,
            snapshots: BTreeMap::new(),
            phase: Phase::Collecting,
        };
        self.pending.insert(checkpoint, pending);
    }

    /// A subtask of the attempt finished. A checkpoint that still waits for its ack goes on without it
    /// (N1): all it could hold of the subtask is in an older completed one, and committed.
    pub fn on_finished(&mut self, checkpoint: CheckpointId, by: AttemptId) -> FinishAnswer {
        let pending = self.pending.get_mut(&checkpoint).filter(|it| it.attempt == by.attempt);
        let Some(pending) = pending.filter(|it| it.awaits(by.subtask)) else {
            return FinishAnswer::NotAwaited;
        };
        pending.awaited.remove(&by.subtask);
        pending.finished.insert(by.subtask);
        if !pending.awaited.is_empty() {
            sometimes!(FinishIsCounted);
            FinishAnswer::Counted
        } else if pending.snapshots.is_empty() {
            sometimes!(NothingIsLeftToTake);
            FinishAnswer::NothingLeft
        } else {
            sometimes!(FinishCompletesTheCheckpoint);
            FinishAnswer::Whole(pending.whole())
        }
    }

    /// A subtask's snapshot is durable. Total: any checkpoint, any attempt, any number of times (G1).
    pub fn on_ack(
        &mut self,
        checkpoint: CheckpointId,
        by: AttemptId,
        snapshot: SnapshotHandle,
    ) -> Acked {
        let ignored = |answer, is_left_over| Acked { answer, manifest: None, is_left_over };
        let Some(pending) = self.pending.get_mut(&checkpoint) else {
            let is_left_over = self
                .given_up
                .iter()
                .any(|it| it.checkpoint == checkpoint && !it.is_manifest_in_flight);
            sometimes!(is_left_over, AckOfGivenUp);
            sometimes!(!is_left_over, AckOfForgotten);
            return ignored(AckAnswer::Discarded, is_left_over);
        };
        let is_same = snapshot.subtask == by.subtask && snapshot.attempt == by.attempt;
        if by.attempt != pending.attempt || !is_same {
            sometimes!(AckOfAnotherAttempt);
            return ignored(AckAnswer::Unknown, false);
        }
        if pending.snapshots.contains_key(&by.subtask) {
            sometimes!(AckTwice);
            return ignored(AckAnswer::Duplicate, false);
        }
        if !pending.awaited.remove(&by.subtask) {
            sometimes!(AckAfterFinish);
            return ignored(AckAnswer::Unknown, false);
        }
        pending.snapshots.insert(by.subtask, snapshot);
        let manifest = pending.awaited.is_empty().then(|| pending.whole());
        Acked { answer: AckAnswer::Success, manifest, is_left_over: false }
    }

    /// A subtask declined. Whether the checkpoint must be aborted for it (G3).
    #[must_use]
    pub fn on_decline(&self, checkpoint: CheckpointId, by: AttemptId) -> bool {
        self.pending.get(&checkpoint).is_some_and(|it| {
            it.phase == Phase::Collecting
                && it.attempt == by.attempt
                && (it.awaited.contains(&by.subtask) || it.snapshots.contains_key(&by.subtask))
        })
    }

    /// Whether the checkpoint still awaits the ack of this subtask's attempt.
    pub fn is_awaited(&self, checkpoint: CheckpointId, by: AttemptId) -> bool {
        self.pending
            .get(&checkpoint)
            .is_some_and(|it| it.attempt == by.attempt && it.awaited.contains(&by.subtask))
    }

    /// The manifest was written, or could not be.
    pub fn on_manifest_answer(&mut self, checkpoint: CheckpointId) -> ManifestAnswer {
        if let Some(pending) =
            self.pending.get_mut(&checkpoint).filter(|it| it.phase == Phase::WritingManifest)
        {
            pending.phase = Phase::Publishing;
            return ManifestAnswer::Expected;
        }
        let late = self
            .given_up
            .iter_mut()
            .find(|it| it.checkpoint == checkpoint && it.is_manifest_in_flight);
        match late {
            Some(late) => {
                sometimes!(ManifestOfGivenUp);
                late.is_manifest_in_flight = false;
                ManifestAnswer::GivenUp
            }
            None => ManifestAnswer::Unknown,
        }
    }

    /// The savepoint's manifest is durable; it is pending no more. Who waits for it.
    pub fn take_savepoint(&mut self, checkpoint: CheckpointId) -> Option<RequestId> {
        let pending = self.pending.remove(&checkpoint).expect("a whole savepoint is pending");
        assert!(pending.phase == Phase::Publishing, "savepoint {checkpoint} is not whole");
        pending.request
    }

    /// Whether a checkpoint is pending that will cover the savepoint when it completes.
    pub fn has_cover(&self, savepoint: CheckpointId) -> bool {
        self.pending
            .range(savepoint..)
            .any(|(id, it)| *id > savepoint && it.kind != CheckpointKind::Savepoint)
    }

    /// The record that contains the checkpoint is durable.
    pub fn on_published(&mut self, checkpoint: CheckpointId) -> Pending {
        let pending = self.pending.remove(&checkpoint).expect("a published checkpoint is pending");
        assert!(pending.phase == Phase::Publishing, "checkpoint {checkpoint} was not published");
        self.budget.on_success(checkpoint);
        pending
    }

    /// Gives the checkpoint up. `None` when it is not pending (G4, G8).
    pub fn abort(&mut self, checkpoint: CheckpointId, reason: AbortReason) -> Option<Aborted> {
        let pending = self.pending.remove(&checkpoint)?;
        let is_manifest_in_flight = pending.phase == Phase::WritingManifest;
        sometimes!(is_manifest_in_flight, AbortWhileManifestIsWritten);
        sometimes!(pending.kind == CheckpointKind::Savepoint, SavepointFailureIsNotCounted);
        if self.given_up.len() == REMEMBERED_ABORTED_MAX {
            sometimes!(OldestGivenUpIsForgotten);
            self.given_up.pop_front();
        }
        self.given_up.push_back(GivenUp { checkpoint, is_manifest_in_flight });
        Some(Aborted {
            attempt: pending.attempt,
            is_final: pending.is_final,
            request: pending.request,
            kind: pending.kind,
            is_deletable: !is_manifest_in_flight,
            // A savepoint that fails says nothing about recovery (G7).
            is_budget_spent: pending.kind == CheckpointKind::Checkpoint
                && self.budget.on_abort(checkpoint, reason),
        })
    }
}

impl Pending {
    /// Whether the subtask still owes its ack.
    pub fn awaits(&self, subtask: SubtaskId) -> bool {
        self.awaited.contains(&subtask)
    }

    /// Whether it holds nothing of the subtask, which had finished.
    pub fn goes_without(&self, subtask: SubtaskId) -> bool {
        self.finished.contains(&subtask)
    }

    fn whole(&mut self) -> Whole {
        self.phase = Phase::WritingManifest;
        Whole {
            snapshots: self.snapshots.values().cloned().collect(),
            finished: self.finished.iter().copied().collect(),
        }
    }
}

/// Counts checkpoint failures in a row (G6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FailureBudget {
    tolerable: u32,
    in_a_row: u32,
    last_success: CheckpointId,
}

impl FailureBudget {
    /// No failures yet; ids up to `last_success` never count.
    pub fn new(tolerable: u32, last_success: CheckpointId) -> Self {
        Self { tolerable, in_a_row: 0, last_success }
    }

    /// A checkpoint was given up; to be called once for each id. Whether that is one failure too many;
    /// the count then starts anew.
    #[must_use]
    pub fn on_abort(&mut self, checkpoint: CheckpointId, reason: AbortReason) -> bool {
        if !reason.is_counted() || checkpoint <= self.last_success {
            sometimes!(reason.is_counted(), OldFailureIsNotCounted);
            return false;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        let is_spent = self.in_a_row > self.tolerable;
        sometimes!(!is_spent, FailureIsTolerated);
        if is_spent {
            sometimes!(FailureBudgetIsSpent);
            self.in_a_row = 0;
        }
        is_spent
    }

    /// A checkpoint was completed.
    pub fn on_success(&mut self, checkpoint: CheckpointId) {
        if checkpoint > self.last_success {
            sometimes!(self.in_a_row > 0, SuccessAfterFailures);
            self.last_success = checkpoint;
            self.in_a_row = 0;
        }
    }
}
