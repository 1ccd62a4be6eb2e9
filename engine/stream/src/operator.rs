//! What operators are made of.

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

    /// Called once for each key with state, in ascending order of keys, after the input ended.
    fn on_end(&mut self, key: &Self::Key, state: &Self::State, out: &mut impl Collect<Self::Out>) {
        let _ = (key, state, out);
    }
}
