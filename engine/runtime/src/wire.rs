//! Bytes between nodes: control messages, and the elements of remote channels.
//!
//! Element frames begin with one byte for the kind. Batches follow in the encoding of their records.
//!
//! Room is counted in credits: a sender has one for each batch that the receiver will take, and the
//! receiver tells it, on the same connection, of batches that its subtask has taken. So nothing waits in
//! the network: frames that are under way have a place to arrive at, and a barrier that overtakes is held
//! up by no more than those.
//!
//! A connection can die without a word to either end, even before its first frame. A channel is therefore
//! open once its receiver has answered, and from then on the receiver tells of credit at least once in each
//! heartbeat interval, of none if there is none. A sender that hears nothing for the heartbeat timeout has
//! its subtask fail (O1), were it idle or at the end of its input: it may be the only one who can know.

use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::{Either, FutureExt, select};
use seawall_env::{Clock, Connection, Env, FrameReceiver, FrameSender};
use seawall_probe::{buggify, sometimes};
use seawall_protocol::{AttemptId, ChannelId, CheckpointId};
use seawall_stream::StreamError;
use seawall_stream::batch::Batch;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::channel::{CHANNEL_CAPACITY, CREDITS_TOLD, ChannelSender, Element, yield_now};
use crate::mailbox::{Mailbox, MailboxSender, mailbox};

/// The first frame of a data connection: which channel of which subtask it feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHello {
    /// The receiving subtask's attempt.
    pub receiver: AttemptId,
    /// The channel of its gate.
    pub channel: ChannelId,
}

/// The bytes of a control message.
///
/// # Panics
/// Never: our own messages always have an encoding.
pub fn encode_message<M: Serialize>(message: &M) -> Vec<u8> {
    postcard::to_allocvec(message).expect("messages have an encoding")
}

/// A control message from its bytes.
///
/// # Errors
/// When the bytes are not such a message, or something follows it.
pub fn decode_message<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, StreamError> {
    let wrong = |source| StreamError::Decode { what: "a control message", source };
    let (message, rest) = postcard::take_from_bytes(bytes).map_err(wrong)?;
    if rest.is_empty() { Ok(message) } else { Err(wrong(postcard::Error::DeserializeBadEncoding)) }
}

/// Sends queued frames until the queue ends or the connection breaks; the side that reads the connection
/// notices and reports.
pub(crate) async fn write_frames(mut sender: Box<dyn FrameSender>, mut frames: Mailbox<Vec<u8>>) {
    while let Some(frame) = frames.receive().await {
        if buggify!(FramesLate) {
            yield_now().await;
        }
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}

const BATCH: u8 = 0;
const BARRIER: u8 = 1;
const CANCEL_MARKER: u8 = 2;
const END: u8 = 3;
const CLOSED: u8 = 4;
const WATERMARK: u8 = 5;

fn encode_element(element: &Element) -> Result<Vec<u8>, StreamError> {
    let numbered = |kind: u8, checkpoint: CheckpointId| {
        let mut frame = vec![kind];
        frame.extend_from_slice(&checkpoint.0.to_le_bytes());
        frame
    };
    Ok(match element {
        Element::Batch(batch) => batch.encode_behind(vec![BATCH])?,
        Element::Barrier(barrier) => {
            let mut frame = vec![BARRIER];
            frame.extend_from_slice(&encode_message(barrier));
            frame
        }
        Element::CancelMarker(checkpoint) => numbered(CANCEL_MARKER, *checkpoint),
        Element::Watermark(watermark) => {
            let mut frame = vec![WATERMARK];
            frame.extend_from_slice(&encode_message(watermark));
            frame
        }
        Element::End => vec![END],
        Element::Closed => vec![CLOSED],
    })
}

fn decode_element(
    frame: &[u8],
    decode_batch: fn(&[u8]) -> Result<Batch, StreamError>,
) -> Result<Element, StreamError> {
    let wrong = || StreamError::Decode {
        what: "an element",
        source: postcard::Error::DeserializeBadEncoding,
    };
    let numbered = |bytes: &[u8]| {
        bytes.try_into().map(|it| CheckpointId(u64::from_le_bytes(it))).map_err(|_| wrong())
    };
    match frame {
        [BATCH, rest @ ..] => decode_batch(rest).map(Element::Batch),
        [BARRIER, rest @ ..] => decode_message(rest).map(Element::Barrier),
        [CANCEL_MARKER, rest @ ..] => numbered(rest).map(Element::CancelMarker),
        [WATERMARK, rest @ ..] => decode_message(rest).map(Element::Watermark),
        [END] => Ok(Element::End),
        [CLOSED] => Ok(Element::Closed),
        _ => Err(wrong()),
    }
}

/// Where a subtask's element goes.
pub enum Outgoing {
    /// To a subtask of the same process; batches move.
    Local(ChannelSender),
    /// To a subtask of another worker; batches are serialised.
    Remote(RemoteSender),
}

impl Outgoing {
    /// Opens a remote channel: complete once the receiver reads it. When nothing is heard of the receiver
    /// for `silence`, the channel breaks and `on_silence` is told why.
    ///
    /// # Errors
    /// When the other worker cannot be reached, refuses the channel, or does not answer for `silence`.
    pub async fn connect(
        env: &Env,
        address: &str,
        hello: ChannelHello,
        silence: Duration,
        on_silence: impl FnOnce(String) + Send + 'static,
    ) -> Result<Self, String> {
        let cannot = |cause: &dyn Display| {
            sometimes!(ChannelCannotBeOpened);
            format!("cannot connect a channel to {address}: {cause}")
        };
        let reached = |error: io::Error| cannot(&error);
        if buggify!(ChannelOpenedTwice) {
            drop(env.network.connect(address).await.map_err(reached)?);
        }
        let Connection { mut sender, mut receiver } =
            env.network.connect(address).await.map_err(reached)?;
        sender.send(encode_message(&hello)).await.map_err(reached)?;
        let clock = Arc::clone(&env.clock);
        hear(clock.as_ref(), silence, receiver.as_mut()).await.map_err(|it| cannot(&it.cause))?;
        let (late, queue) = mailbox();
        // Fewer would never come back.
        let left = if buggify!(FewCredits) { CREDITS_TOLD } else { CHANNEL_CAPACITY };
        let line = Line { sender: Some(sender), left, broken: None, waker: None };
        let line = Arc::new(Mutex::new(line));
        let carried = Arc::clone(&line);
        // Goes on after the subtask is dropped, until what was queued is sent or the connection breaks.
        env.spawn("carry a channel", async move {
            let taking = take_credit(clock, silence, receiver, &carried);
            let Some(broken) = carry(queue, &carried, taking).await else { return };
            let (cause, is_silent) = (broken.cause.clone(), broken.is_silent);
            give_up(&carried, broken);
            if is_silent {
                on_silence(cause);
            }
        });
        Ok(Self::Remote(RemoteSender { line, late }))
    }

    /// Sends `element`, or hands a batch back when the channel is full.
    ///
    /// # Errors
    /// When the receiver is gone or the connection broke.
    pub fn try_send(&mut self, element: Element) -> Result<Option<Element>, String> {
        match self {
            Self::Local(sender) => sender.try_send(element).map_err(|error| error.to_string()),
            Self::Remote(sender) => sender.try_send(element),
        }
    }

    /// Ready once a batch can be sent, or an error told.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Local(sender) => sender.poll_room(context),
            Self::Remote(sender) => sender.poll_room(context),
        }
    }
}

/// The sending side of a remote channel. A frame goes to the connection at once; those that find no room
/// there are queued, as many as there is credit for, and carried by a task of their own.
pub struct RemoteSender {
    line: Arc<Mutex<Line>>,
    /// Frames in the order they are to be sent; with the first goes the connection, which comes back when
    /// none is left.
    late: MailboxSender<Late>,
}

/// A frame that found no room, and the connection with the first of them.
type Late = (Option<Box<dyn FrameSender>>, Vec<u8>);

/// What the two sides of a remote channel's sending end share.
struct Line {
    /// There while nothing is queued and the connection holds.
    sender: Option<Box<dyn FrameSender>>,
    /// Batches that the receiver has room for.
    left: usize,
    /// Why the connection carries nothing more.
    broken: Option<String>,
    waker: Option<Waker>,
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection carries nothing more: closes it, and wakes the subtask if it waits for room.
fn give_up(line: &Mutex<Line>, broken: Broken) {
    let (sender, waker) = {
        let mut line = lock(line);
        line.broken.get_or_insert(broken.cause);
        (line.sender.take(), line.waker.take())
    };
    drop(sender);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl RemoteSender {
    fn try_send(&mut self, element: Element) -> Result<Option<Element>, String> {
        let mut line = lock(&self.line);
        if let Some(cause) = &line.broken {
            sometimes!(SendOnABrokenChannel);
            return Err(format!("a channel broke: {cause}"));
        }
        if let Element::Batch(_) = element {
            let Some(left) = line.left.checked_sub(1) else { return Ok(Some(element)) };
            line.left = left;
        }
        let frame = encode_element(&element).map_err(|error| error.to_string())?;
        let sent = match &mut line.sender {
            Some(sender) => sender.try_send(frame),
            None => Ok(Some(frame)),
        };
        match sent {
            Ok(None) => Ok(None),
            Ok(Some(frame)) => {
                self.late.push((line.sender.take(), frame));
                Ok(None)
            }
            Err(error) => {
                drop(line);
                give_up(&self.line, Broken::while_sending(&error));
                Err(format!("a channel broke: {error}"))
            }
        }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut line = lock(&self.line);
        if line.left > 0 || line.broken.is_some() {
            return Poll::Ready(());
        }
        line.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Why a connection carries nothing more.
struct Broken {
    cause: String,
    /// The other end may not know.
    is_silent: bool,
}

impl Broken {
    fn told(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), is_silent: false }
    }

    fn while_sending(error: &std::io::Error) -> Self {
        sometimes!(ChannelBreaksWhileSending);
        Self::told(error.to_string())
    }
}

/// Carries late frames one way while `taking` goes on the other, until the subtask is gone and all are sent, or
/// the connection breaks.
async fn carry(
    mut late: Mailbox<Late>,
    line: &Mutex<Line>,
    taking: impl Future<Output = Broken>,
) -> Option<Broken> {
    let sending = pin!(async {
        let mut held = None;
        while let Some((sender, frame)) = late.receive().await {
            held = sender.or(held);
            let sender = held.as_mut().expect("it comes with the first frame");
            if let Err(error) = sender.send(frame).await {
                return Some(Broken::while_sending(&error));
            }
            let mut line = lock(line);
            if late.is_empty() {
                line.sender = held.take();
            }
        }
        None
    });
    match select(sending, pin!(taking)).await {
        Either::Left((broken, _)) => broken,
        Either::Right((broken, _)) => Some(broken),
    }
}

/// Takes credit from the receiver, until the connection breaks or says nothing for `silence`.
async fn take_credit(
    clock: Arc<dyn Clock>,
    silence: Duration,
    mut receiver: Box<dyn FrameReceiver>,
    line: &Mutex<Line>,
) -> Broken {
    loop {
        match hear(clock.as_ref(), silence, receiver.as_mut()).await {
            Ok(0) => {}
            Ok(freed) => {
                let waker = {
                    let mut line = lock(line);
                    line.left += freed as usize;
                    line.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Err(broken) => return broken,
        }
    }
}

/// The next word of the receiver: batches that it has taken.
async fn hear(
    clock: &dyn Clock,
    silence: Duration,
    receiver: &mut dyn FrameReceiver,
) -> Result<u32, Broken> {
    match select(receiver.receive(), clock.sleep(silence)).await {
        Either::Left((Ok(Some(frame)), _)) => decode_message(&frame)
            .map_err(|_| Broken::told("its receiver sent something that is no credit")),
        Either::Left((Ok(None), _)) => {
            sometimes!(ChannelsReceiverIsGone);
            Err(Broken::told("its receiver is gone"))
        }
        Either::Left((Err(error), _)) => {
            sometimes!(ChannelBreaksWhileAwaitingCredit);
            Err(Broken::told(error.to_string()))
        }
        Either::Right(_) => {
            sometimes!(ChannelsReceiverIsSilent);
            let cause = "its receiver gave no sign of life".to_owned();
            Err(Broken { cause, is_silent: true })
        }
    }
}

/// Moves elements from a data connection into a channel, and credits back, a word at once and at least one
/// in each `interval`, until either side ends. Dropping `into` without `Closed` tells the receiving subtask
/// that the channel broke.
pub async fn feed(
    clock: Arc<dyn Clock>,
    interval: Duration,
    mut from: Box<dyn FrameReceiver>,
    mut credits: Box<dyn FrameSender>,
    mut into: ChannelSender,
    decode_batch: fn(&[u8]) -> Result<Batch, StreamError>,
) {
    // The channel is open; where this cannot be told, the connection is broken, which the next frame says.
    let _ = credits.send(encode_message(&0_u32)).await;
    let mut due = clock.sleep(interval);
    loop {
        let freed = pin!(poll_fn(|context| match into.poll_freed(context) {
            Poll::Pending => due.poll_unpin(context).map(|()| Some(0)),
            freed @ Poll::Ready(_) => freed,
        }));
        let next = match select(from.receive(), freed).await {
            Either::Left((frame, _)) => Either::Left(frame),
            Either::Right((freed, _)) => Either::Right(freed),
        };
        match next {
            Either::Left(Ok(Some(frame))) => {
                let Ok(element) = decode_element(&frame, decode_batch) else { return };
                if into.send_with_credit(element).is_err() {
                    sometimes!(ElementsForAGoneSubtask);
                    return;
                }
            }
            Either::Left(Ok(None)) => {
                sometimes!(!into.is_done(), ChannelEndsWithoutClose);
                return;
            }
            Either::Left(Err(_)) => {
                sometimes!(ChannelBreaksAtTheReceiver);
                return;
            }
            Either::Right(None) => return,
            Either::Right(Some(freed)) => {
                let freed = u32::try_from(freed).expect("fewer than a channel holds");
                let is_split = freed > 0 && buggify!(CreditsOneByOne);
                let (words, each) = if is_split { (freed, 1) } else { (1, freed) };
                for _ in 0..words {
                    // If it cannot be told, the connection is broken, which the next frame says.
                    let _ = credits.send(encode_message(&each)).await;
                }
                due = clock.sleep(interval);
            }
        }
    }
}
