//! Commit once (T5): a transaction is committed for the first time at most once.
//!
//! ```text
//! for each (sink subtask, checkpoint):   at most one transaction-committed { restored: false }
//! ```
//!
//! An attempt that finds the transaction in its restored snapshot commits it again and says so with
//! `restored: true`; that is idempotent and allowed as often as it happens (K4).

use alloc::collections::BTreeMap;
use alloc::format;

use seawall_protocol::event::Event;

use crate::Property;
use crate::history::History;
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "commit-once",
    rule: "T5",
    about: "each transaction is committed for the first time at most once",
    check,
};

/// Counts first commits.
///
/// # Errors
/// The second one.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut first = BTreeMap::new();
    for recorded in &history.events {
        let Event::TransactionCommitted { attempt, checkpoint, restored: false } = recorded.event
        else {
            continue;
        };
        if let Some(earlier) = first.insert((attempt.subtask, checkpoint), attempt) {
            let message = format!(
                "{attempt} committed the transaction of checkpoint {checkpoint} that {earlier} had \
                 committed, {}",
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

    fn committed(attempt: u32, checkpoint: u64, restored: bool) -> (&'static str, Event) {
        let attempt = AttemptId { subtask: SubtaskId::new(2, 0), attempt: Attempt(attempt) };
        let checkpoint = CheckpointId(checkpoint);
        ("worker-1", Event::TransactionCommitted { attempt, checkpoint, restored })
    }

    #[test]
    fn a_restored_transaction_may_be_committed_again() {
        let history = [committed(1, 1, false), committed(2, 1, true), committed(3, 1, true)];
        check(&History::from_events(history)).expect("holds");
    }

    #[test]
    fn a_second_first_commit_is_named() {
        let history = [committed(1, 1, false), committed(1, 2, false), committed(2, 1, false)];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert!(violation.message.starts_with("op2/0#2 committed the transaction of checkpoint 1"));
    }
}
