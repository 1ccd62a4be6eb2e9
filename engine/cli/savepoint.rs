//! `seawall savepoint`: take one of a running job.

use std::path::PathBuf;
use std::process::ExitCode;

use seawall::runtime::control::Ask;

use crate::args::SavepointArgs;
use crate::control;
use crate::error::CliError;
use crate::run::absolute;

/// # Errors
/// When no job runs there.
pub(crate) fn main(args: &SavepointArgs) -> Result<ExitCode, CliError> {
    let ask = Ask::Savepoint { target: args.target.as_deref().map(place) };
    control::ask(&args.talk.directory, &ask, args.talk.json)
}

/// A place for savepoints as the job's process must know it: its working directory is another.
pub(crate) fn place(typed: &str) -> String {
    if typed.contains("://") {
        return typed.to_owned();
    }
    absolute(&PathBuf::from(typed)).display().to_string()
}
