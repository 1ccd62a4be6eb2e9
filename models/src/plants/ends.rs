//! Planted bugs of the end of the input: who may finish, and who goes on without whom (N1-N6, C3).

use seawall_protocol::coordinator::{self, Effect as Order};
use seawall_protocol::message::{self, ToCoordinator, ToWorker};
use seawall_protocol::subtask::{Effect, Input, Plan};
use seawall_protocol::tamper::Tamper;

use super::Plant;

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "finishes-at-its-end",
        about: "a subtask finishes when its input ends, without waiting for a checkpoint that holds its end",
        bug: "FLINK-23408 (FLIP-147): a task ended right behind its last records, and never committed them",
        rules: &["N3", "K13"],
        violates: "finish-after-checkpoint",
        model: Some("commit"),
        model_property: "finish-after-checkpoint",
        in_simulator: true,
        tamper: || Box::new(FinishesAtItsEnd),
    },
    Plant {
        name: "closed-channel-is-awaited",
        about: "the end of a channel is not counted as its barrier",
        bug: "FLINK-2519: the barrier buffer waited for barriers of channels that had ended",
        rules: &["C3"],
        violates: "recovers",
        model: Some("alignment"),
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(ClosedChannelIsAwaited),
    },
    Plant {
        name: "finished-subtask-is-awaited",
        about: "the coordinator does not hear that a subtask finished, and goes on waiting for its acks",
        bug: "FLIP-147, before it: no checkpoint was completed any more once a task had finished",
        rules: &["N1"],
        violates: "recovers",
        model: Some("checkpoint"),
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(FinishedSubtaskIsAwaited),
    },
    Plant {
        name: "source-is-held-as-finished",
        about: "a checkpoint holds its first source as finished although it goes on",
        bug: "Paimon #9236, in its shape: the end of one subtask stood for something that went on",
        rules: &["N6", "N2"],
        violates: "exactly-once-output",
        model: Some("checkpoint"),
        model_property: "held-once",
        in_simulator: true,
        tamper: || Box::new(SourceIsHeldAsFinished),
    },
    Plant {
        name: "final-is-told-as-one-of-many",
        about: "the completion of the final checkpoint is told as that of any other",
        bug: "FLINK-21132 and FLINK-21453, in their shape: the end was not told to those who waited for it",
        rules: &["N4", "N5"],
        violates: "recovers",
        model: Some("checkpoint"),
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(FinalIsToldAsOneOfMany),
    },
    Plant {
        name: "ends-are-not-heard",
        about: "the coordinator does not hear that subtasks ended, and triggers no final checkpoint",
        bug: "Arroyo #400, in its shape: the last checkpoint was silently not started, and everyone waited for it",
        rules: &["N4"],
        violates: "recovers",
        model: Some("checkpoint"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(EndsAreNotHeard),
    },
];

struct EndsAreNotHeard;
impl Tamper for EndsAreNotHeard {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        let is_end = |message: &ToCoordinator| matches!(message, ToCoordinator::Ended(_));
        !matches!(input, coordinator::Input::Message { message, .. } if is_end(message))
    }
}

struct FinishesAtItsEnd;
impl Tamper for FinishesAtItsEnd {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        if effects.contains(&Effect::ReportEnded) && !effects.contains(&Effect::Finish) {
            effects.push(Effect::Finish);
        }
    }
}

struct ClosedChannelIsAwaited;
impl Tamper for ClosedChannelIsAwaited {
    fn admits_to_subtask(&self, _: &Plan, input: &mut Input) -> bool {
        !matches!(input, Input::Closed { .. })
    }
}

struct FinishedSubtaskIsAwaited;
impl Tamper for FinishedSubtaskIsAwaited {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        let is_finish = |message: &ToCoordinator| matches!(message, ToCoordinator::Finished(_));
        !matches!(input, coordinator::Input::Message { message, .. } if is_finish(message))
    }
}

struct SourceIsHeldAsFinished;
impl Tamper for SourceIsHeldAsFinished {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        for effect in effects {
            if let Order::WriteManifest { snapshots, finished, .. } = effect
                && finished.is_empty()
            {
                finished.push(snapshots.remove(0).subtask);
            }
        }
    }
}

struct FinalIsToldAsOneOfMany;
impl Tamper for FinalIsToldAsOneOfMany {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        for effect in effects {
            if let Order::Send { message: ToWorker { order, .. }, .. } = effect
                && let message::Order::Completed { is_final, .. } = order
            {
                *is_final = false;
            }
        }
    }
}
