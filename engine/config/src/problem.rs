//! What is wrong with a configuration. Each message says which key, which value, where it came from
//! and what is allowed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::configuration::Origin;

/// Everything that is wrong, at least one thing.
#[derive(Debug)]
pub struct ConfigError(Vec<Problem>);

impl ConfigError {
    /// What is wrong.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }

    /// The result, when nothing is wrong.
    pub(crate) fn unless_empty<T>(problems: Vec<Problem>, result: T) -> Result<T, Self> {
        if problems.is_empty() { Ok(result) } else { Err(Self(problems)) }
    }
}

impl IntoIterator for ConfigError {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let end_of_last = if index == 0 { "" } else { "\n" };
            write!(f, "{end_of_last}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}\nhint: name a readable file", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file's name says neither YAML nor TOML.
    #[error(
        "cannot tell the format of the configuration: {}\nhint: name it .yaml, .yml or .toml",
        .0.display()
    )]
    UnknownFormat(PathBuf),
    /// The file is not what its name says.
    #[error("the configuration is not {format}: {}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// YAML or TOML.
        format: &'static str,
        /// What, and where.
        reason: String,
    },
    /// The file holds something that is no value of a key.
    #[error("{what} in a configuration: {key}, {origin}\nhint: {hint}")]
    NotAValue {
        /// The key.
        key: String,
        /// What is there.
        what: &'static str,
        /// Where.
        origin: Origin,
        /// What to write.
        hint: &'static str,
    },
    /// An argument without `=`.
    #[error("a setting is not of the form key=value: {0}\nhint: write it as -D key=value")]
    NotAPair(String),
    /// No such key.
    #[error("unknown configuration key: {key}, {origin}\n{}", unknown_hint(*nearest))]
    UnknownKey {
        /// What was given.
        key: String,
        /// Where.
        origin: Origin,
        /// The key that is most likely meant.
        nearest: Option<&'static str>,
    },
    /// The value is of the wrong kind or out of range.
    #[error("{key} cannot be {value}, {origin}\nhint: it is {allowed}")]
    WrongValue {
        /// Of which key.
        key: &'static str,
        /// What was given.
        value: String,
        /// Where.
        origin: Origin,
        /// What is allowed.
        allowed: String,
    },
    /// A key of Flink whose feature Seawall does not have.
    #[error("{key} cannot be {value}, {origin}: Seawall does not have {missing}\nhint: {hint}")]
    NotThere {
        /// Which key.
        key: &'static str,
        /// What was given.
        value: String,
        /// Where.
        origin: Origin,
        /// What is missing.
        missing: &'static str,
        /// What is accepted.
        hint: String,
    },
    /// A value that Seawall does not offer.
    #[error("{key} cannot be {value}, {origin}: {why}\nhint: it is {allowed}")]
    Refused {
        /// Which key.
        key: &'static str,
        /// What was given.
        value: String,
        /// Where.
        origin: Origin,
        /// Why not.
        why: &'static str,
        /// What is accepted.
        allowed: String,
    },
    /// The same key has two values in places of the same rank.
    #[error("{key} is given twice: {first} and {second}\nhint: keep one of them")]
    Twice {
        /// Which.
        key: &'static str,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// The key has no effect beside the others.
    #[error("{key} = {value} would have no effect, {origin}: {needed} is {found}\nhint: {hint}")]
    NoEffect {
        /// Which.
        key: &'static str,
        /// Its value.
        value: String,
        /// Where it is given.
        origin: Origin,
        /// The key it depends on.
        needed: &'static str,
        /// That key's value.
        found: String,
        /// What to do.
        hint: String,
    },
    /// Two settings that cannot be had together.
    #[error("{first} and {second} contradict each other: {why}\nhint: {hint}")]
    Contradiction {
        /// `key = value, where`.
        first: String,
        /// `key = value, where`.
        second: String,
        /// Why.
        why: &'static str,
        /// What is allowed.
        hint: String,
    },
}

fn unknown_hint(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(key) => format!("hint: did you mean {key}? `seawall config` lists them all"),
        None => "hint: `seawall config` lists them all".to_owned(),
    }
}

/// Something that is understood, and should be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
