//! Coverage for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

use seawall_probe::{Probe, Site};
use serde::Serialize;

use super::{Coverage, Phase};

/// Coverage by name, with what stayed dark.
#[derive(Debug, Clone, Serialize)]
pub struct Reached {
    /// How many runs it is of.
    pub runs: u64,
    /// Hits of each probe that was hit.
    pub probes: BTreeMap<&'static str, u64>,
    /// The probes that were never hit.
    pub dark_probes: Vec<&'static str>,
    /// How often each buggify site fired that did.
    pub sites: BTreeMap<&'static str, u64>,
    /// The sites that never fired.
    pub dark_sites: Vec<&'static str>,
    /// Every kind with every phase, also where it is 0.
    pub faults: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

impl Reached {
    /// How much of all there is, in one line.
    pub fn text(&self) -> String {
        let (hit, dark) = (self.probes.len(), self.dark_probes.len());
        let cells = || self.faults.values().flat_map(BTreeMap::values);
        let begun = cells().filter(|it| **it > 0).count();
        format!(
            "reached {hit} of {} probes, {begun} of {} faults in a phase, {} of {} buggify sites",
            hit + dark,
            cells().count(),
            self.sites.len(),
            self.sites.len() + self.dark_sites.len()
        )
    }

    /// What stayed dark, for people.
    pub fn dark_text(&self) -> String {
        let mut out = String::new();
        let mut list = |title: &str, rows: Vec<(&str, Vec<&str>)>| {
            let rows: Vec<_> = rows.into_iter().filter(|(_, dark)| !dark.is_empty()).collect();
            if rows.is_empty() {
                return;
            }
            line(&mut out, format_args!("\n{title}"));
            for (name, dark) in rows {
                line(&mut out, format_args!("  {name}: {}", dark.join(", ")));
            }
        };
        let is_dark = |it: &&Probe| self.dark_probes.contains(&it.name());
        let probes = Probe::GROUPS.iter().map(|(group, probes)| {
            (*group, probes.iter().filter(is_dark).map(|it| it.name()).collect())
        });
        list("probes that were never hit", probes.collect());
        let faults = self.faults.iter().map(|(kind, phases)| {
            let phases = Phase::ALL.map(Phase::name).into_iter().filter(|it| phases[it] == 0);
            (kind.as_str(), phases.collect())
        });
        list("phases in which no fault of this kind began", faults.collect());
        let is_dark = |it: &&Site| self.dark_sites.contains(&it.name());
        let sites = Site::GROUPS.iter().map(|(group, sites)| {
            (*group, sites.iter().filter(is_dark).map(|it| it.name()).collect())
        });
        list("buggify sites that never fired", sites.collect());
        out
    }
}

impl Coverage {
    /// For people: hits by group, the matrix, and what stayed dark. `kinds` are faults that have a row though
    /// none may have begun.
    pub fn text(&self, kinds: &[&str]) -> String {
        let mut out = String::new();
        let hit = Probe::ALL.len() - self.dark_probes().count();
        line(&mut out, format_args!("{hit} of {} probes, {} runs", Probe::ALL.len(), self.runs));
        for (group, probes) in Probe::GROUPS {
            let counts = probes.iter().map(|it| (it.name(), self.probes.get(it)));
            group_text(&mut out, group, counts);
        }
        let fired = Site::ALL.len() - self.dark_sites().count();
        if fired > 0 {
            line(&mut out, format_args!("\n{fired} of {} buggify sites", Site::ALL.len()));
            for (group, sites) in Site::GROUPS {
                let counts = sites.iter().map(|it| (it.name(), self.sites.get(it)));
                group_text(&mut out, group, counts);
            }
        }
        let all = self.kinds(kinds).len() * Phase::ALL.len();
        line(&mut out, format_args!("\n{} of {all} faults in a phase", self.cells.len()));
        out + &self.matrix(kinds)
    }

    /// How often a fault of each kind began in each phase.
    pub fn matrix(&self, kinds: &[&str]) -> String {
        let kinds = self.kinds(kinds);
        let first = kinds.iter().map(|it| it.len()).max().unwrap_or_default();
        let mut out = " ".repeat(first);
        for phase in Phase::ALL {
            write!(out, "  {}", phase.name()).expect("a string takes everything");
        }
        out.push('\n');
        for kind in kinds {
            write!(out, "{kind:<first$}").expect("a string takes everything");
            for phase in Phase::ALL {
                let count = self.cells.get(&(kind.to_owned(), phase));
                let count = count.map_or_else(|| "·".to_owned(), u64::to_string);
                let width = phase.name().len();
                write!(out, "  {count:>width$}").expect("a string takes everything");
            }
            out.push('\n');
        }
        out
    }

    /// For machines.
    pub fn json(&self, kinds: &[&str]) -> String {
        serde_json::to_string_pretty(&self.reached(kinds)).expect("names and numbers have a JSON")
    }

    /// By name, with what stayed dark. `kinds` as in [`Coverage::text`].
    pub fn reached(&self, kinds: &[&str]) -> Reached {
        let row = |kind: &str| {
            let cell = |phase: Phase| {
                let count = self.cells.get(&(kind.to_owned(), phase)).copied();
                (phase.name(), count.unwrap_or_default())
            };
            Phase::ALL.into_iter().map(cell).collect()
        };
        Reached {
            runs: self.runs,
            probes: self.probes.iter().map(|(it, count)| (it.name(), *count)).collect(),
            dark_probes: self.dark_probes().map(Probe::name).collect(),
            sites: self.sites.iter().map(|(it, count)| (it.name(), *count)).collect(),
            dark_sites: self.dark_sites().map(Site::name).collect(),
            faults: self.kinds(kinds).into_iter().map(|it| (it.to_owned(), row(it))).collect(),
        }
    }
}

/// What of a group was reached, with its counts, and what was not.
fn group_text<'a>(
    out: &mut String,
    group: &str,
    counts: impl Iterator<Item = (&'static str, Option<&'a u64>)>,
) {
    line(out, format_args!("\n{group}"));
    let mut dark = Vec::new();
    for (name, count) in counts {
        match count {
            Some(count) => line(out, format_args!("{count:>10}  {name}")),
            None => dark.push(name),
        }
    }
    if !dark.is_empty() {
        line(out, format_args!("      dark  {}", dark.join(", ")));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes everything");
}
