//! Savepoints and stopping with one: whatever is handed out stands, and a stopped job is whole.
//!
//! ```text
//!   people ── savepoint, stop, drain, cancel ──► real `Coordinator` core ──► record, manifests, exports
//!                                          orders ▼  ▲ reports
//!                               one worker, abstract ──► real `Subtask` core: source and sink in one
//! ```
//!
//! The subtask reads a few records and then its end, at which it emits one more. Everybody asks once, in
//! any order and at any moment; one budget of faults is shared by a coordinator that crashes (with its
//! outstanding write applied or lost), a worker that crashes, a stop or savepoint that expires, and an
//! export that fails.
//!
//! Deliberately absent: what [`crate::checkpoint`] and [`crate::commit`] show of connections, zombies and
//! the steps of one commit. Here a connection ends with the process at either side of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use seawall_protocol::config::{
    CheckpointConfig, CheckpointMode, HeartbeatConfig, RestartStrategy, RetentionOnCancel,
};
use seawall_protocol::coordinator::{
    self, Coordinator, Input, JobPlan, Outcome, Request, RequestId, SubtaskPlan, Timer, WriteId,
};
use seawall_protocol::message::{CheckpointKind, Deployment, Order, ToCoordinator};
use seawall_protocol::record::{JobResult, SnapshotFigures, SnapshotHandle, StoreRecord};
use seawall_protocol::subtask::{self, Subtask};
use seawall_protocol::tamper::Tamper;
use seawall_protocol::{AttemptId, CheckpointId, JobId, SessionId, SubtaskId, WorkerId};
use stateright::{Model, Property};

use crate::check::Size;

const WORKER: WorkerId = WorkerId(1);
const SUBTASK: SubtaskId = SubtaskId { operator: seawall_protocol::OperatorId(0), index: 0 };
/// What is emitted at the end of the input.
const END: u8 = u8::MAX;

/// The job and the budgets.
pub struct Stop {
    records_max: u8,
    faults_max: u8,
    asks_max: usize,
    plan: JobPlan,
    tamper: Box<dyn Tamper>,
}

impl Stop {
    /// The model at a size.
    pub fn new(size: Size, tamper: Box<dyn Tamper>) -> Self {
        let (records_max, faults_max, asks_max) = match size {
            Size::Smoke => (1, 1, 2),
            Size::Merge => (2, 1, 2),
        };
        let plan = JobPlan {
            subtasks: vec![SubtaskPlan::source(SUBTASK)],
            checkpoint: CheckpointConfig {
                interval: None,
                on_cancel: RetentionOnCancel::Retain,
                ..CheckpointConfig::default()
            },
            restart: RestartStrategy::FixedDelay {
                attempts: u32::MAX,
                delay: Duration::from_secs(1),
            },
            heartbeat: HeartbeatConfig::default(),
        };
        Self { records_max, faults_max, asks_max, plan, tamper }
    }
}

/// One leadership.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Leader {
    core: Coordinator,
    timers: BTreeSet<Timer>,
    writing: Option<(WriteId, StoreRecord)>,
    writing_manifests: BTreeMap<CheckpointId, CheckpointKind>,
    exporting: BTreeSet<CheckpointId>,
    has_given_up: bool,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Contents {
    position: u8,
    is_ended: bool,
    transactions: BTreeMap<CheckpointId, Vec<u8>>,
}

/// What survives everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Disk {
    record: StoreRecord,
    snapshots: BTreeMap<CheckpointId, Contents>,
    manifests: BTreeMap<CheckpointId, CheckpointKind>,
    /// The savepoints that somebody can start from, and whether the job stops with them.
    exported: BTreeMap<CheckpointId, (Contents, bool)>,
    /// Pre-committed and not visible.
    prepared: BTreeMap<CheckpointId, Vec<u8>>,
    /// What readers see, in the order in which they saw it.
    output: Vec<u8>,
}

/// The subtask's process: what a crash loses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Running {
    attempt: AttemptId,
    core: Subtask,
    contents: Contents,
    /// Emitted since the last pre-commit.
    open: Vec<u8>,
    is_reading: bool,
    is_paused: bool,
    has_told_end: bool,
}

/// The whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    leader: Leader,
    disk: Disk,
    running: Option<Running>,
    session: SessionId,
    orders: VecDeque<Order>,
    /// On their way to the coordinator; `None` is the end of a connection.
    reports: VecDeque<(SessionId, Option<ToCoordinator>)>,
    asked: BTreeSet<Request>,
    faults: u8,
    violated: BTreeSet<&'static str>,
    /// A stop was published and its leader crashed.
    has_crashed_while_stopping: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Somebody asks.
    Ask(Request),
    /// The outstanding record write is durable.
    RecordPersisted,
    /// The manifest is durable.
    ManifestWritten(CheckpointId),
    /// The savepoint is where it was asked for.
    Exported(CheckpointId),
    /// It cannot be brought there.
    ExportFails(CheckpointId),
    /// A timer of the coordinator fires.
    Fire(Timer),
    /// A report reaches the coordinator.
    Report,
    /// An order reaches the worker.
    Order,
    /// The subtask reads a record.
    Read,
    /// The subtask reads the end of its input.
    End,
    /// The coordinator crashes, another leads; `true`: the outstanding record write took effect.
    CrashCoordinator(bool),
    /// The worker crashes and starts again.
    CrashWorker,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(Request::Checkpoint) => f.write_str("somebody asks for a checkpoint"),
            Self::Ask(Request::Savepoint) => f.write_str("somebody asks for a savepoint"),
            Self::Ask(Request::StopWithSavepoint { drain: false }) => {
                f.write_str("somebody asks the job to stop")
            }
            Self::Ask(Request::StopWithSavepoint { drain: true }) => {
                f.write_str("somebody asks the job to drain and stop")
            }
            Self::Ask(Request::Cancel) => f.write_str("somebody cancels the job"),
            Self::RecordPersisted => f.write_str("the record is durable"),
            Self::ManifestWritten(checkpoint) => {
                write!(f, "the manifest of checkpoint {checkpoint} is durable")
            }
            Self::Exported(checkpoint) => write!(f, "savepoint {checkpoint} is where it belongs"),
            Self::ExportFails(checkpoint) => write!(f, "savepoint {checkpoint} cannot be written"),
            Self::Fire(timer) => write!(f, "the coordinator's timer fires: {timer:?}"),
            Self::Report => f.write_str("the coordinator hears of the worker"),
            Self::Order => f.write_str("the worker gets its next order"),
            Self::Read => f.write_str("the subtask reads a record"),
            Self::End => f.write_str("the subtask reads the end of its input"),
            Self::CrashCoordinator(false) => {
                f.write_str("the coordinator crashes; another one leads")
            }
            Self::CrashCoordinator(true) => f.write_str(
                "the coordinator crashes after its record write took effect; another one leads",
            ),
            Self::CrashWorker => f.write_str("the worker crashes and starts again"),
        }
    }
}

const STANDS: &str = "savepoint-stands";
const EXACTLY_ONCE: &str = "exactly-once-output";

// The coordinator.

impl Stop {
    fn lead(&self) -> Leader {
        Leader {
            core: Coordinator::new(self.plan.clone()),
            timers: BTreeSet::new(),
            writing: None,
            writing_manifests: BTreeMap::new(),
            exporting: BTreeSet::new(),
            has_given_up: false,
        }
    }

    fn feed_coordinator(&self, state: &mut State, input: Input) {
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
        state.has_crashed_while_stopping |= state.disk.record.stopping.is_some();
        state.leader = self.lead();
        Self::restart_worker(state);
        state.reports.retain(|(session, _)| *session == state.session);
        let record = state.disk.record.clone();
        self.feed_coordinator(state, Input::Recovered { record, shared: Vec::new() });
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
            if session == state.session {
                state.orders.push_back(message.order);
            }
        }
        coordinator::Effect::Stop(Outcome::Failed(_)) => leader.has_given_up = true,
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

/// H7, K14: nobody falls back behind a savepoint that was handed out.
fn judge_restore(state: &mut State, restore: Option<CheckpointId>) {
    if restore < state.disk.exported.last_key_value().map(|(newest, _)| *newest) {
        state.violated.insert(STANDS);
    }
}

// The worker.

impl Stop {
    fn restart_worker(state: &mut State) {
        let old = state.session;
        state.running = None;
        state.orders.clear();
        state.reports.push_back((old, None));
        register(state);
    }

    fn on_order(&self, state: &mut State, order: Order) {
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

    fn feed_subtask(&self, state: &mut State, input: subtask::Input) {
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

fn register(state: &mut State) {
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
fn end(running: &mut Running) {
    running.has_told_end = true;
    if !running.contents.is_ended {
        running.contents.is_ended = true;
        running.open.push(END);
    }
}

/// X1, N7: every record once, in order, and none behind a savepoint that the job stopped with.
fn show(state: &mut State, records: &[u8]) {
    let disk = &mut state.disk;
    let is_behind_a_stop = disk.exported.values().any(|(_, is_stop)| *is_stop);
    if is_behind_a_stop {
        state.violated.insert(STANDS);
    }
    disk.output.extend_from_slice(records);
    if !disk.output.is_sorted_by(|one, next| one < next) {
        state.violated.insert(EXACTLY_ONCE);
    }
}

/// What must stand in the output when everything before the position is in it.
fn expected(position: u8, is_ended: bool) -> Vec<u8> {
    (0..position).chain(is_ended.then_some(END)).collect()
}

impl Stop {
    /// The record is on the disk now, whether the coordinator knows it or not.
    fn persist(&self, state: &mut State) -> Option<WriteId> {
        let (write, record) = state.leader.writing.take()?;
        state.disk.record = record;
        self.judge_result(state);
        Some(write)
    }

    fn judge_result(&self, state: &mut State) {
        let disk = &state.disk;
        match disk.record.result {
            Some(JobResult::Finished) => {
                if disk.output != expected(self.records_max, true) {
                    state.violated.insert(EXACTLY_ONCE);
                }
            }
            Some(JobResult::Stopped(checkpoint)) => {
                let is_drained = disk.manifests.get(&checkpoint)
                    == Some(&CheckpointKind::StopWithSavepoint { drain: true });
                let is_whole = disk.exported.get(&checkpoint).is_some_and(|(contents, is_stop)| {
                    *is_stop
                        && (contents.is_ended || !is_drained)
                        && disk.output == expected(contents.position, contents.is_ended)
                });
                if !is_whole {
                    state.violated.insert(STANDS);
                }
            }
            Some(JobResult::Cancelled) => {
                if disk.record.stopping.is_some() {
                    state.violated.insert(STANDS);
                }
            }
            None => return,
        }
        // K7: what a savepoint holds as pre-committed, its job has committed.
        let disk = &state.disk;
        let is_cancelled = disk.record.result == Some(JobResult::Cancelled);
        let held = disk.exported.values().flat_map(|(it, _)| it.transactions.values().flatten());
        let is_kept = held.into_iter().all(|it| disk.output.contains(it));
        if !is_kept && !is_cancelled {
            state.violated.insert(STANDS);
        }
    }
}

impl Model for Stop {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            leader: self.lead(),
            disk: Disk {
                record: StoreRecord::fresh(JobId(1)),
                snapshots: BTreeMap::new(),
                manifests: BTreeMap::new(),
                exported: BTreeMap::new(),
                prepared: BTreeMap::new(),
                output: Vec::new(),
            },
            running: None,
            session: SessionId(0),
            orders: VecDeque::new(),
            reports: VecDeque::new(),
            asked: BTreeSet::new(),
            faults: 0,
            violated: BTreeSet::new(),
            has_crashed_while_stopping: false,
        };
        register(&mut state);
        let record = state.disk.record.clone();
        self.feed_coordinator(&mut state, Input::Recovered { record, shared: Vec::new() });
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
            actions.push(Action::CrashWorker);
        }
        if leader.writing.is_some() {
            actions.push(Action::RecordPersisted);
            if may_fail {
                actions.push(Action::CrashCoordinator(true));
            }
        }
        actions.extend(leader.writing_manifests.keys().map(|it| Action::ManifestWritten(*it)));
        for checkpoint in &leader.exporting {
            actions.push(Action::Exported(*checkpoint));
            if may_fail {
                actions.push(Action::ExportFails(*checkpoint));
            }
        }
        actions.extend(leader.timers.iter().copied().filter_map(|timer| {
            let is_fault = matches!(timer, Timer::CheckpointExpires(_));
            let is_due = may_fail || !is_fault;
            is_due.then_some(Action::Fire(timer))
        }));
        if !state.reports.is_empty() {
            actions.push(Action::Report);
        }
        if !state.orders.is_empty() {
            actions.push(Action::Order);
        }
        if let Some(running) = &state.running
            && running.is_reading
            && !running.is_paused
            && !running.has_told_end
        {
            let has_more = running.contents.position < self.records_max;
            actions.push(if has_more { Action::Read } else { Action::End });
        }
        if leader.core.is_running() && state.asked.len() < self.asks_max {
            let asks = [
                Request::Savepoint,
                Request::StopWithSavepoint { drain: false },
                Request::StopWithSavepoint { drain: true },
                Request::Cancel,
            ];
            let asks = asks.into_iter().filter(|it| !state.asked.contains(it));
            actions.extend(asks.map(Action::Ask));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Ask(request) => {
                let id = RequestId(state.asked.len() as u64);
                state.asked.insert(request);
                self.feed_coordinator(&mut state, Input::Requested { id, request });
            }
            Action::RecordPersisted => {
                let write = self.persist(&mut state)?;
                self.feed_coordinator(&mut state, Input::RecordPersisted(write));
            }
            Action::ManifestWritten(checkpoint) => {
                let kind = state.leader.writing_manifests.remove(&checkpoint)?;
                state.disk.manifests.insert(checkpoint, kind);
                self.feed_coordinator(&mut state, Input::ManifestWritten(checkpoint));
            }
            Action::Exported(checkpoint) => {
                state.leader.exporting.remove(&checkpoint);
                let Some(contents) = state.disk.snapshots.get(&checkpoint).cloned() else {
                    self.feed_coordinator(&mut state, Input::ExportFailed(checkpoint));
                    return Some(state);
                };
                let is_stop = state.leader.core.durable().stopping == Some(checkpoint);
                state.disk.exported.insert(checkpoint, (contents, is_stop));
                self.feed_coordinator(&mut state, Input::SavepointExported(checkpoint));
            }
            Action::ExportFails(checkpoint) => {
                state.faults += 1;
                state.leader.exporting.remove(&checkpoint);
                self.feed_coordinator(&mut state, Input::ExportFailed(checkpoint));
                if state.leader.has_given_up {
                    // The job failed, and somebody starts it again.
                    self.crash_coordinator(&mut state);
                }
            }
            Action::Fire(timer) => {
                state.leader.timers.remove(&timer);
                if let Timer::CheckpointExpires(_) = timer {
                    state.faults += 1;
                }
                self.feed_coordinator(&mut state, Input::Timer(timer));
            }
            Action::Report => {
                let (session, report) = state.reports.pop_front()?;
                let worker = WORKER;
                let input = match report {
                    Some(message) => Input::Message { worker, session, message },
                    None => Input::Disconnected { worker, session },
                };
                self.feed_coordinator(&mut state, input);
            }
            Action::Order => {
                let order = state.orders.pop_front()?;
                self.on_order(&mut state, order);
            }
            Action::Read => {
                let running = state.running.as_mut()?;
                running.open.push(running.contents.position);
                running.contents.position += 1;
            }
            Action::End => {
                end(state.running.as_mut()?);
                self.feed_subtask(&mut state, subtask::Input::InputEnded);
            }
            Action::CrashCoordinator(is_applied) => {
                state.faults += 1;
                if is_applied {
                    self.persist(&mut state)?;
                }
                self.crash_coordinator(&mut state);
            }
            Action::CrashWorker => {
                state.faults += 1;
                Self::restart_worker(&mut state);
            }
        }
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(EXACTLY_ONCE, |_: &Self, state: &State| {
                !state.violated.contains(EXACTLY_ONCE)
            }),
            // H7, K7, K14, N7: what was handed out stands, and a stopped job is whole.
            Property::always(STANDS, |_: &Self, state: &State| !state.violated.contains(STANDS)),
            // T16: the job can always still end.
            Property::eventually("recovers", |_: &Self, state: &State| {
                state.disk.record.result.is_some()
            }),
            Property::sometimes("a job stops", |_: &Self, state: &State| {
                matches!(state.disk.record.result, Some(JobResult::Stopped(_)))
            }),
            Property::sometimes("a later leader goes on stopping", |_: &Self, state: &State| {
                state.has_crashed_while_stopping
                    && matches!(state.disk.record.result, Some(JobResult::Stopped(_)))
            }),
            Property::sometimes(
                "a stop is given up and the job goes on",
                |_: &Self, state: &State| {
                    state.asked.contains(&Request::StopWithSavepoint { drain: false })
                        && !state.asked.contains(&Request::Cancel)
                        && state.disk.record.result == Some(JobResult::Finished)
                        && state.faults > 0
                },
            ),
            Property::sometimes(
                "a savepoint is handed out and the job goes on",
                |_: &Self, state: &State| {
                    state.disk.exported.values().any(|(_, is_stop)| !is_stop)
                        && state.disk.record.result == Some(JobResult::Finished)
                },
            ),
        ]
    }
}
