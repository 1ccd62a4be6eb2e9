//! From trigger to completion or abort (B10, G, H).

use alloc::format;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use super::{Answer, Coordinator, Delay, Effect, Job, Outcome, Timer, stale};
use crate::event::{AbortReason, AckAnswer, Event, SkipReason};
use crate::execution::Phase;
use crate::ids::{Attempt, AttemptId, CheckpointId, WorkerId};
use crate::limits::RECORD_RETRY_PAUSE;
use crate::message::{CheckpointKind, DeclineReason, Order};
use crate::pending::{ManifestAnswer, Whole};
use crate::record::SnapshotHandle;
use crate::shared_files::Refused;
use crate::store::{Failed, Persisted, Purpose};
use crate::trigger::{Load, refuse};

/// What a worker reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) records: u64,
    pub(super) dirty_bytes: u64,
    pub(super) is_behind: bool,
}

impl Coordinator {
    pub(super) fn on_reserved(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        let Some(wanted) = self.trigger.on_reserved() else {
            sometimes!(IdIsReservedForNothing);
            let reason = SkipReason::NotAllRequiredTasksRunning;
            return effects.push(Effect::Note(Event::TriggerSkipped { reason }));
        };
        let Job::Live(execution) = &self.job else {
            unreachable!("the trigger runs only while an attempt does");
        };
        assert!(execution.phase == Phase::Running, "triggered in {:?}", execution.phase);
        let attempt = execution.attempt;
        let finished = execution.finished();
        let is_rescale = matches!(wanted.kind, CheckpointKind::Rescale { .. });
        let of_rescale = self.end_keeps_from_rescale().filter(|_| is_rescale);
        if let Some(reason) = self.end_keeps_from(&finished, wanted.is_final()).or(of_rescale) {
            sometimes!(EndKeepsReservedFromBeginning);
            self.trigger.on_stop_aborted();
            return refuse(wanted, reason, effects);
        }
        sometimes!(!finished.is_empty(), TriggeredWithoutTheFinished);
        let subtasks = self.plan.subtasks.iter().map(|it| it.subtask);
        let subtasks: Vec<_> = subtasks.filter(|it| !finished.contains(it)).collect();
        self.pending.begin(checkpoint, attempt, subtasks, finished, wanted);
        if self.plan.checkpoint.is_incremental {
            self.shared.begin(checkpoint, self.store.newest());
        }
        let timeout = Delay::exactly(self.plan.checkpoint.timeout);
        effects.push(Effect::Arm(Timer::CheckpointExpires(checkpoint), timeout));
        self.inject_barriers(checkpoint, None, effects);
        let is_final = wanted.is_final();
        effects.push(Effect::Note(Event::CheckpointTriggered { checkpoint, is_final }));
    }

    pub(super) fn on_ack(
        &mut self,
        attempt: AttemptId,
        checkpoint: CheckpointId,
        snapshot: SnapshotHandle,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(refused) = self.shared.register(checkpoint, &snapshot.shared) {
            return self.on_refused(attempt, checkpoint, refused, effects);
        }
        let acked = self.pending.on_ack(checkpoint, attempt, snapshot);
        match acked.answer {
            AckAnswer::Success => {
                effects.push(Effect::Note(Event::SnapshotAcked { attempt, checkpoint }));
            }
            reason @ (AckAnswer::Duplicate | AckAnswer::Unknown | AckAnswer::Discarded) => {
                effects.push(Effect::Note(Event::AckIgnored { attempt, checkpoint, reason }));
            }
        }
        sometimes!(self.store.is_uncertain(checkpoint), AckWhileInDoubt);
        if acked.is_left_over && !self.store.is_uncertain(checkpoint) {
            self.delete(checkpoint, effects);
        }
        if acked.answer == AckAnswer::Discarded {
            self.delete_unused_shared(effects);
        }
        if let Some(whole) = acked.manifest {
            self.write_manifest(checkpoint, whole, effects);
        }
    }

    /// The ack refers to a file that is gone, because its subtask had not heard of newer checkpoints, or
    /// that is another one (I4). The checkpoint cannot complete.
    fn on_refused(
        &mut self,
        by: AttemptId,
        checkpoint: CheckpointId,
        refused: Refused,
        effects: &mut Vec<Effect>,
    ) {
        stale(format!("ack of {by} for checkpoint {checkpoint}: {refused}"), effects);
        let reason = match refused {
            Refused::UnknownFile(_) => {
                sometimes!(AckNamesAFileThatIsGone);
                AbortReason::Subsumed
            }
            Refused::OtherFile(_) => {
                sometimes!(AckNamesAnotherFile);
                AbortReason::FinalizeFailure
            }
        };
        if self.pending.on_decline(checkpoint, by) {
            self.abort(checkpoint, reason, effects);
        }
    }

    /// Deletes the shared files that no checkpoint of the durable record, and no pending one, can refer
    /// to (I3, H6). To be called whenever a durable record dropped checkpoints.
    pub(super) fn delete_unused_shared(&mut self, effects: &mut Vec<Effect>) {
        let Some(lowest) = self.store.durable().retained.first() else { return };
        let unused = self.shared.take_unused(*lowest);
        if !unused.is_empty() {
            sometimes!(FilesAreUnused);
            effects.push(Effect::DeleteShared(unused));
        }
    }

    /// Deletes what was written for checkpoints below this one and never acked. No attempt that runs may
    /// have one of them pending.
    pub(super) fn sweep_shared(&self, below: CheckpointId, effects: &mut Vec<Effect>) {
        let keep = self.shared.ids();
        if self.plan.checkpoint.is_incremental || !keep.is_empty() {
            effects.push(Effect::SweepShared { below, keep });
        }
    }

    pub(super) fn on_decline(
        &mut self,
        by: AttemptId,
        checkpoint: CheckpointId,
        reason: DeclineReason,
        effects: &mut Vec<Effect>,
    ) {
        if !self.pending.on_decline(checkpoint, by) {
            sometimes!(StaleDecline);
            return stale(format!("decline of checkpoint {checkpoint} by {by}"), effects);
        }
        let reason = match reason {
            DeclineReason::Subsumed => {
                sometimes!(DeclineForANewerBarrier);
                AbortReason::DeclinedSubsumed
            }
            DeclineReason::AsyncException => {
                sometimes!(DeclineForAFailure);
                AbortReason::AsyncException
            }
            DeclineReason::NotRunning => {
                sometimes!(DeclineBeforeRunning);
                AbortReason::DeclinedTaskNotReady
            }
        };
        self.abort(checkpoint, reason, effects);
    }

    pub(super) fn on_manifest(
        &mut self,
        checkpoint: CheckpointId,
        is_written: bool,
        effects: &mut Vec<Effect>,
    ) {
        match self.pending.on_manifest_answer(checkpoint) {
            ManifestAnswer::Expected if is_written => {
                effects.push(Effect::Note(Event::ManifestWritten { checkpoint }));
                match self.pending.get(checkpoint).map(|it| it.kind) {
                    Some(CheckpointKind::Savepoint) => {
                        return self.on_savepoint_whole(checkpoint);
                    }
                    Some(CheckpointKind::StopWithSavepoint { .. }) => {
                        self.store.stop_at(checkpoint);
                    }
                    Some(CheckpointKind::Rescale { parallelism }) => {
                        self.store.rescale_at(checkpoint, parallelism);
                    }
                    Some(CheckpointKind::Checkpoint) | None => {}
                }
                self.store.request(Purpose::Publish(checkpoint));
            }
            ManifestAnswer::Expected => {
                sometimes!(ManifestCannotBeWritten);
                self.abort(checkpoint, AbortReason::FinalizeFailure, effects);
            }
            ManifestAnswer::GivenUp => {
                stale(format!("manifest of checkpoint {checkpoint}, which was given up"), effects);
                self.delete(checkpoint, effects);
            }
            ManifestAnswer::Unknown => {
                stale(format!("manifest of checkpoint {checkpoint}"), effects);
            }
        }
    }

    pub(super) fn on_persisted(&mut self, persisted: Persisted, effects: &mut Vec<Effect>) {
        match persisted {
            Persisted::Leading => self.on_leading(effects),
            Persisted::Attempt(attempt) => self.deploy(attempt, effects),
            Persisted::Reserved(checkpoint) => self.on_reserved(checkpoint, effects),
            Persisted::Published { checkpoint, removed } => {
                self.on_completed(checkpoint, removed, effects);
            }
            Persisted::Retracted(checkpoint) => self.delete(checkpoint, effects),
            Persisted::Expired(removed) => self.discard(removed, effects),
            Persisted::Cancelled { removed } => self.on_cancelled_durably(removed, effects),
            Persisted::Finished(result) => {
                effects.push(Effect::Note(Event::JobFinished));
                self.answer_stop(effects);
                self.stop(Outcome::Result(result), effects);
            }
        }
    }

    /// The record that contains the checkpoint is durable: only now may anyone be told (H1).
    pub(super) fn on_completed(
        &mut self,
        checkpoint: CheckpointId,
        removed: Vec<CheckpointId>,
        effects: &mut Vec<Effect>,
    ) {
        // What is given up from here on may still be being written; its turn is the next completion.
        let is_littered = core::mem::take(&mut self.is_littered);
        let completed = self.pending.on_published(checkpoint);
        self.shared.end(checkpoint);
        effects.push(Effect::Disarm(Timer::CheckpointExpires(checkpoint)));
        effects.push(Effect::Note(Event::CheckpointCompleted { checkpoint }));
        let is_stop = matches!(completed.kind, CheckpointKind::StopWithSavepoint { .. });
        match completed.request {
            Some(id) if is_stop => self.stop_requests.insert(0, id), // Answered when the job stopped.
            Some(_) if matches!(completed.kind, CheckpointKind::Rescale { .. }) => {}
            Some(id) => {
                sometimes!(AskedCheckpointCompletes);
                effects.push(Effect::Answer { id, answer: Answer::Completed(checkpoint) });
            }
            None => {}
        }
        let (attempt, is_final) = (completed.attempt, completed.is_final || is_stop);
        if is_stop {
            effects.push(Effect::Note(Event::JobStopping { checkpoint }));
        }
        for lower in self.pending.ids().into_iter().filter(|it| *it < checkpoint) {
            let is_savepoint =
                self.pending.get(lower).is_some_and(|it| it.kind == CheckpointKind::Savepoint);
            if !is_savepoint {
                sometimes!(OlderPendingIsSubsumed);
                self.abort(lower, AbortReason::Subsumed, effects);
            } else if is_final {
                sometimes!(SavepointEndsWithTheJob);
                self.abort(lower, AbortReason::CoordinatorShutdown, effects);
            } else {
                sometimes!(SavepointOutlivesACompletion);
            }
        }
        if let Job::Live(execution) = &mut self.job
            && execution.attempt == attempt
            && execution.phase == Phase::Running
        {
            let workers = execution.live_workers();
            if is_final {
                execution.phase = Phase::Finishing;
            }
            for worker in workers {
                self.send(worker, Order::Completed { attempt, checkpoint, is_final }, effects);
            }
            self.trigger.on_completed(effects);
            if is_final {
                self.trigger.stop(SkipReason::CoordinatorShutdown, effects);
            }
        } else {
            sometimes!(CompletedAfterTheFailure);
        }
        sometimes!(removed.len() > 1, SeveralAreSubsumedAtOnce);
        self.arm_expiration(checkpoint, effects);
        for checkpoint in removed {
            effects.push(Effect::Note(Event::CheckpointSubsumed { checkpoint }));
            self.disarm_expiration(checkpoint, effects);
            self.delete(checkpoint, effects);
        }
        self.delete_unused_shared(effects);
        if is_littered {
            sometimes!(LitterIsSwept);
            self.sweep_shared(checkpoint, effects);
        }
        if let CheckpointKind::Rescale { parallelism } = completed.kind {
            self.on_rescaled(checkpoint, parallelism, completed.request, effects);
        }
    }

    pub(super) fn on_record_failed(&mut self, failed: Failed, effects: &mut Vec<Effect>) {
        effects.push(Effect::Note(Event::RecordUncertain));
        effects.push(Effect::Arm(Timer::RecordRetry, Delay::exactly(RECORD_RETRY_PAUSE)));
        match failed {
            Failed::Repeat => {}
            Failed::Retract(checkpoint) => {
                self.abort(checkpoint, AbortReason::FinalizeFailure, effects);
            }
        }
    }

    /// Gives a pending checkpoint up, unless its record is being written already.
    pub(super) fn abort(
        &mut self,
        checkpoint: CheckpointId,
        reason: AbortReason,
        effects: &mut Vec<Effect>,
    ) {
        if self.store.is_publishing(checkpoint) {
            sometimes!(AbortWhilePublishing);
            return;
        }
        self.store.withdraw(Purpose::Publish(checkpoint));
        let Some(aborted) = self.pending.abort(checkpoint, reason) else { return };
        self.shared.end(checkpoint);
        self.is_littered |= self.plan.checkpoint.is_incremental;
        effects.push(Effect::Disarm(Timer::CheckpointExpires(checkpoint)));
        effects.push(Effect::Note(Event::CheckpointAborted { checkpoint, reason }));
        if let Some(id) = aborted.request {
            sometimes!(AskedCheckpointIsAborted);
            let answer = Answer::Aborted(checkpoint, reason);
            effects.push(Effect::Answer { id, answer });
        }
        let attempt = aborted.attempt;
        if let Some(execution) = self.execution().filter(|it| it.phase == Phase::Running) {
            for worker in execution.live_workers() {
                self.send(worker, Order::Aborted { attempt, checkpoint }, effects);
            }
        }
        sometimes!(self.store.is_uncertain(checkpoint), FilesStayInDoubt);
        if aborted.is_deletable && !self.store.is_uncertain(checkpoint) {
            self.delete(checkpoint, effects);
        }
        // Its own files stay (I5); those that only waited for it may go.
        self.delete_unused_shared(effects);
        if aborted.is_final {
            sometimes!(FinalIsAborted);
            self.trigger.on_final_aborted(effects);
        }
        if let CheckpointKind::StopWithSavepoint { drain } = aborted.kind {
            self.on_stop_aborted(checkpoint, drain, reason, effects);
        }
        self.store.forget_rescale(checkpoint);
        if aborted.is_budget_spent {
            let cause = format!("checkpoint {checkpoint} {}", reason.in_words());
            self.fail_attempt(cause, false, effects);
        }
    }

    /// Has the files of a checkpoint deleted. While that goes on a second wish waits for the answer of
    /// the first: what was written meanwhile is deleted then.
    pub(super) fn delete(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        if let Some(is_wanted_again) = self.cleaning.get_mut(&checkpoint) {
            sometimes!(DeletionIsWantedAgain);
            *is_wanted_again = true;
        } else {
            self.cleaning.insert(checkpoint, false);
            effects.push(Effect::DeleteCheckpoint(checkpoint));
        }
    }

    /// The deletion is over, whether it did all or not (H6): what stays is removed by the next leader.
    pub(super) fn on_deleted(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        match self.cleaning.remove(&checkpoint) {
            Some(true) => self.delete(checkpoint, effects),
            Some(false) => {}
            None => stale(format!("deletion of checkpoint {checkpoint}"), effects),
        }
    }

    /// The checkpoints left the record for another reason than a newer one (H6).
    pub(super) fn discard(&mut self, removed: Vec<CheckpointId>, effects: &mut Vec<Effect>) {
        for checkpoint in removed {
            sometimes!(CheckpointIsDiscarded);
            effects.push(Effect::Note(Event::CheckpointDiscarded { checkpoint }));
            self.disarm_expiration(checkpoint, effects);
            self.delete(checkpoint, effects);
        }
    }

    /// A retained checkpoint grows old from here: from its completion, or from the moment a new leader
    /// found it, since no two leaders compare their clocks (A8).
    pub(super) fn arm_expiration(&self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        if let Some(expiration) = self.plan.checkpoint.expiration {
            let age = Delay::exactly(expiration);
            effects.push(Effect::Arm(Timer::RetainedExpires(checkpoint), age));
        }
    }

    fn disarm_expiration(&self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        if self.plan.checkpoint.expiration.is_some() {
            effects.push(Effect::Disarm(Timer::RetainedExpires(checkpoint)));
        }
    }

    /// A worker's subtasks got on. Anything about another attempt than the running one is late.
    pub(super) fn on_progress(
        &mut self,
        worker: WorkerId,
        attempt: Attempt,
        progress: Progress,
        effects: &mut Vec<Effect>,
    ) {
        let is_running =
            self.execution().is_some_and(|it| it.attempt == attempt && it.phase == Phase::Running);
        if !is_running {
            sometimes!(StaleProgress);
            return stale(format!("progress of attempt {attempt} on {worker}"), effects);
        }
        let Progress { records, dirty_bytes, is_behind } = progress;
        let was_behind = !self.behind.is_empty();
        if is_behind {
            self.behind.insert(worker);
        } else {
            self.behind.remove(&worker);
        }
        let is_behind = !self.behind.is_empty();
        if is_behind != was_behind {
            sometimes!(is_behind, BacklogBegins);
            sometimes!(was_behind, BacklogEnds);
            effects.push(Effect::Note(Event::BacklogReported { is_behind }));
            self.trigger.on_behind(is_behind, effects);
        }
        self.trigger.on_progress(records, dirty_bytes, self.load(), effects);
    }

    /// Has the workers report as often as the trigger's thresholds need: what all of them together have
    /// not reported is at most half of a threshold.
    pub(super) fn ask_for_progress(&mut self, effects: &mut Vec<Effect>) {
        self.behind.clear();
        let config = &self.plan.checkpoint;
        let is_of_use = config.every_records.is_some()
            || config.every_dirty_bytes.is_some()
            || config.interval_during_backlog.is_some();
        let Some(execution) = self.execution().filter(|_| is_of_use) else { return };
        let (attempt, workers) = (execution.attempt, execution.workers());
        let share = |threshold: Option<u64>| {
            threshold.map_or(u64::MAX, |it| (it / (2 * workers.len() as u64)).max(1))
        };
        let (records, dirty_bytes) = (share(config.every_records), share(config.every_dirty_bytes));
        for worker in workers {
            self.send(worker, Order::ReportProgress { attempt, records, dirty_bytes }, effects);
        }
    }

    /// Nothing of the checkpoint is missing any more.
    pub(super) fn write_manifest(
        &self,
        checkpoint: CheckpointId,
        whole: Whole,
        effects: &mut Vec<Effect>,
    ) {
        let Whole { snapshots, finished } = whole;
        let pending = self.pending.get(checkpoint).expect("its manifest is to be written");
        let (kind, request) = (pending.kind, pending.request);
        effects.push(Effect::Note(Event::CheckpointAcknowledged { checkpoint }));
        effects.push(Effect::WriteManifest { checkpoint, kind, request, snapshots, finished });
    }

    /// What the trigger must know of the rest (B2, B5).
    pub(super) fn load(&self) -> Load {
        Load { pending: self.pending.len(), cleaning: self.cleaning.len() }
    }
}
