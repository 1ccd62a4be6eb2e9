//! Checkpoint storage: files over [`seawall_env::Disk`], each complete and intact or refused.
//!
//! ```text
//! <root>/record                                    the store record: its replacement is the commit point (H1)
//! <root>/splits                                    the splits of each source, listed when the job first started
//! <root>/chk-7/op0-2-attempt-1.snapshot            what one subtask wrote for checkpoint 7
//! <root>/chk-7/manifest                            what belongs to checkpoint 7
//!
//! format (bytes) <- record, snapshot, manifest (what)      layout (where)      durable (in which order)
//! inspect: is all of it there and intact
//! ```
//!
//! Every file appears under its name only when it is complete (R1), and carries its kind, format, length
//! and checksum (R2). No correctness depends on a directory listing (R3).
//!
//! Deliberately absent: decisions. Which checkpoint to keep or delete is the coordinator core's.

use std::path::Path;

use seawall_env::Disk;

pub mod error;
pub mod format;
pub mod inspect;
pub mod layout;
pub mod manifest;
pub mod record;
pub mod snapshot;
pub mod splits;

mod bytes;
pub(crate) mod durable;

pub use error::StorageError;
pub use manifest::{Manifest, OperatorInfo};
pub use snapshot::{KeyedSection, Snapshot};

/// Creates the directory of checkpoints with its parents, durably; fine when it exists. A coordinator
/// does this before it writes anything.
///
/// # Errors
/// As the disk says.
pub async fn prepare(disk: &dyn Disk, root: &Path) -> Result<(), StorageError> {
    durable::create_directory(disk, root).await.map_err(StorageError::io("create", root))
}
