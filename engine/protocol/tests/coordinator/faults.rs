//! What the world may do next, and what may go wrong in it.

use seawall_protocol::coordinator::{Input, Timer};
use seawall_protocol::message::{DeclineReason, ToCoordinator};

use crate::ack;
use crate::world::{Action, Mini, World};

impl World {
    /// What the world may do without any fault.
    pub(crate) fn progress(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.outstanding.is_some() {
            actions.push(Action::PersistOk);
        }
        actions.extend(self.manifests.iter().map(|it| Action::Manifest(*it, true)));
        actions.extend(self.deleting.iter().map(|it| Action::Deleted(*it)));
        for (worker, mini) in &self.workers {
            if mini.session.is_none() {
                actions.push(Action::Connect(*worker));
            }
            let report = |message| Action::Report(*worker, message);
            for (id, state) in &mini.subtasks {
                if mini.cancelled.contains(&id.attempt) && *state != Mini::Finished {
                    actions.push(report(ToCoordinator::Cancelled(*id)));
                    continue;
                }
                match state {
                    Mini::Restoring => actions.push(report(ToCoordinator::Ready(*id))),
                    Mini::Running => actions.push(report(ToCoordinator::Ended(*id))),
                    Mini::Ended if mini.final_completed.contains(&id.attempt) => {
                        actions.push(report(ToCoordinator::Finished(*id)));
                    }
                    Mini::Ready | Mini::Ended | Mini::Finished => {}
                }
                for (checkpoint, (attempt, acked)) in &self.triggered {
                    if *attempt == id.attempt && !acked.contains(&id.subtask) {
                        actions.push(report(ack(*id, *checkpoint)));
                    }
                }
            }
        }
        actions
    }

    pub(crate) fn faults(&self) -> Vec<Action> {
        let mut actions = vec![Action::Crash];
        if self.outstanding.is_some() {
            actions.extend([Action::PersistFails(true), Action::PersistFails(false)]);
        }
        actions.extend(self.manifests.iter().map(|it| Action::Manifest(*it, false)));
        for (worker, mini) in &self.workers {
            if mini.session.is_some() {
                actions.extend([Action::Break(*worker), Action::Connect(*worker)]);
            }
            for id in mini.subtasks.keys() {
                let cause = "planned".to_string();
                let failed = ToCoordinator::Failed { attempt: *id, cause, fatal: false };
                actions.push(Action::Report(*worker, failed));
                for checkpoint in self.triggered.keys() {
                    for reason in [
                        DeclineReason::NotRunning,
                        DeclineReason::AsyncException,
                        DeclineReason::Subsumed,
                    ] {
                        let decline = ToCoordinator::Decline {
                            attempt: *id,
                            checkpoint: *checkpoint,
                            reason,
                        };
                        actions.push(Action::Report(*worker, decline));
                    }
                }
            }
        }
        actions
    }

    pub(crate) fn late_acks(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (worker, mini) in self.workers.iter().filter(|(_, mini)| mini.session.is_some()) {
            let here = self.late.iter().filter(|(id, _)| mini.subtasks.contains_key(id));
            actions.extend(here.map(|(id, it)| Action::Report(*worker, ack(*id, *it))));
        }
        actions
    }

    pub(crate) fn step(&mut self, kind: u8, index: u16, garbage: &Input) {
        if self.outcome.is_some() {
            return;
        }
        let ends = |it: &Action| matches!(it, Action::Report(_, ToCoordinator::Ended(_)));
        let fire = |is_hostile: bool| {
            let timers = self.timers.iter().filter(move |it| is_suspicion(**it) == is_hostile);
            timers.map(|it| Action::Fire(*it)).collect::<Vec<_>>()
        };
        let actions = match kind {
            0..=164 => self.progress().into_iter().filter(|it| !ends(it)).collect(),
            165..=169 if self.outstanding.is_some() => {
                vec![Action::PersistFails(true), Action::PersistFails(false)]
            }
            165..=174 => self.progress(),
            175..=209 => fire(false),
            210..=219 => self.late_acks(),
            220..=222 => fire(true),
            223..=229 => self.faults(),
            230..=255 => vec![Action::Garbage(garbage.clone())],
        };
        if !actions.is_empty() {
            self.act(actions[index as usize % actions.len()].clone());
        }
    }

    /// All faults are healed: everything that can happen without one happens until the job ends.
    pub(crate) fn heal_and_finish(&mut self) {
        for _ in 0..2000 {
            if self.outcome.is_some() {
                return;
            }
            if let Some(action) = self.progress().first() {
                self.act(action.clone());
                continue;
            }
            let timer = self
                .timers
                .iter()
                .find(|it| matches!(it, Timer::RecordRetry | Timer::Restart(_) | Timer::MinPause));
            match timer {
                Some(timer) => self.act(Action::Fire(*timer)),
                None => break,
            }
        }
        panic!("stuck, waiting for {}: {:?}", self.coordinator.waits_for(), self.notes);
    }
}

/// Timers that fire without a fault, and those that mean that someone is taken for dead or too slow.
fn is_suspicion(timer: Timer) -> bool {
    match timer {
        Timer::Trigger
        | Timer::MinPause
        | Timer::RetainedExpires(_)
        | Timer::RecordRetry
        | Timer::Restart(_)
        | Timer::Stable(_)
        | Timer::FailureForgotten(_)
        | Timer::Heartbeat => false,
        Timer::CheckpointExpires(_) | Timer::CancelExpires(_) | Timer::WorkerSilent(_) => true,
    }
}
