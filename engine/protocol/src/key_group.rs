//! From a key's hash to its key group to the subtask that owns it (M1-M3).
//!
//! Source: Flink `KeyGroupRangeAssignment`. The hash itself belongs to the key's type, in
//! `seawall-stream`; it must not depend on process, seed or version.

use core::ops::Range;

use crate::limits::{KEY_GROUPS_DEFAULT_MIN, KEY_GROUPS_MAX};

/// The key group of a key with this stable hash, in `0..key_groups`.
#[inline]
pub fn key_group_of(hash: u64, key_groups: u32) -> u32 {
    // Fibonacci-style range reduction keeps the high bits, which the state table does not index by.
    small(((hash >> 32) * u64::from(key_groups)) >> 32)
}

/// The subtask that owns `key_group` (M2).
#[inline]
pub fn owner_of(key_group: u32, key_groups: u32, parallelism: u32) -> u32 {
    debug_assert!(key_group < key_groups, "{key_group} of {key_groups}");
    small(u64::from(key_group) * u64::from(parallelism) / u64::from(key_groups))
}

/// The key groups that subtask `index` owns; over all subtasks they partition `0..key_groups` (M2).
pub fn owned_by(index: u32, key_groups: u32, parallelism: u32) -> Range<u32> {
    let (index, groups, p) = (u64::from(index), u64::from(key_groups), u64::from(parallelism));
    let start = (index * groups).div_ceil(p);
    let end = ((index + 1) * groups).div_ceil(p);
    small(start)..small(end)
}

/// The former subtasks that may hold something of subtask `index` after a change of parallelism (E11):
/// keyed state by its key groups, and records in flight, of which each new subtask keeps those whose key
/// group it owns. So each record is read by several, and processed by exactly one.
pub fn former_owners(index: u32, key_groups: u32, now: u32, before: u32) -> Range<u32> {
    let owned = owned_by(index, key_groups, now);
    if owned.is_empty() {
        return 0..0;
    }
    let first = owner_of(owned.start, key_groups, before);
    first..owner_of(owned.end - 1, key_groups, before) + 1
}

/// The number of key groups of a job that does not choose one (M3).
pub fn default_key_groups(parallelism: u32) -> u32 {
    (parallelism + parallelism / 2)
        .next_power_of_two()
        .clamp(KEY_GROUPS_DEFAULT_MIN, KEY_GROUPS_MAX)
}

/// All of these numbers are below the number of key groups.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "key groups are counted in 32 bits")]
fn small(number: u64) -> u32 {
    debug_assert!(u32::try_from(number).is_ok(), "{number} key groups");
    number as u32
}
