//! The commands of `seawall-sim`, one file each: its arguments, what it does, its exit code.

use std::path::{Path, PathBuf};

use seawall_sim::report;
use seawall_sim::scenario::FileError;
use seawall_sim::trace::Trace;
use seawall_sim::verify::{self as files, Loaded};

pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod model;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod shrink;
pub(crate) mod sweep;
pub(crate) mod verify;

/// A message for people, about something that was asked for and cannot be done.
pub(crate) type Usage<T> = Result<T, String>;

/// Every file below `paths`, read.
fn load(paths: &[PathBuf]) -> Usage<Vec<Loaded>> {
    let found = files::find(paths)?;
    if found.is_empty() {
        return Err("no scenario files there\nhint: scenario files end in .toml".to_owned());
    }
    files::load(&found).map_err(|errors| all(&errors))
}

fn all(errors: &[FileError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// Writes the full trace, when a file for it was named.
fn write_trace(to: Option<&Path>, name: &str, seed: u64, trace: &Trace) -> Usage<()> {
    let Some(to) = to else { return Ok(()) };
    report::write(to, &format!("# {name} seed {seed}\n{}", trace.full()))
}
