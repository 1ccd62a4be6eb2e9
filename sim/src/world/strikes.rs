//! Strikes: how often each kind of fault really changed something.
//!
//! A fault that is armed and never meets anything proves nothing, so a strike is counted where the
//! effect is: a frame that was held back, a connect that was refused, a read that failed. What was only
//! asked for is not counted. The names are those of `sim/README.md`.
//!
//! Deliberately absent: any influence on the run; nothing in the world reads a count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock;

/// The counts of one world; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Strikes(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Strikes {
    /// The fault called `name` changed something.
    pub(crate) fn hit(&self, name: &'static str) {
        *lock(&self.0).entry(name).or_default() += 1;
    }

    /// Every fault that ever struck, and how often.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).clone()
    }
}
