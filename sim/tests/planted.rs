//! Planted bugs and oracles, held against each other: each bug has someone who must find it, and the
//! oracles that no planted bug reaches are known by name.

use std::collections::BTreeSet;
use std::path::Path;

use seawall_sim::plants;
use seawall_sim::scenario::{Claim, Scenario};

/// Plant and property of every file in `scenarios/planted`.
fn claims() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/planted");
    let mut claims = Vec::new();
    for entry in std::fs::read_dir(directory).expect("it is part of the repository") {
        let scenario =
            Scenario::load(&entry.expect("it can be listed").path()).expect("it is legal");
        match scenario.claim {
            Claim::Violates { plant, property } => claims.push((plant, property)),
            Claim::Expect(_) => panic!("a file in planted/ has a plant"),
        }
    }
    claims
}

#[test]
fn every_planted_bug_is_sought_by_a_scenario_or_a_model() {
    let in_scenarios: BTreeSet<String> = claims().into_iter().map(|(plant, _)| plant).collect();
    for plant in plants::all() {
        let in_model =
            seawall_models::plants::find(plant.name).is_some_and(|it| it.model.is_some());
        assert!(in_model || in_scenarios.contains(plant.name), "nobody looks for {}", plant.name);
    }
}

/// These three have hand-written histories that violate them, in `seawall-spec`. The engine masks the bugs
/// that would show them: no hook reaches what counts acks, or what knows a transaction as restored, and a
/// zombie that wakes hears its own timeout first.
#[test]
fn the_oracles_that_no_planted_bug_reaches_are_these() {
    let reached: BTreeSet<String> = claims().into_iter().map(|(_, property)| property).collect();
    let unreached: Vec<&str> = seawall_spec::ALL
        .iter()
        .map(|property| property.name)
        .filter(|name| !reached.contains(*name))
        .collect();
    assert_eq!(
        BTreeSet::from_iter(unreached),
        BTreeSet::from(["all-acked", "commit-once", "one-owner"])
    );
}
