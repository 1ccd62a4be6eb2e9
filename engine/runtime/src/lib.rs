//! The runtime: what turns a job and the protocol's decisions into running subtasks and durable bytes.
//!
//! Everything here stands on [`seawall_env::Env`] and on nothing else; only `tokio_env` knows tokio.
//!
//! Deliberately absent: decisions that exactly-once depends on. They are in `seawall-protocol`.

// Durable bytes.
pub mod storage; // checkpoints: record, snapshots, manifests

// Where records come from and go to.
pub mod connectors; // files and generated records

// Data plane.
pub mod channel; // bounded channels between subtasks, and the gate that reads them
pub mod in_flight; // what an unaligned checkpoint finds in them
pub(crate) mod outlet; // what was emitted and did not find room yet
pub mod wire; // elements and messages as bytes

// Drivers of the cores.
pub mod control; // what can be asked of a running job
pub mod coordinator; // a leader: its workers' connections, storage and timers around the core
pub(crate) mod figures; // how long each phase of a snapshot takes
pub(crate) mod historian; // what became of checkpoints, as the coordinator sees it
pub mod mailbox; // the ordered queue of inputs in front of a core
pub(crate) mod restore; // a job's first checkpoint, from a savepoint
pub(crate) mod state_files; // the files of one attempt's live state and of its snapshots
pub mod subtask; // one attempt: gate, chain, core, channels
pub(crate) mod task; // tasks that end with their owner
pub mod timers; // named timers on the clock
pub mod worker; // a worker process: link to the coordinator, subtasks, data connections

// Worlds.
pub mod contract; // what every Env must do, as checks that any test can call
pub mod tokio_env; // the production Env

// What programs show.
pub mod explain; // why a checkpoint was slow, or failed
pub mod metrics;
mod operator_state;
pub mod progress;

// What went wrong, for the caller.
pub mod error;

pub use error::RuntimeError;
