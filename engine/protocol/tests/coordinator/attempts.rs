//! One attempt after the other, until the job has a result.

use seawall_protocol::coordinator::{Effect, Input, Timer, WriteId};
use seawall_protocol::event::Event;
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::{JobResult, StoreRecord};
use seawall_protocol::{Attempt, CheckpointId, JobId, WorkerId};

use crate::script::{Script, completed_one, register, running, sink, source, two_workers};
use crate::{ack, recovered};

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
