//! From what the runs came to, to the rows of the verdict table and the groups of failures below it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::{Done, Hunt, signature};
use crate::coverage::Coverage;
use crate::report::Row;
use crate::scenario::{Claim, Scenario};
use crate::seed_file::{Expected, SeedFile};
use crate::verdict::{Counts, Result as Outcome, USAGE, Verdict};
use crate::verify::{Loaded, keep, seed_path};

/// Whole verdicts kept of one scenario; of the others only the seed and the signature.
const KEPT_MAX: usize = 20;
/// Seeds that a group names.
const NAMED_MAX: usize = 10;

/// Failures with the same signature.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// What they share.
    pub signature: String,
    /// How many there are.
    pub count: usize,
    /// The first few: scenario and seed.
    pub runs: Vec<String>,
    /// How to see one of them again.
    pub replay: String,
}

/// All failures of a sweep.
#[derive(Debug, Default)]
pub struct Failures {
    groups: BTreeMap<String, Group>,
}

impl Failures {
    fn add(&mut self, failed: &[Failed]) {
        for it in failed {
            let Failed { name, seed, .. } = it;
            let group = self.groups.entry(it.signature.clone()).or_insert_with(|| Group {
                signature: it.signature.clone(),
                count: 0,
                runs: Vec::new(),
                replay: replay(name, *seed),
            });
            group.count += 1;
            if group.runs.len() < NAMED_MAX {
                group.runs.push(format!("{name} {seed}"));
            }
        }
    }

    /// The largest first.
    pub fn groups(self) -> Vec<Group> {
        let mut groups: Vec<_> = self.groups.into_values().collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then(a.signature.cmp(&b.signature)));
        groups
    }
}

/// A changed run of a guided sweep is in its seed file, any other is drawn once more.
fn replay(name: &str, seed: u64) -> String {
    if name.starts_with("guided/") {
        return format!("cargo sim replay {}", seed_path(name, seed).display());
    }
    format!("cargo sim run {name} --seed {seed}")
}

struct Failed {
    name: String,
    seed: u64,
    signature: String,
}

/// What the runs of one loaded thing came to so far.
#[derive(Default)]
pub(super) struct Tally {
    seeds: usize,
    counts: Counts,
    time: Duration,
    happened: Vec<bool>,
    coverage: Coverage,
    /// By the number of the run, since runs end in any order.
    digests: BTreeMap<usize, u64>,
    failed: BTreeMap<usize, Failed>,
    kept: BTreeMap<usize, (Box<Verdict>, Box<Scenario>)>,
    replayed: Option<Box<Verdict>>,
    hunted: Option<Box<Hunt>>,
}

impl Tally {
    pub(super) fn is_empty(&self) -> bool {
        self.time.is_zero()
    }

    pub(super) fn failed(&self) -> usize {
        self.failed.len()
    }

    pub(super) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    pub(super) fn add(&mut self, number: usize, done: Done) {
        match done {
            Done::Seed(result, scenario) => {
                self.seeds += 1;
                self.counts += result.counts;
                self.time += result.wall_time;
                self.coverage.merge(&result.coverage);
                self.digests.insert(number, result.digest);
                if self.happened.len() < result.happened.len() {
                    self.happened.resize(result.happened.len(), false);
                }
                self.happened.iter_mut().zip(&result.happened).for_each(|(any, it)| *any |= it);
                if let (Some(verdict), Some(scenario)) = (result.failure, scenario) {
                    self.fail(number, verdict, scenario);
                }
            }
            Done::Twice(time, differs) => {
                self.time += time;
                if let Some((verdict, scenario)) = differs {
                    self.fail(number, verdict, scenario);
                }
            }
            Done::Hunt(time, hunt) => {
                self.time += time;
                self.seeds += hunt.seeds;
                self.counts += hunt.counts;
                self.hunted = Some(hunt);
            }
            Done::Replay(time, verdict) => {
                self.time += time;
                self.seeds += 1;
                self.counts += verdict.counts;
                self.replayed = Some(verdict);
            }
        }
    }

    fn fail(&mut self, number: usize, verdict: Box<Verdict>, scenario: Box<Scenario>) {
        let (name, seed) = (scenario.name.clone(), verdict.seed);
        let failed = Failed { name, seed, signature: signature(&verdict) };
        self.failed.insert(number, failed);
        self.kept.insert(number, (verdict, scenario));
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_last();
        }
    }

    pub(super) fn row(self, loaded: &Loaded, failures: &mut Failures) -> Row {
        let name = loaded.name();
        let failed: Vec<Failed> = self.failed.into_values().collect();
        failures.add(&failed);
        let mut row = Row::new(&name, self.seeds, self.counts, self.time);
        let digests: Vec<u8> = self.digests.values().flat_map(|it| it.to_le_bytes()).collect();
        row.digest = (!digests.is_empty()).then(|| format!("{:016x}", xxh3_64(&digests)));
        let kept: Vec<_> = self.kept.into_values().collect();
        match loaded {
            Loaded::Seed(_, file) => match self.replayed {
                Some(verdict) => regression(row, file, &verdict),
                None => row,
            },
            Loaded::Swarm(_) => claimed(row, &kept, failed.len(), &[]),
            Loaded::Scenario(scenario) => match (&scenario.claim, self.hunted) {
                (Claim::Violates { property, .. }, Some(hunt)) => hunted_row(row, property, *hunt),
                (Claim::Violates { .. } | Claim::Expect(_), _) => {
                    claimed(row, &kept, failed.len(), &self.happened)
                }
            },
        }
    }
}

/// A regression keeps its verdict. Its trace may move when the engine changes, which is told.
fn regression(row: Row, file: &SeedFile, verdict: &Verdict) -> Row {
    let found = Expected::of(&verdict.result);
    if found != file.expected {
        let message = format!("was `{}`: {}", file.expected.result, verdict.result.explain());
        let code = verdict.result.exit_code().max(1);
        return row.failed(&format!("is `{}` now", found.result), code, message);
    }
    let result = match file.diverges_at(&verdict.trace) {
        None => format!("replays: {}", found.result),
        Some(event) => format!("{}, moved at event {event}", found.result),
    };
    row.good(result)
}

fn hunted_row(row: Row, property: &str, hunt: Hunt) -> Row {
    if let Some(caught) = hunt.caught {
        return row.good(format!("caught by {property} at seed {}", caught.seed));
    }
    let other = hunt.other.unwrap_or_else(|| "every property held".to_owned());
    row.failed("not caught", 1, format!("no seed violates {property}; {other}"))
}

fn claimed(
    row: Row,
    kept: &[(Box<Verdict>, Box<Scenario>)],
    failed: usize,
    happened: &[bool],
) -> Row {
    let worst = kept.iter().min_by_key(|(it, _)| (it.result.exit_code(), it.seed));
    let Some((first, scenario)) = worst else {
        let Some(never) = happened.iter().position(|it| !it) else { return row };
        let message = format!(
            "fault {} never happened in {} seeds\n\
             hint: let it come earlier, wait for an event that occurs, or remove it",
            never + 1,
            row.seeds
        );
        return row.failed("a fault never happened", USAGE, message);
    };
    let mut lines = vec![format!("seed {}: {}", first.seed, first.result.explain())];
    if failed > 1 {
        lines.push(format!("{failed} of {} seeds fail", row.seeds));
    }
    lines.push(match keep(scenario, first) {
        Ok(path) => format!("replay: cargo sim replay {}", path.display()),
        Err(error) => error,
    });
    let result = match &first.result {
        Outcome::Violated { property, .. } => format!("violated: {property}"),
        Outcome::Holds | Outcome::Stuck { .. } | Outcome::NotDeterministic { .. } => {
            first.result.name().to_owned()
        }
    };
    row.failed(&result, first.result.exit_code(), lines.join("\n"))
}
