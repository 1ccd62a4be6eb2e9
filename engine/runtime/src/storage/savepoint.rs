//! Savepoints as they lie in storage: whole, each in a directory of its own, owned by whoever asked (H7).
//!
//! ```text
//! <root>/chk-8/ ── export ──> <place>/savepoint-8/ ── import ──> <root of another run>/chk-8/
//!  as a checkpoint            snapshots, manifest last            as a checkpoint of that run
//! ```
//!
//! Both ways every byte is copied. So workers know no place but their job's storage; a run that started
//! from a savepoint needs it no more, its first checkpoint refers to nothing of it, and whatever happens
//! to one concerns neither (I7). The price is reading and writing the state once.
//!
//! On import, state finds its operator by uid, whatever its position in the job graph (M6).
//!
//! Deliberately absent: another parallelism. It is refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_probe::sometimes;
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::record::SnapshotHandle;
use seawall_protocol::shared_files::{SharedFile, SharedFileId};
use seawall_protocol::{Attempt, CheckpointId, JobId, SubtaskId};
use seawall_stream::Job;
use serde::{Deserialize, Serialize};

use crate::operator_state::WATERMARK;
use crate::storage::error::StorageError;
use crate::storage::format::{self, Kind};
use crate::storage::shared::{self, Run};
use crate::storage::splits::Listed;
use crate::storage::{Manifest, OperatorInfo, Snapshot, Storage, layout, manifest, snapshot};

/// Opens a place by its path or URL.
pub type Open = Arc<dyn Fn(&str) -> Result<Storage, StorageError> + Send + Sync>;

/// From which savepoint a job starts, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// The savepoint's directory, as a path or URL.
    pub savepoint: String,
    /// Whether the run owns it from now on and deletes it when its own checkpoints have replaced it.
    pub is_claimed: bool,
    /// Whether state may be left behind that belongs to no operator of the job (M6).
    pub allows_lost_state: bool,
    /// Whether output that was committed behind the savepoint is taken back (H11).
    pub is_rewind: bool,
}

/// What a job's storage remembers of the savepoint it started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The savepoint's directory, as it was given.
    pub savepoint: String,
    /// Its checkpoint.
    pub checkpoint: CheckpointId,
    /// Whether the run owns it.
    pub is_claimed: bool,
}

/// A savepoint in a directory of savepoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Its manifest, or why there is none.
    pub manifest: Result<Manifest, String>,
}

/// Notes where the savepoint was asked for, before its manifest is written.
///
/// # Errors
/// As the store says.
pub async fn write_target(
    storage: &Storage,
    checkpoint: CheckpointId,
    target: &str,
) -> Result<(), StorageError> {
    storage.put_new(&layout::target(storage.root(), checkpoint), target.as_bytes().to_vec()).await
}

/// Brings the savepoint to where it was asked for, and says where that is. Doing it again is doing it once.
///
/// # Errors
/// When it cannot be read or written; then what was written of it is removed.
pub async fn export(
    storage: &Storage,
    open: &Open,
    checkpoint: CheckpointId,
) -> Result<String, StorageError> {
    let place = match storage.get(&layout::target(storage.root(), checkpoint)).await {
        Ok(target) => open(&String::from_utf8_lossy(&target))?,
        Err(error) if error.is_not_found() => storage.clone(),
        Err(error) => return Err(error),
    };
    export_to(storage, &place, checkpoint).await
}

/// Where the savepoint is that a job was stopped with; `None` when that is not known.
pub async fn of_stop(storage: &Storage, checkpoint: CheckpointId) -> Option<String> {
    let note = storage.get(&layout::exported(storage.root(), checkpoint)).await;
    String::from_utf8(note.ok()?).ok()
}

/// As [`export`], into the job's own storage, wherever it was asked for.
///
/// # Errors
/// As [`export`].
pub async fn export_here(
    storage: &Storage,
    checkpoint: CheckpointId,
) -> Result<String, StorageError> {
    export_to(storage, storage, checkpoint).await
}

async fn export_to(
    storage: &Storage,
    place: &Storage,
    checkpoint: CheckpointId,
) -> Result<String, StorageError> {
    let manifest = manifest::read(storage, checkpoint).await?;
    place.prepare().await?;
    let directory = free_directory(place, &manifest).await?;
    let mut written = Vec::new();
    let copied = copy(storage, place, &manifest, &directory, &mut written).await;
    if copied.is_err() {
        sometimes!(ExportIsUndone);
        // Best effort: without a manifest it is no savepoint.
        let _ = place.delete(written).await;
    }
    copied?;
    let path = directory.display().to_string();
    if matches!(manifest.kind, CheckpointKind::StopWithSavepoint { .. }) {
        let note = layout::exported(storage.root(), checkpoint);
        match storage.put_new(&note, path.clone().into_bytes()).await {
            Ok(()) | Err(StorageError::Exists { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

/// `savepoint-8`, or with the job's identity when another job's is there.
async fn free_directory(place: &Storage, own: &Manifest) -> Result<PathBuf, StorageError> {
    let directory = layout::savepoint(place.root(), own.checkpoint);
    match manifest::read_in(place, &directory).await {
        Ok(found) if found != *own => {
            sometimes!(SavepointsPlaceIsTaken);
            let mut name = directory.into_os_string();
            name.push(format!("-{}", own.job));
            Ok(name.into())
        }
        Ok(_) => {
            sometimes!(SavepointIsExportedAgain);
            Ok(directory)
        }
        Err(error) if error.is_not_found() => Ok(directory),
        Err(error) => Err(error),
    }
}

async fn copy(
    storage: &Storage,
    place: &Storage,
    manifest: &Manifest,
    directory: &Path,
    written: &mut Vec<PathBuf>,
) -> Result<(), StorageError> {
    for handle in &manifest.snapshots {
        // Read as a snapshot: damage must not travel (R2).
        let snapshot = snapshot::read(storage, manifest.checkpoint, handle).await?;
        let path = layout::snapshot_in(directory, handle.subtask, handle.attempt);
        let bytes = format::encode(Kind::Snapshot, &snapshot, &path)?;
        written.push(path.clone());
        place.put_new(&path, bytes).await?;
        for file in &snapshot.shared {
            let run = shared::read(storage, file).await?;
            let path = layout::own_file(directory, file);
            let bytes = format::encode(Kind::Shared, &run, &path)?;
            written.push(path.clone());
            place.put_new(&path, bytes).await?;
        }
    }
    let path = layout::manifest_in(directory);
    let bytes = format::encode(Kind::Manifest, manifest, &path)?;
    place.put_new(&path, bytes).await
}

/// Reads the manifest of the savepoint that `storage` is rooted at.
///
/// # Errors
/// `NoSavepoint` when there is none, or when it is a checkpoint; else as damage is told.
pub async fn read(storage: &Storage) -> Result<Manifest, StorageError> {
    let path = storage.root().to_path_buf();
    let no_savepoint = |why: &str, hint| {
        let (path, why) = (path.clone(), why.to_owned());
        StorageError::NoSavepoint { path, why, hint }
    };
    match manifest::read_in(storage, storage.root()).await {
        Ok(manifest) => match manifest.kind {
            CheckpointKind::Savepoint | CheckpointKind::StopWithSavepoint { .. } => Ok(manifest),
            CheckpointKind::Checkpoint | CheckpointKind::Rescale { .. } => Err(no_savepoint(
                "it is a checkpoint, which belongs to its job",
                "take a savepoint: seawall savepoint trigger <DIR>",
            )),
        },
        Err(error) if error.is_not_found() => {
            let is_empty = storage.list(storage.root()).await.is_ok_and(|it| it.is_empty());
            Err(if is_empty {
                no_savepoint("nothing is there", "look for it: seawall savepoint list <DIR>")
            } else {
                no_savepoint(
                    "it has no manifest, so it is half written or something else",
                    "look for another one: seawall savepoint list <DIR>",
                )
            })
        }
        Err(error) => Err(error),
    }
}

/// Everything that is wrong with the savepoint that `storage` is rooted at.
///
/// # Errors
/// As [`read`].
pub async fn verify(storage: &Storage) -> Result<(Manifest, Vec<StorageError>), StorageError> {
    let manifest = read(storage).await?;
    let mut problems = Vec::new();
    for handle in &manifest.snapshots {
        let read = snapshot::read_in(storage, storage.root(), manifest.checkpoint, handle).await;
        problems.extend(read.err());
    }
    for file in manifest.shared() {
        problems.extend(read_file(storage, file).await.err());
    }
    Ok((manifest, problems))
}

/// The savepoints directly below the place, by name.
///
/// # Errors
/// When it cannot be listed.
pub async fn list(place: &Storage) -> Result<Vec<Found>, StorageError> {
    let mut found = Vec::new();
    for entry in place.list(place.root()).await? {
        if entry.is_directory && layout::is_savepoint(&entry.path) {
            let manifest = manifest::read_in(place, &entry.path).await;
            let manifest = manifest.map_err(|error| {
                if error.is_not_found() {
                    "half written: it has no manifest".to_owned()
                } else {
                    error.to_string()
                }
            });
            found.push(Found { path: entry.path, manifest });
        }
    }
    Ok(found)
}

/// Deletes the savepoint that `storage` is rooted at, and nothing else that may be there.
///
/// # Errors
/// As [`read`], and when something cannot be removed; the rest may be gone.
pub async fn dispose(storage: &Storage) -> Result<(), StorageError> {
    let manifest = read(storage).await?;
    let snapshots = manifest.snapshots.iter();
    let snapshots = snapshots.map(|it| layout::snapshot_in(storage.root(), it.subtask, it.attempt));
    let files = manifest.shared().map(|it| layout::own_file(storage.root(), it));
    let rest: Vec<_> = snapshots.chain(files).collect();
    // The manifest goes first: a directory without one is not taken for a savepoint by anyone.
    let manifest = layout::manifest_in(storage.root());
    storage.delete(std::iter::once(manifest).chain(rest).collect()).await?;
    storage.remove_place().await
}

/// Removes what a coordinator that died left of an export into its own storage; whether it was one.
///
/// # Errors
/// When it cannot be read or removed.
pub async fn remove_unfinished(storage: &Storage, directory: &Path) -> Result<bool, StorageError> {
    let entries = storage.list(directory).await?;
    let manifest = layout::manifest_in(directory);
    if entries.iter().any(|it| it.path == manifest || it.is_directory) {
        return Ok(false);
    }
    sometimes!(UnfinishedExportIsRemoved);
    storage.delete(entries.into_iter().map(|it| it.path).collect()).await?;
    Ok(true)
}

/// Reads which savepoint the job started from; `None` when from none.
///
/// # Errors
/// When it is there and cannot be believed.
pub async fn origin(storage: &Storage) -> Result<Option<Origin>, StorageError> {
    let path = layout::origin(storage.root());
    match storage.get(&path).await {
        Ok(bytes) => format::decode(Kind::Origin, &bytes, &path).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Notes which savepoint the job starts from.
///
/// # Errors
/// When another one is noted already, or the store refuses.
pub async fn write_origin(storage: &Storage, origin: &Origin) -> Result<(), StorageError> {
    let path = layout::origin(storage.root());
    let bytes = format::encode(Kind::Origin, origin, &path)?;
    storage.put_new(&path, bytes).await
}

/// Makes the savepoint `from` a checkpoint of `job` in `into`, and returns its manifest there.
///
/// # Errors
/// `Unfit` when the job cannot start from it; else when something cannot be read or written.
pub async fn import(
    from: &Storage,
    into: &Storage,
    job: &Job,
    id: JobId,
    listed: &Listed,
    allows_lost_state: bool,
) -> Result<Manifest, StorageError> {
    let savepoint = read(from).await?;
    let path = from.root().to_path_buf();
    let unfit = |why: String, hint: String| StorageError::Unfit { path: path.clone(), why, hint };
    if savepoint.kind == (CheckpointKind::StopWithSavepoint { drain: true }) {
        return Err(unfit(
            "it was drained: what depends on the end of the input was written, once for all".into(),
            "to go on later, stop without --drain".into(),
        ));
    }
    let mut operators = operators_of(job);
    let mut kind = CheckpointKind::Checkpoint;
    for now in &mut operators {
        let Some(then) = savepoint.operators.iter().find(|it| it.uid == now.uid) else { continue };
        if then.key_groups != now.key_groups {
            let (then, now, name) = (then.key_groups, now.key_groups, &now.name);
            let why = format!("{name} had {then} key groups, and has {now} now");
            let hint = "key groups stay what they were: choose a parallelism that has as many";
            return Err(unfit(why, hint.into()));
        }
        if then.parallelism != now.parallelism {
            kind = CheckpointKind::Rescale { parallelism: now.parallelism };
            now.parallelism = then.parallelism;
        }
    }
    let is_rescale = kind != CheckpointKind::Checkpoint;
    if let Some(finished) = savepoint.finished.first().filter(|_| is_rescale) {
        return Err(unfit(ended_then(*finished, job), SAME_PARALLELISM.into()));
    }
    let checkpoint = savepoint.checkpoint;
    let now_of = |then: SubtaskId| {
        let known = savepoint.operators.iter().find(|it| it.id == then.operator);
        let uid = known.map(|it| it.uid.as_str()).unwrap_or_default();
        let now = operators.iter().find(|it| it.uid == uid);
        now.map(|it| (it, SubtaskId { operator: it.id, index: then.index })).ok_or(uid)
    };
    // Nothing of them is left that could be lost.
    let mut finished: Vec<SubtaskId> =
        savepoint.finished.iter().filter_map(|it| now_of(*it).ok()).map(|(_, it)| it).collect();
    finished.sort_unstable();
    let mut snapshots = Vec::new();
    let mut restored: BTreeSet<_> = finished.iter().copied().collect();
    for handle in &savepoint.snapshots {
        let read = snapshot::read_in(from, from.root(), checkpoint, handle).await;
        let mut found = read.map_err(|error| lacking(from, error))?;
        if is_rescale && found.is_ended {
            return Err(unfit(ended_then(handle.subtask, job), SAME_PARALLELISM.into()));
        }
        let (now, subtask) = match now_of(handle.subtask) {
            Ok(found) => found,
            Err(uid) if has_state(&found) && !allows_lost_state => {
                return Err(unfit(
                    format!("it holds state of operator {uid}, which the job does not have"),
                    format!(
                        "give the operator that continues it .uid({uid:?}); \
                         or leave the state behind with --allow-non-restored-state"
                    ),
                ));
            }
            Err(_) => continue,
        };
        let declared = declared_states(job, subtask);
        let lost = found.operator_states.iter().filter(|it| !it.items.is_empty());
        let lost = lost.map(|it| it.name.as_str()).find(|it| !declared.contains(*it));
        if let Some(lost) = lost.filter(|_| !allows_lost_state) {
            return Err(unfit(
                format!("it holds operator state {lost}, which no operator of the job declares"),
                "declare it under the same names of operator and state; \
                 or leave the state behind with --allow-non-restored-state"
                    .into(),
            ));
        }
        found.operator_states.retain(|it| declared.contains(&it.name));
        restored.insert(subtask);
        let operator = now.name.clone();
        let shared = import_files(from, into, subtask, &found.shared).await?;
        let translated = Snapshot { operator, subtask, shared, ..found };
        snapshots.push(snapshot::write(into, &translated).await?);
    }
    let attempt = savepoint.snapshots.iter().map(|it| it.attempt).max().unwrap_or_default();
    // An operator that the savepoint knows has all of its subtasks there, at whatever parallelism.
    let known: BTreeSet<_> = restored.iter().map(|it| it.operator).collect();
    for subtask in job.subtasks().filter(|it| !known.contains(&it.operator)) {
        snapshots.push(begin(into, job, subtask, attempt, checkpoint, listed).await?);
    }
    snapshots.sort_by_key(|it| it.subtask);
    let manifest = Manifest {
        job: id,
        job_name: job.name.clone(),
        checkpoint,
        kind,
        operators: operators.clone(),
        snapshots,
        finished,
    };
    manifest::write(into, &manifest).await?;
    Ok(manifest)
}

const SAME_PARALLELISM: &str = "run with the parallelism that the savepoint was taken with";

fn ended_then(subtask: SubtaskId, job: &Job) -> String {
    let parallelism = job.parallelism;
    format!("{subtask} had read all its input, so that it cannot be divided among {parallelism}")
}

/// A file that the manifest names is not there.
fn lacking(savepoint: &Storage, error: StorageError) -> StorageError {
    if !error.is_not_found() {
        return error;
    }
    StorageError::NoSavepoint {
        path: savepoint.root().to_path_buf(),
        why: format!("it lacks a file: {error}"),
        hint: "restore the file from a copy, or look for another one: seawall savepoint list <DIR>",
    }
}

fn has_state(snapshot: &Snapshot) -> bool {
    let Snapshot { splits, keyed, shared, transactions, operator_states, .. } = snapshot;
    !splits.is_empty()
        || !keyed.is_empty()
        || !shared.is_empty()
        || !transactions.is_empty()
        || operator_states.iter().any(|it| !it.items.is_empty() && it.name != WATERMARK)
}

/// A file of the savepoint that `storage` is rooted at. A savepoint owns all of its files (H7).
async fn read_file(storage: &Storage, file: &SharedFile) -> Result<Run, StorageError> {
    let path = layout::own_file(storage.root(), file);
    let bytes = storage.get(&path).await.map_err(|error| lacking(storage, error))?;
    shared::check(&bytes, file, &path)
}

/// The chain of a snapshot as one of this subtask. Its files stay the checkpoint's own, so that the next
/// snapshot is full and refers to none of them (I7).
async fn import_files(
    from: &Storage,
    into: &Storage,
    subtask: SubtaskId,
    chain: &[SharedFile],
) -> Result<Vec<SharedFile>, StorageError> {
    let mut imported = Vec::new();
    for file in chain {
        let run = read_file(from, file).await?;
        let id = SharedFileId { subtask, ..file.id };
        imported.push(shared::write(into, &Run { id, ..run }, true).await?);
    }
    Ok(imported)
}

/// The names of the operator states that the subtask's chain declares.
fn declared_states(job: &Job, subtask: SubtaskId) -> BTreeSet<String> {
    let mut chain = job.unplaced(&job.operators[subtask.operator.0 as usize]);
    let mut declared = BTreeSet::new();
    let visited = chain.outputs().states(&mut |name, _| {
        declared.insert(name.to_owned());
        Ok(())
    });
    visited.expect("nothing is encoded");
    declared.insert(WATERMARK.to_owned());
    declared
}

/// A subtask that the savepoint does not know starts from the beginning.
async fn begin(
    into: &Storage,
    job: &Job,
    subtask: SubtaskId,
    attempt: Attempt,
    checkpoint: CheckpointId,
    listed: &Listed,
) -> Result<SnapshotHandle, StorageError> {
    let splits = listed.iter().find(|(id, _)| *id == subtask.operator);
    let splits = splits.map(|(_, it)| it.as_slice()).unwrap_or_default();
    let own = splits.iter().skip(subtask.index as usize).step_by(job.parallelism as usize);
    let begun = Snapshot {
        operator: job.operators[subtask.operator.0 as usize].name.clone(),
        subtask,
        attempt,
        checkpoint,
        is_ended: false,
        splits: own.cloned().collect(),
        keyed: Vec::new(),
        shared: Vec::new(),
        transactions: Vec::new(),
        operator_states: Vec::new(),
        input: Vec::new(),
        output: Vec::new(),
    };
    snapshot::write(into, &begun).await
}

/// The operators of `job` as a manifest describes them.
pub fn operators_of(job: &Job) -> Vec<OperatorInfo> {
    let info = |operator: &seawall_stream::job::Operator| OperatorInfo {
        id: operator.id,
        name: operator.name.clone(),
        uid: operator.uid.clone(),
        parallelism: job.parallelism,
        key_groups: job.key_groups,
    };
    job.operators.iter().map(info).collect()
}
