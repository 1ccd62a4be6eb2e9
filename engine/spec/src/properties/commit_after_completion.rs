//! Commit after completion (K2, K4, X2): output becomes visible because its checkpoint completed, never before.
//!
//! ```text
//! transaction-committed { attempt a, n, restored: false }
//!     some m >= n completed before it, and a acked m
//! transaction-committed { attempt a, n, restored: true }
//!     a was restored from some m >= n
//! completion-told { n }
//!     n completed before it
//! nothing was seen visible before its checkpoint completed
//! ```
//!
//! "a acked m" matters: a completed checkpoint of a later attempt says nothing about the transactions of
//! an earlier one, which were replayed (A3, K5).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;

use seawall_protocol::event::Event;
use seawall_protocol::{AttemptId, CheckpointId};

use crate::Property;
use crate::history::{History, completed_by};
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "commit-after-completion",
    rule: "K2, K4, X2",
    about: "a transaction is visible only after a checkpoint that contains it completed",
    check,
};

/// Follows acks, completions and commits.
///
/// # Errors
/// The first commit without its reason, or the output that was visible early.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut acked: BTreeMap<AttemptId, BTreeSet<CheckpointId>> = BTreeMap::new();
    let mut restored_from: BTreeMap<AttemptId, Option<CheckpointId>> = BTreeMap::new();
    let mut completed: BTreeSet<CheckpointId> = BTreeSet::new();
    for recorded in &history.events {
        completed.extend(completed_by(&recorded.event));
        if let Event::SnapshotAcked { attempt, checkpoint } = recorded.event {
            acked.entry(attempt).or_default().insert(checkpoint);
        }
        if let Event::SubtaskReady { attempt, restored } = recorded.event {
            restored_from.insert(attempt, restored);
        }
        if let Event::CompletionTold { attempt, checkpoint } = recorded.event
            && !completed.contains(&checkpoint)
        {
            let message = format!(
                "{attempt} was told that checkpoint {checkpoint} is completed, and it was not, {}",
                stamp(recorded),
            );
            return Err(Violation::of(&PROPERTY, message));
        }
        let Event::TransactionCommitted { attempt, checkpoint, restored } = recorded.event else {
            continue;
        };
        let has_reason = if restored {
            // A recorder that begins in the middle of a run has not seen the restore.
            restored_from.get(&attempt).is_none_or(|&from| from >= Some(checkpoint))
        } else {
            acked.get(&attempt).is_some_and(|acked| {
                acked.range(checkpoint..).any(|contains| completed.contains(contains))
            })
        };
        if !has_reason {
            let reason =
                if restored { "that its attempt did not restore" } else { "not completed" };
            let message = format!(
                "{attempt} committed the transaction of checkpoint {checkpoint}, {reason}, {}",
                stamp(recorded),
            );
            return Err(Violation::of(&PROPERTY, message));
        }
    }
    match history.visible_early.first() {
        None => Ok(()),
        Some(early) => {
            let message = format!(
                "{} was visible at {:.6}s, before checkpoint {} completed",
                early.name,
                early.at.as_secs_f64(),
                early.checkpoint,
            );
            Err(Violation::of(&PROPERTY, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use alloc::vec;

    use seawall_protocol::{Attempt, SubtaskId};

    use super::*;
    use crate::history::VisibleEarly;

    const C: &str = "coordinator-1";
    const W: &str = "worker-1";

    fn sink(attempt: u32) -> AttemptId {
        AttemptId { subtask: SubtaskId::new(2, 0), attempt: Attempt(attempt) }
    }

    fn acked(attempt: u32, checkpoint: u64) -> (&'static str, Event) {
        let (attempt, checkpoint) = (sink(attempt), CheckpointId(checkpoint));
        (C, Event::SnapshotAcked { attempt, checkpoint })
    }

    fn completed(checkpoint: u64) -> (&'static str, Event) {
        (C, Event::CheckpointCompleted { checkpoint: CheckpointId(checkpoint) })
    }

    fn committed(attempt: u32, checkpoint: u64, restored: bool) -> (&'static str, Event) {
        let (attempt, checkpoint) = (sink(attempt), CheckpointId(checkpoint));
        (W, Event::TransactionCommitted { attempt, checkpoint, restored })
    }

    #[test]
    fn a_transaction_of_an_aborted_checkpoint_rides_with_the_next_completed_one() {
        let history = [acked(1, 2), completed(2), committed(1, 1, false), committed(1, 2, false)];
        check(&History::from_events(history)).expect("holds");
    }

    #[test]
    fn a_commit_before_completion_is_named() {
        let history = [acked(1, 1), committed(1, 1, false), completed(1)];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert_eq!(
            violation.message,
            "op2/0#1 committed the transaction of checkpoint 1, not completed, at 0.000002s on worker-1"
        );
    }

    #[test]
    fn a_completed_checkpoint_of_a_later_attempt_is_no_reason_for_an_earlier_one() {
        let history = [acked(2, 4), completed(4), committed(1, 3, false)];
        check(&History::from_events(history)).expect_err("violated");
    }

    #[test]
    fn a_restored_transaction_must_be_in_the_restored_checkpoint() {
        let ready = |restored: u64| {
            let restored = Some(CheckpointId(restored));
            (W, Event::SubtaskReady { attempt: sink(2), restored })
        };
        let holds = [completed(2), ready(2), committed(2, 2, true)];
        check(&History::from_events(holds)).expect("holds");
        let violates = [completed(2), ready(2), committed(2, 3, true)];
        check(&History::from_events(violates)).expect_err("violated");
    }

    // Rules: H1, K3
    #[test]
    fn an_operator_that_hears_of_a_completion_before_it_is_named() {
        let told = |checkpoint: u64| {
            let (attempt, checkpoint) = (sink(1), CheckpointId(checkpoint));
            (W, Event::CompletionTold { attempt, checkpoint })
        };
        check(&History::from_events([completed(1), told(1), told(1)])).expect("holds");
        let violation =
            check(&History::from_events([completed(1), told(2)])).expect_err("violated");
        assert_eq!(
            violation.message,
            "op2/0#1 was told that checkpoint 2 is completed, and it was not, at 0.000002s on worker-1"
        );
    }

    #[test]
    fn output_seen_too_early_is_named() {
        let early = VisibleEarly {
            at: Duration::from_secs(1),
            name: "part-0-3".into(),
            checkpoint: CheckpointId(3),
        };
        let history = History { visible_early: vec![early], ..History::default() };
        let violation = check(&history).expect_err("violated");
        assert_eq!(
            violation.message,
            "part-0-3 was visible at 1.000000s, before checkpoint 3 completed"
        );
    }
}
