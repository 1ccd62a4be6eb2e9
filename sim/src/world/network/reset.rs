//! Resets: how the ends of a connection learn that it is over, and when.

use super::State;
use super::pipe::{Broken, Path, PipeId};
use crate::world::clock::Timeline;
use crate::world::nanos;

impl State {
    /// Nothing that is sent on `id` from now on arrives; both ends give the connection up after a while.
    pub(super) fn lose(&mut self, timeline: &Timeline, id: PipeId) {
        let noticed = nanos(self.stream.duration(&self.config.loss_noticed));
        let broken = Broken::reset_at(timeline.now().saturating_add(noticed));
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.path = Path::Dead;
        }
        self.break_connection(timeline, id, broken);
    }

    /// Tells the sender of `id` that its peer does not know this connection, if that is so and something
    /// was sent.
    pub(super) fn answer_with_reset(&mut self, timeline: &Timeline, id: PipeId) {
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

    pub(super) fn answer_all_with_resets(&mut self, timeline: &Timeline) {
        let ids: Vec<PipeId> = self.pipes.keys().copied().collect();
        for id in ids {
            self.answer_with_reset(timeline, id);
        }
    }

    /// Breaks both directions of a connection, for both ends, now.
    pub(super) fn reset(&mut self, timeline: &Timeline, id: PipeId) {
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
