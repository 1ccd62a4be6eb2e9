//! Channels between subtasks: FIFO, bounded, one gate per receiving subtask.
//!
//! ```text
//! sender 0 ──[ element, element ]──┐
//! sender 1 ──[ element ]───────────┤ gate ── next() ──> subtask
//! orders   ──[ trigger, ... ]──────┘
//! ```
//!
//! A blocked channel is not read; it fills up, and then its sender waits. Orders overtake elements. Only
//! batches need room: what marks something is few and goes at once.
//!
//! A barrier that may overtake is queued like any other and announced besides, so that the subtask
//! hears of it before it comes to it. [`Gate::capture`] copies what is queued before it
//! ([`crate::in_flight`]).
//!
//! A channel whose sender goes away without closing it is broken, which fails the attempt: a record
//! may be missing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use seawall_probe::{buggify, sometimes};
use seawall_protocol::config::Alignment;
use seawall_protocol::message::Barrier;
use seawall_protocol::record::SnapshotHandle;
use seawall_protocol::{ChannelId, CheckpointId, Watermark};
use seawall_stream::StreamError;
use seawall_stream::batch::Batch;

use crate::in_flight::{ByChannel, Capture, Found};
use crate::metrics::Metrics;
use crate::subtask::DriverTimer;
use crate::timers::Fired;

/// Elements a channel holds before its sender waits; full batches are 1,024 records.
pub const CHANNEL_CAPACITY: usize = 8;

/// Taken batches that a remote sender is told of at once. Half the capacity: the sender has the other
/// half to go on with.
pub(crate) const CREDITS_TOLD: usize = CHANNEL_CAPACITY / 2;

/// What travels in a channel.
#[derive(Debug)]
pub enum Element {
    /// Records.
    Batch(Batch),
    /// Marks the cut of a checkpoint.
    Barrier(Barrier),
    /// The checkpoint will not come (C6).
    CancelMarker(CheckpointId),
    /// How far event time is.
    Watermark(Watermark),
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
    /// Nothing is heard of the receiver of an output channel, and why that is believed.
    ReceiverSilent(String),
    /// A timer of the subtask fired.
    Fired(Fired<DriverTimer>),
}

/// What is told of an element before it is at the head of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A barrier that may overtake is queued.
    Barrier(Barrier),
    /// The end of the channel is queued.
    Closed,
}

/// What a gate hands out next.
#[derive(Debug)]
pub enum Incoming {
    /// An order, ahead of all elements.
    Order(SubtaskOrder),
    /// Something is queued in a channel that matters before it is at the head.
    Notice(ChannelId, Notice),
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
    /// Restored batches at the head of each channel, and in all.
    restored: Vec<usize>,
    restored_count: usize,
    capture: Option<Capture>,
}

/// A handle on a subtask's gate for those who send to it. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    shared: Arc<Mutex<State>>,
}

struct State {
    metrics: Arc<Metrics>,
    orders: VecDeque<SubtaskOrder>,
    notices: VecDeque<(ChannelId, Notice)>,
    channels: Vec<Channel>,
    receiver: Option<Waker>,
    /// Set by [`Inbox::stop`].
    is_stopped: bool,
    stop_waker: Option<Waker>,
    /// The gate is gone.
    is_closed: bool,
}

struct Channel {
    queue: VecDeque<Element>,
    /// Batches in it that its sender has sent; restored ones are none of them.
    batches: usize,
    /// Batches it holds before a sender without credit waits.
    capacity: usize,
    sender: Option<Waker>,
    /// Batches taken since the sender was last told; only a remote sender is.
    freed: usize,
    is_remote: bool,
    /// A sender was attached and dropped without `Closed`.
    is_broken: bool,
    is_attached: bool,
}

impl Channel {
    fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            batches: 0,
            capacity: if buggify!(TinyChannel) { 1 } else { CHANNEL_CAPACITY },
            sender: None,
            freed: 0,
            is_remote: false,
            is_broken: false,
            is_attached: false,
        }
    }
}

/// Adds an element behind the others. A watermark replaces one that is last: it says all that one said, and
/// a channel that nobody reads does not grow.
pub(crate) fn queue(elements: &mut VecDeque<Element>, element: Element) {
    match (elements.back_mut(), &element) {
        (Some(Element::Watermark(last)), Element::Watermark(newer)) => {
            sometimes!(WatermarkIsReplaced);
            *last = *newer;
        }
        _ => elements.push_back(element),
    }
}

/// The receiver is gone; its attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receiving subtask is gone")]
pub struct ReceiverGone;

/// A gate with this many channels.
pub fn gate(channels: usize, metrics: &Arc<Metrics>) -> (Inbox, Gate) {
    let state = State {
        metrics: Arc::clone(metrics),
        orders: VecDeque::new(),
        notices: VecDeque::new(),
        channels: (0..channels).map(|_| Channel::new()).collect(),
        receiver: None,
        is_stopped: false,
        stop_waker: None,
        is_closed: false,
    };
    let inbox = Inbox { shared: Arc::new(Mutex::new(state)) };
    let gate = Gate {
        inbox: inbox.clone(),
        blocked: vec![false; channels],
        next_channel: 0,
        restored: vec![0; channels],
        restored_count: 0,
        capture: None,
    };
    (inbox, gate)
}

impl State {
    fn urgent(&mut self) -> Option<Incoming> {
        if let Some(order) = self.orders.pop_front() {
            return Some(Incoming::Order(order));
        }
        let (channel, notice) = self.notices.pop_front()?;
        Some(Incoming::Notice(channel, notice))
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an order; never waits. It comes back when the subtask has ended.
    pub fn order(&self, order: SubtaskOrder) -> Option<SubtaskOrder> {
        let waker = {
            let mut state = self.lock();
            if state.is_closed {
                return Some(order);
            }
            state.orders.push_back(order);
            state.receiver.take()
        };
        wake(waker);
        None
    }

    /// The orders that the subtask did not take before it ended.
    pub fn unread(&self) -> Vec<SubtaskOrder> {
        self.lock().orders.drain(..).collect()
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
            remember(&mut state.stop_waker, context);
            Poll::Pending
        })
        .await;
    }

    /// The one sender of `channel`; `None` when it has one already or does not exist.
    pub fn attach(&self, channel: ChannelId) -> Option<ChannelSender> {
        self.attach_as(channel, false)
    }

    /// As [`Inbox::attach`], for a sender on another worker, which counts room in credits.
    pub fn attach_remote(&self, channel: ChannelId) -> Option<ChannelSender> {
        self.attach_as(channel, true)
    }

    fn attach_as(&self, channel: ChannelId, is_remote: bool) -> Option<ChannelSender> {
        let mut state = self.lock();
        let slot = state.channels.get_mut(channel.0 as usize)?;
        if slot.is_attached {
            return None;
        }
        slot.is_attached = true;
        slot.is_remote = is_remote;
        Some(ChannelSender { inbox: self.clone(), channel: channel.0 as usize, is_done: false })
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Remembers whom to wake; who is remembered already need not be cloned.
fn remember(who: &mut Option<Waker>, context: &Context<'_>) {
    match who {
        Some(waker) => waker.clone_from(context.waker()),
        None => *who = Some(context.waker().clone()),
    }
}

/// The sending side of one channel.
pub struct ChannelSender {
    inbox: Inbox,
    channel: usize,
    is_done: bool,
}

impl ChannelSender {
    /// Queues `element`; a batch waits while the channel is full.
    ///
    /// # Errors
    /// When the receiver is gone.
    pub async fn send(&mut self, element: Element) -> Result<(), ReceiverGone> {
        let mut element = element;
        while let Some(back) = self.try_send(element)? {
            element = back;
            poll_fn(|context| self.poll_room(context)).await;
        }
        Ok(())
    }

    /// Queues `element`, or hands a batch back when the channel is full.
    ///
    /// # Errors
    /// When the receiver is gone.
    pub fn try_send(&mut self, element: Element) -> Result<Option<Element>, ReceiverGone> {
        self.queue(element, false)
    }

    /// Queues `element`, for which there is room because the sender has credit.
    ///
    /// # Errors
    /// When the receiver is gone.
    pub fn send_with_credit(&mut self, element: Element) -> Result<(), ReceiverGone> {
        self.queue(element, true).map(drop)
    }

    fn queue(
        &mut self,
        element: Element,
        has_credit: bool,
    ) -> Result<Option<Element>, ReceiverGone> {
        let waker = {
            let mut state = self.inbox.lock();
            if state.is_closed {
                sometimes!(SendToAGoneReceiver);
                return Err(ReceiverGone);
            }
            let State { channels, metrics, .. } = &mut *state;
            let channel = &mut channels[self.channel];
            let has_room = has_credit || channel.queue.len() < channel.capacity;
            let notice = match &element {
                Element::Batch(_) if !has_room => return Ok(Some(element)),
                Element::Batch(_) => {
                    channel.batches += 1;
                    metrics.saw_queue(channel.batches);
                    None
                }
                Element::CancelMarker(_) | Element::Watermark(_) | Element::End => None,
                Element::Barrier(barrier) => {
                    let may_overtake = barrier.overtakes() != Alignment::Aligned;
                    may_overtake.then_some(Notice::Barrier(*barrier))
                }
                Element::Closed => {
                    self.is_done = true;
                    Some(Notice::Closed)
                }
            };
            queue(&mut channel.queue, element);
            if let Some(notice) = notice {
                state.notices.push_back((id(self.channel), notice));
            }
            state.receiver.take()
        };
        wake(waker);
        Ok(None)
    }

    /// Ready once there is room for a batch, or the receiver is gone.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.inbox.lock();
        let is_closed = state.is_closed;
        let channel = &mut state.channels[self.channel];
        if is_closed || channel.queue.len() < channel.capacity {
            return Poll::Ready(());
        }
        remember(&mut channel.sender, context);
        Poll::Pending
    }

    /// Whether the end of the channel was queued.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Batches that were taken and not told yet, once they are worth a word; `None` when the receiver is
    /// gone.
    pub fn poll_freed(&mut self, context: &mut Context<'_>) -> Poll<Option<usize>> {
        let mut state = self.inbox.lock();
        if state.is_closed {
            return Poll::Ready(None);
        }
        let channel = &mut state.channels[self.channel];
        if channel.freed >= CREDITS_TOLD {
            return Poll::Ready(Some(std::mem::take(&mut channel.freed)));
        }
        remember(&mut channel.sender, context);
        Poll::Pending
    }
}

fn id(channel: usize) -> ChannelId {
    ChannelId(u32::try_from(channel).expect("channels are numbered in 32 bits"))
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
        poll_fn(|context| self.take(Some(context)).map_or(Poll::Pending, Poll::Ready)).await
    }

    /// What [`Gate::next`] would return at once.
    pub fn try_next(&mut self) -> Option<Incoming> {
        self.take(None)
    }

    /// What comes next; if there is nothing, whoever waits is woken once there may be.
    fn take(&mut self, waiting: Option<&Context<'_>>) -> Option<Incoming> {
        let mut state = self.inbox.lock();
        if let Some(urgent) = state.urgent() {
            return Some(urgent);
        }
        let count = self.blocked.len();
        for index in (self.next_channel..count).chain(0..self.next_channel) {
            if self.blocked[index] {
                continue;
            }
            let channel = &mut state.channels[index];
            if let Some(element) = channel.queue.pop_front() {
                if self.restored[index] > 0 {
                    self.restored[index] -= 1;
                    self.restored_count -= 1;
                } else if let Element::Batch(_) = element {
                    channel.batches -= 1;
                    channel.freed += usize::from(channel.is_remote);
                }
                let is_worth_telling = !channel.is_remote || channel.freed >= CREDITS_TOLD;
                let waker = if is_worth_telling { channel.sender.take() } else { None };
                drop(state);
                wake(waker);
                self.next_channel = (index + 1) % count;
                if let Some(capture) = &mut self.capture {
                    capture.on_taken(id(index), &element);
                }
                return Some(Incoming::Element(id(index), element));
            }
            if channel.is_broken {
                sometimes!(InputChannelBreaks);
                channel.is_broken = false;
                return Some(Incoming::Broken(id(index)));
            }
        }
        if let Some(context) = waiting {
            remember(&mut state.receiver, context);
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
                remember(&mut state.receiver, context);
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// What must not wait for elements, if there is something: an order or a notice.
    pub fn poll_urgent(&mut self, context: &mut Context<'_>) -> Poll<Incoming> {
        let mut state = self.inbox.lock();
        if let Some(urgent) = state.urgent() {
            return Poll::Ready(urgent);
        }
        remember(&mut state.receiver, context);
        Poll::Pending
    }

    /// Puts restored batches at the head of `channel`, before its sender is attached.
    pub fn restore(&mut self, channel: ChannelId, batches: Vec<Batch>) {
        let index = channel.0 as usize;
        self.restored[index] += batches.len();
        self.restored_count += batches.len();
        let mut state = self.inbox.lock();
        let queue = &mut state.channels[index].queue;
        assert!(queue.is_empty(), "{channel} was used before it was restored");
        queue.extend(batches.into_iter().map(Element::Batch));
    }

    /// Whether restored batches are queued.
    pub fn is_replaying(&self) -> bool {
        self.restored_count > 0
    }

    /// Copies what `channel` holds before its barrier of `checkpoint`, now and until `end_capture`. What
    /// was found behind it already.
    pub fn capture(&mut self, checkpoint: CheckpointId, channel: ChannelId) -> Option<Found> {
        let is_same = self.capture.as_ref().is_some_and(|it| it.checkpoint() == checkpoint);
        if !is_same {
            self.capture = Some(Capture::new(checkpoint));
        }
        self.capture.as_mut()?.open(channel);
        self.look(channel)
    }

    /// Copies what was queued in `channel` since, if it is being captured.
    pub fn look(&mut self, channel: ChannelId) -> Option<Found> {
        let capture = self.capture.as_mut()?;
        capture.look(channel, &mut self.inbox.lock().channels[channel.0 as usize].queue)
    }

    /// Copies nothing more of `channel`.
    pub fn end_capture(&mut self, channel: ChannelId) {
        if let Some(capture) = &mut self.capture {
            capture.close(channel);
        }
    }

    /// Ends the capture: the encoded batches of each channel, in order.
    ///
    /// # Errors
    /// When a record has no encoding.
    pub fn take_captured(&mut self) -> Result<ByChannel, StreamError> {
        self.capture.take().map_or(Ok(Vec::new()), Capture::into_batches)
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
