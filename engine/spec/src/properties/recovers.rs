//! Recovers (T11, T14, T16): when the faults are healed, the job gets on.
//!
//! ```text
//! finished, or: a checkpoint that was triggered after the healing is completed
//! ```
//!
//! A job that failed for good did not recover; a scenario whose restart strategy is meant to give up does
//! not expect this property. What the run waited for is named, never just "stuck".

use alloc::format;
use alloc::string::String;

use seawall_protocol::event::Event;

use crate::Property;
use crate::history::{Ending, History};
use crate::violation::Violation;

/// See the module.
pub const PROPERTY: Property = Property {
    name: "recovers",
    rule: "T11, T14, T16",
    about: "after the last fault healed the job finishes or completes a new checkpoint",
    check,
};

/// Looks for progress after the healing.
///
/// # Errors
/// How the job failed, or what is pending.
pub fn check(history: &History) -> Result<(), Violation> {
    match &history.ending {
        Ending::Finished | Ending::Stopped | Ending::Drained => Ok(()),
        Ending::Cancelled if is_cancel_requested(history) => Ok(()),
        Ending::Cancelled => {
            Err(Violation::of(&PROPERTY, "the job was cancelled, and nobody asked for it".into()))
        }
        Ending::Failed(cause) => {
            Err(Violation::of(&PROPERTY, format!("the job failed for good: {cause}")))
        }
        Ending::TimeUp if has_new_checkpoint(history) => Ok(()),
        Ending::TimeUp => {
            let healed = history.healed_at.as_secs_f64();
            let message = format!("no new checkpoint completed after the healing at {healed:.6}s");
            let pending = history.pending.iter().map(|what| format!("pending: {what}"));
            let nothing = history.pending.is_empty().then(|| String::from("nothing is pending"));
            Err(Violation::of(&PROPERTY, message).with_details(pending.chain(nothing)))
        }
    }
}

fn is_cancel_requested(history: &History) -> bool {
    history.events.iter().any(|it| it.event == Event::CancelRequested)
}

fn has_new_checkpoint(history: &History) -> bool {
    let after = history.events.iter().filter(|recorded| recorded.at >= history.healed_at);
    let mut triggered = alloc::collections::BTreeSet::new();
    for recorded in after {
        if let Event::CheckpointTriggered { checkpoint, is_final: _ } = recorded.event {
            triggered.insert(checkpoint);
        }
        if let Event::CheckpointCompleted { checkpoint } = recorded.event
            && triggered.contains(&checkpoint)
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use alloc::vec;

    use seawall_protocol::CheckpointId;

    use super::*;

    fn history(healed_at_micros: u64) -> History {
        let checkpoint = CheckpointId(3);
        let mut history = History::from_events([
            ("coordinator-1", Event::CheckpointTriggered { checkpoint, is_final: false }),
            ("coordinator-1", Event::CheckpointCompleted { checkpoint }),
        ]);
        history.healed_at = Duration::from_micros(healed_at_micros);
        history
    }

    #[test]
    fn a_new_checkpoint_after_the_healing_holds() {
        check(&history(1)).expect("holds");
    }

    #[test]
    fn a_checkpoint_from_before_the_healing_does_not_count_and_what_is_pending_is_named() {
        let stuck = History { pending: vec!["op1/0#2 waits for ch1".into()], ..history(2) };
        let violation = check(&stuck).expect_err("violated");
        assert_eq!(violation.details, ["pending: op1/0#2 waits for ch1"]);
    }

    #[test]
    fn a_cancelled_job_holds_when_somebody_asked_for_it() {
        let asked = History::from_events([("coordinator-1", Event::CancelRequested)]);
        check(&History { ending: Ending::Cancelled, ..asked }).expect("holds");
        check(&History { ending: Ending::Cancelled, ..history(1) }).expect_err("violated");
    }

    #[test]
    fn a_finished_job_holds_and_a_failed_one_does_not() {
        check(&History { ending: Ending::Finished, ..history(9) }).expect("holds");
        let failed = History { ending: Ending::Failed("budget".into()), ..history(1) };
        check(&failed).expect_err("violated");
    }
}
