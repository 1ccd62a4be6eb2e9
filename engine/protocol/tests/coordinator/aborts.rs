//! Why checkpoints are given up, and what is left of them.

use seawall_protocol::coordinator::{Effect, Input, Timer, WriteId};
use seawall_protocol::event::{AbortReason, Event};
use seawall_protocol::message::{DeclineReason, ToCoordinator};
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{CheckpointId, JobId, SessionId, WorkerId};

use crate::script::{
    Script, aborted, hears, pending_one, register, running_with, sink, source, two_workers,
};
use crate::{ack, recovered};

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
