//! An observer for whoever does not want to observe.

use async_trait::async_trait;
use seawall_env::{Observer, Reaction};
use seawall_protocol::event::Event;

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

#[async_trait]
impl Observer for Unobserved {
    fn observe(&self, _event: Event) -> Reaction {
        Reaction::Continue
    }

    async fn settle(&self) {}
}
