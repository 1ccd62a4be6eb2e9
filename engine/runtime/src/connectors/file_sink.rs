//! A directory of files, each visible as a whole once its checkpoint is completed.
//!
//! ```text
//! <directory>/.pending/part-op2-0-attempt-1-3.tmp   being written, or pre-committed
//! <directory>/part-0-chk-7.csv                      committed: renamed, never changed again
//! ```
//!
//! A pre-commit syncs the file and its name; a commit renames and syncs both directories. Whoever lists
//! the directory sees committed output only. An unfinished file has the attempt in its name, so a zombie
//! never writes to its successor's file (K6); a committed one has not, so a commit repeated by anyone has
//! one result (K4).
//!
//! Deliberately absent: merging small files. There is at most one file per subtask and checkpoint.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use crc32fast::Hasher;
use seawall_env::{Disk, Env, File};
use seawall_probe::{buggify, sometimes};
use seawall_protocol::{Attempt, AttemptId, CheckpointId, OperatorId, SubtaskId};
use seawall_stream::{ConnectorError, Record, Sink, SinkContext, SinkWriter, Traces};
use serde::{Deserialize, Serialize};

use crate::storage::durable;

/// The directory of uncommitted files, in the output directory.
pub const PENDING_DIRECTORY: &str = ".pending";
/// The directory of committed files that a job took back, in the output directory.
pub const REWOUND_DIRECTORY: &str = ".rewound";

/// Bytes kept in memory before they are appended to the file.
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes read at once when a restored transaction is checked.
const CHECK_BYTES: usize = 1 << 20;

/// Writes records of type `R` to files.
#[derive(Debug)]
pub struct FileSink<R> {
    directory: PathBuf,
    prefix: String,
    extension: String,
    encode: fn(&R, &mut Vec<u8>),
}

impl<R> Clone for FileSink<R> {
    fn clone(&self) -> Self {
        let Self { directory, prefix, extension, encode } = self;
        Self {
            directory: directory.clone(),
            prefix: prefix.clone(),
            extension: extension.clone(),
            encode: *encode,
        }
    }
}

impl<R> FileSink<R> {
    /// Files `part-<index>-chk-<id>.csv` in `directory`. `encode` appends one record with its line end.
    pub fn new(directory: impl Into<PathBuf>, encode: fn(&R, &mut Vec<u8>)) -> Self {
        Self { directory: directory.into(), prefix: "part".into(), extension: "csv".into(), encode }
    }

    /// Another word than `part`. Two sinks of one job that share a directory need different ones.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Another extension than `csv`.
    #[must_use]
    pub fn with_extension(mut self, extension: impl Into<String>) -> Self {
        self.extension = extension.into();
        self
    }
}

/// What a snapshot knows of a transaction. It is committed where it was written, also by a job that
/// started from a savepoint and writes elsewhere (K4). Other paths are relative to the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Committable {
    /// `None` is that of whoever commits: a path that is no text.
    directory: Option<String>,
    pending: String,
    committed: String,
    length: u64,
    checksum: u32,
}

/// Writes the files of one sink subtask.
pub struct FileSinkWriter<R> {
    sink: FileSink<R>,
    env: Env,
    attempt: AttemptId,
    parallelism: u32,
    /// Records not yet appended to the open file.
    buffer: Vec<u8>,
    open: Option<OpenFile>,
    /// Files opened so far; part of the next name.
    files: u64,
    /// Pending names that this writer synced itself.
    own: BTreeSet<String>,
}

struct OpenFile {
    name: String,
    file: Box<dyn File>,
    length: u64,
    checksum: Hasher,
}

#[async_trait]
impl<R: Record> Sink for FileSink<R> {
    type Record = R;
    type Writer = FileSinkWriter<R>;

    async fn open(&self, context: SinkContext) -> Result<FileSinkWriter<R>, ConnectorError> {
        let SinkContext { env, attempt, parallelism } = context;
        let pending = self.directory.join(PENDING_DIRECTORY);
        durable::create_directory(env.disk.as_ref(), &pending)
            .await
            .map_err(ConnectorError::io("create", &pending))?;
        Ok(FileSinkWriter {
            sink: self.clone(),
            env,
            attempt,
            parallelism,
            buffer: Vec::new(),
            open: None,
            files: 0,
            own: BTreeSet::new(),
        })
    }

    async fn traces(&self, env: &Env) -> Result<Traces, ConnectorError> {
        let committed = self.committed(env, &self.directory).await?;
        let rewound = self.committed(env, &self.directory.join(REWOUND_DIRECTORY)).await?;
        let pending = names(env, &self.directory.join(PENDING_DIRECTORY)).await?;
        let attempt = pending.iter().filter_map(|it| any_attempt_of(&self.prefix, it)).max();
        let newest = |of: &[(CheckpointId, String)]| of.iter().map(|(id, _)| *id).max();
        Ok(Traces {
            committed: newest(&committed),
            used: newest(&committed).max(newest(&rewound)),
            attempt: attempt.unwrap_or_default(),
        })
    }

    /// Moves the files into a hidden directory: nothing that a reader saw is destroyed.
    async fn rewind(&self, env: &Env, to: CheckpointId) -> Result<u32, ConnectorError> {
        let aside = self.directory.join(REWOUND_DIRECTORY);
        durable::create_directory(env.disk.as_ref(), &aside)
            .await
            .map_err(ConnectorError::io("create", &aside))?;
        let mut moved = 0;
        for (checkpoint, name) in self.committed(env, &self.directory).await? {
            if checkpoint > to {
                let (from, to) = (self.directory.join(&name), aside.join(&name));
                let renamed = env.disk.rename(&from, &to).await;
                renamed.map_err(ConnectorError::io("rename to", to))?;
                moved += 1;
            }
        }
        for directory in [&aside, &self.directory] {
            let synced = env.disk.sync_directory(directory).await;
            synced.map_err(ConnectorError::io("sync", directory))?;
        }
        Ok(moved)
    }
}

impl<R> FileSink<R> {
    /// The committed files of this sink in a directory, and their checkpoints.
    async fn committed(
        &self,
        env: &Env,
        directory: &Path,
    ) -> Result<Vec<(CheckpointId, String)>, ConnectorError> {
        let checkpoint_of = |name: &str| {
            let rest = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
            let (index, checkpoint) = rest.split_once("-chk-")?;
            index.parse::<u32>().ok()?;
            let checkpoint = checkpoint.strip_suffix(&self.extension)?.strip_suffix('.')?;
            checkpoint.parse().ok().map(CheckpointId)
        };
        let names = names(env, directory).await?;
        Ok(names.into_iter().filter_map(|it| Some((checkpoint_of(&it)?, it))).collect())
    }
}

/// The names of the files in a directory; none when there is no directory.
async fn names(env: &Env, directory: &Path) -> Result<Vec<String>, ConnectorError> {
    let entries = match env.disk.list(directory).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ConnectorError::io("list", directory)(error)),
    };
    let files = entries.iter().filter(|it| !it.is_directory);
    let names = files.filter_map(|it| it.path.file_name()?.to_str().map(str::to_owned));
    Ok(names.collect())
}

impl<R: Record> FileSinkWriter<R> {
    fn disk(&self) -> &dyn Disk {
        self.env.disk.as_ref()
    }

    fn directory_of(&self, committable: &Committable) -> PathBuf {
        committable.directory.as_ref().map_or(self.sink.directory.clone(), PathBuf::from)
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.sink.directory.join(relative)
    }

    async fn sync_directory(&self, path: &Path) -> Result<(), ConnectorError> {
        self.disk().sync_directory(path).await.map_err(ConnectorError::io("sync", path))
    }

    async fn append_buffer(&mut self) -> Result<(), ConnectorError> {
        if self.open.is_none() {
            let AttemptId { subtask, attempt } = self.attempt;
            let name = pending_name(&self.sink.prefix, subtask, attempt, self.files);
            self.files += 1;
            let path = self.path(&name);
            let file =
                self.env.disk.create(&path).await.map_err(ConnectorError::io("create", path))?;
            self.open = Some(OpenFile { name, file, length: 0, checksum: Hasher::new() });
        }
        let open = self.open.as_mut().expect("opened above");
        let path = self.sink.directory.join(&open.name);
        open.file.append(&self.buffer).await.map_err(ConnectorError::io("write", path))?;
        open.length += self.buffer.len() as u64;
        open.checksum.update(&self.buffer);
        self.buffer.clear();
        Ok(())
    }

    /// Whether the file is there and is the one that was pre-committed.
    ///
    /// # Errors
    /// `Fatal` when another file is there.
    async fn holds(
        &self,
        path: &Path,
        committable: &Committable,
        is_trusted: bool,
    ) -> Result<bool, ConnectorError> {
        let file = match self.disk().open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(ConnectorError::io("open", path)(error)),
        };
        let length = file.length().await.map_err(ConnectorError::io("read", path))?;
        if length != committable.length {
            sometimes!(FileHasAnotherLength);
            return Err(ConnectorError::Fatal(format!(
                "{} has {length} bytes, its transaction has {}\n\
                 hint: something else writes to the output directory, or the disk lost synced bytes",
                path.display(),
                committable.length
            )));
        }
        if is_trusted {
            return Ok(true);
        }
        let mut checksum = Hasher::new();
        let mut position = 0;
        while position < length {
            let bytes = file
                .read_at(position, CHECK_BYTES)
                .await
                .map_err(ConnectorError::io("read", path))?;
            if bytes.is_empty() {
                break;
            }
            checksum.update(&bytes);
            position += bytes.len() as u64;
        }
        if checksum.finalize() == committable.checksum {
            Ok(true)
        } else {
            sometimes!(FileHoldsOtherBytes);
            Err(ConnectorError::Fatal(format!(
                "{} does not hold the bytes of its transaction\n\
                 hint: something else writes to the output directory, or the disk changed the file",
                path.display()
            )))
        }
    }
}

#[async_trait]
impl<R: Record> SinkWriter for FileSinkWriter<R> {
    type Record = R;

    #[inline]
    fn write(&mut self, record: R) {
        (self.sink.encode)(&record, &mut self.buffer);
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        let is_full = self.buffer.len() >= BUFFER_BYTES
            || !self.buffer.is_empty() && buggify!(SmallSinkBuffer);
        if is_full { self.append_buffer().await } else { Ok(()) }
    }

    async fn pre_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<Option<Vec<u8>>, ConnectorError> {
        if !self.buffer.is_empty() {
            self.append_buffer().await?;
        }
        let Some(OpenFile { name, mut file, length, checksum }) = self.open.take() else {
            return Ok(None);
        };
        file.sync().await.map_err(ConnectorError::io("sync", self.path(&name)))?;
        self.sync_directory(&self.path(PENDING_DIRECTORY)).await?;

        let FileSink { prefix, extension, .. } = &self.sink;
        let index = self.attempt.subtask.index;
        let committable = Committable {
            directory: self.sink.directory.to_str().map(str::to_owned),
            committed: format!("{prefix}-{index}-chk-{checkpoint}.{extension}"),
            pending: name.clone(),
            length,
            checksum: checksum.finalize(),
        };
        self.own.insert(name);
        Ok(Some(postcard::to_allocvec(&committable).expect("names and numbers have an encoding")))
    }

    async fn commit(&mut self, committable: &[u8]) -> Result<(), ConnectorError> {
        let committable = decode(committable)?;
        let directory = self.directory_of(&committable);
        let pending = directory.join(&committable.pending);
        let committed = directory.join(&committable.committed);
        let is_own = self.own.contains(&committable.pending);

        let mut is_renamed = false;
        if self.holds(&pending, &committable, is_own).await? {
            match self.disk().rename(&pending, &committed).await {
                Ok(()) => is_renamed = true,
                // Someone else commits the same transaction.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    sometimes!(FileIsCommittedMeanwhile);
                }
                Err(error) => return Err(ConnectorError::io("rename to", committed)(error)),
            }
        }
        sometimes!(!is_renamed, FileIsCommittedAlready);
        if !is_renamed && !self.holds(&committed, &committable, false).await? {
            sometimes!(OutputIsLost);
            return Err(ConnectorError::Fatal(format!(
                "output is lost: neither {} nor {} is there\n\
                 hint: something removed files from the output directory; \
                 restore them, or start the job in a new directory",
                pending.display(),
                committed.display()
            )));
        }
        // In this order: a crash in between leaves the file under both names, never under none. Also
        // after someone else's rename, which may not be durable.
        self.sync_directory(&directory).await?;
        self.sync_directory(&directory.join(PENDING_DIRECTORY)).await?;
        self.own.remove(&committable.pending);
        Ok(())
    }

    async fn abort_lingering(&mut self, keep: &[Vec<u8>]) -> Result<u32, ConnectorError> {
        let mut kept = BTreeSet::new();
        for committable in keep {
            let committable = decode(committable)?;
            kept.insert(self.directory_of(&committable).join(committable.pending));
        }
        let directory = self.path(PENDING_DIRECTORY);
        let entries =
            self.disk().list(&directory).await.map_err(ConnectorError::io("list", &directory))?;
        let AttemptId { subtask, attempt } = self.attempt;
        let mut removed = 0;
        for path in entries.into_iter().filter(|it| !it.is_directory).map(|it| it.path) {
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            let of = attempt_of(&self.sink.prefix, subtask.operator, name);
            let is_lingering = of.is_some_and(|(index, it)| {
                index % self.parallelism == subtask.index && it < attempt
            });
            if !is_lingering || kept.contains(&path) {
                sometimes!(is_lingering, RestoredFileIsKept);
                continue;
            }
            match self.disk().remove(&path).await {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    sometimes!(LingeringIsGone);
                }
                Err(error) => return Err(ConnectorError::io("remove", path)(error)),
            }
        }
        if removed > 0 {
            self.sync_directory(&directory).await?;
        }
        Ok(removed)
    }
}

fn decode(committable: &[u8]) -> Result<Committable, ConnectorError> {
    postcard::from_bytes(committable).map_err(|error| {
        ConnectorError::Fatal(format!("cannot decode a transaction of a file sink: {error}"))
    })
}

fn pending_name(prefix: &str, subtask: SubtaskId, attempt: Attempt, file: u64) -> String {
    let SubtaskId { operator, index } = subtask;
    format!("{PENDING_DIRECTORY}/{prefix}-{operator}-{index}-attempt-{attempt}-{file}.tmp")
}

/// The attempt in a name that [`pending_name`] gave to any subtask.
fn any_attempt_of(prefix: &str, name: &str) -> Option<Attempt> {
    let (of, rest) = name.split_once("-attempt-")?;
    of.strip_prefix(prefix)?;
    rest.split_once('-')?.0.parse().ok().map(Attempt)
}

/// The subtask's index and the attempt in a name that [`pending_name`] gave to one of the operator.
fn attempt_of(prefix: &str, operator: OperatorId, name: &str) -> Option<(u32, Attempt)> {
    let rest = name.strip_prefix(prefix)?.strip_prefix(&format!("-{operator}-"))?;
    let (index, rest) = rest.split_once("-attempt-")?;
    let (attempt, file) = rest.strip_suffix(".tmp")?.split_once('-')?;
    file.parse::<u64>().ok()?;
    Some((index.parse().ok()?, Attempt(attempt.parse().ok()?)))
}
