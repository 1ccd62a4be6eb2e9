//! What was typed, and nothing more: names, defaults and help texts. What it means is decided elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::duration;

/// A stream processor with exactly-once state.
#[derive(Debug, Parser)]
#[command(name = "seawall", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a built-in job in this process, or continue it from its newest checkpoint
    Run(RunArgs),
    /// List the built-in jobs, their options and their output
    Jobs(JobsArgs),
    /// Look into the checkpoints of a job
    Checkpoint(CheckpointArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// A built-in job; `seawall jobs` lists them
    pub(crate) job: String,
    /// An option of the job; repeat it for more
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE")]
    pub(crate) options: Vec<String>,
    /// Subtasks of every operator
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) parallelism: u32,
    /// Where jobs keep their checkpoints, one directory for each
    #[arg(long, default_value = "seawall-data", value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// Time between two checkpoints
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) checkpoint_interval: Duration,
    /// A checkpoint that takes longer is given up
    #[arg(long, default_value = "10min", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) checkpoint_timeout: Duration,
    /// Least time from the end of a checkpoint to the start of the next
    #[arg(long, default_value = "0ms", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) min_pause: Duration,
    /// Completed checkpoints to keep
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) retained: u32,
    /// Failed checkpoints in a row that do not restart the job
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) tolerable_failures: u32,
    /// How often the job restarts after a failure before it is given up
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) restart_attempts: u32,
    /// Time before each restart
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) restart_delay: Duration,
    /// What is promised for state and output across failures
    #[arg(long, default_value = "exactly-once", value_enum)]
    pub(crate) mode: Mode,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    /// Each record affects state and output once
    ExactlyOnce,
    /// No channel ever waits for a barrier; after a failure some records may count twice
    AtLeastOnce,
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct JobsArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckpointArgs {
    #[command(subcommand)]
    pub(crate) command: CheckpointCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// List the checkpoints
    List(InspectArgs),
    /// Show what is in one checkpoint
    Show(InspectArgs),
    /// Read every file of the retained checkpoints and check it; exit 1 when one is damaged
    Verify(InspectArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A job's directory of checkpoints, or a state directory with exactly one job in it
    pub(crate) directory: PathBuf,
    /// Only this checkpoint; without it, `show` takes the newest
    #[arg(long, value_name = "ID")]
    pub(crate) checkpoint: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
