//! Everything that can be known to be wrong before anything is written.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use seawall::jobs;
use seawall::jobs::options::INPUT;
use seawall::local::open_place;
use seawall::runtime::RuntimeError;
use seawall::runtime::storage::savepoint;
use seawall::runtime::tokio_env::{self, InProcessNetwork, Unobserved};

use crate::error::CliError;
use crate::run::ownership::{self, Lineage, Owner};
use crate::run::settings::Settings;
use crate::run::state::{self, Found, are_nested};

/// What the checks found.
pub(crate) struct Cleared {
    /// What an earlier run left.
    pub(crate) found: Found,
    /// Whether there is nothing to read.
    pub(crate) is_input_empty: bool,
}

/// Checks state, output and input; writes nothing.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) async fn check(settings: &Settings, owner: &Owner) -> Result<Cleared, CliError> {
    let Settings { storage, output, .. } = settings;
    check_apart(settings)?;
    state::check_free(storage)?;
    let found = state::find(&settings.checkpoints, settings.id, settings.job.parallelism).await?;
    if let (Some(restore), Lineage::Savepoint) = (&settings.restore, settings.lineage(&found)) {
        savepoint::read(&open_place(&restore.savepoint)?).await?;
    }
    ownership::check(output, owner, settings.lineage(&found))?;
    if found.result.is_some() {
        return Ok(Cleared { found, is_input_empty: false }); // Its input may be gone by now.
    }
    let is_input_empty = !has_input(settings).await?;
    Ok(Cleared { found, is_input_empty })
}

fn check_apart(settings: &Settings) -> Result<(), CliError> {
    let apart = |first, one: &Path, second, other: &Path| match are_nested(one, other) {
        None => Ok(()),
        Some(path) => Err(CliError::Nested { first, second, path }),
    };
    let Settings { storage, output, options, .. } = settings;
    apart("output", output, "state", storage)?;
    if options.has(INPUT.key) {
        let input = options.path(INPUT.key);
        apart("input", &input, "output", output)?;
        apart("input", &input, "state", storage)?;
    }
    Ok(())
}

/// Refuses a name that nothing has, with the nearest name next to it.
fn check_exists(input: &Path) -> Result<(), CliError> {
    let Err(error) = fs::metadata(input) else { return Ok(()) };
    if error.kind() != io::ErrorKind::NotFound {
        return Ok(()); // The source itself will say what is wrong with it.
    }
    let directory = input.parent().unwrap_or(input);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names: Vec<String> = entries
        .filter_map(|it| it.file_name().into_string().ok())
        .filter(|it| !it.starts_with('.'))
        .collect();
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let list = format!("ls {}", directory.display());
    let hint = if names.is_empty() {
        "hint: name a readable file, or a directory of files".to_owned()
    } else {
        jobs::options::hint(&name, names.iter().map(String::as_str), &list)
    };
    Err(CliError::NoInput { path: input.to_path_buf(), hint })
}

/// Asks every source for its splits, as the job itself will.
async fn has_input(settings: &Settings) -> Result<bool, CliError> {
    if settings.options.has(INPUT.key) {
        check_exists(&settings.options.path(INPUT.key))?;
    }
    let env = tokio_env::env(Arc::new(InProcessNetwork::new()), Arc::new(Unobserved));
    let mut has_input = false;
    for operator in &settings.job.operators {
        if let Some(enumerate) = &operator.enumerate {
            let splits = enumerate(env.clone()).await.map_err(RuntimeError::from)?;
            has_input |= !splits.is_empty();
        }
    }
    Ok(has_input)
}
