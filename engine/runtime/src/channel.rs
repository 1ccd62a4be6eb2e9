//! Channels between subtasks: FIFO, bounded, one gate per receiving subtask.
//!
//! ```text
//! sender 0 ──[ element, element ]──┐
//! sender 1 ──[ element ]───────────┤ gate ── next() ──> subtask
//! orders   ──[ trigger, ... ]──────┘
//! ```
//!
//! A blocked channel is not read; it fills up, and then its sender waits. Orders overtake elements.
//! A channel whose sender goes away without closing it is broken, which fails the attempt: a record
//! may be missing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use seawall_protocol::message::Barrier;
use seawall_protocol::record::SnapshotHandle;
use seawall_protocol::{ChannelId, CheckpointId};
use seawall_stream::batch::Batch;

/// Elements a channel holds before its sender waits; full batches are 1,024 records.
pub const CHANNEL_CAPACITY: usize = 8;

/// What travels in a channel.
#[derive(Debug)]
pub enum Element {
    /// Records.
    Batch(Batch),
    /// Marks the cut of a checkpoint.
    Barrier(Barrier),
    /// The checkpoint will not come (C6).
    CancelMarker(CheckpointId),
    /// No more records; barriers may follow.
    End,
    /// Nothing more at all: the sender finished.
    Closed,
}

/// What a worker tells one of its subtasks.
#[derive(Debug, Clone)]
pub enum SubtaskOrder {
    /// Every subtask is ready: connect and process.
    Start,
    /// Take a checkpoint: to sources, and to those whose whole upstream has finished.
    Trigger(Barrier),
    /// The checkpoint is completed.
    Completed {
        /// Which.
        checkpoint: CheckpointId,
        /// Whether it is the job's last.
        is_final: bool,
    },
    /// The checkpoint was given up.
    Aborted(CheckpointId),
    /// The subtask's own snapshot is durable.
    SnapshotDurable(CheckpointId, SnapshotHandle),
    /// The subtask's own snapshot could not be written.
    SnapshotFailed(CheckpointId, String),
}

/// What a gate hands out next.
#[derive(Debug)]
pub enum Incoming {
    /// An order, ahead of all elements.
    Order(SubtaskOrder),
    /// The head of a channel.
    Element(ChannelId, Element),
    /// The channel's sender went away in the middle.
    Broken(ChannelId),
}

/// The receiving side of all channels of one subtask.
pub struct Gate {
    inbox: Inbox,
    blocked: Vec<bool>,
    next_channel: usize,
}

/// A handle on a subtask's gate for those who send to it. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    shared: Arc<Mutex<State>>,
}

struct State {
    orders: VecDeque<SubtaskOrder>,
    channels: Vec<Channel>,
    receiver: Option<Waker>,
    /// Set by [`Inbox::stop`].
    is_stopped: bool,
    stop_waker: Option<Waker>,
    /// The gate is gone.
    is_closed: bool,
}

#[derive(Default)]
struct Channel {
    queue: VecDeque<Element>,
    sender: Option<Waker>,
    /// A sender was attached and dropped without `Closed`.
    is_broken: bool,
    is_attached: bool,
}

/// The receiver is gone; its attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receiving subtask is gone")]
pub struct ReceiverGone;

/// A gate with this many channels.
pub fn gate(channels: usize) -> (Inbox, Gate) {
    let state = State {
        orders: VecDeque::new(),
        channels: (0..channels).map(|_| Channel::default()).collect(),
        receiver: None,
        is_stopped: false,
        stop_waker: None,
        is_closed: false,
    };
    let inbox = Inbox { shared: Arc::new(Mutex::new(state)) };
    (inbox.clone(), Gate { inbox, blocked: vec![false; channels], next_channel: 0 })
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an order; never waits.
    pub fn order(&self, order: SubtaskOrder) {
        let waker = {
            let mut state = self.lock();
            state.orders.push_back(order);
            state.receiver.take()
        };
        wake(waker);
    }

    /// Asks the subtask to stop.
    pub fn stop(&self) {
        let waker = {
            let mut state = self.lock();
            state.is_stopped = true;
            state.stop_waker.take()
        };
        wake(waker);
    }

    /// Completes once the subtask was asked to stop.
    pub async fn stopped(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.is_stopped {
                return Poll::Ready(());
            }
            state.stop_waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The one sender of `channel`; `None` when it has one already or does not exist.
    pub fn attach(&self, channel: ChannelId) -> Option<ChannelSender> {
        let mut state = self.lock();
        let slot = state.channels.get_mut(channel.0 as usize)?;
        if slot.is_attached {
            return None;
        }
        slot.is_attached = true;
        Some(ChannelSender { inbox: self.clone(), channel: channel.0 as usize, is_done: false })
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The sending side of one channel.
pub struct ChannelSender {
    inbox: Inbox,
    channel: usize,
    is_done: bool,
}

impl ChannelSender {
    /// Queues `element`; waits while the channel is full.
    ///
    /// # Errors
    /// When the receiver is gone.
    pub async fn send(&mut self, element: Element) -> Result<(), ReceiverGone> {
        let mut element = Some(element);
        poll_fn(|context| self.poll_send(context, &mut element)).await
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        element: &mut Option<Element>,
    ) -> Poll<Result<(), ReceiverGone>> {
        let waker = {
            let mut state = self.inbox.lock();
            if state.is_closed {
                return Poll::Ready(Err(ReceiverGone));
            }
            let channel = &mut state.channels[self.channel];
            if channel.queue.len() >= CHANNEL_CAPACITY {
                channel.sender = Some(context.waker().clone());
                return Poll::Pending;
            }
            let element = element.take().expect("polled again after it was sent");
            self.is_done = matches!(element, Element::Closed);
            channel.queue.push_back(element);
            state.receiver.take()
        };
        wake(waker);
        Poll::Ready(Ok(()))
    }
}

impl Drop for ChannelSender {
    fn drop(&mut self) {
        if !self.is_done {
            let waker = {
                let mut state = self.inbox.lock();
                state.channels[self.channel].is_broken = true;
                state.receiver.take()
            };
            wake(waker);
        }
    }
}

impl Gate {
    /// The next order, or the head of the next channel in turn that is not blocked. Cancel safe.
    pub async fn next(&mut self) -> Incoming {
        poll_fn(|context| {
            if let Some(incoming) = self.try_next() {
                return Poll::Ready(incoming);
            }
            self.inbox.lock().receiver = Some(context.waker().clone());
            // Something may have arrived between the two locks.
            self.try_next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// What [`Gate::next`] would return at once.
    pub fn try_next(&mut self) -> Option<Incoming> {
        let mut state = self.inbox.lock();
        if let Some(order) = state.orders.pop_front() {
            return Some(Incoming::Order(order));
        }
        let count = self.blocked.len();
        for step in 0..count {
            let index = (self.next_channel + step) % count;
            if self.blocked[index] {
                continue;
            }
            let channel = &mut state.channels[index];
            let id = ChannelId(u32::try_from(index).expect("channels are numbered in 32 bits"));
            if let Some(element) = channel.queue.pop_front() {
                let waker = channel.sender.take();
                drop(state);
                wake(waker);
                self.next_channel = (index + 1) % count;
                return Some(Incoming::Element(id, element));
            }
            if channel.is_broken {
                channel.is_broken = false;
                return Some(Incoming::Broken(id));
            }
        }
        None
    }

    /// The next order if there is one.
    pub fn try_order(&mut self) -> Option<SubtaskOrder> {
        self.inbox.lock().orders.pop_front()
    }

    /// Completes once there is an order. Cancel safe.
    pub async fn order_arrived(&mut self) {
        poll_fn(|context| {
            let mut state = self.inbox.lock();
            if state.orders.is_empty() {
                state.receiver = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Reads nothing more from `channel` until `unblock`.
    pub fn block(&mut self, channel: ChannelId) {
        self.blocked[channel.0 as usize] = true;
    }

    /// Reads from `channel` again.
    pub fn unblock(&mut self, channel: ChannelId) {
        self.blocked[channel.0 as usize] = false;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let wakers: Vec<Waker> = {
            let mut state = self.inbox.lock();
            state.is_closed = true;
            state.channels.iter_mut().filter_map(|channel| channel.sender.take()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Lets others run once.
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
