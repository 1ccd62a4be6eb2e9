//! The volume as an oracle or the setter of a scene sees it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Volume;
use super::inode::Inode;
use super::names::{Name, Names, is_root, normal, parent};
use crate::world::lock;

/// Which files an oracle sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// What would be left if all nodes lost their power and nothing unsynced stayed.
    Durable,
    /// What a node sees now.
    Visible,
}

/// The volume from outside: reads take no time, are never refused, and draw nothing.
#[derive(Clone)]
pub struct InspectableDisk {
    pub(crate) volume: Arc<Volume>,
}

impl InspectableDisk {
    /// All files and their content.
    pub fn files(&self, view: View) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = lock(&self.volume.state);
        let names = match view {
            View::Durable => &state.durable,
            View::Visible => &state.names,
        };
        let mut files = BTreeMap::new();
        for (path, name) in names.iter() {
            if let Name::File(id) = name
                && let Some(inode) = state.inodes.get(id)
            {
                files.insert(path.to_owned(), content(inode, view).to_vec());
            }
        }
        files
    }

    /// The paths of all files.
    pub fn paths(&self, view: View) -> Vec<PathBuf> {
        let state = lock(&self.volume.state);
        let names = match view {
            View::Durable => &state.durable,
            View::Visible => &state.names,
        };
        names
            .iter()
            .filter(|(_, name)| matches!(name, Name::File(_)))
            .map(|(path, _)| path.to_owned())
            .collect()
    }

    /// The paths of all files below a directory.
    pub fn paths_below(&self, view: View, directory: &Path) -> Vec<PathBuf> {
        let state = lock(&self.volume.state);
        let names = match view {
            View::Durable => &state.durable,
            View::Visible => &state.names,
        };
        files_below(names, directory).map(Path::to_owned).collect()
    }

    /// Whether [`InspectableDisk::paths_below`] would be these.
    pub(crate) fn lists(&self, view: View, directory: &Path, paths: &[PathBuf]) -> bool {
        let state = lock(&self.volume.state);
        let names = match view {
            View::Durable => &state.durable,
            View::Visible => &state.names,
        };
        files_below(names, directory).map(Path::as_os_str).eq(paths.iter().map(|it| it.as_os_str()))
    }

    /// The content of one file.
    pub fn read(&self, view: View, path: &Path) -> Option<Vec<u8>> {
        self.with_file(view, path, <[u8]>::to_vec)
    }

    /// Whether there is such a file.
    pub fn has_file(&self, view: View, path: &Path) -> bool {
        self.with_file(view, path, |_| ()).is_some()
    }

    fn with_file<T>(&self, view: View, path: &Path, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let state = lock(&self.volume.state);
        let names = match view {
            View::Durable => &state.durable,
            View::Visible => &state.names,
        };
        match names.get(&normal(path))? {
            Name::File(id) => state.inodes.get(id).map(|inode| look(content(inode, view))),
            Name::Directory => None,
        }
    }

    /// Deletes everything below a directory, durably, as a person does; nobody may be writing there.
    pub fn delete_below(&self, directory: &Path) {
        let directory = normal(directory);
        let state = &mut *lock(&self.volume.state);
        let is_below = |path: &Path| path.starts_with(&directory) && *path != directory;
        state.names.retain(|path, _| !is_below(path));
        state.durable.retain(|path, _| !is_below(path));
    }

    /// Puts a durable file there, with its directories: the input of a job, say.
    pub fn place(&self, path: &Path, bytes: Vec<u8>) {
        let path = normal(path);
        let state = &mut *lock(&self.volume.state);
        let id = state.next_inode;
        state.next_inode += 1;
        let inode = Inode { visible: bytes.clone(), durable: bytes, ..Inode::default() };
        state.inodes.insert(id, inode);
        let mut at = parent(&path);
        while !is_root(at) {
            state.names.insert(at.to_owned(), Name::Directory);
            state.durable.insert(at.to_owned(), Name::Directory);
            at = parent(at);
        }
        state.names.insert(path.clone(), Name::File(id));
        state.durable.insert(path, Name::File(id));
    }
}

fn files_below<'a>(names: &'a Names, directory: &Path) -> impl Iterator<Item = &'a Path> {
    let files = names.below(directory).filter(|(_, name)| matches!(name, Name::File(_)));
    files.map(|(path, _)| path)
}

fn content(inode: &Inode, view: View) -> &[u8] {
    match view {
        View::Durable => &inode.durable,
        View::Visible => &inode.visible,
    }
}
