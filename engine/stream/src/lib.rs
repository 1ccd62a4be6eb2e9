//! The programming model: a typed [`Job`] of sources, operators and sinks, fused into chains at
//! compile time.
//!
//! ```text
//! source -> map -> filter -> [ hash ] -> keyed process -> map -> sink
//! \______ one chain _______/  edge     \________ one chain _______/
//! ```
//!
//! A chain is one Rust value whose operators call each other directly: no boxed call, no lock and no
//! allocation per record. The runtime sees it through the object-safe traits of [`chain`], once a batch.
//!
//! Event time is a column of the record; [`watermarks`] say how far it is.
//!
//! Deliberately absent: barriers and checkpoints, which belong to the runtime and the protocol.

pub mod batch;
pub mod chain;
pub mod error;
pub mod fork;
pub mod job;
pub mod key;
pub mod keyed;
pub mod keyed_state;
pub mod operator;
pub mod operator_state;
pub mod pipe;
pub mod process;
pub mod record;
pub mod sink;
pub mod source;
pub mod state;
pub mod stream;
pub mod testing;
pub mod timers;
pub mod watermarks;
pub mod window;

pub use error::{ConnectorError, StreamError};
pub use job::{Job, JobBuilder};
pub use key::Key;
pub use operator::{Collect, FlatMap, KeyedProcess};
pub use process::Process;
pub use record::Record;
pub use seawall_protocol::{CheckpointId, EventTime};
pub use sink::{Sink, SinkContext, SinkWriter, Traces};
pub use source::{Progress, Source, SourceReader};
pub use stream::{KeyedStream, Stream};
pub use timers::TimedProcess;
pub use watermarks::WatermarkStrategy;
