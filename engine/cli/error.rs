//! What ends a command early. Each message says what happened, to which thing, and what to do.

use std::io;
use std::path::PathBuf;

use seawall::config::ConfigError;
use seawall::jobs::JobError;
use seawall::protocol::CheckpointId;
use seawall::runtime::RuntimeError;
use seawall::runtime::storage::StorageError;

/// What to do about a full disk, whatever was being written.
pub(crate) const FULL: &str =
    "free space on the disk, then run the same command again; nothing is lost";

/// A command could not do what it was asked to. Nothing that was there before is lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("cannot {action} {}: {source}\nhint: {hint}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error, hint: &'static str },
    #[error("there is no input: {}\n{hint}", path.display())]
    NoInput { path: PathBuf, hint: String },
    #[error("{flag} is out of range: {value}\nhint: it can be {legal}")]
    OutOfRange { flag: &'static str, value: String, legal: String },
    #[error(
        "--parallelism {parallelism} is more than {key} allows: {limit}, {origin}\n\
         hint: raise {key}, or lower --parallelism"
    )]
    TooParallel { parallelism: u32, key: &'static str, limit: u32, origin: String },
    #[error(
        "output is not a directory: {}\nhint: name a directory; it is created when it is missing",
        .0.display()
    )]
    OutputIsAFile(PathBuf),
    #[error(
        "{first} and {second} must not be within one another: {}\nhint: give each its own directory",
        path.display()
    )]
    Nested { first: &'static str, second: &'static str, path: PathBuf },
    #[error(
        "output directory is not empty, and no job of seawall made it: {}\n\
         hint: name an empty or a new directory; nothing in this one was touched",
        .0.display()
    )]
    OutputNotEmpty(PathBuf),
    #[error(
        "output directory belongs to another job: {} was made by {owner}\n\
         hint: give each job its own output directory; the same job is the same name and options",
        path.display()
    )]
    OutputOfAnotherJob { path: PathBuf, owner: String },
    #[error(
        "output directory has no readable owner file: {}: {reason}\n\
         hint: name another output directory, or restore the file from a copy",
        path.display()
    )]
    OwnerUnreadable { path: PathBuf, reason: String },
    #[error(
        "output directory holds output, and there is no matching checkpoint: {} was filled from state in {}\n\
         hint: run with the --state of the first run, or name another output directory",
        path.display(), state.display()
    )]
    OutputWithoutState { path: PathBuf, state: PathBuf },
    #[error(
        "the output directory of this job is gone: {}, its state is in {}\n\
         hint: put the directory back; or remove the state to run the job from the beginning",
        path.display(), state.display()
    )]
    OutputGone { path: PathBuf, state: PathBuf },
    #[error(
        "checkpoint {checkpoint} was taken with parallelism {taken}, and parallelism {asked} is asked for\n\
         hint: run with --parallelism {taken}, then: seawall rescale <DIR> --parallelism {asked}"
    )]
    OtherParallelism { checkpoint: CheckpointId, taken: u32, asked: u32 },
    #[error(
        "another process runs this job: {owner} holds {}\n\
         hint: wait until it ends, or stop it and run the same command again",
        path.display()
    )]
    InUse { path: PathBuf, owner: String },
    #[error(
        "another process writes to the output directory: {}\n\
         hint: wait until it ends, or name another output directory",
        .0.display()
    )]
    OutputInUse(PathBuf),
    #[error(
        "the store record in {} cannot be written, {tries} tries failed: {cause}\n\
         hint: mend the disk, then run the same command again; nothing is lost",
        path.display()
    )]
    RecordUnwritable { path: PathBuf, tries: u32, cause: String },
    #[error(
        "no checkpoints of seawall in: {}\n\
         hint: name the directory of one job, as in seawall-data/access-log-0123456789abcdef",
        .0.display()
    )]
    NoCheckpoints(PathBuf),
    #[error(
        "no job runs in: {}\n\
         hint: start it with `seawall run`; only a running job can be asked for something",
        .0.display()
    )]
    NotRunning(PathBuf),
    #[error(
        "the job has ended: {} holds a job that {how}\n\
         hint: its checkpoints are still there: seawall checkpoint list {}",
        path.display(), path.display()
    )]
    JobEnded { path: PathBuf, how: &'static str },
    #[error(
        "the savepoint is in use: a job is starting from it, or it is being deleted: {}\n\
         hint: wait until that is over, and run the same command again",
        .0.display()
    )]
    SavepointInUse(PathBuf),
    #[error(
        "output directory belongs to another run of this job: {} is written from state in {}\n\
         hint: go on with the --state of that run; or name another output directory",
        path.display(), state.display()
    )]
    OutputOfAnotherRun { path: PathBuf, state: PathBuf },
    #[error("several jobs have their state in: {}\nhint: name one of: {}", path.display(), jobs.join(", "))]
    SeveralJobs { path: PathBuf, jobs: Vec<String> },
    #[error(
        "no checkpoint {checkpoint} in: {}\nhint: there is {found}",
        path.display()
    )]
    UnknownCheckpoint { checkpoint: String, path: PathBuf, found: String },
}

impl CliError {
    /// Wraps an I/O error with what was tried, on which path, and what to do.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        hint: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
            let hint = if full.contains(&source.kind()) { FULL } else { hint };
            Self::Io { action, path, source, hint }
        }
    }
}
