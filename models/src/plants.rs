//! Planted bugs: real bugs of real stream processors, put between the cores and their driver.
//!
//! A plant changes what goes into a core or what comes out of it; the cores know nothing of it. Models and
//! simulator run the same plants, so a property that catches one in the model catches it in the whole
//! engine, if the faults make it matter. Plants hold no state: the model copies and compares whole
//! states, and whatever a plant remembered would escape it.
//!
//! Bugs of connectors, storage and transport are outside the reach of this hook.

use seawall_protocol::coordinator::{self, Effect as Order};
use seawall_protocol::event::Event;
use seawall_protocol::message::{self, Barrier};
use seawall_protocol::subtask::{self, Effect, Input, Plan};
use seawall_protocol::tamper::Tamper;
use seawall_protocol::worker;
use seawall_protocol::{CheckpointId, FencingToken};

/// A defect put in on purpose, and who must find it.
#[derive(Clone, Copy)]
pub struct Plant {
    /// The name used in scenarios.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The real bug it re-creates.
    pub bug: &'static str,
    /// The property of `seawall-spec` that must catch it.
    pub violates: &'static str,
    /// The model that must catch it, if one reaches it.
    pub model: Option<&'static str>,
    /// The property the model states it as: most often the same name.
    pub model_property: &'static str,
    /// Whether it can show in the whole engine. The others are made harmless by its driver: it sends no ack
    /// without the handle of a durable snapshot.
    pub in_simulator: bool,
    /// Makes the hook.
    pub tamper: fn() -> Box<dyn Tamper>,
}

impl std::fmt::Debug for Plant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The plant of that name.
pub fn find(name: &str) -> Option<&'static Plant> {
    PLANTS.iter().find(|plant| plant.name == name)
}

/// Every plant.
pub const PLANTS: &[Plant] = &[
    Plant {
        name: "records-pass-the-barrier",
        about: "a channel that delivered its barrier is not blocked",
        bug: "FLINK-17568: records behind the barrier were processed before the snapshot",
        violates: "exactly-once-state",
        model: Some("alignment"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(RecordsPassTheBarrier),
    },
    Plant {
        name: "cut-at-first-barrier",
        about: "the first barrier is taken for all of them: the subtask snapshots at once",
        bug: "FLINK-2519 and FLINK-1775, the other way round: the count of awaited channels is wrong",
        violates: "exactly-once-state",
        model: Some("alignment"),
        model_property: "barriers-in-order",
        in_simulator: false,
        tamper: || Box::new(CutAtFirstBarrier),
    },
    Plant {
        name: "abandoned-alignment-keeps-blocking",
        about: "an alignment that is given up does not unblock its channels",
        bug: "FLINK-2427: a newer barrier did not release an alignment whose older barrier was lost",
        violates: "recovers",
        model: Some("alignment"),
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(AbandonedAlignmentKeepsBlocking),
    },
    Plant {
        name: "barrier-stops-here",
        about: "the barrier is not forwarded",
        bug: "FLINK-20097: barriers got lost between a snapshot and the output",
        violates: "recovers",
        model: Some("alignment"),
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(BarrierStopsHere),
    },
    Plant {
        name: "ack-before-durable",
        about: "the snapshot is acked when it is taken, not when it is durable",
        bug: "FLINK-20552: the sink acked the barrier with records still in memory",
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
        violates: "no-orphans",
        model: Some("commit"),
        model_property: "no-orphans",
        in_simulator: true,
        tamper: || Box::new(LingeringTransactionsStay),
    },
    Plant {
        name: "restart-without-state",
        about: "failed attempts are deployed again without their checkpoint",
        bug: "FLINK-14389: the scheduler restarted tasks without assigning their state",
        violates: "restored-is-newest",
        model: Some("checkpoint"),
        model_property: "restored-is-newest",
        in_simulator: true,
        tamper: || Box::new(RestartWithoutState),
    },
    Plant {
        name: "newest-checkpoint-is-skipped",
        about: "a new leader passes over the newest retained checkpoint",
        bug: "FLINK-7783: an unreadable newest checkpoint was skipped at recovery",
        violates: "restored-is-newest",
        model: Some("checkpoint"),
        model_property: "restored-is-newest",
        in_simulator: true,
        tamper: || Box::new(NewestCheckpointIsSkipped),
    },
    Plant {
        name: "ids-restart-after-the-newest",
        about: "a new leader numbers on from the last completed checkpoint, not from the last reserved",
        bug: "RisingWave #5364, #5396, #10907: recovery continued from the wrong number",
        violates: "ids-increase",
        model: Some("checkpoint"),
        model_property: "ids-increase",
        in_simulator: true,
        tamper: || Box::new(IdsRestartAfterTheNewest),
    },
    Plant {
        name: "token-is-reused",
        about: "a new leader takes the token of the one before",
        bug: "Materialize #29432 and FLINK-9573: the fencing token did not tell leaders apart",
        violates: "one-leader",
        model: Some("checkpoint"),
        model_property: "one-leader",
        in_simulator: true,
        tamper: || Box::new(TokenIsReused),
    },
    Plant {
        name: "failed-record-counts-as-durable",
        about: "a record write that failed is taken for done",
        bug: "Hazelcast HZ-1230: an indeterminate result was taken for success",
        violates: "restored-is-newest",
        model: Some("checkpoint"),
        model_property: "one-owner",
        in_simulator: true,
        tamper: || Box::new(FailedRecordCountsAsDurable),
    },
    Plant {
        name: "uncertain-record-deletes-files",
        about: "when the record write fails the files are deleted at once, though it may have taken effect",
        bug: "FLINK-22494, FLINK-24543 and Materialize #14745",
        violates: "restorable",
        model: Some("checkpoint"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(UncertainRecordDeletesFiles),
    },
    Plant {
        name: "failed-manifest-counts-as-written",
        about: "a manifest that could not be written is taken for written",
        bug: "FLINK-35217: a file that was never made durable completed a checkpoint",
        violates: "restorable",
        model: Some("checkpoint"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(FailedManifestCountsAsWritten),
    },
    Plant {
        name: "old-checkpoint-goes-first",
        about: "subsumed checkpoints are deleted before the record that drops them is durable",
        bug: "FLINK-16770: the old checkpoint was removed before the new one was stored",
        violates: "restorable",
        model: Some("checkpoint"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(OldCheckpointGoesFirst),
    },
    Plant {
        name: "collected-while-pending",
        about: "the files of a checkpoint that is not completed yet are deleted as orphans",
        bug: "RisingWave #1454, #1583, #5715: garbage collection removed uploaded, uncommitted files",
        violates: "restorable",
        model: Some("checkpoint"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(CollectedWhilePending),
    },
    Plant {
        name: "worker-outlives-its-leader",
        about: "a worker that lost its coordinator does not stop its subtasks",
        bug: "FLINK-34007: components of a lost leadership lived on and blocked the next one",
        violates: "recovers",
        model: None,
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(WorkerOutlivesItsLeader),
    },
    Plant {
        name: "barrier-is-repeated",
        about: "a subtask that hears of a completed checkpoint sends its barrier once more",
        bug: "RisingWave #25690: what was sent already was sent again after its answer was missed",
        violates: "barriers-in-order",
        model: None,
        model_property: "barriers-in-order",
        in_simulator: true,
        tamper: || Box::new(BarrierIsRepeated),
    },
    Plant {
        name: "one-ack-for-the-whole-slot",
        about: "a worker answers for the neighbour in the slot as well",
        bug: "RisingWave #22384: a checkpoint completed without the answer of a part of the graph",
        violates: "durable-before-ack",
        model: None,
        model_property: "durable-before-ack",
        in_simulator: true,
        tamper: || Box::new(OneAckForTheWholeSlot),
    },
];

struct BarrierIsRepeated;
impl Tamper for BarrierIsRepeated {
    fn after_subtask(&self, plan: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        if let Input::Completed { checkpoint, is_final: false } = *input {
            effects.push(Effect::ForwardBarrier(Barrier::aligned(checkpoint)));
            let attempt = plan.attempt;
            effects.push(Effect::Note(Event::BarrierForwarded { attempt, checkpoint }));
        }
    }
}

struct OneAckForTheWholeSlot;
impl Tamper for OneAckForTheWholeSlot {
    fn after_worker(&self, _: &worker::Plan, _: &worker::Input, effects: &mut Vec<worker::Effect>) {
        let neighbour_too = |effect: &worker::Effect| {
            let worker::Effect::Send(message::ToCoordinator::Ack { attempt, checkpoint, snapshot }) =
                effect
            else {
                return None;
            };
            let (mut attempt, mut snapshot) = (*attempt, snapshot.clone());
            attempt.subtask.operator.0 ^= 1;
            snapshot.subtask = attempt.subtask;
            let checkpoint = *checkpoint;
            let ack = message::ToCoordinator::Ack { attempt, checkpoint, snapshot };
            Some(worker::Effect::Send(ack))
        };
        let more: Vec<_> = effects.iter().filter_map(neighbour_too).collect();
        effects.extend(more);
    }
}

struct RecordsPassTheBarrier;
impl Tamper for RecordsPassTheBarrier {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|effect| !matches!(effect, Effect::Block(_)));
    }
}

struct CutAtFirstBarrier;
impl Tamper for CutAtFirstBarrier {
    fn after_subtask(&self, plan: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        let Input::Barrier { barrier, .. } = input else { return };
        if effects.iter().any(|effect| matches!(effect, Effect::Block(_))) {
            let attempt = plan.attempt;
            let checkpoint = barrier.checkpoint;
            effects.push(Effect::Snapshot(*barrier));
            effects.push(Effect::Note(Event::SnapshotTaken { attempt, checkpoint }));
        } else {
            effects.retain(|effect| {
                !matches!(effect, Effect::Snapshot(_) | Effect::Note(Event::SnapshotTaken { .. }))
            });
        }
    }
}

struct AbandonedAlignmentKeepsBlocking;
impl Tamper for AbandonedAlignmentKeepsBlocking {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        let is_abandoned =
            |effect: &Effect| matches!(effect, Effect::Note(Event::AlignmentAbandoned { .. }));
        if effects.iter().any(is_abandoned) {
            effects.retain(|effect| !matches!(effect, Effect::Unblock(_)));
        }
    }
}

struct BarrierStopsHere;
impl Tamper for BarrierStopsHere {
    fn after_subtask(&self, plan: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        if plan.channels > 0 {
            effects.retain(|effect| !matches!(effect, Effect::ForwardBarrier(_)));
        }
    }
}

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

struct RestartWithoutState;
impl Tamper for RestartWithoutState {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        for effect in effects {
            if let Order::Send { message, .. } = effect
                && let message::Order::Deploy(deployment) = &mut message.order
            {
                deployment.restore = None;
            }
        }
    }
}

struct NewestCheckpointIsSkipped;
impl Tamper for NewestCheckpointIsSkipped {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::Recovered(record) = input {
            record.retained.pop();
        }
        true
    }
}

struct IdsRestartAfterTheNewest;
impl Tamper for IdsRestartAfterTheNewest {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::Recovered(record) = input {
            let newest = record.retained.last().copied().unwrap_or_default();
            record.next_checkpoint = newest.next();
        }
        true
    }
}

struct TokenIsReused;
impl Tamper for TokenIsReused {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::Recovered(record) = input {
            record.token = FencingToken(record.token.0.saturating_sub(1));
        }
        true
    }
}

struct FailedRecordCountsAsDurable;
impl Tamper for FailedRecordCountsAsDurable {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::RecordFailed(write) = *input {
            *input = coordinator::Input::RecordPersisted(write);
        }
        true
    }
}

struct UncertainRecordDeletesFiles;
impl Tamper for UncertainRecordDeletesFiles {
    fn after_coordinator(&self, input: &coordinator::Input, effects: &mut Vec<Order>) {
        if let coordinator::Input::RecordFailed(_) = input {
            delete_after(effects, |event| {
                if let Event::CheckpointAborted { checkpoint, .. } = event {
                    Some(*checkpoint)
                } else {
                    None
                }
            });
        }
    }
}

struct FailedManifestCountsAsWritten;
impl Tamper for FailedManifestCountsAsWritten {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::ManifestFailed(checkpoint) = *input {
            *input = coordinator::Input::ManifestWritten(checkpoint);
        }
        true
    }
}

struct OldCheckpointGoesFirst;
impl Tamper for OldCheckpointGoesFirst {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        let publishing = effects.iter().enumerate().find_map(|(index, effect)| {
            let Order::Persist { record, .. } = effect else { return None };
            Some((index, *record.retained.first()?))
        });
        if let Some((index, oldest_kept)) = publishing {
            let dropped = (1..oldest_kept.0).map(|id| Order::DeleteCheckpoint(CheckpointId(id)));
            effects.splice(index..index, dropped);
        }
    }
}

struct CollectedWhilePending;
impl Tamper for CollectedWhilePending {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        delete_after(effects, |event| {
            if let Event::CheckpointAcknowledged { checkpoint } = event {
                Some(*checkpoint)
            } else {
                None
            }
        });
    }
}

struct WorkerOutlivesItsLeader;
impl Tamper for WorkerOutlivesItsLeader {
    fn after_worker(&self, _: &worker::Plan, _: &worker::Input, effects: &mut Vec<worker::Effect>) {
        let is_lost = |effect: &worker::Effect| {
            matches!(effect, worker::Effect::Note(Event::CoordinatorLost { .. }))
        };
        if effects.iter().any(is_lost) {
            effects.retain(|effect| !matches!(effect, worker::Effect::Stop(_)));
        }
    }
}

/// Inserts a deletion behind each note that names a checkpoint.
fn delete_after(effects: &mut Vec<Order>, named: impl Fn(&Event) -> Option<CheckpointId>) {
    *effects = std::mem::take(effects)
        .into_iter()
        .flat_map(|effect| {
            let checkpoint = if let Order::Note(event) = &effect { named(event) } else { None };
            [Some(effect), checkpoint.map(Order::DeleteCheckpoint)].into_iter().flatten()
        })
        .collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plant_has_a_name_of_its_own_and_a_property_that_exists() {
        let mut names: Vec<_> = PLANTS.iter().map(|plant| plant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PLANTS.len());
        for plant in PLANTS {
            assert!(seawall_spec::find(plant.violates).is_some(), "{}", plant.name);
            assert!(plant.in_simulator || plant.model.is_some(), "{} shows nowhere", plant.name);
        }
    }
}
