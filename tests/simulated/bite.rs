//! Every kind of fault bites: it changes something that its entry in the catalogue names, against the same
//! run without it. A fault that changes nothing proves nothing.

use seawall_sim::fault::kinds::{Bite, KINDS, Kind};
use seawall_sim::run;
use seawall_sim::scenario::Scenario;
use seawall_sim::sweep::{default_jobs, in_parallel};
use seawall_sim::trace::{Entry, What};
use seawall_sim::verdict::{Result as Outcome, Verdict};
use seawall_sim::workload::Prepared;

/// Seeds until a kind must have bitten: a draw may choose a link that carries nothing.
const SEEDS: u64 = 12;

fn base(kind: &Kind) -> String {
    let reads_files = kind.jobs.contains(&"access-log");
    let job = if reads_files { "access-log" } else { "ledger" };
    let setting = if kind.is_setting() { kind.spelling } else { "" };
    let files = if reads_files { "files = 3\n" } else { "" };
    format!(
        "about = \"A job for one kind of fault.\"
expect = [\"recovers\"]
seeds = [1]
until = \"20s\"
[job]
name = \"{job}\"
parallelism = 3
records = 6_000
keys = 3_000
rate = \"1200/s\"
{files}{setting}
[cluster]
workers = 3
slots_per_worker = 2
[checkpoint]
interval = \"300ms\"
timeout = \"5s\"
retained = 2
tolerable_failures = 1_000
[restart]
strategy = \"fixed-delay\"
attempts = 100_000
delay = \"100ms\"
"
    )
}

/// The scenario of this kind alone, and the one without it.
fn pair(kind: &Kind) -> (Scenario, Scenario) {
    let without = base(&Kind { spelling: "{", ..*kind });
    let mut with = base(kind);
    if !kind.is_setting() {
        let trigger = match kind.trigger {
            Some(trigger) => format!("on = {{ {trigger}, nth = 2 }}"),
            // In the middle of a checkpoint, when most of everything is under way.
            None => "on = { event = \"snapshot-taken\", checkpoint = 3, nth = 1 }".to_owned(),
        };
        with = format!("{with}[[fault]]\n{trigger}\n{}\n", kind.spelling);
    }
    let parse = |text: &str| {
        Scenario::parse(&format!("bite/{}", kind.name), text).unwrap_or_else(|it| panic!("{it}"))
    };
    (parse(&with), parse(&without))
}

fn events(verdict: &Verdict, name: &str) -> usize {
    let is_it = |it: &&Entry| matches!(&it.what, What::Event(event) if event.name() == name);
    verdict.trace.entries.iter().filter(is_it).count()
}

fn bites(kind: &Kind, seed: u64) -> bool {
    let (with, without) = pair(kind);
    let with = run::run(&with, seed);
    let compared = || run::run(&without, seed);
    match kind.bite {
        Bite::Strike(name) => {
            let strikes = |it: &Verdict| it.strikes.get(name).copied().unwrap_or(0);
            strikes(&with) > strikes(&compared())
        }
        Bite::Struck => with.trace.entries.iter().any(|it| matches!(it.what, What::Struck(_))),
        Bite::Event(name) => events(&with, name) > 0 && events(&compared(), name) == 0,
        Bite::More(name) => events(&with, name) > events(&compared(), name),
        Bite::Course => with.trace.digest() != compared().trace.digest(),
        Bite::Slower => with.virtual_time > compared().virtual_time,
        Bite::Output => {
            // The job is the same; what it wrote is what its reference says of another input.
            with.result == Outcome::Holds && compared().result == Outcome::Holds && {
                let (with, without) = pair(kind);
                Prepared::of(&with, seed).files != Prepared::of(&without, seed).files
            }
        }
    }
}

#[test]
fn every_kind_of_fault_changes_what_its_entry_names() {
    let missed: Vec<_> = in_parallel(KINDS, default_jobs(), |kind| {
        let is_bitten = (1..=SEEDS).any(|seed| bites(kind, seed));
        (!is_bitten).then_some(kind.name)
    });
    let missed: Vec<_> = missed.into_iter().flatten().collect();
    assert!(missed.is_empty(), "no seed of {SEEDS} is bitten by: {}", missed.join(", "));
}
