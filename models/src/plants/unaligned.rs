//! Planted bugs of in-flight data: what is captured, until when, and how it is replayed.

use seawall_protocol::CheckpointId;
use seawall_protocol::config::Alignment;
use seawall_protocol::event::Event;
use seawall_protocol::subtask::{Effect, Input, Plan};
use seawall_protocol::tamper::{DataStep, Tamper};

use super::{Plant, Skips};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "announcement-goes-unheard",
        about: "a barrier that may overtake is awaited behind the records before it",
        bug: "none known: that a barrier is heard of before it is at the head, turned off",
        rules: &["E1"],
        violates: "recovers",
        model: Some("unaligned"),
        model_property: "barriers-overtake",
        in_simulator: true,
        tamper: || Box::new(AnnouncementGoesUnheard),
    },
    Plant {
        name: "capture-misses-the-input",
        about: "records that arrived before a late barrier are not added to the snapshot",
        bug: "FLINK-20654: what was queued when the snapshot was taken was not part of it",
        rules: &["E2"],
        violates: "exactly-once-state",
        model: Some("unaligned"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(CaptureMissesTheInput),
    },
    Plant {
        name: "capture-misses-the-output",
        about: "a barrier overtakes in the output, and what it goes ahead of is not added to the snapshot",
        bug: "none known: that the output is part of the channel state, turned off",
        rules: &["E2", "E9"],
        violates: "exactly-once-state",
        model: Some("unaligned"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(Skips(DataStep::CaptureOutput)),
    },
    Plant {
        name: "capture-goes-past-the-barrier",
        about: "a channel that delivered its barrier goes on adding records to the snapshot",
        bug: "FLINK-17564: records that arrived meanwhile went into the channel snapshot as well",
        rules: &["E3"],
        violates: "exactly-once-state",
        model: Some("unaligned"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(CaptureGoesPastTheBarrier),
    },
    Plant {
        name: "old-barrier-ends-the-capture",
        about: "a late barrier of an older checkpoint ends a channel's part of the newer one",
        bug: "FLINK-20097, FLINK-20645, FLINK-21104: an obsolete barrier switched the capture off",
        rules: &["E3", "C4"],
        violates: "exactly-once-state",
        model: Some("unaligned"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(OldBarrierEndsTheCapture),
    },
    Plant {
        name: "ack-before-the-capture-is-whole",
        about: "the ack is sent at the cut and does not wait for in-flight data",
        bug: "none known: that an ack waits for all channel state, turned off",
        rules: &["E4"],
        violates: "durable-before-ack",
        model: Some("unaligned"),
        model_property: "acks-what-is-whole",
        in_simulator: false,
        tamper: || Box::new(AckBeforeTheCaptureIsWhole),
    },
    Plant {
        name: "older-barrier-starts-again",
        about: "a snapshot is taken at a barrier that is older than the newest",
        bug: "none known: that a newer barrier ends the older checkpoint, turned off",
        rules: &["E5", "F3"],
        violates: "barriers-in-order",
        model: Some("unaligned"),
        model_property: "barriers-in-order",
        in_simulator: false,
        tamper: || Box::new(OlderBarrierStartsAgain),
    },
    Plant {
        name: "restored-input-is-lost",
        about: "records that were captured at an input are not put back",
        bug: "FLINK-20654: restored records were skipped, and the next crash lost them",
        rules: &["E6", "E12"],
        violates: "exactly-once-output",
        model: Some("unaligned"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(Skips(DataStep::ReplayInput)),
    },
    Plant {
        name: "restored-output-is-lost",
        about: "records that were captured in an output are not sent again",
        bug: "FLINK-31963: in-flight data was not assigned to the subtask that had to send it",
        rules: &["E6", "E12"],
        violates: "exactly-once-output",
        model: Some("unaligned"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(Skips(DataStep::ReplayOutput)),
    },
    Plant {
        name: "new-records-pass-the-replay",
        about: "a restored output sends something new before what it was restored with",
        bug: "FLINK-17564: in-flight data came back in the wrong order",
        rules: &["E6"],
        violates: "records-in-order",
        model: Some("unaligned"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(Skips(DataStep::ReplayFirst)),
    },
    Plant {
        name: "replay-goes-backward",
        about: "what was captured last of a channel is put back first",
        bug: "none known: that in-flight data is replayed in its order, turned off",
        rules: &["A6", "E6"],
        violates: "records-in-order",
        model: Some("unaligned"),
        model_property: "exactly-once-output",
        in_simulator: true,
        tamper: || Box::new(Skips(DataStep::ReplayInOrder)),
    },
    Plant {
        name: "alignment-has-no-end",
        about: "the time to align is never over",
        bug: "apache/flink#19723: a barrier that was stuck in a full output never overtook",
        rules: &["E9"],
        violates: "recovers",
        model: Some("unaligned"),
        model_property: "time-ends-the-wait",
        in_simulator: true,
        tamper: || Box::new(AlignmentHasNoEnd),
    },
    Plant {
        name: "barrier-leaves-ahead-of-its-turn",
        about: "a barrier that is to wait goes ahead of what is queued in the output, and nothing is captured",
        bug: "none known: that a barrier keeps its place in a channel, turned off",
        rules: &["A6"],
        violates: "exactly-once-state",
        model: Some("unaligned"),
        model_property: "exactly-once-state",
        in_simulator: false,
        tamper: || Box::new(BarrierLeavesAheadOfItsTurn),
    },
    Plant {
        name: "pointwise-barrier-overtakes",
        about: "a barrier goes ahead of records on a pointwise edge, whose in-flight data has no key to be dealt by",
        bug: "none known: that pointwise edges are aligned, turned off",
        rules: &["E7"],
        violates: "exactly-once-state",
        model: Some("unaligned"),
        model_property: "pointwise-is-aligned",
        in_simulator: false,
        tamper: || Box::new(Skips(DataStep::AlignPointwise)),
    },
    Plant {
        name: "snapshot-before-its-barrier",
        about: "the snapshot is taken before the barrier leaves, so it misses what the barrier goes ahead of",
        bug: "none known: that the barrier leaves first, turned off",
        rules: &["F2"],
        violates: "durable-before-ack",
        model: Some("unaligned"),
        model_property: "acks-what-is-whole",
        in_simulator: false,
        tamper: || Box::new(SnapshotBeforeItsBarrier),
    },
];

struct AnnouncementGoesUnheard;
impl Tamper for AnnouncementGoesUnheard {
    fn admits_to_subtask(&self, _: &Plan, input: &mut Input) -> bool {
        !matches!(input, Input::Announced { .. })
    }
}

struct CaptureMissesTheInput;
impl Tamper for CaptureMissesTheInput {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|effect| !matches!(effect, Effect::CaptureInput { .. }));
    }
}

struct CaptureGoesPastTheBarrier;
impl Tamper for CaptureGoesPastTheBarrier {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        effects.retain(|effect| !matches!(effect, Effect::EndCapture { .. }));
    }
}

struct OldBarrierEndsTheCapture;
impl Tamper for OldBarrierEndsTheCapture {
    fn after_subtask(&self, _: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        let Input::Barrier { channel, barrier } = *input else { return };
        let is_ignored =
            |effect: &Effect| matches!(effect, Effect::Note(Event::BarrierIgnored { .. }));
        if effects.iter().any(is_ignored) {
            let checkpoint = CheckpointId(barrier.checkpoint.0 + 1);
            effects.push(Effect::EndCapture { channel, checkpoint });
        }
    }
}

struct AckBeforeTheCaptureIsWhole;
impl Tamper for AckBeforeTheCaptureIsWhole {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        let cut = |effect: &Effect| {
            let Effect::Snapshot(barrier) = effect else { return None };
            (barrier.overtakes() != Alignment::Aligned).then_some(barrier.checkpoint)
        };
        let taken = effects.iter().find_map(cut);
        effects.extend(taken.map(Effect::Ack));
    }
}

struct OlderBarrierStartsAgain;
impl Tamper for OlderBarrierStartsAgain {
    fn after_subtask(&self, _: &Plan, input: &Input, effects: &mut Vec<Effect>) {
        let Input::Barrier { barrier, .. } = *input else { return };
        let is_ignored =
            |effect: &Effect| matches!(effect, Effect::Note(Event::BarrierIgnored { .. }));
        if effects.iter().any(is_ignored) {
            effects.push(Effect::Snapshot(barrier));
        }
    }
}

struct AlignmentHasNoEnd;
impl Tamper for AlignmentHasNoEnd {
    fn admits_to_subtask(&self, _: &Plan, input: &mut Input) -> bool {
        !matches!(input, Input::Timer(_))
    }
}

struct BarrierLeavesAheadOfItsTurn;
impl Tamper for BarrierLeavesAheadOfItsTurn {
    fn after_subtask(&self, plan: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects {
            if let Effect::ForwardBarrier(barrier) = effect
                && matches!(barrier.alignment, Alignment::AlignedFor(_))
                && plan.channels == 0
            {
                barrier.alignment = Alignment::Unaligned;
            }
        }
    }
    fn skips(&self, step: DataStep) -> bool {
        step == DataStep::CaptureOutput
    }
}

struct SnapshotBeforeItsBarrier;
impl Tamper for SnapshotBeforeItsBarrier {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        if let Some(at) = effects.iter().position(|it| matches!(it, Effect::ForwardBarrier(_))) {
            let late = effects.remove(at);
            effects.push(late);
        }
    }
}
