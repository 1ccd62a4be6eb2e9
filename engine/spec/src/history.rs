//! What was seen of one run: the facts the properties are judged over.
//!
//! Whoever records a history fills in what it saw; what it did not look at stays empty and judges as
//! nothing seen. Everything is ordered: the same run gives the same history.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use seawall_protocol::CheckpointId;
use seawall_protocol::event::Event;

/// One run, as seen from outside the engine.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Every event of every node, in the one order in which they happened.
    pub events: Vec<Recorded>,
    /// The lines a run without faults commits, each as often as it commits it; from a reference fold of
    /// the whole input.
    pub expected_output: Vec<Vec<u8>>,
    /// What stands in the output at the end of the run.
    pub committed_output: Vec<CommittedFile>,
    /// The numbers of the records that one sender sent to one receiver, as the receiver committed them; by a
    /// name for people: `key 7 in part-0`.
    pub sequences: BTreeMap<String, Vec<u64>>,
    /// Output that was seen visible before its checkpoint was completed.
    pub visible_early: Vec<VisibleEarly>,
    /// Output that was seen visible and later was gone or another.
    pub taken_back: Vec<TakenBack>,
    /// Every completed checkpoint, read back when it completed and again after each deletion of another.
    pub checkpoints: Vec<CheckpointContents>,
    /// Files that belong to nothing, by path, after the run came to rest.
    pub leftover_files: Vec<String>,
    /// The most batches that an input channel held at once, and how many one has room for.
    pub longest_queue: usize,
    /// See `longest_queue`.
    pub queue_capacity: usize,
    /// How checkpoints were to be taken; `None` where somebody else asked for some, too.
    pub limits: Option<Limits>,
    /// When the last fault healed; liveness is demanded from here. Zero for a run without faults.
    pub healed_at: Duration,
    /// How the run ended.
    pub ending: Ending,
    /// What the run still waited for at its end, for people: `keyed-count/1 waits for its barrier on ch0`.
    pub pending: Vec<String>,
}

/// How often checkpoints may be taken, and fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In flight at once (B2).
    pub max_concurrent: u32,
    /// Between a completion and the next trigger (B3).
    pub min_pause: Duration,
    /// Failures in a row that an attempt survives (G6).
    pub tolerable_failures: u32,
}

/// One event and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Time since the start of the run.
    pub at: Duration,
    /// Which node reported it.
    pub node: String,
    /// What happened.
    pub event: Event,
}

/// One visible output file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedFile {
    /// Its path.
    pub name: String,
    /// Its lines, without line ends.
    pub lines: Vec<Vec<u8>>,
}

/// Output that a reader could see too early (X2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibleEarly {
    /// When it was seen.
    pub at: Duration,
    /// Its path.
    pub name: String,
    /// The checkpoint whose transaction it is; not completed at that time.
    pub checkpoint: CheckpointId,
}

/// Output that a reader could see, and later could not (K2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// When that was seen.
    pub at: Duration,
    /// Its path.
    pub name: String,
    /// The checkpoint whose transaction it is.
    pub checkpoint: CheckpointId,
    /// It is there with other bytes; else it is gone.
    pub is_changed: bool,
}

/// What a completed checkpoint holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointContents {
    /// Which.
    pub checkpoint: CheckpointId,
    /// How far each split was read.
    pub positions: BTreeMap<String, u64>,
    /// The keyed state of the job, all subtasks together.
    pub state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The keyed state after exactly the input before `positions`, by the recorder's own reference fold.
    pub expected_state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether every byte could be read back and verified at each look while the checkpoint was retained;
    /// else what was wrong the first time.
    pub restorable: Result<(), String>,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ending {
    /// The job reached its result.
    Finished,
    /// The job was cancelled: its result says so.
    Cancelled,
    /// The job was stopped with a savepoint.
    Stopped,
    /// The same, and its input counts as ended there: the output of all that was read is due.
    Drained,
    /// The job failed for good.
    Failed(String),
    /// Time was up and the job was still running.
    #[default]
    TimeUp,
}

impl History {
    /// A history of events alone, one microsecond apart.
    pub fn from_events<'a>(events: impl IntoIterator<Item = (&'a str, Event)>) -> Self {
        let mut at = Duration::ZERO;
        let events = events
            .into_iter()
            .map(|(node, event)| {
                at += Duration::from_micros(1);
                Recorded { at, node: node.into(), event }
            })
            .collect();
        Self { events, ..Self::default() }
    }
}

/// The checkpoint that this event shows to be completed. A leader can crash after the record is durable
/// and before it says so; then the next leader finds the checkpoint in the store.
pub(crate) fn completed_by(event: &Event) -> Option<CheckpointId> {
    if let Event::CheckpointCompleted { checkpoint } = event {
        return Some(*checkpoint);
    }
    if let Event::CoordinatorStarted { restored, token: _ } = event {
        return *restored;
    }
    None
}
