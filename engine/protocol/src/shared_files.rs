//! The shared-file registry: which files of incremental checkpoints are in use, and which may go (I1-I9).
//!
//! A snapshot of a large state is a chain of immutable files, most of them written for earlier checkpoints.
//! Every ack that is received registers its chain, also a late one or one of an aborted checkpoint (I1):
//! each file remembers the checkpoint that used it last (I2). A file is deleted when every checkpoint that
//! may refer to it is gone (I3):
//!
//! ```text
//! last used < lowest retained           no completed checkpoint names it
//! last used < floor of each pending     a subtask may still build on what was confirmed at the trigger
//! ours                                  it is not of a checkpoint that was restored without claim (I7)
//! ```
//!
//! A subtask builds on confirmed checkpoints only (I6). It may have heard of fewer than the floor assumes;
//! its ack then refers to a file that is gone, and is refused: no checkpoint ever completes with it (I4).
//!
//! Bounded by what the retained and pending checkpoints use, and those given up since the last completion.
//! Deliberately absent: the files themselves, and where they are.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use seawall_probe::sometimes;
use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, CheckpointId, SubtaskId};

/// Names a shared file, for ever (I9): no two writers ever have the same of all four.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SharedFileId {
    /// The checkpoint it was written for.
    pub checkpoint: CheckpointId,
    /// Whose state it holds.
    pub subtask: SubtaskId,
    /// The attempt that wrote it, so that a zombie never overwrites its successor's file.
    pub attempt: Attempt,
    /// The n-th file of that snapshot, from 0.
    pub sequence: u32,
}

impl fmt::Display for SharedFileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checkpoint, subtask, attempt, sequence } = self;
        write!(f, "file {sequence} of {subtask}#{attempt} for checkpoint {checkpoint}")
    }
}

/// What a durable shared file is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SharedFile {
    /// Its name.
    pub id: SharedFileId,
    /// Whether it stands alone. The others hold changes to the files before them in the chain.
    pub is_base: bool,
    /// Whether it belongs to its checkpoint alone: it is in that checkpoint's directory, goes with it, and is
    /// in no registry. Files of full snapshots and of savepoints are (H7).
    pub is_own: bool,
    /// Length in bytes.
    pub bytes: u64,
    /// Checksum of the file (CRC-32).
    pub checksum: u32,
}

/// A completed checkpoint with every shared file that its manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RetainedFiles {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// The files of all its subtasks.
    pub files: Vec<SharedFile>,
}

/// Who deletes the files of a restored checkpoint (I7; Flink's claim modes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Claim {
    /// This job, once they are unused.
    Claim,
    /// Someone else. The first checkpoint refers to none of them: it is full.
    NoClaim,
}

/// Why the files of an ack cannot be registered (I4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// It refers to a file of an earlier checkpoint that is gone or never was.
    UnknownFile(SharedFileId),
    /// Another file is known under this name.
    OtherFile(SharedFileId),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFile(id) => write!(f, "{id} is not known: it was deleted or never acked"),
            Self::OtherFile(id) => write!(f, "{id} is known with another length or checksum"),
        }
    }
}

/// Every shared file that a checkpoint may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SharedFiles {
    entries: BTreeMap<SharedFileId, Entry>,
    /// Pending checkpoints, each with the newest completed one of the moment it was triggered.
    pending: BTreeMap<CheckpointId, CheckpointId>,
}

/// One file. It was created by the checkpoint in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Entry {
    file: SharedFile,
    last_used: CheckpointId,
    is_ours: bool,
}

impl SharedFiles {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry of a new leader, from every retained checkpoint (I8). Files that it does not hold are
    /// of no checkpoint.
    pub fn rebuild(retained: &[RetainedFiles]) -> Self {
        let mut rebuilt = Self::new();
        for RetainedFiles { checkpoint, files } in retained {
            rebuilt.restore(*checkpoint, files, Claim::Claim);
        }
        rebuilt
    }

    /// Adds the files of a completed checkpoint which was found, not acked.
    pub fn restore(&mut self, checkpoint: CheckpointId, files: &[SharedFile], claim: Claim) {
        for file in files.iter().filter(|it| !it.is_own) {
            let is_ours = claim == Claim::Claim;
            let fresh = Entry { file: *file, last_used: checkpoint, is_ours };
            let entry = self.entries.entry(file.id).or_insert(fresh);
            entry.last_used = entry.last_used.max(checkpoint);
            entry.is_ours &= is_ours;
        }
    }

    /// The checkpoint is triggered, and its subtasks may build on `newest`, the newest completed one.
    pub fn begin(&mut self, checkpoint: CheckpointId, newest: Option<CheckpointId>) {
        self.pending.insert(checkpoint, newest.unwrap_or_default());
    }

    /// The checkpoint is completed or given up. Its files stay (I5): only [`Self::take_unused`] forgets.
    pub fn end(&mut self, checkpoint: CheckpointId) {
        self.pending.remove(&checkpoint);
    }

    /// An ack names these files: registers every one that can be (I1).
    ///
    /// # Errors
    /// When one of them cannot (I4): the checkpoint must not complete with this ack. The files which the
    /// ack brought are registered all the same, so that they are deleted in time.
    pub fn register(
        &mut self,
        checkpoint: CheckpointId,
        files: &[SharedFile],
    ) -> Result<(), Refused> {
        let mut refused = None;
        for file in files.iter().filter(|it| !it.is_own) {
            if let Err(cause) = self.register_one(checkpoint, *file) {
                refused.get_or_insert(cause);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn register_one(&mut self, checkpoint: CheckpointId, file: SharedFile) -> Result<(), Refused> {
        match self.entries.get_mut(&file.id) {
            Some(entry) if entry.file == file => {
                sometimes!(FileIsUsedAgain);
                entry.last_used = entry.last_used.max(checkpoint); // I2
                Ok(())
            }
            Some(_) => Err(Refused::OtherFile(file.id)),
            None if file.id.checkpoint == checkpoint => {
                let entry = Entry { file, last_used: checkpoint, is_ours: true };
                self.entries.insert(file.id, entry);
                Ok(())
            }
            None => Err(Refused::UnknownFile(file.id)),
        }
    }

    /// Forgets and returns every file that no checkpoint can refer to any more, `lowest` being the lowest
    /// retained one as the durable record has it (I3). To be deleted now.
    #[must_use]
    pub fn take_unused(&mut self, lowest: CheckpointId) -> Vec<SharedFileId> {
        let floor = self.pending.values().copied().fold(lowest, CheckpointId::min);
        let unused = |entry: &Entry| entry.is_ours && entry.last_used < floor;
        let is_kept = |entry: &Entry| entry.is_ours && (floor..lowest).contains(&entry.last_used);
        sometimes!(self.entries.values().any(is_kept), PendingKeepsFiles);
        let ids = self.entries.iter().filter(|(_, it)| unused(it)).map(|(id, _)| *id).collect();
        self.entries.retain(|_, entry| !unused(entry));
        ids
    }

    /// The names of all files, ascending.
    pub fn ids(&self) -> BTreeSet<SharedFileId> {
        self.entries.keys().copied().collect()
    }

    /// The checkpoint that used the file last; `None` when it is not known.
    pub fn last_used(&self, id: SharedFileId) -> Option<CheckpointId> {
        self.entries.get(&id).map(|it| it.last_used)
    }
}
