//! The coordinator of the model: its effects, its timers, and what a crash leaves of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use seawall_protocol::coordinator::{self, Coordinator, Input, Outcome, Timer, WriteId};
use seawall_protocol::event::Event;
use seawall_protocol::message::Order;

use super::verdict::{judge_abort, judge_restore};
use super::{Leader, State, Stop};

impl Stop {
    pub(super) fn lead(&self) -> Leader {
        let mut plan = self.plan.clone();
        self.tamper.before_coordinator(&mut plan);
        Leader {
            core: Coordinator::new(plan),
            timers: BTreeSet::new(),
            writing: None,
            writing_manifests: BTreeMap::new(),
            exporting: BTreeSet::new(),
            kinds: BTreeMap::new(),
            has_given_up: false,
        }
    }

    pub(super) fn feed_coordinator(&self, state: &mut State, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(mut input) = inputs.pop_front() {
            if !self.tamper.admits_to_coordinator(&mut input) {
                continue;
            }
            let mut effects = Vec::new();
            state.leader.core.handle(input.clone(), &mut effects);
            self.tamper.after_coordinator(&input, &mut effects);
            for effect in effects {
                perform(state, effect, &mut inputs);
            }
        }
    }

    pub(super) fn crash_coordinator(&self, state: &mut State) {
        state.has_crashed_while_stopping |= state.disk.record.stopping.is_some();
        state.leader = self.lead();
        Self::restart_worker(state);
        state.reports.retain(|(session, _)| *session == state.session);
        let record = state.disk.record.clone();
        self.feed_coordinator(state, Input::Recovered { record, shared: Vec::new() });
    }

    /// The record is on the disk now, whether the coordinator knows it or not.
    pub(super) fn persist(&self, state: &mut State) -> Option<WriteId> {
        let (write, record) = state.leader.writing.take()?;
        state.disk.record = record;
        self.judge_result(state);
        Some(write)
    }
}

fn perform(state: &mut State, effect: coordinator::Effect, inputs: &mut VecDeque<Input>) {
    let leader = &mut state.leader;
    match effect {
        coordinator::Effect::Persist { write, record } => {
            assert!(leader.writing.is_none(), "one record write at a time");
            leader.writing = Some((write, record));
        }
        coordinator::Effect::WriteManifest { checkpoint, kind, .. } => {
            leader.writing_manifests.insert(checkpoint, kind);
        }
        coordinator::Effect::ExportSavepoint(checkpoint) => {
            leader.kinds.remove(&checkpoint);
            leader.exporting.insert(checkpoint);
        }
        coordinator::Effect::DeleteCheckpoint(checkpoint) => {
            state.disk.manifests.remove(&checkpoint);
            state.disk.snapshots.remove(&checkpoint);
            inputs.push_back(Input::Deleted(checkpoint));
        }
        coordinator::Effect::DeleteShared(_) | coordinator::Effect::SweepShared { .. } => {
            unreachable!("no snapshot of this model has shared files")
        }
        coordinator::Effect::Arm(timer, _) => {
            if is_offered(timer) {
                leader.timers.insert(timer);
            }
        }
        coordinator::Effect::Disarm(timer) => {
            leader.timers.remove(&timer);
        }
        coordinator::Effect::Send { session, message, .. } => {
            if let Order::Deploy(deployment) = &message.order {
                judge_restore(state, deployment.restore);
            }
            if let Order::Trigger { barrier, .. } = &message.order {
                state.leader.kinds.insert(barrier.checkpoint, barrier.kind);
            }
            if session == state.session {
                state.orders.push_back(message.order);
            }
        }
        coordinator::Effect::Stop(Outcome::Failed(_)) => leader.has_given_up = true,
        coordinator::Effect::Note(Event::CheckpointAborted { checkpoint, reason }) => {
            judge_abort(state, checkpoint, reason);
        }
        coordinator::Effect::Note(Event::CheckpointCompleted { checkpoint }) => {
            leader.kinds.remove(&checkpoint);
        }
        coordinator::Effect::Disconnect { .. }
        | coordinator::Effect::Answer { .. }
        | coordinator::Effect::Stop(Outcome::Result(_))
        | coordinator::Effect::Note(_) => {}
    }
}

/// Whether firing the timer is a step of this model.
fn is_offered(timer: Timer) -> bool {
    match timer {
        Timer::CheckpointExpires(_) | Timer::Restart(_) => true,
        Timer::Trigger
        | Timer::RecordRetry
        | Timer::CancelExpires(_)
        | Timer::WorkerSilent(_)
        | Timer::MinPause
        | Timer::RetainedExpires(_)
        | Timer::Stable(_)
        | Timer::FailureForgotten(_)
        | Timer::Heartbeat => false,
    }
}
