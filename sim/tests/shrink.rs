//! A failing run becomes a small one that fails in the same way, and whoever reads it can trust it.

use std::path::Path;
use std::time::Duration;

use seawall_sim::fault::{
    Crash, Each, Fault, Nodes, Partition, Pause, Side, SlowCheckpoint, SlowDisk, Trigger, Verb,
};
use seawall_sim::run;
use seawall_sim::scenario::quantity::TimeRange;
use seawall_sim::scenario::{Node, Scenario};
use seawall_sim::seed_file::{Expected, SeedFile};
use seawall_sim::shrink::{Limits, Shrunk, Signature, Size, shrink};
use seawall_sim::verdict::Verdict;
use seawall_sim::verify::replay;

/// Far more than it takes.
const TIME: Duration = Duration::from_mins(5);

fn planted(name: &str) -> Scenario {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/planted");
    Scenario::load(&directory.join(format!("{name}.toml"))).unwrap_or_else(|it| panic!("{it}"))
}

/// The first of the scenario's seeds that fails.
fn failing(scenario: &Scenario) -> Verdict {
    let mut verdicts = scenario.seeds.iter().map(|seed| run::run(scenario, *seed));
    verdicts.find(|it| Signature::of(it).is_some()).expect("one of its seeds finds the bug")
}

fn shrunk(file: &SeedFile) -> Shrunk {
    shrink(file, &Limits::quietly(TIME)).unwrap_or_else(|it| panic!("{it}"))
}

/// Faults of all kinds in the first seconds, as a storm would have them.
fn noise(count: u64) -> impl Iterator<Item = Fault> {
    (0..count).map(|number| {
        let worker = Nodes::One(Node::Worker(u32::try_from(number % 3 + 1).expect("small")));
        let millis = |it: u64| TimeRange::exactly(Duration::from_millis(it));
        let short = Some(millis(20 + number * 7));
        let verb: Verb = match number % 5 {
            0 => SlowDisk { node: worker, latency: Each(millis(3)), lasts: short }.into(),
            1 => Pause { node: worker, resume_after: short }.into(),
            2 => Partition {
                from: Side(vec![worker]),
                to: Side(vec![Nodes::One(Node::Coordinator)]),
                both: number.is_multiple_of(2),
                heal_after: short,
            }
            .into(),
            3 => SlowCheckpoint { node: worker, stall: millis(30 + number), phase: None }.into(),
            _ => Crash { node: worker, restart_after: short, again_after: None, leaving: None }
                .into(),
        };
        Fault { trigger: Trigger::At(millis(300 + number * 331)), verb }
    })
}

/// A planted bug that needs a fault, in a storm of 25 others.
fn in_a_storm() -> SeedFile {
    let scenario = planted("token-is-reused");
    let calm = failing(&scenario);
    let signature = Signature::of(&calm);
    let mut schedule = calm.schedule;
    schedule.extend(noise(25));
    let stormy = (0..20).map(|seed| run::run_with(&scenario, seed, schedule.clone()));
    let verdict = stormy.into_iter().find(|it| Signature::of(it) == signature);
    SeedFile::of(&scenario, &verdict.expect("one of the seeds fails alike"))
}

#[test]
fn a_bug_in_a_storm_of_faults_shrinks_to_three_faults_or_fewer_and_replays() {
    let file = in_a_storm();
    let small = shrunk(&file);
    assert!(small.is_minimal, "{small}");
    assert_eq!(small.before.faults, 26);
    assert!((1..=3).contains(&small.after.faults), "{small}");
    assert!(small.after < small.before, "{small}");

    let text = small.file.to_text();
    let read = SeedFile::parse("small.seed.toml", &text).unwrap_or_else(|it| panic!("{it}"));
    assert_eq!(read, small.file);
    let (verdict, outcome) = replay(&read);
    assert_eq!(outcome, Ok(()));
    assert!(small.signature.is_of(&verdict));
    let alone = run::run(&read.scenario, read.seed);
    assert_eq!(alone.trace.digest(), verdict.trace.digest(), "the scenario says all");
}

#[test]
fn what_is_left_waits_for_events_and_not_for_the_clock() {
    let small = shrunk(&in_a_storm());
    for fault in &small.file.schedule {
        assert!(matches!(fault.trigger, Trigger::On(_)), "{small}");
    }
}

#[test]
fn the_result_does_not_depend_on_how_many_runs_go_on_at_a_time() {
    let scenario = planted("lingering-transactions-stay");
    let file = SeedFile::of(&scenario, &failing(&scenario));
    let one = shrink(&file, &Limits { jobs: 1, ..Limits::quietly(TIME) }).unwrap();
    let many = shrink(&file, &Limits { jobs: 5, ..Limits::quietly(TIME) }).unwrap();
    assert_eq!((one.file.to_text(), one.runs), (many.file.to_text(), many.runs));
}

#[test]
fn a_search_that_is_stopped_has_the_best_so_far() {
    let scenario = planted("worker-outlives-its-leader");
    let verdict = failing(&scenario);
    let file = SeedFile::of(&scenario, &verdict);
    let stopped = Limits { is_stopped: &|| true, ..Limits::quietly(TIME) };
    let same = shrink(&file, &stopped).unwrap();
    assert!(!same.is_minimal);
    assert_eq!((same.after, same.file.seed), (same.before, file.seed));
    assert_eq!(same.verdict.trace.digest(), verdict.trace.digest());
}

#[test]
fn a_run_that_holds_has_nothing_to_shrink() {
    let scenario = planted("worker-outlives-its-leader");
    let verdict = run::run_with(&scenario, 1, Vec::new());
    let file = SeedFile::of(&scenario, &verdict);
    assert_eq!(file.expected, Expected { result: "holds".to_owned(), property: None });
    let error = shrink(&file, &Limits::quietly(TIME)).unwrap_err();
    assert!(error.contains("does not fail: holds\nhint: "), "{error}");
}

#[test]
fn fewer_faults_count_before_fewer_records_and_these_before_fewer_nodes() {
    let size = |faults, records, workers| Size {
        faults,
        records,
        keys: 1,
        workers,
        parallelism: 1,
        settings: 0,
        until: Duration::from_secs(1),
    };
    assert!(size(1, 9, 9) < size(2, 1, 1));
    assert!(size(1, 1, 9) < size(1, 2, 1));
}
