//! Faults of the disk and of what is written to it.

use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use super::Injector;
use super::network::{count, inclusive};
use crate::budget;
use crate::fault::{
    DiskError, FailDisk, FailService, LieKind, LyingDisk, MishapKind, Operation, Phase, Rot,
    SlowCheckpoint, SlowDisk, StaleListings, ThrottleDisk,
};
use crate::recorder::Stop;
use crate::scenario::Node;
use crate::workload::STORAGE;
use crate::world::{Lie, Mishap, Request};

impl Injector {
    pub(super) fn slow_disk(&self, it: &SlowDisk) {
        let node = it.node.one().to_string();
        self.world.set_disk_latency(&node, Some(inclusive(it.latency.0)));
        let this = self.clone();
        self.heal_after(it.lasts, move || {
            this.world.set_disk_latency(&node, None);
            this.healed(format!("slow disk {node}"));
        });
    }

    pub(super) fn slow_checkpoint(&self, it: &SlowCheckpoint) {
        let (node, stall) = (it.node.one(), it.stall.least);
        let stop = |event| self.recorder.stop_at(Stop { node, event, stall, is_last: false });
        match it.phase.unwrap_or(Phase::Upload) {
            Phase::Barrier => {
                let coordinator = Node::Coordinator.to_string();
                self.world.delay_next(&coordinator, &node.to_string(), stall, 1);
            }
            Phase::Upload => {
                self.world.stall_writes(&node.to_string(), &format!("{STORAGE}/chk-"), stall);
            }
            Phase::Manifest => {
                self.world.stall_writes(&node.to_string(), "manifest", stall);
            }
            Phase::Alignment => stop("alignment-started"),
            Phase::Sync => stop("barrier-forwarded"),
            Phase::Ack => stop("snapshot-written"),
            Phase::LastAck => {
                let event = "snapshot-written";
                self.recorder.stop_at(Stop { node, event, stall, is_last: true });
            }
            Phase::Notification => stop("checkpoint-completed"),
        }
    }

    pub(super) fn fail_disk(&self, it: &FailDisk) {
        let kind = match it.error {
            DiskError::Io => io::ErrorKind::Other,
            DiskError::Full => io::ErrorKind::StorageFull,
        };
        let operations = it.operation.unwrap_or(Operation::Any).world();
        let node = it.node.one().to_string();
        let (path, count) = (it.path.as_deref().unwrap_or(""), count(it.count));
        self.world.fail_disk_on(&node, operations, kind, path, count);
    }

    pub(super) fn throttle_disk(&self, it: &ThrottleDisk) {
        let node = it.node.one().to_string();
        self.world.set_disk_rate(&node, NonZeroU64::new(it.rate.0));
        let this = self.clone();
        self.heal_after(it.lasts, move || {
            this.world.set_disk_rate(&node, None);
            this.healed(format!("throttled disk {node}"));
        });
    }

    pub(super) fn stale_listings(&self, it: &StaleListings) {
        self.world.set_listing_lag(Some(inclusive(it.lag.0)));
        let this = self.clone();
        self.heal_after(it.lasts, move || {
            this.world.set_listing_lag(None);
            this.healed("listings are up to date".to_owned());
        });
    }

    pub(super) fn lying_disk(&self, it: &LyingDisk) {
        let lie = match it.lie {
            LieKind::ShortRead => Lie::ShortRead,
            LieKind::RottenRead => Lie::RottenRead,
            LieKind::MisdirectedWrite => Lie::MisdirectedWrite,
            LieKind::PhantomWrite => Lie::PhantomWrite,
        };
        let node = it.node.one().to_string();
        self.world.lie_about_disk(&node, lie, it.path.as_deref().unwrap_or(""), count(it.count));
    }

    /// What has no second copy is spared: the budget.
    pub(super) fn rot(&self, it: &Rot) {
        let may_rot =
            |path: &Path| path.to_string_lossy().contains(&it.path) && budget::allows_rot(path);
        self.struck(match self.world.flip_bit_where(may_rot) {
            Some((path, bit)) => format!("bit {bit} of {} is inverted", path.display()),
            None => {
                "no bit is inverted: every file there is the last copy and is spared".to_owned()
            }
        });
    }

    pub(super) fn fail_service(&self, it: &FailService) {
        let by = it.by.map_or(Duration::ZERO, |it| it.least);
        let (mishap, request) = match it.mishap {
            MishapKind::Indeterminate => (Mishap::Indeterminate(by), None),
            MishapKind::Refused => (Mishap::Refused, None),
            MishapKind::Slow => (Mishap::Slow(by), None),
            MishapKind::Conflict => (Mishap::Conflict { is_applied: false }, Some(Request::Put)),
            MishapKind::OwnConflict => (Mishap::Conflict { is_applied: true }, Some(Request::Put)),
        };
        let node = it.node.one().to_string();
        let (path, count) = (it.path.as_deref().unwrap_or(""), count(it.count));
        self.world.fail_service(&node, mishap, request, path, count);
    }
}
