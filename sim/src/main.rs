//! `seawall-sim`: runs, sweeps, replays and verifies scenarios. `cargo sim` and `cargo verify`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use seawall_sim::report;
use seawall_sim::verdict::USAGE;

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulate the engine, break it on purpose, and see whether it holds.
#[derive(Parser)]
#[command(
    name = "seawall-sim",
    version,
    after_help = "Exit codes: 0 holds, 1 a property is violated, 2 usage or scenario error, \
                  3 not deterministic, 4 stuck."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one scenario with one seed and print its recovery trace and verdict
    Run(cli::run::Arguments),
    /// Run scenarios over many seeds and print a verdict table
    Sweep(cli::sweep::Arguments),
    /// Run scenarios and print which rare branches they reached, which faults in which phase, and what
    /// stayed dark
    Coverage(cli::coverage::Arguments),
    /// Run a seed file again; it must be the same run, byte for byte
    Replay(cli::replay::Arguments),
    /// Find the smallest run that fails as a seed file does
    Shrink(cli::shrink::Arguments),
    /// Say which faults a failure needs, from when on it was inevitable, and how it came
    Explain(cli::explain::Arguments),
    /// Validate scenario and seed files
    Check(cli::check::Arguments),
    /// Show the first event in which two traces differ
    Diff(cli::diff::Arguments),
    /// Measure how soon each planted bug is found, and how small its failure becomes
    Planted(cli::planted::Arguments),
    /// Check everything: scenarios, regressions, planted bugs, models
    Verify(cli::verify::Arguments),
    /// Check the protocol's models
    Model(cli::model::Arguments),
}

fn main() -> ExitCode {
    let code = match Cli::parse().command {
        Command::Run(arguments) => cli::run::run(&arguments),
        Command::Sweep(arguments) => cli::sweep::run(&arguments),
        Command::Coverage(arguments) => cli::coverage::run(&arguments),
        Command::Replay(arguments) => cli::replay::run(&arguments),
        Command::Shrink(arguments) => cli::shrink::run(&arguments),
        Command::Explain(arguments) => cli::explain::run(&arguments),
        Command::Check(arguments) => cli::check::run(arguments),
        Command::Diff(arguments) => cli::diff::run(&arguments),
        Command::Planted(arguments) => cli::planted::run(&arguments),
        Command::Verify(arguments) => cli::verify::run(&arguments),
        Command::Model(arguments) => Ok(cli::model::run(&arguments)),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        report::error(&error);
        USAGE
    }))
}
