//! The volume as a node sees it: operations take time, fail as told, and end with the node's power.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use seawall_env::{Disk, Entry, File, Scratch};

use super::inode::{Inode, Unsynced, Write, prefix};
use super::names::{
    InodeId, Name, Names, can_be_durable, children, drop_orphans, is_root, normal, parent,
};
use super::scratch::ScratchHandle;
use super::{Access, State, Volume};
use crate::world::entropy::Stream;
use crate::world::node::Life;
use crate::world::{lock, nanos, still_running};

/// The volume as one incarnation of a node mounts it.
#[derive(Clone)]
pub(crate) struct NodeDisk {
    pub(crate) volume: Arc<Volume>,
    pub(crate) life: Arc<Life>,
}

impl NodeDisk {
    /// Takes the time of one operation. What it does is done afterwards, at one moment: on a node that
    /// is paused, when it goes on; on a node that crashed, never.
    async fn start(&self, access: Access, path: &Path) {
        still_running(&self.life).await;
        let delay = lock(&self.volume.state).delay(self.life.node.index, access, path);
        let timeline = &self.volume.timeline;
        timeline.sleep_until(timeline.now().saturating_add(delay)).await;
        still_running(&self.life).await;
    }

    fn handle(&self, state: &mut State, path: PathBuf, inode: InodeId, access: Access) -> Handle {
        state.inodes.get_mut(&inode).expect("a named file exists").handles += 1;
        Handle { disk: self.clone(), path, inode, access }
    }
}

#[async_trait]
impl Disk for NodeDisk {
    async fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let path = normal(path);
        self.start(Access::Write, &path).await;
        let node = self.life.node.index;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(node, &path)?;
        state.check_parent(&path)?;
        let inode = match state.inode_of(&path) {
            Ok(id) => {
                let inode = state.inodes.get_mut(&id).expect("a named file exists");
                inode.visible.clear();
                inode.is_forgotten = false;
                inode.unsynced.clear();
                inode.unsynced.push(Unsynced { node, write: Write::Truncate });
                id
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(id, Inode::default());
                state.change(
                    self.volume.timeline.now(),
                    node,
                    None,
                    Some((path.clone(), Name::File(id))),
                );
                id
            }
            Err(error) => return Err(error),
        };
        Ok(Box::new(self.handle(state, path, inode, Access::Write)))
    }

    async fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let path = normal(path);
        self.start(Access::Read, &path).await;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(self.life.node.index, &path)?;
        let inode = state.inode_of(&path)?;
        Ok(Box::new(self.handle(state, path, inode, Access::Read)))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        self.start(Access::Write, &to).await;
        let node = self.life.node.index;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(node, &to)?;
        let inode = state.inode_of(&from)?;
        state.check_parent(&to)?;
        if state.names.get(&to) == Some(&Name::Directory) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if from != to {
            state.change(
                self.volume.timeline.now(),
                node,
                Some(from),
                Some((to, Name::File(inode))),
            );
        }
        Ok(())
    }

    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.start(Access::Write, &path).await;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(self.life.node.index, &path)?;
        state.check_directory(&path)?;
        let durable = &mut state.durable;
        let mut rest = Vec::new();
        let mut loses_directory = false;
        for change in std::mem::take(&mut state.changes) {
            if change.is_in(&path) && can_be_durable(durable, &change) {
                let vacated = change.vacates.as_ref().and_then(|it| durable.get(it));
                loses_directory |= vacated == Some(&Name::Directory);
                change.apply(durable);
            } else {
                rest.push(change);
            }
        }
        if loses_directory {
            // It was empty: what was removed from it before is gone with it.
            drop_orphans(durable);
        }
        state.changes = rest;
        Ok(())
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.start(Access::Write, &path).await;
        let node = self.life.node.index;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(node, &path)?;
        state.inode_of(&path)?;
        state.change(self.volume.timeline.now(), node, Some(path), None);
        Ok(())
    }

    async fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.start(Access::Write, &path).await;
        let node = self.life.node.index;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(node, &path)?;
        state.check_directory(&path)?;
        if children(&state.names, &path).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if is_root(&path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        state.change(self.volume.timeline.now(), node, Some(path), None);
        Ok(())
    }

    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.start(Access::Write, &path).await;
        let node = self.life.node.index;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(node, &path)?;
        let mut missing = Vec::new();
        let mut at = path.as_path();
        while !is_root(at) {
            match state.names.get(at) {
                Some(Name::Directory) => break,
                Some(Name::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => missing.push(at.to_owned()),
            }
            at = parent(at);
        }
        for directory in missing.into_iter().rev() {
            state.change(
                self.volume.timeline.now(),
                node,
                None,
                Some((directory, Name::Directory)),
            );
        }
        Ok(())
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let path = normal(path);
        self.start(Access::Read, &path).await;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(self.life.node.index, &path)?;
        state.check_directory(&path)?;
        let mut listed: Names =
            children(&state.names, &path).map(|(path, name)| (path.clone(), *name)).collect();
        let lag = nanos(state.stream.duration(&state.config.listing_lag));
        let seen_until = self.volume.timeline.now().saturating_sub(lag);
        let missed = state.recent.iter().rev().take_while(|it| it.at > seen_until);
        for missed in missed.filter(|it| it.node != self.life.node.index) {
            if parent(&missed.path) == path {
                match missed.before {
                    Some(name) => listed.insert(missed.path.clone(), name),
                    None => listed.remove(&missed.path),
                };
            }
        }
        let entries = listed
            .into_iter()
            .map(|(path, name)| Entry { path, is_directory: name == Name::Directory });
        Ok(entries.collect())
    }

    async fn scratch(&self, path: &Path) -> io::Result<Box<dyn Scratch>> {
        let path = normal(path);
        self.create_directory(parent(&path)).await?;
        let state = &mut *lock(&self.volume.state);
        state.take_failure(self.life.node.index, &path)?;
        Ok(Box::new(ScratchHandle::open(self.clone(), state, &path)))
    }
}

/// An open file.
struct Handle {
    disk: NodeDisk,
    path: PathBuf,
    inode: InodeId,
    access: Access,
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut Inode, &mut Stream) -> T) -> T {
        let state = &mut *lock(&self.disk.volume.state);
        let inode = state.inodes.get_mut(&self.inode).expect("an open file exists");
        act(inode, &mut state.stream)
    }

    fn take_failure(&self) -> io::Result<()> {
        lock(&self.disk.volume.state).take_failure(self.disk.life.node.index, &self.path)
    }

    fn append_now(&self, bytes: &[u8]) {
        let node = self.disk.life.node.index;
        self.with(|inode, _| {
            inode.visible.extend_from_slice(bytes);
            match inode.unsynced.last_mut() {
                Some(Unsynced { node: by, write: Write::Append { length } }) if *by == node => {
                    *length += bytes.len();
                }
                Some(_) | None => inode
                    .unsynced
                    .push(Unsynced { node, write: Write::Append { length: bytes.len() } }),
            }
        });
    }
}

#[async_trait]
impl File for Handle {
    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.disk.start(Access::Write, &self.path).await;
        if let Err(error) = self.take_failure() {
            let part = self.with(|_, stream| prefix(bytes.len(), stream));
            self.append_now(&bytes[..part.min(bytes.len().saturating_sub(1))]);
            return Err(error);
        }
        self.append_now(bytes);
        Ok(())
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        self.disk.start(Access::Read, &self.path).await;
        self.take_failure()?;
        Ok(self.with(|inode, _| {
            let end = inode.visible.len();
            let start = usize::try_from(position).unwrap_or(usize::MAX).min(end);
            inode.visible[start..start.saturating_add(length).min(end)].to_vec()
        }))
    }

    async fn sync(&mut self) -> io::Result<()> {
        self.disk.start(Access::Write, &self.path).await;
        if let Err(error) = self.take_failure() {
            self.with(|inode, stream| {
                inode.is_forgotten |= !inode.unsynced.is_empty() && stream.one_in(2);
            });
            return Err(error);
        }
        self.with(|inode, _| inode.sync());
        Ok(())
    }

    async fn length(&self) -> io::Result<u64> {
        self.disk.start(Access::Read, &self.path).await;
        self.take_failure()?;
        Ok(self.with(|inode, _| inode.visible.len() as u64))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.with(|inode, _| inode.handles -= 1);
    }
}
