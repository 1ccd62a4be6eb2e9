//! The properties, in three groups.
//!
//! ```text
//! what a user sees     exactly_once_output · no_loss · exactly_once_state · records_in_order · restorable · recovers ·
//!                      no_orphans · savepoint_stands · visible_stays · bounded_memory · watermarks_rise
//! transactions         commit_after_completion · commit_once · finish_after_checkpoint · one_owner
//! checkpoints          all_acked · durable_before_ack · barriers_in_order · ids_increase · restored_is_newest · one_leader · within_limits
//! ```

use alloc::vec::Vec;
use core::iter;

use crate::history::History;

pub mod all_acked;
pub mod barriers_in_order;
pub mod bounded_memory;
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
pub mod watermarks_rise;
pub mod within_limits;

/// A line that does not occur as often as it should.
#[derive(Clone, Copy)]
pub(crate) struct Difference<'a> {
    pub(crate) line: &'a [u8],
    pub(crate) due: usize,
    pub(crate) seen: usize,
}

/// How committed output differs from what is expected, as multisets; ascending.
pub(crate) fn differences(history: &History) -> Vec<Difference<'_>> {
    let due = ascending(&history.expected_output);
    let seen = ascending(history.committed_output.iter().flat_map(|file| &file.lines));
    let mut differences = Vec::new();
    if due == seen {
        return differences;
    }
    let (mut due, mut seen) = (due.as_slice(), seen.as_slice());
    while let Some((_, line)) = due.first().into_iter().chain(seen.first()).min().copied() {
        let (is_due, is_seen) = (take_all(&mut due, line), take_all(&mut seen, line));
        if is_due != is_seen {
            differences.push(Difference { line, due: is_due, seen: is_seen });
        }
    }
    differences
}

/// The lines in order, each with its first eight bytes as a number: sorted by that, and then those that begin
/// alike, which are few.
fn ascending<'a>(lines: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<(u64, &'a [u8])> {
    let beginning = |line: &[u8]| {
        let bytes = line.iter().copied().chain(iter::repeat(0)).take(8);
        bytes.fold(0, |number, byte| number << 8 | u64::from(byte))
    };
    let mut lines: Vec<_> = lines.into_iter().map(|it| (beginning(it), it.as_slice())).collect();
    lines.sort_unstable_by_key(|(beginning, _)| *beginning);
    let alike = lines.chunk_by_mut(|(one, _), (other, _)| one == other);
    alike.for_each(<[_]>::sort_unstable);
    lines
}

/// How often an ascending list begins with `line`; takes those away.
fn take_all(lines: &mut &[(u64, &[u8])], line: &[u8]) -> usize {
    let count = lines.iter().take_while(|(_, it)| *it == line).count();
    *lines = &lines[count..];
    count
}
