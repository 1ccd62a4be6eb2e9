//! Travel: when what is sent arrives, and what strikes it on its way.
//!
//! ```text
//! send ─► fate ─► cut? ─► leaves at the link's bandwidth ─► latency ─► after what was sent before
//! ```

use super::State;
use super::link::{Fate, Link};
use super::pipe::{Item, Path, Pipe, PipeId};
use crate::world::clock::{Moment, Timeline};
use crate::world::nanos;

impl State {
    /// Whether nothing gets through, which counts as a strike.
    pub(super) fn is_cut(&self, from: u32, to: u32) -> bool {
        let is_cut = self.links.get(&(from, to)).is_some_and(|link| link.is_cut);
        if is_cut {
            self.strikes.hit("partition");
        }
        is_cut
    }

    pub(super) fn link(&mut self, from: u32, to: u32) -> &mut Link {
        self.links.entry((from, to)).or_default()
    }

    /// How long something takes now; `None` when it does not get through.
    pub(super) fn latency(&mut self, from: u32, to: u32) -> Option<Moment> {
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
    pub(super) fn arrival(&mut self, id: PipeId, now: Moment, bytes: usize) -> Option<Moment> {
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

    /// Puts a frame on its way, and lets what is armed strike it.
    pub(super) fn send(&mut self, timeline: &Timeline, id: PipeId, frame: Vec<u8>) {
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

    /// Sends again what was held back on `id`; one latency for all, as it leaves together.
    pub(super) fn resend(&mut self, timeline: &Timeline, id: PipeId) {
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
    pub(super) fn hurry(&mut self, timeline: &Timeline, from: u32, to: u32) {
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
}
