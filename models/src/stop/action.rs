//! The steps of the model, and how they are told.

use std::fmt;

use seawall_protocol::CheckpointId;
use seawall_protocol::coordinator::{Request, Timer};

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Somebody asks.
    Ask(Request),
    /// The outstanding record write is durable.
    RecordPersisted,
    /// The manifest is durable.
    ManifestWritten(CheckpointId),
    /// The savepoint is where it was asked for.
    Exported(CheckpointId),
    /// It cannot be brought there.
    ExportFails(CheckpointId),
    /// A timer of the coordinator fires.
    Fire(Timer),
    /// A report reaches the coordinator.
    Report,
    /// An order reaches the worker.
    Order,
    /// The subtask reads a record.
    Read,
    /// The subtask reads the end of its input.
    End,
    /// The coordinator crashes, another leads; `true`: the outstanding record write took effect.
    CrashCoordinator(bool),
    /// The worker crashes and starts again.
    CrashWorker,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(Request::Checkpoint) => f.write_str("somebody asks for a checkpoint"),
            Self::Ask(Request::Savepoint) => f.write_str("somebody asks for a savepoint"),
            Self::Ask(Request::StopWithSavepoint { drain: false }) => {
                f.write_str("somebody asks the job to stop")
            }
            Self::Ask(Request::StopWithSavepoint { drain: true }) => {
                f.write_str("somebody asks the job to drain and stop")
            }
            Self::Ask(Request::Cancel) => f.write_str("somebody cancels the job"),
            Self::Ask(Request::Rescale { parallelism }) => {
                write!(f, "somebody asks for parallelism {parallelism}")
            }
            Self::RecordPersisted => f.write_str("the record is durable"),
            Self::ManifestWritten(checkpoint) => {
                write!(f, "the manifest of checkpoint {checkpoint} is durable")
            }
            Self::Exported(checkpoint) => write!(f, "savepoint {checkpoint} is where it belongs"),
            Self::ExportFails(checkpoint) => write!(f, "savepoint {checkpoint} cannot be written"),
            Self::Fire(timer) => write!(f, "the coordinator's timer fires: {timer:?}"),
            Self::Report => f.write_str("the coordinator hears of the worker"),
            Self::Order => f.write_str("the worker gets its next order"),
            Self::Read => f.write_str("the subtask reads a record"),
            Self::End => f.write_str("the subtask reads the end of its input"),
            Self::CrashCoordinator(false) => {
                f.write_str("the coordinator crashes; another one leads")
            }
            Self::CrashCoordinator(true) => f.write_str(
                "the coordinator crashes after its record write took effect; another one leads",
            ),
            Self::CrashWorker => f.write_str("the worker crashes and starts again"),
        }
    }
}
