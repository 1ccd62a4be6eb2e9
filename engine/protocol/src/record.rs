//! What the store holds: the one small record whose durable replacement is the commit point (H1, H2).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, CheckpointId, FencingToken, JobId, SubtaskId};

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
}
