//! Barriers in order (C7, F3, and A5 of the models): each subtask attempt cuts its input once for each checkpoint, upwards.
//!
//! ```text
//! for each attempt: barrier-forwarded strictly increases; snapshot-taken strictly increases
//! snapshot-acked { a, n } only after snapshot-taken { a, n }
//! ```

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;

use seawall_protocol::event::Event;
use seawall_protocol::{AttemptId, CheckpointId};

use crate::Property;
use crate::history::History;
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "barriers-in-order",
    rule: "C7, F3",
    about: "each attempt forwards barriers and takes snapshots once, in the order of their checkpoints",
    check,
};

/// Follows barriers and snapshots of each attempt.
///
/// # Errors
/// The first that is out of order, or an ack of a snapshot that was never taken.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut newest: BTreeMap<(AttemptId, &str), CheckpointId> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for recorded in &history.events {
        let name = recorded.event.name();
        if let Event::BarrierForwarded { attempt, checkpoint }
        | Event::SnapshotTaken { attempt, checkpoint } = recorded.event
            && let Some(before) = newest.insert((attempt, name), checkpoint)
            && before >= checkpoint
        {
            let message =
                format!("{attempt}: {name} {checkpoint} after {before}, {}", stamp(recorded));
            return Err(Violation::of(&PROPERTY, message));
        }
        if let Event::SnapshotTaken { attempt, checkpoint } = recorded.event {
            taken.insert((attempt, checkpoint));
        }
        if let Event::SnapshotAcked { attempt, checkpoint } = recorded.event
            && !taken.contains(&(attempt, checkpoint))
        {
            let message = format!(
                "{attempt} acked checkpoint {checkpoint} and took no snapshot, {}",
                stamp(recorded),
            );
            return Err(Violation::of(&PROPERTY, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use seawall_protocol::{Attempt, SubtaskId};

    use super::*;

    fn attempt() -> AttemptId {
        AttemptId { subtask: SubtaskId::new(1, 0), attempt: Attempt(1) }
    }

    fn forwarded(checkpoint: u64) -> (&'static str, Event) {
        let checkpoint = CheckpointId(checkpoint);
        ("worker-1", Event::BarrierForwarded { attempt: attempt(), checkpoint })
    }

    fn taken(checkpoint: u64) -> (&'static str, Event) {
        let checkpoint = CheckpointId(checkpoint);
        ("worker-1", Event::SnapshotTaken { attempt: attempt(), checkpoint })
    }

    #[test]
    fn barriers_and_snapshots_upwards_hold() {
        let history = [forwarded(1), taken(1), forwarded(3), taken(3)];
        check(&History::from_events(history)).expect("holds");
    }

    #[test]
    fn an_older_barrier_after_a_newer_one_is_named() {
        let violation =
            check(&History::from_events([forwarded(2), forwarded(1)])).expect_err("violated");
        assert!(violation.message.starts_with("op1/0#1: barrier-forwarded 1 after 2"));
    }

    #[test]
    fn a_second_snapshot_of_one_checkpoint_is_named() {
        check(&History::from_events([taken(2), taken(2)])).expect_err("violated");
    }

    #[test]
    fn an_ack_of_a_snapshot_that_was_never_taken_is_named() {
        let acked = Event::SnapshotAcked { attempt: attempt(), checkpoint: CheckpointId(2) };
        check(&History::from_events([taken(1), ("coordinator-1", acked)])).expect_err("violated");
    }
}
