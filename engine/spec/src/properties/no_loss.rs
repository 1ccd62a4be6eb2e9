//! No loss (T2, D5): after the drain every input is reflected, at least once.
//!
//! ```text
//! if finished, for each line l:   count(l, committed) >= count(l, expected)
//! ```
//!
//! Weaker than exactly-once output; what at-least-once mode still promises.

use alloc::format;
use alloc::vec::Vec;

use crate::Property;
use crate::history::{Ending, History};
use crate::properties::{Difference, differences};
use crate::violation::{Violation, shown};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "no-loss",
    rule: "T2, D5",
    about: "a finished job committed every expected line at least once",
    check,
};

/// Looks for expected lines that are not committed.
///
/// # Errors
/// The lines that are lost.
pub fn check(history: &History) -> Result<(), Violation> {
    if !matches!(history.ending, Ending::Finished | Ending::Drained) {
        return Ok(());
    }
    let lost: Vec<_> = differences(history).into_iter().filter(|it| it.seen < it.due).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let message =
        format!("{} lines lost of {} expected", lost.len(), history.expected_output.len());
    let explained = |Difference { line, due, seen }| {
        (line, format!("lost ({seen} of {due} committed): {}", shown(line)))
    };
    let (lines, details): (Vec<&[u8]>, Vec<_>) = lost.into_iter().map(explained).unzip();
    Err(Violation::of(&PROPERTY, message).with_details(details).about(lines))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::history::CommittedFile;

    fn history(committed: &[&str]) -> History {
        let lines = committed.iter().map(|line| line.as_bytes().to_vec()).collect();
        History {
            expected_output: vec![b"a".to_vec(), b"b".to_vec()],
            committed_output: vec![CommittedFile { name: "part-0".into(), lines }],
            ending: Ending::Finished,
            ..History::default()
        }
    }

    #[test]
    fn a_repeated_line_holds() {
        check(&history(&["a", "a", "b"])).expect("holds");
    }

    #[test]
    fn a_missing_line_is_named() {
        let violation = check(&history(&["a", "a"])).expect_err("violated");
        assert_eq!(violation.details, ["lost (0 of 1 committed): b"]);
    }
}
