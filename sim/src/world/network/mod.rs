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
mod reset;
mod travel;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clock::Timeline;
use super::entropy::Stream;
use super::lock;
use super::node::{Life, Node};
use super::strikes::Strikes;
use connect::Backlog;
use link::Link;
use message::MessageLog;
use pipe::{Pipe, PipeId};

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
    fn ends(&self, id: PipeId) -> (u32, u32) {
        self.pipes[&id].ends()
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
}
