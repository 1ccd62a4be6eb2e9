//! The built-in jobs: what `seawall run` offers and what the simulator breaks.
//!
//! A job is a [`JobSpec`]: its options, how it is built, and nothing else. Production and simulator
//! build the same [`seawall_stream::Job`] from it. [`mod@reference`] says, without the engine, what each
//! must output.

pub mod access_log;
pub mod access_windows;
pub mod buffered;
pub mod keyed_count;
pub mod ledger;
pub mod options;
pub mod origin;
pub mod reference;
pub mod sorted;
pub mod word_count;

pub use options::{JobError, OptionSpec, Options};

use seawall_stream::Job;

/// One built-in job.
pub struct JobSpec {
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// The columns of its output.
    pub output: &'static str,
    /// What can be set.
    pub options: &'static [OptionSpec],
    /// Builds it from checked options.
    pub build: fn(&Options, parallelism: u32) -> Job,
}

/// Every built-in job, in the order they are listed.
pub const JOBS: &[JobSpec] = &[
    word_count::SPEC,
    access_log::SPEC,
    access_windows::SPEC,
    keyed_count::SPEC,
    ledger::SPEC,
    buffered::SPEC,
    sorted::SPEC,
];

/// The job of this name.
///
/// # Errors
/// When there is none; the message names the nearest.
pub fn find(name: &str) -> Result<&'static JobSpec, JobError> {
    JOBS.iter().find(|job| job.name == name).ok_or_else(|| JobError::UnknownJob {
        name: name.to_owned(),
        hint: options::hint(name, JOBS.iter().map(|job| job.name), "seawall jobs"),
    })
}
