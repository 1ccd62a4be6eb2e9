//! A job of a user as a [`Subject`]: its input, and what its author knows of output and state.
//!
//! Deliberately absent: any word about faults or runs. What an author does not say is not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_jobs::reference::{self, InputFile, State};
use seawall_protocol::JobId;
use seawall_runtime::connectors::file_source::FileSplit;
use seawall_runtime::storage::Snapshot;
use seawall_spec::CommittedFile;
use seawall_stream::state::EncodedGroup;
use seawall_stream::{Job, Record};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::subject::{self, Compared, Subject};
use crate::workload::INPUT;

/// Where a job under test runs, and how wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Subtasks of each operator.
    pub parallelism: u32,
    /// The directory of its input files, if it has any.
    pub input: PathBuf,
    /// The directory for its output.
    pub output: PathBuf,
    /// A number for a source that makes its records up, drawn from the seed of the run.
    pub seed: u64,
}

/// The input of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The number that the job was given as [`At::seed`].
    pub seed: u64,
    /// Its files.
    pub files: Vec<InputFile>,
}

impl Input {
    /// Every line, file by file.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let text = |it| std::str::from_utf8(it).expect("written from text");
        self.files.iter().flat_map(move |file| text(&file.bytes).lines())
    }

    /// What was read up to the positions of these splits; `None` when they are not of one file source over
    /// these files.
    fn before(&self, splits: &[Vec<u8>]) -> Option<Self> {
        let mut seen = BTreeSet::new();
        for split in splits {
            let split = self.split(split)?;
            if !seen.insert((split.path, split.start)) {
                return None;
            }
        }
        let lines = reference::lines_before(&self.files, splits);
        Some(Self {
            seed: self.seed,
            files: vec![file("before-the-cut", lines.iter().map(|it| &**it))],
        })
    }

    fn split(&self, bytes: &[u8]) -> Option<FileSplit> {
        let (split, rest) = postcard::take_from_bytes::<FileSplit>(bytes).ok()?;
        let is_ours = self.files.iter().any(|it| it.path == Path::new(&split.path));
        (rest.is_empty() && is_ours).then_some(split)
    }
}

/// A file of these lines in the input directory.
pub(crate) fn file<T: AsRef<str>>(name: &str, lines: impl IntoIterator<Item = T>) -> InputFile {
    let mut text = String::new();
    for line in lines {
        text += line.as_ref();
        text.push('\n');
    }
    InputFile { path: Path::new(INPUT).join(name), bytes: text.into_bytes() }
}

type Fold<T> = Arc<dyn Fn(&Input) -> T + Send + Sync>;
type Invariant = Arc<dyn Fn(&Input, &[CommittedFile]) -> Result<(), String> + Send + Sync>;
type Sequence = Arc<dyn Fn(&str) -> Option<(String, u64)> + Send + Sync>;
type Decode = Arc<dyn Fn(&[EncodedGroup]) -> Result<State, String> + Send + Sync>;

/// What the author of a job knows of it.
#[derive(Clone, Default)]
pub(crate) struct Knowledge {
    /// The output of its whole input.
    pub(crate) reference: Option<Fold<Vec<String>>>,
    pub(crate) invariant: Option<Invariant>,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) state: Option<StateFold>,
}

/// The state of one operator.
#[derive(Clone)]
pub(crate) struct StateFold {
    pub(crate) operator: String,
    decode: Decode,
    fold: Fold<Result<State, String>>,
}

impl StateFold {
    /// Compares what `operator` keeps per key with a fold of the input. Both as JSON, for people.
    pub(crate) fn new<K, V>(
        operator: &str,
        fold: impl Fn(&Input) -> BTreeMap<K, V> + Send + Sync + 'static,
    ) -> Self
    where
        K: Record,
        V: Record,
    {
        Self {
            operator: operator.to_owned(),
            decode: Arc::new(decode::<K, V>),
            fold: Arc::new(move |input| {
                fold(input).iter().map(|(key, it)| Ok((json(key)?, json(it)?))).collect()
            }),
        }
    }
}

fn decode<K: Record, V: Record>(groups: &[EncodedGroup]) -> Result<State, String> {
    let mut state = State::new();
    for group in groups {
        let mut bytes = group.bytes.as_slice();
        for _ in 0..group.entries {
            let ((key, value), rest): ((K, V), _) =
                postcard::take_from_bytes(bytes).map_err(|it| format!("keyed state: {it}"))?;
            let key = json(&key)?;
            if state.insert(key.clone(), json(&value)?).is_some() {
                return Err(format!("key {key} is twice in one checkpoint"));
            }
            bytes = rest;
        }
    }
    Ok(state)
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|it| format!("a key or its state has no JSON form: {it}"))
}

/// A job of a user with its input.
#[derive(Clone)]
pub(crate) struct Own {
    pub(crate) name: String,
    pub(crate) job: Arc<Job>,
    pub(crate) input: Arc<Input>,
    pub(crate) knowledge: Knowledge,
    /// What a run without faults committed.
    pub(crate) calm: Option<Vec<Vec<u8>>>,
}

impl Subject for Own {
    fn job(&self) -> &Arc<Job> {
        &self.job
    }

    fn id(&self) -> JobId {
        JobId(xxh3_64(self.name.as_bytes()))
    }

    fn files(&self) -> &[InputFile] {
        &self.input.files
    }

    fn position(&self, split: &[u8]) -> Option<(String, u64)> {
        self.input.split(split).map(|it| subject::position_in_file(&it))
    }

    fn output(&self) -> Option<Vec<Vec<u8>>> {
        match &self.knowledge.reference {
            Some(reference) => Some(bytes(reference(&self.input))),
            None => self.calm.clone(),
        }
    }

    fn output_before(&self, splits: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let reference = self.knowledge.reference.as_ref()?;
        Some(bytes(reference(&self.input.before(splits)?)))
    }

    /// Where records are in flight, nobody but the job knows what they will add to its state.
    fn state(&self, snapshots: &[Snapshot]) -> Result<Option<Compared>, String> {
        let Some(known) = &self.knowledge.state else { return Ok(None) };
        let Some(before) = self.input.before(&subject::splits(snapshots)) else { return Ok(None) };
        let is_in_flight = |it: &Snapshot| !it.input.is_empty() || !it.output.is_empty();
        if snapshots.iter().any(is_in_flight) {
            return Ok(None);
        }
        let of_operator = snapshots.iter().filter(|it| it.operator == known.operator);
        let groups: Vec<EncodedGroup> = of_operator.flat_map(subject::groups).collect();
        let (found, expected) = ((known.decode)(&groups)?, (known.fold)(&before)?);
        Ok(Some(Compared { found, expected }))
    }

    fn place_in_sequence(&self, line: &str) -> Option<(String, u64)> {
        self.knowledge.sequence.as_ref()?(line)
    }

    fn invariant(&self, committed: &[CommittedFile]) -> Result<(), String> {
        match &self.knowledge.invariant {
            Some(invariant) => invariant(&self.input, committed),
            None => Ok(()),
        }
    }

    fn unjudged(&self) -> BTreeSet<&'static str> {
        let state = self.knowledge.state.is_none().then_some("exactly-once-state");
        let order = self.knowledge.sequence.is_none().then_some("records-in-order");
        state.into_iter().chain(order).collect()
    }
}

fn bytes(lines: Vec<String>) -> Vec<Vec<u8>> {
    lines.into_iter().map(String::into_bytes).collect()
}
