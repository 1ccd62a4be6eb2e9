//! In-flight data: the records that an unaligned checkpoint finds between two subtasks.
//!
//! ```text
//!  upstream                                        downstream
//!  chain ─> outlet: [ b4 b3 ]  ──>  channel: [ b2 b1 ]  ─> chain
//!           added to upstream's      added to downstream's
//!           snapshot (output)        snapshot (input)
//! ```
//!
//! **Where the cut is.** A barrier that overtakes goes from the outlet, past the batches queued there, to
//! the end of the channel's queue at the receiver: behind every batch that left the outlet before, ahead
//! of every batch that leaves it afterwards. So the cut through the channel is exactly "what has left the
//! outlet". What had not is output in flight, what had and was not processed at the receiver's cut is
//! input in flight. On the way between workers nothing waits: a batch leaves the outlet only when the
//! receiver has room for it ([`crate::wire`]), and it reaches the receiver's queue before the barrier.
//!
//! The receiver hears of the barrier as soon as it is queued, takes its snapshot, and copies what is queued
//! before the barrier; it does not wait until those records are processed.
//!
//! On restore, output in flight is the first thing an outlet sends and input in flight the first thing a
//! channel holds, so each channel carries the same records in the same order (E6). Both are queues like
//! any other: the next unaligned checkpoint captures what is left of them.
//!
//! Only records are in flight: watermarks that a barrier went ahead of are said again behind the restored
//! output by whoever had said them (`subtask/event_time.rs`).
//!
//! Each part names its edge and both its ends, so that a change of parallelism can find new owners for it.

use std::collections::BTreeMap;

use seawall_probe::sometimes;
use seawall_protocol::message::Barrier;
use seawall_protocol::{ChannelId, CheckpointId};
use seawall_stream::StreamError;

use crate::channel::Element;

/// Encoded batches by input channel, in order.
pub type ByChannel = Vec<(ChannelId, Vec<Vec<u8>>)>;

/// What a look through a channel's queue found behind the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The barrier of the checkpoint that is being captured. It was taken out of the queue.
    Barrier(Barrier),
    /// The channel's end. It stays.
    Closed,
}

/// The input in flight of one checkpoint, as far as it was copied.
#[derive(Debug)]
pub(crate) struct Capture {
    checkpoint: CheckpointId,
    parts: BTreeMap<ChannelId, Part>,
}

/// The part of one channel.
#[derive(Debug, Default)]
struct Part {
    /// Elements at the head of the queue that were looked at already.
    looked_at: usize,
    /// Its barrier was not seen.
    is_open: bool,
    batches: Vec<Vec<u8>>,
    /// Why a batch could not be copied.
    failed: Option<StreamError>,
}

impl Part {
    fn add(&mut self, element: &Element) {
        if let Element::Batch(batch) = element {
            match batch.encode() {
                Ok(bytes) => self.batches.push(bytes),
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

impl Capture {
    /// Nothing yet.
    pub(crate) fn new(checkpoint: CheckpointId) -> Self {
        Self { checkpoint, parts: BTreeMap::new() }
    }

    /// Of which checkpoint.
    pub(crate) fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }

    /// Adds from now on what is in the channel.
    pub(crate) fn open(&mut self, channel: ChannelId) {
        self.parts.insert(channel, Part { is_open: true, ..Part::default() });
    }

    /// Adds nothing more of the channel.
    pub(crate) fn close(&mut self, channel: ChannelId) {
        if let Some(part) = self.parts.get_mut(&channel) {
            part.is_open = false;
        }
    }

    /// Copies what is queued and was not looked at, up to the barrier.
    pub(crate) fn look(
        &mut self,
        channel: ChannelId,
        queue: &mut std::collections::VecDeque<Element>,
    ) -> Option<Found> {
        let part = self.parts.get_mut(&channel).filter(|it| it.is_open)?;
        while let Some(element) = queue.get(part.looked_at) {
            match element {
                Element::Barrier(barrier) if barrier.checkpoint == self.checkpoint => {
                    let barrier = *barrier;
                    queue.remove(part.looked_at);
                    return Some(Found::Barrier(barrier));
                }
                // It will not come any more: the newer one ends the capture when it is handled.
                Element::Barrier(barrier) if barrier.checkpoint > self.checkpoint => {
                    sometimes!(CaptureFindsANewerBarrier);
                    return None;
                }
                Element::Closed => {
                    sometimes!(CaptureFindsTheEnd);
                    return Some(Found::Closed);
                }
                Element::Batch(_)
                | Element::Barrier(_)
                | Element::CancelMarker(_)
                | Element::Watermark(_)
                | Element::End => part.add(element),
            }
            part.looked_at += 1;
        }
        None
    }

    /// Copies what is taken from the channel, unless it was copied in the queue.
    pub(crate) fn on_taken(&mut self, channel: ChannelId, element: &Element) {
        let Some(part) = self.parts.get_mut(&channel) else { return };
        if part.looked_at > 0 {
            part.looked_at -= 1;
        } else if part.is_open {
            sometimes!(CapturedAsItIsTaken);
            part.add(element);
        }
    }

    /// The batches of each channel, in order.
    pub(crate) fn into_batches(self) -> Result<ByChannel, StreamError> {
        let of = |(channel, part): (ChannelId, Part)| match part.failed {
            None => Ok((channel, part.batches)),
            Some(error) => Err(error),
        };
        self.parts.into_iter().map(of).collect()
    }
}
