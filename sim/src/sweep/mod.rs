//! Sweeps: what is loaded, over many seeds, on all cores.
//!
//! ```text
//! loaded × seeds ─► units (each n-th of a shard) ─► pool (until Ctrl-C or the time is up) ─► tallies ─► rows
//! ```
//!
//! A run is a function of scenario and seed alone, so the results do not depend on how many run at a
//! time or in which order they end. All seeds run, whatever fails; failures are grouped by what they share.

mod guided;
mod pool;
mod rows;
mod signature;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use guided::sweep_guided;
pub use pool::{Stop, default_jobs, in_parallel, work_off};
pub use rows::{Failures, Group};
pub use signature::signature;

use crate::coverage::Coverage;
use crate::fault::Fault;
use crate::report::{Progress, Summary};
use crate::run;
use crate::scenario::{Claim, Scenario};
use crate::seed_file::SeedFile;
use crate::swarm;
use crate::verdict::{Counts, Result as Outcome, Verdict};
use crate::verify::Loaded;
use rows::Tally;

/// What one seed of a sweep came to; the trace is kept of failures only.
#[derive(Debug, Clone)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
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
        seed,
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

/// The same, with the scenario if it failed.
fn run_one(scenario: &Scenario, seed: u64) -> (SeedResult, Option<Box<Scenario>>) {
    let result = one_seed(scenario, seed);
    let failed = result.failure.is_some().then(|| Box::new(scenario.clone()));
    (result, failed)
}

/// Runs one seed twice and says where the second run left the first, if it did.
pub fn twice(scenario: &Scenario, seed: u64) -> Option<Verdict> {
    difference(&run::run(scenario, seed), run::run(scenario, seed))
}

/// Where the second run of a seed left the first, if it did.
pub fn difference(first: &Verdict, second: Verdict) -> Option<Verdict> {
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

/// How a sweep goes on.
#[derive(Debug)]
pub struct Plan {
    /// For every scenario; its own when absent. A seed file keeps its own.
    pub seeds: Option<Vec<u64>>,
    /// Seeds without end, from 1 or behind a scenario's own, until the sweep is stopped.
    pub is_endless: bool,
    /// Only each n-th run.
    pub shard: Shard,
    /// Runs at a time.
    pub jobs: usize,
    /// When no more runs begin.
    pub stop: Arc<Stop>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seeds: None,
            is_endless: false,
            shard: Shard::WHOLE,
            jobs: default_jobs(),
            stop: Arc::default(),
        }
    }
}

/// One of `of` equal parts of a sweep: every run is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub index: NonZeroU64,
    /// How many there are.
    pub of: NonZeroU64,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: NonZeroU64::MIN, of: NonZeroU64::MIN };

    /// From `2/8`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected the number of the part and how many there are, such as `2/8`";
        let parsed = text.split_once('/').and_then(|(index, of)| {
            Some(Self { index: index.parse().ok()?, of: of.parse().ok()? })
        });
        parsed
            .filter(|it| it.index <= it.of)
            .ok_or_else(|| format!("invalid shard `{text}`, {expected}"))
    }

    fn holds(self, number: usize) -> bool {
        number as u64 % self.of == self.index.get() - 1
    }
}

/// One piece of work that a core takes at a time.
enum Unit<'a> {
    Seed(usize, Source<'a>, u64),
    Twice(usize, Source<'a>, u64),
    Hunt(usize, &'a Scenario, &'a [u64]),
    Replay(usize, &'a SeedFile),
}

/// Where the scenario of a seed comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    File(&'a Scenario),
    Swarm(swarm::Profile),
}

impl<'a> Source<'a> {
    fn scenario(self, seed: u64) -> Cow<'a, Scenario> {
        match self {
            Self::File(scenario) => Cow::Borrowed(scenario),
            Self::Swarm(profile) => Cow::Owned(swarm::scenario(profile, seed)),
        }
    }
}

/// What a unit came to, with the scenario of a run that failed.
pub(crate) enum Done {
    Seed(SeedResult, Option<Box<Scenario>>),
    Twice(Duration, Option<(Box<Verdict>, Box<Scenario>)>),
    Hunt(Duration, Box<Hunt>),
    Replay(Duration, Box<Verdict>),
}

impl Unit<'_> {
    fn index(&self) -> usize {
        match self {
            Self::Seed(index, _, _)
            | Self::Twice(index, _, _)
            | Self::Hunt(index, _, _)
            | Self::Replay(index, _) => *index,
        }
    }

    fn run(&self) -> Done {
        let start = Instant::now();
        match self {
            Self::Seed(_, source, seed) => {
                let (result, failed) = run_one(&source.scenario(*seed), *seed);
                Done::Seed(result, failed)
            }
            Self::Twice(_, source, seed) => {
                let scenario = source.scenario(*seed);
                let differs = twice(&scenario, *seed);
                let differs =
                    differs.map(|it| (Box::new(it), Box::new(scenario.clone().into_owned())));
                Done::Twice(start.elapsed(), differs)
            }
            Self::Hunt(_, scenario, seeds) => {
                let hunt = Box::new(hunt(scenario, seeds));
                Done::Hunt(start.elapsed(), hunt)
            }
            Self::Replay(_, file) => {
                let schedule: Vec<Fault> = file.schedule.clone();
                let verdict = run::run_with(&file.scenario, file.seed, schedule);
                Done::Replay(start.elapsed(), Box::new(verdict))
            }
        }
    }
}

/// The seeds that a sweep without end takes of one scenario: its own, then those behind them.
fn endless(own: &[u64]) -> impl Iterator<Item = u64> + '_ {
    let last = own.iter().copied().max().unwrap_or(0);
    own.iter().copied().chain(last.saturating_add(1)..)
}

/// The seeds that a swarm takes when nobody says which.
const SWARM_SEEDS: u64 = 200;

fn units<'a>(
    loaded: &'a [Loaded],
    plan: &'a Plan,
) -> Box<dyn Iterator<Item = Unit<'a>> + Send + 'a> {
    if plan.is_endless {
        // A seed of each scenario in turn, so that whenever it ends all had their share.
        let seeds = loaded.iter().enumerate().filter_map(|(index, one)| {
            let (source, seeds): (_, Box<dyn Iterator<Item = u64> + Send>) = match one {
                Loaded::Swarm(profile) => (Source::Swarm(*profile), Box::new(1..)),
                Loaded::Scenario(it) if matches!(it.claim, Claim::Expect(_)) => {
                    (Source::File(it), Box::new(endless(&it.seeds)))
                }
                // A bug is caught once, and a regression has one seed.
                Loaded::Scenario(_) | Loaded::Seed(_, _) => return None,
            };
            Some((index, source, seeds))
        });
        let mut seeds: Vec<_> = seeds.collect();
        let mut turn = 0;
        return Box::new(std::iter::from_fn(move || {
            let count = seeds.len();
            let (index, source, seeds) = seeds.get_mut(turn % count.max(1))?;
            turn += 1;
            Some(Unit::Seed(*index, *source, seeds.next()?))
        }));
    }
    Box::new(loaded.iter().enumerate().flat_map(move |(index, one)| {
        let seeds = plan.seeds.as_deref();
        let units: Box<dyn Iterator<Item = Unit<'a>> + Send + 'a> = match one {
            Loaded::Seed(_, file) => Box::new(std::iter::once(Unit::Replay(index, file))),
            Loaded::Swarm(profile) => {
                let source = Source::Swarm(*profile);
                match seeds {
                    Some(seeds) => over(index, source, seeds.iter().copied()),
                    None => over(index, source, 1..=SWARM_SEEDS),
                }
            }
            Loaded::Scenario(scenario) => match &scenario.claim {
                Claim::Violates { .. } => {
                    let seeds = seeds.unwrap_or(&scenario.seeds);
                    Box::new(std::iter::once(Unit::Hunt(index, scenario, seeds)))
                }
                Claim::Expect(_) => {
                    let seeds = seeds.unwrap_or(&scenario.seeds).iter().copied();
                    over(index, Source::File(scenario), seeds)
                }
            },
        };
        units
    }))
}

/// Every seed, and the first one twice more.
fn over<'a>(
    index: usize,
    source: Source<'a>,
    seeds: impl Iterator<Item = u64> + Clone + Send + 'a,
) -> Box<dyn Iterator<Item = Unit<'a>> + Send + 'a> {
    let again = seeds.clone().take(1).map(move |it| Unit::Twice(index, source, it));
    Box::new(seeds.map(move |it| Unit::Seed(index, source, it)).chain(again))
}

/// Runs what is loaded as the plan says.
pub fn sweep_all(loaded: &[Loaded], plan: &Plan) -> Summary {
    let start = Instant::now();
    let mine = || units(loaded, plan).enumerate().filter(|(number, _)| plan.shard.holds(*number));
    let total = (!plan.is_endless).then(|| mine().count());
    let mut left: BTreeMap<usize, usize> = BTreeMap::new();
    if total.is_some() {
        mine().for_each(|(_, it)| *left.entry(it.index()).or_default() += 1);
    }
    let mut tallies: Vec<Tally> = loaded.iter().map(|_| Tally::default()).collect();
    let mut progress = Progress::new(total);
    work_off(
        mine(),
        plan.jobs,
        &plan.stop,
        |(_, unit)| unit.run(),
        |_, (number, unit), done| {
            let index = unit.index();
            let name = loaded[index].name();
            tallies[index].add(number, done);
            let failed = tallies.iter().map(Tally::failed).sum();
            progress.advance(&name, failed);
            if let Some(left) = left.get_mut(&index) {
                *left -= 1;
                if *left == 0 {
                    progress.finished(&format!("{name}: done"));
                }
            }
        },
    );
    progress.clear();
    summary(loaded, tallies, plan, start)
}

fn summary(loaded: &[Loaded], tallies: Vec<Tally>, plan: &Plan, start: Instant) -> Summary {
    let has_swarm = loaded.iter().any(|it| matches!(it, Loaded::Swarm(_)));
    let reached = has_swarm.then(|| {
        let mut coverage = Coverage::default();
        for tally in &tallies {
            coverage.merge(tally.coverage());
        }
        coverage.reached(&swarm::verbs())
    });
    let mut failures = Failures::default();
    let tallies = loaded.iter().zip(tallies).filter(|(_, it)| !it.is_empty());
    let rows = tallies.map(|(one, tally)| tally.row(one, &mut failures)).collect();
    let mut summary = Summary::new(rows, start.elapsed());
    summary.groups = failures.groups();
    summary.is_interrupted = plan.stop.is_asked();
    summary.reached = reached;
    summary
}
