//! Faults of the disk and of what is written to it.

use std::io;
use std::num::NonZeroU32;

use super::Injector;
use super::network::inclusive;
use crate::fault::{DiskError, FailDisk, Phase, SlowCheckpoint, SlowDisk};
use crate::recorder::Stop;
use crate::workload::STORAGE;

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
        let path = it.path.as_deref().unwrap_or("");
        let count = it.count.map_or(1, NonZeroU32::get);
        self.world.fail_disk(&it.node.one().to_string(), kind, path, count);
    }
}
