//! Savepoint stands (H7, K7, K14, N7): what was handed out is not taken back, and a stop is a stop.
//!
//! ```text
//! savepoint-completed { n }     no later attempt is deployed from below n
//! job-stopping { n }            no later checkpoint is triggered or completed, nothing above n is committed,
//!                               and every later attempt is deployed from n
//! the job stopped               the savepoint of its stop was completed
//! ```
//!
//! A job that fell back behind a savepoint would write again what the savepoint holds as written.

use alloc::format;
use alloc::string::String;

use seawall_protocol::CheckpointId;
use seawall_protocol::event::Event;

use crate::Property;
use crate::history::{Ending, History};
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "savepoint-stands",
    rule: "H7, K7, K14, N7",
    about: "no job falls back behind a savepoint that was handed out, or goes on behind one it stops with",
    check,
};

/// Follows savepoints and stops.
///
/// # Errors
/// What happened behind a stop, or the attempt that fell back.
pub fn check(history: &History) -> Result<(), Violation> {
    let (mut handed_out, mut stop) = (None::<CheckpointId>, None::<CheckpointId>);
    for recorded in &history.events {
        if let Event::SavepointCompleted { checkpoint } = recorded.event {
            handed_out = handed_out.max(Some(checkpoint));
        }
        if let Event::JobStopping { checkpoint } = recorded.event {
            stop = Some(checkpoint);
        }
        if let Some(what) = broken(&recorded.event, handed_out, stop) {
            return Err(Violation::of(&PROPERTY, format!("{what}, {}", stamp(recorded))));
        }
    }
    let has_stopped = matches!(history.ending, Ending::Stopped | Ending::Drained);
    if has_stopped && (stop.is_none() || handed_out < stop) {
        let message =
            String::from("the job stopped, and the savepoint of its stop was not completed");
        return Err(Violation::of(&PROPERTY, message));
    }
    Ok(())
}

fn broken(
    event: &Event,
    handed_out: Option<CheckpointId>,
    stop: Option<CheckpointId>,
) -> Option<String> {
    if let Event::AttemptDeployed { attempt, restore } = event {
        if *restore < handed_out {
            let savepoint = handed_out.expect("it is above something");
            return Some(format!("attempt {attempt} falls back behind savepoint {savepoint}"));
        }
        if stop.is_some() && *restore != stop {
            return Some(format!("attempt {attempt} does not restore what the job stops with"));
        }
    }
    let stop = stop?;
    let behind = |checkpoint: &CheckpointId| *checkpoint > stop;
    if let Event::CheckpointTriggered { checkpoint, .. } = event
        && behind(checkpoint)
    {
        return Some(format!("checkpoint {checkpoint} began behind the stop at {stop}"));
    }
    if let Event::CheckpointCompleted { checkpoint } = event
        && behind(checkpoint)
    {
        return Some(format!("checkpoint {checkpoint} completed behind the stop at {stop}"));
    }
    if let Event::TransactionCommitted { checkpoint, .. } = event
        && behind(checkpoint)
    {
        return Some(format!("transaction {checkpoint} was committed behind the stop at {stop}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use seawall_protocol::{Attempt, AttemptId, SubtaskId};

    use super::*;

    const C: &str = "coordinator-1";

    fn stopping(checkpoint: u64) -> (&'static str, Event) {
        (C, Event::JobStopping { checkpoint: CheckpointId(checkpoint) })
    }

    fn handed_out(checkpoint: u64) -> (&'static str, Event) {
        (C, Event::SavepointCompleted { checkpoint: CheckpointId(checkpoint) })
    }

    fn deployed(attempt: u32, restore: u64) -> (&'static str, Event) {
        let restore = Some(CheckpointId(restore));
        (C, Event::AttemptDeployed { attempt: Attempt(attempt), restore })
    }

    fn committed(checkpoint: u64) -> (&'static str, Event) {
        let attempt = AttemptId { subtask: SubtaskId::new(1, 0), attempt: Attempt(1) };
        let checkpoint = CheckpointId(checkpoint);
        ("worker-1", Event::TransactionCommitted { attempt, checkpoint, restored: false })
    }

    fn judged(events: Vec<(&'static str, Event)>, ending: Ending) -> Result<(), Violation> {
        check(&History { ending, ..History::from_events(events) })
    }

    // Rules: H7, N7
    #[test]
    fn a_job_that_commits_restores_and_hands_out_its_stop_holds() {
        let events = vec![
            handed_out(3),
            deployed(2, 4),
            stopping(5),
            deployed(3, 5),
            committed(5),
            handed_out(5),
        ];
        judged(events, Ending::Stopped).expect("holds");
    }

    // Rules: H7, K7
    #[test]
    fn an_attempt_that_falls_back_behind_a_savepoint_is_named() {
        let violation = judged(vec![handed_out(3), deployed(2, 2)], Ending::TimeUp);
        let message = violation.expect_err("violated").message;
        assert!(message.starts_with("attempt 2 falls back behind savepoint 3"), "{message}");
    }

    // Rules: N7, K14
    #[test]
    fn whatever_goes_on_behind_a_stop_is_named() {
        for event in [
            committed(6),
            deployed(2, 4),
            (C, Event::CheckpointTriggered { checkpoint: CheckpointId(6), is_final: false }),
            (C, Event::CheckpointCompleted { checkpoint: CheckpointId(6) }),
        ] {
            judged(vec![stopping(5), event], Ending::TimeUp).expect_err("violated");
        }
    }

    // Rules: N7
    #[test]
    fn a_job_that_stopped_without_its_savepoint_is_no_stopped_job() {
        judged(vec![stopping(5), handed_out(4)], Ending::Stopped).expect_err("violated");
        judged(vec![], Ending::Drained).expect_err("violated");
        judged(vec![stopping(5), handed_out(5)], Ending::Drained).expect("holds");
    }
}
