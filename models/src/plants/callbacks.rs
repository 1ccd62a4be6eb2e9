//! Planted bugs of what operators are told.

use seawall_protocol::subtask::{Effect, Input, Plan};
use seawall_protocol::tamper::Tamper;

use super::Plant;

pub(super) const PLANTS: &[Plant] = &[Plant {
    name: "completion-is-told-with-the-ack",
    about: "operators are told that a checkpoint is completed when the subtask acks it",
    bug: "FLINK-31077: a checkpoint was reported as completed before it was in the store",
    rules: &["H1", "K3"],
    violates: "commit-after-completion",
    model: None,
    model_property: "commit-after-completion",
    in_simulator: true,
    tamper: || Box::new(CompletionIsToldWithTheAck),
}];

struct CompletionIsToldWithTheAck;
impl Tamper for CompletionIsToldWithTheAck {
    fn after_subtask(&self, plan: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        let acked: Vec<_> = effects
            .iter()
            .filter_map(|effect| if let Effect::Ack(it) = effect { Some(*it) } else { None })
            .collect();
        if plan.has_callbacks {
            effects.extend(acked.into_iter().map(Effect::TellCompleted));
        }
    }
}
