//! When a checkpoint begins, and what becomes of it in the store.

use std::time::Duration;

use seawall_protocol::coordinator::{Input, Request, Timer, WriteId};
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{Attempt, CheckpointId, JobId};

use crate::script::{
    Script, deployed_with, register, request, running, running_with, sink, source, two_workers,
};
use crate::{ack, recovered};

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
