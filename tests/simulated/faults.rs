//! Faults happen when the scenario says, and only then.

use std::time::Duration;

use seawall_protocol::event::Event;
use seawall_sim::fault::{Fault, Nodes, Trigger, resolve};
use seawall_sim::run;
use seawall_sim::scenario::Scenario;
use seawall_sim::trace::What;

use crate::{all, scenario};

fn schedule(scenario: &Scenario, seed: u64) -> Vec<(usize, Fault)> {
    let mut stream = seawall_sim::world::Streams::new(seed).stream("faults");
    resolve(scenario, &mut |bound| stream.below(bound))
}

#[test]
fn a_fault_happens_within_the_event_it_waits_for() {
    let scenario = scenario("crash/coordinator-between-manifest-and-record");
    for seed in scenario.seeds.iter().take(3) {
        let trace = run::run(&scenario, *seed).trace;
        let is_fault = |it: &seawall_sim::trace::Entry| matches!(it.what, What::Fault(_));
        let fault = trace.entries.iter().position(is_fault).expect("it happens");
        let (event, fault) = (&trace.entries[fault - 1], &trace.entries[fault]);
        assert!(matches!(event.what, What::Event(Event::ManifestWritten { .. })), "{event:?}");
        assert_eq!(event.at, fault.at);
    }
}

#[test]
fn a_schedule_depends_on_the_seed_alone() {
    let scenario = scenario("crash/anyone-at-any-time");
    assert_eq!(schedule(&scenario, 1), schedule(&scenario, 1));
    assert_ne!(schedule(&scenario, 1), schedule(&scenario, 2));
}

#[test]
fn a_schedule_has_no_choices_left_and_ends_with_the_safety_phase() {
    for scenario in all() {
        for (_, fault) in schedule(&scenario, 1) {
            match fault.trigger {
                Trigger::At(range) => {
                    assert_eq!(range.least, range.most, "{}", scenario.name);
                    assert!(range.most < scenario.until, "{}", scenario.name);
                }
                Trigger::On(on) => {
                    let is_drawn = on.after.is_none_or(|it| it.least == it.most);
                    assert!(is_drawn, "{}", scenario.name);
                }
                Trigger::Every(_) => panic!("{}: `every` is not resolved", scenario.name),
            }
            for node in fault.verb.nodes() {
                assert!(matches!(node, Nodes::One(_)), "{}", scenario.name);
            }
        }
    }
}

#[test]
fn nothing_goes_wrong_after_the_safety_phase() {
    let mut scenario = scenario("crash/anyone-at-any-time");
    // So short that the job is still at work when everything heals.
    scenario.until = Duration::from_secs(3);
    let verdict = run::run(&scenario, 1);
    let last = verdict.trace.entries.iter().rfind(|it| matches!(it.what, What::Fault(_)));
    assert!(last.expect("faults happen").at <= scenario.until);
    assert_eq!(verdict.result, seawall_sim::verdict::Result::Holds);
}
