//! Two-phase commit against a list: what is visible is a prefix of what was pre-committed.

use proptest::prelude::*;
use seawall_protocol::CheckpointId;
use seawall_protocol::committer::{Committer, Effect};
use seawall_protocol::limits::{COMMIT_RETRIES_MAX, PENDING_TRANSACTIONS_MAX};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    PreCommit(u64),
    Completed(u64),
    Committed(u64),
    Failed(u64),
    Broken(u64),
}
use Step::{Broken, Committed, Completed, Failed, PreCommit, Start};

fn take(committer: &mut Committer, step: Step) -> Vec<Effect> {
    let mut effects = Vec::new();
    match step {
        Start => committer.on_start(&mut effects),
        PreCommit(checkpoint) => committer.on_pre_commit(CheckpointId(checkpoint)),
        Completed(checkpoint) => committer.on_completed(CheckpointId(checkpoint), &mut effects),
        Committed(checkpoint) => committer.on_committed(CheckpointId(checkpoint), &mut effects),
        Failed(checkpoint) => {
            committer.on_commit_failed(CheckpointId(checkpoint), true, &mut effects);
        }
        Broken(checkpoint) => {
            committer.on_commit_failed(CheckpointId(checkpoint), false, &mut effects);
        }
    }
    effects
}

fn show(effect: Effect) -> String {
    match effect {
        Effect::Commit(checkpoint) => format!("commit {checkpoint}"),
        Effect::GiveUp { checkpoint, tries } => format!("give up {checkpoint} after {tries}"),
        Effect::Ignore(checkpoint) => format!("ignore {checkpoint}"),
    }
}

fn restored(ids: impl IntoIterator<Item = u64>) -> Committer {
    Committer::new(ids.into_iter().map(CheckpointId).collect())
}

fn check(mut committer: Committer, transcript: &[(Step, &str)]) {
    for (index, (step, expected)) in transcript.iter().enumerate() {
        let effects: Vec<_> = take(&mut committer, *step).into_iter().map(show).collect();
        assert_eq!(effects.join(", "), *expected, "step {index}: {step:?} of {transcript:?}");
    }
}

// Rules: K2, K4
#[test]
fn restored_transactions_are_committed_in_order_one_at_a_time() {
    check(
        restored([3, 1, 2]),
        &[
            (Start, "commit 1"),
            (Committed(1), "commit 2"),
            (Committed(2), "commit 3"),
            (Committed(3), ""),
        ],
    );
}

// Rules: K2
#[test]
fn nothing_is_committed_before_its_checkpoint_is_completed() {
    check(
        restored([]),
        &[(Start, ""), (PreCommit(1), ""), (PreCommit(2), ""), (Completed(1), "commit 1")],
    );
}

// Rules: K2, K3, K7
#[test]
fn one_completion_covers_every_earlier_transaction() {
    check(
        restored([]),
        &[
            (PreCommit(1), ""),
            (PreCommit(3), ""),
            (PreCommit(4), ""),
            (Completed(3), "commit 1"),
            (Committed(1), "commit 3"),
            (Committed(3), ""),
        ],
    );
}

// Rules: K3
#[test]
fn late_and_repeated_completions_change_nothing() {
    check(
        restored([]),
        &[
            (PreCommit(1), ""),
            (PreCommit(2), ""),
            (Completed(2), "commit 1"),
            (Completed(1), ""),
            (Completed(2), ""),
            (Committed(1), "commit 2"),
            (Committed(2), ""),
            (Completed(2), ""),
        ],
    );
}

// Rules: K2, K3
#[test]
fn a_completion_that_arrives_during_a_commit_waits_for_its_turn() {
    check(
        restored([]),
        &[
            (PreCommit(1), ""),
            (Completed(1), "commit 1"),
            (PreCommit(2), ""),
            (Completed(2), ""),
            (Committed(1), "commit 2"),
        ],
    );
}

// Rules: K8
#[test]
fn a_commit_is_tried_again_within_its_bound_and_then_given_up() {
    let mut committer = restored([1]);
    assert_eq!(take(&mut committer, Start), [Effect::Commit(CheckpointId(1))]);
    for _ in 0..COMMIT_RETRIES_MAX {
        assert_eq!(take(&mut committer, Failed(1)), [Effect::Commit(CheckpointId(1))]);
    }
    let tries = COMMIT_RETRIES_MAX + 1;
    let expected = [Effect::GiveUp { checkpoint: CheckpointId(1), tries }];
    assert_eq!(take(&mut committer, Failed(1)), expected);
}

// Rules: K8
#[test]
fn a_commit_that_no_retry_can_help_is_given_up_at_once() {
    check(restored([1, 2]), &[(Start, "commit 1"), (Broken(1), "give up 1 after 1")]);
}

#[test]
fn answers_to_no_outstanding_commit_are_ignored() {
    check(
        restored([]),
        &[
            (PreCommit(1), ""),
            (Committed(1), "ignore 1"),
            (Failed(1), "ignore 1"),
            (Completed(1), "commit 1"),
            (Committed(2), "ignore 2"),
            (Committed(1), ""),
            (Committed(1), "ignore 1"),
        ],
    );
}

#[test]
fn a_committer_is_full_at_its_bound() {
    let mut committer = restored([]);
    for checkpoint in 1..=u64::try_from(PENDING_TRANSACTIONS_MAX).expect("a small number") {
        assert!(!committer.is_full());
        take(&mut committer, PreCommit(checkpoint));
    }
    assert!(committer.is_full());
}

/// One thing the world does; numbers are folded into what is possible at that point.
#[derive(Debug, Clone, Copy)]
enum Action {
    PreCommit { gap: u64 },
    Complete { back: u64 },
    Answer { succeeds: bool },
    StrayAnswer { checkpoint: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (1..3_u64).prop_map(|gap| Action::PreCommit { gap }),
        2 => (0..6_u64).prop_map(|back| Action::Complete { back }),
        4 => prop::bool::weighted(0.85).prop_map(|succeeds| Action::Answer { succeeds }),
        1 => (0..20_u64).prop_map(|checkpoint| Action::StrayAnswer { checkpoint }),
    ]
}

/// What a plain reading of K1-K4 allows.
#[derive(Default)]
struct World {
    prepared: BTreeSet<u64>,
    visible: Vec<u64>,
    completed: u64,
    outstanding: Option<u64>,
    has_given_up: bool,
}

impl World {
    fn take(&mut self, committer: &mut Committer, step: Step) {
        for effect in take(committer, step) {
            match effect {
                Effect::Commit(CheckpointId(checkpoint)) => {
                    assert_eq!(self.outstanding, None, "two commits at once (K2)");
                    assert!(checkpoint <= self.completed, "{checkpoint} is not completed");
                    let first = self.prepared.iter().find(|it| !self.visible.contains(*it));
                    assert_eq!(Some(&checkpoint), first, "out of order (K2)");
                    self.outstanding = Some(checkpoint);
                }
                Effect::GiveUp { .. } => self.has_given_up = true,
                Effect::Ignore(_) => {}
            }
        }
    }

    fn succeed(&mut self, committer: &mut Committer) {
        let checkpoint = self.outstanding.take().expect("a commit is outstanding");
        self.visible.push(checkpoint);
        self.take(committer, Committed(checkpoint));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    // Rules: K2, K3
    #[test]
    fn what_is_visible_is_always_a_prefix_of_what_was_prepared_and_in_the_end_all_of_it(
        restored_ids in prop::collection::btree_set(1..10_u64, 0..4),
        actions in prop::collection::vec(action(), 0..60),
    ) {
        let mut committer = restored(restored_ids.iter().copied());
        let mut world = World {
            prepared: restored_ids.clone(),
            completed: restored_ids.last().copied().unwrap_or(0),
            ..World::default()
        };
        let mut newest = world.completed;
        world.take(&mut committer, Start);
        prop_assert_eq!(world.outstanding, restored_ids.first().copied());

        for action in actions {
            match action {
                Action::PreCommit { gap } => {
                    newest += gap;
                    world.prepared.insert(newest);
                    world.take(&mut committer, PreCommit(newest));
                }
                Action::Complete { back } => {
                    let checkpoint = newest.saturating_sub(back);
                    world.completed = world.completed.max(checkpoint);
                    world.take(&mut committer, Completed(checkpoint));
                }
                Action::Answer { succeeds: true } if world.outstanding.is_some() => {
                    world.succeed(&mut committer);
                }
                Action::Answer { succeeds: false } => {
                    if let Some(checkpoint) = world.outstanding.take() {
                        world.take(&mut committer, Failed(checkpoint));
                    }
                }
                Action::Answer { succeeds: true } => {}
                Action::StrayAnswer { checkpoint } => {
                    if world.outstanding != Some(checkpoint) {
                        world.take(&mut committer, Committed(checkpoint));
                    }
                }
            }
            if world.has_given_up {
                return Ok(()); // The attempt failed; its successor restores what is left.
            }
        }

        world.completed = newest;
        world.take(&mut committer, Completed(newest));
        while world.outstanding.is_some() {
            world.succeed(&mut committer);
        }
        prop_assert!(committer.is_settled());
        prop_assert_eq!(world.visible, world.prepared.into_iter().collect::<Vec<_>>());
    }
}
