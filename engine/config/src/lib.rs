//! Configuration: Apache Flink's keys, defaults and rules, read from files, arguments and code.
//!
//! ```text
//! YAML or TOML file ─┐
//! key=value ─────────┼─ Configuration (which values were given, and where) ── settings() ── Settings
//! code ──────────────┘        checked against the one table of keys              typed, validated
//! ```
//!
//! Guarantees: an unknown key is an error that names the nearest one; nothing that is accepted is
//! ignored; what Flink has and Seawall does not have is refused by name; each message says which key,
//! which value, where it came from and what is allowed. A later place wins over an earlier one: the
//! defaults, then code, then the file, then the command line.
//!
//! ```
//! use seawall_config::Configuration;
//!
//! # fn main() -> Result<(), seawall_config::ConfigError> {
//! let settings = Configuration::new()
//!     .set("execution.checkpointing.interval", "10 s")?
//!     .set("restart-strategy.type", "fixed-delay")?
//!     .settings()?;
//! assert_eq!(settings.checkpoint.interval, Some(std::time::Duration::from_secs(10)));
//! # Ok(())
//! # }
//! ```
//!
//! Deliberately absent: environment variables, and the scenario files of the simulator, which have a
//! spelling of their own.

mod configuration; // what was given, and where
mod document; // the table as a page
mod file; // YAML and TOML, flattened to keys with lines
mod problem; // what is wrong with it
pub mod quantity; // durations, sizes and factors as Flink writes them
mod settings; // what it means
pub mod table; // every key
mod value; // the kinds of values

pub use configuration::{Configuration, Given, Origin};
pub use document::markdown;
pub use problem::{ConfigError, Problem, Warning};
pub use settings::Settings;
pub use value::{Choice, Kind, Value};
