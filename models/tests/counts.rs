//! The models at their smallest size: they hold, they are exhausted, and their counts are pinned.
//!
//! A count that changes without a change of the model is a change of the protocol's behaviour: look at it
//! as at any other snapshot, and say in the commit why.

use seawall_models::{Size, check};

#[track_caller]
fn holds_with(name: &str, size: Size, unique: usize, generated: usize) {
    let report = check(name, size).expect("it is a model");
    assert!(report.holds(), "{report}");
    assert_eq!((report.unique, report.generated), (unique, generated), "{report}");
}

// Rules: C1, C2, C3, C4, C5, C6, C8, C9, D1, D5, G5, G8, G9
#[test]
fn alignment_holds() {
    holds_with("alignment", Size::Smoke, 61_348, 261_251);
}

// Rules: A1, A2, A4, A5, B2, B11, G1, G2, H1, H2, H3, H6, H10, K11, N1, N2, N4, N6
#[test]
fn checkpoint_holds() {
    holds_with("checkpoint", Size::Smoke, 98_308, 179_967);
}

// Rules: A2, F1, F6, F7, G3, H4, J1, K1, K2, K3, K4, K5, K7, K8, K12, K13, N3
#[test]
fn commit_holds() {
    holds_with("commit", Size::Smoke, 23_457, 45_562);
}

// Rules: A3, G6, G7, H7, H9, K2, K7, K14, N7
#[test]
fn stop_holds() {
    holds_with("stop", Size::Smoke, 174_287, 356_186);
}

#[test]
fn the_larger_alignment_holds() {
    holds_with("alignment", Size::Merge, 277_888, 1_151_635);
}

#[test]
fn the_larger_life_of_checkpoints_holds() {
    holds_with("checkpoint", Size::Merge, 1_132_096, 2_177_689);
}

#[test]
fn the_larger_commit_holds() {
    holds_with("commit", Size::Merge, 222_197, 526_235);
}

// Rules: G1, G2, G5, I1, I2, I3, I4, I5, I6, I8, I9
#[test]
fn shared_files_hold() {
    holds_with("shared-files", Size::Smoke, 272_435, 530_320);
}

#[test]
fn the_larger_shared_files_hold() {
    holds_with("shared-files", Size::Merge, 1_198_411, 2_560_887);
}

// Rules: A6, E1, E2, E3, E4, E5, E6, E7, E9, E10, E12, F2, F3
#[test]
fn unaligned_holds() {
    holds_with("unaligned", Size::Smoke, 103_719, 363_575);
}

#[test]
fn the_larger_unaligned_holds() {
    holds_with("unaligned", Size::Merge, 324_886, 1_197_045);
}

#[test]
fn the_larger_stop_holds() {
    holds_with("stop", Size::Merge, 291_880, 604_587);
}
