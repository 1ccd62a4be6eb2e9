//! The legal names of a scenario file: properties, planted bugs, jobs.

use crate::plants;

/// Properties that a scenario may claim.
pub fn properties() -> Vec<&'static str> {
    seawall_spec::ALL.iter().map(|it| it.name).collect()
}

/// Bugs that can be planted.
pub fn plants() -> Vec<&'static str> {
    plants::all().into_iter().map(|it| it.name).collect()
}

/// Built-in jobs.
pub fn jobs() -> Vec<&'static str> {
    seawall_jobs::JOBS.iter().map(|it| it.name).collect()
}
