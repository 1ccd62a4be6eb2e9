//! The names of files and directories, and how one change of them is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

pub(super) type InodeId = u64;

/// Names by normal path. A directory comes before all that is below it.
///
/// Compared as bytes: a path is compared part by part, which takes it apart each time.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(BTreeMap<OsString, Name>);

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<&Name> {
        self.0.get(path.as_os_str())
    }

    pub(super) fn insert(&mut self, path: PathBuf, name: Name) {
        self.0.insert(path.into_os_string(), name);
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.0.remove(path.as_os_str());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Name)> {
        self.0.iter().map(|(path, name)| (Path::new(path), name))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(Path::new)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Name> {
        self.0.values()
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(&Path, &Name) -> bool) {
        self.0.retain(|path, name| stays(Path::new(path), name));
    }

    /// Everything below a directory, however deep.
    pub(super) fn below(&self, directory: &Path) -> impl Iterator<Item = (&Path, &Name)> {
        let mut start = directory.as_os_str().to_owned();
        if !is_root(directory) {
            start.push("/");
        }
        let range =
            self.0.range::<OsStr, _>((Bound::Excluded(start.as_os_str()), Bound::Unbounded));
        let is_below =
            move |path: &OsStr| path.as_encoded_bytes().starts_with(start.as_encoded_bytes());
        let below = range.take_while(move |(path, _)| is_below(path));
        below.map(|(path, name)| (Path::new(path), name))
    }
}

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
        let vacates = self.vacates.as_ref().is_some_and(|path| is_child(path, directory));
        vacates || self.binds.as_ref().is_some_and(|(path, _)| is_child(path, directory))
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
            directories.insert(path.to_path_buf());
        }
        stays
    });
}

pub(super) fn children<'a>(
    names: &'a Names,
    directory: &'a Path,
) -> impl Iterator<Item = (&'a Path, &'a Name)> {
    names.below(directory).filter(move |(path, _)| is_child(path, directory))
}

/// Whether [`parent`] of `path` is `directory`, without looking for it.
fn is_child(path: &Path, directory: &Path) -> bool {
    if is_root(directory) {
        return parent(path).as_os_str() == directory.as_os_str();
    }
    let inner = path.as_os_str().as_bytes().strip_prefix(directory.as_os_str().as_bytes());
    inner.and_then(|it| it.strip_prefix(b"/")).is_some_and(|name| !name.contains(&b'/'))
}

pub(super) fn contains(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

pub(super) fn is_root(path: &Path) -> bool {
    matches!(path.as_os_str().as_bytes(), b"" | b"/")
}

/// The directory of a normal path.
pub(super) fn parent(path: &Path) -> &Path {
    let bytes = path.as_os_str().as_bytes();
    match bytes.iter().rposition(|it| *it == b'/') {
        Some(end) if end > 0 => Path::new(OsStr::from_bytes(&bytes[..end])),
        _ => path.parent().unwrap_or(Path::new("")),
    }
}

/// `path` without `.`, `..` and repeated separators.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut parts = path.as_os_str().as_encoded_bytes().split(|it| *it == b'/').enumerate();
    if !parts.any(|(index, it)| matches!(it, b"." | b"..") || (it.is_empty() && index > 0)) {
        return path.to_owned();
    }
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
