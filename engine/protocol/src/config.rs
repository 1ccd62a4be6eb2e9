//! The settings that decisions depend on. Parsing and defaults from files belong to the programs.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Whether alignment blocks channels (C) or only counts barriers (D).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckpointMode {
    /// Each input record affects state once.
    #[default]
    ExactlyOnce,
    /// No channel is ever blocked; after a restore some records may count twice (D5).
    AtLeastOnce,
}

/// When checkpoints are taken and given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CheckpointConfig {
    /// Exactly-once or at-least-once.
    pub mode: CheckpointMode,
    /// Time between two periodic triggers; `None` leaves only the other triggers and the final checkpoint.
    pub interval: Option<Duration>,
    /// Effective interval while a source reports a backlog (B7); `None` is `interval`.
    pub interval_during_backlog: Option<Duration>,
    /// Trigger when this many records were ingested since the last trigger.
    pub every_records: Option<u64>,
    /// Trigger when this many bytes of state changed since the last trigger.
    pub every_dirty_bytes: Option<u64>,
    /// How time, records and dirty bytes are combined when more than one is set.
    pub combination: TriggerCombination,
    /// Whether and when a barrier may overtake records (E).
    pub alignment: Alignment,
    /// A pending checkpoint older than this expires (G4).
    pub timeout: Duration,
    /// Least time from a completion to the next trigger (B3).
    pub min_pause: Duration,
    /// Checkpoints that may be pending at once, 1 to [`crate::limits::PENDING_CHECKPOINTS_MAX`] (B2).
    pub max_concurrent: u32,
    /// Counted failures in a row that are tolerated (G6).
    pub tolerable_failures: u32,
    /// Completed checkpoints to keep, at least 1 (H5).
    pub retained: u32,
    /// Completed checkpoints older than this are removed, except the newest.
    pub expiration: Option<Duration>,
    /// What happens to the retained checkpoints when the job is cancelled (H9).
    pub on_cancel: RetentionOnCancel,
    /// Snapshots may refer to files of earlier checkpoints (I).
    pub is_incremental: bool,
    /// Checkpoints go on while some subtasks have finished (N1, C3).
    pub is_taken_after_finish: bool,
}

/// Where the live state of a subtask is (Flink's `state.backend.type`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StateBackend {
    /// In memory.
    #[default]
    Heap,
    /// In a scratch file, with a cache in front.
    Disk {
        /// Memory of each subtask, about.
        cache_bytes: u64,
    },
}

/// How several conditions of a trigger are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TriggerCombination {
    /// The first condition that holds triggers.
    #[default]
    Any,
    /// Every condition must hold.
    All,
}

/// Whether a barrier waits behind the records before it (C) or overtakes them (E).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Alignment {
    /// It waits.
    #[default]
    Aligned,
    /// It overtakes records; those are part of the snapshot.
    Unaligned,
    /// It waits this long at each subtask, and then overtakes (E9).
    AlignedFor(Duration),
}

/// What a cancelled job leaves (Flink's `externalized-checkpoint-retention`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RetentionOnCancel {
    /// The retained checkpoints are deleted.
    #[default]
    Delete,
    /// They stay.
    Retain,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            mode: CheckpointMode::ExactlyOnce,
            interval: Some(Duration::from_secs(1)),
            interval_during_backlog: None,
            every_records: None,
            every_dirty_bytes: None,
            combination: TriggerCombination::Any,
            alignment: Alignment::Aligned,
            timeout: Duration::from_mins(10),
            min_pause: Duration::ZERO,
            max_concurrent: 1,
            tolerable_failures: 0,
            retained: 1,
            expiration: None,
            on_cancel: RetentionOnCancel::Delete,
            is_incremental: false,
            is_taken_after_finish: true,
        }
    }
}

/// How often, and after which delay, a failed job starts again (O9).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RestartStrategy {
    /// The first failure ends the job.
    None,
    /// At most `attempts` restarts, each after `delay`.
    FixedDelay {
        /// Restarts in all.
        attempts: u32,
        /// Time before each.
        delay: Duration,
    },
    /// Restarts while at most `max_failures` fall within `interval`.
    FailureRate {
        /// Failures allowed within the interval.
        max_failures: u32,
        /// The sliding window.
        interval: Duration,
        /// Time before each restart.
        delay: Duration,
    },
    /// Delays grow from `initial` by `multiplier_percent` to `max`, and reset after a stable period.
    ExponentialDelay {
        /// The first delay.
        initial: Duration,
        /// The longest delay.
        max: Duration,
        /// Growth of the delay in percent: 150 is Flink's 1.5.
        multiplier_percent: u32,
        /// Jitter in percent of the delay, drawn by the driver.
        jitter_percent: u32,
        /// Running this long without a failure resets the delay.
        reset_after: Duration,
    },
}

impl Default for RestartStrategy {
    fn default() -> Self {
        Self::ExponentialDelay {
            initial: Duration::from_secs(1),
            max: Duration::from_mins(1),
            multiplier_percent: 150,
            jitter_percent: 10,
            reset_after: Duration::from_hours(1),
        }
    }
}

/// How death is suspected (O1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeartbeatConfig {
    /// Time between two signs of life, in both directions.
    pub interval: Duration,
    /// Silence after which the other side is taken for dead.
    pub timeout: Duration,
    /// How long a cancelled attempt may take to stop before its worker is taken for dead (O6).
    pub cancel_timeout: Duration,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(500),
            timeout: Duration::from_millis(2500),
            cancel_timeout: Duration::from_secs(30),
        }
    }
}
