//! The commands of `seawall-sim`, one file each: its arguments, what it does, its exit code.

use std::path::PathBuf;

use clap::Args;
use seawall_sim::scenario::{FileError, Scenario};
use seawall_sim::timeline::diagram::Format;
use seawall_sim::verdict::Verdict;
use seawall_sim::verify::{self as files, Loaded};
use seawall_sim::{report, run as runs, timeline};

pub(crate) mod check;
pub(crate) mod coverage;
pub(crate) mod diff;
pub(crate) mod explain;
mod interrupt;
pub(crate) mod model;
pub(crate) mod planted;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod shrink;
pub(crate) mod sweep;
pub(crate) mod verify;

/// A message for people, about something that was asked for and cannot be done.
pub(crate) type Usage<T> = Result<T, String>;

/// Every file below `paths`, read.
fn load(paths: &[PathBuf]) -> Usage<Vec<Loaded>> {
    let found = files::find(paths)?;
    if found.is_empty() {
        return Err("no scenario files there\nhint: scenario files end in .toml".to_owned());
    }
    files::load(&found).map_err(|errors| all(&errors))
}

fn all(errors: &[FileError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// What else to write of one run.
#[derive(Args)]
struct Pictures {
    /// Write the full trace to this file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write a page to explore the run with a browser
    #[arg(long, value_name = "FILE.html")]
    timeline: Option<PathBuf>,
    /// Write a diagram of the recovery trace: Mermaid, or SVG
    #[arg(long, value_name = "FILE.mmd|FILE.svg", value_parser = diagram_file)]
    diagram: Option<(Format, PathBuf)>,
}

fn diagram_file(text: &str) -> Result<(Format, PathBuf), String> {
    let path = PathBuf::from(text);
    let format = Format::of(&path).ok_or("expected a file that ends in .mmd or .svg")?;
    Ok((format, path))
}

impl Pictures {
    /// Writes those whose files were named.
    fn write(&self, scenario: &Scenario, verdict: &Verdict) -> Usage<()> {
        if let Some(path) = &self.trace {
            let (name, seed) = (&scenario.name, verdict.seed);
            report::write(path, &format!("# {name} seed {seed}\n{}", verdict.trace.full()))?;
        }
        if let Some(path) = &self.timeline {
            let messages = runs::messages_of(scenario, verdict);
            report::write(path, &timeline::html(scenario, verdict, &messages))?;
        }
        if let Some((format, path)) = &self.diagram {
            report::write(path, &timeline::diagram::write(*format, scenario, verdict))?;
        }
        Ok(())
    }
}
