//! `seawall savepoint`: take one of a running job, list what is there, dispose of one.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use seawall::local::open_place;
use seawall::runtime::control::Ask;
use seawall::runtime::storage::savepoint;
use tokio::runtime::Builder;

use crate::args::{DisposeArgs, ListSavepointsArgs, SavepointArgs, SavepointCommand};
use crate::checkpoint::opened;
use crate::control;
use crate::error::CliError;
use crate::report;
use crate::run::absolute;

const READ: &str = "name a directory that can be read";

/// # Errors
/// When no job runs there, or there is no such savepoint.
pub(crate) fn main(args: &SavepointArgs) -> Result<ExitCode, CliError> {
    match &args.command {
        SavepointCommand::Trigger(args) => {
            let ask = Ask::Savepoint { target: args.target.as_deref().map(place) };
            control::ask(&args.talk.directory, &ask, args.talk.json)
        }
        SavepointCommand::List(args) => list(args),
        SavepointCommand::Dispose(args) => dispose(args),
    }
}

/// A place for savepoints as the job's process must know it: its working directory is another.
pub(crate) fn place(typed: &str) -> String {
    if typed.contains("://") {
        return typed.to_owned();
    }
    absolute(&PathBuf::from(typed)).display().to_string()
}

/// Keeps a savepoint from being disposed of while the result lives. Only a directory can be held.
///
/// # Errors
/// When it is being disposed of, or cannot be read.
pub(crate) fn hold(savepoint: &str) -> Result<Option<File>, CliError> {
    let Some(directory) = open_place(savepoint)?.directory().map(Path::to_path_buf) else {
        return Ok(None);
    };
    let Ok(file) = File::open(&directory) else { return Ok(None) }; // Whoever reads it says what is wrong.
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(CliError::SavepointInUse(directory)),
        Err(TryLockError::Error(error)) => Err(CliError::io("lock", &directory, READ)(error)),
    }
}

fn list(args: &ListSavepointsArgs) -> Result<ExitCode, CliError> {
    let mut place = open_place(&args.place)?;
    if let Some(directory) = place.directory()
        && !directory.is_dir()
    {
        let missing = std::io::ErrorKind::NotFound.into();
        return Err(CliError::io("list", directory, READ)(missing));
    }
    // Any place can hold savepoints; one of a job's checkpoints means its only job.
    if let Ok(job) = within(opened(Path::new(&args.place))) {
        place = job;
    }
    let found = within(savepoint::list(&place))?;
    report::savepoints(place.root(), &found, args.json);
    Ok(ExitCode::SUCCESS)
}

fn dispose(args: &DisposeArgs) -> Result<ExitCode, CliError> {
    let storage = open_place(&args.savepoint)?;
    within(savepoint::read(&storage))?;
    let held = storage.directory().map(lock).transpose()?;
    within(savepoint::dispose(&storage))?;
    drop(held);
    report::disposed(storage.root());
    Ok(ExitCode::SUCCESS)
}

/// Keeps everybody from a savepoint while the result lives.
fn lock(directory: &Path) -> Result<File, CliError> {
    let file = File::open(directory).map_err(CliError::io("open", directory, READ))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CliError::SavepointInUse(directory.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(CliError::io("lock", directory, READ)(error)),
    }
}

fn within<T, E: Into<CliError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CliError::io(
        "start threads in",
        ".",
        "free memory",
    ))?;
    runtime.block_on(work).map_err(Into::into)
}
