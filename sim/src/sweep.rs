//! Many runs at once: each on a thread of its own, as many at a time as there are cores.
//!
//! A run is a function of scenario and seed alone, so the results do not depend on how many run at a
//! time or in which order they end; they are returned in the order of the work.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::coverage::Coverage;
use crate::run;
use crate::scenario::{Claim, Scenario};
use crate::verdict::{Counts, Result as Outcome, Verdict};

/// How many runs go on at a time unless told otherwise.
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Does all of `work`, `jobs` at a time, and returns the results in the order of the work.
pub fn in_parallel<W: Sync, R: Send>(
    work: &[W],
    jobs: usize,
    each: impl Fn(&W) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(work.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, work.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = work.get(index) else { return };
                    let result = each(item);
                    let mut results = results.lock().expect("no run panics here");
                    results.push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no run panics here");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What one seed of a sweep came to; the trace is kept of failures only.
#[derive(Debug, Clone)]
pub struct SeedResult {
    /// What it put to the test.
    pub counts: Counts,
    /// What it reached.
    pub coverage: Coverage,
    /// Which faults of the scenario happened.
    pub happened: Vec<bool>,
    /// The digest of the trace.
    pub digest: u64,
    /// How much virtual time passed.
    pub virtual_time: Duration,
    /// How much real time passed.
    pub wall_time: Duration,
    /// The whole verdict, unless everything held.
    pub failure: Option<Box<Verdict>>,
}

/// Runs one seed of a scenario that claims what holds.
pub fn one_seed(scenario: &Scenario, seed: u64) -> SeedResult {
    let start = Instant::now();
    let verdict = run::run(scenario, seed);
    let digest = verdict.trace.digest();
    SeedResult {
        counts: verdict.counts,
        coverage: verdict.coverage.clone(),
        happened: verdict.happened.clone(),
        digest,
        virtual_time: verdict.virtual_time,
        wall_time: start.elapsed(),
        failure: match verdict.result {
            Outcome::Holds => None,
            Outcome::Violated { .. } | Outcome::Stuck { .. } | Outcome::NotDeterministic { .. } => {
                Some(Box::new(verdict))
            }
        },
    }
}

/// Runs one seed twice and says where the second run left the first, if it did.
pub fn twice(scenario: &Scenario, seed: u64) -> Option<Verdict> {
    let (first, second) = (run::run(scenario, seed), run::run(scenario, seed));
    if first.trace.digest() == second.trace.digest() {
        return None;
    }
    let divergence = crate::trace::first_divergence(&first.trace.full(), &second.trace.full());
    let message = divergence.map_or_else(
        || "two runs of the same seed differ below the microsecond".to_owned(),
        |it| format!("two runs of the same seed differ\n{it}"),
    );
    Some(Verdict { result: Outcome::NotDeterministic { message }, ..second })
}

/// What became of the hunt for a planted bug.
#[derive(Debug, Clone)]
pub struct Hunt {
    /// Seeds run.
    pub seeds: usize,
    /// What all of them put to the test.
    pub counts: Counts,
    /// The run that convicted it by the property that the scenario names.
    pub caught: Option<Box<Verdict>>,
    /// What another property said first, when nothing convicted it by the right one.
    pub other: Option<String>,
}

/// Runs a planted scenario with these seeds until the property it names is violated.
pub fn hunt(scenario: &Scenario, seeds: &[u64]) -> Hunt {
    let Claim::Violates { property, .. } = &scenario.claim else {
        panic!("{} plants nothing", scenario.name)
    };
    let mut hunt = Hunt { seeds: 0, counts: Counts::default(), caught: None, other: None };
    for seed in seeds {
        let verdict = run::run(scenario, *seed);
        hunt.seeds += 1;
        hunt.counts += verdict.counts;
        if verdict.violates(property) {
            hunt.caught = Some(Box::new(verdict));
            return hunt;
        }
        if verdict.result != Outcome::Holds {
            hunt.other.get_or_insert_with(|| verdict.result.explain());
        }
    }
    hunt
}
