//! Every bound of the protocol in one place, tied together by `const` assertions.

use core::time::Duration;

/// Checkpoints that may be pending at once; `max-concurrent` is configured below this.
pub const PENDING_CHECKPOINTS_MAX: usize = 8;
/// Requests for a checkpoint that may wait; beyond that the last one is refused (B4).
pub const WAITING_REQUESTS_MAX: usize = 1000;
/// Expired or aborted checkpoint ids remembered to classify late acks (G4).
pub const REMEMBERED_ABORTED_MAX: usize = 16;
/// Checkpoint ids an at-least-once aligner counts at once; the oldest is dropped (D2).
pub const TRACKED_BARRIERS_MAX: usize = 50;
/// Cancelled checkpoint ids an aligner remembers so that late barriers never restart alignment (C6).
pub const REMEMBERED_CANCELLED_MAX: usize = 16;
/// Completed checkpoints that may be retained.
pub const RETAINED_MAX: u32 = 64;
/// Transactions a sink subtask may have pre-committed and not yet committed.
pub const PENDING_TRANSACTIONS_MAX: usize = 1024;
/// Snapshots one subtask may have in the background at once, those of aborted checkpoints included.
pub const SNAPSHOTS_WRITING_MAX: usize = 2 * PENDING_CHECKPOINTS_MAX;
/// Changes a snapshot's chain of shared files may consist of; with more the next snapshot is full.
pub const DELTA_FILES_MAX: usize = 16;
/// How large a shared file becomes before the next one begins, about; what a restore holds in memory.
pub const SHARED_FILE_BYTES: usize = 4 << 20;
/// How often one commit is tried again before the attempt fails (K8).
pub const COMMIT_RETRIES_MAX: u32 = 3;
/// Failures remembered by the failure-rate restart strategy.
pub const REMEMBERED_FAILURES_MAX: usize = 64;
/// Workers one coordinator keeps.
pub const WORKERS_MAX: usize = 1024;
/// Shortest checkpoint interval and timeout (B8).
pub const CHECKPOINT_TIME_MIN: Duration = Duration::from_millis(10);
/// The largest number of key groups (M3).
pub const KEY_GROUPS_MAX: u32 = 1 << 15;
/// The smallest default number of key groups (M3).
pub const KEY_GROUPS_DEFAULT_MIN: u32 = 1 << 7;
/// Pause before a store record whose write was uncertain is written again.
pub const RECORD_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Pause of a worker that lost its coordinator before it connects again.
pub const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

const _: () = assert!(KEY_GROUPS_DEFAULT_MIN <= KEY_GROUPS_MAX);
const _: () = assert!(PENDING_CHECKPOINTS_MAX <= TRACKED_BARRIERS_MAX);
