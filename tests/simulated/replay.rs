//! A seed file holds a run whole: it replays byte for byte, or says where it does not.

use seawall_sim::run;
use seawall_sim::seed_file::SeedFile;
use seawall_sim::verify::replay;

use crate::scenario;

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
    assert_eq!(verdict.trace.digest(), file.digest);
}

#[test]
fn a_run_that_diverges_names_the_first_event_that_differs() {
    let (mut file, _) = recorded("smoke/worker-crash");
    file.marks[99] ^= 1;
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
