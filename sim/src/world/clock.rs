//! Virtual time: one timeline for the world, one clock for each node.
//!
//! Time moves in two ways: to the next deadline when nothing can run, and by a small fixed cost for
//! each poll, so that a task which only yields does not stand outside time. Timers of the same deadline
//! fire in the order in which they were set. A sleep that is dropped or polled again leaves nothing
//! behind, so the queue holds one entry for each sleep that is being awaited.

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::Clock;

use super::strikes::Strikes;
use super::{lock, nanos};

/// A moment, in nanoseconds since the world began.
pub(crate) type Moment = u64;

/// The time of the world and what waits for it.
pub(crate) struct Timeline {
    now: AtomicU64,
    /// No timer is due before this; it may be early, never late.
    next: AtomicU64,
    timers: Mutex<Timers>,
}

#[derive(Default)]
struct Timers {
    queue: BTreeMap<TimerKey, Waker>,
    sequence: u64,
    peak: usize,
}

/// Names one timer; ordered by deadline, then by when it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    pub(crate) at: Moment,
    sequence: u64,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { now: AtomicU64::new(0), next: AtomicU64::new(Moment::MAX), timers: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Moment {
        self.now.load(Ordering::Relaxed)
    }

    /// Wakes `waker` at `at`, or as soon as possible when that has passed.
    pub(crate) fn set(&self, at: Moment, waker: Waker) -> TimerKey {
        let mut timers = lock(&self.timers);
        let key = TimerKey { at, sequence: timers.sequence };
        timers.sequence += 1;
        timers.queue.insert(key, waker);
        timers.peak = timers.peak.max(timers.queue.len());
        self.next.fetch_min(at, Ordering::Relaxed);
        key
    }

    /// Forgets a timer; fine when it has fired.
    pub(crate) fn cancel(&self, key: TimerKey) {
        let waker = lock(&self.timers).queue.remove(&key);
        drop(waker);
    }

    fn replace_waker(&self, key: TimerKey, waker: &Waker) {
        if let Some(current) = lock(&self.timers).queue.get_mut(&key) {
            current.clone_from(waker);
        }
    }

    /// Lets the cost of a poll pass and fires what became due.
    pub(crate) fn advance(&self, cost: Moment) {
        let now = self.now() + cost;
        self.now.store(now, Ordering::Relaxed);
        if self.next.load(Ordering::Relaxed) <= now {
            self.fire_due();
        }
    }

    /// Moves to the next deadline and fires what is due; when the deadline is after `end`, or there is none,
    /// says so and does nothing.
    pub(crate) fn jump(&self, end: Moment) -> Result<(), Option<Moment>> {
        let waker = {
            let queue = &mut lock(&self.timers).queue;
            let first = queue.first_entry().ok_or(None)?;
            let at = first.key().at;
            if at > end {
                return Err(Some(at));
            }
            self.now.fetch_max(at, Ordering::Relaxed);
            let waker = first.remove();
            self.note_next(queue);
            waker
        };
        waker.wake();
        self.advance(0);
        Ok(())
    }

    fn fire_due(&self) {
        while let Some(waker) = self.take_due() {
            waker.wake();
        }
    }

    fn take_due(&self) -> Option<Waker> {
        let queue = &mut lock(&self.timers).queue;
        let first = queue.first_entry().filter(|it| it.key().at <= self.now());
        let waker = first.map(OccupiedEntry::remove);
        self.note_next(queue);
        waker
    }

    fn note_next(&self, queue: &BTreeMap<TimerKey, Waker>) {
        let next = queue.first_key_value().map_or(Moment::MAX, |(key, _)| key.at);
        self.next.store(next, Ordering::Relaxed);
    }

    /// How many timers wait, and the most that ever did.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let timers = lock(&self.timers);
        (timers.queue.len(), timers.peak)
    }

    /// Forgets all timers, and with them the tasks they would wake.
    pub(crate) fn clear(&self) {
        let queue = std::mem::take(&mut lock(&self.timers).queue);
        drop(queue);
    }

    /// Completes at `at`, after at least one suspension.
    pub(crate) fn sleep_until(self: &Arc<Self>, at: Moment) -> Sleep {
        Sleep { timeline: self.clone(), at, key: None, waker: 0 }
    }

    /// Completes `duration` from now, after at least one suspension.
    pub(crate) fn sleep(self: &Arc<Self>, duration: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(nanos(duration)))
    }
}

/// Completes at a moment.
pub(crate) struct Sleep {
    timeline: Arc<Timeline>,
    at: Moment,
    key: Option<TimerKey>,
    /// Where the waker is that waits: a task that is polled for another reason need not replace it.
    waker: usize,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().data().addr();
        let was = std::mem::replace(&mut self.waker, waker);
        match self.key {
            Some(key) if self.timeline.now() >= self.at => {
                self.timeline.cancel(key);
                self.key = None;
                return Poll::Ready(());
            }
            Some(key) if waker != was => self.timeline.replace_waker(key, context.waker()),
            Some(_) => {}
            None => self.key = Some(self.timeline.set(self.at, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.timeline.cancel(key);
        }
    }
}

/// How a node's clock runs against the timeline: fast, slow, ahead. Never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockView {
    world: Moment,
    node: Moment,
    parts_per_million: i32,
}

/// A clock that loses or gains more than half is broken, not fast or slow.
const DRIFT_MAX: i32 = 500_000;
const MILLION: i128 = 1_000_000;

impl ClockView {
    pub(crate) const TRUE: Self = Self { world: 0, node: 0, parts_per_million: 0 };

    /// The clock's reading at `world`.
    fn read(&self, world: Moment) -> Moment {
        let passed = i128::from(world.saturating_sub(self.world));
        let shown = passed * (MILLION + i128::from(self.parts_per_million)) / MILLION;
        self.node.saturating_add(Moment::try_from(shown).unwrap_or(Moment::MAX))
    }

    /// A moment of the timeline at which the clock shows at least `node`.
    fn moment_of(&self, node: Moment) -> Moment {
        let left = i128::from(node.saturating_sub(self.node)) * MILLION;
        let passed = left.div_ceil_by(MILLION + i128::from(self.parts_per_million));
        self.world.saturating_add(Moment::try_from(passed).unwrap_or(Moment::MAX))
    }

    /// The same clock from `world` on with another drift, jumped ahead by `ahead`.
    pub(crate) fn changed(&self, world: Moment, ahead: Duration, parts_per_million: i32) -> Self {
        assert!(
            parts_per_million.abs() <= DRIFT_MAX,
            "clock drift out of range: {parts_per_million} ppm"
        );
        Self { world, node: self.read(world).saturating_add(nanos(ahead)), parts_per_million }
    }
}

trait DivCeil {
    fn div_ceil_by(self, divisor: Self) -> Self;
}

impl DivCeil for i128 {
    /// For numbers that are not negative.
    fn div_ceil_by(self, divisor: Self) -> Self {
        (self + divisor - 1) / divisor
    }
}

/// The clock of one node.
pub(crate) struct NodeClock {
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) view: Arc<Mutex<ClockView>>,
    pub(crate) strikes: Strikes,
}

#[async_trait]
impl Clock for NodeClock {
    fn now(&self) -> Duration {
        let world = self.timeline.now();
        let shown = lock(&self.view).read(world);
        if shown != world {
            self.strikes.hit("clock");
        }
        Duration::from_nanos(shown)
    }

    async fn sleep(&self, duration: Duration) {
        let until = nanos(self.now()).saturating_add(nanos(duration));
        loop {
            let view = *lock(&self.view);
            self.timeline.sleep_until(view.moment_of(until)).await;
            // The clock may have been slowed down meanwhile.
            if nanos(self.now()) >= until {
                return;
            }
        }
    }
}
