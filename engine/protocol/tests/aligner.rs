//! Alignment against the definition of a cut: what was read before each barrier, channel by channel.

use proptest::prelude::*;
use seawall_protocol::aligner::{Aligner, Effect};
use seawall_protocol::config::CheckpointMode::{self, AtLeastOnce, ExactlyOnce};
use seawall_protocol::limits::{REMEMBERED_CANCELLED_MAX, TRACKED_BARRIERS_MAX};
use seawall_protocol::message;
use seawall_protocol::{ChannelId, CheckpointId};
use std::collections::{BTreeMap, BTreeSet};

// Transcripts.

#[derive(Debug, Clone, Copy)]
enum Step {
    Trigger(u64),
    Barrier(u32, u64),
    Marker(u64),
    Aborted(u64),
    Closed(u32),
}
use Step::{Aborted, Barrier, Closed, Marker, Trigger};

fn new(mode: CheckpointMode, channels: u32, restored: Option<CheckpointId>) -> Aligner {
    Aligner::new(mode, channels, BTreeSet::new(), restored)
}

fn take(aligner: &mut Aligner, step: Step) -> Vec<Effect> {
    let mut effects = Vec::new();
    match step {
        Trigger(checkpoint) => {
            aligner.on_trigger(message::Barrier::aligned(CheckpointId(checkpoint)), &mut effects);
        }
        Barrier(channel, checkpoint) => {
            aligner.on_barrier(
                ChannelId(channel),
                message::Barrier::aligned(CheckpointId(checkpoint)),
                &mut effects,
            );
        }
        Marker(checkpoint) => aligner.on_cancel_marker(CheckpointId(checkpoint), &mut effects),
        Aborted(checkpoint) => aligner.on_aborted(CheckpointId(checkpoint), &mut effects),
        Closed(channel) => aligner.on_closed(ChannelId(channel), &mut effects),
    }
    effects
}

fn show(effect: Effect) -> String {
    match effect {
        Effect::Started(barrier) => format!("started {}", barrier.checkpoint),
        Effect::Block { channel, .. } => format!("block {channel}"),
        Effect::Cut(barrier) => format!("cut {}", barrier.checkpoint),
        Effect::Unblock(channel) => format!("unblock {channel}"),
        Effect::Capture { channel, checkpoint } => format!("capture {checkpoint} on {channel}"),
        Effect::EndCapture { channel, checkpoint } => format!("captured {checkpoint} on {channel}"),
        Effect::AbandonCapture { checkpoint, .. } => format!("abandon capture {checkpoint}"),
        Effect::Abandon { checkpoint, is_subsumed: true } => format!("subsume {checkpoint}"),
        Effect::Abandon { checkpoint, is_subsumed: false } => format!("abandon {checkpoint}"),
        Effect::ForwardCancelMarker(checkpoint) => format!("marker {checkpoint}"),
        Effect::Ignore(checkpoint) => format!("ignore {checkpoint}"),
    }
}

fn check(mode: CheckpointMode, channels: u32, transcript: &[(Step, &str)]) {
    let mut aligner = new(mode, channels, None);
    for (index, (step, expected)) in transcript.iter().enumerate() {
        let effects: Vec<_> = take(&mut aligner, *step).into_iter().map(show).collect();
        assert_eq!(effects.join(", "), *expected, "step {index}: {step:?} of {transcript:?}");
    }
}

// Rules: C1, C2
#[test]
fn channels_wait_for_each_other_and_are_read_again_only_after_the_cut() {
    check(
        ExactlyOnce,
        3,
        &[
            (Barrier(1, 1), "started 1, block ch1"),
            (Barrier(0, 1), "block ch0"),
            (Barrier(2, 1), "cut 1, unblock ch0, unblock ch1"),
        ],
    );
}

// Rules: C9
#[test]
fn a_single_channel_is_never_blocked() {
    check(ExactlyOnce, 1, &[(Barrier(0, 1), "started 1, cut 1"), (Barrier(0, 1), "ignore 1")]);
}

// Rules: C3
#[test]
fn a_channel_that_closes_during_alignment_no_longer_owes_its_barrier() {
    check(
        ExactlyOnce,
        3,
        &[
            (Barrier(0, 1), "started 1, block ch0"),
            (Closed(1), ""),
            (Closed(2), "cut 1, unblock ch0"),
            (Closed(2), ""),
            (Barrier(2, 2), "ignore 2"),
        ],
    );
}

// Rules: C4
#[test]
fn an_older_barrier_is_passed_over_and_its_channel_flows_on() {
    check(
        ExactlyOnce,
        2,
        &[
            (Barrier(0, 2), "started 2, block ch0"),
            (Barrier(1, 1), "ignore 1"),
            (Barrier(1, 2), "cut 2, unblock ch0"),
            (Barrier(0, 2), "ignore 2"),
        ],
    );
}

// Rules: C5, C7
#[test]
fn a_newer_barrier_subsumes_the_alignment_and_starts_its_own() {
    check(
        ExactlyOnce,
        2,
        &[
            (Barrier(0, 1), "started 1, block ch0"),
            (Barrier(1, 2), "unblock ch0, subsume 1, marker 1, started 2, block ch1"),
            (Barrier(0, 2), "cut 2, unblock ch1"),
        ],
    );
}

// Rules: C4
#[test]
fn a_repeated_barrier_on_a_blocked_channel_is_ignored() {
    check(ExactlyOnce, 2, &[(Barrier(0, 1), "started 1, block ch0"), (Barrier(0, 1), "ignore 1")]);
}

// Rules: C6
#[test]
fn a_cancel_marker_frees_the_channels_and_late_barriers_never_restart_the_alignment() {
    check(
        ExactlyOnce,
        3,
        &[
            (Barrier(0, 1), "started 1, block ch0"),
            (Marker(1), "unblock ch0, abandon 1, marker 1"),
            (Barrier(2, 1), "ignore 1"),
            (Marker(1), "ignore 1"),
        ],
    );
}

// Rules: C6
#[test]
fn a_cancel_marker_ahead_of_all_barriers_is_forwarded_once_and_remembered() {
    check(
        ExactlyOnce,
        2,
        &[
            (Marker(1), "marker 1"),
            (Marker(1), "ignore 1"),
            (Aborted(1), ""),
            (Barrier(1, 1), "ignore 1"),
            (Barrier(0, 2), "started 2, block ch0"),
        ],
    );
}

// Rules: F4
#[test]
fn an_abort_that_arrives_before_the_barrier_puts_a_cancel_marker_in_its_place() {
    check(
        ExactlyOnce,
        2,
        &[
            (Aborted(1), ""),
            (Aborted(1), ""),
            (Barrier(0, 1), "ignore 1, marker 1"),
            (Barrier(1, 1), "ignore 1"),
        ],
    );
    check(
        ExactlyOnce,
        0,
        &[(Aborted(1), ""), (Trigger(1), "ignore 1, marker 1"), (Trigger(2), "cut 2")],
    );
}

#[test]
fn an_abort_during_alignment_frees_the_channels_and_an_abort_after_the_cut_changes_nothing() {
    check(
        ExactlyOnce,
        2,
        &[
            (Barrier(0, 1), "started 1, block ch0"),
            (Aborted(1), "unblock ch0, abandon 1, marker 1"),
            (Barrier(0, 2), "started 2, block ch0"),
            (Barrier(1, 2), "cut 2, unblock ch0"),
            (Aborted(2), ""),
        ],
    );
}

// Rules: F3
#[test]
fn a_trigger_is_obeyed_once_and_in_ascending_order() {
    check(
        ExactlyOnce,
        0,
        &[(Trigger(2), "cut 2"), (Trigger(2), "ignore 2"), (Trigger(1), "ignore 1")],
    );
}

// Rules: B11, C3, N1
#[test]
fn a_trigger_behind_a_finished_upstream_waits_until_every_channel_is_closed() {
    check(
        ExactlyOnce,
        2,
        &[
            (Closed(0), ""),
            (Trigger(1), "started 1"),
            (Trigger(1), "ignore 1"),
            (Closed(1), "cut 1"),
            (Trigger(2), "cut 2"),
        ],
    );
}

// Rules: C3, C5, N1
#[test]
fn a_trigger_abandons_an_older_alignment_and_is_passed_over_behind_its_own_barrier() {
    check(
        ExactlyOnce,
        2,
        &[
            (Barrier(0, 1), "started 1, block ch0"),
            (Trigger(2), "unblock ch0, subsume 1, marker 1, started 2"),
            (Barrier(0, 2), "block ch0"),
            (Trigger(2), "ignore 2"),
            (Closed(1), "cut 2, unblock ch0"),
            (Trigger(2), "ignore 2"),
        ],
    );
}

// Rules: D1, D3, D4
#[test]
fn at_least_once_counts_barriers_without_blocking_and_the_newest_cut_forgets_the_older() {
    check(
        AtLeastOnce,
        2,
        &[
            (Barrier(0, 1), "started 1"),
            (Barrier(0, 2), "started 2"),
            (Barrier(1, 2), "subsume 1, marker 1, cut 2"),
            (Barrier(1, 1), "ignore 1"),
        ],
    );
}

// Rules: D2
#[test]
fn at_least_once_drops_the_oldest_count_beyond_its_bound() {
    let mut aligner = new(AtLeastOnce, 2, None);
    let max = u64::try_from(TRACKED_BARRIERS_MAX).expect("a small number");
    for checkpoint in 1..=max {
        assert_eq!(take(&mut aligner, Barrier(0, checkpoint)).len(), 1);
    }
    let shown: Vec<_> = take(&mut aligner, Barrier(0, max + 1)).into_iter().map(show).collect();
    assert_eq!(shown.join(", "), format!("started {}, subsume 1, marker 1", max + 1));
    assert_eq!(take(&mut aligner, Barrier(1, 1)), [Effect::Ignore(CheckpointId(1))]);
}

#[test]
fn a_cancelled_checkpoint_that_is_no_longer_remembered_still_does_not_start() {
    let mut aligner = new(ExactlyOnce, 2, None);
    let max = u64::try_from(REMEMBERED_CANCELLED_MAX).expect("a small number");
    for checkpoint in 1..=max + 1 {
        take(&mut aligner, Marker(checkpoint));
    }
    for checkpoint in 1..=max + 1 {
        let expected = [Effect::Ignore(CheckpointId(checkpoint))];
        assert_eq!(take(&mut aligner, Barrier(0, checkpoint)), expected);
    }
}

// Rules: A2, C4
#[test]
fn barriers_up_to_the_restored_checkpoint_mean_nothing() {
    let mut aligner = new(ExactlyOnce, 1, Some(CheckpointId(3)));
    assert_eq!(take(&mut aligner, Barrier(0, 3)), [Effect::Ignore(CheckpointId(3))]);
    assert_eq!(
        take(&mut aligner, Barrier(0, 4)).last(),
        Some(&Effect::Cut(message::Barrier::aligned(CheckpointId(4))))
    );
}

// Properties.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Record,
    Barrier(u64),
    Marker(u64),
    Close,
}

/// What upstream does about one checkpoint on one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upstream {
    Barrier,
    Marker,
    Nothing,
}

const CHECKPOINTS: u64 = 6;

#[derive(Debug, Clone)]
struct Channel {
    rounds: Vec<(usize, Upstream)>,
    closes_after: Option<usize>,
}

impl Channel {
    /// Some records, then what stands for checkpoint n, for each n; the last barrier is always there.
    fn elements(&self) -> Vec<Element> {
        let mut elements = Vec::new();
        for (round, (records, upstream)) in self.rounds.iter().enumerate() {
            let checkpoint = u64::try_from(round + 1).expect("a small number");
            if self.closes_after == Some(round) {
                elements.push(Element::Close);
                return elements;
            }
            elements.extend(std::iter::repeat_n(Element::Record, *records));
            elements.extend(match upstream {
                _ if checkpoint == CHECKPOINTS => Some(Element::Barrier(checkpoint)),
                Upstream::Barrier => Some(Element::Barrier(checkpoint)),
                Upstream::Marker => Some(Element::Marker(checkpoint)),
                Upstream::Nothing => None,
            });
        }
        elements
    }
}

fn channel() -> impl Strategy<Value = Channel> {
    let upstream = prop_oneof![
        8 => Just(Upstream::Barrier),
        1 => Just(Upstream::Marker),
        1 => Just(Upstream::Nothing),
    ];
    let rounds = prop::collection::vec(
        (0..4_usize, upstream),
        usize::try_from(CHECKPOINTS).expect("a small number"),
    );
    let closes_after = prop::option::weighted(0.2, 0..6_usize);
    (rounds, closes_after).prop_map(|(rounds, closes_after)| Channel { rounds, closes_after })
}

/// The driver of one gate: reads what is not blocked, counts records, obeys effects.
struct Gate {
    mode: CheckpointMode,
    aligner: Aligner,
    scripts: Vec<Vec<Element>>,
    heads: Vec<usize>,
    records: Vec<usize>,
    closed: BTreeSet<usize>,
    blocked: BTreeSet<usize>,
    cuts: BTreeMap<u64, Vec<usize>>,
    told: BTreeSet<u64>,
}

impl Gate {
    fn new(mode: CheckpointMode, channels: &[Channel]) -> Self {
        let count = channels.len();
        Self {
            mode,
            aligner: new(mode, u32::try_from(count).expect("a small number"), None),
            scripts: channels.iter().map(Channel::elements).collect(),
            heads: vec![0; count],
            records: vec![0; count],
            closed: BTreeSet::new(),
            blocked: BTreeSet::new(),
            cuts: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    fn readable(&self) -> Vec<usize> {
        (0..self.scripts.len())
            .filter(|at| !self.blocked.contains(at) && self.heads[*at] < self.scripts[*at].len())
            .collect()
    }

    fn read(&mut self, at: usize) {
        let element = self.scripts[at][self.heads[at]];
        self.heads[at] += 1;
        let channel = u32::try_from(at).expect("a small number");
        match element {
            Element::Record => self.records[at] += 1,
            Element::Barrier(checkpoint) => self.give(Barrier(channel, checkpoint)),
            Element::Marker(checkpoint) => self.give(Marker(checkpoint)),
            Element::Close => {
                self.closed.insert(at);
                self.give(Closed(channel));
            }
        }
    }

    fn give(&mut self, step: Step) {
        for effect in take(&mut self.aligner, step) {
            match effect {
                Effect::Block { channel, .. } => {
                    assert_eq!(self.mode, ExactlyOnce, "at-least-once never blocks (D1)");
                    let at = usize::try_from(channel.0).expect("a small number");
                    assert!(self.blocked.insert(at), "{channel} is blocked twice");
                }
                Effect::Unblock(channel) => {
                    let at = usize::try_from(channel.0).expect("a small number");
                    assert!(self.blocked.remove(&at), "{channel} was not blocked");
                }
                Effect::Cut(barrier) => self.on_cut(barrier.checkpoint.0),
                Effect::ForwardCancelMarker(checkpoint) => {
                    assert!(!self.cuts.contains_key(&checkpoint.0), "{checkpoint} was cut");
                    assert!(self.told.insert(checkpoint.0), "outputs are told once");
                }
                Effect::Capture { .. }
                | Effect::EndCapture { .. }
                | Effect::AbandonCapture { .. } => panic!("an aligned barrier overtakes nothing"),
                Effect::Started(_) | Effect::Abandon { .. } | Effect::Ignore(_) => {}
            }
        }
        let blocked: BTreeSet<_> =
            self.blocked.iter().map(|at| u32::try_from(*at).expect("a small number")).collect();
        assert_eq!(self.aligner.blocked().map(|it| it.0).collect::<BTreeSet<_>>(), blocked);
    }

    fn on_cut(&mut self, checkpoint: u64) {
        assert!(!self.told.contains(&checkpoint), "{checkpoint} was given up");
        let newest = self.cuts.last_key_value().map_or(0, |(newest, _)| *newest);
        assert!(newest < checkpoint, "{checkpoint} is cut after {newest}");
        for (at, script) in self.scripts.iter().enumerate() {
            let barrier = script.iter().position(|it| *it == Element::Barrier(checkpoint));
            let Some(barrier) = barrier else {
                assert!(self.closed.contains(&at), "ch{at} owes barrier {checkpoint}");
                continue;
            };
            let before = script[..barrier].iter().filter(|it| **it == Element::Record).count();
            match self.mode {
                ExactlyOnce => assert_eq!(self.records[at], before, "cut {checkpoint} on ch{at}"),
                AtLeastOnce => assert!(self.records[at] >= before, "cut {checkpoint} on ch{at}"),
            }
        }
        self.cuts.insert(checkpoint, self.records.clone());
    }
}

/// Every channel brings the barrier, or closed before it was due.
fn is_intact(channels: &[Channel], checkpoint: u64) -> bool {
    let has_barrier =
        |channel: &Channel| channel.elements().contains(&Element::Barrier(checkpoint));
    let is_excused = |channel: &Channel| {
        channel
            .closes_after
            .is_some_and(|rounds| u64::try_from(rounds).expect("a small number") < checkpoint)
    };
    channels.iter().all(|it| has_barrier(it) || is_excused(it)) && channels.iter().any(has_barrier)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    // Rules: C1, C2, C3, C6, D1, D5, T3, T4, T15
    #[test]
    fn every_cut_holds_what_stood_before_the_barriers_and_no_channel_waits_for_ever(
        is_exactly_once: bool,
        channels in prop::collection::vec(channel(), 1..5),
        schedule in prop::collection::vec((any::<u8>(), prop::option::weighted(0.03, 1..=CHECKPOINTS)), 0..150),
    ) {
        let mode = if is_exactly_once { ExactlyOnce } else { AtLeastOnce };
        let mut gate = Gate::new(mode, &channels);
        let mut aborted = BTreeSet::new();
        let mut choices = schedule.into_iter();
        loop {
            let readable = gate.readable();
            if readable.is_empty() {
                break;
            }
            let (choice, abort) = choices.next().unwrap_or((0, None));
            if let Some(checkpoint) = abort {
                aborted.insert(checkpoint);
                gate.give(Aborted(checkpoint));
            } else {
                gate.read(readable[usize::from(choice) % readable.len()]);
            }
        }

        prop_assert!(gate.blocked.is_empty(), "blocked for ever: {:?}", gate.blocked);
        for (at, script) in gate.scripts.iter().enumerate() {
            prop_assert_eq!(gate.heads[at], script.len(), "ch{} was not read to its end", at);
        }
        for checkpoint in (1..=CHECKPOINTS).filter(|it| !aborted.contains(it)) {
            // A close can complete several counts at once; at-least-once takes the newest (D3).
            let is_taken = match mode {
                ExactlyOnce => gate.cuts.contains_key(&checkpoint),
                AtLeastOnce => gate.cuts.range(checkpoint..).next().is_some(),
            };
            prop_assert!(is_taken || !is_intact(&channels, checkpoint), "{} was not cut", checkpoint);
        }
    }

    #[test]
    fn any_input_in_any_state_has_an_answer(
        is_exactly_once: bool,
        channels in 0..4_u32,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mode = if is_exactly_once { ExactlyOnce } else { AtLeastOnce };
        let mut aligner = new(mode, channels, None);
        let mut newest_cut = CheckpointId(0);
        for step in steps {
            for effect in take(&mut aligner, step) {
                if let Effect::Cut(message::Barrier { checkpoint, .. }) = effect {
                    prop_assert!(newest_cut < checkpoint);
                    newest_cut = checkpoint;
                }
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (1..40_u64).prop_map(Trigger),
        6 => (0..5_u32, 1..40_u64).prop_map(|(channel, checkpoint)| Barrier(channel, checkpoint)),
        2 => (1..40_u64).prop_map(Marker),
        2 => (1..40_u64).prop_map(Aborted),
        1 => (0..5_u32).prop_map(Closed),
    ]
}
