//! What a person asks for: a checkpoint, or the end of the job.

use seawall_protocol::config::RetentionOnCancel;
use seawall_protocol::coordinator::{Answer, Effect, Input, Request, RequestId};
use seawall_protocol::event::{AbortReason, SkipReason};
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::{JobResult, StoreRecord};
use seawall_protocol::{CheckpointId, JobId};

use crate::script::{
    Script, aborted, completed_one, completed_one_with, pending_one, register, request, running,
    running_with, sink, source, two_workers,
};
use crate::{ack, recovered};

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
