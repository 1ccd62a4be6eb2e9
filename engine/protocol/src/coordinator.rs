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
//! What follows from the state alone, and not from one input, is decided in one place after every
//! input: `settle`.
//!
//! Deliberately absent: more than one region (O5), savepoints and rescaling.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use crate::event::{AbortReason, AckAnswer, Event, SkipReason};
use crate::execution::{Execution, Phase, Status, slots_needed};
use crate::failover::{Decision, Failover};
use crate::ids::{Attempt, AttemptId, CheckpointId, SessionId, SubtaskId, WorkerId};
use crate::limits::{CANCEL_TIMEOUT, RECORD_RETRY_PAUSE, REMEMBERED_ABORTED_MAX, WORKERS_MAX};
use crate::message::{DeclineReason, Deployment, Order, ToCoordinator, ToWorker};
use crate::pending::{ManifestAnswer, PendingCheckpoints};
use crate::record::{JobResult, SnapshotHandle, StoreRecord};
use crate::store::{Failed, Persisted, Purpose, Store};
use crate::trigger::Trigger;

/// What a coordinator must know of its job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobPlan {
    /// Every subtask, ascending.
    pub subtasks: Vec<SubtaskPlan>,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
}

/// One subtask in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubtaskPlan {
    /// Which.
    pub subtask: SubtaskId,
    /// Whether barriers are injected here (B11).
    pub is_source: bool,
}

/// What happened to a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The first input of a leadership: what the store held.
    Recovered(StoreRecord),
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
    /// A timer fired.
    Timer(Timer),
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
        /// Its snapshots, ascending by subtask.
        snapshots: Vec<SnapshotHandle>,
    },
    /// Delete every file of the checkpoint; a failure is noted, never fails the job (H6).
    DeleteCheckpoint(CheckpointId),
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
    /// Every subtask finished; the result is being written.
    Ending,
}

impl Coordinator {
    /// A coordinator that has not read the store: its first input is [`Input::Recovered`].
    pub fn new(plan: JobPlan) -> Self {
        assert!(!plan.subtasks.is_empty(), "a job without subtasks");
        assert!(plan.subtasks.iter().any(|it| it.is_source), "a job without a source");
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
            failover: Failover::new(plan.restart.clone()),
            noted_slots: None,
            plan,
        }
    }

    /// The one entry. Total: every input in every state has an answer.
    pub fn handle(&mut self, input: Input, effects: &mut Vec<Effect>) {
        if self.leadership == Leadership::Stopped {
            return stale("input after the end".to_string(), effects);
        }
        match input {
            Input::Recovered(found) => self.on_recovered(found, effects),
            Input::Message { worker, session, message } => {
                self.on_message(worker, session, message, effects);
            }
            Input::Disconnected { worker, session } => {
                if self.workers.get(&worker).is_some_and(|it| it.session == session) {
                    self.lose_worker(worker, "the connection broke", effects);
                } else {
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
            Job::Waiting | Job::Reserving | Job::Restarting(_) | Job::Ending => None,
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

    fn on_recovered(&mut self, found: StoreRecord, effects: &mut Vec<Effect>) {
        if self.leadership != Leadership::Standby {
            return stale("second recovery".to_string(), effects);
        }
        let result = found.result;
        self.store = Store::new(found, self.plan.checkpoint.retained);
        if let Some(result) = result {
            return self.stop(Outcome::Result(result), effects); // It never runs again (P2).
        }
        let last_success = self.store.newest().unwrap_or_default();
        self.pending =
            PendingCheckpoints::new(self.plan.checkpoint.tolerable_failures, last_success);
        self.leadership = Leadership::Claiming;
        self.store.request(Purpose::Lead);
    }

    fn on_leading(&mut self, effects: &mut Vec<Effect>) {
        self.leadership = Leadership::Leading;
        let (token, restored) = (self.store.durable().token, self.store.newest());
        effects.push(Effect::Note(Event::CoordinatorStarted { token, restored }));
        self.delete_what_earlier_leaders_left(effects);
        self.arm_heartbeat(effects);
        let remembered: Vec<_> = self.workers.iter().map(|(id, it)| (*id, *it)).collect();
        for (worker, Registered { session, slots }) in remembered {
            self.accept(worker, session, slots, effects);
        }
    }

    /// Ids that were used and are not retained belong to no checkpoint. Older leaders may have died
    /// between the record and the deletion (H6); only the newest ids are tried.
    fn delete_what_earlier_leaders_left(&self, effects: &mut Vec<Effect>) {
        let next = self.store.durable().next_checkpoint.0;
        let oldest = next.saturating_sub(REMEMBERED_ABORTED_MAX as u64).max(1);
        for checkpoint in (oldest..next).map(CheckpointId) {
            if !self.store.durable().retained.contains(&checkpoint) {
                effects.push(Effect::DeleteCheckpoint(checkpoint));
            }
        }
    }

    fn stop(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        self.leadership = Leadership::Stopped;
        effects.push(Effect::Stop(outcome));
    }

    // Workers.

    fn on_message(
        &mut self,
        worker: WorkerId,
        session: SessionId,
        message: ToCoordinator,
        effects: &mut Vec<Effect>,
    ) {
        if let ToCoordinator::Register { worker: named, session: life, slots } = message {
            if (named, life) == (worker, session) {
                self.on_register(worker, session, slots, effects);
            } else {
                refuse(worker, session, "a registration under another name", effects);
            }
            return;
        }
        if self.workers.get(&worker).is_none_or(|it| it.session != session) {
            return refuse(worker, session, "a message of an unknown session", effects);
        }
        self.arm_silence(worker, effects);
        match message {
            ToCoordinator::Register { .. } => unreachable!("handled above"),
            ToCoordinator::Heartbeat => {}
            ToCoordinator::Ready(by) => self.on_ready(worker, by, effects),
            ToCoordinator::Ended(by) => self.on_ended(worker, by, effects),
            ToCoordinator::Finished(by) => self.on_finished(worker, by, effects),
            ToCoordinator::Cancelled(by) => self.on_cancelled(worker, by, effects),
            ToCoordinator::Failed { attempt, cause, fatal } => {
                self.on_subtask_failed(worker, attempt, &cause, fatal, effects);
            }
            ToCoordinator::Ack { attempt, checkpoint, snapshot } => {
                self.on_ack(attempt, checkpoint, snapshot, effects);
            }
            ToCoordinator::Decline { attempt, checkpoint, reason } => {
                self.on_decline(attempt, checkpoint, reason, effects);
            }
        }
    }

    fn on_register(
        &mut self,
        worker: WorkerId,
        session: SessionId,
        slots: u32,
        effects: &mut Vec<Effect>,
    ) {
        match self.workers.get(&worker) {
            Some(known) if known.session == session => {
                // Answered again: the first answer may be what the worker waits for.
                stale(format!("second registration of {worker} session {session}"), effects);
                self.arm_silence(worker, effects);
                if self.leadership == Leadership::Leading {
                    self.send(worker, Order::Registered, effects);
                }
                return;
            }
            Some(_) => self.replace_worker(worker, effects),
            None if self.workers.len() >= WORKERS_MAX => {
                return refuse(worker, session, "more workers than the limit", effects);
            }
            None => {}
        }
        self.workers.insert(worker, Registered { session, slots });
        if self.leadership == Leadership::Leading {
            self.accept(worker, session, slots, effects);
        } else {
            self.arm_silence(worker, effects); // Answered when the token is durable.
        }
    }

    fn accept(&self, worker: WorkerId, session: SessionId, slots: u32, effects: &mut Vec<Effect>) {
        self.send(worker, Order::Registered, effects);
        effects.push(Effect::Note(Event::WorkerRegistered { worker, session, slots }));
        self.arm_silence(worker, effects);
    }

    fn replace_worker(&mut self, worker: WorkerId, effects: &mut Vec<Effect>) {
        self.disconnect(worker, effects);
        self.lose_worker(worker, "a new session of it registered", effects);
    }

    /// Forgets the worker; its subtasks count as terminal (O2).
    fn lose_worker(&mut self, worker: WorkerId, cause: &str, effects: &mut Vec<Effect>) {
        let Some(Registered { session, .. }) = self.workers.remove(&worker) else { return };
        effects.push(Effect::Disarm(Timer::WorkerSilent(worker)));
        effects.push(Effect::Note(Event::WorkerLost { worker, session, cause: cause.to_string() }));
        if let Job::Live(execution) = &mut self.job
            && execution.on_worker_lost(worker)
        {
            self.fail_attempt(format!("{worker} was lost: {cause}"), false, effects);
        }
    }

    fn slots(&self) -> u32 {
        self.workers.values().fold(0, |sum, it| sum.saturating_add(it.slots))
    }

    // Attempts.

    fn deploy(&mut self, attempt: Attempt, effects: &mut Vec<Effect>) {
        assert!(self.job == Job::Reserving, "an attempt was reserved in another state");
        let slots = self.workers.iter().map(|(worker, it)| (*worker, it.slots)).collect();
        let Some(execution) = Execution::place(attempt, &self.plan.subtasks, &slots) else {
            self.job = Job::Waiting; // Workers were lost meanwhile; the attempt's number is skipped.
            return;
        };
        let restore = self.store.newest();
        let locations = execution.locations();
        for worker in execution.workers() {
            let here = locations.iter().filter(|(_, at)| *at == worker);
            let subtasks = here.map(|(subtask, _)| *subtask).collect();
            let locations = locations.clone();
            let deployment = Deployment { attempt, restore, subtasks, locations };
            self.send(worker, Order::Deploy(deployment), effects);
        }
        effects.push(Effect::Note(Event::AttemptDeployed { attempt, restore }));
        self.job = Job::Live(execution);
    }

    fn on_ready(&mut self, worker: WorkerId, by: AttemptId, effects: &mut Vec<Effect>) {
        let Some(execution) = self.expect(worker, by, Status::Restoring, Status::Ready) else {
            return stale(format!("ready of {by}"), effects);
        };
        if execution.phase != Phase::Deploying || !execution.are_all(Status::Ready) {
            return;
        }
        execution.on_started();
        let (attempt, workers) = (execution.attempt, execution.workers());
        for worker in workers {
            self.send(worker, Order::Start(attempt), effects);
        }
        effects.push(Effect::Note(Event::AttemptStarted { attempt }));
        self.trigger.start(effects);
        self.failover.on_started(attempt, effects);
    }

    fn on_ended(&mut self, worker: WorkerId, by: AttemptId, effects: &mut Vec<Effect>) {
        let Some(execution) = self.expect(worker, by, Status::Running, Status::Ended) else {
            return stale(format!("end of {by}"), effects);
        };
        if execution.phase == Phase::Running && execution.are_all(Status::Ended) {
            self.trigger.request_final(effects);
        }
    }

    fn on_finished(&mut self, worker: WorkerId, by: AttemptId, effects: &mut Vec<Effect>) {
        let Some((execution, status)) = self.live(worker, by) else {
            return stale(format!("finish of {by}"), effects);
        };
        *execution.live_status(worker, by).expect("it is live") = Status::Finished;
        let is_expected = match execution.phase {
            Phase::Finishing => status == Status::Ended,
            Phase::Cancelling { .. } => true,
            Phase::Deploying | Phase::Running => false,
        };
        if !is_expected {
            let cause = format!("{by} finished before the final checkpoint completed");
            self.fail_attempt(cause, false, effects);
        }
    }

    fn on_cancelled(&mut self, worker: WorkerId, by: AttemptId, effects: &mut Vec<Effect>) {
        let Some((execution, _)) = self.live(worker, by) else {
            return stale(format!("cancel of {by}"), effects);
        };
        *execution.live_status(worker, by).expect("it is live") = Status::Stopped;
        self.fail_attempt(format!("{by} stopped without being told to"), false, effects);
    }

    fn on_subtask_failed(
        &mut self,
        worker: WorkerId,
        by: AttemptId,
        cause: &str,
        is_fatal: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some((execution, _)) = self.live(worker, by) else {
            return stale(format!("failure of {by}"), effects);
        };
        *execution.live_status(worker, by).expect("it is live") = Status::Stopped;
        self.fail_attempt(format!("{by} failed: {cause}"), is_fatal, effects);
    }

    /// The subtask's execution and status, when the report is about a live subtask of this attempt.
    fn live(&mut self, worker: WorkerId, by: AttemptId) -> Option<(&mut Execution, Status)> {
        let Job::Live(execution) = &mut self.job else { return None };
        let status = *execution.live_status(worker, by)?;
        Some((execution, status))
    }

    /// Moves a live subtask from one status to the next; `None` when it is not there.
    fn expect(
        &mut self,
        worker: WorkerId,
        by: AttemptId,
        from: Status,
        to: Status,
    ) -> Option<&mut Execution> {
        let Job::Live(execution) = &mut self.job else { return None };
        let status = execution.live_status(worker, by).filter(|it| **it == from)?;
        *status = to;
        Some(execution)
    }

    /// Begins to cancel the living attempt. A further failure belongs to the first one.
    fn fail_attempt(&mut self, cause: String, is_fatal: bool, effects: &mut Vec<Effect>) {
        let Job::Live(execution) = &mut self.job else { return };
        let attempt = execution.attempt;
        if let Phase::Cancelling { cause: first, is_fatal: was_fatal } = &mut execution.phase {
            if is_fatal && !*was_fatal {
                *first = cause;
                *was_fatal = true;
            }
            return;
        }
        let was_started = execution.phase != Phase::Deploying;
        execution.phase = Phase::Cancelling { cause: cause.clone(), is_fatal };
        let live_workers = execution.live_workers();
        effects.push(Effect::Note(Event::AttemptFailed { attempt, cause }));
        if was_started {
            self.trigger.stop(effects);
            self.failover.on_failing(attempt, effects);
        }
        self.store.withdraw(Purpose::Reserve);
        for checkpoint in self.pending.ids() {
            self.abort(checkpoint, AbortReason::JobFailover, effects);
        }
        for worker in live_workers {
            self.send(worker, Order::Cancel(attempt), effects);
        }
        effects.push(Effect::Arm(Timer::CancelExpires(attempt), Delay::exactly(CANCEL_TIMEOUT)));
    }

    fn on_cancel_expired(&mut self, attempt: Attempt, effects: &mut Vec<Effect>) {
        let stuck = match &self.job {
            Job::Live(Execution { attempt: it, phase: Phase::Cancelling { .. }, .. })
                if *it == attempt =>
            {
                self.execution().map(Execution::live_workers).unwrap_or_default()
            }
            Job::Live(_) | Job::Waiting | Job::Reserving | Job::Restarting(_) | Job::Ending => {
                return stale(format!("timer cancel-expires of attempt {attempt}"), effects);
            }
        };
        for worker in stuck {
            self.disconnect(worker, effects);
            self.lose_worker(worker, "its subtasks did not stop in time", effects);
        }
    }

    // Checkpoints.

    fn on_reserved(&mut self, checkpoint: CheckpointId, effects: &mut Vec<Effect>) {
        let Some(is_final) = self.trigger.on_reserved() else {
            let reason = SkipReason::NotAllRequiredTasksRunning;
            return effects.push(Effect::Note(Event::TriggerSkipped { reason }));
        };
        let Job::Live(execution) = &self.job else {
            unreachable!("the trigger runs only while an attempt does");
        };
        assert!(execution.phase == Phase::Running, "triggered in {:?}", execution.phase);
        let attempt = execution.attempt;
        let subtasks = self.plan.subtasks.iter().map(|it| it.subtask);
        self.pending.begin(checkpoint, attempt, subtasks, is_final);
        let timeout = Delay::exactly(self.plan.checkpoint.timeout);
        effects.push(Effect::Arm(Timer::CheckpointExpires(checkpoint), timeout));
        let sources = self.plan.subtasks.iter().filter(|it| it.is_source).map(|it| it.subtask);
        for worker in execution.workers_of(sources) {
            self.send(worker, Order::Trigger { attempt, checkpoint }, effects);
        }
        effects.push(Effect::Note(Event::CheckpointTriggered { checkpoint, is_final }));
    }

    fn on_ack(
        &mut self,
        attempt: AttemptId,
        checkpoint: CheckpointId,
        snapshot: SnapshotHandle,
        effects: &mut Vec<Effect>,
    ) {
        let acked = self.pending.on_ack(checkpoint, attempt, snapshot);
        match acked.answer {
            AckAnswer::Success => {
                effects.push(Effect::Note(Event::SnapshotAcked { attempt, checkpoint }));
            }
            reason @ (AckAnswer::Duplicate | AckAnswer::Unknown | AckAnswer::Discarded) => {
                effects.push(Effect::Note(Event::AckIgnored { attempt, checkpoint, reason }));
            }
        }
        if acked.is_left_over && !self.store.is_uncertain(checkpoint) {
            effects.push(Effect::DeleteCheckpoint(checkpoint));
        }
        if let Some(snapshots) = acked.manifest {
            effects.push(Effect::Note(Event::CheckpointAcknowledged { checkpoint }));
            effects.push(Effect::WriteManifest { checkpoint, snapshots });
        }
    }

    fn on_decline(
        &mut self,
        by: AttemptId,
        checkpoint: CheckpointId,
        reason: DeclineReason,
        effects: &mut Vec<Effect>,
    ) {
        if !self.pending.on_decline(checkpoint, by) {
            return stale(format!("decline of checkpoint {checkpoint} by {by}"), effects);
        }
        let reason = match reason {
            DeclineReason::Subsumed => AbortReason::Subsumed,
            DeclineReason::AsyncException => AbortReason::AsyncException,
            DeclineReason::NotRunning => AbortReason::Declined,
        };
        self.abort(checkpoint, reason, effects);
    }

    fn on_manifest(
        &mut self,
        checkpoint: CheckpointId,
        is_written: bool,
        effects: &mut Vec<Effect>,
    ) {
        match self.pending.on_manifest_answer(checkpoint) {
            ManifestAnswer::Expected if is_written => {
                effects.push(Effect::Note(Event::ManifestWritten { checkpoint }));
                self.store.request(Purpose::Publish(checkpoint));
            }
            ManifestAnswer::Expected => {
                self.abort(checkpoint, AbortReason::FinalizeFailure, effects);
            }
            ManifestAnswer::GivenUp => {
                stale(format!("manifest of checkpoint {checkpoint}, which was given up"), effects);
                effects.push(Effect::DeleteCheckpoint(checkpoint));
            }
            ManifestAnswer::Unknown => {
                stale(format!("manifest of checkpoint {checkpoint}"), effects);
            }
        }
    }

    fn on_persisted(&mut self, persisted: Persisted, effects: &mut Vec<Effect>) {
        match persisted {
            Persisted::Leading => self.on_leading(effects),
            Persisted::Attempt(attempt) => self.deploy(attempt, effects),
            Persisted::Reserved(checkpoint) => self.on_reserved(checkpoint, effects),
            Persisted::Published { checkpoint, removed } => {
                self.on_completed(checkpoint, removed, effects);
            }
            Persisted::Retracted(checkpoint) => effects.push(Effect::DeleteCheckpoint(checkpoint)),
            Persisted::Finished(result) => {
                effects.push(Effect::Note(Event::JobFinished));
                self.stop(Outcome::Result(result), effects);
            }
        }
    }

    /// The record that contains the checkpoint is durable: only now may anyone be told (H1).
    fn on_completed(
        &mut self,
        checkpoint: CheckpointId,
        removed: Vec<CheckpointId>,
        effects: &mut Vec<Effect>,
    ) {
        let completed = self.pending.on_published(checkpoint);
        effects.push(Effect::Disarm(Timer::CheckpointExpires(checkpoint)));
        effects.push(Effect::Note(Event::CheckpointCompleted { checkpoint }));
        for lower in self.pending.ids().into_iter().filter(|it| *it < checkpoint) {
            self.abort(lower, AbortReason::Subsumed, effects);
        }
        let (attempt, is_final) = (completed.attempt, completed.is_final);
        if let Job::Live(execution) = &mut self.job
            && execution.attempt == attempt
            && execution.phase == Phase::Running
        {
            let workers = execution.workers();
            if is_final {
                execution.phase = Phase::Finishing;
            }
            for worker in workers {
                self.send(worker, Order::Completed { attempt, checkpoint, is_final }, effects);
            }
            self.trigger.on_completed(effects);
            if is_final {
                self.trigger.stop(effects);
            }
        }
        for checkpoint in removed {
            effects.push(Effect::Note(Event::CheckpointSubsumed { checkpoint }));
            effects.push(Effect::DeleteCheckpoint(checkpoint));
        }
    }

    fn on_record_failed(&mut self, failed: Failed, effects: &mut Vec<Effect>) {
        effects.push(Effect::Note(Event::RecordUncertain));
        effects.push(Effect::Arm(Timer::RecordRetry, Delay::exactly(RECORD_RETRY_PAUSE)));
        match failed {
            Failed::Repeat => {}
            Failed::Retract(checkpoint) => {
                self.abort(checkpoint, AbortReason::FinalizeFailure, effects);
            }
        }
    }

    /// Gives a pending checkpoint up, unless its record is being written already.
    fn abort(&mut self, checkpoint: CheckpointId, reason: AbortReason, effects: &mut Vec<Effect>) {
        if self.store.is_publishing(checkpoint) {
            return;
        }
        self.store.withdraw(Purpose::Publish(checkpoint));
        let Some(aborted) = self.pending.abort(checkpoint, reason) else { return };
        effects.push(Effect::Disarm(Timer::CheckpointExpires(checkpoint)));
        effects.push(Effect::Note(Event::CheckpointAborted { checkpoint, reason }));
        let attempt = aborted.attempt;
        if let Some(execution) = self.execution().filter(|it| it.phase == Phase::Running) {
            for worker in execution.workers() {
                self.send(worker, Order::Aborted { attempt, checkpoint }, effects);
            }
        }
        if aborted.is_deletable && !self.store.is_uncertain(checkpoint) {
            effects.push(Effect::DeleteCheckpoint(checkpoint));
        }
        if aborted.is_final {
            self.trigger.on_final_aborted();
        }
        if aborted.is_budget_spent {
            let cause = format!("checkpoint {checkpoint} {}", in_words(reason));
            self.fail_attempt(cause, false, effects);
        }
    }

    // Timers.

    fn on_timer(&mut self, timer: Timer, effects: &mut Vec<Effect>) {
        match timer {
            Timer::Trigger => self.trigger.on_trigger_timer(self.pending.len(), effects),
            Timer::MinPause => self.trigger.on_pause_timer(effects),
            Timer::CheckpointExpires(checkpoint) => {
                if self.pending.get(checkpoint).is_none() || self.store.is_publishing(checkpoint) {
                    return stale(format!("timer of checkpoint {checkpoint}"), effects);
                }
                self.abort(checkpoint, AbortReason::Expired, effects);
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
                Some(it) if it.attempt == attempt && it.has_started() => self.failover.on_stable(),
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
                    return stale(format!("timer silence of {worker}"), effects);
                }
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
            self.end_when_finished();
            if self.trigger.begin(self.pending.len(), effects) {
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

    /// The failed attempt is fully stopped (O6): the restart strategy decides.
    fn restart_or_give_up(&mut self, effects: &mut Vec<Effect>) {
        let Job::Live(execution) = &self.job else { return };
        let Phase::Cancelling { cause, is_fatal } = &execution.phase else { return };
        if !execution.is_stopped() {
            return;
        }
        let (failed, cause, is_fatal) = (execution.attempt, cause.clone(), *is_fatal);
        effects.push(Effect::Disarm(Timer::CancelExpires(failed)));
        match self.failover.decide(is_fatal, effects) {
            Decision::Restart(delay) => {
                let attempt = self.store.durable().attempt.next();
                effects.push(Effect::Arm(Timer::Restart(attempt), delay));
                effects.push(Effect::Note(Event::RestartScheduled { attempt }));
                self.job = Job::Restarting(attempt);
            }
            Decision::GiveUp => {
                effects.push(Effect::Note(Event::JobFailed { cause: cause.clone() }));
                self.stop(Outcome::Failed(cause), effects);
            }
        }
    }

    fn end_when_finished(&mut self) {
        if let Job::Live(execution) = &self.job
            && execution.phase == Phase::Finishing
            && execution.are_all(Status::Finished)
        {
            self.job = Job::Ending;
            self.store.request(Purpose::Finish);
        }
    }

    fn deploy_when_possible(&mut self, effects: &mut Vec<Effect>) {
        if self.job != Job::Waiting {
            return;
        }
        let (have, need) = (self.slots(), slots_needed(&self.plan.subtasks));
        if have >= need {
            self.noted_slots = None;
            self.job = Job::Reserving;
            self.store.request(Purpose::Deploy);
        } else if self.noted_slots != Some((have, need)) {
            self.noted_slots = Some((have, need));
            effects.push(Effect::Note(Event::WaitingForSlots { have, need }));
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

fn in_words(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::Expired => "expired: not every subtask acked in time",
        AbortReason::Declined => "was declined: a subtask does not run",
        AbortReason::AsyncException => "was declined: a snapshot could not be written",
        AbortReason::FinalizeFailure => "could not be finalized: its manifest or record failed",
        AbortReason::Subsumed => "was subsumed",
        AbortReason::JobFailover => "ended with its attempt",
    }
}
