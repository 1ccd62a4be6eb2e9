//! Bounded memory: a slow receiver slows its senders, and nothing between them grows.
//!
//! ```text
//! for each input channel, at any time:   batches that its subtask has not taken <= its capacity
//! ```
//!
//! What waits at a sender is bounded by what one input of it gives rise to: it takes no other meanwhile.

use alloc::format;

use crate::Property;
use crate::history::History;
use crate::violation::Violation;

/// See the module.
pub const PROPERTY: Property = Property {
    name: "bounded-memory",
    rule: "backpressure",
    about: "no channel holds more batches than it has room for",
    check,
};

/// Looks at the fullest channel.
///
/// # Errors
/// How full it was.
pub fn check(history: &History) -> Result<(), Violation> {
    let (longest, capacity) = (history.longest_queue, history.queue_capacity);
    if longest <= capacity {
        return Ok(());
    }
    let message = format!("a channel held {longest} batches and has room for {capacity}");
    Err(Violation::of(&PROPERTY, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_channel_holds() {
        check(&History { longest_queue: 8, queue_capacity: 8, ..History::default() })
            .expect("holds");
    }

    #[test]
    fn a_channel_that_is_more_than_full_is_told_with_its_size() {
        let history = History { longest_queue: 9, queue_capacity: 8, ..History::default() };
        let violation = check(&history).expect_err("violated");
        assert_eq!(violation.message, "a channel held 9 batches and has room for 8");
    }
}
