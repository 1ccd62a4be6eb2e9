//! `seawall-sim`: runs, sweeps, replays and verifies scenarios. `cargo sim` and `cargo verify`.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use seawall_sim::report::{self, Summary};
use seawall_sim::scenario::quantity::parse_seed_range;
use seawall_sim::scenario::{FileError, Scenario};
use seawall_sim::seed_file::SeedFile;
use seawall_sim::verdict::{Result as Outcome, USAGE};
use seawall_sim::{coverage, run, sweep, trace, verify};

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
    Run(RunArguments),
    /// Run scenarios over many seeds and print a verdict table
    Sweep(SweepArguments),
    /// Run scenarios and print which rare branches they reached, which faults in which phase, and what
    /// stayed dark
    Coverage(CoverageArguments),
    /// Run a seed file again; it must be the same run, byte for byte
    Replay(ReplayArguments),
    /// Validate scenario and seed files
    Check {
        /// Files or directories; all scenarios when none is given
        paths: Vec<PathBuf>,
    },
    /// Show the first event in which two traces differ
    Diff {
        /// A trace written by `run --trace`
        left: PathBuf,
        /// Another one
        right: PathBuf,
    },
    /// Check everything: scenarios, regressions, planted bugs, models
    Verify(VerifyArguments),
    /// Check the protocol's models
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
}

#[derive(Args)]
struct RunArguments {
    /// A scenario file, or its name: crash/worker-after-ack
    scenario: PathBuf,
    /// The seed; the scenario's first when absent
    #[arg(long)]
    seed: Option<u64>,
    /// Write the full trace to this file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

#[derive(Args)]
struct SweepArguments {
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
struct CoverageArguments {
    /// Scenario files, directories or names
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

#[derive(Args)]
struct ReplayArguments {
    /// A seed file
    seed_file: PathBuf,
    /// Write the full trace to this file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

#[derive(Args)]
struct VerifyArguments {
    /// Print the verdict as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Write a report in the format of `JUnit` to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
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

#[derive(Subcommand)]
enum ModelCommand {
    /// Explore every state of the small models and print what was found
    Check {
        /// Turn each rule off in turn instead, and print which property fails without it
        #[arg(long)]
        reverts: bool,
    },
}

#[derive(Clone)]
struct Seeds(Vec<u64>);

fn seed_range(text: &str) -> Result<Seeds, String> {
    parse_seed_range(text).map(Seeds)
}

fn main() -> ExitCode {
    let code = match Cli::parse().command {
        Command::Run(arguments) => run_one(&arguments),
        Command::Sweep(arguments) => sweep_paths(&arguments),
        Command::Coverage(arguments) => measure(&arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Check { paths } => check(paths),
        Command::Diff { left, right } => diff(&left, &right),
        Command::Verify(arguments) => verify_all(&arguments),
        Command::Model { command: ModelCommand::Check { reverts: false } } => Ok(check_models()),
        Command::Model { command: ModelCommand::Check { reverts: true } } => Ok(check_reverts()),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        report::error(&error);
        USAGE
    }))
}

/// A message for people, about something that was asked for and cannot be done.
type Usage<T> = Result<T, String>;

fn run_one(arguments: &RunArguments) -> Usage<u8> {
    let found = verify::find(std::slice::from_ref(&arguments.scenario))?;
    let [path] = found.as_slice() else {
        return Err(format!(
            "{} holds {} files, expected one scenario\nhint: `sweep` runs them all",
            arguments.scenario.display(),
            found.len()
        ));
    };
    let scenario = Scenario::load(path).map_err(|it| it.to_string())?;
    let seed = arguments.seed.unwrap_or(scenario.seeds[0]);
    let start = Instant::now();
    let verdict = run::run(&scenario, seed);
    report::say(&format!("# {} seed {seed}: {}\n", scenario.name, scenario.about));
    report::say(&verdict.trace.recovery());
    write_trace(arguments.trace.as_deref(), &scenario.name, seed, &verdict.trace)?;
    report::say(&format!(
        "\n{} faults, {} checkpoints completed, {} recoveries; {:.3} s of virtual time in {:.2} s, \
         digest {:016x}\n{}: {}",
        verdict.counts.faults,
        verdict.counts.checkpoints,
        verdict.counts.recoveries,
        verdict.virtual_time.as_secs_f64(),
        start.elapsed().as_secs_f64(),
        verdict.trace.digest(),
        verdict.result.name(),
        verdict.result.explain(),
    ));
    if verdict.result != Outcome::Holds {
        let path = verify::keep(&scenario, &verdict)?;
        report::say(&format!("replay: cargo sim replay {}", path.display()));
    }
    Ok(verdict.result.exit_code())
}

fn write_trace(to: Option<&Path>, name: &str, seed: u64, trace: &trace::Trace) -> Usage<()> {
    let Some(to) = to else { return Ok(()) };
    report::write(to, &format!("# {name} seed {seed}\n{}", trace.full()))
}

fn sweep_paths(arguments: &SweepArguments) -> Usage<u8> {
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

fn measure(arguments: &CoverageArguments) -> Usage<u8> {
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

fn replay(arguments: &ReplayArguments) -> Usage<u8> {
    let file = SeedFile::load(&arguments.seed_file).map_err(|it| it.to_string())?;
    let (verdict, outcome) = verify::replay(&file);
    write_trace(arguments.trace.as_deref(), &file.scenario.name, file.seed, &verdict.trace)?;
    report::say(&format!("# {} seed {}: {}\n", file.scenario.name, file.seed, file.scenario.about));
    report::say(&verdict.trace.recovery());
    match outcome {
        Ok(()) => {
            report::say(&format!(
                "\nthe same run: {} events, digest {:016x}\n{}: {}",
                verdict.trace.entries.len(),
                verdict.trace.digest(),
                verdict.result.name(),
                verdict.result.explain()
            ));
            Ok(verdict.result.exit_code())
        }
        Err((code, message)) => {
            report::say(&format!("\n{message}"));
            Ok(code)
        }
    }
}

fn check(paths: Vec<PathBuf>) -> Usage<u8> {
    let paths = if paths.is_empty() { vec![verify::scenario_directory()] } else { paths };
    let found = verify::find(&paths)?;
    match verify::load(&found) {
        Ok(loaded) => {
            report::say(&format!("{} files are sound", loaded.len()));
            Ok(0)
        }
        Err(errors) => Err(all(&errors)),
    }
}

fn diff(left: &Path, right: &Path) -> Usage<u8> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|it| format!("cannot read the trace {}: {it}", path.display()))
    };
    match trace::first_divergence(&read(left)?, &read(right)?) {
        None => {
            report::say("the traces are the same");
            Ok(0)
        }
        Some(divergence) => {
            report::say(&divergence.to_string());
            Ok(3)
        }
    }
}

fn verify_all(arguments: &VerifyArguments) -> Usage<u8> {
    let start = Instant::now();
    let loaded = load(&[verify::scenario_directory()])?;
    let scenarios = verify::sweep_all(&loaded, None, sweep::default_jobs());
    let mut rows = scenarios.rows;
    report::tell("checking the models");
    rows.extend(verify::check_models(sweep::default_jobs()));
    let summary = Summary::new(rows, start.elapsed());
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

fn check_models() -> u8 {
    let start = Instant::now();
    let summary = Summary::new(verify::check_models(sweep::default_jobs()), start.elapsed());
    report::print_summary(&summary);
    summary.exit_code
}

fn check_reverts() -> u8 {
    let start = Instant::now();
    let summary = Summary::new(verify::check_reverts(sweep::default_jobs()), start.elapsed());
    report::print_summary(&summary);
    summary.exit_code
}

fn load(paths: &[PathBuf]) -> Usage<Vec<verify::Loaded>> {
    let found = verify::find(paths)?;
    if found.is_empty() {
        return Err("no scenario files there\nhint: scenario files end in .toml".to_owned());
    }
    verify::load(&found).map_err(|errors| all(&errors))
}

fn all(errors: &[FileError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}
