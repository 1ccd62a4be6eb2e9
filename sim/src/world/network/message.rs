//! The log of messages: every frame that was sent, for drawing a run. Kept on demand only.

use std::sync::Arc;
use std::time::Duration;

use super::pipe::{Pipe, PipeId, connection_of};
use crate::world::clock::Moment;

/// One frame that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When its sender sent it.
    pub sent: Duration,
    /// When it was there for its receiver; `None` when that never took it.
    pub arrived: Option<Duration>,
    /// The node that sent it.
    pub from: Arc<str>,
    /// The node it was sent to.
    pub to: Arc<str>,
    /// Its length in bytes.
    pub bytes: usize,
    /// Numbers its connection in this world.
    pub connection: u64,
}

/// What was sent so far, if that is kept.
pub(super) struct MessageLog(Option<Vec<Message>>);

impl MessageLog {
    pub(super) fn new(is_kept: bool) -> Self {
        Self(is_kept.then(Vec::new))
    }

    /// A frame is sent on `pipe`; its place in the log.
    pub(super) fn on_sent(
        &mut self,
        id: PipeId,
        pipe: &Pipe,
        now: Moment,
        bytes: usize,
    ) -> Option<usize> {
        let messages = self.0.as_mut()?;
        messages.push(Message {
            sent: Duration::from_nanos(now),
            arrived: None,
            from: pipe.from.node.name.clone(),
            to: pipe.to.node.name.clone(),
            bytes,
            connection: connection_of(id),
        });
        Some(messages.len() - 1)
    }

    /// The frame at this place was taken; it had been there since `at`.
    pub(super) fn on_received(&mut self, logged: Option<usize>, at: Option<Moment>) {
        if let (Some(messages), Some(index)) = (&mut self.0, logged) {
            messages[index].arrived = at.map(Duration::from_nanos);
        }
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.0.clone().unwrap_or_default()
    }
}
