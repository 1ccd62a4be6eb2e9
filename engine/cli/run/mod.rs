//! `seawall run`: a job in this process, from the beginning or from its newest checkpoint.
//!
//! ```text
//! settings ── preflight (reads only) ── state and output taken ── the job ── summary
//!                                       (locks, owner file)       progress, signals
//! ```
//!
//! The state directory is locked and the output directory is owned before the job starts; a process
//! that is killed at any moment leaves both so that the same command goes on.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use seawall::local::{self, LocalJob, Outcome};
use seawall::protocol::config::CheckpointMode;
use seawall::protocol::message::CheckpointKind;
use seawall::protocol::record::JobResult;
use seawall::runtime::control::Control;
use seawall::runtime::metrics::Metrics;
use seawall::runtime::storage::{manifest, savepoint as stored};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::RunArgs;
use crate::control;
use crate::error::{CliError, FULL};
use crate::report;
use crate::run::ownership::Owner;
use crate::run::preflight::Cleared;
use crate::run::progress::{Progress, RECORD_TRIES_MAX};
use crate::run::settings::Settings;
use crate::run::summary::{Ended, Summary};
use crate::savepoint;

pub(crate) use identity::absolute;

mod identity; // which runs are the same job
mod ownership; // whose an output directory is
mod preflight; // what can be known to be wrong before anything is written
pub(crate) mod progress; // what the running job does
mod settings; // what the arguments mean
pub(crate) mod state; // the directory of checkpoints, and who holds it
pub(crate) mod summary; // what is said at the end

/// Between two looks at the running job.
const TICK: Duration = Duration::from_millis(100);
/// What work in progress on blocking threads is given to end after the job did.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// # Errors
/// When the job could not start, or its storage cannot be used any more.
pub(crate) fn main(args: &RunArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::new(args)?;
    let of_sinks = local::warnings(&settings.job, &settings.engine);
    settings.engine.warnings.iter().chain(&of_sinks).for_each(|it| report::warning(&it.0));
    let runtime = Runtime::new().map_err(CliError::io("start threads in", ".", "free memory"))?;
    let summary = runtime.block_on(run(&settings));
    runtime.shutdown_timeout(SHUTDOWN);
    Ok(report::run_ended(&summary?, args.json))
}

async fn run(settings: &Settings) -> Result<Summary, CliError> {
    let Settings { spec, storage, checkpoints, output, job, .. } = settings;
    let owner = Owner::new(spec.name, settings.id, checkpoints.root());
    let Cleared { found, is_input_empty } = preflight::check(settings, &owner).await?;
    if let Some(result) = found.result {
        let ended = ended(settings, result, true).await;
        return Ok(summarize(settings, ended, None, Duration::ZERO));
    }
    if let Some(rescaled) = found.rescaled.filter(|it| *it != job.parallelism) {
        let asked = job.parallelism;
        report::warning(&format!(
            "the job goes on with parallelism {rescaled}, as it was rescaled, and not with {asked}"
        ));
    }
    let savepoint = settings.restore.as_ref().map(|it| savepoint::hold(&it.savepoint));
    let savepoint = savepoint.transpose()?;

    let held = state::take(storage)?;
    let taken = match state::find(checkpoints, settings.id, job.parallelism).await {
        Ok(found) => ownership::take(output, &owner, settings.lineage(&found)),
        Err(error) => Err(error),
    };
    let _output = taken.inspect_err(|_| held.undo())?;
    if is_input_empty {
        report::warning("the input is empty; the result will be empty too");
    }

    let started = Instant::now();
    let metrics = Arc::new(Metrics::default());
    let progress = Progress::new(Arc::clone(job));
    let control = Control::default();
    let savepoints = settings.engine.savepoint_directory.as_deref().map(savepoint::place);
    let listening = control::listen(storage, control.clone(), savepoints)
        .inspect_err(|error| report::warning(&error.to_string()))
        .ok();
    let local = LocalJob {
        metrics: Arc::clone(&metrics),
        observer: Arc::new(progress.clone()),
        control,
        restore: settings.restore.clone(),
        ..LocalJob::new(Arc::clone(job), settings.id, checkpoints.clone(), &settings.engine)
    };
    let mut shown = report::Progress::start(spec.name);
    let ended = {
        let job = Box::pin(local::run(local));
        let watched = Box::pin(watch(&progress, &metrics, &mut shown));
        let interrupted = Box::pin(interrupted());
        match select(job, select(interrupted, watched)).await {
            Either::Left((Ok(Outcome::Result(result)), _)) => {
                Ok(ended(settings, result, false).await)
            }
            Either::Left((Ok(Outcome::Failed(cause)), _)) => {
                Ok(Ended::Failed { cause: progress.with_names(&cause) })
            }
            Either::Left((Err(error), _)) => Err(error.into()),
            Either::Right((Either::Left((signal, _)), _)) => Ok(Ended::Interrupted { signal }),
            Either::Right((Either::Right((tries, _)), _)) => {
                let cause = checkpoints.last_failure().unwrap_or_default();
                let path = checkpoints.root().to_path_buf();
                Err(CliError::RecordUnwritable { path, tries, cause })
            }
        }
    };
    drop(savepoint);
    shown.end(&progress);
    if let Some(listening) = listening {
        listening.close().await;
    }
    let ended = ended.inspect_err(|_| held.undo())?;
    Ok(summarize(settings, ended, Some((&progress, &metrics)), started.elapsed()))
}

async fn ended(settings: &Settings, result: JobResult, is_earlier: bool) -> Ended {
    match result {
        JobResult::Finished if is_earlier => Ended::AlreadyFinished,
        JobResult::Finished => Ended::Finished,
        JobResult::Cancelled => Ended::Cancelled,
        JobResult::Stopped(checkpoint) => {
            let path = stored::of_stop(&settings.checkpoints, checkpoint).await;
            let savepoint = path.unwrap_or_else(|| format!("savepoint-{checkpoint}"));
            let manifest = manifest::read(&settings.checkpoints, checkpoint).await;
            let drained = CheckpointKind::StopWithSavepoint { drain: true };
            let is_drained = manifest.is_ok_and(|it| it.kind == drained);
            Ended::Stopped { savepoint, is_drained }
        }
    }
}

/// Shows the job while it runs; completes with the number of tries when its record cannot be written.
async fn watch(progress: &Progress, metrics: &Metrics, shown: &mut report::Progress) -> u32 {
    loop {
        tokio::time::sleep(TICK).await;
        shown.show(progress, metrics.records_in());
        let failures = progress.counts().record_failures;
        if failures >= RECORD_TRIES_MAX {
            return failures;
        }
    }
}

/// The number of the signal that asks this process to stop.
async fn interrupted() -> u8 {
    let listen = |kind| signal(kind).expect("signals can be listened to within the runtime");
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
    match select(Box::pin(interrupt.recv()), Box::pin(terminate.recv())).await {
        Either::Left(_) => 2,
        Either::Right(_) => 15,
    }
}

fn summarize(
    settings: &Settings,
    ended: Ended,
    observed: Option<(&Progress, &Metrics)>,
    duration: Duration,
) -> Summary {
    let (counts, records) = match observed {
        Some((progress, metrics)) => (progress.counts(), metrics.records_in()),
        None => Default::default(),
    };
    let guarantee = match settings.engine.checkpoint.mode {
        CheckpointMode::ExactlyOnce => "exactly-once",
        CheckpointMode::AtLeastOnce => "at-least-once",
    };
    Summary::new(settings, ended, &counts, records, duration, guarantee)
}

/// The hint that a failed job's cause does not bring itself.
pub(crate) fn hint_for(cause: &str) -> Option<&'static str> {
    if cause.contains("hint: ") {
        None
    } else if cause.contains("os error 28") || cause.contains("os error 122") {
        Some(FULL)
    } else {
        Some(
            "mend the cause, then run the same command again; it continues from the newest checkpoint",
        )
    }
}
