//! What the arguments of `seawall run` mean, checked before anything else happens.

use std::path::PathBuf;
use std::sync::Arc;

use seawall::jobs::{self, JobSpec, Options};
use seawall::protocol::JobId;
use seawall::protocol::config::{CheckpointConfig, CheckpointMode, RestartStrategy};
use seawall::protocol::limits::{CHECKPOINT_TIME_MIN, RETAINED_MAX};
use seawall::stream::Job;

use crate::args::{Mode, RunArgs};
use crate::error::CliError;
use crate::run::identity;

/// The most subtasks of one operator in one process.
const PARALLELISM_MAX: u32 = 256;

/// A job and how to run it.
pub(crate) struct Settings {
    pub(crate) spec: &'static JobSpec,
    pub(crate) options: Options,
    pub(crate) id: JobId,
    pub(crate) job: Arc<Job>,
    pub(crate) storage: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) checkpoint: CheckpointConfig,
    pub(crate) restart: RestartStrategy,
}

impl Settings {
    /// # Errors
    /// When a name is unknown, a value is of the wrong kind or out of range.
    pub(crate) fn new(args: &RunArgs) -> Result<Self, CliError> {
        let spec = jobs::find(&args.job)?;
        let options = identity::resolve(spec, &args.options)?;
        let range = |flag, value: u32, legal: std::ops::RangeInclusive<u32>| {
            if legal.contains(&value) {
                return Ok(value);
            }
            let (value, legal) =
                (value.to_string(), format!("{}..={}", legal.start(), legal.end()));
            Err(CliError::OutOfRange { flag, value, legal })
        };
        let least = |flag, value: std::time::Duration| {
            if value >= CHECKPOINT_TIME_MIN {
                return Ok(value);
            }
            let legal = format!("{}ms or longer", CHECKPOINT_TIME_MIN.as_millis());
            Err(CliError::OutOfRange { flag, value: format!("{}ms", value.as_millis()), legal })
        };
        let checkpoint = CheckpointConfig {
            mode: match args.mode {
                Mode::ExactlyOnce => CheckpointMode::ExactlyOnce,
                Mode::AtLeastOnce => CheckpointMode::AtLeastOnce,
            },
            interval: Some(least("--checkpoint-interval", args.checkpoint_interval)?),
            timeout: least("--checkpoint-timeout", args.checkpoint_timeout)?,
            min_pause: args.min_pause,
            tolerable_failures: args.tolerable_failures,
            retained: range("--retained", args.retained, 1..=RETAINED_MAX)?,
            ..CheckpointConfig::default()
        };
        let restart = match args.restart_attempts {
            0 => RestartStrategy::None,
            attempts => RestartStrategy::FixedDelay { attempts, delay: args.restart_delay },
        };
        let parallelism = range("--parallelism", args.parallelism, 1..=PARALLELISM_MAX)?;
        let id = identity::job_id(spec, &options);
        Ok(Self {
            spec,
            id,
            job: Arc::new((spec.build)(&options, parallelism)),
            storage: identity::state_directory(&args.state, spec, id),
            output: options.path("output"),
            options,
            checkpoint,
            restart,
        })
    }
}
