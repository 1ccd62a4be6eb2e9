//! What the oracles are told besides events: looks at the simulated disk from outside.
//!
//! When a checkpoint completes, its files are read as they would be left by a loss of all power, and
//! checked; its state, with the records in flight added to it, is compared with a plain fold of the input
//! before its cut. They are read again
//! whenever another checkpoint is deleted. Output is looked at whenever a transaction is on its way.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use seawall_jobs::reference::State;
use seawall_protocol::coordinator::SubtaskPlan;
use seawall_protocol::event::Event;
use seawall_protocol::finished::find_gap;
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::operator_state::Redistribution;
use seawall_protocol::record::StoreRecord;
use seawall_protocol::shared_files::SharedFile;
use seawall_protocol::{CheckpointId, SubtaskId};
use seawall_runtime::connectors::file_sink::REWOUND_DIRECTORY;
use seawall_runtime::coordinator::{plans_then, subtask_plans};
use seawall_runtime::storage::format::{self, Kind};
use seawall_runtime::storage::history::History as Remembered;
use seawall_runtime::storage::shared::Run;
use seawall_runtime::storage::{Manifest, Snapshot, layout, shared};
use seawall_spec::records_in_order;
use seawall_spec::{CheckpointContents, CommittedFile, TakenBack, VisibleEarly};
use seawall_stream::Job;
use xxhash_rust::xxh3::xxh3_64;

use crate::provenance::Splits;
use crate::subject::{self, Compared, Subject};
use crate::workload::{OUTPUT, STORAGE, STORAGE_THEN, tagged};
use crate::world::{InspectableDisk, View};

/// What was seen on the disk during a run.
pub(crate) struct Evidence {
    subject: Arc<dyn Subject>,
    /// What a whole checkpoint of its job consists of. To know it the job is built, which may not come back:
    /// once there is a watchdog.
    plan: OnceCell<Vec<SubtaskPlan>>,
    completed: Option<CheckpointId>,
    checkpoints: BTreeMap<CheckpointId, CheckpointContents>,
    /// Each subtask's last snapshot with positions and state: what a checkpoint that holds only its finish
    /// stands for.
    last: BTreeMap<SubtaskId, Snapshot>,
    /// Of subtasks of an earlier parallelism: what they had read that no later checkpoint holds.
    gone: Vec<Snapshot>,
    early: BTreeMap<String, VisibleEarly>,
    /// Every file of the output at the last look, in each view.
    listed: [Vec<PathBuf>; 2],
    /// Committed output that was durable once: its checkpoint, and a checksum of its bytes.
    seen: BTreeMap<String, (CheckpointId, u64)>,
    taken_back: Vec<TakenBack>,
    /// The data directory of the running job.
    root: PathBuf,
    /// The positions in each checkpoint.
    splits: Splits,
    /// Savepoints that nobody has deleted.
    savepoints: BTreeMap<CheckpointId, PathBuf>,
    is_output_unjudged: bool,
    /// What was in list state went to other subtasks, in turn, and is in no order any more (M5).
    is_list_spread: bool,
}

impl Evidence {
    /// Nothing seen yet.
    pub(crate) fn new(subject: Arc<dyn Subject>) -> Self {
        let (checkpoints, last, early) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            subject,
            plan: OnceCell::new(),
            completed: None,
            checkpoints,
            last,
            gone: Vec::new(),
            early,
            listed: Default::default(),
            seen: BTreeMap::new(),
            taken_back: Vec::new(),
            root: STORAGE.into(),
            splits: BTreeMap::new(),
            savepoints: BTreeMap::new(),
            is_output_unjudged: false,
            is_list_spread: false,
        }
    }

    fn plan(&self) -> &[SubtaskPlan] {
        self.plan.get_or_init(|| subtask_plans(self.subject.job()))
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
        if let Event::JobRescaled { .. } = event {
            self.is_list_spread |= has_list_state(self.subject.job());
        }
        if let Event::SavepointCompleted { checkpoint } = event {
            self.savepoints.insert(*checkpoint, layout::savepoint(&self.root, *checkpoint));
            self.look_at_savepoints(disk);
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

    /// The job is started once more, elsewhere; it may begin behind what was seen.
    /// Savepoints behind the one that it starts from are of another course of events.
    pub(crate) fn begin_again(&mut self, root: &Path, from: &Path) {
        let start = self.savepoints.iter().find(|(_, it)| *it == from).map(|(id, _)| *id);
        self.savepoints.retain(|id, _| Some(*id) <= start);
        self.root = root.to_path_buf();
        self.checkpoints.clear();
        self.gone.clear();
        // A person may take output back, and each run is judged by itself.
        self.listed = Default::default();
        self.seen.clear();
        self.taken_back.clear();
    }

    /// Somebody else owns the savepoints from now on, or deleted them.
    pub(crate) fn forget_savepoints(&mut self) {
        self.savepoints.clear();
    }

    /// The oldest savepoint that was handed out.
    pub(crate) fn oldest_savepoint(&self) -> Option<(CheckpointId, PathBuf)> {
        self.savepoints.first_key_value().map(|(id, path)| (*id, path.clone()))
    }

    /// Where the savepoint is.
    pub(crate) fn savepoint(&self, checkpoint: CheckpointId) -> Option<PathBuf> {
        self.savepoints.get(&checkpoint).cloned()
    }

    /// What a run without faults commits whose input ends at this checkpoint, if its subject knows.
    pub(crate) fn output_before(&self, checkpoint: CheckpointId) -> Option<Vec<Vec<u8>>> {
        let splits = self.splits.get(&checkpoint).map(Vec::as_slice).unwrap_or_default();
        self.subject.output_before(splits)
    }

    /// Nobody knows what the output should be.
    pub(crate) fn leave_output_unjudged(&mut self) {
        self.is_output_unjudged = true;
    }

    /// Properties that nobody could judge.
    pub(crate) fn unjudged(&self) -> BTreeSet<&'static str> {
        let mut unjudged = self.subject.unjudged();
        if self.is_output_unjudged {
            unjudged.extend(subject::OF_OUTPUT);
        }
        if self.is_list_spread {
            unjudged.insert(records_in_order::PROPERTY.name);
        }
        unjudged
    }

    /// The positions in each checkpoint that was seen.
    pub(crate) fn splits(&self) -> Splits {
        self.splits.clone()
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
        let Some(record) = record(disk, &self.root) else { return };
        for checkpoint in record.retained {
            let directory = layout::checkpoint(&self.root, checkpoint);
            let seen = read(disk, &directory, self.subject.job(), self.plan());
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

    /// Reads every savepoint. Whatever becomes of its job, it stays (H7).
    pub(crate) fn look_at_savepoints(&mut self, disk: &InspectableDisk) {
        for (checkpoint, directory) in self.savepoints.clone() {
            let seen = read(disk, &directory, self.subject.job(), self.plan());
            if let Some(before) = self.checkpoints.get_mut(&checkpoint) {
                if let (Err(cause), Ok(())) = (seen, &before.restorable) {
                    before.restorable = Err(format!("of its savepoint, {cause}"));
                }
                continue;
            }
            // It is older than what was looked at last.
            let last = self.last.clone();
            let contents = self.contents(checkpoint, seen);
            self.last = last;
            self.checkpoints.insert(checkpoint, contents);
        }
    }

    /// The snapshots, each of a finished subtask being the last one before; that must hold its end (N3).
    fn completed_by_finished(&mut self, seen: Contents) -> Result<Vec<Snapshot>, String> {
        let Contents { mut snapshots, finished, kind } = seen;
        let mut gone = Vec::new();
        for snapshot in &mut snapshots {
            let has_data = !snapshot.splits.is_empty() || !snapshot.keyed.is_empty();
            match self.last.get(&snapshot.subtask) {
                Some(last) if snapshot.is_ended && last.is_ended && !has_data => {
                    *snapshot = last.clone();
                    gone.push(last.clone());
                }
                Some(_) | None => {
                    self.last.insert(snapshot.subtask, snapshot.clone());
                }
            }
        }
        for subtask in finished {
            let last = self.last.get(&subtask).filter(|it| it.is_ended);
            let last = last.cloned().ok_or_else(|| {
                format!("it holds {subtask} as finished, and none before it holds its end")
            })?;
            gone.push(last.clone());
            snapshots.push(last);
        }
        snapshots.extend(self.gone.iter().cloned());
        if let CheckpointKind::Rescale { .. } = kind {
            // The next attempt's subtasks are others.
            self.gone.append(&mut gone);
            self.last.clear();
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
        let judged = snapshots.and_then(|it| Ok((self.subject.state(&it)?, it)));
        match judged {
            Err(cause) => contents.restorable = Err(cause),
            Ok((state, snapshots)) => {
                for snapshot in &snapshots {
                    let positions =
                        snapshot.splits.iter().filter_map(|it| self.subject.position(it));
                    contents.positions.extend(positions);
                }
                self.splits.insert(checkpoint, subject::splits(&snapshots));
                let bytes = |state: State| {
                    state.into_iter().map(|(key, it)| (key.into_bytes(), it.into_bytes())).collect()
                };
                if let Some(Compared { found, expected }) = state {
                    contents.state = bytes(found);
                    contents.expected_state = bytes(expected);
                }
            }
        }
        contents
    }

    /// Looks at what a reader of the output sees.
    pub(crate) fn look_at_output(&mut self, at: Duration, disk: &InspectableDisk) {
        // It is asked for at every step of every snapshot and transaction, and most change nothing here.
        let views = [View::Visible, View::Durable];
        let is_listed =
            |(view, paths): (View, &Vec<PathBuf>)| disk.lists(view, OUTPUT.as_ref(), paths);
        if views.into_iter().zip(&self.listed).all(is_listed) {
            return;
        }
        self.listed = views.map(|view| disk.paths_below(view, OUTPUT.as_ref()));
        let [visible, durable] = self.listed.each_ref().map(|it| committed_names(it));
        let taken_back = &mut self.taken_back;
        self.seen.retain(|name, (checkpoint, _)| {
            let is_there = visible.binary_search(name).is_ok();
            if !is_there {
                let (name, checkpoint) = (name.clone(), *checkpoint);
                taken_back.push(TakenBack { at, name, checkpoint, is_changed: false });
            }
            is_there
        });
        // A rename that is not durable may be undone with the power, and is then made again.
        for name in durable {
            if self.seen.contains_key(&name) {
                continue;
            }
            let path = Path::new(&name);
            if let Some(checkpoint) = checkpoint_of(path) {
                let bytes = disk.read(View::Durable, path).unwrap_or_default();
                self.seen.insert(name, (checkpoint, xxh3_64(&bytes)));
            }
        }
        for name in visible {
            let Some(checkpoint) = checkpoint_of(Path::new(&name)) else { continue };
            if Some(checkpoint) > self.completed {
                let early = VisibleEarly { at, name: name.clone(), checkpoint };
                self.early.entry(name).or_insert(early);
            }
        }
    }

    /// The last look: what was taken back, and what is there with other bytes than once.
    pub(crate) fn taken_back(&mut self, at: Duration, disk: &InspectableDisk) -> Vec<TakenBack> {
        self.look_at_output(at, disk);
        let changed = self.seen.iter().filter(|(name, (_, checksum))| {
            let bytes = disk.read(View::Visible, Path::new(name));
            bytes.is_some_and(|it| xxh3_64(&it) != *checksum)
        });
        let changed = changed.map(|(name, (checkpoint, _))| TakenBack {
            at,
            name: name.clone(),
            checkpoint: *checkpoint,
            is_changed: true,
        });
        self.taken_back.iter().cloned().chain(changed).collect()
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

/// Whether an operator of the job has list state.
fn has_list_state(job: &Job) -> bool {
    let mut has_list_state = false;
    for operator in &job.operators {
        let visited = job.unplaced(operator).outputs().states(&mut |_, state| {
            has_list_state |= state.redistribution() == Redistribution::List;
            Ok(())
        });
        visited.expect("nothing is encoded");
    }
    has_list_state
}

/// What the coordinators left of their checkpoints' figures.
pub(crate) fn remembered(disk: &InspectableDisk, root: &Path) -> Option<Remembered> {
    file(disk, Kind::History, &layout::history(root)).ok().map(|it| it.0)
}

/// The store record as a loss of all power would leave it.
pub(crate) fn record(disk: &InspectableDisk, root: &Path) -> Option<StoreRecord> {
    let path = layout::record(root);
    let bytes = disk.read(View::Durable, &path)?;
    format::decode(Kind::Record, &bytes, &path).ok()
}

/// What a checkpoint holds.
struct Contents {
    snapshots: Vec<Snapshot>,
    finished: Vec<SubtaskId>,
    kind: CheckpointKind,
}

/// Reads a whole checkpoint as a loss of all power would leave it; a node must see its files, too. What
/// is in shared files is added to the keyed state of the snapshot that refers to them.
fn read(
    disk: &InspectableDisk,
    directory: &Path,
    job: &Job,
    plan: &[SubtaskPlan],
) -> Result<Contents, String> {
    let manifest: Manifest = file(disk, Kind::Manifest, &layout::manifest_in(directory))?.0;
    let mut snapshots = Vec::new();
    for handle in &manifest.snapshots {
        let path = layout::snapshot_in(directory, handle.subtask, handle.attempt);
        let (mut snapshot, bytes) = file::<Snapshot>(disk, Kind::Snapshot, &path)?;
        if bytes.len() as u64 != handle.bytes || format::checksum_of(&bytes) != handle.checksum {
            return Err(format!("{} is not the file that the manifest names", path.display()));
        }
        if snapshot.shared != handle.shared {
            return Err(format!("{} refers to other files than the manifest", path.display()));
        }
        let mut chain = Vec::new();
        for shared in &handle.shared {
            let path = file_in(directory, shared);
            let (_, bytes) = file::<Run>(disk, Kind::Shared, &path)?;
            chain.push(shared::check(&bytes, shared, &path).map_err(|it| it.to_string())?);
        }
        snapshot.keyed.extend(shared::merge(&chain)?);
        snapshots.push(snapshot);
    }
    let held = snapshots.iter().map(|it| it.subtask).collect();
    let at_end = snapshots.iter().filter(|it| it.is_ended).map(|it| it.subtask).collect();
    let finished = manifest.finished.iter().copied().collect();
    let is_as_planned = manifest.operators.iter().all(|it| it.parallelism == job.parallelism);
    let rescaled = (!is_as_planned).then(|| plans_then(job, &manifest.operators));
    match find_gap(rescaled.as_deref().unwrap_or(plan), &held, &at_end, &finished) {
        Some(gap) => Err(gap.to_string()),
        None => Ok(Contents { snapshots, finished: manifest.finished, kind: manifest.kind }),
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
    if !disk.has_file(View::Visible, path) {
        return Err(format!("{} was deleted", path.display()));
    }
    let value = format::decode(kind, &bytes, path).map_err(|it| it.to_string())?;
    Ok((value, bytes))
}

/// `part-0-chk-7.csv` is of `part-0`.
fn writer_of(path: &Path) -> Option<String> {
    Some(path.to_str()?.rsplit_once("-chk-")?.0.to_owned())
}

/// Output that a reader of the directory sees: every file whose name and directory do not begin with a dot.
fn committed_paths(disk: &InspectableDisk, view: View) -> Vec<PathBuf> {
    let is_committed = |path: &PathBuf| {
        path.strip_prefix(OUTPUT).is_ok_and(|it| {
            it.components().all(|it| !it.as_os_str().to_string_lossy().starts_with('.'))
        })
    };
    disk.paths_below(view, Path::new(OUTPUT)).into_iter().filter(is_committed).collect()
}

/// Those of the paths that a reader of the directory sees, as text, ascending.
fn committed_names(paths: &[PathBuf]) -> Vec<String> {
    let names = paths.iter().map(|it| it.to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|it| !it.contains("/.")).collect();
    names.sort_unstable();
    names
}

/// `part-0-chk-7.csv` is of checkpoint 7.
fn checkpoint_of(path: &Path) -> Option<CheckpointId> {
    let stem = path.file_stem()?.to_str()?;
    stem.rsplit_once("-chk-")?.1.parse().ok().map(CheckpointId)
}

/// The numbers of each sequence in the order of each sink subtask's output: file by file as their checkpoints
/// follow each other, line by line.
pub(crate) fn sequences(
    disk: &InspectableDisk,
    subject: &dyn Subject,
) -> BTreeMap<String, Vec<u64>> {
    let mut paths: Vec<_> = committed_paths(disk, View::Visible)
        .into_iter()
        .filter_map(|path| Some((writer_of(&path)?, checkpoint_of(&path)?, path)))
        .collect();
    paths.sort();
    let mut of_writers = BTreeMap::<String, BTreeMap<String, Vec<u64>>>::new();
    for (writer, _, path) in paths {
        let bytes = disk.read(View::Visible, &path).unwrap_or_default();
        let sequences = of_writers.entry(writer).or_default();
        for line in String::from_utf8_lossy(&bytes).lines() {
            if let Some((name, number)) = subject.place_in_sequence(line) {
                sequences.entry(name).or_default().push(number);
            }
        }
    }
    let of_writer = |(writer, sequences): (String, BTreeMap<String, Vec<u64>>)| {
        sequences.into_iter().map(move |(name, it)| (format!("{name} in {writer}"), it))
    };
    of_writers.into_iter().flat_map(of_writer).collect()
}

/// The committed output.
pub(crate) fn committed_output(disk: &InspectableDisk) -> Vec<CommittedFile> {
    let mut files = Vec::new();
    for path in committed_paths(disk, View::Visible) {
        let Some(bytes) = disk.read(View::Visible, &path) else { continue };
        let inner = path.strip_prefix(OUTPUT).expect("below the output directory");
        let directory = inner.parent().map_or(String::new(), |it| it.display().to_string());
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let lines =
            whole.split(|it| *it == b'\n').map(|it| tagged(&directory, it.to_vec())).collect();
        let lines = if bytes.is_empty() { Vec::new() } else { lines };
        files.push(CommittedFile { name: path.display().to_string(), lines });
    }
    files
}

/// A file of live state that a snapshot in the directory of a checkpoint or savepoint names.
fn file_in(directory: &Path, file: &SharedFile) -> PathBuf {
    if file.is_own {
        layout::own_file(directory, file)
    } else {
        layout::state_file(directory.parent().unwrap_or(directory), file)
    }
}

/// The manifest in the directory, and what it names.
fn files_of(disk: &InspectableDisk, directory: &Path) -> Vec<PathBuf> {
    let path = layout::manifest_in(directory);
    let mut files = Vec::new();
    if let Ok((manifest, _)) = file::<Manifest>(disk, Kind::Manifest, &path) {
        let snapshots = manifest.snapshots.iter();
        files.extend(snapshots.map(|it| layout::snapshot_in(directory, it.subtask, it.attempt)));
        files.extend(manifest.shared().map(|it| file_in(directory, it)));
    }
    files.push(path);
    files
}

/// Whether the checkpoint ended the input of its job.
pub(crate) fn is_drained(disk: &InspectableDisk, root: &Path, checkpoint: CheckpointId) -> bool {
    let path = layout::manifest(root, checkpoint);
    let manifest = file::<Manifest>(disk, Kind::Manifest, &path);
    manifest.is_ok_and(|(it, _)| it.kind == CheckpointKind::StopWithSavepoint { drain: true })
}

/// Files below these directories that belong to nothing, once the job has ended and the world is at rest.
pub(crate) fn leftover_files(disk: &InspectableDisk, below: &[&str]) -> Vec<String> {
    let mut owned = BTreeSet::new();
    for root in [STORAGE, STORAGE_THEN].map(Path::new) {
        owned.extend([layout::record(root), layout::splits(root), layout::history(root)]);
        owned.insert(layout::origin(root));
        for checkpoint in record(disk, root).map(|it| it.retained).unwrap_or_default() {
            owned.extend(files_of(disk, &layout::checkpoint(root, checkpoint)));
            owned.extend([layout::target(root, checkpoint), layout::exported(root, checkpoint)]);
        }
    }
    // A savepoint is whoever's who asked for it; without a manifest it is none.
    let manifests = disk.paths(View::Visible).into_iter();
    let directories = manifests.filter_map(|it| it.parent().map(Path::to_path_buf));
    for directory in directories.filter(|it| layout::is_savepoint(it)).collect::<BTreeSet<_>>() {
        if disk.has_file(View::Visible, &layout::manifest_in(&directory)) {
            owned.extend(files_of(disk, &directory));
        }
    }
    owned.extend(committed_paths(disk, View::Visible));
    // What a person took back is put aside for that person.
    let rewound = Path::new(OUTPUT).join(REWOUND_DIRECTORY);
    let is_ours =
        |path: &PathBuf| below.iter().any(|it| path.starts_with(it)) && !path.starts_with(&rewound);
    let mut left: Vec<String> = disk
        .paths(View::Visible)
        .into_iter()
        .filter(|path| is_ours(path) && !owned.contains(path))
        .map(|path| path.display().to_string())
        .collect();
    left.sort();
    left
}
