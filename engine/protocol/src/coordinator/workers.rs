//! Who is registered, who is alive, and what each message is about (A5, O1, O2).

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use super::checkpoints::Progress;
use super::{Coordinator, Effect, Job, Leadership, Registered, Timer, refuse, stale};
use crate::event::Event;
use crate::ids::{SessionId, WorkerId};
use crate::limits::WORKERS_MAX;
use crate::message::{Order, ToCoordinator};

impl Coordinator {
    pub(super) fn on_message(
        &mut self,
        worker: WorkerId,
        session: SessionId,
        message: ToCoordinator,
        effects: &mut Vec<Effect>,
    ) {
        if let ToCoordinator::Register { worker: named, session: life, slots } = message {
            if (named, life) == (worker, session) {
                self.on_register(worker, session, slots, effects);
            } else {
                refuse(worker, session, "a registration under another name", effects);
            }
            return;
        }
        if self.workers.get(&worker).is_none_or(|it| it.session != session) {
            sometimes!(MessageOfEndedSession);
            return refuse(worker, session, "a message of an unknown session", effects);
        }
        self.arm_silence(worker, effects);
        match message {
            ToCoordinator::Register { .. } => unreachable!("handled above"),
            ToCoordinator::Progress { attempt, records, dirty_bytes, is_behind } => {
                let progress = Progress { records, dirty_bytes, is_behind };
                self.on_progress(worker, attempt, progress, effects);
            }
            // The driver keeps the figures; they change no decision.
            ToCoordinator::Heartbeat | ToCoordinator::Unfinished { .. } => {}
            ToCoordinator::Ready(by) => self.on_ready(worker, by, effects),
            ToCoordinator::Ended(by) => self.on_ended(worker, by, effects),
            ToCoordinator::Finished(by) => self.on_finished(worker, by, effects),
            ToCoordinator::Cancelled(by) => self.on_cancelled(worker, by, effects),
            ToCoordinator::Failed { attempt, cause, fatal } => {
                self.on_subtask_failed(worker, attempt, &cause, fatal, effects);
            }
            ToCoordinator::Ack { attempt, checkpoint, snapshot } => {
                self.on_ack(attempt, checkpoint, snapshot, effects);
            }
            ToCoordinator::Decline { attempt, checkpoint, reason } => {
                self.on_decline(attempt, checkpoint, reason, effects);
            }
        }
    }

    pub(super) fn on_register(
        &mut self,
        worker: WorkerId,
        session: SessionId,
        slots: u32,
        effects: &mut Vec<Effect>,
    ) {
        match self.workers.get(&worker) {
            Some(known) if known.session == session => {
                // Answered again: the first answer may be what the worker waits for.
                stale(format!("second registration of {worker} session {session}"), effects);
                self.arm_silence(worker, effects);
                if self.leadership == Leadership::Leading {
                    self.send(worker, Order::Registered, effects);
                }
                return;
            }
            Some(_) => {
                sometimes!(WorkerReplacesItself);
                self.replace_worker(worker, effects);
            }
            None if self.workers.len() >= WORKERS_MAX => {
                return refuse(worker, session, "more workers than the limit", effects);
            }
            None => {}
        }
        self.workers.insert(worker, Registered { session, slots });
        if self.leadership == Leadership::Leading {
            self.accept(worker, session, slots, effects);
        } else {
            sometimes!(RegisteredBeforeTheToken);
            self.arm_silence(worker, effects); // Answered when the token is durable.
        }
    }

    pub(super) fn accept(
        &self,
        worker: WorkerId,
        session: SessionId,
        slots: u32,
        effects: &mut Vec<Effect>,
    ) {
        self.send(worker, Order::Registered, effects);
        effects.push(Effect::Note(Event::WorkerRegistered { worker, session, slots }));
        self.arm_silence(worker, effects);
    }

    pub(super) fn replace_worker(&mut self, worker: WorkerId, effects: &mut Vec<Effect>) {
        self.disconnect(worker, effects);
        self.lose_worker(worker, "a new session of it registered", effects);
    }

    /// Forgets the worker; its subtasks count as terminal (O2).
    pub(super) fn lose_worker(&mut self, worker: WorkerId, cause: &str, effects: &mut Vec<Effect>) {
        let Some(Registered { session, .. }) = self.workers.remove(&worker) else { return };
        effects.push(Effect::Disarm(Timer::WorkerSilent(worker)));
        effects.push(Effect::Note(Event::WorkerLost { worker, session, cause: cause.to_string() }));
        if let Job::Live(execution) = &mut self.job
            && execution.on_worker_lost(worker)
        {
            sometimes!(BusyWorkerIsLost);
            self.fail_attempt(format!("{worker} was lost: {cause}"), false, effects);
        } else {
            sometimes!(IdleWorkerIsLost);
        }
    }

    pub(super) fn slots(&self) -> u32 {
        self.workers.values().fold(0, |sum, it| sum.saturating_add(it.slots))
    }
}
