//! Who restores which items of operator state, for any change of parallelism (M5).
//!
//! ```text
//! list       old [a b] [c]      -> 3 subtasks: [a] [b] [c]; unchanged when there are 2 again
//! union      old [a b] [c]      -> everyone: [a b c]
//! broadcast  old [x] [x]        -> subtask i: the copy of old subtask i mod 2
//! ```
//!
//! Source: Flink `RoundRobinOperatorStateRepartitioner`. Pure: items are named, not looked at.

use alloc::vec::Vec;

use seawall_probe::sometimes;
use serde::{Deserialize, Serialize};

/// How the items of one state are handed out on restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Redistribution {
    /// Each item goes to one subtask, in turn; to the one that had it when the parallelism is the same.
    List,
    /// Every subtask gets the items of all.
    Union,
    /// Every subtask has the same items, and gets one of the copies.
    Broadcast,
}

/// One item of a checkpoint: which subtask stored it, and at which place in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// The index of the subtask that stored it.
    pub subtask: usize,
    /// Its place in that subtask's list.
    pub place: usize,
}

/// What subtask `index` of `parallelism` restores, in this order, of a state of which the old subtasks
/// stored `lengths` items each.
pub fn items_of(
    redistribution: Redistribution,
    lengths: &[usize],
    index: usize,
    parallelism: usize,
) -> Vec<Item> {
    let of = |subtask: usize| {
        let length = lengths.get(subtask).copied().unwrap_or_default();
        (0..length).map(move |place| Item { subtask, place })
    };
    let all = || (0..lengths.len()).flat_map(of);
    match redistribution {
        Redistribution::List if lengths.len() == parallelism => of(index).collect(),
        Redistribution::List => all().skip(index).step_by(parallelism.max(1)).collect(),
        Redistribution::Union => {
            sometimes!(UnionStateIsRestored);
            all().collect()
        }
        Redistribution::Broadcast => {
            index.checked_rem(lengths.len()).into_iter().flat_map(of).collect()
        }
    }
}
