//! The manifest: what belongs to a checkpoint, and to which job the checkpoint belongs (H8).

use std::collections::BTreeSet;
use std::path::Path;

use seawall_protocol::coordinator::SubtaskPlan;
use seawall_protocol::finished;
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::record::SnapshotHandle;
use seawall_protocol::shared_files::SharedFile;
use seawall_protocol::{CheckpointId, JobId, OperatorId, SubtaskId};
use serde::{Deserialize, Serialize};

use crate::storage::error::StorageError;
use crate::storage::format::{self, Kind};
use crate::storage::{Storage, layout, snapshot};

/// A checkpoint's table of contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job.
    pub job: JobId,
    /// The job's name, for people.
    pub job_name: String,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// Every operator chain of the job, ascending.
    pub operators: Vec<OperatorInfo>,
    /// The snapshots, ascending by subtask.
    pub snapshots: Vec<SnapshotHandle>,
    /// The subtasks that had finished, ascending (N2). All others have a snapshot.
    pub finished: Vec<SubtaskId>,
}

/// One operator chain as it was when the checkpoint was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorInfo {
    /// Which.
    pub id: OperatorId,
    /// Its name, for people.
    pub name: String,
    /// What its state is found by in a savepoint.
    pub uid: String,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// How many key groups its keyed state is divided into (M3).
    pub key_groups: u32,
}

/// Writes the manifest, once. It is durable when this returns.
///
/// # Errors
/// When any step fails; then the file may be there ([`StorageError::is_uncertain`]).
pub async fn write(storage: &Storage, manifest: &Manifest) -> Result<(), StorageError> {
    let path = layout::manifest(storage.root(), manifest.checkpoint);
    let bytes = format::encode(Kind::Manifest, manifest, &path)?;
    storage.put_new(&path, bytes).await
}

/// Reads the manifest in the directory of a savepoint.
///
/// # Errors
/// When it is missing or cannot be believed.
pub async fn read_in(storage: &Storage, directory: &Path) -> Result<Manifest, StorageError> {
    let path = layout::manifest_in(directory);
    format::decode(Kind::Manifest, &storage.get(&path).await?, &path)
}

/// Reads the manifest of the checkpoint.
///
/// # Errors
/// When it is missing or cannot be believed.
pub async fn read(storage: &Storage, checkpoint: CheckpointId) -> Result<Manifest, StorageError> {
    let path = layout::manifest(storage.root(), checkpoint);
    let bytes = storage.get(&path).await?;
    let manifest: Manifest = format::decode(Kind::Manifest, &bytes, &path)?;
    if manifest.checkpoint == checkpoint {
        Ok(manifest)
    } else {
        Err(StorageError::Misplaced {
            path,
            expected: format!("the manifest of checkpoint {checkpoint}"),
            found: format!("the manifest of checkpoint {}", manifest.checkpoint),
        })
    }
}

impl Manifest {
    /// Every shared file of every subtask.
    pub fn shared(&self) -> impl Iterator<Item = &SharedFile> {
        self.snapshots.iter().flat_map(|it| &it.shared)
    }

    /// Whether a job built like this can continue from the checkpoint.
    ///
    /// # Errors
    /// `OtherJob`, or `Incompatible` with the first difference.
    pub fn check_compatible(
        &self,
        root: &Path,
        job: JobId,
        job_name: &str,
        operators: &[OperatorInfo],
    ) -> Result<(), StorageError> {
        let path = layout::manifest(root, self.checkpoint);
        if self.job != job {
            return Err(StorageError::OtherJob {
                path,
                expected: format!("{job_name} ({job})"),
                found: format!("{} ({})", self.job_name, self.job),
            });
        }
        match self.difference(operators) {
            None => Ok(()),
            Some(difference) => Err(StorageError::Incompatible { path, difference }),
        }
    }

    /// Whether the subtasks that it holds as finished leave no gap (N5, N6).
    ///
    /// # Errors
    /// `Incompatible` with the first gap; or a snapshot that had to be looked at cannot be read.
    pub async fn check_finished(
        &self,
        storage: &Storage,
        plan: &[SubtaskPlan],
    ) -> Result<(), StorageError> {
        let held: BTreeSet<_> = self.snapshots.iter().map(|it| it.subtask).collect();
        let finished: BTreeSet<_> = self.finished.iter().copied().collect();
        let mut at_end = BTreeSet::new();
        let senders = plan.iter().filter(|it| finished.contains(&it.subtask));
        let senders: BTreeSet<_> = senders.flat_map(|it| it.upstream.iter().copied()).collect();
        for handle in self.snapshots.iter().filter(|it| senders.contains(&it.subtask)) {
            if snapshot::read(storage, self.checkpoint, handle).await?.is_ended {
                at_end.insert(handle.subtask);
            }
        }
        match finished::find_gap(plan, &held, &at_end, &finished) {
            None => Ok(()),
            Some(gap) => Err(StorageError::Incompatible {
                path: layout::manifest(storage.root(), self.checkpoint),
                difference: gap.to_string(),
            }),
        }
    }

    /// Whether it was taken so that the job goes on from it with this parallelism.
    fn is_rescale_to(&self, parallelism: u32) -> bool {
        self.kind == CheckpointKind::Rescale { parallelism }
    }

    fn difference(&self, operators: &[OperatorInfo]) -> Option<String> {
        let is_rescale = operators.first().is_some_and(|it| self.is_rescale_to(it.parallelism));
        for (then, now) in self.operators.iter().zip(operators) {
            if (then.id, &then.name) != (now.id, &now.name) {
                let (then, now) = (&then.name, &now.name);
                return Some(format!("operator {then} was where operator {now} is now"));
            }
            let name = &now.name;
            if then.parallelism != now.parallelism && !is_rescale {
                let (then, now) = (then.parallelism, now.parallelism);
                return Some(format!("{name} had parallelism {then}, and has {now} now"));
            }
            if then.key_groups != now.key_groups {
                let (then, now) = (then.key_groups, now.key_groups);
                return Some(format!("{name} had {then} key groups, and has {now} now"));
            }
        }
        let (then, now) = (self.operators.len(), operators.len());
        (then != now).then(|| format!("the job had {then} operator chains, and has {now} now"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(id: u32, name: &str, parallelism: u32) -> OperatorInfo {
        let (id, uid) = (OperatorId(id), name.into());
        OperatorInfo { id, name: name.into(), uid, parallelism, key_groups: 128 }
    }

    fn check(job: u64, operators: &[OperatorInfo]) -> String {
        let manifest = Manifest {
            job: JobId(1),
            job_name: "keyed-count".into(),
            checkpoint: CheckpointId(7),
            kind: CheckpointKind::Checkpoint,
            operators: vec![operator(0, "lines", 2), operator(1, "count", 4)],
            snapshots: Vec::new(),
            finished: Vec::new(),
        };
        let checked =
            manifest.check_compatible(Path::new("data"), JobId(job), "keyed-count", operators);
        checked.map_or_else(|error| error.to_string(), |()| "fits".into())
    }

    #[test]
    fn a_checkpoint_of_the_same_job_fits() {
        assert_eq!(check(1, &[operator(0, "lines", 2), operator(1, "count", 4)]), "fits");
    }

    #[test]
    fn a_checkpoint_of_another_job_is_refused() {
        assert_eq!(
            check(2, &[]),
            "data/chk-7/manifest belongs to another job: keyed-count (0000000000000001), \
             not keyed-count (0000000000000002)\n\
             hint: give each job its own directory, or run the job with the options it was started with"
        );
    }

    #[test]
    fn a_checkpoint_of_another_parallelism_is_refused() {
        assert_eq!(
            check(1, &[operator(0, "lines", 2), operator(1, "count", 8)]),
            "checkpoint in data/chk-7/manifest does not fit the job: \
             count had parallelism 4, and has 8 now\n\
             hint: run the job as it was when the checkpoint was taken, or start it in a new directory"
        );
    }

    #[test]
    fn a_checkpoint_of_other_operators_is_refused() {
        let one = check(1, &[operator(0, "lines", 2)]);
        assert!(one.contains("the job had 2 operator chains, and has 1 now"), "{one}");
        let other = check(1, &[operator(0, "words", 2), operator(1, "count", 4)]);
        assert!(other.contains("operator lines was where operator words is now"), "{other}");
    }
}
