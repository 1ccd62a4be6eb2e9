//! Whether guidance finds planted bugs sooner than the swarm alone.
//!
//! `cargo bench -p seawall-sim --bench guided` prints the table of `docs/guided.md`; with names of planted bugs
//! behind `--`, of these alone. `SEAWALL_BENCH_RUNS` is the budget of one search (150), `SEAWALL_BENCH_BASES` how
//! many base seeds each bug gets (3).
//!
//! A guided search begins with a round of the swarm's own scenarios. What is found there is found alike, and is
//! not searched twice.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use seawall_sim::guided::{ROUND, runs_to_find};
use seawall_sim::plants::{self, Plant};
use seawall_sim::swarm::Profile;
use seawall_sim::sweep::{default_jobs, in_parallel};

fn main() {
    let setting = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default)
    };
    let (budget, bases) = (setting("SEAWALL_BENCH_RUNS", 150), setting("SEAWALL_BENCH_BASES", 3));
    let jobs = setting("SEAWALL_BENCH_JOBS", default_jobs());
    let names: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let chosen: Vec<Plant> = plants::all()
        .into_iter()
        .filter(|it| names.is_empty() || names.iter().any(|name| name == it.name))
        .collect();
    println!("{budget} runs at most, {bases} base seeds\n");
    println!("| planted bug | found by the swarm | median runs | found guided | median runs |");
    println!("|---|--:|--:|--:|--:|");
    let rows = in_parallel(&chosen, jobs, |plant| {
        let searches = (0..bases as u64).map(|it| search(*plant, 1 + 1_000 * it, budget));
        searches.unzip()
    });
    for (plant, (swarm, guided)) in chosen.iter().zip(rows) {
        let [swarm, guided] = [swarm, guided].map(|it| show(it, budget));
        println!("| {} | {swarm} | {guided} |", plant.name);
    }
}

/// Runs to find it: with the swarm alone, and guided.
fn search(plant: Plant, base: u64, budget: usize) -> (Option<usize>, Option<usize>) {
    let swarm = runs_to_find(plant, Profile::Quick, base, budget, false);
    let guided = match swarm {
        Some(runs) if runs <= ROUND => swarm,
        _ => runs_to_find(plant, Profile::Quick, base, budget, true),
    };
    (swarm, guided)
}

/// How many searches found it, and the median of all.
fn show(mut runs: Vec<Option<usize>>, budget: usize) -> String {
    let found = runs.iter().flatten().count();
    runs.sort_by_key(|it| it.unwrap_or(usize::MAX));
    let median = runs[runs.len() / 2].map_or_else(|| format!("> {budget}"), |it| it.to_string());
    format!("{found} of {} | {median}", runs.len())
}
