//! Planted bugs of event time: what a subtask makes of what its channels say.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use seawall_protocol::subtask::Plan;
use seawall_protocol::tamper::Tamper;
use seawall_protocol::{AttemptId, ChannelId, EventTime, Watermark};

/// What each channel of each attempt said last, and what was made of it.
#[derive(Default)]
struct Said(Mutex<BTreeMap<AttemptId, Heard>>);

struct Heard {
    times: BTreeMap<ChannelId, EventTime>,
    told: EventTime,
}

impl Said {
    /// What `choose` makes of what all channels said, if it rises.
    fn answer(
        &self,
        plan: &Plan,
        channel: ChannelId,
        said: Watermark,
        choose: impl Fn(&BTreeMap<ChannelId, EventTime>) -> Option<EventTime>,
    ) -> Option<Watermark> {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = || Heard { times: BTreeMap::new(), told: EventTime::MIN };
        let heard = attempts.entry(plan.attempt).or_insert_with(begun);
        heard.times.insert(channel, said.time);
        let time = choose(&heard.times).filter(|it| *it > heard.told)?;
        heard.told = time;
        Some(Watermark { time, is_idle: false })
    }
}

/// The furthest channel counts, and not the slowest.
#[derive(Default)]
pub(super) struct FurthestLeads(Said);

impl Tamper for FurthestLeads {
    fn after_valve(
        &self,
        plan: &Plan,
        channel: ChannelId,
        said: Watermark,
        told: &mut Option<Watermark>,
    ) {
        if said.time < EventTime::MAX {
            *told = self.0.answer(plan, channel, said, |times| times.values().max().copied());
        }
    }
}

/// Whatever a channel says is passed on, were it behind what was.
pub(super) struct LastWordCounts;

impl Tamper for LastWordCounts {
    fn after_valve(&self, _: &Plan, _: ChannelId, said: Watermark, told: &mut Option<Watermark>) {
        if said.time < EventTime::MAX {
            *told = Some(said);
        }
    }
}

/// In a restored attempt a channel that said nothing yet is not waited for.
#[derive(Default)]
pub(super) struct RestoredAreNotAwaited(Said);

impl Tamper for RestoredAreNotAwaited {
    fn after_valve(
        &self,
        plan: &Plan,
        channel: ChannelId,
        said: Watermark,
        told: &mut Option<Watermark>,
    ) {
        if plan.restored.is_some() && said.time < EventTime::MAX {
            *told = self.0.answer(plan, channel, said, |times| times.values().min().copied());
        }
    }
}

/// The end of a channel says nothing of event time.
pub(super) struct EndSaysNothing;

impl Tamper for EndSaysNothing {
    fn after_valve(&self, _: &Plan, _: ChannelId, said: Watermark, told: &mut Option<Watermark>) {
        if said.time == EventTime::MAX {
            *told = None;
        }
    }
}
