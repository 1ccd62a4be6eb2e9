//! Planted bugs of coordinator and workers: the record, the files, leadership, restarts.

use seawall_protocol::coordinator::{self, Effect as Order};
use seawall_protocol::event::Event;
use seawall_protocol::message;
use seawall_protocol::tamper::Tamper;
use seawall_protocol::worker;
use seawall_protocol::{Attempt, CheckpointId, FencingToken, OperatorId, SubtaskId};

use super::Plant;

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "restart-without-state",
        about: "failed attempts are deployed again without their checkpoint",
        bug: "FLINK-14389: the scheduler restarted tasks without assigning their state",
        rules: &["O7"],
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
        rules: &["P4"],
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
        rules: &["A1"],
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
        rules: &["A5", "P1"],
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
        rules: &["H3"],
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
        rules: &["H3"],
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
        rules: &["H1"],
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
        rules: &["H6"],
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
        rules: &["H2"],
        violates: "restorable",
        model: Some("checkpoint"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(CollectedWhilePending),
    },
    Plant {
        name: "attempt-is-not-reserved",
        about: "an attempt is deployed although the record does not hold its number, so another may have the same",
        bug: "Hazelcast Jet da85e2b13f, in its shape: two causes started the same execution twice",
        rules: &["A4"],
        violates: "one-owner",
        model: Some("checkpoint"),
        model_property: "one-owner",
        in_simulator: false,
        tamper: || Box::new(AttemptIsNotReserved),
    },
    Plant {
        name: "one-source-is-not-triggered",
        about: "no barrier is injected at the second source subtask",
        bug: "Hazelcast Jet #1435: a member that missed the trigger never sent its barrier",
        rules: &["B11"],
        violates: "recovers",
        model: Some("checkpoint"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(OneSourceIsNotTriggered),
    },
    Plant {
        name: "worker-outlives-its-leader",
        about: "a worker that lost its coordinator does not stop its subtasks",
        bug: "FLINK-34007: components of a lost leadership lived on and blocked the next one",
        rules: &["P8"],
        violates: "recovers",
        model: None,
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(WorkerOutlivesItsLeader),
    },
    Plant {
        name: "one-ack-for-the-whole-slot",
        about: "a worker answers for the neighbour in the slot as well",
        bug: "RisingWave #22384: a checkpoint completed without the answer of a part of the graph",
        rules: &["G2"],
        violates: "durable-before-ack",
        model: None,
        model_property: "durable-before-ack",
        in_simulator: true,
        tamper: || Box::new(OneAckForTheWholeSlot),
    },
];

struct AttemptIsNotReserved;
impl Tamper for AttemptIsNotReserved {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        for effect in effects {
            if let Order::Persist { record, .. } = effect {
                record.attempt = Attempt(record.attempt.0.saturating_sub(1));
            }
        }
    }
}

struct OneSourceIsNotTriggered;
impl Tamper for OneSourceIsNotTriggered {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        let is_second = |it: &SubtaskId| it.operator == OperatorId(0) && it.index == 1;
        effects.retain(|effect| {
            let Order::Send { message, .. } = effect else { return true };
            let message::Order::Trigger { subtasks, .. } = &message.order else { return true };
            !subtasks.iter().any(is_second)
        });
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
        if let coordinator::Input::Recovered { record, .. } = input {
            record.retained.pop();
        }
        true
    }
}

struct IdsRestartAfterTheNewest;
impl Tamper for IdsRestartAfterTheNewest {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::Recovered { record, .. } = input {
            let newest = record.retained.last().copied().unwrap_or_default();
            record.next_checkpoint = newest.next();
        }
        true
    }
}

struct TokenIsReused;
impl Tamper for TokenIsReused {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::Recovered { record, .. } = input {
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
