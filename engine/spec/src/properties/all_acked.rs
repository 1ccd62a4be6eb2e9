//! All acked (G2, H1, and A3 of the models): a checkpoint is whole.
//!
//! ```text
//! checkpoint-completed { n }, where the acks of n are of attempt a:
//!     all acks of n are of a
//!     every subtask that started in a acked n before, or had finished before (N1)
//!     its manifest was written before
//! ```

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use seawall_protocol::event::Event;
use seawall_protocol::{Attempt, AttemptId, CheckpointId, SubtaskId};

use crate::Property;
use crate::history::History;
use crate::violation::{Violation, stamp};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "all-acked",
    rule: "G2, H1",
    about: "a checkpoint completes only when every subtask of one attempt acked it and its manifest is durable",
    check,
};

/// Follows starts, acks, manifests and completions.
///
/// # Errors
/// The completed checkpoint that is not whole, and the subtasks that are missing in it.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut started: BTreeMap<Attempt, BTreeSet<SubtaskId>> = BTreeMap::new();
    let mut acked: BTreeMap<CheckpointId, BTreeMap<SubtaskId, Attempt>> = BTreeMap::new();
    let mut finished: BTreeSet<AttemptId> = BTreeSet::new();
    let mut manifests: BTreeSet<CheckpointId> = BTreeSet::new();
    for recorded in &history.events {
        if let Event::SubtaskReady { attempt, .. } = recorded.event {
            started.entry(attempt.attempt).or_default().insert(attempt.subtask);
        }
        if let Event::SnapshotAcked { attempt, checkpoint } = recorded.event {
            acked.entry(checkpoint).or_default().insert(attempt.subtask, attempt.attempt);
        }
        if let Event::SubtaskFinished { attempt } = recorded.event {
            finished.insert(attempt);
        }
        if let Event::ManifestWritten { checkpoint } = recorded.event {
            manifests.insert(checkpoint);
        }
        let Event::CheckpointCompleted { checkpoint } = recorded.event else { continue };
        let acks = acked.get(&checkpoint);
        let attempts: BTreeSet<Attempt> =
            acks.into_iter().flat_map(|acks| acks.values().copied()).collect();
        let fault = if attempts.len() != 1 {
            Some(format!("has acks of {} attempts", attempts.len()))
        } else if manifests.contains(&checkpoint) {
            None
        } else {
            Some("has no manifest".to_string())
        };
        if let Some(fault) = fault {
            let message =
                format!("checkpoint {checkpoint} completed and {fault}, {}", stamp(recorded));
            return Err(Violation::of(&PROPERTY, message));
        }
        let owes = |attempt: Attempt, subtask: SubtaskId| {
            acks.is_none_or(|acks| !acks.contains_key(&subtask))
                && !finished.contains(&AttemptId { subtask, attempt })
        };
        let missing: Vec<SubtaskId> = attempts
            .iter()
            .filter_map(|attempt| Some((*attempt, started.get(attempt)?)))
            .flat_map(|(attempt, all)| all.iter().copied().filter(move |it| owes(attempt, *it)))
            .collect();
        if !missing.is_empty() {
            let message =
                format!("checkpoint {checkpoint} completed without every ack, {}", stamp(recorded));
            return Err(Violation::of(&PROPERTY, message)
                .with_details(missing.into_iter().map(|subtask| format!("no ack of {subtask}"))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32, attempt: u32) -> AttemptId {
        AttemptId { subtask: SubtaskId::new(1, index), attempt: Attempt(attempt) }
    }

    fn ready(index: u32, attempt: u32) -> (&'static str, Event) {
        ("worker-1", Event::SubtaskReady { attempt: id(index, attempt), restored: None })
    }

    fn acked(index: u32, attempt: u32) -> (&'static str, Event) {
        let (attempt, checkpoint) = (id(index, attempt), CheckpointId(1));
        ("coordinator-1", Event::SnapshotAcked { attempt, checkpoint })
    }

    fn written() -> (&'static str, Event) {
        ("coordinator-1", Event::ManifestWritten { checkpoint: CheckpointId(1) })
    }

    fn completed() -> (&'static str, Event) {
        ("coordinator-1", Event::CheckpointCompleted { checkpoint: CheckpointId(1) })
    }

    #[test]
    fn a_whole_checkpoint_holds() {
        let history = [ready(0, 1), ready(1, 1), acked(1, 1), acked(0, 1), written(), completed()];
        check(&History::from_events(history)).expect("holds");
    }

    #[test]
    fn a_missing_ack_is_named() {
        let history = [ready(0, 1), ready(1, 1), acked(1, 1), written(), completed()];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert_eq!(violation.details, ["no ack of op1/0"]);
    }

    #[test]
    fn a_subtask_that_finished_before_owes_nothing() {
        let finished = ("worker-1", Event::SubtaskFinished { attempt: id(0, 1) });
        let first = [ready(0, 1), ready(1, 1), finished.clone(), acked(1, 1), written()];
        check(&History::from_events(first.into_iter().chain([completed()]))).expect("holds");
        let later = [ready(0, 1), ready(1, 1), acked(1, 1), written(), completed(), finished];
        check(&History::from_events(later)).expect_err("violated");
    }

    #[test]
    fn acks_of_two_attempts_are_named() {
        let history = [acked(0, 1), acked(1, 2), written(), completed()];
        check(&History::from_events(history)).expect_err("violated");
    }

    #[test]
    fn a_completion_before_the_manifest_is_named() {
        let history = [ready(0, 1), acked(0, 1), completed(), written()];
        let violation = check(&History::from_events(history)).expect_err("violated");
        assert!(violation.message.contains("has no manifest"), "{violation}");
    }
}
