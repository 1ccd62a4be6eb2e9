//! Windows: results over a stretch of a keyed stream.
//!
//! ```text
//! record ─ assign ─> window of the key ─ contents.add ─> trigger ── fire ──> result
//!                         ^                                 ^
//!                 state of the key                  timer of the key <── watermark
//! ```
//!
//! What a stretch is says the assigner, when it speaks the trigger, what is kept of it the contents. Event
//! time is a column of the record, and only the watermark moves it: whatever the order in which records
//! come, and whatever fails in between, the same windows come out.
//!
//! | assigner                  | windows                                       |
//! |---------------------------|-----------------------------------------------|
//! | [`Tumbling`]              | one behind the other                          |
//! | [`Sliding`]               | overlapping                                   |
//! | [`Session`]               | as long as records follow each other closely  |
//! | [`Global`]                | one for all                                   |
//!
//! ```
//! use std::time::Duration;
//! use seawall_stream::EventTime;
//! use seawall_stream::testing::Harness;
//! use seawall_stream::window::{Count, Tumbling};
//!
//! type Visit = (String, EventTime);
//!
//! let mut harness = Harness::<Visit, _>::new(|visits| {
//!     visits
//!         .key_by(|(page, _)| page.clone())
//!         .window(Tumbling::of(Duration::from_secs(60)), |(_, at)| *at)
//!         .late_to("late visits")
//!         .aggregate("visits per minute", Count)
//! });
//! let visit = |page: &str, second: i64| (page.to_owned(), EventTime(second * 1_000));
//! harness.push([visit("/", 3), visit("/", 59), visit("/about", 7), visit("/", 61)]);
//! harness.watermark(EventTime(60_000));
//! harness.push([visit("/", 5)]);
//! let (counts, late) = harness.take();
//! let counts: Vec<_> = counts.into_iter().map(|it| (it.key, it.result)).collect();
//! assert_eq!(counts, [("/".to_owned(), 2), ("/about".to_owned(), 1)]);
//! assert_eq!(late, [visit("/", 5)]);
//! ```
//!
//! Source: Flink's `WindowOperator`, `EvictingWindowOperator`, `MergingWindowSet` and its triggers.
//!
//! Deliberately absent: windows of processing time (see [`crate::timers`]).

mod assign;
mod contents;
mod late;
mod operator;
mod trigger;

use std::marker::PhantomData;
use std::time::Duration;

pub use assign::{Assigner, Global, Session, Sliding, Tumbling, Window};
pub use contents::{
    After, Aggregate, Aggregated, Contents, Count, Evictor, KeepLast, KeepRecent, ProcessWindow,
    Reduced, Sum, TopN, Whole, Windowed,
};
pub use late::{DropLate, Late, LateTo, OnTime};
pub use operator::{Open, WindowOperator};
pub use trigger::{Any, AtEnd, Every, EveryCount, Moment, Purging, Trigger, Verdict};

use seawall_protocol::EventTime;

use crate::key::Key;
use crate::keyed::KeyedPipe;
use crate::pipe::Pipe;
use crate::record::Record;
use crate::stream::KeyedStream;
use crate::timers::WithTimers;

/// The operator of a windowed stream at the head of its chain.
pub type WindowPipe<K, T, A, G, C, At, F> =
    KeyedPipe<WithTimers<WindowOperator<K, T, A, G, C, At>>, F>;

/// A keyed stream in windows. It fires at the end of each window, allows no lateness and drops what is
/// late, unless told otherwise.
pub struct WindowedStream<T, P, F, A, At, G, L> {
    stream: KeyedStream<T, P, F>,
    assigner: A,
    time: At,
    trigger: G,
    lateness: Duration,
    late: L,
}

impl<T, P, F> KeyedStream<T, P, F> {
    /// Puts each record into windows by the time that `time` reads from it.
    pub fn window<A: Assigner, At>(
        self,
        assigner: A,
        time: At,
    ) -> WindowedStream<T, P, F, A, At, AtEnd, DropLate>
    where
        At: Fn(&T) -> EventTime + Clone + Send + Sync + 'static,
    {
        let lateness = Duration::ZERO;
        WindowedStream { stream: self, assigner, time, trigger: AtEnd, lateness, late: DropLate }
    }

    /// Windows of `n` records each, in the order in which they come. At the end of the input, an
    /// incomplete one is dropped.
    #[expect(clippy::type_complexity, reason = "it says what the window is made of")]
    pub fn count_window(
        self,
        n: u64,
    ) -> WindowedStream<T, P, F, Global, fn(&T) -> EventTime, Purging<EveryCount>, DropLate>
    where
        T: 'static,
    {
        let time: fn(&T) -> EventTime = |_| EventTime::MIN;
        self.window(Global, time).trigger(Purging(EveryCount(n)))
    }
}

impl<T, P, F, A, At, G, L> WindowedStream<T, P, F, A, At, G, L> {
    /// Keeps each window for so long behind its end: a late record is added and the window fires again.
    #[must_use]
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness, ..self }
    }

    /// Fires when `trigger` says so.
    #[must_use]
    pub fn trigger<H>(self, trigger: H) -> WindowedStream<T, P, F, A, At, H, L> {
        let Self { stream, assigner, time, lateness, late, trigger: _ } = self;
        WindowedStream { stream, assigner, time, trigger, lateness, late }
    }

    /// Makes a stream of the records that are too late for every window; results become a pair of streams.
    #[must_use]
    pub fn late_to(self, name: &str) -> WindowedStream<T, P, F, A, At, G, LateTo> {
        let Self { stream, assigner, time, trigger, lateness, late: _ } = self;
        let late = LateTo(name.to_owned());
        WindowedStream { stream, assigner, time, trigger, lateness, late }
    }
}

/// The streams of results, and of late records where they are asked for.
pub type Results<L, R, T, Q> = <L as Late>::Streams<R, T, Q>;

#[expect(clippy::type_complexity, reason = "the type of a pipe is its chain")]
impl<T, P, K, F, A, At, G, L> WindowedStream<T, P, F, A, At, G, L>
where
    T: Record,
    P: Pipe<Out = T>,
    K: Key,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
    A: Assigner,
    At: Fn(&T) -> EventTime + Clone + Send + Sync + 'static,
    G: Trigger<T>,
    L: Late,
{
    /// One accumulator per window; records are not kept.
    pub fn aggregate<C: Aggregate<T>>(
        self,
        name: &str,
        aggregate: C,
    ) -> Results<L, Windowed<K, C::Out>, T, WindowPipe<K, T, A, G, Aggregated<C>, At, F>> {
        self.contents(name, Aggregated(aggregate))
    }

    /// Makes one record of all records of a window, two at a time.
    pub fn reduce<C>(
        self,
        name: &str,
        reduce: C,
    ) -> Results<L, Windowed<K, T>, T, WindowPipe<K, T, A, G, Reduced<C>, At, F>>
    where
        T: Clone + Sync,
        C: Fn(&mut T, &T) + Clone + Send + Sync + 'static,
    {
        self.contents(name, Reduced(reduce))
    }

    /// Keeps all records of a window for `process`.
    pub fn process<C: ProcessWindow<K, T>>(
        self,
        name: &str,
        process: C,
    ) -> Results<L, C::Out, T, WindowPipe<K, T, A, G, Whole<T, (), C>, At, F>>
    where
        T: Clone + Sync,
    {
        self.process_evicted(name, (), process)
    }

    /// Keeps the records of a window that `evictor` leaves, for `process`.
    pub fn process_evicted<E: Evictor<T>, C: ProcessWindow<K, T>>(
        self,
        name: &str,
        evictor: E,
        process: C,
    ) -> Results<L, C::Out, T, WindowPipe<K, T, A, G, Whole<T, E, C>, At, F>>
    where
        T: Clone + Sync,
    {
        self.contents(name, Whole::new(evictor, process))
    }

    /// What the windows keep, and make of it.
    pub fn contents<C: Contents<K, T>>(
        self,
        name: &str,
        contents: C,
    ) -> Results<L, C::Out, T, WindowPipe<K, T, A, G, C, At, F>> {
        let Self { stream, assigner, time, trigger, lateness, late } = self;
        let operator =
            WindowOperator { assigner, time, trigger, contents, lateness, types: PhantomData };
        late.separate(stream.process_timed(name, operator))
    }
}
