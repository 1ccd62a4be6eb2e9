//! Sources and sinks that come with the engine.
//!
//! ```text
//! FileSource ──┐
//!              ├── Rated (optional) ── operators ── Slow (optional) ── FileSink
//! Generator  ──┘
//! ```
//!
//! Deliberately absent: connectors to other systems. They implement the traits of `seawall_stream`.

pub mod file_sink;
pub mod file_source;
pub mod generator;
pub mod rate;
pub mod slow;

pub use file_sink::FileSink;
pub use file_source::FileSource;
pub use generator::GeneratorSource;
pub use rate::Rated;
pub use slow::Slow;
