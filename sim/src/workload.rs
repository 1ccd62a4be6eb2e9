//! What a simulated job runs on: its options, its generated input, and what must come of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use seawall_jobs::origin::{self, Origin};
use seawall_jobs::reference::{self, Fold, InputFile};
use seawall_jobs::{JobSpec, Options};
use seawall_protocol::JobId;
use seawall_runtime::connectors::file_source::FileSplit;
use seawall_runtime::connectors::generator::GeneratorSplit;
use seawall_runtime::storage::Snapshot;
use seawall_stream::Job;
use seawall_stream::state::EncodedGroup;
use xxhash_rust::xxh3::xxh3_64;

use crate::scenario::{Scenario, Workload};
use crate::subject::{self, Compared, Subject};
use crate::trace::Chains;
use crate::world::{InspectableDisk, Stream, Streams};

/// Where checkpoints are.
pub const STORAGE: &str = "/checkpoints";
/// Where checkpoints are of the run that a person starts from a savepoint.
pub const STORAGE_THEN: &str = "/checkpoints-then";
/// Where scratch files are.
pub const SCRATCH: &str = "/scratch";
/// Where output appears.
pub const OUTPUT: &str = "/output";
/// Time from one request to the next, and how much later than that it may be written.
const SECONDS_APART: u64 = 3;
const SECONDS_LATE: u64 = 30;
/// Where input files are.
pub const INPUT: &str = "/input";

/// A job with its input.
#[derive(Clone)]
pub struct Prepared {
    /// The built-in job.
    pub spec: &'static JobSpec,
    /// Its options.
    pub options: Options,
    /// The program.
    pub job: Arc<Job>,
    /// Its identity.
    pub id: JobId,
    /// Its input files, decompressed; none when it generates its records.
    pub files: Vec<InputFile>,
    /// The state at the checkpoint that was looked at last.
    fold: Arc<Mutex<Fold>>,
}

/// The built-in job of a workload as the scenario's validation sees it: its chains, without input.
pub fn graph(workload: &Workload) -> Option<Job> {
    if workload.is_own {
        return None;
    }
    let spec = seawall_jobs::find(&workload.job).ok()?;
    let options = Options::parse(spec, &pairs(spec, workload, 0)).ok()?;
    Some((spec.build)(&options, workload.parallelism))
}

/// Whether the job reads its input from files.
pub fn reads_files(job: &str) -> bool {
    seawall_jobs::find(job).is_ok_and(|it| has(it, "input"))
}

/// Whether the job's sink can be told to be slow.
pub fn has_slow_sink(job: &str) -> bool {
    seawall_jobs::find(job).is_ok_and(|it| has(it, "sink-rate"))
}

/// Whether the job can be told when a source counts as idle.
pub fn has_idleness(job: &str) -> bool {
    seawall_jobs::find(job).is_ok_and(|it| has(it, "idle-after"))
}

/// The names of the chains of a job.
pub fn chains(job: &Job) -> Chains {
    job.operators.iter().map(|it| (it.id.0, it.name.clone())).collect()
}

fn has(spec: &JobSpec, key: &str) -> bool {
    spec.options.iter().any(|it| it.key == key)
}

fn pairs(spec: &JobSpec, workload: &Workload, generator: u64) -> Vec<String> {
    let mut pairs = vec![format!("output={OUTPUT}")];
    if has(spec, "input") {
        pairs.push(format!("input={INPUT}"));
    } else {
        pairs.push(format!("records={}", workload.records));
        pairs.push(format!("keys={}", workload.keys));
        pairs.push(format!("seed={generator}"));
    }
    if let Some(rate) = workload.rate {
        pairs.push(format!("rate={rate}"));
    }
    if let Some(rate) = workload.sink_rate {
        pairs.push(format!("sink-rate={rate}"));
    }
    if let Some(silence) = workload.idle_after {
        pairs.push(format!("idle-after={}", silence.as_millis()));
    }
    pairs
}

impl Prepared {
    /// As a run of this scenario with this seed draws it.
    pub fn of(scenario: &Scenario, seed: u64) -> Self {
        Self::new(&scenario.workload, &mut Streams::new(seed).stream("workload"))
    }

    /// Draws the input of `workload`.
    ///
    /// # Panics
    /// When the scenario was not validated, and when its job is of another crate.
    pub fn new(workload: &Workload, stream: &mut Stream) -> Self {
        assert!(!workload.is_own, "{} is run by a storm alone", workload.job);
        let spec = seawall_jobs::find(&workload.job).expect("validated");
        // Small, so that a person can repeat it with `seawall run`.
        let generator = stream.below(1_000_000);
        let options = Options::parse(spec, &pairs(spec, workload, generator)).expect("validated");
        let job = Arc::new((spec.build)(&options, workload.parallelism));
        let files = if has(spec, "input") { generate(workload, stream) } else { Vec::new() };
        let pairs: Vec<String> =
            options.pairs().map(|(key, value)| format!("{key}={value}")).collect();
        let identity = format!("{}\n{}", spec.name, pairs.join("\n"));
        let id = JobId(xxh3_64(identity.as_bytes()));
        Self { spec, options, job, id, files, fold: Arc::default() }
    }
}

impl Subject for Prepared {
    fn job(&self) -> &Arc<Job> {
        &self.job
    }

    fn id(&self) -> JobId {
        self.id
    }

    fn files(&self) -> &[InputFile] {
        &self.files
    }

    fn position(&self, split: &[u8]) -> Option<(String, u64)> {
        if let Ok((split, [])) = postcard::take_from_bytes::<FileSplit>(split) {
            return Some(subject::position_in_file(&split));
        }
        let GeneratorSplit { next, step, .. } = postcard::from_bytes(split).ok()?;
        Some((format!("split {} of {step}", next % step), next))
    }

    fn output(&self) -> Option<Vec<Vec<u8>>> {
        Some(lines_of(reference::output(self.spec.name, &self.options, &self.files)))
    }

    fn output_before(&self, splits: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let (job, options) = (self.spec.name, &self.options);
        Some(lines_of(reference::output_before(job, options, &self.files, splits)))
    }

    fn state(&self, snapshots: &[Snapshot]) -> Result<Option<Compared>, String> {
        let job = self.spec.name;
        let groups: Vec<EncodedGroup> = snapshots.iter().flat_map(subject::groups).collect();
        let mut found = reference::decode_state(job, &groups)?;
        let in_flight = snapshots.iter().flat_map(|it| it.input.iter().chain(&it.output));
        for section in in_flight {
            for batch in &section.batches {
                reference::fold_in_flight(job, &mut found, section.edge, batch)?;
            }
        }
        let splits = subject::splits(snapshots);
        let mut fold = self.fold.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = fold.advance(job, &self.options, &self.files, &splits);
        Ok(Some(Compared { found, expected }))
    }

    fn origins(&self, line: &str) -> Vec<Origin> {
        origin::origins(self.spec.name, &self.options, &self.files, line)
    }

    fn place_in_sequence(&self, line: &str) -> Option<(String, u64)> {
        reference::place_in_sequence(self.spec.name, &self.options, self.job.parallelism, line)
    }
}

/// Puts input files onto the disk.
pub fn place(files: &[InputFile], disk: &InspectableDisk) {
    for file in files {
        let is_gzip = file.path.extension().is_some_and(|it| it == "gz");
        let bytes = if is_gzip { compressed(&file.bytes) } else { file.bytes.clone() };
        disk.place(&file.path, bytes);
    }
}

fn lines_of(output: reference::Output) -> Vec<Vec<u8>> {
    let tag = |(directory, lines): (String, Vec<String>)| {
        lines.into_iter().map(move |it| tagged(&directory, it.into_bytes()))
    };
    output.into_iter().flat_map(tag).collect()
}

/// A line of a file in `directory`, below the output directory.
pub fn tagged(directory: &str, line: Vec<u8>) -> Vec<u8> {
    if directory.is_empty() { line } else { [directory.as_bytes(), b": ", &line].concat() }
}

fn generate(workload: &Workload, stream: &mut Stream) -> Vec<InputFile> {
    let count = u64::from(workload.files.max(1));
    let mut files: Vec<InputFile> = (0..count)
        .map(|it| InputFile {
            path: Path::new(INPUT).join(name(it, workload.gzip)),
            bytes: Vec::new(),
        })
        .collect();
    for record in 0..workload.records {
        // Who reads one file after the other reads what has times in their order.
        let has_times = workload.job == "access-windows";
        let file = if has_times { record * count / workload.records } else { record % count };
        let file = usize::try_from(file).expect("fewer files than that");
        let bytes = &mut files[file].bytes;
        match workload.job.as_str() {
            "access-log" => {
                let line = access_line(workload, "21/Nov/2026:12:00:00", stream);
                bytes.extend_from_slice(line.as_bytes());
            }
            "access-windows" => {
                // Within the disorder that the job expects.
                let second = record * SECONDS_APART + stream.below(SECONDS_LATE);
                let (day, hour, minute) =
                    (1 + second / 86_400, second / 3_600 % 24, second / 60 % 60);
                let time = format!("{day:02}/Nov/2026:{hour:02}:{minute:02}:{:02}", second % 60);
                bytes.extend_from_slice(access_line(workload, &time, stream).as_bytes());
            }
            _ => add_words(workload, stream, bytes),
        }
        bytes.push(b'\n');
    }
    files
}

fn name(file: u64, is_gzip: bool) -> PathBuf {
    PathBuf::from(format!("part-{file:03}.log{}", if is_gzip { ".gz" } else { "" }))
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// One to five words.
fn add_words(workload: &Workload, stream: &mut Stream, line: &mut Vec<u8>) {
    for word in 0..=stream.below(5) {
        line.extend_from_slice(if word > 0 { b" word" } else { b"word" });
        line.extend_from_slice(key(workload, stream).to_string().as_bytes());
    }
}

/// One of the keys, and the first of them as often as the workload is skewed.
fn key(workload: &Workload, stream: &mut Stream) -> u64 {
    let is_first = workload.skew.is_some_and(|share| stream.below(100) < u64::from(share));
    if is_first { 0 } else { stream.below(workload.keys) }
}

/// Apache's combined format; unless told otherwise one line in fifty is not in it.
fn access_line(workload: &Workload, time: &str, stream: &mut Stream) -> String {
    let is_malformed = match workload.malformed {
        Some(share) => stream.below(100) < u64::from(share),
        None => stream.one_in(50),
    };
    if is_malformed {
        return format!("-- MARK {} --", stream.below(1_000));
    }
    let client = key(workload, stream);
    let status = [200, 200, 200, 304, 404, 500][usize::try_from(stream.below(6)).expect("small")];
    let bytes = if stream.one_in(10) { "-".to_owned() } else { stream.below(100_000).to_string() };
    format!(
        "10.0.{}.{} - - [{time} +0000] \"GET /{} HTTP/1.1\" {status} {bytes} \"-\" \"simulated\"",
        client / 256,
        client % 256,
        stream.below(100)
    )
}
