//! How failures are suspected and answered, and what a person does afterwards: the tables `[restart]`,
//! `[heartbeat]` and `[then]`.

use std::ops::Range;
use std::time::Duration;

use seawall_protocol::config::{HeartbeatConfig, RestartStrategy};
use toml::Spanned;

use super::Reader;
use crate::scenario::meaning::{StartFrom, Then};
use crate::scenario::problem::{Problem, list_names};
use crate::scenario::quantity::{Percent, Time};
use crate::scenario::{HeartbeatText, RestartText, ThenText};

impl Reader<'_> {
    pub(super) fn restart(&mut self, text: &Spanned<RestartText>) -> Option<RestartStrategy> {
        const STRATEGIES: [&str; 4] = ["none", "fixed-delay", "failure-rate", "exponential-delay"];
        let it = text.get_ref();
        let strategy = it.strategy.get_ref().as_str();
        self.name("strategy", &it.strategy, &STRATEGIES);
        let legal: &[&str] = match strategy {
            "none" => &[],
            "fixed-delay" => &["attempts", "delay"],
            "failure-rate" => &["max_failures", "interval", "delay"],
            "exponential-delay" => &["initial", "max", "multiplier", "jitter", "reset_after"],
            _ => return None,
        };
        let written: [(&str, Option<Range<usize>>); 9] = [
            ("attempts", it.attempts.as_ref().map(Spanned::span)),
            ("delay", it.delay.as_ref().map(Spanned::span)),
            ("max_failures", it.max_failures.as_ref().map(Spanned::span)),
            ("interval", it.interval.as_ref().map(Spanned::span)),
            ("initial", it.initial.as_ref().map(Spanned::span)),
            ("max", it.max.as_ref().map(Spanned::span)),
            ("multiplier", it.multiplier.as_ref().map(Spanned::span)),
            ("jitter", it.jitter.as_ref().map(Spanned::span)),
            ("reset_after", it.reset_after.as_ref().map(Spanned::span)),
        ];
        let mut is_sound = true;
        for (key, span) in written {
            match (span, legal.contains(&key)) {
                (Some(span), false) => {
                    is_sound = false;
                    let message = format!("`{key}` has no effect with the strategy `{strategy}`");
                    let problem = Problem::at(span, message);
                    self.problem(match legal {
                        [] => problem,
                        legal => problem
                            .hint(format!("its keys are {}", list_names(legal.iter().copied()))),
                    });
                }
                (None, true) => {
                    is_sound = false;
                    self.problem(Problem::at(
                        it.strategy.span(),
                        format!("the strategy `{strategy}` needs `{key}`"),
                    ));
                }
                (Some(_), true) | (None, false) => {}
            }
        }
        if !is_sound {
            return None;
        }
        let number = |it: &Option<Spanned<u32>>| it.as_ref().map_or(0, |it| *it.get_ref());
        let time =
            |it: &Option<Spanned<Time>>| it.as_ref().map_or(Duration::ZERO, |it| it.get_ref().0);
        let percent = |it: &Option<Spanned<Percent>>| it.as_ref().map_or(0, |it| it.get_ref().0);
        if let Some(multiplier) = &it.multiplier
            && multiplier.get_ref().0 < 100
        {
            self.problem(Problem::at(
                multiplier.span(),
                "a multiplier below 100% shrinks the delay, expected at least \"100%\"",
            ));
        }
        Some(match strategy {
            "fixed-delay" => RestartStrategy::FixedDelay {
                attempts: number(&it.attempts),
                delay: time(&it.delay),
            },
            "failure-rate" => RestartStrategy::FailureRate {
                max_failures: number(&it.max_failures),
                interval: time(&it.interval),
                delay: time(&it.delay),
            },
            "exponential-delay" => RestartStrategy::ExponentialDelay {
                initial: time(&it.initial),
                max: time(&it.max),
                multiplier_percent: percent(&it.multiplier),
                jitter_percent: percent(&it.jitter),
                reset_after: time(&it.reset_after),
            },
            _ => RestartStrategy::None,
        })
    }

    pub(super) fn heartbeat(&mut self, text: &HeartbeatText) -> HeartbeatConfig {
        let defaults = HeartbeatConfig::default();
        let interval = text.interval.as_ref().map_or(defaults.interval, |it| it.get_ref().0);
        let timeout = text.timeout.as_ref().map_or(defaults.timeout, |it| it.get_ref().0);
        if timeout <= interval
            && let Some(span) = text.timeout.as_ref().or(text.interval.as_ref()).map(Spanned::span)
        {
            self.problem(Problem::at(
                span,
                "the heartbeat timeout must be longer than the interval",
            ));
        }
        HeartbeatConfig { interval, timeout, ..defaults }
    }

    pub(super) fn then(&mut self, text: &ThenText) -> Then {
        self.name("savepoint", &text.start_from, &["stop", "savepoint"]);
        let is_original_deleted = text.delete_original.as_ref().is_some_and(|it| *it.get_ref());
        if let Some(delete) = &text.delete_original
            && text.claim
        {
            let message = "a claimed savepoint belongs to the new run, so nobody deletes it";
            self.problem(Problem::at(delete.span(), message).hint("drop `claim`"));
        }
        let parallelism = text.parallelism.as_ref().map(|it| {
            let parallelism = self.at_least_one("`parallelism`", it);
            self.fits_the_slots(it.span(), parallelism);
            parallelism
        });
        Then {
            start_from: match text.start_from.get_ref().as_str() {
                "stop" => StartFrom::Stop,
                _ => StartFrom::Savepoint,
            },
            is_claiming: text.claim,
            is_rewinding: text.rewind,
            parallelism,
            is_original_deleted,
        }
    }
}
