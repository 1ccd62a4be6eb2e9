//! In-flight data: is a checkpoint whose barriers overtake records whole, and is what it holds of them
//! processed again exactly once and in order?
//!
//! ```text
//!   source 0 ── outlet [ 3 ] ──► channel [ 2 ] ─┐
//!                                               ├─► operator      each box a real `Subtask` core
//!   source 1 ── outlet [   ] ──► channel [ 1 ] ─┘
//! ```
//!
//! Three jobs in one search: barriers that overtake, barriers that overtake after a time, and barriers that
//! overtake on one channel while the other is pointwise. A trigger may be lost, a checkpoint given up while
//! a barrier of it is under way, and everything may crash and be restored: output in flight is then the
//! first thing in the outlets, input in flight the first thing in the channels, as in the engine.
//!
//! What the engine's driver does with in-flight data is done here by `Port`, step by step the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use seawall_protocol::config::{Alignment, CheckpointMode};
use seawall_protocol::message::Barrier;
use seawall_protocol::subtask::{Effect, Input, Plan, Subtask, Timer};
use seawall_protocol::tamper::{DataStep, Tamper};
use seawall_protocol::{Attempt, AttemptId, ChannelId, CheckpointId, SubtaskId};
use stateright::{Model, Property};

use crate::check::Size;

const SOURCES: [usize; 2] = [0, 1];
const OPERATOR: usize = 2;
const NODES: usize = 3;
/// Records a channel holds before its sender waits. Barriers need no room.
const CHANNEL_CAPACITY: usize = 1;
/// Records that wait in an outlet; an emitting source holds no more.
const OUTLET_CAPACITY: usize = 2;
const TIME: std::time::Duration = std::time::Duration::from_millis(100);

const CHECKPOINTS: u8 = 2;

/// The jobs that are searched, and who tampers with them.
pub struct Unaligned {
    jobs: Vec<Job>,
    tamper: Box<dyn Tamper>,
}

/// One job, its input and the budget of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Job {
    way: Way,
    /// Records of each source, numbered from 1.
    records: [u8; 2],
    given_up_max: u8,
    crashes_max: u8,
}

impl Unaligned {
    /// The model at a size.
    pub fn new(size: Size, tamper: Box<dyn Tamper>) -> Self {
        let few = match size {
            Size::Smoke => [1, 1],
            Size::Merge => [2, 1],
        };
        // Of one source more is needed: one record that arrived and one that did not leave.
        let more = [2, few[1]];
        let gives_up = |way| Job { way, records: few, given_up_max: 1, crashes_max: 0 };
        let crashes = |way| Job { way, records: more, given_up_max: 0, crashes_max: 1 };
        let jobs = vec![
            gives_up(Way::Overtaking),
            gives_up(Way::Timed),
            gives_up(Way::BesidePointwise),
            crashes(Way::Overtaking),
            crashes(Way::Timed),
        ];
        Self { jobs, tamper }
    }
}

/// How barriers go through the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Overtaking,
    Timed,
    /// The channel of source 1 is pointwise.
    BesidePointwise,
}

impl Way {
    fn barrier(self, checkpoint: u8) -> Barrier {
        let alignment = match self {
            Self::Overtaking | Self::BesidePointwise => Alignment::Unaligned,
            Self::Timed => Alignment::AlignedFor(TIME),
        };
        Barrier { alignment, ..Barrier::aligned(CheckpointId(checkpoint.into())) }
    }

    fn is_pointwise(self, source: usize) -> bool {
        self == Self::BesidePointwise && source == 1
    }
}

/// What travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Element {
    Record(u8),
    Barrier(Barrier),
    CancelMarker(u8),
}

impl Element {
    fn is_barrier_of(self, checkpoint: u8) -> bool {
        matches!(self, Self::Barrier(barrier) if small(barrier.checkpoint) == checkpoint)
    }
}

/// Both ends of one channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Port {
    /// Emitted, and not left.
    outlet: VecDeque<Element>,
    /// Arrived, and not processed.
    queue: VecDeque<Element>,
    /// Of which checkpoint what arrives is copied.
    captures: Option<u8>,
    is_blocked: bool,
}

/// A snapshot, with what was added to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Snapshot {
    /// Records emitted, or processed of each source.
    seen: [u8; 2],
    /// In-flight data of each channel.
    in_flight: [Vec<u8>; 2],
    is_sealed: bool,
    is_acked: bool,
}

/// One subtask and what its driver keeps for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    core: Subtask,
    /// The last record emitted, or processed of each source: the state.
    seen: [u8; 2],
    snapshots: BTreeMap<u8, Snapshot>,
    /// The timer that is armed.
    armed: Option<u8>,
    /// The checkpoint whose time is over.
    timed_out: Option<u8>,
    /// The timed barrier that waits in the outlet.
    unsent: Option<u8>,
    /// Checkpoints it was told are given up, as bits.
    told: u8,
}

/// The whole job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    job: Job,
    /// Before that, the job is to be chosen.
    has_begun: bool,
    nodes: Vec<Node>,
    ports: [Port; 2],
    next_trigger: [u8; 2],
    /// Checkpoints that were given up, as bits.
    given_up: u8,
    crashes: u8,
    /// The checkpoint that was restored, and is completed in this life from the start.
    restored: Option<u8>,
    /// Restored records held back by a planted bug.
    late: [Vec<u8>; 2],
    /// A record was processed that was not the next of its source.
    is_out_of_order: bool,
    /// A checkpoint was completed that did not hold exactly what its sources had emitted.
    is_wrong: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The search chooses one of its jobs.
    Begin(usize),
    /// A source emits its next record.
    Emit(usize),
    /// What waits first in a source's outlet leaves.
    Send(usize),
    /// The operator takes what is at the head of a channel.
    Take(usize),
    /// A source gets its next trigger.
    Trigger(usize, u8),
    /// The coordinator gives a checkpoint up.
    GiveUp(u8),
    /// A subtask learns of it.
    TellAborted(usize, u8),
    /// The time to align is over.
    TimeOut(usize),
    /// Everything crashes and is restored from the newest completed checkpoint.
    Crash,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(job) => write!(f, "job {job} of the search begins"),
            Self::Emit(source) => write!(f, "source/{source} emits a record"),
            Self::Send(source) => write!(f, "what source/{source} emitted first leaves"),
            Self::Take(channel) => write!(f, "operator/0 takes the next element of ch{channel}"),
            Self::Trigger(source, n) => {
                write!(f, "source/{source} is triggered for checkpoint {n}")
            }
            Self::GiveUp(n) => write!(f, "checkpoint {n} is given up"),
            Self::TellAborted(node, n) => {
                write!(f, "{} learns that checkpoint {n} was given up", name(*node))
            }
            Self::TimeOut(node) => write!(f, "{} has waited long enough", name(*node)),
            Self::Crash => f.write_str("everything crashes and is restored"),
        }
    }
}

fn name(node: usize) -> String {
    if node == OPERATOR { "operator/0".into() } else { format!("source/{node}") }
}

fn small(checkpoint: CheckpointId) -> u8 {
    u8::try_from(checkpoint.0).expect("few checkpoints")
}

fn channel_id(channel: usize) -> ChannelId {
    ChannelId(u32::try_from(channel).expect("two channels"))
}

impl State {
    fn is_given_up(&self, checkpoint: u8) -> bool {
        self.given_up & (1 << checkpoint) != 0
    }

    fn is_completed(&self, checkpoint: u8) -> bool {
        self.restored >= Some(checkpoint)
            || self
                .nodes
                .iter()
                .all(|it| it.snapshots.get(&checkpoint).is_some_and(|it| it.is_acked))
    }

    /// The newest completed checkpoint of this life.
    fn completed(&self) -> Option<u8> {
        let acked = self.nodes[OPERATOR].snapshots.keys().rev().copied();
        acked.filter(|it| !self.is_given_up(*it)).find(|it| self.is_completed(*it))
    }

    fn new(job: Job) -> Self {
        Self {
            job,
            has_begun: false,
            nodes: (0..NODES).map(|it| Self::node(job.way, it, None, [0; 2])).collect(),
            ports: Default::default(),
            next_trigger: [1; 2],
            given_up: 0,
            crashes: 0,
            restored: None,
            late: Default::default(),
            is_out_of_order: false,
            is_wrong: false,
        }
    }

    fn plan(way: Way, node: usize, restored: Option<u8>) -> Plan {
        let (operator, index) = if node == OPERATOR { (1, 0) } else { (0, node) };
        let subtask = SubtaskId::new(operator, u32::try_from(index).expect("two subtasks"));
        let pointwise = SOURCES.into_iter().filter(|it| way.is_pointwise(*it)).map(channel_id);
        Plan {
            attempt: AttemptId {
                subtask,
                attempt: Attempt(if restored.is_some() { 2 } else { 1 }),
            },
            channels: if node == OPERATOR { 2 } else { 0 },
            pointwise: if node == OPERATOR { pointwise.collect() } else { BTreeSet::new() },
            has_sink: false,
            has_callbacks: false,
            mode: CheckpointMode::ExactlyOnce,
            restored: restored.map(|it| CheckpointId(it.into())),
            restored_transactions: BTreeSet::new(),
            is_restored_at_end: false,
            finishes_together: false,
            is_stopping: false,
        }
    }

    fn node(way: Way, node: usize, restored: Option<u8>, seen: [u8; 2]) -> Node {
        Node {
            core: Subtask::new(Self::plan(way, node, restored)),
            seen,
            snapshots: BTreeMap::new(),
            armed: None,
            timed_out: None,
            unsent: None,
            told: 0,
        }
    }

    /// Hands an element to the operator's end of the channel; what the core hears of it at once.
    fn arrive(&mut self, channel: usize, element: Element) -> Option<Input> {
        let port = &mut self.ports[channel];
        match element {
            Element::Barrier(barrier)
                if port.captures.is_some_and(|it| element.is_barrier_of(it)) =>
            {
                return Some(Input::Barrier { channel: channel_id(channel), barrier });
            }
            Element::Record(record) => {
                if let Some(checkpoint) = port.captures {
                    self.add(OPERATOR, checkpoint, channel, &[record]);
                }
            }
            Element::Barrier(_) | Element::CancelMarker(_) => {}
        }
        self.ports[channel].queue.push_back(element);
        match element {
            Element::Barrier(barrier) if barrier.overtakes() != Alignment::Aligned => {
                Some(Input::Announced { channel: channel_id(channel), barrier })
            }
            Element::Barrier(_) | Element::Record(_) | Element::CancelMarker(_) => None,
        }
    }

    fn add(&mut self, node: usize, checkpoint: u8, channel: usize, records: &[u8]) {
        if let Some(snapshot) = self.nodes[node].snapshots.get_mut(&checkpoint) {
            snapshot.in_flight[channel].extend_from_slice(records);
        }
    }

    /// Copies what is queued before the barrier, and from now on what arrives before it.
    fn capture(&mut self, channel: usize, checkpoint: u8) -> Option<Input> {
        let port = &mut self.ports[channel];
        let at = port.queue.iter().position(|it| it.is_barrier_of(checkpoint));
        let before = port.queue.iter().take(at.unwrap_or(port.queue.len()));
        let records = records(before);
        let found = at.and_then(|it| port.queue.remove(it));
        port.captures = Some(checkpoint);
        self.add(OPERATOR, checkpoint, channel, &records);
        match found {
            Some(Element::Barrier(barrier)) => {
                Some(Input::Barrier { channel: channel_id(channel), barrier })
            }
            _ => None,
        }
    }
}

fn records<'a>(elements: impl Iterator<Item = &'a Element>) -> Vec<u8> {
    let of = |it: &Element| match it {
        Element::Record(record) => Some(*record),
        Element::Barrier(_) | Element::CancelMarker(_) => None,
    };
    elements.filter_map(of).collect()
}

/// Inputs of the cores that follow from a step, each with its node.
type Inputs = VecDeque<(usize, Input)>;

impl Unaligned {
    fn feed(&self, state: &mut State, node: usize, input: Input) {
        let mut inputs = Inputs::from([(node, input)]);
        while let Some((node, mut input)) = inputs.pop_front() {
            let plan = state.nodes[node].core.plan().clone();
            if !self.tamper.admits_to_subtask(&plan, &mut input) {
                continue;
            }
            let mut effects = Vec::new();
            state.nodes[node].core.handle(input.clone(), &mut effects);
            self.tamper.after_subtask(&plan, &input, &mut effects);
            // What an effect gives rise to at this node comes before what happens elsewhere.
            let mut own = Inputs::new();
            for effect in effects {
                self.perform(state, node, &effect, &mut own);
            }
            own.extend(inputs);
            inputs = own;
        }
    }

    fn perform(&self, state: &mut State, index: usize, effect: &Effect, inputs: &mut Inputs) {
        let node = &mut state.nodes[index];
        match effect {
            Effect::Block(channel) => state.ports[channel.0 as usize].is_blocked = true,
            Effect::Unblock(channel) => state.ports[channel.0 as usize].is_blocked = false,
            Effect::ForwardBarrier(barrier) if index != OPERATOR => {
                self.forward(state, index, *barrier, inputs);
            }
            Effect::OvertakeOutput(barrier) if index != OPERATOR => {
                state.nodes[index].unsent = None;
                self.overtake(state, index, *barrier, inputs);
            }
            // Nothing is behind the operator: its barriers leave at once.
            Effect::ForwardBarrier(barrier) => {
                if let Alignment::AlignedFor(_) = barrier.overtakes() {
                    inputs.push_back((index, Input::BarrierSent(barrier.checkpoint)));
                }
            }
            Effect::ForwardCancelMarker(checkpoint) if index != OPERATOR => {
                state.ports[index].outlet.push_back(Element::CancelMarker(small(*checkpoint)));
            }
            Effect::Snapshot(barrier) => {
                let checkpoint = small(barrier.checkpoint);
                let is_sealed = barrier.overtakes() == Alignment::Aligned;
                // A source has added what its barrier went ahead of.
                let snapshot = node.snapshots.entry(checkpoint).or_default();
                *snapshot = Snapshot { seen: node.seen, is_sealed, ..snapshot.clone() };
                if is_sealed {
                    inputs.push_back((index, Input::SnapshotDurable(barrier.checkpoint)));
                }
            }
            Effect::CaptureInput { channel, checkpoint } => {
                let found = state.capture(channel.0 as usize, small(*checkpoint));
                inputs.extend(found.map(|it| (index, it)));
            }
            Effect::EndCapture { channel, .. } => state.ports[channel.0 as usize].captures = None,
            Effect::SealSnapshot(checkpoint) => {
                node.unsent = None;
                let snapshot = node.snapshots.get_mut(&small(*checkpoint));
                snapshot.expect("it was taken").is_sealed = true;
                if index == OPERATOR {
                    end_captures(state);
                }
                inputs.push_back((index, Input::SnapshotDurable(*checkpoint)));
            }
            Effect::DiscardSnapshot(checkpoint) => {
                node.unsent = None;
                node.snapshots.remove(&small(*checkpoint));
                if index == OPERATOR {
                    end_captures(state);
                }
            }
            Effect::Ack(checkpoint) => {
                if let Some(snapshot) = node.snapshots.get_mut(&small(*checkpoint)) {
                    snapshot.is_acked = true;
                }
            }
            Effect::Decline(checkpoint, _) => state.given_up |= 1 << small(*checkpoint),
            Effect::Arm(Timer::AlignmentTimeout(checkpoint), _) => {
                node.armed = Some(small(*checkpoint));
            }
            Effect::Disarm(_) => node.armed = None,
            Effect::Run
            | Effect::Note(_)
            | Effect::ForwardCancelMarker(_)
            | Effect::OvertakeOutput(_)
            | Effect::Confirm(_) => {}
            Effect::PreCommit(_)
            | Effect::Commit(_)
            | Effect::AbortLingering
            | Effect::TellCompleted(_)
            | Effect::TellAborted(_)
            | Effect::EndInput
            | Effect::Pause
            | Effect::Resume
            | Effect::ReportEnded
            | Effect::Finish
            | Effect::Fail { .. } => unreachable!("no subtask of this model has a sink or ends"),
        }
    }

    /// Sends the barrier: ahead of what waits, or behind it.
    fn forward(&self, state: &mut State, source: usize, barrier: Barrier, inputs: &mut Inputs) {
        let checkpoint = small(barrier.checkpoint);
        let overtakes = barrier.overtakes();
        state.nodes[source].snapshots.insert(checkpoint, Snapshot::default());
        state.ports[source].outlet.push_back(Element::Barrier(barrier));
        if overtakes == Alignment::Unaligned {
            self.overtake(state, source, barrier, inputs);
        } else if let Alignment::AlignedFor(_) = overtakes {
            state.nodes[source].unsent = Some(checkpoint);
        }
        Self::pump(state, source, inputs);
    }

    /// Lets the barrier in the outlet go ahead of what waits before it, which is added to the snapshot.
    fn overtake(&self, state: &mut State, source: usize, barrier: Barrier, inputs: &mut Inputs) {
        let checkpoint = small(barrier.checkpoint);
        let port = &mut state.ports[source];
        let Some(at) = port.outlet.iter().position(|it| it.is_barrier_of(checkpoint)) else {
            return;
        };
        port.outlet[at] = Element::Barrier(barrier);
        let is_aligned = !self.tamper.skips(DataStep::AlignPointwise);
        if is_aligned && state.job.way.is_pointwise(source) {
            return;
        }
        let overtaken = records(port.outlet.iter().take(at));
        port.outlet.remove(at);
        if !self.tamper.skips(DataStep::CaptureOutput) {
            state.add(source, checkpoint, source, &overtaken);
        }
        let heard = state.arrive(source, Element::Barrier(barrier));
        inputs.extend(heard.map(|it| (OPERATOR, it)));
    }

    /// What needs no room leaves as soon as it is first.
    fn pump(state: &mut State, source: usize, inputs: &mut Inputs) {
        while let Some(Element::Barrier(_) | Element::CancelMarker(_)) =
            state.ports[source].outlet.front()
        {
            Self::send_first(state, source, inputs);
        }
    }

    fn send_first(state: &mut State, source: usize, inputs: &mut Inputs) {
        let element = state.ports[source].outlet.pop_front().expect("something waits");
        let unsent = state.nodes[source].unsent;
        if let Some(checkpoint) = unsent.filter(|it| element.is_barrier_of(*it)) {
            state.nodes[source].unsent = None;
            inputs.push_back((source, Input::BarrierSent(CheckpointId(checkpoint.into()))));
        }
        let heard = state.arrive(source, element);
        inputs.extend(heard.map(|it| (OPERATOR, it)));
    }

    fn feed_all(&self, state: &mut State, inputs: Inputs) {
        for (node, input) in inputs {
            self.feed(state, node, input);
        }
    }

    fn emit(state: &mut State, source: usize) {
        state.nodes[source].seen[source] += 1;
        let record = state.nodes[source].seen[source];
        state.ports[source].outlet.push_back(Element::Record(record));
        let late = std::mem::take(&mut state.late[source]);
        state.ports[source].outlet.extend(late.into_iter().map(Element::Record));
    }

    fn take(&self, state: &mut State, channel: usize) {
        let element = state.ports[channel].queue.pop_front().expect("chosen because it has one");
        let id = channel_id(channel);
        match element {
            Element::Record(record) => {
                let last = &mut state.nodes[OPERATOR].seen[channel];
                state.is_out_of_order |= record != *last + 1;
                *last = record;
            }
            Element::Barrier(barrier) => {
                self.feed(state, OPERATOR, Input::Barrier { channel: id, barrier });
            }
            Element::CancelMarker(checkpoint) => {
                let checkpoint = CheckpointId(checkpoint.into());
                self.feed(state, OPERATOR, Input::CancelMarker { channel: id, checkpoint });
            }
        }
    }

    fn restore(&self, state: &mut State) {
        let checkpoint = state.completed().expect("chosen because there is one");
        let snapshots: Vec<_> =
            state.nodes.iter().map(|it| it.snapshots[&checkpoint].clone()).collect();
        let next = state.next_trigger[0].max(state.next_trigger[1]);
        state.nodes = snapshots
            .iter()
            .enumerate()
            .map(|(node, it)| State::node(state.job.way, node, Some(checkpoint), it.seen))
            .collect();
        state.ports = Default::default();
        state.next_trigger = [next; 2];
        state.crashes += 1;
        state.restored = Some(checkpoint);
        // A checkpoint that was under way is not waited for.
        for pending in checkpoint + 1..next {
            state.given_up |= 1 << pending;
        }
        state.nodes.iter_mut().for_each(|it| it.told = state.given_up);
        for source in SOURCES {
            let of = |it: &[u8]| {
                let mut records: VecDeque<_> = it.iter().copied().map(Element::Record).collect();
                if self.tamper.skips(DataStep::ReplayInOrder) {
                    records.make_contiguous().reverse();
                }
                records
            };
            if !self.tamper.skips(DataStep::ReplayInput) {
                state.ports[source].queue = of(&snapshots[OPERATOR].in_flight[source]);
            }
            let output = snapshots[source].in_flight[source].clone();
            if self.tamper.skips(DataStep::ReplayOutput) {
                continue;
            }
            if self.tamper.skips(DataStep::ReplayFirst) {
                state.late[source] = output;
            } else {
                state.ports[source].outlet = of(&output);
            }
        }
        for node in 0..NODES {
            self.feed(state, node, Input::Start);
        }
    }
}

fn end_captures(state: &mut State) {
    state.ports.iter_mut().for_each(|it| it.captures = None);
}

impl Model for Unaligned {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.jobs[0])]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.has_begun {
            actions.extend((0..self.jobs.len()).map(Action::Begin));
            return;
        }
        for source in SOURCES {
            let port = &state.ports[source];
            let is_clear = port.outlet.len() < OUTLET_CAPACITY;
            if is_clear && state.nodes[source].seen[source] < state.job.records[source] {
                actions.push(Action::Emit(source));
            }
            // Only a record can be first here: what needs no room has left.
            if !port.outlet.is_empty() && port.queue.len() < CHANNEL_CAPACITY {
                actions.push(Action::Send(source));
            }
            if !port.queue.is_empty() && !port.is_blocked {
                actions.push(Action::Take(source));
            }
            let next = state.next_trigger[source];
            let is_first = state.next_trigger[1 - source] <= next;
            let has_ended = |n: u8| state.is_completed(n) || state.is_given_up(n);
            // One at a time (E10).
            if next <= CHECKPOINTS && (!is_first || (1..next).all(has_ended)) {
                actions.push(Action::Trigger(source, next));
            }
        }
        for node in 0..NODES {
            if state.nodes[node].armed.is_some() {
                actions.push(Action::TimeOut(node));
            }
        }
        let is_spent = state.given_up.count_ones() >= u32::from(state.job.given_up_max);
        for checkpoint in 1..=CHECKPOINTS {
            if state.is_given_up(checkpoint) {
                for node in 0..NODES {
                    if state.nodes[node].told & (1 << checkpoint) == 0 {
                        actions.push(Action::TellAborted(node, checkpoint));
                    }
                }
            } else if !is_spent
                && state.next_trigger.iter().any(|it| *it > checkpoint)
                && !state.is_completed(checkpoint)
            {
                actions.push(Action::GiveUp(checkpoint));
            }
        }
        if state.crashes < state.job.crashes_max && state.completed() == Some(1) {
            actions.push(Action::Crash);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(job) => {
                state = State { has_begun: true, ..State::new(self.jobs[job]) };
                for node in 0..NODES {
                    self.feed(&mut state, node, Input::Start);
                }
            }
            Action::Emit(source) => Self::emit(&mut state, source),
            Action::Send(source) => {
                let mut inputs = Inputs::new();
                Self::send_first(&mut state, source, &mut inputs);
                Self::pump(&mut state, source, &mut inputs);
                self.feed_all(&mut state, inputs);
            }
            Action::Take(channel) => self.take(&mut state, channel),
            Action::Trigger(source, checkpoint) => {
                state.next_trigger[source] += 1;
                let barrier = state.job.way.barrier(checkpoint);
                self.feed(&mut state, source, Input::Trigger(barrier));
            }
            Action::GiveUp(checkpoint) => {
                state.given_up |= 1 << checkpoint;
                // One of the mirror images is told at once.
                state.nodes[0].told |= 1 << checkpoint;
                self.feed(&mut state, 0, Input::Aborted(CheckpointId(checkpoint.into())));
            }
            Action::TellAborted(node, checkpoint) => {
                state.nodes[node].told |= 1 << checkpoint;
                self.feed(&mut state, node, Input::Aborted(CheckpointId(checkpoint.into())));
            }
            Action::TimeOut(node) => {
                let checkpoint = state.nodes[node].armed.take()?;
                state.nodes[node].timed_out = Some(checkpoint);
                let timer = Timer::AlignmentTimeout(CheckpointId(checkpoint.into()));
                self.feed(&mut state, node, Input::Timer(timer));
            }
            Action::Crash => self.restore(&mut state),
        }
        // A marker that the step put first in an outlet leaves with it.
        for source in SOURCES {
            let mut inputs = Inputs::new();
            Self::pump(&mut state, source, &mut inputs);
            self.feed_all(&mut state, inputs);
        }
        state.forget_what_is_not_needed();
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // E2, E3, T3, T4: what was processed, what had arrived and what had not left are together exactly
            // what the source had emitted, in its order.
            Property::always("exactly-once-state", |_: &Self, state: &State| {
                !state.is_wrong && (1..=CHECKPOINTS).all(|n| state.is_whole(n))
            }),
            // E6, T1: the operator processes each record once and in order, before and after a restore.
            Property::always("exactly-once-output", |_: &Self, state: &State| {
                !state.is_out_of_order
            }),
            // E4: whoever acked had added everything; who still adds to a snapshot has not acked it.
            Property::always("acks-what-is-whole", |_: &Self, state: &State| {
                let is_whole = |it: &Snapshot| it.is_sealed || !it.is_acked;
                state.nodes.iter().flat_map(|it| it.snapshots.values()).all(is_whole)
            }),
            // E5: the operator takes a snapshot only when some source has, and none older than its newest.
            Property::always("barriers-in-order", |_: &Self, state: &State| {
                let is_old = |n: u8, node: &Node| {
                    node.snapshots.get(&n).is_some_and(|it| !it.is_sealed)
                        && node.snapshots.keys().next_back() > Some(&n)
                };
                state.nodes.iter().all(|node| !node.snapshots.keys().any(|n| is_old(*n, node)))
            }),
            // E1: a barrier that overtakes waits for no record, neither at the input nor in the output.
            Property::always("barriers-overtake", |_: &Self, state: &State| {
                state.job.way != Way::Overtaking
                    || (state.ports.iter().all(|port| {
                        let is_barrier = |it: &Element| matches!(it, Element::Barrier(_));
                        !port.outlet.iter().any(is_barrier)
                    }) && state.ports.iter().flat_map(|it| &it.queue).all(|it| match it {
                        Element::Barrier(barrier) => !state.is_awaited(small(barrier.checkpoint)),
                        Element::Record(_) | Element::CancelMarker(_) => true,
                    }))
            }),
            // E7: nothing of a pointwise channel is ever in a snapshot.
            Property::always("pointwise-is-aligned", |_: &Self, state: &State| {
                let snapshots = state.nodes.iter().flat_map(|it| it.snapshots.values());
                let holds = |it: &Snapshot, source: usize| !it.in_flight[source].is_empty();
                let mut held = snapshots.flat_map(|it| SOURCES.map(|source| (it, source)));
                !held.any(|(it, source)| state.job.way.is_pointwise(source) && holds(it, source))
            }),
            // E9: once the time is over, nothing waits for a record any more.
            Property::always("time-ends-the-wait", |_: &Self, state: &State| {
                state.nodes.iter().enumerate().all(|(index, node)| {
                    let Some(checkpoint) = node.timed_out else { return true };
                    let waits = |it: &Element| it.is_barrier_of(checkpoint);
                    if index == OPERATOR {
                        !state.is_awaited(checkpoint)
                    } else {
                        !state.ports[index].outlet.iter().any(waits)
                            || !node.snapshots.contains_key(&checkpoint)
                    }
                })
            }),
            // T11, T15: everything arrives, nothing stays blocked, what was triggered completes.
            Property::eventually("recovers", |_: &Self, state: &State| {
                state.nodes[OPERATOR].seen == state.job.records
                    && state
                        .ports
                        .iter()
                        .all(|it| it.queue.is_empty() && it.outlet.is_empty() && !it.is_blocked)
                    && (1..=CHECKPOINTS).all(|n| state.is_completed(n) || state.is_given_up(n))
            }),
            Property::sometimes("records are captured on both sides", |_: &Self, state: &State| {
                let holds = |node: usize| {
                    let mut snapshots = state.nodes[node].snapshots.values();
                    snapshots.any(|it| it.is_acked && it.in_flight.iter().any(|it| !it.is_empty()))
                };
                holds(0) && holds(OPERATOR)
            }),
            Property::sometimes("replays on both sides", |_: &Self, state: &State| {
                let port = &state.ports[0];
                state.crashes > 0
                    && state.nodes[OPERATOR].seen[0] == 0
                    && port.queue.front() == Some(&Element::Record(1))
                    && port.outlet.front() == Some(&Element::Record(2))
                    && state.nodes[0].seen[0] == 2
            }),
            Property::sometimes("the time is over at the input", |_: &Self, state: &State| {
                state.nodes[OPERATOR].timed_out.is_some()
                    && state.ports.iter().any(|it| it.captures.is_some())
            }),
            Property::sometimes("the time is over in the output", |_: &Self, state: &State| {
                state.nodes[0].timed_out.is_some()
                    && state.nodes[0].snapshots.values().any(|it| !it.in_flight[0].is_empty())
            }),
            Property::sometimes(
                "a capture is given up and the next one is whole",
                |_: &Self, state: &State| {
                    state.is_given_up(1)
                        && state.nodes[OPERATOR].told & 2 != 0
                        && state.is_completed(2)
                },
            ),
        ]
    }
}

impl State {
    /// Whether the sealed parts of the checkpoint hold each record once and in order.
    fn is_whole(&self, checkpoint: u8) -> bool {
        let of =
            |node: usize| self.nodes[node].snapshots.get(&checkpoint).filter(|it| it.is_sealed);
        let Some(operator) = of(OPERATOR) else { return true };
        SOURCES.into_iter().all(|source| {
            let Some(emitted) = of(source) else { return true };
            let mut held: Vec<u8> = (1..=operator.seen[source]).collect();
            held.extend_from_slice(&operator.in_flight[source]);
            held.extend_from_slice(&emitted.in_flight[source]);
            held == (1..=emitted.seen[source]).collect::<Vec<_>>()
        })
    }

    /// Judges completed checkpoints, and empties those that no crash will restore: what they held would
    /// tell states apart that go on alike.
    fn forget_what_is_not_needed(&mut self) {
        for checkpoint in 1..=CHECKPOINTS {
            let is_here = self.nodes[OPERATOR].snapshots.contains_key(&checkpoint);
            if !is_here || !self.is_completed(checkpoint) {
                continue;
            }
            self.is_wrong |= !self.is_whole(checkpoint);
            let is_last = checkpoint == CHECKPOINTS;
            for node in &mut self.nodes {
                for (n, snapshot) in &mut node.snapshots {
                    let may_be_restored =
                        *n == checkpoint && !is_last && self.crashes < self.job.crashes_max;
                    if *n <= checkpoint && !may_be_restored {
                        *snapshot =
                            Snapshot { is_sealed: true, is_acked: true, ..Snapshot::default() };
                    }
                }
            }
        }
    }

    /// Whether the operator has still to take its snapshot of this checkpoint.
    fn is_awaited(&self, checkpoint: u8) -> bool {
        let operator = &self.nodes[OPERATOR];
        let is_over = self.is_given_up(checkpoint) || self.restored >= Some(checkpoint);
        let has_newer = operator.snapshots.keys().next_back() >= Some(&checkpoint);
        !is_over && !has_newer
    }
}
