//! Exactly-once state (T3, T4): a completed checkpoint holds exactly the input before its cut.
//!
//! ```text
//! for each completed checkpoint n:    state(n) == fold(input before positions(n))
//! for completed checkpoints n < m:    positions(n) <= positions(m), split by split
//! ```
//!
//! A record that was received before the barrier and sent after it shows as a difference to the fold,
//! so this is also the consistent cut.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Property;
use crate::history::{CheckpointContents, History};
use crate::violation::{Violation, shown};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "exactly-once-state",
    rule: "T3, T4",
    about: "the state of each completed checkpoint is the fold of exactly the input before its cut",
    check,
};

/// Compares each checkpoint with its reference fold, and its positions with those before.
///
/// # Errors
/// The first checkpoint that differs, with the keys or splits that differ.
pub fn check(history: &History) -> Result<(), Violation> {
    for contents in &history.checkpoints {
        let differences = differences(contents);
        if !differences.is_empty() {
            let message = format!(
                "checkpoint {}: {} keys differ from the fold of the input before its cut",
                contents.checkpoint,
                differences.len(),
            );
            let (keys, details): (Vec<&[u8]>, Vec<_>) = differences.into_iter().unzip();
            return Err(Violation::of(&PROPERTY, message).with_details(details).about(keys));
        }
    }
    // What could not be read has no positions; `restorable` says that.
    let mut ascending: Vec<_> =
        history.checkpoints.iter().filter(|contents| contents.restorable.is_ok()).collect();
    ascending.sort_by_key(|contents| contents.checkpoint);
    for pair in ascending.windows(2) {
        for (split, &before) in &pair[0].positions {
            let after = pair[1].positions.get(split).copied().unwrap_or(0);
            if after < before {
                let message = format!(
                    "split {split} stands at {before} in checkpoint {} and at {after} in checkpoint {}",
                    pair[0].checkpoint, pair[1].checkpoint,
                );
                return Err(Violation::of(&PROPERTY, message));
            }
        }
    }
    Ok(())
}

fn differences(contents: &CheckpointContents) -> Vec<(&[u8], String)> {
    let (state, expected) = (&contents.state, &contents.expected_state);
    if state == expected {
        return Vec::new();
    }
    let missing_or_other = expected.iter().filter_map(|(key, due)| match state.get(key) {
        None => Some((key.as_slice(), format!("{}: missing, {} due", shown(key), shown(due)))),
        Some(seen) if seen != due => {
            Some((key.as_slice(), format!("{}: {}, {} due", shown(key), shown(seen), shown(due))))
        }
        Some(_) => None,
    });
    let surplus =
        state.iter().filter(|(key, _)| !expected.contains_key(*key)).map(|(key, seen)| {
            (key.as_slice(), format!("{}: {}, nothing due", shown(key), shown(seen)))
        });
    missing_or_other.chain(surplus).collect()
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec;

    use seawall_protocol::CheckpointId;

    use super::*;

    fn contents(checkpoint: u64, position: u64, state: &[(&str, &str)]) -> CheckpointContents {
        let state: BTreeMap<_, _> = state
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        CheckpointContents {
            checkpoint: CheckpointId(checkpoint),
            positions: BTreeMap::from([("split-0".into(), position)]),
            expected_state: state.clone(),
            state,
            restorable: Ok(()),
        }
    }

    #[test]
    fn state_equal_to_the_fold_holds() {
        let checkpoints = vec![contents(1, 3, &[("a", "2"), ("b", "1")]), contents(2, 3, &[])];
        check(&History { checkpoints, ..History::default() }).expect("holds");
    }

    #[test]
    fn a_key_counted_twice_is_named() {
        let mut twice = contents(1, 3, &[("a", "2"), ("b", "1")]);
        twice.state.insert(b"a".to_vec(), b"3".to_vec());
        let history = History { checkpoints: vec![twice], ..History::default() };
        assert_eq!(check(&history).expect_err("violated").details, ["a: 3, 2 due"]);
    }

    #[test]
    fn a_key_nobody_wrote_is_named() {
        let mut surplus = contents(1, 3, &[]);
        surplus.state.insert(b"z".to_vec(), b"1".to_vec());
        let history = History { checkpoints: vec![surplus], ..History::default() };
        assert_eq!(check(&history).expect_err("violated").details, ["z: 1, nothing due"]);
    }

    #[test]
    fn a_split_that_goes_back_is_named() {
        let checkpoints = vec![contents(2, 4, &[]), contents(1, 5, &[])];
        let violation =
            check(&History { checkpoints, ..History::default() }).expect_err("violated");
        assert!(violation.message.contains("split-0 stands at 5"), "{violation}");
    }

    #[test]
    fn a_checkpoint_that_cannot_be_read_is_not_one_that_goes_back() {
        let mut unreadable = contents(2, 0, &[]);
        unreadable.restorable = Err("gone".into());
        let checkpoints = vec![contents(1, 5, &[]), unreadable];
        check(&History { checkpoints, ..History::default() }).expect("holds");
    }
}
