//! The observer of a run: writes the trace, and lets faults happen at the events they wait for.
//!
//! A fault without delay happens within the call that reports its event: before the reporter's next
//! step, and before anything else in the world. So "after the third ack" means exactly that, in every
//! seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{Observer, Reaction};
use seawall_protocol::event::Event;
use seawall_protocol::{CheckpointId, SubtaskId};

use crate::evidence::Evidence;
use crate::fault::{Fault, Nodes, On, Trigger, Verb, When};
use crate::inject::Injector;
use crate::scenario::Node;
use crate::trace::{Chains, Entry, Trace, What};
use crate::world::{self, Call, World};

/// Collects the trace and counts events for the faults that wait for them. Outlives the world, so that
/// the trace of a run that ends in a panic is not lost.
#[derive(Clone)]
pub(crate) struct Recorder {
    state: Arc<Mutex<State>>,
}

struct State {
    trace: Trace,
    waiting: Vec<Waiting>,
    /// The entry with which each fault of the schedule began, if it did.
    begun: Vec<Option<usize>>,
    stops: Vec<Stop>,
    /// How long whoever reports next on this node stands still.
    holds: BTreeMap<Node, Duration>,
    /// Snapshots that became durable, by checkpoint.
    written: BTreeMap<CheckpointId, usize>,
    subtasks: usize,
    evidence: Evidence,
}

/// Somebody on `node` who reports `event` next stands still for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Where.
    pub(crate) node: Node,
    /// At what.
    pub(crate) event: &'static str,
    /// How long.
    pub(crate) stall: Duration,
    /// Only when it is the last of all subtasks that reports it of its checkpoint, wherever that is.
    pub(crate) is_last: bool,
}

/// A fault that waits for an event or another fault.
struct Waiting {
    index: usize,
    on: On,
    seen: u32,
}

impl Recorder {
    /// A recorder for this schedule.
    pub(crate) fn new(
        schedule: &[Fault],
        chains: Chains,
        subtasks: usize,
        evidence: Evidence,
    ) -> Self {
        let waiting =
            schedule.iter().enumerate().filter_map(|(index, fault)| match &fault.trigger {
                Trigger::On(on) => Some(Waiting { index, on: on.clone(), seen: 0 }),
                Trigger::At(_) | Trigger::Every(_) => None,
            });
        let state = State {
            trace: Trace { entries: Vec::new(), chains },
            waiting: waiting.collect(),
            begun: vec![None; schedule.len()],
            stops: Vec::new(),
            holds: BTreeMap::new(),
            written: BTreeMap::new(),
            subtasks,
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

    /// A fault of the schedule happens. Returns the faults that waited for it.
    pub(crate) fn note_fault(
        &self,
        at: Duration,
        index: usize,
        verb: &Verb,
    ) -> Vec<(usize, Duration)> {
        let state = &mut *self.lock();
        state.begun[index] = Some(state.trace.entries.len());
        state.trace.entries.push(Entry { at, node: None, what: What::Fault(verb.describe()) });
        let nodes: Vec<Node> = verb.nodes().into_iter().map(Nodes::one).collect();
        due(&mut state.waiting, |on| {
            on.fault.as_deref() == Some(verb.name()) && on.node.is_none_or(|it| nodes.contains(&it))
        })
    }

    /// A call to the disk. Returns the faults that waited for it.
    pub(crate) fn on_call(&self, call: &Call, when: world::When) -> Vec<(usize, Duration)> {
        let time = match when {
            world::When::Before => When::Before,
            world::When::After => When::After,
        };
        let node = Node::from_name(&call.node);
        due(&mut self.lock().waiting, |on| {
            let is_path =
                on.path.as_deref().is_none_or(|it| call.path.to_string_lossy().contains(it));
            on.call.is_some_and(|it| it.world().include(call.operation))
                && on.when.unwrap_or(When::Before) == time
                && is_path
                && (on.node.is_none() || on.node == node)
        })
    }

    /// Whether any fault waits for a call to the disk.
    pub(crate) fn waits_for_calls(&self) -> bool {
        self.lock().waiting.iter().any(|it| it.on.call.is_some())
    }

    /// Whoever reports what is being reported on `node` stands still so long before its next step.
    pub(crate) fn hold(&self, at: Duration, node: Node, stall: Duration) {
        let state = &mut *self.lock();
        state.holds.insert(node, stall);
        let what = What::Struck(format!("{node} stands still for {stall:?}"));
        state.trace.entries.push(Entry { at, node: None, what });
    }

    /// Arms a stop.
    pub(crate) fn stop_at(&self, stop: Stop) {
        self.lock().stops.push(stop);
    }

    fn holds(&self, node: Node) -> bool {
        self.lock().holds.contains_key(&node)
    }

    fn take_hold(&self, node: Node) -> Option<Duration> {
        self.lock().holds.remove(&node)
    }

    /// From now on no fault happens.
    pub(crate) fn end_safety_phase(&self) {
        let state = &mut *self.lock();
        state.waiting.clear();
        state.stops.clear();
    }

    /// The trace so far.
    pub(crate) fn trace(&self) -> Trace {
        self.lock().trace.clone()
    }

    /// The trace so far, with which entry each fault of the schedule began, and what nobody can judge; nothing when a run
    /// that hangs holds them.
    pub(crate) fn try_look(&self) -> (Trace, Vec<Option<usize>>, BTreeSet<&'static str>) {
        let look =
            |state: &State| (state.trace.clone(), state.begun.clone(), state.evidence.unjudged());
        match self.state.try_lock() {
            Ok(state) => look(&state),
            Err(TryLockError::Poisoned(state)) => look(&state.into_inner()),
            Err(TryLockError::WouldBlock) => (Trace::default(), Vec::new(), BTreeSet::new()),
        }
    }

    /// Looks at what was collected besides the trace.
    pub(crate) fn with_evidence<T>(&self, look: impl FnOnce(&mut Evidence) -> T) -> T {
        look(&mut self.lock().evidence)
    }

    /// Records the event and returns the faults that waited for it.
    fn record(&self, world: &World, node: Node, event: Event) -> Vec<(usize, Duration)> {
        let state = &mut *self.lock();
        let at = world.now();
        state.evidence.on_event(at, &world.disk(), &event);
        let (mut is_last, mut struck) = (false, None);
        if let Event::SnapshotWritten { checkpoint, .. } = event {
            let written = state.written.entry(checkpoint).or_default();
            *written += 1;
            is_last = *written == state.subtasks;
        }
        if let Event::JobRescaled { parallelism, .. } = event {
            state.subtasks = state.trace.chains.len() * parallelism as usize;
        }
        let is_met = |it: &Stop| {
            it.event == event.name() && if it.is_last { is_last } else { it.node == node }
        };
        if let Some(index) = state.stops.iter().position(is_met) {
            let stop = state.stops.remove(index);
            state.holds.insert(node, stop.stall);
            struck = Some(stop);
        }
        let chains = &state.trace.chains;
        let due = due(&mut state.waiting, |on| matches(on, node, &event, chains));
        state.trace.entries.push(Entry { at, node: Some(node), what: What::Event(event) });
        if let Some(Stop { event, stall, .. }) = struck {
            let what = What::Struck(format!("{node} stands still for {stall:?} at {event}"));
            state.trace.entries.push(Entry { at, node: None, what });
        }
        due
    }
}

/// Counts what happened for the faults that wait for it, and takes out those whose turn it is.
fn due(waiting: &mut Vec<Waiting>, is_awaited: impl Fn(&On) -> bool) -> Vec<(usize, Duration)> {
    let mut due = Vec::new();
    waiting.retain_mut(|it| {
        if !is_awaited(&it.on) {
            return true;
        }
        it.seen += 1;
        if it.seen < it.on.nth {
            return true;
        }
        due.push((it.index, it.on.after.map_or(Duration::ZERO, |it| it.least)));
        false
    });
    due
}

/// Whether a fault that waits for `on` counts this event.
pub(crate) fn matches(on: &On, node: Node, event: &Event, chains: &Chains) -> bool {
    if on.event.as_deref() != Some(event.name()) || on.node.is_some_and(|it| it != node) {
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
        | Event::JobRescaled { checkpoint, .. }
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
        | Event::WatermarkAdvanced { attempt, .. }
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
    name: String,
    incarnation: u32,
}

impl NodeObserver {
    /// For the current incarnation of `node`.
    pub(crate) fn new(world: &World, injector: &Injector, node: Node) -> Self {
        let name = node.to_string();
        let incarnation = world.incarnation(&name);
        Self { world: world.clone(), injector: injector.clone(), node, name, incarnation }
    }

    fn is_over(&self) -> bool {
        !self.world.is_up(&self.name) || self.world.incarnation(&self.name) != self.incarnation
    }
}

#[async_trait]
impl Observer for NodeObserver {
    fn observe(&self, event: Event) -> Reaction {
        if self.is_over() {
            return Reaction::Yield;
        }
        let recorder = self.injector.recorder();
        let due = recorder.record(&self.world, self.node, event);
        if due.is_empty() && !recorder.holds(self.node) {
            return Reaction::Continue;
        }
        self.injector.happen_after(due, Some(self.node));
        Reaction::Yield
    }

    async fn settle(&self) {
        // Nothing else runs between the report and this line, so the hold is the reporter's.
        let hold = self.injector.recorder().take_hold(self.node).unwrap_or_default();
        // A paused node goes on from here when it is resumed; a crashed one never does.
        self.world.sleep(hold).await;
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}
