//! One subtask's snapshot on disk.

use std::path::Path;

use bytes::Bytes;
use object_store::PutPayload;
use seawall_protocol::operator_state::Redistribution;
use seawall_protocol::record::{SnapshotFigures, SnapshotHandle};
use seawall_protocol::shared_files::SharedFile;
use seawall_protocol::{Attempt, AttemptId, CheckpointId, SubtaskId};
use serde::{Deserialize, Serialize};

use crate::storage::error::StorageError;
use crate::storage::format::{self, Encoded, Kind};
use crate::storage::{Storage, inspect, layout};

/// What one subtask must know to continue behind the cut of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The operator's name, for people.
    pub operator: String,
    /// Whose state.
    pub subtask: SubtaskId,
    /// Which execution wrote it.
    pub attempt: Attempt,
    /// For which checkpoint.
    pub checkpoint: CheckpointId,
    /// Whether the subtask had read all its input and emitted all it ever will.
    pub is_ended: bool,
    /// The source's splits with their positions, each encoded by the source. Of a subtask that is
    /// finishing neither they nor its keyed state are held, only its transactions (N2).
    pub splits: Vec<Vec<u8>>,
    /// Keyed state, ascending by key group; key groups without state are absent.
    pub keyed: Vec<KeyedSection>,
    /// The shared files that hold the rest of the keyed state, in the order in which they are applied.
    pub shared: Vec<SharedFile>,
    /// Transactions not known to be committed, ascending, each with its committable (K4).
    pub transactions: Vec<(CheckpointId, Vec<u8>)>,
    /// Operator state, in the order of the chain; behind it how far event time was, in a section `watermark` of its
    /// own, where anybody knows.
    pub operator_states: Vec<OperatorSection>,
    /// Records that had arrived and were not processed, by channel: processed first on restore (E6).
    pub input: Vec<InFlight>,
    /// Records that were emitted and had not left, by channel: sent first on restore (E6).
    pub output: Vec<InFlight>,
}

/// One operator state of one subtask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorSection {
    /// `operator/state`.
    pub name: String,
    /// How it is handed out on restore (M5).
    pub redistribution: Redistribution,
    /// Its items, each encoded by the operator's types.
    pub items: Vec<Vec<u8>>,
}

/// The in-flight data of one channel; see [`crate::in_flight`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Which edge, by its number.
    pub edge: u32,
    /// The sending subtask.
    pub from: SubtaskId,
    /// The receiving subtask.
    pub to: SubtaskId,
    /// Batches in order, each encoded as on the wire.
    pub batches: Vec<Bytes>,
}

/// The keyed state of one key group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedSection {
    /// Which key group.
    pub key_group: u32,
    /// How many keys have state.
    pub entries: u64,
    /// Keys and values, encoded by the state backend.
    pub bytes: Bytes,
}

impl Snapshot {
    /// What a checkpoint that holds a subtask as finished stands for: the end, and nothing to do.
    pub fn of_finished(operator: &str, attempt: AttemptId, checkpoint: CheckpointId) -> Self {
        let AttemptId { subtask, attempt } = attempt;
        Self {
            operator: operator.to_owned(),
            subtask,
            attempt,
            checkpoint,
            is_ended: true,
            splits: Vec::new(),
            keyed: Vec::new(),
            shared: Vec::new(),
            transactions: Vec::new(),
            operator_states: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Bytes of all records in flight.
    fn in_flight_bytes(&self) -> u64 {
        let sections = self.input.iter().chain(&self.output);
        sections.flat_map(|it| &it.batches).map(|it| it.len() as u64).sum()
    }
}

/// Writes the snapshot, once. It is durable when this returns, so the ack may leave (F7).
///
/// # Errors
/// When any step fails; a file may then exist and belongs to nothing.
pub async fn write(storage: &Storage, snapshot: &Snapshot) -> Result<SnapshotHandle, StorageError> {
    let Snapshot { subtask, attempt, checkpoint, .. } = *snapshot;
    let path = layout::snapshot(storage.root(), checkpoint, subtask, attempt);
    let large = snapshot.keyed.iter().map(|it| &it.bytes);
    let Encoded { pieces, length, checksum } =
        format::encode_around(Kind::Snapshot, snapshot, large, &path)?;
    storage.put_new(&path, PutPayload::from_iter(pieces)).await?;
    let shared = snapshot.shared.clone();
    let in_flight_bytes = snapshot.in_flight_bytes();
    let figures = SnapshotFigures { in_flight_bytes, ..SnapshotFigures::default() };
    let mut handle = SnapshotHandle { subtask, attempt, bytes: length, checksum, figures, shared };
    handle.figures.full_bytes = inspect::full_bytes(&handle);
    handle.figures.written_bytes = inspect::new_bytes(&handle, checkpoint);
    Ok(handle)
}

/// Deletes the snapshot of an attempt that nobody has acked, if there is one, with the files of live state that
/// were written for it. Files of earlier checkpoints in its chain stay: others stand on them (I1).
///
/// # Errors
/// As [`Storage::delete`]; what is left is an orphan, which the next leader removes.
pub async fn discard(
    storage: &Storage,
    AttemptId { subtask, attempt }: AttemptId,
    checkpoint: CheckpointId,
    chain: &[SharedFile],
) -> Result<(), StorageError> {
    let mut paths = vec![layout::snapshot(storage.root(), checkpoint, subtask, attempt)];
    let own = chain.iter().filter(|it| it.id.checkpoint == checkpoint);
    paths.extend(own.map(|it| layout::state_file(storage.root(), it)));
    storage.delete(paths).await
}

/// Reads the snapshot that the handle knows.
///
/// # Errors
/// When the file is missing, is not exactly the one that was acked, or cannot be believed.
pub async fn read(
    storage: &Storage,
    checkpoint: CheckpointId,
    handle: &SnapshotHandle,
) -> Result<Snapshot, StorageError> {
    let directory = layout::checkpoint(storage.root(), checkpoint);
    read_in(storage, &directory, checkpoint, handle).await
}

/// As [`read`], from the directory of a checkpoint or savepoint.
///
/// # Errors
/// As [`read`].
pub async fn read_in(
    storage: &Storage,
    directory: &Path,
    checkpoint: CheckpointId,
    handle: &SnapshotHandle,
) -> Result<Snapshot, StorageError> {
    let path = layout::snapshot_in(directory, handle.subtask, handle.attempt);
    let bytes = storage.get(&path).await?;
    let snapshot: Snapshot = format::decode(Kind::Snapshot, &bytes, &path)?;

    let (expected, found) = (handle.bytes, bytes.len() as u64);
    if expected != found {
        return Err(StorageError::Torn { path, expected, found });
    }
    let (expected, found) = (handle.checksum, format::checksum_of(&bytes));
    if expected != found {
        return Err(StorageError::Checksum { path, expected, found });
    }
    let name = |subtask, attempt, checkpoint| {
        format!("the snapshot of {} for checkpoint {checkpoint}", AttemptId { subtask, attempt })
    };
    let expected = name(handle.subtask, handle.attempt, checkpoint);
    let found = name(snapshot.subtask, snapshot.attempt, snapshot.checkpoint);
    if expected != found {
        return Err(StorageError::Misplaced { path, expected, found });
    }
    Ok(snapshot)
}
