//! Channels and gates: order, bounds, blocking, and what a lost sender means.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use seawall_protocol::{ChannelId, CheckpointId};
use seawall_runtime::channel::{
    CHANNEL_CAPACITY, ChannelSender, Element, Gate, Inbox, Incoming, ReceiverGone, SubtaskOrder,
    gate,
};
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
    let (inbox, gate) = gate(2);
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
    assert_eq!(now(first.send(Element::End)), None);
    next(&mut gate);
    assert_eq!(now(first.send(Element::End)), Some(Ok(())));
}

#[test]
fn an_order_overtakes_elements() {
    let (inbox, mut gate, mut first, _second) = two_channels();
    send(&mut first, 1);
    inbox.order(SubtaskOrder::Aborted(CheckpointId(3)));
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
    assert_eq!([next(&mut gate), next(&mut gate)], ["ch0 Closed", "nothing"]);
}

#[test]
fn a_sender_learns_that_the_receiver_is_gone() {
    let (_inbox, gate, mut first, _second) = two_channels();
    drop(gate);
    assert_eq!(now(first.send(Element::End)), Some(Err(ReceiverGone)));
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
