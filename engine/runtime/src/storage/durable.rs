//! Directories whose names survive a loss of power.

use std::io;
use std::path::{Path, PathBuf};

use seawall_env::Disk;

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
