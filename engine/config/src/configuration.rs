//! What was given, and where; which of several places wins.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::file::{self, Format, Line};
use crate::problem::{ConfigError, Problem, Warning};
use crate::settings::Settings;
use crate::table::{self, Key};
use crate::value::{Kind, Read, Value};

/// Where a value was given. A later one wins over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A program's own default.
    Program(&'static str),
    /// In code.
    Code,
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// On which line, from 1.
        line: usize,
    },
    /// On the command line, as `-D key=value`.
    CommandLine,
    /// On the command line, by a flag of its own.
    Flag(&'static str),
}

impl Origin {
    /// Places of one rank must not contradict each other.
    fn rank(&self) -> u8 {
        match self {
            Self::Program(_) => 0,
            Self::Code => 1,
            Self::File { .. } => 2,
            Self::CommandLine | Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(program) => write!(f, "the default of {program}"),
            Self::Code => f.write_str("set in code"),
            Self::File { path, line } => write!(f, "in {} line {line}", path.display()),
            Self::CommandLine => f.write_str("given with -D"),
            Self::Flag(flag) => write!(f, "given with {flag}"),
        }
    }
}

/// A value that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What.
    pub value: Value,
    /// Where.
    pub origin: Origin,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// What was given. Every key is known and every value is of its key's kind.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    entries: Vec<(&'static Key, Given)>,
    warnings: Vec<Warning>,
}

impl Configuration {
    /// Nothing given: every key has its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a value in code. Giving it again replaces it.
    ///
    /// # Errors
    /// When there is no such key, or the value is not of its kind.
    pub fn set(self, key: &str, value: &str) -> Result<Self, ConfigError> {
        self.set_at(key, value, Origin::Code)
    }

    /// Gives a value with its origin.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_at(mut self, key: &str, value: &str, origin: Origin) -> Result<Self, ConfigError> {
        self.add(key, value, origin)?;
        Ok(self)
    }

    /// Adds `key=value` pairs of a command line.
    ///
    /// # Errors
    /// With every pair that is wrong.
    pub fn with_arguments(mut self, pairs: &[String]) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        for pair in pairs {
            let added = match pair.split_once('=') {
                Some((key, value)) => self.add(key.trim(), value, Origin::CommandLine),
                None => Err(Problem::NotAPair(pair.clone()).into()),
            };
            problems.extend(added.err().into_iter().flatten());
        }
        ConfigError::unless_empty(problems, self)
    }

    /// Reads a file: `.yaml` or `.yml` as Flink's `config.yaml`, or `.toml` with the same keys. Keys are
    /// nested, or flat with dots, or both.
    ///
    /// # Errors
    /// With everything that is wrong in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::new().with_file(path)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As [`Self::from_file`].
    pub fn with_file(self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let format = Format::of(path).ok_or_else(|| Problem::UnknownFormat(path.to_path_buf()))?;
        let text = fs::read_to_string(path)
            .map_err(|source| Problem::Unreadable { path: path.to_path_buf(), source })?;
        self.with_text(path, format, &text)
    }

    fn with_text(mut self, path: &Path, format: Format, text: &str) -> Result<Self, ConfigError> {
        let lines = file::read(path, format, text)?;
        let mut problems = Vec::new();
        for Line { key, value, number: line } in lines {
            let origin = Origin::File { path: path.to_path_buf(), line };
            problems.extend(self.add(&key, &value, origin).err().into_iter().flatten());
        }
        ConfigError::unless_empty(problems, self)
    }

    /// Adds what another one holds; of two values in code the other's wins.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self.warnings.extend(other.warnings);
        self
    }

    /// What it means.
    ///
    /// # Errors
    /// With every setting that contradicts another, has no effect, or names what Seawall does not have.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        Settings::of(self)
    }

    /// What was given for the key at the place that wins, when that is one value.
    pub fn given(&self, key: &str) -> Option<&Given> {
        let (_, winning) = self.winning().into_iter().find(|(it, _)| it.key == key)?;
        winning.last().copied()
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Of each key that was given, the values at the highest rank; in the order of the table.
    fn winning(&self) -> Vec<(&'static Key, Vec<&Given>)> {
        let mut by_key: BTreeMap<&str, Vec<&Given>> = BTreeMap::new();
        for (key, given) in &self.entries {
            by_key.entry(key.key).or_default().push(given);
        }
        let mut winning = Vec::new();
        for key in table::keys() {
            if let Some(mut given) = by_key.remove(key.key) {
                let rank = given.iter().map(|it| it.origin.rank()).max().expect("none is empty");
                given.retain(|it| it.origin.rank() == rank);
                winning.push((key, given));
            }
        }
        winning
    }

    /// The one value of each key that was given.
    pub(crate) fn chosen(
        &self,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<&'static str, (&'static Key, Given)> {
        let mut chosen = BTreeMap::new();
        for (key, given) in self.winning() {
            let last = (*given.last().expect("none is empty")).clone();
            let other = given.iter().find(|it| it.value != last.value);
            if let Some(other) = other.filter(|it| it.origin != Origin::Code) {
                let shown = |it: &Given| format!("{it} ({})", it.origin);
                let (first, second) = (shown(other), shown(&last));
                problems.push(Problem::Twice { key: key.key, first, second });
            }
            chosen.insert(key.key, (key, last));
        }
        chosen
    }

    fn add(&mut self, name: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let (key, alias) = match (table::find(name), table::find_alias(name)) {
            (Some(key), _) => (key, None),
            (None, Some((key, alias))) => (key, Some(alias)),
            (None, None) => {
                let nearest = table::nearest(name);
                return Err(Problem::UnknownKey { key: name.to_owned(), origin, nearest }.into());
            }
        };
        let read = read(key, text).map_err(|allowed| Problem::WrongValue {
            key: key.key,
            value: if text.trim().is_empty() { "empty".to_owned() } else { text.trim().to_owned() },
            origin: origin.clone(),
            allowed,
        })?;
        if let Some(alias) = alias {
            let about = alias.from.about();
            self.warn(format!("{name}, {origin}, is {}: {about}", key.key));
        }
        if let Some(note) = read.note {
            self.warn(format!(
                "{} = {}, {origin}, is taken for {}: {note}",
                key.key,
                text.trim(),
                read.value
            ));
        }
        self.entries.push((key, Given { value: read.value, origin }));
        Ok(())
    }

    fn warn(&mut self, text: String) {
        self.warnings.push(Warning(text));
    }
}

/// A value of the key; `none` leaves one unset that has no default.
fn read(key: &Key, text: &str) -> Result<Read, String> {
    let is_none = key.default.is_none() && text.trim().eq_ignore_ascii_case("none");
    let is_name = matches!(key.kind, Kind::Choice(_)) && key.kind.read(text).is_ok();
    if is_none && !is_name {
        return Ok(Read { value: Value::Unset, note: None });
    }
    key.kind.read(text)
}
