//! Faults that wait for an operation to strike: stalls, failures, lies; and how slow a disk is.
//!
//! A failure says that it is one. A lie does not: the operation succeeds and did something else. No file
//! system promises to do without lies, and none of them can be told at the moment it happens; what can be
//! demanded is that the damage is noticed (R2).

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::names::contains;
use super::watch::{Access, Operations};
use crate::world::clock::Moment;
use crate::world::nanos;
use crate::world::strikes::Strikes;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// What a disk does instead of what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// A read returns fewer bytes than asked for, although there are more.
    ShortRead,
    /// A read returns one bit inverted; the file itself is fine.
    RottenRead,
    /// Appended bytes land in another file which the node is writing.
    MisdirectedWrite,
    /// Bytes are synced and never stored: they can be read, and are gone with the power of whoever wrote
    /// them.
    PhantomWrite,
}

#[derive(Default)]
pub(super) struct Trouble {
    pub(super) strikes: Strikes,
    pub(super) latencies: BTreeMap<u32, RangeInclusive<Duration>>,
    stalls: Vec<Stall>,
    failures: Vec<Failure>,
    lies: Vec<Armed>,
    /// Bytes per second.
    rates: BTreeMap<u32, NonZeroU64>,
    /// When the transfers that a throttled disk has accepted are over.
    busy_until: BTreeMap<u32, Moment>,
    pub(super) listing_lag: Option<RangeInclusive<Duration>>,
}

struct Stall {
    node: u32,
    path_contains: String,
    duration: Duration,
}

struct Failure {
    node: u32,
    operations: Operations,
    path_contains: String,
    kind: io::ErrorKind,
    count: u32,
}

struct Armed {
    node: u32,
    lie: Lie,
    path_contains: String,
    count: u32,
}

impl Lie {
    fn name(self) -> &'static str {
        match self {
            Self::ShortRead => "short-read",
            Self::RottenRead => "rotten-read",
            Self::MisdirectedWrite => "misdirected-write",
            Self::PhantomWrite => "phantom-write",
        }
    }
}

impl Trouble {
    pub(super) fn new(strikes: Strikes) -> Self {
        Self { strikes, ..Self::default() }
    }

    pub(super) fn stall(&mut self, node: u32, path_contains: &str, duration: Duration) {
        let path_contains = path_contains.to_owned();
        self.stalls.push(Stall { node, path_contains, duration });
    }

    pub(super) fn fail(
        &mut self,
        node: u32,
        operations: Operations,
        kind: io::ErrorKind,
        path_contains: &str,
        count: u32,
    ) {
        if count > 0 {
            let path_contains = path_contains.to_owned();
            self.failures.push(Failure { node, operations, path_contains, kind, count });
        }
    }

    pub(super) fn arm(&mut self, node: u32, lie: Lie, path_contains: &str, count: u32) {
        if count > 0 {
            self.lies.push(Armed { node, lie, path_contains: path_contains.to_owned(), count });
        }
    }

    pub(super) fn set_rate(&mut self, node: u32, rate: Option<NonZeroU64>) {
        match rate {
            Some(rate) => self.rates.insert(node, rate),
            None => self.rates.remove(&node),
        };
    }

    /// Takes everything back that did not strike yet.
    pub(super) fn heal(&mut self) {
        *self = Self::new(self.strikes.clone());
    }

    /// How much longer an operation takes.
    pub(super) fn take_stall(&mut self, node: u32, access: Access, path: &Path) -> Moment {
        let strikes = |it: &Stall| it.node == node && contains(path, &it.path_contains);
        if access == Access::Read {
            return 0;
        }
        let Some(index) = self.stalls.iter().position(strikes) else { return 0 };
        self.strikes.hit("stall-writes");
        nanos(self.stalls.remove(index).duration)
    }

    pub(super) fn take_failure(
        &mut self,
        node: u32,
        access: Access,
        path: &Path,
    ) -> io::Result<()> {
        let strikes = |it: &&mut Failure| {
            it.node == node && it.operations.cover(access) && contains(path, &it.path_contains)
        };
        let Some(failure) = self.failures.iter_mut().find(strikes) else { return Ok(()) };
        failure.count -= 1;
        let kind = failure.kind;
        self.failures.retain(|it| it.count > 0);
        self.strikes.hit(match (kind, access) {
            (io::ErrorKind::StorageFull, _) => "disk-full",
            (_, Access::Read) => "read-error",
            (_, Access::Write) => "write-error",
            (_, Access::Sync) => "sync-error",
        });
        Err(kind.into())
    }

    /// Whether the disk lies this time. To be asked only where the lie makes a difference.
    pub(super) fn lies(&mut self, node: u32, lie: Lie, path: &Path) -> bool {
        let strikes =
            |it: &&mut Armed| it.node == node && it.lie == lie && contains(path, &it.path_contains);
        let Some(armed) = self.lies.iter_mut().find(strikes) else { return false };
        armed.count -= 1;
        self.lies.retain(|it| it.count > 0);
        self.strikes.hit(lie.name());
        true
    }

    /// How long `bytes` take on a throttled disk by themselves, and when they are through: transfers of one
    /// node wait for each other.
    pub(super) fn transfer(&mut self, now: Moment, node: u32, bytes: usize) -> (u64, Moment) {
        let Some(rate) = self.rates.get(&node) else { return (0, now) };
        let own = bytes as u128 * NANOS_PER_SECOND / u128::from(rate.get());
        let own = u64::try_from(own).unwrap_or(u64::MAX);
        if own > 0 {
            self.strikes.hit("throttle-disk");
        }
        let busy_until = self.busy_until.entry(node).or_default();
        *busy_until = (*busy_until).max(now).saturating_add(own);
        (own, *busy_until)
    }
}
