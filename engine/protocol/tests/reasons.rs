//! Every reason of Flink's `CheckpointFailureReason`: where it arises here, or why it cannot.
//!
//! The table names for each of the 24 a test that produces it; the last test holds the table against
//! the enums, so that neither grows alone.

use std::collections::BTreeSet;

use seawall_protocol::event::{AbortReason, SkipReason};

/// What becomes of a reason of Flink's here.
enum Here {
    /// A checkpoint that is wanted does not begin.
    Skips(SkipReason),
    /// A pending checkpoint is given up.
    Aborts(AbortReason),
    /// It cannot arise, and why.
    Never(&'static str),
}

use Here::{Aborts, Never, Skips};

/// Name, what becomes of it, and the test that produces it.
const REASONS: [(&str, Here, &str); 24] = [
    (
        "PERIODIC_SCHEDULER_SHUTDOWN",
        Skips(SkipReason::PeriodicSchedulerShutdown),
        "a_final_checkpoint_that_was_given_up_is_taken_again_and_only_one_at_a_time",
    ),
    (
        "TOO_MANY_CHECKPOINT_REQUESTS",
        Skips(SkipReason::TooManyRequests),
        "a_full_queue_drops_the_automatic_one_and_refuses_a_newcomer_when_only_persons_wait",
    ),
    (
        "MINIMUM_TIME_BETWEEN_CHECKPOINTS",
        Skips(SkipReason::MinimumTimeBetweenCheckpoints),
        "the_pause_holds_back_the_automatic_checkpoint_and_no_other",
    ),
    (
        "NOT_ALL_REQUIRED_TASKS_RUNNING",
        Skips(SkipReason::NotAllRequiredTasksRunning),
        "a_request_without_a_running_attempt_is_refused_and_so_is_one_that_outlives_it",
    ),
    (
        "IO_EXCEPTION",
        Never("before a checkpoint begins only its id is written, and that write is repeated"),
        "",
    ),
    ("BLOCKING_OUTPUT_EXIST", Never("every edge is pipelined"), ""),
    (
        "CHECKPOINT_ASYNC_EXCEPTION",
        Aborts(AbortReason::AsyncException),
        "each_decline_aborts_with_a_reason_of_its_own",
    ),
    (
        "CHECKPOINT_EXPIRED",
        Aborts(AbortReason::Expired),
        "a_manifest_that_appears_after_its_checkpoint_expired_is_deleted",
    ),
    (
        "CHECKPOINT_SUBSUMED",
        Aborts(AbortReason::Subsumed),
        "an_older_checkpoint_that_is_still_pending_is_subsumed",
    ),
    (
        "CHECKPOINT_DECLINED",
        Never("each decline has a more precise reason by now; an operator's own would be this one"),
        "",
    ),
    (
        "CHECKPOINT_DECLINED_TASK_NOT_READY",
        Aborts(AbortReason::DeclinedTaskNotReady),
        "each_decline_aborts_with_a_reason_of_its_own",
    ),
    (
        "CHECKPOINT_DECLINED_TASK_CLOSING",
        Never(
            "a subtask closes after the last checkpoint, or with its attempt (JOB_FAILOVER_REGION)",
        ),
        "",
    ),
    (
        "CHECKPOINT_DECLINED_SUBSUMED",
        Aborts(AbortReason::DeclinedSubsumed),
        "each_decline_aborts_with_a_reason_of_its_own",
    ),
    (
        "CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER",
        Never("a cancel marker follows a decline or an abort that the coordinator knows already"),
        "",
    ),
    (
        "CHECKPOINT_DECLINED_INPUT_END_OF_STREAM",
        Aborts(AbortReason::InputEndOfStream),
        "an_end_gives_up_what_is_pending_when_no_checkpoint_is_taken_after_it",
    ),
    (
        "CHECKPOINT_COORDINATOR_SHUTDOWN",
        Aborts(AbortReason::CoordinatorShutdown),
        "a_cancel_gives_up_what_is_pending_and_refuses_what_waits",
    ),
    (
        "CHECKPOINT_COORDINATOR_SUSPEND",
        Skips(SkipReason::CoordinatorSuspend),
        "a_manual_checkpoint_that_is_given_up_or_never_begins_is_answered_with_the_reason",
    ),
    (
        "JOB_FAILURE",
        Aborts(AbortReason::JobFailure),
        "a_fatal_failure_aborts_with_the_job_and_a_lost_worker_with_its_attempt",
    ),
    (
        "JOB_FAILOVER_REGION",
        Aborts(AbortReason::JobFailover),
        "a_fatal_failure_aborts_with_the_job_and_a_lost_worker_with_its_attempt",
    ),
    (
        "TASK_FAILURE",
        Aborts(AbortReason::TaskFailure),
        "a_manual_checkpoint_that_is_given_up_or_never_begins_is_answered_with_the_reason",
    ),
    (
        "TASK_CHECKPOINT_FAILURE",
        Never("a synchronous part that fails fails its subtask (F6): TASK_FAILURE"),
        "",
    ),
    (
        "UNKNOWN_TASK_CHECKPOINT_NOTIFICATION_FAILURE",
        Never("a decline names its reason out of a closed list"),
        "",
    ),
    (
        "FINALIZE_CHECKPOINT_FAILURE",
        Aborts(AbortReason::FinalizeFailure),
        "a_checkpoint_whose_record_write_failed_is_aborted_and_certainly_undone_before_anything_else",
    ),
    (
        "TRIGGER_CHECKPOINT_FAILURE",
        Never("what triggers cannot fail: it reserves an id, and a failed write is repeated"),
        "",
    ),
];

/// The files with the tests that the table names.
const TESTS: [&str; 5] = [
    include_str!("coordinator/checkpoints.rs"),
    include_str!("coordinator/aborts.rs"),
    include_str!("coordinator/requests.rs"),
    include_str!("trigger.rs"),
    include_str!("pending.rs"),
];

// Rules: G6
#[test]
fn each_of_flinks_reasons_arises_in_a_test_or_has_a_reason_not_to() {
    for (name, here, test) in &REASONS {
        let ours = match here {
            Skips(reason) => reason.name(),
            Aborts(reason) => reason.name(),
            Never(why) => {
                assert!(!why.is_empty() && test.is_empty(), "{name}");
                continue;
            }
        };
        assert_eq!(ours, *name);
        let claim = format!("fn {test}()");
        assert!(TESTS.iter().any(|it| it.contains(&claim)), "{name}: no test {test}");
    }
}

// Rules: G6
#[test]
fn every_reason_to_abort_is_one_of_flinks() {
    let theirs: BTreeSet<_> = REASONS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(theirs.len(), REASONS.len());
    for reason in AbortReason::ALL {
        assert!(theirs.contains(reason.name()), "{reason}");
    }
    // What only waits has names of our own, of which Flink says nothing; and union state, which Flink
    // finds out about when the checkpoint is complete.
    let own = SkipReason::ALL.iter().filter(|it| !theirs.contains(it.name()));
    let waits = [
        SkipReason::TooManyPending,
        SkipReason::TooManyCleaning,
        SkipReason::PartlyFinishedUnionState,
        SkipReason::TriggerInProgress,
    ];
    assert!(own.eq(&waits));
}
