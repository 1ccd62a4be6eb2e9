//! Exactly-once output (T1, T2): what is committed is what a run without faults commits.
//!
//! ```text
//! for each line l:   count(l, committed) <= count(l, expected)
//! if finished:       count(l, committed) == count(l, expected)
//! ```
//!
//! Compared as a multiset: between subtasks no order is promised. A line that no run without faults
//! commits is reported as duplicated zero times over, that is, as invented.

use alloc::format;
use alloc::vec::Vec;

use crate::Property;
use crate::history::{Ending, History};
use crate::properties::counted;
use crate::violation::{Violation, shown};

/// See the module.
pub const PROPERTY: Property = Property {
    name: "exactly-once-output",
    rule: "T1, T2",
    about: "committed output equals the output of a run without faults, line for line",
    check,
};

/// Compares committed with expected output.
///
/// # Errors
/// The lines that are lost, duplicated or invented.
pub fn check(history: &History) -> Result<(), Violation> {
    let expected = counted(&history.expected_output);
    let committed = counted(history.committed_output.iter().flat_map(|file| &file.lines));
    let is_finished = matches!(history.ending, Ending::Finished | Ending::Drained);

    let surplus = committed.iter().filter_map(|(line, &seen)| {
        let due = expected.get(line).copied().unwrap_or(0);
        match (due, seen) {
            (0, _) => Some((*line, format!("invented: {}", shown(line)))),
            (due, seen) if seen > due => {
                Some((*line, format!("duplicated ({seen} times, {due} due): {}", shown(line))))
            }
            _ => None,
        }
    });
    let lost = expected.iter().filter(|_| is_finished).filter_map(|(line, &due)| {
        let seen = committed.get(line).copied().unwrap_or(0);
        (seen < due).then(|| (*line, format!("lost ({seen} of {due} committed): {}", shown(line))))
    });
    let (surplus_count, lost_count) = (surplus.clone().count(), lost.clone().count());
    if surplus_count == 0 && lost_count == 0 {
        return Ok(());
    }
    let message = format!(
        "{lost_count} lines lost, {surplus_count} duplicated or invented, of {} expected",
        expected.len(),
    );
    let (lines, details): (Vec<&[u8]>, Vec<_>) = lost.chain(surplus).unzip();
    Err(Violation::of(&PROPERTY, message).with_details(details).about(lines))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;
    use crate::history::CommittedFile;

    fn history(expected: &[&str], committed: &[&str], ending: Ending) -> History {
        let bytes = |lines: &[&str]| -> Vec<Vec<u8>> {
            lines.iter().map(|line| line.as_bytes().to_vec()).collect()
        };
        History {
            expected_output: bytes(expected),
            committed_output: vec![CommittedFile {
                name: "part-0".into(),
                lines: bytes(committed),
            }],
            ending,
            ..History::default()
        }
    }

    #[test]
    fn the_same_lines_in_any_order_hold() {
        check(&history(&["a", "b", "b"], &["b", "a", "b"], Ending::Finished)).expect("holds");
    }

    #[test]
    fn a_lost_and_a_duplicated_line_are_both_named() {
        let violation =
            check(&history(&["a", "b"], &["b", "b"], Ending::Finished)).expect_err("violated");
        assert_eq!(
            violation.to_string(),
            "exactly-once-output (T1, T2): 1 lines lost, 1 duplicated or invented, of 2 expected\n  \
             lost (0 of 1 committed): a\n  duplicated (2 times, 1 due): b"
        );
    }

    #[test]
    fn a_run_that_did_not_finish_may_lack_lines_and_may_not_repeat_them() {
        check(&history(&["a", "b"], &["a"], Ending::TimeUp)).expect("holds");
        check(&history(&["a", "b"], &["a", "a"], Ending::TimeUp)).expect_err("violated");
    }

    #[test]
    fn a_line_that_was_never_due_is_invented() {
        let violation = check(&history(&[], &["x"], Ending::TimeUp)).expect_err("violated");
        assert_eq!(violation.details, ["invented: x"]);
    }
}
