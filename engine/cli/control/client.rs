//! The asking side: finds the job's socket, asks, waits, and says what became of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use seawall::runtime::control::{Ask, Reply};

use super::{LINE_MAX, address};
use crate::args::{RescaleArgs, StopArgs, TalkArgs};
use crate::checkpoint::data_directory;
use crate::error::CliError;
use crate::report;
use crate::run::state;
use crate::savepoint;

/// `seawall checkpoint trigger`.
///
/// # Errors
/// When no job runs there, or it cannot be understood.
pub(crate) fn trigger(args: &TalkArgs) -> Result<ExitCode, CliError> {
    ask(&args.directory, &Ask::Checkpoint, args.json)
}

/// `seawall stop`.
///
/// # Errors
/// When no job runs there, or it cannot be understood.
pub(crate) fn stop(args: &StopArgs) -> Result<ExitCode, CliError> {
    let target = args.savepoint_dir.as_deref().map(savepoint::place);
    let ask_to_stop = Ask::Stop { drain: args.drain, target };
    ask(&args.talk.directory, &ask_to_stop, args.talk.json)
}

/// `seawall rescale`.
///
/// # Errors
/// When no job runs there, or it cannot be understood.
pub(crate) fn rescale(args: &RescaleArgs) -> Result<ExitCode, CliError> {
    let ask_to_rescale = Ask::Rescale { parallelism: args.parallelism };
    ask(&args.talk.directory, &ask_to_rescale, args.talk.json)
}

/// `seawall cancel`.
///
/// # Errors
/// When no job runs there, or it cannot be understood.
pub(crate) fn cancel(args: &TalkArgs) -> Result<ExitCode, CliError> {
    ask(&args.directory, &Ask::Cancel, args.json)
}

/// Asks the job of this directory and says what it answered.
///
/// # Errors
/// When no job runs there, or it cannot be understood.
pub(crate) fn ask(directory: &Path, ask: &Ask, is_json: bool) -> Result<ExitCode, CliError> {
    let root = data_directory(directory)?;
    let reply = match connect(&root)? {
        Some(connection) => exchange(connection, ask).map_err(CliError::io(
            "talk to the job of",
            &root,
            "the process may have been killed; run its command again, it continues",
        ))?,
        None => return Err(not_running(&root)),
    };
    Ok(report::replied(&root, ask, &reply, is_json))
}

/// `None` when nobody listens.
fn connect(root: &Path) -> Result<Option<UnixStream>, CliError> {
    let (path, _directory) = address(root)?;
    let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
    let hint = "run as the user that runs the job";
    match UnixStream::connect(path) {
        Ok(connection) => Ok(Some(connection)),
        Err(error) if nobody.contains(&error.kind()) => Ok(None),
        Err(error) => Err(CliError::io("talk to the job of", root, hint)(error)),
    }
}

fn exchange(mut connection: UnixStream, ask: &Ask) -> io::Result<Reply> {
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    connection.write_all(&line)?;
    let mut line = String::new();
    BufReader::new(connection.take(LINE_MAX)).read_line(&mut line)?;
    if line.is_empty() {
        return Ok(Reply::Ended);
    }
    Ok(serde_json::from_str(&line)?)
}

/// Why nobody listens: the job ended, or its process did.
fn not_running(root: &Path) -> CliError {
    let path: PathBuf = root.into();
    match state::result(root) {
        Some(result) => CliError::JobEnded { path, how: report::in_words(result) },
        None => CliError::NotRunning(path),
    }
}
