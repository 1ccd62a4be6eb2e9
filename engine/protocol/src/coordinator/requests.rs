//! What people and programs ask of a running job (B4, N7, H7).

use alloc::string::ToString;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use super::{Answer, Coordinator, Effect, Job, Outcome, Request, RequestId, Timer};
use crate::config::RetentionOnCancel;
use crate::event::{AbortReason, Event, SkipReason};
use crate::execution::Phase;
use crate::ids::CheckpointId;
use crate::limits::WAITING_REQUESTS_MAX;
use crate::message::CheckpointKind;
use crate::record::JobResult;
use crate::store::Purpose;

impl Coordinator {
    /// Each request has exactly one answer.
    pub(super) fn on_requested(
        &mut self,
        id: RequestId,
        request: Request,
        effects: &mut Vec<Effect>,
    ) {
        let kind = match request {
            Request::Checkpoint => CheckpointKind::Checkpoint,
            Request::Savepoint => CheckpointKind::Savepoint,
            Request::StopWithSavepoint { drain } => {
                let kind = CheckpointKind::StopWithSavepoint { drain };
                if self.has_stop(kind) {
                    return self.join_stop(id, effects);
                }
                kind
            }
            Request::Cancel => return self.on_cancel_requested(id, effects),
            Request::Rescale { parallelism } => {
                return self.on_rescale_requested(id, parallelism, effects);
            }
        };
        self.trigger.request(kind, id, effects);
    }

    /// Whether somebody asked for the end of the job.
    pub(super) fn is_cancelled(&self) -> bool {
        !self.cancels.is_empty()
    }

    fn on_cancel_requested(&mut self, id: RequestId, effects: &mut Vec<Effect>) {
        if self.cancels.len() >= WAITING_REQUESTS_MAX {
            let answer = Answer::Refused(SkipReason::TooManyRequests.to_string());
            return effects.push(Effect::Answer { id, answer });
        }
        if self.is_cancelled() {
            sometimes!(CancelIsAskedAgain);
        } else {
            effects.push(Effect::Note(Event::CancelRequested));
        }
        self.cancels.push(id);
    }

    /// Ends the job that somebody wants ended, step by step: the attempt is stopped, then the result is
    /// stored. A job whose final checkpoint is completed is let finish, which is the faster end; so is one
    /// that stops: the record says that its transactions are committed (N7).
    pub(super) fn cancel_when_possible(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_cancelled() || self.is_stopping() || self.store.is_publishing_stop() {
            sometimes!(self.is_cancelled(), CancelMeetsAStop);
            return;
        }
        match &self.job {
            Job::Live(execution) => match execution.phase {
                Phase::Deploying | Phase::Running => {
                    sometimes!(CancelStopsAnAttempt);
                    self.fail_attempt("it was cancelled on request".to_string(), false, effects);
                }
                Phase::Finishing => sometimes!(CancelMeetsTheFinish),
                Phase::Cancelling { .. } => {}
            },
            Job::Reserving if self.store.withdraw(Purpose::Deploy) => {
                sometimes!(CancelBeforeReserving);
                self.end_cancelled();
            }
            // Its number is being written; `deploy` finds out.
            Job::Reserving => sometimes!(CancelWhileReserving),
            Job::Exporting | Job::Ending => {}
            Job::Restarting(attempt) => {
                sometimes!(CancelDuringTheDelay);
                effects.push(Effect::Disarm(Timer::Restart(*attempt)));
                self.end_cancelled();
            }
            Job::Waiting => {
                sometimes!(CancelWhileWaiting);
                self.end_cancelled();
            }
        }
    }

    pub(super) fn end_cancelled(&mut self) {
        let is_retaining = self.plan.checkpoint.on_cancel == RetentionOnCancel::Retain;
        sometimes!(is_retaining, CancelKeepsCheckpoints);
        self.job = Job::Ending;
        self.store.request(Purpose::Cancel { is_retaining });
    }

    /// The job is cancelled for good; what retention does not keep is deleted (H9).
    pub(super) fn on_cancelled_durably(
        &mut self,
        removed: Vec<CheckpointId>,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Note(Event::JobCancelled));
        self.discard(removed, effects);
        self.stop(Outcome::Result(JobResult::Cancelled), effects);
    }

    /// Everything that waits for an answer gets one before the leadership ends.
    pub(super) fn answer_all(&mut self, outcome: &Outcome, effects: &mut Vec<Effect>) {
        self.trigger.stop(SkipReason::CoordinatorShutdown, effects);
        for checkpoint in self.pending.ids() {
            self.abort(checkpoint, AbortReason::CoordinatorShutdown, effects);
        }
        let stops = core::mem::take(&mut self.stop_requests);
        let rescales = core::mem::take(&mut self.rescale_requests);
        for id in core::mem::take(&mut self.cancels).into_iter().chain(stops).chain(rescales) {
            sometimes!(RequestEndsWithTheJob);
            let answer = match outcome {
                Outcome::Result(result) => Answer::Ended(*result),
                Outcome::Failed(cause) => Answer::Refused(cause.clone()),
            };
            effects.push(Effect::Answer { id, answer });
        }
    }
}
