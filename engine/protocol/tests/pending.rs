//! Pending checkpoints against plain sets, and the failure budget against a plain counter (G1-G8).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use seawall_protocol::coordinator::RequestId;
use seawall_protocol::event::{AbortReason, AckAnswer};
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::pending::{FailureBudget, ManifestAnswer, PendingCheckpoints};
use seawall_protocol::record::{SnapshotFigures, SnapshotHandle};
use seawall_protocol::trigger::{Rank, Wanted};
use seawall_protocol::{Attempt, AttemptId, CheckpointId, SubtaskId};

const SUBTASKS: u32 = 3;

fn by(index: u32, attempt: u32) -> AttemptId {
    AttemptId { subtask: SubtaskId::new(0, index), attempt: Attempt(attempt) }
}

fn snapshot(by: AttemptId) -> SnapshotHandle {
    SnapshotHandle {
        subtask: by.subtask,
        attempt: by.attempt,
        bytes: 1,
        checksum: 2,
        figures: SnapshotFigures::default(),
        shared: Vec::new(),
    }
}

fn subtasks() -> impl Iterator<Item = SubtaskId> {
    (0..SUBTASKS).map(|index| SubtaskId::new(0, index))
}

fn any_reason() -> impl Strategy<Value = AbortReason> {
    prop::sample::select(AbortReason::ALL)
}

#[derive(Debug, Clone)]
enum Step {
    Begin,
    Ack { checkpoint: u64, index: u32, attempt: u32 },
    Manifest(u64),
    Abort(u64, AbortReason),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Begin),
        6 => (0..12_u64, 0..SUBTASKS + 1, 1..3_u32)
            .prop_map(|(checkpoint, index, attempt)| Step::Ack { checkpoint, index, attempt }),
        1 => (0..12_u64).prop_map(Step::Manifest),
        1 => (0..12_u64, any_reason()).prop_map(|(it, reason)| Step::Abort(it, reason)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // Rules: G1, G2, G8, K11
    #[test]
    fn an_ack_is_answered_in_every_state_and_the_last_one_alone_writes_the_manifest(
        steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let mut pending = PendingCheckpoints::new(1_000, CheckpointId(0));
        // The reference: who acked, of what is pending; and what waits for a manifest's answer.
        let mut acked: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        let mut manifests: BTreeSet<u64> = BTreeSet::new();
        let mut next = 1;
        for step in steps {
            match step {
                Step::Begin if acked.len() < 4 => {
                    pending.begin(CheckpointId(next), Attempt(1), subtasks(), BTreeSet::new(), Wanted::periodic());
                    acked.insert(next, BTreeSet::new());
                    next += 1;
                }
                Step::Begin => {}
                Step::Ack { checkpoint, index, attempt } => {
                    let by = by(index, attempt);
                    let got = pending.on_ack(CheckpointId(checkpoint), by, snapshot(by));
                    let expected = match acked.get_mut(&checkpoint) {
                        None => AckAnswer::Discarded,
                        Some(_) if attempt != 1 || index >= SUBTASKS => AckAnswer::Unknown,
                        Some(set) => {
                            if set.insert(index) {
                                AckAnswer::Success
                            } else {
                                AckAnswer::Duplicate
                            }
                        }
                    };
                    prop_assert_eq!(got.answer, expected);
                    let is_last = expected == AckAnswer::Success
                        && acked[&checkpoint].len() == SUBTASKS as usize;
                    prop_assert_eq!(got.manifest.is_some(), is_last);
                    if is_last {
                        manifests.insert(checkpoint);
                    }
                }
                Step::Manifest(checkpoint) => {
                    let expected = match (manifests.remove(&checkpoint), acked.get(&checkpoint)) {
                        (true, Some(_)) => ManifestAnswer::Expected,
                        (true, None) => ManifestAnswer::GivenUp,
                        (false, _) => ManifestAnswer::Unknown,
                    };
                    // Only the newest given-up ids are remembered; this few always are.
                    prop_assert_eq!(pending.on_manifest_answer(CheckpointId(checkpoint)), expected);
                }
                Step::Abort(checkpoint, reason) => {
                    let aborted = pending.abort(CheckpointId(checkpoint), reason);
                    prop_assert_eq!(aborted.is_some(), acked.remove(&checkpoint).is_some());
                    if let Some(aborted) = aborted {
                        prop_assert_eq!(aborted.is_deletable, !manifests.contains(&checkpoint));
                    }
                }
            }
            prop_assert_eq!(pending.len(), acked.len());
        }
    }

    // Rules: G6
    #[test]
    fn the_budget_counts_each_counted_failure_since_the_last_success_once(
        tolerable in 0..4_u32,
        steps in prop::collection::vec((1..30_u64, prop::option::of(any_reason())), 0..100),
    ) {
        let mut budget = FailureBudget::new(tolerable, CheckpointId(3));
        let (mut count, mut last_success) = (0, 3);
        for (checkpoint, reason) in steps {
            let Some(reason) = reason else {
                budget.on_success(CheckpointId(checkpoint));
                if checkpoint > last_success {
                    (count, last_success) = (0, checkpoint);
                }
                continue;
            };
            count += u32::from(reason.is_counted() && checkpoint > last_success);
            let is_spent = count > tolerable;
            prop_assert_eq!(budget.on_abort(CheckpointId(checkpoint), reason), is_spent);
            if is_spent {
                count = 0;
            }
        }
    }
}

// Rules: G1, G4
#[test]
fn a_late_ack_of_an_expired_checkpoint_is_answered_and_its_files_are_left_over() {
    let mut pending = PendingCheckpoints::new(5, CheckpointId(0));
    pending.begin(CheckpointId(1), Attempt(1), subtasks(), BTreeSet::new(), Wanted::periodic());
    assert!(pending.abort(CheckpointId(1), AbortReason::Expired).is_some());
    let late = pending.on_ack(CheckpointId(1), by(0, 1), snapshot(by(0, 1)));
    assert_eq!((late.answer, late.is_left_over), (AckAnswer::Discarded, true));
    let unknown = pending.on_ack(CheckpointId(9), by(0, 1), snapshot(by(0, 1)));
    assert_eq!((unknown.answer, unknown.is_left_over), (AckAnswer::Discarded, false));
}

// Rules: G1, A4
#[test]
fn an_ack_with_the_snapshot_of_another_attempt_does_not_count() {
    let mut pending = PendingCheckpoints::new(5, CheckpointId(0));
    pending.begin(CheckpointId(1), Attempt(2), subtasks(), BTreeSet::new(), Wanted::periodic());
    let got = pending.on_ack(CheckpointId(1), by(0, 2), snapshot(by(0, 1)));
    assert_eq!(got.answer, AckAnswer::Unknown);
}

// Rules: G3, G8
#[test]
fn a_decline_after_the_last_ack_changes_nothing() {
    let mut pending = PendingCheckpoints::new(5, CheckpointId(0));
    pending.begin(CheckpointId(1), Attempt(1), subtasks(), BTreeSet::new(), Wanted::periodic());
    assert!(pending.on_decline(CheckpointId(1), by(0, 1)));
    assert!(!pending.on_decline(CheckpointId(1), by(0, 2)), "another attempt");
    assert!(!pending.on_decline(CheckpointId(1), by(SUBTASKS, 1)), "another subtask");
    for index in 0..SUBTASKS {
        pending.on_ack(CheckpointId(1), by(index, 1), snapshot(by(index, 1)));
    }
    assert!(!pending.on_decline(CheckpointId(1), by(0, 1)));
}

// Rules: G7
#[test]
fn a_savepoint_that_fails_never_counts() {
    for (kind, is_spent) in [
        (CheckpointKind::Checkpoint, true),
        (CheckpointKind::Savepoint, false),
        (CheckpointKind::StopWithSavepoint { drain: false }, false),
    ] {
        let mut pending = PendingCheckpoints::new(0, CheckpointId(0));
        let wanted = Wanted::new(Rank::Savepoint, kind, Some(RequestId(1)));
        pending.begin(CheckpointId(1), Attempt(1), subtasks(), BTreeSet::new(), wanted);
        let aborted = pending.abort(CheckpointId(1), AbortReason::Expired).expect("it is pending");
        assert_eq!(aborted.is_budget_spent, is_spent, "{kind:?}");
        assert_eq!(aborted.request, Some(RequestId(1)));
    }
}

// Rules: G6
#[test]
fn the_counted_reasons_are_those_of_flink() {
    let counted = AbortReason::ALL.iter().filter(|it| it.is_counted()).map(|it| it.name());
    let expected = [
        "CHECKPOINT_EXPIRED",
        "CHECKPOINT_DECLINED",
        "CHECKPOINT_ASYNC_EXCEPTION",
        "FINALIZE_CHECKPOINT_FAILURE",
    ];
    assert_eq!(counted.collect::<Vec<_>>(), expected);
}
