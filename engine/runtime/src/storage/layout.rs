//! Where each file is. The only place that knows names.

use std::path::{Path, PathBuf};

use seawall_protocol::shared_files::{SharedFile, SharedFileId};
use seawall_protocol::{Attempt, CheckpointId, SubtaskId};

/// Names that end like this are not complete.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// The store record.
pub fn record(root: &Path) -> PathBuf {
    root.join("record")
}

/// What became of the newest checkpoints.
pub fn history(root: &Path) -> PathBuf {
    root.join("history")
}

/// The splits of each source.
pub fn splits(root: &Path) -> PathBuf {
    root.join("splits")
}

/// Which savepoint the job started from.
pub fn origin(root: &Path) -> PathBuf {
    root.join("origin")
}

/// Where a savepoint was asked for, while it is in the directory of its checkpoint.
pub fn target(root: &Path, checkpoint: CheckpointId) -> PathBuf {
    self::checkpoint(root, checkpoint).join("target")
}

/// Where the savepoint of a stop is, in the directory of its checkpoint.
pub fn exported(root: &Path, checkpoint: CheckpointId) -> PathBuf {
    self::checkpoint(root, checkpoint).join("exported")
}

/// Everything of one savepoint, below the place where it was asked for.
pub fn savepoint(place: &Path, checkpoint: CheckpointId) -> PathBuf {
    place.join(format!("savepoint-{checkpoint}"))
}

/// Whether the directory is named like a savepoint.
pub fn is_savepoint(directory: &Path) -> bool {
    directory.file_name().and_then(|it| it.to_str()).is_some_and(|it| it.starts_with("savepoint-"))
}

/// The manifest in the directory of a checkpoint or savepoint.
pub fn manifest_in(directory: &Path) -> PathBuf {
    directory.join("manifest")
}

/// A snapshot in the directory of a checkpoint or savepoint.
pub fn snapshot_in(directory: &Path, subtask: SubtaskId, attempt: Attempt) -> PathBuf {
    let name = format!("{}-{}-attempt-{attempt}.snapshot", subtask.operator, subtask.index);
    directory.join(name)
}

/// Everything of one checkpoint.
pub fn checkpoint(root: &Path, checkpoint: CheckpointId) -> PathBuf {
    root.join(format!("chk-{checkpoint}"))
}

/// Which checkpoint the directory belongs to, if its name says so.
pub fn checkpoint_of(directory: &Path) -> Option<CheckpointId> {
    let digits = directory.file_name()?.to_str()?.strip_prefix("chk-")?;
    let id = CheckpointId(digits.parse().ok()?);
    // `chk-07` and `chk-+7` are names that this program never gave.
    (id.to_string() == digits).then_some(id)
}

/// The manifest of one checkpoint.
pub fn manifest(root: &Path, checkpoint: CheckpointId) -> PathBuf {
    manifest_in(&self::checkpoint(root, checkpoint))
}

/// What one attempt of one subtask wrote for one checkpoint. The attempt is part of the name, so that a
/// zombie never overwrites its successor's file.
pub fn snapshot(
    root: &Path,
    checkpoint: CheckpointId,
    subtask: SubtaskId,
    attempt: Attempt,
) -> PathBuf {
    snapshot_in(&self::checkpoint(root, checkpoint), subtask, attempt)
}

/// The files that snapshots of several checkpoints share.
pub fn shared_directory(root: &Path) -> PathBuf {
    root.join("shared")
}

/// One shared file. All that makes its writer unique is in the name, so none is ever overwritten (I9).
pub fn shared(root: &Path, id: SharedFileId) -> PathBuf {
    let SharedFileId { checkpoint, subtask, attempt, sequence } = id;
    let (operator, index) = (subtask.operator, subtask.index);
    let name = format!("chk-{checkpoint}-{operator}-{index}-attempt-{attempt}-{sequence}.run");
    shared_directory(root).join(name)
}

/// A file of a snapshot: shared, or in the directory of its checkpoint.
pub fn state_file(root: &Path, file: &SharedFile) -> PathBuf {
    if file.is_own {
        own_file(&checkpoint(root, file.id.checkpoint), file)
    } else {
        shared(root, file.id)
    }
}

/// A file of a snapshot that is in the directory of its checkpoint or savepoint.
pub fn own_file(directory: &Path, file: &SharedFile) -> PathBuf {
    directory.join(shared(directory, file.id).file_name().expect("it has a name"))
}

/// Which shared file the name belongs to, if it is one that this program gave, and whether it is the
/// name of a complete file.
pub fn shared_id_of(path: &Path) -> (Option<SharedFileId>, bool) {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    let Some((stem, rest)) = name.split_once(".run") else { return (None, false) };
    let is_ours = |id: &SharedFileId| {
        shared(Path::new(""), *id).file_stem().is_some_and(|it| it.to_str() == Some(stem))
    };
    let is_name = rest.is_empty() || rest.ends_with(TEMPORARY_SUFFIX);
    (parse_shared(stem).filter(is_ours).filter(|_| is_name), rest.is_empty())
}

fn parse_shared(stem: &str) -> Option<SharedFileId> {
    let mut parts = stem.strip_prefix("chk-")?.split('-');
    let checkpoint = CheckpointId(parts.next()?.parse().ok()?);
    let operator = parts.next()?.strip_prefix("op")?.parse().ok()?;
    let subtask = SubtaskId::new(operator, parts.next()?.parse().ok()?);
    parts.next().filter(|it| *it == "attempt")?;
    let attempt = Attempt(parts.next()?.parse().ok()?);
    let sequence = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(SharedFileId { checkpoint, subtask, attempt, sequence })
}

/// The file's name on a disk until it is complete. `content` tells writers of the same file apart.
pub(crate) fn temporary(path: &Path, content: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-");
    name.push(content);
    name.push(TEMPORARY_SUFFIX);
    name.into()
}

/// Whether it is a file directly below the root that was never completed.
pub(crate) fn is_temporary(path: &Path) -> bool {
    path.file_name().and_then(|it| it.to_str()).is_some_and(|name| {
        name.ends_with(TEMPORARY_SUFFIX)
            && ["record-", "splits-", "history-", "origin-"].iter().any(|it| name.starts_with(it))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_documented() {
        let (root, id) = (Path::new("data"), CheckpointId(7));
        assert_eq!(record(root), Path::new("data/record"));
        assert_eq!(manifest(root, id), Path::new("data/chk-7/manifest"));
        assert_eq!(
            snapshot(root, id, SubtaskId::new(0, 2), Attempt(1)),
            Path::new("data/chk-7/op0-2-attempt-1.snapshot")
        );
    }

    #[test]
    fn only_names_that_were_given_are_checkpoints() {
        assert_eq!(checkpoint_of(Path::new("data/chk-7")), Some(CheckpointId(7)));
        let id = SharedFileId {
            checkpoint: CheckpointId(7),
            subtask: SubtaskId::new(1, 2),
            attempt: Attempt(3),
            sequence: 4,
        };
        let path = shared(Path::new("data"), id);
        assert_eq!(path, Path::new("data/shared/chk-7-op1-2-attempt-3-4.run"));
        assert_eq!(shared_id_of(&path), (Some(id), true));
        assert_eq!(shared_id_of(&temporary(&path, "9f3c")), (Some(id), false));
        for name in ["chk-7-op1-2-attempt-3.run", "chk-07-op1-2-attempt-3-4.run", "notes.txt"] {
            assert_eq!(shared_id_of(Path::new(name)).0, None, "{name}");
        }
        for name in ["chk-", "chk-07", "chk-+7", "chk-7.tmp", "record", "chk-x"] {
            assert_eq!(checkpoint_of(Path::new(name)), None, "{name}");
        }
    }
}
