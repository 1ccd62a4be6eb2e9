//! Visible stays (K2, T5, X2): what a reader has seen is not taken back.
//!
//! ```text
//! each committed file, once seen: it is there at every later look, with the same bytes
//! ```
//!
//! Stronger than exactly-once output at the end of a run: a file that disappears and is written again with
//! the same lines is whole at the end, and somebody has read it twice in between. A person who rewinds a
//! job's output takes it back on purpose; what was moved aside then is not seen any more.

use alloc::format;

use crate::Property;
use crate::history::History;
use crate::violation::Violation;

/// See the module.
pub const PROPERTY: Property = Property {
    name: "visible-stays",
    rule: "K2, T5, X2",
    about: "output that was visible once stays visible, byte for byte",
    check,
};

/// Looks at what was taken back.
///
/// # Errors
/// The files that disappeared or changed.
pub fn check(history: &History) -> Result<(), Violation> {
    if history.taken_back.is_empty() {
        return Ok(());
    }
    let message = format!("{} committed files were taken back", history.taken_back.len());
    let details = history.taken_back.iter().map(|it| {
        let (at, how) = (it.at.as_secs_f64(), if it.is_changed { "changed" } else { "gone" });
        format!("{} of checkpoint {}: {how} at {at:.6}s", it.name, it.checkpoint)
    });
    Err(Violation::of(&PROPERTY, message).with_details(details))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use alloc::string::ToString;
    use alloc::vec;

    use seawall_protocol::CheckpointId;

    use super::*;
    use crate::history::TakenBack;

    #[test]
    fn a_file_that_disappears_is_named_with_its_checkpoint() {
        let taken = TakenBack {
            at: Duration::from_millis(1_500),
            name: "part-0-chk-3.csv".into(),
            checkpoint: CheckpointId(3),
            is_changed: false,
        };
        let history = History { taken_back: vec![taken], ..History::default() };
        assert_eq!(
            check(&history).expect_err("violated").to_string(),
            "visible-stays (K2, T5, X2): 1 committed files were taken back\n  \
             part-0-chk-3.csv of checkpoint 3: gone at 1.500000s"
        );
    }
}
