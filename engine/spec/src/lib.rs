//! What must be true of Seawall, one file a property, judged over a recorded [`History`].
//!
//! ```text
//!   simulator ──┐                                ┌── Ok
//!   models ─────┼─► History ─► judge(&history) ──┤
//!   a real run ─┘   (facts)     (ALL, in order)  └── Violation: which property, which rule, what was seen
//! ```
//!
//! Independent of the engine's own code: of `seawall-protocol` it uses only the names of things (ids and
//! [`Event`](seawall_protocol::event::Event)), no decision. A property that cannot fail is a defect: each one
//! is tested here on a history that violates it, and each is violated by a planted bug in `seawall-models`.
#![no_std]

extern crate alloc;

pub mod history;
mod properties;
pub mod violation;

pub use history::{
    CheckpointContents, CommittedFile, Ending, History, Limits, Recorded, TakenBack, VisibleEarly,
};
pub use properties::{
    all_acked, barriers_in_order, bounded_memory, commit_after_completion, commit_once,
    durable_before_ack, exactly_once_output, exactly_once_state, finish_after_checkpoint,
    ids_increase, no_loss, no_orphans, one_leader, one_owner, records_in_order, recovers,
    restorable, restored_is_newest, savepoint_stands, visible_stays, watermarks_rise,
    within_limits,
};
pub use violation::Violation;

/// One thing that must be true.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// The name used in `expect` and `violates` of scenarios and by planted bugs.
    pub name: &'static str,
    /// The rules it states.
    pub rule: &'static str,
    /// One sentence for people.
    pub about: &'static str,
    /// Judges a history.
    pub check: fn(&History) -> Result<(), Violation>,
}

/// Every property, the ones a user sees first.
pub const ALL: &[Property] = &[
    exactly_once_output::PROPERTY,
    visible_stays::PROPERTY,
    no_loss::PROPERTY,
    exactly_once_state::PROPERTY,
    records_in_order::PROPERTY,
    restorable::PROPERTY,
    savepoint_stands::PROPERTY,
    commit_after_completion::PROPERTY,
    commit_once::PROPERTY,
    finish_after_checkpoint::PROPERTY,
    one_owner::PROPERTY,
    one_leader::PROPERTY,
    restored_is_newest::PROPERTY,
    all_acked::PROPERTY,
    durable_before_ack::PROPERTY,
    barriers_in_order::PROPERTY,
    ids_increase::PROPERTY,
    within_limits::PROPERTY,
    bounded_memory::PROPERTY,
    watermarks_rise::PROPERTY,
    no_orphans::PROPERTY,
    recovers::PROPERTY,
];

/// The property of that name.
pub fn find(name: &str) -> Option<&'static Property> {
    ALL.iter().find(|property| property.name == name)
}

/// Every violation in the history, in the order of [`ALL`].
pub fn judge(history: &History) -> alloc::vec::Vec<Violation> {
    ALL.iter().filter_map(|property| (property.check)(history).err()).collect()
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_property_has_a_name_of_its_own_in_kebab_case() {
        let names: BTreeSet<_> = ALL.iter().map(|property| property.name).collect();
        assert_eq!(names.len(), ALL.len());
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert_eq!(find(name).map(|property| property.name), Some(name));
        }
    }

    #[test]
    fn a_run_in_which_nothing_happened_and_nothing_was_due_holds() {
        let history = History { ending: Ending::Finished, ..History::default() };
        assert_eq!(judge(&history), []);
    }
}
