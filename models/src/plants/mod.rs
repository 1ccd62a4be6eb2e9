//! Planted bugs: real bugs of real stream processors, put between the cores and their driver.
//!
//! A plant changes what goes into a core or what comes out of it; the cores know nothing of it. Models and
//! simulator run the same plants, so a property that catches one in the model catches it in the whole
//! engine, if the faults make it matter. Plants hold no state: the model copies and compares whole
//! states, and whatever a plant remembered would escape it.
//!
//! Bugs of connectors, storage and transport are outside the reach of this hook.

use seawall_protocol::tamper::{DataStep, Tamper};

mod alignment;
mod callbacks;
mod checkpoint;
mod commit;
mod ends;
mod rescale;
mod shared_files;
mod stop;
mod trigger;
mod unaligned;

/// A defect put in on purpose, and who must find it.
#[derive(Clone, Copy)]
pub struct Plant {
    /// The name used in scenarios.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The real bug it re-creates.
    pub bug: &'static str,
    /// The rules it turns off, by their labels in `docs/rules.md`.
    pub rules: &'static [&'static str],
    /// The property of `seawall-spec` that must catch it.
    pub violates: &'static str,
    /// The model that must catch it, if one reaches it.
    pub model: Option<&'static str>,
    /// The property the model states it as: most often the same name.
    pub model_property: &'static str,
    /// Whether it is sought in the whole engine too. The others are made harmless by its driver, which sends
    /// no ack without the handle of a durable snapshot, or sit where the engine has no hook, or their rule
    /// has another plant there.
    pub in_simulator: bool,
    /// Makes the hook.
    pub tamper: fn() -> Box<dyn Tamper>,
}

impl std::fmt::Debug for Plant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The driver leaves a step out.
struct Skips(DataStep);

impl Tamper for Skips {
    fn skips(&self, step: DataStep) -> bool {
        step == self.0
    }
}

/// The plant of that name.
pub fn find(name: &str) -> Option<&'static Plant> {
    all().find(|plant| plant.name == name)
}

/// Every plant.
pub fn all() -> impl Iterator<Item = &'static Plant> {
    [
        alignment::PLANTS,
        callbacks::PLANTS,
        checkpoint::PLANTS,
        commit::PLANTS,
        ends::PLANTS,
        rescale::PLANTS,
        shared_files::PLANTS,
        stop::PLANTS,
        trigger::PLANTS,
        unaligned::PLANTS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plant_has_a_name_of_its_own_and_a_property_that_exists() {
        let mut names: Vec<_> = all().map(|plant| plant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count());
        for plant in all() {
            assert!(seawall_spec::find(plant.violates).is_some(), "{}", plant.name);
            assert!(!plant.rules.is_empty(), "{} turns nothing off", plant.name);
            assert!(plant.in_simulator || plant.model.is_some(), "{} shows nowhere", plant.name);
        }
    }
}
