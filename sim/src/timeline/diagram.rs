//! The recovery trace as a diagram: Mermaid for where text is rendered, SVG for where it is not.
//!
//! Both have a column for the world and each node, and a row for each line, in order and not to scale.
//! They are meant for a small run, as it is after shrinking; a long one makes a long picture.

use std::fmt::Write as _;
use std::path::Path;

use seawall_protocol::event::Event;

use super::escape;
use super::spans::{Drawing, Kind, Mark, named};
use crate::scenario::{Node, Scenario};
use crate::trace::{Step, What, show_node, show_time};
use crate::verdict::{Result as Outcome, Verdict};

/// How a diagram is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A sequence diagram as Mermaid reads it.
    Mermaid,
    /// A picture of its own.
    Svg,
}

impl Format {
    /// By the end of a file's name: `.mmd` or `.svg`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "mmd" => Some(Self::Mermaid),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }
}

/// The diagram of a run.
pub fn write(format: Format, scenario: &Scenario, verdict: &Verdict) -> String {
    match format {
        Format::Mermaid => mermaid(scenario, verdict),
        Format::Svg => svg(scenario, verdict),
    }
}

fn nodes(scenario: &Scenario) -> Vec<Node> {
    let workers = (1..=scenario.cluster.workers).map(Node::Worker);
    std::iter::once(Node::Coordinator).chain(workers).collect()
}

/// Where a line happens, and whom it reaches.
fn reach(step: &Step<'_>, nodes: &[Node]) -> (Option<Node>, Vec<Node>) {
    match &step.entry.what {
        What::Fault(text) | What::Healed(text) | What::Struck(text) => (None, named(text)),
        What::Ended(text) => (named(text).first().copied(), Vec::new()),
        What::Event(event) => {
            let from = step.entry.node;
            if let Event::WorkerRegistered { worker, .. } = event {
                return (Some(Node::Worker(worker.0)), vec![Node::Coordinator]);
            }
            let is_for_workers = matches!(event, Event::AttemptDeployed { .. });
            let workers = nodes.iter().copied();
            (from, workers.filter(|it| is_for_workers && *it != Node::Coordinator).collect())
        }
    }
}

fn mermaid(scenario: &Scenario, verdict: &Verdict) -> String {
    let nodes = nodes(scenario);
    // Both signs end a statement of Mermaid, which has codes for them.
    let plain = |text: &str| {
        let code = |sign: char| match sign {
            '#' => "#35;".to_owned(),
            ';' => "#59;".to_owned(),
            '\n' => "<br/>".to_owned(),
            other => other.to_string(),
        };
        text.chars().map(code).collect::<String>()
    };
    let mut out = format!(
        "%% {} seed {}: {}\nsequenceDiagram\n    participant world\n",
        scenario.name, verdict.seed, scenario.about
    );
    let mut line = |text: String| writeln!(out, "    {text}").expect("a string takes it");
    for node in &nodes {
        line(format!("participant {node}"));
    }
    for step in verdict.trace.steps() {
        let (from, to) = reach(&step, &nodes);
        let (time, name) = (show_time(step.entry.at), step.entry.what.name());
        let text = plain(format!("{time} {name} {}", step.details).trim_end());
        let from = show_node(from);
        if to.is_empty() {
            line(format!("Note over {from}: {text}"));
        }
        let arrow = match step.entry.what {
            What::Fault(_) | What::Struck(_) => "-x",
            What::Healed(_) => "-->>",
            What::Event(_) | What::Ended(_) => "->>",
        };
        for (number, to) in to.iter().enumerate() {
            let text = if number == 0 { text.as_str() } else { name };
            line(format!("{from}{arrow}{to}: {text}"));
        }
    }
    let last = nodes.last().expect("a cluster has nodes");
    let verdict = format!("{}: {}", verdict.result.name(), verdict.result.explain());
    line(format!("Note over world,{last}: {}", plain(&verdict)));
    out
}

const TIME_WIDTH: usize = 104;
const LANE_WIDTH: usize = 92;
const ROW_HEIGHT: usize = 22;
const LETTER_WIDTH: usize = 8;
const LINE_HEIGHT: usize = 18;
/// Letters in a row; the rest is in its title.
const LETTERS_MAX: usize = 120;
const MARGIN: usize = 20;

fn svg(scenario: &Scenario, verdict: &Verdict) -> String {
    let nodes = nodes(scenario);
    let steps = verdict.trace.steps();
    let texts: Vec<String> = steps
        .iter()
        .map(|it| format!("{} {}", it.entry.what.name(), it.details).trim_end().to_owned())
        .collect();
    let letters = texts.iter().map(|it| it.chars().count()).max().unwrap_or(0);
    let lanes_width = LANE_WIDTH * (nodes.len() + 1);
    let text_at = MARGIN + TIME_WIDTH + lanes_width + 12;
    let width = text_at + LETTER_WIDTH * letters.clamp(50, LETTERS_MAX) + MARGIN;
    let line_letters = (width - 2 * MARGIN - 24) / LETTER_WIDTH;
    let about = wrapped(&scenario.about, line_letters);
    let said = wrapped(&verdict.result.explain(), line_letters);
    let head = MARGIN + 26 + LINE_HEIGHT * about.len();
    let top = head + 40;
    let bottom = top + ROW_HEIGHT * steps.len();
    let height = bottom + 22 + LINE_HEIGHT * (said.len() + 1) + 14 + MARGIN;

    let column = |node: Option<Node>| {
        let index = node.and_then(|node| nodes.iter().position(|it| *it == node));
        MARGIN + TIME_WIDTH + LANE_WIDTH * index.map_or(0, |it| it + 1) + LANE_WIDTH / 2
    };
    let row = |entry: usize| steps.partition_point(|it| it.index < entry).min(steps.len());
    let middle = |row: usize| top + ROW_HEIGHT * row + ROW_HEIGHT / 2;

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{} seed {}: {}</title>\n<style>{}</style>\n",
        escape(&scenario.name),
        verdict.seed,
        verdict.result.name(),
        include_str!("diagram.css")
    );
    let mut put = |text: String| writeln!(out, "{text}").expect("a string takes it");
    put(format!("<rect class=\"back\" width=\"{width}\" height=\"{height}\"/>"));
    put(format!(
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{} seed {}</text>",
        MARGIN + 12,
        escape(&scenario.name),
        verdict.seed
    ));
    for (number, line) in about.iter().enumerate() {
        let y = MARGIN + 34 + LINE_HEIGHT * number;
        put(format!("<text class=\"soft\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", escape(line)));
    }

    // Behind everything: attempts, then the lives of the nodes and where they are broken.
    let drawing = Drawing::of(&verdict.trace, scenario.cluster.workers);
    for span in drawing.spans.iter().filter(|it| it.kind == Kind::Attempt) {
        let (from, to) = (row(span.first), span.last.map_or(steps.len(), |it| row(it) + 1));
        let (x, y) = (column(None) + LANE_WIDTH / 2, top + ROW_HEIGHT * from);
        let high = ROW_HEIGHT * (to - from);
        let parity = if span.number % 2 == 0 { "even" } else { "odd" };
        let wide = lanes_width - LANE_WIDTH;
        put(format!(
            "<rect class=\"attempt {parity}\" x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\"/>"
        ));
    }
    for node in std::iter::once(None).chain(nodes.iter().copied().map(Some)) {
        let x = column(node);
        put(format!(
            "<text class=\"node\" x=\"{x}\" y=\"{}\">{}</text>",
            head + 26,
            show_node(node)
        ));
        put(format!("<line class=\"life\" x1=\"{x}\" x2=\"{x}\" y1=\"{top}\" y2=\"{bottom}\"/>"));
    }
    for span in &drawing.spans {
        let class = match span.kind {
            Kind::Crash => "crash",
            Kind::Pause => "pause",
            Kind::Trouble => "trouble",
            Kind::Fault
            | Kind::Attempt
            | Kind::Recovery
            | Kind::Checkpoint
            | Kind::Subtask
            | Kind::Barrier => continue,
        };
        let x = MARGIN + TIME_WIDTH + LANE_WIDTH * span.lane + LANE_WIDTH / 2;
        let (y1, y2) = (middle(row(span.first)), span.last.map_or(bottom, |it| middle(row(it))));
        put(format!("<line class=\"gone\" x1=\"{x}\" x2=\"{x}\" y1=\"{y1}\" y2=\"{y2}\"/>"));
        put(format!("<line class=\"{class}\" x1=\"{x}\" x2=\"{x}\" y1=\"{y1}\" y2=\"{y2}\"/>"));
    }

    for (number, (step, text)) in steps.iter().zip(&texts).enumerate() {
        let y = middle(number);
        let (from, to) = reach(step, &nodes);
        let mark = drawing.entries[step.index].mark;
        let class = class_of(mark);
        put(format!("<g class=\"{class}\"><title>{}</title>", escape(text)));
        let x = column(from);
        for to in to {
            let to = column(Some(to));
            let (end, back) = if to > x { (to - 5, to - 12) } else { (to + 5, to + 12) };
            put(format!("<line class=\"arrow\" x1=\"{x}\" x2=\"{end}\" y1=\"{y}\" y2=\"{y}\"/>"));
            let (above, below) = (y - 4, y + 4);
            put(format!("<path class=\"full\" d=\"M{end} {y}L{back} {above}L{back} {below}z\"/>"));
        }
        put(shape(mark, x, y));
        let base = y + 4;
        let time = show_time(step.entry.at);
        let time_end = MARGIN + TIME_WIDTH - 16;
        put(format!("<text class=\"time\" x=\"{time_end}\" y=\"{base}\">{time}</text>"));
        let shown: String = text.chars().take(LETTERS_MAX).collect();
        let more = if shown.len() < text.len() { "…" } else { "" };
        let shown = escape(&shown);
        put(format!("<text class=\"line\" x=\"{text_at}\" y=\"{base}\">{shown}{more}</text></g>"));
    }

    let class = if verdict.result == Outcome::Holds { "holds" } else { "broken" };
    let (box_at, high) = (bottom + 14, LINE_HEIGHT * (said.len() + 1) + 16);
    let wide = width - 2 * MARGIN;
    put(format!(
        "<g class=\"{class}\"><rect class=\"verdict\" x=\"{MARGIN}\" y=\"{box_at}\" width=\"{wide}\" height=\"{high}\" rx=\"6\"/>"
    ));
    let x = MARGIN + 14;
    let sign = if verdict.result == Outcome::Holds { "✓" } else { "✗" };
    let y = box_at + 22;
    put(format!(
        "<text class=\"result\" x=\"{x}\" y=\"{y}\">{sign} {}</text>",
        verdict.result.name()
    ));
    for (number, line) in said.iter().enumerate() {
        let y = y + LINE_HEIGHT * (number + 1);
        put(format!("<text class=\"line\" x=\"{x}\" y=\"{y}\">{}</text>", escape(line)));
    }
    put("</g>\n</svg>".to_owned());
    out
}

fn class_of(mark: Mark) -> &'static str {
    match mark {
        Mark::Fault | Mark::Bad => "bad",
        Mark::Heal | Mark::Good => "good",
        Mark::Commit | Mark::Precommit => "commit",
        Mark::Turn => "turn",
        Mark::Step => "step",
    }
}

/// What a colour says, a shape says too.
fn shape(mark: Mark, x: usize, y: usize) -> String {
    match mark {
        Mark::Fault | Mark::Bad => {
            let (left, right, above, below) = (x - 5, x + 5, y - 5, y + 5);
            let path = format!("M{left} {above}L{right} {below}M{right} {above}L{left} {below}");
            format!("<path class=\"stroke\" d=\"{path}\"/>")
        }
        Mark::Good => {
            let (left, right, above, below) = (x - 5, x + 6, y - 5, y + 4);
            format!("<path class=\"stroke\" d=\"M{left} {y}L{} {below}L{right} {above}\"/>", x - 1)
        }
        Mark::Heal => format!("<circle class=\"ring\" cx=\"{x}\" cy=\"{y}\" r=\"4.5\"/>"),
        Mark::Commit | Mark::Precommit => {
            let (left, right, above, below) = (x - 5, x + 5, y - 6, y + 6);
            let class = if mark == Mark::Commit { "full" } else { "ring" };
            format!(
                "<path class=\"{class}\" d=\"M{x} {above}L{right} {y}L{x} {below}L{left} {y}z\"/>"
            )
        }
        Mark::Turn | Mark::Step => {
            format!("<circle class=\"full\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>")
        }
    }
}

/// The text in lines of at most so many letters, where words allow it.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + word.chars().count() >= letters {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}
