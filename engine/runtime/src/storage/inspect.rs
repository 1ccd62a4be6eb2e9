//! Questions about a directory of checkpoints, and deletion.
//!
//! Listings serve people and cleaning only; nothing that a job's state depends on is found by listing (R3).

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use seawall_env::Disk;
use seawall_protocol::CheckpointId;
use seawall_protocol::record::StoreRecord;

use crate::storage::error::StorageError;
use crate::storage::{Manifest, layout, manifest, record, snapshot};

/// What is in a directory of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The store record; `None` when no job ever ran here.
    pub record: Option<StoreRecord>,
    /// Retained checkpoints and orphans, ascending.
    pub checkpoints: Vec<Listed>,
}

/// One checkpoint of an [`Inventory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub checkpoint: CheckpointId,
    /// Whether the record names it. One that it does not name is an orphan: pending, aborted or subsumed.
    pub is_retained: bool,
    /// Its manifest, or why it cannot be read.
    pub manifest: Result<Manifest, String>,
}

impl Listed {
    /// Bytes of all snapshots, as the manifest says.
    pub fn bytes(&self) -> u64 {
        self.manifest.as_ref().map_or(0, |it| it.snapshots.iter().map(|it| it.bytes).sum())
    }
}

/// Something wrong with a checkpoint.
#[derive(Debug)]
pub enum Problem {
    /// A file of it.
    File(StorageError),
    /// The store record does not name it.
    Orphan(CheckpointId),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Orphan(checkpoint) => write!(
                f,
                "checkpoint {checkpoint} is an orphan: the store record does not name it\n\
                 hint: a running job deletes orphans when its coordinator starts"
            ),
        }
    }
}

/// Lists every checkpoint in `root`: those of the record and those that only have a directory.
///
/// # Errors
/// When the record or the directory cannot be read.
pub async fn list(disk: &dyn Disk, root: &Path) -> Result<Inventory, StorageError> {
    let entries = disk.list(root).await.map_err(StorageError::io("list", root))?;
    let record = record::read(disk, root).await?;
    let retained: BTreeSet<_> = record.iter().flat_map(|it| it.retained.iter().copied()).collect();
    let found = entries
        .iter()
        .filter(|it| it.is_directory)
        .filter_map(|it| layout::checkpoint_of(&it.path));
    let mut checkpoints = Vec::new();
    for checkpoint in retained.iter().copied().chain(found).collect::<BTreeSet<_>>() {
        let manifest = manifest::read(disk, root, checkpoint).await;
        checkpoints.push(Listed {
            checkpoint,
            is_retained: retained.contains(&checkpoint),
            manifest: manifest.map_err(|error| error.to_string()),
        });
    }
    Ok(Inventory { record, checkpoints })
}

/// Everything that is wrong with the checkpoint: manifest and every snapshot are read and checked.
///
/// # Errors
/// When the store record cannot be read.
pub async fn verify(
    disk: &dyn Disk,
    root: &Path,
    checkpoint: CheckpointId,
) -> Result<Vec<Problem>, StorageError> {
    let mut problems = Vec::new();
    let record = record::read(disk, root).await?;
    if !record.is_some_and(|it| it.retained.contains(&checkpoint)) {
        problems.push(Problem::Orphan(checkpoint));
    }
    let manifest = match manifest::read(disk, root, checkpoint).await {
        Ok(manifest) => manifest,
        Err(error) => {
            problems.push(Problem::File(error));
            return Ok(problems);
        }
    };
    for handle in &manifest.snapshots {
        if let Err(error) = snapshot::read(disk, root, checkpoint, handle).await {
            problems.push(Problem::File(error));
        }
    }
    Ok(problems)
}

/// Deletes every file of the checkpoint; fine when there is none. The record must not name it (H6).
///
/// # Errors
/// When something cannot be removed; the rest may be gone.
pub async fn delete(
    disk: &dyn Disk,
    root: &Path,
    checkpoint: CheckpointId,
) -> Result<(), StorageError> {
    let directory = layout::checkpoint(root, checkpoint);
    let entries = match disk.list(&directory).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StorageError::io("list", &directory)(error)),
    };
    // The manifest goes first: a directory without one is not taken for a checkpoint by anyone.
    let manifest = layout::manifest(root, checkpoint);
    let files = entries.into_iter().map(|it| it.path).filter(|it| *it != manifest);
    for path in std::iter::once(manifest.clone()).chain(files) {
        absent(disk.remove(&path).await, "remove", &path)?;
    }
    absent(disk.remove_directory(&directory).await, "remove", &directory)?;
    disk.sync_directory(root).await.map_err(StorageError::io("sync", root))
}

fn absent(removed: io::Result<()>, action: &'static str, path: &Path) -> Result<(), StorageError> {
    match removed {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StorageError::io(action, path)(error)),
    }
}

/// Removes what no record names: checkpoints that were pending, aborted or subsumed when an earlier
/// coordinator died, and records half written. Best effort; the next start tries again. Returns the
/// paths that were removed.
pub async fn remove_orphans(disk: &dyn Disk, root: &Path, record: &StoreRecord) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for entry in disk.list(root).await.unwrap_or_default() {
        let is_removed = if let Some(checkpoint) = layout::checkpoint_of(&entry.path) {
            entry.is_directory
                && !record.retained.contains(&checkpoint)
                && delete(disk, root, checkpoint).await.is_ok()
        } else {
            is_unfinished_record(&entry.path) && disk.remove(&entry.path).await.is_ok()
        };
        if is_removed {
            removed.push(entry.path);
        }
    }
    removed
}

fn is_unfinished_record(path: &Path) -> bool {
    path.file_name().and_then(|it| it.to_str()).is_some_and(|name| {
        name.starts_with(layout::RECORD_TEMPORARY_PREFIX)
            && name.ends_with(layout::TEMPORARY_SUFFIX)
    })
}
