//! `sweep`: scenarios over many seeds, and a verdict table.

use std::num::NonZero;
use std::path::PathBuf;

use clap::Args;
use seawall_sim::scenario::quantity::parse_seed_range;
use seawall_sim::{report, sweep, verify};

use super::{Usage, load};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Scenario files, directories or names
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Seeds to run, both ends included: 1..100; each scenario's own when absent; a seed file keeps its own
    #[arg(long, value_name = "A..B", value_parser = seed_range)]
    seeds: Option<Seeds>,
    /// Runs at a time; one for each core when absent
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    #[command(flatten)]
    reports: Reports,
}

#[derive(Args)]
struct Reports {
    /// Write a report in the format of `JUnit` to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
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
    let summary = verify::sweep_all(&loaded, seeds, jobs);
    report::print_summary(&summary);
    if let Some(path) = &arguments.reports.json {
        report::write(path, &report::json(&summary))?;
    }
    if let Some(path) = &arguments.reports.junit {
        report::write(path, &report::junit("seawall-sim sweep", &summary))?;
    }
    Ok(summary.exit_code)
}
