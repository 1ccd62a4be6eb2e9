//! Everything that can be known to be wrong before anything is written.

use std::path::Path;
use std::sync::Arc;

use seawall::jobs::options::INPUT;
use seawall::protocol::record::JobResult;
use seawall::runtime::RuntimeError;
use seawall::runtime::tokio_env::{self, InProcessNetwork, Unobserved};

use crate::error::CliError;
use crate::run::ownership::{self, Owner};
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
    let found = state::find(storage, settings.id, settings.job.parallelism).await?;
    ownership::check(output, owner, found.has_checkpoint())?;
    if found.result == Some(JobResult::Finished) {
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

/// Asks every source for its splits, as the job itself will.
async fn has_input(settings: &Settings) -> Result<bool, CliError> {
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
