//! The network between nodes: framed, ordered, bounded connections that fail as TCP fails.
//!
//! ```text
//! connect ──► Connection ── send ──► fate ─► link (cut? bandwidth, latency) ─► pipe ──► receive
//! listen      = two pipes            (armed faults strike one frame each)      (order, 16 frames)
//! ```
//!
//! Each direction of a connection is a pipe of frames with the moments at which they arrive. What can
//! go wrong: a frame is slow (each draws its latency; order is kept); a direction between two nodes is
//! cut, and frames wait on the sender's side until it heals, as TCP sends again; a frame is lost, and its
//! connection with it; a peer that lost power is silent, and only when it is back does it answer old
//! connections with a reset; a connection is reset for both ends, or for one, or is dead and nobody knows;
//! a connect hangs or is refused; a half is closed while the other lives.
//!
//! Deliberately absent: loss and reordering inside a connection that goes on, which TCP hides; the
//! returning credit of a slow receiver is not delayed by the network; TCP's own end of a silent
//! connection, which takes a quarter of an hour.

mod connect;
mod fault;
mod half;
mod link;
mod message;
mod pipe;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clock::{Moment, Timeline};
use super::entropy::Stream;
use super::node::{Life, Node};
use super::strikes::Strikes;
use super::{lock, nanos};
use connect::Backlog;
use link::{Fate, Link};
use message::MessageLog;
use pipe::{Broken, Item, Path, Pipe, PipeId};

pub use connect::ConnectFault;
pub(crate) use connect::NodeNetwork;
pub use message::Message;

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
    /// When both ends of a connection that lost a frame give it up.
    pub loss_noticed: RangeInclusive<Duration>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(200)..=Duration::from_millis(3),
            loopback: Duration::from_micros(10)..=Duration::from_micros(50),
            frames_max: 16,
            connect_timeout: Duration::from_secs(20),
            loss_noticed: Duration::from_millis(200)..=Duration::from_secs(5),
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
    connect_faults: BTreeMap<u32, ConnectFault>,
    listeners: BTreeMap<String, Backlog>,
    /// Who last listened at an address; after a crash, this is who does not answer there.
    owners: BTreeMap<String, Arc<Node>>,
    pipes: BTreeMap<PipeId, Pipe>,
    next_pipe: u64,
    next_listener: u64,
    frames: u64,
    log: MessageLog,
    strikes: Strikes,
}

impl Wire {
    pub(crate) fn new(
        timeline: Arc<Timeline>,
        stream: Stream,
        config: NetworkConfig,
        keeps_messages: bool,
        strikes: Strikes,
    ) -> Self {
        assert!(config.frames_max > 0, "a connection without room carries nothing");
        let state = State {
            config,
            stream,
            links: BTreeMap::new(),
            connect_faults: BTreeMap::new(),
            listeners: BTreeMap::new(),
            owners: BTreeMap::new(),
            pipes: BTreeMap::new(),
            next_pipe: 0,
            next_listener: 0,
            frames: 0,
            log: MessageLog::new(keeps_messages),
            strikes,
        };
        Self { timeline, state: Mutex::new(state) }
    }

    /// Frames sent so far, and pipes that exist.
    pub(crate) fn counts(&self) -> (u64, usize) {
        let state = lock(&self.state);
        (state.frames, state.pipes.len())
    }

    /// Every frame that was sent, when that is kept.
    pub(crate) fn messages(&self) -> Vec<Message> {
        lock(&self.state).log.messages()
    }
}

impl State {
    /// Whether nothing gets through, which counts as a strike.
    fn is_cut(&self, from: u32, to: u32) -> bool {
        let is_cut = self.links.get(&(from, to)).is_some_and(|link| link.is_cut);
        if is_cut {
            self.strikes.hit("partition");
        }
        is_cut
    }

    fn link(&mut self, from: u32, to: u32) -> &mut Link {
        self.links.entry((from, to)).or_default()
    }

    /// How long something takes now; `None` when it does not get through.
    fn latency(&mut self, from: u32, to: u32) -> Option<Moment> {
        if self.is_cut(from, to) {
            return None;
        }
        let link = self.links.get(&(from, to));
        let range = match link.and_then(|link| link.latency.as_ref()) {
            Some(range) => {
                self.strikes.hit("latency");
                range
            }
            None if from == to => &self.config.loopback,
            None => &self.config.latency,
        };
        Some(nanos(self.stream.duration(range)))
    }

    /// When `bytes` that are sent now on `id` arrive; `None` when they do not get through.
    fn arrival(&mut self, id: PipeId, now: Moment, bytes: usize) -> Option<Moment> {
        let pipe = &self.pipes[&id];
        if pipe.path != Path::Open {
            return None;
        }
        let (from, to) = pipe.ends();
        let latency = self.latency(from, to)?;
        let left = self.transmit(from, to, now, bytes);
        let pipe = self.pipes.get_mut(&id)?;
        pipe.last = pipe.last.max(left.saturating_add(latency));
        Some(pipe.last)
    }

    /// When `bytes` that are handed to a link now have left it.
    fn transmit(&mut self, from: u32, to: u32, now: Moment, bytes: usize) -> Moment {
        let link = self.links.get_mut(&(from, to));
        let left = link.map_or(now, |link| link.transmit(now, bytes));
        if left > now {
            self.strikes.hit("bandwidth");
        }
        left
    }

    fn ends(&self, id: PipeId) -> (u32, u32) {
        self.pipes[&id].ends()
    }

    /// Puts a frame on its way, and lets what is armed strike it.
    fn send(&mut self, timeline: &Timeline, id: PipeId, frame: Vec<u8>) {
        self.frames += 1;
        match self.fate(id) {
            None => self.push(timeline, id, frame, 0),
            Some(Fate::Delayed(longer)) => {
                self.strikes.hit("delay-next");
                let (from, to) = self.ends(id);
                self.link(from, to).holds_up = true;
                self.push(timeline, id, frame, longer);
            }
            Some(Fate::Lost) => {
                self.strikes.hit("lose-next");
                self.lose(timeline, id);
                self.push(timeline, id, frame, 0);
            }
            Some(Fate::Duplicated) => {
                self.strikes.hit("duplicate-next");
                self.push(timeline, id, frame.clone(), 0);
                self.push(timeline, id, frame, 0);
            }
            Some(Fate::Reset) => {
                self.strikes.hit("flaky");
                self.push(timeline, id, frame, 0);
                self.reset(timeline, id);
            }
        }
        self.answer_with_reset(timeline, id);
    }

    fn fate(&mut self, id: PipeId) -> Option<Fate> {
        let pipe = &self.pipes[&id];
        let link = self.links.get_mut(&pipe.ends())?;
        if link.is_cut || !pipe.is_heard() {
            return None;
        }
        link.next_fate(&mut self.stream)
    }

    fn push(&mut self, timeline: &Timeline, id: PipeId, frame: Vec<u8>, longer: Moment) {
        let now = timeline.now();
        let arrives = self.arrival(id, now, frame.len()).map(|at| at.saturating_add(longer));
        let pipe = self.pipes.get_mut(&id).expect("a held pipe exists");
        pipe.last = pipe.last.max(arrives.unwrap_or(0));
        let logged = self.log.on_sent(id, pipe, now, frame.len());
        pipe.queue.push_back(Item { arrives, frame: Some(frame), logged });
        pipe.arm_receiver(timeline);
    }

    /// Nothing that is sent on `id` from now on arrives; both ends give the connection up after a while.
    fn lose(&mut self, timeline: &Timeline, id: PipeId) {
        let noticed = nanos(self.stream.duration(&self.config.loss_noticed));
        let broken = Broken::reset_at(timeline.now().saturating_add(noticed));
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.path = Path::Dead;
        }
        self.break_connection(timeline, id, broken);
    }

    /// Sends again what was held back on `id`; one latency for all, as it leaves together.
    fn resend(&mut self, timeline: &Timeline, id: PipeId) {
        let pipe = &self.pipes[&id];
        if pipe.path != Path::Open {
            return;
        }
        let (from, to) = pipe.ends();
        let Some(latency) = self.latency(from, to) else { return };
        for index in 0..self.pipes[&id].queue.len() {
            let item = &self.pipes[&id].queue[index];
            if item.arrives.is_some() {
                continue;
            }
            let left = self.transmit(from, to, timeline.now(), item.bytes());
            let pipe = self.pipes.get_mut(&id).expect("the pipe is there");
            pipe.last = pipe.last.max(left.saturating_add(latency));
            pipe.queue[index].arrives = Some(pipe.last);
        }
        let pipe = self.pipes.get_mut(&id).expect("the pipe is there");
        pipe.arm_receiver(timeline);
    }

    /// What is on its way from `from` to `to` arrives as soon as latency alone allows.
    fn hurry(&mut self, timeline: &Timeline, from: u32, to: u32) {
        let now = timeline.now();
        let is_late = |pipe: &Pipe| pipe.ends() == (from, to) && pipe.last > now;
        let late = self.pipes.iter().filter(|(_, pipe)| is_late(pipe)).map(|(id, _)| *id);
        for id in late.collect::<Vec<_>>() {
            let Some(latency) = self.latency(from, to) else { return };
            let at = now.saturating_add(latency);
            let pipe = self.pipes.get_mut(&id).expect("the pipe is there");
            pipe.last = pipe.last.min(at);
            for item in &mut pipe.queue {
                item.arrives = item.arrives.map(|it| it.min(at));
            }
            pipe.arm_receiver(timeline);
        }
    }

    fn open_pipes(&mut self, client: &Arc<Life>, server: &Arc<Life>) -> (PipeId, PipeId) {
        let (there, back) = (self.next_pipe, self.next_pipe + 1);
        self.next_pipe += 2;
        self.pipes.insert(there, Pipe::new(client, server, back));
        self.pipes.insert(back, Pipe::new(server, client, there));
        (there, back)
    }

    fn remove_if_closed(&mut self, id: PipeId) {
        if self.pipes.get(&id).is_some_and(|pipe| !pipe.is_live()) {
            self.pipes.remove(&id);
        }
    }

    /// Tells the sender of `id` that its peer does not know this connection, if that is so and something
    /// was sent.
    fn answer_with_reset(&mut self, timeline: &Timeline, id: PipeId) {
        let pipe = &self.pipes[&id];
        if !pipe.is_unknown() || pipe.queue.is_empty() || pipe.sender.broken.is_some() {
            return;
        }
        let reverse = pipe.reverse;
        let (from, to) = self.ends(id);
        let (Some(there), Some(back)) = (self.latency(from, to), self.latency(to, from)) else {
            return; // Tried again when a link heals.
        };
        let at = timeline.now().saturating_add(there).saturating_add(back);
        let broken = Broken::reset_at(at);
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.break_sender(timeline, broken);
        }
        if let Some(pipe) = self.pipes.get_mut(&reverse) {
            pipe.break_receiver(timeline, broken);
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
        self.break_connection(timeline, id, Broken::reset_at(timeline.now()));
    }

    fn break_connection(&mut self, timeline: &Timeline, id: PipeId, broken: Broken) {
        let Some(reverse) = self.pipes.get(&id).map(|pipe| pipe.reverse) else { return };
        for id in [id, reverse] {
            if let Some(pipe) = self.pipes.get_mut(&id) {
                pipe.break_sender(timeline, broken);
                pipe.break_receiver(timeline, broken);
            }
        }
    }
}
