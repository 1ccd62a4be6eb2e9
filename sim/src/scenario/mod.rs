//! Scenario files: one claim each, as data.
//!
//! ```text
//! text --toml--> shapes (this file) --validate--> meaning::Scenario --seed--> resolved faults (fault.rs)
//! ```
//!
//! The shapes here are what the text may look like; every key that is accepted is read. The file's name
//! is the scenario's name and its folder is the kind: `crash/worker-after-ack`. The format is described
//! in `sim/README.md`.
//!
//! Deliberately absent: variables, includes, expressions. What needs one is a Rust test.

pub mod meaning;
pub mod problem;
pub mod quantity;
pub mod validate;

use serde::Deserialize;
use toml::Spanned;

use crate::fault::{FaultText, Operation, When};
use quantity::{Bytes, PerSecond, Percent, Seeds, Time, TimeRange};

pub use meaning::{Claim, Cluster, Node, Scenario, StartFrom, Then, Workload};
pub use problem::{FileError, nearest};
pub use validate::name_of;

/// A whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScenarioText {
    about: Spanned<String>,
    expect: Option<Spanned<Vec<Spanned<String>>>>,
    plant: Option<Spanned<String>>,
    violates: Option<Spanned<String>>,
    seeds: Spanned<Seeds>,
    until: Spanned<Time>,
    job: Option<JobText>,
    own_job: Option<OwnJobText>,
    cluster: ClusterText,
    #[serde(default)]
    checkpoint: CheckpointText,
    #[serde(default)]
    state: StateText,
    restart: Option<Spanned<RestartText>>,
    #[serde(default)]
    heartbeat: HeartbeatText,
    #[serde(default)]
    buggify: bool,
    then: Option<ThenText>,
    #[serde(default)]
    fault: Vec<Spanned<FaultText>>,
}

/// What a person does when the job ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThenText {
    start_from: Spanned<String>,
    #[serde(default)]
    claim: bool,
    #[serde(default)]
    rewind: bool,
    delete_original: Option<Spanned<bool>>,
    parallelism: Option<Spanned<u32>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobText {
    name: Spanned<String>,
    parallelism: Spanned<u32>,
    records: Spanned<u64>,
    keys: Spanned<u64>,
    rate: Option<Spanned<PerSecond>>,
    sink_rate: Option<Spanned<PerSecond>>,
    idle_after: Option<Spanned<Time>>,
    files: Option<Spanned<u32>>,
    gzip: Option<Spanned<bool>>,
    malformed: Option<Spanned<Percent>>,
    skew: Option<Spanned<Percent>>,
}

/// A job that another crate has; see [`crate::Storm`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnJobText {
    name: Spanned<String>,
    parallelism: Spanned<u32>,
    records: u64,
    rate: PerSecond,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterText {
    workers: Spanned<u32>,
    slots_per_worker: Spanned<u32>,
    coordinators: Option<Spanned<u32>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointText {
    interval: Option<Spanned<Time>>,
    timeout: Option<Spanned<Time>>,
    min_pause: Option<Time>,
    max_concurrent: Option<Spanned<u32>>,
    tolerable_failures: Option<u32>,
    retained: Option<Spanned<u32>>,
    mode: Option<Spanned<String>>,
    every_records: Option<Spanned<u64>>,
    every_dirty_bytes: Option<Spanned<Bytes>>,
    combination: Option<Spanned<String>>,
    interval_during_backlog: Option<Time>,
    expiration: Option<Time>,
    on_cancel: Option<Spanned<String>>,
    alignment: Option<Spanned<String>>,
    incremental: Option<Spanned<bool>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateText {
    backend: Option<Spanned<String>>,
    cache: Option<Spanned<Bytes>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartText {
    strategy: Spanned<String>,
    attempts: Option<Spanned<u32>>,
    delay: Option<Spanned<Time>>,
    max_failures: Option<Spanned<u32>>,
    interval: Option<Spanned<Time>>,
    initial: Option<Spanned<Time>>,
    max: Option<Spanned<Time>>,
    multiplier: Option<Spanned<Percent>>,
    jitter: Option<Spanned<Percent>>,
    reset_after: Option<Spanned<Time>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatText {
    interval: Option<Spanned<Time>>,
    timeout: Option<Spanned<Time>>,
}

/// What a fault waits for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnText {
    event: Option<Spanned<String>>,
    fault: Option<Spanned<String>>,
    call: Option<Spanned<Operation>>,
    path: Option<Spanned<String>>,
    when: Option<Spanned<When>>,
    nth: Option<Spanned<u32>>,
    checkpoint: Option<Spanned<u64>>,
    subtask: Option<Spanned<String>>,
    node: Option<Spanned<Node>>,
    after: Option<TimeRange>,
}
