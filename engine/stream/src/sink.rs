//! Sinks: output in transactions, each visible as a whole, once its checkpoint is completed.

use std::time::Duration;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_protocol::{Attempt, AttemptId, CheckpointId};

use crate::error::ConnectorError;
use crate::record::Record;

/// A transactional output. The value is a description; writers do the work.
#[async_trait]
pub trait Sink: Clone + Send + Sync + 'static {
    /// What it takes.
    type Record: Record;
    /// Writes it.
    type Writer: SinkWriter<Record = Self::Record>;

    /// When the system behind it ends a transaction that was not committed, if it does: it must outlive
    /// the longest time from one checkpoint to the completion of the next, a restart between (K9).
    fn transaction_timeout(&self) -> Option<Duration> {
        None
    }

    /// Opens a writer. Nothing of an earlier attempt is touched before the first call on the writer.
    ///
    /// # Errors
    /// When the output cannot be prepared.
    async fn open(&self, context: SinkContext) -> Result<Self::Writer, ConnectorError>;

    /// What earlier writers left in the output. Asked for before a job starts from a savepoint (H11). A
    /// sink that cannot tell answers with nothing.
    ///
    /// # Errors
    /// When the output cannot be read.
    async fn traces(&self, env: &Env) -> Result<Traces, ConnectorError> {
        let _ = env;
        Ok(Traces::default())
    }

    /// Takes what was committed behind the checkpoint out of its readers' sight, and returns how many
    /// transactions that were; nothing is deleted.
    ///
    /// # Errors
    /// When the sink cannot do that, or the output cannot be changed.
    async fn rewind(&self, env: &Env, to: CheckpointId) -> Result<u32, ConnectorError> {
        let _ = (env, to);
        Err(ConnectorError::Fatal("this sink cannot take back what it committed".to_owned()))
    }
}

/// What earlier writers left in an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traces {
    /// The newest checkpoint whose transaction is visible.
    pub committed: Option<CheckpointId>,
    /// The newest checkpoint whose transaction was ever visible, those taken back included.
    pub used: Option<CheckpointId>,
    /// The newest attempt that left something uncommitted.
    pub attempt: Attempt,
}

impl Traces {
    /// Of two outputs, what is newer.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            committed: self.committed.max(other.committed),
            used: self.used.max(other.used),
            attempt: self.attempt.max(other.attempt),
        }
    }
}

/// Who writes.
#[derive(Clone)]
pub struct SinkContext {
    /// The world.
    pub env: Env,
    /// Which execution of which subtask. Names of uncommitted output contain both, so that a zombie
    /// never writes to its successor's output (K6); names of committed output contain no attempt.
    pub attempt: AttemptId,
    /// Subtasks of the operator. At a lower parallelism than before, subtask `i` also takes the place of
    /// every former subtask whose index is `i` modulo this (K5, K10).
    pub parallelism: u32,
}

/// Writes the transactions of one sink subtask.
///
/// A transaction is known by its committable: bytes that are stored in the snapshot and suffice to
/// commit it from any other process.
#[async_trait]
pub trait SinkWriter: Send + 'static {
    /// What it takes.
    type Record: Record;

    /// Adds to the open transaction, in memory. Called once a record; must not block.
    fn write(&mut self, record: Self::Record);

    /// Moves what is in memory towards the disk; called after each batch, cheap when there is little.
    ///
    /// # Errors
    /// When the output cannot be written; the attempt fails.
    async fn flush(&mut self) -> Result<(), ConnectorError>;

    /// Makes the open transaction durable under the name of `checkpoint` and opens the next one (K1).
    /// `None` when nothing was written since the last one.
    ///
    /// # Errors
    /// When the output cannot be made durable; the attempt fails.
    async fn pre_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<Option<Vec<u8>>, ConnectorError>;

    /// Makes a transaction visible. Idempotent: "already visible" is success (K4). A transaction that is
    /// neither there nor visible is an error, never silently success (X3).
    ///
    /// # Errors
    /// When it cannot be made visible; `is_fatal` when trying again cannot help.
    async fn commit(&mut self, committable: &[u8]) -> Result<(), ConnectorError>;

    /// Removes every uncommitted transaction of earlier attempts of this subtask, and of those whose place
    /// it takes, that is not in `keep` (K5), and returns how many.
    ///
    /// # Errors
    /// When they cannot be listed or removed.
    async fn abort_lingering(&mut self, keep: &[Vec<u8>]) -> Result<u32, ConnectorError>;
}
