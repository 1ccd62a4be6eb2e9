//! Pipes: one direction of a connection, with the moments at which its frames arrive.
//!
//! A pipe keeps order: nothing arrives before what was sent earlier. What its two ends know of each
//! other is kept at each end, with the moment at which it gets there.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::world::clock::{Moment, Timeline, TimerKey};
use crate::world::node::Life;

/// Numbers the pipes of a world; those of one connection are neighbours, the client's is even.
pub(super) type PipeId = u64;

/// Numbers the connections of a world.
pub(super) fn connection_of(id: PipeId) -> u64 {
    id / 2
}

/// One direction of a connection.
pub(super) struct Pipe {
    pub(super) from: Arc<Life>,
    pub(super) to: Arc<Life>,
    pub(super) reverse: PipeId,
    pub(super) path: Path,
    pub(super) queue: VecDeque<Item>,
    /// When the last item arrives; none arrives before it.
    pub(super) last: Moment,
    pub(super) sender: End,
    pub(super) receiver: End,
}

/// What becomes of what is sent from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// It arrives when the link lets it.
    Open,
    /// It never arrives, and nobody says so.
    Dead,
    /// The other machine is there, knows nothing of this connection, and answers with a reset.
    Forgotten,
}

pub(super) struct Item {
    /// `None` while it is held back.
    pub(super) arrives: Option<Moment>,
    /// `None` is the orderly end.
    pub(super) frame: Option<Vec<u8>>,
    /// Its place in the log of messages.
    pub(super) logged: Option<usize>,
}

impl Item {
    pub(super) fn bytes(&self) -> usize {
        self.frame.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn is_there(&self, now: Moment) -> bool {
        self.arrives.is_some_and(|at| at <= now)
    }
}

/// One end of a pipe.
#[derive(Default)]
pub(super) struct End {
    pub(super) is_closed: bool,
    pub(super) waker: Option<Waker>,
    timer: Option<TimerKey>,
    pub(super) broken: Option<Broken>,
}

/// What an end will learn, and when; `None` while the news cannot travel.
#[derive(Clone, Copy)]
pub(super) struct Broken {
    pub(super) at: Option<Moment>,
    pub(super) kind: io::ErrorKind,
}

impl Broken {
    pub(super) fn reset_at(at: Moment) -> Self {
        Self { at: Some(at), kind: io::ErrorKind::ConnectionReset }
    }
}

impl Pipe {
    pub(super) fn new(from: &Arc<Life>, to: &Arc<Life>, reverse: PipeId) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            reverse,
            path: Path::Open,
            queue: VecDeque::new(),
            last: 0,
            sender: End::default(),
            receiver: End::default(),
        }
    }

    /// The indices of the nodes it leads from and to.
    pub(super) fn ends(&self) -> (u32, u32) {
        (self.from.node.index, self.to.node.index)
    }

    pub(super) fn is_live(&self) -> bool {
        !self.sender.is_closed || !self.receiver.is_closed
    }

    /// Whether someone is there to take what is sent now.
    pub(super) fn is_heard(&self) -> bool {
        self.path == Path::Open
            && !self.to.is_lost()
            && !self.receiver.is_closed
            && self.sender.broken.is_none()
    }

    /// Whether the machine it leads to answers with a reset: it is on, and this connection is of an
    /// earlier life of it, or was forgotten.
    pub(super) fn is_unknown(&self) -> bool {
        let is_forgotten = match self.path {
            Path::Open => self.to.is_lost(),
            Path::Dead => false,
            Path::Forgotten => true,
        };
        is_forgotten && self.to.node.is_powered()
    }

    /// What is on its way does not arrive until it is sent again. How many frames that is.
    pub(super) fn hold_back(&mut self, now: Moment) -> usize {
        let is_on_its_way = |item: &&mut Item| item.arrives.is_some_and(|at| at > now);
        self.queue.iter_mut().filter(is_on_its_way).map(|item| item.arrives = None).count()
    }

    pub(super) fn arm_receiver(&mut self, timeline: &Timeline) {
        let at = self.next_news();
        self.receiver.wake_at(timeline, at);
    }

    /// When the receiver next has something to hear, as far as is known.
    pub(super) fn next_news(&self) -> Option<Moment> {
        let item = self.queue.front().and_then(|item| item.arrives);
        match (item, self.receiver.breaks_at()) {
            (Some(arrives), Some(breaks)) => Some(arrives.min(breaks)),
            (arrives, breaks) => arrives.or(breaks),
        }
    }

    pub(super) fn arm_sender(&mut self, timeline: &Timeline) {
        let at = self.sender.breaks_at();
        self.sender.wake_at(timeline, at);
    }

    pub(super) fn break_sender(&mut self, timeline: &Timeline, broken: Broken) {
        self.sender.broken = Some(broken);
        self.arm_sender(timeline);
    }

    pub(super) fn break_receiver(&mut self, timeline: &Timeline, broken: Broken) {
        self.receiver.broken = Some(broken);
        self.arm_receiver(timeline);
    }
}

impl End {
    pub(super) fn error_at(&self, now: Moment) -> Option<io::Error> {
        let broken = self.broken?;
        (broken.at? <= now).then(|| broken.kind.into())
    }

    pub(super) fn breaks_at(&self) -> Option<Moment> {
        self.broken?.at
    }

    /// Wakes the task that waits at this end, if one does, at `at`.
    fn wake_at(&mut self, timeline: &Timeline, at: Option<Moment>) {
        let Some(at) = at else { return };
        if at <= timeline.now() {
            self.wake(timeline);
            return;
        }
        let Some(waker) = &self.waker else { return };
        if self.timer.is_some_and(|timer| timer.at == at) {
            return;
        }
        let timer = timeline.set(at, waker.clone());
        let old = self.timer.replace(timer);
        // One of the past has fired: it was set for what was to come.
        if let Some(old) = old.filter(|it| it.at > timeline.now()) {
            timeline.cancel(old);
        }
    }

    pub(super) fn wake(&mut self, timeline: &Timeline) {
        self.forget_timer(timeline);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn forget_timer(&mut self, timeline: &Timeline) {
        if let Some(timer) = self.timer.take() {
            timeline.cancel(timer);
        }
    }

    pub(super) fn wait(&mut self, timeline: &Timeline, context: &Context<'_>, at: Option<Moment>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.forget_timer(timeline);
            self.waker = Some(context.waker().clone());
        }
        self.wake_at(timeline, at);
    }

    pub(super) fn close(&mut self, timeline: &Timeline) {
        self.is_closed = true;
        self.forget_timer(timeline);
        self.waker = None;
    }
}
