//! Lines of text files, plain or gzip.
//!
//! The input is one file, or every file of a directory in the order of names; names that start with a dot
//! and directories within are passed over. A plain file is cut into ranges of bytes, and a split owns the
//! lines that *start* in its range. A file named `.gz` is one split; its position counts decompressed
//! bytes, and continuing it decompresses again up to there.
//!
//! A line is what stands before `\n`, without a `\r` right before it. The last line counts without `\n`
//! too. Bytes that are no UTF-8 become U+FFFD: a line is never dropped.
//!
//! How long each file is, is decided once, when the splits are listed: a file that grows is read up to
//! there by every attempt, and one that became shorter is an error, because it cannot be replayed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flate2::write::MultiGzDecoder;
use seawall_env::{Disk, Env, File};
use seawall_stream::{Collect, ConnectorError, Progress, Source, SourceReader};
use serde::{Deserialize, Serialize};

/// Bytes read at once.
const CHUNK_BYTES: u64 = 256 << 10;
/// Compressed bytes read at once; they can become a thousand times as many.
const GZIP_CHUNK_BYTES: u64 = 32 << 10;
/// The longest line. A file without line ends must not fill the memory.
const LINE_BYTES_MAX: usize = 64 << 20;
/// No file is cut into smaller splits than this, unless asked to.
const SPLIT_BYTES_MIN: u64 = 4 << 10;

/// Reads lines.
#[derive(Debug, Clone)]
pub struct FileSource {
    input: PathBuf,
    split_bytes_min: u64,
}

/// A part of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSplit {
    /// The file.
    pub path: String,
    /// Whether it is compressed.
    pub is_gzip: bool,
    /// Bytes of the file that count, as it was when the splits were listed.
    pub length: u64,
    /// The split owns the lines that start here or later ...
    pub start: u64,
    /// ... and before here.
    pub end: u64,
    /// Where the next line starts; in a compressed file, in decompressed bytes. While it is `start`, it may
    /// be within a line that belongs to the split before.
    pub position: u64,
    /// Whether everything was emitted.
    pub is_ended: bool,
}

impl FileSource {
    /// The lines of a file, or of all files in a directory.
    pub fn new(input: impl Into<PathBuf>) -> Self {
        Self { input: input.into(), split_bytes_min: SPLIT_BYTES_MIN }
    }

    /// Cuts files into splits of at least `bytes`, at least 1.
    #[must_use]
    pub fn with_split_bytes_min(mut self, bytes: u64) -> Self {
        self.split_bytes_min = bytes.max(1);
        self
    }

    /// The files, each with its length.
    async fn files(&self, disk: &dyn Disk) -> Result<Vec<(PathBuf, u64)>, ConnectorError> {
        let unopened = match disk.open(&self.input).await {
            Ok(file) => return Ok(vec![(self.input.clone(), length(&*file, &self.input).await?)]),
            Err(error) => error,
        };
        // Not a file: then a directory, or nothing.
        let Ok(entries) = disk.list(&self.input).await else {
            return Err(ConnectorError::NoInput {
                what: format!("{} cannot be read: {unopened}", self.input.display()),
                hint: "name a readable file, or a directory of files".into(),
            });
        };
        let mut files = Vec::new();
        for entry in entries {
            let is_hidden =
                entry.path.file_name().is_none_or(|it| it.as_encoded_bytes().starts_with(b"."));
            if entry.is_directory || is_hidden {
                continue;
            }
            let file = disk.open(&entry.path).await.map_err(|error| ConnectorError::NoInput {
                what: format!("{} cannot be read: {error}", entry.path.display()),
                hint: "make it readable, or move it out of the directory".into(),
            })?;
            let length = length(&*file, &entry.path).await?;
            files.push((entry.path, length));
        }
        if files.is_empty() {
            return Err(ConnectorError::NoInput {
                what: format!("{} has no files in it", self.input.display()),
                hint: "put text files or .gz files into it; directories within are not read".into(),
            });
        }
        // A listing is sorted already; the numbers of splits must not hang on it (R3).
        files.sort();
        Ok(files)
    }

    fn cut(&self, path: &str, length: u64, parallelism: u32) -> Vec<FileSplit> {
        let split = |is_gzip, start, end| FileSplit {
            path: path.to_owned(),
            is_gzip,
            length,
            start,
            end,
            position: start,
            is_ended: false,
        };
        if length == 0 {
            return Vec::new();
        }
        if Path::new(path).extension().is_some_and(|it| it.eq_ignore_ascii_case("gz")) {
            return vec![split(true, 0, u64::MAX)];
        }
        let pieces = (length / self.split_bytes_min).clamp(1, parallelism.into());
        let bound = |piece: u64| {
            let bound = u128::from(length) * u128::from(piece) / u128::from(pieces);
            u64::try_from(bound).expect("at most the length")
        };
        (0..pieces).map(|piece| split(false, bound(piece), bound(piece + 1))).collect()
    }
}

async fn length(file: &dyn File, path: &Path) -> Result<u64, ConnectorError> {
    file.length().await.map_err(ConnectorError::io("read", path))
}

#[async_trait]
impl Source for FileSource {
    type Record = String;
    type Split = FileSplit;
    type Reader = FileReader;

    async fn enumerate(
        &self,
        env: &Env,
        parallelism: u32,
    ) -> Result<Vec<FileSplit>, ConnectorError> {
        let mut splits = Vec::new();
        for (path, length) in self.files(env.disk.as_ref()).await? {
            let name = path.to_str().ok_or_else(|| ConnectorError::NoInput {
                what: format!("the name of {} is no UTF-8", path.display()),
                hint: "rename the file".into(),
            })?;
            splits.extend(self.cut(name, length, parallelism));
        }
        Ok(splits)
    }

    async fn open(&self, env: &Env, splits: Vec<FileSplit>) -> Result<FileReader, ConnectorError> {
        Ok(FileReader {
            disk: Arc::clone(&env.disk),
            splits,
            current: 0,
            input: None,
            buffer: Vec::new(),
            consumed: 0,
            searched: 0,
        })
    }
}

/// Reads its splits one after the other.
pub struct FileReader {
    disk: Arc<dyn Disk>,
    splits: Vec<FileSplit>,
    /// The split that is read; those before it are ended.
    current: usize,
    /// Its bytes; `None` before it is opened.
    input: Option<Input>,
    /// What was read. Emitted up to `consumed`; no line end between there and `searched`.
    buffer: Vec<u8>,
    consumed: usize,
    searched: usize,
}

/// The bytes of one open split.
struct Input {
    file: Box<dyn File>,
    /// The next byte of the file to read.
    position: u64,
    length: u64,
    /// `Some` for a compressed file.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    /// Decompressed bytes to drop first.
    skip: u64,
    /// Whether the bytes up to the first line end belong to the split before.
    is_within_line: bool,
    is_at_end: bool,
}

impl Input {
    fn new(file: Box<dyn File>, split: &FileSplit) -> Self {
        // Within a line unless the byte before is a line end; so that byte is read too.
        let is_within_line = !split.is_gzip && split.start > 0 && split.position == split.start;
        Self {
            file,
            position: if split.is_gzip { 0 } else { split.position - u64::from(is_within_line) },
            length: split.length,
            decoder: split.is_gzip.then(|| MultiGzDecoder::new(Vec::new())),
            skip: if split.is_gzip { split.position } else { 0 },
            is_within_line,
            is_at_end: false,
        }
    }

    /// The next bytes, possibly none; `is_at_end` tells when there are no more. Cancel safe: everything
    /// changes after the only suspension point.
    async fn read(&mut self, path: &str) -> Result<Vec<u8>, ConnectorError> {
        let chunk = if self.decoder.is_some() { GZIP_CHUNK_BYTES } else { CHUNK_BYTES };
        let wanted = chunk.min(self.length - self.position);
        let wanted = usize::try_from(wanted).expect("a chunk fits into memory");
        let bytes = self
            .file
            .read_at(self.position, wanted)
            .await
            .map_err(ConnectorError::io("read", path))?;
        if bytes.len() < wanted {
            return Err(became_shorter(path, self.length, self.position + bytes.len() as u64));
        }
        self.position += bytes.len() as u64;
        self.is_at_end = self.position == self.length;
        let Some(decoder) = &mut self.decoder else {
            return Ok(bytes);
        };

        let mut written = decoder.write_all(&bytes);
        if self.is_at_end {
            written = written.and_then(|()| decoder.try_finish());
        }
        written.map_err(|error| {
            ConnectorError::Fatal(format!(
                "{path} is no intact gzip file: {error}\nhint: check it with `gzip -t`"
            ))
        })?;
        let mut bytes = std::mem::take(decoder.get_mut());
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        bytes.drain(..usize::try_from(skipped).expect("at most a length"));
        Ok(bytes)
    }
}

fn became_shorter(path: &str, length: u64, found: u64) -> ConnectorError {
    ConnectorError::Fatal(format!(
        "{path} became shorter: it had {length} bytes and has {found}\n\
         hint: input must not change while a job reads it; restore the file, or start a new job"
    ))
}

impl FileReader {
    async fn open_current(&mut self) -> Result<(), ConnectorError> {
        let split = &self.splits[self.current];
        let path = Path::new(&split.path);
        let file = self.disk.open(path).await.map_err(ConnectorError::io("open", path))?;
        let found = length(&*file, path).await?;
        if found < split.length {
            return Err(became_shorter(&split.path, split.length, found));
        }
        self.input = Some(Input::new(file, split));
        Ok(())
    }

    fn add(&mut self, bytes: Vec<u8>) {
        self.buffer.drain(..self.consumed);
        self.searched -= self.consumed;
        self.consumed = 0;
        if self.buffer.is_empty() {
            self.buffer = bytes;
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// Drops what is left of the line that belongs to the split before.
    fn leave_foreign_line(&mut self) {
        let input = self.input.as_mut().expect("the current split is open");
        let split = &mut self.splits[self.current];
        match memchr::memchr(b'\n', &self.buffer[self.consumed..]) {
            Some(found) => {
                self.consumed += found + 1;
                split.position = input.position - (self.buffer.len() - self.consumed) as u64;
                input.is_within_line = false;
            }
            // The position stays at the start: after a restore the search begins again.
            None => self.consumed = self.buffer.len(),
        }
        self.searched = self.consumed;
    }

    /// The end of the next line in the buffer, behind its line end if it has one.
    fn next_line_end(&mut self) -> Option<usize> {
        let input = self.input.as_ref()?;
        if input.is_within_line {
            return None;
        }
        if let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
            return Some(self.searched + found + 1);
        }
        self.searched = self.buffer.len();
        (input.is_at_end && self.consumed < self.buffer.len()).then_some(self.buffer.len())
    }

    fn end_split(&mut self) {
        self.splits[self.current].is_ended = true;
        self.current += 1;
        self.input = None;
        self.buffer = Vec::new();
        self.consumed = 0;
        self.searched = 0;
    }
}

#[async_trait]
impl SourceReader for FileReader {
    type Record = String;
    type Split = FileSplit;

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        while let Some(split) = self.splits.get(self.current) {
            if split.is_ended || split.position >= split.end {
                self.end_split();
                continue;
            }
            let Some(input) = &mut self.input else {
                self.open_current().await?;
                continue;
            };
            if !input.is_within_line && self.next_line_end().is_some() {
                return Ok(Progress::Ready);
            }
            let (input, split) = (self.input.as_mut().expect("open"), &self.splits[self.current]);
            if input.is_at_end {
                self.end_split();
                continue;
            }
            if self.buffer.len() - self.consumed > LINE_BYTES_MAX {
                return Err(ConnectorError::Fatal(format!(
                    "{} has a line of more than {} MiB\n\
                     hint: it does not look like a text file; name files of lines",
                    split.path,
                    LINE_BYTES_MAX >> 20
                )));
            }
            let bytes = input.read(&split.path).await?;
            let is_within_line = input.is_within_line;
            self.add(bytes);
            if is_within_line {
                self.leave_foreign_line();
            }
        }
        Ok(Progress::Ended)
    }

    fn emit(
        &mut self,
        limit: usize,
        out: &mut impl Collect<String>,
    ) -> Result<Progress, ConnectorError> {
        for _ in 0..limit {
            let has_own_line = self.splits.get(self.current).is_some_and(|it| it.position < it.end);
            let line_end = if has_own_line { self.next_line_end() } else { None };
            let Some(line_end) = line_end else {
                let is_ended = self.splits.get(self.current).is_none();
                return Ok(if is_ended { Progress::Ended } else { Progress::NeedsInput });
            };
            let line = &self.buffer[self.consumed..line_end];
            self.splits[self.current].position += line.len() as u64;
            let line = match line.strip_suffix(b"\n") {
                Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
                None => line,
            };
            let line = match str::from_utf8(line) {
                Ok(line) => line.to_owned(),
                Err(_) => String::from_utf8_lossy(line).into_owned(),
            };
            self.consumed = line_end;
            self.searched = line_end;
            out.push(line);
        }
        Ok(Progress::Ready)
    }

    fn splits(&self) -> Vec<FileSplit> {
        self.splits.clone()
    }
}
