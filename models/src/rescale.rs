//! Another parallelism while the job runs: nothing is lost or doubled, whoever crashes when.
//!
//! ```text
//!   people ── other parallelism ──► real `Coordinator` core ──► record, manifests
//!                                 orders ▼  ▲ reports
//!                   one worker with every subtask ──► real `Takeover`: who goes on with what
//! ```
//!
//! Each subtask reads splits, hands each record to the subtask that owns its key group, which counts it and
//! writes it to its sink. Two splits, three subtasks at most, and two keys; what all subtasks of an
//! attempt say of the same thing arrives at once. One budget of faults is
//! shared by a coordinator that crashes (with its outstanding write applied or lost), a worker that crashes
//! and a checkpoint that expires.
//!
//! Deliberately absent: channels. A record goes from source to sink in one step, and a snapshot of all
//! subtasks is one step; that barriers cut the job at one place is what [`crate::alignment`] shows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use seawall_protocol::coordinator::{
    Coordinator, Effect, Input, JobPlan, Request, RequestId, SubtaskPlan, Timer, WriteId,
};
use seawall_protocol::execution::Execution;
use seawall_protocol::graph::at_parallelism;
use seawall_protocol::key_group::owner_of;
use seawall_protocol::message::{CheckpointKind, DeclineReason, Deployment, Order, ToCoordinator};
use seawall_protocol::record::{JobResult, SnapshotFigures, SnapshotHandle, StoreRecord};
use seawall_protocol::takeover::Takeover;
use seawall_protocol::tamper::{DataStep, Tamper};
use seawall_protocol::{Attempt, AttemptId, CheckpointId, JobId, SessionId, SubtaskId, WorkerId};
use stateright::{Model, Property};

use crate::check::Size;

const WORKER: WorkerId = WorkerId(1);
const SLOTS: u32 = 3;
const KEY_GROUPS: u32 = 4;
const SPLITS: u8 = 2;
const PARALLELISM: u32 = 2;

/// The job and the budgets.
pub struct Rescale {
    /// Of each split.
    records: u8,
    faults_max: u8,
    /// What may be asked for, once each.
    asks: Vec<Request>,
    plan: JobPlan,
    tamper: Box<dyn Tamper>,
}

impl Rescale {
    /// The model at a size.
    pub fn new(size: Size, tamper: Box<dyn Tamper>) -> Self {
        let (records, faults_max, asks) = match size {
            Size::Smoke => (1, 1, vec![to(1)]),
            Size::Merge => (1, 1, vec![to(1), to(3)]),
        };
        let subtask = |index| SubtaskPlan::source(SubtaskId::new(0, index));
        let plan = JobPlan {
            subtasks: (0..PARALLELISM).map(subtask).collect(),
            edges: Vec::new(),
            parallelism_max: KEY_GROUPS,
            checkpoint: CheckpointConfig {
                interval: None,
                tolerable_failures: 1,
                ..CheckpointConfig::default()
            },
            restart: RestartStrategy::FixedDelay {
                attempts: u32::MAX,
                delay: Duration::from_secs(1),
            },
            heartbeat: HeartbeatConfig::default(),
        };
        Self { records, faults_max, asks, plan, tamper }
    }
}

fn to(parallelism: u32) -> Request {
    Request::Rescale { parallelism }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Somebody asks.
    Ask(Request),
    /// The outstanding record write is durable, and the coordinator hears it.
    RecordPersisted,
    /// The manifest is durable.
    ManifestWritten(CheckpointId),
    /// A timer of the coordinator fires.
    Fire(Timer),
    /// The next report reaches the coordinator.
    Report,
    /// The next order reaches the worker.
    Order,
    /// The next record of a split.
    Read(u8),
    /// The end of the last split.
    End,
    /// A subtask commits what it heard is completed.
    Commit(u32),
    /// The coordinator crashes, another leads; `true`: the outstanding record write took effect.
    CrashCoordinator(bool),
    /// The worker crashes and starts again.
    CrashWorker,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(Request::Rescale { parallelism }) => {
                write!(f, "somebody asks for parallelism {parallelism}")
            }
            Self::Ask(_) => f.write_str("somebody asks for a checkpoint"),
            Self::RecordPersisted => f.write_str("the record is durable"),
            Self::ManifestWritten(checkpoint) => {
                write!(f, "the manifest of checkpoint {checkpoint} is durable")
            }
            Self::Fire(timer) => write!(f, "the coordinator's timer fires: {timer:?}"),
            Self::Report => f.write_str("the coordinator hears of the worker"),
            Self::Order => f.write_str("the worker gets its next order"),
            Self::Read(split) => write!(f, "the next record of split {split} is read"),
            Self::End => f.write_str("the input is at its end"),
            Self::Commit(index) => write!(f, "subtask {index} commits"),
            Self::CrashCoordinator(false) => f.write_str("the coordinator crashes; another leads"),
            Self::CrashCoordinator(true) => f.write_str(
                "the coordinator crashes after its record write took effect; another leads",
            ),
            Self::CrashWorker => f.write_str("the worker crashes and starts again"),
        }
    }
}

/// One leadership.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Leader {
    core: Coordinator,
    timers: BTreeSet<Timer>,
    writing: Option<(WriteId, StoreRecord)>,
    writing_manifests: BTreeMap<CheckpointId, CheckpointKind>,
}

/// What one subtask has, and what its snapshot holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Contents {
    /// How far each of its splits was read.
    positions: Vec<(u8, u8)>,
    /// The records that were counted, by key group.
    counted: BTreeMap<u32, Vec<u8>>,
    /// Pre-committed and not known to be committed, each with who wrote it.
    transactions: BTreeSet<(CheckpointId, u32)>,
}

/// What survives everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Disk {
    record: StoreRecord,
    /// One for each subtask.
    snapshots: BTreeMap<CheckpointId, Vec<Contents>>,
    manifests: BTreeMap<CheckpointId, CheckpointKind>,
    /// Pre-committed and not visible.
    prepared: BTreeMap<(CheckpointId, u32), Vec<u8>>,
    /// What readers see.
    output: BTreeSet<u8>,
}

/// Where an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Life {
    /// It was not told to start.
    Ready,
    /// Not everything that was restored is committed, and nothing else is done before (K4).
    Restoring,
    Reading,
    Ended,
}

/// The worker's process: what a crash loses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Running {
    attempt: Attempt,
    subtasks: Vec<Contents>,
    /// Emitted since the last pre-commit, by subtask.
    open: Vec<Vec<u8>>,
    life: Life,
    /// Subtasks that have something to commit, and up to which checkpoint.
    to_commit: BTreeMap<u32, CheckpointId>,
    /// Everything is to be committed, and then the subtasks finish.
    is_finishing: bool,
}

/// The whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    leader: Leader,
    disk: Disk,
    running: Option<Running>,
    session: SessionId,
    orders: VecDeque<Order>,
    /// On their way to the coordinator, those of all subtasks at once; none is the end of a connection.
    reports: VecDeque<(SessionId, Vec<ToCoordinator>)>,
    asked: BTreeSet<Request>,
    faults: u8,
    violated: BTreeSet<&'static str>,
    has_crashed_rescaled: bool,
    has_inherited: bool,
}

const EXACTLY_ONCE: &str = "exactly-once-output";
const RESTORABLE: &str = "restorable";
const EXACTLY_ONCE_STATE: &str = "exactly-once-state";

impl Rescale {
    fn lead(&self, record: &StoreRecord) -> Leader {
        let mut plan = self.plan.clone();
        if let Some(parallelism) = record.parallelism {
            plan.subtasks = at_parallelism(&plan.subtasks, &plan.edges, parallelism);
        }
        self.tamper.before_coordinator(&mut plan);
        Leader {
            core: Coordinator::new(plan),
            timers: BTreeSet::new(),
            writing: None,
            writing_manifests: BTreeMap::new(),
        }
    }

    fn feed(&self, state: &mut State, input: Input) {
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

    fn crash_coordinator(&self, state: &mut State) {
        state.has_crashed_rescaled |= state.disk.record.parallelism.is_some();
        let record = state.disk.record.clone();
        state.leader = self.lead(&record);
        restart_worker(state);
        state.reports.retain(|(session, _)| *session == state.session);
        self.feed(state, Input::Recovered { record, shared: Vec::new() });
    }

    fn persist(&self, state: &mut State) -> Option<WriteId> {
        let (write, record) = state.leader.writing.take()?;
        state.disk.record = record;
        let all: BTreeSet<u8> = (0..SPLITS * self.records).collect();
        let is_finished = state.disk.record.result == Some(JobResult::Finished);
        if is_finished && state.disk.output != all {
            state.violated.insert(EXACTLY_ONCE);
        }
        Some(write)
    }

    fn deploy(&self, state: &mut State, deployment: &Deployment) {
        let now = deployment.parallelism;
        let mut subtasks = vec![Contents::default(); now as usize];
        let stored = deployment.restore.map(|it| state.disk.snapshots.get(&it).cloned());
        if let (Some(Some(stored)), Some(checkpoint)) = (&stored, deployment.restore) {
            let is_meant = state.disk.manifests.get(&checkpoint)
                == Some(&CheckpointKind::Rescale { parallelism: now });
            if stored.len() != now as usize && !is_meant {
                state.violated.insert(RESTORABLE);
            }
        }
        match stored {
            None => {
                for split in 0..SPLITS {
                    subtasks[usize::from(split) % now as usize].positions.push((split, 0));
                }
            }
            Some(stored) => {
                let stored = stored.unwrap_or_default();
                for (index, contents) in (0..).zip(&mut subtasks) {
                    *contents = self.restored(&stored, index, now);
                    let foreign = |it: &(CheckpointId, u32)| it.1 != index;
                    state.has_inherited |= contents.transactions.iter().any(foreign);
                }
            }
        }
        // Before anything is written: what belongs to no snapshot goes (K5).
        let heir = |former: u32| (former % now) as usize;
        state.disk.prepared.retain(|id, _| subtasks[heir(id.1)].transactions.contains(id));
        let to_commit = deployment.restore.map(|it| (0..now).map(move |index| (index, it)));
        let attempt = deployment.attempt;
        state.running = Some(Running {
            attempt,
            open: vec![Vec::new(); subtasks.len()],
            subtasks,
            life: Life::Ready,
            to_commit: to_commit.into_iter().flatten().collect(),
            is_finishing: false,
        });
        tell_all(state, ToCoordinator::Ready);
    }

    fn restored(&self, stored: &[Contents], index: u32, now: u32) -> Contents {
        let before = u32::try_from(stored.len()).expect("few");
        if before == now {
            return stored[index as usize].clone();
        }
        let takeover = Takeover { index, now, before, key_groups: KEY_GROUPS };
        let mut former = takeover.former_owners();
        if self.tamper.skips(DataStep::MergeOwners) {
            former.end = former.start + 1;
        }
        let splits: Vec<_> = stored.iter().map(|it| it.positions.as_slice()).collect();
        let positions = takeover.splits(&splits).into_iter().copied().collect();
        let mut contents = Contents { positions, ..Contents::default() };
        for (of, found) in (0..).zip(stored) {
            if takeover.inherits_from(of) && !self.tamper.skips(DataStep::InheritTransactions) {
                contents.transactions.extend(&found.transactions);
            }
            if former.contains(&of) {
                let owned = found.counted.iter().filter(|(group, _)| takeover.owns(**group));
                contents.counted.extend(owned.map(|(group, it)| (*group, it.clone())));
            }
        }
        contents
    }

    fn on_order(&self, state: &mut State, order: Order) {
        match order {
            Order::Deploy(deployment) => self.deploy(state, &deployment),
            Order::Start(_) => {
                if let Some(running) = &mut state.running {
                    let has_restored = !running.to_commit.is_empty();
                    running.life = if has_restored { Life::Restoring } else { Life::Reading };
                }
            }
            Order::Trigger { barrier, .. } => {
                let checkpoint = barrier.checkpoint;
                if state.running.as_ref().is_some_and(|it| it.life < Life::Reading) {
                    let reason = DeclineReason::NotRunning;
                    let decline = |attempt| ToCoordinator::Decline { attempt, checkpoint, reason };
                    return tell_all(state, decline);
                }
                snapshot(state, checkpoint);
            }
            Order::Completed { checkpoint, is_final, .. } => {
                if let Some(running) = &mut state.running {
                    running.is_finishing |= is_final;
                    let all = (0..).take(running.subtasks.len());
                    running.to_commit = all.map(|index| (index, checkpoint)).collect();
                }
            }
            Order::Cancel(_) => {
                tell_all(state, ToCoordinator::Cancelled);
                state.running = None;
            }
            Order::Aborted { .. }
            | Order::Registered
            | Order::Heartbeat
            | Order::ReportProgress { .. } => {}
        }
    }

    fn read(&self, state: &mut State, split: u8) -> Option<()> {
        let running = state.running.as_mut()?;
        let mut positions = running.subtasks.iter_mut().flat_map(|it| &mut it.positions);
        let (_, position) = positions.find(|it| it.0 == split)?;
        let record = split * self.records + *position;
        *position += 1;
        let key_group = u32::from(record % 2) * 2; // One of either half.
        let now = u32::try_from(running.subtasks.len()).expect("few");
        let owner = owner_of(key_group, KEY_GROUPS, now) as usize;
        running.subtasks[owner].counted.entry(key_group).or_default().push(record);
        running.open[owner].push(record);
        Some(())
    }
}

/// All subtasks at once: their sinks pre-commit, their snapshots are durable, their acks are on their way.
fn snapshot(state: &mut State, checkpoint: CheckpointId) {
    let Some(running) = &mut state.running else { return };
    for (index, open) in (0..).zip(&mut running.open) {
        if !open.is_empty() {
            let id = (checkpoint, index);
            state.disk.prepared.insert(id, std::mem::take(open));
            running.subtasks[index as usize].transactions.insert(id);
        }
    }
    let read: usize =
        running.subtasks.iter().flat_map(|it| &it.positions).map(|it| usize::from(it.1)).sum();
    let counted = running.subtasks.iter().flat_map(|it| it.counted.values().flatten());
    let counted: Vec<u8> = counted.copied().collect();
    let once: BTreeSet<u8> = counted.iter().copied().collect();
    if once.len() != counted.len() || counted.len() != read {
        state.violated.insert(EXACTLY_ONCE_STATE);
    }
    state.disk.snapshots.insert(checkpoint, running.subtasks.clone());
    let number = running.attempt;
    tell_all(state, |attempt| {
        let snapshot = SnapshotHandle {
            subtask: attempt.subtask,
            attempt: number,
            bytes: 0,
            checksum: 0,
            figures: SnapshotFigures::default(),
            shared: Vec::new(),
        };
        ToCoordinator::Ack { attempt, checkpoint, snapshot }
    });
}

fn commit(state: &mut State, index: u32) -> Option<()> {
    let State { running, disk, violated, .. } = state;
    let running = running.as_mut()?;
    let up_to = running.to_commit.remove(&index)?;
    let transactions = &mut running.subtasks[index as usize].transactions;
    let due: Vec<_> = transactions.iter().filter(|it| it.0 <= up_to).copied().collect();
    for id in due {
        transactions.remove(&id);
        // Committed before, where it is not there any more; or lost: the end says which.
        for record in disk.prepared.remove(&id).unwrap_or_default() {
            if !disk.output.insert(record) {
                violated.insert(EXACTLY_ONCE);
            }
        }
    }
    if running.life == Life::Restoring && running.to_commit.is_empty() {
        running.life = Life::Reading;
    }
    if running.is_finishing && running.to_commit.is_empty() {
        tell_all(state, ToCoordinator::Finished);
        state.running = None;
    }
    Some(())
}

/// Each subtask says the same.
fn tell_all(state: &mut State, message: impl Fn(AttemptId) -> ToCoordinator) {
    let Some(running) = &state.running else { return };
    let of = |index| AttemptId { subtask: SubtaskId::new(0, index), attempt: running.attempt };
    let messages = (0..).take(running.subtasks.len()).map(|index| message(of(index))).collect();
    state.reports.push_back((state.session, messages));
}

fn register(state: &mut State) {
    state.session = SessionId(state.session.0 + 1);
    let session = state.session;
    let registers = ToCoordinator::Register { worker: WORKER, session, slots: SLOTS };
    state.reports.push_back((session, vec![registers]));
}

fn restart_worker(state: &mut State) {
    let old = state.session;
    state.running = None;
    state.orders.clear();
    state.reports.push_back((old, Vec::new()));
    register(state);
}

fn perform(state: &mut State, effect: Effect, inputs: &mut VecDeque<Input>) {
    let leader = &mut state.leader;
    match effect {
        Effect::Persist { write, record } => leader.writing = Some((write, record)),
        Effect::WriteManifest { checkpoint, kind, .. } => {
            leader.writing_manifests.insert(checkpoint, kind);
        }
        Effect::DeleteCheckpoint(checkpoint) => {
            state.disk.manifests.remove(&checkpoint);
            state.disk.snapshots.remove(&checkpoint);
            inputs.push_back(Input::Deleted(checkpoint));
        }
        Effect::ExportSavepoint(_) | Effect::DeleteShared(_) | Effect::SweepShared { .. } => {
            unreachable!("nobody asks for a savepoint, and no snapshot has shared files")
        }
        Effect::Arm(timer @ (Timer::CheckpointExpires(_) | Timer::Restart(_)), _) => {
            leader.timers.insert(timer);
        }
        Effect::Disarm(timer) => {
            leader.timers.remove(&timer);
        }
        Effect::Send { session, message, .. } => {
            if session == state.session {
                state.orders.push_back(message.order);
            }
        }
        Effect::Arm(..)
        | Effect::Disconnect { .. }
        | Effect::Answer { .. }
        | Effect::Stop(_)
        | Effect::Note(_) => {}
    }
}

impl Model for Rescale {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let record = StoreRecord::fresh(JobId(1));
        let mut state = State {
            leader: self.lead(&record),
            disk: Disk {
                record: record.clone(),
                snapshots: BTreeMap::new(),
                manifests: BTreeMap::new(),
                prepared: BTreeMap::new(),
                output: BTreeSet::new(),
            },
            running: None,
            session: SessionId(0),
            orders: VecDeque::new(),
            reports: VecDeque::new(),
            asked: BTreeSet::new(),
            faults: 0,
            violated: BTreeSet::new(),
            has_crashed_rescaled: false,
            has_inherited: false,
        };
        register(&mut state);
        self.feed(&mut state, Input::Recovered { record, shared: Vec::new() });
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.disk.record.result.is_some() {
            return; // The job is over.
        }
        let may_fail = state.faults < self.faults_max;
        if may_fail {
            actions.extend([Action::CrashCoordinator(false), Action::CrashWorker]);
        }
        if state.leader.writing.is_some() {
            actions.push(Action::RecordPersisted);
            if may_fail {
                actions.push(Action::CrashCoordinator(true));
            }
        }
        let manifests = state.leader.writing_manifests.keys();
        actions.extend(manifests.map(|it| Action::ManifestWritten(*it)));
        let is_due = |it: &&Timer| may_fail || !matches!(it, Timer::CheckpointExpires(_));
        actions.extend(state.leader.timers.iter().filter(is_due).map(|it| Action::Fire(*it)));
        if !state.reports.is_empty() {
            actions.push(Action::Report);
        }
        if !state.orders.is_empty() {
            actions.push(Action::Order);
        }
        if let Some(running) = state.running.as_ref().filter(|it| it.life > Life::Ready) {
            actions.extend(running.to_commit.keys().map(|it| Action::Commit(*it)));
        }
        if let Some(running) = state.running.as_ref().filter(|it| it.life >= Life::Reading) {
            let positions = running.subtasks.iter().flat_map(|it| &it.positions);
            let mut unread = positions.filter(|it| it.1 < self.records).peekable();
            if unread.peek().is_none() && running.life == Life::Reading {
                actions.push(Action::End);
            }
            actions.extend(unread.map(|it| Action::Read(it.0)));
        }
        if state.leader.core.is_running() {
            let asks = self.asks.iter().filter(|it| !state.asked.contains(it));
            actions.extend(asks.map(|it| Action::Ask(*it)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Ask(request) => {
                let id = RequestId(state.asked.len() as u64);
                state.asked.insert(request);
                self.feed(&mut state, Input::Requested { id, request });
            }
            Action::RecordPersisted => {
                let write = self.persist(&mut state)?;
                self.feed(&mut state, Input::RecordPersisted(write));
            }
            Action::ManifestWritten(checkpoint) => {
                let kind = state.leader.writing_manifests.remove(&checkpoint)?;
                state.disk.manifests.insert(checkpoint, kind);
                self.feed(&mut state, Input::ManifestWritten(checkpoint));
            }
            Action::Fire(timer) => {
                state.leader.timers.remove(&timer);
                state.faults += u8::from(matches!(timer, Timer::CheckpointExpires(_)));
                self.feed(&mut state, Input::Timer(timer));
            }
            Action::Report => {
                let (session, messages) = state.reports.pop_front()?;
                let worker = WORKER;
                if messages.is_empty() {
                    self.feed(&mut state, Input::Disconnected { worker, session });
                }
                for message in messages {
                    self.feed(&mut state, Input::Message { worker, session, message });
                }
            }
            Action::Order => {
                let order = state.orders.pop_front()?;
                self.on_order(&mut state, order);
            }
            Action::Read(split) => self.read(&mut state, split)?,
            Action::End => {
                state.running.as_mut()?.life = Life::Ended;
                tell_all(&mut state, ToCoordinator::Ended);
            }
            Action::Commit(index) => commit(&mut state, index)?,
            Action::CrashCoordinator(is_applied) => {
                state.faults += 1;
                if is_applied {
                    self.persist(&mut state)?;
                }
                self.crash_coordinator(&mut state);
            }
            Action::CrashWorker => {
                state.faults += 1;
                restart_worker(&mut state);
            }
        }
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            // K5, K10, T1: each record once, and all of them at the end.
            Property::always(EXACTLY_ONCE, |_: &Self, state: &State| {
                !state.violated.contains(EXACTLY_ONCE)
            }),
            // M2, M4, T3: what the subtasks counted is what they read, at each cut.
            Property::always(EXACTLY_ONCE_STATE, |_: &Self, state: &State| {
                !state.violated.contains(EXACTLY_ONCE_STATE)
            }),
            // T7, M7: what the record names is there, and fits the attempt that restores it.
            Property::always(RESTORABLE, |_: &Self, state: &State| {
                let Disk { record, manifests, snapshots, .. } = &state.disk;
                let is_there = |it| manifests.contains_key(it) && snapshots.contains_key(it);
                record.retained.iter().all(is_there) && !state.violated.contains(RESTORABLE)
            }),
            // M7: an attempt that runs at another parallelism than the record says is being stopped.
            Property::always("one-owner", |_: &Self, state: &State| {
                let core = &state.leader.core;
                let slots = core.execution().filter(|_| core.is_running()).map(Execution::slots);
                slots.is_none_or(|it| it == core.parallelism())
            }),
            Property::eventually("recovers", |_: &Self, state: &State| {
                state.disk.record.result.is_some()
            }),
            Property::sometimes("a job ends with fewer subtasks", |_: &Self, state: &State| {
                let StoreRecord { result, parallelism, .. } = state.disk.record;
                result.is_some() && parallelism == Some(1)
            }),
            Property::sometimes(
                "a later leader goes on with the new parallelism",
                |_: &Self, state: &State| {
                    state.has_crashed_rescaled && state.disk.record.result.is_some()
                },
            ),
            Property::sometimes(
                "a subtask commits what another one wrote",
                |_: &Self, state: &State| state.has_inherited && state.disk.record.result.is_some(),
            ),
        ];
        if self.asks.len() > 1 {
            properties.push(Property::sometimes(
                "a job ends with more subtasks",
                |_: &Self, state: &State| {
                    let StoreRecord { result, parallelism, .. } = state.disk.record;
                    result.is_some() && parallelism > Some(PARALLELISM)
                },
            ));
        }
        properties
    }
}
