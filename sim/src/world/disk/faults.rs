//! What can be done to the disks of a world. [`World::heal_disks`] undoes all of it that has not struck.

use std::io;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::contains;
use super::trouble::Trouble;
use super::{DiskWatcher, InspectableDisk, Lie, Operations};
use crate::world::World;

impl World {
    /// How long an operation on the disk takes on `node` from now on; `None` is as configured.
    pub fn set_disk_latency(&self, node: &str, range: Option<RangeInclusive<Duration>>) {
        self.inner.volume.set_latency(self.index(node), range);
    }

    /// How many bytes a second the disk reads and writes for `node` from now on, one transfer after the
    /// other; `None` is as many as it likes.
    pub fn set_disk_rate(&self, node: &str, bytes_per_second: Option<NonZeroU64>) {
        let node = self.index(node);
        self.inner.volume.with_trouble(|it| it.set_rate(node, bytes_per_second));
    }

    /// The next write, sync or change of a name whose path contains `path_contains` takes `duration`
    /// longer on `node`.
    pub fn stall_writes(&self, node: &str, path_contains: &str, duration: Duration) {
        let node = self.index(node);
        self.inner.volume.with_trouble(|it| it.stall(node, path_contains, duration));
    }

    /// The next `count` operations of `node` on paths that contain `path_contains` fail.
    pub fn fail_disk(&self, node: &str, kind: io::ErrorKind, path_contains: &str, count: u32) {
        self.fail_disk_on(node, Operations::Any, kind, path_contains, count);
    }

    /// The next `count` of these operations of `node` on paths that contain `path_contains` fail.
    pub fn fail_disk_on(
        &self,
        node: &str,
        operations: Operations,
        kind: io::ErrorKind,
        path_contains: &str,
        count: u32,
    ) {
        let node = self.index(node);
        self.inner.volume.with_trouble(|it| it.fail(node, operations, kind, path_contains, count));
    }

    /// The next `count` operations of `node` on paths that contain `path_contains`, and that `lie` can be
    /// told about, succeed and are not what they seem.
    pub fn lie_about_disk(&self, node: &str, lie: Lie, path_contains: &str, count: u32) {
        let node = self.index(node);
        self.inner.volume.with_trouble(|it| it.arm(node, lie, path_contains, count));
    }

    /// How far a listing may be behind what other nodes change from now on; `None` is as configured.
    pub fn set_listing_lag(&self, range: Option<RangeInclusive<Duration>>) {
        self.inner.volume.with_trouble(|it| it.listing_lag = range);
    }

    /// Takes back everything that did not strike yet, of disks and of the storage service: how slow they
    /// are, how they fail and how they lie.
    pub fn heal_disks(&self) {
        self.inner.volume.with_trouble(Trouble::heal);
        self.inner.service.heal();
    }

    /// Inverts one bit of one durable file whose path contains `path_contains`, and says which;
    /// `None` when there is no such file with content.
    pub fn flip_bit(&self, path_contains: &str) -> Option<(PathBuf, u64)> {
        self.flip_bit_where(|path| contains(path, path_contains))
    }

    /// As [`World::flip_bit`], of one of the files that `may_rot`: the caller knows which are the last copy of
    /// something. It is asked while the disk stands still and must not look at it.
    pub fn flip_bit_where(&self, may_rot: impl Fn(&Path) -> bool) -> Option<(PathBuf, u64)> {
        self.inner.volume.flip_bit(&may_rot)
    }

    /// Shows `watcher` every call to the disk from now on, until the world ends.
    pub fn watch_disk(&self, watcher: DiskWatcher) {
        self.inner.volume.watch(watcher);
    }

    /// The files from outside.
    pub fn disk(&self) -> InspectableDisk {
        InspectableDisk { volume: self.inner.volume.clone() }
    }
}
