//! Records in order (A6, E6, T1): what came to a sink subtask through one channel is committed in the order
//! in which it was sent, across every restore.
//!
//! ```text
//! for each sequence of one sender in the output of one receiver:   its numbers strictly increase
//! ```
//!
//! The other properties compare multisets and cannot see this. A restored record that something new went
//! ahead of shows as a number that comes after a larger one.

use alloc::format;

use crate::Property;
use crate::history::History;
use crate::violation::Violation;

/// See the module.
pub const PROPERTY: Property = Property {
    name: "records-in-order",
    rule: "A6, E6, T1",
    about: "each sink subtask commits what came to it through one channel in the order it was sent",
    check,
};

/// Looks for numbers that do not increase.
///
/// # Errors
/// The sequences in which one does not, each with the first such place.
pub fn check(history: &History) -> Result<(), Violation> {
    let broken = history.sequences.iter().filter_map(|(name, numbers)| {
        let pair = numbers.windows(2).find(|pair| pair[0] >= pair[1])?;
        Some(format!("{name}: {} after {}", pair[1], pair[0]))
    });
    match broken.clone().count() {
        0 => Ok(()),
        count => {
            let of = history.sequences.len();
            let message = format!("{count} of {of} sequences are out of order in the output");
            Err(Violation::of(&PROPERTY, message).with_details(broken))
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::*;

    fn history(sequences: &[(&str, &[u64])]) -> History {
        let sequences: BTreeMap<_, Vec<u64>> =
            sequences.iter().map(|(name, numbers)| ((*name).into(), numbers.to_vec())).collect();
        History { sequences, ..History::default() }
    }

    // Rules: A6, E6
    #[test]
    fn numbers_that_increase_hold_and_gaps_are_what_other_receivers_have() {
        check(&history(&[("key 1 in part-0", &[1, 2, 5]), ("key 1 in part-1", &[3, 4])]))
            .expect("holds");
    }

    // Rules: A6, E6
    #[test]
    fn a_record_that_a_later_one_went_ahead_of_is_named() {
        let violation =
            check(&history(&[("key 1 in part-0", &[1, 4, 2]), ("key 2 in part-0", &[1])]))
                .expect_err("violated");
        assert_eq!(violation.message, "1 of 2 sequences are out of order in the output");
        assert_eq!(violation.details, ["key 1 in part-0: 2 after 4"]);
    }
}
