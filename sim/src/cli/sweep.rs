//! `sweep`: scenarios or the swarm over many seeds, and a verdict table.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use seawall_sim::scenario::quantity::{parse_seed_range, parse_time};
use seawall_sim::sweep::{self, Plan, Shard, Stop, default_jobs};
use seawall_sim::verify::Loaded;
use seawall_sim::{report, swarm};

use super::{Usage, load};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Scenario files, directories or names; `swarm/quick` and `swarm/deep` draw a scenario for each seed.
    /// The quick swarm when none is given
    paths: Vec<PathBuf>,
    /// Seeds to run, both ends included: 1..100; each scenario's own when absent; a seed file keeps its own.
    /// A guided sweep makes as many runs and is named by the first
    #[arg(long, value_name = "A..B", value_parser = seed_range)]
    seeds: Option<Seeds>,
    /// Begin no more runs after this time, such as 10m; without --seeds, seeds go on without end until then
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Duration>,
    /// Change runs that reached what few runs reach, rather than draw each anew
    #[arg(long, conflicts_with = "shard")]
    guided: bool,
    /// List what no run of the swarm reached
    #[arg(long)]
    dark: bool,
    /// Only a part of the runs: the second of eight is 2/8
    #[arg(long, value_name = "I/N", value_parser = Shard::parse, default_value = "1/1")]
    shard: Shard,
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

/// As in scenario files; `10m` is what people type.
fn time(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('m') {
        Some(minutes) => parse_time(&format!("{minutes}min")),
        None => parse_time(text),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let swarm = [PathBuf::from(swarm::Profile::Quick.name())];
    let paths = if arguments.paths.is_empty() { &swarm } else { arguments.paths.as_slice() };
    let loaded = load(paths)?;
    let stop = Arc::new(Stop::at(arguments.until.map(|it| Instant::now() + it)));
    super::interrupt::listen()?;
    let plan = Plan {
        is_endless: arguments.seeds.is_none() && arguments.until.is_some(),
        seeds: arguments.seeds.as_ref().map(|it| it.0.clone()),
        shard: arguments.shard,
        jobs: arguments.jobs.map_or_else(default_jobs, NonZero::get),
        stop,
    };
    let summary = match (arguments.guided, loaded.as_slice()) {
        (false, _) => sweep::sweep_all(&loaded, &plan),
        (true, [Loaded::Swarm(profile)]) => sweep::sweep_guided(*profile, &plan),
        (true, _) => {
            let hint = "leave the paths out for the quick one";
            return Err(format!(
                "a guided sweep is of one swarm, such as swarm/deep\nhint: {hint}"
            ));
        }
    };
    report::print_summary(&summary);
    if let (true, Some(reached)) = (arguments.dark, &summary.reached) {
        report::say(&reached.dark_text());
    }
    if let Some(path) = &arguments.reports.json {
        report::write(path, &report::json(&summary))?;
    }
    if let Some(path) = &arguments.reports.junit {
        report::write(path, &report::junit("seawall-sim sweep", &summary))?;
    }
    Ok(summary.exit_code)
}
