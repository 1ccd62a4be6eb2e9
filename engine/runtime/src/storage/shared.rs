//! Shared files: what incremental snapshots are made of (I).
//!
//! Those of a full snapshot are in the directory of its checkpoint instead, and go with it. Each is written
//! once, whole, under a name that no other file ever has (I9), and is read by the snapshots
//! of every checkpoint that refers to it. A snapshot's files are a chain: bases, which hold disjoint parts
//! of the state, and behind them changes, oldest first.
//!
//! Deliberately absent: which of them are in use. That is the coordinator core's (`shared_files`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::PutPayload;
use seawall_probe::sometimes;
use seawall_protocol::CheckpointId;
use seawall_protocol::shared_files::{SharedFile, SharedFileId};
use seawall_stream::state::{Changes, Entries};
use serde::{Deserialize, Serialize};

use crate::storage::error::StorageError;
use crate::storage::format::{self, Encoded, Kind};
use crate::storage::{KeyedSection, Storage, layout};

/// What is in one shared file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The name it was written under.
    pub id: SharedFileId,
    /// Whether it stands alone; otherwise it holds changes.
    pub is_base: bool,
    /// Ascending by key group.
    pub groups: Vec<RunSection>,
}

/// The entries of one key group in a [`Run`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSection {
    /// Which key group.
    pub key_group: u32,
    /// Keys with their values, or without one where the key was removed; see [`Changes`].
    pub entries: Bytes,
}

/// Writes the file. It is durable when this returns.
///
/// # Errors
/// When any step fails; a file may then exist that belongs to nothing.
pub async fn write(storage: &Storage, run: &Run, is_own: bool) -> Result<SharedFile, StorageError> {
    let mut file = SharedFile { id: run.id, is_base: run.is_base, is_own, bytes: 0, checksum: 0 };
    let path = layout::state_file(storage.root(), &file);
    let large = run.groups.iter().map(|it| &it.entries);
    let Encoded { pieces, length, checksum } =
        format::encode_around(Kind::Shared, run, large, &path)?;
    (file.bytes, file.checksum) = (length, checksum);
    storage.put_new(&path, PutPayload::from_iter(pieces)).await?;
    Ok(file)
}

/// Reads the file that the handle knows.
///
/// # Errors
/// When the file is missing, is not exactly the one that was acked, or cannot be believed.
pub async fn read(storage: &Storage, file: &SharedFile) -> Result<Run, StorageError> {
    let path = layout::state_file(storage.root(), file);
    check(&storage.get(&path).await?, file, &path)
}

/// The run in the bytes of a whole file, when they are those that the handle knows.
///
/// # Errors
/// As [`read`].
pub fn check(bytes: &[u8], file: &SharedFile, path: &Path) -> Result<Run, StorageError> {
    let path = || path.to_path_buf();
    let run: Run = format::decode(Kind::Shared, bytes, &path())?;
    let (expected, found) = (file.bytes, bytes.len() as u64);
    if expected != found {
        return Err(StorageError::Torn { path: path(), expected, found });
    }
    let (expected, found) = (file.checksum, format::checksum_of(bytes));
    if expected != found {
        return Err(StorageError::Checksum { path: path(), expected, found });
    }
    if run.id != file.id || run.is_base != file.is_base {
        let (expected, found) = (file.id.to_string(), run.id.to_string());
        return Err(StorageError::Misplaced { path: path(), expected, found });
    }
    Ok(run)
}

/// The state that a chain adds up to, ascending by key group. For tools: all of it is in memory.
///
/// # Errors
/// When entries make no sense.
pub fn merge<'a>(chain: impl IntoIterator<Item = &'a Run>) -> Result<Vec<KeyedSection>, String> {
    let mut state: BTreeMap<u32, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
    for run in chain {
        for section in &run.groups {
            let group = state.entry(section.key_group).or_default();
            for entry in Entries::new(&section.entries) {
                match entry.map_err(|error| format!("{}: {error}", run.id))? {
                    (key, Some(value)) => group.insert(key.to_vec(), value.to_vec()),
                    (key, None) => group.remove(key),
                };
            }
        }
    }
    let section = |(key_group, entries): (u32, BTreeMap<Vec<u8>, Vec<u8>>)| KeyedSection {
        key_group,
        entries: entries.len() as u64,
        bytes: entries.into_iter().flat_map(|(key, value)| [key, value].concat()).collect(),
    };
    Ok(state.into_iter().filter(|(_, it)| !it.is_empty()).map(section).collect())
}

/// Deletes the files; one that is gone is fine. The durable record must not lead to any of them (H6).
///
/// # Errors
/// When one cannot be removed; others may be gone.
pub async fn delete(storage: &Storage, ids: &[SharedFileId]) -> Result<(), StorageError> {
    storage.delete(ids.iter().map(|id| layout::shared(storage.root(), *id)).collect()).await
}

/// Deletes every file of a checkpoint below `below` that is not in `keep`, and files half written for
/// such a checkpoint. Best effort. Returns the paths that were removed.
pub async fn sweep(
    storage: &Storage,
    below: Option<CheckpointId>,
    keep: &BTreeSet<SharedFileId>,
) -> Vec<PathBuf> {
    let listed = storage.list(&layout::shared_directory(storage.root())).await;
    let mut removed = Vec::new();
    for path in listed.unwrap_or_default().into_iter().map(|it| it.path) {
        let (id, is_whole) = layout::shared_id_of(&path);
        let Some(id) = id else { continue };
        let is_left_over = below.is_none_or(|it| id.checkpoint < it);
        let is_kept = is_whole && keep.contains(&id);
        if is_left_over && !is_kept && storage.delete(vec![path.clone()]).await.is_ok() {
            sometimes!(SharedFileIsSwept);
            removed.push(path);
        }
    }
    removed
}

impl From<Changes> for RunSection {
    fn from(changes: Changes) -> Self {
        Self { key_group: changes.key_group, entries: changes.bytes.into() }
    }
}

impl From<RunSection> for Changes {
    fn from(section: RunSection) -> Self {
        Self { key_group: section.key_group, bytes: section.entries.into() }
    }
}
