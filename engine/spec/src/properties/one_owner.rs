//! One owner (T9, K6): when a newer attempt is deployed, an older one changes nothing any more.
//!
//! ```text
//! after attempt-deployed { b, restore: r }:
//!     transaction-committed { attempt a < b, n } only for n <= r
//!     snapshot-acked { attempt a < b } never
//! ```
//!
//! Zombies may live on behind a partition; that is allowed and unavoidable (O2). A zombie may even commit
//! what its successor has restored and commits too: the same transaction, already decided. What it may not
//! do is make its own future visible or be counted into a checkpoint.

use alloc::format;

use seawall_protocol::event::Event;
use seawall_protocol::{Attempt, CheckpointId};

use crate::Property;
use crate::history::History;
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "one-owner",
    rule: "T9, K6, O6",
    about: "only the newest attempt commits anything new and is counted into checkpoints",
    check,
};

/// Follows deployments, acks and commits.
///
/// # Errors
/// What the older attempt did.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut newest: Option<(Attempt, Option<CheckpointId>)> = None;
    for recorded in &history.events {
        if let Event::AttemptDeployed { attempt, restore } = recorded.event {
            newest = newest.max(Some((attempt, restore)));
        }
        let Some((deployed, restore)) = newest else { continue };
        if let Event::TransactionCommitted { attempt, checkpoint, .. } = recorded.event
            && attempt.attempt < deployed
            && Some(checkpoint) > restore
        {
            let message = format!(
                "{attempt} committed the transaction of checkpoint {checkpoint} after attempt {deployed} \
                 was deployed, {}",
                stamp(recorded),
            );
            return Err(Violation::of(&PROPERTY, message));
        }
        if let Event::SnapshotAcked { attempt, checkpoint } = recorded.event
            && attempt.attempt < deployed
        {
            let message = format!(
                "the ack of {attempt} for checkpoint {checkpoint} was counted after attempt {deployed} \
                 was deployed, {}",
                stamp(recorded),
            );
            return Err(Violation::of(&PROPERTY, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use seawall_protocol::{AttemptId, SubtaskId};

    use super::*;

    fn sink(attempt: u32) -> AttemptId {
        AttemptId { subtask: SubtaskId::new(2, 0), attempt: Attempt(attempt) }
    }

    fn deployed(attempt: u32, restore: Option<u64>) -> (&'static str, Event) {
        let restore = restore.map(CheckpointId);
        ("coordinator-1", Event::AttemptDeployed { attempt: Attempt(attempt), restore })
    }

    fn committed(attempt: u32, checkpoint: u64) -> (&'static str, Event) {
        let (attempt, checkpoint) = (sink(attempt), CheckpointId(checkpoint));
        ("worker-1", Event::TransactionCommitted { attempt, checkpoint, restored: false })
    }

    #[test]
    fn a_zombie_may_commit_what_its_successor_restored() {
        let history = [deployed(1, None), deployed(2, Some(3)), committed(1, 3), committed(2, 4)];
        check(&History::from_events(history)).expect("holds");
    }

    #[test]
    fn a_zombie_that_commits_its_own_future_is_named() {
        let history = [deployed(1, None), deployed(2, Some(3)), committed(1, 4)];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert!(violation.message.contains("op2/0#1 committed the transaction of checkpoint 4"));
    }

    #[test]
    fn the_counted_ack_of_an_older_attempt_is_named() {
        let acked = Event::SnapshotAcked { attempt: sink(1), checkpoint: CheckpointId(4) };
        let history = [deployed(1, None), deployed(2, Some(3)), ("coordinator-1", acked)];
        check(&History::from_events(history)).expect_err("violated");
    }
}
