//! Savepoints, and stopping with one (G7, H7, K7, N7).
//!
//! A stop is a checkpoint that the record names together with the decision to stop: from then on every
//! attempt restores it, commits its transactions and ends, whoever crashes when.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use super::{Answer, Coordinator, Effect, Job, RequestId, Timer, stale};
use crate::event::{AbortReason, Event, SkipReason};
use crate::execution::Execution;
use crate::ids::CheckpointId;
use crate::limits::WAITING_REQUESTS_MAX;
use crate::message::CheckpointKind;
use crate::store::Purpose;

impl Coordinator {
    /// The savepoint's manifest is durable: it waits to be covered.
    pub(super) fn on_savepoint_whole(&mut self, checkpoint: CheckpointId) {
        let request = self.pending.take_savepoint(checkpoint);
        self.shared.end(checkpoint);
        sometimes!(SavepointIsWhole);
        self.savepoints.on_whole(checkpoint, request);
    }

    /// Exports what is covered, and sees to it that what is not will be.
    pub(super) fn settle_savepoints(&mut self, effects: &mut Vec<Effect>) {
        self.settle_joined(effects);
        while let Some(checkpoint) = self.savepoints.next_covered(self.store.newest()) {
            effects.push(Effect::Disarm(Timer::CheckpointExpires(checkpoint)));
            effects.push(Effect::ExportSavepoint(checkpoint));
        }
        if let Some(uncovered) = self.savepoints.newest_uncovered()
            && !self.pending.has_cover(uncovered)
        {
            if self.may_cover() {
                self.trigger.request_cover(effects);
            } else {
                sometimes!(FinalCoversTheSavepoint);
            }
        }
    }

    /// Whether a checkpoint may begin; else the final one covers.
    fn may_cover(&self) -> bool {
        let finished = self.execution().map(Execution::finished);
        finished.is_some_and(|it| self.end_keeps_from(&it, false).is_none())
    }

    /// The savepoint is where it belongs, or could not be brought there.
    pub(super) fn on_exported(
        &mut self,
        checkpoint: CheckpointId,
        is_exported: bool,
        effects: &mut Vec<Effect>,
    ) {
        if self.job == Job::Exporting && self.store.durable().stopping == Some(checkpoint) {
            return self.on_stop_exported(checkpoint, is_exported, effects);
        }
        let Some(request) = self.savepoints.on_exported(checkpoint) else {
            sometimes!(StaleExport);
            return stale(format!("export of savepoint {checkpoint}"), effects);
        };
        let answer = if is_exported {
            effects.push(Effect::Note(Event::SavepointCompleted { checkpoint }));
            Answer::Completed(checkpoint)
        } else {
            sometimes!(ExportFails);
            let reason = AbortReason::FinalizeFailure;
            effects.push(Effect::Note(Event::CheckpointAborted { checkpoint, reason }));
            Answer::Aborted(checkpoint, reason)
        };
        if let Some(id) = request {
            effects.push(Effect::Answer { id, answer });
        }
        self.delete(checkpoint, effects); // The job's own copy.
    }

    /// Gives up a savepoint that waits to be covered; whether it was one.
    pub(super) fn give_up_savepoint(
        &mut self,
        checkpoint: CheckpointId,
        reason: AbortReason,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(request) = self.savepoints.give_up(checkpoint) else { return false };
        sometimes!(UncoveredSavepointIsGivenUp);
        effects.push(Effect::Disarm(Timer::CheckpointExpires(checkpoint)));
        effects.push(Effect::Note(Event::CheckpointAborted { checkpoint, reason }));
        if let Some(id) = request {
            effects.push(Effect::Answer { id, answer: Answer::Aborted(checkpoint, reason) });
        }
        self.delete(checkpoint, effects);
        true
    }

    /// The attempt failed: its successor would fall back behind savepoints that are not covered.
    pub(super) fn give_up_uncovered(&mut self, reason: AbortReason, effects: &mut Vec<Effect>) {
        for checkpoint in self.savepoints.uncovered() {
            self.give_up_savepoint(checkpoint, reason, effects);
        }
    }

    /// Whether the record says that the job stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.store.durable().stopping.is_some()
    }

    /// Whether the pending checkpoint is one to stop with, whose barrier ends the input.
    pub(super) fn is_drain(&self, checkpoint: CheckpointId) -> bool {
        let kind = self.pending.get(checkpoint).map(|it| it.kind);
        kind == Some(CheckpointKind::StopWithSavepoint { drain: true })
    }

    /// Whether the job stops already, or such a stop is pending.
    pub(super) fn has_stop(&self, kind: CheckpointKind) -> bool {
        self.is_stopping() || self.has_begun(|it| it == kind)
    }

    /// Whether such a checkpoint is asked for or pending.
    pub(super) fn has_begun(&self, is_such: impl Fn(CheckpointKind) -> bool) -> bool {
        let is_pending = |it: CheckpointId| self.pending.get(it).is_some_and(|it| is_such(it.kind));
        self.pending.ids().into_iter().any(is_pending) || self.trigger.awaits(is_such)
    }

    /// Whoever joined a stop that never began hears so.
    fn settle_joined(&mut self, effects: &mut Vec<Effect>) {
        let is_stop = |it| matches!(it, CheckpointKind::StopWithSavepoint { .. });
        if self.stop_requests.is_empty() || self.is_stopping() || self.has_begun(is_stop) {
            return;
        }
        for id in core::mem::take(&mut self.stop_requests) {
            sometimes!(JoinedStopNeverBegins);
            let answer = Answer::Refused(SkipReason::CoordinatorSuspend.to_string());
            effects.push(Effect::Answer { id, answer });
        }
    }

    /// Somebody asks for a stop that is under way, or asks again: it is answered with that one. Where the
    /// record names the stop, its kind is decided whatever was asked for.
    pub(super) fn join_stop(&mut self, id: RequestId, effects: &mut Vec<Effect>) {
        if self.stop_requests.len() >= WAITING_REQUESTS_MAX {
            let answer = Answer::Refused(SkipReason::TooManyRequests.to_string());
            return effects.push(Effect::Answer { id, answer });
        }
        sometimes!(StopIsJoined);
        self.stop_requests.push(id);
    }

    /// A stop was given up. What was suspended goes on. What was drained cannot take back what it
    /// emitted, and a subtask that could not write may be unable to go on: then the attempt fails (G7).
    pub(super) fn on_stop_aborted(
        &mut self,
        checkpoint: CheckpointId,
        is_drained: bool,
        reason: AbortReason,
        effects: &mut Vec<Effect>,
    ) {
        self.trigger.on_stop_aborted();
        self.store.forget_stop();
        for id in core::mem::take(&mut self.stop_requests) {
            effects.push(Effect::Answer { id, answer: Answer::Aborted(checkpoint, reason) });
        }
        let has_ended = reason == AbortReason::CoordinatorShutdown;
        if (is_drained && !has_ended) || reason == AbortReason::AsyncException {
            sometimes!(DrainedAttemptFails);
            let cause = format!("stop with savepoint {checkpoint} {}", reason.in_words());
            self.fail_attempt(cause, false, effects);
        } else {
            sometimes!(!has_ended, SuspendedGoesOn);
        }
    }

    /// Everything is committed and every subtask ended: the savepoint is exported, then the result is
    /// written.
    pub(super) fn export_stop(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        self.job = Job::Exporting;
        effects.push(Effect::ExportSavepoint(checkpoint));
    }

    fn on_stop_exported(
        &mut self,
        checkpoint: CheckpointId,
        is_exported: bool,
        effects: &mut Vec<Effect>,
    ) {
        if is_exported {
            effects.push(Effect::Note(Event::SavepointCompleted { checkpoint }));
            self.job = Job::Ending;
            self.store.request(Purpose::Finish);
        } else {
            sometimes!(ExportOfStopFails);
            let cause =
                format!("savepoint {checkpoint} could not be written; all output is committed");
            self.give_up(cause, effects);
        }
    }

    /// The job stopped, and whoever asked for that hears it.
    pub(super) fn answer_stop(&mut self, effects: &mut Vec<Effect>) {
        let Some(checkpoint) = self.store.durable().stopping else { return };
        for id in core::mem::take(&mut self.stop_requests) {
            effects.push(Effect::Answer { id, answer: Answer::Completed(checkpoint) });
        }
    }
}
