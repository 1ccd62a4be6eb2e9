//! The data plane and the state backend.

use std::time::Duration;

use super::{Key, old};
use crate::value::{Choice, Kind};

const BACKENDS: Kind = Kind::Choice(&[
    Choice::new("hashmap").old(&[
        (
            "FsStateBackend",
            "it was the heap for state and files for checkpoints, as hashmap is in Seawall",
        ),
        (
            "filesystem",
            "it was the heap for state and files for checkpoints, as hashmap is in Seawall",
        ),
        (
            "MemoryStateBackend",
            "state is in memory; checkpoints are in files all the same, or they would not survive",
        ),
        (
            "jobmanager",
            "state is in memory; checkpoints are in files all the same, or they would not survive",
        ),
    ]),
    Choice::new("disk")
        .refused("Seawall does not have this backend yet; hashmap keeps state in memory"),
    Choice::new("rocksdb")
        .also(&["EmbeddedRocksDBStateBackend", "RocksDBStateBackend"])
        .refused("Seawall does not have this backend; hashmap keeps state in memory"),
    Choice::new("forst")
        .refused("Seawall does not have this backend; hashmap keeps state in memory"),
]);
const TIME: Kind = Kind::Duration { least: Duration::ZERO };

/// The state backend, and how records travel.
pub(super) const KEYS: &[Key] = &[
    Key::works(
        "state.backend.type",
        BACKENDS,
        Some("hashmap"),
        "The structure that holds live state.",
        "Settings::backend",
    )
    .aliases(&[old("state.backend")]),
    Key::works(
        "pipeline.max-parallelism",
        Kind::Whole { least: -1, most: 1 << 15 },
        Some("-1"),
        "Key groups: the most subtasks an operator with keyed state can ever have. -1 derives them from \
         the parallelism.",
        "Settings::key_groups",
    ),
    Key::absent(
        "pipeline.auto-watermark-interval",
        TIME,
        Some("200 ms"),
        "Time between two watermarks of a source.",
        "watermarks",
    ),
    Key::absent(
        "execution.buffer-timeout.interval",
        TIME,
        Some("100 ms"),
        "How long a record may wait for its batch to fill.",
        "a time limit of batches: a batch leaves when its source has nothing more to read",
    )
    .aliases(&[old("execution.buffer-timeout")]),
];
