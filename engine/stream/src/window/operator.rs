//! The window operator: a process function over keyed state and timers, and nothing else.
//!
//! The state of a key is its open windows, ascending. One timer per key stands for all of them: it is never
//! later than the first moment at which a trigger is due or a window must go. It may be earlier, because a
//! session that grows leaves it where it is; then it finds nothing to do and is set again.
//!
//! Semantics are those of Flink's `WindowOperator` and `MergingWindowSet`:
//!
//! - A window is gone when the watermark has come to its last moment and the allowed lateness; a record is
//!   late when every window that it belongs to is gone. A session is judged after it grew.
//! - A late record that is still allowed is added, and [`AtEnd`](super::AtEnd) fires again at once.
//! - Sessions that touch are one. The record that connects them moves neither accumulator nor trigger state
//!   before both are merged.

use std::marker::PhantomData;
use std::time::Duration;

use seawall_protocol::EventTime;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::operator::Collect;
use crate::record::Record;
use crate::timers::{Context, TimedProcess};
use crate::window::contents::Contents;
use crate::window::trigger::{Moment, Trigger, Verdict};
use crate::window::{Assigner, Window};

/// Emits `Ok` of results and `Err` of late records.
pub struct WindowOperator<K, T, A, G, C, F> {
    /// The windows of a record.
    pub assigner: A,
    /// The time of a record.
    pub time: F,
    /// When windows fire.
    pub trigger: G,
    /// What windows hold.
    pub contents: C,
    /// How long a window stays behind its end.
    pub lateness: Duration,
    /// Keys and records.
    pub types: PhantomData<fn() -> (K, T)>,
}

impl<K, T, A: Clone, G: Clone, C: Clone, F: Clone> Clone for WindowOperator<K, T, A, G, C, F> {
    fn clone(&self) -> Self {
        Self {
            assigner: self.assigner.clone(),
            time: self.time.clone(),
            trigger: self.trigger.clone(),
            contents: self.contents.clone(),
            lateness: self.lateness,
            types: PhantomData,
        }
    }
}

/// A window of a key that is not gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Open<H, G> {
    /// Which.
    pub window: Window,
    /// What came since it was opened or purged.
    pub held: Option<H>,
    /// The trigger's state.
    pub trigger: G,
}

type Windows<H, G> = Vec<Open<H, G>>;

/// Results among results and late records.
struct Results<'a, O, T>(&'a mut O, PhantomData<T>);

impl<R, T, O: Collect<Result<R, T>>> Collect<R> for Results<'_, O, T> {
    #[inline]
    fn push(&mut self, result: R) {
        self.0.push(Ok(result));
    }
}

impl<K, T, A, G, C, F> TimedProcess for WindowOperator<K, T, A, G, C, F>
where
    K: Key,
    T: Record,
    A: Assigner,
    G: Trigger<T>,
    C: Contents<K, T>,
    F: Fn(&T) -> EventTime + Clone + Send + Sync + 'static,
{
    type Key = K;
    type In = T;
    type State = Windows<C::Held, G::State>;
    type Out = Result<C::Out, T>;

    fn on_record(
        &mut self,
        record: T,
        state: &mut Option<Self::State>,
        context: &mut Context<'_, K>,
        out: &mut impl Collect<Self::Out>,
    ) {
        let at = (self.time)(&record);
        let now = context.watermark();
        let windows = state.get_or_insert_default();
        let mut is_late = true;
        for assigned in self.assigner.assign(at) {
            let Some(index) = self.open(windows, assigned, now) else { continue };
            is_late = false;
            let one = &mut windows[index];
            self.contents.add(&mut one.held, &record);
            let moment = Moment { at, window: one.window, now };
            let verdict = self.trigger.on_record(&record, moment, &mut one.trigger);
            self.obey(verdict, context.key(), one, out);
            if is_blank::<A, _, _>(one) {
                windows.remove(index);
            }
        }
        self.arm(windows, now, context);
        if windows.is_empty() {
            *state = None;
        }
        if is_late {
            out.push(Err(record));
        }
    }

    fn on_timer(
        &mut self,
        at: EventTime,
        state: &mut Option<Self::State>,
        context: &mut Context<'_, K>,
        out: &mut impl Collect<Self::Out>,
    ) {
        let windows = state.as_mut().expect("a key without windows has no timer");
        windows.retain_mut(|one| {
            let moment = Moment { at, window: one.window, now: at };
            let verdict = self.trigger.on_time(moment, &mut one.trigger);
            self.obey(verdict, context.key(), one, out);
            self.gone_at(one.window) > at && !is_blank::<A, _, _>(one)
        });
        self.arm(windows, at, context);
        if windows.is_empty() {
            *state = None;
        }
    }
}

impl<K, T, A, G, C, F> WindowOperator<K, T, A, G, C, F>
where
    K: Key,
    A: Assigner,
    G: Trigger<T>,
    C: Contents<K, T>,
{
    /// When nothing is kept of the window any more.
    fn gone_at(&self, window: Window) -> EventTime {
        window.last().after(self.lateness)
    }

    /// Where the window of a record is, which is opened if need be; `None` when it is gone.
    fn open(
        &self,
        windows: &mut Windows<C::Held, G::State>,
        assigned: Window,
        now: EventTime,
    ) -> Option<usize> {
        // What it touches stands together: open sessions are apart from each other.
        let same = |it: &Open<_, _>| {
            if A::MERGES { it.window.touches(assigned) } else { it.window == assigned }
        };
        let first = windows.iter().position(same);
        let Some(first) = first else {
            if self.gone_at(assigned) <= now {
                return None;
            }
            let place = windows.partition_point(|it| it.window < assigned);
            let (held, trigger) = (None, G::State::default());
            windows.insert(place, Open { window: assigned, held, trigger });
            return Some(place);
        };
        let others = windows[first + 1..].iter().take_while(|it| same(it)).count();
        let absorbed: Vec<_> = windows.drain(first + 1..=first + others).collect();
        let one = &mut windows[first];
        one.window = one.window.cover(assigned);
        for other in absorbed {
            one.window = one.window.cover(other.window);
            self.trigger.merge(&mut one.trigger, other.trigger);
            match (&mut one.held, other.held) {
                (Some(into), Some(from)) => self.contents.merge(into, from),
                (held @ None, from) => *held = from,
                (Some(_), None) => {}
            }
        }
        Some(first)
    }

    fn obey(
        &self,
        verdict: Verdict,
        key: &K,
        one: &mut Open<C::Held, G::State>,
        out: &mut impl Collect<Result<C::Out, T>>,
    ) {
        if verdict.fire {
            self.contents.emit(key, one.window, &mut one.held, &mut Results(out, PhantomData));
        }
        if verdict.purge {
            one.held = None;
        }
    }

    /// Sets the key's timer, unless it is early enough.
    fn arm(
        &self,
        windows: &Windows<C::Held, G::State>,
        now: EventTime,
        context: &mut Context<'_, K>,
    ) {
        let due = |it: &Open<_, _>| {
            let due = self.trigger.due(it.window, now, &it.trigger);
            due.into_iter().fold(self.gone_at(it.window), EventTime::min)
        };
        let next = windows.iter().map(due).min();
        assert!(next.is_none_or(|it| it > now), "what is due next is later than now: {now}");
        let armed = context.timers().first().copied();
        if armed.zip(next).is_some_and(|(armed, next)| armed <= next) {
            return;
        }
        if let Some(armed) = armed {
            context.cancel_timer(armed);
        }
        if let Some(next) = next {
            context.timer(next);
        }
    }
}

/// Whether opening the window again would be the same. A purged session still holds its place.
fn is_blank<A: Assigner, H, G: Default + PartialEq>(one: &Open<H, G>) -> bool {
    !A::MERGES && one.held.is_none() && one.trigger == G::default()
}
