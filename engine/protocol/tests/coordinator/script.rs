//! Transcripts: an input, and the effects it must have, one word each.

use seawall_protocol::coordinator::{
    Coordinator, Effect, Input, JobPlan, Request, RequestId, SubtaskPlan, Timer, WriteId,
};
use seawall_protocol::event::{AbortReason, Event};
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{Attempt, AttemptId, CheckpointId, JobId, SessionId, SubtaskId, WorkerId};

use crate::{ack, plan, recovered};

/// One word for each effect.
pub(crate) fn words(effects: &[Effect]) -> Vec<String> {
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

pub(crate) struct Script {
    pub(crate) coordinator: Coordinator,
    pub(crate) writes: u64,
}

impl Script {
    pub(crate) fn new(plan: JobPlan) -> Self {
        Self { coordinator: Coordinator::new(plan), writes: 0 }
    }

    /// Makes every record write durable that was asked for, and all that follow.
    pub(crate) fn persist_all(&mut self) -> Vec<Effect> {
        let mut all = Vec::new();
        loop {
            let mut effects = Vec::new();
            self.coordinator.handle(Input::RecordPersisted(WriteId(self.writes)), &mut effects);
            if let [Effect::Note(Event::StaleInput { .. })] = effects.as_slice() {
                return all;
            }
            self.writes += 1;
            all.extend(effects);
        }
    }

    #[track_caller]
    pub(crate) fn check(&mut self, input: Input, expected: &[&str]) {
        let mut effects = Vec::new();
        self.coordinator.handle(input, &mut effects);
        assert_eq!(words(&effects), expected);
    }

    #[track_caller]
    pub(crate) fn persisted(&mut self, expected: &[&str]) {
        let write = WriteId(self.writes);
        self.writes += 1;
        self.check(Input::RecordPersisted(write), expected);
    }

    #[track_caller]
    pub(crate) fn says(&mut self, worker: u32, message: ToCoordinator, expected: &[&str]) {
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
pub(crate) fn two_workers() -> JobPlan {
    let source = SubtaskPlan::source(SubtaskId::new(0, 0));
    let upstream = vec![source.subtask];
    let sink = SubtaskPlan { upstream, ..SubtaskPlan::source(SubtaskId::new(1, 1)) };
    JobPlan { subtasks: vec![source, sink], ..plan() }
}

pub(crate) fn source(attempt: u32) -> AttemptId {
    AttemptId { subtask: SubtaskId::new(0, 0), attempt: Attempt(attempt) }
}

pub(crate) fn sink(attempt: u32) -> AttemptId {
    AttemptId { subtask: SubtaskId::new(1, 1), attempt: Attempt(attempt) }
}

pub(crate) fn register(worker: u32) -> ToCoordinator {
    ToCoordinator::Register { worker: WorkerId(worker), session: SessionId(1), slots: 1 }
}

pub(crate) fn request(id: u64, request: Request) -> Input {
    Input::Requested { id: RequestId(id), request }
}

pub(crate) fn running() -> Script {
    running_with(two_workers())
}

pub(crate) fn running_with(plan: JobPlan) -> Script {
    let mut script = deployed_with(plan);
    script.says(
        1,
        ToCoordinator::Ready(source(1)),
        &["worker-1 Start", "worker-2 Start", "attempt-started", "arm Trigger"],
    );
    script
}

/// Every subtask but the source is ready.
pub(crate) fn deployed_with(plan: JobPlan) -> Script {
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

pub(crate) fn completed_one() -> Script {
    completed_one_with(two_workers())
}

pub(crate) fn completed_one_with(plan: JobPlan) -> Script {
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

/// A running job with checkpoint 1 pending and no ack, that tolerates failures.
pub(crate) fn pending_one(max_concurrent: u32) -> Script {
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

pub(crate) fn hears(script: &mut Script, worker: u32, message: ToCoordinator) -> Vec<Effect> {
    let (mut effects, session) = (Vec::new(), SessionId(1));
    let input = Input::Message { worker: WorkerId(worker), session, message };
    script.coordinator.handle(input, &mut effects);
    effects
}

/// The reasons with which checkpoints were given up.
pub(crate) fn aborted(effects: &[Effect]) -> Vec<AbortReason> {
    let reason = |effect: &Effect| {
        if let Effect::Note(Event::CheckpointAborted { reason, .. }) = effect {
            Some(*reason)
        } else {
            None
        }
    };
    effects.iter().filter_map(reason).collect()
}
