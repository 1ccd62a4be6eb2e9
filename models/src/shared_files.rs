//! Shared files of incremental checkpoints: who may refer to which, and when one may go (I, T7, T8).
//!
//! ```text
//!  real `Coordinator` core, with its registry ── record, manifests, deletions ──► durable
//!      │ orders, heard late            ▲ acks, late or never
//!      ▼                               │
//!  2 × real `Subtask` core ── a snapshot is a chain: files of the confirmed one and a new file, or a
//!                             new file alone ──► durable before its ack
//! ```
//!
//! One worker with two subtasks, of which one is fast and one is slow: the slow one's files are durable
//! late, and its acks and what it is told of completions are late. Barriers arrive over channels and may
//! overtake both. Checkpoints overlap, expire and are subsumed; leaders change, with the outstanding record
//! write applied or lost. An attempt starts at once when it is deployed; what its predecessor was writing is
//! lost with it. Failing writes and workers are in [`crate::checkpoint`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use seawall_protocol::config::{
    CheckpointConfig, CheckpointMode, HeartbeatConfig, RestartStrategy,
};
use seawall_protocol::coordinator::{
    Coordinator, Effect, Input, JobPlan, SubtaskPlan, Timer, WriteId,
};
use seawall_protocol::event::Event;
use seawall_protocol::message::{Deployment, Order, ToCoordinator};
use seawall_protocol::record::{SnapshotFigures, SnapshotHandle, StoreRecord};
use seawall_protocol::shared_files::{RetainedFiles, SharedFile, SharedFileId};
use seawall_protocol::subtask::{self, Subtask};
use seawall_protocol::tamper::{DataStep, Tamper};
use seawall_protocol::{Attempt, AttemptId, CheckpointId, JobId, SessionId, SubtaskId, WorkerId};
use stateright::{Model, Property};

use crate::check::Size;

const WORKER: WorkerId = WorkerId(1);
/// Its files are durable at once, and all is heard at once.
const FAST: usize = 0;
/// It does everything late.
const SLOW: usize = 1;
/// Files in a chain, above which a snapshot stands alone.
const CHAIN_MAX: usize = 2;

/// The job and the budgets.
pub struct SharedFilesModel {
    checkpoints_max: u64,
    faults_max: u8,
    plan: JobPlan,
    tamper: Box<dyn Tamper>,
}

impl SharedFilesModel {
    /// The model at a size.
    pub fn new(size: Size, tamper: Box<dyn Tamper>) -> Self {
        let (checkpoints_max, faults_max) = match size {
            Size::Smoke => (5, 1),
            Size::Merge => (5, 2),
        };
        let subtask = |index| SubtaskPlan::source(SubtaskId::new(0, index));
        let plan = JobPlan {
            subtasks: (0..2).map(subtask).collect(),
            edges: Vec::new(),
            parallelism_max: 128,
            checkpoint: CheckpointConfig {
                tolerable_failures: 8,
                max_concurrent: 2,
                retained: 2,
                is_incremental: true,
                ..CheckpointConfig::default()
            },
            restart: RestartStrategy::FixedDelay {
                attempts: u32::MAX,
                delay: Duration::from_secs(1),
            },
            heartbeat: HeartbeatConfig::default(),
        };
        Self { checkpoints_max, faults_max, plan, tamper }
    }
}

/// What survives everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Disk {
    record: StoreRecord,
    manifests: BTreeMap<CheckpointId, Vec<SnapshotHandle>>,
    files: BTreeSet<SharedFileId>,
}

/// One subtask of the newest attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    core: Subtask,
    /// On their way to it.
    orders: VecDeque<Order>,
    /// On their way from it; the newest may be that of a given up checkpoint.
    acks: VecDeque<(CheckpointId, Vec<SharedFile>)>,
    /// Snapshots that are not durable, as chains whose last file is new.
    writing: BTreeMap<CheckpointId, Vec<SharedFile>>,
    written: BTreeMap<CheckpointId, Vec<SharedFile>>,
    confirmed: Vec<SharedFile>,
}

/// The whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    core: Coordinator,
    outstanding: Option<(WriteId, StoreRecord)>,
    timers: BTreeSet<Timer>,
    session: SessionId,
    disk: Disk,
    nodes: Vec<Node>,
    faults: u8,
    /// Checkpoints that the durable record ever held.
    completed: BTreeSet<CheckpointId>,
    /// The newest checkpoint that referred to each file, of those that this leader was told of.
    uses: BTreeMap<SharedFileId, CheckpointId>,
    /// A file was written under a name that another one had.
    is_overwritten: bool,
    /// An ack referred to a file that had been deleted, because its subtask had not heard of enough.
    is_refused: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A checkpoint is triggered.
    Trigger,
    /// A pending checkpoint expires.
    Expire(CheckpointId),
    /// The outstanding record is durable.
    Persisted,
    /// The coordinator crashes and another leads; `true`: the outstanding record took effect.
    Crash(bool),
    /// A subtask gets its next order.
    Order(usize),
    /// The new file of a subtask's snapshot is durable.
    Durable(usize, CheckpointId),
    /// The coordinator hears the next ack of a subtask.
    Ack(usize),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trigger => f.write_str("a checkpoint is due"),
            Self::Expire(checkpoint) => write!(f, "checkpoint {checkpoint} expires"),
            Self::Persisted => f.write_str("the record is durable"),
            Self::Crash(false) => f.write_str("the coordinator crashes; another one leads"),
            Self::Crash(true) => f.write_str(
                "the coordinator crashes after its record write took effect; another one leads",
            ),
            Self::Order(index) => write!(f, "subtask {index} gets its next order"),
            Self::Durable(index, checkpoint) => {
                write!(f, "the file of subtask {index} for checkpoint {checkpoint} is durable")
            }
            Self::Ack(index) => write!(f, "the coordinator hears the next ack of subtask {index}"),
        }
    }
}

impl SharedFilesModel {
    /// A new leader reads the store, and the worker registers with it.
    fn lead(&self, state: &mut State) {
        state.core = Coordinator::new(self.plan.clone());
        state.outstanding = None;
        state.timers.clear();
        state.uses.clear();
        state.session = SessionId(state.session.0 + 1);
        for node in &mut state.nodes {
            node.orders.clear();
            node.acks.clear();
        }
        let mut shared = Vec::new();
        for checkpoint in &state.disk.record.retained {
            let snapshots = state.disk.manifests.get(checkpoint).into_iter().flatten();
            let files: Vec<_> = snapshots.flat_map(|it| it.shared.iter().copied()).collect();
            for file in &files {
                let used = state.uses.entry(file.id).or_default();
                *used = (*used).max(*checkpoint);
            }
            shared.push(RetainedFiles { checkpoint: *checkpoint, files });
        }
        let record = state.disk.record.clone();
        self.feed(state, Input::Recovered { record, shared });
        let session = state.session;
        self.tell(state, ToCoordinator::Register { worker: WORKER, session, slots: 2 });
    }

    fn tell(&self, state: &mut State, message: ToCoordinator) {
        let session = state.session;
        self.feed(state, Input::Message { worker: WORKER, session, message });
    }

    fn feed(&self, state: &mut State, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(mut input) = inputs.pop_front() {
            if !self.tamper.admits_to_coordinator(&mut input) {
                continue;
            }
            let mut effects = Vec::new();
            state.core.handle(input.clone(), &mut effects);
            self.tamper.after_coordinator(&input, &mut effects);
            let is_refusal = |it: &Effect| matches!(it, Effect::Note(Event::StaleInput { what }) if what.contains("is not known"));
            state.is_refused |= effects.iter().any(is_refusal);
            for effect in effects {
                self.perform(state, effect, &mut inputs);
            }
        }
    }

    fn perform(&self, state: &mut State, effect: Effect, inputs: &mut VecDeque<Input>) {
        match effect {
            Effect::Persist { write, record } => state.outstanding = Some((write, record)),
            Effect::WriteManifest { checkpoint, snapshots, .. } => {
                state.disk.manifests.insert(checkpoint, snapshots);
                inputs.push_back(Input::ManifestWritten(checkpoint));
            }
            Effect::DeleteCheckpoint(checkpoint) => {
                state.disk.manifests.remove(&checkpoint);
                inputs.push_back(Input::Deleted(checkpoint));
            }
            Effect::DeleteShared(ids) => {
                for id in ids {
                    state.disk.files.remove(&id);
                }
            }
            Effect::SweepShared { below, keep } => {
                state.disk.files.retain(|it| it.checkpoint >= below || keep.contains(it));
            }
            Effect::Arm(timer, _) => match timer {
                Timer::Trigger | Timer::CheckpointExpires(_) => {
                    state.timers.insert(timer);
                }
                Timer::Restart(_) => inputs.push_back(Input::Timer(timer)),
                Timer::MinPause
                | Timer::RetainedExpires(_)
                | Timer::RecordRetry
                | Timer::Stable(_)
                | Timer::FailureForgotten(_)
                | Timer::CancelExpires(_)
                | Timer::Heartbeat
                | Timer::WorkerSilent(_) => {}
            },
            Effect::Disarm(timer) => {
                state.timers.remove(&timer);
            }
            Effect::Send { session, message, .. } if session == state.session => {
                let mut reports = Vec::new();
                self.on_order(state, message.order, &mut reports);
                let report = |message| Input::Message { worker: WORKER, session, message };
                inputs.extend(reports.into_iter().map(report));
            }
            Effect::Send { .. }
            | Effect::ExportSavepoint(_)
            | Effect::Note(_)
            | Effect::Disconnect { .. }
            | Effect::Answer { .. }
            | Effect::Stop(_) => {}
        }
    }

    fn on_order(&self, state: &mut State, order: Order, reports: &mut Vec<ToCoordinator>) {
        match order {
            Order::Deploy(deployment) => self.deploy(state, &deployment, reports),
            Order::Cancel(attempt) => {
                for index in 0..2 {
                    let subtask = SubtaskId::new(0, index);
                    reports.push(ToCoordinator::Cancelled(AttemptId { subtask, attempt }));
                }
            }
            Order::Trigger { .. } | Order::Aborted { .. } => {
                for index in 0..state.nodes.len() {
                    self.hear(state, index, &order);
                }
                self.let_the_fast_one_ack(state, reports);
            }
            Order::Completed { .. } => {
                if !state.nodes.is_empty() {
                    self.hear(state, FAST, &order);
                    state.nodes[SLOW].orders.push_back(order);
                }
            }
            Order::Registered
            | Order::Heartbeat
            | Order::Start(_)
            | Order::ReportProgress { .. } => {}
        }
    }

    /// The files of the fast subtask are durable at once, and its acks are heard.
    fn let_the_fast_one_ack(&self, state: &mut State, reports: &mut Vec<ToCoordinator>) {
        while let Some(checkpoint) =
            state.nodes.get(FAST).and_then(|it| it.writing.keys().next().copied())
        {
            self.on_durable(state, FAST, checkpoint);
        }
        while let Some(ack) = next_ack(state, FAST) {
            reports.push(ack);
        }
    }

    fn on_durable(&self, state: &mut State, index: usize, checkpoint: CheckpointId) {
        let node = &mut state.nodes[index];
        let chain = node.writing.remove(&checkpoint).expect("it is being written");
        let written = chain.last().expect("a chain has a new file").id;
        state.is_overwritten |= !state.disk.files.insert(written);
        node.written.insert(checkpoint, chain);
        self.feed_subtask(state, index, subtask::Input::SnapshotDurable(checkpoint));
    }

    fn deploy(&self, state: &mut State, deployment: &Deployment, reports: &mut Vec<ToCoordinator>) {
        state.nodes.clear();
        for (index, subtask) in deployment.subtasks.iter().enumerate() {
            let attempt = AttemptId { subtask: *subtask, attempt: deployment.attempt };
            let plan = subtask::Plan {
                attempt,
                channels: 0,
                pointwise: BTreeSet::new(),
                has_sink: false,
                has_callbacks: false,
                mode: CheckpointMode::ExactlyOnce,
                restored: deployment.restore,
                restored_transactions: BTreeSet::new(),
                is_restored_at_end: false,
                finishes_together: true,
                is_stopping: false,
            };
            let restored = deployment.restore.and_then(|it| state.disk.manifests.get(&it));
            let confirmed = restored.and_then(|it| it.get(index)).map(|it| it.shared.clone());
            state.nodes.push(Node {
                core: Subtask::new(plan),
                orders: VecDeque::new(),
                acks: VecDeque::new(),
                writing: BTreeMap::new(),
                written: BTreeMap::new(),
                confirmed: confirmed.unwrap_or_default(),
            });
            self.feed_subtask(state, index, subtask::Input::Start);
            reports.push(ToCoordinator::Ready(attempt));
        }
    }

    fn feed_subtask(&self, state: &mut State, index: usize, mut input: subtask::Input) {
        let node = &mut state.nodes[index];
        let plan = node.core.plan().clone();
        if !self.tamper.admits_to_subtask(&plan, &mut input) {
            return;
        }
        let mut effects = Vec::new();
        node.core.handle(input.clone(), &mut effects);
        self.tamper.after_subtask(&plan, &input, &mut effects);
        for effect in effects {
            match effect.clone() {
                subtask::Effect::Snapshot(barrier) => {
                    let checkpoint = barrier.checkpoint;
                    let is_base = node.confirmed.is_empty() || node.confirmed.len() >= CHAIN_MAX;
                    let mut chain = if is_base { Vec::new() } else { node.confirmed.clone() };
                    let AttemptId { subtask, attempt } = plan.attempt;
                    let id = SharedFileId { checkpoint, subtask, attempt, sequence: 0 };
                    let file = SharedFile { id, is_base, is_own: false, bytes: 1, checksum: 1 };
                    chain.push(file);
                    node.writing.insert(checkpoint, chain);
                }
                subtask::Effect::Ack(checkpoint) => {
                    let chain = node.written[&checkpoint].clone();
                    node.acks.push_back((checkpoint, chain));
                }
                subtask::Effect::Confirm(checkpoint) => {
                    if let Some(chain) = node.written.remove(&checkpoint) {
                        node.written = node.written.split_off(&checkpoint);
                        node.confirmed = chain;
                    }
                }
                subtask::Effect::ForwardBarrier(_)
                | subtask::Effect::ForwardCancelMarker(_)
                | subtask::Effect::Decline(..)
                | subtask::Effect::Run
                | subtask::Effect::Note(_) => {}
                subtask::Effect::Block(_)
                | subtask::Effect::Unblock(_)
                | subtask::Effect::OvertakeOutput(_)
                | subtask::Effect::CaptureInput { .. }
                | subtask::Effect::EndCapture { .. }
                | subtask::Effect::SealSnapshot(_)
                | subtask::Effect::DiscardSnapshot(_)
                | subtask::Effect::PreCommit(_)
                | subtask::Effect::TellCompleted(_)
                | subtask::Effect::TellAborted(_)
                | subtask::Effect::Commit(_)
                | subtask::Effect::AbortLingering
                | subtask::Effect::EndInput
                | subtask::Effect::Pause
                | subtask::Effect::Resume
                | subtask::Effect::ReportEnded
                | subtask::Effect::Finish
                | subtask::Effect::Fail { .. }
                | subtask::Effect::Arm(..)
                | subtask::Effect::Disarm(_) => {
                    unreachable!("a source without a sink and without an end: {effect:?}")
                }
            }
        }
    }

    fn hear(&self, state: &mut State, index: usize, order: &Order) {
        let input = match *order {
            Order::Trigger { barrier, .. } => subtask::Input::Trigger(barrier),
            Order::Completed { checkpoint, is_final, .. } => {
                subtask::Input::Completed { checkpoint, is_final }
            }
            Order::Aborted { checkpoint, .. } => subtask::Input::Aborted(checkpoint),
            Order::Registered
            | Order::Heartbeat
            | Order::Deploy(_)
            | Order::Start(_)
            | Order::ReportProgress { .. }
            | Order::Cancel(_) => return,
        };
        self.feed_subtask(state, index, input);
    }
}

/// Takes the next ack of a subtask from its queue, and notes the files it uses.
fn next_ack(state: &mut State, index: usize) -> Option<ToCoordinator> {
    let node = state.nodes.get_mut(index)?;
    let (checkpoint, shared) = node.acks.pop_front()?;
    for file in &shared {
        let used = state.uses.entry(file.id).or_default();
        *used = (*used).max(checkpoint);
    }
    let attempt = node.core.plan().attempt;
    let AttemptId { subtask, attempt: number } = attempt;
    let figures = SnapshotFigures::default();
    let snapshot =
        SnapshotHandle { subtask, attempt: number, bytes: 1, checksum: 1, figures, shared };
    Some(ToCoordinator::Ack { attempt, checkpoint, snapshot })
}

/// Takes what the registry would refuse out of its sight.
fn hide_what_is_gone(disk: &Disk, ack: &mut ToCoordinator) {
    if let ToCoordinator::Ack { snapshot, .. } = ack {
        for file in &mut snapshot.shared {
            file.is_own |= !disk.files.contains(&file.id);
        }
    }
}

impl State {
    fn replace_record(&mut self, record: StoreRecord) {
        self.completed.extend(record.retained.iter().copied());
        self.disk.record = record;
    }

    fn lowest(&self) -> CheckpointId {
        self.disk.record.retained.first().copied().unwrap_or_default()
    }

    /// Nothing is on its way, and nothing is being written.
    fn is_quiet(&self) -> bool {
        self.core.is_running()
            && self.core.pending().is_empty()
            && self.outstanding.is_none()
            && self
                .nodes
                .iter()
                .all(|it| it.orders.is_empty() && it.acks.is_empty() && it.writing.is_empty())
    }
}

impl Model for SharedFilesModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            core: Coordinator::new(self.plan.clone()),
            outstanding: None,
            timers: BTreeSet::new(),
            session: SessionId(0),
            disk: Disk {
                record: StoreRecord::fresh(JobId(1)),
                manifests: BTreeMap::new(),
                files: BTreeSet::new(),
            },
            nodes: Vec::new(),
            faults: 0,
            completed: BTreeSet::new(),
            uses: BTreeMap::new(),
            is_overwritten: false,
            is_refused: false,
        };
        self.lead(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may_fail = state.faults < self.faults_max;
        if state.outstanding.is_some() {
            actions.push(Action::Persisted);
        }
        if may_fail && state.core.is_running() {
            actions.push(Action::Crash(false));
            if state.outstanding.is_some() {
                actions.push(Action::Crash(true));
            }
        }
        for timer in &state.timers {
            // Not yet reserved; the one before it has been.
            let next = state.core.durable().next_checkpoint.0;
            if *timer == Timer::Trigger
                && next <= self.checkpoints_max
                && state.outstanding.is_none()
            {
                actions.push(Action::Trigger);
            }
            if let Timer::CheckpointExpires(checkpoint) = timer
                && may_fail
            {
                actions.push(Action::Expire(*checkpoint));
            }
        }
        for (index, node) in state.nodes.iter().enumerate() {
            if !node.orders.is_empty() {
                actions.push(Action::Order(index));
            }
            actions.extend(node.writing.keys().map(|it| Action::Durable(index, *it)));
            if !node.acks.is_empty() {
                actions.push(Action::Ack(index));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Trigger => {
                state.timers.remove(&Timer::Trigger);
                self.feed(&mut state, Input::Timer(Timer::Trigger));
            }
            Action::Expire(checkpoint) => {
                state.faults += 1;
                let timer = Timer::CheckpointExpires(checkpoint);
                state.timers.remove(&timer);
                self.feed(&mut state, Input::Timer(timer));
            }
            Action::Persisted => {
                let (write, record) = state.outstanding.take()?;
                state.replace_record(record);
                self.feed(&mut state, Input::RecordPersisted(write));
            }
            Action::Crash(is_applied) => {
                state.faults += 1;
                if is_applied {
                    let (_, record) = state.outstanding.take()?;
                    state.replace_record(record);
                }
                self.lead(&mut state);
            }
            Action::Order(index) => {
                let order = state.nodes[index].orders.pop_front()?;
                self.hear(&mut state, index, &order);
            }
            Action::Durable(index, checkpoint) => {
                self.on_durable(&mut state, index, checkpoint);
            }
            Action::Ack(index) => {
                let mut ack = next_ack(&mut state, index)?;
                if self.tamper.skips(DataStep::CheckReferences) {
                    hide_what_is_gone(&state.disk, &mut ack);
                }
                self.tell(&mut state, ack);
            }
        }
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // T7, I4: no retained checkpoint refers to a file that is gone.
            Property::always("restorable", |_: &Self, state: &State| {
                let disk = &state.disk;
                disk.record.retained.iter().all(|checkpoint| {
                    disk.manifests.get(checkpoint).is_some_and(|snapshots| {
                        let shared = snapshots.iter().flat_map(|it| &it.shared);
                        shared.map(|it| it.id).all(|id| disk.files.contains(&id))
                    })
                })
            }),
            // I6: what the next snapshot refers to was completed.
            Property::always("builds-on-confirmed", |_: &Self, state: &State| {
                let newest = state.nodes.iter().filter_map(|it| it.confirmed.last());
                newest.map(|it| it.id.checkpoint).all(|it| state.completed.contains(&it))
            }),
            // T8, G5: at rest, what this leader was told of and no checkpoint can use is gone, and so are the
            // manifests of all that were given up or dropped.
            Property::always("no-orphans", |_: &Self, state: &State| {
                let files = &state.disk.files;
                let is_used = |id: &SharedFileId| {
                    state.uses.get(id).is_none_or(|used| *used >= state.lowest())
                };
                let mut manifests = state.disk.manifests.keys();
                !state.is_quiet()
                    || (files.iter().all(is_used)
                        && manifests.all(|it| state.disk.record.retained.contains(it)))
            }),
            // I9: a name is written once.
            Property::always("names-are-used-once", |_: &Self, state: &State| {
                !state.is_overwritten
            }),
            Property::sometimes("a file outlives its checkpoint", |_: &Self, state: &State| {
                let retained = &state.disk.record.retained;
                let manifests = retained.iter().filter_map(|it| state.disk.manifests.get(it));
                let mut shared = manifests.flatten().flat_map(|it| &it.shared);
                shared.any(|it| !retained.contains(&it.id.checkpoint))
            }),
            Property::sometimes(
                "a reference to a deleted file is refused",
                |_: &Self, state: &State| state.is_refused,
            ),
            Property::sometimes("a file is deleted", |_: &Self, state: &State| {
                let gone = |id: &SharedFileId| !state.disk.files.contains(id);
                state.uses.keys().any(gone)
            }),
            Property::sometimes("the last checkpoint completes", |it: &Self, state: &State| {
                let newest = state.disk.record.retained.last();
                newest == Some(&CheckpointId(it.checkpoints_max))
            }),
            Property::sometimes("a second attempt completes one", |_: &Self, state: &State| {
                let newest = state.disk.record.retained.last();
                let manifest = newest.and_then(|it| state.disk.manifests.get(it));
                manifest.is_some_and(|it| it.iter().any(|it| it.attempt > Attempt(1)))
            }),
        ]
    }
}
