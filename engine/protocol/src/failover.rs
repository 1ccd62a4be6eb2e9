//! Whether and when a failed job starts again (O9).
//!
//! One decision for each failed attempt: failures that come while it is being cancelled, or while the
//! restart is scheduled, belong to it and are not counted again. A fatal failure never restarts.
//!
//! Deliberately absent: the clock. The failure-rate window and the stable period are timers. And
//! regions (O5): the whole job is one.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use seawall_probe::sometimes;

use crate::config::RestartStrategy;
use crate::coordinator::{Delay, Effect, Timer};
use crate::ids::Attempt;
use crate::limits::REMEMBERED_FAILURES_MAX;

/// The restart budget of one leadership.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failover {
    strategy: RestartStrategy,
    /// Restarts so far; fixed delay.
    restarts: u32,
    /// Failures within the window, by number; failure rate.
    recent: BTreeSet<u32>,
    /// The number of the next failure; failure rate.
    next_failure: u32,
    /// The next delay, when a failure came since the last stable period; exponential delay.
    grown: Option<Duration>,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Start again after the delay.
    Restart(Delay),
    /// The job failed for good.
    GiveUp,
}

impl Failover {
    /// A full budget.
    pub fn new(strategy: RestartStrategy) -> Self {
        Self { strategy, restarts: 0, recent: BTreeSet::new(), next_failure: 0, grown: None }
    }

    /// An attempt runs: it counts as stable after a while.
    pub fn on_started(&self, attempt: Attempt, effects: &mut Vec<Effect>) {
        if let Some(reset_after) = self.reset_after() {
            effects.push(Effect::Arm(Timer::Stable(attempt), Delay::exactly(reset_after)));
        }
    }

    /// A running attempt failed; [`Self::decide`] follows when it is cancelled.
    pub fn on_failing(&self, attempt: Attempt, effects: &mut Vec<Effect>) {
        if self.reset_after().is_some() {
            effects.push(Effect::Disarm(Timer::Stable(attempt)));
        }
    }

    /// The attempt ran long enough: the next delay is the first one again.
    pub fn on_stable(&mut self) {
        self.grown = None;
    }

    /// The failure left the window; `false` when it is not in it.
    #[must_use]
    pub fn on_forgotten(&mut self, failure: u32) -> bool {
        let was_recent = self.recent.remove(&failure);
        sometimes!(was_recent, FailureLeavesTheWindow);
        was_recent
    }

    /// A failed attempt is fully stopped: does the job start again?
    pub fn decide(&mut self, is_fatal: bool, effects: &mut Vec<Effect>) -> Decision {
        if is_fatal {
            return Decision::GiveUp;
        }
        match self.strategy {
            RestartStrategy::None => {
                sometimes!(NoRestartStrategy);
                Decision::GiveUp
            }
            RestartStrategy::FixedDelay { attempts, delay } => {
                if self.restarts >= attempts {
                    sometimes!(FixedDelayIsExhausted);
                    return Decision::GiveUp;
                }
                sometimes!(FixedDelayRestarts);
                self.restarts += 1;
                Decision::Restart(Delay::exactly(delay))
            }
            RestartStrategy::FailureRate { max_failures, interval, delay } => {
                let allowed = (max_failures as usize).min(REMEMBERED_FAILURES_MAX);
                if self.recent.len() >= allowed {
                    sometimes!(FailureRateIsExceeded);
                    return Decision::GiveUp;
                }
                sometimes!(FailureRateRestarts);
                let failure = self.next_failure;
                self.next_failure = failure.wrapping_add(1);
                self.recent.insert(failure);
                let window = Delay::exactly(interval);
                effects.push(Effect::Arm(Timer::FailureForgotten(failure), window));
                Decision::Restart(Delay::exactly(delay))
            }
            RestartStrategy::ExponentialDelay {
                initial,
                max,
                multiplier_percent,
                jitter_percent,
                reset_after: _,
            } => {
                let delay = self.grown.unwrap_or(initial).min(max);
                sometimes!(self.grown.is_some(), DelayGrows);
                sometimes!(delay == max, DelayIsAtItsMaximum);
                self.grown = Some(percent(delay, multiplier_percent.max(100)).min(max));
                let jitter = percent(delay, jitter_percent.min(100));
                Decision::Restart(Delay {
                    least: delay.saturating_sub(jitter),
                    most: delay.saturating_add(jitter).min(max),
                })
            }
        }
    }

    fn reset_after(&self) -> Option<Duration> {
        match self.strategy {
            RestartStrategy::ExponentialDelay { reset_after, .. } => Some(reset_after),
            RestartStrategy::None
            | RestartStrategy::FixedDelay { .. }
            | RestartStrategy::FailureRate { .. } => None,
        }
    }
}

/// `percent` hundredths of the duration, to the nanosecond below.
fn percent(duration: Duration, percent: u32) -> Duration {
    let nanos = duration.as_nanos().saturating_mul(u128::from(percent)) / 100;
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % 1_000_000_000) as u32)
}
