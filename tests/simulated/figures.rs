//! The figures of checkpoints: they add up, they survive a leader, and they name what was slow.

use seawall_protocol::SubtaskId;
use seawall_protocol::event::{AbortReason, Event};
use seawall_protocol::record::SnapshotPhase;
use seawall_runtime::explain::{Phase, explain};
use seawall_runtime::storage::history::{History, Progress, Status};
use seawall_sim::run;
use seawall_sim::trace::What;
use seawall_sim::verdict::Verdict;

use crate::scenario;

/// A run of the scenario's first seed, with the history that its coordinators left.
fn play(name: &str) -> (Verdict, History) {
    let scenario = scenario(name);
    let verdict = run::run(&scenario, scenario.seeds[0]);
    let history = verdict.checkpoints.clone().expect("a history is on the disk");
    (verdict, history)
}

fn events(verdict: &Verdict) -> impl Iterator<Item = (String, &Event)> {
    verdict.trace.entries.iter().filter_map(|entry| {
        let What::Event(event) = &entry.what else { return None };
        Some((entry.node?.to_string(), event))
    })
}

/// The node on which the subtask ran when it took its last snapshot.
fn node_of(verdict: &Verdict, subtask: SubtaskId) -> String {
    let taken = events(verdict).filter(|(_, event)| {
        matches!(event, Event::SnapshotTaken { attempt, .. } if attempt.subtask == subtask)
    });
    taken.map(|(node, _)| node).last().expect("it took a snapshot")
}

/// Of each completed checkpoint that took long, who was slow, on which node, and in which phase.
fn explained(verdict: &Verdict, history: &History, slow_us: u64) -> Vec<(String, Phase)> {
    let slow = history
        .checkpoints
        .iter()
        .filter(|it| it.status == Status::Completed && !it.is_final && it.total_us() >= slow_us);
    slow.map(|checkpoint| {
        let explanation = explain(history, checkpoint);
        let subtask = explanation.subtask.expect("a subtask was slow");
        (node_of(verdict, subtask), explanation.phase.expect("in a phase"))
    })
    .collect()
}

// Rules: S2, A8
#[test]
fn the_phases_of_each_subtask_add_up_to_the_time_until_its_ack() {
    for name in ["smoke/no-faults", "slow/one-straggler", "network/slow-link"] {
        let (_, history) = play(name);
        let mut measured = 0;
        let whole = history.checkpoints.iter().filter(|it| it.status == Status::Completed);
        // The job ends without waiting for the checkpoint that happens to be in flight.
        assert!(whole.clone().count() + 1 >= history.checkpoints.len(), "{name}");
        for checkpoint in whole {
            let ends = checkpoint.subtasks.iter().map(|it| it.figures.end_to_end_us());
            // The last ack ends the collecting, on the same clock: nothing is counted twice or left out.
            assert_eq!(ends.max(), Some(checkpoint.collecting_us), "{name}: {checkpoint:?}");
            measured += checkpoint.subtasks.iter().map(|it| it.figures.measured_us()).sum::<u64>();
        }
        assert!(measured > 0, "{name}: nothing was measured");
    }
}

// Rules: S1
#[test]
fn counters_add_up_and_survive_a_leader() {
    for name in [
        "smoke/no-faults",
        "slow/snapshot-stalls-past-timeout",
        "crash/coordinator-between-manifest-and-record",
    ] {
        let (verdict, history) = play(name);
        let counts = history.counts;
        assert_eq!(
            counts.triggered,
            counts.completed + counts.failed + counts.in_progress,
            "{name}"
        );
        assert_eq!(counts.in_progress, 0, "{name}");
        let named = |wanted: &str| {
            let found = events(&verdict).filter(|(_, event)| event.name() == wanted).count();
            u64::try_from(found).unwrap()
        };
        assert_eq!(counts.triggered, named("checkpoint-triggered"), "{name}");
        assert!(counts.completed >= named("checkpoint-completed"), "{name}");
        assert_eq!(history.since.0, 1, "{name}");
    }
}

// Rules: S3, S4
#[test]
fn a_slow_disk_is_named_with_its_subtask_and_phase() {
    let (verdict, history) = play("slow/snapshot-stalls-past-timeout");
    let failed = history
        .checkpoints
        .iter()
        .find(|it| it.status == Status::Failed(AbortReason::Expired))
        .expect("a checkpoint expired");
    let explanation = explain(&history, failed);
    let subtask = explanation.subtask.unwrap();
    assert_eq!(node_of(&verdict, subtask), "worker-2", "{explanation:?}");
    assert_eq!(explanation.phase, Some(Phase::Snapshot(SnapshotPhase::Async)), "{explanation:?}");
    let row = failed.subtasks.iter().find(|it| it.subtask == subtask).unwrap();
    assert_eq!(row.progress, Progress::In(SnapshotPhase::Async));
    assert!(explanation.summary.contains("CHECKPOINT_EXPIRED"), "{explanation:?}");
}

// Rules: S4
#[test]
fn a_slow_link_is_named_as_the_alignment_of_its_receiver() {
    let (verdict, history) = play("network/slow-link");
    let found = explained(&verdict, &history, 100_000);
    assert!(found.len() >= 3, "{found:?}");
    let expected = ("worker-2".to_owned(), Phase::Snapshot(SnapshotPhase::Alignment));
    assert!(found.iter().all(|it| *it == expected), "{found:?}");
}

// Rules: S4
#[test]
fn a_late_trigger_is_named_as_the_start_delay_of_its_source() {
    let (verdict, history) = play("slow/trigger-comes-late");
    let found = explained(&verdict, &history, 100_000);
    assert!(found.len() >= 3, "{found:?}");
    let expected = ("worker-1".to_owned(), Phase::Snapshot(SnapshotPhase::StartDelay));
    assert!(found.iter().all(|it| *it == expected), "{found:?}");
}

// Rules: E1, E2, S1
#[test]
fn under_a_slow_sink_barriers_that_overtake_are_in_time_and_those_that_wait_are_not() {
    let in_flight = |history: &History| -> u64 {
        let subtasks = history.checkpoints.iter().flat_map(|it| &it.subtasks);
        subtasks.map(|it| it.figures.in_flight_bytes).sum()
    };
    let (_, waiting) = play("unaligned/slow-sink-aligned");
    let (_, overtaking) = play("unaligned/slow-sink-unaligned");
    assert!(waiting.counts.failed > waiting.counts.completed, "{:?}", waiting.counts);
    assert_eq!(overtaking.counts.failed, 0);
    assert!(overtaking.counts.completed >= 10, "{:?}", overtaking.counts);
    assert_eq!(in_flight(&waiting), 0);
    assert!(in_flight(&overtaking) > 0);
}
