//! Scratch directories, the program, and what its output should be, counted without the engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use seawall::protocol::record::StoreRecord;
use seawall::runtime::storage::{Storage, record};
use seawall::runtime::tokio_env::FileSystem;
use tempfile::TempDir;

/// No wait in a test is longer.
const PATIENCE: Duration = Duration::from_mins(2);

/// A scratch directory in which the program runs.
pub(crate) struct Scratch {
    directory: TempDir,
}

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The program with arguments separated by spaces.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command.args(arguments.split_whitespace()).current_dir(self.directory.path());
        command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Said {
        self.said(self.command(arguments).output().unwrap())
    }

    /// Runs and expects success.
    pub(crate) fn finish(&self, arguments: &str) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments}: {}", said.stderr);
        said.stdout
    }

    /// Starts in the background; killed when dropped.
    pub(crate) fn start(&self, arguments: &str) -> Running {
        Running::spawn(&mut self.command(arguments))
    }

    /// The text with what differs from run to run replaced.
    pub(crate) fn said(&self, output: Output) -> Said {
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let directory = self.directory.path().canonicalize().unwrap();
            redact(&text.replace(directory.to_str().unwrap(), "[dir]"))
        };
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Lines in the visible files of an output directory, sorted; directories within are not read.
    pub(crate) fn output(&self, relative: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for path in visible(&self.path(relative)) {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.ends_with('\n'), "a committed file is made of whole lines");
            lines.extend(text.lines().map(str::to_owned));
        }
        lines.sort();
        lines
    }

    /// Every file and directory with its bytes, to show that nothing was written.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut tree = BTreeMap::new();
        let mut directories = vec![self.directory.path().to_path_buf()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    directories.push(path.clone());
                    tree.insert(path, None);
                } else {
                    let bytes = fs::read(&path).unwrap_or_default();
                    tree.insert(path, Some(bytes));
                }
            }
        }
        tree
    }

    /// The only job's directory of checkpoints.
    pub(crate) fn job_directory(&self) -> PathBuf {
        let entries = fs::read_dir(self.path("seawall-data")).unwrap();
        let mut paths: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
        assert_eq!(paths.len(), 1, "{paths:?}");
        paths.remove(0)
    }

    /// Starts the job and kills it when it has completed a checkpoint. Leaves it unfinished: its input must
    /// be longer than anybody's patience.
    pub(crate) fn leave_unfinished(&self, arguments: &str) {
        let running = self.start(arguments);
        wait_until("a checkpoint is completed", || {
            self.path("seawall-data").exists() && newest_checkpoint(self) > 0
        });
        running.kill();
        let record = store_record(&self.job_directory()).unwrap();
        assert_eq!(record.result, None, "the job was too fast to be left unfinished");
    }
}

/// A program in the background.
pub(crate) struct Running {
    child: Option<Child>,
}

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: Some(command.spawn().unwrap()) }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Waits until another checkpoint of the only job is completed.
    pub(crate) fn goes_on(&mut self, scratch: &Scratch) {
        let before = newest_checkpoint(scratch);
        wait_until("a newer checkpoint is completed", || newest_checkpoint(scratch) > before);
        assert!(!self.has_ended(), "it goes on");
    }

    /// Sends SIGKILL and waits until nothing of it is left.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        let _ = child.kill();
        child.wait().unwrap();
    }

    /// Sends a signal by name: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id();
        let script = format!("kill -{name} {id}");
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    pub(crate) fn wait(mut self, scratch: &Scratch) -> Said {
        scratch.said(self.child.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Files of the directory whose names do not start with a dot.
pub(crate) fn visible(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|it| it.unwrap().path());
    let is_hidden = |it: &PathBuf| it.file_name().unwrap().to_str().unwrap().starts_with('.');
    let mut files: Vec<_> = paths.filter(|it| !is_hidden(it) && !it.is_dir()).collect();
    files.sort();
    files
}

pub(crate) fn store_record(job_directory: &Path) -> Option<StoreRecord> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let storage = Storage::on_disk(Arc::new(FileSystem), job_directory);
    runtime.block_on(record::read(&storage)).unwrap()
}

/// The newest checkpoint of the only job, or 0.
pub(crate) fn newest_checkpoint(scratch: &Scratch) -> u64 {
    let Ok(mut entries) = fs::read_dir(scratch.path("seawall-data")) else { return 0 };
    let Some(Ok(job)) = entries.next() else { return 0 };
    store_record(&job.path()).and_then(|it| it.retained.last().copied()).map_or(0, |it| it.0)
}

/// Waits for a condition, not for a time.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited too long until {what}");
        sleep(Duration::from_millis(5));
    }
}

/// Job identities, process numbers and durations differ from run to run.
fn redact(text: &str) -> String {
    let mut redacted = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_hex = |it: char| it.is_ascii_digit() || ('a'..='f').contains(&it);
        let length = rest.chars().take_while(|it| is_hex(*it)).count();
        if length == 16 {
            redacted.push_str("[job]");
            rest = &rest[length..];
        } else if let Some(after) = rest.strip_prefix("process ") {
            redacted.push_str("process ");
            rest = after.trim_start_matches(|it: char| it.is_ascii_digit());
            redacted.push_str(if rest.len() < after.len() { "[n]" } else { "" });
        } else {
            let next = length.max(rest.chars().next().map_or(0, char::len_utf8));
            redacted.push_str(&rest[..next]);
            rest = &rest[next..];
        }
    }
    redacted
}

pub(crate) fn sample() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/access-sample.log"))
        .unwrap()
}

/// `client,requests,bytes,errors` of each client and the malformed lines, both sorted: another way to
/// read the format than the job's, by the quotes.
pub(crate) fn count_access(log: &str) -> (Vec<String>, Vec<String>) {
    let mut clients: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    let mut malformed = Vec::new();
    for line in log.lines() {
        let quoted = line.replace("\\\"", "'");
        let parts: Vec<&str> = quoted.split('"').collect();
        // before "request" status bytes "referer" "agent"
        let [_, _, numbers, _, _, _, ""] = parts.as_slice() else {
            malformed.push(line.to_owned());
            continue;
        };
        let [status, bytes] = numbers.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("the samples have no such line: {line}")
        };
        let client = line.split(' ').next().unwrap();
        let totals = clients.entry(client).or_default();
        totals.0 += 1;
        totals.1 += if bytes == "-" { 0 } else { bytes.parse::<u64>().unwrap() };
        totals.2 += u64::from(status.parse::<u16>().unwrap() >= 400);
    }
    let line =
        |(client, (requests, bytes, errors))| format!("{client},{requests},{bytes},{errors}");
    let mut lines: Vec<String> = clients.into_iter().map(line).collect();
    lines.sort();
    malformed.sort();
    (lines, malformed)
}

/// `word,count` of each word, sorted.
pub(crate) fn count_words<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut words: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts {
        let mut word = String::new();
        for character in text.chars().chain([' ']) {
            if character.is_alphanumeric() {
                word.push(character);
            } else if !word.is_empty() {
                *words.entry(word.to_lowercase()).or_default() += 1;
                word.clear();
            }
        }
    }
    let mut lines: Vec<String> =
        words.iter().map(|(word, count)| format!("{word},{count}")).collect();
    lines.sort();
    lines
}
