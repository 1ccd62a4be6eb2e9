//! All acked (G2, H1, and A3 of the models): a checkpoint is whole.
//!
//! ```text
//! checkpoint-completed { n }, where the acks of n are of attempt a:
//!     all acks of n are of a
//!     every subtask that started in a acked n before
//!     its manifest was written before
//! ```

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;

use seawall_protocol::event::Event;
use seawall_protocol::{Attempt, CheckpointId, SubtaskId};

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
    let mut manifests: BTreeSet<CheckpointId> = BTreeSet::new();
    for recorded in &history.events {
        if let Event::SubtaskReady { attempt, .. } = recorded.event {
            started.entry(attempt.attempt).or_default().insert(attempt.subtask);
        }
        if let Event::SnapshotAcked { attempt, checkpoint } = recorded.event {
            acked.entry(checkpoint).or_default().insert(attempt.subtask, attempt.attempt);
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
        let missing = attempts
            .iter()
            .filter_map(|attempt| started.get(attempt))
            .flatten()
            .filter(|subtask| acks.is_none_or(|acks| !acks.contains_key(subtask)));
        if missing.clone().next().is_some() {
            let message =
                format!("checkpoint {checkpoint} completed without every ack, {}", stamp(recorded));
            return Err(Violation::of(&PROPERTY, message)
                .with_details(missing.map(|subtask| format!("no ack of {subtask}"))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use seawall_protocol::AttemptId;

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
