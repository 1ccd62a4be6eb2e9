//! Job options as a user types them, checked before anything is built.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One option of a job.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Its key.
    pub key: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
    /// What it is.
    pub kind: OptionKind,
    /// Its value when none is given; `None` makes it required, an empty text leaves it unset.
    pub default: Option<&'static str>,
}

/// What values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    /// A path.
    Path,
    /// A whole number of at least 1; `_` may separate digits.
    Count,
    /// A whole number; `_` may separate digits.
    Number,
}

/// `input`, as every job that reads files takes it.
pub const INPUT: OptionSpec = OptionSpec {
    key: "input",
    about: "a file or a directory of files, plain or .gz",
    kind: OptionKind::Path,
    default: None,
};

/// `output`, as every job takes it.
pub const OUTPUT: OptionSpec = OptionSpec {
    key: "output",
    about: "the directory for the results",
    kind: OptionKind::Path,
    default: None,
};

/// `rate`, as every job takes it.
pub const RATE: OptionSpec = OptionSpec {
    key: "rate",
    about: "records per second over all source subtasks; unlimited when absent",
    kind: OptionKind::Count,
    default: Some(""),
};

/// `sink-rate`, for jobs that show what a slow receiver does.
pub const SINK_RATE: OptionSpec = OptionSpec {
    key: "sink-rate",
    about: "records per second that all sink subtasks take; unlimited when absent",
    kind: OptionKind::Count,
    default: Some(""),
};

/// Options of one job, complete and of the right kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<&'static str, String>,
}

/// A job or its options are not what they should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JobError {
    /// No such job.
    #[error("unknown job: {name}\n{hint}")]
    UnknownJob {
        /// What was asked for.
        name: String,
        /// The nearest name.
        hint: String,
    },
    /// No such option.
    #[error("job {job} has no option: {key}\n{hint}")]
    UnknownOption {
        /// The job.
        job: &'static str,
        /// What was given.
        key: String,
        /// The nearest key.
        hint: String,
    },
    /// An option without `=`.
    #[error("an option is not of the form key=value: {text}\nhint: write it as -o key=value")]
    NotAPair {
        /// What was given.
        text: String,
    },
    /// The same option twice.
    #[error("option {key} is given twice\nhint: keep one of them")]
    Twice {
        /// Which.
        key: String,
    },
    /// A required option is absent.
    #[error("job {job} needs option {key}: {about}\nhint: add -o {key}=...")]
    Missing {
        /// The job.
        job: &'static str,
        /// Which.
        key: &'static str,
        /// What it means.
        about: &'static str,
    },
    /// A value of the wrong kind.
    #[error("option {key} is not {expected}: {value}\nhint: {key} is {about}")]
    WrongValue {
        /// Which.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What was given.
        value: String,
        /// What it means.
        about: &'static str,
    },
}

/// A hint with the nearest legal name, or with where to find the legal names.
pub fn hint<'a>(name: &str, legal: impl Iterator<Item = &'a str>, list: &str) -> String {
    let scored = legal.map(|it| (strsim::damerau_levenshtein(name, it), it));
    match scored.min() {
        Some((distance, nearest)) if distance <= nearest.len() / 2 => {
            format!("hint: did you mean {nearest}? `{list}` lists them all")
        }
        _ => format!("hint: `{list}` lists them all"),
    }
}

impl Options {
    /// Checks pairs of `key=value`.
    ///
    /// # Errors
    /// At the first pair that is wrong, and for a required option that is absent.
    pub fn parse(job: &crate::JobSpec, pairs: &[String]) -> Result<Self, JobError> {
        let mut values = BTreeMap::new();
        for pair in pairs {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| JobError::NotAPair { text: pair.clone() })?;
            let spec = job.options.iter().find(|it| it.key == key).ok_or_else(|| {
                let legal = job.options.iter().map(|it| it.key);
                JobError::UnknownOption {
                    job: job.name,
                    key: key.to_owned(),
                    hint: hint(key, legal, "seawall jobs"),
                }
            })?;
            check(spec, value)?;
            if values.insert(spec.key, value.to_owned()).is_some() {
                return Err(JobError::Twice { key: key.to_owned() });
            }
        }
        for spec in job.options {
            if !values.contains_key(spec.key) {
                let default = spec.default.ok_or(JobError::Missing {
                    job: job.name,
                    key: spec.key,
                    about: spec.about,
                })?;
                values.insert(spec.key, default.to_owned());
            }
        }
        Ok(Self { values })
    }

    /// The value of a path option.
    pub fn path(&self, key: &str) -> PathBuf {
        PathBuf::from(&self.values[key])
    }

    /// The value of a number option.
    pub fn number(&self, key: &str) -> u64 {
        self.optional_number(key).expect("the option has a default")
    }

    /// The value of a number option that may be unset.
    pub fn optional_number(&self, key: &str) -> Option<u64> {
        number(&self.values[key])
    }

    /// Whether the job has an option of this key.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Keys and values, ascending by key; what makes two runs the same job.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

fn number(value: &str) -> Option<u64> {
    let is_digits = value.starts_with(|it: char| it.is_ascii_digit());
    if is_digits { value.replace('_', "").parse().ok() } else { None }
}

fn check(spec: &OptionSpec, value: &str) -> Result<(), JobError> {
    let (holds, expected) = match spec.kind {
        OptionKind::Path => (!value.is_empty(), "a path"),
        OptionKind::Count => {
            (number(value).is_some_and(|it| it >= 1), "a whole number of at least 1")
        }
        OptionKind::Number => (number(value).is_some(), "a whole number"),
    };
    let wrong = || JobError::WrongValue {
        key: spec.key,
        expected,
        value: value.to_owned(),
        about: spec.about,
    };
    if holds { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[&str]) -> Result<Options, String> {
        let pairs: Vec<String> = pairs.iter().map(|it| (*it).to_owned()).collect();
        let job = crate::find("keyed-count").expect("it is built in");
        Options::parse(job, &pairs).map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let error = parse(&["recods=5", "output=out"]).unwrap_err();
        assert!(error.contains("recods"), "{error}");
        assert!(error.contains("did you mean records?"), "{error}");
    }

    #[test]
    fn a_missing_option_says_what_it_means() {
        assert!(parse(&["records=5"]).unwrap_err().contains("output: the directory"));
    }

    #[test]
    fn a_wrong_value_says_what_is_expected() {
        for value in ["records=0", "records=many", "records=", "records=-1", "records=+1"] {
            let error = parse(&[value, "output=out"]).unwrap_err();
            assert!(error.contains("a whole number of at least 1"), "{value}: {error}");
        }
        assert_eq!(parse(&["records=1_000", "output=out"]).unwrap().number("records"), 1000);
    }

    #[test]
    fn an_option_given_twice_is_refused() {
        assert!(parse(&["records=1", "records=2", "output=out"]).unwrap_err().contains("twice"));
    }

    #[test]
    fn an_unknown_job_names_the_nearest() {
        let error = crate::find("wordcount").err().unwrap().to_string();
        assert!(error.contains("did you mean word-count?"), "{error}");
    }
}
