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
//! A fault may choose what a crash [`leaves`], and may make a disk lie ([`trouble`]).
//!
//! Named files are only appended to; [`scratch`] files are written in place and are never durable.
//! Deliberately absent: quotas; directories that only one node sees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inode::{Inode, Unsynced, Write};
use leaves::Fate;
use names::{Change, InodeId, Name, Names, drop_orphans, is_root, parent};
use scratch::Contents;
use trouble::Trouble;
use watch::Access;

use super::clock::{Moment, Timeline};
use super::entropy::Stream;
use super::strikes::Strikes;
use super::{lock, nanos};

pub use inspect::{InspectableDisk, View};
pub use leaves::Leaves;
pub(crate) use node::NodeDisk;
pub use trouble::Lie;
pub use watch::{Call, DiskWatcher, Operation, Operations, When};

mod faults;
mod inode;
mod inspect;
mod leaves;
mod names;
mod node;
mod scratch;
mod trouble;
mod watch;

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
    watchers: Mutex<Vec<DiskWatcher>>,
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
    /// Who holds which file open for writing.
    writers: Vec<(u32, InodeId)>,
    trouble: Trouble,
    operations: u64,
}

/// What was at `path` before a node changed it.
struct Recent {
    at: Moment,
    node: u32,
    path: PathBuf,
    before: Option<Name>,
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
        let lag = nanos(*self.listing_lag().end());
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

    fn listing_lag(&self) -> RangeInclusive<Duration> {
        self.trouble.listing_lag.as_ref().unwrap_or(&self.config.listing_lag).clone()
    }

    /// How long an operation takes that moves so many bytes.
    fn delay(&mut self, now: Moment, node: u32, access: Access, path: &Path, bytes: usize) -> u64 {
        self.operations += 1;
        let slow = self.trouble.latencies.get(&node);
        if slow.is_some() {
            self.trouble.strikes.hit("slow-disk");
        }
        let delay = nanos(self.stream.duration(slow.unwrap_or(&self.config.latency)));
        let stall = self.trouble.take_stall(node, access, path);
        let (_, through) = self.trouble.transfer(now, node, bytes);
        delay.saturating_add(stall).saturating_add(through - now)
    }

    fn durable_file(&self, path: &Path) -> Option<&Inode> {
        match self.durable.get(path)? {
            Name::File(inode) => self.inodes.get(inode),
            Name::Directory => None,
        }
    }
}

impl Volume {
    pub(crate) fn new(
        timeline: Arc<Timeline>,
        stream: Stream,
        config: DiskConfig,
        strikes: Strikes,
    ) -> Self {
        let state = State {
            config,
            stream,
            inodes: BTreeMap::new(),
            scratch: Contents::default(),
            next_inode: 0,
            names: Names::default(),
            durable: Names::default(),
            changes: Vec::new(),
            changes_since_sweep: 0,
            recent: VecDeque::new(),
            writers: Vec::new(),
            trouble: Trouble::new(strikes),
            operations: 0,
        };
        Self { timeline, watchers: Mutex::default(), state: Mutex::new(state) }
    }

    fn with_trouble(&self, act: impl FnOnce(&mut Trouble)) {
        act(&mut lock(&self.state).trouble);
    }

    fn set_latency(&self, node: u32, range: Option<RangeInclusive<Duration>>) {
        self.with_trouble(|it| {
            match range {
                Some(range) => it.latencies.insert(node, range),
                None => it.latencies.remove(&node),
            };
        });
    }

    fn watch(&self, watcher: DiskWatcher) {
        lock(&self.watchers).push(watcher);
    }

    /// A watcher may hold the world that holds it.
    pub(crate) fn forget_watchers(&self) {
        let watchers = std::mem::take(&mut *lock(&self.watchers));
        drop(watchers);
    }

    /// Inverts one bit of one durable file, or of a scratch file when no durable one matches; `None` when
    /// no file with content does.
    fn flip_bit(&self, may_rot: &dyn Fn(&Path) -> bool) -> Option<(PathBuf, u64)> {
        let state = &mut *lock(&self.state);
        let candidates: Vec<PathBuf> = state
            .durable
            .paths()
            .filter(|path| may_rot(path))
            .filter(|path| state.durable_file(path).is_some_and(|it| !it.durable.is_empty()))
            .map(Path::to_owned)
            .collect();
        if candidates.is_empty() {
            let flipped = state.scratch.flip_bit(may_rot, &mut state.stream);
            if flipped.is_some() {
                state.trouble.strikes.hit("flip-bit");
            }
            return flipped;
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
        state.trouble.strikes.hit("flip-bit");
        Some((path, bit))
    }

    /// `node` lost its power.
    pub(crate) fn on_crash(&self, node: u32, leaves: Leaves) {
        let state = &mut *lock(&self.state);
        for inode in state.inodes.values_mut() {
            inode.on_crash(node, leaves, &mut state.stream, &state.trouble.strikes);
        }
        let unsynced: Vec<&Change> = state.changes.iter().filter(|it| it.node == node).collect();
        if unsynced.is_empty() {
            return;
        }
        state.recent.clear();
        let fates = leaves.fates(&unsynced, &mut state.stream);
        let strikes = &state.trouble.strikes;
        if fates.contains(&Fate::Lost) {
            strikes.hit("lost-name");
        }
        if fates.windows(2).any(|it| it == [Fate::Lost, Fate::Kept]) {
            strikes.hit("reordered-names");
        }
        let mut fates = fates.into_iter();
        let mut rest = Vec::new();
        for change in std::mem::take(&mut state.changes) {
            if change.node != node {
                rest.push(change);
                continue;
            }
            match fates.next().expect("each change has a fate") {
                Fate::Kept => change.apply(&mut state.durable),
                Fate::Lost => {}
                Fate::BothNames => {
                    strikes.hit("both-names");
                    change.bind(&mut state.durable);
                }
                Fate::NoName => {
                    strikes.hit("no-name");
                    change.vacate(&mut state.durable);
                }
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
