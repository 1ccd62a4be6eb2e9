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
use std::time::Duration;

use seawall_protocol::config::{
    CheckpointConfig, HeartbeatConfig, RestartStrategy, RetentionOnCancel,
};
use seawall_protocol::coordinator::{
    Coordinator, Input, JobPlan, Request, RequestId, SubtaskPlan, Timer, WriteId,
};
use seawall_protocol::message::{CheckpointKind, Order, ToCoordinator};
use seawall_protocol::record::{JobResult, StoreRecord};
use seawall_protocol::subtask::{self, Subtask};
use seawall_protocol::tamper::Tamper;
use seawall_protocol::{AttemptId, CheckpointId, JobId, SessionId, SubtaskId, WorkerId};
use stateright::{Model, Property};

use crate::check::Size;

mod action;
mod leader;
mod verdict;
mod worker;

pub use action::Action;
use worker::{end, register};

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
            edges: Vec::new(),
            parallelism_max: 128,
            checkpoint: CheckpointConfig {
                interval: None,
                on_cancel: RetentionOnCancel::Retain,
                tolerable_failures: 0,
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
    /// What each checkpoint is for, from its barriers to its end.
    kinds: BTreeMap<CheckpointId, CheckpointKind>,
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

const STANDS: &str = "savepoint-stands";
const WITHIN_LIMITS: &str = "within-limits";
const EXACTLY_ONCE: &str = "exactly-once-output";

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
            // T7, H9: what the record names is there, and stays when the job is cancelled.
            Property::always("restorable", |_: &Self, state: &State| {
                let disk = &state.disk;
                let is_there =
                    |it| disk.manifests.contains_key(it) && disk.snapshots.contains_key(it);
                disk.record.retained.iter().all(is_there)
            }),
            // G6: the attempt does not outlive more failed checkpoints in a row than may be.
            Property::always(WITHIN_LIMITS, |_: &Self, state: &State| {
                !state.violated.contains(WITHIN_LIMITS)
            }),
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
