//! How failures are answered.

use std::time::Duration;

use seawall_protocol::limits::REMEMBERED_FAILURES_MAX;

use super::{Key, old};
use crate::value::{Choice, INFINITE, Kind};

const TYPE: &str = "restart-strategy.type";
const TIME: Kind = Kind::Duration { least: Duration::ZERO };
const POSITIVE_TIME: Kind = Kind::Duration { least: Duration::from_millis(1) };

const STRATEGIES: Kind = Kind::Choice(&[
    Choice::new("none").also(&["off", "disable"]),
    Choice::new("fixed-delay").also(&["fixeddelay"]),
    Choice::new("failure-rate").also(&["failurerate"]),
    Choice::new("exponential-delay").also(&["exponentialdelay"]).old(&[(
        "restart-local-restore",
        "articles describe it, Flink never had it: restart, restore from the newest completed checkpoint; \
         there are no local copies, so each snapshot is read from execution.checkpointing.dir",
    )]),
]);

/// `restart-strategy.*`.
pub(super) const KEYS: &[Key] = &[
    Key::works(
        TYPE,
        STRATEGIES,
        None,
        "Whether and when a failed job starts again. Not set: exponential-delay when something triggers \
         checkpoints, otherwise none.",
        "Settings::restart",
    )
    .aliases(&[old("restart-strategy")]),
    Key::works(
        "restart-strategy.fixed-delay.attempts",
        Kind::Whole { least: 1, most: INFINITE },
        Some("1"),
        "Restarts in all.",
        "RestartStrategy::FixedDelay::attempts",
    )
    .needs(TYPE, &["fixed-delay"]),
    Key::works(
        "restart-strategy.fixed-delay.delay",
        TIME,
        Some("1 s"),
        "Time before each restart.",
        "RestartStrategy::FixedDelay::delay",
    )
    .needs(TYPE, &["fixed-delay"]),
    Key::works(
        "restart-strategy.failure-rate.max-failures-per-interval",
        Kind::up_to(1, REMEMBERED_FAILURES_MAX),
        Some("1"),
        "Failures within the interval that are answered with a restart.",
        "RestartStrategy::FailureRate::max_failures",
    )
    .needs(TYPE, &["failure-rate"]),
    Key::works(
        "restart-strategy.failure-rate.failure-rate-interval",
        POSITIVE_TIME,
        Some("1 min"),
        "The sliding window in which failures are counted.",
        "RestartStrategy::FailureRate::interval",
    )
    .needs(TYPE, &["failure-rate"]),
    Key::works(
        "restart-strategy.failure-rate.delay",
        TIME,
        Some("1 s"),
        "Time before each restart.",
        "RestartStrategy::FailureRate::delay",
    )
    .needs(TYPE, &["failure-rate"]),
    Key::works(
        "restart-strategy.exponential-delay.initial-backoff",
        POSITIVE_TIME,
        Some("1 s"),
        "Time before the first restart.",
        "RestartStrategy::ExponentialDelay::initial",
    )
    .needs(TYPE, &["exponential-delay"]),
    Key::works(
        "restart-strategy.exponential-delay.max-backoff",
        POSITIVE_TIME,
        Some("1 min"),
        "The longest time before a restart.",
        "RestartStrategy::ExponentialDelay::max",
    )
    .needs(TYPE, &["exponential-delay"]),
    Key::works(
        "restart-strategy.exponential-delay.backoff-multiplier",
        Kind::Factor { least: 100, most: 100_000 },
        Some("1.5"),
        "How much longer the time before a restart is than the one before.",
        "RestartStrategy::ExponentialDelay::multiplier_percent",
    )
    .needs(TYPE, &["exponential-delay"]),
    Key::works(
        "restart-strategy.exponential-delay.jitter-factor",
        Kind::Factor { least: 0, most: 100 },
        Some("0.1"),
        "The part of the time before a restart by which it varies, up and down.",
        "RestartStrategy::ExponentialDelay::jitter_percent",
    )
    .needs(TYPE, &["exponential-delay"]),
    Key::works(
        "restart-strategy.exponential-delay.reset-backoff-threshold",
        POSITIVE_TIME,
        Some("1 h"),
        "A job that runs this long without a failure starts again from the first time.",
        "RestartStrategy::ExponentialDelay::reset_after",
    )
    .needs(TYPE, &["exponential-delay"]),
    Key::absent(
        "restart-strategy.exponential-delay.attempts-before-reset-backoff",
        Kind::Whole { least: 1, most: INFINITE },
        Some("infinite"),
        "Restarts in a row before the job is given up.",
        "a limit on the restarts of exponential-delay",
    )
    .needs(TYPE, &["exponential-delay"]),
];
