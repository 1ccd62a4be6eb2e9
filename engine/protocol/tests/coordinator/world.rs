//! A small world of workers, a record register and a store of files around one coordinator.

use std::collections::{BTreeMap, BTreeSet};

use seawall_protocol::coordinator::{Coordinator, Effect, Input, JobPlan, Outcome, Timer, WriteId};
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{
    Attempt, AttemptId, CheckpointId, FencingToken, JobId, SessionId, SubtaskId, WorkerId,
};

use crate::recovered;

const WORKERS: [WorkerId; 3] = [WorkerId(1), WorkerId(2), WorkerId(3)];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mini {
    Restoring,
    Ready,
    Running,
    Ended,
    Finished,
}

#[derive(Default, Clone, Debug)]
pub(crate) struct MiniWorker {
    pub(crate) session: Option<SessionId>,
    pub(crate) subtasks: BTreeMap<AttemptId, Mini>,
    pub(crate) cancelled: BTreeSet<Attempt>,
    pub(crate) final_completed: BTreeSet<Attempt>,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
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

pub(crate) struct World {
    pub(crate) plan: JobPlan,
    pub(crate) coordinator: Coordinator,
    /// What a reader of the store would see.
    pub(crate) register: StoreRecord,
    pub(crate) outstanding: Option<(WriteId, StoreRecord)>,
    /// The last write of this leader failed and was not resolved.
    pub(crate) in_doubt: bool,
    pub(crate) manifests: BTreeSet<CheckpointId>,
    /// Deletions that were not answered.
    pub(crate) deleting: BTreeSet<CheckpointId>,
    pub(crate) timers: BTreeSet<Timer>,
    pub(crate) workers: BTreeMap<WorkerId, MiniWorker>,
    pub(crate) triggered: BTreeMap<CheckpointId, (Attempt, BTreeSet<SubtaskId>)>,
    /// Acks that may still arrive for checkpoints that were given up.
    pub(crate) late: BTreeSet<(AttemptId, CheckpointId)>,
    /// Checkpoints of which a file exists.
    pub(crate) files: BTreeSet<CheckpointId>,
    pub(crate) next_session: u64,
    pub(crate) outcome: Option<Outcome>,
    // For the checks.
    pub(crate) last_triggered: CheckpointId,
    pub(crate) last_attempt: Attempt,
    pub(crate) last_token: FencingToken,
    /// Reported as aborted by the present leader.
    pub(crate) aborted: BTreeSet<CheckpointId>,
    pub(crate) completed: BTreeSet<CheckpointId>,
    pub(crate) deleted: BTreeSet<CheckpointId>,
    pub(crate) notes: Vec<&'static str>,
}

impl World {
    pub(crate) fn new(plan: JobPlan) -> Self {
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

    pub(crate) fn input(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.coordinator.handle(input, &mut effects);
        for effect in &effects {
            self.perform(effect);
        }
        effects
    }

    pub(crate) fn perform(&mut self, effect: &Effect) {
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

    pub(crate) fn act(&mut self, action: Action) {
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
}
