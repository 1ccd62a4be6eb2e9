//! Files as lines of full keys and plain values, whichever way they nest.

use std::path::Path;

use crate::problem::{ConfigError, Problem};

mod toml;
mod yaml;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Yaml,
    Toml,
}

impl Format {
    /// By the file's name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// A key with its value, and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) number: usize,
}

/// Every value of the file, in its order.
pub(crate) fn read(path: &Path, format: Format, text: &str) -> Result<Vec<Line>, ConfigError> {
    let mut lines = Vec::new();
    let mut problems = Vec::new();
    match format {
        Format::Yaml => yaml::read(path, text, &mut lines, &mut problems),
        Format::Toml => toml::read(path, text, &mut lines, &mut problems),
    }
    ConfigError::unless_empty(problems, lines)
}

/// The full key of `name` below `parent`.
fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// A list, or another thing that no key takes.
fn not_a_value(path: &Path, key: &str, what: &'static str, line: usize) -> Problem {
    let hint = match what {
        "no value" => "write a value, or leave the key out",
        _ => "write one value",
    };
    let key = if key.is_empty() { "the whole file".to_owned() } else { key.to_owned() };
    let origin = crate::Origin::File { path: path.to_path_buf(), line };
    Problem::NotAValue { key, what, origin, hint }
}
