//! The program `seawall` on real files and processes, as its users meet it.
//!
//! Nothing here links the simulator; `house` proves that the program does not either.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support; // scratch directories, the program, and independent counts

mod asking; // talking to a running job
mod bad_input; // every refusal: message, exit code, nothing written
mod checkpoints; // seawall checkpoint list|show|verify, and damage
mod config; // settings from a file, -D and flags, and what is wrong with them
mod continuing; // the same command again: after the end, after a signal, while it runs
mod full_disk; // no room left, then room again
mod house; // who may import whom, and what the program contains
mod readers; // whoever reads the output directory sees committed output only
mod rescale; // another parallelism, while the job runs and from a savepoint
mod results; // output equals an independent count
mod rules_coverage; // docs/rules-coverage.md, generated
#[cfg(feature = "s3")]
mod s3; // checkpoints in an S3 server that the test starts
mod savepoints; // taken, started from, stopped with, disposed of
mod sigkill; // killed at any moment, the output is the same
