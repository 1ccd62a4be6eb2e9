//! The legal names of a scenario file: properties, planted bugs, jobs.

/// Properties that a scenario may claim.
pub fn properties() -> Vec<&'static str> {
    vec!["exactly-once", "recovers"]
}

/// Bugs that can be planted.
pub fn plants() -> Vec<&'static str> {
    vec![]
}

/// Built-in jobs.
pub fn jobs() -> Vec<&'static str> {
    vec!["word-count", "access-log", "keyed-count"]
}

/// Whether the job reads its input from files.
pub fn reads_files(job: &str) -> bool {
    job != "keyed-count"
}
