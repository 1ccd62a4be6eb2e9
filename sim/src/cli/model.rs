//! `model check`: the models alone.

use std::time::Instant;

use clap::{Args, Subcommand};
use seawall_sim::report::{self, Summary};
use seawall_sim::{sweep, verify};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Explore every state of the small models and print what was found
    Check {
        /// Turn each rule off in turn instead, and print which property fails without it
        #[arg(long)]
        reverts: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> u8 {
    let Command::Check { reverts } = arguments.command;
    let check = if reverts { verify::check_reverts } else { verify::check_models };
    let start = Instant::now();
    let summary = Summary::new(check(sweep::default_jobs()), start.elapsed());
    report::print_summary(&summary);
    summary.exit_code
}
