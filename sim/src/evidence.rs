//! What the oracles are told besides events: looks at the simulated disk from outside.
//!
//! When a checkpoint completes, its files are read as they would be left by a loss of all power, and
//! checked; its state, with the records in flight added to it, is compared with a plain fold of the input
//! before its cut. They are read again
//! whenever another checkpoint is deleted. Output is looked at whenever a transaction is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use seawall_jobs::reference;
use seawall_protocol::coordinator::SubtaskPlan;
use seawall_protocol::event::Event;
use seawall_protocol::finished::find_gap;
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{CheckpointId, SubtaskId};
use seawall_runtime::connectors::file_source::FileSplit;
use seawall_runtime::connectors::generator::GeneratorSplit;
use seawall_runtime::coordinator::subtask_plans;
use seawall_runtime::storage::format::{self, Kind};
use seawall_runtime::storage::history::History as Remembered;
use seawall_runtime::storage::shared::Run;
use seawall_runtime::storage::{Manifest, Snapshot, layout, shared};
use seawall_spec::{CheckpointContents, CommittedFile, VisibleEarly};
use seawall_stream::state::EncodedGroup;

use crate::workload::{OUTPUT, Prepared, STORAGE, tagged};
use crate::world::{InspectableDisk, View};

/// What was seen on the disk during a run.
pub(crate) struct Evidence {
    prepared: Arc<Prepared>,
    completed: Option<CheckpointId>,
    checkpoints: BTreeMap<CheckpointId, CheckpointContents>,
    /// Each subtask's last snapshot with positions and state: what a checkpoint that holds only its finish
    /// stands for.
    last: BTreeMap<SubtaskId, Snapshot>,
    early: BTreeMap<PathBuf, VisibleEarly>,
}

impl Evidence {
    /// Nothing seen yet.
    pub(crate) fn new(prepared: Arc<Prepared>) -> Self {
        let (checkpoints, last, early) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { prepared, completed: None, checkpoints, last, early }
    }

    /// Looks at the disk when `event` is a reason to.
    pub(crate) fn on_event(&mut self, at: Duration, disk: &InspectableDisk, event: &Event) {
        if let Event::CheckpointCompleted { checkpoint } = event {
            self.completed = self.completed.max(Some(*checkpoint));
            self.look_at_checkpoints(disk);
            self.checkpoints.entry(*checkpoint).or_insert_with(|| CheckpointContents {
                restorable: Err("the store record that names it is not durable".to_owned()),
                ..empty(*checkpoint)
            });
        }
        if let Event::CoordinatorStarted { restored, .. } = event {
            self.completed = self.completed.max(*restored);
            self.look_at_checkpoints(disk);
        }
        if let Event::CheckpointSubsumed { .. }
        | Event::CheckpointDiscarded { .. }
        | Event::JobCancelled
        | Event::JobFinished = event
        {
            self.look_at_checkpoints(disk);
        }
        if let Event::TransactionPrecommitted { .. }
        | Event::SnapshotWritten { .. }
        | Event::SnapshotAcked { .. }
        | Event::CheckpointAborted { .. } = event
        {
            self.look_at_output(at, disk);
        }
    }

    /// Every checkpoint that was seen, ascending.
    pub(crate) fn checkpoints(&self) -> Vec<CheckpointContents> {
        self.checkpoints.values().cloned().collect()
    }

    /// Output that was seen before its checkpoint was completed.
    pub(crate) fn visible_early(&self) -> Vec<VisibleEarly> {
        self.early.values().cloned().collect()
    }

    /// Reads every retained checkpoint. The end of a run is a reason too: a leader that cannot read its
    /// checkpoint never starts, and no event says so.
    pub(crate) fn look_at_checkpoints(&mut self, disk: &InspectableDisk) {
        let Some(record) = record(disk) else { return };
        for checkpoint in record.retained {
            let seen = read(disk, checkpoint, &subtask_plans(&self.prepared.job));
            let Some(before) = self.checkpoints.get_mut(&checkpoint) else {
                let contents = self.contents(checkpoint, seen);
                self.checkpoints.insert(checkpoint, contents);
                continue;
            };
            if let Err(cause) = seen
                && before.restorable.is_ok()
            {
                before.restorable = Err(cause);
            }
        }
    }

    /// The snapshots, each of a finished subtask being the last one before; that must hold its end (N3).
    fn completed_by_finished(&mut self, seen: Contents) -> Result<Vec<Snapshot>, String> {
        let Contents { mut snapshots, finished } = seen;
        for snapshot in &mut snapshots {
            let has_data = !snapshot.splits.is_empty() || !snapshot.keyed.is_empty();
            match self.last.get(&snapshot.subtask) {
                Some(last) if snapshot.is_ended && last.is_ended && !has_data => {
                    *snapshot = last.clone();
                }
                Some(_) | None => {
                    self.last.insert(snapshot.subtask, snapshot.clone());
                }
            }
        }
        for subtask in finished {
            let last = self.last.get(&subtask).filter(|it| it.is_ended);
            snapshots.push(last.cloned().ok_or_else(|| {
                format!("it holds {subtask} as finished, and none before it holds its end")
            })?);
        }
        Ok(snapshots)
    }

    fn contents(
        &mut self,
        checkpoint: CheckpointId,
        seen: Result<Contents, String>,
    ) -> CheckpointContents {
        let mut contents = empty(checkpoint);
        let snapshots = seen.and_then(|it| self.completed_by_finished(it));
        let (job, options) = (self.prepared.spec.name, &self.prepared.options);
        let decoded = snapshots.and_then(|snapshots| {
            let groups: Vec<EncodedGroup> = snapshots
                .iter()
                .flat_map(|it| &it.keyed)
                .map(|it| EncodedGroup {
                    key_group: it.key_group,
                    entries: it.entries,
                    bytes: it.bytes.clone(),
                })
                .collect();
            let mut state = reference::decode_state(job, &groups)?;
            let in_flight = snapshots.iter().flat_map(|it| it.input.iter().chain(&it.output));
            for section in in_flight {
                for batch in &section.batches {
                    reference::fold_in_flight(job, &mut state, section.edge, &batch.bytes)?;
                }
            }
            Ok((state, snapshots))
        });
        match decoded {
            Err(cause) => contents.restorable = Err(cause),
            Ok((state, snapshots)) => {
                let mut splits = Vec::new();
                for snapshot in &snapshots {
                    for (index, split) in snapshot.splits.iter().enumerate() {
                        let name = format!("{} split {index}", snapshot.subtask);
                        contents.positions.insert(name, position(split));
                        splits.push(split.clone());
                    }
                }
                let expected = reference::state(job, options, &self.prepared.files, &splits);
                let bytes = |state: reference::State| {
                    state.into_iter().map(|(key, it)| (key.into_bytes(), it.into_bytes())).collect()
                };
                contents.state = bytes(state);
                contents.expected_state = bytes(expected);
            }
        }
        contents
    }

    fn look_at_output(&mut self, at: Duration, disk: &InspectableDisk) {
        for path in committed_paths(disk) {
            let Some(checkpoint) = checkpoint_of(&path) else { continue };
            if Some(checkpoint) > self.completed {
                let name = path.display().to_string();
                self.early.entry(path).or_insert(VisibleEarly { at, name, checkpoint });
            }
        }
    }
}

fn empty(checkpoint: CheckpointId) -> CheckpointContents {
    CheckpointContents {
        checkpoint,
        positions: BTreeMap::new(),
        state: BTreeMap::new(),
        expected_state: BTreeMap::new(),
        restorable: Ok(()),
    }
}

fn position(split: &[u8]) -> u64 {
    if let Ok((split, [])) = postcard::take_from_bytes::<FileSplit>(split) {
        return split.position;
    }
    postcard::from_bytes::<GeneratorSplit>(split).map_or(0, |it| it.next)
}

/// The store record as a loss of all power would leave it.
/// What the coordinators left of their checkpoints' figures.
pub(crate) fn remembered(disk: &InspectableDisk) -> Option<Remembered> {
    file(disk, Kind::History, &layout::history(Path::new(STORAGE))).ok().map(|it| it.0)
}

fn record(disk: &InspectableDisk) -> Option<StoreRecord> {
    let path = layout::record(Path::new(STORAGE));
    let bytes = disk.read(View::Durable, &path)?;
    format::decode(Kind::Record, &bytes, &path).ok()
}

/// What a checkpoint holds.
struct Contents {
    snapshots: Vec<Snapshot>,
    finished: Vec<SubtaskId>,
}

/// Reads a whole checkpoint as a loss of all power would leave it; a node must see its files, too. What
/// is in shared files is added to the keyed state of the snapshot that refers to them.
fn read(
    disk: &InspectableDisk,
    checkpoint: CheckpointId,
    plan: &[SubtaskPlan],
) -> Result<Contents, String> {
    let root = Path::new(STORAGE);
    let manifest: Manifest = file(disk, Kind::Manifest, &layout::manifest(root, checkpoint))?.0;
    let mut snapshots = Vec::new();
    for handle in &manifest.snapshots {
        let path = layout::snapshot(root, checkpoint, handle.subtask, handle.attempt);
        let (mut snapshot, bytes) = file::<Snapshot>(disk, Kind::Snapshot, &path)?;
        if bytes.len() as u64 != handle.bytes || format::checksum_of(&bytes) != handle.checksum {
            return Err(format!("{} is not the file that the manifest names", path.display()));
        }
        if snapshot.shared != handle.shared {
            return Err(format!("{} refers to other files than the manifest", path.display()));
        }
        let mut chain = Vec::new();
        for shared in &handle.shared {
            let path = layout::state_file(root, shared);
            let (_, bytes) = file::<Run>(disk, Kind::Shared, &path)?;
            chain.push(shared::check(&bytes, shared, &path).map_err(|it| it.to_string())?);
        }
        snapshot.keyed.extend(shared::merge(&chain)?);
        snapshots.push(snapshot);
    }
    let held = snapshots.iter().map(|it| it.subtask).collect();
    let at_end = snapshots.iter().filter(|it| it.is_ended).map(|it| it.subtask).collect();
    let finished = manifest.finished.iter().copied().collect();
    match find_gap(plan, &held, &at_end, &finished) {
        Some(gap) => Err(gap.to_string()),
        None => Ok(Contents { snapshots, finished: manifest.finished }),
    }
}

fn file<T: serde::de::DeserializeOwned>(
    disk: &InspectableDisk,
    kind: Kind,
    path: &Path,
) -> Result<(T, Vec<u8>), String> {
    let bytes = disk
        .read(View::Durable, path)
        .ok_or_else(|| format!("{} is not durable", path.display()))?;
    if disk.read(View::Visible, path).is_none() {
        return Err(format!("{} was deleted", path.display()));
    }
    let value = format::decode(kind, &bytes, path).map_err(|it| it.to_string())?;
    Ok((value, bytes))
}

/// Output that a reader of the directory sees: every file whose name and directory do not begin with a dot.
fn committed_paths(disk: &InspectableDisk) -> Vec<PathBuf> {
    let is_committed = |path: &PathBuf| {
        path.strip_prefix(OUTPUT).is_ok_and(|it| {
            it.components().all(|it| !it.as_os_str().to_string_lossy().starts_with('.'))
        })
    };
    disk.paths(View::Visible).into_iter().filter(is_committed).collect()
}

/// `part-0-chk-7.csv` is of checkpoint 7.
fn checkpoint_of(path: &Path) -> Option<CheckpointId> {
    let stem = path.file_stem()?.to_str()?;
    stem.rsplit_once("-chk-")?.1.parse().ok().map(CheckpointId)
}

/// The committed output.
pub(crate) fn committed_output(disk: &InspectableDisk) -> Vec<CommittedFile> {
    let mut files = Vec::new();
    for path in committed_paths(disk) {
        let Some(bytes) = disk.read(View::Visible, &path) else { continue };
        let inner = path.strip_prefix(OUTPUT).expect("below the output directory");
        let directory = inner.parent().map_or(String::new(), |it| it.display().to_string());
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let lines = whole.split(|it| *it == b'\n').map(|it| tagged(&directory, it)).collect();
        let lines = if bytes.is_empty() { Vec::new() } else { lines };
        files.push(CommittedFile { name: path.display().to_string(), lines });
    }
    files
}

/// Files below these directories that belong to nothing, once the job has ended and the world is at rest.
pub(crate) fn leftover_files(disk: &InspectableDisk, below: &[&str]) -> Vec<String> {
    let root = Path::new(STORAGE);
    let mut owned: BTreeSet<PathBuf> =
        [layout::record(root), layout::splits(root), layout::history(root)].into();
    for checkpoint in record(disk).map(|it| it.retained).unwrap_or_default() {
        let path = layout::manifest(root, checkpoint);
        if let Ok((manifest, _)) = file::<Manifest>(disk, Kind::Manifest, &path) {
            owned.extend(
                manifest
                    .snapshots
                    .iter()
                    .map(|it| layout::snapshot(root, checkpoint, it.subtask, it.attempt)),
            );
            owned.extend(manifest.shared().map(|it| layout::state_file(root, it)));
        }
        owned.insert(path);
    }
    owned.extend(committed_paths(disk));
    let is_ours = |path: &PathBuf| below.iter().any(|it| path.starts_with(it));
    let mut left: Vec<String> = disk
        .paths(View::Visible)
        .into_iter()
        .filter(|path| is_ours(path) && !owned.contains(path))
        .map(|path| path.display().to_string())
        .collect();
    left.sort();
    left
}
