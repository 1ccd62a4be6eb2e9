//! What the store holds: the one small record whose durable replacement is the commit point (H1, H2).

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, CheckpointId, FencingToken, JobId, SubtaskId};
use crate::shared_files::SharedFile;

/// The job's durable facts. Replaced as a whole, atomically; a reader sees the old one or the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoreRecord {
    /// The job these facts belong to.
    pub job: JobId,
    /// The newest leadership.
    pub token: FencingToken,
    /// The newest attempt that may have been deployed.
    pub attempt: Attempt,
    /// The next checkpoint id that has never been used (A1).
    pub next_checkpoint: CheckpointId,
    /// Completed and retained checkpoints, oldest first.
    pub retained: Vec<CheckpointId>,
    /// Set once, with the checkpoint that a stop was asked for: from then on the job restores it, commits
    /// its transactions and ends (N7).
    pub stopping: Option<CheckpointId>,
    /// Subtasks of every operator, since somebody asked for another number than the program has (M7).
    pub parallelism: Option<u32>,
    /// Set once, when the job reached its end; such a job never runs again (P2).
    pub result: Option<JobResult>,
}

impl StoreRecord {
    /// The record of a job that has never run.
    pub fn fresh(job: JobId) -> Self {
        Self { job, next_checkpoint: CheckpointId(1), ..Self::default() }
    }
}

/// How a job ended, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum JobResult {
    /// All input is reflected in committed output.
    Finished,
    /// Somebody ended it; what is committed is a part of the output.
    Cancelled,
    /// It was stopped with a savepoint, and everything before it is committed.
    Stopped(CheckpointId),
}

/// What a durable snapshot of one subtask is known by. The bytes are at a path the storage derives
/// from (checkpoint, subtask, attempt).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotHandle {
    /// Whose state.
    pub subtask: SubtaskId,
    /// The attempt that wrote it; part of the file's name, so that a zombie never overwrites it.
    pub attempt: Attempt,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Checksum of the file (CRC-32).
    pub checksum: u32,
    /// How long it took and how much it is, for people. No decision depends on it.
    pub figures: SnapshotFigures,
    /// The shared files that hold its keyed state, in the order in which a restore reads them (I).
    pub shared: Vec<SharedFile>,
}

/// How long one subtask's part of a checkpoint took, phase by phase, and how much it wrote. The phases
/// follow each other without a gap, so that they add up to the time from the trigger to the ack (S2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotFigures {
    /// Microseconds in [`SnapshotPhase::StartDelay`]; filled in by the coordinator, on its own clock.
    pub start_delay_us: u64,
    /// Microseconds in [`SnapshotPhase::Alignment`].
    pub alignment_us: u64,
    /// Microseconds in [`SnapshotPhase::Output`].
    pub output_us: u64,
    /// Microseconds in [`SnapshotPhase::Sync`].
    pub sync_us: u64,
    /// Microseconds in [`SnapshotPhase::Async`].
    pub async_us: u64,
    /// Bytes that a restore reads: the full size.
    pub full_bytes: u64,
    /// Bytes that were written for this checkpoint: the incremental size.
    pub written_bytes: u64,
    /// Of these, records in flight.
    pub in_flight_bytes: u64,
}

/// What a subtask does for a checkpoint, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SnapshotPhase {
    /// From the trigger until its first barrier is there. The ways of the messages are in it.
    StartDelay,
    /// From the first barrier to the last one.
    Alignment,
    /// Until the barrier has left on every output channel.
    Output,
    /// What no record can be processed beside.
    Sync,
    /// Encoding and writing, beside the records.
    Async,
}

impl SnapshotPhase {
    /// Every phase, in order.
    pub const ALL: [Self; 5] =
        [Self::StartDelay, Self::Alignment, Self::Output, Self::Sync, Self::Async];

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartDelay => "start delay",
            Self::Alignment => "alignment",
            Self::Output => "output",
            Self::Sync => "sync",
            Self::Async => "async",
        }
    }
}

impl fmt::Display for SnapshotPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl SnapshotFigures {
    /// Microseconds in one phase.
    pub fn phase(&self, phase: SnapshotPhase) -> u64 {
        match phase {
            SnapshotPhase::StartDelay => self.start_delay_us,
            SnapshotPhase::Alignment => self.alignment_us,
            SnapshotPhase::Output => self.output_us,
            SnapshotPhase::Sync => self.sync_us,
            SnapshotPhase::Async => self.async_us,
        }
    }

    /// Microseconds in one phase, to be counted.
    pub fn phase_mut(&mut self, phase: SnapshotPhase) -> &mut u64 {
        match phase {
            SnapshotPhase::StartDelay => &mut self.start_delay_us,
            SnapshotPhase::Alignment => &mut self.alignment_us,
            SnapshotPhase::Output => &mut self.output_us,
            SnapshotPhase::Sync => &mut self.sync_us,
            SnapshotPhase::Async => &mut self.async_us,
        }
    }

    /// Microseconds that the subtask itself measured: all but the start delay.
    pub fn measured_us(&self) -> u64 {
        self.end_to_end_us().saturating_sub(self.start_delay_us)
    }

    /// Microseconds from the trigger to the ack.
    pub fn end_to_end_us(&self) -> u64 {
        SnapshotPhase::ALL.into_iter().map(|it| self.phase(it)).fold(0, u64::saturating_add)
    }
}
