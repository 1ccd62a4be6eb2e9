//! Planted bugs between a core and its driver that no model knows: they remember what was before, or need
//! a world that answers late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use seawall_protocol::coordinator::{Input, JobPlan};
use seawall_protocol::message::{Order, ToCoordinator};
use seawall_protocol::tamper::Tamper;
use seawall_protocol::worker::{self, Effect};
use seawall_protocol::{CheckpointId, SubtaskId};

/// A coordinator that counts acks: one that arrives again is that of a subtask that still owes its own.
#[derive(Default)]
pub(super) struct CountsRepeatedAcks(Mutex<Acks>);

#[derive(Default)]
struct Acks {
    subtasks: Vec<SubtaskId>,
    acked: BTreeMap<CheckpointId, BTreeSet<SubtaskId>>,
}

impl Tamper for CountsRepeatedAcks {
    fn before_coordinator(&self, plan: &mut JobPlan) {
        lock(&self.0).subtasks = plan.subtasks.iter().map(|it| it.subtask).collect();
    }
    fn admits_to_coordinator(&self, input: &mut Input) -> bool {
        if let Input::Message {
            message: ToCoordinator::Ack { attempt, checkpoint, snapshot },
            ..
        } = input
        {
            let mut acks = lock(&self.0);
            let Acks { subtasks, acked } = &mut *acks;
            let acked = acked.entry(*checkpoint).or_default();
            if !acked.insert(attempt.subtask)
                && let Some(owing) = subtasks.iter().find(|it| !acked.contains(it))
            {
                attempt.subtask = *owing;
                snapshot.subtask = *owing;
                acked.insert(*owing);
            }
        }
        true
    }
}

/// A worker that knew a coordinator, lost it, and never looks for another.
#[derive(Default)]
pub(super) struct StaysAway(AtomicBool);

impl Tamper for StaysAway {
    fn admits_to_worker(&self, _: &worker::Plan, input: &mut worker::Input) -> bool {
        let is_known = matches!(input, worker::Input::Order(it) if it.order == Order::Registered);
        self.0.fetch_or(is_known, Ordering::Relaxed);
        true
    }
    fn after_worker(&self, _: &worker::Plan, _: &worker::Input, effects: &mut Vec<Effect>) {
        if self.0.load(Ordering::Relaxed) {
            effects.retain(|effect| *effect != Effect::Connect);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
