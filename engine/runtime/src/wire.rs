//! Bytes between nodes: control messages, and the elements of remote channels.
//!
//! Element frames begin with one byte for the kind. Batches follow in the encoding of their records.

use seawall_env::{Connection, Env, FrameReceiver, FrameSender};
use seawall_protocol::{AttemptId, ChannelId, CheckpointId};
use seawall_stream::StreamError;
use seawall_stream::batch::Batch;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::channel::{ChannelSender, Element};
use crate::mailbox::Mailbox;

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

fn encode_element(element: &Element) -> Result<Vec<u8>, StreamError> {
    let numbered = |kind: u8, checkpoint: CheckpointId| {
        let mut frame = vec![kind];
        frame.extend_from_slice(&checkpoint.0.to_le_bytes());
        frame
    };
    Ok(match element {
        Element::Batch(batch) => {
            let mut frame = vec![BATCH];
            frame.extend_from_slice(&batch.encode()?);
            frame
        }
        Element::Barrier(barrier) => {
            let mut frame = vec![BARRIER];
            frame.extend_from_slice(&encode_message(barrier));
            frame
        }
        Element::CancelMarker(checkpoint) => numbered(CANCEL_MARKER, *checkpoint),
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
        [END] => Ok(Element::End),
        [CLOSED] => Ok(Element::Closed),
        _ => Err(wrong()),
    }
}

/// Where a subtask's element goes.
pub enum Outgoing {
    /// To a subtask of the same process; batches move.
    Local(ChannelSender),
    /// To a subtask of another worker; batches are serialised. The receiving half is kept only so that
    /// it is not closed.
    Remote(Box<dyn FrameSender>, Box<dyn FrameReceiver>),
}

impl Outgoing {
    /// Opens a remote channel.
    ///
    /// # Errors
    /// When the other worker cannot be reached.
    pub async fn connect(env: &Env, address: &str, hello: ChannelHello) -> Result<Self, String> {
        let reached = |error| format!("cannot connect a channel to {address}: {error}");
        let Connection { mut sender, receiver } =
            env.network.connect(address).await.map_err(reached)?;
        sender.send(encode_message(&hello)).await.map_err(reached)?;
        Ok(Self::Remote(sender, receiver))
    }

    /// Sends `element`; waits while the channel is full.
    ///
    /// # Errors
    /// When the receiver is gone or the connection broke.
    pub async fn send(&mut self, element: Element) -> Result<(), String> {
        match self {
            Self::Local(sender) => sender.send(element).await.map_err(|error| error.to_string()),
            Self::Remote(sender, _) => {
                let frame = encode_element(&element).map_err(|error| error.to_string())?;
                sender.send(frame).await.map_err(|error| format!("a channel broke: {error}"))
            }
        }
    }
}

/// Moves elements from a data connection into a channel until either side ends. Dropping `into`
/// without `Closed` tells the receiving subtask that the channel broke.
pub async fn feed(
    mut from: Box<dyn FrameReceiver>,
    mut into: ChannelSender,
    decode_batch: fn(&[u8]) -> Result<Batch, StreamError>,
) {
    while let Ok(Some(frame)) = from.receive().await {
        let Ok(element) = decode_element(&frame, decode_batch) else { return };
        if into.send(element).await.is_err() {
            return;
        }
    }
}
