//! The splits of each source, listed once, when the job first starts.
//!
//! Without a checkpoint every attempt starts from this list, not from a new look at the input: a file
//! that appeared in between would shift which subtask reads what, and records would be lost or read
//! twice.

use std::path::Path;

use seawall_env::Disk;
use seawall_protocol::OperatorId;

use crate::storage::error::StorageError;
use crate::storage::format::{self, Kind};
use crate::storage::{durable, layout};

/// Each source's splits, encoded, ascending by operator.
pub type Listed = Vec<(OperatorId, Vec<Vec<u8>>)>;

/// Writes the list durably.
///
/// # Errors
/// As the disk says.
pub async fn write(disk: &dyn Disk, root: &Path, listed: &Listed) -> Result<(), StorageError> {
    let path = layout::splits(root);
    let bytes = format::encode(Kind::Splits, listed, &path)?;
    durable::replace(disk, &layout::temporary(&path), &path, &bytes).await
}

/// Reads the list; `None` when it was never written.
///
/// # Errors
/// When it is there and cannot be read or believed.
pub async fn read(disk: &dyn Disk, root: &Path) -> Result<Option<Listed>, StorageError> {
    let path = layout::splits(root);
    match durable::read(disk, &path).await {
        Ok(bytes) => format::decode(Kind::Splits, &bytes, &path).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
