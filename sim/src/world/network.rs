//! The network between nodes: framed, ordered, bounded connections that fail as TCP fails.
//!
//! Each direction of a connection is a pipe of frames with the moments at which they arrive. What can
//! go wrong: a frame is slow (each draws its latency; order is kept); a direction between two nodes is
//! cut, and frames wait on the sender's side until it heals, as TCP sends again; a peer that lost power
//! is silent, and only when it is back does it answer old connections with a reset; a connection is
//! reset; a connect hangs or is refused; a half is closed while the other lives.
//!
//! Deliberately absent: loss, duplication and reordering inside a connection, which TCP hides; the
//! returning credit of a slow receiver is not delayed by the network.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{Connection, FrameReceiver, FrameSender, Listener, Network};

use super::clock::{Moment, Timeline, TimerKey};
use super::entropy::Stream;
use super::node::{Life, Node};
use super::{lock, nanos, still_running};

/// Connections that may wait to be accepted; a connect beyond that tries again.
const BACKLOG_MAX: usize = 128;
/// The pause before the second attempt to connect; each further one is twice as long.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How the network behaves when nothing is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// One way, between two nodes.
    pub latency: RangeInclusive<Duration>,
    /// One way, from a node to itself.
    pub loopback: RangeInclusive<Duration>,
    /// Frames in one direction of a connection that were sent and not yet received.
    pub frames_max: usize,
    /// When a connect that finds nobody gives up.
    pub connect_timeout: Duration,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(200)..=Duration::from_millis(3),
            loopback: Duration::from_micros(10)..=Duration::from_micros(50),
            frames_max: 16,
            connect_timeout: Duration::from_secs(20),
        }
    }
}

/// All links, listeners and connections.
pub(crate) struct Wire {
    timeline: Arc<Timeline>,
    state: Mutex<State>,
}

struct State {
    config: NetworkConfig,
    stream: Stream,
    links: BTreeMap<(u32, u32), Link>,
    listeners: BTreeMap<String, Backlog>,
    /// Who last listened at an address; after a crash, this is who does not answer there.
    owners: BTreeMap<String, Arc<Node>>,
    pipes: BTreeMap<PipeId, Pipe>,
    next_pipe: u64,
    next_listener: u64,
    frames: u64,
}

/// One direction between two nodes; without an entry nothing is special about it.
#[derive(Default)]
struct Link {
    is_cut: bool,
    latency: Option<RangeInclusive<Duration>>,
}

struct Backlog {
    listener: u64,
    life: Arc<Life>,
    /// The server's halves: (sends on, receives from).
    waiting: VecDeque<(PipeId, PipeId)>,
    waker: Option<Waker>,
}

type PipeId = u64;

/// One direction of a connection.
struct Pipe {
    from: Arc<Life>,
    to: Arc<Life>,
    reverse: PipeId,
    queue: VecDeque<Item>,
    /// When the last item arrives; none arrives before it.
    last: Moment,
    sender: End,
    receiver: End,
}

struct Item {
    /// `None` while the link is cut.
    arrives: Option<Moment>,
    /// `None` is the orderly end.
    frame: Option<Vec<u8>>,
}

/// One end of a pipe.
#[derive(Default)]
struct End {
    is_closed: bool,
    waker: Option<Waker>,
    timer: Option<TimerKey>,
    broken: Option<Broken>,
}

/// What an end will learn, and when; `None` while the news cannot travel.
#[derive(Clone, Copy)]
struct Broken {
    at: Option<Moment>,
    kind: io::ErrorKind,
}

impl End {
    fn error_at(&self, now: Moment) -> Option<io::Error> {
        let broken = self.broken?;
        (broken.at? <= now).then(|| broken.kind.into())
    }

    fn breaks_at(&self) -> Option<Moment> {
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
        if let Some(old) = self.timer.replace(timer) {
            timeline.cancel(old);
        }
    }

    fn wake(&mut self, timeline: &Timeline) {
        self.forget_timer(timeline);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn forget_timer(&mut self, timeline: &Timeline) {
        if let Some(timer) = self.timer.take() {
            timeline.cancel(timer);
        }
    }

    fn wait(&mut self, timeline: &Timeline, context: &Context<'_>, at: Option<Moment>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.forget_timer(timeline);
            self.waker = Some(context.waker().clone());
        }
        self.wake_at(timeline, at);
    }

    fn close(&mut self, timeline: &Timeline) {
        self.is_closed = true;
        self.forget_timer(timeline);
        self.waker = None;
    }
}

impl Pipe {
    fn is_live(&self) -> bool {
        !self.sender.is_closed || !self.receiver.is_closed
    }

    fn arm_receiver(&mut self, timeline: &Timeline) {
        let item = self.queue.front().and_then(|item| item.arrives);
        let at = [item, self.receiver.breaks_at()].into_iter().flatten().min();
        self.receiver.wake_at(timeline, at);
    }

    fn arm_sender(&mut self, timeline: &Timeline) {
        let at = self.sender.breaks_at();
        self.sender.wake_at(timeline, at);
    }
}

impl State {
    fn is_cut(&self, from: u32, to: u32) -> bool {
        self.links.get(&(from, to)).is_some_and(|link| link.is_cut)
    }

    /// How long something takes now; `None` when it does not get through.
    fn latency(&mut self, from: u32, to: u32) -> Option<Moment> {
        let link = self.links.get(&(from, to));
        if link.is_some_and(|link| link.is_cut) {
            return None;
        }
        let range = match link.and_then(|link| link.latency.as_ref()) {
            Some(range) => range,
            None if from == to => &self.config.loopback,
            None => &self.config.latency,
        };
        Some(nanos(self.stream.duration(range)))
    }

    /// When something sent now on `id` arrives.
    fn arrival(&mut self, id: PipeId, now: Moment) -> Option<Moment> {
        let (from, to) = self.ends(id);
        let latency = self.latency(from, to)?;
        let pipe = self.pipes.get_mut(&id)?;
        pipe.last = pipe.last.max(now.saturating_add(latency));
        Some(pipe.last)
    }

    fn ends(&self, id: PipeId) -> (u32, u32) {
        let pipe = &self.pipes[&id];
        (pipe.from.node.index, pipe.to.node.index)
    }

    fn open_pipes(&mut self, client: &Arc<Life>, server: &Arc<Life>) -> (PipeId, PipeId) {
        let (there, back) = (self.next_pipe, self.next_pipe + 1);
        self.next_pipe += 2;
        for (id, reverse, from, to) in
            [(there, back, client, server), (back, there, server, client)]
        {
            let pipe = Pipe {
                from: from.clone(),
                to: to.clone(),
                reverse,
                queue: VecDeque::new(),
                last: 0,
                sender: End::default(),
                receiver: End::default(),
            };
            self.pipes.insert(id, pipe);
        }
        (there, back)
    }

    fn remove_if_closed(&mut self, id: PipeId) {
        if self.pipes.get(&id).is_some_and(|pipe| !pipe.is_live()) {
            self.pipes.remove(&id);
        }
    }

    /// Tells the sender of `id` that its peer is gone: the peer lost power, is back, and does not know
    /// this connection.
    fn answer_with_reset(&mut self, timeline: &Timeline, id: PipeId) {
        let pipe = &self.pipes[&id];
        let is_known = !pipe.to.is_lost() || !pipe.to.node.is_powered();
        if is_known || pipe.queue.is_empty() || pipe.sender.broken.is_some() {
            return;
        }
        let reverse = pipe.reverse;
        let (from, to) = self.ends(id);
        let (Some(there), Some(back)) = (self.latency(from, to), self.latency(to, from)) else {
            return; // Tried again when a link heals.
        };
        let at = Some(timeline.now().saturating_add(there).saturating_add(back));
        let broken = Some(Broken { at, kind: io::ErrorKind::ConnectionReset });
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.sender.broken = broken;
            pipe.arm_sender(timeline);
        }
        if let Some(pipe) = self.pipes.get_mut(&reverse) {
            pipe.receiver.broken = broken;
            pipe.arm_receiver(timeline);
        }
    }

    fn answer_all_with_resets(&mut self, timeline: &Timeline) {
        let ids: Vec<PipeId> = self.pipes.keys().copied().collect();
        for id in ids {
            self.answer_with_reset(timeline, id);
        }
    }

    /// Breaks both directions of a connection, for both ends, now.
    fn reset(&mut self, timeline: &Timeline, id: PipeId) {
        let Some(reverse) = self.pipes.get(&id).map(|pipe| pipe.reverse) else { return };
        let broken =
            Some(Broken { at: Some(timeline.now()), kind: io::ErrorKind::ConnectionReset });
        for id in [id, reverse] {
            if let Some(pipe) = self.pipes.get_mut(&id) {
                pipe.sender.broken = broken;
                pipe.receiver.broken = broken;
                pipe.arm_sender(timeline);
                pipe.arm_receiver(timeline);
            }
        }
    }
}

impl Wire {
    pub(crate) fn new(timeline: Arc<Timeline>, stream: Stream, config: NetworkConfig) -> Self {
        assert!(config.frames_max > 0, "a connection without room carries nothing");
        let state = State {
            config,
            stream,
            links: BTreeMap::new(),
            listeners: BTreeMap::new(),
            owners: BTreeMap::new(),
            pipes: BTreeMap::new(),
            next_pipe: 0,
            next_listener: 0,
            frames: 0,
        };
        Self { timeline, state: Mutex::new(state) }
    }

    /// Holds back what travels from `from` to `to`, and what is on its way.
    pub(crate) fn partition(&self, from: u32, to: u32) {
        let now = self.timeline.now();
        let state = &mut *lock(&self.state);
        state.links.entry((from, to)).or_default().is_cut = true;
        for pipe in state.pipes.values_mut() {
            if (pipe.from.node.index, pipe.to.node.index) == (from, to) {
                for item in &mut pipe.queue {
                    item.arrives = item.arrives.filter(|at| *at <= now);
                }
            }
            if (pipe.to.node.index, pipe.from.node.index) == (from, to)
                && let Some(broken) = &mut pipe.sender.broken
            {
                broken.at = broken.at.filter(|at| *at <= now);
            }
        }
    }

    /// Lets what was held back arrive.
    pub(crate) fn heal(&self, from: u32, to: u32) {
        let state = &mut *lock(&self.state);
        let was_cut =
            state.links.get_mut(&(from, to)).is_some_and(|link| std::mem::take(&mut link.is_cut));
        if was_cut {
            self.release(state, from, to);
        }
    }

    pub(crate) fn heal_all(&self) {
        let state = &mut *lock(&self.state);
        let mut cut = Vec::new();
        for (ends, link) in &mut state.links {
            if std::mem::take(&mut link.is_cut) {
                cut.push(*ends);
            }
        }
        for (from, to) in cut {
            self.release(state, from, to);
        }
    }

    fn release(&self, state: &mut State, from: u32, to: u32) {
        let now = self.timeline.now();
        let ids: Vec<PipeId> = state.pipes.keys().copied().collect();
        for id in ids {
            let pipe = &state.pipes[&id];
            let forward = (pipe.from.node.index, pipe.to.node.index) == (from, to)
                && pipe.queue.iter().any(|item| item.arrives.is_none());
            if forward && let Some(at) = state.arrival(id, now) {
                let pipe = state.pipes.get_mut(&id).expect("the pipe is there");
                for item in pipe.queue.iter_mut().filter(|item| item.arrives.is_none()) {
                    item.arrives = Some(at);
                }
                pipe.arm_receiver(&self.timeline);
            }
            let pipe = &state.pipes[&id];
            let backward = (pipe.to.node.index, pipe.from.node.index) == (from, to)
                && pipe.sender.broken.is_some_and(|broken| broken.at.is_none());
            if backward && let Some(latency) = state.latency(from, to) {
                let pipe = state.pipes.get_mut(&id).expect("the pipe is there");
                if let Some(broken) = &mut pipe.sender.broken {
                    broken.at = Some(now.saturating_add(latency));
                }
                pipe.arm_sender(&self.timeline);
            }
            state.answer_with_reset(&self.timeline, id);
        }
    }

    /// Latency of what is sent from `from` to `to` from now on.
    pub(crate) fn set_latency(&self, from: u32, to: u32, range: Option<RangeInclusive<Duration>>) {
        lock(&self.state).links.entry((from, to)).or_default().latency = range;
    }

    /// Resets every connection between two nodes.
    pub(crate) fn drop_connections(&self, one: u32, other: u32) {
        let state = &mut *lock(&self.state);
        let ids: Vec<PipeId> = state
            .pipes
            .iter()
            .filter(|(_, pipe)| {
                let ends = (pipe.from.node.index, pipe.to.node.index);
                ends == (one, other) || ends == (other, one)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            state.reset(&self.timeline, id);
        }
    }

    /// `life` lost its power: it neither listens nor sends again, and says nothing about it.
    pub(crate) fn on_crash(&self, life: &Arc<Life>) {
        let state = &mut *lock(&self.state);
        let mut unaccepted = Vec::new();
        state.listeners.retain(|_, backlog| {
            let stays = !Arc::ptr_eq(&backlog.life, life);
            if !stays {
                unaccepted.extend(backlog.waiting.drain(..));
            }
            stays
        });
        for pipe in state.pipes.values_mut() {
            if Arc::ptr_eq(&pipe.from, life) {
                pipe.queue.retain(|item| item.arrives.is_some());
                pipe.sender.waker = None;
                pipe.sender.forget_timer(&self.timeline);
            }
            if Arc::ptr_eq(&pipe.to, life) {
                pipe.receiver.waker = None;
                pipe.receiver.forget_timer(&self.timeline);
            }
        }
        for (sends_on, receives_from) in unaccepted {
            if let Some(pipe) = state.pipes.get_mut(&sends_on) {
                pipe.sender.is_closed = true;
            }
            if let Some(pipe) = state.pipes.get_mut(&receives_from) {
                pipe.receiver.is_closed = true;
            }
            state.remove_if_closed(sends_on);
            state.remove_if_closed(receives_from);
        }
    }

    /// A node is back: it answers what was sent to its former incarnations.
    pub(crate) fn on_power(&self) {
        lock(&self.state).answer_all_with_resets(&self.timeline);
    }

    /// Frames sent so far, and pipes that exist.
    pub(crate) fn counts(&self) -> (u64, usize) {
        let state = lock(&self.state);
        (state.frames, state.pipes.len())
    }

    fn close_sender(&self, id: PipeId) {
        let state = &mut *lock(&self.state);
        let Some(pipe) = state.pipes.get_mut(&id) else { return };
        pipe.sender.close(&self.timeline);
        let speaks = !pipe.from.is_lost() && !pipe.receiver.is_closed;
        if speaks {
            let arrives = state.arrival(id, self.timeline.now());
            if let Some(pipe) = state.pipes.get_mut(&id) {
                pipe.queue.push_back(Item { arrives, frame: None });
                pipe.arm_receiver(&self.timeline);
            }
        }
        state.remove_if_closed(id);
    }

    fn close_receiver(&self, id: PipeId) {
        let state = &mut *lock(&self.state);
        let Some(pipe) = state.pipes.get_mut(&id) else { return };
        pipe.receiver.close(&self.timeline);
        if !pipe.to.is_lost() {
            pipe.queue.clear();
            let tells = !pipe.sender.is_closed && pipe.sender.broken.is_none();
            if tells {
                let (from, to) = state.ends(id);
                let latency = state.latency(to, from);
                let at = latency.map(|latency| self.timeline.now().saturating_add(latency));
                if let Some(pipe) = state.pipes.get_mut(&id) {
                    pipe.sender.broken = Some(Broken { at, kind: io::ErrorKind::BrokenPipe });
                    pipe.arm_sender(&self.timeline);
                }
            }
        }
        state.remove_if_closed(id);
    }
}

/// Finds a node by its name.
pub(crate) type FindNode = Arc<dyn Fn(&str) -> Option<Arc<Node>> + Send + Sync>;

/// The network of one incarnation of a node.
#[derive(Clone)]
pub(crate) struct NodeNetwork {
    pub(crate) wire: Arc<Wire>,
    pub(crate) life: Arc<Life>,
    /// For addresses at which nobody listened yet.
    pub(crate) find: FindNode,
}

/// What a connect met.
enum Meeting {
    Accepted { there: PipeId, back: PipeId, latency: Moment },
    Refused { latency: Moment },
    Silence,
}

impl NodeNetwork {
    fn connection(&self, sends_on: PipeId, receives_from: PipeId) -> Connection {
        Connection {
            sender: Box::new(Sender { network: self.clone(), id: sends_on }),
            receiver: Box::new(Receiver { network: self.clone(), id: receives_from }),
        }
    }

    /// The node that answers at `address`, and the way there; `None` when nothing gets there.
    fn departure(&self, address: &str) -> Option<Moment> {
        let node = self.owner(address);
        let mut state = lock(&self.wire.state);
        let to = node.map_or(self.life.node.index, |node| node.index);
        state.latency(self.life.node.index, to)
    }

    fn owner(&self, address: &str) -> Option<Arc<Node>> {
        let known = lock(&self.wire.state).owners.get(address).cloned();
        known.or_else(|| (self.find)(address.split(':').next().unwrap_or(address)))
    }

    /// The connect arrives at `address`.
    fn arrive(&self, address: &str) -> Meeting {
        let owner = self.owner(address);
        let state = &mut *lock(&self.wire.state);
        let from = self.life.node.index;
        let to = owner.as_ref().map_or(from, |node| node.index);
        if owner.is_some_and(|node| !node.is_powered()) || state.is_cut(from, to) {
            return Meeting::Silence;
        }
        let Some(server) = state.listeners.get(address).map(|backlog| backlog.life.clone()) else {
            return match state.latency(to, from) {
                Some(latency) => Meeting::Refused { latency },
                None => Meeting::Silence,
            };
        };
        if state.listeners[address].waiting.len() >= BACKLOG_MAX {
            return Meeting::Silence;
        }
        let Some(latency) = state.latency(to, from) else { return Meeting::Silence };
        let (there, back) = state.open_pipes(&self.life, &server);
        let backlog = state.listeners.get_mut(address).expect("the listener is there");
        backlog.waiting.push_back((back, there));
        if let Some(waker) = backlog.waker.take() {
            waker.wake();
        }
        Meeting::Accepted { there, back, latency }
    }
}

#[async_trait]
impl Network for NodeNetwork {
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        still_running(&self.life).await;
        let state = &mut *lock(&self.wire.state);
        if state.listeners.contains_key(address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let listener = state.next_listener;
        state.next_listener += 1;
        let backlog =
            Backlog { listener, life: self.life.clone(), waiting: VecDeque::new(), waker: None };
        state.listeners.insert(address.to_owned(), backlog);
        state.owners.insert(address.to_owned(), self.life.node.clone());
        Ok(Box::new(NodeListener { network: self.clone(), address: address.to_owned(), listener }))
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        let timeline = &self.wire.timeline;
        let timeout = nanos(lock(&self.wire.state).config.connect_timeout);
        let deadline = timeline.now().saturating_add(timeout);
        let mut pause = nanos(CONNECT_PAUSE);
        loop {
            still_running(&self.life).await;
            if let Some(latency) = self.departure(address) {
                timeline.sleep_until(timeline.now().saturating_add(latency)).await;
                still_running(&self.life).await;
                match self.arrive(address) {
                    Meeting::Accepted { there, back, latency } => {
                        // From here on dropping this future closes the connection.
                        let connection = self.connection(there, back);
                        timeline.sleep_until(timeline.now().saturating_add(latency)).await;
                        return Ok(connection);
                    }
                    Meeting::Refused { latency } => {
                        timeline.sleep_until(timeline.now().saturating_add(latency)).await;
                        return Err(io::ErrorKind::ConnectionRefused.into());
                    }
                    Meeting::Silence => {}
                }
            }
            let again = timeline.now().saturating_add(pause);
            timeline.sleep_until(again.min(deadline)).await;
            if timeline.now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            pause = pause.saturating_mul(2);
        }
    }
}

struct NodeListener {
    network: NodeNetwork,
    address: String,
    listener: u64,
}

#[async_trait]
impl Listener for NodeListener {
    async fn accept(&mut self) -> io::Result<Connection> {
        let (sends_on, receives_from) = poll_fn(|context| {
            if !self.network.life.is_running() {
                return Poll::Pending;
            }
            let mut state = lock(&self.network.wire.state);
            let backlog = state.listeners.get_mut(&self.address).expect("the listener is open");
            if let Some(pipes) = backlog.waiting.pop_front() {
                return Poll::Ready(pipes);
            }
            backlog.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        Ok(self.network.connection(sends_on, receives_from))
    }
}

impl Drop for NodeListener {
    fn drop(&mut self) {
        let wire = &self.network.wire;
        let unaccepted = {
            let mut state = lock(&wire.state);
            let is_mine = state
                .listeners
                .get(&self.address)
                .is_some_and(|backlog| backlog.listener == self.listener);
            if !is_mine {
                return;
            }
            let backlog = state.listeners.remove(&self.address).expect("the listener is there");
            for (id, _) in &backlog.waiting {
                state.reset(&wire.timeline, *id);
            }
            backlog.waiting
        };
        for (sends_on, receives_from) in unaccepted {
            wire.close_sender(sends_on);
            wire.close_receiver(receives_from);
        }
    }
}

struct Sender {
    network: NodeNetwork,
    id: PipeId,
}

#[async_trait]
impl FrameSender for Sender {
    async fn send(&mut self, frame: Vec<u8>) -> io::Result<()> {
        let mut frame = Some(frame);
        poll_fn(|context| {
            if !self.network.life.is_running() {
                return Poll::Pending;
            }
            let wire = &self.network.wire;
            let now = wire.timeline.now();
            let state = &mut *lock(&wire.state);
            let frames_max = state.config.frames_max;
            let pipe = state.pipes.get_mut(&self.id).expect("a held pipe exists");
            if let Some(error) = pipe.sender.error_at(now) {
                return Poll::Ready(Err(error));
            }
            if pipe.queue.len() >= frames_max {
                let at = pipe.sender.breaks_at();
                pipe.sender.wait(&wire.timeline, context, at);
                return Poll::Pending;
            }
            let frame = frame.take().expect("a send completes once");
            state.frames += 1;
            let arrives = state.arrival(self.id, now);
            let pipe = state.pipes.get_mut(&self.id).expect("a held pipe exists");
            pipe.queue.push_back(Item { arrives, frame: Some(frame) });
            pipe.arm_receiver(&wire.timeline);
            if pipe.to.is_lost() {
                state.answer_with_reset(&wire.timeline, self.id);
            }
            Poll::Ready(Ok(()))
        })
        .await
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
                Some(item) if item.arrives.is_some_and(|at| at <= now) => {
                    if item.frame.is_none() {
                        return Poll::Ready(Ok(None)); // The end stays the end.
                    }
                    let item = pipe.queue.pop_front().expect("there is a front");
                    pipe.sender.wake(&wire.timeline);
                    Poll::Ready(Ok(item.frame))
                }
                Some(_) | None => {
                    let item = pipe.queue.front().and_then(|item| item.arrives);
                    let at = [item, pipe.receiver.breaks_at()].into_iter().flatten().min();
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
