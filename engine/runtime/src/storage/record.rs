//! The store record. Its replacement is the commit point of a checkpoint (H1, H2).
//!
//! A record is only ever written over the one that was read (P5): of two leaders one is refused, and
//! knows. How firm that is depends on the store: an object store decides it in one step; on a disk there
//! is a moment between the last look and the rename, which the lock on the directory closes.

use seawall_protocol::JobId;
use seawall_protocol::record::StoreRecord;

use crate::storage::error::StorageError;
use crate::storage::format::{self, Kind};
use crate::storage::handle::Found;
use crate::storage::{Storage, layout};

/// Reads the record; `None` when no leader ever wrote one.
///
/// # Errors
/// When it is there and cannot be read or believed. This is never taken for absence (P4).
pub async fn read(storage: &Storage) -> Result<Option<StoreRecord>, StorageError> {
    let path = layout::record(storage.root());
    match storage.get(&path).await {
        Ok(bytes) => format::decode(Kind::Record, &bytes, &path).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the record of `job`, or its first one when there is none.
///
/// # Errors
/// Those of [`read`], and when the record belongs to another job (P11).
pub async fn read_or_fresh(storage: &Storage, job: JobId) -> Result<StoreRecord, StorageError> {
    let record = read(storage).await?.unwrap_or_else(|| StoreRecord::fresh(job));
    if record.job == job {
        Ok(record)
    } else {
        Err(StorageError::OtherJob {
            path: layout::record(storage.root()),
            expected: job.to_string(),
            found: record.job.to_string(),
        })
    }
}

/// Replaces the record, unless a newer leader has written it. A reader sees the old one or the new one.
///
/// # Errors
/// `Deposed`, or at any step of writing; [`StorageError::is_uncertain`] says whether a reader may see the
/// new one all the same (H3).
pub async fn replace(storage: &Storage, record: &StoreRecord) -> Result<(), StorageError> {
    let path = layout::record(storage.root());
    let bytes = format::encode(Kind::Record, record, &path)?;
    let expected = match storage.find(&path).await {
        Ok(found) => {
            check_leader(storage, record, &found)?;
            Some(found.version)
        }
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let replaced = storage.replace(&path, bytes.clone(), expected).await;
    if !matches!(replaced, Err(StorageError::Changed { .. } | StorageError::Exists { .. })) {
        return replaced;
    }
    let found = storage.find(&path).await?;
    check_leader(storage, record, &found)?;
    // The store's client may have repeated a request whose answer was lost.
    if found.bytes == bytes && storage.wrote(&found) == Some(true) { Ok(()) } else { replaced }
}

/// Refuses a leader that was replaced: it is a zombie (P5).
fn check_leader(storage: &Storage, own: &StoreRecord, found: &Found) -> Result<(), StorageError> {
    let path = layout::record(storage.root());
    // A record that cannot be believed is no reason to stop: the one that replaces it is whole.
    let Ok(StoreRecord { token, .. }) = format::decode(Kind::Record, &found.bytes, &path) else {
        return Ok(());
    };
    // Two that claimed the leadership at once have the same token; the writer tells them apart.
    let is_another = token == own.token && storage.wrote(found) == Some(false);
    if token > own.token || is_another {
        return Err(StorageError::Deposed { path, own: own.token, found: token });
    }
    Ok(())
}
