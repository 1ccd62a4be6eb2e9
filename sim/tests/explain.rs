//! An explanation names the faults that a failure needs, the event after which nothing could save it, and
//! what lies between.

use std::path::Path;
use std::time::Duration;

use seawall_sim::explain::{Explanation, Inevitable, Need, explain};
use seawall_sim::fault::{Each, Fault, Nodes, On, SlowDisk, Trigger};
use seawall_sim::run;
use seawall_sim::scenario::quantity::TimeRange;
use seawall_sim::scenario::{Node, Scenario};
use seawall_sim::seed_file::SeedFile;

fn planted(name: &str) -> Scenario {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/planted");
    Scenario::load(&directory.join(format!("{name}.toml"))).unwrap_or_else(|it| panic!("{it}"))
}

/// The explanation of the first seed, with these faults besides the scenario's own.
fn explained(scenario: &Scenario, more: Vec<Fault>) -> Explanation {
    let seed = scenario.seeds[0];
    let mut schedule = run::run(scenario, seed).schedule;
    schedule.extend(more);
    let verdict = run::run_with(scenario, seed, schedule);
    explain(&SeedFile::of(scenario, &verdict), 2).unwrap_or_else(|it| panic!("{it}"))
}

fn slow_disk(at: Duration) -> Fault {
    let exactly = |millis: u64| TimeRange::exactly(Duration::from_millis(millis));
    let node = Nodes::One(Node::Worker(1));
    let slow = SlowDisk { node, latency: Each(exactly(2)), lasts: Some(exactly(50)) };
    Fault { trigger: Trigger::At(TimeRange::exactly(at)), verb: slow.into() }
}

#[test]
fn a_fault_that_is_needed_is_told_from_those_that_are_not() {
    let scenario = planted("token-is-reused");
    let never = On::event("job-failed");
    let slow = slow_disk(Duration::from_millis(700));
    let absent = Fault { trigger: Trigger::On(never), verb: slow.verb.clone() };
    let explanation = explained(&scenario, vec![slow, absent]);
    let needs: Vec<Need> = explanation.faults.iter().map(|it| it.need).collect();
    assert!(matches!(needs[0], Need::Needed { .. }), "{explanation}");
    assert_eq!(needs[1..], [Need::NotNeeded, Need::NeverBegan], "{explanation}");
    assert_eq!(explanation.faults[0].without.as_deref(), Some("holds"));
    assert!(explanation.is_sufficient, "{explanation}");
}

#[test]
fn faults_that_stand_in_for_each_other_are_not_needed_and_leave_nothing_sufficient() {
    let scenario = planted("token-is-reused");
    let own = run::run(&scenario, scenario.seeds[0]).schedule.remove(0);
    let Trigger::On(on) = &own.trigger else { panic!("it waits for an event") };
    let next = On { checkpoint: on.checkpoint.map(|it| it + 2), ..on.clone() };
    let again = Fault { trigger: Trigger::On(next), verb: own.verb.clone() };
    let explanation = explained(&scenario, vec![again]);
    assert!(explanation.faults.iter().all(|it| it.need == Need::NotNeeded), "{explanation}");
    assert!(!explanation.is_sufficient, "{explanation}");
}

#[test]
fn a_failure_is_inevitable_from_the_fault_that_does_the_harm() {
    let explanation =
        explained(&planted("token-is-reused"), vec![slow_disk(Duration::from_millis(700))]);
    let Inevitable::Event { lines, is_monotone, .. } = &explanation.inevitable else {
        panic!("{explanation}")
    };
    assert!(is_monotone, "{explanation}");
    assert!(
        lines.last().is_some_and(|it| it.contains("FAULT") && it.contains("crash coordinator"))
    );
}

#[test]
fn a_failure_without_faults_is_inevitable_from_the_start() {
    let explanation = explained(&planted("commit-with-the-snapshot"), Vec::new());
    assert_eq!(explanation.inevitable, Inevitable::Start, "{explanation}");
}

#[test]
fn a_chain_leads_from_the_fault_to_the_violation() {
    for name in ["token-is-reused", "newest-checkpoint-is-skipped", "worker-outlives-its-leader"] {
        let explanation = explained(&planted(name), Vec::new());
        let chain = &explanation.chain;
        assert!((2..=15).contains(&chain.len()), "{explanation}");
        assert!(chain.windows(2).all(|it| it[0].number < it[1].number), "{explanation}");
        assert!(chain.iter().any(|it| it.line.contains("FAULT")), "{explanation}");
        assert_eq!(chain.iter().filter(|it| it.why == "violation").count(), 1, "{explanation}");
    }
}

#[test]
fn a_run_that_holds_has_nothing_to_explain() {
    let scenario = planted("token-is-reused");
    let verdict = run::run_with(&scenario, 1, Vec::new());
    let error = explain(&SeedFile::of(&scenario, &verdict), 2).unwrap_err();
    assert!(error.contains("does not fail: holds\nhint: "), "{error}");
}
