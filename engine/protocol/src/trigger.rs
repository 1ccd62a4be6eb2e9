//! When to take the next checkpoint (B1-B3, B6, B7, B12, N4).
//!
//! At most one trigger is in progress; at most `max-concurrent` checkpoints are pending; a periodic one
//! keeps `min-pause` from the last completion. A periodic trigger that meets an obstacle stays due and
//! begins when the obstacle is gone. The final checkpoint ignores interval and pause, nothing else.
//!
//! Deliberately absent: the clock (the driver fires the timers) and savepoints.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::CheckpointConfig;
use crate::coordinator::{Delay, Effect, Timer};
use crate::event::{Event, SkipReason};
use crate::limits::{CHECKPOINT_TIME_MIN, PENDING_CHECKPOINTS_MAX};

/// The trigger of one job. It is stopped until an attempt runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Trigger {
    /// Effective: never below `min_pause` (B7).
    interval: Option<Duration>,
    min_pause: Duration,
    pending_max: usize,
    /// `None` while no attempt runs (B12).
    running: Option<Running>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Running {
    periodic: Periodic,
    /// The last completion is less than `min_pause` ago.
    is_pausing: bool,
    /// An id is being reserved (B1).
    is_in_progress: bool,
    last: Final,
}

/// Where the next periodic checkpoint stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Periodic {
    /// There is none: no interval, or the final checkpoint comes next.
    #[default]
    Off,
    /// Its timer runs.
    Armed,
    /// Its time has come; it waits while there is an obstacle.
    Due,
}

/// Where the final checkpoint stands (N4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Final {
    #[default]
    NotYet,
    Wanted,
    Pending,
}

impl Trigger {
    /// A stopped trigger.
    pub fn new(config: &CheckpointConfig) -> Self {
        Self {
            interval: config.interval.map(|it| it.max(config.min_pause).max(CHECKPOINT_TIME_MIN)),
            min_pause: config.min_pause,
            pending_max: (config.max_concurrent as usize).clamp(1, PENDING_CHECKPOINTS_MAX),
            running: None,
        }
    }

    /// An attempt runs: the first periodic trigger comes after a random delay (B6).
    pub fn start(&mut self, effects: &mut Vec<Effect>) {
        assert!(self.running.is_none(), "the trigger was started twice");
        let mut running = Running::default();
        if let Some(interval) = self.interval {
            let delay = Delay { least: self.min_pause, most: interval };
            effects.push(Effect::Arm(Timer::Trigger, delay));
            running.periodic = Periodic::Armed;
        }
        self.running = Some(running);
    }

    /// The attempt no longer runs, or its final checkpoint is completed.
    pub fn stop(&mut self, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.take() else { return };
        if running.periodic == Periodic::Armed {
            effects.push(Effect::Disarm(Timer::Trigger));
        }
        if running.is_pausing {
            effects.push(Effect::Disarm(Timer::MinPause));
        }
    }

    /// [`Timer::Trigger`] fired; [`Self::begin`] says whether a checkpoint begins.
    pub fn on_trigger_timer(&mut self, pending: usize, effects: &mut Vec<Effect>) {
        let armed = self.running.as_mut().filter(|it| it.periodic == Periodic::Armed);
        let Some(running) = armed else {
            let is_final = self.running.is_some_and(|it| it.last != Final::NotYet);
            effects.push(Effect::Note(if is_final {
                Event::TriggerSkipped { reason: SkipReason::FinalPending }
            } else {
                Event::StaleInput { what: "timer trigger".to_string() }
            }));
            return;
        };
        running.periodic = Periodic::Due;
        if let Some(reason) = running.obstacle(pending, self.pending_max) {
            effects.push(Effect::Note(Event::TriggerSkipped { reason }));
        }
    }

    /// [`Timer::MinPause`] fired.
    pub fn on_pause_timer(&mut self, effects: &mut Vec<Effect>) {
        match self.running.as_mut().filter(|it| it.is_pausing) {
            Some(running) => running.is_pausing = false,
            None => effects
                .push(Effect::Note(Event::StaleInput { what: "timer min-pause".to_string() })),
        }
    }

    /// All subtasks ended: the next checkpoint that is triggered is the final one (N4).
    pub fn request_final(&mut self, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.as_mut().filter(|it| it.last == Final::NotYet) else {
            return;
        };
        running.last = Final::Wanted;
        if running.periodic == Periodic::Armed {
            effects.push(Effect::Disarm(Timer::Trigger));
        }
        running.periodic = Periodic::Off;
    }

    /// Whether a checkpoint begins now; then an id must be reserved and [`Self::on_reserved`] called.
    /// To be asked after anything changed.
    #[must_use]
    pub fn begin(&mut self, pending: usize, effects: &mut Vec<Effect>) -> bool {
        let Some(running) = self.running.as_mut() else { return false };
        let is_wanted = running.periodic == Periodic::Due || running.last == Final::Wanted;
        if !is_wanted || running.obstacle(pending, self.pending_max).is_some() {
            return false;
        }
        running.is_in_progress = true;
        if let Some(interval) = self.interval.filter(|_| running.periodic == Periodic::Due) {
            running.periodic = Periodic::Armed;
            effects.push(Effect::Arm(Timer::Trigger, Delay::exactly(interval)));
        }
        true
    }

    /// The id of the trigger in progress is durable. `Some(is_final)` when the checkpoint goes ahead,
    /// `None` when the trigger was stopped meanwhile.
    #[must_use]
    pub fn on_reserved(&mut self) -> Option<bool> {
        let running = self.running.as_mut().filter(|it| it.is_in_progress)?;
        running.is_in_progress = false;
        let is_final = running.last == Final::Wanted;
        if is_final {
            running.last = Final::Pending;
        }
        Some(is_final)
    }

    /// A checkpoint was completed; the final one stops the trigger instead.
    pub fn on_completed(&mut self, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.as_mut() else { return };
        if !self.min_pause.is_zero() && running.last == Final::NotYet {
            running.is_pausing = true;
            effects.push(Effect::Arm(Timer::MinPause, Delay::exactly(self.min_pause)));
        }
    }

    /// The final checkpoint was given up; another one is wanted.
    pub fn on_final_aborted(&mut self) {
        if let Some(running) = self.running.as_mut().filter(|it| it.last == Final::Pending) {
            running.last = Final::Wanted;
        }
    }
}

impl Running {
    /// What keeps a checkpoint from beginning now.
    fn obstacle(self, pending: usize, pending_max: usize) -> Option<SkipReason> {
        if self.is_in_progress {
            Some(SkipReason::TriggerInProgress)
        } else if pending >= pending_max {
            Some(SkipReason::TooManyPending)
        } else if self.is_pausing && self.last == Final::NotYet {
            Some(SkipReason::MinimumTimeBetweenCheckpoints)
        } else {
            None
        }
    }
}
