//! Channels between workers: a connection that died without a word is noticed, and a slow one is kept.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::future::poll_fn;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::future::join;
use seawall_env::{Connection, Env, Listener, Network};
use seawall_protocol::{
    Attempt, AttemptId, ChannelId, CheckpointId, EventTime, OperatorId, SubtaskId, Watermark,
};
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

fn hello() -> ChannelHello {
    let subtask = SubtaskId { operator: OperatorId(0), index: 0 };
    ChannelHello { receiver: AttemptId { subtask, attempt: Attempt(1) }, channel: CHANNEL }
}

async fn listening() -> (Env, Box<dyn Listener>) {
    let network = Arc::new(InProcessNetwork::new());
    let listener = network.listen("worker-1").await.unwrap();
    (tokio_env::env(network, Arc::new(Unobserved)), listener)
}

/// The other end of a connection whose hello was taken, and answered.
async fn accepted(listener: &mut dyn Listener) -> Connection {
    let mut connection = listener.accept().await.unwrap();
    assert_eq!(connection.receiver.receive().await.unwrap(), Some(encode_message(&hello())));
    connection.sender.send(encode_message(&0_u32)).await.unwrap();
    connection
}

/// A channel's sending end, the other end of its connection, and where silence is told.
async fn connected() -> (Env, Outgoing, Connection, mpsc::Receiver<String>) {
    let (env, mut listener) = listening().await;
    let (tell, told) = mpsc::channel();
    let on_silence = move |cause| tell.send(cause).unwrap();
    let connecting = Outgoing::connect(&env, "worker-1", hello(), SILENCE, on_silence);
    let (sender, connection) = join(connecting, accepted(listener.as_mut())).await;
    (env, sender.unwrap(), connection, told)
}

/// A gate whose one channel is fed from the connection.
fn fed(env: &Env, connection: Connection) -> (Inbox, Gate) {
    let (inbox, gate) = gate(1, &Arc::default());
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
    let (env, mut sender, _silent, _) = connected().await;
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
    let (_env, mut sender, _silent, _) = connected().await;
    exhaust(&mut sender);
    for checkpoint in 0..40 {
        sender.try_send(Element::CancelMarker(CheckpointId(checkpoint))).unwrap();
    }
    room(&mut sender).await;
    let error = sender.try_send(batch(0)).unwrap_err();
    assert_eq!(error, "a channel broke: its receiver gave no sign of life");
}

#[tokio::test]
async fn frames_that_find_no_room_and_those_behind_them_arrive_in_order() {
    const FRAMES: u64 = 40;
    let marker = |number| Element::CancelMarker(CheckpointId(number));
    let (env, mut sender, connection, _) = connected().await;
    for number in 0..FRAMES {
        assert!(sender.try_send(marker(number)).unwrap().is_none());
    }
    let (_inbox, mut gate) = fed(&env, connection);
    for number in 0..2 * FRAMES {
        if number < FRAMES {
            assert!(sender.try_send(marker(FRAMES + number)).unwrap().is_none());
        }
        let Incoming::Element(CHANNEL, Element::CancelMarker(arrived)) = gate.next().await else {
            panic!("something else than frame {number} arrived");
        };
        assert_eq!(arrived, CheckpointId(number));
    }
}

// Rules: O1
#[tokio::test]
async fn a_receiver_that_takes_nothing_shows_signs_of_life_and_its_channel_holds() {
    let (env, mut sender, connection, _) = connected().await;
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

// Rules: O1
#[tokio::test]
async fn an_idle_sender_is_told_that_its_receiver_is_silent() {
    let (env, _idle, silent, told) = connected().await;
    env.clock.sleep(4 * SILENCE).await;
    assert_eq!(told.try_recv().unwrap(), "its receiver gave no sign of life");
    drop(silent);
}

#[tokio::test]
async fn a_receiver_that_says_goodbye_is_not_called_silent() {
    let (env, mut sender, connection, told) = connected().await;
    drop(connection);
    env.clock.sleep(4 * SILENCE).await;
    assert_eq!(sender.try_send(batch(0)).unwrap_err(), "a channel broke: its receiver is gone");
    told.try_recv().unwrap_err();
}

// Rules: O1
#[tokio::test]
async fn a_channel_is_not_open_before_its_receiver_has_answered() {
    let (env, mut listener) = listening().await;
    let connecting = Outgoing::connect(&env, "worker-1", hello(), SILENCE, |_| {});
    let (sender, _silent) = join(connecting, listener.accept()).await;
    let expected =
        "cannot connect a channel to worker-1: its receiver gave no sign of life".to_owned();
    assert_eq!(sender.err(), Some(expected));
}

#[tokio::test]
async fn a_channel_that_is_refused_is_not_open() {
    let (env, mut listener) = listening().await;
    let connecting = Outgoing::connect(&env, "worker-1", hello(), SILENCE, |_| {});
    let refusing = async { drop(listener.accept().await) };
    let (sender, ()) = join(connecting, refusing).await;
    let error = sender.err().unwrap();
    assert!(error.starts_with("cannot connect a channel to worker-1: "), "{error}");
}

// Rules: L8
#[tokio::test]
async fn watermarks_cross_the_wire_in_their_place_and_need_no_credit() {
    let (env, mut sender, connection, _) = connected().await;
    let (_inbox, mut gate) = fed(&env, connection);
    let said = [(i64::MIN, false), (-3, true), (i64::MAX, false)];
    let said = said.map(|(time, is_idle)| Watermark { time: EventTime(time), is_idle });
    for watermark in said {
        assert!(sender.try_send(batch(0)).unwrap().is_none());
        assert!(sender.try_send(Element::Watermark(watermark)).unwrap().is_none());
    }
    for expected in said {
        assert!(matches!(gate.next().await, Incoming::Element(CHANNEL, Element::Batch(_))));
        let Incoming::Element(CHANNEL, Element::Watermark(watermark)) = gate.next().await else {
            panic!("a watermark follows its batch")
        };
        assert_eq!(watermark, expected);
    }
}

#[tokio::test]
async fn a_watermark_that_is_damaged_on_the_wire_breaks_the_channel() {
    const WATERMARK: u8 = 5;
    let whole = encode_message(&Watermark { time: EventTime(77), is_idle: true });
    let with = |bytes: &[u8]| [&[WATERMARK], bytes].concat();
    let longer = [whole.as_slice(), &[0]].concat();
    for frame in [with(&whole[..whole.len() - 1]), with(&longer), with(&[])] {
        let (env, mut listener) = listening().await;
        let connecting = env.network.connect("worker-1");
        let (mine, theirs) = join(connecting, listener.accept()).await;
        let (mut mine, theirs) = (mine.unwrap(), theirs.unwrap());
        let (_inbox, mut gate) = fed(&env, theirs);
        mine.sender.send(frame).await.unwrap();
        assert!(matches!(gate.next().await, Incoming::Broken(CHANNEL)));
    }
}
