//! The volume as a node sees it: operations take time, fail as told, lie as told, and end with the node's
//! power.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use seawall_env::{Disk, Entry, File, Reaction, Scratch};

use super::inode::{Inode, prefix};
use super::names::{
    InodeId, Name, can_be_durable, children, drop_orphans, is_root, normal, parent,
};
use super::scratch::ScratchHandle;
use super::watch::{Access, Call, Operation, When};
use super::{Lie, State, Volume};
use crate::world::node::Life;
use crate::world::{lock, nanos, still_running};

/// The volume as one incarnation of a node mounts it.
#[derive(Clone)]
pub(crate) struct NodeDisk {
    pub(crate) volume: Arc<Volume>,
    pub(crate) life: Arc<Life>,
}

impl NodeDisk {
    /// Takes the time of one operation that moves so many bytes. What it does is done afterwards, at one
    /// moment, and is told whether it fails: on a node that is paused, when it goes on; on a node that
    /// crashed, never.
    async fn perform<T: Send>(
        &self,
        operation: Operation,
        path: &Path,
        bytes: usize,
        act: impl FnOnce(&mut State, io::Result<()>) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        still_running(&self.life).await;
        let (node, access) = (self.life.node.index, operation.access());
        let timeline = &self.volume.timeline;
        let now = timeline.now();
        let delay = lock(&self.volume.state).delay(now, node, access, path, bytes);
        timeline.sleep_until(now.saturating_add(delay)).await;
        still_running(&self.life).await;
        self.show(operation, path, When::Before).await;
        let result = {
            let state = &mut *lock(&self.volume.state);
            let failure = state.trouble.take_failure(node, access, path);
            act(state, failure)
        };
        self.show(operation, path, When::After).await;
        result
    }

    /// Shows a call to whoever watches.
    async fn show(&self, operation: Operation, path: &Path, when: When) {
        let watchers = lock(&self.volume.watchers).clone();
        if watchers.is_empty() {
            return;
        }
        let call = Call { node: self.life.node.name.clone(), operation, path: path.to_owned() };
        let mut acted = false;
        for watcher in watchers {
            acted |= watcher(&call, when) == Reaction::Yield;
        }
        if acted {
            // A paused node goes on from here when it is resumed; a crashed one never does.
            self.volume.timeline.sleep_until(self.volume.timeline.now()).await;
        }
        still_running(&self.life).await;
    }

    fn handle(&self, state: &mut State, path: PathBuf, inode: InodeId, access: Access) -> Handle {
        state.inodes.get_mut(&inode).expect("a named file exists").handles += 1;
        if access == Access::Write {
            state.writers.push((self.life.node.index, inode));
        }
        Handle { disk: self.clone(), path, inode, access }
    }
}

#[async_trait]
impl Disk for NodeDisk {
    async fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let path = normal(path);
        let (node, now) = (self.life.node.index, || self.volume.timeline.now());
        let created = self.perform(Operation::Create, &path, 0, |state, failure| {
            failure?;
            state.check_parent(&path)?;
            let inode = match state.inode_of(&path) {
                Ok(id) => {
                    state.inodes.get_mut(&id).expect("a named file exists").truncate(node);
                    id
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let id = state.next_inode;
                    state.next_inode += 1;
                    state.inodes.insert(id, Inode::default());
                    state.change(now(), node, None, Some((path.clone(), Name::File(id))));
                    id
                }
                Err(error) => return Err(error),
            };
            Ok(self.handle(state, path.clone(), inode, Access::Write))
        });
        Ok(Box::new(created.await?))
    }

    async fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let path = normal(path);
        let opened = self.perform(Operation::Open, &path, 0, |state, failure| {
            failure?;
            let inode = state.inode_of(&path)?;
            Ok(self.handle(state, path.clone(), inode, Access::Read))
        });
        Ok(Box::new(opened.await?))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        let (node, now) = (self.life.node.index, || self.volume.timeline.now());
        let renamed = self.perform(Operation::Rename, &to, 0, |state, failure| {
            failure?;
            let inode = state.inode_of(&from)?;
            state.check_parent(&to)?;
            if state.names.get(&to) == Some(&Name::Directory) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if from != to {
                let binds = (to.clone(), Name::File(inode));
                state.change(now(), node, Some(from.clone()), Some(binds));
            }
            Ok(())
        });
        renamed.await
    }

    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let synced = self.perform(Operation::SyncDirectory, &path, 0, |state, failure| {
            failure?;
            state.check_directory(&path)?;
            let State { durable, changes, .. } = state;
            let mut loses_directory = false;
            changes.retain(|change| {
                if !change.is_in(&path) || !can_be_durable(durable, change) {
                    return true;
                }
                let vacated = change.vacates.as_ref().and_then(|it| durable.get(it));
                loses_directory |= vacated == Some(&Name::Directory);
                change.apply(durable);
                false
            });
            if loses_directory {
                // It was empty: what was removed from it before is gone with it.
                drop_orphans(durable);
            }
            Ok(())
        });
        synced.await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let (node, now) = (self.life.node.index, || self.volume.timeline.now());
        let removed = self.perform(Operation::Remove, &path, 0, |state, failure| {
            failure?;
            state.inode_of(&path)?;
            state.change(now(), node, Some(path.clone()), None);
            Ok(())
        });
        removed.await
    }

    async fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let (node, now) = (self.life.node.index, || self.volume.timeline.now());
        let removed = self.perform(Operation::RemoveDirectory, &path, 0, |state, failure| {
            failure?;
            state.check_directory(&path)?;
            if children(&state.names, &path).next().is_some() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            if is_root(&path) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            state.change(now(), node, Some(path.clone()), None);
            Ok(())
        });
        removed.await
    }

    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let (node, now) = (self.life.node.index, || self.volume.timeline.now());
        let created = self.perform(Operation::CreateDirectory, &path, 0, |state, failure| {
            failure?;
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
                state.change(now(), node, None, Some((directory, Name::Directory)));
            }
            Ok(())
        });
        created.await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let path = normal(path);
        let (node, now) = (self.life.node.index, || self.volume.timeline.now());
        let listed = self.perform(Operation::List, &path, 0, |state, failure| {
            failure?;
            state.check_directory(&path)?;
            let mut listed: BTreeMap<PathBuf, Name> = children(&state.names, &path)
                .map(|(path, name)| (path.to_owned(), *name))
                .collect();
            let range = state.listing_lag();
            let seen_until = now().saturating_sub(nanos(state.stream.duration(&range)));
            let missed = state.recent.iter().rev().take_while(|it| it.at > seen_until);
            let missed = missed.filter(|it| it.node != node && parent(&it.path) == path);
            let mut is_stale = false;
            for missed in missed {
                is_stale = true;
                match missed.before {
                    Some(name) => listed.insert(missed.path.clone(), name),
                    None => listed.remove(&missed.path),
                };
            }
            if is_stale {
                state.trouble.strikes.hit("stale-listing");
            }
            let entry = |(path, name)| Entry { path, is_directory: name == Name::Directory };
            Ok(listed.into_iter().map(entry).collect())
        });
        listed.await
    }

    async fn scratch(&self, path: &Path) -> io::Result<Box<dyn Scratch>> {
        let path = normal(path);
        self.create_directory(parent(&path)).await?;
        let state = &mut *lock(&self.volume.state);
        state.trouble.take_failure(self.life.node.index, Access::Write, &path)?;
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

impl State {
    fn inode(&mut self, id: InodeId) -> &mut Inode {
        self.inodes.get_mut(&id).expect("an open file exists")
    }

    /// Where appended bytes land: in the file, unless the disk lies and there is another that the node
    /// writes.
    fn landing(&mut self, node: u32, path: &Path, own: InodeId) -> InodeId {
        let others = self.writers.iter().filter(|(by, id)| *by == node && *id != own);
        let others: Vec<InodeId> = others.map(|(_, id)| *id).collect();
        if others.is_empty() || !self.trouble.lies(node, Lie::MisdirectedWrite, path) {
            return own;
        }
        let chosen = self.stream.below(others.len() as u64);
        others[usize::try_from(chosen).expect("an index")]
    }
}

#[async_trait]
impl File for Handle {
    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let (node, id) = (self.disk.life.node.index, self.inode);
        let appended =
            self.disk.perform(Operation::Append, &self.path, bytes.len(), |state, failure| {
                if failure.is_err() {
                    let part = prefix(bytes.len(), &mut state.stream);
                    let part = part.min(bytes.len().saturating_sub(1));
                    state.inode(id).append(node, &bytes[..part]);
                    return failure;
                }
                let landing = state.landing(node, &self.path, id);
                state.inode(landing).append(node, bytes);
                Ok(())
            });
        appended.await
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let (node, id) = (self.disk.life.node.index, self.inode);
        let moved = lock(&self.disk.volume.state).inode(id).readable(position, length);
        let read = self.disk.perform(Operation::ReadAt, &self.path, moved, |state, failure| {
            failure?;
            let mut bytes = state.inode(id).read(position, length);
            if bytes.len() > 1 && state.trouble.lies(node, Lie::ShortRead, &self.path) {
                let shorter = 1 + state.stream.below(bytes.len() as u64 - 1);
                bytes.truncate(usize::try_from(shorter).expect("a length"));
            }
            state.rot(node, &self.path, &mut bytes);
            Ok(bytes)
        });
        read.await
    }

    async fn sync(&mut self) -> io::Result<()> {
        let (node, id) = (self.disk.life.node.index, self.inode);
        let synced = self.disk.perform(Operation::Sync, &self.path, 0, |state, failure| {
            let is_clean = state.inode(id).unsynced.is_empty();
            if failure.is_err() {
                let forgets = !is_clean && state.stream.one_in(2);
                state.inode(id).is_forgotten |= forgets;
                return failure;
            }
            if !is_clean && state.trouble.lies(node, Lie::PhantomWrite, &self.path) {
                let inode = state.inode(id);
                inode.is_forgotten = true;
                inode.is_phantom = true;
            }
            state.inode(id).sync();
            Ok(())
        });
        synced.await
    }

    async fn length(&self) -> io::Result<u64> {
        let id = self.inode;
        let length = self.disk.perform(Operation::Length, &self.path, 0, |state, failure| {
            failure?;
            Ok(state.inode(id).visible.len() as u64)
        });
        length.await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let state = &mut *lock(&self.disk.volume.state);
        state.inode(self.inode).handles -= 1;
        let own = (self.disk.life.node.index, self.inode);
        if self.access == Access::Write
            && let Some(index) = state.writers.iter().position(|it| *it == own)
        {
            state.writers.remove(index);
        }
    }
}
