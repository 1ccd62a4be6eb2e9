//! `planted`: how soon each planted bug is found, and how small its failure becomes.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use seawall_sim::planted::{self, Outcome, Plan, page};
use seawall_sim::scenario::quantity::parse_time;
use seawall_sim::scenario::{Claim, Scenario};
use seawall_sim::verify::Loaded;
use seawall_sim::{interrupt, report, sweep, verify};

use super::{Usage, load};

/// Enough to say how far a bug is from its budget.
const SEEDS_MAX: usize = 100;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Planted scenarios; all when none is given
    names: Vec<PathBuf>,
    /// Sweeps over each, from seeds of their own
    #[arg(long, value_name = "N", default_value = "10")]
    sweeps: NonZero<u64>,
    /// How long to shrink a failure, on one core: 30s, 5min
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    time: Duration,
    /// Bugs at a time; one for each core when absent
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Write the page to this file; when all bugs are hunted, docs/planted-bugs.md
    #[arg(long, value_name = "FILE.md")]
    out: Option<PathBuf>,
    /// Write a JSON report to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let all = [verify::scenario_directory().join("planted")];
    let is_all = arguments.names.is_empty();
    let loaded = load(if is_all { &all } else { &arguments.names })?;
    let scenarios = loaded.iter().map(planted).collect::<Usage<Vec<&Scenario>>>()?;
    super::interrupt::listen()?;
    let plan = Plan {
        sweeps: arguments.sweeps.get(),
        seeds_max: SEEDS_MAX,
        shrinking: arguments.time,
        jobs: arguments.jobs.map_or_else(sweep::default_jobs, NonZero::get),
    };
    let bugs = planted::campaign(&scenarios, plan);
    report::say(&page::summary(&bugs));
    if interrupt::is_stopped() {
        return Err("stopped before every bug was hunted, nothing is written".to_owned());
    }
    let page = page::page(&bugs, plan);
    match (&arguments.out, is_all) {
        (Some(path), _) => report::write(path, &page)?,
        (None, true) => report::write(Path::new(page::PATH), &page)?,
        (None, false) => report::say(&page),
    }
    if let Some(path) = &arguments.json {
        report::write(path, &report::to_json(&bugs))?;
    }
    Ok(u8::from(bugs.iter().any(|it| it.outcome != Outcome::Killed)))
}

fn planted(loaded: &Loaded) -> Usage<&Scenario> {
    match loaded {
        Loaded::Scenario(it) if matches!(it.claim, Claim::Violates { .. }) => Ok(it),
        Loaded::Scenario(_) | Loaded::Seed(_, _) | Loaded::Swarm(_) => Err(format!(
            "{} plants nothing\nhint: scenarios/planted has the planted bugs",
            loaded.name()
        )),
    }
}
