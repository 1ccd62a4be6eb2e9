//! Finish after checkpoint (N3, K13): who is gone is not needed any more.
//!
//! ```text
//! subtask-finished { attempt a }
//!     some n completed before it, and holds the end of a:
//!         a ended, or was restored at its end, then took its snapshot of n
//!         or a was restored from n, which held an earlier attempt's end
//!         or the job stops with n, and a acked n or was restored from it (N7)
//!     whatever a pre-committed is visible
//! ```
//!
//! A checkpoint that completed after an attempt finished, without its ack, holds its end too.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;

use seawall_protocol::event::Event;
use seawall_protocol::{Attempt, AttemptId, CheckpointId, SubtaskId};

use crate::Property;
use crate::history::{History, Recorded, completed_by};
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "finish-after-checkpoint",
    rule: "N3, K13",
    about: "a subtask finishes once a completed checkpoint holds its end and all it pre-committed is visible",
    check,
};

/// Follows ends, snapshots, completions, commits and finishes.
///
/// # Errors
/// The first subtask that finished too early, and what it left.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut seen = Seen::default();
    history.events.iter().try_for_each(|recorded| {
        seen.on(&recorded.event);
        if let Event::SubtaskFinished { attempt } = recorded.event {
            seen.judge(attempt, recorded)
        } else {
            Ok(())
        }
    })
}

#[derive(Default)]
struct Seen {
    attempt: Attempt,
    completed: BTreeSet<CheckpointId>,
    ended: BTreeSet<AttemptId>,
    finished: BTreeSet<AttemptId>,
    restored_from: BTreeMap<AttemptId, CheckpointId>,
    acked: BTreeSet<(AttemptId, CheckpointId)>,
    /// Snapshots taken after the end, or by an attempt that was restored at it.
    taken: BTreeSet<(AttemptId, CheckpointId)>,
    /// Completed checkpoints that hold the end of a subtask.
    held: BTreeSet<(SubtaskId, CheckpointId)>,
    open: BTreeSet<(AttemptId, CheckpointId)>,
    /// What the job stops with.
    stop: Option<CheckpointId>,
}

impl Seen {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other events say nothing of ends")]
    fn on(&mut self, event: &Event) {
        if let Some(checkpoint) = completed_by(event) {
            self.on_completed(checkpoint);
        }
        match *event {
            Event::AttemptDeployed { attempt, .. } => self.attempt = attempt,
            Event::SubtaskReady { attempt, restored: Some(restored) } => {
                self.restored_from.insert(attempt, restored);
            }
            Event::SubtaskEnded { attempt } => {
                self.ended.insert(attempt);
            }
            Event::SnapshotTaken { attempt, checkpoint } if self.has_ended(attempt) => {
                self.taken.insert((attempt, checkpoint));
            }
            Event::SnapshotAcked { attempt, checkpoint } => {
                self.acked.insert((attempt, checkpoint));
            }
            Event::TransactionPrecommitted { attempt, checkpoint } => {
                self.open.insert((attempt, checkpoint));
            }
            Event::TransactionCommitted { attempt, checkpoint, .. } => {
                self.open.remove(&(attempt, checkpoint));
            }
            Event::JobStopping { checkpoint } => self.stop = Some(checkpoint),
            Event::SubtaskFinished { attempt } => {
                self.finished.insert(attempt);
            }
            _ => {}
        }
    }

    /// An attempt that was restored at the end says that it ended only once its channels did.
    fn has_ended(&self, by: AttemptId) -> bool {
        let held = |restored: &CheckpointId| self.held.contains(&(by.subtask, *restored));
        self.ended.contains(&by) || self.restored_from.get(&by).is_some_and(held)
    }

    fn on_completed(&mut self, checkpoint: CheckpointId) {
        self.completed.insert(checkpoint);
        let taken = self.taken.iter().filter(|it| it.1 == checkpoint && self.acked.contains(it));
        self.held.extend(taken.map(|(attempt, checkpoint)| (attempt.subtask, *checkpoint)));
        let gone = self
            .finished
            .iter()
            .filter(|it| it.attempt == self.attempt && !self.acked.contains(&(**it, checkpoint)));
        self.held.extend(gone.map(|it| (it.subtask, checkpoint)));
    }

    fn judge(&self, by: AttemptId, recorded: &Recorded) -> Result<(), Violation> {
        let holds_end = |checkpoint: &CheckpointId| {
            self.held.contains(&(by.subtask, *checkpoint))
                && (self.taken.contains(&(by, *checkpoint))
                    || self.restored_from.get(&by) == Some(checkpoint))
        };
        let stops = |stop: CheckpointId| {
            self.acked.contains(&(by, stop)) || self.restored_from.get(&by) == Some(&stop)
        };
        if !self.completed.iter().any(holds_end) && !self.stop.is_some_and(stops) {
            let message = format!(
                "{by} finished and no completed checkpoint holds its end, {}",
                stamp(recorded)
            );
            return Err(Violation::of(&PROPERTY, message));
        }
        let open = self.open.iter().filter(|it| it.0 == by).map(|it| it.1);
        if open.clone().next().is_some() {
            let message = format!("{by} finished and left transactions, {}", stamp(recorded));
            let left = open.map(|it| format!("the transaction of checkpoint {it} is not visible"));
            return Err(Violation::of(&PROPERTY, message).with_details(left));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: &str = "coordinator-1";
    const W: &str = "worker-1";

    fn id(attempt: u32) -> AttemptId {
        AttemptId { subtask: SubtaskId::new(0, 0), attempt: Attempt(attempt) }
    }

    fn ended() -> (&'static str, Event) {
        (W, Event::SubtaskEnded { attempt: id(1) })
    }

    fn snapshot(checkpoint: u64) -> [(&'static str, Event); 2] {
        let (attempt, checkpoint) = (id(1), CheckpointId(checkpoint));
        [
            (W, Event::SnapshotTaken { attempt, checkpoint }),
            (C, Event::SnapshotAcked { attempt, checkpoint }),
        ]
    }

    fn completed(checkpoint: u64) -> (&'static str, Event) {
        (C, Event::CheckpointCompleted { checkpoint: CheckpointId(checkpoint) })
    }

    fn finished(attempt: u32) -> (&'static str, Event) {
        (W, Event::SubtaskFinished { attempt: id(attempt) })
    }

    fn ready(attempt: u32, restored: u64) -> (&'static str, Event) {
        let restored = Some(CheckpointId(restored));
        (W, Event::SubtaskReady { attempt: id(attempt), restored })
    }

    fn deployed(attempt: u32) -> (&'static str, Event) {
        (C, Event::AttemptDeployed { attempt: Attempt(attempt), restore: None })
    }

    // Rules: N7
    #[test]
    fn a_subtask_of_a_job_that_stops_finishes_without_an_end() {
        let stopping = (C, Event::JobStopping { checkpoint: CheckpointId(1) });
        let [taken, acked] = snapshot(1);
        let events = [taken.clone(), acked.clone(), completed(1), stopping.clone(), finished(1)];
        check(&History::from_events(events)).expect("holds");
        check(&History::from_events([taken, acked, completed(1), finished(1)]))
            .expect_err("violated");
        let restored = [stopping, ready(2, 1), finished(2)];
        check(&History::from_events(restored)).expect("holds");
    }

    // Rules: N3
    #[test]
    fn a_finish_after_a_checkpoint_that_holds_the_end_is_good() {
        let [taken, acked] = snapshot(2);
        let history = [ended(), taken, acked, completed(2), finished(1)];
        check(&History::from_events(history)).expect("holds");
    }

    // Rules: N3
    #[test]
    fn a_finish_after_a_checkpoint_from_before_the_end_is_named() {
        let [taken, acked] = snapshot(2);
        let history = [taken, acked, ended(), completed(2), finished(1)];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert!(violation.message.contains("no completed checkpoint holds its end"), "{violation}");
    }

    // Rules: N2, N3
    #[test]
    fn an_attempt_restored_from_a_checkpoint_without_its_predecessor_may_finish_at_once() {
        let [taken, acked] = snapshot(1);
        let first = [deployed(1), ended(), taken, acked, completed(1), finished(1), completed(2)];
        let history = first.into_iter().chain([deployed(2), ready(2, 2), finished(2)]);
        check(&History::from_events(history)).expect("holds");
        let not_held = [deployed(1), completed(2), deployed(2), ready(2, 2), finished(2)];
        check(&History::from_events(not_held)).expect_err("violated");
    }

    // Rules: N2, N3
    #[test]
    fn a_snapshot_of_an_attempt_restored_at_its_end_holds_the_end_before_it_is_said_again() {
        let [taken, acked] = snapshot(1);
        let first = [deployed(1), ended(), taken, acked, completed(1)];
        let second = [
            deployed(2),
            ready(2, 1),
            (W, Event::SnapshotTaken { attempt: id(2), checkpoint: CheckpointId(2) }),
            (C, Event::SnapshotAcked { attempt: id(2), checkpoint: CheckpointId(2) }),
            completed(2),
        ];
        let third = [deployed(3), ready(3, 2), finished(3)];
        let history = first.into_iter().chain(second).chain(third);
        check(&History::from_events(history)).expect("holds");
    }

    // Rules: K13
    #[test]
    fn a_finish_that_overtakes_a_commit_is_named() {
        let [taken, acked] = snapshot(2);
        let transaction =
            Event::TransactionPrecommitted { attempt: id(1), checkpoint: CheckpointId(2) };
        let history = [ended(), (W, transaction), taken, acked, completed(2), finished(1)];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert_eq!(violation.details, ["the transaction of checkpoint 2 is not visible"]);
    }
}
