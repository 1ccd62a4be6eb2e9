//! The output side of a subtask: what was emitted and did not find room yet, channel by channel.
//!
//! A subtask that has something waiting here takes no more input: this is how a slow receiver slows its
//! senders. It still hears orders and barriers, and a barrier may go ahead of what waits (E1, E9).

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use seawall_probe::sometimes;
use seawall_protocol::CheckpointId;
use seawall_protocol::message::Barrier;
use seawall_stream::chain::{EdgeId, Ready};

use crate::channel::{Element, queue};
use crate::wire::Outgoing;

/// Every output channel of one subtask.
#[derive(Default)]
pub(crate) struct Outlets {
    edges: BTreeMap<EdgeId, Vec<Outlet>>,
    /// Elements that wait, over all channels.
    waiting: usize,
}

/// One output channel.
struct Outlet {
    to: Outgoing,
    waiting: VecDeque<Element>,
    /// No barrier overtakes here (E7).
    is_pointwise: bool,
}

/// Batches that a barrier went ahead of, encoded: the edge, the channel on it, the batches in order.
pub(crate) type Overtaken = Vec<(EdgeId, usize, Vec<Vec<u8>>)>;

impl Outlets {
    /// Adds the channels of an edge, in the order of their indices.
    pub(crate) fn add(&mut self, edge: EdgeId, channels: Vec<Outgoing>, is_pointwise: bool) {
        let outlet = |to| Outlet { to, waiting: VecDeque::new(), is_pointwise };
        self.edges.insert(edge, channels.into_iter().map(outlet).collect());
    }

    /// Whether nothing waits.
    pub(crate) fn is_clear(&self) -> bool {
        self.waiting == 0
    }

    /// Sends what the edge has ready, or lets it wait behind what waits.
    pub(crate) fn offer(&mut self, edge: EdgeId, ready: Ready) -> Result<(), String> {
        let outlets = self.edges.get_mut(&edge).expect("connected at the start");
        match ready {
            Ready::Batch(channel, batch) => {
                self.waiting += outlets[channel].offer(Element::Batch(batch))?;
            }
            Ready::Watermark(watermark) => {
                for outlet in outlets {
                    self.waiting += outlet.offer(Element::Watermark(watermark))?;
                }
            }
        }
        Ok(())
    }

    /// Sends an element on every channel, behind everything emitted so far (C8); on the others too when one
    /// receiver is gone.
    pub(crate) fn send_all(&mut self, element: impl Fn() -> Element) -> Result<(), String> {
        let mut result = Ok(());
        for outlet in self.edges.values_mut().flatten() {
            match outlet.offer(element()) {
                Ok(waits) => self.waiting += waits,
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Sends a barrier on every channel, ahead of what waits, and returns what it went ahead of; on
    /// pointwise edges behind it. A receiver that heard of the end may be gone.
    pub(crate) fn overtake(
        &mut self,
        barrier: Barrier,
        has_told_end: bool,
    ) -> Result<Overtaken, String> {
        let mut overtaken = Overtaken::new();
        for (edge, outlets) in &mut self.edges {
            for (channel, outlet) in outlets.iter_mut().enumerate() {
                if outlet.is_pointwise {
                    match outlet.offer(Element::Barrier(barrier)) {
                        Ok(waits) => self.waiting += waits,
                        Err(error) if !has_told_end => return Err(error),
                        Err(_) => {}
                    }
                    continue;
                }
                let batches = encode(outlet.waiting.iter())?;
                outlet.send_now(Element::Barrier(barrier), has_told_end)?;
                if !batches.is_empty() {
                    overtaken.push((*edge, channel, batches));
                }
            }
        }
        Ok(overtaken)
    }

    /// Lets the barrier, which waits on some channels, go ahead of what waits before it there, and returns
    /// what it went ahead of (E9). A receiver that heard of the end may be gone.
    pub(crate) fn convert(
        &mut self,
        barrier: Barrier,
        has_told_end: bool,
    ) -> Result<Overtaken, String> {
        let mut overtaken = Overtaken::new();
        for (edge, outlets) in &mut self.edges {
            for (channel, outlet) in outlets.iter_mut().enumerate() {
                let Some(at) = outlet.position(barrier.checkpoint) else { continue };
                if outlet.is_pointwise {
                    sometimes!(PointwiseBarrierWaitsOn);
                    // It overtakes again behind this edge.
                    outlet.waiting[at] = Element::Barrier(barrier);
                    continue;
                }
                let batches = encode(outlet.waiting.iter().take(at))?;
                outlet.waiting.remove(at);
                self.waiting -= 1;
                outlet.send_now(Element::Barrier(barrier), has_told_end)?;
                if !batches.is_empty() {
                    overtaken.push((*edge, channel, batches));
                }
            }
        }
        Ok(overtaken)
    }

    /// Whether the barrier waits where it could overtake.
    pub(crate) fn holds(&self, checkpoint: CheckpointId) -> bool {
        let mut outlets = self.edges.values().flatten().filter(|it| !it.is_pointwise);
        self.waiting > 0 && outlets.any(|it| it.position(checkpoint).is_some())
    }

    /// Sends what finds room. Whether nothing waits any more. Nothing waits for a receiver that is gone.
    pub(crate) fn pump(&mut self) -> Result<bool, String> {
        let mut result = Ok(());
        if self.waiting > 0 {
            for outlet in self.edges.values_mut().flatten() {
                let before = outlet.waiting.len();
                if let Err(error) = outlet.pump() {
                    outlet.waiting.clear();
                    result = Err(error);
                }
                self.waiting -= before - outlet.waiting.len();
            }
        }
        result.map(|()| self.waiting == 0)
    }

    /// Ready once [`Outlets::pump`] would send something.
    pub(crate) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut is_ready = false;
        for outlet in self.edges.values_mut().flatten().filter(|it| !it.waiting.is_empty()) {
            is_ready |= outlet.to.poll_room(context).is_ready();
        }
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Outlet {
    /// Sends the element or lets it wait; returns how many more wait.
    fn offer(&mut self, element: Element) -> Result<usize, String> {
        let before = self.waiting.len();
        let back = if self.waiting.is_empty() { self.to.try_send(element)? } else { Some(element) };
        if let Some(element) = back {
            queue(&mut self.waiting, element);
        }
        Ok(self.waiting.len() - before)
    }

    /// Sends an element that needs no room.
    fn send_now(&mut self, element: Element, may_be_gone: bool) -> Result<(), String> {
        match self.to.try_send(element) {
            Ok(back) => assert!(back.is_none(), "only batches need room"),
            Err(error) if !may_be_gone => return Err(error),
            Err(_) => sometimes!(ReceiverIsGoneAfterTheEnd),
        }
        Ok(())
    }

    /// Sends what finds room.
    fn pump(&mut self) -> Result<(), String> {
        while let Some(element) = self.waiting.front_mut() {
            let taken = std::mem::replace(element, Element::End);
            if let Some(back) = self.to.try_send(taken)? {
                *element = back;
                break;
            }
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn position(&self, checkpoint: CheckpointId) -> Option<usize> {
        let is_it = |it: &Element| matches!(it, Element::Barrier(barrier) if barrier.checkpoint == checkpoint);
        self.waiting.iter().position(is_it)
    }
}

fn encode<'a>(elements: impl Iterator<Item = &'a Element>) -> Result<Vec<Vec<u8>>, String> {
    let batches = elements.filter_map(|it| match it {
        Element::Batch(batch) => Some(batch),
        Element::Barrier(_)
        | Element::CancelMarker(_)
        | Element::Watermark(_)
        | Element::End
        | Element::Closed => None,
    });
    batches.map(|it| it.encode().map_err(|error| error.to_string())).collect()
}
