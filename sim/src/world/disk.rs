//! One volume which all nodes mount, and what a crash leaves of it.
//!
//! The fault model. Everybody sees at once what anybody wrote. Durable is less: bytes once their file
//! is synced, names once their directory is. When a node loses power, of its unsynced bytes in each
//! file a prefix stays, whose last block may be zeroes or garbage; of its unsynced changes of names a
//! prefix stays, in the order in which they were made; the rest is undone, with everything below a
//! directory that is undone. A rename is one change. The length of each prefix comes from the stream.
//! After a failed sync the bytes can be read and may never become durable, even though a later sync
//! succeeds (Rebello et al., "Can Applications Recover from fsync Failures?", 2020). A failed append may
//! have written a part. A bit of a durable file may rot. A listing may miss what other nodes did lately.
//!
//! Named files are only appended to; [`scratch`] files are written in place and are never durable.
//! Deliberately absent: misdirected writes, quotas.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{Disk, Entry, File, Scratch};

use scratch::{Contents, ScratchHandle};

use super::clock::{Moment, Timeline};
use super::entropy::Stream;
use super::node::Life;
use super::{lock, nanos, still_running};

mod scratch;

/// What a torn write tears.
const BLOCK: usize = 512;
/// How many name changes go between two removals of files that nothing names.
const CHANGES_PER_SWEEP: u32 = 256;

/// How the disk behaves when nothing is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// Of one operation.
    pub latency: RangeInclusive<Duration>,
    /// Of one call on a scratch file; most are served by the page cache.
    pub scratch_latency: RangeInclusive<Duration>,
    /// How far a listing may be behind the changes of other nodes (R3).
    pub listing_lag: RangeInclusive<Duration>,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(100)..=Duration::from_millis(2),
            scratch_latency: Duration::from_micros(1)..=Duration::from_micros(20),
            listing_lag: Duration::ZERO..=Duration::ZERO,
        }
    }
}

/// The volume.
pub(crate) struct Volume {
    timeline: Arc<Timeline>,
    state: Mutex<State>,
}

struct State {
    config: DiskConfig,
    stream: Stream,
    inodes: BTreeMap<InodeId, Inode>,
    scratch: Contents,
    next_inode: InodeId,
    /// What everybody sees.
    names: Names,
    /// What is durable.
    durable: Names,
    /// Changes of names that are not durable, oldest first.
    changes: Vec<Change>,
    changes_since_sweep: u32,
    /// What a stale listing may miss, oldest first; empty unless listings lag.
    recent: VecDeque<Recent>,
    latencies: BTreeMap<u32, RangeInclusive<Duration>>,
    stalls: Vec<Stall>,
    failures: Vec<Failure>,
    operations: u64,
}

type InodeId = u64;
type Names = BTreeMap<PathBuf, Name>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    File(InodeId),
    Directory,
}

#[derive(Default)]
struct Inode {
    durable: Vec<u8>,
    visible: Vec<u8>,
    /// What turns `durable` into `visible`, oldest first; a truncation can only be the first.
    unsynced: Vec<Unsynced>,
    /// A sync failed: the system took its unsynced bytes for written, and they are not.
    is_forgotten: bool,
    handles: u32,
}

#[derive(Clone, Copy)]
struct Unsynced {
    node: u32,
    write: Write,
}

#[derive(Clone, Copy)]
enum Write {
    Truncate,
    Append { length: usize },
}

/// One change of names: `name` appears at `path`, after `vacates` disappeared.
struct Change {
    node: u32,
    vacates: Option<PathBuf>,
    binds: Option<(PathBuf, Name)>,
}

/// What was at `path` before a node changed it.
struct Recent {
    at: Moment,
    node: u32,
    path: PathBuf,
    before: Option<Name>,
}

struct Stall {
    node: u32,
    path_contains: String,
    duration: Duration,
}

struct Failure {
    node: u32,
    path_contains: String,
    kind: io::ErrorKind,
    count: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Change {
    fn apply(&self, names: &mut Names) {
        if let Some(path) = &self.vacates {
            names.remove(path);
        }
        if let Some((path, name)) = &self.binds
            && has_parent(names, path)
        {
            names.insert(path.clone(), *name);
        }
    }

    fn is_in(&self, directory: &Path) -> bool {
        let paths = [self.vacates.as_ref(), self.binds.as_ref().map(|(path, _)| path)];
        paths.into_iter().flatten().any(|path| parent(path) == directory)
    }
}

impl Inode {
    fn sync(&mut self) {
        if self.is_forgotten {
            return;
        }
        let is_truncated =
            matches!(self.unsynced.first(), Some(Unsynced { write: Write::Truncate, .. }));
        if is_truncated {
            self.durable.clear();
        }
        self.durable.extend_from_slice(&self.visible[self.durable.len()..]);
        self.unsynced.clear();
    }

    /// `node` lost its power.
    fn on_crash(&mut self, node: u32, stream: &mut Stream) {
        if !self.unsynced.iter().any(|unsynced| unsynced.node == node) {
            return;
        }
        self.is_forgotten = false;
        let mut unsynced = std::mem::take(&mut self.unsynced);
        let mut kept = self.durable.clone();
        let mut read = kept.len();
        let mut loses_all = false;
        if let Some(Unsynced { node: by, write: Write::Truncate }) = unsynced.first().copied() {
            read = 0;
            loses_all = by == node && stream.one_in(2);
            if !loses_all {
                kept.clear();
            }
            unsynced.remove(0);
            if by != node {
                // The other node's truncation is not durable, and its file is not this node's to
                // keep; the mix of two writers of one file is settled in favour of what is visible.
                self.unsynced.push(Unsynced { node: by, write: Write::Truncate });
            }
        }
        let lost: usize = lengths(&unsynced, node);
        let mut budget = if loses_all { 0 } else { prefix(lost, stream) };
        let is_cut = budget < lost;
        let mut others = Vec::new();
        let mut torn = None;
        for Unsynced { node: by, write } in unsynced {
            let Write::Append { length } = write else {
                unreachable!("a truncation can only be the first")
            };
            let bytes = &self.visible[read..read + length];
            read += length;
            if by == node {
                let stays = length.min(budget);
                budget -= stays;
                let start = kept.len();
                kept.extend_from_slice(&bytes[..stays]);
                if stays > 0 {
                    torn = Some(start.max(kept.len().saturating_sub(BLOCK))..kept.len());
                }
            } else {
                others.push((by, bytes.to_vec()));
            }
        }
        if is_cut && let Some(torn) = torn {
            match stream.below(3) {
                0 => {}
                1 => kept[torn].fill(0),
                _ => stream.fill(&mut kept[torn]),
            }
        }
        let is_truncated = !self.unsynced.is_empty();
        self.visible.clone_from(&kept);
        if !is_truncated {
            self.durable = kept;
        }
        for (by, bytes) in others {
            self.visible.extend_from_slice(&bytes);
            self.unsynced.push(Unsynced { node: by, write: Write::Append { length: bytes.len() } });
        }
    }
}

fn lengths(unsynced: &[Unsynced], node: u32) -> usize {
    unsynced
        .iter()
        .filter(|it| it.node == node)
        .map(|it| match it.write {
            Write::Truncate => 0,
            Write::Append { length } => length,
        })
        .sum()
}

/// How much of `total` a crash leaves: nothing, all, or something between, each often enough to matter.
fn prefix(total: usize, stream: &mut Stream) -> usize {
    match stream.below(4) {
        0 => 0,
        1 => total,
        _ => usize::try_from(stream.below(total as u64 + 1)).expect("at most `total`"),
    }
}

impl State {
    fn inode_of(&self, path: &Path) -> io::Result<InodeId> {
        match self.names.get(path) {
            Some(Name::File(inode)) => Ok(*inode),
            Some(Name::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None if is_root(path) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        let directory = parent(path);
        match self.names.get(directory) {
            Some(Name::Directory) => Ok(()),
            Some(Name::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None if is_root(directory) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn check_directory(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Name::Directory) => Ok(()),
            Some(Name::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None if is_root(path) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change(
        &mut self,
        now: Moment,
        node: u32,
        vacates: Option<PathBuf>,
        binds: Option<(PathBuf, Name)>,
    ) {
        let lag = nanos(*self.config.listing_lag.end());
        while self.recent.front().is_some_and(|it| it.at.saturating_add(lag) < now) {
            self.recent.pop_front();
        }
        if lag > 0 {
            for path in vacates.iter().chain(binds.iter().map(|(path, _)| path)) {
                let before = self.names.get(path).copied();
                self.recent.push_back(Recent { at: now, node, path: path.clone(), before });
            }
        }
        let change = Change { node, vacates, binds };
        change.apply(&mut self.names);
        self.changes.push(change);
        self.changes_since_sweep += 1;
        if self.changes_since_sweep >= CHANGES_PER_SWEEP {
            self.sweep();
        }
    }

    /// Forgets files that no name, change or handle refers to.
    fn sweep(&mut self) {
        self.changes_since_sweep = 0;
        let named = self.names.values().chain(self.durable.values());
        let changed = self.changes.iter().filter_map(|it| it.binds.as_ref()).map(|(_, name)| name);
        let used: BTreeSet<InodeId> = named
            .chain(changed)
            .filter_map(|name| match name {
                Name::File(inode) => Some(*inode),
                Name::Directory => None,
            })
            .collect();
        self.inodes.retain(|id, inode| inode.handles > 0 || used.contains(id));
    }

    fn delay(&mut self, node: u32, access: Access, path: &Path) -> Moment {
        self.operations += 1;
        let range = self.latencies.get(&node).unwrap_or(&self.config.latency);
        let mut delay = nanos(self.stream.duration(range));
        if access == Access::Write {
            let stall = self
                .stalls
                .iter()
                .position(|it| it.node == node && contains(path, &it.path_contains));
            if let Some(index) = stall {
                delay = delay.saturating_add(nanos(self.stalls.remove(index).duration));
            }
        }
        delay
    }

    fn take_failure(&mut self, node: u32, path: &Path) -> io::Result<()> {
        let failure = self
            .failures
            .iter_mut()
            .find(|it| it.node == node && it.count > 0 && contains(path, &it.path_contains));
        let Some(failure) = failure else { return Ok(()) };
        failure.count -= 1;
        let kind = failure.kind;
        self.failures.retain(|it| it.count > 0);
        Err(kind.into())
    }

    fn durable_file(&self, path: &Path) -> Option<&Inode> {
        match self.durable.get(path)? {
            Name::File(inode) => self.inodes.get(inode),
            Name::Directory => None,
        }
    }
}

impl Volume {
    pub(crate) fn new(timeline: Arc<Timeline>, stream: Stream, config: DiskConfig) -> Self {
        let state = State {
            config,
            stream,
            inodes: BTreeMap::new(),
            scratch: Contents::default(),
            next_inode: 0,
            names: Names::new(),
            durable: Names::new(),
            changes: Vec::new(),
            changes_since_sweep: 0,
            recent: VecDeque::new(),
            latencies: BTreeMap::new(),
            stalls: Vec::new(),
            failures: Vec::new(),
            operations: 0,
        };
        Self { timeline, state: Mutex::new(state) }
    }

    pub(crate) fn set_latency(&self, node: u32, range: Option<RangeInclusive<Duration>>) {
        let mut state = lock(&self.state);
        match range {
            Some(range) => state.latencies.insert(node, range),
            None => state.latencies.remove(&node),
        };
    }

    pub(crate) fn stall_writes(&self, node: u32, path_contains: &str, duration: Duration) {
        let path_contains = path_contains.to_owned();
        lock(&self.state).stalls.push(Stall { node, path_contains, duration });
    }

    pub(crate) fn fail(&self, node: u32, kind: io::ErrorKind, path_contains: &str, count: u32) {
        let path_contains = path_contains.to_owned();
        lock(&self.state).failures.push(Failure { node, path_contains, kind, count });
    }

    /// Takes back stalls and failures that did not strike yet, and special latencies.
    pub(crate) fn heal(&self) {
        let mut state = lock(&self.state);
        state.stalls.clear();
        state.failures.clear();
        state.latencies.clear();
    }

    /// Inverts one bit of one durable file, or of a scratch file when no durable one matches; `None` when
    /// no file with content does.
    pub(crate) fn flip_bit(&self, path_contains: &str) -> Option<(PathBuf, u64)> {
        let state = &mut *lock(&self.state);
        let candidates: Vec<PathBuf> = state
            .durable
            .keys()
            .filter(|path| contains(path, path_contains))
            .filter(|path| state.durable_file(path).is_some_and(|it| !it.durable.is_empty()))
            .cloned()
            .collect();
        if candidates.is_empty() {
            return state.scratch.flip_bit(path_contains, &mut state.stream);
        }
        let chosen = usize::try_from(state.stream.below(candidates.len() as u64)).ok()?;
        let path = candidates.into_iter().nth(chosen)?;
        let Some(Name::File(id)) = state.durable.get(&path).copied() else { return None };
        let inode = state.inodes.get_mut(&id)?;
        let bit = state.stream.below(inode.durable.len() as u64 * 8);
        let position = usize::try_from(bit / 8).ok()?;
        let mask = 1 << (bit % 8);
        inode.durable[position] ^= mask;
        let is_shared =
            !matches!(inode.unsynced.first(), Some(Unsynced { write: Write::Truncate, .. }));
        if is_shared && let Some(byte) = inode.visible.get_mut(position) {
            *byte ^= mask;
        }
        Some((path, bit))
    }

    /// `node` lost its power.
    pub(crate) fn on_crash(&self, node: u32) {
        let state = &mut *lock(&self.state);
        for inode in state.inodes.values_mut() {
            inode.on_crash(node, &mut state.stream);
        }
        let unsynced = state.changes.iter().filter(|change| change.node == node).count();
        if unsynced == 0 {
            return;
        }
        state.recent.clear();
        let mut kept = prefix(unsynced, &mut state.stream);
        let mut rest = Vec::new();
        for change in std::mem::take(&mut state.changes) {
            if change.node != node {
                rest.push(change);
            } else if kept > 0 {
                kept -= 1;
                change.apply(&mut state.durable);
            }
        }
        drop_orphans(&mut state.durable);
        state.names = state.durable.clone();
        for change in &rest {
            change.apply(&mut state.names);
        }
        drop_orphans(&mut state.names);
        state.changes = rest;
        state.sweep();
    }

    pub(crate) fn operations(&self) -> u64 {
        lock(&self.state).operations
    }
}

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
        for (path, name) in names {
            if let Name::File(id) = name
                && let Some(inode) = state.inodes.get(id)
            {
                files.insert(path.clone(), content(inode, view).to_vec());
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
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// The content of one file.
    pub fn read(&self, view: View, path: &Path) -> Option<Vec<u8>> {
        let state = lock(&self.volume.state);
        let names = match view {
            View::Durable => &state.durable,
            View::Visible => &state.names,
        };
        match names.get(&normal(path))? {
            Name::File(id) => state.inodes.get(id).map(|inode| content(inode, view).to_vec()),
            Name::Directory => None,
        }
    }

    /// Deletes everything below a directory, durably, as a person does; nobody may be writing there.
    pub fn delete_below(&self, directory: &Path) {
        let directory = normal(directory);
        let state = &mut *lock(&self.volume.state);
        let is_below = |path: &PathBuf| path.starts_with(&directory) && *path != directory;
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

fn content(inode: &Inode, view: View) -> &[u8] {
    match view {
        View::Durable => &inode.durable,
        View::Visible => &inode.visible,
    }
}

/// Whether all that `change` needs is durable; a file may be, though its directory is not yet.
fn can_be_durable(durable: &Names, change: &Change) -> bool {
    change.binds.as_ref().is_none_or(|(path, _)| has_parent(durable, path))
}

fn has_parent(names: &Names, path: &Path) -> bool {
    let directory = parent(path);
    is_root(directory) || names.get(directory) == Some(&Name::Directory)
}

fn drop_orphans(names: &mut Names) {
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

fn children<'a>(
    names: &'a Names,
    directory: &'a Path,
) -> impl Iterator<Item = (&'a PathBuf, &'a Name)> {
    names
        .range::<Path, _>((std::ops::Bound::Excluded(directory), std::ops::Bound::Unbounded))
        .take_while(move |(path, _)| path.starts_with(directory))
        .filter(move |(path, _)| parent(path) == directory)
}

fn contains(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// `path` without `.`, `..` and repeated separators.
fn normal(path: &Path) -> PathBuf {
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
