//! Why a run fails: which faults it needs, from when on nothing could save it, and how one thing led to
//! the other.
//!
//! ```text
//! seed file ─► run ─┬─► each fault left out, or moved    which are needed, and how exactly (faults.rs)
//!                   ├─► healed after event k, bisected   the first event that was too much (inevitable.rs)
//!                   └─► trace, walked backwards          from the violation to the faults (chain.rs)
//! ```
//!
//! Every other run is the same run, byte for byte, up to what it changes: a fault that is left out waits
//! for ever and leaves the order of tasks as it is.
//!
//! Deliberately absent: proof. A fault is needed in this run; another run may fail without it.

mod chain;
mod faults;
mod inevitable;
mod text;

use serde::Serialize;

use crate::fault::Fault;
use crate::run;
use crate::seed_file::SeedFile;
use crate::shrink::Signature;
use crate::sweep;
use crate::verdict::Verdict;

pub use chain::Link;
pub use faults::{FaultReport, Need};
pub use inevitable::Inevitable;

/// Why a run fails.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The scenario.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// How it fails.
    pub signature: String,
    /// What was seen.
    pub failure: String,
    /// One for each fault of the schedule.
    pub faults: Vec<FaultReport>,
    /// Whether the needed faults alone make it fail.
    pub is_sufficient: bool,
    /// From when on nothing could save it.
    pub inevitable: Inevitable,
    /// From the first cause to the violation.
    pub chain: Vec<Link>,
    /// Runs that this took.
    pub runs: usize,
}

/// Explains the failure of a seed file, with so many runs at a time.
///
/// # Errors
/// When the run does not fail as the file says.
pub fn explain(file: &SeedFile, jobs: usize) -> Result<Explanation, String> {
    let verdict = run::run_with(&file.scenario, file.seed, file.schedule.clone());
    let signature = Signature::recorded(file, &verdict)?;
    let mut trial = Trial { file, signature, verdict, jobs, runs: 1 };
    let (faults, is_sufficient) = faults::report(&mut trial);
    let inevitable = inevitable::find(&mut trial);
    let needed = faults.iter().zip(&trial.verdict.begun);
    let needed: Vec<usize> =
        needed.filter(|(it, _)| it.is_needed()).filter_map(|(_, begun)| *begun).collect();
    let chain = chain::chain(&trial.verdict, &trial.signature, &needed, inevitable.entry());
    Ok(Explanation {
        name: file.scenario.name.clone(),
        seed: file.seed,
        signature: trial.signature.to_string(),
        failure: trial.verdict.result.explain(),
        faults,
        is_sufficient,
        inevitable,
        chain,
        runs: trial.runs,
    })
}

/// The run that is explained, and the means to run it otherwise.
struct Trial<'a> {
    file: &'a SeedFile,
    signature: Signature,
    verdict: Verdict,
    jobs: usize,
    runs: usize,
}

impl Trial<'_> {
    /// What comes of the run with each of these schedules.
    fn with_schedules(&mut self, schedules: &[Vec<Fault>]) -> Vec<Verdict> {
        self.runs += schedules.len();
        sweep::in_parallel(schedules, self.jobs, |schedule| {
            run::run_with(&self.file.scenario, self.file.seed, schedule.clone())
        })
    }

    /// Whether the run still fails alike when it is healed at each of these moments.
    fn fails_when_healed(&mut self, moments: &[std::time::Duration]) -> Vec<bool> {
        self.runs += moments.len();
        let (file, signature) = (self.file, &self.signature);
        sweep::in_parallel(moments, self.jobs, |at| {
            let schedule = file.schedule.clone();
            signature.is_of(&run::run_healed(&file.scenario, file.seed, schedule, Some(*at)))
        })
    }
}
