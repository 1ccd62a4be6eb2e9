//! Timers: a keyed operator is called for a key when event time has come to a moment, without a record.
//!
//! ```text
//! on_record ──timer(at)──> Timed { state, timers } ──> state backend ──> snapshots
//!                 │
//!                 └──────> queue of (at, key) ── watermark >= at ──> on_timer
//! ```
//!
//! The timers of a key are part of its value in the state backend. So they are in snapshots, full and
//! incremental, move with the key group, and cost no look-up of their own (L1). The queue over all keys is
//! derived from them: it is in no snapshot and is built again when the first record or watermark follows a
//! restore. With the disk backend it is of bounded size: it knows the earliest timers, and when they have
//! fired, a walk over the state finds the next.
//!
//! State that would stay for ever can be given a time to live, [`Context::keep_until`]: an entry in the same
//! queue, of which a key has one however often its life is prolonged.
//!
//! Timers fire in the order of (time, key) and never before the watermark has come to them (L2). A call
//! fires a bounded number of them, so that a barrier may come between; those that are left are in the
//! snapshot (L9).
//!
//! Deliberately absent: timers of processing time, because no two nodes have a common clock (A8).
//!
//! ```
//! use seawall_stream::testing::Harness;
//! use seawall_stream::timers::{Context, TimedProcess};
//! use seawall_stream::{Collect, EventTime};
//!
//! /// Reports a sensor that has been silent for a second.
//! #[derive(Clone)]
//! struct Silence;
//!
//! impl TimedProcess for Silence {
//!     type Key = u64;
//!     type In = (u64, EventTime);
//!     type State = EventTime;
//!     type Out = (u64, EventTime);
//!
//!     fn on_record(
//!         &mut self,
//!         (_, at): (u64, EventTime),
//!         alarm: &mut Option<EventTime>,
//!         context: &mut Context<'_, u64>,
//!         _: &mut impl Collect<(u64, EventTime)>,
//!     ) {
//!         let next = EventTime(at.0 + 1_000);
//!         if let Some(earlier) = alarm.replace(next) {
//!             context.cancel_timer(earlier);
//!         }
//!         context.timer(next);
//!     }
//!
//!     fn on_timer(
//!         &mut self,
//!         at: EventTime,
//!         alarm: &mut Option<EventTime>,
//!         context: &mut Context<'_, u64>,
//!         out: &mut impl Collect<(u64, EventTime)>,
//!     ) {
//!         *alarm = None;
//!         out.push((*context.key(), at));
//!     }
//! }
//!
//! type Reading = (u64, EventTime);
//! let mut harness = Harness::<Reading, _>::new(|readings| {
//!     readings.key_by(|it| it.0).process_timed("silence", Silence)
//! });
//! harness.push([(7, EventTime(0)), (8, EventTime(100)), (7, EventTime(900))]);
//! harness.watermark(EventTime(1_500));
//! assert_eq!(harness.take(), [(8, EventTime(1_100))]);
//! ```

use std::collections::BTreeSet;

use seawall_protocol::config::StateBackend;
use seawall_protocol::{CheckpointId, EventTime};
use serde::{Deserialize, Serialize};

use crate::chain::Place;
use crate::key::Key;
use crate::keyed::Keyed;
use crate::operator::Collect;
use crate::record::Record;

/// A function over a keyed stream with one value of state and any number of timers per key.
///
/// State is as in [`crate::KeyedProcess`]: `None` for a fresh key, and what is set to `None` is removed. A
/// timer outlives the state of its key.
///
/// There is no call at the end of the input: the watermark is then [`EventTime::MAX`], and every timer
/// fires. A timer that always sets another one has no end there.
pub trait TimedProcess: Clone + Send + Sync + 'static {
    /// The key.
    type Key: Key;
    /// What it receives.
    type In: Record;
    /// What it keeps per key. A snapshot looks at it from another thread.
    type State: Record + Clone + Sync;
    /// What it emits.
    type Out: Record;

    /// Handles one record.
    fn on_record(
        &mut self,
        record: Self::In,
        state: &mut Option<Self::State>,
        context: &mut Context<'_, Self::Key>,
        out: &mut impl Collect<Self::Out>,
    );

    /// The watermark has come to `at`, for which the key had a timer; the timer is gone.
    fn on_timer(
        &mut self,
        at: EventTime,
        state: &mut Option<Self::State>,
        context: &mut Context<'_, Self::Key>,
        out: &mut impl Collect<Self::Out>,
    );
}

/// The key of a call, its timers, and how far event time has come.
pub struct Context<'a, K> {
    key: &'a K,
    watermark: EventTime,
    /// Those of the key, ascending.
    timers: &'a mut Vec<EventTime>,
    until: &'a mut Option<EventTime>,
    queue: &'a mut Queue<K>,
}

/// What a key is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// A timer of the operator.
    Timer,
    /// Its state may have expired.
    Expiry,
}

impl<K: Key> Context<'_, K> {
    /// The key.
    pub fn key(&self) -> &K {
        self.key
    }

    /// No record that is earlier or at this time is expected any more. It may be ahead of the timer that
    /// fires; [`EventTime::MIN`] before the first watermark.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// Asks for a call when the watermark has come to `at`; once, however often it is asked (L1). A time
    /// that has passed fires with the next watermark, and within `on_timer` at once.
    pub fn timer(&mut self, at: EventTime) {
        if let Err(place) = self.timers.binary_search(&at) {
            self.timers.insert(place, at);
            self.queue.insert((at, self.key.clone(), Call::Timer));
        }
    }

    /// Takes back the timer at `at`; one that is not there means nothing.
    pub fn cancel_timer(&mut self, at: EventTime) {
        if let Ok(place) = self.timers.binary_search(&at) {
            self.timers.remove(place);
            self.queue.entries.remove(&(at, self.key.clone(), Call::Timer));
        }
    }

    /// Lets the state of the key go when the watermark has come to `at`, without a call; a later time that
    /// was given before stays. The timers of that moment fire first.
    pub fn keep_until(&mut self, at: EventTime) {
        if self.until.is_none() {
            // Prolonged, it is not moved in the queue: it will be looked at too early, and put back.
            self.queue.insert((at, self.key.clone(), Call::Expiry));
        }
        *self.until = (*self.until).max(Some(at));
    }

    /// Its timers, ascending.
    pub fn timers(&self) -> &[EventTime] {
        self.timers
    }
}

/// When which key is to be called, for what.
type Entry<K> = (EventTime, K, Call);

/// The least number of entries in a queue, whatever the cache is.
const ENTRIES_MIN: usize = 4;

/// The earliest calls of all keys.
#[derive(Clone)]
struct Queue<K> {
    entries: BTreeSet<Entry<K>>,
    entries_max: usize,
    /// Entries from here on may be missing.
    end: Option<Entry<K>>,
}

impl<K: Key> Queue<K> {
    fn insert(&mut self, entry: Entry<K>) {
        if self.end.as_ref().is_none_or(|end| entry < *end) {
            self.entries.insert(entry);
            if self.entries.len() > self.entries_max {
                self.end = self.entries.pop_last();
            }
        }
    }
}

/// What the state backend holds of a key: its state and its timers, at least one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timed<S> {
    /// What the operator keeps.
    pub state: Option<S>,
    /// Ascending, each once: equal content has equal bytes.
    pub timers: Vec<EventTime>,
    /// When the state expires.
    pub until: Option<EventTime>,
}

impl<S> Default for Timed<S> {
    fn default() -> Self {
        Self { state: None, timers: Vec::new(), until: None }
    }
}

/// A process function with the queue of its timers.
#[derive(Clone)]
pub struct WithTimers<P: TimedProcess> {
    process: P,
    queue: Queue<P::Key>,
    watermark: EventTime,
}

impl<P: TimedProcess> WithTimers<P> {
    /// No timers, and no watermark.
    pub fn new(process: P) -> Self {
        let queue = Queue { entries: BTreeSet::new(), entries_max: usize::MAX, end: None };
        Self { process, queue, watermark: EventTime::MIN }
    }

    fn call(
        &mut self,
        key: &P::Key,
        slot: &mut Option<Timed<P::State>>,
        apply: impl FnOnce(&mut P, &mut Option<P::State>, &mut Context<'_, P::Key>),
    ) {
        let Self { process, queue, watermark } = self;
        let Timed { state, timers, until } = slot.get_or_insert_default();
        apply(process, state, &mut Context { key, watermark: *watermark, timers, until, queue });
        if state.is_none() {
            *until = None;
            if timers.is_empty() {
                *slot = None;
            }
        }
    }

    fn fire(
        &mut self,
        at: EventTime,
        key: &P::Key,
        slot: &mut Option<Timed<P::State>>,
        out: &mut impl Collect<P::Out>,
    ) {
        let timers = slot.as_mut().map(|it| &mut it.timers);
        let timers = timers.expect("the queue holds what keys hold");
        let place = timers.binary_search(&at).expect("the queue holds what keys hold");
        timers.remove(place);
        self.call(key, slot, |process, state, context| process.on_timer(at, state, context, out));
    }

    /// Looks whether the state is to go. A key that was removed and is there again has an entry of either
    /// life.
    fn expire(&mut self, at: EventTime, key: &P::Key, slot: &mut Option<Timed<P::State>>) {
        let Some(until) = slot.as_ref().and_then(|it| it.until) else { return };
        if until > at {
            self.queue.insert((until, key.clone(), Call::Expiry));
        } else {
            self.call(key, slot, |_, state, _| *state = None);
        }
    }
}

impl<P: TimedProcess> Keyed for WithTimers<P> {
    type Key = P::Key;
    type In = P::In;
    type State = Timed<P::State>;
    type Out = P::Out;
    const HAS_TIMERS: bool = true;

    #[inline]
    fn on_record(
        &mut self,
        key: &P::Key,
        record: P::In,
        slot: &mut Option<Timed<P::State>>,
        out: &mut impl Collect<P::Out>,
    ) {
        self.call(key, slot, |process, state, context| {
            process.on_record(record, state, context, out);
        });
    }

    fn on_open(&mut self, place: Place) {
        if let StateBackend::Disk { cache_bytes } = place.state {
            // An eighth of the cache, besides; a set takes about twice what its entries do.
            let entries_max = cache_bytes / 8 / (2 * size_of::<Entry<P::Key>>() as u64);
            let entries_max = usize::try_from(entries_max).unwrap_or(usize::MAX);
            self.queue.entries_max = entries_max.max(ENTRIES_MIN);
        }
    }

    fn needs_index(&self, watermark: EventTime) -> bool {
        let is_due = |end: &Entry<_>| end.0 <= watermark;
        self.queue.entries.is_empty() && self.queue.end.as_ref().is_some_and(is_due)
    }

    fn begin_index(&mut self) {
        self.queue.entries.clear();
        self.queue.end = None;
    }

    fn index(&mut self, key: &P::Key, value: &Timed<P::State>) {
        let timers = value.timers.iter().map(|at| (*at, Call::Timer));
        let calls = timers.chain(value.until.map(|at| (at, Call::Expiry)));
        for (at, call) in calls {
            self.queue.insert((at, key.clone(), call));
        }
    }

    fn next_due(&mut self, watermark: EventTime) -> Option<(EventTime, P::Key, Call)> {
        self.watermark = watermark;
        match self.queue.entries.first() {
            Some((at, ..)) if *at <= watermark => self.queue.entries.pop_first(),
            Some(_) | None => None,
        }
    }

    fn on_call(
        &mut self,
        (at, key, call): (EventTime, &P::Key, Call),
        slot: &mut Option<Timed<P::State>>,
        out: &mut impl Collect<P::Out>,
    ) {
        match call {
            Call::Timer => self.fire(at, key, slot, out),
            Call::Expiry => self.expire(at, key, slot),
        }
    }

    fn on_end(&mut self, _: &P::Key, _: &Timed<P::State>, _: &mut impl Collect<P::Out>) {}

    fn on_checkpoint_completed(&mut self, _: CheckpointId, _: &mut impl Collect<P::Out>) {}

    fn on_checkpoint_aborted(&mut self, _: CheckpointId) {}
}
