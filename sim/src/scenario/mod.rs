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

use quantity::{Bytes, PerSecond, Percent, Seeds, Time, TimeRange};

pub use meaning::{
    Claim, Cluster, DiskError, Fault, Node, Nodes, On, Scenario, StartFrom, Then, Trigger, Verb,
    Workload,
};
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
    job: JobText,
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
    files: Option<Spanned<u32>>,
    gzip: Option<Spanned<bool>>,
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

/// One fault: optional fields rather than an enum, so that the parser can name the unknown ones and
/// the validation can say which two were written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultText {
    at: Option<Spanned<TimeRange>>,
    on: Option<Spanned<OnText>>,
    every: Option<Spanned<Time>>,
    crash: Option<Spanned<CrashText>>,
    pause: Option<Spanned<PauseText>>,
    partition: Option<Spanned<PartitionText>>,
    reset: Option<Spanned<ResetText>>,
    slow_network: Option<Spanned<SlowNetworkText>>,
    slow_disk: Option<Spanned<SlowDiskText>>,
    slow_checkpoint: Option<Spanned<SlowCheckpointText>>,
    fail_disk: Option<Spanned<FailDiskText>>,
    ask: Option<Spanned<AskText>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskText {
    #[serde(rename = "for")]
    what: Spanned<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnText {
    event: Spanned<String>,
    nth: Option<Spanned<u32>>,
    checkpoint: Option<Spanned<u64>>,
    subtask: Option<Spanned<String>>,
    node: Option<Spanned<String>>,
    after: Option<TimeRange>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CrashText {
    node: Spanned<String>,
    restart_after: Option<TimeRange>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseText {
    node: Spanned<String>,
    resume_after: Option<TimeRange>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartitionText {
    from: Spanned<Vec<Spanned<String>>>,
    to: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    both: bool,
    heal_after: Option<TimeRange>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetText {
    from: Spanned<Vec<Spanned<String>>>,
    to: Spanned<Vec<Spanned<String>>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlowNetworkText {
    from: Spanned<Vec<Spanned<String>>>,
    to: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    both: bool,
    latency: TimeRange,
    #[serde(rename = "for")]
    lasts: Option<TimeRange>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlowDiskText {
    node: Spanned<String>,
    latency: TimeRange,
    #[serde(rename = "for")]
    lasts: Option<TimeRange>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlowCheckpointText {
    node: Spanned<String>,
    stall: TimeRange,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailDiskText {
    node: Spanned<String>,
    error: Spanned<String>,
    count: Option<Spanned<u32>>,
    path: Option<String>,
}
