//! The files of one subtask attempt's live state: its scratch file, and the shared files of its snapshots.
//!
//! ```text
//! restored chain ──> state in a scratch file ──view──> runs ──> shared files ──ack──> coordinator
//!                         changes since the confirmed checkpoint ^        ^ or everything
//! ```
//!
//! A snapshot refers to the files of a confirmed checkpoint instead of writing them again, and to those of
//! no other (I6). When the changes have become as large as the state they change, or too many, the next
//! snapshot is full, and old files go as soon as no checkpoint uses them.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_env::Scratch;
use seawall_probe::sometimes;
use seawall_protocol::key_group::owned_by;
use seawall_protocol::limits::{DELTA_FILES_MAX, SHARED_FILE_BYTES, SNAPSHOTS_WRITING_MAX};
use seawall_protocol::message::{Barrier, CheckpointKind};
use seawall_protocol::shared_files::{SharedFile, SharedFileId};
use seawall_protocol::{AttemptId, CheckpointId};
use seawall_stream::Job;
use seawall_stream::chain::OperatorChain;
use seawall_stream::state::{Changes, RunView, SnapshotRequest};

use crate::storage::Storage;
use crate::storage::shared::{self, Run};
use crate::subtask::{Failure, Launch};

/// See the module.
#[derive(Default)]
pub(crate) struct StateFiles {
    is_incremental: bool,
    scratch: Option<Arc<dyn Scratch>>,
    /// What later snapshots may build on.
    confirmed: Option<(CheckpointId, Vec<SharedFile>)>,
    /// The chains of durable snapshots that are not confirmed.
    written: BTreeMap<CheckpointId, Vec<SharedFile>>,
}

impl StateFiles {
    /// Opens the scratch file that the chain needs, if it needs one.
    pub(crate) async fn open(
        launch: &Launch,
        operator: &mut dyn OperatorChain,
    ) -> Result<Self, Failure> {
        if !operator.needs_scratch() {
            return Ok(Self::default());
        }
        let attempt = launch.attempt;
        let subtask = attempt.subtask;
        let name = format!("{}-{}-attempt-{}", subtask.operator, subtask.index, attempt.attempt);
        let path = launch.scratch.join(name);
        let opened = launch.env.disk.scratch(&path).await;
        let scratch: Arc<dyn Scratch> = opened
            .map_err(|error| {
                Failure::retryable(format!("cannot open scratch file {}: {error}", path.display()))
            })?
            .into();
        operator.open(Arc::clone(&scratch))?;
        let is_incremental = launch.is_incremental;
        Ok(Self { is_incremental, scratch: Some(scratch), ..Self::default() })
    }

    /// Reads the chain into the state, behind everything else that was restored.
    pub(crate) async fn restore(
        &mut self,
        launch: &Launch,
        operator: &mut dyn OperatorChain,
        chain: Vec<SharedFile>,
    ) -> Result<(), Failure> {
        sometimes!(!chain.is_empty(), ChainIsRestored);
        // Files of another parallelism hold more (M7).
        let Job { parallelism, key_groups, .. } = *launch.job;
        let owned = owned_by(launch.attempt.subtask.index, key_groups, parallelism);
        for file in &chain {
            let run = shared::read(&launch.storage, file).await;
            let groups = run.map_err(Failure::retryable)?.groups;
            let groups = groups.into_iter().map(Changes::from);
            let changes: Vec<Changes> = groups.filter(|it| owned.contains(&it.key_group)).collect();
            operator.apply(&changes)?;
            self.settle().await;
        }
        // State that was not restored from shared files is in none of them: the next snapshot is full.
        let is_all_shared = !chain.is_empty() && chain.iter().all(|it| !it.is_own);
        self.confirmed = launch.restore.filter(|_| is_all_shared).map(|it| (it, chain));
        if self.is_incremental {
            operator.track_changes(self.confirmed.as_ref().map(|(id, _)| *id));
        }
        Ok(())
    }

    /// What the snapshot of the checkpoint builds on. A savepoint builds on nothing (H7).
    pub(crate) fn request(&self, barrier: &Barrier) -> SnapshotRequest {
        let confirmed = self.confirmed.as_ref().filter(|_| self.is_shared(barrier));
        let since = confirmed.filter(|(_, chain)| !is_worn(chain)).map(|(id, _)| *id);
        sometimes!(confirmed.is_some() && since.is_none(), ChainIsWorn);
        SnapshotRequest { checkpoint: barrier.checkpoint, since }
    }

    /// Whether later snapshots may build on this one.
    pub(crate) fn is_shared(&self, barrier: &Barrier) -> bool {
        self.is_incremental && barrier.kind == CheckpointKind::Checkpoint
    }

    /// The files that a snapshot of changes stands on.
    pub(crate) fn base(&self) -> Vec<SharedFile> {
        self.confirmed.as_ref().map(|(_, chain)| chain.clone()).unwrap_or_default()
    }

    /// The snapshot is durable as this chain.
    pub(crate) fn on_durable(&mut self, checkpoint: CheckpointId, chain: Vec<SharedFile>) {
        if self.is_incremental && chain.iter().all(|it| !it.is_own) {
            self.written.insert(checkpoint, chain);
        }
        if self.written.len() > SNAPSHOTS_WRITING_MAX {
            self.written.pop_first();
        }
    }

    /// The checkpoint is completed.
    pub(crate) fn on_confirmed(
        &mut self,
        checkpoint: CheckpointId,
        operator: &mut dyn OperatorChain,
    ) {
        let Some(chain) = self.written.remove(&checkpoint) else {
            sometimes!(self.is_incremental, ConfirmedIsUnknown);
            return;
        };
        self.written = self.written.split_off(&checkpoint);
        self.confirmed = Some((checkpoint, chain));
        operator.confirm(checkpoint);
    }

    /// Waits for the time that the live state should have taken.
    pub(crate) async fn settle(&self) {
        if let Some(scratch) = &self.scratch {
            scratch.settle().await;
        }
    }
}

/// Whether reading the chain costs twice what reading a new base would.
fn is_worn(chain: &[SharedFile]) -> bool {
    let bytes = |is_base| -> u64 {
        chain.iter().filter(|it| it.is_base == is_base).map(|it| it.bytes).sum()
    };
    let changes = chain.iter().filter(|it| !it.is_base).count();
    changes > DELTA_FILES_MAX || bytes(false) > bytes(true)
}

/// Writes the runs of a view as shared files and returns the snapshot's chain.
pub(crate) async fn write(
    storage: &Storage,
    (attempt, checkpoint): (AttemptId, CheckpointId),
    base: Vec<SharedFile>,
    is_own: bool,
    runs: &mut dyn RunView,
) -> Result<Vec<SharedFile>, String> {
    let AttemptId { subtask, attempt } = attempt;
    let is_base = runs.is_base();
    let mut chain = if is_base { Vec::new() } else { base };
    let mut sequence = 0;
    while let Some(changes) = runs.next_run(SHARED_FILE_BYTES).map_err(|it| it.to_string())? {
        runs.settle().await;
        let id = SharedFileId { checkpoint, subtask, attempt, sequence };
        let run = Run { id, is_base, groups: changes.into_iter().map(Into::into).collect() };
        let file = shared::write(storage, &run, is_own).await;
        chain.push(file.map_err(|error| error.to_string())?);
        sequence += 1;
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use seawall_protocol::config::Alignment;
    use seawall_protocol::{Attempt, SubtaskId};

    use super::*;

    fn file(checkpoint: u64, is_base: bool, is_own: bool, bytes: u64) -> SharedFile {
        let (checkpoint, subtask) = (CheckpointId(checkpoint), SubtaskId::new(0, 0));
        let id = SharedFileId { checkpoint, subtask, attempt: Attempt(1), sequence: 0 };
        SharedFile { id, is_base, is_own, bytes, checksum: 0 }
    }

    fn barrier(kind: CheckpointKind) -> Barrier {
        Barrier { checkpoint: CheckpointId(9), kind, alignment: Alignment::Aligned }
    }

    fn files(chain: Vec<SharedFile>) -> StateFiles {
        let confirmed = Some((CheckpointId(3), chain));
        StateFiles { is_incremental: true, confirmed, ..StateFiles::default() }
    }

    // Rules: H7, I6
    #[test]
    fn a_savepoint_builds_on_nothing_and_nothing_builds_on_it() {
        let mut files = files(vec![file(3, true, false, 100)]);
        let since = |kind| files.request(&barrier(kind)).since;
        assert_eq!(since(CheckpointKind::Checkpoint), Some(CheckpointId(3)));
        for kind in [
            CheckpointKind::Savepoint,
            CheckpointKind::StopWithSavepoint { drain: false },
            CheckpointKind::StopWithSavepoint { drain: true },
        ] {
            assert_eq!(since(kind), None, "{kind:?} is full");
            assert!(!files.is_shared(&barrier(kind)), "{kind:?} owns its files");
        }
        files.on_durable(CheckpointId(9), vec![file(9, true, true, 100)]);
        assert_eq!(files.written, BTreeMap::new());
    }

    // Rules: I3
    #[test]
    fn a_chain_that_costs_more_to_read_than_a_full_snapshot_is_begun_anew() {
        let since = |chain| files(chain).request(&barrier(CheckpointKind::Checkpoint)).since;
        let chain = |changes: usize, bytes| {
            let changes = std::iter::repeat_n(file(3, false, false, bytes), changes);
            std::iter::once(file(2, true, false, 100)).chain(changes).collect::<Vec<_>>()
        };
        assert_eq!(since(chain(DELTA_FILES_MAX, 1)), Some(CheckpointId(3)));
        assert_eq!(since(chain(DELTA_FILES_MAX + 1, 1)), None, "too many");
        assert_eq!(since(chain(1, 101)), None, "too large");
    }
}
