//! Sources: input in splits, each with a position from which it can be replayed.

use async_trait::async_trait;
use seawall_env::Env;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chain::Place;
use crate::error::ConnectorError;
use crate::operator::Collect;
use crate::record::Record;

/// A replayable input. The value is a description; readers do the work.
#[async_trait]
pub trait Source: Clone + Send + Sync + 'static {
    /// What it emits.
    type Record: Record;
    /// One unit of input with its position. A reader that is opened with a split emits exactly what lies
    /// behind the position.
    type Split: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
    /// Reads splits.
    type Reader: SourceReader<Record = Self::Record, Split = Self::Split>;

    /// Lists the splits of the whole input, each at its start. Called once, when a job starts without a
    /// checkpoint; split `i` goes to subtask `i % parallelism`. `parallelism` is a hint for cutting: with fewer
    /// splits than subtasks some of those have nothing to read, after a rescale too.
    ///
    /// # Errors
    /// When the input is missing, unreadable or malformed as a whole.
    async fn enumerate(
        &self,
        env: &Env,
        parallelism: u32,
    ) -> Result<Vec<Self::Split>, ConnectorError>;

    /// The same input, read by the subtask at `place`.
    #[must_use]
    fn at(self, place: Place) -> Self {
        let _ = place;
        self
    }

    /// Opens a reader that continues each split at its position.
    ///
    /// # Errors
    /// When a split cannot be opened.
    async fn open(
        &self,
        env: &Env,
        splits: Vec<Self::Split>,
    ) -> Result<Self::Reader, ConnectorError>;
}

/// What a reader can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// `emit` has more without I/O.
    Ready,
    /// `fill` must be awaited before the next `emit`.
    NeedsInput,
    /// Every split is at its end; nothing more will ever come.
    Ended,
}

/// Reads the splits of one source subtask.
#[async_trait]
pub trait SourceReader: Send + 'static {
    /// What it emits.
    type Record: Record;
    /// A split with its current position.
    type Split;

    /// Does the I/O that the next `emit` needs. Returns `Ready` or `Ended`. Cancel safe: dropping the
    /// future loses no input.
    ///
    /// # Errors
    /// When input cannot be read.
    async fn fill(&mut self) -> Result<Progress, ConnectorError>;

    /// Emits at most `limit` records and moves the positions past them, as one step (J1).
    ///
    /// # Errors
    /// When input is malformed in a way that another attempt cannot mend.
    fn emit(
        &mut self,
        limit: usize,
        out: &mut impl Collect<Self::Record>,
    ) -> Result<Progress, ConnectorError>;

    /// Whether input waits that could not be emitted in time (a backlog).
    fn is_behind(&self) -> bool {
        false
    }

    /// Every split with its current position, including those at their end.
    fn splits(&self) -> Vec<Self::Split>;
}
