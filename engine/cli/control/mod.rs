//! Talking to a running job through the socket in its data directory: one JSON line there, one back.
//!
//! ```text
//! seawall run ── server: control.sock ──> Control of the coordinator
//! seawall savepoint|stop|rescale|cancel|checkpoint trigger ── client ──> control.sock
//! ```
//!
//! The socket belongs to whoever holds the lock on the directory, so one that a killed process left is
//! replaced at the next start.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::error::CliError;

mod client; // asks
mod server; // listens

pub(crate) use client::{ask, cancel, rescale, stop, trigger};
pub(crate) use server::listen;

/// The longest line that is read.
const LINE_MAX: u64 = 64 * 1024;
/// The longest path a socket address can hold.
const SOCKET_PATH_MAX: usize = 100;

fn socket(root: &Path) -> PathBuf {
    root.join("control.sock")
}

/// A path of the socket that fits into a socket address, and what must be kept open while it is used.
fn address(root: &Path) -> Result<(PathBuf, Option<File>), CliError> {
    let path = socket(root);
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok((path, None));
    }
    let hint = "name a directory that can be read";
    let directory = File::open(root).map_err(CliError::io("open", root, hint))?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    Ok((socket(&short), Some(directory)))
}
