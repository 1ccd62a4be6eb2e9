//! What a run is about: a job with its input, and what its author knows of what must come of it.
//!
//! ```text
//! a built-in job    workload::Prepared ──┐
//!                                        ├─► Subject ─► run ─► evidence ─► seawall_spec ─► verdict
//! a job of a user   own::Own ────────────┘
//! ```
//!
//! Every subject is run and judged by the same code. What a subject cannot tell is not judged, and the
//! verdict names it; it never counts as held in silence.

use std::collections::BTreeSet;
use std::sync::Arc;

use seawall_jobs::origin::Origin;
use seawall_jobs::reference::{InputFile, State};
use seawall_protocol::JobId;
use seawall_runtime::connectors::file_source::FileSplit;
use seawall_runtime::storage::Snapshot;
use seawall_spec::CommittedFile;
use seawall_stream::Job;
use seawall_stream::state::EncodedGroup;

/// The properties that need to know the output of a run without faults.
pub const OF_OUTPUT: [&str; 2] = ["exactly-once-output", "no-loss"];

/// A job with its input, and what is known of its output and state. Plain answers: no subject asks how the
/// run went.
pub trait Subject: Send + Sync {
    /// The program.
    fn job(&self) -> &Arc<Job>;

    /// Its identity.
    fn id(&self) -> JobId;

    /// Its input files, decompressed; none when it generates its records.
    fn files(&self) -> &[InputFile];

    /// Which part of the input an encoded split is, and how far it was read; `None` when it is of a source that
    /// the subject does not know.
    fn position(&self, split: &[u8]) -> Option<(String, u64)>;

    /// The lines that a run without faults commits, with their directory in front of those that are not in
    /// the output directory itself; `None` when nobody knows.
    fn output(&self) -> Option<Vec<Vec<u8>>>;

    /// The same, when the input counts as ended at the positions of these splits.
    fn output_before(&self, splits: &[Vec<u8>]) -> Option<Vec<Vec<u8>>>;

    /// The keyed state in the snapshots of one checkpoint, beside the fold of the input before its cut;
    /// `None` when nobody knows.
    ///
    /// # Errors
    /// When the bytes are not state of this job.
    fn state(&self, snapshots: &[Snapshot]) -> Result<Option<Compared>, String>;

    /// The sequence that a line of output belongs to, and its number in it; see
    /// [`seawall_jobs::reference::place_in_sequence`].
    fn place_in_sequence(&self, line: &str) -> Option<(String, u64)>;

    /// The input records that a line of output, or a key of the state, stems from, in input order; none when
    /// nobody knows.
    fn origins(&self, line: &str) -> Vec<Origin> {
        let _ = line;
        Vec::new()
    }

    /// What else its author says of the output of a finished run.
    ///
    /// # Errors
    /// How it does not hold.
    fn invariant(&self, committed: &[CommittedFile]) -> Result<(), String> {
        let _ = committed;
        Ok(())
    }

    /// Properties that it says nothing to judge by.
    fn unjudged(&self) -> BTreeSet<&'static str> {
        BTreeSet::new()
    }
}

/// State as text, as it is and as it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// In the checkpoint.
    pub found: State,
    /// By the fold of the input.
    pub expected: State,
}

/// The keyed state of a snapshot.
pub(crate) fn groups(snapshot: &Snapshot) -> impl Iterator<Item = EncodedGroup> {
    snapshot.keyed.iter().map(|it| EncodedGroup {
        key_group: it.key_group,
        entries: it.entries,
        bytes: it.bytes.to_vec(),
    })
}

/// Which part of the input a split of a file is, and how far it was read.
pub(crate) fn position_in_file(split: &FileSplit) -> (String, u64) {
    (format!("split of {} at {}", split.path, split.start), split.position)
}

/// The splits of all snapshots.
pub(crate) fn splits(snapshots: &[Snapshot]) -> Vec<Vec<u8>> {
    snapshots.iter().flat_map(|it| it.splits.iter().cloned()).collect()
}
