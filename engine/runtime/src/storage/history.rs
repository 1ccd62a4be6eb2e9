//! The history: what became of the newest checkpoints, for people (S1, S4).
//!
//! A small file beside the record, replaced as a whole whenever a checkpoint ends. Best effort: nothing
//! that a job's state depends on is in it, and a coordinator that cannot write it goes on without.

use std::collections::VecDeque;

use seawall_protocol::event::AbortReason;
use seawall_protocol::message::DeclineReason;
use seawall_protocol::record::{SnapshotFigures, SnapshotPhase};
use seawall_protocol::{CheckpointId, JobId, OperatorId, SubtaskId};
use serde::{Deserialize, Serialize};

use crate::storage::error::StorageError;
use crate::storage::format::{self, Kind};
use crate::storage::{Storage, layout};

/// Checkpoints that are remembered; the oldest goes first.
pub const CHECKPOINTS_MAX: usize = 32;
/// Rows of subtasks that are remembered over all checkpoints; the oldest checkpoints lose theirs first.
pub const SUBTASKS_MAX: usize = 4096;

/// What became of the checkpoints of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The job.
    pub job: JobId,
    /// Its operator chains, ascending.
    pub operators: Vec<HistoryOperator>,
    /// The first checkpoint that is counted: 1, unless an earlier history was lost.
    pub since: CheckpointId,
    /// Checkpoints since then.
    pub counts: Counts,
    /// The newest checkpoints that ended, oldest first.
    pub checkpoints: VecDeque<CheckpointFigures>,
}

/// One operator chain, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryOperator {
    /// Which.
    pub id: OperatorId,
    /// Its name.
    pub name: String,
    /// The operators it reads from.
    pub inputs: Vec<OperatorId>,
}

/// How many checkpoints there were (S1): `triggered` is `completed`, `failed` and `in_progress` together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All that were triggered.
    pub triggered: u64,
    /// Those that completed.
    pub completed: u64,
    /// Those that were given up, for whatever reason.
    pub failed: u64,
    /// Those that have not ended.
    pub in_progress: u64,
}

impl Counts {
    /// The part of the ended ones that completed, in hundredths of a percent; `None` before the first
    /// end.
    pub fn success_rate(&self) -> Option<u64> {
        (10_000 * self.completed).checked_div(self.completed + self.failed)
    }
}

/// One checkpoint that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFigures {
    /// Which.
    pub checkpoint: CheckpointId,
    /// Whether it was triggered after all subtasks ended.
    pub is_final: bool,
    /// How it ended.
    pub status: Status,
    /// Microseconds from the trigger to the last ack, or to the end when not all acked.
    pub collecting_us: u64,
    /// Microseconds from the last ack to the end: manifest and record.
    pub finalize_us: u64,
    /// Every subtask, ascending; empty for one that is too old, or whose coordinator died.
    pub subtasks: Vec<SubtaskFigures>,
}

impl CheckpointFigures {
    /// Microseconds from the trigger to the end.
    pub fn total_us(&self) -> u64 {
        self.collecting_us + self.finalize_us
    }

    /// Subtasks whose ack counted.
    pub fn acked(&self) -> usize {
        self.subtasks.iter().filter(|it| it.progress == Progress::Acked).count()
    }
}

/// How a checkpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Its record is durable.
    Completed,
    /// It was given up.
    Failed(AbortReason),
    /// Its coordinator died before it ended.
    Lost,
}

/// What one subtask did for a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskFigures {
    /// Which.
    pub subtask: SubtaskId,
    /// How far it came.
    pub progress: Progress,
    /// How long that took, and what it wrote.
    pub figures: SnapshotFigures,
}

/// How far a subtask came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Nothing was heard of it.
    Silent,
    /// It said no.
    Declined(DeclineReason),
    /// It was in this phase when it heard that the checkpoint was given up.
    In(SnapshotPhase),
    /// Its ack counted.
    Acked,
}

impl History {
    /// The checkpoint, if it is remembered.
    pub fn get(&self, checkpoint: CheckpointId) -> Option<&CheckpointFigures> {
        self.checkpoints.iter().find(|it| it.checkpoint == checkpoint)
    }

    /// The name of a subtask as people write it: `count/2`.
    pub fn subtask_name(&self, subtask: SubtaskId) -> String {
        let operator = self.operators.iter().find(|it| it.id == subtask.operator);
        let name = operator.map_or_else(|| subtask.operator.to_string(), |it| it.name.clone());
        format!("{name}/{}", subtask.index)
    }

    /// Remembers one more; forgets what is beyond the bounds.
    pub(crate) fn push(&mut self, figures: CheckpointFigures) {
        self.checkpoints.push_back(figures);
        while self.checkpoints.len() > CHECKPOINTS_MAX {
            self.checkpoints.pop_front();
        }
        let mut rows = 0;
        for figures in self.checkpoints.iter_mut().rev() {
            rows += figures.subtasks.len();
            if rows > SUBTASKS_MAX {
                figures.subtasks.clear();
            }
        }
    }
}

/// Reads the history; `None` when there is none.
///
/// # Errors
/// When it is there and cannot be read or believed.
pub async fn read(storage: &Storage) -> Result<Option<History>, StorageError> {
    let path = layout::history(storage.root());
    match storage.get(&path).await {
        Ok(bytes) => format::decode(Kind::History, &bytes, &path).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the history.
///
/// # Errors
/// As the store says.
pub async fn write(storage: &Storage, history: &History) -> Result<(), StorageError> {
    let path = layout::history(storage.root());
    let bytes = format::encode(Kind::History, history, &path)?;
    let expected = match storage.find(&path).await {
        Ok(found) => Some(found.version),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    storage.replace(&path, bytes, expected).await
}
