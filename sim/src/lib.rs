//! The simulator: scenarios, faults, sweeps, replays and verdicts over the real engine.
//!
//! ```text
//! scenario ── fault (resolved by seed) ──┐
//!                                        ├─► run: World + engine ─► trace, evidence ─► seawall_spec ─► verdict
//! workload (job and its input) ──────────┘         recorder, inject, liveness
//! coverage (what runs reached) · sweep (many seeds) · seed_file (one failing run) · verify (everything) · report (tables, JSON, JUnit)
//! ```

#[cfg(not(madsim))]
compile_error!(
    "seawall-sim needs `--cfg madsim`, which .cargo/config.toml sets. An exported RUSTFLAGS replaces it: \
     unset RUSTFLAGS, or add `--cfg madsim` to it."
);

pub mod coverage;
mod evidence;
pub mod fault;
mod inject;
pub mod legal;
pub mod liveness;
pub mod plants;
mod recorder;
pub mod report;
pub mod run;
pub mod scenario;
pub mod seed_file;
pub mod sweep;
pub mod trace;
pub mod verdict;
pub mod verify;
pub mod workload;
pub mod world;
