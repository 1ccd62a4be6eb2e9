//! The campaign over the planted bugs: how soon a sweep finds each, and how small its failure becomes.
//!
//! ```text
//! scenario ─► sweeps, each with seeds of its own ─► the first that violates the property ─► is it the plant's?
//!                    │ none in the budget                                                       │ yes
//!                    ▼                                                                          ▼
//!          do the traces differ at all?                                          shrink, once for each bug
//! ```
//!
//! A failure counts only when the same seed without the plant does not fail alike: the engine itself is
//! the control. Everything but the time is a function of the scenarios and the build.
//!
//! Deliberately absent: the swarm, which hunts for what nobody planted, and bugs planted in models alone,
//! which `cargo sim model check --reverts` turns over.

pub mod page;

use std::time::Duration;

use serde::Serialize;

use crate::plants::Plant;
use crate::report::{self, Progress};
use crate::scenario::{Claim, Scenario};
use crate::seed_file::SeedFile;
use crate::shrink::{self, Limits};
use crate::sweep::{self, Stop};
use crate::verdict::Verdict;
use crate::{interrupt, run};

/// How far apart the seeds of two sweeps begin.
const SWEEPS_APART: u64 = 1_000;

/// How a campaign is made.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Sweeps over each bug; the first takes the seeds that begin with 1.
    pub sweeps: u64,
    /// Seeds after which a sweep gives up, unless the budget is larger.
    pub seeds_max: usize,
    /// Real time for shrinking a failure, on one core.
    pub shrinking: Duration,
    /// Bugs at a time.
    pub jobs: usize,
}

/// What became of one planted bug.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bug {
    /// The scenario.
    pub name: String,
    /// The property that must see it.
    pub property: String,
    /// Seeds in which it must be found.
    pub budget: usize,
    /// The seeds that each sweep took to find it.
    pub found: Vec<Option<usize>>,
    /// How it ended.
    pub outcome: Outcome,
    /// The first failure that was found, after shrinking.
    pub small: Option<Small>,
    /// The cells of its row that do not depend on runs.
    #[serde(skip)]
    facts: String,
}

/// How the hunt for a bug ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The median sweep found it within its budget.
    Killed,
    /// It changes what happens, and no property says so in time.
    Reached,
    /// Runs with it are the runs without it.
    NotReached,
}

/// A failure after shrinking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Small {
    /// Faults of the run that was found.
    pub faults_before: usize,
    /// Faults that are left.
    pub faults: usize,
    /// Records of the run that was found.
    pub records_before: u64,
    /// Records that are left.
    pub records: u64,
    /// Whether nothing simpler was left to try.
    pub is_minimal: bool,
    /// Real time.
    pub seconds: f64,
}

impl Bug {
    /// How many seeds the median sweep took, if it found the bug.
    pub fn seeds_to_find(&self) -> Option<usize> {
        let never = usize::MAX;
        median(self.found.iter().map(|it| it.unwrap_or(never))).filter(|it| *it != never)
    }

    /// How many sweeps found it within its budget.
    pub fn in_budget(&self) -> usize {
        self.found.iter().flatten().filter(|it| **it <= self.budget).count()
    }
}

/// The upper one of the two in the middle, when there are two.
fn median<T: PartialOrd>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).expect("what is measured can be compared"));
    let middle = values.len() / 2;
    values.into_iter().nth(middle)
}

/// Hunts for the bug of each of these planted scenarios. Fewer come back when somebody presses Ctrl-C.
pub fn campaign(scenarios: &[&Scenario], plan: Plan) -> Vec<Bug> {
    let mut bugs: Vec<(usize, Bug)> = Vec::new();
    let mut progress = Progress::new(Some(scenarios.len()));
    let tell = |number, _: &Scenario, bug: Bug| {
        let missed = bugs.iter().filter(|(_, it)| it.outcome != Outcome::Killed).count();
        progress.advance(&bug.name, missed);
        progress.finished(&format!("{}: {}", bug.name, bug.outcome));
        bugs.push((number, bug));
    };
    let work = scenarios.iter().copied();
    sweep::work_off(work, plan.jobs, &Stop::default(), |it| hunt(it, plan), tell);
    progress.clear();
    bugs.sort_by_key(|(number, _)| *number);
    bugs.into_iter().map(|(_, bug)| bug).collect()
}

fn hunt(scenario: &Scenario, plan: Plan) -> Bug {
    let (plant, property) = claim(scenario);
    let innocent = Scenario { claim: Claim::Expect(vec![property.to_owned()]), ..scenario.clone() };
    let budget = scenario.seeds.len();
    let (mut found, mut first) = (Vec::new(), None);
    for number in 0..plan.sweeps {
        let from = number * SWEEPS_APART + 1;
        let seeds: Vec<u64> = (from..).take(budget.max(plan.seeds_max)).collect();
        let hunt = sweep::hunt(scenario, &seeds);
        let is_guilty = |it: &Verdict| !run::run(&innocent, it.seed).violates(property);
        let caught = hunt.caught.filter(|it| is_guilty(it));
        found.push(caught.as_ref().map(|_| hunt.seeds));
        first = first.or(caught);
    }
    let mut bug = Bug {
        name: scenario.name.clone(),
        property: property.to_owned(),
        budget,
        found,
        outcome: Outcome::Killed,
        small: first.and_then(|it| small(scenario, &it, plan.shrinking)),
        facts: page::facts(scenario, &plant),
    };
    if bug.seeds_to_find().is_none_or(|it| it > budget) {
        let is_reached = scenario.seeds.iter().any(|seed| {
            let digest = |it| run::run(it, *seed).trace.digest();
            digest(scenario) != digest(&innocent)
        });
        bug.outcome = if is_reached { Outcome::Reached } else { Outcome::NotReached };
    }
    bug
}

/// What a planted scenario plants, and the property that must see it.
///
/// # Panics
/// When it plants nothing.
pub fn claim(scenario: &Scenario) -> (Plant, &str) {
    match &scenario.claim {
        Claim::Violates { plant, property } => {
            (Plant::find(plant).expect("the scenario was validated"), property)
        }
        Claim::Expect(_) => panic!("{} plants nothing", scenario.name),
    }
}

fn small(scenario: &Scenario, found: &Verdict, time: Duration) -> Option<Small> {
    let limits = Limits { time, jobs: 1, is_stopped: &interrupt::is_stopped, tell: &|_, _| {} };
    match shrink::shrink(&SeedFile::of(scenario, found), &limits) {
        Ok(it) => Some(Small {
            faults_before: it.before.faults,
            faults: it.after.faults,
            records_before: it.before.records,
            records: it.after.records,
            is_minimal: it.is_minimal,
            seconds: it.elapsed.as_secs_f64(),
        }),
        Err(reason) => {
            report::tell(&format!("{} seed {} is not shrunk: {reason}", scenario.name, found.seed));
            None
        }
    }
}
