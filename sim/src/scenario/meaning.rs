//! What a scenario says, once its text is read: types without a rule.

use std::fmt;
use std::time::Duration;

use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy, StateBackend};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::fault::Fault;

/// A scenario: what runs, what the world does to it, and what must hold all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Folder and file name: `crash/worker-after-ack`.
    pub name: String,
    /// One sentence: circumstance, then danger.
    pub about: String,
    /// What is claimed.
    pub claim: Claim,
    /// The seeds it is swept over.
    pub seeds: Vec<u64>,
    /// The end of the safety phase: all faults heal.
    pub until: Duration,
    /// What runs.
    pub workload: Workload,
    /// On what.
    pub cluster: Cluster,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// Where live state is.
    pub state: StateBackend,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
    /// Whether the engine's buggify sites may fire.
    pub is_buggified: bool,
    /// What a person does when the job ended.
    pub then: Option<Then>,
    /// What the world does.
    pub faults: Vec<Fault>,
    /// The file.
    pub text: String,
}

/// The job is started once more, in a data directory of its own, on the same output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Then {
    /// From where.
    pub start_from: StartFrom,
    /// Whether the new run owns the savepoint.
    pub is_claiming: bool,
    /// Whether what was committed behind the savepoint is taken back.
    pub is_rewinding: bool,
    /// Subtasks of every operator, when they are others than before.
    pub parallelism: Option<u32>,
    /// Whether the first run's data directory and the savepoint are deleted once the new run has its own.
    pub is_original_deleted: bool,
}

/// Which savepoint a job is started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// The one that it stopped with, if it did.
    Stop,
    /// The oldest that was handed out, if one was.
    Savepoint,
}

/// What a scenario claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// These properties hold, and the run has really put them to the test.
    Expect(Vec<String>),
    /// With this bug planted, this property is violated in at least one of the seeds.
    Violates {
        /// The planted bug.
        plant: String,
        /// The property that must see it.
        property: String,
    },
}

/// The job and its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// A built-in job, or one that another crate has.
    pub job: String,
    /// Whether another crate has it: then only [`crate::Storm`] can run it.
    pub is_own: bool,
    /// Subtasks of each chain.
    pub parallelism: u32,
    /// Input records.
    pub records: u64,
    /// Distinct keys among them.
    pub keys: u64,
    /// Records per second of each source, if limited.
    pub rate: Option<u64>,
    /// Records per second that all sink subtasks take.
    pub sink_rate: Option<u64>,
    /// After how long without a record a source counts as idle, in event time.
    pub idle_after: Option<Duration>,
    /// Input files, for the jobs that read files.
    pub files: u32,
    /// Whether they are compressed: one source then reads the whole of a file.
    pub gzip: bool,
    /// How many of a hundred lines the job cannot read.
    pub malformed: Option<u32>,
    /// How many of a hundred keys are the first one.
    pub skew: Option<u32>,
}

/// The nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// Workers, named `worker-1` and so on.
    pub workers: u32,
    /// Subtasks of each chain a worker has room for.
    pub slots_per_worker: u32,
}

/// A node of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The coordinator.
    Coordinator,
    /// A worker, numbered from 1.
    Worker(u32),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("coordinator"),
            Self::Worker(number) => write!(f, "worker-{number}"),
        }
    }
}

impl Node {
    /// From its name.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "coordinator" {
            return Some(Self::Coordinator);
        }
        let number: u32 = name.strip_prefix("worker-")?.parse().ok()?;
        (Self::Worker(number).to_string() == name).then_some(Self::Worker(number))
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| {
            de::Error::custom(format!(
                "unknown node `{name}`, expected `coordinator` or `worker-1`"
            ))
        })
    }
}
