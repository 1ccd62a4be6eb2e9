//! The simulator: scenarios, faults, sweeps, replays and verdicts over the real engine. For a job of your
//! own, begin with [`Storm`].
//!
//! ```text
//! scenario ── fault (resolved by seed) ──┐
//!                                        ├─► run: World + engine ─► trace, evidence ─► seawall_spec ─► verdict
//! subject (job and its input) ───────────┘         recorder, inject, liveness
//!   workload: built in · storm: your own
//! swarm (a scenario for each seed) · shrink (the smallest run that fails alike) · explain (why it fails)
//! guided (the next run changes one that reached something rare) · coverage (what runs reached) · sweep (many seeds) · seed_file (one failing run) · verify (everything) · report (tables, JSON, JUnit)
//! ```

#[cfg(not(madsim))]
compile_error!(
    "seawall-sim needs `--cfg madsim`, which .cargo/config.toml sets. An exported RUSTFLAGS replaces it: \
     unset RUSTFLAGS, or add `--cfg madsim` to it."
);

pub mod budget;
pub mod coverage;
mod delegate;
mod evidence;
pub mod explain;
pub mod fault;
pub mod guided;
mod inject;
mod input;
pub mod interrupt;
pub mod legal;
pub mod liveness;
mod own;
mod pace;
mod pin;
pub mod planted;
pub mod plants;
mod provenance;
mod recorder;
pub mod report;
pub mod run;
pub mod scenario;
pub mod seed_file;
mod settings;
pub mod shrink;
mod storm;
pub mod strategies;
pub mod subject;
pub mod swarm;
pub mod sweep;
pub mod timeline;
pub mod trace;
pub mod verdict;
pub mod verify;
pub mod workload;
pub mod world;

pub use own::{At, Input};
pub use seawall_jobs::reference::InputFile;
pub use seawall_spec::CommittedFile;
pub use settings::Settings;
pub use storm::{Failure, Held, Storm};
