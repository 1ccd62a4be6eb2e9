//! Channels and gates: order, bounds, blocking, and what a lost sender means.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use seawall_protocol::config::Alignment;
use seawall_protocol::message::Barrier;
use seawall_protocol::{ChannelId, CheckpointId, EventTime, Watermark};
use seawall_runtime::channel::{
    CHANNEL_CAPACITY, ChannelSender, Element, Gate, Inbox, Incoming, ReceiverGone, SubtaskOrder,
    gate,
};
use seawall_runtime::in_flight::Found;
use seawall_runtime::metrics::Metrics;
use seawall_stream::batch::Batch;

const FIRST: ChannelId = ChannelId(0);
const SECOND: ChannelId = ChannelId(1);

/// Polls once: `None` when it waits.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn two_channels() -> (Inbox, Gate, ChannelSender, ChannelSender) {
    let (inbox, gate) = gate(2, &Arc::default());
    let first = inbox.attach(FIRST).expect("it has no sender");
    let second = inbox.attach(SECOND).expect("it has no sender");
    (inbox, gate, first, second)
}

fn send(sender: &mut ChannelSender, value: u64) {
    let sent = now(sender.send(Element::Batch(Batch::new(vec![value]))));
    assert_eq!(sent, Some(Ok(())));
}

/// What the gate hands out next, as text.
fn next(gate: &mut Gate) -> String {
    match gate.try_next() {
        None => "nothing".to_owned(),
        Some(Incoming::Order(order)) => format!("{order:?}"),
        Some(Incoming::Notice(channel, notice)) => format!("word of {channel} {notice:?}"),
        Some(Incoming::Broken(channel)) => format!("{channel} broken"),
        Some(Incoming::Element(channel, Element::Batch(batch))) => {
            format!("{channel} {:?}", batch.into_records::<u64>())
        }
        Some(Incoming::Element(channel, element)) => format!("{channel} {element:?}"),
    }
}

#[test]
fn a_channel_is_first_in_first_out_and_channels_take_turns() {
    let (_inbox, mut gate, mut first, mut second) = two_channels();
    for value in 1..=2 {
        send(&mut first, value);
        send(&mut second, 10 * value);
    }
    let all: Vec<_> = (0..5).map(|_| next(&mut gate)).collect();
    assert_eq!(all, ["ch0 [1]", "ch1 [10]", "ch0 [2]", "ch1 [20]", "nothing"]);
}

#[test]
fn a_blocked_channel_keeps_what_it_holds_until_it_is_unblocked() {
    let (_inbox, mut gate, mut first, mut second) = two_channels();
    send(&mut first, 1);
    send(&mut second, 2);
    gate.block(FIRST);
    assert_eq!([next(&mut gate), next(&mut gate)], ["ch1 [2]", "nothing"]);
    gate.unblock(FIRST);
    assert_eq!(next(&mut gate), "ch0 [1]");
}

#[test]
fn a_full_channel_makes_its_sender_wait_for_the_reader() {
    let (_inbox, mut gate, mut first, _second) = two_channels();
    for value in 0..CHANNEL_CAPACITY as u64 {
        send(&mut first, value);
    }
    let batch = || Element::Batch(Batch::new(vec![9_u64]));
    assert_eq!(now(first.send(batch())), None);
    assert_eq!(now(first.send(Element::End)), Some(Ok(())), "what marks something needs no room");
    assert_eq!(now(first.send(batch())), None);
    next(&mut gate);
    next(&mut gate);
    assert_eq!(now(first.send(batch())), Some(Ok(())));
}

#[test]
fn an_order_overtakes_elements() {
    let (inbox, mut gate, mut first, _second) = two_channels();
    send(&mut first, 1);
    assert!(inbox.order(SubtaskOrder::Aborted(CheckpointId(3))).is_none());
    assert_eq!([next(&mut gate), next(&mut gate)], ["Aborted(CheckpointId(3))", "ch0 [1]"]);
}

#[test]
fn a_sender_that_goes_away_in_the_middle_breaks_its_channel_after_what_it_sent() {
    let (_inbox, mut gate, mut first, _second) = two_channels();
    send(&mut first, 1);
    drop(first);
    let all: Vec<_> = (0..3).map(|_| next(&mut gate)).collect();
    assert_eq!(all, ["ch0 [1]", "ch0 broken", "nothing"]);
}

#[test]
fn a_sender_that_closes_does_not_break_its_channel() {
    let (_inbox, mut gate, mut first, _second) = two_channels();
    assert_eq!(now(first.send(Element::Closed)), Some(Ok(())));
    drop(first);
    let all: Vec<_> = (0..3).map(|_| next(&mut gate)).collect();
    assert_eq!(all, ["word of ch0 Closed", "ch0 Closed", "nothing"]);
}

#[test]
fn a_sender_learns_that_the_receiver_is_gone() {
    let (_inbox, gate, mut first, _second) = two_channels();
    drop(gate);
    assert_eq!(now(first.send(Element::End)), Some(Err(ReceiverGone)));
}

fn overtaking(checkpoint: u64) -> Barrier {
    Barrier { alignment: Alignment::Unaligned, ..Barrier::aligned(CheckpointId(checkpoint)) }
}

/// The captured numbers of each channel.
fn captured(gate: &mut Gate) -> Vec<(u32, Vec<u64>)> {
    let channels = gate.take_captured().expect("numbers have an encoding");
    let numbers = |batches: Vec<Vec<u8>>| {
        let decode = |bytes: &Vec<u8>| Batch::decode::<u64>(bytes).expect("just encoded");
        batches.iter().flat_map(|it| decode(it).into_records::<u64>()).collect()
    };
    channels.into_iter().map(|(channel, batches)| (channel.0, numbers(batches))).collect()
}

// Rules: E1, E2, A6
#[test]
fn a_barrier_that_overtakes_is_heard_of_before_the_records_that_are_captured_before_it() {
    let (_inbox, mut gate, mut first, mut second) = two_channels();
    for value in 0..CHANNEL_CAPACITY as u64 {
        send(&mut first, value);
    }
    send(&mut second, 100);
    let sent = now(first.send(Element::Barrier(overtaking(1))));
    assert_eq!(sent, Some(Ok(())), "a full channel holds no barrier up");

    assert!(next(&mut gate).starts_with("word of ch0 Barrier"));
    let found = gate.capture(CheckpointId(1), FIRST);
    assert_eq!(found, Some(Found::Barrier(overtaking(1))));
    gate.end_capture(FIRST);
    assert_eq!(gate.capture(CheckpointId(1), SECOND), None);

    // Records that follow the barrier are the next checkpoint's; those before it are still processed.
    assert_eq!([next(&mut gate), next(&mut gate)], ["ch0 [0]", "ch1 [100]"]);
    send(&mut first, 50);
    send(&mut second, 101);
    assert_eq!([next(&mut gate), next(&mut gate)], ["ch0 [1]", "ch1 [101]"]);
    send(&mut second, 102);
    assert_eq!(now(second.send(Element::Barrier(overtaking(1)))), Some(Ok(())));
    send(&mut second, 103);
    assert!(next(&mut gate).starts_with("word of ch1 Barrier"));
    assert_eq!(gate.look(SECOND), Some(Found::Barrier(overtaking(1))));
    gate.end_capture(SECOND);
    let all = vec![(0, (0..8).collect()), (1, vec![100, 101, 102])];
    assert_eq!(captured(&mut gate), all);
    let rest: Vec<_> = (0..4).map(|_| next(&mut gate)).collect();
    assert_eq!(rest, ["ch0 [2]", "ch1 [102]", "ch0 [3]", "ch1 [103]"]);
}

// Rules: E6
#[test]
fn restored_records_come_first_and_are_captured_again() {
    let (inbox, mut gate) = gate(1, &Arc::default());
    gate.restore(FIRST, vec![Batch::new(vec![1_u64]), Batch::new(vec![2_u64])]);
    let mut sender = inbox.attach(FIRST).expect("it has no sender");
    send(&mut sender, 3);
    assert_eq!(next(&mut gate), "ch0 [1]");
    assert!(gate.is_replaying());
    assert_eq!(gate.capture(CheckpointId(5), FIRST), None);
    assert_eq!([next(&mut gate), next(&mut gate)], ["ch0 [2]", "ch0 [3]"]);
    assert!(!gate.is_replaying());
    assert_eq!(captured(&mut gate), [(0, vec![2, 3])]);
}

// Rules: E3, E5
#[test]
fn barriers_of_other_checkpoints_end_no_capture() {
    let (_inbox, mut gate, mut first, _second) = two_channels();
    send(&mut first, 1);
    assert_eq!(now(first.send(Element::Barrier(overtaking(1)))), Some(Ok(())));
    send(&mut first, 2);
    assert_eq!(now(first.send(Element::Barrier(overtaking(2)))), Some(Ok(())));
    send(&mut first, 3);
    let found = gate.capture(CheckpointId(2), FIRST);
    assert_eq!(found, Some(Found::Barrier(overtaking(2))));
    gate.end_capture(FIRST);
    assert_eq!(captured(&mut gate), [(0, vec![1, 2])]);
}

#[test]
fn a_channel_has_one_sender() {
    let (inbox, _gate, _first, _second) = two_channels();
    assert!(inbox.attach(FIRST).is_none());
    assert!(inbox.attach(ChannelId(2)).is_none());
}

#[test]
fn a_stop_is_remembered_for_whoever_asks_later() {
    let (inbox, _gate, ..) = two_channels();
    assert_eq!(now(inbox.stopped()), None);
    inbox.stop();
    assert_eq!(now(inbox.stopped()), Some(()));
}

#[test]
fn the_longest_queue_is_that_of_one_channel_at_one_time_and_without_what_was_restored() {
    let metrics = Arc::new(Metrics::default());
    let (inbox, mut gate) = gate(2, &metrics);
    gate.restore(FIRST, vec![Batch::new(vec![1_u64]), Batch::new(vec![2_u64])]);
    let mut first = inbox.attach(FIRST).expect("it has no sender");
    let mut second = inbox.attach(SECOND).expect("it has no sender");
    for value in 3..=5 {
        send(&mut first, value);
        send(&mut second, value);
    }
    assert_eq!(metrics.longest_queue(), 3);
    for _ in 0..8 {
        gate.try_next().expect("eight batches are queued");
    }
    send(&mut first, 6);
    assert_eq!(metrics.longest_queue(), 3);
}

fn watermark(time: i64, is_idle: bool) -> Element {
    Element::Watermark(Watermark { time: EventTime(time), is_idle })
}

// Rules: L8
#[test]
fn a_watermark_keeps_its_place_and_replaces_only_one_that_is_last() {
    let (_inbox, mut gate, mut first, _second) = two_channels();
    for time in [1, 2] {
        assert_eq!(now(first.send(watermark(time, false))), Some(Ok(())));
    }
    send(&mut first, 7);
    for time in 3..1_000 {
        assert_eq!(now(first.send(watermark(time, time % 2 == 0))), Some(Ok(())));
    }
    assert_eq!(now(first.send(Element::End)), Some(Ok(())));
    assert_eq!(now(first.send(watermark(1_000, true))), Some(Ok(())));
    let taken: Vec<_> = std::iter::from_fn(|| gate.try_next())
        .map(|it| match it {
            Incoming::Element(_, Element::Watermark(Watermark { time, is_idle })) => {
                format!("{time} {is_idle}")
            }
            Incoming::Element(_, Element::Batch(_)) => "batch".to_owned(),
            Incoming::Element(_, Element::End) => "end".to_owned(),
            Incoming::Element(
                _,
                Element::Barrier(_) | Element::CancelMarker(_) | Element::Closed,
            )
            | Incoming::Order(_)
            | Incoming::Notice(..)
            | Incoming::Broken(_) => panic!("nothing else was sent"),
        })
        .collect();
    assert_eq!(taken, ["2 ms false", "batch", "999 ms false", "end", "1000 ms true"]);
}

#[test]
fn a_full_channel_takes_watermarks_and_no_batch() {
    let (_inbox, mut gate, mut first, _second) = two_channels();
    for value in 0..CHANNEL_CAPACITY as u64 {
        send(&mut first, value);
    }
    assert_eq!(now(first.send(watermark(1, false))), Some(Ok(())));
    assert_eq!(now(first.send(watermark(2, false))), Some(Ok(())));
    assert_eq!(now(first.send(Element::Batch(Batch::new(vec![9_u64])))), None);
    for _ in 0..CHANNEL_CAPACITY {
        next(&mut gate);
    }
    assert!(
        matches!(gate.try_next(), Some(Incoming::Element(_, Element::Watermark(it))) if it.time == EventTime(2))
    );
}
