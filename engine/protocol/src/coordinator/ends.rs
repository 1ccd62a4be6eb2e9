//! Subtasks that end and finish while others go on (N1, N3, N4, N5; FLIP-147).
//!
//! ```text
//! Running ── Ended ──► Ended ── Finished ──► Finished        neither triggered nor awaited (N1)
//!              │ all of them                  │ all of them
//!              ▼                              ▼
//!       final checkpoint, at once (N4)    the job has its result
//! ```
//!
//! A subtask finishes by itself, once a completed checkpoint holds its end (N3). Its report may cross a
//! trigger that is on its way to it. The finish then counts as its ack, and whoever waits for a barrier
//! from it alone is triggered directly; where other inputs are open, the closed channel counts as the
//! barrier (C3). A trigger that finds a barrier of the same checkpoint there already is passed over.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use super::{Coordinator, Effect, Job, SubtaskPlan, stale};
use crate::config::Alignment;
use crate::event::{AbortReason, Event, SkipReason};
use crate::execution::{Execution, Phase, Status};
use crate::ids::{AttemptId, CheckpointId, OperatorId, SubtaskId, WorkerId};
use crate::message::{Barrier, CheckpointKind, Order};
use crate::pending::FinishAnswer;
use crate::store::Purpose;

impl Coordinator {
    pub(super) fn on_ended(&mut self, worker: WorkerId, by: AttemptId, effects: &mut Vec<Effect>) {
        let Some(execution) = self.expect(worker, by, Status::Running, Status::Ended) else {
            sometimes!(StaleEnd);
            return stale(format!("end of {by}"), effects);
        };
        if execution.phase != Phase::Running {
            sometimes!(EndWhileCancelling);
            return;
        }
        let have_all_ended = execution.have_all_ended();
        self.on_ended_in_rescale(by, effects);
        if !self.plan.checkpoint.is_taken_after_finish {
            sometimes!(EndStopsCheckpoints);
            self.trigger.stop_automatic(effects);
            for checkpoint in self.pending.ids() {
                if !self.is_drain(checkpoint) {
                    sometimes!(EndAbortsPending);
                    self.abort(checkpoint, AbortReason::InputEndOfStream, effects);
                }
            }
        }
        if have_all_ended {
            self.trigger.request_final(effects);
        }
    }

    pub(super) fn on_finished(
        &mut self,
        worker: WorkerId,
        by: AttemptId,
        effects: &mut Vec<Effect>,
    ) {
        let finishes_together = self.finishes_together(by.subtask);
        let is_stopping = self.is_stopping();
        let Some((execution, status)) = self.live(worker, by) else {
            sometimes!(StaleFinish);
            return stale(format!("finish of {by}"), effects);
        };
        *execution.live_status(worker, by).expect("it is live") = Status::Finished;
        let is_expected = match execution.phase {
            Phase::Running => {
                sometimes!(FinishesWhileOthersGoOn);
                status == Status::Ended && !finishes_together
            }
            Phase::Finishing => status == Status::Ended || is_stopping,
            Phase::Cancelling { .. } => {
                sometimes!(FinishWhileCancelling);
                return;
            }
            Phase::Deploying => false,
        };
        if !is_expected {
            let cause = format!("{by} finished before a completed checkpoint could hold its end");
            return self.fail_attempt(cause, false, effects);
        }
        for checkpoint in self.pending.ids() {
            self.go_on_without(checkpoint, by, effects);
        }
    }

    fn go_on_without(
        &mut self,
        checkpoint: CheckpointId,
        by: AttemptId,
        effects: &mut Vec<Effect>,
    ) {
        let counted = self.pending.on_finished(checkpoint, by);
        if counted == FinishAnswer::NotAwaited {
            return;
        }
        effects.push(Effect::Note(Event::FinishCounted { attempt: by, checkpoint }));
        match counted {
            FinishAnswer::NotAwaited => {}
            FinishAnswer::Counted => self.inject_barriers(checkpoint, Some(by.subtask), effects),
            FinishAnswer::Whole(whole) => self.write_manifest(checkpoint, whole, effects),
            FinishAnswer::NothingLeft => {
                self.abort(checkpoint, AbortReason::CoordinatorShutdown, effects);
            }
        }
    }

    /// Triggers every awaited subtask that no barrier can reach: sources, and those whose whole upstream
    /// finished without taking part (B11, N1). After the finish of `newly`, only those that it made so.
    pub(super) fn inject_barriers(
        &self,
        checkpoint: CheckpointId,
        newly: Option<SubtaskId>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(pending) = self.pending.get(checkpoint) else { return };
        let Job::Live(execution) = &self.job else { return };
        let is_due = |it: &&SubtaskPlan| {
            let is_affected = newly.is_none_or(|newly| it.upstream.contains(&newly));
            is_affected
                && pending.awaits(it.subtask)
                && it.upstream.iter().all(|it| pending.goes_without(*it))
        };
        let due: Vec<&SubtaskPlan> = self.plan.subtasks.iter().filter(is_due).collect();
        let attempt = execution.attempt;
        let kind = pending.kind;
        let alignment = match kind {
            CheckpointKind::Checkpoint => self.plan.checkpoint.alignment,
            // A savepoint outlives the channels of its job, so it holds nothing that was in them.
            CheckpointKind::Savepoint
            | CheckpointKind::StopWithSavepoint { .. }
            | CheckpointKind::Rescale { .. } => Alignment::Aligned,
        };
        let barrier = Barrier { checkpoint, kind, alignment };
        for (worker, subtasks) in execution.by_worker(due.iter().map(|it| it.subtask)) {
            self.send(worker, Order::Trigger { attempt, barrier, subtasks }, effects);
        }
        for direct in due.into_iter().filter(|it| !it.is_source()) {
            sometimes!(newly.is_none(), TriggeredDirectly);
            sometimes!(newly.is_some(), TriggeredDirectlyInTheMiddle);
            let attempt = AttemptId { subtask: direct.subtask, attempt };
            effects.push(Effect::Note(Event::TriggeredDirectly { attempt, checkpoint }));
        }
    }

    /// Those of `subtasks` that finish with the final checkpoint only.
    pub(super) fn finish_together(&self, subtasks: &[SubtaskId]) -> Vec<SubtaskId> {
        subtasks.iter().copied().filter(|it| self.finishes_together(*it)).collect()
    }

    /// Without checkpoints after the first finish nobody finishes early, since nothing could be committed
    /// after it. Union state is held by all subtasks of its operator or by none (N5).
    fn finishes_together(&self, subtask: SubtaskId) -> bool {
        let is_held_back = |it: &SubtaskPlan| it.subtask == subtask && it.has_union_state;
        !self.plan.checkpoint.is_taken_after_finish || self.plan.subtasks.iter().any(is_held_back)
    }

    /// Why no checkpoint may begin although the attempt runs: of who ended, or who finished.
    pub(super) fn end_keeps_from(
        &self,
        finished: &BTreeSet<SubtaskId>,
        is_final: bool,
    ) -> Option<SkipReason> {
        let has_any_ended = self.execution().is_some_and(Execution::has_any_ended);
        if has_any_ended && !self.plan.checkpoint.is_taken_after_finish && !is_final {
            return Some(SkipReason::InputEndOfStream);
        }
        let is_partly_finished = self.is_union_state_partly_finished(finished);
        sometimes!(is_partly_finished, UnionStateIsPartlyFinished);
        is_partly_finished.then_some(SkipReason::PartlyFinishedUnionState)
    }

    /// Whether a checkpoint now would lose a part of some operator's union state (N5).
    fn is_union_state_partly_finished(&self, finished: &BTreeSet<SubtaskId>) -> bool {
        let with_union_state = self.plan.subtasks.iter().filter(|it| it.has_union_state);
        let (mut gone, mut left) = (BTreeSet::<OperatorId>::new(), BTreeSet::<OperatorId>::new());
        for SubtaskPlan { subtask, .. } in with_union_state {
            let side = if finished.contains(subtask) { &mut gone } else { &mut left };
            side.insert(subtask.operator);
        }
        !gone.is_disjoint(&left)
    }

    /// Whatever is pending then holds nothing that is still needed.
    pub(super) fn end_when_finished(&mut self, effects: &mut Vec<Effect>) {
        let Job::Live(execution) = &self.job else { return };
        if !execution.has_started() || !execution.are_all(Status::Finished) {
            return;
        }
        sometimes!(!self.pending.is_empty(), PendingAtTheEnd);
        self.trigger.stop(SkipReason::CoordinatorShutdown, effects);
        self.store.withdraw(Purpose::Reserve);
        for checkpoint in self.pending.ids() {
            self.abort(checkpoint, AbortReason::CoordinatorShutdown, effects);
        }
        self.give_up_uncovered(AbortReason::CoordinatorShutdown, effects);
        if self.savepoints.is_exporting() || self.store.is_publishing_stop() {
            sometimes!(EndWaitsForAWrite);
            return; // How it ends is decided by what is being written.
        }
        if let Some(checkpoint) = self.store.durable().stopping {
            self.export_stop(checkpoint, effects);
        } else {
            self.job = Job::Ending;
            self.store.request(Purpose::Finish);
        }
    }
}
