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
//! Source: Flink's `StatusWatermarkValve`, rules L3-L5, with one element where Flink has two, and two of its bugs
//! mended as Flink mends them ([`Valve`]).
//!
//! Deliberately absent: where watermarks come from, and what fires when they rise.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use seawall_probe::sometimes;
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

/// Makes one watermark of those of a subtask's channels: a function of what they said last, so that nothing
/// depends on the order in which they fell silent (FLINK-40475).
///
/// A channel that has ended says [`EventTime::MAX`] and is waited for no more. When all that have not are idle,
/// so is the subtask, were there ended ones besides: an idle one may come back, and its records are no later for
/// that (FLINK-38477).
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

    /// Handles what a channel says; what is to be said then, if that is something new. Total: a time that does
    /// not rise is no time (L3), and a channel that ended says nothing more.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn handle(&mut self, channel: ChannelId, said: Watermark) -> Option<Watermark> {
        let before = self.output;
        let known = &mut self.channels[channel.0 as usize];
        let time = known.map_or(said.time, |it| it.time.max(said.time));
        *known = Some(Watermark { time, ..said });
        self.output = self.least();
        assert!(before.time <= self.output.time, "{} after {}", self.output.time, before.time);
        (self.output != before).then_some(self.output)
    }

    /// What all say together.
    fn least(&self) -> Watermark {
        let Watermark { time: reached, .. } = self.output;
        let standing = Watermark { time: reached, is_idle: false };
        let open = self.channels.iter().map(|it| it.unwrap_or(standing));
        let open = open.filter(|it| it.time < EventTime::MAX);
        let (idle, active): (Vec<_>, Vec<_>) = open.partition(|it| it.is_idle);
        let has_ended = idle.len() + active.len() < self.channels.len();
        // One that came back counts once it is as far as the others were (L4).
        sometimes!(active.iter().any(|it| it.time < reached), ChannelComesBackBehind);
        sometimes!(active.is_empty() && !idle.is_empty(), EverythingIsIdle);
        sometimes!(active.is_empty() && has_ended && !idle.is_empty(), EndBesideIdleOnes);
        let counted = active.iter().map(|it| it.time).filter(|time| *time >= reached);
        let time = match (active.is_empty(), idle.iter().map(|it| it.time).max()) {
            (false, _) => counted.min(),
            // Nobody is left who could be waited for, so all that was said is true (L5).
            (true, Some(furthest)) => Some(furthest),
            (true, None) => Some(EventTime::MAX),
        };
        let time = time.map_or(reached, |it| it.max(reached));
        Watermark { time, is_idle: active.is_empty() && !idle.is_empty() }
    }
}
