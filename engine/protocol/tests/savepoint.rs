//! Savepoints and stops: what the coordinator and a subtask decide, step by step.

use seawall_protocol::config::{Alignment, CheckpointConfig, HeartbeatConfig, RestartStrategy};
use seawall_protocol::coordinator::{
    Answer, Coordinator, Effect, Input, JobPlan, Outcome, Request, RequestId, SubtaskPlan, Timer,
};
use seawall_protocol::event::AbortReason;
use seawall_protocol::message::{
    CheckpointKind, DeclineReason, Deployment, Order, ToCoordinator, ToWorker,
};
use seawall_protocol::record::{JobResult, SnapshotFigures, SnapshotHandle, StoreRecord};
use seawall_protocol::{
    Attempt, AttemptId, CheckpointId, JobId, SessionId, SubtaskId, WorkerId, subtask,
};

const WORKER: WorkerId = WorkerId(1);
const SESSION: SessionId = SessionId(9);
const REQUEST: RequestId = RequestId(7);

/// A source and a sink on one worker, over a disk that always works.
struct World {
    coordinator: Coordinator,
    record: StoreRecord,
    attempt: Attempt,
    /// What was ordered, answered, exported and deleted since the last look, as words.
    said: Vec<String>,
    outcome: Option<Outcome>,
    exports: Vec<CheckpointId>,
    is_stopping: bool,
}

impl World {
    fn running() -> Self {
        let mut world = Self::leading(StoreRecord::fresh(JobId(1)));
        world.start();
        world
    }

    fn leading(record: StoreRecord) -> Self {
        Self::with(record, true)
    }

    fn with(record: StoreRecord, is_taken_after_finish: bool) -> Self {
        let subtask = |operator, upstream| SubtaskPlan {
            subtask: SubtaskId::new(operator, 0),
            upstream,
            has_union_state: false,
            acts_at_end: false,
        };
        let coordinator = Coordinator::new(JobPlan {
            subtasks: vec![subtask(0, vec![]), subtask(1, vec![SubtaskId::new(0, 0)])],
            edges: Vec::new(),
            parallelism_max: 128,
            checkpoint: CheckpointConfig {
                interval: None,
                alignment: Alignment::Unaligned,
                is_taken_after_finish,
                ..CheckpointConfig::default()
            },
            restart: RestartStrategy::default(),
            heartbeat: HeartbeatConfig::default(),
        });
        let mut world = Self {
            coordinator,
            record: record.clone(),
            attempt: Attempt::default(),
            said: Vec::new(),
            outcome: None,
            exports: Vec::new(),
            is_stopping: false,
        };
        world.feed(Input::Recovered { record, shared: Vec::new() });
        world.message(ToCoordinator::Register { worker: WORKER, session: SESSION, slots: 1 });
        world
    }

    fn start(&mut self) {
        for by in self.subtasks() {
            self.message(ToCoordinator::Ready(by));
        }
        self.said.clear();
    }

    fn subtasks(&self) -> [AttemptId; 2] {
        let attempt = self.attempt;
        [0, 1].map(|operator| AttemptId { subtask: SubtaskId::new(operator, 0), attempt })
    }

    fn message(&mut self, message: ToCoordinator) {
        self.feed(Input::Message { worker: WORKER, session: SESSION, message });
    }

    fn feed(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.coordinator.handle(input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Persist { write, record } => {
                    self.record = record;
                    self.feed(Input::RecordPersisted(write));
                }
                Effect::WriteManifest { checkpoint, .. } => {
                    self.feed(Input::ManifestWritten(checkpoint));
                }
                Effect::ExportSavepoint(checkpoint) => {
                    self.said.push(format!("export {checkpoint}"));
                    self.exports.push(checkpoint);
                }
                Effect::DeleteCheckpoint(checkpoint) => {
                    self.said.push(format!("delete {checkpoint}"));
                    self.feed(Input::Deleted(checkpoint));
                }
                Effect::Answer { id, answer } => {
                    assert_eq!(id, REQUEST);
                    self.said.push(format!("{answer:?}"));
                }
                Effect::Send { message: ToWorker { order, .. }, .. } => self.on_order(&order),
                Effect::Stop(outcome) => self.outcome = Some(outcome),
                Effect::Arm(..)
                | Effect::DeleteShared(_)
                | Effect::SweepShared { .. }
                | Effect::Disarm(_)
                | Effect::Disconnect { .. }
                | Effect::Note(_) => {}
            }
        }
    }

    fn on_order(&mut self, order: &Order) {
        match order {
            Order::Deploy(Deployment { attempt, restore, is_stopping, .. }) => {
                self.attempt = *attempt;
                self.is_stopping = *is_stopping;
                self.said.push(format!("deploy {attempt} from {restore:?}"));
            }
            Order::Trigger { barrier, .. } => {
                let kind = barrier.kind;
                if kind != CheckpointKind::Checkpoint {
                    assert_eq!(
                        barrier.alignment,
                        Alignment::Aligned,
                        "a savepoint holds nothing in flight"
                    );
                }
                self.said.push(format!("trigger {} {kind:?}", barrier.checkpoint));
            }
            Order::Completed { checkpoint, is_final, .. } => {
                self.said.push(format!("completed {checkpoint} final={is_final}"));
            }
            Order::Aborted { checkpoint, .. } => self.said.push(format!("aborted {checkpoint}")),
            Order::Cancel(attempt) => self.said.push(format!("cancel {attempt}")),
            Order::Registered
            | Order::Heartbeat
            | Order::Start(_)
            | Order::ReportProgress { .. } => {}
        }
    }

    fn ask(&mut self, request: Request) {
        self.feed(Input::Requested { id: REQUEST, request });
    }

    fn ack_all(&mut self, checkpoint: u64) {
        for by in self.subtasks() {
            let snapshot = SnapshotHandle {
                subtask: by.subtask,
                attempt: by.attempt,
                bytes: 1,
                checksum: 1,
                figures: SnapshotFigures::default(),
                shared: Vec::new(),
            };
            let checkpoint = CheckpointId(checkpoint);
            self.message(ToCoordinator::Ack { attempt: by, checkpoint, snapshot });
        }
    }

    fn decline(&mut self, checkpoint: u64, reason: DeclineReason) {
        let [_, attempt] = self.subtasks();
        let checkpoint = CheckpointId(checkpoint);
        self.message(ToCoordinator::Decline { attempt, checkpoint, reason });
    }

    fn finish_all(&mut self) {
        for by in self.subtasks() {
            self.message(ToCoordinator::Finished(by));
        }
    }

    fn fail(&mut self) {
        let [_, attempt] = self.subtasks();
        self.message(ToCoordinator::Failed { attempt, cause: "broken".into(), fatal: false });
    }

    #[track_caller]
    fn heard(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.said), expected);
    }
}

const STOP: Request = Request::StopWithSavepoint { drain: false };
const DRAIN: Request = Request::StopWithSavepoint { drain: true };

// Rules: H7, K7
#[test]
fn a_savepoint_is_handed_out_only_when_a_later_checkpoint_has_completed() {
    let mut world = World::running();
    world.ask(Request::Savepoint);
    world.heard(&["trigger 1 Savepoint"]);
    world.ack_all(1);
    world.heard(&["trigger 2 Checkpoint"]);
    world.ack_all(2);
    world.heard(&["completed 2 final=false", "export 1"]);
    world.feed(Input::SavepointExported(CheckpointId(1)));
    world.heard(&["Completed(CheckpointId(1))", "delete 1"]);
    assert_eq!(world.record.retained, [CheckpointId(2)], "it is not stored for recovery");
}

// Rules: H7
#[test]
fn a_savepoint_that_no_later_checkpoint_covers_ends_with_its_attempt() {
    let mut world = World::running();
    world.ask(Request::Savepoint);
    world.ack_all(1);
    world.said.clear();
    world.fail();
    let heard = std::mem::take(&mut world.said);
    assert!(heard.contains(&"Aborted(CheckpointId(1), JobFailover)".to_string()), "{heard:?}");
    assert!(heard.contains(&"delete 1".to_string()), "{heard:?}");
    assert!(world.exports.is_empty());
}

// Rules: G7
#[test]
fn a_savepoint_that_fails_does_not_count_against_its_job() {
    let mut world = World::running();
    for checkpoint in 1..=5 {
        world.ask(Request::Savepoint);
        world.said.clear();
        world.decline(checkpoint, DeclineReason::AsyncException);
        let aborted = format!("Aborted(CheckpointId({checkpoint}), AsyncException)");
        let (told, deleted) = (format!("aborted {checkpoint}"), format!("delete {checkpoint}"));
        world.heard(&[&aborted, &told, &deleted]);
    }
}

// Rules: N7, K2
#[test]
fn a_stopped_job_ends_when_everything_is_committed_and_the_savepoint_is_where_it_belongs() {
    let mut world = World::running();
    world.ask(STOP);
    world.heard(&["trigger 1 StopWithSavepoint { drain: false }"]);
    world.ack_all(1);
    world.heard(&["completed 1 final=true"]);
    assert_eq!(world.record.stopping, Some(CheckpointId(1)));
    assert_eq!(world.record.retained, [CheckpointId(1)], "it is what a crash goes back to");
    world.finish_all();
    world.heard(&["export 1"]);
    assert_eq!(world.record.result, None);
    world.feed(Input::SavepointExported(CheckpointId(1)));
    world.heard(&["Completed(CheckpointId(1))"]);
    let stopped = JobResult::Stopped(CheckpointId(1));
    assert_eq!(world.record.result, Some(stopped));
    assert_eq!(world.outcome, Some(Outcome::Result(stopped)));
}

// Rules: K14, N7
#[test]
fn whoever_leads_next_goes_on_stopping_and_never_falls_back_behind_the_savepoint() {
    let mut world = World::running();
    world.ask(STOP);
    world.ack_all(1);
    let mut next = World::leading(world.record.clone());
    next.heard(&["deploy 2 from Some(CheckpointId(1))"]);
    assert!(next.is_stopping);
    next.start();
    next.fail();
    next.said.clear();
    let [first, _] = next.subtasks();
    next.message(ToCoordinator::Cancelled(first));
    next.feed(Input::Timer(Timer::Restart(Attempt(3))));
    next.heard(&["deploy 3 from Some(CheckpointId(1))"]);
    assert!(next.is_stopping);
    next.start();
    next.finish_all();
    next.feed(Input::SavepointExported(CheckpointId(1)));
    assert_eq!(next.outcome, Some(Outcome::Result(JobResult::Stopped(CheckpointId(1)))));
}

// Rules: N7, G7, T16
#[test]
fn a_stop_that_expires_lets_the_job_go_on() {
    let mut world = World::running();
    world.ask(STOP);
    world.said.clear();
    world.feed(Input::Timer(Timer::CheckpointExpires(CheckpointId(1))));
    world.heard(&["Aborted(CheckpointId(1), Expired)", "aborted 1", "delete 1"]);
    world.ask(Request::Checkpoint);
    world.heard(&["trigger 2 Checkpoint"]);
    world.ack_all(2);
    world.heard(&["Completed(CheckpointId(2))", "completed 2 final=false"]);
}

// Rules: N7, G7
#[test]
fn a_stop_that_a_subtask_could_not_write_fails_the_attempt() {
    let mut world = World::running();
    world.ask(STOP);
    world.said.clear();
    world.decline(1, DeclineReason::AsyncException);
    let heard = std::mem::take(&mut world.said);
    assert!(heard.contains(&"cancel 1".to_string()), "{heard:?}");
    assert_eq!(world.record.stopping, None);
}

// Rules: N7
#[test]
fn a_drain_that_expires_fails_the_attempt_because_the_end_was_emitted() {
    let mut world = World::running();
    world.ask(DRAIN);
    world.said.clear();
    world.feed(Input::Timer(Timer::CheckpointExpires(CheckpointId(1))));
    let heard = std::mem::take(&mut world.said);
    assert!(heard.contains(&"cancel 1".to_string()), "{heard:?}");
    let answer = Answer::Aborted(CheckpointId(1), AbortReason::Expired);
    assert!(heard.contains(&format!("{answer:?}")), "{heard:?}");
}

// Rules: N7
#[test]
fn a_drain_is_not_given_up_because_the_input_ended() {
    let mut world = World::with(StoreRecord::fresh(JobId(1)), false);
    world.start();
    world.ask(DRAIN);
    world.said.clear();
    for by in world.subtasks() {
        world.message(ToCoordinator::Ended(by));
    }
    world.ack_all(1);
    world.heard(&["completed 1 final=true"]);
    world.finish_all();
    world.feed(Input::SavepointExported(CheckpointId(1)));
    assert_eq!(world.outcome, Some(Outcome::Result(JobResult::Stopped(CheckpointId(1)))));
}

// Rules: N7, T16
#[test]
fn whoever_asks_for_the_same_stop_again_is_answered_when_the_job_stopped() {
    let mut world = World::running();
    world.ask(STOP);
    world.ask(STOP);
    world.heard(&["trigger 1 StopWithSavepoint { drain: false }"]);
    world.ack_all(1);
    world.ask(STOP);
    world.finish_all();
    world.heard(&["completed 1 final=true", "export 1"]);
    world.feed(Input::SavepointExported(CheckpointId(1)));
    world.heard(&["Completed(CheckpointId(1))"; 3]);
}

// Rules: N7, T16
#[test]
fn whoever_joined_a_stop_that_never_began_hears_so() {
    let mut world = World::running();
    world.ask(Request::Checkpoint);
    world.said.clear();
    world.ask(STOP); // It waits: one checkpoint at a time.
    world.ask(STOP);
    world.heard(&[]);
    world.fail();
    let heard = std::mem::take(&mut world.said);
    assert_eq!(heard.iter().filter(|it| it.starts_with("Refused")).count(), 2, "{heard:?}");
}

// Rules: N7
#[test]
fn a_stop_that_is_given_up_is_given_up_for_everyone_who_asked_for_it() {
    let mut world = World::running();
    world.ask(STOP);
    world.ask(STOP);
    world.said.clear();
    world.feed(Input::Timer(Timer::CheckpointExpires(CheckpointId(1))));
    let aborted = "Aborted(CheckpointId(1), Expired)";
    world.heard(&[aborted, "aborted 1", "delete 1", aborted]);
}

// Rules: N7, K14
#[test]
fn a_job_that_stops_is_not_cancelled_any_more_and_its_transactions_are_committed() {
    let mut world = World::running();
    world.ask(STOP);
    world.ack_all(1);
    world.said.clear();
    world.ask(Request::Cancel);
    world.fail();
    let [first, _] = world.subtasks();
    world.message(ToCoordinator::Cancelled(first));
    world.heard(&["cancel 1"]);
    world.feed(Input::Timer(Timer::Restart(Attempt(2))));
    world.heard(&["deploy 2 from Some(CheckpointId(1))"]);
    assert!(world.is_stopping);
    world.start();
    world.finish_all();
    world.said.clear();
    world.feed(Input::SavepointExported(CheckpointId(1)));
    world.heard(&["Completed(CheckpointId(1))", "Ended(Stopped(CheckpointId(1)))"]);
}

// Rules: N7
#[test]
fn a_cancel_overtakes_a_stop_that_no_record_names() {
    let mut world = World::running();
    world.ask(STOP);
    world.said.clear();
    world.ask(Request::Cancel);
    world.heard(&["Aborted(CheckpointId(1), CoordinatorShutdown)", "delete 1", "cancel 1"]);
    for by in world.subtasks() {
        world.message(ToCoordinator::Cancelled(by));
    }
    assert_eq!(world.outcome, Some(Outcome::Result(JobResult::Cancelled)));
}

// Rules: H7, K7, N4
#[test]
fn a_savepoint_waits_for_the_final_checkpoint_where_no_other_may_begin() {
    let mut world = World::with(StoreRecord::fresh(JobId(1)), false);
    world.start();
    world.ask(Request::Savepoint);
    world.ack_all(1);
    world.heard(&["trigger 1 Savepoint", "trigger 2 Checkpoint"]);
    let [source, sink] = world.subtasks();
    world.message(ToCoordinator::Ended(source));
    world.heard(&["aborted 2", "delete 2"]);
    world.message(ToCoordinator::Ended(sink));
    world.heard(&["trigger 3 Checkpoint"]);
    world.ack_all(3);
    world.heard(&["completed 3 final=true", "export 1"]);
    world.finish_all();
    assert_eq!(world.record.result, None, "the job ends behind its savepoints");
    world.feed(Input::SavepointExported(CheckpointId(1)));
    world.heard(&["Completed(CheckpointId(1))", "delete 1"]);
    assert_eq!(world.outcome, Some(Outcome::Result(JobResult::Finished)));
}

// Rules: N7, N3
#[test]
fn a_stop_that_comes_after_the_end_leaves_a_finished_job() {
    for request in [STOP, DRAIN] {
        let mut world = World::running();
        for by in world.subtasks() {
            world.message(ToCoordinator::Ended(by));
        }
        world.heard(&["trigger 1 Checkpoint"]);
        world.ask(request);
        world.ack_all(1);
        world.finish_all();
        let heard = std::mem::take(&mut world.said);
        let answered = |it: &&String| it.starts_with("Refused") || it.starts_with("Aborted");
        assert_eq!(heard.iter().filter(answered).count(), 1, "{heard:?}");
        assert_eq!(world.outcome, Some(Outcome::Result(JobResult::Finished)));
    }
}

// Rules: N7, B2
#[test]
fn nothing_begins_behind_a_stop() {
    let mut world = World::running();
    world.ask(STOP);
    world.said.clear();
    world.feed(Input::Requested { id: REQUEST, request: Request::Checkpoint });
    world.heard(&[]);
    world.ack_all(1);
    let heard = std::mem::take(&mut world.said);
    assert!(heard.iter().any(|it| it.starts_with("Refused")), "{heard:?}");
}

// Subtasks.

fn a_subtask(channels: u32, is_stopping: bool, transactions: &[u64]) -> subtask::Subtask {
    let restored = is_stopping.then_some(CheckpointId(4));
    subtask::Subtask::new(subtask::Plan {
        attempt: AttemptId { subtask: SubtaskId::new(0, 0), attempt: Attempt(1) },
        channels,
        pointwise: std::collections::BTreeSet::new(),
        has_sink: true,
        mode: seawall_protocol::config::CheckpointMode::ExactlyOnce,
        restored,
        restored_transactions: transactions.iter().copied().map(CheckpointId).collect(),
        has_callbacks: false,
        is_restored_at_end: false,
        finishes_together: false,
        is_stopping,
    })
}

/// One word for each effect that matters here.
fn words(subtask: &mut subtask::Subtask, input: subtask::Input) -> Vec<String> {
    let mut effects = Vec::new();
    subtask.handle(input, &mut effects);
    let word = |effect: &subtask::Effect| {
        let text = format!("{effect:?}");
        text.split(['(', ' ']).next().unwrap_or_default().to_owned()
    };
    effects.iter().map(word).filter(|it| it != "Note").collect()
}

fn barrier(checkpoint: u64, drain: bool) -> seawall_protocol::message::Barrier {
    let kind = CheckpointKind::StopWithSavepoint { drain };
    let checkpoint = CheckpointId(checkpoint);
    seawall_protocol::message::Barrier { checkpoint, kind, alignment: Alignment::Aligned }
}

// Rules: N7
#[test]
fn a_suspended_source_reads_nothing_behind_the_barrier_until_the_stop_is_given_up() {
    let mut source = a_subtask(0, false, &[]);
    words(&mut source, subtask::Input::Start);
    let said = words(&mut source, subtask::Input::Trigger(barrier(1, false)));
    assert_eq!(said, ["ForwardBarrier", "PreCommit", "Snapshot", "Pause"]);
    assert_eq!(words(&mut source, subtask::Input::Aborted(CheckpointId(1))), ["Resume"]);
    words(&mut source, subtask::Input::SnapshotDurable(CheckpointId(1)));
    let said = words(&mut source, subtask::Input::Trigger(barrier(2, false)));
    assert_eq!(said.last().unwrap(), "Pause");
    words(&mut source, subtask::Input::SnapshotDurable(CheckpointId(2)));
    let completed = subtask::Input::Completed { checkpoint: CheckpointId(2), is_final: true };
    assert_eq!(words(&mut source, completed), ["Confirm", "Commit"]);
    words(&mut source, subtask::Input::Committed(CheckpointId(1)));
    let said = words(&mut source, subtask::Input::Committed(CheckpointId(2)));
    assert_eq!(said, ["Finish"], "it ends when everything is committed, and not before");
}

// Rules: N7
#[test]
fn a_drained_source_ends_its_input_in_front_of_the_barrier() {
    let mut source = a_subtask(0, false, &[]);
    words(&mut source, subtask::Input::Start);
    let said = words(&mut source, subtask::Input::Trigger(barrier(1, true)));
    assert_eq!(said[..3], ["EndInput", "ReportEnded", "ForwardBarrier"]);
}

// Rules: K4, N7
#[test]
fn a_subtask_of_a_stopping_job_commits_what_it_restores_and_reads_nothing() {
    let mut sink = a_subtask(1, true, &[3, 4]);
    assert_eq!(words(&mut sink, subtask::Input::Start), ["Commit"]);
    assert_eq!(words(&mut sink, subtask::Input::Committed(CheckpointId(3))), ["Commit"]);
    let said = words(&mut sink, subtask::Input::Committed(CheckpointId(4)));
    assert_eq!(said, ["AbortLingering", "Finish"]);
    let mut idle = a_subtask(1, true, &[]);
    assert_eq!(words(&mut idle, subtask::Input::Start), ["AbortLingering", "Finish"]);
}
