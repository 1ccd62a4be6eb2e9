//! What the programs print: verdict tables for people, `JSON` and `JUnit` for machines.

#![expect(clippy::print_stdout, reason = "programs print here and nowhere else")]
#![expect(clippy::print_stderr, reason = "programs print here and nowhere else")]

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use comfy_table::{Attribute, Cell, CellAlignment, Color, LineStyle, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::coverage::Reached;
use crate::sweep::Group;
use crate::verdict::Counts;

/// One line of a verdict table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The scenario, seed file or model.
    pub name: String,
    /// How many seeds ran.
    pub seeds: u64,
    /// Faults that began.
    pub faults: u64,
    /// Checkpoints completed.
    pub checkpoints: u64,
    /// Attempts after the first.
    pub recoveries: u64,
    /// In a few words: `holds`, `caught by exactly-once-output`.
    pub result: String,
    /// Whether it is as it should be.
    pub is_good: bool,
    /// The exit code it asks for.
    pub exit_code: u8,
    /// Real seconds, over all seeds.
    pub seconds: f64,
    /// A hash of the digests of all traces, in the order of seeds: equal in every sweep of these seeds by
    /// the same build, however many ran at a time. Absent where the number of runs depends on what they find.
    pub digest: Option<String>,
    /// What to read when it is not as it should be.
    pub explanation: Option<String>,
}

impl Row {
    /// A row with these counts.
    pub fn new(name: &str, seeds: usize, counts: Counts, time: Duration) -> Self {
        Self {
            name: name.to_owned(),
            seeds: u64::try_from(seeds).expect("fewer seeds than that"),
            faults: counts.faults,
            checkpoints: counts.checkpoints,
            recoveries: counts.recoveries,
            result: "holds".to_owned(),
            is_good: true,
            exit_code: 0,
            seconds: time.as_secs_f64(),
            digest: None,
            explanation: None,
        }
    }

    /// Not as it should be.
    #[must_use]
    pub fn failed(self, result: &str, exit_code: u8, explanation: String) -> Self {
        let result = result.to_owned();
        Self { result, is_good: false, exit_code, explanation: Some(explanation), ..self }
    }

    /// As it should be, and how.
    #[must_use]
    pub fn good(self, result: String) -> Self {
        Self { result, ..self }
    }
}

/// A whole verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// In the order of the work.
    pub rows: Vec<Row>,
    /// Real seconds from start to end.
    pub seconds: f64,
    /// The worst of the rows.
    pub exit_code: u8,
    /// Failures with something in common, the largest group first.
    pub groups: Vec<Group>,
    /// Somebody stopped the sweep, and not every run was made.
    pub is_interrupted: bool,
    /// What the runs reached and what stayed dark, where a swarm was among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<Reached>,
}

impl Summary {
    /// Of these rows. Of several exit codes the gravest counts: a violation before a run that is not
    /// deterministic before one that is stuck before a wrong scenario.
    pub fn new(rows: Vec<Row>, time: Duration) -> Self {
        let gravity = |code: u8| match code {
            0 => 0,
            2 => 1,
            4 => 2,
            3 => 3,
            _ => 4,
        };
        let exit_code = rows.iter().map(|it| it.exit_code).max_by_key(|it| gravity(*it));
        let (groups, is_interrupted) = (Vec::new(), false);
        let (seconds, exit_code) = (time.as_secs_f64(), exit_code.unwrap_or(0));
        Self { rows, seconds, exit_code, groups, is_interrupted, reached: None }
    }
}

/// Prints to the standard output.
pub fn say(text: &str) {
    println!("{}", text.trim_end_matches('\n'));
}

/// Prints an error.
pub fn error(text: &str) {
    eprintln!("error: {text}");
}

/// Says what goes on, beside the output.
pub fn tell(text: &str) {
    eprintln!("{text}");
}

fn may_color() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

/// Prints the table, and below it what failed and why.
pub fn print_summary(summary: &Summary) {
    say(&table(summary, may_color()));
    for row in summary.rows.iter().filter(|it| !it.is_good) {
        let explanation = row.explanation.as_deref().unwrap_or(&row.result);
        say(&format!("\n{}: {explanation}", row.name));
    }
    if summary.groups.len() > 1 || summary.groups.iter().any(|it| it.count > 1) {
        say("\nfailures with something in common:");
        for group in &summary.groups {
            let Group { signature, count, runs, replay } = group;
            say(&format!("{count:>6}  {signature}\n        {}\n        {replay}", runs.join(", ")));
        }
    }
    if let Some(reached) = &summary.reached {
        say(&format!("\n{}", reached.text()));
    }
    let bad = summary.rows.iter().filter(|it| !it.is_good).count();
    let seeds: u64 = summary.rows.iter().map(|it| it.seeds).sum();
    let verdict = match bad {
        0 => "all hold".to_owned(),
        1 => "1 does not hold".to_owned(),
        more => format!("{more} do not hold"),
    };
    say(&format!(
        "\n{} rows, {seeds} runs, {:.1} s: {verdict}{}",
        summary.rows.len(),
        summary.seconds,
        if summary.is_interrupted { "; stopped before all runs were made" } else { "" }
    ));
}

/// The verdict table.
pub fn table(summary: &Summary, is_colored: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table.set_header([
        "scenario",
        "seeds",
        "faults",
        "checkpoints",
        "recoveries",
        "result",
        "time",
    ]);
    for column in [1, 2, 3, 4, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in &summary.rows {
        let mut result = Cell::new(&row.result);
        if is_colored {
            result = result.fg(if row.is_good { Color::Green } else { Color::Red });
            if !row.is_good {
                result = result.add_attribute(Attribute::Bold);
            }
        }
        // A model has neither seeds nor faults.
        let number =
            |it: u64| Cell::new(if row.seeds == 0 { String::new() } else { it.to_string() });
        table.add_row(vec![
            Cell::new(&row.name),
            number(row.seeds),
            number(row.faults),
            number(row.checkpoints),
            number(row.recoveries),
            result,
            Cell::new(format!("{:.2} s", row.seconds)),
        ]);
    }
    table.trim_fmt()
}

/// The summary as JSON.
pub fn json(summary: &Summary) -> String {
    to_json(summary)
}

/// Anything as JSON for people and machines.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("a report has an encoding")
}

/// The summary as `JUnit`.
pub fn junit(name: &str, summary: &Summary) -> String {
    let mut report = Report::new(name);
    report.set_time(Duration::from_secs_f64(summary.seconds));
    let mut suite = TestSuite::new(name);
    for row in &summary.rows {
        let mut status = TestCaseStatus::success();
        if !row.is_good {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(row.result.clone());
            status.set_description(row.explanation.clone().unwrap_or_default());
        }
        let mut case = TestCase::new(row.name.clone(), status);
        case.set_time(Duration::from_secs_f64(row.seconds));
        suite.add_test_case(case);
    }
    report.add_test_suite(suite);
    report.to_string().expect("a report has an encoding")
}

/// Writes a report file; its directory must exist.
///
/// # Errors
/// What the file system said, as a message.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|it| format!("cannot write {}: {it}", path.display()))
}

/// Where failing runs leave their seed files.
pub fn seed_directory() -> PathBuf {
    PathBuf::from("target/seeds")
}

/// Shows how far the work is: a bar on a terminal, elsewhere a line now and then.
pub struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    told: Instant,
}

/// How often somebody who reads a log is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// For so many runs, or without end.
    pub fn new(runs: Option<usize>) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let length = runs.map(|it| u64::try_from(it).expect("fewer runs than that"));
        let bar = match length {
            Some(length) => ProgressBar::with_draw_target(Some(length), target),
            None => ProgressBar::with_draw_target(None, target),
        };
        let style = match length {
            Some(_) => "{elapsed_precise} [{bar:40}] {pos}/{len} runs {per_sec} {eta} left {msg}",
            None => "{elapsed_precise} {spinner} {pos} runs {per_sec} {msg}",
        };
        bar.set_style(ProgressStyle::with_template(style).expect("the template is well formed"));
        Self { bar, is_terminal, told: Instant::now() }
    }

    /// One run is done; so many have failed.
    pub fn advance(&mut self, name: &str, failed: usize) {
        self.bar.inc(1);
        let failures = if failed == 0 { String::new() } else { format!("{failed} failed, ") };
        self.bar.set_message(format!("{failures}{name}"));
        if !self.is_terminal && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let (done, rate) = (self.bar.position(), self.bar.per_sec());
            let left = match self.bar.length() {
                Some(all) => format!(" of {all}, {:.0} s left", self.bar.eta().as_secs_f64()),
                None => String::new(),
            };
            eprintln!("{done} runs{left}, {rate:.1} a second, {failures}now {name}");
        }
    }

    /// One thing of several runs is done.
    pub fn finished(&self, line: &str) {
        if !self.is_terminal {
            eprintln!("{line}");
        }
    }

    /// All is done.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how far a search without a known end is: a line that changes on a terminal, a line for each
/// step elsewhere.
pub struct Spinner {
    bar: ProgressBar,
    is_terminal: bool,
}

impl Default for Spinner {
    fn default() -> Self {
        Self::new()
    }
}

impl Spinner {
    /// Starts to show.
    pub fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = "{elapsed_precise} {spinner} {msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is well formed"));
        Self { bar, is_terminal }
    }

    /// How it stands.
    pub fn show(&self, line: &str) {
        self.bar.tick();
        self.bar.set_message(line.to_owned());
    }

    /// It got on.
    pub fn step(&self, line: &str) {
        if !self.is_terminal {
            eprintln!("{line}");
        }
    }

    /// All is done.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
