//! Slow processors: each poll of a task of a node begins late.
//!
//! A task that is woken waits for its turn first, as on a machine with too little processor time; then
//! it runs as ever. Only tasks of that node wait, each for itself: its clock and its timers go on, frames
//! arrive, and wakes that come meanwhile are not lost.
//!
//! Deliberately absent: tasks of one node that wait for each other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::clock::{Sleep, Timeline};
use super::node::Node;
use super::strikes::Strikes;

/// One task's share of its node's processor.
pub(crate) struct Cpu {
    timeline: Arc<Timeline>,
    node: Arc<Node>,
    strikes: Strikes,
    /// The wait for the poll that comes next.
    turn: Option<Sleep>,
}

impl Cpu {
    pub(crate) fn new(timeline: Arc<Timeline>, node: Arc<Node>, strikes: Strikes) -> Self {
        Self { timeline, node, strikes, turn: None }
    }

    /// Ready when the task may be polled; once for each poll.
    pub(crate) fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.turn.is_none()
            && let Some(delay) = self.node.poll_delay()
        {
            self.strikes.hit("slow-cpu");
            self.turn = Some(self.timeline.sleep(delay));
        }
        if let Some(turn) = &mut self.turn {
            ready!(Pin::new(turn).poll(context));
            self.turn = None;
        }
        Poll::Ready(())
    }
}
