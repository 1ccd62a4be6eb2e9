//! Starting a job from a savepoint, in storage that holds nothing yet (A2, H11, I7, K4, M6).
//!
//! Everything is looked at before anything is written, and the record comes last: a process that dies in
//! between leaves storage in which the same command starts anew.
//!
//! The sinks have the last word. Ids go on from the newest that was ever visible in the output, so that
//! no transaction takes the name of another. Output that was committed behind the savepoint would appear
//! twice: such a start is refused, unless it is asked to take that output back first.

use seawall_env::Env;
use seawall_probe::sometimes;
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{Attempt, CheckpointId};
use seawall_stream::Traces;

use crate::coordinator::{CoordinatorConfig, plans_then};
use crate::error::RuntimeError;
use crate::storage::error::StorageError;
use crate::storage::savepoint::{self, Origin, Restore};
use crate::storage::splits::Listed;
use crate::storage::{Storage, inspect, layout, splits};

/// Makes the savepoint the first checkpoint of the job, and returns the record that says so; the caller
/// writes it.
///
/// # Errors
/// When there is no savepoint, it does not fit, or the output is ahead of it; then storage is as before.
pub(crate) async fn start_from(
    env: &Env,
    config: &CoordinatorConfig,
    restore: &Restore,
) -> Result<StoreRecord, RuntimeError> {
    let (storage, job) = (&config.storage, &config.job);
    let from = (config.open)(&restore.savepoint)?;
    let checkpoint = savepoint::read(&from).await?.checkpoint;
    let traces = survey(env, config, None).await?;
    let ahead = traces.committed.filter(|it| *it > checkpoint);
    if let Some(committed) = ahead.filter(|_| !restore.is_rewind) {
        sometimes!(OutputIsAhead);
        return Err(ahead_of(&from, checkpoint, committed).into());
    }
    let mut listed = Listed::new();
    for operator in &job.operators {
        if let Some(enumerate) = &operator.enumerate {
            listed.push((operator.id, enumerate(env.clone()).await?));
        }
    }
    // What a start that was refused or died has left.
    inspect::delete(storage, checkpoint).await?;
    storage.delete(vec![layout::origin(storage.root()), layout::splits(storage.root())]).await?;
    let allows_lost_state = restore.allows_lost_state;
    let imported =
        savepoint::import(&from, storage, job, config.id, &listed, allows_lost_state).await;
    let imported = match imported {
        Ok(imported) => {
            let checked =
                imported.check_finished(storage, &plans_then(job, &imported.operators)).await;
            checked.map(|()| imported)
        }
        Err(error) => Err(error),
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => {
            // Best effort: without a record it is nothing.
            let _ = inspect::delete(storage, checkpoint).await;
            return Err(error.into());
        }
    };
    splits::write(storage, &listed).await?;
    let origin =
        Origin { savepoint: restore.savepoint.clone(), checkpoint, is_claimed: restore.is_claimed };
    savepoint::write_origin(storage, &origin).await?;
    if ahead.is_some() {
        sometimes!(OutputIsTakenBack);
        survey(env, config, Some(checkpoint)).await?;
    }
    let newest = imported.snapshots.iter().map(|it| it.attempt).max().unwrap_or_default();
    let newest_used = traces.used.max(traces.committed).unwrap_or_default().max(checkpoint);
    Ok(StoreRecord {
        attempt: Attempt(newest.0.max(traces.attempt.0)),
        next_checkpoint: newest_used.next(),
        retained: vec![checkpoint],
        ..StoreRecord::fresh(config.id)
    })
}

/// Whether storage that is in use was started from this savepoint, so that the same command goes on.
///
/// # Errors
/// When it was not: nothing that was asked for is ignored.
pub(crate) async fn check_origin(storage: &Storage, restore: &Restore) -> Result<(), RuntimeError> {
    let origin = savepoint::origin(storage).await?;
    if origin.as_ref().is_some_and(|it| it.savepoint == restore.savepoint) {
        return Ok(());
    }
    let from =
        origin.map_or("from the beginning".to_owned(), |it| format!("from {}", it.savepoint));
    let error = StorageError::Unfit {
        path: restore.savepoint.clone().into(),
        why: format!("{} holds a job that started {from}", storage.root().display()),
        hint: "start in a new data directory; or go on without naming the savepoint".to_owned(),
    };
    Err(error.into())
}

/// Deletes the savepoint that the run owns, once its checkpoints have replaced it. Best effort: it is tried
/// again at the next start.
pub(crate) async fn dispose_claimed(config: &CoordinatorConfig, removed: CheckpointId) {
    let Ok(Some(origin)) = savepoint::origin(&config.storage).await else { return };
    if origin.is_claimed
        && origin.checkpoint == removed
        && let Ok(from) = (config.open)(&origin.savepoint)
    {
        sometimes!(ClaimedIsDisposed);
        let _ = savepoint::dispose(&from).await;
    }
}

async fn survey(
    env: &Env,
    config: &CoordinatorConfig,
    rewind_to: Option<CheckpointId>,
) -> Result<Traces, RuntimeError> {
    let mut traces = Traces::default();
    for survey in config.job.operators.iter().filter_map(|it| it.survey.as_ref()) {
        traces = traces.and(survey(env.clone(), rewind_to).await?);
    }
    Ok(traces)
}

fn ahead_of(from: &Storage, savepoint: CheckpointId, committed: CheckpointId) -> StorageError {
    StorageError::Unfit {
        path: from.root().to_path_buf(),
        why: format!(
            "it is savepoint {savepoint}, and the output holds what was committed later, \
             up to checkpoint {committed}"
        ),
        hint: "write to a new output directory; or take that output back with --rewind, \
               which puts it aside"
            .to_owned(),
    }
}
