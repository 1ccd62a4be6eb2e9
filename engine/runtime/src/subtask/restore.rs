//! What a subtask attempt restores: its own snapshot, or its share of what the subtasks of another
//! parallelism left, as [`seawall_protocol::takeover`] decides.
//!
//! Those of a subtask that had finished are done (N2).

use std::collections::BTreeSet;

use seawall_probe::sometimes;
use seawall_protocol::takeover::Takeover;
use seawall_protocol::tamper::DataStep;
use seawall_protocol::{AttemptId, CheckpointId, EventTime, SubtaskId};
use seawall_stream::chain::{Chain, Notice};

use super::{Failure, Launch};
use crate::operator_state;
use crate::storage::snapshot::{self, Snapshot};
use crate::storage::{Manifest, manifest};

/// What the subtask goes on from, and how far event time was (L6); fills the operator states of its chain.
pub(super) async fn restore(
    launch: &Launch,
    checkpoint: CheckpointId,
    chain: &mut Chain,
) -> Result<(Snapshot, EventTime), Failure> {
    // A missing or damaged file may be an error of the moment; the restart strategy bounds the tries.
    let manifest = manifest::read(&launch.storage, checkpoint).await;
    sometimes!(manifest.is_err(), ManifestIsUnreadable);
    let manifest = manifest.map_err(Failure::retryable)?;
    let operator = launch.attempt.subtask.operator;
    let before = manifest.operators.iter().find(|it| it.id == operator).map(|it| it.parallelism);
    let before = before.ok_or_else(|| {
        Failure::fatal(format!("checkpoint {checkpoint} holds nothing of operator {operator}"))
    })?;
    let restored = if before == launch.job.parallelism {
        restore_own(launch, &manifest, chain).await?
    } else {
        take_over(launch, &manifest, before, chain).await?
    };
    chain.outputs().tell(Notice::Restored);
    Ok(restored)
}

/// At the same parallelism.
async fn restore_own(
    launch: &Launch,
    manifest: &Manifest,
    chain: &mut Chain,
) -> Result<(Snapshot, EventTime), Failure> {
    let (own, parallelism) = (launch.attempt.subtask.index, launch.job.parallelism);
    let is_shared = operator_state::is_shared(chain.outputs()).map_err(Failure::fatal)?;
    let indices = (0..parallelism).filter(|it| is_shared || *it == own);
    let mut snapshots = Vec::new();
    for index in indices {
        snapshots.push(read(launch, manifest, index).await?);
    }
    // One snapshot is this subtask's own, which is all that list state needs (M5).
    let (index, of) = if is_shared { (own, parallelism) } else { (0, 1) };
    operator_state::restore(chain.outputs(), &snapshots, index as usize, of as usize)
        .map_err(Failure::fatal)?;
    let own = snapshots.swap_remove(index as usize);
    let watermark = operator_state::watermark_of([&own]).map_err(Failure::fatal)?;
    Ok((own, watermark))
}

/// From the subtasks of the operator as it was, `before` of them.
async fn take_over(
    launch: &Launch,
    manifest: &Manifest,
    before: u32,
    chain: &mut Chain,
) -> Result<(Snapshot, EventTime), Failure> {
    let subtask = launch.attempt.subtask;
    let (index, parallelism) = (subtask.index, launch.job.parallelism);
    let operator = &launch.job.operators[subtask.operator.0 as usize];
    let key_groups = launch.job.key_groups;
    let takeover = Takeover { index, now: parallelism, before, key_groups };
    let mut former = takeover.former_owners();
    if launch.env.tamper.skips(DataStep::MergeOwners) {
        former.end = former.start + 1;
    }
    let is_source = matches!(chain, Chain::Source(_));
    let is_spread =
        is_source || operator_state::has_any(chain.outputs()).map_err(Failure::fatal)?;
    let needed = |it: &u32| is_spread || takeover.inherits_from(*it) || former.contains(it);
    let mut snapshots = Vec::new();
    for of in (0..before).filter(needed) {
        snapshots.push(read(launch, manifest, of).await?);
    }
    if let Some(torn) = snapshots.iter().find(|it| !it.input.is_empty() || !it.output.is_empty()) {
        let (checkpoint, of) = (manifest.checkpoint, torn.subtask);
        return Err(Failure::fatal(format!(
            "checkpoint {checkpoint} holds records in flight of {of}, and parallelism {parallelism} is \
             asked for\nhint: start with parallelism {before}, and change it while the job runs"
        )));
    }
    let (at, of) = (index as usize, parallelism as usize);
    operator_state::restore(chain.outputs(), &snapshots, at, of).map_err(Failure::fatal)?;
    let watermark = operator_state::watermark_of(&snapshots).map_err(Failure::fatal)?;
    let splits: Vec<_> = snapshots.iter().map(|it| it.splits.as_slice()).collect();
    let splits = takeover.splits(&splits).into_iter().cloned().collect();
    let mut merged = Snapshot {
        is_ended: false,
        splits,
        ..Snapshot::of_finished(&operator.name, launch.attempt, manifest.checkpoint)
    };
    let mut owners = BTreeSet::new();
    for found in snapshots {
        let of = found.subtask.index;
        if takeover.inherits_from(of) && !launch.env.tamper.skips(DataStep::InheritTransactions) {
            sometimes!(of != index && !found.transactions.is_empty(), TransactionsAreTakenOver);
            merged.transactions.extend(found.transactions);
        }
        if former.contains(&of) {
            owners.insert(of);
            let groups = found.keyed.into_iter().filter(|it| takeover.owns(it.key_group));
            merged.keyed.extend(groups);
            merged.shared.extend(found.shared);
        }
    }
    sometimes!(owners.len() > 1 && !merged.keyed.is_empty(), SeveralAreMerged);
    sometimes!(is_source && merged.splits.is_empty(), NothingIsTakenOver);
    Ok((merged, watermark))
}

/// One that had finished has nothing left to do (N2).
async fn read(launch: &Launch, manifest: &Manifest, index: u32) -> Result<Snapshot, Failure> {
    let subtask = SubtaskId { index, ..launch.attempt.subtask };
    let checkpoint = manifest.checkpoint;
    if manifest.finished.contains(&subtask) {
        sometimes!(RestoredAsFinished);
        let operator = &launch.job.operators[subtask.operator.0 as usize];
        let attempt = AttemptId { subtask, ..launch.attempt };
        return Ok(Snapshot::of_finished(&operator.name, attempt, checkpoint));
    }
    let handle = manifest.snapshots.iter().find(|it| it.subtask == subtask);
    let handle = handle.ok_or_else(|| {
        Failure::fatal(format!("checkpoint {checkpoint} holds no snapshot of {subtask}"))
    })?;
    let read = snapshot::read(&launch.storage, checkpoint, handle).await;
    sometimes!(read.is_err(), SnapshotIsUnreadable);
    read.map_err(Failure::retryable)
}
