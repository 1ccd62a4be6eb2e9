//! The names of files and directories, and how one change of them is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

pub(super) type InodeId = u64;
pub(super) type Names = BTreeMap<PathBuf, Name>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    File(InodeId),
    Directory,
}

/// One change of names: `name` appears at `path`, after `vacates` disappeared.
pub(super) struct Change {
    pub(super) node: u32,
    pub(super) vacates: Option<PathBuf>,
    pub(super) binds: Option<(PathBuf, Name)>,
}

impl Change {
    pub(super) fn apply(&self, names: &mut Names) {
        self.vacate(names);
        self.bind(names);
    }

    pub(super) fn vacate(&self, names: &mut Names) {
        if let Some(path) = &self.vacates {
            names.remove(path);
        }
    }

    pub(super) fn bind(&self, names: &mut Names) {
        if let Some((path, name)) = &self.binds
            && has_parent(names, path)
        {
            names.insert(path.clone(), *name);
        }
    }

    pub(super) fn is_rename(&self) -> bool {
        self.vacates.is_some() && self.binds.is_some()
    }

    /// The directory of the name that appears, or else of the one that disappears.
    pub(super) fn directory(&self) -> &Path {
        let path = self.binds.as_ref().map(|(path, _)| path).or(self.vacates.as_ref());
        parent(path.expect("a change changes something"))
    }

    pub(super) fn is_in(&self, directory: &Path) -> bool {
        let paths = [self.vacates.as_ref(), self.binds.as_ref().map(|(path, _)| path)];
        paths.into_iter().flatten().any(|path| parent(path) == directory)
    }
}

/// Whether all that `change` needs is durable; a file may be, though its directory is not yet.
pub(super) fn can_be_durable(durable: &Names, change: &Change) -> bool {
    change.binds.as_ref().is_none_or(|(path, _)| has_parent(durable, path))
}

fn has_parent(names: &Names, path: &Path) -> bool {
    let directory = parent(path);
    is_root(directory) || names.get(directory) == Some(&Name::Directory)
}

pub(super) fn drop_orphans(names: &mut Names) {
    // Parents come before their children in the order of paths.
    let mut directories = BTreeSet::new();
    names.retain(|path, name| {
        let directory = parent(path);
        let stays = is_root(directory) || directories.contains(directory);
        if stays && *name == Name::Directory {
            directories.insert(path.clone());
        }
        stays
    });
}

pub(super) fn children<'a>(
    names: &'a Names,
    directory: &'a Path,
) -> impl Iterator<Item = (&'a PathBuf, &'a Name)> {
    names
        .range::<Path, _>((std::ops::Bound::Excluded(directory), std::ops::Bound::Unbounded))
        .take_while(move |(path, _)| path.starts_with(directory))
        .filter(move |(path, _)| parent(path) == directory)
}

pub(super) fn contains(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

pub(super) fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// `path` without `.`, `..` and repeated separators.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                normal.push(component);
            }
        }
    }
    normal
}
