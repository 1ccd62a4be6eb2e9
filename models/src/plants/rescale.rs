//! Planted bugs of another parallelism (M2, M7, K10).

use seawall_protocol::coordinator::{Effect, Input};
use seawall_protocol::tamper::{DataStep, Tamper};

use super::{Plant, Skips};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "rescale-merges-one-owner",
        about: "after a change of parallelism a subtask has the state of the first former owner of its key groups",
        bug: "FLINK-31963: state was not assigned to every subtask on restore",
        rules: &["M2"],
        violates: "exactly-once-state",
        model: Some("rescale"),
        model_property: "exactly-once-state",
        in_simulator: true,
        tamper: || Box::new(Skips(DataStep::MergeOwners)),
    },
    Plant {
        name: "rescale-forgets-transactions",
        about: "after a change of parallelism nobody commits what the former subtasks had pre-committed",
        bug: "Iceberg #16008: committables of another parallelism were dropped as those of a stranger",
        rules: &["K10"],
        violates: "exactly-once-output",
        model: Some("rescale"),
        model_property: "exactly-once-output",
        in_simulator: true,
        tamper: || Box::new(Skips(DataStep::InheritTransactions)),
    },
    Plant {
        name: "record-forgets-the-parallelism",
        about: "the store record does not hold the parallelism that the job was given",
        bug: "none known: that the record decides (M7), turned off",
        rules: &["M7"],
        violates: "recovers",
        model: Some("rescale"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(ForgetsParallelism),
    },
];

struct ForgetsParallelism;

impl Tamper for ForgetsParallelism {
    fn after_coordinator(&self, _: &Input, effects: &mut Vec<Effect>) {
        for effect in effects {
            if let Effect::Persist { record, .. } = effect {
                record.parallelism = None;
            }
        }
    }
}
