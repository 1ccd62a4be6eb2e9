//! The coordinator against a small world of workers, a record register and a store of files, in which
//! writes fail before or after they took effect, workers die and leaders crash at any point.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::config::{
    CheckpointConfig, HeartbeatConfig, RestartStrategy, RetentionOnCancel,
};
use seawall_protocol::coordinator::{
    Answer, Coordinator, Effect, Input, JobPlan, Outcome, Request, RequestId, SubtaskPlan, Timer,
    WriteId,
};
use seawall_protocol::event::{AbortReason, Event, SkipReason};
use seawall_protocol::message::{DeclineReason, Order, ToCoordinator, ToWorker};
use seawall_protocol::record::{JobResult, SnapshotFigures, SnapshotHandle, StoreRecord};
use seawall_protocol::{
    Attempt, AttemptId, CheckpointId, FencingToken, JobId, SessionId, SubtaskId, WorkerId,
};

const WORKERS: [WorkerId; 3] = [WorkerId(1), WorkerId(2), WorkerId(3)];

/// A store that holds `record`, whose checkpoints have no shared files.
fn recovered(record: StoreRecord) -> Input {
    Input::Recovered { record, shared: Vec::new() }
}

fn plan() -> JobPlan {
    let subtask = |operator, index| SubtaskPlan {
        subtask: SubtaskId::new(operator, index),
        upstream: (0..2).filter(|_| operator == 1).map(|it| SubtaskId::new(0, it)).collect(),
        has_union_state: false,
    };
    JobPlan {
        subtasks: vec![subtask(0, 0), subtask(0, 1), subtask(1, 0), subtask(1, 1)],
        checkpoint: CheckpointConfig::default(),
        restart: RestartStrategy::FixedDelay { attempts: 10_000, delay: Duration::from_secs(1) },
        heartbeat: HeartbeatConfig::default(),
    }
}

// The world.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mini {
    Restoring,
    Ready,
    Running,
    Ended,
    Finished,
}

#[derive(Default, Clone, Debug)]
struct MiniWorker {
    session: Option<SessionId>,
    subtasks: BTreeMap<AttemptId, Mini>,
    cancelled: BTreeSet<Attempt>,
    final_completed: BTreeSet<Attempt>,
}

#[derive(Clone, Debug)]
enum Action {
    PersistOk,
    /// `true`: the failed write took effect.
    PersistFails(bool),
    Manifest(CheckpointId, bool),
    Deleted(CheckpointId),
    Fire(Timer),
    Connect(WorkerId),
    Break(WorkerId),
    Report(WorkerId, ToCoordinator),
    Crash,
    Garbage(Input),
}

struct World {
    plan: JobPlan,
    coordinator: Coordinator,
    /// What a reader of the store would see.
    register: StoreRecord,
    outstanding: Option<(WriteId, StoreRecord)>,
    /// The last write of this leader failed and was not resolved.
    in_doubt: bool,
    manifests: BTreeSet<CheckpointId>,
    /// Deletions that were not answered.
    deleting: BTreeSet<CheckpointId>,
    timers: BTreeSet<Timer>,
    workers: BTreeMap<WorkerId, MiniWorker>,
    triggered: BTreeMap<CheckpointId, (Attempt, BTreeSet<SubtaskId>)>,
    /// Acks that may still arrive for checkpoints that were given up.
    late: BTreeSet<(AttemptId, CheckpointId)>,
    /// Checkpoints of which a file exists.
    files: BTreeSet<CheckpointId>,
    next_session: u64,
    outcome: Option<Outcome>,
    // For the checks.
    last_triggered: CheckpointId,
    last_attempt: Attempt,
    last_token: FencingToken,
    /// Reported as aborted by the present leader.
    aborted: BTreeSet<CheckpointId>,
    completed: BTreeSet<CheckpointId>,
    deleted: BTreeSet<CheckpointId>,
    notes: Vec<&'static str>,
}

impl World {
    fn new(plan: JobPlan) -> Self {
        let mut world = Self {
            coordinator: Coordinator::new(plan.clone()),
            plan,
            register: StoreRecord::fresh(JobId(7)),
            outstanding: None,
            in_doubt: false,
            manifests: BTreeSet::new(),
            deleting: BTreeSet::new(),
            timers: BTreeSet::new(),
            workers: WORKERS.iter().map(|it| (*it, MiniWorker::default())).collect(),
            triggered: BTreeMap::new(),
            late: BTreeSet::new(),
            files: BTreeSet::new(),
            next_session: 0,
            outcome: None,
            last_triggered: CheckpointId(0),
            last_attempt: Attempt(0),
            last_token: FencingToken(0),
            aborted: BTreeSet::new(),
            completed: BTreeSet::new(),
            deleted: BTreeSet::new(),
            notes: Vec::new(),
        };
        world.input(recovered(world.register.clone()));
        world
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.coordinator.handle(input, &mut effects);
        for effect in &effects {
            self.perform(effect);
        }
        effects
    }

    fn perform(&mut self, effect: &Effect) {
        assert!(self.outcome.is_none(), "an effect after the end: {effect:?}");
        match effect {
            Effect::Persist { write, record } => self.on_persist(*write, record),
            Effect::WriteManifest { checkpoint, snapshots, finished, .. } => {
                let snapshots = snapshots.iter().map(|it| it.subtask);
                let mut subtasks: Vec<_> = snapshots.chain(finished.iter().copied()).collect();
                subtasks.sort_unstable();
                let all: Vec<_> = self.plan.subtasks.iter().map(|it| it.subtask).collect();
                assert_eq!(subtasks, all, "a manifest needs every subtask's snapshot, in order");
                assert!(self.manifests.insert(*checkpoint), "manifest {checkpoint} written twice");
            }
            Effect::DeleteCheckpoint(checkpoint) => {
                let written = self.outstanding.as_ref().map(|(_, record)| record);
                for record in written.into_iter().chain([&self.register]) {
                    assert!(!record.retained.contains(checkpoint), "{checkpoint} is referenced");
                }
                self.deleted.insert(*checkpoint);
                assert!(self.deleting.insert(*checkpoint), "{checkpoint} is being deleted");
            }
            Effect::DeleteShared(_) | Effect::SweepShared { .. } => {
                panic!("{effect:?} in a world without shared files")
            }
            Effect::Arm(timer, delay) => {
                assert!(delay.least <= delay.most, "{delay:?}");
                self.timers.insert(*timer);
            }
            Effect::Disarm(timer) => {
                self.timers.remove(timer);
            }
            Effect::Send { worker, session, message } => {
                if self.workers[worker].session == Some(*session) {
                    self.on_order(*worker, message);
                }
            }
            Effect::Disconnect { worker, session } => {
                if self.workers[worker].session == Some(*session) {
                    self.workers.insert(*worker, MiniWorker::default());
                }
            }
            Effect::Answer { .. } | Effect::ExportSavepoint(_) => panic!("nobody asked"),
            Effect::Stop(outcome) => self.outcome = Some(outcome.clone()),
            Effect::Note(event) => self.on_note(event),
        }
    }

    fn on_persist(&mut self, write: WriteId, record: &StoreRecord) {
        assert!(self.outstanding.is_none(), "two record writes at once");
        let now = &self.register;
        assert!(record.next_checkpoint >= now.next_checkpoint, "ids went back");
        assert!(record.attempt >= now.attempt, "attempts went back");
        assert!(record.token >= now.token, "tokens went back");
        assert!(record.retained.is_sorted() && record.retained.len() <= 2, "{record:?}");
        for checkpoint in &record.retained {
            assert!(!self.aborted.contains(checkpoint), "{checkpoint} was aborted and comes back");
            assert!(!self.deleted.contains(checkpoint), "{checkpoint} was deleted");
        }
        self.outstanding = Some((write, record.clone()));
    }

    fn on_order(&mut self, worker: WorkerId, message: &ToWorker) {
        assert_eq!(message.token, self.register.token, "an order under a token not durable");
        let is_between = assigns_work(&message.order) && !self.triggered.is_empty();
        assert!(!is_between, "work is assigned while a checkpoint is in flight (J3, J4)");
        if let Order::Deploy(deployment) = &message.order {
            assert!(!self.in_doubt, "deployed while the record is in doubt");
            assert!(deployment.attempt <= self.register.attempt, "attempt not durable (A4)");
            assert_eq!(deployment.restore, self.register.retained.last().copied(), "O7");
            let older = self.workers.values().flat_map(|it| it.subtasks.iter());
            let mut live =
                older.filter(|(id, it)| id.attempt < deployment.attempt && **it != Mini::Finished);
            assert_eq!(live.next(), None, "deployed over a live attempt (O6)");
        }
        let mini = self.workers.get_mut(&worker).expect("a worker of the plan");
        let to_all = |mini: &mut MiniWorker, attempt, from, to| {
            for (_, it) in mini.subtasks.iter_mut().filter(|(id, _)| id.attempt == attempt) {
                assert_eq!(*it, from);
                *it = to;
            }
        };
        match &message.order {
            Order::Registered
            | Order::Heartbeat
            | Order::Aborted { .. }
            | Order::ReportProgress { .. }
            | Order::Trigger { .. } => {}
            Order::Deploy(deployment) => {
                for subtask in &deployment.subtasks {
                    let id = AttemptId { subtask: *subtask, attempt: deployment.attempt };
                    mini.subtasks.insert(id, Mini::Restoring);
                }
            }
            Order::Start(attempt) => to_all(mini, *attempt, Mini::Ready, Mini::Running),
            Order::Cancel(attempt) => {
                mini.cancelled.insert(*attempt);
            }
            Order::Completed { attempt, checkpoint, is_final } => {
                assert!(self.register.retained.contains(checkpoint), "told before durable (H1)");
                if *is_final {
                    to_all(mini, *attempt, Mini::Ended, Mini::Ended);
                    mini.final_completed.insert(*attempt);
                }
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other events are not checked here")]
    fn on_note(&mut self, event: &Event) {
        self.notes.push(event.name());
        match event {
            Event::CoordinatorStarted { token, restored } => {
                assert!(*token > self.last_token, "tokens must grow");
                assert_eq!(*restored, self.register.retained.last().copied());
                self.last_token = *token;
            }
            Event::AttemptDeployed { attempt, .. } => {
                assert!(*attempt > self.last_attempt, "attempts must grow");
                self.last_attempt = *attempt;
            }
            Event::CheckpointTriggered { checkpoint, is_final } => {
                assert!(*checkpoint > self.last_triggered, "ids must grow (A1)");
                assert!(*checkpoint < self.register.next_checkpoint, "id not reserved");
                self.last_triggered = *checkpoint;
                let attempt = self.last_attempt;
                self.triggered.insert(*checkpoint, (attempt, BTreeSet::new()));
                let mut subtasks = self.workers.values().flat_map(|it| it.subtasks.iter());
                let all_ended =
                    subtasks.all(|(id, it)| id.attempt != attempt || *it == Mini::Ended);
                assert!(!is_final || all_ended, "a final checkpoint before the end");
            }
            Event::CheckpointCompleted { checkpoint } => {
                assert_eq!(self.register.retained.last(), Some(checkpoint));
                assert!(!self.aborted.contains(checkpoint), "aborted and completed");
                assert!(self.completed.last() < Some(checkpoint), "completed out of order");
                self.completed.insert(*checkpoint);
                self.triggered.remove(checkpoint);
            }
            Event::CheckpointAborted { checkpoint, .. } => {
                assert!(self.aborted.insert(*checkpoint), "aborted twice");
                assert!(!self.completed.contains(checkpoint), "completed and aborted");
                if let Some((attempt, _)) = self.triggered.remove(checkpoint) {
                    let all = self.plan.subtasks.iter().map(|it| it.subtask);
                    let all = all.map(|subtask| (AttemptId { subtask, attempt }, *checkpoint));
                    self.late.extend(all);
                }
            }
            _ => {}
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::PersistOk => {
                let (write, record) = self.outstanding.take().expect("a write");
                self.register = record;
                self.in_doubt = false;
                self.input(Input::RecordPersisted(write));
            }
            Action::PersistFails(takes_effect) => {
                let (write, record) = self.outstanding.take().expect("a write");
                if takes_effect {
                    self.register = record;
                }
                self.in_doubt = true;
                self.input(Input::RecordFailed(write));
            }
            Action::Manifest(checkpoint, is_written) => {
                self.manifests.remove(&checkpoint);
                if is_written {
                    self.files.insert(checkpoint);
                }
                self.input(if is_written {
                    Input::ManifestWritten(checkpoint)
                } else {
                    Input::ManifestFailed(checkpoint)
                });
            }
            Action::Deleted(checkpoint) => {
                self.deleting.remove(&checkpoint);
                self.files.remove(&checkpoint);
                self.input(Input::Deleted(checkpoint));
            }
            Action::Fire(timer) => {
                self.timers.remove(&timer);
                self.input(Input::Timer(timer));
            }
            Action::Connect(worker) => {
                self.next_session += 1;
                let session = SessionId(self.next_session);
                self.workers
                    .insert(worker, MiniWorker { session: Some(session), ..MiniWorker::default() });
                let message = ToCoordinator::Register { worker, session, slots: 1 };
                self.input(Input::Message { worker, session, message });
            }
            Action::Break(worker) => {
                let session = self.workers[&worker].session.expect("a session");
                self.workers.insert(worker, MiniWorker::default());
                self.input(Input::Disconnected { worker, session });
            }
            Action::Report(worker, message) => {
                let mini = self.workers.get_mut(&worker).expect("a worker of the plan");
                let session = mini.session.expect("a session");
                match &message {
                    ToCoordinator::Ready(id) => {
                        mini.subtasks.insert(*id, Mini::Ready);
                    }
                    ToCoordinator::Ended(id) => {
                        mini.subtasks.insert(*id, Mini::Ended);
                    }
                    ToCoordinator::Finished(id) => {
                        mini.subtasks.insert(*id, Mini::Finished);
                    }
                    ToCoordinator::Cancelled(id) => {
                        mini.subtasks.remove(id);
                    }
                    ToCoordinator::Failed { attempt, .. } => {
                        mini.subtasks.remove(attempt);
                    }
                    ToCoordinator::Ack { attempt, checkpoint, .. } => {
                        self.files.insert(*checkpoint);
                        self.late.remove(&(*attempt, *checkpoint));
                        if let Some((_, acked)) = self.triggered.get_mut(checkpoint) {
                            acked.insert(attempt.subtask);
                        }
                    }
                    ToCoordinator::Register { .. }
                    | ToCoordinator::Unfinished { .. }
                    | ToCoordinator::Heartbeat
                    | ToCoordinator::Progress { .. }
                    | ToCoordinator::Decline { .. } => {}
                }
                self.input(Input::Message { worker, session, message });
            }
            Action::Crash => {
                if let Some((write, record)) = self.outstanding.take()
                    && write.0 % 2 == 0
                {
                    self.register = record; // A write in flight may land or not.
                }
                self.in_doubt = false;
                self.manifests.clear();
                self.deleting.clear();
                self.timers.clear();
                self.triggered.clear();
                self.late.clear();
                self.aborted.clear(); // H4: an uncertain one may come back with the next leader.
                self.workers = WORKERS.iter().map(|it| (*it, MiniWorker::default())).collect();
                self.coordinator = Coordinator::new(self.plan.clone());
                let found = self.register.clone();
                self.completed.extend(found.retained.iter().copied());
                self.input(recovered(found));
            }
            Action::Garbage(input) => {
                let before = self.register.clone();
                self.input(input);
                assert_eq!(before, self.register);
            }
        }
    }

    /// What the world may do without any fault.
    fn progress(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.outstanding.is_some() {
            actions.push(Action::PersistOk);
        }
        actions.extend(self.manifests.iter().map(|it| Action::Manifest(*it, true)));
        actions.extend(self.deleting.iter().map(|it| Action::Deleted(*it)));
        for (worker, mini) in &self.workers {
            if mini.session.is_none() {
                actions.push(Action::Connect(*worker));
            }
            let report = |message| Action::Report(*worker, message);
            for (id, state) in &mini.subtasks {
                if mini.cancelled.contains(&id.attempt) && *state != Mini::Finished {
                    actions.push(report(ToCoordinator::Cancelled(*id)));
                    continue;
                }
                match state {
                    Mini::Restoring => actions.push(report(ToCoordinator::Ready(*id))),
                    Mini::Running => actions.push(report(ToCoordinator::Ended(*id))),
                    Mini::Ended if mini.final_completed.contains(&id.attempt) => {
                        actions.push(report(ToCoordinator::Finished(*id)));
                    }
                    Mini::Ready | Mini::Ended | Mini::Finished => {}
                }
                for (checkpoint, (attempt, acked)) in &self.triggered {
                    if *attempt == id.attempt && !acked.contains(&id.subtask) {
                        actions.push(report(ack(*id, *checkpoint)));
                    }
                }
            }
        }
        actions
    }

    fn faults(&self) -> Vec<Action> {
        let mut actions = vec![Action::Crash];
        if self.outstanding.is_some() {
            actions.extend([Action::PersistFails(true), Action::PersistFails(false)]);
        }
        actions.extend(self.manifests.iter().map(|it| Action::Manifest(*it, false)));
        for (worker, mini) in &self.workers {
            if mini.session.is_some() {
                actions.extend([Action::Break(*worker), Action::Connect(*worker)]);
            }
            for id in mini.subtasks.keys() {
                let cause = "planned".to_string();
                let failed = ToCoordinator::Failed { attempt: *id, cause, fatal: false };
                actions.push(Action::Report(*worker, failed));
                for checkpoint in self.triggered.keys() {
                    for reason in [
                        DeclineReason::NotRunning,
                        DeclineReason::AsyncException,
                        DeclineReason::Subsumed,
                    ] {
                        let decline = ToCoordinator::Decline {
                            attempt: *id,
                            checkpoint: *checkpoint,
                            reason,
                        };
                        actions.push(Action::Report(*worker, decline));
                    }
                }
            }
        }
        actions
    }

    fn late_acks(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (worker, mini) in self.workers.iter().filter(|(_, mini)| mini.session.is_some()) {
            let here = self.late.iter().filter(|(id, _)| mini.subtasks.contains_key(id));
            actions.extend(here.map(|(id, it)| Action::Report(*worker, ack(*id, *it))));
        }
        actions
    }

    fn step(&mut self, kind: u8, index: u16, garbage: &Input) {
        if self.outcome.is_some() {
            return;
        }
        let ends = |it: &Action| matches!(it, Action::Report(_, ToCoordinator::Ended(_)));
        let fire = |is_hostile: bool| {
            let timers = self.timers.iter().filter(move |it| is_suspicion(**it) == is_hostile);
            timers.map(|it| Action::Fire(*it)).collect::<Vec<_>>()
        };
        let actions = match kind {
            0..=164 => self.progress().into_iter().filter(|it| !ends(it)).collect(),
            165..=169 if self.outstanding.is_some() => {
                vec![Action::PersistFails(true), Action::PersistFails(false)]
            }
            165..=174 => self.progress(),
            175..=209 => fire(false),
            210..=219 => self.late_acks(),
            220..=222 => fire(true),
            223..=229 => self.faults(),
            230..=255 => vec![Action::Garbage(garbage.clone())],
        };
        if !actions.is_empty() {
            self.act(actions[index as usize % actions.len()].clone());
        }
    }

    /// All faults are healed: everything that can happen without one happens until the job ends.
    fn heal_and_finish(&mut self) {
        for _ in 0..2000 {
            if self.outcome.is_some() {
                return;
            }
            if let Some(action) = self.progress().first() {
                self.act(action.clone());
                continue;
            }
            let timer = self
                .timers
                .iter()
                .find(|it| matches!(it, Timer::RecordRetry | Timer::Restart(_) | Timer::MinPause));
            match timer {
                Some(timer) => self.act(Action::Fire(*timer)),
                None => break,
            }
        }
        panic!("stuck, waiting for {}: {:?}", self.coordinator.waits_for(), self.notes);
    }
}

/// Whether a checkpoint that is in flight would miss what the order brings. Splits are listed once and then
/// known from positions, so that no order brings one to a running attempt.
fn assigns_work(order: &Order) -> bool {
    match order {
        Order::Deploy(_) | Order::Start(_) => true,
        Order::Registered
        | Order::Heartbeat
        | Order::ReportProgress { .. }
        | Order::Cancel(_)
        | Order::Trigger { .. }
        | Order::Completed { .. }
        | Order::Aborted { .. } => false,
    }
}

/// Timers that fire without a fault, and those that mean that someone is taken for dead or too slow.
fn is_suspicion(timer: Timer) -> bool {
    match timer {
        Timer::Trigger
        | Timer::MinPause
        | Timer::RetainedExpires(_)
        | Timer::RecordRetry
        | Timer::Restart(_)
        | Timer::Stable(_)
        | Timer::FailureForgotten(_)
        | Timer::Heartbeat => false,
        Timer::CheckpointExpires(_) | Timer::CancelExpires(_) | Timer::WorkerSilent(_) => true,
    }
}

fn ack(attempt: AttemptId, checkpoint: CheckpointId) -> ToCoordinator {
    let snapshot = SnapshotHandle {
        subtask: attempt.subtask,
        attempt: attempt.attempt,
        bytes: 10,
        checksum: 1,
        figures: SnapshotFigures::default(),
        shared: Vec::new(),
    };
    ToCoordinator::Ack { attempt, checkpoint, snapshot }
}

// Properties.

fn any_timer() -> impl Strategy<Value = Timer> {
    let small = 0..6_u32;
    prop_oneof![
        Just(Timer::Trigger),
        Just(Timer::MinPause),
        small.clone().prop_map(|it| Timer::CheckpointExpires(CheckpointId(it.into()))),
        Just(Timer::RecordRetry),
        small.clone().prop_map(|it| Timer::Restart(Attempt(it))),
        small.clone().prop_map(|it| Timer::Stable(Attempt(it))),
        small.clone().prop_map(Timer::FailureForgotten),
        small.prop_map(|it| Timer::CancelExpires(Attempt(it))),
        Just(Timer::Heartbeat),
        (4..6_u32).prop_map(|it| Timer::WorkerSilent(WorkerId(it))),
    ]
}

/// Inputs that a correct world would not send: foreign sessions, forgotten timers, unknown answers.
fn garbage() -> impl Strategy<Value = Input> {
    let id = (0..2_u32, 0..3_u32, 0..5_u32).prop_map(|(operator, index, attempt)| AttemptId {
        subtask: SubtaskId::new(operator, index),
        attempt: Attempt(attempt),
    });
    let message = (id, 0..8_u64, 0..7_u8).prop_map(|(id, checkpoint, kind)| match kind {
        0 => ToCoordinator::Ready(id),
        1 => ToCoordinator::Ended(id),
        2 => ToCoordinator::Finished(id),
        3 => ToCoordinator::Cancelled(id),
        4 => ToCoordinator::Heartbeat,
        5 => ToCoordinator::Register { worker: WorkerId(2), session: SessionId(99), slots: 1 },
        _ => ack(id, CheckpointId(checkpoint)),
    });
    prop_oneof![
        (1..4_u32, message).prop_map(|(worker, message)| Input::Message {
            worker: WorkerId(worker),
            session: SessionId(1_000_000),
            message,
        }),
        (1..4_u32).prop_map(|worker| Input::Disconnected {
            worker: WorkerId(worker),
            session: SessionId(1_000_000),
        }),
        (0..3_u64).prop_map(|it| Input::RecordPersisted(WriteId(1_000_000 + it))),
        (0..3_u64).prop_map(|it| Input::RecordFailed(WriteId(1_000_000 + it))),
        (1_000..1_003_u64).prop_map(|it| Input::ManifestWritten(CheckpointId(it))),
        (1_000..1_003_u64).prop_map(|it| Input::ManifestFailed(CheckpointId(it))),
        (1_000..1_003_u64).prop_map(|it| Input::Deleted(CheckpointId(it))),
        any_timer().prop_map(Input::Timer),
        Just(recovered(StoreRecord::fresh(JobId(1)))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// All checks of [`World`] hold in every history, and when the faults stop the job finishes.
    // Rules: A1, A4, B1, B2, B5, G2, G5, H1, H3, H4, H6, J3, J4, O6, O7
    #[test]
    fn a_job_keeps_its_promises_under_faults_and_finishes_after_they_stop(
        max_concurrent in 1..4_u32,
        tolerable_failures in 0..3_u32,
        retained in 1..3_u32,
        min_pause in 0..2_u64,
        steps in prop::collection::vec((any::<u8>(), any::<u16>(), garbage()), 0..400),
    ) {
        let mut plan = plan();
        plan.checkpoint.max_concurrent = max_concurrent;
        plan.checkpoint.tolerable_failures = tolerable_failures;
        plan.checkpoint.retained = retained;
        plan.checkpoint.min_pause = Duration::from_secs(min_pause);
        let mut world = World::new(plan);
        for (kind, index, garbage) in &steps {
            world.step(*kind, *index, garbage);
        }
        world.heal_and_finish();
        prop_assert_eq!(world.outcome.clone(), Some(Outcome::Result(JobResult::Finished)));
        prop_assert_eq!(world.register.result, Some(JobResult::Finished));
        let retained = world.register.retained.iter().copied().collect();
        world.files.retain(|it| !world.deleting.contains(it)); // They end with the leader.
        prop_assert_eq!(world.files, retained, "every file is referenced (T7, T8)");
    }

    /// Inputs of foreign sessions, unknown answers and forgotten timers change nothing and are noted.
    // Rules: G8, B12
    #[test]
    fn an_input_that_means_nothing_is_noted_and_changes_nothing(
        inputs in prop::collection::vec(garbage(), 1..20),
        progress in 0..60_usize,
    ) {
        let mut world = World::new(plan());
        for _ in 0..progress {
            if let Some(action) = world.progress().first().filter(|_| world.outcome.is_none()) {
                world.act(action.clone());
            }
        }
        for input in inputs.into_iter().filter(|it| !matches!(it, Input::Timer(_))) {
            let (before, mut effects) = (world.coordinator.clone(), Vec::new());
            let registers = matches!(
                &input,
                Input::Message { message: ToCoordinator::Register { .. }, .. }
            );
            world.coordinator.handle(input, &mut effects);
            let is_noted = effects.iter().any(|it| {
                matches!(it, Effect::Note(Event::StaleInput { .. }))
            });
            prop_assert!(is_noted || registers, "swallowed: {effects:?}");
            prop_assert!(before == world.coordinator || registers);
        }
    }

    /// Whatever comes, in whatever order, there is an answer and at most one write is outstanding.
    #[test]
    fn no_input_in_any_state_panics(inputs in prop::collection::vec(anything(), 0..300)) {
        let mut plan = two_workers();
        plan.checkpoint.max_concurrent = 3;
        plan.checkpoint.tolerable_failures = 1;
        plan.restart = RestartStrategy::FailureRate {
            max_failures: 3,
            interval: Duration::from_mins(1),
            delay: Duration::from_secs(1),
        };
        let mut coordinator = Coordinator::new(plan);
        let mut effects = Vec::new();
        coordinator.handle(recovered(StoreRecord::fresh(JobId(1))), &mut effects);
        for input in inputs {
            effects.clear();
            coordinator.handle(input, &mut effects);
            let writes = effects.iter().filter(|it| matches!(it, Effect::Persist { .. })).count();
            prop_assert!(writes <= 1);
        }
    }
}

/// Small numbers everywhere, so that most inputs nearly fit.
fn anything() -> impl Strategy<Value = Input> {
    let id = (0..2_u32, 1..4_u32).prop_map(|(operator, attempt)| AttemptId {
        subtask: SubtaskId::new(operator, operator),
        attempt: Attempt(attempt),
    });
    let message = (id, 0..5_u64, 0..12_u8, 1..3_u64, 1..3_u32).prop_map(
        |(id, checkpoint, kind, session, worker)| {
            let checkpoint = CheckpointId(checkpoint);
            let message = match kind {
                0 | 1 => ToCoordinator::Ready(id),
                2 => ToCoordinator::Ended(id),
                3 => ToCoordinator::Finished(id),
                4 => ToCoordinator::Cancelled(id),
                5 => ToCoordinator::Failed { attempt: id, cause: String::new(), fatal: false },
                6 => ToCoordinator::Decline {
                    attempt: id,
                    checkpoint,
                    reason: DeclineReason::AsyncException,
                },
                7 => ToCoordinator::Register {
                    worker: WorkerId(worker),
                    session: SessionId(session),
                    slots: 1,
                },
                8 => ToCoordinator::Heartbeat,
                _ => ack(id, checkpoint),
            };
            // The subtask's own worker, mostly: slot 0 is on worker 1 and slot 1 on worker 2.
            let worker = if kind == 7 { worker } else { id.subtask.index + 1 };
            Input::Message { worker: WorkerId(worker), session: SessionId(session), message }
        },
    );
    prop_oneof![
        8 => message,
        4 => (0..30_u64).prop_map(|it| Input::RecordPersisted(WriteId(it))),
        1 => (0..30_u64).prop_map(|it| Input::RecordFailed(WriteId(it))),
        1 => (0..6_u64).prop_map(|it| Input::ManifestWritten(CheckpointId(it))),
        1 => (0..6_u64).prop_map(|it| Input::ManifestFailed(CheckpointId(it))),
        1 => (0..6_u64).prop_map(|it| Input::Deleted(CheckpointId(it))),
        3 => any_timer().prop_map(Input::Timer),
        1 => (1..3_u32, 1..3_u64).prop_map(|(worker, session)| Input::Disconnected {
            worker: WorkerId(worker),
            session: SessionId(session),
        }),
    ]
}

// Transcripts.

/// One word for each effect.
fn words(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Persist { .. } => "persist".to_string(),
            Effect::WriteManifest { checkpoint, .. } => format!("write-manifest {checkpoint}"),
            Effect::DeleteCheckpoint(checkpoint) => format!("delete {checkpoint}"),
            Effect::DeleteShared(files) => format!("delete-shared {}", files.len()),
            Effect::SweepShared { below, .. } => format!("sweep-shared below {below}"),
            Effect::ExportSavepoint(checkpoint) => format!("export {checkpoint}"),
            Effect::Arm(timer, _) => format!("arm {timer:?}"),
            Effect::Disarm(timer) => format!("disarm {timer:?}"),
            Effect::Send { worker, message, .. } => {
                let order = format!("{:?}", message.order);
                let order = order.split(['(', ' ']).next().unwrap_or_default().to_string();
                format!("{worker} {order}")
            }
            Effect::Disconnect { worker, .. } => format!("disconnect {worker}"),
            Effect::Answer { answer, .. } => format!("answer {answer:?}"),
            Effect::Stop(outcome) => format!("stop {outcome:?}"),
            Effect::Note(event) => event.name().to_string(),
        })
        .collect()
}

struct Script {
    coordinator: Coordinator,
    writes: u64,
}

impl Script {
    fn new(plan: JobPlan) -> Self {
        Self { coordinator: Coordinator::new(plan), writes: 0 }
    }

    #[track_caller]
    fn check(&mut self, input: Input, expected: &[&str]) {
        let mut effects = Vec::new();
        self.coordinator.handle(input, &mut effects);
        assert_eq!(words(&effects), expected);
    }

    #[track_caller]
    fn persisted(&mut self, expected: &[&str]) {
        let write = WriteId(self.writes);
        self.writes += 1;
        self.check(Input::RecordPersisted(write), expected);
    }

    #[track_caller]
    fn says(&mut self, worker: u32, message: ToCoordinator, expected: &[&str]) {
        let silent = format!("arm WorkerSilent(WorkerId({worker}))");
        let is_registration = matches!(message, ToCoordinator::Register { .. });
        let mut effects = Vec::new();
        let worker = WorkerId(worker);
        let session = SessionId(1);
        self.coordinator.handle(Input::Message { worker, session, message }, &mut effects);
        let mut words = words(&effects);
        if !is_registration {
            assert_eq!(words.remove(0), silent, "every message is a sign of life");
        }
        assert_eq!(words, expected);
    }
}

/// One source subtask on worker 1 and one sink subtask on worker 2: slot 0 and slot 1.
fn two_workers() -> JobPlan {
    let source = SubtaskPlan::source(SubtaskId::new(0, 0));
    let upstream = vec![source.subtask];
    let sink = SubtaskPlan { subtask: SubtaskId::new(1, 1), upstream, has_union_state: false };
    JobPlan { subtasks: vec![source, sink], ..plan() }
}

fn source(attempt: u32) -> AttemptId {
    AttemptId { subtask: SubtaskId::new(0, 0), attempt: Attempt(attempt) }
}

fn sink(attempt: u32) -> AttemptId {
    AttemptId { subtask: SubtaskId::new(1, 1), attempt: Attempt(attempt) }
}

fn register(worker: u32) -> ToCoordinator {
    ToCoordinator::Register { worker: WorkerId(worker), session: SessionId(1), slots: 1 }
}

fn running() -> Script {
    running_with(two_workers())
}

fn running_with(plan: JobPlan) -> Script {
    let mut script = deployed_with(plan);
    script.says(
        1,
        ToCoordinator::Ready(source(1)),
        &["worker-1 Start", "worker-2 Start", "attempt-started", "arm Trigger"],
    );
    script
}

/// Every subtask but the source is ready.
fn deployed_with(plan: JobPlan) -> Script {
    let mut script = Script::new(plan);
    script.check(recovered(StoreRecord::fresh(JobId(1))), &["persist"]);
    script.says(1, register(1), &["arm WorkerSilent(WorkerId(1))"]);
    script.persisted(&[
        "coordinator-started",
        "arm Heartbeat",
        "worker-1 Registered",
        "worker-registered",
        "arm WorkerSilent(WorkerId(1))",
        "waiting-for-slots",
    ]);
    script.says(
        2,
        register(2),
        &["worker-2 Registered", "worker-registered", "arm WorkerSilent(WorkerId(2))", "persist"],
    );
    script.persisted(&["worker-1 Deploy", "worker-2 Deploy", "attempt-deployed"]);
    script.says(2, ToCoordinator::Ready(sink(1)), &[]);
    script
}

fn completed_one() -> Script {
    completed_one_with(two_workers())
}

fn completed_one_with(plan: JobPlan) -> Script {
    let mut script = running_with(plan);
    script.check(Input::Timer(Timer::Trigger), &["arm Trigger", "persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    script.says(1, ack(source(1), CheckpointId(1)), &["snapshot-acked"]);
    script.says(
        2,
        ack(sink(1), CheckpointId(1)),
        &["snapshot-acked", "checkpoint-acknowledged", "write-manifest 1"],
    );
    script.check(Input::ManifestWritten(CheckpointId(1)), &["manifest-written", "persist"]);
    script.persisted(&[
        "disarm CheckpointExpires(CheckpointId(1))",
        "checkpoint-completed",
        "worker-1 Completed",
        "worker-2 Completed",
    ]);
    script
}

// Rules: B10, H1, N4
#[test]
fn a_job_without_faults_completes_checkpoints_and_stores_its_result() {
    let mut script = completed_one();
    script.says(1, ToCoordinator::Ended(source(1)), &[]);
    script.says(2, ToCoordinator::Ended(sink(1)), &["disarm Trigger", "persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(2))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    script.says(1, ack(source(1), CheckpointId(2)), &["snapshot-acked"]);
    script.says(
        2,
        ack(sink(1), CheckpointId(2)),
        &["snapshot-acked", "checkpoint-acknowledged", "write-manifest 2"],
    );
    script.check(Input::ManifestWritten(CheckpointId(2)), &["manifest-written", "persist"]);
    script.persisted(&[
        "disarm CheckpointExpires(CheckpointId(2))",
        "checkpoint-completed",
        "worker-1 Completed",
        "worker-2 Completed",
        "checkpoint-subsumed",
        "delete 1",
    ]);
    script.says(1, ToCoordinator::Finished(source(1)), &[]);
    script.says(2, ToCoordinator::Finished(sink(1)), &["persist"]);
    script.persisted(&["job-finished", "stop Result(Finished)"]);
}

// Rules: O2, O7
#[test]
fn a_worker_that_dies_costs_one_attempt_and_the_next_restores_the_newest_checkpoint() {
    let mut script = completed_one();
    script.check(
        Input::Timer(Timer::WorkerSilent(WorkerId(2))),
        &[
            "disconnect worker-2",
            "disarm WorkerSilent(WorkerId(2))",
            "worker-lost",
            "attempt-failed",
            "disarm Trigger",
            "worker-1 Cancel",
            "arm CancelExpires(Attempt(1))",
        ],
    );
    script.says(
        1,
        ToCoordinator::Cancelled(source(1)),
        &["disarm CancelExpires(Attempt(1))", "arm Restart(Attempt(2))", "restart-scheduled"],
    );
    script.check(Input::Timer(Timer::Restart(Attempt(2))), &["waiting-for-slots"]);
    script.says(
        2,
        register(2),
        &["worker-2 Registered", "worker-registered", "arm WorkerSilent(WorkerId(2))", "persist"],
    );
    let mut effects = Vec::new();
    script.coordinator.handle(Input::RecordPersisted(WriteId(script.writes)), &mut effects);
    let note = Event::AttemptDeployed { attempt: Attempt(2), restore: Some(CheckpointId(1)) };
    assert!(effects.contains(&Effect::Note(note)), "{effects:?}");
}

// Rules: H3, G5
#[test]
fn a_checkpoint_whose_record_write_failed_is_aborted_and_certainly_undone_before_anything_else() {
    let mut script = running();
    script.check(Input::Timer(Timer::Trigger), &["arm Trigger", "persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    script.says(1, ack(source(1), CheckpointId(1)), &["snapshot-acked"]);
    script.says(
        2,
        ack(sink(1), CheckpointId(1)),
        &["snapshot-acked", "checkpoint-acknowledged", "write-manifest 1"],
    );
    script.check(Input::ManifestWritten(CheckpointId(1)), &["manifest-written", "persist"]);
    script.check(
        Input::RecordFailed(WriteId(script.writes)),
        &[
            "record-uncertain",
            "arm RecordRetry",
            "disarm CheckpointExpires(CheckpointId(1))",
            "checkpoint-aborted",
            "worker-1 Aborted",
            "worker-2 Aborted",
            "attempt-failed", // No failure is tolerated by default.
            "disarm Trigger",
            "worker-1 Cancel",
            "worker-2 Cancel",
            "arm CancelExpires(Attempt(1))",
        ],
    );
    script.writes += 1;
    script.says(1, ToCoordinator::Cancelled(source(1)), &[]);
    script.says(
        2,
        ToCoordinator::Cancelled(sink(1)),
        &["disarm CancelExpires(Attempt(1))", "arm Restart(Attempt(2))", "restart-scheduled"],
    );
    // The next attempt must wait until the record is certain.
    script.check(Input::Timer(Timer::Restart(Attempt(2))), &[]);
    script.check(Input::Timer(Timer::RecordRetry), &["persist"]);
    script.persisted(&["delete 1", "persist"]);
    script.persisted(&["worker-1 Deploy", "worker-2 Deploy", "attempt-deployed"]);
}

// Rules: O9
#[test]
fn a_fatal_failure_ends_the_job_after_everything_stopped() {
    let mut script = running();
    let failed =
        ToCoordinator::Failed { attempt: sink(1), cause: "bad input".to_string(), fatal: true };
    script.says(
        2,
        failed,
        &["attempt-failed", "disarm Trigger", "worker-1 Cancel", "arm CancelExpires(Attempt(1))"],
    );
    script.says(
        1,
        ToCoordinator::Cancelled(source(1)),
        &[
            "disarm CancelExpires(Attempt(1))",
            "job-failed",
            "stop Failed(\"op1/1#1 failed: bad input\")",
        ],
    );
}

#[test]
fn a_worker_that_does_not_stop_in_time_is_taken_for_dead() {
    let mut script = running();
    let failed =
        ToCoordinator::Failed { attempt: sink(1), cause: "disk".to_string(), fatal: false };
    script.says(
        2,
        failed,
        &["attempt-failed", "disarm Trigger", "worker-1 Cancel", "arm CancelExpires(Attempt(1))"],
    );
    script.check(
        Input::Timer(Timer::CancelExpires(Attempt(1))),
        &[
            "disconnect worker-1",
            "disarm WorkerSilent(WorkerId(1))",
            "worker-lost",
            "disarm CancelExpires(Attempt(1))",
            "arm Restart(Attempt(2))",
            "restart-scheduled",
        ],
    );
}

// Rules: P2
#[test]
fn a_job_with_a_result_never_runs_again() {
    let mut script = Script::new(two_workers());
    let result = Some(JobResult::Finished);
    let retained = vec![CheckpointId(4)];
    let next_checkpoint = CheckpointId(5);
    let found = StoreRecord { result, retained, next_checkpoint, ..StoreRecord::fresh(JobId(1)) };
    script.check(recovered(found.clone()), &["stop Result(Finished)"]);
    script.check(Input::Timer(Timer::Heartbeat), &["stale-input"]);
    // Whoever cleans up behind it must not take the last checkpoint for an orphan.
    assert_eq!(script.coordinator.durable(), &found);
}

// Rules: G4, G5
#[test]
fn a_manifest_that_appears_after_its_checkpoint_expired_is_deleted() {
    let mut plan = two_workers();
    plan.checkpoint.tolerable_failures = 1;
    let mut script = running_with(plan);
    script.check(Input::Timer(Timer::Trigger), &["arm Trigger", "persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    script.says(1, ack(source(1), CheckpointId(1)), &["snapshot-acked"]);
    script.says(
        2,
        ack(sink(1), CheckpointId(1)),
        &["snapshot-acked", "checkpoint-acknowledged", "write-manifest 1"],
    );
    script.check(
        Input::Timer(Timer::CheckpointExpires(CheckpointId(1))),
        &[
            "disarm CheckpointExpires(CheckpointId(1))",
            "checkpoint-aborted",
            "worker-1 Aborted",
            "worker-2 Aborted",
        ],
    );
    script.check(Input::ManifestWritten(CheckpointId(1)), &["stale-input", "delete 1"]);
    // What arrives during the deletion is deleted after it.
    script.says(1, ack(source(1), CheckpointId(1)), &["ack-ignored"]);
    script.check(Input::Deleted(CheckpointId(1)), &["delete 1"]);
    script.check(Input::Deleted(CheckpointId(1)), &[]);
}

// Rules: N4, B12
#[test]
fn a_final_checkpoint_that_was_given_up_is_taken_again_and_only_one_at_a_time() {
    let mut plan = two_workers();
    plan.checkpoint.tolerable_failures = 1;
    plan.checkpoint.max_concurrent = 2;
    let mut script = running_with(plan);
    script.says(1, ToCoordinator::Ended(source(1)), &[]);
    script.says(2, ToCoordinator::Ended(sink(1)), &["disarm Trigger", "persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    script.check(Input::Timer(Timer::Trigger), &["trigger-skipped"]);
    script.check(
        Input::Timer(Timer::CheckpointExpires(CheckpointId(1))),
        &[
            "disarm CheckpointExpires(CheckpointId(1))",
            "checkpoint-aborted",
            "worker-1 Aborted",
            "worker-2 Aborted",
            "delete 1",
            "persist",
        ],
    );
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(2))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
}

fn request(id: u64, request: Request) -> Input {
    Input::Requested { id: RequestId(id), request }
}

// Rules: B4, H1
#[test]
fn a_manual_checkpoint_is_answered_when_its_record_is_durable_and_not_before() {
    let mut script = running();
    script.check(request(7, Request::Checkpoint), &["persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    script.says(1, ack(source(1), CheckpointId(1)), &["snapshot-acked"]);
    script.says(
        2,
        ack(sink(1), CheckpointId(1)),
        &["snapshot-acked", "checkpoint-acknowledged", "write-manifest 1"],
    );
    script.check(Input::ManifestWritten(CheckpointId(1)), &["manifest-written", "persist"]);
    script.persisted(&[
        "disarm CheckpointExpires(CheckpointId(1))",
        "checkpoint-completed",
        "answer Completed(CheckpointId(1))",
        "worker-1 Completed",
        "worker-2 Completed",
    ]);
}

// Rules: B4, B9, G5
#[test]
fn a_manual_checkpoint_that_is_given_up_or_never_begins_is_answered_with_the_reason() {
    let mut plan = two_workers();
    plan.checkpoint.tolerable_failures = 1;
    let mut script = running_with(plan);
    script.check(request(1, Request::Checkpoint), &["persist"]);
    script.check(request(2, Request::Checkpoint), &[]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    let failed =
        ToCoordinator::Failed { attempt: sink(1), cause: "disk".to_string(), fatal: false };
    script.says(
        2,
        failed,
        &[
            "attempt-failed",
            "disarm Trigger",
            "trigger-skipped",
            "answer Refused(\"CHECKPOINT_COORDINATOR_SUSPEND: it did not begin: the attempt failed \
             meanwhile\")",
            "disarm CheckpointExpires(CheckpointId(1))",
            "checkpoint-aborted",
            "answer Aborted(CheckpointId(1), TaskFailure)",
            "delete 1",
            "worker-1 Cancel",
            "arm CancelExpires(Attempt(1))",
        ],
    );
    script.check(
        request(3, Request::Checkpoint),
        &[
            "trigger-skipped",
            "answer Refused(\"NOT_ALL_REQUIRED_TASKS_RUNNING: it did not begin: not every subtask \
             runs\")",
        ],
    );
}

// Rules: B5
#[test]
fn the_next_checkpoint_waits_until_enough_of_the_old_ones_are_deleted() {
    let mut script = Script::new(two_workers());
    let retained = vec![CheckpointId(4)];
    let found =
        StoreRecord { retained, next_checkpoint: CheckpointId(5), ..StoreRecord::fresh(JobId(1)) };
    script.check(recovered(found), &["persist"]);
    script.persisted(&[
        "coordinator-started",
        "delete 1",
        "delete 2",
        "delete 3",
        "arm Heartbeat",
        "waiting-for-slots",
    ]);
    for (worker, what) in [(1, "waiting-for-slots"), (2, "persist")] {
        let registered = [
            format!("worker-{worker} Registered"),
            "worker-registered".to_string(),
            format!("arm WorkerSilent(WorkerId({worker}))"),
        ];
        let expected: Vec<_> = registered.iter().map(String::as_str).chain([what]).collect();
        script.says(worker, register(worker), &expected);
    }
    script.persisted(&["worker-1 Deploy", "worker-2 Deploy", "attempt-deployed"]);
    script.says(2, ToCoordinator::Ready(sink(1)), &[]);
    script.says(
        1,
        ToCoordinator::Ready(source(1)),
        &["worker-1 Start", "worker-2 Start", "attempt-started", "arm Trigger"],
    );
    script.check(request(1, Request::Checkpoint), &[]);
    script.check(Input::Deleted(CheckpointId(1)), &[]);
    script.check(Input::Deleted(CheckpointId(3)), &["persist"]);
}

// Rules: H9, G5, H6
#[test]
fn a_cancelled_job_stops_its_subtasks_then_stores_that_and_then_deletes_what_it_does_not_keep() {
    for (on_cancel, deletes) in
        [(RetentionOnCancel::Delete, true), (RetentionOnCancel::Retain, false)]
    {
        let mut plan = two_workers();
        plan.checkpoint.on_cancel = on_cancel;
        let mut script = completed_one_with(plan);
        script.check(
            request(9, Request::Cancel),
            &[
                "cancel-requested",
                "disarm Trigger",
                "worker-1 Cancel",
                "worker-2 Cancel",
                "arm CancelExpires(Attempt(1))",
            ],
        );
        script.says(1, ToCoordinator::Cancelled(source(1)), &[]);
        script.says(
            2,
            ToCoordinator::Cancelled(sink(1)),
            &["disarm CancelExpires(Attempt(1))", "persist"],
        );
        let end = ["answer Ended(Cancelled)", "stop Result(Cancelled)"];
        let discarded = ["checkpoint-discarded", "delete 1"];
        let discarded = discarded.into_iter().filter(|_| deletes);
        let expected: Vec<_> = ["job-cancelled"].into_iter().chain(discarded).chain(end).collect();
        script.persisted(&expected);
        let durable = script.coordinator.durable();
        assert_eq!(durable.result, Some(JobResult::Cancelled));
        assert_eq!(durable.retained.is_empty(), deletes);
    }
}

// Rules: H9
#[test]
fn a_job_that_does_not_run_is_cancelled_at_once() {
    let mut script = Script::new(two_workers());
    script.check(recovered(StoreRecord::fresh(JobId(1))), &["persist"]);
    script.check(request(1, Request::Cancel), &["cancel-requested"]);
    script.persisted(&["coordinator-started", "arm Heartbeat", "persist"]);
    script.check(request(2, Request::Cancel), &[]);
    script.persisted(&[
        "job-cancelled",
        "answer Ended(Cancelled)",
        "answer Ended(Cancelled)",
        "stop Result(Cancelled)",
    ]);
}

// Rules: H9, A4
#[test]
fn an_attempt_whose_number_is_being_written_when_the_job_is_cancelled_is_never_deployed() {
    let mut script = Script::new(two_workers());
    script.check(recovered(StoreRecord::fresh(JobId(1))), &["persist"]);
    script.says(1, register(1), &["arm WorkerSilent(WorkerId(1))"]);
    script.says(2, register(2), &["arm WorkerSilent(WorkerId(2))"]);
    script.persisted(&[
        "coordinator-started",
        "arm Heartbeat",
        "worker-1 Registered",
        "worker-registered",
        "arm WorkerSilent(WorkerId(1))",
        "worker-2 Registered",
        "worker-registered",
        "arm WorkerSilent(WorkerId(2))",
        "persist",
    ]);
    script.check(request(1, Request::Cancel), &["cancel-requested"]);
    script.persisted(&["persist"]);
    script.persisted(&["job-cancelled", "answer Ended(Cancelled)", "stop Result(Cancelled)"]);
}

// Rules: H9
#[test]
fn a_job_that_is_cancelled_between_two_attempts_starts_no_other() {
    let mut script = completed_one();
    let failed =
        ToCoordinator::Failed { attempt: sink(1), cause: "disk".to_string(), fatal: false };
    script.says(
        2,
        failed,
        &["attempt-failed", "disarm Trigger", "worker-1 Cancel", "arm CancelExpires(Attempt(1))"],
    );
    script.says(
        1,
        ToCoordinator::Cancelled(source(1)),
        &["disarm CancelExpires(Attempt(1))", "arm Restart(Attempt(2))", "restart-scheduled"],
    );
    script.check(
        request(1, Request::Cancel),
        &["cancel-requested", "disarm Restart(Attempt(2))", "persist"],
    );
}

// Rules: H5, H6
#[test]
fn a_retained_checkpoint_grows_old_from_its_completion_and_again_under_the_next_leader() {
    let mut plan = two_workers();
    plan.checkpoint.retained = 3;
    plan.checkpoint.expiration = Some(Duration::from_hours(1));
    let found = StoreRecord {
        retained: vec![CheckpointId(1), CheckpointId(2)],
        next_checkpoint: CheckpointId(3),
        ..StoreRecord::fresh(JobId(1))
    };
    let mut script = Script::new(plan);
    script.check(recovered(found), &["persist"]);
    script.persisted(&[
        "coordinator-started",
        "arm RetainedExpires(CheckpointId(1))",
        "arm RetainedExpires(CheckpointId(2))",
        "arm Heartbeat",
        "waiting-for-slots",
    ]);
    script.check(Input::Timer(Timer::RetainedExpires(CheckpointId(2))), &[]);
    script.check(Input::Timer(Timer::RetainedExpires(CheckpointId(1))), &["persist"]);
    script.persisted(&[
        "checkpoint-discarded",
        "disarm RetainedExpires(CheckpointId(1))",
        "delete 1",
    ]);
    assert_eq!(script.coordinator.durable().retained, [CheckpointId(2)], "the newest stays");
    script.check(Input::Timer(Timer::RetainedExpires(CheckpointId(1))), &["stale-input"]);
}

fn progress(attempt: u32, records: u64, is_behind: bool) -> ToCoordinator {
    ToCoordinator::Progress { attempt: Attempt(attempt), records, dirty_bytes: 0, is_behind }
}

// Rules: B7, B12
#[test]
fn workers_are_asked_for_progress_when_a_trigger_needs_it_and_that_of_another_attempt_counts_nothing()
 {
    let mut plan = two_workers();
    plan.checkpoint.interval = None;
    plan.checkpoint.every_records = Some(100);
    plan.checkpoint.interval_during_backlog = Some(Duration::from_secs(9));
    let mut script = deployed_with(plan);
    script.says(
        1,
        ToCoordinator::Ready(source(1)),
        &[
            "worker-1 Start",
            "worker-2 Start",
            "attempt-started",
            "worker-1 ReportProgress",
            "worker-2 ReportProgress",
        ],
    );
    script.says(1, progress(2, 1000, false), &["stale-input"]);
    script.says(1, progress(1, 99, true), &["backlog-reported"]);
    script.says(2, progress(1, 0, true), &[]);
    script.says(1, progress(1, 0, false), &[]);
    script.says(2, progress(1, 0, false), &["backlog-reported"]);
    script.says(2, progress(1, 1, false), &["persist"]);
}

/// The reasons with which checkpoints were given up.
fn aborted(effects: &[Effect]) -> Vec<AbortReason> {
    let reason = |effect: &Effect| {
        if let Effect::Note(Event::CheckpointAborted { reason, .. }) = effect {
            Some(*reason)
        } else {
            None
        }
    };
    effects.iter().filter_map(reason).collect()
}

/// A running job with checkpoint 1 pending and no ack, that tolerates failures.
fn pending_one(max_concurrent: u32) -> Script {
    let mut plan = two_workers();
    plan.checkpoint.tolerable_failures = 5;
    plan.checkpoint.max_concurrent = max_concurrent;
    let mut script = running_with(plan);
    script.check(Input::Timer(Timer::Trigger), &["arm Trigger", "persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    script
}

fn hears(script: &mut Script, worker: u32, message: ToCoordinator) -> Vec<Effect> {
    let (mut effects, session) = (Vec::new(), SessionId(1));
    let input = Input::Message { worker: WorkerId(worker), session, message };
    script.coordinator.handle(input, &mut effects);
    effects
}

// Rules: G3, G6
#[test]
fn each_decline_aborts_with_a_reason_of_its_own() {
    for (reason, expected) in [
        (DeclineReason::AsyncException, AbortReason::AsyncException),
        (DeclineReason::NotRunning, AbortReason::DeclinedTaskNotReady),
        (DeclineReason::Subsumed, AbortReason::DeclinedSubsumed),
    ] {
        let mut script = pending_one(1);
        let decline =
            ToCoordinator::Decline { attempt: sink(1), checkpoint: CheckpointId(1), reason };
        assert_eq!(aborted(&hears(&mut script, 2, decline)), [expected]);
    }
}

// Rules: A3, H1
#[test]
fn an_older_checkpoint_that_is_still_pending_is_subsumed() {
    let mut script = pending_one(2);
    script.check(Input::Timer(Timer::Trigger), &["arm Trigger", "persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(2))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    hears(&mut script, 1, ack(source(1), CheckpointId(2)));
    hears(&mut script, 2, ack(sink(1), CheckpointId(2)));
    script.check(Input::ManifestWritten(CheckpointId(2)), &["manifest-written", "persist"]);
    let mut effects = Vec::new();
    script.coordinator.handle(Input::RecordPersisted(WriteId(script.writes)), &mut effects);
    assert_eq!(aborted(&effects), [AbortReason::Subsumed]);
}

// Rules: G5, I5
#[test]
fn what_was_written_for_a_checkpoint_that_was_given_up_is_swept_at_the_next_completion() {
    let mut plan = two_workers();
    plan.checkpoint.tolerable_failures = 5;
    plan.checkpoint.is_incremental = true;
    let mut script = Script::new(plan);
    let sweeps = |effects: &[Effect]| {
        let below = |effect: &Effect| {
            let Effect::SweepShared { below, keep } = effect else { return None };
            Some((*below, keep.len()))
        };
        effects.iter().filter_map(below).collect::<Vec<_>>()
    };
    let check = |script: &mut Script, input: Input| {
        let mut effects = Vec::new();
        script.coordinator.handle(input, &mut effects);
        effects
    };
    let persisted = |script: &mut Script| {
        let write = WriteId(script.writes);
        script.writes += 1;
        check(script, Input::RecordPersisted(write))
    };
    check(&mut script, recovered(StoreRecord::fresh(JobId(1))));
    hears(&mut script, 1, register(1));
    persisted(&mut script);
    hears(&mut script, 2, register(2));
    assert_eq!(sweeps(&persisted(&mut script)), [(CheckpointId(1), 0)], "at the deployment");
    hears(&mut script, 2, ToCoordinator::Ready(sink(1)));
    hears(&mut script, 1, ToCoordinator::Ready(source(1)));
    for (checkpoint, fails, expected) in [
        (1, true, vec![]),
        (2, false, vec![(CheckpointId(2), 0)]),
        (3, false, vec![]),
        (4, true, vec![]),
        (5, true, vec![]),
        (6, false, vec![(CheckpointId(6), 0)]),
    ] {
        let checkpoint = CheckpointId(checkpoint);
        check(&mut script, Input::Timer(Timer::Trigger));
        persisted(&mut script);
        hears(&mut script, 1, ack(source(1), checkpoint));
        let mut effects = if fails {
            let reason = DeclineReason::AsyncException;
            hears(&mut script, 2, ToCoordinator::Decline { attempt: sink(1), checkpoint, reason })
        } else {
            hears(&mut script, 2, ack(sink(1), checkpoint));
            check(&mut script, Input::ManifestWritten(checkpoint));
            persisted(&mut script)
        };
        let is_completed = |it: &Effect| matches!(it, Effect::Note(Event::CheckpointCompleted { checkpoint: of }) if *of == checkpoint);
        assert_eq!(effects.iter().any(is_completed), !fails, "{checkpoint}: {effects:?}");
        assert_eq!(sweeps(&effects), expected, "{checkpoint}");
        effects.retain(|it| matches!(it, Effect::DeleteCheckpoint(_)));
        for deleted in effects {
            let Effect::DeleteCheckpoint(deleted) = deleted else { continue };
            check(&mut script, Input::Deleted(deleted));
        }
    }
}

// Rules: H9, B4
#[test]
fn a_cancel_gives_up_what_is_pending_and_refuses_what_waits() {
    let mut script = pending_one(1);
    script.check(request(1, Request::Checkpoint), &[]);
    let mut effects = Vec::new();
    script.coordinator.handle(request(2, Request::Cancel), &mut effects);
    assert_eq!(aborted(&effects), [AbortReason::CoordinatorShutdown]);
    let refused = Answer::Refused(SkipReason::CoordinatorShutdown.to_string());
    assert!(effects.contains(&Effect::Answer { id: RequestId(1), answer: refused }));
}

// Rules: O7, G6
#[test]
fn a_fatal_failure_aborts_with_the_job_and_a_lost_worker_with_its_attempt() {
    let mut script = pending_one(1);
    hears(&mut script, 2, ack(sink(1), CheckpointId(1)));
    let failed =
        ToCoordinator::Failed { attempt: sink(1), cause: "bad input".to_string(), fatal: true };
    assert_eq!(aborted(&hears(&mut script, 2, failed)), [AbortReason::JobFailure]);

    let mut script = pending_one(1);
    let lost = Input::Disconnected { worker: WorkerId(2), session: SessionId(1) };
    let mut effects = Vec::new();
    script.coordinator.handle(lost, &mut effects);
    assert_eq!(aborted(&effects), [AbortReason::JobFailover]);
}

// Rules: C3
#[test]
fn an_end_gives_up_what_is_pending_when_no_checkpoint_is_taken_after_it() {
    let mut plan = two_workers();
    plan.checkpoint.is_taken_after_finish = false;
    let mut script = running_with(plan);
    script.check(Input::Timer(Timer::Trigger), &["arm Trigger", "persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    let ended = ToCoordinator::Ended(source(1));
    assert_eq!(aborted(&hears(&mut script, 1, ended)), [AbortReason::InputEndOfStream]);
}
