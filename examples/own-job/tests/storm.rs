//! The job in a storm: the bug of one operator is found, and the other operator holds.

use std::collections::BTreeMap;

use own_job::{Batching, Careful, Sum, order_totals};
use proptest::prelude::*;
use seawall_sim::{Input, Storm, strategies};

/// The budget: a bug that shows under faults must show within so many seeds.
const SEEDS: u64 = 20;

/// Some hundred orders of a dozen customers, and what must come of them.
fn storm<S: Sum>(name: &str, sum: S) -> Storm {
    Storm::new(name, move |at| order_totals(sum.clone(), &at.input, &at.output, at.parallelism))
        .input(|rng| {
            let orders = 100 + rng.below(400);
            (0..orders)
                .map(|_| format!("customer-{},{}", rng.below(12), 1 + rng.below(100)))
                .collect::<Vec<_>>()
        })
        .seeds(0..SEEDS)
}

/// The totals of each customer, in three lines and without any operator.
fn totals(input: &Input) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for (customer, amount) in input.lines().filter_map(|it| it.split_once(',')) {
        *totals.entry(customer.to_owned()).or_default() += amount.parse::<u64>().unwrap_or(0);
    }
    totals
}

fn lines(input: &Input) -> Vec<String> {
    totals(input).iter().map(|(customer, total)| format!("{customer},{total}")).collect()
}

#[test]
fn the_careful_operator_holds() {
    storm("careful", Careful).reference(lines).state("sum", totals).run();
}

#[test]
fn a_total_that_waits_in_a_field_is_found_in_the_output() {
    let failure = storm("batching-output", Batching::default())
        .reference(lines)
        .sweep()
        .expect_err("within the budget");
    assert!(failure.verdict.violates("exactly-once-output"), "{failure}");
    assert!(failure.verdict.counts.recoveries > 0, "only a failure shows it: {failure}");
}

#[test]
fn a_total_that_waits_in_a_field_is_found_in_the_first_checkpoint_without_it() {
    let failure = storm("batching-state", Batching::default())
        .reference(lines)
        .state("sum", totals)
        .sweep()
        .expect_err("within the budget");
    assert!(failure.verdict.violates("exactly-once-state"), "{failure}");
}

#[test]
fn without_a_reference_the_run_without_faults_convicts_it_too() {
    let failure =
        storm("batching-calm", Batching::default()).sweep().expect_err("within the budget");
    assert!(failure.verdict.violates("exactly-once-output"), "{failure}");
}

#[test]
fn an_invariant_convicts_it_too() {
    let failure = storm("batching-invariant", Batching::default())
        .invariant(|input, committed| {
            let lines = committed.iter().flat_map(|file| &file.lines);
            let amount = |line: &Vec<u8>| -> u64 {
                let line = String::from_utf8_lossy(line);
                line.split_once(',').and_then(|(_, total)| total.parse().ok()).unwrap_or(0)
            };
            assert_eq!(lines.map(amount).sum::<u64>(), totals(input).values().sum::<u64>());
            Ok(())
        })
        .sweep()
        .expect_err("within the budget");
    assert!(failure.verdict.violates("invariant"), "{failure}");
}

#[test]
fn what_was_found_can_be_replayed() {
    let storm = storm("batching-replay", Batching::default()).reference(lines);
    let failure = storm.sweep().expect_err("within the budget");
    let again =
        storm.replay(failure.seed_file.expect("it was written")).expect_err("it is still there");
    assert_eq!(again.verdict.trace, failure.verdict.trace, "byte for byte");
}

proptest! {
    // The budget of a property is its cases; what fails shrinks, and stays in `storm.proptest-regressions`.
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_storm_changes_a_total(
        seed in 0..1_000_u64,
        (settings, faults) in strategies::storm(),
    ) {
        storm("careful-property", Careful).reference(lines).check(seed, &settings, &faults)?;
    }
}
