//! Alignment: does one barrier on each channel cut the whole job at one consistent place?
//!
//! ```text
//!   source 0 ─┬─► operator 0 ─┐
//!             ╳               ├─► sink       each box a real `Subtask` core, each arrow a FIFO channel
//!   source 1 ─┴─► operator 1 ─┘
//! ```
//!
//! Sources emit records and get triggers in any order and at any pace, so two checkpoints overlap; a trigger
//! may be lost, and the checkpoint is then given up and every subtask told, in any order, or subsumed by
//! the next one. Snapshots are durable at once: that an ack waits for its snapshot is the business of
//! the model [`crate::commit`].
//!
//! Three jobs in one search: exactly once; exactly once with a source that finishes, whose end counts as its
//! barrier from then on; and at least once, where nothing blocks.

use std::collections::{BTreeSet, VecDeque};

use seawall_protocol::config::CheckpointMode;
use seawall_protocol::message::Barrier;
use seawall_protocol::subtask::{Effect, Input, Plan, Subtask};
use seawall_protocol::tamper::Tamper;
use seawall_protocol::{Attempt, AttemptId, ChannelId, CheckpointId, SubtaskId};
use stateright::{Model, Property};

use crate::check::Size;

mod action;

pub use action::{Action, Job};

const SOURCES: [usize; 2] = [0, 1];
const OPERATORS: [usize; 2] = [2, 3];
const SINK: usize = 4;
const NODES: usize = 5;
/// The source that may finish.
const FINISHING: usize = 1;

/// From which node to which, and as which of its channels.
const CHANNELS: [(usize, usize, u32); 6] =
    [(0, 2, 0), (0, 3, 0), (1, 2, 1), (1, 3, 1), (2, 4, 0), (3, 4, 1)];

/// The job, its input and the budget of faults.
pub struct Alignment {
    records_per_source: u8,
    checkpoints: u8,
    channel_capacity: usize,
    lost_triggers_max: u8,
    tamper: Box<dyn Tamper>,
}

impl Alignment {
    /// The model at a size.
    pub fn new(size: Size, tamper: Box<dyn Tamper>) -> Self {
        let (records_per_source, channel_capacity) = match size {
            Size::Smoke => (1, 1),
            Size::Merge => (2, 1),
        };
        Self { records_per_source, checkpoints: 2, channel_capacity, lost_triggers_max: 1, tamper }
    }

    /// The record a source emits next after `emitted` of them, as a bit.
    fn record(&self, source: usize, emitted: u8) -> u16 {
        let before = if source == 0 { 0 } else { self.records_per_source };
        1 << (before + emitted)
    }

    /// Records of both sources that pass through the node.
    fn routed(&self, node: usize) -> u16 {
        let mut records = 0;
        for source in SOURCES {
            for emitted in 0..self.records_per_source {
                if node == source || node == SINK || node == operator_for(source, emitted) {
                    records |= self.record(source, emitted);
                }
            }
        }
        records
    }
}

/// Records alternate between the operators; the sources start with different ones.
fn operator_for(source: usize, emitted: u8) -> usize {
    OPERATORS[(source + usize::from(emitted)) % 2]
}

/// What is in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Element {
    Record(u16),
    Barrier(u8),
    CancelMarker(u8),
    Closed,
}

/// One subtask and what its driver keeps for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    core: Subtask,
    /// Channels not to be read, as bits.
    blocked: u8,
    /// Records emitted or processed: the state.
    seen: u16,
    /// The state at each snapshot that was taken, by checkpoint.
    snapshots: Vec<Option<u16>>,
    /// Checkpoints acked, as bits.
    acked: u8,
    /// Checkpoints it was told are given up, as bits.
    told: u8,
}

/// The whole job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    nodes: Vec<Node>,
    channels: Vec<VecDeque<Element>>,
    emitted: [u8; 2],
    next_trigger: [u8; 2],
    /// Checkpoints one of whose triggers was lost, as bits.
    lost: u8,
    lost_triggers: u8,
    /// Before that, the job is to be chosen.
    has_begun: bool,
    /// Whether source 1 may finish in this job, and whether it did.
    end: End,
}

/// The end of source 1; the other is its mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Never,
    Ahead,
    Reached,
}

impl State {
    fn has_room(&self, node: usize, capacity: usize) -> bool {
        CHANNELS
            .iter()
            .zip(&self.channels)
            .all(|((from, _, _), channel)| *from != node || channel.len() < capacity)
    }

    /// A finish counts as the ack that is still owed (N1).
    fn is_completed(&self, checkpoint: u8) -> bool {
        let counts = |(index, node): (usize, &Node)| {
            node.acked & (1 << checkpoint) != 0 || self.has_finished(index)
        };
        self.nodes.iter().enumerate().all(counts)
    }

    fn has_finished(&self, node: usize) -> bool {
        node == FINISHING && self.end == End::Reached
    }

    fn mode(&self) -> CheckpointMode {
        self.nodes[SINK].core.plan().mode
    }

    /// What the sources had emitted before their barriers of the checkpoint, or before their end.
    fn before(&self, checkpoint: usize) -> u16 {
        let emitted = |source: usize| {
            let at_end = self.has_finished(source).then_some(self.nodes[source].seen);
            self.nodes[source].snapshots[checkpoint].or(at_end).unwrap_or_default()
        };
        SOURCES.into_iter().fold(0, |all, source| all | emitted(source))
    }

    fn push_on_all(&mut self, node: usize, element: Element) {
        for (index, (from, _, _)) in CHANNELS.iter().enumerate() {
            if *from == node {
                self.channels[index].push_back(element);
            }
        }
    }

    fn push_record(&mut self, from: usize, to: usize, record: u16) {
        let index = CHANNELS.iter().position(|it| (it.0, it.1) == (from, to));
        self.channels[index.expect("they are connected")].push_back(Element::Record(record));
    }
}

impl Alignment {
    /// What each snapshot holds, and what was before its barriers.
    fn snapshots<'a>(&'a self, state: &'a State) -> impl Iterator<Item = (u16, u16)> + 'a {
        (1..=usize::from(self.checkpoints)).flat_map(move |n| {
            let before = state.before(n);
            state.nodes.iter().enumerate().filter_map(move |(index, node)| {
                Some((node.snapshots[n]?, before & self.routed(index)))
            })
        })
    }

    fn begin(&self, job: Job) -> State {
        // Only the first one loses triggers. The others hold with that too, at four times the states.
        let (mode, end, lost_triggers) = match job {
            Job::ExactlyOnce => (CheckpointMode::ExactlyOnce, End::Never, 0),
            Job::Ending => (CheckpointMode::ExactlyOnce, End::Ahead, self.lost_triggers_max),
            Job::AtLeastOnce => (CheckpointMode::AtLeastOnce, End::Never, self.lost_triggers_max),
        };
        let node = |node: usize| {
            let (operator, index) = match node {
                0 | 1 => (0, node),
                2 | 3 => (1, node - 2),
                _ => (2, 0),
            };
            let subtask = SubtaskId::new(operator, u32::try_from(index).expect("two subtasks"));
            let plan = Plan {
                attempt: AttemptId { subtask, attempt: Attempt(1) },
                channels: if node < 2 { 0 } else { 2 },
                pointwise: BTreeSet::new(),
                has_callbacks: false,
                has_sink: false,
                mode,
                restored: None,
                restored_transactions: BTreeSet::new(),
                is_restored_at_end: false,
                finishes_together: false,
                is_stopping: false,
            };
            Node {
                core: Subtask::new(plan),
                blocked: 0,
                seen: 0,
                snapshots: vec![None; usize::from(self.checkpoints) + 1],
                acked: 0,
                told: 0,
            }
        };
        let mut state = State {
            nodes: (0..NODES).map(node).collect(),
            channels: vec![VecDeque::new(); CHANNELS.len()],
            emitted: [0; 2],
            next_trigger: [1; 2],
            lost: 0,
            lost_triggers,
            has_begun: true,
            end,
        };
        for node in 0..NODES {
            self.feed(&mut state, node, Input::Start);
        }
        state
    }

    fn feed(&self, state: &mut State, node: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(mut input) = inputs.pop_front() {
            let plan = state.nodes[node].core.plan().clone();
            if !self.tamper.admits_to_subtask(&plan, &mut input) {
                continue;
            }
            let mut effects = Vec::new();
            state.nodes[node].core.handle(input.clone(), &mut effects);
            self.tamper.after_subtask(&plan, &input, &mut effects);
            for effect in effects {
                perform(state, node, &effect, &mut inputs);
            }
        }
    }
}

fn perform(state: &mut State, index: usize, effect: &Effect, inputs: &mut VecDeque<Input>) {
    let node = &mut state.nodes[index];
    match effect {
        Effect::Block(channel) => node.blocked |= 1 << channel.0,
        Effect::Unblock(channel) => node.blocked &= !(1 << channel.0),
        Effect::ForwardBarrier(barrier) => {
            state.push_on_all(index, Element::Barrier(small(barrier.checkpoint)));
        }
        Effect::ForwardCancelMarker(checkpoint) => {
            state.push_on_all(index, Element::CancelMarker(small(*checkpoint)));
        }
        Effect::Snapshot(Barrier { checkpoint, .. }) => {
            node.snapshots[usize::from(small(*checkpoint))] = Some(node.seen);
            inputs.push_back(Input::SnapshotDurable(*checkpoint));
        }
        Effect::Ack(checkpoint) => node.acked |= 1 << small(*checkpoint),
        Effect::OvertakeOutput(_)
        | Effect::CaptureInput { .. }
        | Effect::EndCapture { .. }
        | Effect::SealSnapshot(_)
        | Effect::DiscardSnapshot(_)
        | Effect::Arm(..)
        | Effect::Disarm(_)
        | Effect::TellCompleted(_)
        | Effect::TellAborted(_) => unreachable!("no barrier of this model overtakes"),
        Effect::Run | Effect::Confirm(_) | Effect::Decline(..) | Effect::Note(_) => {}
        Effect::PreCommit(_) | Effect::Commit(_) | Effect::AbortLingering => {
            unreachable!("no subtask of this model has a sink")
        }
        Effect::EndInput | Effect::Pause | Effect::Resume => {
            unreachable!("nobody stops this model")
        }
        Effect::ReportEnded | Effect::Finish | Effect::Fail { .. } => {
            unreachable!("no subtask of this model ends")
        }
    }
}

fn small(checkpoint: CheckpointId) -> u8 {
    u8::try_from(checkpoint.0).expect("few checkpoints")
}

impl Model for Alignment {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { has_begun: false, ..self.begin(Job::ExactlyOnce) }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.has_begun {
            let jobs = [Job::ExactlyOnce, Job::Ending, Job::AtLeastOnce];
            actions.extend(jobs.map(Action::Begin));
            return;
        }
        for source in SOURCES {
            if !state.has_room(source, self.channel_capacity) || state.has_finished(source) {
                continue;
            }
            if state.emitted[source] < self.records_per_source {
                actions.push(Action::Emit(source));
            }
            let next = state.next_trigger[source];
            if next <= self.checkpoints {
                actions.push(Action::Trigger(source, next));
                // Of one source is enough: the other is its mirror image.
                if source == 1 && state.lost_triggers < self.lost_triggers_max {
                    actions.push(Action::LoseTrigger(source, next));
                }
            }
        }
        for (index, (_, to, channel)) in CHANNELS.iter().enumerate() {
            let is_blocked = state.nodes[*to].blocked & (1 << channel) != 0;
            let is_empty = state.channels[index].is_empty();
            if !is_empty && !is_blocked && state.has_room(*to, self.channel_capacity) {
                actions.push(Action::Take(index));
            }
        }
        for checkpoint in (1..=self.checkpoints).filter(|n| state.lost & (1 << n) != 0) {
            for (index, node) in state.nodes.iter().enumerate() {
                if node.told & (1 << checkpoint) == 0 {
                    actions.push(Action::TellAborted(index, checkpoint));
                }
            }
        }
        if state.end == End::Ahead
            && state.emitted[FINISHING] == self.records_per_source
            && state.has_room(FINISHING, self.channel_capacity)
        {
            actions.push(Action::Close(FINISHING));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(job) => state = self.begin(job),
            Action::Emit(source) => {
                let emitted = state.emitted[source];
                let record = self.record(source, emitted);
                state.emitted[source] += 1;
                state.nodes[source].seen |= record;
                state.push_record(source, operator_for(source, emitted), record);
            }
            Action::Trigger(source, checkpoint) => {
                state.next_trigger[source] += 1;
                self.feed(
                    &mut state,
                    source,
                    Input::Trigger(Barrier::aligned(CheckpointId(checkpoint.into()))),
                );
            }
            Action::LoseTrigger(source, checkpoint) => {
                state.next_trigger[source] += 1;
                state.lost |= 1 << checkpoint;
                state.lost_triggers += 1;
            }
            Action::Take(index) => {
                let (_, to, channel) = CHANNELS[index];
                let channel = ChannelId(channel);
                match state.channels[index].pop_front()? {
                    Element::Record(record) => {
                        state.nodes[to].seen |= record;
                        if to != SINK {
                            state.push_record(to, SINK, record);
                        }
                    }
                    Element::Barrier(checkpoint) => {
                        let checkpoint = CheckpointId(checkpoint.into());
                        self.feed(
                            &mut state,
                            to,
                            Input::Barrier { channel, barrier: Barrier::aligned(checkpoint) },
                        );
                    }
                    Element::CancelMarker(checkpoint) => {
                        let checkpoint = CheckpointId(checkpoint.into());
                        self.feed(&mut state, to, Input::CancelMarker { channel, checkpoint });
                    }
                    Element::Closed => self.feed(&mut state, to, Input::Closed { channel }),
                }
            }
            Action::TellAborted(node, checkpoint) => {
                state.nodes[node].told |= 1 << checkpoint;
                self.feed(&mut state, node, Input::Aborted(CheckpointId(checkpoint.into())));
            }
            Action::Close(source) => {
                state.end = End::Reached;
                state.push_on_all(source, Element::Closed);
            }
        }
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // T3, T4: a snapshot holds what the sources had emitted before their barriers, no more, no less.
            Property::always("exactly-once-state", |model: &Self, state: &State| {
                state.mode() != CheckpointMode::ExactlyOnce
                    || model.snapshots(state).all(|(held, before)| held == before)
            }),
            // D1, D5: no snapshot misses any of it, even where it may hold more.
            Property::always("nothing-is-lost", |model: &Self, state: &State| {
                model.snapshots(state).all(|(held, before)| held & before == before)
            }),
            // C2, T4: a subtask cuts only when all its inputs did.
            Property::always("barriers-in-order", |model: &Self, state: &State| {
                let mut numbers = 1..=usize::from(model.checkpoints);
                state.mode() != CheckpointMode::ExactlyOnce
                    || numbers.all(|n| {
                        let has = |node: usize| state.nodes[node].snapshots[n].is_some();
                        CHANNELS.iter().all(|(from, to, _)| {
                            !has(*to) || has(*from) || state.has_finished(*from)
                        })
                    })
            }),
            // D1: at least once waits for nothing.
            Property::always("nothing-blocks", |_: &Self, state: &State| {
                state.mode() != CheckpointMode::AtLeastOnce
                    || state.nodes.iter().all(|node| node.blocked == 0)
            }),
            // T11, T15: everything arrives, nothing stays blocked, what was triggered completes.
            Property::eventually("recovers", |model: &Self, state: &State| {
                state.nodes[SINK].seen == model.routed(SINK)
                    && state.channels.iter().all(VecDeque::is_empty)
                    && state.nodes.iter().all(|node| node.blocked == 0)
                    && (1..=model.checkpoints)
                        .all(|n| state.is_completed(n) || state.lost & (1 << n) != 0)
            }),
            Property::sometimes("completes between records", |model: &Self, state: &State| {
                let all = model.routed(SINK);
                state.is_completed(1)
                    && state.nodes[SINK].snapshots[1].is_some_and(|it| it != 0 && it != all)
            }),
            Property::sometimes("blocked beside records", |_: &Self, state: &State| {
                let is_record = |channel: &VecDeque<Element>| {
                    channel.front().is_some_and(|it| matches!(it, Element::Record(_)))
                };
                CHANNELS.iter().zip(&state.channels).any(|((_, to, channel), content)| {
                    let blocked = state.nodes[*to].blocked;
                    is_record(content) && blocked != 0 && blocked & (1 << channel) == 0
                })
            }),
            Property::sometimes("two checkpoints overlap", |_: &Self, state: &State| {
                state.nodes[0].snapshots[2].is_some() && !state.is_completed(1) && state.lost == 0
            }),
            Property::sometimes("subsumed", |_: &Self, state: &State| {
                state.is_completed(2)
                    && !state.is_completed(1)
                    && state.nodes.iter().all(|node| node.told == 0)
            }),
            // C3, N1: it completes without the source that finished.
            Property::sometimes("an end counts as a barrier", |_: &Self, state: &State| {
                state.has_finished(FINISHING)
                    && state.nodes[FINISHING].snapshots[1].is_none()
                    && state.is_completed(1)
            }),
            Property::sometimes("a record counts twice", |model: &Self, state: &State| {
                state.mode() == CheckpointMode::AtLeastOnce
                    && model.snapshots(state).any(|(held, before)| held != before)
            }),
        ]
    }
}
