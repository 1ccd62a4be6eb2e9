//! A seed file: one run, whole. The scenario as text, the seed, the resolved fault schedule, what came
//! of it, and the digest of its trace.
//!
//! `replay` takes the faults from the file, not from the scenario's draws, so the file keeps its meaning
//! when a draw is added. It must reproduce the trace byte for byte or say at which event it diverged;
//! for that the file holds sixteen bits for each event. A file without them is judged by its verdict
//! alone, which is what outlives a change of the engine.
//!
//! Files of an older format are read for ever:
//!
//! | format | difference to the next |
//! |---|---|
//! | 1 | `digest` and `marks` are required; does not say which program wrote it |
//! | 2 | |

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::fault::{self, Fault, FaultText};
use crate::scenario::problem::Problem;
use crate::scenario::{FileError, Scenario};
use crate::trace::{Marks, Trace};
use crate::verdict::{Result as Outcome, Verdict};

/// The newest format; a file says which one it has.
pub const FORMAT: u32 = 2;

/// Who writes seed files.
const PROGRAM: &str = concat!("seawall-sim ", env!("CARGO_PKG_VERSION"));

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
    /// What tells this run from any other; without it the verdict alone counts.
    pub footprint: Option<Footprint>,
}

/// The trace of a run in a few bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    /// The digest of the trace.
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

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.result)?;
        self.property.iter().try_for_each(|it| write!(f, ": {it}"))
    }
}

#[derive(Debug, Clone, Serialize)]
struct Written<'a> {
    format: u32,
    program: &'a str,
    name: &'a str,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    scenario: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<String>,
    expected: Expected,
    fault: Vec<toml::Table>,
}

/// What every format has, to say what a file is before it is read.
#[derive(Debug, Clone, Deserialize)]
struct Head {
    format: Spanned<u32>,
    program: Option<String>,
    name: Option<String>,
    seed: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    format: u32,
    /// Read by [`Head`].
    #[serde(rename = "program")]
    _program: Option<String>,
    name: String,
    seed: u64,
    digest: Option<Spanned<String>>,
    expected: Expected,
    scenario: Spanned<String>,
    marks: Option<Spanned<String>>,
    #[serde(default)]
    fault: Vec<Spanned<FaultText>>,
}

impl SeedFile {
    /// The file of a run.
    pub fn of(scenario: &Scenario, verdict: &Verdict) -> Self {
        let trace = &verdict.trace;
        Self {
            scenario: scenario.clone(),
            seed: verdict.seed,
            schedule: verdict.schedule.clone(),
            expected: Expected::of(&verdict.result),
            footprint: Some(Footprint { digest: trace.digest(), marks: trace.marks() }),
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let written = Written {
            format: FORMAT,
            program: PROGRAM,
            name: &self.scenario.name,
            seed: self.seed,
            digest: self.footprint.as_ref().map(|it| format!("{:016x}", it.digest)),
            scenario: &self.scenario.text,
            marks: self.footprint.as_ref().map(|it| show_marks(&it.marks)),
            expected: self.expected.clone(),
            fault: self.schedule.iter().map(fault::to_toml).collect(),
        };
        toml::to_string(&written).expect("every seed file has a text")
    }

    /// Reads a seed file from its text.
    ///
    /// # Errors
    /// Everything that is wrong with it; when it is of another time, also how to record it anew.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        let head: Head = toml::from_str(text).map_err(|it| FileError::toml(file, text, &it))?;
        let fail = |problem: Problem| FileError {
            file: file.to_owned(),
            text: text.to_owned(),
            problems: vec![problem],
        };
        if !(1..=FORMAT).contains(head.format.get_ref()) {
            let message = format!(
                "{} wrote it in format {}, this is {PROGRAM}, which reads the formats 1 to {FORMAT}",
                head.program(),
                head.format.get_ref(),
            );
            let hint = format!("replay it with the program that wrote it, or {}", head.anew());
            return Err(fail(Problem::at(head.format.span(), message).hint(hint)));
        }
        let read: Read = toml::from_str(text).map_err(|it| FileError::toml(file, text, &it))?;
        let footprint = read.footprint().map_err(|it| fail(it.hint(head.anew())))?;
        let scenario = Scenario::parse(&read.name, read.scenario.get_ref())
            .map_err(|it| FileError { file: format!("{file}: scenario {}", read.name), ..it })
            .map_err(|it| head.is_of_another_time(it))?;
        let schedule = scenario.read_schedule(text, &read.fault).map_err(|problems| {
            let (file, text) = (file.to_owned(), text.to_owned());
            head.is_of_another_time(FileError { file, text, problems })
        })?;
        Ok(Self { scenario, seed: read.seed, schedule, expected: read.expected, footprint })
    }

    /// Reads a seed file of a job that this program has.
    ///
    /// # Errors
    /// When it cannot be read, everything that is wrong with it, and when another crate has its job.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let seed_file = Self::load_any(path)?;
        let scenario = seed_file.scenario.of_this_program().map_err(|it| FileError {
            file: format!("{}: scenario {}", path.display(), it.file),
            ..it
        })?;
        Ok(Self { scenario, ..seed_file })
    }

    /// Reads a seed file, whoever has its job.
    ///
    /// # Errors
    /// When it cannot be read, and everything that is wrong with it.
    pub fn load_any(path: &Path) -> Result<Self, FileError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|it| FileError::whole(&file, format!("cannot read the seed file: {it}")))?;
        Self::parse(&file, &text)
    }

    /// The number of the first event, from 1, at which `trace` leaves the recorded run, as far as the
    /// file can tell.
    pub fn diverges_at(&self, trace: &Trace) -> Option<usize> {
        let Footprint { digest, marks: then } = self.footprint.as_ref()?;
        let now = trace.marks();
        let common = now.iter().zip(then).take_while(|(now, then)| now == then).count();
        let is_same = common == now.len() && common == then.len();
        if is_same && trace.digest() == *digest { None } else { Some(common + 1) }
    }
}

impl Head {
    fn program(&self) -> &str {
        self.program.as_deref().unwrap_or("an earlier seawall-sim")
    }

    fn anew(&self) -> String {
        match (&self.name, self.seed) {
            (Some(name), Some(seed)) => {
                format!("record the run anew: cargo sim run {name} --seed {seed}")
            }
            (None, _) | (_, None) => "record the run anew with `cargo sim run`".to_owned(),
        }
    }

    /// What was legal when it was written is no more: says so, after what is wrong with it.
    fn is_of_another_time(&self, mut error: FileError) -> FileError {
        let message = format!("it was legal for {} and is not for {PROGRAM}", self.program());
        let hint = format!("adapt the text in the file, or {}", self.anew());
        error.problems.push(Problem { span: None, message, hint: Some(hint) });
        error
    }
}

impl Read {
    /// The upgrade to the newest format, and what is missing for it.
    fn footprint(&self) -> Result<Option<Footprint>, Problem> {
        let missing = |key: &str| {
            Problem::at(
                0..0,
                format!("a file of format {} has `{key}`, this one lacks it", self.format),
            )
        };
        let (digest, marks) = match (&self.digest, &self.marks) {
            (Some(digest), Some(marks)) => (digest, marks),
            (None, None) if self.format > 1 => return Ok(None),
            (None, _) => return Err(missing("digest")),
            (Some(_), None) => return Err(missing("marks")),
        };
        let wrong = |it: &Spanned<String>, what: &str| Problem::at(it.span(), what);
        Ok(Some(Footprint {
            digest: u64::from_str_radix(digest.get_ref(), 16)
                .map_err(|_| wrong(digest, "the digest is not a hexadecimal number"))?,
            marks: parse_marks(marks.get_ref()).ok_or_else(|| {
                wrong(marks, "the marks are not groups of four hexadecimal digits")
            })?,
        }))
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
