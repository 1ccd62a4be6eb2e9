//! Where each file is. The only place that knows names.

use std::path::{Path, PathBuf};

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
    self::checkpoint(root, checkpoint).join("manifest")
}

/// What one attempt of one subtask wrote for one checkpoint. The attempt is part of the name, so that a
/// zombie never overwrites its successor's file.
pub fn snapshot(
    root: &Path,
    checkpoint: CheckpointId,
    subtask: SubtaskId,
    attempt: Attempt,
) -> PathBuf {
    let name = format!("{}-{}-attempt-{attempt}.snapshot", subtask.operator, subtask.index);
    self::checkpoint(root, checkpoint).join(name)
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
            && (name.starts_with("record-") || name.starts_with("splits-"))
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
        for name in ["chk-", "chk-07", "chk-+7", "chk-7.tmp", "record", "chk-x"] {
            assert_eq!(checkpoint_of(Path::new(name)), None, "{name}");
        }
    }
}
