//! Checkpoints whose barriers overtake records: transcripts of rules E1-E10, and the definition of a cut,
//! in-flight data included, over random worlds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::config::Alignment::{self, Aligned, AlignedFor, Unaligned};
use seawall_protocol::config::CheckpointMode::{AtLeastOnce, ExactlyOnce};
use seawall_protocol::message::{Barrier, CheckpointKind};
use seawall_protocol::subtask::{Effect, Input, Plan, Subtask, Timer};
use seawall_protocol::{Attempt, AttemptId, ChannelId, CheckpointId, SubtaskId};

// Transcripts.

const TIMED: Alignment = AlignedFor(Duration::from_millis(200));

fn plan(channels: u32) -> Plan {
    Plan {
        attempt: AttemptId { subtask: SubtaskId::new(0, 0), attempt: Attempt(1) },
        channels,
        pointwise: BTreeSet::new(),
        has_callbacks: false,
        has_sink: false,
        mode: ExactlyOnce,
        restored: None,
        restored_transactions: BTreeSet::new(),
        is_restored_at_end: false,
        finishes_together: false,
        is_stopping: false,
    }
}

fn of(checkpoint: u64, alignment: Alignment) -> Barrier {
    Barrier { alignment, ..Barrier::aligned(CheckpointId(checkpoint)) }
}

fn trigger(checkpoint: u64, alignment: Alignment) -> Input {
    Input::Trigger(of(checkpoint, alignment))
}

fn announced(channel: u32, checkpoint: u64, alignment: Alignment) -> Input {
    Input::Announced { channel: ChannelId(channel), barrier: of(checkpoint, alignment) }
}

fn barrier(channel: u32, checkpoint: u64, alignment: Alignment) -> Input {
    Input::Barrier { channel: ChannelId(channel), barrier: of(checkpoint, alignment) }
}

fn marker(channel: u32, checkpoint: u64) -> Input {
    Input::CancelMarker { channel: ChannelId(channel), checkpoint: CheckpointId(checkpoint) }
}

fn closed(channel: u32) -> Input {
    Input::Closed { channel: ChannelId(channel) }
}

fn durable(checkpoint: u64) -> Input {
    Input::SnapshotDurable(CheckpointId(checkpoint))
}

fn aborted(checkpoint: u64) -> Input {
    Input::Aborted(CheckpointId(checkpoint))
}

fn timeout(checkpoint: u64) -> Input {
    Input::Timer(Timer::AlignmentTimeout(CheckpointId(checkpoint)))
}

fn sent(checkpoint: u64) -> Input {
    Input::BarrierSent(CheckpointId(checkpoint))
}

fn show(effect: &Effect) -> Option<String> {
    let how = |barrier: &Barrier| match barrier.alignment {
        Aligned => "",
        Unaligned => "!",
        AlignedFor(_) => "?",
    };
    Some(match effect {
        Effect::Block(channel) => format!("block {channel}"),
        Effect::Unblock(channel) => format!("unblock {channel}"),
        Effect::ForwardBarrier(barrier) => {
            format!("barrier {}{}", barrier.checkpoint, how(barrier))
        }
        Effect::OvertakeOutput(barrier) => format!("overtake {}", barrier.checkpoint),
        Effect::CaptureInput { channel, .. } => format!("capture {channel}"),
        Effect::EndCapture { channel, .. } => format!("captured {channel}"),
        Effect::SealSnapshot(checkpoint) => format!("seal {checkpoint}"),
        Effect::DiscardSnapshot(checkpoint) => format!("discard {checkpoint}"),
        Effect::ForwardCancelMarker(checkpoint) => format!("marker {checkpoint}"),
        Effect::PreCommit(checkpoint) => format!("pre-commit {checkpoint}"),
        Effect::Snapshot(barrier) => format!("snapshot {}", barrier.checkpoint),
        Effect::Ack(checkpoint) => format!("ack {checkpoint}"),
        Effect::Decline(checkpoint, reason) => format!("decline {checkpoint} {reason:?}"),
        Effect::Arm(Timer::AlignmentTimeout(checkpoint), _) => format!("arm {checkpoint}"),
        Effect::Disarm(Timer::AlignmentTimeout(checkpoint)) => format!("disarm {checkpoint}"),
        Effect::Note(event) if event.name() == "stale-input" => "(stale-input)".into(),
        Effect::Note(_) | Effect::Run | Effect::Confirm(_) | Effect::AbortLingering => return None,
        Effect::Commit(_)
        | Effect::TellCompleted(_)
        | Effect::TellAborted(_)
        | Effect::EndInput
        | Effect::Pause
        | Effect::Resume
        | Effect::ReportEnded
        | Effect::Finish
        | Effect::Fail { .. } => {
            format!("{effect:?}")
        }
    })
}

fn check(plan: Plan, transcript: &[(Input, &str)]) {
    let mut subtask = Subtask::new(plan);
    subtask.handle(Input::Start, &mut Vec::new());
    for (index, (input, expected)) in transcript.iter().enumerate() {
        let mut effects = Vec::new();
        subtask.handle(input.clone(), &mut effects);
        let shown: Vec<_> = effects.iter().filter_map(show).collect();
        assert_eq!(shown.join(", "), *expected, "step {index}: {input}");
    }
}

// Rules: E1, E2, E3, E4
#[test]
fn the_first_word_of_a_barrier_cuts_at_once_and_the_ack_waits_for_every_barrier() {
    check(
        plan(3),
        &[
            (
                announced(1, 1, Unaligned),
                "barrier 1!, snapshot 1, capture ch0, capture ch1, capture ch2",
            ),
            (barrier(1, 1, Unaligned), "captured ch1"),
            (durable(1), "(stale-input)"),
            (announced(0, 1, Unaligned), ""),
            (barrier(0, 1, Unaligned), "captured ch0"),
            (barrier(2, 1, Unaligned), "captured ch2, seal 1"),
            (durable(1), "ack 1"),
        ],
    );
}

// Rules: E1
#[test]
fn a_barrier_without_a_word_before_it_cuts_as_well() {
    check(
        plan(2),
        &[
            (barrier(0, 1, Unaligned), "barrier 1!, snapshot 1, capture ch1"),
            (barrier(1, 1, Unaligned), "captured ch1, seal 1"),
        ],
    );
    check(plan(1), &[(barrier(0, 1, Unaligned), "barrier 1!, snapshot 1, seal 1")]);
}

// Rules: E1, E4
#[test]
fn a_source_has_no_input_to_capture_and_seals_at_once() {
    check(
        plan(0),
        &[(trigger(1, Unaligned), "barrier 1!, snapshot 1, seal 1"), (durable(1), "ack 1")],
    );
}

// Rules: E8, K1
#[test]
fn a_sink_pre_commits_in_the_step_of_its_unaligned_snapshot() {
    let sink = Plan { has_sink: true, ..plan(2) };
    check(
        sink,
        &[(
            announced(0, 1, Unaligned),
            "barrier 1!, pre-commit 1, snapshot 1, capture ch0, capture ch1",
        )],
    );
}

// Rules: E3, E5
#[test]
fn a_late_barrier_of_an_older_checkpoint_ends_no_capture() {
    check(
        plan(2),
        &[
            (announced(0, 2, Unaligned), "barrier 2!, snapshot 2, capture ch0, capture ch1"),
            (barrier(1, 1, Unaligned), ""),
            (announced(1, 1, Unaligned), ""),
            (barrier(0, 2, Unaligned), "captured ch0"),
            (barrier(1, 2, Unaligned), "captured ch1, seal 2"),
        ],
    );
}

// Rules: E3, E5, C5
#[test]
fn a_newer_barrier_ends_the_capture_as_subsumed_and_nothing_of_it_is_acked() {
    check(
        plan(2),
        &[
            (announced(0, 1, Unaligned), "barrier 1!, snapshot 1, capture ch0, capture ch1"),
            (
                announced(1, 2, Unaligned),
                "discard 1, decline 1 Subsumed, barrier 2!, snapshot 2, capture ch0, capture ch1",
            ),
            (barrier(0, 1, Unaligned), ""),
            (durable(1), "(stale-input)"),
            (barrier(1, 2, Unaligned), "captured ch1"),
            (barrier(0, 2, Unaligned), "captured ch0, seal 2"),
        ],
    );
}

// Rules: E3, G8, G9
#[test]
fn an_abort_or_a_cancel_marker_ends_the_capture() {
    let start = (announced(0, 1, Unaligned), "barrier 1!, snapshot 1, capture ch0, capture ch1");
    check(
        plan(2),
        &[
            start.clone(),
            (aborted(1), "discard 1"),
            (aborted(1), ""),
            (barrier(0, 1, Unaligned), ""),
            (barrier(1, 1, Unaligned), ""),
            (announced(0, 2, Unaligned), "barrier 2!, snapshot 2, capture ch0, capture ch1"),
        ],
    );
    check(plan(2), &[start, (marker(1, 1), "discard 1"), (barrier(0, 1, Unaligned), "")]);
}

// Rules: C6, E3
#[test]
fn a_checkpoint_that_was_cancelled_before_its_word_never_cuts() {
    check(
        plan(2),
        &[
            (aborted(1), ""),
            (announced(0, 1, Unaligned), "marker 1"),
            (barrier(0, 1, Unaligned), ""),
            (announced(1, 1, Unaligned), ""),
        ],
    );
}

// Rules: C3, E4
#[test]
fn a_channel_that_closes_ends_its_part_of_the_capture() {
    let start = (announced(0, 1, Unaligned), "barrier 1!, snapshot 1, capture ch0, capture ch1");
    check(
        plan(2),
        &[
            start.clone(),
            (barrier(0, 1, Unaligned), "captured ch0"),
            (closed(1), "captured ch1, seal 1"),
        ],
    );
    let channel = ChannelId(1);
    check(
        plan(2),
        &[
            start,
            (Input::CloseAnnounced { channel }, "captured ch1"),
            (barrier(0, 1, Unaligned), "captured ch0, seal 1"),
            (Input::CloseAnnounced { channel }, ""),
            (closed(1), ""),
        ],
    );
}

// Rules: E7
#[test]
fn a_barrier_that_overtakes_waits_for_pointwise_channels_and_overtakes_again_behind_them() {
    let mixed = Plan { pointwise: [ChannelId(0)].into(), ..plan(3) };
    check(
        mixed,
        &[
            (announced(0, 1, Unaligned), ""),
            (announced(1, 1, Unaligned), ""),
            (barrier(1, 1, Unaligned), "block ch1"),
            (barrier(0, 1, Unaligned), "barrier 1!, snapshot 1, capture ch2, unblock ch1"),
            (barrier(2, 1, Unaligned), "captured ch2, seal 1"),
        ],
    );
    let pointwise = Plan { pointwise: [ChannelId(0), ChannelId(1)].into(), ..plan(2) };
    check(
        pointwise,
        &[
            (barrier(0, 1, Unaligned), "block ch0"),
            (barrier(1, 1, Unaligned), "barrier 1!, snapshot 1, unblock ch0, seal 1"),
        ],
    );
}

// Rules: E7, C3
#[test]
fn a_pointwise_channel_that_closes_is_waited_for_no_longer() {
    let mixed = Plan { pointwise: [ChannelId(0)].into(), ..plan(3) };
    check(
        mixed,
        &[
            (announced(1, 1, Unaligned), ""),
            (closed(0), "barrier 1!, snapshot 1, capture ch1, capture ch2"),
        ],
    );
}

// Rules: E9, A8
#[test]
fn a_timed_alignment_that_ends_in_time_captures_nothing() {
    check(
        plan(2),
        &[
            (announced(0, 1, TIMED), "arm 1"),
            (barrier(0, 1, TIMED), "block ch0"),
            (announced(1, 1, TIMED), ""),
            (barrier(1, 1, TIMED), "barrier 1?, snapshot 1, unblock ch0"),
            (sent(1), "disarm 1, seal 1"),
            (timeout(1), "(stale-input)"),
        ],
    );
}

// Rules: E9
#[test]
fn a_timed_alignment_overtakes_at_the_input_and_keeps_book_of_late_aligned_barriers() {
    check(
        plan(3),
        &[
            (announced(0, 1, TIMED), "arm 1"),
            (barrier(0, 1, TIMED), "block ch0"),
            (timeout(1), "barrier 1!, snapshot 1, capture ch1, capture ch2, unblock ch0"),
            (announced(1, 1, TIMED), ""),
            (barrier(1, 1, TIMED), "captured ch1"),
            (barrier(0, 1, TIMED), ""),
            (barrier(2, 1, Unaligned), "captured ch2, seal 1"),
            (durable(1), "ack 1"),
        ],
    );
}

// Rules: E9
#[test]
fn a_barrier_that_overtook_upstream_overtakes_here_before_the_time_is_over() {
    check(
        plan(2),
        &[
            (announced(0, 1, TIMED), "arm 1"),
            (barrier(0, 1, TIMED), "block ch0"),
            (
                announced(1, 1, Unaligned),
                "barrier 1!, snapshot 1, disarm 1, capture ch1, unblock ch0",
            ),
            (barrier(1, 1, Unaligned), "captured ch1, seal 1"),
        ],
    );
}

// Rules: E9
#[test]
fn a_barrier_that_waits_in_the_output_for_too_long_overtakes_there() {
    check(
        plan(0),
        &[
            (trigger(1, TIMED), "barrier 1?, snapshot 1, arm 1"),
            (durable(1), "(stale-input)"),
            (timeout(1), "overtake 1, seal 1"),
            (sent(1), "(stale-input)"),
            (durable(1), "ack 1"),
        ],
    );
    check(
        plan(1),
        &[
            (announced(0, 1, TIMED), "arm 1"),
            (barrier(0, 1, TIMED), "barrier 1?, snapshot 1"),
            (timeout(1), "overtake 1, seal 1"),
        ],
    );
}

// Rules: E9, G8
#[test]
fn an_abort_disarms_the_timer_and_discards_what_waits_in_the_output() {
    check(
        plan(0),
        &[
            (trigger(1, TIMED), "barrier 1?, snapshot 1, arm 1"),
            (aborted(1), "disarm 1, discard 1"),
            (timeout(1), "(stale-input)"),
            (trigger(2, TIMED), "barrier 2?, snapshot 2, arm 2"),
            (
                trigger(3, TIMED),
                "disarm 2, discard 2, decline 2 Subsumed, barrier 3?, snapshot 3, arm 3",
            ),
        ],
    );
    check(plan(2), &[(announced(0, 1, TIMED), "arm 1"), (aborted(1), "disarm 1, marker 1")]);
}

// Rules: E10
#[test]
fn a_savepoint_is_aligned_whatever_the_checkpoints_are() {
    let savepoint = |alignment| Barrier { kind: CheckpointKind::Savepoint, ..of(1, alignment) };
    for alignment in [Unaligned, TIMED] {
        let barrier = savepoint(alignment);
        let give = |channel| Input::Barrier { channel: ChannelId(channel), barrier };
        let announce = Input::Announced { channel: ChannelId(0), barrier };
        let mut subtask = Subtask::new(plan(2));
        let mut effects = Vec::new();
        for input in [Input::Start, announce, give(0), give(1)] {
            subtask.handle(input, &mut effects);
        }
        let shown: Vec<_> = effects.iter().filter_map(show).collect();
        assert_eq!(shown[0], "block ch0");
        assert_eq!(shown[2..], ["snapshot 1", "unblock ch0"]);
    }
}

// Rules: D1, B8
#[test]
fn at_least_once_overtakes_nothing() {
    let counted = Plan { mode: AtLeastOnce, ..plan(2) };
    check(
        counted,
        &[
            (announced(0, 1, Unaligned), ""),
            (barrier(0, 1, Unaligned), ""),
            (barrier(1, 1, Unaligned), "barrier 1!, snapshot 1"),
        ],
    );
}

// Properties.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Record(usize),
    Barrier(Barrier),
    Marker(u64),
    Closed,
}

const CHECKPOINTS: u64 = 4;

/// What upstream does about one checkpoint on one channel.
#[derive(Debug, Clone, Copy)]
enum Upstream {
    AsTriggered,
    /// A timed barrier that overtook upstream.
    Overtook,
    Marker,
    Nothing,
}

#[derive(Debug, Clone)]
struct Channel {
    rounds: Vec<(usize, Upstream)>,
    closes_after: Option<usize>,
    is_pointwise: bool,
}

fn elements(channel: &Channel, alignments: &[Alignment]) -> Vec<Element> {
    let mut elements = Vec::new();
    for (round, (records, upstream)) in channel.rounds.iter().enumerate() {
        if channel.closes_after == Some(round) {
            elements.push(Element::Closed);
            return elements;
        }
        for _ in 0..*records {
            elements.push(Element::Record(elements.len()));
        }
        let checkpoint = u64::try_from(round + 1).expect("a small number");
        let alignment = alignments[round];
        let is_last = checkpoint == CHECKPOINTS;
        elements.extend(match upstream {
            Upstream::Overtook if matches!(alignment, AlignedFor(_)) => {
                Some(Element::Barrier(of(checkpoint, Unaligned)))
            }
            Upstream::Marker if !is_last => Some(Element::Marker(checkpoint)),
            Upstream::Nothing if !is_last => None,
            Upstream::AsTriggered | Upstream::Overtook | Upstream::Marker | Upstream::Nothing => {
                Some(Element::Barrier(of(checkpoint, alignment)))
            }
        });
    }
    elements
}

fn any_alignment() -> impl Strategy<Value = Alignment> {
    prop_oneof![1 => Just(Aligned), 3 => Just(Unaligned), 3 => Just(TIMED)]
}

fn any_channel() -> impl Strategy<Value = Channel> {
    let upstream = prop_oneof![
        8 => Just(Upstream::AsTriggered),
        3 => Just(Upstream::Overtook),
        1 => Just(Upstream::Marker),
        1 => Just(Upstream::Nothing),
    ];
    let rounds =
        prop::collection::vec((0..4_usize, upstream), usize::try_from(CHECKPOINTS).expect("few"));
    let closes_after = prop::option::weighted(0.15, 0..4_usize);
    (rounds, closes_after, prop::bool::weighted(0.2)).prop_map(
        |(rounds, closes_after, is_pointwise)| Channel { rounds, closes_after, is_pointwise },
    )
}

/// In-flight data of the checkpoint that is being captured, as the driver keeps it.
#[derive(Debug, Clone, Default)]
struct Snapshot {
    /// Records processed at the cut, by channel.
    processed: Vec<Vec<usize>>,
    captured: Vec<Vec<usize>>,
    /// Channels that may add.
    adding: BTreeSet<usize>,
    is_sealed: bool,
}

/// The driver of one subtask: queues, in-flight data, timers.
struct World {
    core: Subtask,
    scripts: Vec<VecDeque<Element>>,
    queues: Vec<VecDeque<Element>>,
    /// How many elements at the head of each queue are captured already.
    scanned: Vec<usize>,
    processed: Vec<Vec<usize>>,
    blocked: BTreeSet<usize>,
    snapshots: BTreeMap<u64, Snapshot>,
    capturing: Option<u64>,
    armed: BTreeSet<u64>,
    /// Timed barriers that wait in the output.
    unsent: BTreeSet<u64>,
    acked: BTreeSet<u64>,
    inputs: VecDeque<Input>,
}

impl World {
    fn new(channels: &[Channel], alignments: &[Alignment]) -> Self {
        let count = channels.len();
        let is_pointwise = |it: &usize| channels[*it].is_pointwise;
        let pointwise = (0..count).filter(is_pointwise).map(channel_id).collect();
        let plan = Plan { pointwise, ..plan(u32::try_from(count).expect("few channels")) };
        let mut world = Self {
            core: Subtask::new(plan),
            scripts: channels.iter().map(|it| elements(it, alignments).into()).collect(),
            queues: vec![VecDeque::new(); count],
            scanned: vec![0; count],
            processed: vec![Vec::new(); count],
            blocked: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            capturing: None,
            armed: BTreeSet::new(),
            unsent: BTreeSet::new(),
            acked: BTreeSet::new(),
            inputs: VecDeque::new(),
        };
        world.give(Input::Start);
        world
    }

    fn give(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let mut effects = Vec::new();
            self.core.handle(input, &mut effects);
            for effect in effects {
                self.perform(&effect);
            }
        }
    }

    fn perform(&mut self, effect: &Effect) {
        match effect.clone() {
            // The bookkeeping of one subtask; what others do about it is not in this world.
            Effect::Block(channel) => assert!(self.blocked.insert(index(channel))),
            Effect::Unblock(channel) => assert!(self.blocked.remove(&index(channel))),
            Effect::ForwardBarrier(barrier) => {
                if let AlignedFor(_) = barrier.overtakes() {
                    self.unsent.insert(barrier.checkpoint.0);
                }
            }
            Effect::OvertakeOutput(barrier) => {
                assert!(self.unsent.remove(&barrier.checkpoint.0), "it had left");
            }
            Effect::Snapshot(barrier) => {
                let n = barrier.checkpoint.0;
                let captured = vec![Vec::new(); self.queues.len()];
                let processed = self.processed.clone();
                let is_sealed = barrier.overtakes() == Aligned;
                let adding = BTreeSet::new();
                let snapshot = Snapshot { processed, captured, adding, is_sealed };
                assert!(self.snapshots.insert(n, snapshot).is_none(), "{n} is taken twice");
                if is_sealed {
                    self.inputs.push_back(durable(n));
                } else {
                    assert!(self.capturing.replace(n).is_none(), "two at once (E10)");
                }
            }
            Effect::CaptureInput { channel, checkpoint } => {
                let at = index(channel);
                assert_eq!(self.capturing, Some(checkpoint.0));
                self.snapshot(checkpoint.0).adding.insert(at);
                self.scanned[at] = 0;
                self.scan(at);
            }
            Effect::EndCapture { channel, checkpoint } => {
                assert!(self.snapshot(checkpoint.0).adding.remove(&index(channel)));
            }
            Effect::SealSnapshot(checkpoint) => {
                assert_eq!(self.capturing.take(), Some(checkpoint.0));
                let snapshot = self.snapshot(checkpoint.0);
                assert!(snapshot.adding.is_empty(), "sealed while a channel may add (E4)");
                snapshot.is_sealed = true;
                self.unsent.remove(&checkpoint.0);
                self.inputs.push_back(Input::SnapshotDurable(checkpoint));
            }
            Effect::DiscardSnapshot(checkpoint) => {
                assert_eq!(self.capturing.take(), Some(checkpoint.0));
                self.snapshots.remove(&checkpoint.0);
                self.unsent.remove(&checkpoint.0);
            }
            Effect::Ack(checkpoint) => {
                assert!(self.snapshot(checkpoint.0).is_sealed, "ack of an unsealed one (E4)");
                self.acked.insert(checkpoint.0);
            }
            Effect::Arm(Timer::AlignmentTimeout(checkpoint), _) => {
                self.armed.insert(checkpoint.0);
            }
            Effect::Disarm(Timer::AlignmentTimeout(checkpoint)) => {
                assert!(self.armed.remove(&checkpoint.0));
            }
            Effect::ForwardCancelMarker(_)
            | Effect::Confirm(_)
            | Effect::Decline(..)
            | Effect::Run
            | Effect::Note(_) => {}
            Effect::PreCommit(_)
            | Effect::Commit(_)
            | Effect::TellCompleted(_)
            | Effect::TellAborted(_)
            | Effect::AbortLingering
            | Effect::EndInput
            | Effect::Pause
            | Effect::Resume
            | Effect::ReportEnded
            | Effect::Finish
            | Effect::Fail { .. } => panic!("no sink, no end: {effect:?}"),
        }
    }

    fn snapshot(&mut self, n: u64) -> &mut Snapshot {
        self.snapshots.get_mut(&n).expect("it was taken")
    }

    /// Adds what is queued on the channel and not captured yet, up to the barrier, which is handed over.
    fn scan(&mut self, at: usize) {
        let Some(n) = self.capturing else { return };
        if !self.snapshot(n).adding.contains(&at) {
            return;
        }
        while let Some(element) = self.queues[at].get(self.scanned[at]).copied() {
            match element {
                Element::Record(id) => {
                    self.snapshot(n).captured[at].push(id);
                    self.scanned[at] += 1;
                }
                Element::Barrier(barrier) if barrier.checkpoint.0 == n => {
                    self.queues[at].remove(self.scanned[at]);
                    self.inputs.push_back(Input::Barrier { channel: channel_id(at), barrier });
                    return;
                }
                Element::Closed => {
                    self.inputs.push_back(Input::CloseAnnounced { channel: channel_id(at) });
                    return;
                }
                Element::Barrier(_) | Element::Marker(_) => self.scanned[at] += 1,
            }
        }
    }

    fn arrive(&mut self, at: usize) {
        let element = self.scripts[at].pop_front().expect("chosen because it has one");
        self.queues[at].push_back(element);
        match element {
            Element::Barrier(barrier) if barrier.overtakes() != Aligned => {
                self.give(Input::Announced { channel: channel_id(at), barrier });
                self.scan(at);
                self.drain();
            }
            Element::Closed => {
                self.scan(at);
                self.drain();
            }
            Element::Barrier(_) | Element::Record(_) | Element::Marker(_) => {}
        }
    }

    fn drain(&mut self) {
        if let Some(input) = self.inputs.pop_front() {
            self.give(input);
        }
    }

    fn read(&mut self, at: usize) {
        let element = self.queues[at].pop_front().expect("chosen because it has one");
        let is_captured = self.scanned[at] > 0;
        self.scanned[at] = self.scanned[at].saturating_sub(1);
        let channel = channel_id(at);
        match element {
            Element::Record(id) => {
                if let Some(n) = self.capturing
                    && !is_captured
                    && self.snapshot(n).adding.contains(&at)
                {
                    self.snapshot(n).captured[at].push(id);
                }
                self.processed[at].push(id);
            }
            Element::Barrier(barrier) => self.give(Input::Barrier { channel, barrier }),
            Element::Marker(n) => self.give(marker(channel.0, n)),
            Element::Closed => self.give(Input::Closed { channel }),
        }
    }

    /// T3, T4: state and in-flight data together are exactly what stands before the barriers.
    fn judge(&self, channels: &[Channel], alignments: &[Alignment]) {
        for (n, snapshot) in self.snapshots.iter().filter(|(_, it)| it.is_sealed) {
            for (at, channel) in channels.iter().enumerate() {
                let script = elements(channel, alignments);
                let is_cut =
                    |it: &Element| matches!(it, Element::Barrier(b) if b.checkpoint.0 == *n);
                let end = script.iter().position(is_cut).unwrap_or(script.len());
                let before: Vec<_> = script[..end]
                    .iter()
                    .filter_map(|it| if let Element::Record(id) = it { Some(*id) } else { None })
                    .collect();
                let whole =
                    [snapshot.processed[at].clone(), snapshot.captured[at].clone()].concat();
                assert_eq!(whole, before, "cut {n} on ch{at}");
            }
        }
    }
}

type Step = Box<dyn Fn(&mut World)>;

fn channel_id(at: usize) -> ChannelId {
    ChannelId(u32::try_from(at).expect("few channels"))
}

fn index(channel: ChannelId) -> usize {
    usize::try_from(channel.0).expect("few channels")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    // Rules: E1, E2, E3, E4, E5, E7, E9, C1, C2, C5, C6
    #[test]
    fn state_and_in_flight_data_are_what_stood_before_the_barriers_and_nothing_waits_for_ever(
        channels in prop::collection::vec(any_channel(), 1..4),
        alignments in prop::collection::vec(any_alignment(), usize::try_from(CHECKPOINTS).expect("few")),
        schedule in prop::collection::vec(
            (any::<u8>(), prop::option::weighted(0.03, 1..=CHECKPOINTS)), 0..150),
    ) {
        let mut world = World::new(&channels, &alignments);
        let mut aborted_ones = BTreeSet::new();
        let mut choices = schedule.into_iter();
        loop {
            let mut steps: Vec<Step> = Vec::new();
            for at in 0..channels.len() {
                if !world.scripts[at].is_empty() {
                    steps.push(Box::new(move |world| world.arrive(at)));
                }
                if !world.queues[at].is_empty() && !world.blocked.contains(&at) {
                    steps.push(Box::new(move |world| world.read(at)));
                }
            }
            for n in world.armed.clone() {
                steps.push(Box::new(move |world| {
                    world.armed.remove(&n);
                    world.give(timeout(n));
                }));
            }
            for n in world.unsent.clone() {
                steps.push(Box::new(move |world| {
                    world.unsent.remove(&n);
                    world.give(sent(n));
                }));
            }
            if steps.is_empty() {
                break;
            }
            let (choice, abort) = choices.next().unwrap_or((0, None));
            if let Some(n) = abort {
                aborted_ones.insert(n);
                world.give(aborted(n));
            } else {
                steps[usize::from(choice) % steps.len()](&mut world);
            }
        }

        world.judge(&channels, &alignments);
        prop_assert!(world.blocked.is_empty(), "blocked for ever: {:?}", world.blocked);
        prop_assert_eq!(world.capturing, None, "a capture that never ends");
        for (at, queue) in world.queues.iter().enumerate() {
            prop_assert!(queue.is_empty(), "ch{} was not read to its end", at);
        }
        let brings_last = |it: &Channel| it.closes_after.is_none();
        if channels.iter().any(brings_last) && !aborted_ones.contains(&CHECKPOINTS) {
            prop_assert!(world.acked.contains(&CHECKPOINTS), "the last checkpoint was not acked");
        }
    }

    #[test]
    fn any_input_in_any_state_has_an_answer(
        channels in 0..4_u32,
        pointwise in prop::collection::btree_set((0..3_u32).prop_map(ChannelId), 0..3),
        is_exactly_once in prop::bool::weighted(0.8),
        inputs in prop::collection::vec(any_input(), 0..100),
    ) {
        let mode = if is_exactly_once { ExactlyOnce } else { AtLeastOnce };
        let mut subtask = Subtask::new(Plan { pointwise, mode, ..plan(channels) });
        let (mut open, mut sealed) = (None, BTreeSet::new());
        for input in std::iter::once(Input::Start).chain(inputs) {
            let mut effects = Vec::new();
            subtask.handle(input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Snapshot(barrier) if mode == AtLeastOnce || barrier.overtakes() == Aligned => {
                        sealed.insert(barrier.checkpoint);
                    }
                    Effect::Snapshot(barrier) => {
                        prop_assert_eq!(open.replace(barrier.checkpoint), None, "two at once (E10)");
                    }
                    Effect::SealSnapshot(checkpoint) => {
                        prop_assert_eq!(open.take(), Some(checkpoint));
                        sealed.insert(checkpoint);
                    }
                    Effect::DiscardSnapshot(checkpoint) => {
                        prop_assert_eq!(open.take(), Some(checkpoint));
                    }
                    Effect::CaptureInput { checkpoint, .. } | Effect::EndCapture { checkpoint, .. } => {
                        prop_assert_eq!(open, Some(checkpoint));
                    }
                    Effect::Ack(checkpoint) => prop_assert!(sealed.contains(&checkpoint), "E4"),
                    Effect::Block(_)
                    | Effect::Unblock(_)
                    | Effect::ForwardBarrier(_)
                    | Effect::OvertakeOutput(_)
                    | Effect::ForwardCancelMarker(_)
                    | Effect::PreCommit(_)
                    | Effect::Confirm(_)
                    | Effect::Decline(..)
                    | Effect::Commit(_)
                    | Effect::TellCompleted(_)
                    | Effect::TellAborted(_)
                    | Effect::AbortLingering
                    | Effect::Run
                    | Effect::EndInput
                    | Effect::Pause
                    | Effect::Resume
                    | Effect::ReportEnded
                    | Effect::Finish
                    | Effect::Fail { .. }
                    | Effect::Arm(..)
                    | Effect::Disarm(_)
                    | Effect::Note(_) => {}
                }
            }
        }
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    let channel = || (0..4_u32).prop_map(ChannelId);
    let of = || (1..10_u64, any_alignment()).prop_map(|(n, alignment)| of(n, alignment));
    let checkpoint = || (1..10_u64).prop_map(CheckpointId);
    prop_oneof![
        2 => of().prop_map(Input::Trigger),
        6 => (channel(), of()).prop_map(|(channel, barrier)| Input::Barrier { channel, barrier }),
        6 => (channel(), of()).prop_map(|(channel, barrier)| Input::Announced { channel, barrier }),
        1 => channel().prop_map(|channel| Input::CloseAnnounced { channel }),
        1 => channel().prop_map(|channel| Input::Closed { channel }),
        1 => (channel(), checkpoint())
            .prop_map(|(channel, checkpoint)| Input::CancelMarker { channel, checkpoint }),
        2 => checkpoint().prop_map(Input::BarrierSent),
        2 => checkpoint().prop_map(|it| Input::Timer(Timer::AlignmentTimeout(it))),
        3 => checkpoint().prop_map(Input::SnapshotDurable),
        1 => checkpoint().prop_map(Input::SnapshotFailed),
        1 => checkpoint().prop_map(Input::Aborted),
    ]
}
