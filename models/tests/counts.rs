//! The models at their smallest size: they hold, they are exhausted, and their counts are pinned.
//!
//! A count that changes without a change of the model is a change of the protocol's behaviour: look at it
//! as at any other snapshot, and say in the commit why.

use seawall_models::{Size, check};

#[track_caller]
fn holds_with(name: &str, unique: usize, generated: usize) {
    let report = check(name, Size::Smoke).expect("it is a model");
    assert!(report.holds(), "{report}");
    assert_eq!((report.unique, report.generated), (unique, generated), "{report}");
}

#[test]
fn alignment_holds() {
    holds_with("alignment", 56_119, 249_542);
}

#[test]
fn checkpoint_holds() {
    holds_with("checkpoint", 166_739, 306_216);
}

#[test]
fn commit_holds() {
    holds_with("commit", 24_854, 46_347);
}
