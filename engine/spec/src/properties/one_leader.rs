//! One leader (P1, P5, T12): each leadership has its own, larger token, and a replaced leader completes nothing.
//!
//! ```text
//! tokens of coordinator-started strictly increase
//! after coordinator-started { restored: r } of a newer leader, another node reports
//!     checkpoint-completed { n } only for n <= r
//! ```
//!
//! The second line allows a paused leader to say late what was durable before it was replaced: the newer
//! leader found it in the store.

use alloc::format;
use alloc::string::String;

use seawall_protocol::CheckpointId;
use seawall_protocol::event::Event;

use crate::Property;
use crate::history::History;
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "one-leader",
    rule: "P1, P5, T12",
    about: "fencing tokens strictly increase and a replaced leader completes nothing more",
    check,
};

/// Follows the leaderships.
///
/// # Errors
/// The token that was used twice, or the completion of a replaced leader.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut leader: Option<(&String, u64, Option<CheckpointId>)> = None;
    for recorded in &history.events {
        if let Event::CoordinatorStarted { token, restored } = recorded.event {
            if let Some((_, before, _)) = leader
                && before >= token.0
            {
                let message = format!("token {} after {before}, {}", token.0, stamp(recorded));
                return Err(Violation::of(&PROPERTY, message));
            }
            leader = Some((&recorded.node, token.0, restored));
        }
        if let Event::CheckpointCompleted { checkpoint } = recorded.event
            && let Some((node, token, restored)) = leader
            && *node != recorded.node
            && Some(checkpoint) > restored
        {
            let message = format!(
                "checkpoint {checkpoint} completed by a leader that {node} with token {token} had replaced, {}",
                stamp(recorded),
            );
            return Err(Violation::of(&PROPERTY, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use seawall_protocol::FencingToken;

    use super::*;

    fn started(token: u64, restored: Option<u64>) -> Event {
        let restored = restored.map(CheckpointId);
        Event::CoordinatorStarted { token: FencingToken(token), restored }
    }

    fn completed(checkpoint: u64) -> Event {
        Event::CheckpointCompleted { checkpoint: CheckpointId(checkpoint) }
    }

    #[test]
    fn late_words_of_a_replaced_leader_about_what_the_next_one_found_hold() {
        let history = History::from_events([
            ("coordinator-1", started(1, None)),
            ("coordinator-2", started(2, Some(4))),
            ("coordinator-1", completed(4)),
            ("coordinator-2", completed(5)),
        ]);
        check(&history).expect("holds");
    }

    #[test]
    fn a_token_used_twice_is_named() {
        let history = History::from_events([
            ("coordinator-1", started(2, None)),
            ("coordinator-2", started(2, None)),
        ]);
        let violation = check(&history).expect_err("violated");
        assert_eq!(violation.message, "token 2 after 2, at 0.000002s on coordinator-2");
    }

    #[test]
    fn a_replaced_leader_that_completes_a_checkpoint_is_named() {
        let history = History::from_events([
            ("coordinator-1", started(1, None)),
            ("coordinator-2", started(2, Some(4))),
            ("coordinator-1", completed(5)),
        ]);
        check(&history).expect_err("violated");
    }
}
