//! Questions about a directory of checkpoints, and deletion.
//!
//! Listings serve people and cleaning only; nothing that a job's state depends on is found by listing (R3).
//!
//! The job may run while someone asks, and subsume what is being read. Its record lets go of a checkpoint
//! before the first of its files goes (H6), so whoever misses a file looks at the record once more: what it
//! still names is damaged, what it names no more is [`Standing::Gone`].

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use seawall_probe::sometimes;
use seawall_protocol::CheckpointId;
use seawall_protocol::record::{SnapshotHandle, StoreRecord};
use seawall_protocol::shared_files::RetainedFiles;

use crate::storage::error::StorageError;
use crate::storage::{Manifest, Storage, layout, manifest, record, savepoint, shared, snapshot};

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
    /// Whether it is part of the job.
    pub standing: Standing,
    /// Its manifest, or why it cannot be read.
    pub manifest: Result<Manifest, String>,
}

/// What a checkpoint is to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The record names it.
    Retained,
    /// The record does not name it: it is pending, aborted or subsumed.
    Orphan,
    /// The record named it, and let go of it while it was read.
    Gone,
}

impl Listed {
    /// Whether the record names it.
    pub fn is_retained(&self) -> bool {
        self.standing == Standing::Retained
    }

    /// Bytes of all that the manifest leads to: what a restore reads.
    pub fn bytes(&self) -> u64 {
        self.manifest.as_ref().map_or(0, |it| it.snapshots.iter().map(full_bytes).sum())
    }

    /// Bytes that were written for this checkpoint; less, where it refers to files of earlier ones.
    pub fn new_bytes(&self) -> u64 {
        let new = |it: &SnapshotHandle| new_bytes(it, self.checkpoint);
        self.manifest.as_ref().map_or(0, |it| it.snapshots.iter().map(new).sum())
    }
}

/// Bytes of a snapshot with every file it refers to.
pub fn full_bytes(handle: &SnapshotHandle) -> u64 {
    handle.bytes + handle.shared.iter().map(|it| it.bytes).sum::<u64>()
}

/// Bytes of a snapshot with the files that were written for it.
pub fn new_bytes(handle: &SnapshotHandle, checkpoint: CheckpointId) -> u64 {
    let new = handle.shared.iter().filter(|it| it.id.checkpoint == checkpoint);
    handle.bytes + new.map(|it| it.bytes).sum::<u64>()
}

/// Something wrong with a checkpoint.
#[derive(Debug)]
pub enum Problem {
    /// A file of it.
    File(StorageError),
    /// The store record does not name it.
    Orphan(CheckpointId),
    /// The store record named it and let go of it while it was read, so that nothing else can be said.
    Gone(CheckpointId),
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
            Self::Gone(checkpoint) => {
                write!(f, "checkpoint {checkpoint} is gone: {GONE}\nhint: look again")
            }
        }
    }
}

/// Why a checkpoint that was there is not there any more.
pub const GONE: &str = "subsumed or deleted while it was read";

/// Lists every checkpoint: those of the record and those that only have a directory.
///
/// # Errors
/// When the record or the directory cannot be read.
pub async fn list(storage: &Storage) -> Result<Inventory, StorageError> {
    let entries = storage.list(storage.root()).await?;
    let record = record::read(storage).await?;
    let retained: BTreeSet<_> = record.iter().flat_map(|it| it.retained.iter().copied()).collect();
    let found = entries
        .iter()
        .filter(|it| it.is_directory)
        .filter_map(|it| layout::checkpoint_of(&it.path));
    let mut checkpoints = Vec::new();
    for checkpoint in retained.iter().copied().chain(found).collect::<BTreeSet<_>>() {
        let manifest = manifest::read(storage, checkpoint).await;
        let standing = if !retained.contains(&checkpoint) {
            Standing::Orphan
        } else if manifest.is_err() && is_let_go(storage, checkpoint).await? {
            Standing::Gone
        } else {
            Standing::Retained
        };
        let manifest = manifest.map_err(|error| error.to_string());
        checkpoints.push(Listed { checkpoint, standing, manifest });
    }
    Ok(Inventory { record, checkpoints })
}

/// Whether the record names the checkpoint no more. Where there is no record, nobody let go of anything.
async fn is_let_go(storage: &Storage, checkpoint: CheckpointId) -> Result<bool, StorageError> {
    Ok(record::read(storage).await?.is_some_and(|it| !it.retained.contains(&checkpoint)))
}

/// Everything that is wrong with the checkpoint: manifest, every snapshot and every shared file are read
/// and checked. Of one that its job lets go of in the meantime only [`Problem::Gone`] is said.
///
/// # Errors
/// When the store record cannot be read.
pub async fn verify(
    storage: &Storage,
    checkpoint: CheckpointId,
) -> Result<Vec<Problem>, StorageError> {
    let record = record::read(storage).await?;
    let is_retained = record.is_some_and(|it| it.retained.contains(&checkpoint));
    let damage = damage(storage, checkpoint).await;
    if !is_retained {
        let damage = damage.into_iter().map(Problem::File);
        return Ok(std::iter::once(Problem::Orphan(checkpoint)).chain(damage).collect());
    }
    if !damage.is_empty() && is_let_go(storage, checkpoint).await? {
        return Ok(vec![Problem::Gone(checkpoint)]);
    }
    Ok(damage.into_iter().map(Problem::File).collect())
}

async fn damage(storage: &Storage, checkpoint: CheckpointId) -> Vec<StorageError> {
    let manifest = match manifest::read(storage, checkpoint).await {
        Ok(manifest) => manifest,
        Err(error) => return vec![error],
    };
    let mut damage = Vec::new();
    for handle in &manifest.snapshots {
        damage.extend(snapshot::read(storage, checkpoint, handle).await.err());
    }
    for file in manifest.shared() {
        damage.extend(shared::read(storage, file).await.err());
    }
    damage
}

/// Deletes every file of the checkpoint; fine when there is none. The record must not name it (H6).
///
/// # Errors
/// When something cannot be removed; the rest may be gone.
pub async fn delete(storage: &Storage, checkpoint: CheckpointId) -> Result<(), StorageError> {
    let directory = layout::checkpoint(storage.root(), checkpoint);
    let entries = storage.list(&directory).await?;
    // The manifest goes first: a directory without one is not taken for a checkpoint by anyone.
    let manifest = layout::manifest(storage.root(), checkpoint);
    let files = entries.into_iter().filter(|it| !it.is_directory).map(|it| it.path);
    let rest: Vec<_> = files.filter(|it| *it != manifest).collect();
    storage.delete(std::iter::once(manifest).chain(rest).collect()).await
}

/// Removes what no record names: checkpoints that were pending, aborted or subsumed when an earlier
/// coordinator died, and records half written. Best effort; the next start tries again. Returns the
/// paths that were removed.
pub async fn remove_orphans(storage: &Storage, record: &StoreRecord) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for entry in storage.list(storage.root()).await.unwrap_or_default() {
        let is_removed = if let Some(checkpoint) = layout::checkpoint_of(&entry.path) {
            entry.is_directory
                && !record.retained.contains(&checkpoint)
                && delete(storage, checkpoint).await.is_ok()
        } else if entry.is_directory && layout::is_savepoint(&entry.path) {
            savepoint::remove_unfinished(storage, &entry.path).await.is_ok_and(|it| it)
        } else {
            layout::is_temporary(&entry.path)
                && storage.delete(vec![entry.path.clone()]).await.is_ok()
        };
        if is_removed {
            sometimes!(OrphanIsRemoved);
            removed.push(entry.path);
        }
    }
    removed
}

/// Removes the shared files that no retained checkpoint refers to. Only for a leader that has nothing
/// pending. When a manifest cannot be read, every file stays. Returns the paths that were removed.
pub async fn remove_shared_orphans(storage: &Storage, record: &StoreRecord) -> Vec<PathBuf> {
    let Ok(retained) = retained(storage, record).await else { return Vec::new() };
    let keep = retained.iter().flat_map(Manifest::shared).map(|it| it.id).collect();
    shared::sweep(storage, None, &keep).await
}

/// The manifest of every retained checkpoint, oldest first. Each is needed, not only the newest: without
/// one it is unknown which shared files are in use (I8).
///
/// # Errors
/// When one is missing or cannot be believed. Damage is an error, never a reason to fall back to an older
/// checkpoint (P4).
pub async fn retained(
    storage: &Storage,
    record: &StoreRecord,
) -> Result<Vec<Manifest>, StorageError> {
    let mut retained = Vec::new();
    for &checkpoint in &record.retained {
        retained.push(manifest::read(storage, checkpoint).await?);
    }
    Ok(retained)
}

/// The shared files of one checkpoint.
pub fn shared_of(manifest: &Manifest) -> RetainedFiles {
    let files = manifest.shared().copied().collect();
    RetainedFiles { checkpoint: manifest.checkpoint, files }
}
