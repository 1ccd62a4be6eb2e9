//! The simulator: scenarios, faults, sweeps, replays and verdicts over the real engine.

#[cfg(not(madsim))]
compile_error!(
    "seawall-sim needs `--cfg madsim`, which .cargo/config.toml sets. An exported RUSTFLAGS replaces it: \
     unset RUSTFLAGS, or add `--cfg madsim` to it."
);

pub mod legal;
pub mod scenario;
pub mod world;
