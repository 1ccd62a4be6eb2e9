//! What the arguments of `seawall run` mean, checked before anything else happens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall::jobs::{self, JobSpec, Options};
use seawall::protocol::JobId;
use seawall::runtime::storage::savepoint::Restore;
use seawall::runtime::storage::{Location, Storage};
use seawall::runtime::tokio_env::FileSystem;
use seawall::stream::Job;

use crate::args::RunArgs;
use crate::config;
use crate::error::CliError;
use crate::run::identity;
use crate::run::ownership::Lineage;
use crate::run::state::Found;
use crate::savepoint::place;

/// The most subtasks of one operator in one process.
const PARALLELISM_MAX: u32 = 256;

/// A job and how to run it.
pub(crate) struct Settings {
    pub(crate) spec: &'static JobSpec,
    pub(crate) options: Options,
    pub(crate) id: JobId,
    pub(crate) job: Arc<Job>,
    /// What is kept on this machine: the lock, and the checkpoints unless they are elsewhere.
    pub(crate) storage: PathBuf,
    /// The job's checkpoints.
    pub(crate) checkpoints: Storage,
    pub(crate) output: PathBuf,
    /// The savepoint to start from.
    pub(crate) restore: Option<Restore>,
    /// What the configuration says.
    pub(crate) engine: config::Engine,
}

impl Settings {
    /// # Errors
    /// When a name is unknown, a value is of the wrong kind or out of range.
    pub(crate) fn new(args: &RunArgs) -> Result<Self, CliError> {
        let spec = jobs::find(&args.job)?;
        let options = identity::resolve(spec, &args.options)?;
        let configuration = config::with_restore(config::of_run(&args.config)?, &args.restore)?;
        let engine = configuration.settings()?;
        let parallelism = args.parallelism;
        let legal = 1..=PARALLELISM_MAX;
        if !legal.contains(&parallelism) {
            let (value, legal) = (parallelism.to_string(), format!("1..={PARALLELISM_MAX}"));
            return Err(CliError::OutOfRange { flag: "--parallelism", value, legal });
        }
        for (key, limit) in [
            ("taskmanager.numberOfTaskSlots", engine.slots),
            ("pipeline.max-parallelism", engine.key_groups),
        ] {
            if let Some(limit) = limit.filter(|it| *it < parallelism) {
                let given = configuration.given(key).expect("it has a value");
                let origin = given.origin.to_string();
                return Err(CliError::TooParallel { parallelism, key, limit, origin });
            }
        }
        let mut job = (spec.build)(&options, parallelism);
        if let Some(key_groups) = engine.key_groups {
            job.key_groups = key_groups;
        }
        let id = identity::job_id(spec, &options);
        let disk = Arc::new(FileSystem);
        let (storage, checkpoints) = match config::location(&engine)? {
            Location::Directory(state) => {
                let storage = identity::state_directory(&state, spec, id);
                let checkpoints = Storage::on_disk(disk, &storage);
                (storage, checkpoints)
            }
            elsewhere @ (Location::Memory(_) | Location::S3 { .. } | Location::Hdfs { .. }) => {
                let storage = identity::state_directory(Path::new(config::LOCAL), spec, id);
                let checkpoints = elsewhere.child(&format!("{}-{id}", spec.name)).open(disk)?;
                (storage, checkpoints)
            }
        };
        Ok(Self {
            spec,
            id,
            job: Arc::new(job),
            storage,
            checkpoints,
            output: options.path("output"),
            options,
            restore: restore(&engine, args.restore.rewind),
            engine,
        })
    }

    /// What the output of this run can go back to.
    pub(crate) fn lineage(&self, found: &Found) -> Lineage {
        if found.has_checkpoint() {
            Lineage::Checkpoint
        } else if self.restore.is_some() {
            Lineage::Savepoint
        } else {
            Lineage::None
        }
    }
}

fn restore(engine: &config::Engine, is_rewind: bool) -> Option<Restore> {
    let recovery = engine.recovery.as_ref()?;
    Some(Restore {
        savepoint: place(&recovery.path),
        is_claimed: recovery.is_claiming,
        allows_lost_state: recovery.ignores_unclaimed_state,
        is_rewind,
    })
}
