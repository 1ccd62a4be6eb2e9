//! Coverage for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;

use seawall_probe::{Probe, Site};
use serde::Serialize;

use super::{Coverage, Phase};

#[derive(Serialize)]
struct Json<'a> {
    runs: u64,
    probes: BTreeMap<&'static str, u64>,
    dark_probes: Vec<&'static str>,
    sites: BTreeMap<&'static str, u64>,
    dark_sites: Vec<&'static str>,
    /// Every kind with every phase, also where it is 0.
    faults: BTreeMap<&'a str, BTreeMap<&'static str, u64>>,
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
        let row = |kind: &str| {
            let cell = |phase: Phase| {
                let count = self.cells.get(&(kind.to_owned(), phase)).copied();
                (phase.name(), count.unwrap_or_default())
            };
            Phase::ALL.into_iter().map(cell).collect()
        };
        let json = Json {
            runs: self.runs,
            probes: self.probes.iter().map(|(it, count)| (it.name(), *count)).collect(),
            dark_probes: self.dark_probes().map(Probe::name).collect(),
            sites: self.sites.iter().map(|(it, count)| (it.name(), *count)).collect(),
            dark_sites: self.dark_sites().map(Site::name).collect(),
            faults: self.kinds(kinds).into_iter().map(|it| (it, row(it))).collect(),
        };
        serde_json::to_string_pretty(&json).expect("names and numbers have a JSON")
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
