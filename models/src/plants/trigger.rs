//! Planted bugs of triggering, acks, timeouts, retention and the end on request.

use std::time::Duration;

use seawall_protocol::CheckpointId;
use seawall_protocol::coordinator::{self, Effect as Order, JobPlan, Timer};
use seawall_protocol::event::Event;
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::tamper::Tamper;
use seawall_protocol::worker;

use super::Plant;

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "ack-for-everyone",
        about: "an ack counts for the other instance of the operator as well",
        bug: "RisingWave #22384: a checkpoint completed without the answer of a part of the graph",
        rules: &["G1", "G2", "K11"],
        violates: "restorable",
        model: Some("checkpoint"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(AckForEveryone),
    },
    Plant {
        name: "published-without-the-checkpoint",
        about: "the record that is to publish a checkpoint holds all retained ones but the newest",
        bug: "FLINK-21351: an addition to the store pushed out what the next restore needed",
        rules: &["H1", "H5"],
        violates: "restorable",
        model: Some("checkpoint"),
        model_property: "commit-after-completion",
        in_simulator: true,
        tamper: || Box::new(PublishedWithoutTheCheckpoint),
    },
    Plant {
        name: "concurrency-limit-is-forgotten",
        about: "checkpoints are triggered however many are in flight",
        bug: "none known: the limit, turned off",
        rules: &["B2"],
        violates: "within-limits",
        model: Some("checkpoint"),
        model_property: "within-limits",
        in_simulator: true,
        tamper: || Box::new(ConcurrencyLimitIsForgotten),
    },
    Plant {
        name: "pause-is-forgotten",
        about: "the minimum pause between checkpoints is not kept",
        bug: "none known: the pause, turned off",
        rules: &["B3"],
        violates: "within-limits",
        model: None,
        model_property: "within-limits",
        in_simulator: true,
        tamper: || Box::new(PauseIsForgotten),
    },
    Plant {
        name: "failures-are-not-counted",
        about: "however many checkpoints fail in a row, the attempt goes on",
        bug: "none known: the budget of failures, turned off",
        rules: &["G6"],
        violates: "within-limits",
        model: Some("stop"),
        model_property: "within-limits",
        in_simulator: true,
        tamper: || Box::new(FailuresAreNotCounted),
    },
    Plant {
        name: "deletions-are-not-answered",
        about: "nobody says when a deletion is over, so the trigger waits for it for ever",
        bug: "FLINK-13256: a trigger that waits is started again on one path and forgotten on another",
        rules: &["B5"],
        violates: "recovers",
        model: None,
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(DeletionsAreNotAnswered),
    },
    Plant {
        name: "checkpoint-never-expires",
        about: "the timeout of a pending checkpoint is not armed",
        bug: "Hazelcast Jet #1435: a checkpoint that lost its message had no timeout and was waited for",
        rules: &["G4", "G9"],
        violates: "recovers",
        model: None,
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(CheckpointNeverExpires),
    },
    Plant {
        name: "old-age-deletes-the-newest",
        about: "a retained checkpoint that is too old is deleted even when it is the newest",
        bug: "SPARK-55892: clean-up of old versions removed files that a restore still needed",
        rules: &["H5"],
        violates: "restorable",
        model: None,
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(OldAgeDeletesTheNewest),
    },
    Plant {
        name: "cancel-deletes-what-it-keeps",
        about: "a cancelled job deletes the files of the checkpoints that its record still names",
        bug: "FLINK-22014: the final clean-up removed files to which the store still pointed",
        rules: &["H9"],
        violates: "restorable",
        model: Some("stop"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(CancelDeletesWhatItKeeps),
    },
];

struct AckForEveryone;
impl Tamper for AckForEveryone {
    fn after_worker(&self, _: &worker::Plan, _: &worker::Input, effects: &mut Vec<worker::Effect>) {
        let other_too = |effect: &worker::Effect| {
            let worker::Effect::Send(ToCoordinator::Ack { attempt, checkpoint, snapshot }) = effect
            else {
                return None;
            };
            let (mut attempt, mut snapshot) = (*attempt, snapshot.clone());
            attempt.subtask.index ^= 1;
            snapshot.subtask = attempt.subtask;
            let checkpoint = *checkpoint;
            Some(worker::Effect::Send(ToCoordinator::Ack { attempt, checkpoint, snapshot }))
        };
        let more: Vec<_> = effects.iter().filter_map(other_too).collect();
        effects.extend(more);
    }
}

struct PublishedWithoutTheCheckpoint;
impl Tamper for PublishedWithoutTheCheckpoint {
    fn after_coordinator(&self, input: &coordinator::Input, effects: &mut Vec<Order>) {
        let coordinator::Input::ManifestWritten(published) = input else { return };
        for effect in effects {
            if let Order::Persist { record, .. } = effect {
                record.retained.retain(|it| it != published);
            }
        }
    }
}

struct ConcurrencyLimitIsForgotten;
impl Tamper for ConcurrencyLimitIsForgotten {
    fn before_coordinator(&self, plan: &mut JobPlan) {
        plan.checkpoint.max_concurrent = u32::MAX;
    }
}

struct PauseIsForgotten;
impl Tamper for PauseIsForgotten {
    fn before_coordinator(&self, plan: &mut JobPlan) {
        plan.checkpoint.min_pause = Duration::ZERO;
    }
}

struct FailuresAreNotCounted;
impl Tamper for FailuresAreNotCounted {
    fn before_coordinator(&self, plan: &mut JobPlan) {
        plan.checkpoint.tolerable_failures = u32::MAX;
    }
}

struct DeletionsAreNotAnswered;
impl Tamper for DeletionsAreNotAnswered {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        !matches!(input, coordinator::Input::Deleted(_))
    }
}

struct CheckpointNeverExpires;
impl Tamper for CheckpointNeverExpires {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        effects.retain(|it| !matches!(it, Order::Arm(Timer::CheckpointExpires(_), _)));
    }
}

struct OldAgeDeletesTheNewest;
impl Tamper for OldAgeDeletesTheNewest {
    fn after_coordinator(&self, input: &coordinator::Input, effects: &mut Vec<Order>) {
        if let coordinator::Input::Timer(Timer::RetainedExpires(checkpoint)) = input
            && effects.is_empty()
        {
            effects.push(Order::DeleteCheckpoint(*checkpoint));
        }
    }
}

struct CancelDeletesWhatItKeeps;
impl Tamper for CancelDeletesWhatItKeeps {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        let cancelled = effects.iter().position(|it| *it == Order::Note(Event::JobCancelled));
        if let Some(at) = cancelled {
            let all = (1..64).map(|id| Order::DeleteCheckpoint(CheckpointId(id)));
            effects.splice(at..at, all);
        }
    }
}
