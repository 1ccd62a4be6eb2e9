//! Planted bugs of one subtask: snapshots, acks, transactions, the end of input.

use seawall_protocol::subtask::{self, Effect, Input, Plan};
use seawall_protocol::tamper::Tamper;

use super::Plant;

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "ack-before-durable",
        about: "the snapshot is acked when it is taken, not when it is durable",
        bug: "FLINK-20552: the sink acked the barrier with records still in memory",
        rules: &["F7"],
        violates: "durable-before-ack",
        model: Some("commit"),
        model_property: "durable-before-ack",
        in_simulator: false,
        tamper: || Box::new(AckBeforeDurable),
    },
    Plant {
        name: "failed-snapshot-is-acked",
        about: "a snapshot that could not be written is acked",
        bug: "FLINK-36421: a flush that failed was not an error",
        rules: &["F6"],
        violates: "durable-before-ack",
        model: Some("commit"),
        model_property: "durable-before-ack",
        in_simulator: false,
        tamper: || Box::new(FailedSnapshotIsAcked),
    },
    Plant {
        name: "commit-with-the-snapshot",
        about: "the sink commits when it pre-commits, before the checkpoint is completed",
        bug: "Iceberg #10765: committed although the checkpoint failed",
        rules: &["K2", "H1"],
        violates: "commit-after-completion",
        model: Some("commit"),
        model_property: "commit-after-completion",
        in_simulator: true,
        tamper: || Box::new(CommitWithTheSnapshot),
    },
    Plant {
        name: "commit-failure-is-success",
        about: "a commit that failed counts as done",
        bug: "Arroyo #224: a commit without its transaction was logged and answered with success",
        rules: &["K8"],
        violates: "exactly-once-output",
        model: Some("commit"),
        model_property: "exactly-once-output",
        in_simulator: true,
        tamper: || Box::new(CommitFailureIsSuccess),
    },
    Plant {
        name: "final-commit-is-skipped",
        about: "the subtask finishes when the final checkpoint completes, without committing it",
        bug: "FLINK-23408 (FLIP-147): the last records of a bounded job were never committed",
        rules: &["N3"],
        violates: "exactly-once-output",
        model: Some("commit"),
        model_property: "exactly-once-output",
        in_simulator: true,
        tamper: || Box::new(FinalCommitIsSkipped),
    },
    Plant {
        name: "lingering-transactions-stay",
        about: "a restored sink does not remove the transactions of its dead predecessors",
        bug: "FLINK-23854: lingering transactions were not aborted after a restore",
        rules: &["K5"],
        violates: "no-orphans",
        model: Some("commit"),
        model_property: "no-orphans",
        in_simulator: true,
        tamper: || Box::new(LingeringTransactionsStay),
    },
];

struct AckBeforeDurable;
impl Tamper for AckBeforeDurable {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        let taken = effects.iter().find_map(|effect| {
            if let Effect::Snapshot(barrier) = effect { Some(barrier.checkpoint) } else { None }
        });
        effects.retain(|effect| !matches!(effect, Effect::Ack(_)));
        effects.extend(taken.map(Effect::Ack));
    }
}

struct FailedSnapshotIsAcked;
impl Tamper for FailedSnapshotIsAcked {
    fn admits_to_subtask(&self, _: &Plan, input: &mut Input) -> bool {
        if let Input::SnapshotFailed(checkpoint) = *input {
            *input = Input::SnapshotDurable(checkpoint);
        }
        true
    }
}

struct CommitWithTheSnapshot;
impl Tamper for CommitWithTheSnapshot {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        // Behind the snapshot, which still holds the transaction: it was not known to be committed.
        let early = effects.iter().find_map(|effect| {
            if let Effect::PreCommit(checkpoint) = effect { Some(*checkpoint) } else { None }
        });
        effects.extend(early.map(Effect::Commit));
    }
}

struct CommitFailureIsSuccess;
impl Tamper for CommitFailureIsSuccess {
    fn admits_to_subtask(&self, _: &Plan, input: &mut Input) -> bool {
        if let Input::CommitFailed { checkpoint, .. } = *input {
            *input = Input::Committed(checkpoint);
        }
        true
    }
}

struct FinalCommitIsSkipped;
impl Tamper for FinalCommitIsSkipped {
    fn after_subtask(&self, _: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        if let Input::Completed { is_final: true, .. } = input {
            for effect in effects {
                if matches!(effect, Effect::Commit(_)) {
                    *effect = Effect::Finish;
                }
            }
        }
    }
}

struct LingeringTransactionsStay;
impl Tamper for LingeringTransactionsStay {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|effect| *effect != subtask::Effect::AbortLingering);
    }
}
