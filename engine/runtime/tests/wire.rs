//! Channels between workers: a connection that died without a word is noticed, and a slow one is kept.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use seawall_env::{Connection, Env, Network};
use seawall_protocol::{Attempt, AttemptId, ChannelId, CheckpointId, OperatorId, SubtaskId};
use seawall_runtime::channel::{CHANNEL_CAPACITY, Element, Gate, Inbox, Incoming, gate};
use seawall_runtime::tokio_env::{self, InProcessNetwork, Unobserved};
use seawall_runtime::wire::{ChannelHello, Outgoing, encode_message, feed};
use seawall_stream::batch::Batch;

const CHANNEL: ChannelId = ChannelId(0);
const INTERVAL: Duration = Duration::from_millis(20);
const SILENCE: Duration = Duration::from_millis(300);

fn batch(value: u64) -> Element {
    Element::Batch(Batch::new(vec![value]))
}

/// A channel's sending end, and the other end of its connection with the hello taken.
async fn connected() -> (Env, Outgoing, Connection) {
    let network = Arc::new(InProcessNetwork::new());
    let mut listener = network.listen("worker-1").await.unwrap();
    let env = tokio_env::env(network, Arc::new(Unobserved));
    let subtask = SubtaskId { operator: OperatorId(0), index: 0 };
    let receiver = AttemptId { subtask, attempt: Attempt(1) };
    let hello = ChannelHello { receiver, channel: CHANNEL };
    let sender = Outgoing::connect(&env, "worker-1", hello, SILENCE).await.unwrap();
    let mut connection = listener.accept().await.unwrap();
    assert_eq!(connection.receiver.receive().await.unwrap(), Some(encode_message(&hello)));
    (env, sender, connection)
}

/// A gate whose one channel is fed from the connection.
fn fed(env: &Env, connection: Connection) -> (Inbox, Gate) {
    let (inbox, gate) = gate(1);
    let into = inbox.attach_remote(CHANNEL).unwrap();
    let Connection { sender, receiver } = connection;
    let clock = Arc::clone(&env.clock);
    env.spawn("feed", feed(clock, INTERVAL, receiver, sender, into, Batch::decode::<u64>));
    (inbox, gate)
}

/// Sends until there is no credit left. How many batches that were.
fn exhaust(sender: &mut Outgoing) -> usize {
    let mut sent = 0;
    while sender.try_send(batch(0)).unwrap().is_none() {
        sent += 1;
    }
    sent
}

async fn room(sender: &mut Outgoing) {
    poll_fn(|context| sender.poll_room(context)).await;
}

// Rules: O1
#[tokio::test]
async fn a_sender_without_credit_learns_within_the_timeout_that_its_receiver_is_silent() {
    let (env, mut sender, _silent) = connected().await;
    let begin = env.clock.now();
    assert_eq!(exhaust(&mut sender), CHANNEL_CAPACITY);
    room(&mut sender).await;
    let took = env.clock.now().saturating_sub(begin);
    assert!(took >= SILENCE, "it was given up too early, after {took:?}");
    assert!(took < 4 * SILENCE, "it was given up too late, after {took:?}");
    let error = sender.try_send(batch(0)).unwrap_err();
    assert_eq!(error, "a channel broke: its receiver gave no sign of life");
}

#[tokio::test]
async fn a_sender_whose_frames_find_no_room_learns_it_too() {
    let (_env, mut sender, _silent) = connected().await;
    exhaust(&mut sender);
    for checkpoint in 0..40 {
        sender.try_send(Element::CancelMarker(CheckpointId(checkpoint))).unwrap();
    }
    room(&mut sender).await;
    let error = sender.try_send(batch(0)).unwrap_err();
    assert_eq!(error, "a channel broke: its receiver gave no sign of life");
}

// Rules: O1
#[tokio::test]
async fn a_receiver_that_takes_nothing_shows_signs_of_life_and_its_channel_holds() {
    let (env, mut sender, connection) = connected().await;
    let (_inbox, mut gate) = fed(&env, connection);
    assert_eq!(exhaust(&mut sender), CHANNEL_CAPACITY);
    env.clock.sleep(4 * SILENCE).await;
    assert!(sender.try_send(batch(0)).unwrap().is_some(), "a sign of life is no credit");
    for _ in 0..CHANNEL_CAPACITY {
        assert!(matches!(gate.next().await, Incoming::Element(CHANNEL, Element::Batch(_))));
    }
    room(&mut sender).await;
    assert!(sender.try_send(batch(0)).unwrap().is_none());
}
