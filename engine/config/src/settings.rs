//! What a configuration means: typed settings, validated together.

use std::path::PathBuf;
use std::time::Duration;

use seawall_protocol::CheckpointId;
use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy, StateBackend};

use crate::configuration::Configuration;
use crate::problem::{ConfigError, Warning};
use crate::quantity::show_duration;

mod reader; // from chosen values to typed ones
mod validate; // what must not be together

use reader::Reader;

/// Everything a configuration can say, typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When checkpoints are taken and given up.
    pub checkpoint: CheckpointConfig,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
    /// Where live state is.
    pub backend: StateBackend,
    /// The directory of the scratch files of state on disk, when it was given.
    pub scratch: Option<PathBuf>,
    /// Time between two watermarks of a subtask.
    pub watermark_interval: Duration,
    /// Where checkpoints are kept, as it was given.
    pub directory: Option<String>,
    /// Where savepoints are written whose place nobody names, as it was given.
    pub savepoint_directory: Option<String>,
    /// What a job without checkpoints of its own starts from.
    pub recovery: Option<Recovery>,
    /// Slots of a worker, when they were given.
    pub slots: Option<u32>,
    /// Key groups, when they were given.
    pub key_groups: Option<u32>,
    /// The checkpoint that is restored without its in-flight data, when one was named (E12).
    pub without_channel_state: Option<CheckpointId>,
    /// What is understood, and should be looked at.
    pub warnings: Vec<Warning>,
}

/// A start from a savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The savepoint, as it was given.
    pub path: String,
    /// Whether the job owns it from then on.
    pub is_claiming: bool,
    /// Whether state may be left behind that belongs to no operator of the job (M6).
    pub ignores_unclaimed_state: bool,
}

impl Settings {
    pub(crate) fn of(configuration: &Configuration) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut reader = Reader::new(configuration.chosen(&mut problems));
        reader.refuse_what_is_not_there(&mut problems);
        let mut settings = reader.settings();
        reader.refuse_what_has_no_effect(&settings, &mut problems);
        reader.refuse_odd_triggers(&settings, &mut problems);
        reader.refuse_contradictions(&settings, &mut problems);
        settings.warnings = configuration.warnings().to_vec();
        settings.warnings.extend(reader.warnings(&settings));
        assert_eq!(reader.unread(), Vec::<&str>::new(), "a key that works is read");
        ConfigError::unless_empty(problems, settings)
    }

    /// The interval that counts: never below the pause (B7).
    pub fn effective_interval(&self) -> Option<Duration> {
        self.checkpoint.interval.map(|it| it.max(self.checkpoint.min_pause))
    }

    /// The longest time to the next attempt: until the failure is noticed, the old attempt stopped and the
    /// delay over.
    pub fn longest_restart(&self) -> Duration {
        let delay = match self.restart {
            RestartStrategy::None => Duration::ZERO,
            RestartStrategy::FixedDelay { delay, .. }
            | RestartStrategy::FailureRate { delay, .. } => delay,
            RestartStrategy::ExponentialDelay { max, .. } => max,
        };
        let HeartbeatConfig { timeout, cancel_timeout, .. } = self.heartbeat;
        timeout.saturating_add(cancel_timeout).saturating_add(delay)
    }

    /// Warns of a sink whose transactions may be ended by the external system before they are committed:
    /// a transaction lives from one checkpoint to the completion of the next, and through a restart (K9).
    pub fn transaction_warning(&self, sink: &str, timeout: Duration) -> Option<Warning> {
        let shown = show_duration(timeout);
        let Some(interval) = self.effective_interval() else {
            return Some(Warning(format!(
                "the transactions of sink {sink} end after {shown}, and nothing bounds the time between two \
                 checkpoints\nhint: set execution.checkpointing.interval"
            )));
        };
        let needed =
            self.checkpoint.timeout.saturating_add(interval).saturating_add(self.longest_restart());
        (timeout <= needed).then(|| {
            Warning(format!(
                "the transactions of sink {sink} end after {shown}, which may be before they are committed: \
                 checkpoint timeout {}, interval {} and restart {} take up to {}\n\
                 hint: raise the transaction timeout of the sink, or lower execution.checkpointing.timeout",
                show_duration(self.checkpoint.timeout),
                show_duration(interval),
                show_duration(self.longest_restart()),
                show_duration(needed),
            ))
        })
    }
}
