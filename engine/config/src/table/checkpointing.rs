//! When checkpoints are taken and given up, and where they are kept.

use std::time::Duration;

use seawall_protocol::limits::{CHECKPOINT_TIME_MIN, PENDING_CHECKPOINTS_MAX, RETAINED_MAX};

use super::{Key, article, old};
use crate::value::{Choice, INFINITE, Kind};

const TIME: Kind = Kind::Duration { least: Duration::ZERO };
/// Intervals and timeouts (B8).
const CHECKPOINT_TIME: Kind = Kind::Duration { least: CHECKPOINT_TIME_MIN };
const SIZE: Kind = Kind::Memory { least: 0 };

const MODES: Kind = Kind::Choice(&[
    Choice::new("EXACTLY_ONCE").old(&[(
        "CheckpointingMode.EXACTLY_ONCE",
        "a configuration names it without its Java type",
    )]),
    Choice::new("AT_LEAST_ONCE").old(&[(
        "CheckpointingMode.AT_LEAST_ONCE",
        "a configuration names it without its Java type",
    )]),
]);
const RETENTIONS: Kind = Kind::Choice(&[
    Choice::new("NO_EXTERNALIZED_CHECKPOINTS"),
    Choice::new("DELETE_ON_CANCELLATION"),
    Choice::new("RETAIN_ON_CANCELLATION"),
]);
const STORAGES: Kind = Kind::Choice(&[
    Choice::new("filesystem"),
    Choice::new("jobmanager").refused(
        "a checkpoint in the memory of a coordinator is gone when it dies; \
         Seawall keeps checkpoints in execution.checkpointing.dir",
    ),
]);
const COMBINATIONS: Kind = Kind::Choice(&[Choice::new("any"), Choice::new("all")]);

const MERGING: &str = "snapshots of several subtasks in one file";

/// `execution.checkpointing.*`.
pub(super) const KEYS: &[Key] = &[
    Key::works(
        "execution.checkpointing.interval",
        CHECKPOINT_TIME,
        None,
        "Time between two periodic checkpoints. Not set: none is taken for the time alone.",
        "CheckpointConfig::interval",
    )
    .aliases(&[article("checkpoint.interval")]),
    Key::works(
        "execution.checkpointing.interval-during-backlog",
        TIME,
        None,
        "Time between two periodic checkpoints while a source reports a backlog; 0 takes none for the time \
         alone. Not set: as without a backlog.",
        "CheckpointConfig::interval_during_backlog",
    )
    .needs("execution.checkpointing.interval", &[]),
    Key::works(
        "execution.checkpointing.trigger.records",
        Kind::Whole { least: 1, most: i64::MAX },
        None,
        "Seawall's own: a checkpoint when sources have read this many records since the last trigger.",
        "CheckpointConfig::every_records",
    ),
    Key::works(
        "execution.checkpointing.trigger.dirty-bytes",
        Kind::Memory { least: 1 },
        None,
        "Seawall's own: a checkpoint when this many bytes of state changed since the last trigger.",
        "CheckpointConfig::every_dirty_bytes",
    ),
    Key::works(
        "execution.checkpointing.trigger.combination",
        COMBINATIONS,
        Some("any"),
        "Seawall's own: whether one of interval, records and dirty bytes triggers, or all together.",
        "CheckpointConfig::combination",
    ),
    Key::works(
        "execution.checkpointing.mode",
        MODES,
        Some("EXACTLY_ONCE"),
        "What is promised for state: each record counts once, or at least once.",
        "CheckpointConfig::mode",
    )
    .aliases(&[article("checkpointing.mode")]),
    Key::works(
        "execution.checkpointing.timeout",
        CHECKPOINT_TIME,
        Some("10 min"),
        "A checkpoint that takes longer is given up (`CHECKPOINT_EXPIRED`).",
        "CheckpointConfig::timeout",
    )
    .aliases(&[article("checkpoint.timeout")]),
    Key::works(
        "execution.checkpointing.min-pause",
        TIME,
        Some("0 ms"),
        "Least time from the completion of a checkpoint to the next trigger. The effective interval is \
         never below it.",
        "CheckpointConfig::min_pause",
    ),
    Key::works(
        "execution.checkpointing.max-concurrent-checkpoints",
        Kind::up_to(1, PENDING_CHECKPOINTS_MAX),
        Some("1"),
        "Checkpoints that may be pending at once.",
        "CheckpointConfig::max_concurrent",
    ),
    Key::works(
        "execution.checkpointing.tolerable-failed-checkpoints",
        Kind::Whole { least: 0, most: INFINITE },
        Some("0"),
        "Failed checkpoints in a row that do not restart the job.",
        "CheckpointConfig::tolerable_failures",
    ),
    Key::works(
        "execution.checkpointing.num-retained",
        Kind::up_to(1, RETAINED_MAX as usize),
        Some("1"),
        "Completed checkpoints to keep.",
        "CheckpointConfig::retained",
    )
    .aliases(&[old("state.checkpoints.num-retained")]),
    Key::works(
        "execution.checkpointing.expiration",
        CHECKPOINT_TIME,
        None,
        "Seawall's own: completed checkpoints older than this are removed, never the newest one.",
        "CheckpointConfig::expiration",
    )
    .aliases(&[article("checkpoint.expiration")]),
    Key::works(
        "execution.checkpointing.externalized-checkpoint-retention",
        RETENTIONS,
        Some("NO_EXTERNALIZED_CHECKPOINTS"),
        "What happens to the retained checkpoints when the job is cancelled.",
        "CheckpointConfig::on_cancel",
    )
    .aliases(&[old("execution.checkpointing.externalized-checkpoint-retention.mode")]),
    Key::works(
        "execution.checkpointing.unaligned.enabled",
        Kind::Boolean,
        Some("false"),
        "Barriers overtake records, which become part of the snapshot.",
        "CheckpointConfig::alignment",
    )
    .aliases(&[old("execution.checkpointing.unaligned")]),
    Key::works(
        "execution.checkpointing.aligned-checkpoint-timeout",
        TIME,
        Some("0 ms"),
        "Barriers wait this long at each subtask before they overtake. 0: they never wait.",
        "CheckpointConfig::alignment",
    )
    .needs("execution.checkpointing.unaligned.enabled", &["true"])
    .aliases(&[old("execution.checkpointing.alignment-timeout")]),
    Key::absent(
        "execution.checkpointing.unaligned.forced",
        Kind::Boolean,
        Some("false"),
        "Unaligned checkpoints where the job graph does not allow them.",
        "barriers that overtake where the order of records between two subtasks would not survive it",
    )
    .aliases(&[old("execution.checkpointing.force-unaligned")]),
    Key::absent(
        "execution.checkpointing.unaligned.interruptible-timers.enabled",
        Kind::Boolean,
        Some("false"),
        "A barrier may come between two timers that fire.",
        "timers",
    ),
    Key::absent(
        "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file",
        Kind::Whole { least: 1, most: INFINITE },
        Some("5"),
        "Subtasks that share a file of in-flight data.",
        MERGING,
    )
    .aliases(&[old("execution.checkpointing.max-subtasks-per-channel-state-file")]),
    Key::works(
        "execution.checkpointing.checkpoints-after-tasks-finish",
        Kind::Boolean,
        Some("true"),
        "Checkpoints go on while some subtasks have finished.",
        "CheckpointConfig::is_taken_after_finish",
    )
    .aliases(&[old("execution.checkpointing.checkpoints-after-tasks-finish.enabled")]),
    Key::works(
        "execution.checkpointing.incremental",
        Kind::Boolean,
        Some("false"),
        "A snapshot may refer to files of earlier checkpoints instead of writing them again.",
        "CheckpointConfig::is_incremental",
    )
    .needs("state.backend.type", &["disk"])
    .aliases(&[old("state.backend.incremental")]),
    Key::absent(
        "execution.checkpointing.local-backup.enabled",
        Kind::Boolean,
        Some("false"),
        "Each worker keeps a copy of its own snapshots.",
        "local copies of snapshots",
    ),
    Key::works(
        "execution.checkpointing.dir",
        Kind::Text,
        None,
        "Where checkpoints are kept: a directory, or an address with file://, s3://, hdfs:// or memory://. Each job has its own below it.",
        "Settings::directory",
    )
    .aliases(&[old("state.checkpoints.dir"), old("state.backend.fs.checkpointdir")]),
    Key::works(
        "execution.checkpointing.savepoint-dir",
        Kind::Text,
        None,
        "Where savepoints are written whose place nobody names: a directory or an address. The job's own directory when absent.",
        "Settings::savepoint_directory",
    )
    .aliases(&[old("state.savepoints.dir"), old("savepoints.state.backend.fs.dir")]),
    Key::works(
        "execution.checkpointing.storage",
        STORAGES,
        None,
        "Which kind of storage holds checkpoints. Not set: filesystem.",
        "Settings::directory",
    )
    .fixed(&["filesystem"], "Seawall keeps checkpoints in execution.checkpointing.dir")
    .aliases(&[old("state.checkpoint-storage")]),
    Key::absent(
        "execution.checkpointing.data-inline-threshold",
        SIZE,
        Some("20 kb"),
        "Smaller state is stored within the manifest.",
        "state within the manifest: each subtask has one file, however small",
    )
    .aliases(&[old("state.storage.fs.memory-threshold"), old("state.backend.fs.memory-threshold")]),
    Key::absent(
        "execution.checkpointing.write-buffer-size",
        Kind::Whole { least: 1, most: INFINITE },
        Some("4096"),
        "Bytes that are gathered before they are written.",
        "a size of its own for write buffers",
    )
    .aliases(&[
        old("state.storage.fs.write-buffer-size"),
        old("state.backend.fs.write-buffer-size"),
    ]),
    Key::absent(
        "execution.checkpointing.create-subdir",
        Kind::Boolean,
        Some("true"),
        "Each job has its own directory below execution.checkpointing.dir.",
        "several jobs in one directory: they would overwrite each other",
    )
    .aliases(&[old("state.checkpoints.create-subdir")]),
    Key::absent(
        "execution.checkpointing.cleaner.parallel-mode",
        Kind::Boolean,
        Some("true"),
        "Files of a removed checkpoint are deleted beside the running job.",
        "deletion that holds up the job",
    )
    .aliases(&[old("state.checkpoint.cleaner.parallel-mode")]),
    Key::absent(
        "execution.checkpointing.snapshot-compression",
        Kind::Boolean,
        Some("false"),
        "Snapshots are compressed.",
        "compressed snapshots",
    )
    .aliases(&[old("execution.checkpointing.state-compression")]),
    Key::absent(
        "execution.checkpointing.file-merging.enabled",
        Kind::Boolean,
        Some("false"),
        "Small files of several subtasks become one.",
        MERGING,
    ),
    Key::absent(
        "execution.checkpointing.file-merging.max-file-size",
        SIZE,
        Some("32 mb"),
        "The largest such file.",
        MERGING,
    ),
    Key::absent(
        "execution.checkpointing.file-merging.max-space-amplification",
        Kind::Factor { least: 100, most: u32::MAX },
        Some("2.0"),
        "How much larger than its live part such a file may be.",
        MERGING,
    ),
    Key::absent(
        "execution.checkpointing.file-merging.across-checkpoint-boundary",
        Kind::Boolean,
        Some("false"),
        "Such a file may belong to several checkpoints.",
        MERGING,
    ),
    Key::absent(
        "execution.checkpointing.file-merging.pool-blocking",
        Kind::Boolean,
        Some("false"),
        "Whether a writer waits for such a file.",
        MERGING,
    ),
];
