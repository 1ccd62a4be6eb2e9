//! The splits of each source, listed once, when the job first starts.
//!
//! Without a checkpoint every attempt starts from this list, not from a new look at the input: a file
//! that appeared in between would shift which subtask reads what, and records would be lost or read
//! twice.

use seawall_protocol::OperatorId;

use crate::storage::error::StorageError;
use crate::storage::format::{self, Kind};
use crate::storage::{Storage, layout};

/// Each source's splits, encoded, ascending by operator.
pub type Listed = Vec<(OperatorId, Vec<Vec<u8>>)>;

/// Writes the list durably, unless there is one: whoever looked at the input first has decided.
///
/// # Errors
/// As the store says.
pub async fn write(storage: &Storage, listed: &Listed) -> Result<(), StorageError> {
    let path = layout::splits(storage.root());
    let bytes = format::encode(Kind::Splits, listed, &path)?;
    match storage.put_new(&path, bytes).await {
        Ok(()) | Err(StorageError::Exists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads the list; `None` when it was never written.
///
/// # Errors
/// When it is there and cannot be read or believed.
pub async fn read(storage: &Storage) -> Result<Option<Listed>, StorageError> {
    let path = layout::splits(storage.root());
    match storage.get(&path).await {
        Ok(bytes) => format::decode(Kind::Splits, &bytes, &path).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
