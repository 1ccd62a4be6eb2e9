//! `seawall config`, and how `seawall run` comes to its settings: its own defaults, a file, flags and `-D`.

use std::process::ExitCode;
use std::time::Duration;

use seawall::config::quantity::show_duration;
use seawall::config::{Configuration, Origin};
use seawall::runtime::storage::{Location, StorageError};

use crate::args::{ClaimMode, ConfigArgs, ConfigFlags, Mode, RestoreArgs};
use crate::error::CliError;
use crate::report;

pub(crate) use seawall::config::Settings as Engine;

/// The key of `--state`.
const DIRECTORY: &str = "execution.checkpointing.dir";
/// Where `seawall run` differs from Flink, whose jobs take no checkpoints until they are told to.
const DEFAULTS: &[(&str, &str)] = &[
    ("execution.checkpointing.interval", "1 s"),
    (DIRECTORY, LOCAL),
    ("restart-strategy.type", "fixed-delay"),
    ("restart-strategy.fixed-delay.attempts", "10"),
];

/// # Errors
/// When something in the configuration is wrong.
pub(crate) fn main(args: &ConfigArgs) -> Result<ExitCode, CliError> {
    let configuration = of_run(&args.config)?;
    let settings = configuration.settings()?;
    settings.warnings.iter().for_each(|it| report::warning(&it.0));
    report::config(&configuration, args.filter.as_deref().unwrap_or_default(), args.json);
    Ok(ExitCode::SUCCESS)
}

/// What `seawall run` was told, over its defaults.
///
/// # Errors
/// When a key is unknown or a value is of the wrong kind.
pub(crate) fn of_run(flags: &ConfigFlags) -> Result<Configuration, CliError> {
    let mut configuration = Configuration::new();
    for (key, value) in DEFAULTS {
        configuration = configuration.set_at(key, value, Origin::Program("seawall run"))?;
    }
    if let Some(path) = &flags.config {
        configuration = configuration.with_file(path)?;
    }
    configuration = configuration.with_arguments(&flags.settings)?;
    for (flag, key, value) in given(flags) {
        configuration = configuration.set_at(key, &value, Origin::Flag(flag))?;
    }
    Ok(configuration)
}

/// Adds what a job is to start from.
///
/// # Errors
/// When a value is empty.
pub(crate) fn with_restore(
    mut configuration: Configuration,
    args: &RestoreArgs,
) -> Result<Configuration, CliError> {
    let mode = args.claim_mode.map(|it| match it {
        ClaimMode::NoClaim => "NO_CLAIM".to_owned(),
        ClaimMode::Claim => "CLAIM".to_owned(),
    });
    let allows = args.allow_non_restored_state.then(|| "true".to_owned());
    for (flag, key, value) in [
        ("--from-savepoint", "execution.state-recovery.path", args.from_savepoint.clone()),
        ("--claim-mode", "execution.state-recovery.claim-mode", mode),
        ("--allow-non-restored-state", "execution.state-recovery.ignore-unclaimed-state", allows),
    ] {
        if let Some(value) = value {
            configuration = configuration.set_at(key, &value, Origin::Flag(flag))?;
        }
    }
    Ok(configuration)
}

/// What is kept on this machine when checkpoints are elsewhere: each job's lock.
pub(crate) const LOCAL: &str = "seawall-data";

/// Where jobs keep their checkpoints.
///
/// # Errors
/// When the address leads nowhere.
pub(crate) fn location(settings: &Engine) -> Result<Location, StorageError> {
    Location::parse(settings.directory.as_deref().unwrap_or(LOCAL))
}

/// The flags that were typed, each with its key.
fn given(flags: &ConfigFlags) -> Vec<(&'static str, &'static str, String)> {
    let time = |it: Option<Duration>| it.map(show_duration);
    let number = |it: Option<u32>| it.map(|it| it.to_string());
    let state = flags.state.as_ref().map(|it| it.display().to_string());
    let mode = flags.mode.map(|it| match it {
        Mode::ExactlyOnce => "EXACTLY_ONCE".to_owned(),
        Mode::AtLeastOnce => "AT_LEAST_ONCE".to_owned(),
    });
    let strategy = flags.restart_attempts.map(|it| match it {
        0 => "none".to_owned(),
        _ => "fixed-delay".to_owned(),
    });
    let attempts = flags.restart_attempts.filter(|it| *it > 0);
    [
        ("--state", DIRECTORY, state),
        (
            "--checkpoint-interval",
            "execution.checkpointing.interval",
            time(flags.checkpoint_interval),
        ),
        ("--checkpoint-timeout", "execution.checkpointing.timeout", time(flags.checkpoint_timeout)),
        ("--min-pause", "execution.checkpointing.min-pause", time(flags.min_pause)),
        ("--retained", "execution.checkpointing.num-retained", number(flags.retained)),
        (
            "--tolerable-failures",
            "execution.checkpointing.tolerable-failed-checkpoints",
            number(flags.tolerable_failures),
        ),
        ("--restart-attempts", "restart-strategy.type", strategy),
        ("--restart-attempts", "restart-strategy.fixed-delay.attempts", number(attempts)),
        ("--restart-delay", "restart-strategy.fixed-delay.delay", time(flags.restart_delay)),
        ("--mode", "execution.checkpointing.mode", mode),
    ]
    .into_iter()
    .filter_map(|(flag, key, value)| Some((flag, key, value?)))
    .collect()
}
