//! Restorable (T7, H5): a retained checkpoint can be restored now, at each moment.
//!
//! ```text
//! for each completed checkpoint n, whenever somebody looked while n was retained:
//!     every file of n is there, whole, with its checksum
//! ```

use alloc::format;

use crate::Property;
use crate::history::History;
use crate::violation::Violation;

/// See the module.
pub const PROPERTY: Property = Property {
    name: "restorable",
    rule: "T7, H5",
    about: "every completed checkpoint can be restored for as long as it is retained",
    check,
};

/// Looks at the verdict of each look.
///
/// # Errors
/// The first checkpoint that could not be restored, and why.
pub fn check(history: &History) -> Result<(), Violation> {
    history.checkpoints.iter().try_for_each(|contents| {
        contents.restorable.as_ref().copied().map_err(|cause| {
            let message = format!("checkpoint {} cannot be restored: {cause}", contents.checkpoint);
            Violation::of(&PROPERTY, message)
        })
    })
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use alloc::vec;

    use seawall_protocol::CheckpointId;

    use super::*;
    use crate::history::CheckpointContents;

    fn history(restorable: Result<(), String>) -> History {
        let contents = CheckpointContents {
            checkpoint: CheckpointId(4),
            positions: BTreeMap::new(),
            state: BTreeMap::new(),
            expected_state: BTreeMap::new(),
            restorable,
        };
        History { checkpoints: vec![contents], ..History::default() }
    }

    #[test]
    fn a_checkpoint_that_reads_back_holds() {
        check(&history(Ok(()))).expect("holds");
    }

    #[test]
    fn a_missing_file_is_named() {
        let violation =
            check(&history(Err("op1-0.snapshot: not found".into()))).expect_err("violated");
        assert_eq!(violation.message, "checkpoint 4 cannot be restored: op1-0.snapshot: not found");
    }
}
