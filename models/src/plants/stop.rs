//! Planted bugs of savepoints and of stopping with one (H7, K7, K14, N7).

use seawall_protocol::coordinator::{self, Effect as Order};
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::subtask::{Effect, Input, Plan};
use seawall_protocol::tamper::Tamper;

use super::Plant;

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "savepoint-is-handed-out-uncovered",
        about: "a savepoint is handed out before a later checkpoint completed",
        bug: "FLINK-26783 and the savepoint documentation: its job falls back behind it, and side effects happen twice",
        rules: &["H7", "K7"],
        violates: "savepoint-stands",
        model: Some("stop"),
        model_property: "savepoint-stands",
        // Its manifest is not durable then, so the export finds nothing.
        in_simulator: false,
        tamper: || Box::new(SavepointIsHandedOutUncovered),
    },
    Plant {
        name: "stop-is-forgotten",
        about: "the record does not say that the job stops, so the next leader lets it go on",
        bug: "FLINK-26783: after a stop with savepoint the job was restored from an older checkpoint and ran on",
        rules: &["N7", "K14"],
        violates: "savepoint-stands",
        model: Some("stop"),
        model_property: "exactly-once-output",
        in_simulator: true,
        tamper: || Box::new(StopIsForgotten),
    },
    Plant {
        name: "drain-ends-behind-the-barrier",
        about: "a drained source ends its input behind the barrier of the savepoint",
        bug: "FLINK-22173 (FLIP-147), in its shape: what was emitted at the end came after the last savepoint",
        rules: &["N7"],
        violates: "exactly-once-output",
        model: Some("stop"),
        model_property: "savepoint-stands",
        in_simulator: true,
        tamper: || Box::new(DrainEndsBehindTheBarrier),
    },
    Plant {
        name: "stop-ends-before-it-commits",
        about: "a subtask ends when it hears that the savepoint is completed, before it committed",
        bug: "FLINK-21133: a synchronous savepoint ended the task before its side effects were committed",
        rules: &["N7", "K2"],
        violates: "finish-after-checkpoint",
        model: Some("stop"),
        model_property: "exactly-once-output",
        in_simulator: true,
        tamper: || Box::new(StopEndsBeforeItCommits),
    },
    Plant {
        name: "failed-export-counts-as-exported",
        about: "a savepoint that could not be written counts as one that was",
        bug: "FLINK-28045, in its shape: a job was stopped and its savepoint was nowhere",
        rules: &["H7", "N7"],
        violates: "restorable",
        model: Some("stop"),
        model_property: "savepoint-stands",
        in_simulator: true,
        tamper: || Box::new(FailedExportCountsAsExported),
    },
    Plant {
        name: "stop-that-failed-keeps-its-pause",
        about: "a source that paused for a stop reads no further when the stop is given up",
        bug: "FLINK-15152: what had been halted for a stop with savepoint was not started again after it failed",
        rules: &["G7", "N7"],
        violates: "recovers",
        model: Some("stop"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(StopThatFailedKeepsItsPause),
    },
    Plant {
        name: "newest-transaction-goes-first",
        about: "a completion commits its own transaction before the older ones that are due with it",
        bug: "Iceberg #10526: what an aborted checkpoint had prepared was committed with the next, in the wrong order",
        rules: &["A3", "K2"],
        violates: "exactly-once-output",
        model: Some("stop"),
        model_property: "exactly-once-output",
        in_simulator: false,
        tamper: || Box::new(NewestTransactionGoesFirst),
    },
];

struct SavepointIsHandedOutUncovered;

impl Tamper for SavepointIsHandedOutUncovered {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        let mut written = None;
        for effect in effects.iter() {
            if let Order::WriteManifest { checkpoint, kind: CheckpointKind::Savepoint, .. } = effect
            {
                written = Some(*checkpoint);
            }
        }
        effects.extend(written.map(Order::ExportSavepoint));
    }
}

struct StopIsForgotten;

impl Tamper for StopIsForgotten {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        for effect in effects {
            if let Order::Persist { record, .. } = effect
                && record.result.is_none()
            {
                record.stopping = None;
            }
        }
    }
}

struct DrainEndsBehindTheBarrier;

impl Tamper for DrainEndsBehindTheBarrier {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        if let Some(place) = effects.iter().position(|it| *it == Effect::EndInput) {
            let end = effects.remove(place);
            effects.push(end);
        }
    }
}

struct StopEndsBeforeItCommits;

impl Tamper for StopEndsBeforeItCommits {
    fn after_subtask(&self, _: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        if let Input::Completed { is_final: true, .. } = input
            && effects.iter().any(|it| matches!(it, Effect::Commit(_)))
        {
            *effects = vec![Effect::Finish];
        }
    }
}

struct FailedExportCountsAsExported;

impl Tamper for FailedExportCountsAsExported {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::ExportFailed(checkpoint) = *input {
            *input = coordinator::Input::SavepointExported(checkpoint);
        }
        true
    }
}

struct StopThatFailedKeepsItsPause;

impl Tamper for StopThatFailedKeepsItsPause {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|it| *it != Effect::Resume);
    }
}

struct NewestTransactionGoesFirst;

impl Tamper for NewestTransactionGoesFirst {
    fn after_subtask(&self, _: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        let Input::Completed { checkpoint, .. } = *input else { return };
        let first = effects.iter().position(|it| matches!(it, Effect::Commit(_)));
        if let Some(first) = first
            && effects[first] != Effect::Commit(checkpoint)
        {
            effects.insert(first, Effect::Commit(checkpoint));
        }
    }
}
