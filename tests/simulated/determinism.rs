//! The same seed is the same run: alone, twice, and among others.

use seawall_sim::{run, sweep};

use crate::all;

// Rules: A9
#[test]
fn every_scenario_is_the_same_run_alone_and_in_a_parallel_batch() {
    let scenarios = all();
    let digest = |scenario: &seawall_sim::scenario::Scenario| {
        run::run(scenario, scenario.seeds[0]).trace.digest()
    };
    // More at a time than there are cores, so that they disturb each other as much as they can.
    let together = sweep::in_parallel(&scenarios, 8, digest);
    for (scenario, together) in scenarios.iter().zip(together) {
        assert_eq!(digest(scenario), together, "{} differs", scenario.name);
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let scenario = crate::scenario("smoke/worker-crash");
    let digests: std::collections::BTreeSet<u64> =
        (1..=5).map(|seed| run::run(&scenario, seed).trace.digest()).collect();
    assert_eq!(digests.len(), 5);
}
