//! Guided sweeps: the next run changes an earlier one that reached what few runs reach.
//!
//! ```text
//!        ┌─► the swarm's scenario of the next seed ────┐
//! dice ──┤                                             ├─► a round of runs ─► what they reached ─┐
//!        └─► a run that is known, with changes ────────┘        (in the order of their number)   │
//!                  ▲                                                                             │
//!                  └─ which run came first to each probe, and to each fault in a phase,          │
//!                     and how many runs came there  ◄────────────────────────────────────────────┘
//! ```
//!
//! Changes are of two sorts. One aims: in the place of each fault it puts one of a kind that never began in that
//! phase. Up to the first of them the run is the same, so this one gets there. The other mixes: it takes a
//! piece from another scenario of the swarm, a fault, its moment or its verb, a setting. As shrinking does,
//! both edit the document and know no verb and no setting; what the validation refuses, or of which not all
//! that the swarm claims is promised, is drawn anew.
//!
//! All draws come from one stream of the base seed, and what is known changes between rounds of a fixed size.
//! So a guided sweep is a function of its base seed and its number of runs, whatever the number of jobs.
//! Memory is bounded: a run is remembered as long as something was first reached by it.
//!
//! Deliberately absent: a cost of runs. They all cost about the same.

use std::collections::{BTreeMap, BTreeSet};

use seawall_probe::Probe;
use toml::{Table, Value};

use crate::coverage::{Coverage, Phase};
use crate::fault::kinds::{KINDS, Kind};
use crate::plants::Plant;
use crate::run;
use crate::scenario::Scenario;
use crate::shrink::candidate::{Candidate, TRIGGERS, number};
use crate::swarm::{self, Dice, Profile};
use crate::world::Streams;

/// Runs that are drawn before what any of them reached is known.
pub const ROUND: usize = 32;
/// Faults of a changed run; a deep scenario of the swarm has as many.
const FAULTS_MAX: usize = 10;
/// Changes that are drawn anew when they are not legal, before the swarm draws instead.
const TRIES: usize = 20;
/// Of a hundred runs so many are the swarm's own, and the others up to `MIXED` aim.
const FRESH: u64 = 50;
const MIXED: u64 = 85;
/// Seeds of donors, and of runs that get another seed.
const SEEDS: u64 = 1_000_000;
/// What a change may take over as a whole.
const SETTINGS: [&str; 7] =
    ["job", "cluster", "checkpoint", "state", "restart", "heartbeat", "buggify"];

/// One run that was drawn.
#[derive(Debug, Clone)]
pub struct Run {
    /// What runs.
    pub scenario: Scenario,
    /// With which seed.
    pub seed: u64,
    /// Whether it is an earlier run with changes, and no scenario of the swarm.
    pub is_changed: bool,
    candidate: Candidate,
}

impl Run {
    /// Whether the property holds without the bug that is planted.
    fn is_sound(&self, property: &str) -> bool {
        let sound = self.candidate.scenario("guided/sound").expect("it is legal with the bug");
        !run::run(&sound, self.seed).violates(property)
    }
}

/// What a run can reach first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Probe(Probe),
    Cell(String, Phase),
}

/// A run that was the first somewhere.
struct Known {
    candidate: Candidate,
    /// In which phases its faults began, by their verbs.
    cells: Vec<(String, Phase)>,
}

#[derive(Debug, Clone, Copy)]
struct Reached {
    /// How many runs.
    runs: u64,
    /// The index of the first of them.
    first: usize,
}

/// Draws the runs of a guided sweep.
pub struct Guide {
    profile: Profile,
    base: u64,
    plant: Option<Plant>,
    dice: Dice,
    /// Whose faults may come at any moment.
    kinds: Vec<&'static Kind>,
    /// Scenarios that the swarm drew so far.
    fresh: u64,
    /// Runs drawn so far.
    drawn: u64,
    /// Runs that were the first somewhere.
    corpus: Vec<Known>,
    reached: BTreeMap<Place, Reached>,
}

impl Guide {
    /// Of this base seed, which is also the first seed of the swarm's scenarios.
    pub fn new(profile: Profile, base: u64) -> Self {
        let dice = Dice(Streams::new(base).stream("guide"));
        let is_of_any_moment =
            |it: &&Kind| it.is_survivable() && !it.is_setting() && it.trigger.is_none();
        let kinds = KINDS.iter().filter(is_of_any_moment).collect();
        let (corpus, reached) = (Vec::new(), BTreeMap::new());
        Self { profile, base, plant: None, dice, kinds, fresh: 0, drawn: 0, corpus, reached }
    }

    /// The same runs, with a bug planted in each.
    #[must_use]
    pub fn planted(self, plant: Plant) -> Self {
        Self { plant: Some(plant), ..self }
    }

    /// The next runs, at most so many. Learn from all of them before the next round.
    pub fn round(&mut self, runs_max: usize) -> Vec<Run> {
        (0..runs_max.min(ROUND)).map(|_| self.draw()).collect()
    }

    /// Takes in what a run reached, in the order in which the runs were drawn, and says whether it was the
    /// first somewhere.
    pub fn learn(&mut self, run: &Run, coverage: &Coverage) -> bool {
        let probes = coverage.probes.keys().copied().map(Place::Probe);
        let cells = coverage.cells.keys().cloned().map(|(kind, phase)| Place::Cell(kind, phase));
        let (first, mut is_first) = (self.corpus.len(), false);
        for place in probes.chain(cells) {
            let reached = self.reached.entry(place).or_insert_with(|| {
                is_first = true;
                Reached { runs: 0, first }
            });
            reached.runs += 1;
        }
        if is_first {
            let cells = coverage.cells.keys().cloned().collect();
            self.corpus.push(Known { candidate: run.candidate.clone(), cells });
        }
        is_first
    }

    fn draw(&mut self) -> Run {
        self.drawn += 1;
        let sort = self.dice.below(100);
        let changed = match sort {
            _ if self.corpus.is_empty() => None,
            0..FRESH => None,
            FRESH..MIXED => self.again(Self::aimed),
            _ => self.again(Self::mixed),
        };
        changed.unwrap_or_else(|| self.swarm())
    }

    fn swarm(&mut self) -> Run {
        let seed = self.base.wrapping_add(self.fresh);
        self.fresh += 1;
        let scenario = swarm::scenario(self.profile, seed);
        let candidate = Candidate::read(&scenario, seed);
        if self.plant.is_none() {
            return Run { scenario, seed, is_changed: false, candidate };
        }
        let scenario = self.claim(&candidate).expect("a bug may be planted in every scenario");
        Run { scenario, seed, is_changed: false, candidate }
    }

    /// The first change that is legal and of which everything is promised.
    fn again(&mut self, changed: fn(&mut Self) -> Option<Candidate>) -> Option<Run> {
        (0..TRIES).find_map(|_| {
            let about =
                format!("Run {} of base {}, another run with changes.", self.drawn, self.base);
            let candidate = changed(self)?.with("", "about", Value::String(about));
            let scenario = self.claim(&candidate).filter(swarm::is_promised)?;
            Some(Run { scenario, seed: candidate.seed, is_changed: true, candidate })
        })
    }

    /// A run whose faults began in known phases, with kinds of faults that never began there in their places.
    fn aimed(&mut self) -> Option<Candidate> {
        let lit = self.reached.iter().filter_map(|(place, reached)| match place {
            Place::Cell(_, phase) => Some((*phase, reached.first)),
            Place::Probe(_) => None,
        });
        let lit: Vec<(Phase, usize)> = lit.collect();
        let phases: BTreeSet<Phase> = lit.iter().map(|(phase, _)| *phase).collect();
        let phases: Vec<Phase> = phases.into_iter().collect();
        if phases.is_empty() {
            return None;
        }
        let phase = *self.dice.pick(&phases);
        let there: Vec<usize> = lit.iter().filter(|it| it.0 == phase).map(|it| it.1).collect();
        let Known { candidate, cells } = &self.corpus[*self.dice.pick(&there)];
        let (mut candidate, mut is_aimed) = (candidate.clone(), false);
        for fault in &mut candidate.faults {
            let Some((_, phase)) = cells.iter().find(|(verb, _)| fault.contains_key(verb)) else {
                continue;
            };
            let is_dark = |it: &&&Kind| {
                !self.reached.contains_key(&Place::Cell(it.verb().to_owned(), *phase))
            };
            let dark: Vec<&Kind> = self.kinds.iter().filter(is_dark).copied().collect();
            if !dark.is_empty() {
                let what = toml::from_str(self.dice.pick(&dark).spelling);
                *fault = crossed(fault, &what.expect("every kind has a legal spelling"));
                is_aimed = true;
            }
        }
        is_aimed.then_some(candidate)
    }

    /// A run that came to a rare place, with pieces of others.
    fn mixed(&mut self) -> Option<Candidate> {
        let parent = self.parent().candidate.clone();
        let mut candidate = parent.clone();
        for _ in 0..=self.dice.below(3) {
            self.change(&mut candidate);
        }
        (candidate.key() != parent.key()).then_some(candidate)
    }

    /// The scenario, when it is legal, with its name and with what is planted in it.
    fn claim(&self, candidate: &Candidate) -> Option<Scenario> {
        let name = format!("guided/{}-{}", self.base, self.drawn);
        let Some(plant) = self.plant else { return candidate.scenario(&name).ok() };
        let text = |it: &str| Value::String(it.to_owned());
        let mut planted = candidate.with("", "plant", text(plant.name)).with(
            "",
            "violates",
            text(plant.violates),
        );
        planted.document.remove("expect");
        planted.scenario(&format!("planted/{name}")).ok()
    }

    /// Of three places the one that the fewest runs came to, and who came there first.
    fn parent(&mut self) -> &Known {
        let places: Vec<Reached> = self.reached.values().copied().collect();
        let three = [(); 3].map(|()| *self.dice.pick(&places));
        let rarest = three.into_iter().min_by_key(|it| it.runs).expect("three are not none");
        &self.corpus[rarest.first]
    }

    /// One change, which may be none and need not be legal.
    fn change(&mut self, run: &mut Candidate) {
        let seed = 1 + self.dice.below(SEEDS);
        let donor = Candidate::read(&swarm::scenario(self.profile, seed), seed);
        let dice = &mut self.dice;
        let key = *dice.pick(&SETTINGS);
        let (mine, theirs) = (index(dice, &run.faults), index(dice, &donor.faults));
        match (dice.below(8), mine, theirs) {
            (0, _, _) => run.seed = seed,
            (1, _, _) => take_setting(run, &donor, key),
            (2, Some(mine), _) if run.faults.len() > 1 => drop(run.faults.remove(mine)),
            (3, _, Some(theirs)) if run.faults.len() < FAULTS_MAX => {
                run.faults.push(donor.faults[theirs].clone());
            }
            (4, Some(mine), Some(theirs)) => run.faults[mine] = donor.faults[theirs].clone(),
            (5, Some(mine), Some(theirs)) => {
                run.faults[mine] = crossed(&donor.faults[theirs], &run.faults[mine]);
            }
            (6, Some(mine), Some(theirs)) => {
                run.faults[mine] = crossed(&run.faults[mine], &donor.faults[theirs]);
            }
            (7, Some(mine), _) => count_on(&mut run.faults[mine], dice),
            _ => {}
        }
    }
}

fn index(dice: &mut Dice, faults: &[Table]) -> Option<usize> {
    let count = u64::try_from(faults.len()).expect("few faults");
    (count > 0).then(|| usize::try_from(dice.below(count)).expect("an index"))
}

/// When the one happens, what the other does.
fn crossed(when: &Table, what: &Table) -> Table {
    let is_trigger = |(key, _): &(&String, &Value)| TRIGGERS.contains(&key.as_str());
    let when = when.iter().filter(is_trigger);
    let what = what.iter().filter(|it| !is_trigger(it));
    when.chain(what).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Waits for another one of the events that match: an earlier one, or up to twice as many.
fn count_on(fault: &mut Table, dice: &mut Dice) {
    let nth = fault.get_mut("on").and_then(|it| it.get_mut("nth"));
    if let Some(nth) = nth
        && let Some(now) = nth.as_integer().and_then(|it| u64::try_from(it).ok())
    {
        *nth = number(1 + dice.below(2 * now + 1));
    }
}

/// A whole section, or a value of no section.
fn take_setting(run: &mut Candidate, donor: &Candidate, key: &str) {
    match donor.document.get(key) {
        Some(value) => run.document.insert(key.to_owned(), value.clone()),
        None => run.document.remove(key),
    };
}

/// How many runs it takes until the property that must see it convicts a planted bug, if any of so many does:
/// guided, or with the swarm's scenarios from `base` on.
pub fn runs_to_find(
    plant: Plant,
    profile: Profile,
    base: u64,
    runs_max: usize,
    is_guided: bool,
) -> Option<usize> {
    let mut guide = Guide::new(profile, base).planted(plant);
    let mut runs = 0;
    while runs < runs_max {
        for run in guide.round(runs_max - runs) {
            runs += 1;
            let verdict = run::run(&run.scenario, run.seed);
            if verdict.violates(plant.violates) && run.is_sound(plant.violates) {
                return Some(runs);
            }
            if is_guided {
                guide.learn(&run, &verdict.coverage);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_legal_or_drawn_anew() {
        let mut guide = Guide::new(Profile::Quick, 1);
        let first = guide.round(usize::MAX);
        assert_eq!(first.len(), ROUND);
        assert!(first.iter().all(|it| !it.is_changed), "nothing is known yet");
        for (index, run) in first.iter().enumerate() {
            let probes = [(Probe::ALL[index], 1)].into();
            let verbs = run.scenario.faults.iter().map(|it| it.verb.name().to_owned());
            let cells = verbs.map(|verb| ((verb, Phase::Manifest), 1)).collect();
            let coverage = Coverage { runs: 1, probes, cells, ..Coverage::default() };
            assert!(guide.learn(run, &coverage));
            assert!(!guide.learn(run, &coverage), "what is known is no news");
        }
        let mut changed = 0;
        for run in (0..20).flat_map(|_| guide.round(ROUND)) {
            changed += usize::from(run.is_changed);
            let again = Scenario::parse(&run.scenario.name, &run.scenario.text).unwrap();
            assert_eq!(again, run.scenario);
            assert!(run.scenario.faults.len() <= FAULTS_MAX);
        }
        assert!(changed > 20 * ROUND / 3, "{changed} of {} runs are changed", 20 * ROUND);
    }

    #[test]
    fn a_crossed_fault_has_the_moment_of_one_and_the_verb_of_the_other() {
        let parse = |it: &str| toml::from_str::<Table>(it).unwrap();
        let when = parse(r#"on = { event = "manifest-written" }"#);
        let one = parse(
            r#"on = { event = "manifest-written" }
pause = { node = "worker-1", resume_after = "1s" }"#,
        );
        let other = parse(
            r#"at = "2s"
crash = { node = "*" }"#,
        );
        let crossed = crossed(&one, &other);
        assert_eq!(crossed["on"], when["on"]);
        assert_eq!(crossed.keys().collect::<Vec<_>>(), ["crash", "on"]);
    }

    #[test]
    fn all_that_is_claimed_of_a_changed_run_is_promised() {
        for seed in 1..=200 {
            assert!(swarm::is_promised(&swarm::scenario(Profile::Quick, seed)), "seed {seed}");
        }
        let slow = |settings: &str| {
            let text = format!(
                "about = \"A slow sink.\"\nexpect = [\"recovers\"]\nseeds = [1]\nuntil = \"5s\"\n\
                 [job]\nname = \"ledger\"\nparallelism = 1\nrecords = 500\nkeys = 1\n\
                 sink_rate = \"200/s\"\n[cluster]\nworkers = 1\nslots_per_worker = 1\n\
                 [checkpoint]\n{settings}"
            );
            swarm::is_promised(&Scenario::parse("guided/slow", &text).unwrap())
        };
        assert!(!slow("tolerable_failures = 1"), "no barrier gets past a slow sink in time");
        assert!(slow("tolerable_failures = 1000"));
        assert!(slow("alignment = \"unaligned\""));
    }
}
