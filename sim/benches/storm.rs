//! How fast the simulator is, and how much memory one run needs.
//!
//! `cargo bench -p seawall-sim --bench storm`; `SEAWALL_BENCH_SEEDS` sets the seeds of one measurement of the
//! smoke scenarios, a tenth of it those of the deep swarm. Each figure is the median of its measurements in this
//! one process. Goals on two cores: 100 smoke seeds a second, 5 deep ones, 1,000 times faster than the wall
//! clock under load and 10,000 times when idle, 100 MiB.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

use std::path::Path;
use std::time::{Duration, Instant};

use seawall_sim::run::run;
use seawall_sim::scenario::Scenario;
use seawall_sim::swarm::{self, Profile};
use seawall_sim::sweep::{default_jobs, in_parallel};
use seawall_sim::verdict::{Counts, Verdict};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MEASUREMENTS: usize = 5;

/// A job that has next to nothing to do for a minute.
const IDLE: &str = r#"about = "A job that idles."
expect = ["recovers"]
seeds = [1]
until = "2min"
[job]
name = "ledger"
parallelism = 2
records = 60
keys = 10
rate = "1/s"
[cluster]
workers = 2
slots_per_worker = 1
[checkpoint]
interval = "20s"
timeout = "10s"
[heartbeat]
interval = "10s"
timeout = "50s"
"#;

fn main() {
    let seeds: u64 =
        std::env::var("SEAWALL_BENCH_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(100);
    let jobs = default_jobs();
    println!("{seeds} seeds, {jobs} in parallel, median of {MEASUREMENTS} measurements");
    println!(
        "{:<34}  {:>8}  {:>16}  {:>11}  {:>6}  {:>8}",
        "scenario", "seeds/s", "virtual : wall", "checkpoints", "faults", "held"
    );
    // The memory of one run first: the peak of a process never falls.
    let before = peak_kib();
    let alone = run(&swarm::scenario(Profile::Deep, 1), 1);
    let memory = peak_kib();
    for scenario in smoke() {
        let name = scenario.name.clone();
        measure(&name, seeds, jobs, |seed| run(&scenario, seed));
    }
    measure("swarm/quick", seeds, jobs, |seed| run(&swarm::scenario(Profile::Quick, seed), seed));
    measure("swarm/deep", (seeds / 10).max(1), jobs, |seed| {
        run(&swarm::scenario(Profile::Deep, seed), seed)
    });
    let idle = Scenario::parse("bench/idle", IDLE).expect("it is legal");
    measure("idle", seeds.min(20), jobs, |seed| run(&idle, seed));
    let records = alone.counts.checkpoints;
    println!(
        "one deep run ({records} checkpoints) in a process of its own: {:.1} MiB at most, {:.1} before it",
        memory as f64 / 1024.0,
        before as f64 / 1024.0
    );
}

fn smoke() -> Vec<Scenario> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke");
    let mut paths: Vec<_> = std::fs::read_dir(&directory)
        .expect("the scenarios are part of the repository")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    paths.sort();
    paths.iter().map(|it| Scenario::load(it).expect("the scenario is legal")).collect()
}

/// Prints seeds per wall second and virtual seconds per wall second over all threads, and what a run puts to
/// the test on average.
fn measure(name: &str, seeds: u64, jobs: usize, one: impl Fn(u64) -> Verdict + Sync) {
    let mut measured = Vec::new();
    let (mut counts, mut held) = (Counts::default(), 0);
    let work: Vec<u64> = (1..=seeds).collect();
    for _ in 0..MEASUREMENTS {
        let began = Instant::now();
        let verdicts = in_parallel(&work, jobs, |seed| {
            let verdict = one(*seed);
            let is_held = verdict.result == seawall_sim::verdict::Result::Holds;
            (verdict.virtual_time, verdict.counts, is_held)
        });
        let elapsed = began.elapsed().as_secs_f64();
        let virtual_time: Duration = verdicts.iter().map(|(time, _, _)| *time).sum();
        measured.push((seeds as f64 / elapsed, virtual_time.as_secs_f64() / elapsed));
        (counts, held) = (Counts::default(), 0);
        for (_, one, is_held) in verdicts {
            counts += one;
            held += usize::from(is_held);
        }
    }
    measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (rate, ratio) = measured[MEASUREMENTS / 2];
    let average = |it: u64| it as f64 / seeds as f64;
    println!(
        "{name:<34}  {rate:>8.1}  {ratio:>14.0}x  {:>11.1}  {:>6.1}  {held:>4} of {seeds}",
        average(counts.checkpoints),
        average(counts.faults)
    );
}

/// The most memory that this process ever had resident, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
