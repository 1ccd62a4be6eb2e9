//! Planted bugs of barriers: alignment, forwarding, order.

use seawall_protocol::config::CheckpointMode;
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
    Plant {
        name: "last-channel-stays-blocked",
        about: "the channel that delivers the last barrier is blocked like the others, and nobody unblocks it",
        bug: "none known: that the last barrier blocks nothing, turned off",
        rules: &["C2", "C9"],
        violates: "recovers",
        model: Some("alignment"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(LastChannelStaysBlocked),
    },
    Plant {
        name: "given-up-barrier-starts-again",
        about: "a barrier that comes after its checkpoint was given up starts an alignment",
        bug: "FLINK-5285: aborted checkpoints were started again by what was still in the channels",
        rules: &["C6", "F4", "G8"],
        violates: "recovers",
        model: Some("alignment"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(GivenUpBarrierStartsAgain),
    },
    Plant {
        name: "abort-is-told-to-nobody",
        about: "no subtask hears that a checkpoint was given up",
        bug: "none known: that subtasks hear of an abort, turned off",
        rules: &["G5"],
        violates: "recovers",
        model: Some("alignment"),
        model_property: "recovers",
        in_simulator: false,
        tamper: || Box::new(AbortIsToldToNobody),
    },
    Plant {
        name: "at-least-once-blocks",
        about: "a channel that delivered its barrier is blocked at least once as well, and nobody unblocks it",
        bug: "none known: that at least once waits for nothing, turned off",
        rules: &["D1"],
        violates: "recovers",
        model: Some("alignment"),
        model_property: "nothing-blocks",
        in_simulator: false,
        tamper: || Box::new(AtLeastOnceBlocks),
    },
    Plant {
        name: "count-is-one-short",
        about: "at least once, the first barrier takes the snapshot, so records before the last one are in none",
        bug: "FLINK-2519 and FLINK-1775, the other way round: the count of awaited channels is wrong",
        rules: &["D1", "D5"],
        violates: "exactly-once-state",
        model: Some("alignment"),
        model_property: "nothing-is-lost",
        in_simulator: false,
        tamper: || Box::new(CountIsOneShort),
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

struct LastChannelStaysBlocked;
impl Tamper for LastChannelStaysBlocked {
    fn after_subtask(&self, plan: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        if let Input::Barrier { channel, .. } = input
            && plan.mode == CheckpointMode::ExactlyOnce
            && effects.iter().any(|effect| matches!(effect, Effect::Snapshot(_)))
        {
            effects.push(Effect::Block(*channel));
        }
    }
}

/// Whether the core passed the barrier over.
fn is_ignored(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Note(Event::BarrierIgnored { .. })))
}

struct GivenUpBarrierStartsAgain;
impl Tamper for GivenUpBarrierStartsAgain {
    fn after_subtask(&self, plan: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        let Input::Barrier { channel, barrier } = input else { return };
        let is_given_up = effects.contains(&Effect::ForwardCancelMarker(barrier.checkpoint));
        let is_blocking = plan.mode == CheckpointMode::ExactlyOnce;
        if is_blocking && is_given_up && is_ignored(effects) {
            *effects = vec![Effect::Block(*channel)];
        }
    }
}

struct AbortIsToldToNobody;
impl Tamper for AbortIsToldToNobody {
    fn admits_to_subtask(&self, _: &Plan, input: &mut Input) -> bool {
        !matches!(input, Input::Aborted(_))
    }
}

struct AtLeastOnceBlocks;
impl Tamper for AtLeastOnceBlocks {
    fn after_subtask(&self, plan: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        if let Input::Barrier { channel, .. } = input
            && plan.mode == CheckpointMode::AtLeastOnce
        {
            effects.push(Effect::Block(*channel));
        }
    }
}

struct CountIsOneShort;
impl Tamper for CountIsOneShort {
    fn after_subtask(&self, plan: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        let Input::Barrier { barrier, .. } = input else { return };
        let is_counting = plan.mode == CheckpointMode::AtLeastOnce && !is_ignored(effects);
        let is_last = effects.iter().any(|effect| matches!(effect, Effect::Snapshot(_)));
        if is_counting && is_last {
            effects.retain(|effect| !matches!(effect, Effect::Snapshot(_)));
        } else if is_counting {
            effects.push(Effect::Snapshot(*barrier));
        }
    }
}
