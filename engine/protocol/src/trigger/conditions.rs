//! What makes the next automatic checkpoint due: time, ingested records, changed state (B6, B7).
//!
//! Each condition that is configured is met or not since the last automatic checkpoint began; any one of
//! them or all of them make it due. Records and bytes are what workers reported: a trigger comes soon
//! after the threshold, not at it.
//!
//! Deliberately absent: the clock. The timer is the coordinator's, and says that its time has passed.

use alloc::vec::Vec;
use core::time::Duration;

use seawall_probe::sometimes;

use crate::config::{CheckpointConfig, TriggerCombination};
use crate::coordinator::{Delay, Effect, Timer};
use crate::limits::CHECKPOINT_TIME_MIN;

/// The configured conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Conditions {
    /// Effective: never below the pause (B7).
    interval: Option<Duration>,
    /// Effective interval while a source is behind; `None`: no time will do.
    interval_behind: Option<Duration>,
    min_pause: Duration,
    every_records: Option<u64>,
    every_dirty_bytes: Option<u64>,
    combination: TriggerCombination,
}

/// How far they are, since the last automatic checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    time: Time,
    records: u64,
    dirty_bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Time {
    /// It is no condition, or not now.
    #[default]
    Off,
    /// The timer runs for this long.
    Armed(Duration),
    Passed,
}

impl Conditions {
    pub(super) fn new(config: &CheckpointConfig) -> Self {
        let effective = |it: Duration| it.max(config.min_pause).max(CHECKPOINT_TIME_MIN);
        let interval = config.interval.map(effective);
        let interval_behind = match config.interval_during_backlog {
            None => interval,
            Some(never) if never.is_zero() => None,
            Some(it) => interval.map(|_| effective(it)),
        };
        Self {
            interval,
            interval_behind,
            min_pause: config.min_pause,
            every_records: config.every_records,
            every_dirty_bytes: config.every_dirty_bytes,
            combination: config.combination,
        }
    }

    /// The first automatic checkpoint comes after a random delay (B6).
    pub(super) fn start(&self, effects: &mut Vec<Effect>) -> Progress {
        let mut progress = Progress::default();
        if let Some(interval) = self.interval {
            let delay = Delay { least: self.min_pause, most: interval };
            effects.push(Effect::Arm(Timer::Trigger, delay));
            progress.time = Time::Armed(interval);
        }
        progress
    }

    /// An automatic checkpoint began: everything is counted from here.
    pub(super) fn restart(
        &self,
        progress: &mut Progress,
        is_behind: bool,
        effects: &mut Vec<Effect>,
    ) {
        let was_armed = progress.is_armed();
        *progress = Progress::default();
        match self.interval_now(is_behind) {
            Some(interval) => {
                effects.push(Effect::Arm(Timer::Trigger, Delay::exactly(interval)));
                progress.time = Time::Armed(interval);
            }
            None if was_armed => {
                sometimes!(BacklogStopsTheTimer);
                effects.push(Effect::Disarm(Timer::Trigger));
            }
            None => {}
        }
    }

    /// A source fell behind, or none is behind any more. A timer that runs for longer than the interval
    /// that holds now starts again, once: going back and forth never puts a checkpoint off for ever.
    pub(super) fn on_behind(
        &self,
        progress: &mut Progress,
        is_behind: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(interval) = self.interval_now(is_behind) else { return };
        let is_too_long = match progress.time {
            Time::Off => true,
            Time::Armed(armed) => armed > interval,
            Time::Passed => false,
        };
        if is_too_long {
            sometimes!(BacklogSetsTheTimer);
            effects.push(Effect::Arm(Timer::Trigger, Delay::exactly(interval)));
            progress.time = Time::Armed(interval);
        }
    }

    pub(super) fn are_met(&self, progress: &Progress) -> bool {
        let reached = |every: Option<u64>, is: u64| every.map(|every| is >= every.max(1));
        let met = [
            self.interval.map(|_| progress.time == Time::Passed),
            reached(self.every_records, progress.records),
            reached(self.every_dirty_bytes, progress.dirty_bytes),
        ];
        sometimes!(met[1] == Some(true), RecordsMakeItDue);
        sometimes!(met[2] == Some(true), BytesMakeItDue);
        sometimes!(
            self.combination == TriggerCombination::All
                && met.contains(&Some(true))
                && met.contains(&Some(false)),
            SomeConditionsAreMet
        );
        let mut met = met.into_iter().flatten().peekable();
        match self.combination {
            TriggerCombination::Any => met.any(|it| it),
            TriggerCombination::All => met.peek().is_some() && met.all(|it| it),
        }
    }

    fn interval_now(&self, is_behind: bool) -> Option<Duration> {
        if is_behind { self.interval_behind } else { self.interval }
    }
}

impl Progress {
    pub(super) fn is_armed(&self) -> bool {
        matches!(self.time, Time::Armed(_))
    }

    /// The timer fired; `false` when it was not armed.
    #[must_use]
    pub(super) fn on_timer(&mut self) -> bool {
        let was_armed = self.is_armed();
        if was_armed {
            self.time = Time::Passed;
        }
        was_armed
    }

    pub(super) fn add(&mut self, records: u64, dirty_bytes: u64) {
        self.records = self.records.saturating_add(records);
        self.dirty_bytes = self.dirty_bytes.saturating_add(dirty_bytes);
    }

    /// A checkpoint to recover from began that was not the automatic one. The timer keeps its rhythm.
    pub(super) fn forget_counts(&mut self) {
        (self.records, self.dirty_bytes) = (0, 0);
    }

    /// No automatic checkpoint follows.
    pub(super) fn stop(&mut self, effects: &mut Vec<Effect>) {
        if self.is_armed() {
            effects.push(Effect::Disarm(Timer::Trigger));
        }
        *self = Self::default();
    }
}
