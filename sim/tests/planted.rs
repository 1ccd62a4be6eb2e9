//! Planted bugs and oracles, held against each other: each bug has someone who must find it, and the
//! oracles that no planted bug reaches are known by name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use std::time::Duration;

use seawall_sim::planted::{Outcome, Plan, campaign, page};
use seawall_sim::plants;
use seawall_sim::scenario::{Claim, Scenario};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/planted")
}

fn load(path: &Path) -> Scenario {
    Scenario::load(path).unwrap_or_else(|it| panic!("{it}"))
}

/// Every file in `scenarios/planted`.
fn scenarios() -> Vec<Scenario> {
    let entries = std::fs::read_dir(directory()).expect("it is part of the repository");
    entries.map(|it| load(&it.expect("it can be listed").path())).collect()
}

/// Plant and property of every file in `scenarios/planted`.
fn claims() -> Vec<(String, String)> {
    let claims = scenarios().into_iter().map(|scenario| match scenario.claim {
        Claim::Violates { plant, property } => (plant, property),
        Claim::Expect(_) => panic!("a file in planted/ has a plant"),
    });
    claims.collect()
}

#[test]
fn the_page_of_planted_bugs_has_a_row_for_each_that_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page::PATH);
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let scenarios = scenarios();
    page::is_of(&page, &scenarios.iter().collect::<Vec<_>>())
        .unwrap_or_else(|it| panic!("write it again with `cargo sim planted`\n{it}"));
}

fn quick(scenario: &Scenario) -> (String, Outcome) {
    let plan = Plan { sweeps: 2, seeds_max: 1, shrinking: Duration::from_millis(1), jobs: 1 };
    let bugs = campaign(&[scenario], plan);
    let page = page::page(&bugs, plan);
    page::is_of(&page, &[scenario]).expect("it is its row");
    (page, bugs[0].outcome)
}

#[test]
fn a_bug_that_is_found_in_its_budget_is_killed_and_its_failure_is_shrunk() {
    let scenario = load(&directory().join("token-is-reused.toml"));
    let (page, outcome) = quick(&scenario);
    assert_eq!(outcome, Outcome::Killed);
    assert!(page.contains("planted bugs: 1, of which 1 are killed (100 %)"), "{page}");
    assert!(page.contains("| 10 | 1 | 2/2 | 1 of 1 | 4000 of 4000 |"), "{page}");
}

/// Its own seeds, and a job that is over before the bug has a chance.
#[test]
fn a_bug_that_no_property_sees_is_reached_when_it_changes_the_trace_and_else_is_not() {
    let file = directory().join("token-is-reused.toml");
    let text = std::fs::read_to_string(file).expect("it is part of the repository");
    let calm = text[..text.find("[[fault]]").expect("it has a fault")].to_owned();
    let parse = |text: &str| Scenario::parse("planted/token-is-reused", text).expect("it is legal");
    let (page, outcome) = quick(&parse(&calm));
    assert_eq!(outcome, Outcome::NotReached, "no leader follows another");
    assert!(page.contains("| 10 | none | 0/2 | - | - | - | not reached |"), "{page}");

    let blind = text.replace("\"one-leader\"", "\"visible-stays\"");
    assert_eq!(quick(&parse(&blind)).1, Outcome::Reached, "nobody looks at leaders");
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
