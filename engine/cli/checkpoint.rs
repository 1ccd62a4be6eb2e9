//! `seawall checkpoint list|show|explain|verify|trigger`: what is in a job's state, and is it intact.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use seawall::protocol::CheckpointId;
use seawall::runtime::explain::explain;
use seawall::runtime::storage::history::{self, History};
use seawall::runtime::storage::inspect::{self, Inventory, Listed, Problem, Standing};
use seawall::runtime::storage::{Location, Storage, layout, manifest, record, savepoint};
use seawall::runtime::tokio_env::FileSystem;
use tokio::runtime::Builder;

use crate::args::{CheckpointCommand, ExplainArgs, InspectArgs};
use crate::control;
use crate::error::CliError;
use crate::report;
use crate::run::state;

/// Times that the checkpoints of a running job are listed until none is deleted meanwhile.
const LISTINGS_MAX: u32 = 10;

/// What `verify` says of one checkpoint.
pub(crate) struct Verified {
    pub(crate) listed: Listed,
    /// Damage, each with the file's name.
    pub(crate) damage: Vec<String>,
}

/// # Errors
/// When there is no job's state, or its record cannot be believed.
pub(crate) fn main(command: &CheckpointCommand) -> Result<ExitCode, CliError> {
    if let CheckpointCommand::Trigger(args) = command {
        return control::trigger(args);
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CliError::io(
        "start threads in",
        ".",
        "free memory",
    ))?;
    runtime.block_on(async {
        match command {
            CheckpointCommand::List(args) => list(args).await,
            CheckpointCommand::Show(args) => show(args).await,
            CheckpointCommand::Explain(args) => explained(args).await,
            CheckpointCommand::Verify(args) => verify(args).await,
            CheckpointCommand::Trigger(_) => unreachable!("handled above"),
        }
    })
}

async fn list(args: &InspectArgs) -> Result<ExitCode, CliError> {
    let storage = opened(&args.directory).await?;
    let root = storage.root().to_path_buf();
    let mut inventory = inspect::list(&storage).await?;
    inventory.checkpoints = chosen(args, &root, inventory.checkpoints)?;
    let history = history(&storage).await;
    report::checkpoints(&root, &inventory, history.as_ref(), args.json);
    Ok(ExitCode::SUCCESS)
}

async fn show(args: &InspectArgs) -> Result<ExitCode, CliError> {
    if let Some(storage) = savepoint_at(&args.directory).await? {
        let manifest = savepoint::read(&storage).await?;
        report::manifest(storage.root(), &manifest, args.json);
        return Ok(ExitCode::SUCCESS);
    }
    let storage = opened(&args.directory).await?;
    let root = storage.root().to_path_buf();
    let asked = args.checkpoint.map(CheckpointId);
    let mut checkpoints = listed(&storage).await?;
    let history = history(&storage).await.unwrap_or_default();
    if let Some(remembered) = asked.and_then(|it| history.get(it))
        && !checkpoints.iter().any(|it| it.checkpoint == remembered.checkpoint)
    {
        report::figures::remembered(&root, &history, remembered, args.json);
        return Ok(ExitCode::SUCCESS);
    }
    let shown = if asked.is_some() {
        chosen(args, &root, checkpoints)?.pop()
    } else {
        checkpoints.retain(Listed::is_retained);
        checkpoints.pop()
    };
    let Listed { checkpoint, manifest, .. } = shown.ok_or_else(|| CliError::UnknownCheckpoint {
        checkpoint: "at all".into(),
        path: root.clone(),
        found: "none yet: the job has completed no checkpoint".into(),
    })?;
    let manifest = match manifest {
        Ok(manifest) => manifest,
        // The error itself says more than its text.
        Err(_) => manifest::read(&storage, checkpoint).await?,
    };
    report::manifest(&root, &manifest, args.json);
    Ok(ExitCode::SUCCESS)
}

/// What is there. A job that runs may delete what is being listed; then the list is made again, as whoever
/// asks for the newest checkpoint wants one that is there.
async fn listed(storage: &Storage) -> Result<Vec<Listed>, CliError> {
    let mut checkpoints = Vec::new();
    for _ in 0..LISTINGS_MAX {
        checkpoints = inspect::list(storage).await?.checkpoints;
        if checkpoints.iter().all(|it| it.standing != Standing::Gone) {
            break;
        }
    }
    checkpoints.retain(|it| it.standing != Standing::Gone);
    Ok(checkpoints)
}

async fn explained(args: &ExplainArgs) -> Result<ExitCode, CliError> {
    let storage = opened(&args.directory).await?;
    let root = storage.root().to_path_buf();
    let history = history(&storage).await.unwrap_or_default();
    let asked = CheckpointId(args.checkpoint);
    let Some(checkpoint) = history.get(asked) else {
        let remembered: Vec<_> =
            history.checkpoints.iter().map(|it| it.checkpoint.to_string()).collect();
        let found = if remembered.is_empty() {
            "no history of any checkpoint".to_owned()
        } else {
            format!("a history of {}", remembered.join(", "))
        };
        let checkpoint = asked.to_string();
        return Err(CliError::UnknownCheckpoint { checkpoint, path: root, found });
    };
    let explanation = explain(&history, checkpoint);
    report::figures::explained(&root, &history, checkpoint, &explanation, args.json);
    Ok(ExitCode::SUCCESS)
}

/// What became of the newest checkpoints. One that cannot be read is for people only, so a warning does.
async fn history(storage: &Storage) -> Option<History> {
    let read = history::read(storage).await;
    read.unwrap_or_else(|error| {
        report::warning(&error.to_string());
        None
    })
}

async fn verify(args: &InspectArgs) -> Result<ExitCode, CliError> {
    if let Some(storage) = savepoint_at(&args.directory).await? {
        let (manifest, problems) = savepoint::verify(&storage).await?;
        let checkpoint = manifest.checkpoint;
        // Whoever disposes of a savepoint removes its manifest first.
        let is_gone = !problems.is_empty() && savepoint_at(&args.directory).await?.is_none();
        let standing = if is_gone { Standing::Gone } else { Standing::Retained };
        let listed = Listed { checkpoint, standing, manifest: Ok(manifest) };
        let counted = problems.iter().filter(|_| listed.is_retained());
        let damage = counted.map(ToString::to_string).collect();
        return Ok(report::verified(storage.root(), &[Verified { listed, damage }], args.json));
    }
    let storage = opened(&args.directory).await?;
    let root = storage.root().to_path_buf();
    let Inventory { checkpoints, .. } = match inspect::list(&storage).await {
        Ok(inventory) => inventory,
        // Without its record nothing else can be judged.
        Err(error) => return Ok(report::damaged_record(&root, &error.to_string(), args.json)),
    };
    let mut verified = Vec::new();
    for mut listed in chosen(args, &root, checkpoints)? {
        let problems = inspect::verify(&storage, listed.checkpoint).await?;
        let is_gone = |it: &Problem| matches!(it, Problem::Orphan(_) | Problem::Gone(_));
        if listed.is_retained() && problems.iter().any(is_gone) {
            listed.standing = Standing::Gone;
        }
        // An orphan is pending or given up: it may be incomplete, and nobody restores it.
        let counted = problems.iter().filter(|_| listed.is_retained());
        let damage = counted.map(Problem::to_string).collect();
        verified.push(Verified { listed, damage });
    }
    Ok(report::verified(&root, &verified, args.json))
}

/// The savepoint at the place, if one is there and not a job.
async fn savepoint_at(place: &Path) -> Result<Option<Storage>, CliError> {
    let storage = Location::parse(&place.to_string_lossy())?.open(Arc::new(FileSystem))?;
    match storage.get(&layout::manifest_in(storage.root())).await {
        Err(error) if error.is_not_found() => Ok(None),
        // Whoever reads it says what is wrong with it.
        Ok(_) | Err(_) => Ok(Some(storage)),
    }
}

/// The only job's storage at the place.
pub(crate) async fn opened(place: &Path) -> Result<Storage, CliError> {
    let location = Location::parse(&place.to_string_lossy())?;
    if let Location::Directory(directory) = &location {
        return Ok(Storage::on_disk(Arc::new(FileSystem), job_directory(directory)?));
    }
    let storage = location.open(Arc::new(FileSystem))?;
    if record::read(&storage).await?.is_some() {
        return Ok(storage);
    }
    let mut jobs = Vec::new();
    for entry in storage.list(storage.root()).await? {
        let name = entry.path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        let job = location.child(name).open(Arc::new(FileSystem))?;
        if entry.is_directory && record::read(&job).await?.is_some() {
            jobs.push(job);
        }
    }
    match jobs.as_slice() {
        [] => Err(CliError::NoCheckpoints(place.to_path_buf())),
        [job] => Ok(job.clone()),
        _ => Err(CliError::SeveralJobs {
            path: place.to_path_buf(),
            jobs: jobs.iter().map(|it| it.root().display().to_string()).collect(),
        }),
    }
}

/// The checkpoints that were asked for.
fn chosen(args: &InspectArgs, root: &Path, found: Vec<Listed>) -> Result<Vec<Listed>, CliError> {
    let Some(asked) = args.checkpoint.map(CheckpointId) else { return Ok(found) };
    let ids: Vec<String> = found.iter().map(|it| it.checkpoint.to_string()).collect();
    let chosen: Vec<Listed> = found.into_iter().filter(|it| it.checkpoint == asked).collect();
    if chosen.is_empty() {
        let found = if ids.is_empty() { "none".into() } else { ids.join(", ") };
        let checkpoint = asked.to_string();
        return Err(CliError::UnknownCheckpoint { checkpoint, path: root.into(), found });
    }
    Ok(chosen)
}

/// The directory itself when it is a job's, or the only job's directory in it.
pub(crate) fn job_directory(directory: &Path) -> Result<PathBuf, CliError> {
    only_job(directory, has_checkpoints)
}

/// As [`job_directory`], also of a job that keeps its checkpoints elsewhere.
pub(crate) fn data_directory(directory: &Path) -> Result<PathBuf, CliError> {
    only_job(directory, |it| has_checkpoints(it) || state::was_taken(it))
}

fn only_job(directory: &Path, is_job: fn(&Path) -> bool) -> Result<PathBuf, CliError> {
    if is_job(directory) {
        return Ok(directory.to_path_buf());
    }
    let hint = "name a job's directory of checkpoints, or the state directory that holds it";
    let mut jobs = Vec::new();
    for entry in fs::read_dir(directory).map_err(CliError::io("list", directory, hint))? {
        let path = entry.map_err(CliError::io("list", directory, hint))?.path();
        if path.is_dir() && is_job(&path) {
            jobs.push(path);
        }
    }
    jobs.sort();
    match jobs.as_slice() {
        [] => Err(CliError::NoCheckpoints(directory.to_path_buf())),
        [job] => Ok(job.clone()),
        _ => Err(CliError::SeveralJobs {
            path: directory.to_path_buf(),
            jobs: jobs.iter().map(|it| it.display().to_string()).collect(),
        }),
    }
}

fn has_checkpoints(directory: &Path) -> bool {
    layout::record(directory).exists() || layout::splits(directory).exists()
}
