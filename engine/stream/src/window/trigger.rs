//! When a window speaks, and whether it forgets what it said.
//!
//! A trigger decides at each record and at the times it asked for. It asks by saying, for the state it is
//! in, when it is due next; the operator keeps one timer per key at the earliest. So no trigger sets, moves
//! or cancels timers, and none can be left behind. (Flink's triggers do, and must clean up in `clear`.)

use std::time::Duration;

use seawall_protocol::EventTime;

use crate::record::Record;
use crate::window::{Assigner, Tumbling, Window};

/// What a window is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// To emit its result.
    pub fire: bool,
    /// To forget its contents, then.
    pub purge: bool,
}

impl Verdict {
    /// Nothing.
    pub const CONTINUE: Self = Self { fire: false, purge: false };
    /// To emit and go on with what is there.
    pub const FIRE: Self = Self { fire: true, purge: false };

    fn fire_if(is_due: bool) -> Self {
        Self { fire: is_due, purge: false }
    }
}

/// The moment of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time of the record, or the time that the trigger asked for.
    pub at: EventTime,
    /// The window.
    pub window: Window,
    /// How far event time has come: the watermark, or the time that the trigger asked for.
    pub now: EventTime,
}

/// Decides when a window of records of type `T` emits. The state is per key and window; the default is that
/// of a new window.
pub trait Trigger<T>: Clone + Send + Sync + 'static {
    /// What it keeps per window.
    type State: Record + Clone + Sync + Default + PartialEq;

    /// A record was added.
    fn on_record(&self, record: &T, moment: Moment, state: &mut Self::State) -> Verdict;

    /// Event time has come to a time of [`Trigger::due`], of this window or of another one of the key.
    fn on_time(&self, moment: Moment, state: &mut Self::State) -> Verdict;

    /// When it wants to decide next, which is later than `now`.
    fn due(&self, window: Window, now: EventTime, state: &Self::State) -> Option<EventTime>;

    /// Two windows became one.
    fn merge(&self, into: &mut Self::State, from: Self::State);
}

/// Fires when the watermark has come to the end of the window, and again with each late record that is
/// still allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtEnd;

impl<T> Trigger<T> for AtEnd {
    type State = ();

    fn on_record(&self, _: &T, Moment { window, now, .. }: Moment, (): &mut ()) -> Verdict {
        Verdict::fire_if(window.last() <= now)
    }

    fn on_time(&self, Moment { window, now, .. }: Moment, (): &mut ()) -> Verdict {
        Verdict::fire_if(window.last() == now)
    }

    fn due(&self, window: Window, now: EventTime, (): &()) -> Option<EventTime> {
        (window.last() > now).then(|| window.last())
    }

    fn merge(&self, (): &mut (), (): ()) {}
}

/// Fires with each `n`-th record of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EveryCount(pub u64);

impl<T> Trigger<T> for EveryCount {
    /// Records since it fired.
    type State = u64;

    fn on_record(&self, _: &T, _: Moment, records: &mut u64) -> Verdict {
        *records += 1;
        let is_due = *records >= self.0;
        if is_due {
            *records = 0;
        }
        Verdict::fire_if(is_due)
    }

    fn on_time(&self, _: Moment, _: &mut u64) -> Verdict {
        Verdict::CONTINUE
    }

    fn due(&self, _: Window, _: EventTime, _: &u64) -> Option<EventTime> {
        None
    }

    fn merge(&self, into: &mut u64, from: u64) {
        *into += from;
    }
}

/// Fires early: at each multiple of an interval of event time, and at the end of the window, when a record
/// came since. Flink's `ContinuousEventTimeTrigger` does so where nothing changed, too;
/// `Any(Every::interval(seconds(10)), AtEnd)` is certain to fire at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(Tumbling);

impl Every {
    /// Fires at the multiples of `interval`.
    ///
    /// # Panics
    /// When it is shorter than a millisecond.
    pub fn interval(interval: Duration) -> Self {
        Self(Tumbling::of(interval))
    }
}

impl<T> Trigger<T> for Every {
    /// The next multiple, once a record came.
    type State = Option<EventTime>;

    fn on_record(&self, _: &T, moment: Moment, next: &mut Option<EventTime>) -> Verdict {
        let Moment { at, window, now } = moment;
        if window.last() <= now {
            return Verdict::FIRE;
        }
        if next.is_none() {
            *next = self.0.assign(at.max(now)).next().map(|it| it.end);
        }
        Verdict::CONTINUE
    }

    fn on_time(&self, Moment { window, now, .. }: Moment, next: &mut Option<EventTime>) -> Verdict {
        Verdict::fire_if(next.take_if(|it| window.last().min(*it) <= now).is_some())
    }

    fn due(&self, window: Window, _: EventTime, next: &Option<EventTime>) -> Option<EventTime> {
        next.map(|it| window.last().min(it))
    }

    fn merge(&self, into: &mut Option<EventTime>, from: Option<EventTime>) {
        *into = into.iter().copied().chain(from).min();
    }
}

/// Fires when one of the two does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Any<A, B>(pub A, pub B);

impl<T, A: Trigger<T>, B: Trigger<T>> Trigger<T> for Any<A, B> {
    type State = (A::State, B::State);

    fn on_record(&self, record: &T, moment: Moment, (a, b): &mut Self::State) -> Verdict {
        either(self.0.on_record(record, moment, a), self.1.on_record(record, moment, b))
    }

    fn on_time(&self, moment: Moment, (a, b): &mut Self::State) -> Verdict {
        either(self.0.on_time(moment, a), self.1.on_time(moment, b))
    }

    fn due(&self, window: Window, now: EventTime, (a, b): &Self::State) -> Option<EventTime> {
        self.0.due(window, now, a).into_iter().chain(self.1.due(window, now, b)).min()
    }

    fn merge(&self, into: &mut Self::State, from: Self::State) {
        self.0.merge(&mut into.0, from.0);
        self.1.merge(&mut into.1, from.1);
    }
}

fn either(a: Verdict, b: Verdict) -> Verdict {
    Verdict { fire: a.fire || b.fire, purge: a.purge || b.purge }
}

/// Fires with the inner trigger; what was emitted is forgotten, so that the next result is of what came
/// since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purging<A>(pub A);

impl<T, A: Trigger<T>> Trigger<T> for Purging<A> {
    type State = A::State;

    fn on_record(&self, record: &T, moment: Moment, state: &mut A::State) -> Verdict {
        purged(self.0.on_record(record, moment, state))
    }

    fn on_time(&self, moment: Moment, state: &mut A::State) -> Verdict {
        purged(self.0.on_time(moment, state))
    }

    fn due(&self, window: Window, now: EventTime, state: &A::State) -> Option<EventTime> {
        self.0.due(window, now, state)
    }

    fn merge(&self, into: &mut A::State, from: A::State) {
        self.0.merge(into, from);
    }
}

fn purged(verdict: Verdict) -> Verdict {
    Verdict { fire: verdict.fire, purge: verdict.purge || verdict.fire }
}
