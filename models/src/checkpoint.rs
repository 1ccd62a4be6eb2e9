//! The life of checkpoints: coordinator, store and workers, each of which may fail between any two steps.
//!
//! ```text
//!            real `Coordinator` core ── effects, performed one at a time ──► store record, manifests, files
//!                │  ▲                                                        (durable; a write may fail
//!         orders ▼  │ reports        one FIFO pair for each session           having taken effect or not)
//!            real `Worker` core ──► one abstract subtask: source and sink in one
//! ```
//!
//! Two workers with one subtask each. The job runs, takes early checkpoints, ends, takes its final one
//! and finishes. One budget of faults is shared by all their kinds, so the model sees each fault at each
//! moment: a coordinator that crashes between two effects (with its outstanding write applied or lost),
//! a worker that crashes, a worker taken for dead that is not, a record or manifest write that fails, a
//! checkpoint that expires. Timers that heal fire at any time and as often as they are armed.
//!
//! The subtask is abstract: its snapshot is durable when its ack leaves it (that this is so is checked by
//! [`crate::commit`]), it commits what it is told is completed, and a new attempt commits what its
//! restored snapshot holds and removes the rest (K4, K5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use seawall_protocol::coordinator::{self, Coordinator, JobPlan, SubtaskPlan, Timer, WriteId};
use seawall_protocol::event::Event;
use seawall_protocol::message::{Barrier, Order, ToCoordinator, ToWorker};
use seawall_protocol::record::{SnapshotFigures, SnapshotHandle, StoreRecord};
use seawall_protocol::tamper::Tamper;
use seawall_protocol::worker::{self, Worker};
use seawall_protocol::{
    Attempt, AttemptId, CheckpointId, FencingToken, JobId, SessionId, SubtaskId, WorkerId,
};
use stateright::{Model, Property};

use crate::check::Size;

/// The job and the budgets.
pub struct Checkpoint {
    /// Checkpoints taken before the end of the input; the final one is not counted.
    early_checkpoints_max: u8,
    faults_max: u8,
    plan: JobPlan,
    tamper: Box<dyn Tamper>,
}

impl Checkpoint {
    /// The model at a size.
    pub fn new(size: Size, tamper: Box<dyn Tamper>) -> Self {
        // The larger size lets checkpoints overlap and keeps two of them.
        let (early_checkpoints_max, faults_max, at_once) = match size {
            Size::Smoke => (1, 1, 1),
            Size::Merge => (2, 1, 2),
        };
        let subtask = |index| SubtaskPlan::source(SubtaskId::new(0, index));
        let plan = JobPlan {
            subtasks: (0..2).map(subtask).collect(),
            edges: Vec::new(),
            parallelism_max: 128,
            checkpoint: CheckpointConfig {
                tolerable_failures: 1,
                max_concurrent: at_once,
                retained: at_once,
                ..CheckpointConfig::default()
            },
            restart: RestartStrategy::FixedDelay {
                attempts: u32::MAX,
                delay: Duration::from_secs(1),
            },
            heartbeat: HeartbeatConfig::default(),
        };
        Self { early_checkpoints_max, faults_max, plan, tamper }
    }
}

/// One leadership.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Leader {
    core: Coordinator,
    /// Decided and not yet performed; only those whose moment can be observed.
    effects: VecDeque<coordinator::Effect>,
    timers: BTreeSet<Timer>,
    writing: Option<(WriteId, StoreRecord)>,
    writing_manifests: BTreeSet<CheckpointId>,
    /// What the store held as the newest checkpoint when this leadership began.
    found: Option<CheckpointId>,
}

/// What survives everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Disk {
    record: StoreRecord,
    manifests: BTreeSet<CheckpointId>,
    snapshots: BTreeSet<(CheckpointId, WorkerId)>,
}

/// One worker process and its abstract subtask.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    core: Worker,
    link: Link,
    /// On their way to it, over its present connection.
    orders: VecDeque<ToWorker>,
    sessions: u64,
    subtask: Option<Running>,
    /// Pre-committed and not committed; outside the process.
    transactions: BTreeSet<CheckpointId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Link {
    Down,
    Asked,
    Up(SessionId),
    /// The other end is gone, and this one does not know it yet.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Running {
    attempt: AttemptId,
    is_started: bool,
    has_ended: bool,
}

/// What the properties must remember.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Ghost {
    /// Checkpoints that the durable record ever held.
    completed: BTreeSet<CheckpointId>,
    triggered: CheckpointId,
    token: FencingToken,
    committed: CheckpointId,
    /// Checkpoints some of whose transactions a restored sink removed; restoring one would lose output (P5).
    removed: BTreeSet<CheckpointId>,
    violated: BTreeSet<&'static str>,
}

/// The whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    leader: Leader,
    disk: Disk,
    processes: Vec<Process>,
    /// On their way to the coordinator, by session; `None` is the end of the connection.
    reports: BTreeMap<(WorkerId, SessionId), VecDeque<Option<ToCoordinator>>>,
    early_checkpoints: u8,
    faults: u8,
    ghost: Ghost,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The coordinator performs its next effect.
    Perform,
    /// The coordinator crashes, another leads; `true`: the outstanding record write took effect.
    CrashCoordinator(bool),
    /// The outstanding record write is durable.
    RecordPersisted,
    /// The outstanding record write fails; `true`: it took effect all the same.
    RecordFails(bool),
    /// The manifest is durable.
    ManifestWritten(CheckpointId),
    /// The manifest could not be written.
    ManifestFails(CheckpointId),
    /// A timer of the coordinator fires.
    Fire(Timer),
    /// A report, or the end of its connection, reaches the coordinator.
    Report(WorkerId, SessionId),
    /// An order reaches a worker.
    Order(WorkerId),
    /// A worker's connection is made.
    Connect(WorkerId),
    /// A worker notices that its connection is gone.
    Notice(WorkerId),
    /// A worker's subtask reads the end of its input.
    End(WorkerId),
    /// A worker crashes and starts again.
    CrashWorker(WorkerId),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Perform => f.write_str("the coordinator performs its next effect"),
            Self::CrashCoordinator(false) => {
                f.write_str("the coordinator crashes; another one leads")
            }
            Self::CrashCoordinator(true) => f.write_str(
                "the coordinator crashes after its record write took effect; another one leads",
            ),
            Self::RecordPersisted => f.write_str("the record is durable"),
            Self::RecordFails(false) => f.write_str("the record write fails and took no effect"),
            Self::RecordFails(true) => f.write_str("the record write fails and took effect"),
            Self::ManifestWritten(checkpoint) => {
                write!(f, "the manifest of checkpoint {checkpoint} is durable")
            }
            Self::ManifestFails(checkpoint) => {
                write!(f, "the manifest of checkpoint {checkpoint} cannot be written")
            }
            Self::Fire(timer) => write!(f, "the coordinator's timer fires: {timer:?}"),
            Self::Report(worker, session) => {
                write!(f, "the coordinator hears of {worker}, session {session}")
            }
            Self::Order(worker) => write!(f, "{worker} gets its next order"),
            Self::Connect(worker) => write!(f, "{worker} connects"),
            Self::Notice(worker) => write!(f, "{worker} notices that its connection is gone"),
            Self::End(worker) => write!(f, "{worker} reads the end of its input"),
            Self::CrashWorker(worker) => write!(f, "{worker} crashes and starts again"),
        }
    }
}

impl State {
    /// The workers are mirror images of each other until something failed, so one of them fails first.
    fn may_fail_next(&self, worker: WorkerId) -> bool {
        self.faults > 0 || worker == WorkerId(1)
    }
}

/// Workers are numbered from 1.
fn index(worker: WorkerId) -> usize {
    worker.0 as usize - 1
}

fn violated(state: &mut State, property: &'static str) {
    state.ghost.violated.insert(property);
}

// The coordinator.

impl Checkpoint {
    fn lead(&self, disk: &Disk) -> Leader {
        let mut plan = self.plan.clone();
        self.tamper.before_coordinator(&mut plan);
        Leader {
            core: Coordinator::new(plan),
            effects: VecDeque::new(),
            timers: BTreeSet::new(),
            writing: None,
            writing_manifests: BTreeSet::new(),
            found: disk.record.retained.last().copied(),
        }
    }

    fn feed_coordinator(&self, state: &mut State, mut input: coordinator::Input) {
        if !self.tamper.admits_to_coordinator(&mut input) {
            return;
        }
        let mut effects = Vec::new();
        state.leader.core.handle(input.clone(), &mut effects);
        self.tamper.after_coordinator(&input, &mut effects);
        state.leader.effects.extend(effects);
        perform_what_nobody_sees(state);
    }

    fn crash_coordinator(&self, state: &mut State) {
        for process in &mut state.processes {
            if let Link::Up(_) | Link::Asked = process.link {
                process.link = if process.link == Link::Asked { Link::Asked } else { Link::Broken };
            }
        }
        state.reports.clear();
        state.leader = self.lead(&state.disk);
        let record = state.disk.record.clone();
        self.feed_coordinator(state, coordinator::Input::Recovered { record, shared: Vec::new() });
    }

    /// The record is on the disk now, whether the coordinator knows it or not.
    fn persist(state: &mut State) -> Option<WriteId> {
        let (write, record) = state.leader.writing.take()?;
        state.ghost.completed.extend(record.retained.iter().copied());
        state.disk.record = record;
        Some(write)
    }
}

/// Notes and timers at the head of the queue: nothing can come between that matters.
fn perform_what_nobody_sees(state: &mut State) {
    loop {
        match state.leader.effects.front() {
            Some(
                coordinator::Effect::Note(_)
                | coordinator::Effect::Arm(..)
                | coordinator::Effect::Answer { .. }
                | coordinator::Effect::Disarm(_),
            ) => perform(state),
            Some(
                coordinator::Effect::Persist { .. }
                | coordinator::Effect::WriteManifest { .. }
                | coordinator::Effect::ExportSavepoint(_)
                | coordinator::Effect::DeleteCheckpoint(_)
                | coordinator::Effect::DeleteShared(_)
                | coordinator::Effect::SweepShared { .. }
                | coordinator::Effect::Send { .. }
                | coordinator::Effect::Disconnect { .. }
                | coordinator::Effect::Stop(_),
            )
            | None => return,
        }
    }
}

fn perform(state: &mut State) {
    let Some(effect) = state.leader.effects.pop_front() else { return };
    match effect {
        coordinator::Effect::Persist { write, record } => {
            assert!(state.leader.writing.is_none(), "one record write at a time");
            state.leader.writing = Some((write, record));
        }
        coordinator::Effect::WriteManifest { checkpoint, finished, .. } => {
            let goes_on = |it: &Running| finished.contains(&it.attempt.subtask);
            if state.processes.iter().filter_map(|it| it.subtask.as_ref()).any(goes_on) {
                violated(state, "held-once");
            }
            state.leader.writing_manifests.insert(checkpoint);
        }
        coordinator::Effect::DeleteShared(_) | coordinator::Effect::SweepShared { .. } => {
            unreachable!("no snapshot of this model has shared files")
        }
        coordinator::Effect::ExportSavepoint(_) => unreachable!("nobody asks for savepoints here"),
        coordinator::Effect::DeleteCheckpoint(checkpoint) => {
            state.disk.manifests.remove(&checkpoint);
            state.disk.snapshots.retain(|(of, _)| *of != checkpoint);
        }
        coordinator::Effect::Arm(timer, _) => {
            if is_offered(timer) {
                state.leader.timers.insert(timer);
            }
        }
        coordinator::Effect::Disarm(timer) => {
            state.leader.timers.remove(&timer);
        }
        coordinator::Effect::Send { worker, session, message } => {
            if let Order::Deploy(deployment) = &message.order {
                judge_restore(state, deployment.restore);
            }
            let process = &mut state.processes[index(worker)];
            if process.link == Link::Up(session) {
                process.orders.push_back(message);
            }
        }
        coordinator::Effect::Disconnect { worker, session } => {
            state.reports.remove(&(worker, session));
            let process = &mut state.processes[index(worker)];
            if process.link == Link::Up(session) {
                process.link = Link::Broken;
            }
        }
        coordinator::Effect::Answer { .. } => {}
        coordinator::Effect::Stop(_) => state.leader.effects.clear(),
        coordinator::Effect::Note(event) => judge_event(state, &event),
    }
}

/// Whether firing the timer is a step of this model. Signs of life and the wish to forget failures change
/// nothing that the properties see.
fn is_offered(timer: Timer) -> bool {
    match timer {
        Timer::Trigger
        | Timer::CheckpointExpires(_)
        | Timer::RecordRetry
        | Timer::Restart(_)
        | Timer::CancelExpires(_)
        | Timer::WorkerSilent(_) => true,
        Timer::MinPause
        | Timer::RetainedExpires(_)
        | Timer::Stable(_)
        | Timer::FailureForgotten(_)
        | Timer::Heartbeat => false,
    }
}

/// O7, P4, T13, P5: from the newest completed, nothing committed is taken back, nothing removed is needed.
fn judge_restore(state: &mut State, restore: Option<CheckpointId>) {
    let newest = state.disk.record.retained.last().copied();
    let is_removed = restore.is_some_and(|it| state.ghost.removed.contains(&it));
    let is_below_output = restore.unwrap_or_default() < state.ghost.committed;
    if restore != newest || is_removed || is_below_output {
        violated(state, "restored-is-newest");
    }
}

fn judge_event(state: &mut State, event: &Event) {
    if let Event::CoordinatorStarted { token, .. } = event {
        if *token <= state.ghost.token {
            violated(state, "one-leader");
        }
        state.ghost.token = *token;
    }
    if let Event::CheckpointTriggered { checkpoint, .. } = event {
        if *checkpoint <= state.ghost.triggered {
            violated(state, "ids-increase");
        }
        state.ghost.triggered = *checkpoint;
    }
    if let Event::CheckpointCompleted { checkpoint } = event
        && !state.ghost.completed.contains(checkpoint)
    {
        violated(state, "commit-after-completion");
    }
}

// The workers.

impl Checkpoint {
    fn start_process(&self, state: &mut State, worker: WorkerId) {
        let process = &mut state.processes[index(worker)];
        process.core = Worker::new(worker_plan(worker));
        process.link = Link::Down;
        process.orders.clear();
        process.subtask = None;
        let session = next_session(process, worker);
        self.feed_worker(state, worker, worker::Input::Start { session });
    }

    fn feed_worker(&self, state: &mut State, worker: WorkerId, input: worker::Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(mut input) = inputs.pop_front() {
            let plan = worker_plan(worker);
            if !self.tamper.admits_to_worker(&plan, &mut input) {
                continue;
            }
            let mut effects = Vec::new();
            state.processes[index(worker)].core.handle(input.clone(), &mut effects);
            self.tamper.after_worker(&plan, &input, &mut effects);
            for effect in effects {
                perform_for_worker(state, worker, effect, &mut inputs);
            }
        }
    }
}

fn worker_plan(worker: WorkerId) -> worker::Plan {
    worker::Plan { worker, slots: 1, heartbeat: HeartbeatConfig::default() }
}

fn next_session(process: &mut Process, worker: WorkerId) -> SessionId {
    process.sessions += 1;
    SessionId(u64::from(worker.0) * 16 + process.sessions)
}

fn perform_for_worker(
    state: &mut State,
    worker: WorkerId,
    effect: worker::Effect,
    inputs: &mut VecDeque<worker::Input>,
) {
    let process = &mut state.processes[index(worker)];
    let subtask = process.subtask;
    let mut report = |report| inputs.push_back(worker::Input::Report(report));
    match effect {
        worker::Effect::Connect => process.link = Link::Asked,
        worker::Effect::Disconnect => {
            if let Link::Up(session) = process.link {
                state.reports.entry((worker, session)).or_default().push_back(None);
            }
            process.link = Link::Broken;
        }
        worker::Effect::Send(message) => {
            if let Link::Up(session) = process.link {
                state.reports.entry((worker, session)).or_default().push_back(Some(message));
            }
        }
        worker::Effect::Launch(deployment) => {
            let restored = deployment.restore.unwrap_or_default();
            let attempt =
                AttemptId { subtask: deployment.subtasks[0], attempt: deployment.attempt };
            process.subtask = Some(Running { attempt, is_started: false, has_ended: false });
            let later = process.transactions.split_off(&restored.next());
            let due = std::mem::take(&mut process.transactions);
            state.ghost.removed.extend(later);
            commit(state, due);
            report(ToCoordinator::Ready(attempt));
        }
        worker::Effect::Start(_) => {
            if let Some(running) = &mut process.subtask {
                running.is_started = true;
            }
        }
        worker::Effect::Stop(_) => {
            process.subtask = None;
            if let Some(running) = subtask {
                report(ToCoordinator::Cancelled(running.attempt));
            }
        }
        worker::Effect::Trigger { barrier: Barrier { checkpoint, .. }, .. } => {
            let Some(Running { attempt, .. }) = subtask else { return };
            process.transactions.insert(checkpoint);
            state.disk.snapshots.insert((checkpoint, worker));
            let snapshot = SnapshotHandle {
                subtask: attempt.subtask,
                attempt: attempt.attempt,
                bytes: 0,
                checksum: 0,
                figures: SnapshotFigures::default(),
                shared: Vec::new(),
            };
            report(ToCoordinator::Ack { attempt, checkpoint, snapshot });
        }
        worker::Effect::Completed { checkpoint, is_final, .. } => {
            let Some(Running { attempt, .. }) = subtask else { return };
            let later = process.transactions.split_off(&checkpoint.next());
            let due = std::mem::replace(&mut process.transactions, later);
            if is_final {
                process.subtask = None;
                report(ToCoordinator::Finished(attempt));
            }
            commit(state, due);
        }
        worker::Effect::Arm(worker::Timer::Reconnect, _) => {
            // Healing, and nothing else can be told from its moment.
            inputs.push_back(worker::Input::Timer(worker::Timer::Reconnect));
        }
        worker::Effect::Aborted { .. }
        | worker::Effect::ReportProgress { .. }
        | worker::Effect::Arm(worker::Timer::Heartbeat | worker::Timer::CoordinatorSilent, _)
        | worker::Effect::Disarm(_)
        | worker::Effect::Note(_) => {}
    }
}

/// K2, X2: what is made visible belongs to a checkpoint at or below one that the durable record held.
fn commit(state: &mut State, transactions: BTreeSet<CheckpointId>) {
    for transaction in transactions {
        state.ghost.committed = state.ghost.committed.max(transaction);
        if state.ghost.completed.range(transaction..).next().is_none() {
            violated(state, "commit-after-completion");
        }
    }
}

impl Model for Checkpoint {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let disk = Disk {
            record: StoreRecord::fresh(JobId(1)),
            manifests: BTreeSet::new(),
            snapshots: BTreeSet::new(),
        };
        let process = |worker| Process {
            core: Worker::new(worker_plan(WorkerId(worker))),
            link: Link::Down,
            orders: VecDeque::new(),
            sessions: 0,
            subtask: None,
            transactions: BTreeSet::new(),
        };
        let mut state = State {
            leader: self.lead(&disk),
            disk,
            processes: vec![process(1), process(2)],
            reports: BTreeMap::new(),
            early_checkpoints: 0,
            faults: 0,
            ghost: Ghost::default(),
        };
        let record = state.disk.record.clone();
        self.feed_coordinator(
            &mut state,
            coordinator::Input::Recovered { record, shared: Vec::new() },
        );
        for worker in [1, 2] {
            self.start_process(&mut state, WorkerId(worker));
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.disk.record.result.is_some() {
            return; // The job is over; what is left to do changes nothing.
        }
        let may_fail = state.faults < self.faults_max;
        let leader = &state.leader;
        if may_fail {
            actions.push(Action::CrashCoordinator(false));
            if leader.writing.is_some() {
                actions.push(Action::CrashCoordinator(true));
            }
        }
        if !leader.effects.is_empty() {
            // Local, deterministic, and only a crash can tell when: it goes first.
            actions.push(Action::Perform);
            return;
        }
        if leader.writing.is_some() {
            actions.push(Action::RecordPersisted);
            if may_fail {
                actions.extend([Action::RecordFails(false), Action::RecordFails(true)]);
            }
        }
        for checkpoint in &leader.writing_manifests {
            actions.push(Action::ManifestWritten(*checkpoint));
            if may_fail {
                actions.push(Action::ManifestFails(*checkpoint));
            }
        }
        actions.extend(leader.timers.iter().copied().filter_map(|timer| {
            let is_due = match timer {
                Timer::Trigger => state.early_checkpoints < self.early_checkpoints_max,
                Timer::CheckpointExpires(_) => may_fail,
                Timer::WorkerSilent(worker) => may_fail && state.may_fail_next(worker),
                // It heals what no report will; while every worker answers it only waits.
                Timer::CancelExpires(_) => state.processes.iter().all(|it| it.orders.is_empty()),
                Timer::RecordRetry | Timer::Restart(_) => true,
                Timer::MinPause
                | Timer::RetainedExpires(_)
                | Timer::Stable(_)
                | Timer::FailureForgotten(_)
                | Timer::Heartbeat => false,
            };
            is_due.then_some(Action::Fire(timer))
        }));
        for ((worker, session), queue) in &state.reports {
            if !queue.is_empty() {
                actions.push(Action::Report(*worker, *session));
            }
        }
        for (process, worker) in state.processes.iter().zip([WorkerId(1), WorkerId(2)]) {
            if !process.orders.is_empty() {
                actions.push(Action::Order(worker));
            }
            match process.link {
                Link::Asked => actions.push(Action::Connect(worker)),
                Link::Broken => actions.push(Action::Notice(worker)),
                Link::Down | Link::Up(_) => {}
            }
            if process.subtask.is_some_and(|it| it.is_started && !it.has_ended) {
                actions.push(Action::End(worker));
            }
            if may_fail && state.may_fail_next(worker) {
                actions.push(Action::CrashWorker(worker));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Perform => {
                let next = state.leader.effects.front().cloned();
                perform(&mut state);
                if let Some(coordinator::Effect::DeleteCheckpoint(checkpoint)) = next {
                    self.feed_coordinator(&mut state, coordinator::Input::Deleted(checkpoint));
                }
                perform_what_nobody_sees(&mut state);
            }
            Action::CrashCoordinator(is_applied) => {
                state.faults += 1;
                if is_applied {
                    Self::persist(&mut state)?;
                }
                self.crash_coordinator(&mut state);
            }
            Action::RecordPersisted => {
                let write = Self::persist(&mut state)?;
                self.feed_coordinator(&mut state, coordinator::Input::RecordPersisted(write));
            }
            Action::RecordFails(is_applied) => {
                state.faults += 1;
                let write = state.leader.writing.as_ref()?.0;
                if is_applied {
                    Self::persist(&mut state)?;
                }
                state.leader.writing = None;
                self.feed_coordinator(&mut state, coordinator::Input::RecordFailed(write));
            }
            Action::ManifestWritten(checkpoint) => {
                state.leader.writing_manifests.remove(&checkpoint);
                state.disk.manifests.insert(checkpoint);
                self.feed_coordinator(&mut state, coordinator::Input::ManifestWritten(checkpoint));
            }
            Action::ManifestFails(checkpoint) => {
                state.faults += 1;
                state.leader.writing_manifests.remove(&checkpoint);
                self.feed_coordinator(&mut state, coordinator::Input::ManifestFailed(checkpoint));
            }
            Action::Fire(timer) => {
                state.leader.timers.remove(&timer);
                match timer {
                    Timer::Trigger => state.early_checkpoints += 1,
                    Timer::CheckpointExpires(_) | Timer::WorkerSilent(_) => state.faults += 1,
                    Timer::MinPause
                    | Timer::RetainedExpires(_)
                    | Timer::RecordRetry
                    | Timer::Restart(_)
                    | Timer::Stable(_)
                    | Timer::FailureForgotten(_)
                    | Timer::CancelExpires(_)
                    | Timer::Heartbeat => {}
                }
                self.feed_coordinator(&mut state, coordinator::Input::Timer(timer));
            }
            Action::Report(worker, session) => {
                let queue = state.reports.get_mut(&(worker, session))?;
                let report = queue.pop_front()?;
                if queue.is_empty() {
                    state.reports.remove(&(worker, session));
                }
                let input = match report {
                    Some(message) => coordinator::Input::Message { worker, session, message },
                    None => coordinator::Input::Disconnected { worker, session },
                };
                self.feed_coordinator(&mut state, input);
            }
            Action::Order(worker) => {
                let order = state.processes[index(worker)].orders.pop_front()?;
                self.feed_worker(&mut state, worker, worker::Input::Order(order));
            }
            Action::Connect(worker) => {
                let process = &mut state.processes[index(worker)];
                process.link = Link::Up(process.core.session());
                self.feed_worker(&mut state, worker, worker::Input::Connected);
            }
            Action::Notice(worker) => {
                let process = &mut state.processes[index(worker)];
                process.link = Link::Down;
                process.orders.clear();
                let session = next_session(process, worker);
                let cause = String::new();
                self.feed_worker(
                    &mut state,
                    worker,
                    worker::Input::Disconnected { session, cause },
                );
            }
            Action::End(worker) => {
                let running = state.processes[index(worker)].subtask.as_mut()?;
                running.has_ended = true;
                let report = ToCoordinator::Ended(running.attempt);
                self.feed_worker(&mut state, worker, worker::Input::Report(report));
            }
            Action::CrashWorker(worker) => {
                state.faults += 1;
                if let Link::Up(session) = state.processes[index(worker)].link {
                    state.reports.entry((worker, session)).or_default().push_back(None);
                }
                self.start_process(&mut state, worker);
            }
        }
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("ids-increase", |_: &Self, state: &State| {
                !state.ghost.violated.contains("ids-increase")
            }),
            Property::always("one-leader", |_: &Self, state: &State| {
                !state.ghost.violated.contains("one-leader")
            }),
            Property::always("commit-after-completion", |_: &Self, state: &State| {
                !state.ghost.violated.contains("commit-after-completion")
            }),
            Property::always("restored-is-newest", |_: &Self, state: &State| {
                !state.ghost.violated.contains("restored-is-newest")
            }),
            // N1, N2, N6: a checkpoint holds nothing of a subtask only if the subtask has finished.
            Property::always("held-once", |_: &Self, state: &State| {
                !state.ghost.violated.contains("held-once")
            }),
            // T7, G2: what the record names is whole.
            Property::always("restorable", |_: &Self, state: &State| {
                let disk = &state.disk;
                disk.record.retained.iter().all(|checkpoint| {
                    disk.manifests.contains(checkpoint)
                        && (1..=2).all(|it| disk.snapshots.contains(&(*checkpoint, WorkerId(it))))
                })
            }),
            // B2: no more at once than may be.
            Property::always("within-limits", |model: &Self, state: &State| {
                state.leader.core.pending().len() <= model.plan.checkpoint.max_concurrent as usize
            }),
            // O6, A4: one attempt at a time on each worker, and none newer than the store knows.
            Property::always("one-owner", |_: &Self, state: &State| {
                let newest = state.disk.record.attempt;
                state.processes.iter().filter_map(|it| it.subtask).all(|running| {
                    running.attempt.attempt <= newest && running.attempt.attempt > Attempt(0)
                })
            }),
            // T11, T16: the job can always still finish.
            Property::eventually("recovers", |_: &Self, state: &State| {
                state.disk.record.result.is_some()
            }),
            Property::sometimes("a later leader completes one more", |_: &Self, state: &State| {
                state.leader.found.is_some()
                    && state.disk.record.retained.last().copied() > state.leader.found
            }),
            Property::sometimes("an aborted checkpoint is found", |_: &Self, state: &State| {
                // Its write failed, took effect, and the coordinator crashed before it was taken back.
                state.leader.core.durable().retained.last() < state.disk.record.retained.last()
                    && state.leader.core.pending().is_empty()
            }),
            Property::sometimes(
                "a zombie runs beside the next attempt",
                |_: &Self, state: &State| {
                    let attempts: BTreeSet<Attempt> = state
                        .processes
                        .iter()
                        .filter_map(|it| it.subtask)
                        .map(|running| running.attempt.attempt)
                        .collect();
                    attempts.len() == 2
                },
            ),
        ]
    }
}
