//! Within limits (B2, B3, G6): checkpoints are taken as often, as many at once, and fail as often as allowed.
//!
//! ```text
//! triggered:   fewer than max-concurrent were in flight                         (B2)
//!              min-pause has passed since the last completion, but for the final one   (B3)
//!              no more than tolerable failures since the last success in this attempt  (G6)
//! ```
//!
//! Judged where only the engine triggers: a person's checkpoint keeps no pause, a savepoint no limit. The
//! pause is judged where one checkpoint is in flight at most: the id of a second one may be reserved
//! already when the first is completed.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

use seawall_protocol::CheckpointId;
use seawall_protocol::event::Event;

use crate::Property;
use crate::history::{History, Limits, Recorded};
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "within-limits",
    rule: "B2, B3, G6",
    about: "checkpoints keep max-concurrent, min-pause and the tolerable failures",
    check,
};

/// Follows what is in flight, when the last one was completed, and what failed since.
///
/// # Errors
/// The first checkpoint that was triggered beyond a limit.
pub fn check(history: &History) -> Result<(), Violation> {
    let Some(limits) = &history.limits else { return Ok(()) };
    let mut seen = Seen::default();
    let mut leader: Option<&String> = None;
    for recorded in &history.events {
        if let Event::CoordinatorStarted { .. } = recorded.event {
            leader = Some(&recorded.node);
            seen = Seen::default();
        }
        if leader.is_some_and(|it| *it == recorded.node) {
            seen.on(recorded, limits)?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Seen {
    in_flight: BTreeSet<CheckpointId>,
    completed_at: Option<Duration>,
    failures: u32,
}

impl Seen {
    fn on(&mut self, recorded: &Recorded, limits: &Limits) -> Result<(), Violation> {
        if let Event::CheckpointTriggered { checkpoint, is_final } = recorded.event {
            self.judge(recorded, limits, is_final)?;
            self.in_flight.insert(checkpoint);
        }
        if let Event::CheckpointCompleted { checkpoint } = recorded.event {
            self.in_flight.remove(&checkpoint);
            self.completed_at = Some(recorded.at);
            self.failures = 0;
        }
        if let Event::CheckpointAborted { checkpoint, reason } = recorded.event {
            self.in_flight.remove(&checkpoint);
            self.failures += u32::from(reason.is_counted());
        }
        if let Event::AttemptFailed { .. } = recorded.event {
            self.failures = 0;
        }
        Ok(())
    }

    fn judge(&self, at: &Recorded, limits: &Limits, is_final: bool) -> Result<(), Violation> {
        let broken = if self.in_flight.len() >= limits.max_concurrent as usize {
            format!("{} were in flight, of {} allowed", self.in_flight.len(), limits.max_concurrent)
        } else if self.failures > limits.tolerable_failures {
            format!("{} failed, of {} tolerated", self.failures, limits.tolerable_failures)
        } else if let Some(completed) = self.completed_at
            && limits.max_concurrent == 1
            && !is_final
            && at.at < completed + limits.min_pause
        {
            format!(
                "only {:?} after the last completion, not {:?}",
                at.at.saturating_sub(completed),
                limits.min_pause
            )
        } else {
            return Ok(());
        };
        Err(Violation::of(&PROPERTY, format!("{} triggered, {broken}", stamp(at))))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use seawall_protocol::event::AbortReason;
    use seawall_protocol::{Attempt, FencingToken};

    use super::*;

    const LIMITS: Limits =
        Limits { max_concurrent: 1, min_pause: Duration::from_micros(2), tolerable_failures: 1 };

    fn triggered(id: u64) -> Event {
        Event::CheckpointTriggered { checkpoint: CheckpointId(id), is_final: false }
    }

    fn completed(id: u64) -> Event {
        Event::CheckpointCompleted { checkpoint: CheckpointId(id) }
    }

    fn expired(id: u64) -> Event {
        Event::CheckpointAborted { checkpoint: CheckpointId(id), reason: AbortReason::Expired }
    }

    fn noise() -> Event {
        Event::AttemptStarted { attempt: Attempt(1) }
    }

    /// The events come a microsecond apart.
    fn judged(limits: Limits, events: &[Event]) -> Result<(), Violation> {
        let started = Event::CoordinatorStarted { token: FencingToken(1), restored: None };
        let events: Vec<_> =
            [started].iter().chain(events).map(|it| ("coordinator", it.clone())).collect();
        check(&History { limits: Some(limits), ..History::from_events(events) })
    }

    // Rules: B2
    #[test]
    fn one_too_many_in_flight_is_named() {
        judged(LIMITS, &[triggered(1), expired(1), triggered(2)]).expect("one at a time");
        judged(LIMITS, &[triggered(1), triggered(2)]).expect_err("two at a time");
    }

    // Rules: B3
    #[test]
    fn a_trigger_within_the_pause_is_named() {
        let apart = [triggered(1), completed(1), noise(), triggered(2)];
        judged(LIMITS, &apart).expect("two microseconds");
        judged(LIMITS, &[triggered(1), completed(1), triggered(2)]).expect_err("one microsecond");
    }

    // Rules: G6
    #[test]
    fn an_attempt_that_outlives_its_budget_is_named() {
        let twice = [triggered(1), expired(1), triggered(2), expired(2)];
        let goes_on = [twice.as_slice(), &[triggered(3)]].concat();
        judged(LIMITS, &goes_on).expect_err("two failures, one tolerated");
        let failed = Event::AttemptFailed { attempt: Attempt(1), cause: String::new() };
        judged(LIMITS, &[twice.as_slice(), &[failed, triggered(3)]].concat())
            .expect("a new attempt");
    }
}
