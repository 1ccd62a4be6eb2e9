//! What operators are made of.

use seawall_protocol::CheckpointId;

use crate::key::Key;
use crate::record::Record;

/// Takes records, one call each. Implemented by every operator for what it receives; calls are static.
pub trait Collect<T> {
    /// Takes one record.
    fn push(&mut self, record: T);
}

/// A function from one record to any number of records.
pub trait FlatMap: Clone + Send + Sync + 'static {
    /// What it receives.
    type In: Record;
    /// What it emits.
    type Out: Record;

    /// Handles one record.
    fn apply(&mut self, record: Self::In, out: &mut impl Collect<Self::Out>);
}

/// A function over a keyed stream with one value of state per key.
///
/// The state of a fresh key is `None`, never a default that hides a bug; setting it to `None` removes it.
pub trait KeyedProcess: Clone + Send + Sync + 'static {
    /// The key.
    type Key: Key;
    /// What it receives.
    type In: Record;
    /// What it keeps per key. A snapshot looks at it from another thread.
    type State: Record + Clone + Sync;
    /// What it emits.
    type Out: Record;

    /// Handles one record.
    fn on_record(
        &mut self,
        key: &Self::Key,
        record: Self::In,
        state: &mut Option<Self::State>,
        out: &mut impl Collect<Self::Out>,
    );

    /// Whether it wants the callbacks of checkpoints, of which [`crate::Process`] tells all.
    const HEARS_CHECKPOINTS: bool = false;

    /// The checkpoint is completed, and every lower one with it.
    #[doc(alias = "notify_checkpoint_complete")]
    fn on_checkpoint_completed(
        &mut self,
        checkpoint: CheckpointId,
        out: &mut impl Collect<Self::Out>,
    ) {
        let _ = (checkpoint, out);
    }

    /// The checkpoint was given up. What it contained rides with a later one (K7), so undo nothing here.
    #[doc(alias = "notify_checkpoint_aborted")]
    fn on_checkpoint_aborted(&mut self, checkpoint: CheckpointId) {
        let _ = checkpoint;
    }

    /// Called once for each key with state, in ascending order of keys, after the input ended.
    fn on_end(&mut self, key: &Self::Key, state: &Self::State, out: &mut impl Collect<Self::Out>) {
        let _ = (key, state, out);
    }
}
