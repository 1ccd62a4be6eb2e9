//! Planted bugs of barriers: alignment, forwarding, order.

use seawall_protocol::event::Event;
use seawall_protocol::message::Barrier;
use seawall_protocol::subtask::{Effect, Input, Plan};
use seawall_protocol::tamper::Tamper;

use super::Plant;

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "records-pass-the-barrier",
        about: "a channel that delivered its barrier is not blocked",
        bug: "FLINK-17568: records behind the barrier were processed before the snapshot",
        rules: &["C1"],
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
        rules: &["C2"],
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
        rules: &["C5", "G9"],
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
        rules: &["C8"],
        violates: "recovers",
        model: Some("alignment"),
        model_property: "recovers",
        in_simulator: true,
        tamper: || Box::new(BarrierStopsHere),
    },
    Plant {
        name: "barrier-is-repeated",
        about: "a subtask that hears of a completed checkpoint sends its barrier once more",
        bug: "RisingWave #25690: what was sent already was sent again after its answer was missed",
        rules: &["A6"],
        violates: "barriers-in-order",
        model: None,
        model_property: "barriers-in-order",
        in_simulator: true,
        tamper: || Box::new(BarrierIsRepeated),
    },
];

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
