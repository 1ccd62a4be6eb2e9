//! Keyed state: one value per key, in a state backend.
//!
//! ```text
//! record ──update──> StateBackend ──view──> StateView ──next_group──> EncodedGroup, key group by key group
//!                         ^                                                │
//!                         └───────────────── restore ──────────────────────┘
//! ```
//!
//! The backend holds the live state of one operator subtask. A view is taken between two records, in
//! one step (F1), and does not change afterwards (F5); it is encoded while the pipeline goes on.

pub mod changes;
pub mod disk;
pub mod heap;

use std::sync::Arc;

use async_trait::async_trait;
use seawall_env::Scratch;
use seawall_protocol::CheckpointId;

pub use changes::{Changes, Entries};
pub use disk::DiskState;
pub use heap::HeapState;

use crate::error::StreamError;
use crate::source::Progress;

/// What a snapshot is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The confirmed checkpoint whose files the snapshot may build on; without one it is full (I6).
    pub since: Option<CheckpointId>,
}

/// The encoded state of one key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedGroup {
    /// Which key group.
    pub key_group: u32,
    /// How many keys.
    pub entries: u64,
    /// Keys and values, each once, ascending by the key's stable hash and then by the key: equal state
    /// has equal bytes.
    pub bytes: Vec<u8>,
}

/// The live keyed state of one operator subtask.
///
/// Monomorphic on purpose: an operator is compiled together with its backend, so that looking up a
/// key is no boxed call.
pub trait StateBackend<K, V>: Send + 'static {
    /// Hands the value of `key` to `apply`, `None` where there is none, and keeps what `apply` leaves;
    /// a key that is left with `None` is gone.
    ///
    /// # Errors
    /// When state cannot be read or written. The attempt fails; what is stored is then of no interest.
    fn update<R>(
        &mut self,
        key: &K,
        apply: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R, StreamError>;

    /// Where a walk over all keys stands; the default is the beginning.
    type Walk: Default + Send;

    /// Hands at most `limit` keys with their values to `each`, in an order that depends on the keys only;
    /// `Ended` when there are no more. State must not change during a walk.
    ///
    /// # Errors
    /// When state cannot be read.
    fn walk(
        &mut self,
        walk: &mut Self::Walk,
        limit: usize,
        each: impl FnMut(&K, &V),
    ) -> Result<Progress, StreamError>;

    /// An immutable view, taken in one step.
    ///
    /// # Errors
    /// When there is none to be had; the attempt fails (F6).
    fn view(&mut self, request: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError>;

    /// Adds the entries of one encoded key group.
    ///
    /// # Errors
    /// When the bytes are not entries of this state.
    fn restore(&mut self, group: &EncodedGroup) -> Result<(), StreamError>;

    /// Applies restored changes.
    ///
    /// # Errors
    /// When the bytes are not entries of this state.
    fn apply(&mut self, changes: &Changes) -> Result<(), StreamError>;

    /// Whether it must be opened with a scratch file before anything else.
    fn needs_scratch(&self) -> bool {
        false
    }

    /// Takes the scratch file it asked for.
    ///
    /// # Errors
    /// When the file cannot be used.
    fn open(&mut self, scratch: Arc<dyn Scratch>) -> Result<(), StreamError> {
        let _ = scratch;
        Ok(())
    }

    /// Snapshots will be incremental; the state is that of the restored checkpoint, which is confirmed. A
    /// backend that keeps no account of changes takes full ones.
    fn track_changes(&mut self, restored: Option<CheckpointId>) {
        let _ = restored;
    }

    /// The checkpoint is completed: what its snapshot holds need not be in a later one (I6).
    fn confirm(&mut self, checkpoint: CheckpointId) {
        let _ = checkpoint;
    }
}

/// A view as files of bounded size: of the whole state, or of what changed since a confirmed snapshot.
#[async_trait]
pub trait RunView: Send {
    /// Whether the runs hold the whole state.
    fn is_base(&self) -> bool;

    /// The entries of the next file, about `limit` bytes, ascending by key group; `None` behind the last.
    ///
    /// # Errors
    /// When state cannot be read.
    fn next_run(&mut self, limit: usize) -> Result<Option<Vec<Changes>>, StreamError>;

    /// Waits for the time that reading should have taken. To be called between two runs.
    async fn settle(&mut self);
}

/// An immutable view of a subtask's keyed state.
pub trait StateView: Send {
    /// The view as files, for a backend whose state may be larger than memory.
    fn runs(&mut self) -> Option<&mut dyn RunView> {
        None
    }

    /// The next key group with state, ascending; `None` behind the last. What the view held of it is
    /// dropped. Work between two calls is bounded by one key group, so callers yield between them.
    ///
    /// # Errors
    /// When a key or a value has no encoding.
    fn next_group(&mut self) -> Result<Option<EncodedGroup>, StreamError>;
}

/// The view of a chain without keyed state.
pub struct NoState;

impl StateView for NoState {
    fn next_group(&mut self) -> Result<Option<EncodedGroup>, StreamError> {
        Ok(None)
    }
}

/// All of a view at once.
///
/// # Errors
/// When a key or a value has no encoding.
pub fn encode_all(view: &mut dyn StateView) -> Result<Vec<EncodedGroup>, StreamError> {
    let mut groups = Vec::new();
    while let Some(group) = view.next_group()? {
        groups.push(group);
    }
    Ok(groups)
}
