//! How fast the simulator is: seeds per second and virtual time per wall time of the smoke scenarios.
//!
//! `cargo bench --bench smoke`; `SEAWALL_BENCH_SEEDS` sets the seeds of one measurement. Each figure is the
//! median of its measurements in this one process.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

use std::path::Path;
use std::time::{Duration, Instant};

use seawall_sim::run::run;
use seawall_sim::scenario::Scenario;
use seawall_sim::sweep::{default_jobs, in_parallel};

const MEASUREMENTS: usize = 5;

fn main() {
    let seeds: u64 =
        std::env::var("SEAWALL_BENCH_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(100);
    let jobs = default_jobs();
    println!("{seeds} seeds, {jobs} in parallel, median of {MEASUREMENTS} measurements");
    println!("{:<34}  {:>8}  {:>16}", "scenario", "seeds/s", "virtual : wall");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke");
    let mut paths: Vec<_> = std::fs::read_dir(&directory)
        .expect("the scenarios are part of the repository")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    paths.sort();
    for path in paths {
        let scenario = Scenario::load(&path).expect("the scenario is legal");
        let mut measured: Vec<(f64, f64)> =
            (0..MEASUREMENTS).map(|_| measure(&scenario, seeds, jobs)).collect();
        measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (rate, ratio) = measured[MEASUREMENTS / 2];
        let name = path.file_stem().expect("it has a name").to_string_lossy();
        println!("{name:<34}  {rate:>8.1}  {ratio:>14.0}x");
    }
}

/// Seeds per wall second, and virtual seconds per wall second over all threads.
fn measure(scenario: &Scenario, seeds: u64, jobs: usize) -> (f64, f64) {
    let began = Instant::now();
    let work: Vec<u64> = (1..=seeds).collect();
    let times: Vec<Duration> = in_parallel(&work, jobs, |seed| run(scenario, *seed).virtual_time);
    let elapsed = began.elapsed().as_secs_f64();
    let virtual_time: Duration = times.into_iter().sum();
    (seeds as f64 / elapsed, virtual_time.as_secs_f64() / elapsed)
}
