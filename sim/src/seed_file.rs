//! A seed file: one run, whole. The scenario as text, the seed, the resolved fault schedule, what came
//! of it, and the digest of its trace.
//!
//! `replay` takes the faults from the file, not from the scenario's draws, so the file keeps its meaning
//! when a draw is added. It must reproduce the trace byte for byte or say at which event it diverged;
//! for that the file holds sixteen bits for each event.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::fault::{self, Fault, FaultText};
use crate::scenario::problem::Problem;
use crate::scenario::{FileError, Scenario};
use crate::trace::{Marks, Trace};
use crate::verdict::{Result as Outcome, Verdict};

/// The newest format; a file says which one it has.
pub const FORMAT: u32 = 1;

/// One run, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedFile {
    /// What ran.
    pub scenario: Scenario,
    /// With which seed.
    pub seed: u64,
    /// What the world did.
    pub schedule: Vec<Fault>,
    /// What came of it.
    pub expected: Expected,
    /// The digest of its trace.
    pub digest: u64,
    /// One mark for each event.
    pub marks: Marks,
}

/// The verdict of a run as a file states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// `holds`, `violated` or `stuck`.
    pub result: String,
    /// Which property is violated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
}

impl Expected {
    /// Of a verdict.
    pub fn of(outcome: &Outcome) -> Self {
        let property = match outcome {
            Outcome::Violated { property, .. } => Some(property.clone()),
            Outcome::Holds | Outcome::Stuck { .. } | Outcome::NotDeterministic { .. } => None,
        };
        Self { result: outcome.name().to_owned(), property }
    }
}

#[derive(Debug, Clone, Serialize)]
struct Written<'a> {
    format: u32,
    name: &'a str,
    seed: u64,
    digest: String,
    expected: Expected,
    scenario: &'a str,
    marks: String,
    fault: Vec<toml::Table>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    format: Spanned<u32>,
    name: String,
    seed: u64,
    digest: Spanned<String>,
    expected: Expected,
    scenario: Spanned<String>,
    marks: Spanned<String>,
    #[serde(default)]
    fault: Vec<Spanned<FaultText>>,
}

impl SeedFile {
    /// The file of a run.
    pub fn of(scenario: &Scenario, verdict: &Verdict) -> Self {
        Self {
            scenario: scenario.clone(),
            seed: verdict.seed,
            schedule: verdict.schedule.clone(),
            expected: Expected::of(&verdict.result),
            digest: verdict.trace.digest(),
            marks: verdict.trace.marks(),
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let written = Written {
            format: FORMAT,
            name: &self.scenario.name,
            seed: self.seed,
            digest: format!("{:016x}", self.digest),
            expected: self.expected.clone(),
            scenario: &self.scenario.text,
            marks: show_marks(&self.marks),
            fault: self.schedule.iter().map(fault::to_toml).collect(),
        };
        toml::to_string(&written).expect("every seed file has a text")
    }

    /// Reads a seed file from its text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        let read: Read = toml::from_str(text).map_err(|it| FileError::toml(file, text, &it))?;
        let fail = |problem: Problem| FileError {
            file: file.to_owned(),
            text: text.to_owned(),
            problems: vec![problem],
        };
        if *read.format.get_ref() != FORMAT {
            let message = format!("format {}, expected {FORMAT}", read.format.get_ref());
            return Err(fail(
                Problem::at(read.format.span(), message)
                    .hint("the file was written by another version of this program"),
            ));
        }
        let scenario = Scenario::parse(&read.name, read.scenario.get_ref())
            .map_err(|it| FileError { file: format!("{file}: scenario {}", read.name), ..it })?;
        let digest = u64::from_str_radix(read.digest.get_ref(), 16).map_err(|_| {
            fail(Problem::at(read.digest.span(), "the digest is not a hexadecimal number"))
        })?;
        let marks = parse_marks(read.marks.get_ref()).ok_or_else(|| {
            fail(Problem::at(
                read.marks.span(),
                "the marks are not groups of four hexadecimal digits",
            ))
        })?;
        let schedule = scenario.read_schedule(text, &read.fault).map_err(|problems| FileError {
            file: file.to_owned(),
            text: text.to_owned(),
            problems,
        })?;
        Ok(Self { scenario, seed: read.seed, schedule, expected: read.expected, digest, marks })
    }

    /// Reads a seed file.
    ///
    /// # Errors
    /// When it cannot be read, and everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|it| FileError::whole(&file, format!("cannot read the seed file: {it}")))?;
        Self::parse(&file, &text)
    }

    /// The number of the first event, from 1, at which `trace` leaves the recorded run.
    pub fn diverges_at(&self, trace: &Trace) -> Option<usize> {
        let marks = trace.marks();
        let common = marks.iter().zip(&self.marks).take_while(|(now, then)| now == then).count();
        let is_same = common == marks.len() && common == self.marks.len();
        if is_same && trace.digest() == self.digest { None } else { Some(common + 1) }
    }
}

fn show_marks(marks: &[u16]) -> String {
    let lines: Vec<String> = marks
        .chunks(20)
        .map(|chunk| chunk.iter().map(|it| format!("{it:04x}")).collect::<Vec<_>>().join(" "))
        .collect();
    lines.join("\n") + "\n"
}

fn parse_marks(text: &str) -> Option<Marks> {
    text.split_whitespace()
        .map(|it| u16::from_str_radix(it, 16).ok().filter(|_| it.len() == 4))
        .collect()
}
