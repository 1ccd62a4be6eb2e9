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
    Choice::new("disk"),
    Choice::new("rocksdb").also(&["EmbeddedRocksDBStateBackend", "RocksDBStateBackend"]).refused(
        "Seawall does not have this backend; disk keeps more state than memory on local disks",
    ),
    Choice::new("forst").refused(
        "Seawall does not have this backend; disk keeps more state than memory on local disks",
    ),
]);
const TIME: Kind = Kind::Duration { least: Duration::ZERO };

/// The state backend, and how records travel.
pub(super) const KEYS: &[Key] = &[
    Key::works(
        "state.backend.type",
        BACKENDS,
        Some("hashmap"),
        "Where live state is: in memory, or in a scratch file with a cache in front, so that it may be larger \
         than memory.",
        "Settings::backend",
    )
    .aliases(&[old("state.backend")]),
    Key::works(
        "state.backend.disk.cache-size",
        Kind::Memory { least: 64 << 10 },
        Some("64 mb"),
        "Seawall's own: the memory, about, that each subtask with state on disk uses.",
        "StateBackend::Disk::cache_bytes",
    )
    .needs("state.backend.type", &["disk"]),
    Key::works(
        "state.backend.disk.directory",
        Kind::Text,
        None,
        "Seawall's own: where the scratch files of state on disk are, on a local disk. Not set: the \
         directory for temporary files.",
        "Settings::scratch",
    )
    .needs("state.backend.type", &["disk"]),
    Key::works(
        "pipeline.max-parallelism",
        Kind::Whole { least: -1, most: 1 << 15 },
        Some("-1"),
        "Key groups: the most subtasks an operator with keyed state can ever have. -1 derives them from \
         the parallelism.",
        "Settings::key_groups",
    ),
    Key::works(
        "pipeline.auto-watermark-interval",
        TIME,
        Some("200 ms"),
        "Time between two watermarks of a subtask that makes them, and the precision of idleness. 0: only \
         punctuated ones.",
        "Settings::watermark_interval",
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
