//! A run that may fail: a scenario as a TOML document, with every fault written out, and a seed.

use std::fmt::{self, Write as _};
use std::time::Duration;

use toml::{Table, Value};

use crate::fault;
use crate::scenario::quantity::show_time;
use crate::scenario::{FileError, Scenario};
use crate::seed_file::SeedFile;

/// Keys of a fault that come before its verb.
pub(crate) const TRIGGERS: [&str; 3] = ["at", "on", "every"];

#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) document: Table,
    pub(crate) faults: Vec<Table>,
    pub(crate) seed: u64,
}

impl Candidate {
    /// The run of a seed file: its scenario, with the schedule in the place of the faults it was drawn from.
    pub(super) fn of(file: &SeedFile) -> Self {
        let faults = file.schedule.iter().map(fault::to_toml).collect();
        Self { faults, ..Self::read(&file.scenario, file.seed) }
    }

    /// The run of a scenario with this seed, with the faults as they stand there.
    pub(crate) fn read(scenario: &Scenario, seed: u64) -> Self {
        let mut document: Table =
            toml::from_str(&scenario.text).expect("the scenario was read from this text");
        let faults = match document.remove("fault") {
            Some(Value::Array(faults)) => faults,
            _ => Vec::new(),
        };
        let tables = faults.into_iter().filter_map(|it| it.try_into().ok());
        Self { faults: tables.collect(), document, seed }
    }

    pub(super) fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    pub(super) fn with_faults(&self, faults: Vec<Table>) -> Self {
        Self { faults, ..self.clone() }
    }

    /// With another fault at this place.
    pub(super) fn with_fault(&self, index: usize, fault: Table) -> Self {
        let mut other = self.clone();
        other.faults[index] = fault;
        other
    }

    /// With another value in a section, or at the top when the section is empty.
    pub(crate) fn with(&self, section: &str, key: &str, value: Value) -> Self {
        let mut other = self.clone();
        let table = match other.document.get_mut(section) {
            Some(Value::Table(table)) => table,
            _ => &mut other.document,
        };
        table.insert(key.to_owned(), value);
        other
    }

    /// A value of a section.
    pub(crate) fn get(&self, section: &str, key: &str) -> Option<&Value> {
        self.document.get(section)?.get(key)
    }

    /// A number of a section; 0 when it is not there.
    pub(super) fn number(&self, section: &str, key: &str) -> u64 {
        let value = self.get(section, key).and_then(Value::as_integer);
        value.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
    }

    /// What tells it from others.
    pub(crate) fn key(&self) -> (String, u64) {
        (self.text(), self.seed)
    }

    /// The scenario.
    ///
    /// # Errors
    /// Why it is not legal.
    pub(crate) fn scenario(&self, name: &str) -> Result<Scenario, FileError> {
        let text = self.with("", "seeds", Value::Array(vec![number(self.seed)])).text();
        Scenario::parse(name, &text)
    }

    /// The scenario file: values, then sections, then one inline table for each verb.
    fn text(&self) -> String {
        let mut out = String::new();
        let is_section = |value: &Value| value.is_table();
        for (key, value) in self.document.iter().filter(|(_, value)| !is_section(value)) {
            write(&mut out, key, value);
        }
        for (name, section) in self.document.iter().filter_map(|(k, v)| Some((k, v.as_table()?))) {
            writeln!(out, "\n[{name}]").expect("writing to a string cannot fail");
            section.iter().for_each(|(key, value)| write(&mut out, key, value));
        }
        for fault in &self.faults {
            out.push_str("\n[[fault]]\n");
            let is_trigger = |key: &str| TRIGGERS.contains(&key);
            fault.iter().filter(|it| is_trigger(it.0)).for_each(|it| write(&mut out, it.0, it.1));
            fault.iter().filter(|it| !is_trigger(it.0)).for_each(|it| write(&mut out, it.0, it.1));
        }
        out
    }

    pub(super) fn size(&self, scenario: &Scenario) -> Size {
        let sections =
            self.document.iter().filter(|(key, _)| !["job", "cluster"].contains(&key.as_str()));
        let settings = sections.filter_map(|(_, value)| value.as_table()).map(Table::len).sum();
        Size {
            faults: scenario.faults.len(),
            records: scenario.workload.records,
            keys: scenario.workload.keys,
            workers: scenario.cluster.workers,
            parallelism: scenario.workload.parallelism,
            settings,
            until: scenario.until,
        }
    }
}

pub(crate) fn number(it: u64) -> Value {
    Value::Integer(i64::try_from(it).unwrap_or(i64::MAX))
}

fn write(out: &mut String, key: &str, value: &Value) {
    writeln!(out, "{key} = {value}").expect("writing to a string cannot fail");
}

/// How large a run is. The order is the order of what matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Faults in the schedule.
    pub faults: usize,
    /// Input records.
    pub records: u64,
    /// Distinct keys among them.
    pub keys: u64,
    /// Workers.
    pub workers: u32,
    /// Subtasks of each chain.
    pub parallelism: u32,
    /// Settings that are not left at their default.
    pub settings: usize,
    /// The safety phase.
    pub until: Duration,
}

impl Size {
    /// Name and value of each, for people.
    pub fn rows(&self) -> [(&'static str, String); 7] {
        [
            ("faults", self.faults.to_string()),
            ("records", self.records.to_string()),
            ("keys", self.keys.to_string()),
            ("workers", self.workers.to_string()),
            ("parallelism", self.parallelism.to_string()),
            ("settings", self.settings.to_string()),
            ("until", show_time(self.until)),
        ]
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows().map(|(name, value)| format!("{name} {value}"));
        f.write_str(&rows.join(", "))
    }
}
