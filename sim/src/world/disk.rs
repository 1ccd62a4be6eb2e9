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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inode::{Inode, Unsynced, Write, prefix};
use names::{Change, InodeId, Name, Names, contains, drop_orphans, is_root, parent};
use scratch::Contents;

use super::clock::{Moment, Timeline};
use super::entropy::Stream;
use super::{lock, nanos};

pub use inspect::{InspectableDisk, View};
pub(crate) use node::NodeDisk;

mod inode;
mod inspect;
mod names;
mod node;
mod scratch;

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
