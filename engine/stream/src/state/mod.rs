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

pub mod heap;

pub use heap::HeapState;

use crate::error::StreamError;

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

    /// Keys with a value, ascending.
    ///
    /// # Errors
    /// When state cannot be read.
    fn sorted_keys(&self) -> Result<Vec<K>, StreamError>;

    /// An immutable view, taken in one step.
    ///
    /// # Errors
    /// When there is none to be had; the attempt fails (F6).
    fn view(&mut self) -> Result<Box<dyn StateView>, StreamError>;

    /// Adds the entries of one encoded key group.
    ///
    /// # Errors
    /// When the bytes are not entries of this state.
    fn restore(&mut self, group: &EncodedGroup) -> Result<(), StreamError>;
}

/// An immutable view of a subtask's keyed state.
pub trait StateView: Send {
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
