//! Coverage: which rare branches, buggify sites, and faults in which phases a run, or a sweep, came to.
//!
//! ```text
//! run ─► hits of its thread (seawall_probe) ─┐
//!     └► fault kind x phase (phase) ─────────┴─► Coverage ── merge ──► of a sweep ─► what stayed dark
//! ```
//!
//! It is no verdict: a run that reaches little holds all the same. What a sweep never reaches was not tested.
//!
//! Deliberately absent: lines and branches. What the compiler can count says little about a protocol.

mod phase;
mod table;

use std::collections::BTreeMap;

use seawall_probe::{Hits, Probe, Site};

use crate::scenario::{Claim, Scenario};
use crate::trace::Trace;
use crate::verdict::Result as Outcome;
use crate::verify::Loaded;
use crate::{run, swarm, sweep};

pub use phase::{Phase, Phases};
pub use table::Reached;

/// What was reached, and how often.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How many runs it is of.
    pub runs: u64,
    /// Hits of each probe that was hit.
    pub probes: BTreeMap<Probe, u64>,
    /// How often each buggify site fired that did.
    pub sites: BTreeMap<Site, u64>,
    /// How often a fault of this kind began in this phase.
    pub cells: BTreeMap<(String, Phase), u64>,
}

impl Coverage {
    /// Of one run: what its thread counted, and the faults that began, each by the entry of the trace with
    /// which it did, and its kind.
    pub fn of<'a>(
        hits: Hits,
        trace: &Trace,
        faults: impl IntoIterator<Item = (usize, &'a str)>,
    ) -> Self {
        let mut faults: Vec<_> = faults.into_iter().collect();
        faults.sort_unstable();
        let (mut phases, mut seen) = (Phases::default(), 0);
        let mut cells = BTreeMap::new();
        for (entry, kind) in faults {
            phases.on_all(&trace.entries[seen..entry]);
            seen = entry;
            *cells.entry((kind.to_owned(), phases.now())).or_default() += 1;
        }
        Self { runs: 1, probes: hits.probes, sites: hits.sites, cells }
    }

    /// Adds what other runs reached.
    pub fn merge(&mut self, other: &Self) {
        fn add<K: Ord + Clone>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *to.entry(key.clone()).or_default() += count;
            }
        }
        self.runs += other.runs;
        add(&mut self.probes, &other.probes);
        add(&mut self.sites, &other.sites);
        add(&mut self.cells, &other.cells);
    }

    /// How many probes and cells this reached that `known` did not.
    pub fn news_to(&self, known: &Self) -> usize {
        let probes = self.probes.keys().filter(|it| !known.probes.contains_key(it));
        let cells = self.cells.keys().filter(|it| !known.cells.contains_key(it));
        probes.count() + cells.count()
    }

    /// The probes that were never hit.
    pub fn dark_probes(&self) -> impl Iterator<Item = Probe> {
        Probe::ALL.iter().copied().filter(|it| !self.probes.contains_key(it))
    }

    /// The buggify sites that never fired.
    pub fn dark_sites(&self) -> impl Iterator<Item = Site> {
        Site::ALL.iter().copied().filter(|it| !self.sites.contains_key(it))
    }

    /// The phases in which no fault of this kind began.
    pub fn dark_phases(&self, kind: &str) -> Vec<Phase> {
        let is_dark = |it: &Phase| !self.cells.contains_key(&(kind.to_owned(), *it));
        Phase::ALL.into_iter().filter(is_dark).collect()
    }

    /// The kinds of faults that began, with those that the caller knows of, ascending.
    fn kinds<'a>(&'a self, known: &[&'a str]) -> Vec<&'a str> {
        let mut kinds: Vec<_> = self.cells.keys().map(|(kind, _)| kind.as_str()).collect();
        kinds.extend(known);
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// What a sweep for coverage came to.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Of all runs.
    pub coverage: Coverage,
    /// The kinds of faults in the scenarios, whether they began or not.
    pub kinds: Vec<&'static str>,
    /// Runs of scenarios that claim what holds, in which it did not: name, seed and why.
    pub failures: Vec<String>,
}

/// Seeds of a swarm when none are named.
const SWARM_SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

/// Runs all that is loaded, each scenario over `seeds` or its own, and adds up what was reached. Seed files
/// keep their seed.
pub fn measure(loaded: &[Loaded], seeds: Option<&[u64]>, jobs: usize, buggify: bool) -> Measured {
    let mut work = Vec::new();
    for one in loaded {
        let own = match one {
            Loaded::Scenario(scenario) => scenario.seeds.clone(),
            Loaded::Swarm(_) => SWARM_SEEDS.collect(),
            Loaded::Seed(_, file) => vec![file.seed],
        };
        let is_fixed = matches!(one, Loaded::Seed(..));
        let seeds = seeds.filter(|_| !is_fixed).unwrap_or(&own);
        work.extend(seeds.iter().map(|seed| (one, *seed)));
    }
    let runs = sweep::in_parallel(&work, jobs, |(one, seed)| {
        let mut scenario = match one {
            Loaded::Scenario(scenario) => Scenario::clone(scenario),
            Loaded::Swarm(profile) => swarm::scenario(*profile, *seed),
            Loaded::Seed(_, file) => file.scenario.clone(),
        };
        scenario.is_buggified |= buggify;
        let verdict = match one {
            Loaded::Scenario(_) | Loaded::Swarm(_) => run::run(&scenario, *seed),
            Loaded::Seed(_, file) => run::run_with(&scenario, *seed, file.schedule.clone()),
        };
        let is_promised =
            matches!(scenario.claim, Claim::Expect(_)) && !matches!(one, Loaded::Seed(..));
        let failure = (is_promised && verdict.result != Outcome::Holds)
            .then(|| format!("{} seed {seed}: {}", scenario.name, verdict.result.explain()));
        let kinds: Vec<_> = scenario.faults.iter().map(|it| it.verb.name()).collect();
        (verdict.coverage, kinds, failure)
    });
    let mut measured = Measured::default();
    for (coverage, kinds, failure) in runs {
        measured.coverage.merge(&coverage);
        measured.kinds.extend(kinds);
        measured.failures.extend(failure);
    }
    measured.kinds.sort_unstable();
    measured.kinds.dedup();
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(probes: &[Probe], began: &[(&'static str, Phase)]) -> Coverage {
        let probes = probes.iter().map(|it| (*it, 1)).collect();
        let mut cells = BTreeMap::new();
        for (kind, phase) in began {
            *cells.entry(((*kind).to_owned(), *phase)).or_default() += 1;
        }
        Coverage { runs: 1, probes, sites: BTreeMap::new(), cells }
    }

    #[test]
    fn merged_coverage_counts_every_run_and_knows_no_news() {
        let one = coverage(&[Probe::AckTwice], &[("crash", Phase::Manifest)]);
        let other = coverage(
            &[Probe::AckTwice, Probe::CheckpointExpires],
            &[("crash", Phase::Manifest), ("crash", Phase::Manifest), ("pause", Phase::Running)],
        );
        assert_eq!(other.news_to(&one), 2, "a probe and a cell");
        let mut both = one.clone();
        both.merge(&other);
        assert_eq!((both.runs, both.probes[&Probe::AckTwice]), (2, 2));
        assert_eq!(both.cells[&("crash".to_owned(), Phase::Manifest)], 3);
        assert_eq!(other.news_to(&both), 0);
    }

    #[test]
    fn what_was_never_reached_is_dark() {
        let one = coverage(&[Probe::AckTwice], &[("crash", Phase::Manifest)]);
        assert_eq!(one.dark_probes().count(), Probe::ALL.len() - 1);
        assert_eq!(one.dark_sites().count(), Site::ALL.len());
        assert_eq!(one.dark_phases("crash").len(), Phase::ALL.len() - 1);
        assert_eq!(one.dark_phases("pause"), Phase::ALL);
    }

    #[test]
    fn the_matrix_has_a_row_for_each_kind_and_a_dot_where_nothing_began() {
        let one = coverage(&[], &[("crash", Phase::Manifest)]);
        let text = one.matrix(&["pause"]);
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[0].contains("no-leader") && rows[0].ends_with("ended"), "{text}");
        let cells = |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (crash, pause) = (cells(rows[1]), cells(rows[2]));
        assert_eq!((crash[0].as_str(), crash[8].as_str(), crash[9].as_str()), ("crash", "1", "·"));
        assert!(pause[1..].iter().all(|it| it == "·"), "{text}");
    }

    #[test]
    fn the_json_says_what_was_hit_and_what_stayed_dark() {
        let one = coverage(&[Probe::AckTwice], &[("crash", Phase::Manifest)]);
        let json: serde_json::Value = serde_json::from_str(&one.json(&["pause"])).unwrap();
        assert_eq!(json["probes"]["AckTwice"], 1);
        assert_eq!(json["faults"]["crash"]["manifest"], 1);
        assert_eq!(json["faults"]["pause"]["manifest"], 0);
        let dark = json["dark_probes"].as_array().unwrap();
        assert_eq!(dark.len(), Probe::ALL.len() - 1);
    }
}
