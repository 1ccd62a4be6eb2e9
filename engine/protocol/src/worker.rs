//! A worker process: whose orders it obeys and which attempts it runs. Rules A5, O1-O4, P8.

use alloc::string::String;

use crate::config::HeartbeatConfig;
use crate::event::Event;
use crate::ids::{Attempt, CheckpointId, SessionId, WorkerId};
use crate::message::{Deployment, ToCoordinator, ToWorker};

/// What a worker is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Its name.
    pub worker: WorkerId,
    /// Subtasks of each chain it has room for.
    pub slots: u32,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
}

/// What happened to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The process starts. The session number is drawn by the driver, a new one for each connection.
    Start {
        /// The first session.
        session: SessionId,
    },
    /// The connection asked for by `Connect` is there.
    Connected,
    /// The connection could not be made, or broke, or was closed. `session` names the next one.
    Disconnected {
        /// The next session.
        session: SessionId,
        /// Why, for people.
        cause: String,
    },
    /// An order of the coordinator.
    Order(ToWorker),
    /// A report of a subtask running here: `Ready`, `Ended`, `Finished`, `Cancelled`, `Failed`, `Ack`, `Decline`.
    Report(ToCoordinator),
    /// A timer fired.
    Timer(Timer),
}

/// The worker's timers. Arming one that is armed replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// When to send the next sign of life.
    Heartbeat,
    /// When a silent coordinator is taken for dead.
    CoordinatorSilent,
    /// When to try to connect again.
    Reconnect,
}

/// What a worker wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Connect to the coordinator. Answered by `Connected` or `Disconnected`.
    Connect,
    /// Close the connection; no answer follows.
    Disconnect,
    /// Send on the connection; dropped when it is gone.
    Send(ToCoordinator),
    /// Create and restore the subtasks. Each reports `Ready` or `Failed`.
    Launch(Deployment),
    /// Let the attempt's subtasks process.
    Start(Attempt),
    /// Stop these subtasks. Each reports `Cancelled`, `Finished` or `Failed`, once.
    Stop(Attempt),
    /// Hand to the attempt's source subtasks.
    Trigger {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Hand to all the attempt's subtasks.
    Completed {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Whether it is the job's last one (N4).
        is_final: bool,
    },
    /// Hand to all the attempt's subtasks.
    Aborted {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Arm the timer to fire after exactly this long.
    Arm(Timer, core::time::Duration),
    /// Disarm the timer.
    Disarm(Timer),
    /// For the trace.
    Note(Event),
}
