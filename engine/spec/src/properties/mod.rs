//! The properties, in three groups.
//!
//! ```text
//! what a user sees     exactly_once_output · no_loss · exactly_once_state · records_in_order · restorable · recovers ·
//!                      no_orphans · savepoint_stands · visible_stays
//! transactions         commit_after_completion · commit_once · finish_after_checkpoint · one_owner
//! checkpoints          all_acked · durable_before_ack · barriers_in_order · ids_increase · restored_is_newest · one_leader · within_limits
//! ```

pub mod all_acked;
pub mod barriers_in_order;
pub mod commit_after_completion;
pub mod commit_once;
pub mod durable_before_ack;
pub mod exactly_once_output;
pub mod exactly_once_state;
pub mod finish_after_checkpoint;
pub mod ids_increase;
pub mod no_loss;
pub mod no_orphans;
pub mod one_leader;
pub mod one_owner;
pub mod records_in_order;
pub mod recovers;
pub mod restorable;
pub mod restored_is_newest;
pub mod savepoint_stands;
pub mod visible_stays;
pub mod within_limits;

/// How often each line occurs.
pub(crate) fn counted<'a>(
    lines: impl IntoIterator<Item = &'a alloc::vec::Vec<u8>>,
) -> alloc::collections::BTreeMap<&'a [u8], usize> {
    let mut counts = alloc::collections::BTreeMap::new();
    for line in lines {
        *counts.entry(line.as_slice()).or_default() += 1;
    }
    counts
}
