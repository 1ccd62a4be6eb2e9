//! A seed file holds a run whole: it replays byte for byte, or says where it does not.

use std::time::Duration;

use seawall_sim::run;
use seawall_sim::seed_file::{Expected, SeedFile};
use seawall_sim::trace::What;
use seawall_sim::verdict::Result as Outcome;
use seawall_sim::verify::{self, Loaded, replay};

use crate::{directory, scenario};

const EVERYTHING: &str = "everything: the liveness phase begins";

fn recorded(name: &str) -> (SeedFile, String) {
    let scenario = scenario(name);
    let verdict = run::run(&scenario, scenario.seeds[0]);
    let file = SeedFile::of(&scenario, &verdict);
    let text = file.to_text();
    (file, text)
}

#[test]
fn a_seed_file_is_read_as_it_was_written() {
    for name in ["crash/everything-at-once", "network/slow-link", "disk/errors-and-crashes"] {
        let (file, text) = recorded(name);
        let read = SeedFile::parse("run.seed.toml", &text).unwrap_or_else(|it| panic!("{it}"));
        assert_eq!(read, file, "{name}");
        assert_eq!(read.to_text(), text, "{name}");
    }
}

#[test]
fn a_run_with_a_planted_bug_replays_to_the_same_violation() {
    let (file, text) = recorded("planted/last-record-is-read-again");
    assert_eq!(file.expected.property.as_deref(), Some("exactly-once-output"));
    let read = SeedFile::parse("run.seed.toml", &text).unwrap_or_else(|it| panic!("{it}"));
    let (verdict, outcome) = replay(&read);
    assert_eq!(outcome, Ok(()));
    assert_eq!(Some(verdict.trace.digest()), file.footprint.map(|it| it.digest));
}

#[test]
fn a_run_that_diverges_names_the_first_event_that_differs() {
    let (mut file, _) = recorded("smoke/worker-crash");
    file.footprint.as_mut().unwrap().marks[99] ^= 1;
    let (_, outcome) = replay(&file);
    let (code, message) = outcome.unwrap_err();
    assert_eq!(code, 3);
    assert!(message.starts_with("diverged from the recorded run at event 100 of"), "{message}");
}

#[test]
fn another_schedule_is_another_run() {
    let (mut file, _) = recorded("smoke/worker-crash");
    file.schedule.clear();
    let (_, outcome) = replay(&file);
    assert_eq!(outcome.unwrap_err().0, 3);
}

/// The first seed of each scenario there, and each seed file; `cargo verify` runs all seeds.
#[test]
fn every_regression_keeps_its_verdict() {
    let found = verify::find(&[directory().join("regression")]).unwrap();
    let loaded = verify::load(&found).unwrap_or_else(|it| panic!("{}", it[0]));
    assert!(loaded.iter().any(|it| matches!(it, Loaded::Seed(..))));
    for one in &loaded {
        let (found, expected) = match one {
            Loaded::Seed(_, file) => (replay(file).0, file.expected.clone()),
            Loaded::Scenario(scenario) => {
                (run::run(scenario, scenario.seeds[0]), Expected::of(&Outcome::Holds))
            }
            Loaded::Swarm(_) => unreachable!("a directory holds files"),
        };
        assert_eq!(Expected::of(&found.result), expected, "{}: {:?}", one.name(), found.result);
    }
}

#[test]
fn a_run_that_is_healed_early_is_the_same_run_until_then() {
    let scenario = scenario("network/partitions-and-a-crash");
    let seed = scenario.seeds[0];
    let whole = run::run(&scenario, seed);
    let entries = &whole.trace.entries;
    let begun = whole.begun.iter().flatten().min().expect("it has faults");
    let heal_at = entries[*begun].at + Duration::from_nanos(1);
    let healed = run::run_healed(&scenario, seed, whole.schedule.clone(), Some(heal_at));
    let before = entries.iter().take_while(|it| it.at < heal_at).count();
    assert_eq!(healed.trace.entries[..before], entries[..before]);
    let next = &healed.trace.entries[before];
    assert_eq!(next.what, What::Healed(EVERYTHING.to_owned()));
}
