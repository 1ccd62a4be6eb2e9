//! Connects: how two programs come to share a connection, and how that fails.
//!
//! A connect takes a round trip and is refused where nobody listens. One that meets silence tries again
//! after a second, two, four, as TCP does, and gives up in the end. Silence is a node without power, a
//! cut link, a listener with too many waiting, or a node that was told to be silent to new connections.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{Connection, Listener, Network};

use super::Wire;
use super::half::connection;
use super::pipe::PipeId;
use crate::world::clock::Moment;
use crate::world::node::{Life, Node};
use crate::world::{lock, nanos, still_running};

/// Connections that may wait to be accepted; a connect beyond that tries again.
const BACKLOG_MAX: usize = 128;
/// The pause before the second attempt to connect; each further one is twice as long.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);

/// What is wrong with connecting to a node; connections that exist do not notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFault {
    /// A connect hears nothing, and gives up when its time is over.
    Hang,
    /// A connect is refused at once, whoever listens.
    Refuse,
}

/// Who listens at an address, and what waits there.
pub(super) struct Backlog {
    listener: u64,
    pub(super) life: Arc<Life>,
    /// The server's halves: (sends on, receives from).
    pub(super) waiting: VecDeque<(PipeId, PipeId)>,
    waker: Option<Waker>,
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

impl Meeting {
    /// A refusal that takes so long to come back, if it gets there.
    fn refused(latency: Option<Moment>) -> Self {
        latency.map_or(Self::Silence, |latency| Self::Refused { latency })
    }
}

impl NodeNetwork {
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
        match state.connect_faults.get(&to) {
            None => {}
            Some(ConnectFault::Hang) => {
                state.strikes.hit("hang-connects");
                return Meeting::Silence;
            }
            Some(ConnectFault::Refuse) => {
                state.strikes.hit("refuse-connects");
                return Meeting::refused(state.latency(to, from));
            }
        }
        let Some(server) = state.listeners.get(address).map(|backlog| backlog.life.clone()) else {
            return Meeting::refused(state.latency(to, from));
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
                        let connection = connection(self, there, back);
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
        Ok(connection(&self.network, sends_on, receives_from))
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
