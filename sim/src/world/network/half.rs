//! Halves: what a program holds of a connection, to send and to receive.
//!
//! A half of a node that is not running does nothing, and dropping it says nothing when the power is
//! gone; otherwise dropping it is the orderly end, which travels as frames do.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::Poll;

use async_trait::async_trait;
use seawall_env::{Connection, FrameReceiver, FrameSender};

use super::Wire;
use super::connect::NodeNetwork;
use super::pipe::{Broken, Item, Path, PipeId};
use crate::world::lock;

/// A connection's halves for a program of this network's node.
pub(super) fn connection(
    network: &NodeNetwork,
    sends_on: PipeId,
    receives_from: PipeId,
) -> Connection {
    Connection {
        sender: Box::new(Sender { network: network.clone(), id: sends_on }),
        receiver: Box::new(Receiver { network: network.clone(), id: receives_from }),
    }
}

struct Sender {
    network: NodeNetwork,
    id: PipeId,
}

#[async_trait]
impl FrameSender for Sender {
    async fn send(&mut self, frame: Vec<u8>) -> io::Result<()> {
        let mut waiting = frame;
        poll_fn(|context| match self.try_send(mem::take(&mut waiting)) {
            Ok(None) => Poll::Ready(Ok(())),
            Ok(Some(frame)) => {
                waiting = frame;
                let wire = &self.network.wire;
                if self.network.life.is_running() {
                    let pipe = &mut lock(&wire.state).pipes;
                    let pipe = pipe.get_mut(&self.id).expect("a held pipe exists");
                    let at = pipe.sender.breaks_at();
                    pipe.sender.wait(&wire.timeline, context, at);
                }
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    fn try_send(&mut self, frame: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        if !self.network.life.is_running() {
            return Ok(Some(frame));
        }
        let wire = &self.network.wire;
        let now = wire.timeline.now();
        let state = &mut *lock(&wire.state);
        let frames_max = state.config.frames_max;
        let pipe = &state.pipes[&self.id];
        if let Some(error) = pipe.sender.error_at(now) {
            return Err(error);
        }
        if pipe.queue.len() >= frames_max {
            return Ok(Some(frame));
        }
        state.send(&wire.timeline, self.id, frame);
        Ok(None)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.network.wire.close_sender(self.id);
    }
}

struct Receiver {
    network: NodeNetwork,
    id: PipeId,
}

#[async_trait]
impl FrameReceiver for Receiver {
    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        poll_fn(|context| {
            if !self.network.life.is_running() {
                return Poll::Pending;
            }
            let wire = &self.network.wire;
            let now = wire.timeline.now();
            let state = &mut *lock(&wire.state);
            let pipe = state.pipes.get_mut(&self.id).expect("a held pipe exists");
            if let Some(error) = pipe.receiver.error_at(now) {
                return Poll::Ready(Err(error));
            }
            match pipe.queue.front() {
                Some(item) if item.is_there(now) => {
                    if item.frame.is_none() {
                        return Poll::Ready(Ok(None)); // The end stays the end.
                    }
                    let item = pipe.queue.pop_front().expect("there is a front");
                    pipe.sender.wake(&wire.timeline);
                    state.log.on_received(item.logged, item.arrives);
                    Poll::Ready(Ok(item.frame))
                }
                Some(_) | None => {
                    let at = pipe.next_news();
                    pipe.receiver.wait(&wire.timeline, context, at);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.network.wire.close_receiver(self.id);
    }
}

impl Wire {
    pub(super) fn close_sender(&self, id: PipeId) {
        let state = &mut *lock(&self.state);
        let Some(pipe) = state.pipes.get_mut(&id) else { return };
        pipe.sender.close(&self.timeline);
        let is_forgotten = pipe.path == Path::Forgotten;
        let speaks = !pipe.from.is_lost() && (!pipe.receiver.is_closed || is_forgotten);
        if speaks {
            let arrives = state.arrival(id, self.timeline.now(), 0);
            if let Some(pipe) = state.pipes.get_mut(&id) {
                pipe.queue.push_back(Item { arrives, frame: None, logged: None });
                pipe.arm_receiver(&self.timeline);
            }
            if is_forgotten {
                state.answer_with_reset(&self.timeline, id);
            }
        }
        state.remove_if_closed(id);
    }

    pub(super) fn close_receiver(&self, id: PipeId) {
        let state = &mut *lock(&self.state);
        let Some(pipe) = state.pipes.get_mut(&id) else { return };
        pipe.receiver.close(&self.timeline);
        if !pipe.to.is_lost() && pipe.path == Path::Open {
            pipe.queue.clear();
            let tells = !pipe.sender.is_closed && pipe.sender.broken.is_none();
            if tells {
                let (from, to) = state.ends(id);
                let latency = state.latency(to, from);
                let at = latency.map(|latency| self.timeline.now().saturating_add(latency));
                if let Some(pipe) = state.pipes.get_mut(&id) {
                    let broken = Broken { at, kind: io::ErrorKind::BrokenPipe };
                    pipe.break_sender(&self.timeline, broken);
                }
            }
        }
        state.remove_if_closed(id);
    }
}
