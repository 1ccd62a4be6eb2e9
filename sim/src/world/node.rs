//! Nodes: what is switched on, and which incarnation of a node a handle belongs to.
//!
//! Every handle of the world (a file, a half of a connection, a spawner) belongs to one incarnation.
//! madsim drops the tasks of a dead node later, with their destructors, and a destructor closes
//! connections and flushes buffers; a machine without power does neither. So the incarnation is fenced
//! first, and what a handle of a fenced one does has no effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use seawall_env::BoxFuture;
use seawall_env::Env;

use super::clock::ClockView;
use super::executor::Process;
use super::nanos;

/// What a node runs when it is switched on.
pub type Program = Arc<dyn Fn(Env) -> BoxFuture<'static, ()> + Send + Sync>;

/// A machine of the world.
pub(crate) struct Node {
    pub(crate) index: u32,
    pub(crate) name: Arc<str>,
    powered: AtomicBool,
    /// In nanoseconds.
    poll_delay: AtomicU64,
}

impl Node {
    pub(crate) fn new(index: u32, name: &str) -> Self {
        Self {
            index,
            name: name.into(),
            powered: AtomicBool::new(false),
            poll_delay: AtomicU64::new(0),
        }
    }

    /// Whether its network card answers.
    pub(crate) fn is_powered(&self) -> bool {
        self.powered.load(Ordering::Relaxed)
    }

    pub(crate) fn set_powered(&self, powered: bool) {
        self.powered.store(powered, Ordering::Relaxed);
    }

    /// How late each poll of its tasks begins, when its processor is slow.
    pub(crate) fn poll_delay(&self) -> Option<Duration> {
        let delay = self.poll_delay.load(Ordering::Relaxed);
        (delay > 0).then(|| Duration::from_nanos(delay))
    }

    pub(crate) fn set_poll_delay(&self, delay: Option<Duration>) {
        self.poll_delay.store(delay.map_or(0, nanos), Ordering::Relaxed);
    }
}

const RUNNING: u8 = 0;
const EXITED: u8 = 1;
const LOST: u8 = 2;

/// One incarnation of a node: what runs between two power losses.
pub(crate) struct Life {
    pub(crate) node: Arc<Node>,
    /// From 1.
    pub(crate) number: u32,
    state: AtomicU8,
}

impl Life {
    pub(crate) fn new(node: Arc<Node>, number: u32) -> Self {
        Self { node, number, state: AtomicU8::new(RUNNING) }
    }

    /// Whether its program may act.
    pub(crate) fn is_running(&self) -> bool {
        self.state.load(Ordering::Relaxed) == RUNNING
    }

    /// Whether its power went; from then on its handles have no effect.
    pub(crate) fn is_lost(&self) -> bool {
        self.state.load(Ordering::Relaxed) == LOST
    }

    /// The program returned: the operating system closes what it held, in order.
    pub(crate) fn exit(&self) {
        self.state.fetch_max(EXITED, Ordering::Relaxed);
    }

    /// The power went.
    pub(crate) fn lose(&self) {
        self.state.store(LOST, Ordering::Relaxed);
    }
}

/// What the world keeps about a node.
pub(crate) struct NodeEntry {
    pub(crate) node: Arc<Node>,
    pub(crate) life: Arc<Life>,
    pub(crate) process: Process,
    pub(crate) program: Option<Program>,
    pub(crate) is_paused: bool,
    pub(crate) clock: Arc<std::sync::Mutex<ClockView>>,
}
