//! What a scenario says, once its text is read: types without a rule.

use std::fmt;
use std::time::Duration;

use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy, StateBackend};
use seawall_runtime::control::Ask;

use super::quantity::TimeRange;

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
    /// A built-in job.
    pub job: String,
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
    /// Input files, for the jobs that read files.
    pub files: u32,
    /// Whether they are compressed: one source then reads the whole of a file.
    pub gzip: bool,
}

/// The nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// Workers, named `worker-1` and so on.
    pub workers: u32,
    /// Subtasks of each chain a worker has room for.
    pub slots_per_worker: u32,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub verb: Verb,
}

/// When a fault happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// At a virtual time.
    At(TimeRange),
    /// At a protocol event.
    On(On),
    /// Again and again in the safety phase, with this mean interval.
    Every(Duration),
}

/// A protocol event to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct On {
    /// Its name.
    pub event: String,
    /// The first is 1; counted among the events that match.
    pub nth: u32,
    /// Only events of this checkpoint.
    pub checkpoint: Option<u64>,
    /// Only events of this subtask, such as `count/0`.
    pub subtask: Option<String>,
    /// Only events of this node.
    pub node: Option<Node>,
    /// How long after it.
    pub after: TimeRange,
}

/// What the world does. Durations that are absent last to the end of the safety phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// A node loses its memory and what it did not sync.
    Crash {
        /// Who.
        node: Nodes,
        /// When it is back.
        restart_after: Option<TimeRange>,
    },
    /// A node stops and keeps its memory.
    Pause {
        /// Who.
        node: Nodes,
        /// When it goes on.
        resume_after: Option<TimeRange>,
    },
    /// Nothing arrives from one side at the other.
    Partition {
        /// Senders.
        from: Vec<Nodes>,
        /// Receivers.
        to: Vec<Nodes>,
        /// In both directions.
        both: bool,
        /// When it heals.
        heal_after: Option<TimeRange>,
    },
    /// Every connection between the two sides breaks; new ones can be made.
    Reset {
        /// One side.
        from: Vec<Nodes>,
        /// The other.
        to: Vec<Nodes>,
    },
    /// Frames from one side to the other take longer.
    SlowNetwork {
        /// Senders.
        from: Vec<Nodes>,
        /// Receivers.
        to: Vec<Nodes>,
        /// In both directions.
        both: bool,
        /// How long each frame takes.
        latency: TimeRange,
        /// How long it stays so.
        lasts: Option<TimeRange>,
    },
    /// Every disk operation of a node takes longer.
    SlowDisk {
        /// Whose.
        node: Nodes,
        /// How long each operation takes.
        latency: TimeRange,
        /// How long it stays so.
        lasts: Option<TimeRange>,
    },
    /// The checkpoint storage stalls once for a node: its next sync takes this long.
    SlowCheckpoint {
        /// Whose.
        node: Nodes,
        /// How long.
        stall: TimeRange,
    },
    /// Disk operations of a node fail.
    FailDisk {
        /// Whose.
        node: Nodes,
        /// How.
        error: DiskError,
        /// How many operations.
        count: u32,
        /// Only on paths that contain this.
        path: Option<String>,
    },
    /// Somebody asks for something, again and again until the job answers.
    Ask(Ask),
}

impl Verb {
    /// The key in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::Pause { .. } => "pause",
            Self::Partition { .. } => "partition",
            Self::Reset { .. } => "reset",
            Self::SlowNetwork { .. } => "slow_network",
            Self::SlowDisk { .. } => "slow_disk",
            Self::SlowCheckpoint { .. } => "slow_checkpoint",
            Self::FailDisk { .. } => "fail_disk",
            Self::Ask(_) => "ask",
        }
    }
}

/// How a disk operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// The device reports an error.
    Io,
    /// There is no room.
    Full,
}

impl DiskError {
    /// The names in a file.
    pub const NAMES: [&'static str; 2] = ["io", "full"];

    /// The name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Full => "full",
        }
    }

    /// From the name in a file.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "io" => Some(Self::Io),
            "full" => Some(Self::Full),
            _ => None,
        }
    }
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

/// One node, or one that the seed chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// This one.
    One(Node),
    /// `worker-*`: a worker drawn from the seed.
    AnyWorker,
    /// `*`: any node, drawn from the seed.
    Any,
}
