//! Where watermarks come from: an operator that looks at the time of each record.
//!
//! ```
//! # use std::time::Duration;
//! use seawall_stream::{EventTime, WatermarkStrategy};
//!
//! // Records are at most five seconds out of order; a source without any for a minute is not waited for.
//! let strategy = WatermarkStrategy::bounded(Duration::from_secs(5)).idle_after(Duration::from_secs(60));
//! // stream.watermarks("clock", strategy, |record| record.at)
//! ```
//!
//! A record costs one comparison. The clock is the runtime's: it says at each interval how much time has passed
//! in which there could have been input ([`Notice::Tick`]), so a source that its receivers slow down is never
//! taken for idle.
//!
//! What comes from upstream ends here, but for the end of the input.

use std::time::Duration;

use seawall_protocol::EventTime;
use serde::{Deserialize, Serialize};

use crate::chain::{Chain, EdgeId, EdgePort, Notice, Outputs, Place, SinkPort};
use crate::error::StreamError;
use crate::operator::Collect;
use crate::operator_state::{ListState, States, Visit};
use crate::pipe::{Next, Pipe};

/// How watermarks follow from the times of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatermarkStrategy {
    /// How far the watermark is behind the newest record.
    lag: Duration,
    is_punctuated: bool,
    idle_after: Option<Duration>,
}

impl WatermarkStrategy {
    /// No record is older than one before it.
    pub fn monotonous() -> Self {
        Self::bounded(Duration::ZERO)
    }

    /// No record is older than the newest one before it by more than `disorder`.
    pub fn bounded(disorder: Duration) -> Self {
        // A record of the same time may follow.
        let lag = disorder.saturating_add(Duration::from_millis(1));
        Self { lag, is_punctuated: false, idle_after: None }
    }

    /// Records say it themselves: the time of one is the watermark behind it, at once.
    pub fn punctuated() -> Self {
        Self { lag: Duration::ZERO, is_punctuated: true, idle_after: None }
    }

    /// Nobody waits for a subtask that had no record for so long (L4), to the interval of watermarks exactly.
    #[must_use]
    pub fn idle_after(self, silence: Duration) -> Self {
        Self { idle_after: Some(silence), ..self }
    }
}

/// `watermarks`.
#[derive(Clone)]
pub struct WatermarkPipe<P, F> {
    pub(crate) pipe: P,
    pub(crate) name: String,
    pub(crate) strategy: WatermarkStrategy,
    pub(crate) time: F,
}

impl<P, F, E> Pipe for WatermarkPipe<P, F>
where
    P: Pipe,
    F: Fn(&P::Out) -> E + Clone + Send + Sync + 'static,
    E: Into<Option<EventTime>> + 'static,
{
    type Out = P::Out;

    fn fuse<C: Next<P::Out>>(&self, place: Place, next: C) -> Chain {
        let assigner = Assigner {
            name: self.name.clone(),
            strategy: self.strategy,
            time: self.time.clone(),
            place,
            newest: EventTime::MIN,
            told: EventTime::MIN,
            has_news: false,
            silence: Duration::ZERO,
            is_idle: false,
            kept: ListState::default(),
            next,
        };
        self.pipe.fuse(place, assigner)
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        self.pipe.side_edges()
    }
}

struct Assigner<F, C> {
    name: String,
    strategy: WatermarkStrategy,
    time: F,
    place: Place,
    newest: EventTime,
    /// The last watermark.
    told: EventTime,
    /// A record came since the last tick.
    has_news: bool,
    /// How long none did.
    silence: Duration,
    is_idle: bool,
    /// What a snapshot holds, while it is taken or restored.
    kept: ListState<Kept>,
    next: C,
}

/// What is kept of one subtask.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Kept {
    index: u32,
    parallelism: u32,
    newest: EventTime,
    is_idle: bool,
}

impl<F, C: Outputs> Assigner<F, C> {
    fn tell_time(&mut self) {
        let time = self.newest.before(self.strategy.lag);
        if time > self.told {
            self.told = time;
            self.next.on_watermark(time);
        }
    }

    fn set_idle(&mut self, is_idle: bool) {
        self.is_idle = is_idle;
        self.next.tell(Notice::Idle(is_idle));
    }

    fn on_tick(&mut self, passed: Duration) {
        self.tell_time();
        if std::mem::take(&mut self.has_news) {
            self.silence = Duration::ZERO;
            return;
        }
        self.silence = self.silence.saturating_add(passed);
        if !self.is_idle && self.strategy.idle_after.is_some_and(|it| self.silence >= it) {
            self.set_idle(true);
        }
    }

    /// Goes on where this subtask was. Of another parallelism it knows nothing: its splits are others'.
    fn on_restored(&mut self) {
        let Place { index, parallelism, .. } = self.place;
        if let [kept] = self.kept[..]
            && (kept.index, kept.parallelism) == (index, parallelism)
        {
            self.newest = kept.newest;
            if kept.is_idle {
                self.silence = Duration::MAX; // It is idle again at the first tick.
            }
        }
    }
}

impl<T, E, F, C> Collect<T> for Assigner<F, C>
where
    F: Fn(&T) -> E,
    E: Into<Option<EventTime>>,
    C: Next<T>,
{
    #[inline]
    fn push(&mut self, record: T) {
        if self.is_idle {
            self.set_idle(false);
        }
        self.has_news = true;
        if let Some(time) = (self.time)(&record).into() {
            self.newest = self.newest.max(time);
        }
        self.next.push(record);
        if self.strategy.is_punctuated {
            self.tell_time();
        }
    }
}

impl<F: Send, C: Outputs> Outputs for Assigner<F, C> {
    fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>) {
        self.next.edges(into);
    }
    fn sink(&mut self) -> Option<&mut dyn SinkPort> {
        self.next.sink()
    }
    fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError> {
        let (Place { index, parallelism, .. }, newest) = (self.place, self.newest);
        *self.kept = vec![Kept { index, parallelism, newest, is_idle: self.is_idle }];
        let mut states = States::new(&self.name, visit);
        states.declare("watermark", &mut self.kept);
        states.finish()?;
        self.next.states(visit)
    }
    fn tell(&mut self, notice: Notice) {
        match notice {
            Notice::Tick(passed) => self.on_tick(passed),
            Notice::Restored => self.on_restored(),
            Notice::Idle(_) => return, // Its own records tell.
            Notice::Completed(_) | Notice::Aborted(_) | Notice::Ended => {}
        }
        self.next.tell(notice);
    }
    fn hears_checkpoints(&self) -> bool {
        self.next.hears_checkpoints()
    }
    fn hears_end(&self) -> bool {
        self.next.hears_end()
    }
    fn makes_watermarks(&self) -> bool {
        true
    }
    fn on_watermark(&mut self, time: EventTime) {
        if time == EventTime::MAX {
            self.told = time;
            self.next.on_watermark(time);
        }
    }
}
