//! `verify`: everything that is claimed, in one table.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use seawall_sim::report::{self, Summary};
use seawall_sim::{sweep, verify};

use super::{Usage, load};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Print the verdict as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Write a report in the format of `JUnit` to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let start = Instant::now();
    let loaded = load(&[verify::scenario_directory()])?;
    let scenarios = sweep::sweep_all(&loaded, &sweep::Plan::default());
    let mut rows = scenarios.rows;
    report::tell("checking the models");
    rows.extend(verify::check_models(sweep::default_jobs()));
    let mut summary = Summary::new(rows, start.elapsed());
    summary.groups = scenarios.groups;
    if arguments.json {
        report::say(&report::json(&summary));
    } else {
        report::print_summary(&summary);
    }
    if let Some(path) = &arguments.junit {
        report::write(path, &report::junit("cargo verify", &summary))?;
    }
    Ok(summary.exit_code)
}
