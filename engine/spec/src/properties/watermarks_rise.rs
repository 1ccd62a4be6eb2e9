//! Watermarks rise (L3, T10): event time never goes back in an attempt of a subtask.
//!
//! ```text
//! for each attempt of a subtask:   the times it goes by never fall
//! ```
//!
//! That they say nothing that is not true, across every restore, shows in the output of a job that sorts by them:
//! see [`crate::records_in_order`].

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use seawall_protocol::event::Event;

use crate::Property;
use crate::history::History;
use crate::violation::Violation;

/// See the module.
pub const PROPERTY: Property = Property {
    name: "watermarks-rise",
    rule: "L3, T10",
    about: "in an attempt of a subtask event time never goes back",
    check,
};

/// Looks for a watermark below one before it.
///
/// # Errors
/// Each attempt in which there is one, with the first.
pub fn check(history: &History) -> Result<(), Violation> {
    let (mut newest, mut fallen) = (BTreeMap::new(), BTreeMap::new());
    for recorded in &history.events {
        let Event::WatermarkAdvanced { attempt, time, is_idle: _ } = recorded.event else {
            continue;
        };
        let before = newest.insert(attempt, time).filter(|before| time < *before);
        if let Some(before) = before {
            fallen.entry(attempt).or_insert_with(|| format!("{attempt}: {time} after {before}"));
        }
    }
    if fallen.is_empty() {
        return Ok(());
    }
    let message = format!("event time went back in {} attempts of subtasks", fallen.len());
    Err(Violation::of(&PROPERTY, message).with_details(fallen.into_values().collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use seawall_protocol::{Attempt, AttemptId, EventTime, SubtaskId};

    use super::*;

    fn history(advanced: &[(u32, u32, i64)]) -> History {
        History::from_events(advanced.iter().map(|(index, attempt, time)| {
            let attempt =
                AttemptId { subtask: SubtaskId::new(1, *index), attempt: Attempt(*attempt) };
            let (time, is_idle) = (EventTime(*time), false);
            ("worker-1", Event::WatermarkAdvanced { attempt, time, is_idle })
        }))
    }

    // Rules: L3
    #[test]
    fn times_that_rise_or_stay_hold_and_each_attempt_has_its_own() {
        check(&history(&[(0, 1, 5), (1, 1, 3), (0, 1, 5), (0, 1, 9), (0, 2, 4)])).expect("holds");
    }

    // Rules: T10
    #[test]
    fn a_time_that_falls_is_told_with_its_attempt() {
        let violation = check(&history(&[(0, 1, 5), (1, 1, 3), (0, 1, 4), (0, 1, 3), (1, 1, 6)]))
            .expect_err("violated");
        assert_eq!(violation.message, "event time went back in 1 attempts of subtasks");
        assert_eq!(violation.details, ["op1/0#1: 4 ms after 5 ms"]);
    }
}
