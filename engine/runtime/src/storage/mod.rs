//! Checkpoint storage: files in an object store, each complete and intact or refused.
//!
//! ```text
//! <root>/record                                    the store record: its replacement is the commit point (H1)
//! <root>/history                                   what became of the newest checkpoints, for people
//! <root>/splits                                    the splits of each source, listed when the job first started
//! <root>/chk-7/op0-2-attempt-1.snapshot            what one subtask wrote for checkpoint 7
//! <root>/shared/chk-7-op0-2-attempt-1-0.run        a file that snapshots of checkpoint 7 and later share
//! <root>/chk-7/manifest                            what belongs to checkpoint 7
//! <place>/savepoint-8/                             the same, for a savepoint; the place is <root> or another
//! <root>/origin                                    which savepoint the job started from
//!
//! record, snapshot, manifest, splits (what)   format (bytes)   layout (where)   inspect (is it all there)
//!                      │
//!                   handle: write once, replace on condition, read whole
//!                      │
//!              object_store::ObjectStore
//!        ┌─────────────┼──────────────┐
//!   disk_store      memory      S3, HDFS (features)      location: which one, from an address
//! ```
//!
//! The default is a directory of [`seawall_env::Disk`], so that every fault of a disk reaches it.
//!
//! Every file appears under its name only when it is complete (R1), and carries its kind, format, length
//! and checksum (R2). No correctness depends on a listing (R3). Snapshots and manifests are written once;
//! the record is replaced only if it is still the one that was read.
//!
//! Deliberately absent: decisions. Which checkpoint to keep or delete is the coordinator core's.

pub mod contract;
pub mod disk_store;
pub mod error;
pub mod format;
pub mod handle;
pub mod history;
pub mod inspect;
pub mod layout;
pub mod location;
pub mod manifest;
pub mod record;
pub mod savepoint;
pub mod shared;
pub mod snapshot;
pub mod splits;

pub(crate) mod durable;

pub use error::StorageError;
pub use handle::Storage;
pub use location::{Location, open};
pub use manifest::{Manifest, OperatorInfo};
pub use snapshot::{KeyedSection, Snapshot};
