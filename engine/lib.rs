//! Seawall: a stream processor with exactly-once state.
//!
//! A job is written with [`prelude`], and runs in one process with [`local::run`]. This crate only
//! gathers what a user needs from the crates that the engine is made of.
//!
//! ```
//! use seawall::prelude::*;
//!
//! /// Counts the records of each key and emits the count once, at the end.
//! #[derive(Clone)]
//! struct Count;
//!
//! impl KeyedProcess for Count {
//!     type Key = u64;
//!     type In = u64;
//!     type State = u64;
//!     type Out = (u64, u64);
//!
//!     fn on_record(&mut self, _: &u64, _: u64, count: &mut Option<u64>, _: &mut impl Collect<(u64, u64)>) {
//!         *count = Some(count.unwrap_or(0) + 1);
//!     }
//!
//!     fn on_end(&mut self, key: &u64, count: &u64, out: &mut impl Collect<(u64, u64)>) {
//!         out.push((*key, *count));
//!     }
//! }
//!
//! let builder = JobBuilder::new("count", 2);
//! builder
//!     .source("generate", GeneratorSource { records: 1_000_000, keys: 1_000, seed: 7 })
//!     .key_by(|key| *key)
//!     .process("count", Count)
//!     .sink("counts", FileSink::new("out", |pair: &(u64, u64), line: &mut Vec<u8>| {
//!         line.extend_from_slice(format!("{},{}\n", pair.0, pair.1).as_bytes());
//!     }));
//! let job = builder.build();
//! assert_eq!(job.operators.len(), 2);
//! ```
//!
//! Deliberately absent: the simulator. It links madsim, which no production program may.

pub mod local; // coordinator and worker in one process

pub use seawall_config as config;
pub use seawall_env as env;
pub use seawall_jobs as jobs;
pub use seawall_protocol as protocol;
pub use seawall_runtime as runtime;
pub use seawall_stream as stream;

/// What a program that defines a job imports.
pub mod prelude {
    pub use seawall_config::{Configuration, Settings};
    pub use seawall_protocol::JobId;
    pub use seawall_protocol::config::{CheckpointConfig, CheckpointMode, RestartStrategy};
    pub use seawall_runtime::connectors::file_sink::FileSink;
    pub use seawall_runtime::connectors::file_source::FileSource;
    pub use seawall_runtime::connectors::generator::GeneratorSource;
    pub use seawall_stream::{
        Collect, EventTime, FlatMap, Job, JobBuilder, Key, KeyedProcess, Record, TimedProcess,
        WatermarkStrategy,
    };

    pub use crate::local::{LocalJob, Outcome};
}
