//! The worker of the model and its one subtask: a source with a sink, which reads, commits and stops.

use std::collections::{BTreeSet, VecDeque};

use seawall_protocol::config::CheckpointMode;
use seawall_protocol::message::{Deployment, Order, ToCoordinator};
use seawall_protocol::record::{SnapshotFigures, SnapshotHandle};
use seawall_protocol::subtask::{self, Subtask};
use seawall_protocol::{AttemptId, SessionId};

use super::verdict::show;
use super::{END, EXACTLY_ONCE, Running, SUBTASK, State, Stop, WORKER};

impl Stop {
    pub(super) fn restart_worker(state: &mut State) {
        let old = state.session;
        state.running = None;
        state.orders.clear();
        state.reports.push_back((old, None));
        register(state);
    }

    pub(super) fn on_order(&self, state: &mut State, order: Order) {
        match order {
            Order::Deploy(deployment) => deploy(state, &deployment),
            Order::Start(_) => self.feed_subtask(state, subtask::Input::Start),
            Order::Trigger { barrier, .. } => {
                self.feed_subtask(state, subtask::Input::Trigger(barrier));
            }
            Order::Completed { checkpoint, is_final, .. } => {
                self.feed_subtask(state, subtask::Input::Completed { checkpoint, is_final });
            }
            Order::Aborted { checkpoint, .. } => {
                self.feed_subtask(state, subtask::Input::Aborted(checkpoint));
            }
            Order::Cancel(_) => {
                if let Some(running) = state.running.take() {
                    report(state, ToCoordinator::Cancelled(running.attempt));
                }
            }
            Order::Registered | Order::Heartbeat | Order::ReportProgress { .. } => {}
        }
    }

    pub(super) fn feed_subtask(&self, state: &mut State, input: subtask::Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(mut input) = inputs.pop_front() {
            let Some(running) = &mut state.running else { return };
            let plan = running.core.plan().clone();
            if !self.tamper.admits_to_subtask(&plan, &mut input) {
                continue;
            }
            let mut effects = Vec::new();
            running.core.handle(input.clone(), &mut effects);
            self.tamper.after_subtask(&plan, &input, &mut effects);
            for effect in effects {
                perform_for_subtask(state, effect, &mut inputs);
            }
        }
    }
}

pub(super) fn register(state: &mut State) {
    state.session = SessionId(state.session.0 + 1);
    let session = state.session;
    let registers = ToCoordinator::Register { worker: WORKER, session, slots: 1 };
    state.reports.push_back((session, Some(registers)));
}

fn report(state: &mut State, message: ToCoordinator) {
    state.reports.push_back((state.session, Some(message)));
}

fn deploy(state: &mut State, deployment: &Deployment) {
    let contents =
        deployment.restore.map(|it| state.disk.snapshots.get(&it).cloned().unwrap_or_default());
    let contents = contents.unwrap_or_default();
    let attempt = AttemptId { subtask: SUBTASK, attempt: deployment.attempt };
    let plan = subtask::Plan {
        attempt,
        channels: 0,
        pointwise: BTreeSet::new(),
        has_sink: true,
        has_callbacks: false,
        mode: CheckpointMode::ExactlyOnce,
        restored: deployment.restore,
        restored_transactions: contents.transactions.keys().copied().collect(),
        is_restored_at_end: contents.is_ended,
        finishes_together: deployment.finish_together.contains(&SUBTASK),
        is_stopping: deployment.is_stopping,
    };
    state.running = Some(Running {
        attempt,
        core: Subtask::new(plan),
        contents,
        open: Vec::new(),
        is_reading: false,
        is_paused: false,
        has_told_end: false,
    });
    report(state, ToCoordinator::Ready(attempt));
}

fn perform_for_subtask(
    state: &mut State,
    effect: subtask::Effect,
    inputs: &mut VecDeque<subtask::Input>,
) {
    let Some(running) = &mut state.running else { return };
    let (attempt, disk) = (running.attempt, &mut state.disk);
    match effect {
        subtask::Effect::PreCommit(checkpoint) => {
            let open = std::mem::take(&mut running.open);
            if !open.is_empty() {
                running.contents.transactions.insert(checkpoint, open.clone());
                disk.prepared.insert(checkpoint, open);
            }
        }
        subtask::Effect::Snapshot(barrier) => {
            disk.snapshots.insert(barrier.checkpoint, running.contents.clone());
            inputs.push_back(subtask::Input::SnapshotDurable(barrier.checkpoint));
        }
        subtask::Effect::Commit(checkpoint) => {
            if let Some(records) = running.contents.transactions.remove(&checkpoint) {
                match disk.prepared.remove(&checkpoint) {
                    Some(prepared) => show(state, &prepared),
                    // Committed before, or lost: the output says which.
                    None if records.iter().all(|it| disk.output.contains(it)) => {}
                    None => {
                        state.violated.insert(EXACTLY_ONCE);
                    }
                }
            }
            inputs.push_back(subtask::Input::Committed(checkpoint));
        }
        subtask::Effect::AbortLingering => {
            let kept = &running.contents.transactions;
            disk.prepared.retain(|checkpoint, _| kept.contains_key(checkpoint));
        }
        subtask::Effect::Run => {
            running.is_reading = true;
            if running.contents.is_ended {
                running.has_told_end = true;
                inputs.push_back(subtask::Input::InputEnded);
            }
        }
        subtask::Effect::EndInput => end(running),
        subtask::Effect::Pause => running.is_paused = true,
        subtask::Effect::Resume => running.is_paused = false,
        subtask::Effect::ReportEnded => report(state, ToCoordinator::Ended(attempt)),
        subtask::Effect::Ack(checkpoint) => {
            let snapshot = SnapshotHandle {
                subtask: SUBTASK,
                attempt: attempt.attempt,
                bytes: 0,
                checksum: 0,
                figures: SnapshotFigures::default(),
                shared: Vec::new(),
            };
            report(state, ToCoordinator::Ack { attempt, checkpoint, snapshot });
        }
        subtask::Effect::Decline(checkpoint, reason) => {
            report(state, ToCoordinator::Decline { attempt, checkpoint, reason });
        }
        subtask::Effect::Finish => {
            state.running = None;
            report(state, ToCoordinator::Finished(attempt));
        }
        subtask::Effect::Fail { cause } => {
            state.running = None;
            report(state, ToCoordinator::Failed { attempt, cause, fatal: false });
        }
        subtask::Effect::ForwardBarrier(_)
        | subtask::Effect::ForwardCancelMarker(_)
        | subtask::Effect::TellCompleted(_)
        | subtask::Effect::Confirm(_)
        | subtask::Effect::TellAborted(_)
        | subtask::Effect::Note(_) => {}
        subtask::Effect::Block(_)
        | subtask::Effect::Unblock(_)
        | subtask::Effect::OvertakeOutput(_)
        | subtask::Effect::CaptureInput { .. }
        | subtask::Effect::EndCapture { .. }
        | subtask::Effect::SealSnapshot(_)
        | subtask::Effect::DiscardSnapshot(_)
        | subtask::Effect::Arm(..)
        | subtask::Effect::Disarm(_) => unreachable!("a source takes aligned checkpoints"),
    }
}

/// What depends on the end is emitted, once.
pub(super) fn end(running: &mut Running) {
    running.has_told_end = true;
    if !running.contents.is_ended {
        running.contents.is_ended = true;
        running.open.push(END);
    }
}
