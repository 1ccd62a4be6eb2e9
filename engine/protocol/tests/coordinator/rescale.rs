//! A running job is given another parallelism (M7).

use seawall_protocol::coordinator::{
    Answer, Effect, Input, JobPlan, Request, SubtaskPlan, Timer, WriteId,
};
use seawall_protocol::event::AbortReason;
use seawall_protocol::graph::{Edge, Pattern};
use seawall_protocol::message::{Order, ToCoordinator};
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{Attempt, AttemptId, CheckpointId, JobId, OperatorId, SubtaskId};

use crate::script::{Script, aborted, hears, register, request};
use crate::{ack, plan, recovered};

const RESCALE: Request = Request::Rescale { parallelism: 2 };

/// One source and one operator that acts at its end, which run on worker 1, of two workers with a slot each.
fn one_subtask_each() -> JobPlan {
    let (from, to) = (OperatorId(0), OperatorId(1));
    let source = SubtaskPlan::source(SubtaskId::new(0, 0));
    let operator = SubtaskPlan {
        upstream: vec![source.subtask],
        acts_at_end: true,
        ..SubtaskPlan::source(SubtaskId::new(1, 0))
    };
    let edges = vec![Edge { from, to, pattern: Pattern::AllToAll }];
    JobPlan { subtasks: vec![source, operator], edges, ..plan() }
}

fn of(operator: u32, attempt: u32) -> AttemptId {
    AttemptId { subtask: SubtaskId::new(operator, 0), attempt: Attempt(attempt) }
}

fn running() -> Script {
    let mut script = Script::new(one_subtask_each());
    script.check(recovered(StoreRecord::fresh(JobId(1))), &["persist"]);
    for worker in [1, 2] {
        hears(&mut script, worker, register(worker));
    }
    script.persist_all();
    for operator in [0, 1] {
        hears(&mut script, 1, ToCoordinator::Ready(of(operator, 1)));
    }
    assert!(script.coordinator.is_running());
    script
}

/// Checkpoint 1 is the one to be divided at, and nobody acked.
fn rescaling() -> Script {
    let mut script = running();
    script.check(request(7, RESCALE), &["persist"]);
    script.persisted(&[
        "arm CheckpointExpires(CheckpointId(1))",
        "worker-1 Trigger",
        "checkpoint-triggered",
    ]);
    script
}

/// Its manifest is durable and the record is being written.
fn publishing() -> Script {
    let mut script = rescaling();
    hears(&mut script, 1, ack(of(0, 1), CheckpointId(1)));
    hears(&mut script, 1, ack(of(1, 1), CheckpointId(1)));
    script.check(Input::ManifestWritten(CheckpointId(1)), &["manifest-written", "persist"]);
    script
}

// Rules: M7, O6, O9
#[test]
fn the_record_names_checkpoint_and_parallelism_at_once_and_the_next_attempt_has_it_without_a_delay()
{
    let mut script = publishing();
    assert_eq!(script.coordinator.durable().parallelism, None);
    script.persisted(&[
        "disarm CheckpointExpires(CheckpointId(1))",
        "checkpoint-completed",
        "worker-1 Completed",
        "job-rescaled",
        "disarm Trigger",
        "worker-1 Cancel",
        "arm CancelExpires(Attempt(1))",
    ]);
    let durable = script.coordinator.durable();
    assert_eq!(
        (durable.parallelism, durable.retained.as_slice()),
        (Some(2), &[CheckpointId(1)][..])
    );
    script.says(1, ToCoordinator::Cancelled(of(0, 1)), &[]);
    script.says(
        1,
        ToCoordinator::Cancelled(of(1, 1)),
        &["disarm CancelExpires(Attempt(1))", "persist"],
    );
    let mut deployed = 0;
    for effect in script.persist_all() {
        if let Effect::Send { message, .. } = effect
            && let Order::Deploy(deployment) = message.order
        {
            assert_eq!((deployment.parallelism, deployment.restore), (2, Some(CheckpointId(1))));
            assert_eq!(deployment.locations.len(), 4);
            deployed += 1;
        }
    }
    assert_eq!(deployed, 2);
    let mut effects = Vec::new();
    for (worker, index) in [(1, 0), (2, 1)] {
        for operator in [0, 1] {
            let subtask = SubtaskId::new(operator, index);
            let ready = ToCoordinator::Ready(AttemptId { subtask, attempt: Attempt(2) });
            effects.extend(hears(&mut script, worker, ready));
        }
    }
    let answer = |it: &&Effect| matches!(it, Effect::Answer { .. });
    let answers: Vec<_> = effects.iter().filter(answer).collect();
    assert!(
        matches!(answers[..], [Effect::Answer { answer: Answer::Rescaled { parallelism: 2 }, .. }]),
        "{answers:?}"
    );
}

// Rules: M7, H3
#[test]
fn a_record_that_could_not_be_written_leaves_the_parallelism_as_it_was() {
    let mut script = publishing();
    let mut effects = Vec::new();
    script.coordinator.handle(Input::RecordFailed(WriteId(script.writes)), &mut effects);
    assert_eq!(aborted(&effects), [AbortReason::FinalizeFailure]);
    effects.clear();
    script.coordinator.handle(Input::Timer(Timer::RecordRetry), &mut effects);
    let Some(Effect::Persist { record, .. }) = effects.last() else {
        panic!("the old facts are written: {effects:?}");
    };
    assert_eq!((record.parallelism, record.retained.as_slice()), (None, &[][..]));
    assert_eq!(script.coordinator.parallelism(), 1);
}

// Rules: M7
#[test]
fn a_failed_attempt_gives_the_rescale_up_and_the_next_one_is_as_before() {
    let mut script = rescaling();
    let failed = ToCoordinator::Failed { attempt: of(0, 1), cause: "disk".into(), fatal: false };
    assert_eq!(aborted(&hears(&mut script, 1, failed)), [AbortReason::TaskFailure]);
    hears(&mut script, 1, ToCoordinator::Cancelled(of(1, 1)));
    assert_eq!(script.coordinator.parallelism(), 1);
}

// Rules: M7, N2
#[test]
fn what_acts_at_its_end_and_ended_is_never_divided() {
    let ended = |operator| ToCoordinator::Ended(of(operator, 1));
    let mut script = rescaling();
    // A source that emits nothing at its end may be divided: what is left of its splits is in its snapshot.
    assert_eq!(aborted(&hears(&mut script, 1, ended(0))), []);
    assert_eq!(aborted(&hears(&mut script, 1, ended(1))), [AbortReason::InputEndOfStream]);

    let mut script = running();
    hears(&mut script, 1, ended(0));
    hears(&mut script, 1, ended(1));
    let mut effects = Vec::new();
    script.coordinator.handle(request(1, RESCALE), &mut effects);
    effects.extend(script.persist_all());
    let is_refused = |it: &Effect| matches!(it, Effect::Answer { answer: Answer::Refused(_), .. });
    assert!(effects.iter().any(is_refused), "{effects:?}");
}

// Rules: M3
#[test]
fn what_cannot_be_is_refused_with_the_number_that_can() {
    let asked = |script: &mut Script, parallelism| {
        let mut effects = Vec::new();
        let ask = request(1, Request::Rescale { parallelism });
        script.coordinator.handle(ask, &mut effects);
        effects.into_iter().find_map(|it| {
            let Effect::Answer { answer: Answer::Refused(why), .. } = it else { return None };
            Some(why)
        })
    };
    let mut script = running();
    let range = "is not in 1..=128, which the key groups allow";
    assert_eq!(asked(&mut script, 0), Some(format!("parallelism 0 {range}")));
    assert_eq!(asked(&mut script, 129), Some(format!("parallelism 129 {range}")));
    let lacking = "parallelism 3 needs 3 slots, and there are 2".to_owned();
    assert_eq!(asked(&mut script, 3), Some(lacking));
    assert_eq!(
        asked(&mut rescaling(), 1),
        Some("another change of parallelism is under way".into())
    );
}

// Rules: M7
#[test]
fn asking_for_what_the_job_has_is_answered_at_once() {
    let mut script = running();
    let ask = request(3, Request::Rescale { parallelism: 1 });
    script.check(ask, &["answer Rescaled { parallelism: 1 }"]);
}
