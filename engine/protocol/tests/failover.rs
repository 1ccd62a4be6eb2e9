//! Restart strategies against their closed forms (O9).

use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::Attempt;
use seawall_protocol::config::RestartStrategy;
use seawall_protocol::coordinator::{Delay, Effect, Timer};
use seawall_protocol::failover::{Decision, Failover};
use seawall_protocol::limits::REMEMBERED_FAILURES_MAX;

const DELAY: Duration = Duration::from_secs(3);

fn decide(failover: &mut Failover) -> Option<Delay> {
    match failover.decide(false, &mut Vec::new()) {
        Decision::Restart(delay) => Some(delay),
        Decision::GiveUp => None,
    }
}

fn any_strategy() -> impl Strategy<Value = RestartStrategy> {
    let seconds = |range: std::ops::Range<u64>| range.prop_map(Duration::from_secs);
    prop_oneof![
        Just(RestartStrategy::None),
        (any::<u32>(), seconds(0..u64::MAX))
            .prop_map(|(attempts, delay)| RestartStrategy::FixedDelay { attempts, delay }),
        (any::<u32>(), seconds(0..100), seconds(0..100)).prop_map(
            |(max_failures, interval, delay)| RestartStrategy::FailureRate {
                max_failures,
                interval,
                delay,
            }
        ),
        (seconds(0..u64::MAX), seconds(0..u64::MAX), any::<u32>(), any::<u32>()).prop_map(
            |(initial, max, multiplier_percent, jitter_percent)| {
                RestartStrategy::ExponentialDelay {
                    initial,
                    max,
                    multiplier_percent,
                    jitter_percent,
                    reset_after: DELAY,
                }
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // Rules: O9
    #[test]
    fn a_fixed_delay_restarts_exactly_as_often_as_allowed(attempts in 0..20_u32, failures in 0..40_u32) {
        let mut failover = Failover::new(RestartStrategy::FixedDelay { attempts, delay: DELAY });
        for failure in 1..=failures {
            let expected = (failure <= attempts).then_some(Delay::exactly(DELAY));
            prop_assert_eq!(decide(&mut failover), expected);
        }
    }

    /// The reference keeps the times of failures and counts those within the window.
    // Rules: O9
    #[test]
    fn a_failure_rate_gives_up_when_more_than_allowed_fall_within_the_window(
        max_failures in 0..6_u32,
        gaps in prop::collection::vec(0..40_u64, 1..40),
    ) {
        let interval = Duration::from_mins(1);
        let strategy = RestartStrategy::FailureRate { max_failures, interval, delay: DELAY };
        let mut failover = Failover::new(strategy);
        let (mut now, mut timers, mut times) = (0, Vec::new(), Vec::new());
        for gap in gaps {
            now += gap;
            timers.retain(|(at, failure)| {
                let is_due = *at <= now;
                if is_due {
                    assert!(failover.on_forgotten(*failure), "armed, so known");
                    assert!(!failover.on_forgotten(*failure), "known once");
                }
                !is_due
            });
            times.push(now);
            let in_window = times.iter().filter(|at| **at + 60 > now).count();
            let mut effects = Vec::new();
            let decision = failover.decide(false, &mut effects);
            if in_window > max_failures as usize {
                prop_assert_eq!(decision, Decision::GiveUp);
                break;
            }
            prop_assert_eq!(decision, Decision::Restart(Delay::exactly(DELAY)));
            let [Effect::Arm(Timer::FailureForgotten(failure), delay)] = effects[..] else {
                panic!("{effects:?}");
            };
            prop_assert_eq!(delay, Delay::exactly(interval));
            timers.push((now + 60, failure));
        }
    }

    /// `initial * multiplier^n`, at most `max`, and from the start after a stable period.
    // Rules: O9
    #[test]
    fn an_exponential_delay_grows_to_its_bound_and_resets_when_stable(
        initial in 1..1_000_u64,
        max in 1..100_000_u64,
        factor in 1..5_u32,
        jitter_percent in 0..=100_u32,
        stable_before in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let mut failover = Failover::new(RestartStrategy::ExponentialDelay {
            initial: Duration::from_millis(initial),
            max: Duration::from_millis(max),
            multiplier_percent: factor * 100,
            jitter_percent,
            reset_after: DELAY,
        });
        let mut in_a_row = 0;
        for is_stable in stable_before {
            if is_stable {
                failover.on_stable();
                in_a_row = 0;
            }
            let grown = u64::from(factor).saturating_pow(in_a_row).saturating_mul(initial);
            let delay = Duration::from_millis(grown.min(max));
            let jitter = delay * jitter_percent / 100;
            let expected = Delay {
                least: delay.saturating_sub(jitter),
                most: (delay + jitter).min(Duration::from_millis(max)),
            };
            prop_assert_eq!(decide(&mut failover), Some(expected));
            in_a_row += 1;
        }
    }

    // Rules: O9
    #[test]
    fn any_strategy_answers_any_number_of_failures_in_bounded_memory(
        strategy in any_strategy(),
        failures in 0..200_usize,
    ) {
        let mut failover = Failover::new(strategy);
        let mut armed = 0;
        for _ in 0..failures {
            let mut effects = Vec::new();
            if let Decision::Restart(delay) = failover.decide(false, &mut effects) {
                prop_assert!(delay.least <= delay.most);
            }
            armed += effects.len();
        }
        prop_assert!(armed <= REMEMBERED_FAILURES_MAX);
    }

    // Rules: O9
    #[test]
    fn a_fatal_failure_never_restarts(strategy in any_strategy()) {
        let mut failover = Failover::new(strategy);
        prop_assert_eq!(failover.decide(true, &mut Vec::new()), Decision::GiveUp);
    }
}

// Rules: O9
#[test]
fn only_the_exponential_strategy_watches_for_stability() {
    let mut effects = Vec::new();
    let strategies = [
        RestartStrategy::None,
        RestartStrategy::FixedDelay { attempts: 1, delay: DELAY },
        RestartStrategy::FailureRate { max_failures: 1, interval: DELAY, delay: DELAY },
    ];
    for strategy in strategies {
        Failover::new(strategy).on_started(Attempt(1), &mut effects);
    }
    assert_eq!(effects, []);
    let failover = Failover::new(RestartStrategy::default());
    failover.on_started(Attempt(1), &mut effects);
    failover.on_failing(Attempt(1), &mut effects);
    let stable = Timer::Stable(Attempt(1));
    let hour = Delay::exactly(Duration::from_hours(1));
    assert_eq!(effects, [Effect::Arm(stable, hour), Effect::Disarm(stable)]);
}
