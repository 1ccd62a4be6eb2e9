//! Ids increase (A1, A4, T6): checkpoints and attempts are numbered upwards over all leaders, once.
//!
//! ```text
//! triggered, completed, deployed: each sequence strictly increasing in the order of the history
//! ```
//!
//! A leader that was paused may say late what it did before it was replaced. Its late words are judged by
//! `one-leader`; here only the newest leader's node speaks.

use alloc::format;
use alloc::string::String;

use seawall_protocol::event::Event;

use crate::Property;
use crate::history::History;
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "ids-increase",
    rule: "A1, A4, T6",
    about: "checkpoint ids and attempt numbers strictly increase over all leaders",
    check,
};

/// Follows the three sequences.
///
/// # Errors
/// The first id that is not above the one before it.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut leader: Option<&String> = None;
    let mut newest = [None::<u64>; 3];
    for recorded in &history.events {
        if let Event::CoordinatorStarted { .. } = recorded.event {
            leader = Some(&recorded.node);
        }
        let Some((sequence, id)) = numbered(&recorded.event) else { continue };
        if leader.is_some_and(|leader| *leader != recorded.node) {
            continue;
        }
        if let Some(before) = newest[sequence]
            && before >= id
        {
            let message =
                format!("{} {id} after {before}, {}", recorded.event.name(), stamp(recorded));
            return Err(Violation::of(&PROPERTY, message));
        }
        newest[sequence] = Some(id);
    }
    Ok(())
}

fn numbered(event: &Event) -> Option<(usize, u64)> {
    if let Event::CheckpointTriggered { checkpoint, is_final: _ } = event {
        return Some((0, checkpoint.0));
    }
    if let Event::CheckpointCompleted { checkpoint } = event {
        return Some((1, checkpoint.0));
    }
    if let Event::AttemptDeployed { attempt, restore: _ } = event {
        return Some((2, u64::from(attempt.0)));
    }
    None
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use seawall_protocol::{Attempt, CheckpointId, FencingToken};

    use super::*;

    fn triggered(ids: &[u64]) -> History {
        let events: Vec<_> = ids
            .iter()
            .map(|&id| Event::CheckpointTriggered { checkpoint: CheckpointId(id), is_final: false })
            .map(|event| ("coordinator-1", event))
            .collect();
        History::from_events(events)
    }

    #[test]
    fn gaps_are_allowed() {
        check(&triggered(&[1, 2, 5])).expect("holds");
    }

    #[test]
    fn an_id_used_twice_is_named() {
        let violation = check(&triggered(&[1, 2, 2])).expect_err("violated");
        assert_eq!(
            violation.message,
            "checkpoint-triggered 2 after 2, at 0.000003s on coordinator-1"
        );
    }

    #[test]
    fn an_attempt_number_used_by_two_leaders_is_named() {
        let deployed = Event::AttemptDeployed { attempt: Attempt(1), restore: None };
        let started =
            |token| Event::CoordinatorStarted { token: FencingToken(token), restored: None };
        let history = History::from_events([
            ("coordinator-1", started(1)),
            ("coordinator-1", deployed.clone()),
            ("coordinator-2", started(2)),
            ("coordinator-2", deployed),
        ]);
        check(&history).expect_err("violated");
    }
}
