//! Durable before ack (F7): an ack is counted only for a snapshot whose bytes are durable.
//!
//! ```text
//! snapshot-acked { a, n }    only after    snapshot-written { a, n }
//! ```

use alloc::collections::BTreeSet;
use alloc::format;

use seawall_protocol::event::Event;

use crate::Property;
use crate::history::History;
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "durable-before-ack",
    rule: "F7",
    about: "no ack is counted for a snapshot that is not durable",
    check,
};

/// Follows writes and acks.
///
/// # Errors
/// The first ack without its snapshot.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut written = BTreeSet::new();
    for recorded in &history.events {
        if let Event::SnapshotWritten { attempt, checkpoint, bytes: _ } = recorded.event {
            written.insert((attempt, checkpoint));
        }
        if let Event::SnapshotAcked { attempt, checkpoint } = recorded.event
            && !written.contains(&(attempt, checkpoint))
        {
            let message = format!(
                "{attempt} acked checkpoint {checkpoint} and its snapshot was not durable, {}",
                stamp(recorded),
            );
            return Err(Violation::of(&PROPERTY, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use seawall_protocol::{Attempt, AttemptId, CheckpointId, SubtaskId};

    use super::*;

    const ATTEMPT: AttemptId = AttemptId {
        subtask: SubtaskId { operator: seawall_protocol::OperatorId(1), index: 0 },
        attempt: Attempt(1),
    };

    fn written(checkpoint: u64) -> (&'static str, Event) {
        let checkpoint = CheckpointId(checkpoint);
        ("worker-1", Event::SnapshotWritten { attempt: ATTEMPT, checkpoint, bytes: 9 })
    }

    fn acked(checkpoint: u64) -> (&'static str, Event) {
        let checkpoint = CheckpointId(checkpoint);
        ("coordinator-1", Event::SnapshotAcked { attempt: ATTEMPT, checkpoint })
    }

    #[test]
    fn an_ack_after_its_snapshot_is_written_holds() {
        check(&History::from_events([written(1), acked(1)])).expect("holds");
    }

    #[test]
    fn an_ack_before_its_snapshot_is_written_is_named() {
        let history = [written(1), acked(2), written(2)];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert!(violation.message.starts_with("op1/0#1 acked checkpoint 2"));
    }
}
