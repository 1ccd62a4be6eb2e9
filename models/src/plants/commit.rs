//! Planted bugs of one subtask: snapshots, acks, transactions, the end of input.

use seawall_protocol::CheckpointId;
use seawall_protocol::subtask::{self, Effect, Input, Plan};
use seawall_protocol::tamper::{DataStep, Tamper};

use super::{Plant, Skips};

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
    Plant {
        name: "restored-id-is-used-again",
        about: "the first checkpoint after a restore has the id of the restored one, and nobody takes it",
        bug: "Iceberg #10892, in its shape: ids began again below one that was known, and what came was skipped",
        rules: &["A2"],
        violates: "recovers",
        model: Some("commit"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(RestoredIdIsUsedAgain),
    },
    Plant {
        name: "decline-is-not-sent",
        about: "a subtask that could not write its snapshot does not say so",
        bug: "FLINK-31305: a write error was reported too late to fail the checkpoint",
        rules: &["G3"],
        violates: "recovers",
        model: Some("commit"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(DeclineIsNotSent),
    },
    Plant {
        name: "transaction-misses-its-snapshot",
        about: "the transaction of a checkpoint is pre-committed behind the snapshot, which does not hold it",
        bug: "none known: that a snapshot holds its own transaction, turned off",
        rules: &["K1", "F1"],
        violates: "no-loss",
        model: Some("commit"),
        model_property: "no-loss",
        in_simulator: false,
        tamper: || Box::new(TransactionMissesItsSnapshot),
    },
    Plant {
        name: "only-what-is-announced-is-committed",
        about: "a completion commits its own transaction, and none before it whose completion was not heard of",
        bug: "FLINK-23949 and FLINK-10377, in their shape: a sink relied on being told of each checkpoint in turn",
        rules: &["K3"],
        violates: "recovers",
        model: Some("commit"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(OnlyWhatIsAnnouncedIsCommitted),
    },
    Plant {
        name: "abort-drops-its-transaction",
        about: "what was pre-committed for a checkpoint that was given up is removed",
        bug: "none known: that an abort leaves transactions alone, turned off",
        rules: &["K7", "H4"],
        violates: "no-loss",
        model: Some("commit"),
        model_property: "no-loss",
        in_simulator: false,
        tamper: || Box::new(Skips(DataStep::KeepGivenUp)),
    },
    Plant {
        name: "restored-transactions-are-dropped",
        about: "a new attempt does not commit what its snapshot holds as pre-committed",
        bug: "laminardb #250 and Arroyo #224: a checkpoint was restored whose sinks were still to commit",
        rules: &["K4"],
        violates: "no-loss",
        model: Some("commit"),
        model_property: "no-loss",
        in_simulator: false,
        tamper: || Box::new(Skips(DataStep::RestoreTransactions)),
    },
    Plant {
        name: "transactions-share-an-id",
        about: "every transaction is pre-committed under the same id",
        bug: "FLINK-37605 and Paimon #9236: what was written last had a fixed id that was taken for committed",
        rules: &["K12", "K1"],
        violates: "no-loss",
        model: Some("commit"),
        model_property: "no-loss",
        in_simulator: false,
        tamper: || Box::new(TransactionsShareAnId),
    },
    Plant {
        name: "position-is-one-record-ahead",
        about: "a snapshot holds a position behind a record that nothing else in it has seen",
        bug: "FLINK-2098: records slipped between the position in the snapshot and the barrier",
        rules: &["J1"],
        violates: "no-loss",
        model: Some("commit"),
        model_property: "no-loss",
        in_simulator: false,
        tamper: || Box::new(Skips(DataStep::MovePosition)),
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

struct RestoredIdIsUsedAgain;
impl Tamper for RestoredIdIsUsedAgain {
    fn admits_to_subtask(&self, plan: &Plan, input: &mut Input) -> bool {
        if let Input::Trigger(barrier) = input
            && let Some(restored) = plan.restored
        {
            barrier.checkpoint = restored;
        }
        true
    }
}

struct DeclineIsNotSent;
impl Tamper for DeclineIsNotSent {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|effect| !matches!(effect, Effect::Decline(..)));
    }
}

struct TransactionMissesItsSnapshot;
impl Tamper for TransactionMissesItsSnapshot {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        if let Some(at) = effects.iter().position(|effect| matches!(effect, Effect::PreCommit(_))) {
            let late = effects.remove(at);
            effects.push(late);
        }
    }
}

struct OnlyWhatIsAnnouncedIsCommitted;
impl Tamper for OnlyWhatIsAnnouncedIsCommitted {
    fn after_subtask(&self, _: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        if let Input::Completed { checkpoint: announced, .. } = input {
            effects.retain(|it| !matches!(it, Effect::Commit(older) if older < announced));
        }
    }
}

struct TransactionsShareAnId;
impl Tamper for TransactionsShareAnId {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects {
            if let Effect::PreCommit(checkpoint) = effect {
                *checkpoint = CheckpointId(1);
            }
        }
    }
}
