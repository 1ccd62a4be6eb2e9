//! Which windows a record belongs to.
//!
//! A window begins at a multiple of its length, counted from `offset` after the epoch and the same way
//! before it (L7). Sessions begin where their first record is.

use std::time::Duration;

use seawall_protocol::EventTime;
use serde::{Deserialize, Serialize};

use crate::key::{Key, mix};

/// A half-open interval of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first moment in it.
    pub start: EventTime,
    /// The first moment behind it.
    pub end: EventTime,
}

impl Window {
    /// The last moment in it: a watermark of this time says that it is complete.
    pub fn last(self) -> EventTime {
        EventTime(self.end.0.saturating_sub(1))
    }

    /// Whether the two overlap, or one begins where the other ends.
    pub fn touches(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The smallest window that contains both.
    #[must_use]
    pub fn cover(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl Key for Window {
    fn stable_hash(&self) -> u64 {
        mix(mix(self.start.0.cast_unsigned()).rotate_left(23) ^ self.end.0.cast_unsigned())
    }
}

/// Assigns records to windows by their event time.
pub trait Assigner: Clone + Send + Sync + 'static {
    /// Whether windows of a key that touch become one.
    const MERGES: bool = false;

    /// The windows of a record at `at`, ascending, at least one.
    fn assign(&self, at: EventTime) -> impl Iterator<Item = Window>;
}

/// One window behind the other, each of the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tumbling(Sliding);

impl Tumbling {
    /// Windows of this length.
    ///
    /// # Panics
    /// When it is shorter than a millisecond.
    pub fn of(length: Duration) -> Self {
        Self(Sliding::of(length, length))
    }

    /// Moves every window by `offset`.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Self {
        Self(self.0.offset(offset))
    }
}

impl Assigner for Tumbling {
    fn assign(&self, at: EventTime) -> impl Iterator<Item = Window> {
        std::iter::once(self.0.newest(at))
    }
}

/// Windows of the same length, one each `slide`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sliding {
    length: i64,
    slide: i64,
    offset: i64,
}

impl Sliding {
    /// Windows of this length, one each `slide`.
    ///
    /// # Panics
    /// When `slide` is shorter than a millisecond, or longer than `length`: records between two windows
    /// would vanish.
    pub fn of(length: Duration, slide: Duration) -> Self {
        let (length, slide) = (millis(length), millis(slide));
        assert!(slide > 0, "windows are at least a millisecond apart");
        assert!(slide <= length, "windows leave no gap: one each {slide} ms, {length} ms long");
        Self { length, slide, offset: 0 }
    }

    /// Moves every window by `offset`.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Self {
        Self { offset: millis(offset) % self.slide, ..self }
    }

    fn newest(&self, at: EventTime) -> Window {
        // The difference of time and offset need not fit into 64 bits, that of their remainders does.
        let behind = at.0.rem_euclid(self.slide) - self.offset;
        let behind = if behind < 0 { behind + self.slide } else { behind };
        self.starting(at.0.saturating_sub(behind))
    }

    fn starting(&self, start: i64) -> Window {
        Window { start: EventTime(start), end: EventTime(start.saturating_add(self.length)) }
    }
}

impl Assigner for Sliding {
    fn assign(&self, at: EventTime) -> impl Iterator<Item = Window> {
        let newest = self.newest(at).start.0;
        let older = (self.length - (at.0 - newest) - 1) / self.slide;
        // One that would begin before time itself does not exist.
        let start = move |steps: i64| newest.checked_sub(steps * self.slide);
        (0..=older).rev().filter_map(start).map(|it| self.starting(it))
    }
}

/// A window that goes on as long as each record follows within `gap` of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    gap: Duration,
}

impl Session {
    /// Sessions that end when nothing came for `gap`.
    ///
    /// # Panics
    /// When it is shorter than a millisecond.
    pub fn gap(gap: Duration) -> Self {
        assert!(millis(gap) > 0, "a gap is at least a millisecond");
        Self { gap }
    }
}

impl Assigner for Session {
    const MERGES: bool = true;

    fn assign(&self, at: EventTime) -> impl Iterator<Item = Window> {
        std::iter::once(Window { start: at, end: at.after(self.gap) })
    }
}

/// One window for everything. Complete at the end of the input; triggers make it speak earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Global;

impl Assigner for Global {
    fn assign(&self, _: EventTime) -> impl Iterator<Item = Window> {
        std::iter::once(Window { start: EventTime::MIN, end: EventTime::MAX })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
