//! Whose an output directory is: a hidden owner file, and rules that never touch what belongs to others.
//!
//! | directory                  | owner file | state           | outcome                          |
//! | -------------------------- | ---------- | --------------- | -------------------------------- |
//! | missing or empty           | none       | no checkpoint   | the job takes it                 |
//! | missing or empty           | none       | checkpoint      | refused: the output is gone      |
//! | not empty                  | none       | any             | refused                          |
//! | any                        | another's  | any             | refused                          |
//! | without committed files    | the job's  | any             | the job goes on                  |
//! | with committed files       | the job's  | checkpoint      | the job goes on                  |
//! | with committed files       | the job's  | no checkpoint   | refused: they would count twice  |
//! | any                        | the job's, | checkpoint      | refused: another run goes on     |
//! |                            | other state|                 |                                  |
//!
//! The owner file is durable before the job starts, so output never exists without it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use seawall::protocol::JobId;
use serde::{Deserialize, Serialize};

use crate::error::CliError;

const OWNER: &str = ".seawall-owner";
const HINT: &str = "make the directory writable, or name another one";

/// What the owner file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The job's name.
    pub(crate) job: String,
    /// The job's identity.
    pub(crate) job_id: String,
    /// The directory of the job's checkpoints.
    pub(crate) state: PathBuf,
}

impl Owner {
    pub(crate) fn new(job: &str, id: JobId, state: &Path) -> Self {
        Self { job: job.to_owned(), job_id: id.to_string(), state: state.to_path_buf() }
    }
}

/// What committed output can belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lineage {
    /// Nothing: the job starts from the beginning.
    None,
    /// A savepoint; whether the output is not ahead of it is judged by the engine.
    Savepoint,
    /// A checkpoint or result of this state.
    Checkpoint,
}

/// Judges the directory by the table above; writes nothing.
///
/// # Errors
/// When the job must not write there.
pub(crate) fn check(output: &Path, owner: &Owner, lineage: Lineage) -> Result<(), CliError> {
    let found = match fs::metadata(output) {
        Ok(metadata) if !metadata.is_dir() => {
            return Err(CliError::OutputIsAFile(output.to_path_buf()));
        }
        Ok(_) => read(output)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(CliError::io("use output directory", output, HINT)(error)),
    };
    let Some(found) = found else {
        if has_visible(output)? || has_any(output)? {
            return Err(CliError::OutputNotEmpty(output.to_path_buf()));
        }
        if lineage == Lineage::Checkpoint {
            let (path, state) = (output.to_path_buf(), owner.state.clone());
            return Err(CliError::OutputGone { path, state });
        }
        return Ok(());
    };
    if found.job_id != owner.job_id {
        return Err(CliError::OutputOfAnotherJob {
            path: output.to_path_buf(),
            owner: format!(
                "{} {}, whose state is in {}",
                found.job,
                found.job_id,
                found.state.display()
            ),
        });
    }
    if lineage == Lineage::Checkpoint && found.state != owner.state && found.state.exists() {
        let (path, state) = (output.to_path_buf(), found.state);
        return Err(CliError::OutputOfAnotherRun { path, state });
    }
    if lineage == Lineage::None && has_visible(output)? {
        return Err(CliError::OutputWithoutState {
            path: output.to_path_buf(),
            state: found.state,
        });
    }
    Ok(())
}

/// Takes the directory for the job, durably, and keeps every other process out while the result lives.
///
/// # Errors
/// When it cannot be written, belongs to another by now, or another process holds it.
pub(crate) fn take(output: &Path, owner: &Owner, lineage: Lineage) -> Result<File, CliError> {
    fs::create_dir_all(output).map_err(CliError::io("create output directory", output, HINT))?;
    let directory = File::open(output).map_err(CliError::io("open", output, HINT))?;
    match directory.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(CliError::OutputInUse(output.to_path_buf()));
        }
        Err(fs::TryLockError::Error(error)) => {
            return Err(CliError::io("lock", output, HINT)(error));
        }
    }
    check(output, owner, lineage)?;
    if read(output)?.as_ref() != Some(owner) {
        write(output, owner).map_err(CliError::io("write owner file in", output, HINT))?;
    }
    Ok(directory)
}

/// Files that a reader of the directory sees.
pub(crate) fn visible_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut entries = fs::read_dir(directory)?
        .map(|it| it.map(|it| it.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries.into_iter().filter(|it| !is_hidden(it)) {
        if path.is_dir() {
            files.extend(visible_files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."))
}

fn read(output: &Path) -> Result<Option<Owner>, CliError> {
    let path = output.join(OWNER);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| CliError::OwnerUnreadable { path, reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::OwnerUnreadable { path, reason: error.to_string() }),
    }
}

fn write(output: &Path, owner: &Owner) -> io::Result<()> {
    let temporary = output.join(format!("{OWNER}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(owner).expect("text has a JSON form"))?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, output.join(OWNER))?;
    File::open(output)?.sync_all()?;
    // The directory's own name, too: the job's first commit must not be in a directory that vanishes.
    match output.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn has_visible(output: &Path) -> Result<bool, CliError> {
    match visible_files(output) {
        Ok(files) => Ok(!files.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(CliError::io("list", output, HINT)(error)),
    }
}

/// Anything but an owner file that was never finished.
fn has_any(output: &Path) -> Result<bool, CliError> {
    let entries = match fs::read_dir(output) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(CliError::io("list", output, HINT)(error)),
    };
    let unfinished = format!("{OWNER}.tmp");
    Ok(entries.flatten().any(|it| it.file_name() != unfinished.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(id: u64) -> Owner {
        Owner::new("keyed-count", JobId(id), Path::new("/state"))
    }

    fn verdict(output: &Path, id: u64, has_checkpoint: bool) -> &'static str {
        let lineage = if has_checkpoint { Lineage::Checkpoint } else { Lineage::None };
        match check(output, &owner(id), lineage) {
            Ok(()) => "goes on",
            Err(CliError::OutputIsAFile(_)) => "is a file",
            Err(CliError::OutputNotEmpty(_)) => "not empty",
            Err(CliError::OutputOfAnotherJob { .. }) => "another's",
            Err(CliError::OutputWithoutState { .. }) => "without state",
            Err(CliError::OutputGone { .. }) => "gone",
            Err(CliError::OwnerUnreadable { .. }) => "unreadable",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_row_of_the_table_holds() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out");
        assert_eq!(verdict(&output, 1, false), "goes on");
        assert_eq!(verdict(&output, 1, true), "gone");
        fs::write(&output, "").unwrap();
        assert_eq!(verdict(&output, 1, false), "is a file");
        fs::remove_file(&output).unwrap();

        fs::create_dir(&output).unwrap();
        assert_eq!(verdict(&output, 1, false), "goes on");
        assert_eq!(verdict(&output, 1, true), "gone");
        for foreign in ["notes.txt", ".hidden"] {
            fs::write(output.join(foreign), "").unwrap();
            assert_eq!(verdict(&output, 1, false), "not empty", "{foreign}");
            assert_eq!(verdict(&output, 1, true), "not empty", "{foreign}");
            fs::remove_file(output.join(foreign)).unwrap();
        }

        drop(take(&output, &owner(1), Lineage::None).unwrap());
        assert_eq!(verdict(&output, 1, false), "goes on");
        assert_eq!(verdict(&output, 1, true), "goes on");
        assert_eq!(verdict(&output, 2, false), "another's");
        assert_eq!(verdict(&output, 2, true), "another's");

        fs::create_dir(output.join("malformed")).unwrap();
        assert_eq!(verdict(&output, 1, false), "goes on", "empty directories are no output");
        fs::write(output.join("malformed/part-0-chk-1.csv"), "x\n").unwrap();
        assert_eq!(verdict(&output, 1, false), "without state");
        assert_eq!(verdict(&output, 1, true), "goes on");

        fs::write(output.join(OWNER), "{").unwrap();
        assert_eq!(verdict(&output, 1, true), "unreadable");
    }

    #[test]
    fn a_second_process_is_kept_out_while_the_first_lives() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(directory.path(), &owner(1), Lineage::None).unwrap();
        let second = take(directory.path(), &owner(1), Lineage::None);
        assert!(matches!(second, Err(CliError::OutputInUse(_))));
        drop(first);
        take(directory.path(), &owner(1), Lineage::None).unwrap();
    }
}
