//! No orphans (T8, T17): when a run came to rest, every file belongs to something.

use alloc::format;

use crate::Property;
use crate::history::History;
use crate::violation::Violation;

/// See the module.
pub const PROPERTY: Property = Property {
    name: "no-orphans",
    rule: "T8, T17",
    about: "no file is left that belongs to nothing",
    check,
};

/// Looks at what was left over.
///
/// # Errors
/// The files.
pub fn check(history: &History) -> Result<(), Violation> {
    match history.leftover_files.len() {
        0 => Ok(()),
        count => Err(Violation::of(&PROPERTY, format!("{count} files belong to nothing"))
            .with_details(history.leftover_files.iter().cloned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_left_over_holds() {
        check(&History::default()).expect("holds");
    }

    #[test]
    fn a_leftover_file_is_named_and_many_are_counted() {
        let leftover_files = (0..10).map(|n| format!("chk-{n}/op0-0.snapshot")).collect();
        let history = History { leftover_files, ..History::default() };
        let violation = check(&history).expect_err("violated");
        assert_eq!(violation.details[0], "chk-0/op0-0.snapshot");
        assert_eq!(violation.details[8], "and 2 more");
    }
}
