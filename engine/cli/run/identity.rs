//! Which runs are the same job, and where a job keeps its state.
//!
//! The identity is a stable hash of the job's name and what its options mean: paths absolute, numbers
//! without separators. Parallelism and `rate` are not part of it: they say how, not what.

use std::path::{Path, PathBuf};

use seawall::jobs::options::{OptionKind, RATE};
use seawall::jobs::{JobError, JobSpec, Options};
use seawall::protocol::JobId;
use xxhash_rust::xxh3::xxh3_64;

/// The options with every path absolute, so that the job does not hang on the working directory.
///
/// # Errors
/// As [`Options::parse`].
pub(crate) fn resolve(spec: &JobSpec, pairs: &[String]) -> Result<Options, JobError> {
    let given = Options::parse(spec, pairs)?;
    let resolved: Vec<String> = given
        .pairs()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| match kind(spec, key) {
            OptionKind::Path => format!("{key}={}", absolute(Path::new(value)).display()),
            OptionKind::Count | OptionKind::Number => format!("{key}={value}"),
        })
        .collect();
    Options::parse(spec, &resolved)
}

/// The job's identity, from resolved options.
pub(crate) fn job_id(spec: &JobSpec, options: &Options) -> JobId {
    let mut text = format!("{}\n", spec.name);
    for (key, value) in options.pairs().filter(|(key, _)| *key != RATE.key) {
        let value = match kind(spec, key) {
            OptionKind::Path => value.to_owned(),
            OptionKind::Count | OptionKind::Number => {
                options.optional_number(key).map(|it| it.to_string()).unwrap_or_default()
            }
        };
        text = format!("{text}{key}={value}\n");
    }
    JobId(xxh3_64(text.as_bytes()))
}

/// The directory of the job's checkpoints.
pub(crate) fn state_directory(state: &Path, spec: &JobSpec, id: JobId) -> PathBuf {
    absolute(state).join(format!("{}-{id}", spec.name))
}

/// The path from the root, links resolved as far as it exists.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            absolute(parent).join(name)
        }
        // The root always exists, and what ends in `..` exists or is an error that its user will meet.
        (Some(_) | None, _) => path.to_path_buf(),
    }
}

fn kind(spec: &JobSpec, key: &str) -> OptionKind {
    spec.options.iter().find(|it| it.key == key).expect("parsed options are the job's").kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pairs: &[&str]) -> JobId {
        let spec = seawall::jobs::find("keyed-count").unwrap();
        let pairs: Vec<String> = pairs.iter().map(|it| (*it).to_owned()).collect();
        job_id(spec, &resolve(spec, &pairs).unwrap())
    }

    #[test]
    fn the_same_options_in_other_words_are_the_same_job() {
        let one = id(&["output=/tmp/x", "records=1_000"]);
        assert_eq!(one, id(&["records=1000", "output=/tmp/./x"]));
        assert_eq!(one, id(&["records=1000", "output=/tmp/x", "rate=5"]));
    }

    #[test]
    fn another_option_is_another_job() {
        let one = id(&["output=/tmp/x"]);
        assert_ne!(one, id(&["output=/tmp/y"]));
        assert_ne!(one, id(&["output=/tmp/x", "seed=1"]));
    }

    #[test]
    fn identities_never_change() {
        // Pinned: a program that hashes differently would not find the state of its predecessor.
        assert_eq!(id(&["output=/nowhere/x"]).to_string(), "01a729351107915f");
    }
}
