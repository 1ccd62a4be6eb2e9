//! Faults: what goes wrong with links and connections while programs run, and how it heals.
//!
//! A partition keeps what it holds back, and delivers it when it heals. A connection that is dead or
//! forgotten never carries anything again: what heals is that its ends hear of it, as soon as they send.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::connect::ConnectFault;
use super::link::Fate;
use super::pipe::{Broken, Path, PipeId, connection_of};
use super::{State, Wire};
use crate::world::node::Life;
use crate::world::{lock, nanos};

impl Wire {
    /// Holds back what travels from `from` to `to`, and what is on its way.
    pub(crate) fn partition(&self, from: u32, to: u32) {
        let now = self.timeline.now();
        let state = &mut *lock(&self.state);
        state.link(from, to).is_cut = true;
        for pipe in state.pipes.values_mut() {
            if pipe.ends() == (from, to) {
                for _ in 0..pipe.hold_back(now) {
                    state.strikes.hit("partition");
                }
            }
            if pipe.ends() == (to, from)
                && let Some(broken) = &mut pipe.sender.broken
            {
                broken.at = broken.at.filter(|at| *at <= now);
            }
        }
    }

    /// Lets what was held back arrive.
    pub(crate) fn heal(&self, from: u32, to: u32) {
        let state = &mut *lock(&self.state);
        if std::mem::take(&mut state.link(from, to).is_cut) {
            self.release(state, from, to);
        }
    }

    /// Ends everything but latencies: partitions, limits, what is armed, what is wrong with connects.
    /// Dead connections are answered with a reset from now on.
    pub(crate) fn heal_all(&self) {
        let state = &mut *lock(&self.state);
        let (mut cut, mut late) = (Vec::new(), Vec::new());
        for (ends, link) in &mut state.links {
            if link.is_cut {
                cut.push(*ends);
            }
            if link.holds_up {
                late.push(*ends);
            }
            link.heal();
        }
        state.connect_faults.clear();
        for (from, to) in cut {
            self.release(state, from, to);
        }
        for (from, to) in late {
            state.hurry(&self.timeline, from, to);
        }
        let ids: Vec<PipeId> = state.pipes.keys().copied().collect();
        self.bury(state, &ids);
    }

    fn release(&self, state: &mut State, from: u32, to: u32) {
        let now = self.timeline.now();
        let ids: Vec<PipeId> = state.pipes.keys().copied().collect();
        for id in ids {
            let pipe = &state.pipes[&id];
            if pipe.ends() == (from, to) && pipe.queue.iter().any(|item| item.arrives.is_none()) {
                state.resend(&self.timeline, id);
            }
            let pipe = &state.pipes[&id];
            let backward = pipe.ends() == (to, from)
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
        lock(&self.state).link(from, to).latency = range;
    }

    /// How many bytes leave from `from` to `to` in a second; without a limit, what waits arrives now.
    pub(crate) fn set_bandwidth(&self, from: u32, to: u32, bytes_per_second: Option<NonZeroU64>) {
        let state = &mut *lock(&self.state);
        if state.link(from, to).set_bandwidth(bytes_per_second) {
            state.hurry(&self.timeline, from, to);
        }
    }

    /// Each frame from `from` to `to` resets its connection with this probability.
    pub(crate) fn set_flaky(&self, from: u32, to: u32, resets_per_mille: Option<u32>) {
        assert!(
            resets_per_mille.is_none_or(|it| it <= 1_000),
            "more than all: {resets_per_mille:?}"
        );
        lock(&self.state).link(from, to).resets_per_mille = resets_per_mille;
    }

    /// The next `count` frames from `from` to `to` take `duration` longer.
    pub(crate) fn delay_next(&self, from: u32, to: u32, duration: Duration, count: u32) {
        lock(&self.state).link(from, to).arm(Fate::Delayed(nanos(duration)), count);
    }

    /// The next `count` frames from `from` to `to` are lost.
    pub(crate) fn lose_next(&self, from: u32, to: u32, count: u32) {
        lock(&self.state).link(from, to).arm(Fate::Lost, count);
    }

    /// The next `count` frames from `from` to `to` arrive twice.
    pub(crate) fn duplicate_next(&self, from: u32, to: u32, count: u32) {
        lock(&self.state).link(from, to).arm(Fate::Duplicated, count);
    }

    /// What is wrong with connects to `node` from now on.
    pub(crate) fn fail_connects(&self, node: u32, fault: Option<ConnectFault>) {
        let faults = &mut lock(&self.state).connect_faults;
        match fault {
            Some(fault) => faults.insert(node, fault),
            None => faults.remove(&node),
        };
    }

    /// Resets every connection between two nodes.
    pub(crate) fn drop_connections(&self, one: u32, other: u32) {
        let state = &mut *lock(&self.state);
        for id in state.strike_between(one, other, "drop-connections") {
            state.reset(&self.timeline, id);
        }
    }

    /// Every connection between two nodes is gone for `one`, which is told so; `other` is not.
    pub(crate) fn drop_connections_at(&self, one: u32, other: u32) {
        assert_ne!(one, other, "both ends are at the same node");
        let now = self.timeline.now();
        let reset = Broken::reset_at(now);
        let state = &mut *lock(&self.state);
        let ids = state.strike_between(one, other, "drop-connections-at");
        for id in &ids {
            let pipe = state.pipes.get_mut(id).expect("it was just found");
            if pipe.from.node.index == one {
                // What was sent arrives; nothing follows it, not even the end.
                pipe.path = Path::Dead;
                pipe.break_sender(&self.timeline, reset);
            } else {
                if pipe.path == Path::Open {
                    pipe.path = Path::Forgotten;
                }
                // What was there is gone with the connection; what comes is answered.
                pipe.queue.retain(|item| !item.is_there(now));
                pipe.hold_back(now);
                pipe.break_receiver(&self.timeline, reset);
                pipe.sender.wake(&self.timeline);
            }
        }
        for id in ids {
            state.answer_with_reset(&self.timeline, id);
        }
    }

    /// Every connection between two nodes carries nothing more, in both directions, and nobody is told.
    pub(crate) fn half_open(&self, one: u32, other: u32) {
        let now = self.timeline.now();
        let state = &mut *lock(&self.state);
        for id in state.strike_between(one, other, "half-open") {
            let pipe = state.pipes.get_mut(&id).expect("it was just found");
            pipe.path = Path::Dead;
            pipe.hold_back(now);
        }
    }

    /// What is sent on dead connections between two nodes is answered with a reset from now on.
    pub(crate) fn heal_half_open(&self, one: u32, other: u32) {
        let state = &mut *lock(&self.state);
        let ids = state.between(one, other);
        self.bury(state, &ids);
    }

    /// Turns silence into resets.
    fn bury(&self, state: &mut State, ids: &[PipeId]) {
        let mut buried = Vec::new();
        for id in ids {
            let pipe = state.pipes.get_mut(id).expect("it was just found");
            if pipe.path == Path::Dead {
                pipe.path = Path::Forgotten;
                buried.push(*id);
            }
        }
        for id in buried {
            state.answer_with_reset(&self.timeline, id);
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
}

impl State {
    /// The pipes between two nodes, in both directions.
    fn between(&self, one: u32, other: u32) -> Vec<PipeId> {
        let between = self
            .pipes
            .iter()
            .filter(|(_, pipe)| pipe.ends() == (one, other) || pipe.ends() == (other, one));
        between.map(|(id, _)| *id).collect()
    }

    /// As [`State::between`], and counts each connection as struck by the fault `name`.
    fn strike_between(&self, one: u32, other: u32, name: &'static str) -> Vec<PipeId> {
        let ids = self.between(one, other);
        let connections: BTreeSet<u64> = ids.iter().map(|id| connection_of(*id)).collect();
        for _ in connections {
            self.strikes.hit(name);
        }
        ids
    }
}
