//! Stateright's own search finds the same states. It hashes differently, so equal counts also say that
//! no two states shared a fingerprint in either.

use seawall_models::alignment::Alignment;
use seawall_models::{Size, check};
use seawall_protocol::tamper::Honest;
use stateright::{Checker, Model};

#[test]
fn stateright_counts_the_same_states() {
    let ours = check("alignment", Size::Smoke).expect("it is a model");
    let model = Alignment::new(Size::Smoke, Box::new(Honest));
    let theirs = model.checker().threads(1).spawn_dfs().join();
    assert_eq!(theirs.unique_state_count(), ours.unique);
}
