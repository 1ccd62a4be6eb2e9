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
    /// Show every setting of `run`: its value, where it was given, what is allowed
    Config(ConfigArgs),
    /// Look into the checkpoints of a job, or take one
    Checkpoint(CheckpointArgs),
    /// Take a savepoint of a running job; list or dispose of savepoints
    Savepoint(SavepointArgs),
    /// Stop a running job with a savepoint; it ends when all it wrote is committed
    Stop(StopArgs),
    /// Give a running job another parallelism; it goes on from a checkpoint, and loses nothing
    Rescale(RescaleArgs),
    /// End a running job at once; what is not committed is given up
    Cancel(TalkArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct RescaleArgs {
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
    /// Subtasks of every operator from now on, also when the job is started again
    #[arg(long, value_name = "N")]
    pub(crate) parallelism: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// A built-in job; `seawall jobs` lists them
    pub(crate) job: String,
    /// An option of the job; repeat it for more
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE")]
    pub(crate) options: Vec<String>,
    /// Subtasks of every operator, until `seawall rescale` says another number
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) parallelism: u32,
    #[command(flatten)]
    pub(crate) config: ConfigFlags,
    #[command(flatten)]
    pub(crate) restore: RestoreArgs,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a configuration can say. A flag stands for a key; it must not contradict `-D`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigFlags {
    /// A file of settings, YAML or TOML; `seawall config` lists the keys
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A setting; repeat it for more
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Where jobs keep their checkpoints, one directory for each: a directory, or an address such as
    /// `s3://bucket/prefix` [default: seawall-data]
    #[arg(long, visible_alias = "checkpoint-dir", value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Time between two checkpoints [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) checkpoint_interval: Option<Duration>,
    /// A checkpoint that takes longer is given up [default: 10min]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) checkpoint_timeout: Option<Duration>,
    /// Least time from the end of a checkpoint to the start of the next [default: 0ms]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) min_pause: Option<Duration>,
    /// Completed checkpoints to keep [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) retained: Option<u32>,
    /// Failed checkpoints in a row that do not restart the job [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) tolerable_failures: Option<u32>,
    /// How often the job restarts after a failure before it is given up [default: 10]
    #[arg(long, value_name = "N")]
    pub(crate) restart_attempts: Option<u32>,
    /// Time before each restart [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) restart_delay: Option<Duration>,
    /// What is promised for state and output across failures [default: exactly-once]
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Only keys that contain this text
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigFlags,
    /// Print JSON
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
    /// Say why a checkpoint was slow, or failed: which subtask, which phase
    Explain(ExplainArgs),
    /// Read every file of the retained checkpoints and check it; exit 1 when one is damaged
    Verify(InspectArgs),
    /// Take a checkpoint of a running job now, and wait until it is completed
    Trigger(TalkArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// A job's directory of checkpoints, or a state directory with exactly one job in it
    pub(crate) directory: PathBuf,
    /// The checkpoint; `checkpoint list` has those that are remembered
    pub(crate) checkpoint: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TalkArgs {
    /// The directory of checkpoints of a running job, or a state directory with exactly one job in it
    pub(crate) directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
    /// End the input first, so that all that depends on its end is written too; the job cannot go on
    /// from such a savepoint
    #[arg(long)]
    pub(crate) drain: bool,
    /// Write the savepoint below this directory or URL, and not in the job's own directory
    #[arg(long, value_name = "DIR-OR-URL")]
    pub(crate) savepoint_dir: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SavepointArgs {
    #[command(subcommand)]
    pub(crate) command: SavepointCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SavepointCommand {
    /// Take a savepoint of a running job; its path is printed when it is complete
    Trigger(TriggerSavepointArgs),
    /// List the savepoints in a directory
    List(ListSavepointsArgs),
    /// Delete a savepoint
    Dispose(DisposeArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct TriggerSavepointArgs {
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
    /// Write the savepoint below this directory or URL, and not in the job's own directory
    #[arg(long, value_name = "DIR-OR-URL")]
    pub(crate) target: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListSavepointsArgs {
    /// Where the savepoints are: a directory or an address; a state directory means its only job
    pub(crate) place: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DisposeArgs {
    /// The savepoint's directory or address
    pub(crate) savepoint: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// Start from this savepoint, when the job has no checkpoints of its own
    #[arg(long, value_name = "DIR-OR-URL")]
    pub(crate) from_savepoint: Option<String>,
    /// Who owns the savepoint from then on
    #[arg(long, value_enum)]
    pub(crate) claim_mode: Option<ClaimMode>,
    /// Leave state behind that belongs to no operator of the job
    #[arg(long)]
    pub(crate) allow_non_restored_state: bool,
    /// Take back what was committed to the output after the savepoint; it is put aside, not deleted
    #[arg(long, requires = "from_savepoint")]
    pub(crate) rewind: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClaimMode {
    /// Whoever took it: the job never changes or deletes it
    NoClaim,
    /// The job: it is deleted when checkpoints of the job have replaced it
    Claim,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A job's directory of checkpoints, or a state directory with exactly one job in it; or an address,
    /// such as `s3://bucket/prefix`
    pub(crate) directory: PathBuf,
    /// Only this checkpoint; without it, `show` takes the newest
    #[arg(long, value_name = "ID")]
    pub(crate) checkpoint: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
