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
use crate::properties::{Difference, differences};
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
    let is_finished = matches!(history.ending, Ending::Finished | Ending::Drained);
    let differences = differences(history);
    let (lost, surplus): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .filter(|it| is_finished || it.seen > it.due)
        .partition(|it| it.seen < it.due);
    if lost.is_empty() && surplus.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} lines lost, {} duplicated or invented, of {} expected",
        lost.len(),
        surplus.len(),
        history.expected_output.len(),
    );
    let explained = |Difference { line, due, seen }| {
        let line_shown = shown(line);
        let detail = match (due, seen) {
            (0, _) => format!("invented: {line_shown}"),
            (due, seen) if seen > due => {
                format!("duplicated ({seen} times, {due} due): {line_shown}")
            }
            (due, seen) => format!("lost ({seen} of {due} committed): {line_shown}"),
        };
        (line, detail)
    };
    let (lines, details): (Vec<&[u8]>, Vec<_>) =
        lost.into_iter().chain(surplus).map(explained).unzip();
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
