//! Event time in whole runs: what an idle source holds back, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use seawall_protocol::event::Event;
use seawall_sim::run::run;
use seawall_sim::scenario::{Claim, Scenario};
use seawall_sim::trace::What;
use seawall_sim::verdict::{Result as Outcome, Verdict};

fn scenario(name: &str) -> Scenario {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let path = directory.join(format!("{name}.toml"));
    Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// How often event time rose while one source of three had nothing to read.
fn rises(verdict: &Verdict) -> usize {
    let silent = Duration::from_millis(2_500)..Duration::from_secs(4);
    let entries = verdict.trace.entries.iter().filter(|it| silent.contains(&it.at));
    let is_rise =
        |what: &What| matches!(what, What::Event(Event::WatermarkAdvanced { is_idle: false, .. }));
    entries.filter(|it| is_rise(&it.what)).count()
}

// Rules: L4
#[test]
fn a_source_that_falls_silent_holds_event_time_back_until_it_is_taken_for_idle() {
    let mut scenario = scenario("time/an-idle-source-is-not-waited-for");
    scenario.faults.retain(|it| it.verb.name() == "idle_input");
    let idle = run(&scenario, 1);
    assert_eq!(idle.result, Outcome::Holds);
    scenario.workload.idle_after = None;
    let awaited = run(&scenario, 1);
    assert_eq!(awaited.result, Outcome::Holds);
    assert_eq!(rises(&awaited), 0, "it is waited for");
    assert!(rises(&idle) > 10, "event time rose {} times", rises(&idle));
}

// Rules: L6, T10
#[test]
fn what_a_barrier_overtook_is_never_late_for_having_been_restored() {
    let mut scenario = scenario("time/barriers-overtake-watermarks");
    let violated = |scenario: &Scenario| {
        let verdicts = scenario.seeds.iter().map(|seed| run(scenario, *seed));
        verdicts.filter(|it| it.violated.iter().any(|name| name == "records-in-order")).count()
    };
    assert_eq!(violated(&scenario), 0);
    // To see that it could be: restored records come behind the watermarks that were behind them.
    let (plant, property) = ("new-records-pass-the-replay".into(), "records-in-order".into());
    scenario.claim = Claim::Violates { plant, property };
    assert!(violated(&scenario) > 0, "the job would not notice");
}
