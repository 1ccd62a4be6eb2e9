//! What a job starts from.

use super::{Key, old};
use crate::value::{Choice, Kind};

const CLAIM_MODES: Kind = Kind::Choice(&[
    Choice::new("NO_CLAIM"),
    Choice::new("CLAIM"),
    Choice::new("LEGACY").refused("Flink removed it; NO_CLAIM or CLAIM say who owns the files"),
]);

/// `execution.state-recovery.*`.
pub(super) const KEYS: &[Key] = &[
    Key::works(
        "execution.state-recovery.path",
        Kind::Text,
        None,
        "The savepoint that a job without checkpoints of its own starts from: a directory or an address.",
        "Recovery::path",
    )
    .aliases(&[old("execution.savepoint.path")]),
    Key::works(
        "execution.state-recovery.claim-mode",
        CLAIM_MODES,
        Some("NO_CLAIM"),
        "Whether the job owns the files it starts from, and deletes them when they are no longer needed.",
        "Recovery::is_claiming",
    )
    .needs("execution.state-recovery.path", &[])
    .aliases(&[old("execution.savepoint-restore-mode")]),
    Key::works(
        "execution.state-recovery.ignore-unclaimed-state",
        Kind::Boolean,
        Some("false"),
        "State of an operator that the job does not have is left behind instead of refused.",
        "Recovery::ignores_unclaimed_state",
    )
    .needs("execution.state-recovery.path", &[])
    .aliases(&[old("execution.savepoint.ignore-unclaimed-state")]),
    Key::absent(
        "execution.state-recovery.from-local",
        Kind::Boolean,
        Some("false"),
        "A worker restores from its own copy of a snapshot where it has one.",
        "local copies of snapshots",
    )
    .aliases(&[old("state.backend.local-recovery")]),
    Key::works(
        "execution.state-recovery.without-channel-state.checkpoint-id",
        Kind::Whole { least: -1, most: i64::MAX },
        Some("-1"),
        "The one checkpoint that is restored without its in-flight data: those records are lost.",
        "Settings::without_channel_state",
    )
    .aliases(&[old("execution.checkpointing.recover-without-channel-state.checkpoint-id")]),
];
