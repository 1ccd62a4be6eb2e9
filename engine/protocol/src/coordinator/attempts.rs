//! Deploying, starting, failing and restarting attempts (O5-O11, P2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use super::{Coordinator, Delay, Effect, Job, Outcome, Timer, stale};
use crate::event::{AbortReason, Event, SkipReason};
use crate::execution::{Execution, Phase, Status, slots_needed};
use crate::failover::Decision;
use crate::ids::{Attempt, AttemptId, CheckpointId, WorkerId};
use crate::message::{Deployment, Order};
use crate::store::Purpose;

impl Coordinator {
    pub(super) fn deploy(&mut self, attempt: Attempt, effects: &mut Vec<Effect>) {
        assert!(self.job == Job::Reserving, "an attempt was reserved in another state");
        if self.is_cancelled() && !self.is_stopping() {
            sometimes!(CancelMeetsTheNextAttempt);
            self.job = Job::Waiting; // It ends instead; the attempt's number is skipped.
            return;
        }
        let slots = self.workers.iter().map(|(worker, it)| (*worker, it.slots)).collect();
        let Some(execution) = Execution::place(attempt, &self.plan.subtasks, &slots) else {
            sometimes!(SlotsAreLostWhileReserving);
            self.job = Job::Waiting; // Workers were lost meanwhile; the attempt's number is skipped.
            return;
        };
        let restore = self.store.newest();
        sometimes!(restore.is_none() && attempt > Attempt(1), RestartFromTheBeginning);
        let locations = execution.locations();
        for worker in execution.workers() {
            let here = locations.iter().filter(|(_, at)| *at == worker);
            let subtasks: Vec<_> = here.map(|(subtask, _)| *subtask).collect();
            let finish_together = self.finish_together(&subtasks);
            let locations = locations.clone();
            let is_stopping = self.is_stopping();
            let deployment = Deployment {
                attempt,
                parallelism: self.parallelism(),
                restore,
                is_stopping,
                subtasks,
                locations,
                finish_together,
            };
            self.send(worker, Order::Deploy(deployment), effects);
        }
        self.sweep_shared(self.store.durable().next_checkpoint, effects);
        effects.push(Effect::Note(Event::AttemptDeployed { attempt, restore }));
        self.job = Job::Live(execution);
    }

    pub(super) fn on_ready(&mut self, worker: WorkerId, by: AttemptId, effects: &mut Vec<Effect>) {
        let is_stopping = self.is_stopping();
        let Some(execution) = self.expect(worker, by, Status::Restoring, Status::Ready) else {
            sometimes!(StaleReady);
            return stale(format!("ready of {by}"), effects);
        };
        let is_failed = matches!(execution.phase, Phase::Cancelling { .. });
        sometimes!(is_failed, ReadyWhileCancelling);
        if execution.phase != Phase::Deploying || !execution.are_all(Status::Ready) {
            return;
        }
        execution.on_started();
        let (attempt, workers) = (execution.attempt, execution.workers());
        for worker in workers {
            self.send(worker, Order::Start(attempt), effects);
        }
        effects.push(Effect::Note(Event::AttemptStarted { attempt }));
        if is_stopping {
            // Nothing but the commits of the restored checkpoint is left (N7).
            self.live_execution().phase = Phase::Finishing;
        } else {
            self.trigger.start(effects);
            self.ask_for_progress(effects);
        }
        self.failover.on_started(attempt, effects);
    }

    pub(super) fn on_cancelled(
        &mut self,
        worker: WorkerId,
        by: AttemptId,
        effects: &mut Vec<Effect>,
    ) {
        let Some((execution, _)) = self.live(worker, by) else {
            sometimes!(StaleStopped);
            return stale(format!("cancel of {by}"), effects);
        };
        *execution.live_status(worker, by).expect("it is live") = Status::Stopped;
        self.fail_attempt(format!("{by} stopped without being told to"), false, effects);
    }

    pub(super) fn on_subtask_failed(
        &mut self,
        worker: WorkerId,
        by: AttemptId,
        cause: &str,
        is_fatal: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some((execution, _)) = self.live(worker, by) else {
            sometimes!(StaleFailure);
            return stale(format!("failure of {by}"), effects);
        };
        sometimes!(is_fatal, FailureIsFatal);
        *execution.live_status(worker, by).expect("it is live") = Status::Stopped;
        let unacked = self.pending.ids();
        let is_awaited = |it: &CheckpointId| self.pending.is_awaited(*it, by);
        let unacked: Vec<_> = unacked.into_iter().filter(is_awaited).collect();
        sometimes!(!unacked.is_empty(), FailureBeforeTheAck);
        self.cancel_attempt(format!("{by} failed: {cause}"), is_fatal, unacked, effects);
    }

    /// The subtask's execution and status, when the report is about a live subtask of this attempt.
    pub(super) fn live(
        &mut self,
        worker: WorkerId,
        by: AttemptId,
    ) -> Option<(&mut Execution, Status)> {
        let Job::Live(execution) = &mut self.job else { return None };
        let status = *execution.live_status(worker, by)?;
        Some((execution, status))
    }

    /// Moves a live subtask from one status to the next; `None` when it is not there.
    pub(super) fn expect(
        &mut self,
        worker: WorkerId,
        by: AttemptId,
        from: Status,
        to: Status,
    ) -> Option<&mut Execution> {
        let Job::Live(execution) = &mut self.job else { return None };
        let status = execution.live_status(worker, by).filter(|it| **it == from)?;
        *status = to;
        Some(execution)
    }

    /// Begins to cancel the living attempt. A further failure belongs to the first one.
    pub(super) fn fail_attempt(
        &mut self,
        cause: String,
        is_fatal: bool,
        effects: &mut Vec<Effect>,
    ) {
        self.cancel_attempt(cause, is_fatal, Vec::new(), effects);
    }

    /// `unacked` are the pending checkpoints that the failed subtask had not acked.
    fn cancel_attempt(
        &mut self,
        cause: String,
        is_fatal: bool,
        unacked: Vec<CheckpointId>,
        effects: &mut Vec<Effect>,
    ) {
        let Job::Live(execution) = &mut self.job else { return };
        let attempt = execution.attempt;
        if let Phase::Cancelling { cause: first, is_fatal: was_fatal } = &mut execution.phase {
            sometimes!(FailureWhileCancelling);
            if is_fatal && !*was_fatal {
                sometimes!(FatalFailureWhileCancelling);
                *first = cause;
                *was_fatal = true;
            }
            return;
        }
        let was_started = execution.phase != Phase::Deploying;
        sometimes!(!was_started, FailureWhileDeploying);
        sometimes!(execution.phase == Phase::Finishing, FailureWhileFinishing);
        execution.phase = Phase::Cancelling { cause: cause.clone(), is_fatal };
        let live_workers = execution.live_workers();
        let is_cancelled = self.is_cancelled();
        let skipped = if is_cancelled {
            SkipReason::CoordinatorShutdown
        } else if self.is_outgrown() {
            SkipReason::CoordinatorSuspend
        } else {
            effects.push(Effect::Note(Event::AttemptFailed { attempt, cause }));
            SkipReason::CoordinatorSuspend
        };
        if was_started {
            self.trigger.stop(skipped, effects);
            self.failover.on_failing(attempt, effects);
        }
        self.store.withdraw(Purpose::Reserve);
        for checkpoint in unacked {
            self.abort(checkpoint, AbortReason::TaskFailure, effects);
        }
        let reason = match (is_cancelled, is_fatal) {
            (true, _) => AbortReason::CoordinatorShutdown,
            (false, true) => AbortReason::JobFailure,
            (false, false) => AbortReason::JobFailover,
        };
        for checkpoint in self.pending.ids() {
            self.abort(checkpoint, reason, effects);
        }
        self.give_up_uncovered(reason, effects);
        for worker in live_workers {
            self.send(worker, Order::Cancel(attempt), effects);
        }
        effects.push(Effect::Arm(
            Timer::CancelExpires(attempt),
            Delay::exactly(self.plan.heartbeat.cancel_timeout),
        ));
    }

    pub(super) fn on_cancel_expired(&mut self, attempt: Attempt, effects: &mut Vec<Effect>) {
        let stuck = match &self.job {
            Job::Live(Execution { attempt: it, phase: Phase::Cancelling { .. }, .. })
                if *it == attempt =>
            {
                self.execution().map(Execution::live_workers).unwrap_or_default()
            }
            Job::Live(_)
            | Job::Waiting
            | Job::Reserving
            | Job::Restarting(_)
            | Job::Exporting
            | Job::Ending => {
                return stale(format!("timer cancel-expires of attempt {attempt}"), effects);
            }
        };
        for worker in stuck {
            sometimes!(CancelExpires);
            self.disconnect(worker, effects);
            self.lose_worker(worker, "its subtasks did not stop in time", effects);
        }
    }

    /// The failed attempt is fully stopped (O6): the restart strategy decides.
    pub(super) fn restart_or_give_up(&mut self, effects: &mut Vec<Effect>) {
        let Job::Live(execution) = &self.job else { return };
        let Phase::Cancelling { cause, is_fatal } = &execution.phase else { return };
        if !execution.is_stopped() {
            return;
        }
        let (failed, cause, is_fatal) = (execution.attempt, cause.clone(), *is_fatal);
        effects.push(Effect::Disarm(Timer::CancelExpires(failed)));
        if self.is_cancelled() && !self.is_stopping() && !self.store.is_publishing_stop() {
            sometimes!(CancelledAttemptStops);
            return self.end_cancelled();
        }
        if self.is_outgrown() && !is_fatal {
            self.job = Job::Waiting;
            return;
        }
        match self.failover.decide(is_fatal, effects) {
            Decision::Restart(delay) => {
                let attempt = self.store.durable().attempt.next();
                effects.push(Effect::Arm(Timer::Restart(attempt), delay));
                effects.push(Effect::Note(Event::RestartScheduled { attempt }));
                self.job = Job::Restarting(attempt);
            }
            Decision::GiveUp => {
                sometimes!(JobGivesUp);
                self.give_up(cause, effects);
            }
        }
    }

    /// The job failed for good.
    pub(super) fn give_up(&mut self, cause: String, effects: &mut Vec<Effect>) {
        effects.push(Effect::Note(Event::JobFailed { cause: cause.clone() }));
        self.stop(Outcome::Failed(cause), effects);
    }

    fn live_execution(&mut self) -> &mut Execution {
        match &mut self.job {
            Job::Live(execution) => execution,
            Job::Waiting | Job::Reserving | Job::Restarting(_) | Job::Exporting | Job::Ending => {
                unreachable!("an attempt lives")
            }
        }
    }

    pub(super) fn deploy_when_possible(&mut self, effects: &mut Vec<Effect>) {
        if self.job != Job::Waiting {
            return;
        }
        let (have, need) = (self.slots(), slots_needed(&self.plan.subtasks));
        if have >= need {
            self.noted_slots = None;
            self.job = Job::Reserving;
            self.store.request(Purpose::Deploy);
        } else if self.noted_slots != Some((have, need)) {
            sometimes!(self.store.durable().attempt > Attempt(0), RestartWaitsForSlots);
            self.noted_slots = Some((have, need));
            effects.push(Effect::Note(Event::WaitingForSlots { have, need }));
        }
    }
}
