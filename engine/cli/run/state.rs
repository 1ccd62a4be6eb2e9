//! A job's directory of checkpoints, as the program finds and holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall::protocol::message::CheckpointKind;
use seawall::protocol::record::{JobResult, StoreRecord};
use seawall::protocol::{CheckpointId, JobId};
use seawall::runtime::storage::{Storage, manifest, record};
use seawall::runtime::tokio_env::FileSystem;
use tokio::runtime::Builder;

use crate::error::CliError;

const LOCK: &str = "lock";
const HINT: &str = "make the directory writable, or name another one with --state";

/// What an earlier run left.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The newest completed checkpoint.
    pub(crate) newest: Option<CheckpointId>,
    /// The job's result, when it has one.
    pub(crate) result: Option<JobResult>,
    /// The parallelism that somebody asked for while the job ran.
    pub(crate) rescaled: Option<u32>,
}

impl Found {
    /// Whether committed output can belong to this state.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.newest.is_some() || self.result.is_some()
    }
}

/// Reads what an earlier run left, and refuses what this run cannot continue; writes nothing.
///
/// # Errors
/// When the record or the newest manifest is damaged, newer, another job's, or of another parallelism.
pub(crate) async fn find(
    storage: &Storage,
    id: JobId,
    parallelism: u32,
) -> Result<Found, CliError> {
    match storage.directory().map(|root| (root, fs::metadata(root))) {
        Some((_, Ok(_))) | None => {}
        Some((_, Err(error))) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Found::default());
        }
        Some((root, Err(error))) => {
            return Err(CliError::io("use state directory", root, HINT)(error));
        }
    }
    let StoreRecord { retained, result, parallelism: rescaled, .. } =
        record::read_or_fresh(storage, id).await?;
    let newest = retained.last().copied();
    if let (Some(checkpoint), None) = (newest, result) {
        // Damage is an error, never a reason to fall back to an older checkpoint (P4).
        let manifest = manifest::read(storage, checkpoint).await?;
        let parallelism = rescaled.unwrap_or(parallelism);
        let taken = manifest.operators.first().map_or(parallelism, |it| it.parallelism);
        if taken != parallelism && manifest.kind != (CheckpointKind::Rescale { parallelism }) {
            return Err(CliError::OtherParallelism { checkpoint, taken, asked: parallelism });
        }
    }
    Ok(Found { newest, result, rescaled })
}

/// How the job that has its checkpoints there ended, if that can be read.
pub(crate) fn result(root: &Path) -> Option<JobResult> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let storage = Storage::on_disk(Arc::new(FileSystem), root);
    let record = runtime.block_on(record::read(&storage));
    record.ok().flatten().and_then(|it| it.result)
}

/// Refuses early when another process holds the state; writes nothing. [`take`] decides.
///
/// # Errors
/// When another process holds it.
pub(crate) fn check_free(root: &Path) -> Result<(), CliError> {
    match OpenOptions::new().read(true).write(true).open(root.join(LOCK)) {
        Ok(mut file) => lock(root, &mut file),
        Err(_) => Ok(()), // Nobody ever held it, or `take` will meet and name the error.
    }
}

/// The right to use a state directory, for as long as it lives.
pub(crate) struct Held {
    root: PathBuf,
    /// Holds the lock.
    _file: File,
    /// Whether nothing was there before.
    is_new: bool,
}

impl Held {
    /// Removes what taking the directory left, when nothing was there before.
    pub(crate) fn undo(&self) {
        if self.is_new {
            // Best effort: an empty directory with a lock file is harmless.
            let _ = fs::remove_file(self.root.join(LOCK));
            let _ = fs::remove_dir(&self.root);
            let _ = self.root.parent().map(fs::remove_dir);
        }
    }
}

/// Whether a process ever held the directory.
pub(crate) fn was_taken(root: &Path) -> bool {
    root.join(LOCK).exists()
}

/// Creates the directory and keeps every other process out while the result lives.
///
/// # Errors
/// When it cannot be written, or another process holds it.
pub(crate) fn take(root: &Path) -> Result<Held, CliError> {
    let is_new = !root.exists();
    fs::create_dir_all(root).map_err(CliError::io("create state directory", root, HINT))?;
    let path = root.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(CliError::io("create", &path, HINT))?;
    lock(root, &mut file)?;
    // For the message of the second process only; the operating system's lock is what counts.
    let owner = format!("process {}", std::process::id());
    file.set_len(0)
        .and_then(|()| file.write_all(owner.as_bytes()))
        .map_err(CliError::io("write", &path, HINT))?;
    Ok(Held { root: root.to_path_buf(), _file: file, is_new })
}

fn lock(root: &Path, file: &mut File) -> Result<(), CliError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let is_known = file.read_to_string(&mut owner).is_ok() && !owner.is_empty();
            let owner = if is_known { owner } else { "it".to_owned() };
            Err(CliError::InUse { path: root.to_path_buf(), owner })
        }
        Err(TryLockError::Error(error)) => Err(CliError::io("lock", root, HINT)(error)),
    }
}

/// Whether one path is in the other, or is the other.
pub(crate) fn are_nested(one: &Path, other: &Path) -> Option<PathBuf> {
    (one.starts_with(other) || other.starts_with(one)).then(|| one.to_path_buf())
}
