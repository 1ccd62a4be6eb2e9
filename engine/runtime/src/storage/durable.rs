//! The order of operations that makes a file appear whole or not at all (R1).

use std::io;
use std::path::{Path, PathBuf};

use seawall_env::Disk;

use crate::storage::error::StorageError;

/// Writes `bytes` to `temporary`, syncs, renames to `target` and syncs the directory of both.
///
/// # Errors
/// At any step; then it is unknown whether `target` was replaced (H3).
pub(crate) async fn replace(
    disk: &dyn Disk,
    temporary: &Path,
    target: &Path,
    bytes: &[u8],
) -> Result<(), StorageError> {
    let directory = parent(target);
    assert_eq!(parent(temporary), directory, "a rename across directories needs two syncs");

    let written = write(disk, temporary, bytes).await;
    if written.is_err() {
        // Best effort: an unfinished file is harmless, and overwritten by the next try.
        let _ = disk.remove(temporary).await;
    }
    written?;
    disk.rename(temporary, target).await.map_err(StorageError::io("rename to", target))?;
    disk.sync_directory(&directory).await.map_err(StorageError::io("sync", &directory))
}

async fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let mut file = disk.create(path).await.map_err(StorageError::io("create", path))?;
    file.append(bytes).await.map_err(StorageError::io("write", path))?;
    file.sync().await.map_err(StorageError::io("sync", path))
}

/// All bytes of the file.
///
/// # Errors
/// As the disk says.
pub(crate) async fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, StorageError> {
    let file = disk.open(path).await.map_err(StorageError::io("open", path))?;
    let length = file.length().await.map_err(StorageError::io("read", path))?;
    let length = usize::try_from(length).expect("files of storage fit into memory");
    file.read_at(0, length).await.map_err(StorageError::io("read", path))
}

/// Creates the directory with its parents and makes all their names durable, also when they exist: an
/// earlier process may have died between creating and syncing.
///
/// # Errors
/// As the disk says.
pub(crate) async fn create_directory(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.create_directory(path).await?;
    let nearest = parent(path);
    for directory in holders(path) {
        match disk.sync_directory(&directory).await {
            Ok(()) => {}
            // Far ancestors may belong to others; they have been there for long.
            Err(error)
                if directory != nearest && error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The directories above `path` from the top: a name is durable once it is synced in a directory that is
/// durable itself.
fn holders(path: &Path) -> Vec<PathBuf> {
    let mut holders = vec![parent(path)];
    while let Some(above) = holders.last().map(|it| parent(it)).filter(|it| !holders.contains(it)) {
        holders.push(above);
    }
    holders.reverse();
    holders
}

/// The directory that holds the name `path`; `/` and `.` are their own.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) | None => PathBuf::from(if path.is_absolute() { "/" } else { "." }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &[&str]) {
        let holders = holders(Path::new(path));
        assert_eq!(holders, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
    }

    #[test]
    fn directories_are_made_durable_from_the_top() {
        check("/data/job/checkpoints", &["/", "/data", "/data/job"]);
        check("data/checkpoints", &[".", "data"]);
        check("data", &["."]);
        check("/data", &["/"]);
    }
}
