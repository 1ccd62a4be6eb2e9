//! `coverage`: which rare branches scenarios reach, which faults in which phase, and what stayed dark.

use std::num::NonZero;
use std::path::PathBuf;

use clap::Args;
use seawall_sim::scenario::quantity::parse_seed_range;
use seawall_sim::{coverage, report, sweep};

use super::{Usage, load};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Scenario files, directories or names; `swarm/quick` and `swarm/deep` draw a scenario for each seed
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Seeds to run, both ends included: 1..100; each scenario's own when absent; a seed file keeps its own
    #[arg(long, value_name = "A..B", value_parser = seed_range)]
    seeds: Option<Seeds>,
    /// Runs at a time; one for each core when absent
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Let the engine's buggify sites fire in every run
    #[arg(long)]
    buggify: bool,
    /// Write a JSON report to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone)]
struct Seeds(Vec<u64>);

fn seed_range(text: &str) -> Result<Seeds, String> {
    parse_seed_range(text).map(Seeds)
}

pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let loaded = load(&arguments.paths)?;
    let seeds = arguments.seeds.as_ref().map(|it| it.0.as_slice());
    let jobs = arguments.jobs.map_or_else(sweep::default_jobs, NonZero::get);
    let measured = coverage::measure(&loaded, seeds, jobs, arguments.buggify);
    report::say(&measured.coverage.text(&measured.kinds));
    if let Some(path) = &arguments.json {
        report::write(path, &measured.coverage.json(&measured.kinds))?;
    }
    let Some(first) = measured.failures.first() else { return Ok(0) };
    report::error(&format!("{} runs do not hold, the first: {first}", measured.failures.len()));
    Ok(1)
}
