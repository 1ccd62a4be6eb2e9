//! The observer of a run: writes the trace, and lets faults happen at the events they wait for.
//!
//! A fault without delay happens within the call that reports its event: before the reporter's next
//! step, and before anything else in the world. So "after the third ack" means exactly that, in every
//! seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{Observer, Reaction};
use seawall_protocol::event::Event;
use seawall_protocol::{CheckpointId, SubtaskId};

use crate::coverage::{Phase, Phases};
use crate::evidence::Evidence;
use crate::inject::Injector;
use crate::scenario::{Fault, Node, On, Trigger};
use crate::trace::{Chains, Entry, Trace, What};
use crate::world::World;

/// Collects the trace and counts events for the faults that wait for them. Outlives the world, so that
/// the trace of a run that ends in a panic is not lost.
#[derive(Clone)]
pub(crate) struct Recorder {
    state: Arc<Mutex<State>>,
}

struct State {
    trace: Trace,
    waiting: Vec<Waiting>,
    happened: Vec<bool>,
    phases: Phases,
    /// In which phase which fault of the schedule began.
    begun: Vec<(usize, Phase)>,
    evidence: Evidence,
}

/// A fault that waits for an event.
struct Waiting {
    index: usize,
    on: On,
    seen: u32,
}

impl Recorder {
    /// A recorder for this schedule.
    pub(crate) fn new(schedule: &[Fault], chains: Chains, evidence: Evidence) -> Self {
        let waiting =
            schedule.iter().enumerate().filter_map(|(index, fault)| match &fault.trigger {
                Trigger::On(on) => Some(Waiting { index, on: on.clone(), seen: 0 }),
                Trigger::At(_) | Trigger::Every(_) => None,
            });
        let state = State {
            trace: Trace { entries: Vec::new(), chains },
            waiting: waiting.collect(),
            happened: vec![false; schedule.len()],
            phases: Phases::default(),
            begun: Vec::new(),
            evidence,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line that is not an engine's event.
    pub(crate) fn note(&self, at: Duration, what: What) {
        self.lock().trace.entries.push(Entry { at, node: None, what });
    }

    /// A fault of the schedule happens.
    pub(crate) fn note_fault(&self, at: Duration, index: usize, what: String) {
        {
            let mut state = self.lock();
            state.happened[index] = true;
            let phase = state.phases.now();
            state.begun.push((index, phase));
        }
        self.note(at, What::Fault(what));
    }

    /// From now on no fault happens.
    pub(crate) fn end_safety_phase(&self) {
        self.lock().waiting.clear();
    }

    /// The trace so far.
    pub(crate) fn trace(&self) -> Trace {
        self.lock().trace.clone()
    }

    /// Which faults of the schedule happened.
    pub(crate) fn happened(&self) -> Vec<bool> {
        self.lock().happened.clone()
    }

    /// Which faults of the schedule began, and in which phase.
    pub(crate) fn begun(&self) -> Vec<(usize, Phase)> {
        self.lock().begun.clone()
    }

    /// Looks at what was collected besides the trace.
    pub(crate) fn with_evidence<T>(&self, look: impl FnOnce(&mut Evidence) -> T) -> T {
        look(&mut self.lock().evidence)
    }

    /// Records the event and returns the faults that waited for it.
    fn record(&self, world: &World, node: Node, event: Event) -> Vec<(usize, Duration)> {
        let mut state = self.lock();
        let state = &mut *state;
        let at = world.now();
        state.evidence.on_event(at, &world.disk(), &event);
        state.phases.on(&event);
        let mut due = Vec::new();
        let chains = &state.trace.chains;
        state.waiting.retain_mut(|it| {
            if !matches(&it.on, node, &event, chains) {
                return true;
            }
            it.seen += 1;
            if it.seen < it.on.nth {
                return true;
            }
            due.push((it.index, it.on.after.least));
            false
        });
        state.trace.entries.push(Entry { at, node: Some(node), what: What::Event(event) });
        due
    }
}

fn matches(on: &On, node: Node, event: &Event, chains: &Chains) -> bool {
    if event.name() != on.event || on.node.is_some_and(|it| it != node) {
        return false;
    }
    let (checkpoint, subtask) = about(event);
    if on.checkpoint.is_some_and(|it| checkpoint != Some(CheckpointId(it))) {
        return false;
    }
    match (&on.subtask, subtask) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(name), Some(subtask)) => {
            let chain = chains.get(&subtask.operator.0).map_or("", String::as_str);
            *name == format!("{chain}/{}", subtask.index)
        }
    }
}

/// Which checkpoint and which subtask an event is about.
pub(crate) fn about(event: &Event) -> (Option<CheckpointId>, Option<SubtaskId>) {
    match event {
        Event::CheckpointTriggered { checkpoint, .. }
        | Event::CheckpointAcknowledged { checkpoint }
        | Event::ManifestWritten { checkpoint }
        | Event::CheckpointCompleted { checkpoint }
        | Event::SavepointCompleted { checkpoint }
        | Event::JobStopping { checkpoint }
        | Event::CheckpointAborted { checkpoint, .. }
        | Event::CheckpointDiscarded { checkpoint }
        | Event::CheckpointSubsumed { checkpoint } => (Some(*checkpoint), None),
        Event::SnapshotAcked { attempt, checkpoint }
        | Event::TriggeredDirectly { attempt, checkpoint }
        | Event::FinishCounted { attempt, checkpoint }
        | Event::AckIgnored { attempt, checkpoint, .. }
        | Event::AlignmentStarted { attempt, checkpoint }
        | Event::ChannelBlocked { attempt, checkpoint, .. }
        | Event::AlignmentTimedOut { attempt, checkpoint }
        | Event::ChannelStateCaptured { attempt, checkpoint, .. }
        | Event::ChannelStateReplayed { attempt, checkpoint, .. }
        | Event::ChannelStateLeftOut { attempt, checkpoint, .. }
        | Event::BarrierIgnored { attempt, checkpoint, .. }
        | Event::AlignmentAbandoned { attempt, checkpoint }
        | Event::BarrierForwarded { attempt, checkpoint }
        | Event::SnapshotTaken { attempt, checkpoint }
        | Event::SnapshotWritten { attempt, checkpoint, .. }
        | Event::SnapshotFailed { attempt, checkpoint, .. }
        | Event::SnapshotDeclined { attempt, checkpoint, .. }
        | Event::TransactionPrecommitted { attempt, checkpoint }
        | Event::TransactionCommitted { attempt, checkpoint, .. }
        | Event::CompletionTold { attempt, checkpoint }
        | Event::CommitFailed { attempt, checkpoint, .. } => {
            (Some(*checkpoint), Some(attempt.subtask))
        }
        Event::SubtaskReady { attempt, .. }
        | Event::SubtaskStarted { attempt }
        | Event::SubtaskEnded { attempt }
        | Event::SubtaskRestoredAtEnd { attempt }
        | Event::SubtaskFinished { attempt }
        | Event::SubtaskCancelled { attempt }
        | Event::SubtaskFailed { attempt, .. }
        | Event::LingeringAborted { attempt, .. } => (None, Some(attempt.subtask)),
        Event::CoordinatorStarted { .. }
        | Event::WorkerRegistered { .. }
        | Event::WorkerLost { .. }
        | Event::WaitingForSlots { .. }
        | Event::AttemptDeployed { .. }
        | Event::AttemptStarted { .. }
        | Event::AttemptFailed { .. }
        | Event::RestartScheduled { .. }
        | Event::JobFailed { .. }
        | Event::JobFinished
        | Event::JobCancelled
        | Event::CancelRequested
        | Event::BacklogReported { .. }
        | Event::TriggerSkipped { .. }
        | Event::RecordUncertain
        | Event::StaleInput { .. }
        | Event::WorkerStarted { .. }
        | Event::CoordinatorLost { .. }
        | Event::OrderRefused { .. } => (None, None),
    }
}

/// The observer of one incarnation of a node.
pub(crate) struct NodeObserver {
    world: World,
    injector: Injector,
    node: Node,
    incarnation: u32,
}

impl NodeObserver {
    /// For the current incarnation of `node`.
    pub(crate) fn new(world: &World, injector: &Injector, node: Node) -> Self {
        let incarnation = world.incarnation(&node.to_string());
        Self { world: world.clone(), injector: injector.clone(), node, incarnation }
    }

    fn is_over(&self) -> bool {
        let name = self.node.to_string();
        !self.world.is_up(&name) || self.world.incarnation(&name) != self.incarnation
    }
}

#[async_trait]
impl Observer for NodeObserver {
    fn observe(&self, event: Event) -> Reaction {
        if self.is_over() {
            return Reaction::Yield;
        }
        let due = self.injector.recorder().record(&self.world, self.node, event);
        if due.is_empty() {
            return Reaction::Continue;
        }
        for (index, after) in due {
            self.injector.happen_after(index, after);
        }
        Reaction::Yield
    }

    async fn settle(&self) {
        // A paused node goes on from here when it is resumed; a crashed one never does.
        self.world.sleep(Duration::ZERO).await;
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}
