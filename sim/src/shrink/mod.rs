//! From a failing run to the smallest that fails in the same way: fewer faults first, then fewer records,
//! then fewer nodes, then shorter.
//!
//! ```text
//! seed file ─► Candidate ─► a pass lists simpler ones ─► the first in order that fails alike ─┐
//!                  ▲                                                                          │
//!                  └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Shrinking knows no verb and no setting: it edits the scenario's text as a TOML document, and what the
//! validation refuses is no candidate (`simpler.rs`). So a new kind of fault shrinks from its first day,
//! and every result is a legal file. A change of the workload shifts every moment, therefore faults at a
//! time become faults at an event (`pin.rs`), and what fails no more with its seed is tried with a few
//! others.
//!
//! The result does not depend on how many runs go on at a time: of a batch the first in order counts.
//! The time limit is the one exception: when it strikes, the best so far is the result.
//!
//! Deliberately absent: a guarantee of the global minimum. What is left is minimal for each pass alone.

pub(crate) mod candidate;
mod signature;
mod simpler;
mod story;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::run;
use crate::scenario::Scenario;
use crate::seed_file::SeedFile;
use crate::sweep;
use crate::verdict::Verdict;

use candidate::Candidate;
pub use candidate::Size;
pub use signature::Signature;
use simpler::{PASSES, Pass};
pub use story::tell_fault;

/// Seeds that a candidate is tried with when it does not fail with its own.
const SEEDS: [u64; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// How long and how wide to search, and whom to tell.
pub struct Limits<'a> {
    /// Real time after which the best so far is the result.
    pub time: Duration,
    /// Runs at a time.
    pub jobs: usize,
    /// Whether somebody wants the best so far now.
    pub is_stopped: &'a (dyn Fn() -> bool + Sync),
    /// Hears after each batch how large the best is and how many runs it took.
    pub tell: &'a dyn Fn(Size, usize),
}

impl Limits<'_> {
    /// This long, on all cores, in silence.
    pub fn quietly(time: Duration) -> Self {
        Limits { time, jobs: sweep::default_jobs(), is_stopped: &|| false, tell: &|_, _| {} }
    }
}

/// A small run that fails in the same way.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The run, without marks: it is judged by its verdict.
    pub file: SeedFile,
    /// How it fails.
    pub signature: Signature,
    /// Its verdict.
    pub verdict: Verdict,
    /// How large the run was.
    pub before: Size,
    /// How large it is.
    pub after: Size,
    /// Runs that were judged.
    pub runs: usize,
    /// Whether nothing simpler was left to try.
    pub is_minimal: bool,
    /// Real time.
    pub elapsed: Duration,
}

/// Searches for the smallest run with the failure of `file`.
///
/// # Errors
/// When the run does not fail as the file says: it has to be recorded anew before it can be shrunk.
pub fn shrink(file: &SeedFile, limits: &Limits<'_>) -> Result<Shrunk, String> {
    let start = Instant::now();
    let verdict = run::run_with(&file.scenario, file.seed, file.schedule.clone());
    let signature = Signature::recorded(file, &verdict)?;
    let first = Candidate::of(file);
    let name = file.scenario.name.clone();
    let scenario = first.scenario(&name).map_err(|it| it.to_string())?;
    let best = Failing::run(first, scenario, &signature)
        .ok_or("the scenario with its schedule written out does not fail as the file does")?;
    let before = best.size();
    let seen = BTreeSet::from([best.candidate.key()]);
    let mut search =
        Search { name, signature, limits, deadline: start + limits.time, best, seen, runs: 2 };
    let is_minimal = search.exhaust();
    let Search { best, signature, runs, .. } = search;
    let after = best.size();
    let file = SeedFile { footprint: None, ..SeedFile::of(&best.scenario, &best.verdict) };
    let elapsed = start.elapsed();
    let verdict = best.verdict;
    Ok(Shrunk { file, signature, verdict, before, after, runs, is_minimal, elapsed })
}

/// A candidate that fails as it should.
struct Failing {
    candidate: Candidate,
    scenario: Scenario,
    verdict: Verdict,
}

impl Failing {
    /// Runs a candidate; `None` when it does not fail alike.
    fn run(candidate: Candidate, scenario: Scenario, signature: &Signature) -> Option<Self> {
        let verdict = run::run_with(&scenario, candidate.seed, scenario.faults.clone());
        signature.is_of(&verdict).then_some(Self { candidate, scenario, verdict })
    }

    fn size(&self) -> Size {
        self.candidate.size(&self.scenario)
    }
}

struct Search<'a> {
    name: String,
    signature: Signature,
    limits: &'a Limits<'a>,
    deadline: Instant,
    best: Failing,
    /// What was tried: text and seed.
    seen: BTreeSet<(String, u64)>,
    runs: usize,
}

impl Search<'_> {
    /// Whether it came to an end rather than to a limit. Other seeds cost nine times as much, so they are
    /// for what the own seed could not do.
    fn exhaust(&mut self) -> bool {
        loop {
            while PASSES.iter().any(|pass| self.repeat(pass, &[])) {}
            let is_better = PASSES.iter().any(|pass| pass.may_reseed && self.repeat(pass, &SEEDS));
            if self.is_over() {
                return false;
            }
            if !is_better {
                return true;
            }
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || (self.limits.is_stopped)()
    }

    /// Makes steps of a pass as long as it has any; each list goes on where the last one succeeded.
    fn repeat(&mut self, pass: &Pass, seeds: &[u64]) -> bool {
        let (mut is_better, mut from) = (false, 0);
        while let Some(at) = self.step(pass, seeds, from).or_else(|| self.step(pass, seeds, 0)) {
            is_better = true;
            from = at;
        }
        is_better
    }

    /// Takes the first simpler run, from this place of the list, that fails alike.
    fn step(&mut self, pass: &Pass, seeds: &[u64], from: usize) -> Option<usize> {
        let list = (pass.simpler)(&self.best);
        let mut open = list.iter().enumerate().skip(from).flat_map(|(place, candidate)| {
            let own = std::iter::once(candidate.seed);
            own.chain(seeds.iter().copied()).map(move |seed| (place, candidate.with_seed(seed)))
        });
        while !self.is_over() {
            let mut batch = Vec::with_capacity(self.limits.jobs);
            for (place, candidate) in open.by_ref() {
                if self.seen.insert(candidate.key())
                    && let Ok(scenario) = candidate.scenario(&self.name)
                {
                    batch.push((place, candidate, scenario));
                }
                if batch.len() >= self.limits.jobs {
                    break;
                }
            }
            if batch.is_empty() {
                return None;
            }
            let signature = &self.signature;
            let failing =
                sweep::in_parallel(&batch, self.limits.jobs, |(_, candidate, scenario)| {
                    Failing::run(candidate.clone(), scenario.clone(), signature)
                });
            let found = failing.into_iter().enumerate().find_map(|(at, it)| Some((at, it?)));
            self.runs += found.as_ref().map_or(batch.len(), |(at, _)| at + 1);
            let place = found.map(|(at, failing)| {
                self.best = failing;
                batch[at].0
            });
            (self.limits.tell)(self.best.size(), self.runs);
            if place.is_some() {
                return place;
            }
        }
        None
    }
}
