//! Event time: what a watermark says, and what a subtask makes of those of its channels.
//!
//! ```text
//! ch0  ── 12:04 ──┐
//! ch1  ── 12:01 ──┤ valve ── 12:01 ──> operators, output channels
//! ch2  ── idle  ──┘
//! ```
//!
//! A watermark `t` says: no record that follows is older than or as old as `t`. A record that is one
//! nevertheless is late. Event time is a column of the record: nothing here knows records.
//!
//! A channel tells its whole state at once, time and idleness ([`Watermark`]), not a change of it. So the
//! newer of two that stand next to each other replaces the older one wherever they wait, and watermarks that
//! nobody takes need no more room than one.
//!
//! Source: Flink's `StatusWatermarkValve`, rules L3-L5, with one element where Flink has two.
//!
//! Deliberately absent: where watermarks come from, and what fires when they rise.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::ChannelId;

/// A moment in event time: milliseconds since the epoch.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Before every record: nothing is known yet.
    pub const MIN: Self = Self(i64::MIN);
    /// Behind every record: the input ended.
    pub const MAX: Self = Self(i64::MAX);

    /// `duration` earlier, in whole milliseconds, and not before [`EventTime::MIN`].
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// `duration` later, in whole milliseconds, and not behind [`EventTime::MAX`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => f.write_str("the beginning"),
            Self::MAX => f.write_str("the end"),
            Self(millis) => write!(f, "{millis} ms"),
        }
    }
}

/// What one channel says of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Watermark {
    /// Nothing that follows is as old.
    pub time: EventTime,
    /// Nothing is expected to follow soon: nobody waits for this channel (L4).
    pub is_idle: bool,
}

impl Watermark {
    /// What is known before anything was said.
    pub const NONE: Self = Self { time: EventTime::MIN, is_idle: false };
}

/// Makes one watermark of those of a subtask's channels.
///
/// A channel that has ended says [`EventTime::MAX`] and is waited for no more. When all that have not are idle,
/// so is the subtask, were there ended ones besides: an idle one may come back, and its records are no later for
/// that. (Flink's valve lets the ended one's maximum through.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Valve {
    /// What each said in this attempt. One that said nothing holds back all: what it said before stands.
    channels: Vec<Option<Watermark>>,
    output: Watermark,
}

impl Valve {
    /// For the channels `0..channels`, restored at this time or from the beginning. Nothing else is part of a
    /// snapshot: whoever sends says again how far it was, behind what was in flight, so nothing that was on time
    /// is late for having been restored (L6, T10).
    pub fn new(channels: u32, restored: EventTime) -> Self {
        let output = Watermark { time: restored, is_idle: false };
        Self { channels: (0..channels).map(|_| None).collect(), output }
    }

    /// What was said last.
    pub fn output(&self) -> Watermark {
        self.output
    }

    /// Handles what a channel says; what is to be said then, if that is something new. Total: a time that does
    /// not rise is no time (L3), and a channel that ended says nothing more.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn handle(&mut self, channel: ChannelId, said: Watermark) -> Option<Watermark> {
        let (before, index) = (self.output, channel.0 as usize);
        let known = self.channels[index];
        let newest = known.map_or(said.time, |it| it.time.max(said.time));
        if known
            .is_some_and(|it| has_ended(&it) || (it.is_idle && said.is_idle && it.time == newest))
        {
            return None;
        }
        // Whoever came to know something new was not idle meanwhile.
        let standing = known.map_or(before.time, |it| it.time);
        let reached = if has_ended(&said) { standing } else { newest };
        self.channels[index] = Some(Watermark { time: reached, is_idle: false });
        self.rise();
        if said.is_idle || has_ended(&said) {
            let held_all_back = reached == self.output.time;
            self.channels[index] = Some(Watermark { time: newest, ..said });
            if held_all_back && !self.is_active() {
                // Nobody is left who could be waited for, so all that was said is true (L5).
                let furthest = self.open().map(|it| it.time).max();
                self.output.time = self.output.time.max(furthest.unwrap_or(EventTime::MAX));
            }
            self.rise();
        }
        self.output.is_idle = !self.is_active() && self.open().next().is_some();
        (self.output != before).then_some(self.output)
    }

    /// What those say that have not ended.
    fn open(&self) -> impl Iterator<Item = Watermark> {
        let standing = Watermark { is_idle: false, ..self.output };
        self.channels.iter().map(move |it| it.unwrap_or(standing)).filter(|it| !has_ended(it))
    }

    fn is_active(&self) -> bool {
        self.open().any(|it| !it.is_idle)
    }

    /// The least of what counts. A channel that came back counts once it is as far as the others were (L4).
    fn rise(&mut self) {
        let counts = |it: &Watermark| !it.is_idle && it.time >= self.output.time;
        if let Some(least) = self.open().filter(counts).map(|it| it.time).min() {
            self.output.time = least;
        } else if self.open().next().is_none() {
            self.output.time = EventTime::MAX;
        }
    }
}

fn has_ended(watermark: &Watermark) -> bool {
    watermark.time == EventTime::MAX
}
