//! Restored is newest (O7, P4, T13): each attempt starts from the newest completed checkpoint, all of it.
//!
//! ```text
//! attempt-deployed { restore: r }              r == newest checkpoint completed before it
//!                                              r >= every transaction committed before it
//! subtask-ready { attempt, restored: q }       q == r of that attempt, in whichever order they are told
//! ```
//!
//! An older one would lose what sinks already committed after it; an aborted one is no checkpoint at all.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use seawall_protocol::event::Event;
use seawall_protocol::{Attempt, CheckpointId};

use crate::Property;
use crate::history::{History, completed_by};
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "restored-is-newest",
    rule: "O7, P4, T13",
    about: "every attempt restores the newest completed checkpoint, the same one in all its subtasks",
    check,
};

/// Follows deployments.
///
/// # Errors
/// The attempt that was restored from something else.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut committed: Option<CheckpointId> = None;
    let mut newest: Option<CheckpointId> = None;
    let mut ordered: BTreeMap<Attempt, Option<CheckpointId>> = BTreeMap::new();
    let mut ready = Vec::new();
    for recorded in &history.events {
        newest = newest.max(completed_by(&recorded.event));
        if let Event::AttemptDeployed { attempt, restore } = recorded.event {
            ordered.insert(attempt, restore);
            if restore != newest {
                let message = format!(
                    "attempt {attempt} restores {} and the newest completed is {}, {}",
                    or_nothing(restore),
                    or_nothing(newest),
                    stamp(recorded),
                );
                return Err(Violation::of(&PROPERTY, message));
            }
            if restore < committed {
                let message = format!(
                    "attempt {attempt} restores {} after a sink committed {}, {}",
                    or_nothing(restore),
                    or_nothing(committed),
                    stamp(recorded),
                );
                return Err(Violation::of(&PROPERTY, message));
            }
        }
        if let Event::TransactionCommitted { checkpoint, .. } = recorded.event {
            committed = committed.max(Some(checkpoint));
        }
        if let Event::SubtaskReady { attempt, restored } = recorded.event {
            ready.push((attempt, restored, recorded));
        }
    }
    let mut strange = ready.iter().filter_map(|(attempt, restored, recorded)| {
        let ordered = *ordered.get(&attempt.attempt)?;
        (ordered != *restored).then_some((attempt, ordered, *restored, *recorded))
    });
    if let Some((attempt, ordered, restored, recorded)) = strange.next() {
        let message = format!(
            "{attempt} was to restore {} and restored {}, {}",
            or_nothing(ordered),
            or_nothing(restored),
            stamp(recorded),
        );
        return Err(Violation::of(&PROPERTY, message));
    }
    Ok(())
}

fn or_nothing(checkpoint: Option<CheckpointId>) -> String {
    checkpoint.map_or_else(|| "nothing".into(), |checkpoint| checkpoint.to_string())
}

#[cfg(test)]
mod tests {
    use seawall_protocol::{AttemptId, FencingToken, SubtaskId};

    use super::*;

    const NODE: &str = "coordinator-1";

    fn completed(checkpoint: u64) -> (&'static str, Event) {
        (NODE, Event::CheckpointCompleted { checkpoint: CheckpointId(checkpoint) })
    }

    fn deployed(attempt: u32, restore: Option<u64>) -> (&'static str, Event) {
        let restore = restore.map(CheckpointId);
        (NODE, Event::AttemptDeployed { attempt: Attempt(attempt), restore })
    }

    fn ready(attempt: u32, restored: Option<u64>) -> (&'static str, Event) {
        let attempt = AttemptId { subtask: SubtaskId::new(0, 0), attempt: Attempt(attempt) };
        ("worker-1", Event::SubtaskReady { attempt, restored: restored.map(CheckpointId) })
    }

    #[test]
    fn the_newest_completed_checkpoint_holds() {
        let history = [
            deployed(1, None),
            ready(1, None),
            completed(1),
            completed(3),
            deployed(2, Some(3)),
            ready(2, Some(3)),
        ];
        check(&History::from_events(history)).expect("holds");
    }

    #[test]
    fn a_checkpoint_that_only_the_store_knows_counts_as_completed() {
        let started =
            Event::CoordinatorStarted { token: FencingToken(2), restored: Some(CheckpointId(7)) };
        let history = [completed(6), (NODE, started), deployed(2, Some(7))];
        check(&History::from_events(history)).expect("holds");
    }

    #[test]
    fn an_older_checkpoint_is_named() {
        let history = [completed(1), completed(3), deployed(2, Some(1))];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert!(
            violation.message.starts_with("attempt 2 restores 1 and the newest completed is 3")
        );
    }

    #[test]
    fn a_checkpoint_that_never_completed_is_named() {
        check(&History::from_events([completed(1), deployed(2, Some(2))])).expect_err("violated");
    }

    #[test]
    fn a_checkpoint_below_a_committed_transaction_is_named() {
        let attempt = AttemptId { subtask: SubtaskId::new(2, 0), attempt: Attempt(1) };
        let commit =
            Event::TransactionCommitted { attempt, checkpoint: CheckpointId(2), restored: false };
        let history = [completed(1), ("worker-1", commit), deployed(2, Some(1))];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert!(violation.message.contains("after a sink committed 2"), "{violation}");
    }

    #[test]
    fn a_subtask_that_restored_something_else_is_named() {
        let history = [completed(1), completed(2), deployed(2, Some(2)), ready(2, Some(1))];
        check(&History::from_events(history)).expect_err("violated");
        // A worker may be faster than the coordinator's own word.
        let history = [completed(1), completed(2), ready(2, Some(1)), deployed(2, Some(2))];
        check(&History::from_events(history)).expect_err("violated");
    }
}
