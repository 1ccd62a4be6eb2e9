//! Everything that is printed: results on stdout, progress and errors on stderr.
//!
//! No colours, so `NO_COLOR` has nothing to ask for. Progress is one living line on a terminal, and a
//! plain line every few seconds elsewhere.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use seawall::config::table::Support;
use seawall::config::{self, Configuration};
use seawall::jobs::JobSpec;
use seawall::protocol::record::JobResult;
use seawall::runtime::control::{Ask, Reply};
use seawall::runtime::storage::Manifest;
use seawall::runtime::storage::history::History;
use seawall::runtime::storage::inspect::{self, GONE, Inventory, Listed, Standing};
use seawall::runtime::storage::savepoint::Found;
use serde_json::{Value, json};

use crate::checkpoint::Verified;
use crate::error::CliError;
use crate::run::hint_for;
use crate::run::progress;
use crate::run::summary::{Ended, Summary};

pub(crate) mod figures; // what each subtask did for a checkpoint, and why it was slow

/// The exit code of usage, configuration, input and storage errors.
const ERROR: u8 = 2;
/// Between two plain lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Tells why the arguments were not understood, or prints the help that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(ERROR) } else { ExitCode::SUCCESS }
}

/// Tells what went wrong.
pub(crate) fn error(error: &CliError) -> ExitCode {
    if let CliError::Config(error) = error {
        error.problems().iter().for_each(|it| to_stderr(&format!("error: {it}")));
    } else {
        to_stderr(&format!("error: {error}"));
    }
    ExitCode::from(ERROR)
}

/// Tells something that does not stop the program.
pub(crate) fn warning(text: &str) {
    to_stderr(&format!("warning: {text}"));
}

fn to_stderr(text: &str) {
    // Nobody may be there to read it; that must not stop a job.
    let _ = writeln!(stderr(), "{text}");
}

fn to_stdout(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

fn print_json(value: &Value) {
    to_stdout(&serde_json::to_string_pretty(value).expect("a JSON value has a text"));
}

/// The living line or the plain lines of a running job.
pub(crate) struct Progress {
    job: &'static str,
    started: Instant,
    /// `Some` on a terminal.
    line: Option<ProgressBar>,
    last: Instant,
    last_records: u64,
}

impl Progress {
    pub(crate) fn start(job: &'static str) -> Self {
        let line = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            ProgressBar::new_spinner().with_style(style.expect("the template is well formed"))
        });
        Self { job, started: Instant::now(), line, last: Instant::now(), last_records: 0 }
    }

    /// Shows what is new.
    pub(crate) fn show(&mut self, progress: &progress::Progress, records: u64) {
        self.notices(progress);
        let is_due = self.last.elapsed() >= LINE_EVERY;
        match &self.line {
            None if !is_due => return,
            None => to_stderr(&self.text(progress, records)),
            Some(line) => {
                line.set_message(self.text(progress, records));
                line.tick();
            }
        }
        if is_due {
            (self.last, self.last_records) = (Instant::now(), records);
        }
    }

    /// Shows what is left to say and removes the living line.
    pub(crate) fn end(&mut self, progress: &progress::Progress) {
        self.notices(progress);
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }

    fn notices(&self, progress: &progress::Progress) {
        for notice in progress.take_notices() {
            match &self.line {
                Some(line) => line.println(notice),
                None => to_stderr(&notice),
            }
        }
    }

    fn text(&self, progress: &progress::Progress, records: u64) -> String {
        let counts = progress.counts();
        // At most the time between two lines: the present speed, not the average since the start.
        let millis = self.last.elapsed().as_millis().max(1);
        let new = u128::from(records.saturating_sub(self.last_records));
        let speed = u64::try_from(new * 1000 / millis).unwrap_or(u64::MAX);
        format!(
            "{} {}s: {} records, {}/s, {} checkpoints, {} restarts",
            self.job,
            self.started.elapsed().as_secs(),
            HumanCount(records),
            HumanCount(speed),
            counts.completed,
            counts.restarts,
        )
    }
}

/// Says how a run ended.
pub(crate) fn run_ended(summary: &Summary, is_json: bool) -> ExitCode {
    if is_json {
        print_json(&serde_json::to_value(summary).expect("a summary has a JSON form"));
    }
    let Summary { job, output, .. } = summary;
    match &summary.ended {
        Ended::Finished => {
            if !is_json {
                print_summary(summary);
            }
            ExitCode::SUCCESS
        }
        Ended::Stopped { savepoint, is_drained } => {
            if !is_json {
                to_stdout(&format!("{job} stopped with savepoint {savepoint}"));
            }
            if !is_drained {
                to_stderr(&format!(
                    "hint: to go on, add --from-savepoint {savepoint} and name another --state"
                ));
            }
            ExitCode::SUCCESS
        }
        Ended::AlreadyFinished => {
            if !is_json {
                to_stdout(&format!(
                    "{job} is already finished; its output is in {}",
                    output.directory.display()
                ));
            }
            to_stderr("hint: to run it again, name another output directory");
            ExitCode::SUCCESS
        }
        Ended::Cancelled => {
            if !is_json {
                to_stdout(&format!(
                    "{job} is cancelled; its output is in part in {}",
                    output.directory.display()
                ));
            }
            to_stderr("hint: to run it again, name another output directory");
            ExitCode::SUCCESS
        }
        Ended::Failed { cause } => {
            to_stderr(&format!("error: job {job} failed: {cause}"));
            if let Some(hint) = hint_for(cause) {
                to_stderr(&format!("hint: {hint}"));
            }
            ExitCode::FAILURE
        }
        Ended::Interrupted { signal } => {
            let from = summary.newest_checkpoint;
            let from = from.map_or("the beginning".into(), |it| format!("checkpoint {it}"));
            to_stderr(&format!("interrupted; the same command continues from {from}"));
            ExitCode::from(128 + signal)
        }
    }
}

fn print_summary(summary: &Summary) {
    let output = &summary.output;
    let mut files = format!("{} files, {} lines", output.files, HumanCount(output.lines));
    for (name, lines) in &output.side_outputs {
        files = format!("{files}; {name}: {} lines", HumanCount(*lines));
    }
    let seconds = Duration::from_millis(summary.duration_ms).as_secs_f64();
    let rows = [
        (
            "records",
            format!(
                "{} read by this process, {} records/s",
                HumanCount(summary.records_read),
                HumanCount(summary.records_per_second)
            ),
        ),
        (
            "checkpoints",
            format!(
                "{} completed, {} failed",
                summary.checkpoints_completed, summary.checkpoints_failed
            ),
        ),
        ("restarts", summary.restarts.to_string()),
        ("duration", format!("{seconds:.3} s")),
        ("guarantee", summary.guarantee.to_owned()),
        ("output", format!("{}: {files}", output.directory.display())),
    ];
    to_stdout(&format!("{} finished", summary.job));
    for (name, value) in rows {
        to_stdout(&format!("  {name:<12} {value}"));
    }
}

/// Lists the built-in jobs.
pub(crate) fn jobs(jobs: &[JobSpec], is_json: bool) {
    if is_json {
        let option = |it: &seawall::jobs::OptionSpec| {
            json!({ "key": it.key, "about": it.about, "default": it.default.filter(|it| !it.is_empty()),
                    "required": it.default.is_none() })
        };
        let job = |it: &JobSpec| {
            json!({ "name": it.name, "about": it.about, "output": it.output,
                    "options": it.options.iter().map(option).collect::<Vec<_>>() })
        };
        return print_json(&jobs.iter().map(job).collect());
    }
    for job in jobs {
        to_stdout(&format!("{}: {}", job.name, job.about));
        to_stdout(&format!("  output: {}", job.output));
        let mut table = Table::new();
        table.load_style(NOTHING);
        for option in job.options {
            let default = match option.default {
                None => "required".to_owned(),
                Some("") => String::new(),
                Some(default) => format!("default {default}"),
            };
            table.add_row([format!(" -o {}=", option.key), default, option.about.to_owned()]);
        }
        print_table(&table);
        to_stdout("");
    }
}

/// Shows every key that contains the text, with the value that counts.
pub(crate) fn config(configuration: &Configuration, filter: &str, is_json: bool) {
    let keys = || config::table::keys().filter(|it| it.key.contains(filter));
    let status = |it: &config::table::Key| match it.support {
        Support::Works(_) => "works",
        Support::Fixed { .. } => "fixed",
        Support::Absent(_) => "not there",
    };
    let value = |it: &config::table::Key| match (configuration.given(it.key), it.support) {
        (Some(given), _) => (given.value.to_string(), given.origin.to_string()),
        (None, Support::Fixed { accepts, .. }) => (accepts[0].to_owned(), "always".to_owned()),
        (None, Support::Works(_) | Support::Absent(_)) => {
            (it.default.unwrap_or("none").to_owned(), "default".to_owned())
        }
    };
    if is_json {
        let one = |it: &config::table::Key| {
            let (value, from) = value(it);
            let aliases: Vec<_> = it.aliases.iter().map(|it| it.key).collect();
            json!({ "key": it.key, "value": value, "from": from, "default": it.default,
                    "allowed": it.kind.allowed(), "status": status(it), "about": it.about,
                    "aliases": aliases })
        };
        return print_json(&keys().map(one).collect());
    }
    let mut table = table(["key", "value", "from", "default", "status"]);
    for key in keys() {
        let (value, from) = value(key);
        let default = key.default.unwrap_or("none");
        table.add_row([key.key, &value, &from, default, status(key)]);
    }
    print_table(&table);
}

/// Lists checkpoints.
pub(crate) fn checkpoints(
    root: &Path,
    inventory: &Inventory,
    history: Option<&History>,
    is_json: bool,
) {
    let Inventory { record, checkpoints } = inventory;
    let result = record.as_ref().and_then(|it| it.result);
    let status = match (record, result) {
        (None, _) => "never started",
        (Some(_), None) => "not finished",
        (Some(_), Some(JobResult::Finished)) => "finished",
        (Some(_), Some(JobResult::Cancelled)) => "cancelled",
        (Some(_), Some(JobResult::Stopped(_))) => "stopped",
    };
    if is_json {
        let one = |it: &Listed| {
            let is_gone = it.standing == Standing::Gone;
            json!({ "checkpoint": it.checkpoint.0, "retained": it.is_retained(), "gone": is_gone,
                    "bytes": it.bytes(), "new_bytes": it.new_bytes(),
                    "snapshots": it.manifest.as_ref().map_or(0, |it| it.snapshots.len()),
                    "damage": it.manifest.as_ref().err().filter(|_| !is_gone) })
        };
        return print_json(&json!({
            "directory": root, "job": status,
            "next_checkpoint": record.as_ref().map(|it| it.next_checkpoint.0),
            "attempt": record.as_ref().map(|it| it.attempt.0),
            "checkpoints": checkpoints.iter().map(one).collect::<Vec<_>>(),
            "counts": history.map(figures::counts_json),
            "history": history.map(figures::history_json),
        }));
    }
    to_stdout(&format!("{}: {status}", root.display()));
    if checkpoints.is_empty() {
        to_stdout("no checkpoints");
    } else {
        list_checkpoints(checkpoints);
    }
    if let Some(history) = history {
        figures::history(history);
    }
}

fn list_checkpoints(checkpoints: &[Listed]) {
    let titles = ["checkpoint", "status", "snapshots", "bytes", "of them new", "manifest"];
    let mut table = table(titles);
    for listed in checkpoints {
        let status = match listed.standing {
            Standing::Retained => "retained",
            Standing::Orphan => "orphan",
            Standing::Gone => "gone",
        };
        let (snapshots, manifest) = match (listed.standing, &listed.manifest) {
            (_, Ok(manifest)) => (manifest.snapshots.len(), "intact".to_owned()),
            (Standing::Gone, Err(_)) => (0, GONE.to_owned()),
            (Standing::Retained | Standing::Orphan, Err(damage)) => (0, first_line(damage)),
        };
        table.add_row([
            listed.checkpoint.to_string(),
            status.to_owned(),
            snapshots.to_string(),
            HumanBytes(listed.bytes()).to_string(),
            HumanBytes(listed.new_bytes()).to_string(),
            manifest,
        ]);
    }
    print_table(&table);
}

/// Shows one checkpoint.
pub(crate) fn manifest(root: &Path, manifest: &Manifest, is_json: bool) {
    let name_of = |id| {
        let operator = manifest.operators.iter().find(|it| it.id == id);
        operator.map_or_else(|| "unknown".to_owned(), |it| it.name.clone())
    };
    if is_json {
        let operators = manifest.operators.iter().map(|it| {
            json!({ "id": it.id.0, "name": it.name, "parallelism": it.parallelism, "key_groups": it.key_groups })
        });
        let snapshots = manifest.snapshots.iter().map(|it| {
            json!({ "operator": name_of(it.subtask.operator), "index": it.subtask.index,
                    "attempt": it.attempt.0, "bytes": inspect::full_bytes(it),
                    "new_bytes": inspect::new_bytes(it, manifest.checkpoint),
                    "files": 1 + it.shared.len(),
                    "checksum": format!("{:08x}", it.checksum),
                    "figures": figures::row_json(&it.figures) })
        });
        return print_json(&json!({
            "directory": root, "job": manifest.job_name, "job_id": manifest.job.to_string(),
            "checkpoint": manifest.checkpoint.0,
            "operators": operators.collect::<Vec<_>>(), "snapshots": snapshots.collect::<Vec<_>>(),
        }));
    }
    to_stdout(&format!(
        "checkpoint {} of {} {}",
        manifest.checkpoint, manifest.job_name, manifest.job
    ));
    let mut operators = table(["operator", "parallelism", "key groups"]);
    for it in &manifest.operators {
        operators.add_row([it.name.clone(), it.parallelism.to_string(), it.key_groups.to_string()]);
    }
    print_table(&operators);
    to_stdout("");
    let titles = ["snapshot of", "attempt", "bytes", "of them new", "files", "checksum"];
    let mut snapshots = table(titles.into_iter().chain(figures::COLUMNS));
    for it in &manifest.snapshots {
        let file = [
            format!("{}/{}", name_of(it.subtask.operator), it.subtask.index),
            it.attempt.to_string(),
            inspect::full_bytes(it).to_string(),
            inspect::new_bytes(it, manifest.checkpoint).to_string(),
            (1 + it.shared.len()).to_string(),
            format!("{:08x}", it.checksum),
        ];
        snapshots.add_row(file.into_iter().chain(figures::row(&it.figures)));
    }
    print_table(&snapshots);
}

/// Says which checkpoints are intact; exit code 1 when one is damaged.
pub(crate) fn verified(root: &Path, verified: &[Verified], is_json: bool) -> ExitCode {
    let is_intact = verified.iter().all(|it| it.damage.is_empty());
    if is_json {
        let one = |it: &Verified| {
            json!({ "checkpoint": it.listed.checkpoint.0, "retained": it.listed.is_retained(),
                    "gone": it.listed.standing == Standing::Gone, "damage": it.damage })
        };
        let checkpoints: Vec<_> = verified.iter().map(one).collect();
        print_json(&json!({ "directory": root, "intact": is_intact, "checkpoints": checkpoints }));
    } else {
        for Verified { listed, damage } in verified {
            let id = listed.checkpoint;
            match (listed.standing, damage.as_slice()) {
                (Standing::Gone, _) => to_stdout(&format!("checkpoint {id}: gone, {GONE}")),
                (Standing::Orphan, _) => {
                    to_stdout(&format!("checkpoint {id}: orphan, not part of the job"));
                }
                (Standing::Retained, []) => {
                    to_stdout(&format!("checkpoint {id}: intact, {}", HumanBytes(listed.bytes())));
                }
                (Standing::Retained, damage) => {
                    to_stdout(&format!("checkpoint {id}: damaged"));
                    for it in damage {
                        to_stdout(&indented(it));
                    }
                }
            }
        }
        if verified.is_empty() {
            to_stdout("no checkpoints");
        }
    }
    if is_intact { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says that the store record itself is damaged.
pub(crate) fn damaged_record(root: &Path, damage: &str, is_json: bool) -> ExitCode {
    if is_json {
        print_json(
            &json!({ "directory": root, "intact": false, "record": damage, "checkpoints": [] }),
        );
    } else {
        to_stdout("store record: damaged");
        to_stdout(&indented(damage));
    }
    ExitCode::FAILURE
}

/// Lists savepoints.
pub(crate) fn savepoints(directory: &Path, found: &[Found], is_json: bool) {
    if is_json {
        let one = |it: &Found| {
            let manifest = it.manifest.as_ref().ok();
            json!({ "path": it.path, "checkpoint": manifest.map(|it| it.checkpoint.0),
                    "job": manifest.map(|it| it.job_name.clone()),
                    "bytes": manifest.map(bytes_of), "damage": it.manifest.as_ref().err() })
        };
        let savepoints: Vec<_> = found.iter().map(one).collect();
        return print_json(&json!({ "directory": directory, "savepoints": savepoints }));
    }
    if found.is_empty() {
        return to_stdout(&format!("no savepoints in {}", directory.display()));
    }
    let mut table = table(["savepoint", "job", "checkpoint", "snapshots", "bytes", "manifest"]);
    for Found { path, manifest } in found {
        let path = path.display().to_string();
        match manifest {
            Ok(it) => table.add_row([
                path,
                it.job_name.clone(),
                it.checkpoint.to_string(),
                it.snapshots.len().to_string(),
                HumanBytes(bytes_of(it)).to_string(),
                "intact".to_owned(),
            ]),
            Err(damage) => {
                let none = String::new;
                table.add_row([path, none(), none(), none(), none(), first_line(damage)])
            }
        };
    }
    print_table(&table);
}

fn bytes_of(manifest: &Manifest) -> u64 {
    manifest.snapshots.iter().map(inspect::full_bytes).sum()
}

/// Says that a savepoint is gone.
pub(crate) fn disposed(savepoint: &Path) {
    to_stdout(&format!("disposed of {}", savepoint.display()));
}

/// Says what became of what was asked of a running job.
pub(crate) fn replied(root: &Path, ask: &Ask, reply: &Reply, is_json: bool) -> ExitCode {
    if is_json {
        print_json(&serde_json::to_value(reply).expect("a reply has a JSON form"));
    }
    let say = |text: String| {
        if !is_json {
            to_stdout(&text);
        }
    };
    match reply {
        Reply::Completed { checkpoint, savepoint } => {
            match (ask, checkpoint, savepoint) {
                (Ask::Stop { .. }, _, Some(path)) => say(format!("stopped with savepoint {path}")),
                (_, _, Some(path)) => say(format!("savepoint {path}")),
                (_, Some(id), None) => say(format!("checkpoint {id} completed")),
                (_, None, None) => say(format!("cancelled: {}", root.display())),
            }
            ExitCode::SUCCESS
        }
        Reply::Rescaled { parallelism } => {
            say(format!("the job runs with parallelism {parallelism}"));
            ExitCode::SUCCESS
        }
        Reply::Aborted { checkpoint, why, .. } => {
            let what = match ask {
                Ask::Savepoint { .. } | Ask::Stop { .. } => "savepoint",
                Ask::Checkpoint | Ask::Cancel | Ask::Rescale { .. } => "checkpoint",
            };
            to_stderr(&format!("error: {what} {checkpoint} {why}"));
            to_stderr("hint: the job goes on; ask again when the cause is gone");
            ExitCode::FAILURE
        }
        Reply::Refused { why } => {
            to_stderr(&format!("error: the job refused: {why}"));
            ExitCode::from(ERROR)
        }
        Reply::Ended => {
            to_stderr("error: the job ended before it answered");
            let root = root.display();
            to_stderr(&format!(
                "hint: see what it left: seawall checkpoint list {root}; seawall savepoint list {root}"
            ));
            ExitCode::FAILURE
        }
    }
}

/// How a job ended, as the end of a sentence about it.
pub(crate) fn in_words(result: JobResult) -> &'static str {
    match result {
        JobResult::Finished => "finished",
        JobResult::Cancelled => "was cancelled",
        JobResult::Stopped(_) => "was stopped with a savepoint",
    }
}

fn table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.into_iter().collect::<Vec<_>>());
    table
}

fn print_table(table: &Table) {
    table.lines().for_each(|line| to_stdout(line.trim_end()));
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
