//! Tests of the whole engine in the simulator. They link madsim; `tests/real` never does.

mod bite;
mod determinism;
mod faults;
mod figures;
mod provenance;
mod replay;
mod silence;
mod traces;

use std::path::PathBuf;

use seawall_sim::scenario::Scenario;
use seawall_sim::verify::{self, Loaded};

/// Where the scenarios are.
fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// A scenario by its name.
fn scenario(name: &str) -> Scenario {
    let path = directory().join(format!("{name}.toml"));
    Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// Every scenario.
fn all() -> Vec<Scenario> {
    let found = verify::find(&[directory()]).expect("the scenarios are there");
    let loaded = verify::load(&found).expect("every scenario is sound");
    let scenarios = loaded.into_iter().filter_map(|one| match one {
        Loaded::Scenario(scenario) => Some(*scenario),
        Loaded::Seed(..) | Loaded::Swarm(_) => None,
    });
    scenarios.collect()
}
