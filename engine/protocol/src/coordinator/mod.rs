//! The coordinator: one leader's decisions about a job, from reading the store record to the result.
//!
//! It composes [`crate::trigger`] (when), [`crate::pending`] (acks), [`crate::store`] (the record) and
//! [`crate::failover`] (restarts), and adds deployment. Rules A, B, G, H, O and P4.
//!
//! ```text
//! Recovered -> token durable -> waiting for slots -> attempt durable -> Deploy -> all Ready -> Start
//!                                     ^                                                        |
//!                                     +-- restart delay <- all stopped <- Cancel <- a failure -+
//!                                                                                              |
//!        result durable <- all Finished <- final checkpoint completed <- all Ended ------------+
//! ```
//!
//! A subtask that ended finishes as soon as a completed checkpoint holds its end, and checkpoints go on
//! without it: see `ends`.
//!
//! What follows from the state alone, and not from one input, is decided in one place after every
//! input: `settle`.
//!
//! Deliberately absent: more than one region (O5).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use seawall_probe::sometimes;

use crate::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use crate::event::{AbortReason, Event};
use crate::execution::{Execution, Phase, slots_needed};
use crate::failover::Failover;
use crate::graph::Edge;
use crate::ids::{Attempt, CheckpointId, SessionId, SubtaskId, WorkerId};
use crate::limits::REMEMBERED_ABORTED_MAX;
use crate::message::{CheckpointKind, Order, ToCoordinator, ToWorker};
use crate::pending::PendingCheckpoints;
use crate::record::{JobResult, SnapshotHandle, StoreRecord};
use crate::savepoint::Savepoints;
use crate::shared_files::{RetainedFiles, SharedFileId, SharedFiles};
use crate::store::{Purpose, Store};
use crate::trigger::Trigger;

mod attempts;
mod checkpoints;
mod ends;
mod requests;
mod rescale;
mod savepoints;
mod workers;

/// What a coordinator must know of its job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobPlan {
    /// Every subtask, ascending.
    pub subtasks: Vec<SubtaskPlan>,
    /// Who sends to whom, at any parallelism.
    pub edges: Vec<Edge>,
    /// The most subtasks an operator can have: the key groups (M3).
    pub parallelism_max: u32,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
}

/// One subtask in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubtaskPlan {
    /// Which.
    pub subtask: SubtaskId,
    /// Who sends to it. Barriers are injected where nobody is, or all of them have finished (B11, N1).
    pub upstream: Vec<SubtaskId>,
    /// Whether a restore hands all of its operator's state to each of its subtasks (M5, N5).
    pub has_union_state: bool,
    /// Whether its end has an effect of its own, which no subtask may have again.
    pub acts_at_end: bool,
}

impl SubtaskPlan {
    /// A source subtask.
    pub fn source(subtask: SubtaskId) -> Self {
        Self { subtask, upstream: Vec::new(), has_union_state: false, acts_at_end: false }
    }

    /// Whether barriers are always injected here.
    pub fn is_source(&self) -> bool {
        self.upstream.is_empty()
    }
}

/// What happened to a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The first input of a leadership.
    Recovered {
        /// What the store held.
        record: StoreRecord,
        /// The shared files of every retained checkpoint, as its manifest names them (I8).
        shared: Vec<RetainedFiles>,
    },
    /// A message of a worker's session. `Register` is the first of each session.
    Message {
        /// From whom.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
        /// What.
        message: ToCoordinator,
    },
    /// The session's connection ended or broke.
    Disconnected {
        /// Whose.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
    },
    /// The store record of this write is durable.
    RecordPersisted(WriteId),
    /// The write failed; whether it took effect is unknown (H3).
    RecordFailed(WriteId),
    /// The manifest is durable.
    ManifestWritten(CheckpointId),
    /// The manifest could not be written.
    ManifestFailed(CheckpointId),
    /// The savepoint is where it was asked for.
    SavepointExported(CheckpointId),
    /// It could not be brought there.
    ExportFailed(CheckpointId),
    /// The deletion of the checkpoint's files is over, whether all of them are gone or not (H6).
    Deleted(CheckpointId),
    /// A person or a program asks for something. Answered by exactly one `Answer` in the end, unless the
    /// leadership ends first.
    Requested {
        /// Names the request in the answer.
        id: RequestId,
        /// What is wanted.
        request: Request,
    },
    /// A timer fired.
    Timer(Timer),
}

/// Numbers the requests within one leadership.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What can be asked of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// A checkpoint now.
    Checkpoint,
    /// A savepoint now (H7).
    Savepoint,
    /// A savepoint, and the end of the job once its transactions are committed (N7).
    StopWithSavepoint {
        /// Whether the input counts as ended first.
        drain: bool,
    },
    /// The end of the job, at once.
    Cancel,
    /// The job goes on with so many subtasks per operator (M7).
    Rescale {
        /// Subtasks of every operator.
        parallelism: u32,
    },
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The checkpoint or savepoint is completed.
    Completed(CheckpointId),
    /// It was given up.
    Aborted(CheckpointId, AbortReason),
    /// The job ended, with this result.
    Ended(JobResult),
    /// An attempt with so many subtasks per operator runs.
    Rescaled {
        /// Subtasks of every operator.
        parallelism: u32,
    },
    /// It never began; why, for people.
    Refused(String),
}

/// Numbers the writes of the store record within one leadership.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// The coordinator's timers. Arming one that is armed replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// When to take the next periodic checkpoint.
    Trigger,
    /// When the last completion is old enough for the next checkpoint (B3).
    MinPause,
    /// When a pending checkpoint expires (G4).
    CheckpointExpires(CheckpointId),
    /// When a retained checkpoint is too old.
    RetainedExpires(CheckpointId),
    /// When a failed record write is tried again.
    RecordRetry,
    /// When the next attempt starts (O9).
    Restart(Attempt),
    /// When the running attempt counts as stable (O9, exponential delay).
    Stable(Attempt),
    /// When a failure leaves the failure-rate window (O9).
    FailureForgotten(u32),
    /// When an attempt that does not stop makes its workers be taken for dead (O6).
    CancelExpires(Attempt),
    /// When to send the next sign of life to every worker (O1).
    Heartbeat,
    /// When a silent worker is taken for dead (O1).
    WorkerSilent(WorkerId),
}

/// A delay: exactly `least`, or drawn by the driver in `least..=most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delay {
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
}

impl Delay {
    /// A delay without jitter.
    pub const fn exactly(duration: Duration) -> Self {
        Self { least: duration, most: duration }
    }
}

/// What a coordinator wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Replace the store record, durably and atomically. Answered by `RecordPersisted` or `RecordFailed`.
    /// At most one is outstanding.
    Persist {
        /// Names the write in the answer.
        write: WriteId,
        /// The whole record.
        record: StoreRecord,
    },
    /// Write the checkpoint's manifest durably. Answered by `ManifestWritten` or `ManifestFailed`.
    WriteManifest {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// What it was taken for.
        kind: CheckpointKind,
        /// Who asked for it.
        request: Option<RequestId>,
        /// Its snapshots, ascending by subtask.
        snapshots: Vec<SnapshotHandle>,
        /// The subtasks that finished before, ascending; it holds nothing of them (N1, N2).
        finished: Vec<SubtaskId>,
    },
    /// Bring a savepoint, whose manifest is durable, to where it was asked for; whole, or not at all.
    /// Doing it again is doing it once. Answered by `SavepointExported` or `ExportFailed`.
    ExportSavepoint(CheckpointId),
    /// Delete every file of the checkpoint. Answered by `Deleted` in any case: a failure never fails the
    /// job (H6).
    DeleteCheckpoint(CheckpointId),
    /// Delete these shared files: no checkpoint refers to them, and none ever will (I3). A failure is
    /// noted, never fails the job (H6).
    DeleteShared(Vec<SharedFileId>),
    /// Delete every shared file of a checkpoint below `below` which is not in `keep`: it was written for a
    /// checkpoint that was given up, or by an attempt that died, and never acked. A failure is noted, never
    /// fails the job.
    SweepShared {
        /// A checkpoint: what is written for it and later ones is not touched.
        below: CheckpointId,
        /// The files that are known.
        keep: BTreeSet<SharedFileId>,
    },
    /// Arm the timer.
    Arm(Timer, Delay),
    /// Disarm the timer; one that still fires is answered as stale.
    Disarm(Timer),
    /// Send to the session's connection; dropped when it is gone.
    Send {
        /// To whom.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
        /// What.
        message: ToWorker,
    },
    /// Close the session's connection.
    Disconnect {
        /// Whose.
        worker: WorkerId,
        /// Which life of it.
        session: SessionId,
    },
    /// Tell whoever made the request how it ended.
    Answer {
        /// Which request.
        id: RequestId,
        /// How.
        answer: Answer,
    },
    /// The job ended; the last effect of a leadership.
    Stop(Outcome),
    /// For the trace.
    Note(Event),
}

/// How a leadership ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The job has its result.
    Result(JobResult),
    /// The job failed for good; its checkpoints are kept (H9).
    Failed(String),
}

/// The decisions of one leadership over one job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coordinator {
    plan: JobPlan,
    leadership: Leadership,
    store: Store,
    workers: BTreeMap<WorkerId, Registered>,
    job: Job,
    trigger: Trigger,
    pending: PendingCheckpoints,
    savepoints: Savepoints,
    /// Who asked for the stop that the record names, or that is pending, and for the same again.
    stop_requests: Vec<RequestId>,
    /// Checkpoints whose files are being deleted, and whether that is wanted once more (B5).
    cleaning: BTreeMap<CheckpointId, bool>,
    /// Workers whose sources are behind (B7).
    behind: BTreeSet<WorkerId>,
    /// Who asked for the end of the job.
    cancels: Vec<RequestId>,
    /// Who waits for an attempt of the record's parallelism.
    rescale_requests: Vec<RequestId>,
    shared: SharedFiles,
    /// Since the last completion a checkpoint was given up whose subtasks may have written shared files
    /// that nobody was told of.
    is_littered: bool,
    failover: Failover,
    /// The numbers last noted as `waiting-for-slots`.
    noted_slots: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Leadership {
    /// The store was not read yet.
    Standby,
    /// The token is being written.
    Claiming,
    Leading,
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Registered {
    session: SessionId,
    slots: u32,
}

/// Where the job stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Job {
    /// For slots.
    Waiting,
    /// The next attempt is being written to the record (A4).
    Reserving,
    Live(Execution),
    /// The restart delay runs before this attempt.
    Restarting(Attempt),
    /// Every subtask finished; the savepoint of the stop is being brought to where it was asked for.
    Exporting,
    /// Every subtask finished; the result is being written.
    Ending,
}

impl Coordinator {
    /// A coordinator that has not read the store: its first input is [`Input::Recovered`].
    pub fn new(plan: JobPlan) -> Self {
        assert!(!plan.subtasks.is_empty(), "a job without subtasks");
        assert!(plan.subtasks.iter().any(SubtaskPlan::is_source), "a job without a source");
        Self {
            leadership: Leadership::Standby,
            store: Store::new(StoreRecord::default(), plan.checkpoint.retained),
            workers: BTreeMap::new(),
            job: Job::Waiting,
            trigger: Trigger::new(&plan.checkpoint),
            pending: PendingCheckpoints::new(
                plan.checkpoint.tolerable_failures,
                CheckpointId::default(),
            ),
            savepoints: Savepoints::default(),
            stop_requests: Vec::new(),
            cleaning: BTreeMap::new(),
            behind: BTreeSet::new(),
            cancels: Vec::new(),
            rescale_requests: Vec::new(),
            shared: SharedFiles::new(),
            is_littered: false,
            failover: Failover::new(plan.restart.clone()),
            noted_slots: None,
            plan,
        }
    }

    /// The one entry. Total: every input in every state has an answer.
    pub fn handle(&mut self, input: Input, effects: &mut Vec<Effect>) {
        if self.leadership == Leadership::Stopped {
            sometimes!(InputAfterLeadership);
            return stale("input after the end".to_string(), effects);
        }
        match input {
            Input::Recovered { record, shared } => self.on_recovered(record, &shared, effects),
            Input::Message { worker, session, message } => {
                self.on_message(worker, session, message, effects);
            }
            Input::Disconnected { worker, session } => {
                if self.workers.get(&worker).is_some_and(|it| it.session == session) {
                    sometimes!(WorkersConnectionBreaks);
                    self.lose_worker(worker, "the connection broke", effects);
                } else {
                    sometimes!(OldConnectionBreaks);
                    stale(format!("disconnect of {worker} session {session}"), effects);
                }
            }
            Input::RecordPersisted(write) => match self.store.on_persisted(write) {
                Some(persisted) => self.on_persisted(persisted, effects),
                None => stale(format!("answer to record write {}", write.0), effects),
            },
            Input::RecordFailed(write) => match self.store.on_failed(write) {
                Some(failed) => self.on_record_failed(failed, effects),
                None => stale(format!("answer to record write {}", write.0), effects),
            },
            Input::ManifestWritten(checkpoint) => self.on_manifest(checkpoint, true, effects),
            Input::ManifestFailed(checkpoint) => self.on_manifest(checkpoint, false, effects),
            Input::SavepointExported(checkpoint) => self.on_exported(checkpoint, true, effects),
            Input::ExportFailed(checkpoint) => self.on_exported(checkpoint, false, effects),
            Input::Deleted(checkpoint) => self.on_deleted(checkpoint, effects),
            Input::Requested { id, request } => self.on_requested(id, request, effects),
            Input::Timer(timer) => self.on_timer(timer, effects),
        }
        self.settle(effects);
    }

    /// The newest record known to be durable.
    pub fn durable(&self) -> &StoreRecord {
        self.store.durable()
    }

    /// Whether the record on disk may be another than [`Self::durable`]: a write failed and may have taken
    /// effect (H3). Then no file of any checkpoint may be deleted.
    pub fn is_in_doubt(&self) -> bool {
        self.store.is_in_doubt()
    }

    /// The living attempt, if there is one.
    pub fn execution(&self) -> Option<&Execution> {
        match &self.job {
            Job::Live(execution) => Some(execution),
            Job::Waiting | Job::Reserving | Job::Restarting(_) | Job::Exporting | Job::Ending => {
                None
            }
        }
    }

    /// The pending checkpoints, ascending.
    pub fn pending(&self) -> Vec<CheckpointId> {
        self.pending.ids()
    }

    /// Whether the attempt runs and its final checkpoint is not completed.
    pub fn is_running(&self) -> bool {
        self.execution().is_some_and(|it| it.phase == Phase::Running)
    }

    /// What the job waits for, for people: the reason when it makes no progress.
    pub fn waits_for(&self) -> String {
        match self.leadership {
            Leadership::Standby => return "the store record to be read".to_string(),
            Leadership::Claiming => return "the leadership to be durable".to_string(),
            Leadership::Stopped => return "nothing: it ended".to_string(),
            Leadership::Leading => {}
        }
        if self.store.is_in_doubt() {
            return "a failed record write to be resolved".to_string();
        }
        match &self.job {
            Job::Waiting => {
                format!("slots: {} of {}", self.slots(), slots_needed(&self.plan.subtasks))
            }
            Job::Reserving => "the next attempt to be durable".to_string(),
            Job::Restarting(attempt) => format!("the restart delay of attempt {attempt}"),
            Job::Exporting => "the savepoint to be written".to_string(),
            Job::Ending => "the result to be durable".to_string(),
            Job::Live(execution) => {
                let attempt = execution.attempt;
                let live = execution.live_subtasks();
                let live: Vec<_> = live.iter().map(SubtaskId::to_string).collect();
                let live = live.join(", ");
                match &execution.phase {
                    Phase::Deploying => format!("attempt {attempt} to be ready: {live}"),
                    Phase::Running => format!("attempt {attempt}, which runs: {live}"),
                    Phase::Finishing => format!("attempt {attempt} to finish: {live}"),
                    Phase::Cancelling { .. } => format!("attempt {attempt} to stop: {live}"),
                }
            }
        }
    }

    // Leadership.

    fn on_recovered(
        &mut self,
        found: StoreRecord,
        shared: &[RetainedFiles],
        effects: &mut Vec<Effect>,
    ) {
        if self.leadership != Leadership::Standby {
            return stale("second recovery".to_string(), effects);
        }
        let result = found.result;
        self.store = Store::new(found, self.plan.checkpoint.retained);
        if let Some(result) = result {
            sometimes!(LeaderFindsTheResult);
            return self.stop(Outcome::Result(result), effects); // It never runs again (P2).
        }
        self.shared = SharedFiles::rebuild(shared);
        let last_success = self.store.newest().unwrap_or_default();
        self.pending =
            PendingCheckpoints::new(self.plan.checkpoint.tolerable_failures, last_success);
        sometimes!(self.store.durable().retained.len() > 1, LeaderFindsSeveralCheckpoints);
        self.leadership = Leadership::Claiming;
        self.store.request(Purpose::Lead);
    }

    fn on_leading(&mut self, effects: &mut Vec<Effect>) {
        self.leadership = Leadership::Leading;
        let (token, restored) = (self.store.durable().token, self.store.newest());
        effects.push(Effect::Note(Event::CoordinatorStarted { token, restored }));
        if let Some(checkpoint) = self.store.durable().stopping {
            sometimes!(LeaderFindsAStop);
            effects.push(Effect::Note(Event::JobStopping { checkpoint }));
        }
        self.delete_what_earlier_leaders_left(effects);
        for checkpoint in self.store.durable().retained.clone() {
            self.arm_expiration(checkpoint, effects);
        }
        self.sweep_shared(self.store.durable().next_checkpoint, effects);
        self.arm_heartbeat(effects);
        let remembered: Vec<_> = self.workers.iter().map(|(id, it)| (*id, *it)).collect();
        for (worker, Registered { session, slots }) in remembered {
            self.accept(worker, session, slots, effects);
        }
    }

    /// Ids that were used and are not retained belong to no checkpoint. Older leaders may have died
    /// between the record and the deletion (H6); only the newest ids are tried.
    fn delete_what_earlier_leaders_left(&mut self, effects: &mut Vec<Effect>) {
        let next = self.store.durable().next_checkpoint.0;
        let oldest = next.saturating_sub(REMEMBERED_ABORTED_MAX as u64).max(1);
        for checkpoint in (oldest..next).map(CheckpointId) {
            if !self.store.durable().retained.contains(&checkpoint) {
                sometimes!(EarlierLeaderLeftACheckpoint);
                self.delete(checkpoint, effects);
            }
        }
    }

    fn stop(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        self.answer_all(&outcome, effects);
        self.leadership = Leadership::Stopped;
        effects.push(Effect::Stop(outcome));
    }

    // Timers.

    fn on_timer(&mut self, timer: Timer, effects: &mut Vec<Effect>) {
        match timer {
            Timer::Trigger => self.trigger.on_trigger_timer(self.load(), effects),
            Timer::MinPause => self.trigger.on_pause_timer(effects),
            Timer::CheckpointExpires(checkpoint) => {
                if self.give_up_savepoint(checkpoint, AbortReason::Expired, effects) {
                    sometimes!(UncoveredSavepointExpires);
                    return;
                }
                sometimes!(self.store.is_publishing(checkpoint), ExpiresWhilePublishing);
                if self.pending.get(checkpoint).is_none() || self.store.is_publishing(checkpoint) {
                    return stale(format!("timer of checkpoint {checkpoint}"), effects);
                }
                sometimes!(CheckpointExpires);
                self.abort(checkpoint, AbortReason::Expired, effects);
            }
            Timer::RetainedExpires(checkpoint) => {
                if !self.store.on_aged(checkpoint) {
                    sometimes!(StaleRetainedTimer);
                    stale(format!("timer of retained checkpoint {checkpoint}"), effects);
                }
            }
            Timer::RecordRetry => match self.store.on_retry() {
                Some((write, record)) => effects.push(Effect::Persist { write, record }),
                None => stale("timer record-retry".to_string(), effects),
            },
            Timer::Restart(attempt) => {
                if self.job == Job::Restarting(attempt) {
                    self.job = Job::Waiting;
                } else {
                    stale(format!("timer restart of attempt {attempt}"), effects); // O8
                }
            }
            Timer::Stable(attempt) => match self.execution() {
                Some(it) if it.attempt == attempt && it.has_started() => {
                    sometimes!(AttemptIsStable);
                    self.failover.on_stable();
                }
                Some(_) | None => stale(format!("timer stable of attempt {attempt}"), effects),
            },
            Timer::FailureForgotten(failure) => {
                if !self.failover.on_forgotten(failure) {
                    stale(format!("timer failure-forgotten {failure}"), effects);
                }
            }
            Timer::CancelExpires(attempt) => self.on_cancel_expired(attempt, effects),
            Timer::Heartbeat => {
                if self.leadership != Leadership::Leading {
                    return stale("timer heartbeat".to_string(), effects);
                }
                for worker in self.workers.keys() {
                    self.send(*worker, Order::Heartbeat, effects);
                }
                self.arm_heartbeat(effects);
            }
            Timer::WorkerSilent(worker) => {
                if !self.workers.contains_key(&worker) {
                    sometimes!(StaleSilence);
                    return stale(format!("timer silence of {worker}"), effects);
                }
                sometimes!(WorkerIsSilent);
                self.disconnect(worker, effects);
                self.lose_worker(worker, "no sign of life", effects);
            }
        }
    }

    // What follows from the state.

    /// Decides everything that the new state makes possible or necessary.
    fn settle(&mut self, effects: &mut Vec<Effect>) {
        if self.leadership == Leadership::Leading {
            self.restart_or_give_up(effects);
        }
        if self.leadership == Leadership::Leading {
            self.settle_savepoints(effects);
            self.settle_rescale(effects);
            self.end_when_finished(effects);
            self.cancel_when_possible(effects);
            if self.trigger.begin(self.load(), effects) {
                self.store.request(Purpose::Reserve);
            }
            self.deploy_when_possible(effects);
        }
        if self.leadership != Leadership::Stopped
            && let Some((write, record)) = self.store.next_write()
        {
            effects.push(Effect::Persist { write, record });
        }
    }

    // Small effects.

    /// Sends to the worker's present session, if it has one.
    fn send(&self, worker: WorkerId, order: Order, effects: &mut Vec<Effect>) {
        if let Some(Registered { session, .. }) = self.workers.get(&worker) {
            let message = ToWorker { token: self.store.durable().token, order };
            effects.push(Effect::Send { worker, session: *session, message });
        }
    }

    fn disconnect(&self, worker: WorkerId, effects: &mut Vec<Effect>) {
        if let Some(Registered { session, .. }) = self.workers.get(&worker) {
            effects.push(Effect::Disconnect { worker, session: *session });
        }
    }

    fn arm_silence(&self, worker: WorkerId, effects: &mut Vec<Effect>) {
        let timeout = Delay::exactly(self.plan.heartbeat.timeout);
        effects.push(Effect::Arm(Timer::WorkerSilent(worker), timeout));
    }

    fn arm_heartbeat(&self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Arm(Timer::Heartbeat, Delay::exactly(self.plan.heartbeat.interval)));
    }
}

fn stale(what: String, effects: &mut Vec<Effect>) {
    effects.push(Effect::Note(Event::StaleInput { what }));
}

fn refuse(worker: WorkerId, session: SessionId, what: &str, effects: &mut Vec<Effect>) {
    stale(format!("{what}: {worker} session {session}"), effects);
    effects.push(Effect::Disconnect { worker, session });
}
