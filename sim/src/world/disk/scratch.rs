//! Scratch files: random access, no name, no durability.
//!
//! Whoever uses one does not await, so it cannot be made to wait at once: the time of each call is a debt
//! that is paid at the next suspension point. Failures strike by path, as on any file; a bit may rot. What
//! a node had in scratch files is gone with its power, and nobody ever asks for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use seawall_env::Scratch;

use super::inode::prefix;
use super::watch::Access;
use super::{Lie, NodeDisk, State};
use crate::world::entropy::Stream;
use crate::world::{lock, nanos, still_running};

/// What is in one scratch file.
pub(super) struct Content {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// The scratch files of all nodes, by number.
#[derive(Default)]
pub(super) struct Contents {
    files: std::collections::BTreeMap<u64, Content>,
    next: u64,
}

impl Contents {
    /// Inverts one bit of one file that may rot.
    pub(super) fn flip_bit(
        &mut self,
        may_rot: &dyn Fn(&Path) -> bool,
        stream: &mut Stream,
    ) -> Option<(PathBuf, u64)> {
        let rots = |it: &&mut Content| may_rot(&it.path) && !it.bytes.is_empty();
        let mut candidates: Vec<_> = self.files.values_mut().filter(rots).collect();
        let chosen = usize::try_from(stream.below(candidates.len().max(1) as u64)).ok()?;
        let file = candidates.get_mut(chosen)?;
        let bit = stream.below(file.bytes.len() as u64 * 8);
        file.bytes[usize::try_from(bit / 8).ok()?] ^= 1 << (bit % 8);
        Some((file.path.clone(), bit))
    }
}

/// An open scratch file.
pub(super) struct ScratchHandle {
    disk: NodeDisk,
    path: PathBuf,
    number: u64,
    /// Nanoseconds owed.
    debt: AtomicU64,
}

impl ScratchHandle {
    pub(super) fn open(disk: NodeDisk, state: &mut State, path: &Path) -> Self {
        let number = state.scratch.next;
        state.scratch.next += 1;
        let content = Content { path: path.to_owned(), bytes: Vec::new() };
        state.scratch.files.insert(number, content);
        Self { disk, path: path.to_owned(), number, debt: AtomicU64::new(0) }
    }

    /// Takes the time of one call and whatever failure strikes it, then acts.
    fn call<T>(
        &self,
        access: Access,
        bytes: usize,
        act: impl FnOnce(&mut Vec<u8>, io::Result<()>, &mut Stream) -> io::Result<T>,
    ) -> io::Result<T> {
        if !self.disk.life.is_running() {
            return Err(io::Error::other("the node is down"));
        }
        let state = &mut *lock(&self.disk.volume.state);
        let node = self.disk.life.node.index;
        let delay = state.scratch_delay(self.disk.volume.timeline.now(), node, bytes);
        self.debt.fetch_add(delay, Ordering::Relaxed);
        let failure = state.trouble.take_failure(node, access, &self.path);
        let content = state.scratch.files.get_mut(&self.number).expect("an open file exists");
        act(&mut content.bytes, failure, &mut state.stream)
    }
}

#[async_trait]
impl Scratch for ScratchHandle {
    fn length(&self) -> io::Result<u64> {
        self.call(Access::Read, 0, |bytes, failure, _| failure.map(|()| bytes.len() as u64))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.call(Access::Write, 0, |bytes, failure, _| failure.map(|()| bytes.resize(length, 0)))
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<()> {
        let length = into.len();
        self.call(Access::Read, length, |bytes, failure, _| {
            failure?;
            let start = usize::try_from(position).map_err(io::Error::other)?;
            let read = start.checked_add(length).and_then(|end| bytes.get(start..end));
            into.copy_from_slice(read.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })?;
        lock(&self.disk.volume.state).rot(self.disk.life.node.index, &self.path, into);
        Ok(())
    }

    fn write_at(&self, position: u64, written: &[u8]) -> io::Result<()> {
        self.call(Access::Write, written.len(), |bytes, failure, stream| {
            let start = usize::try_from(position).map_err(io::Error::other)?;
            let length = match &failure {
                Ok(()) => written.len(),
                Err(_) => prefix(written.len(), stream).min(written.len().saturating_sub(1)),
            };
            let end = start + length;
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(&written[..length]);
            failure
        })
    }

    async fn settle(&self) {
        let debt = self.debt.swap(0, Ordering::Relaxed);
        if debt > 0 {
            let timeline = &self.disk.volume.timeline;
            timeline.sleep_until(timeline.now().saturating_add(debt)).await;
        }
        still_running(&self.disk.life).await;
    }
}

impl Drop for ScratchHandle {
    fn drop(&mut self) {
        lock(&self.disk.volume.state).scratch.files.remove(&self.number);
    }
}

impl State {
    /// How long one call on a scratch file should take: a node with a slow disk is slow here, too.
    fn scratch_delay(&mut self, now: u64, node: u32, bytes: usize) -> u64 {
        self.operations += 1;
        let slow = self.trouble.latencies.get(&node);
        let delay = nanos(self.stream.duration(slow.unwrap_or(&self.config.scratch_latency)));
        let (own, _) = self.trouble.transfer(now, node, bytes);
        delay.saturating_add(own)
    }

    /// Inverts a bit of what was read, if the disk lies about it.
    pub(super) fn rot(&mut self, node: u32, path: &Path, bytes: &mut [u8]) {
        if !bytes.is_empty() && self.trouble.lies(node, Lie::RottenRead, path) {
            let bit = self.stream.below(bytes.len() as u64 * 8);
            bytes[usize::try_from(bit / 8).expect("an index")] ^= 1 << (bit % 8);
        }
    }
}
