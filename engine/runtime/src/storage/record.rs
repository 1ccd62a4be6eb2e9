//! The store record on disk. Its replacement is the commit point of a checkpoint (H1, H2).

use std::path::Path;

use seawall_env::Disk;
use seawall_protocol::JobId;
use seawall_protocol::record::StoreRecord;

use crate::storage::error::StorageError;
use crate::storage::format::{self, Kind};
use crate::storage::{durable, layout};

/// Reads the record; `None` when no leader ever wrote one.
///
/// # Errors
/// When it is there and cannot be read or believed. This is never taken for absence (P4).
pub async fn read(disk: &dyn Disk, root: &Path) -> Result<Option<StoreRecord>, StorageError> {
    let path = layout::record(root);
    match durable::read(disk, &path).await {
        Ok(bytes) => format::decode(Kind::Record, &bytes, &path).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the record of `job`, or its first one when there is none.
///
/// # Errors
/// Those of [`read`], and when the record belongs to another job (P11).
pub async fn read_or_fresh(
    disk: &dyn Disk,
    root: &Path,
    job: JobId,
) -> Result<StoreRecord, StorageError> {
    let record = read(disk, root).await?.unwrap_or_else(|| StoreRecord::fresh(job));
    if record.job == job {
        Ok(record)
    } else {
        Err(StorageError::OtherJob {
            path: layout::record(root),
            expected: job.to_string(),
            found: record.job.to_string(),
        })
    }
}

/// Replaces the record. A reader sees the old one or the new one.
///
/// A leader that finds the record of a newer one writes nothing. The look and the write are two steps, so
/// this narrows the harm a zombie can do (P5) and does not exclude it: a disk has no conditional rename.
///
/// # Errors
/// `Deposed`, or at any step of writing; then it is unknown which of the two a reader will see (H3).
pub async fn replace(
    disk: &dyn Disk,
    root: &Path,
    record: &StoreRecord,
) -> Result<(), StorageError> {
    let path = layout::record(root);
    // A record that cannot be read is no reason to stop: the one that replaces it is whole.
    if let Ok(Some(StoreRecord { token: found, .. })) = read(disk, root).await
        && found > record.token
    {
        return Err(StorageError::Deposed { path, own: record.token, found });
    }
    let bytes = format::encode(Kind::Record, record, &path)?;
    durable::replace(disk, &layout::record_temporary(root, record.token), &path, &bytes).await
}
