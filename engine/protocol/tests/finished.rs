//! Which subtasks a checkpoint may hold as finished.

use std::collections::BTreeSet;

use proptest::prelude::*;
use seawall_protocol::coordinator::SubtaskPlan;
use seawall_protocol::finished::{Gap, find_gap};
use seawall_protocol::{OperatorId, SubtaskId};

fn subtask(operator: u32, index: u32) -> SubtaskId {
    SubtaskId { operator: OperatorId(operator), index }
}

/// Two chains of two subtasks each, every source connected to every receiver.
fn plan(has_union_state: bool) -> Vec<SubtaskPlan> {
    let sources = [subtask(0, 0), subtask(0, 1)];
    let receivers = [subtask(1, 0), subtask(1, 1)];
    let receiver = |subtask| SubtaskPlan {
        upstream: sources.to_vec(),
        has_union_state,
        ..SubtaskPlan::source(subtask)
    };
    sources.map(SubtaskPlan::source).into_iter().chain(receivers.map(receiver)).collect()
}

fn all() -> BTreeSet<SubtaskId> {
    plan(false).iter().map(|it| it.subtask).collect()
}

/// The gap of a checkpoint that holds `finished` as finished, all others by a snapshot, and the end of
/// `at_end` in theirs.
fn gap(has_union_state: bool, finished: &[SubtaskId], at_end: &[SubtaskId]) -> Option<Gap> {
    let finished: BTreeSet<_> = finished.iter().copied().collect();
    let held = all().difference(&finished).copied().collect();
    find_gap(&plan(has_union_state), &held, &at_end.iter().copied().collect(), &finished)
}

// Rules: N6
#[test]
fn a_finished_subtask_needs_every_upstream_finished_or_at_its_end() {
    let (first, second) = (subtask(0, 0), subtask(0, 1));
    let finished = subtask(1, 0);
    assert_eq!(gap(false, &[], &[]), None);
    assert_eq!(gap(false, &[first], &[]), None, "a source has nobody before it");
    assert_eq!(gap(false, &[first, second, finished], &[]), None);
    assert_eq!(gap(false, &[first, finished], &[second]), None, "its end is in its snapshot");
    let expected = Gap::UpstreamGoesOn { finished, upstream: second };
    assert_eq!(gap(false, &[first, finished], &[]), Some(expected));
}

// Rules: N2, N6
#[test]
fn a_subtask_is_held_once_by_its_snapshot_or_as_finished() {
    let one = subtask(0, 0);
    let (everyone, nobody) = (all(), BTreeSet::new());
    let twice = find_gap(&plan(false), &everyone, &nobody, &BTreeSet::from([one]));
    assert_eq!(twice, Some(Gap::NotOnce(one)));
    let others = everyone.iter().copied().filter(|it| *it != one).collect();
    assert_eq!(find_gap(&plan(false), &others, &nobody, &nobody), Some(Gap::NotOnce(one)));
}

// Rules: N5
#[test]
fn union_state_is_held_by_all_of_its_operator_or_by_none() {
    let sources = [subtask(0, 0), subtask(0, 1)];
    let (one, other) = (subtask(1, 0), subtask(1, 1));
    let part = [sources[0], sources[1], one];
    assert_eq!(gap(true, &part, &[]), Some(Gap::UnionStateIsPartlyGone(one)));
    assert_eq!(gap(true, &[sources[0], sources[1], one, other], &[]), None);
    assert_eq!(gap(true, &sources, &[]), None);
}

proptest! {
    // Rules: N6
    #[test]
    fn whoever_finishes_after_its_whole_upstream_leaves_no_gap(
        order in Just(all().into_iter().collect::<Vec<_>>()).prop_shuffle(),
        count in 0..=4_usize,
    ) {
        // In any order that a run can take, every moment can be restored.
        let sources = order.iter().filter(|it| it.operator.0 == 0);
        let receivers = order.iter().filter(|it| it.operator.0 == 1);
        let finished: Vec<_> = sources.chain(receivers).copied().take(count).collect();
        prop_assert_eq!(gap(false, &finished, &[]), None);
    }
}
