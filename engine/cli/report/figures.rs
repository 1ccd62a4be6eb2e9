//! Figures of checkpoints: what each subtask did, how long, and why one was slow or failed.
//!
//! JSON has the names of Flink's REST interface where the same thing exists, with durations in
//! milliseconds. There are no timestamps: the engine has no wall clock.

use std::path::Path;

use indicatif::HumanBytes;
use seawall::protocol::record::{SnapshotFigures, SnapshotPhase};
use seawall::runtime::explain::{Explanation, shown};
use seawall::runtime::storage::history::{
    CheckpointFigures, Counts, History, Progress, Status, SubtaskFigures,
};
use serde_json::{Value, json};

use super::{print_json, print_table, table, to_stdout};

/// The counts and every remembered checkpoint, below the list of those that are there.
pub(super) fn history(history: &History) {
    let Counts { triggered, completed, failed, in_progress } = history.counts;
    let rate = history.counts.success_rate().map_or_else(String::new, |it| {
        format!(", {}.{:02} % of those that ended", it / 100, it % 100)
    });
    let since = match history.since.0 {
        0 | 1 => String::new(),
        since => format!(", counted since checkpoint {since}"),
    };
    to_stdout("");
    to_stdout(&format!(
        "{triggered} triggered: {completed} completed{rate}, {failed} failed, {in_progress} in \
         progress{since}"
    ));
    let mut rows =
        table(["checkpoint", "ended", "end to end", "finalize", "acked", "full size", "written"]);
    for it in &history.checkpoints {
        let sum =
            |of: fn(&SnapshotFigures) -> u64| it.subtasks.iter().map(|it| of(&it.figures)).sum();
        rows.add_row([
            it.checkpoint.to_string(),
            ended(it.status).to_owned(),
            shown(it.total_us()),
            shown(it.finalize_us),
            format!("{} of {}", it.acked(), it.subtasks.len()),
            HumanBytes(sum(|it| it.full_bytes)).to_string(),
            HumanBytes(sum(|it| it.written_bytes)).to_string(),
        ]);
    }
    print_table(&rows);
}

/// The counts as JSON.
pub(super) fn counts_json(history: &History) -> Value {
    let Counts { triggered, completed, failed, in_progress } = history.counts;
    json!({ "total": triggered, "completed": completed, "failed": failed,
            "in_progress": in_progress, "since": history.since.0 })
}

/// Every remembered checkpoint as JSON.
pub(super) fn history_json(history: &History) -> Value {
    history.checkpoints.iter().map(|it| checkpoint_json(history, it)).collect()
}

/// The column titles of [`row`].
pub(super) const COLUMNS: [&str; 9] = [
    "start delay",
    "alignment",
    "output",
    "sync",
    "async",
    "end to end",
    "full size",
    "written",
    "in flight",
];

/// One subtask's figures.
pub(super) fn row(figures: &SnapshotFigures) -> [String; 9] {
    let phase = |it| shown(figures.phase(it));
    [
        phase(SnapshotPhase::StartDelay),
        phase(SnapshotPhase::Alignment),
        phase(SnapshotPhase::Output),
        phase(SnapshotPhase::Sync),
        phase(SnapshotPhase::Async),
        shown(figures.end_to_end_us()),
        figures.full_bytes.to_string(),
        figures.written_bytes.to_string(),
        figures.in_flight_bytes.to_string(),
    ]
}

/// One subtask's figures under Flink's names.
pub(super) fn row_json(figures: &SnapshotFigures) -> Value {
    json!({
        "start_delay": millis(figures.start_delay_us),
        "alignment": { "duration": millis(figures.alignment_us),
                       "persisted": figures.in_flight_bytes },
        "output": millis(figures.output_us),
        "checkpoint": { "sync": millis(figures.sync_us), "async": millis(figures.async_us) },
        "end_to_end_duration": millis(figures.end_to_end_us()),
        "state_size": figures.full_bytes,
        "checkpointed_size": figures.written_bytes,
    })
}

/// Shows a checkpoint of which only the history knows.
pub(crate) fn remembered(
    root: &Path,
    history: &History,
    checkpoint: &CheckpointFigures,
    is_json: bool,
) {
    if is_json {
        let mut value = checkpoint_json(history, checkpoint);
        value["directory"] = json!(root);
        return print_json(&value);
    }
    to_stdout(&format!(
        "checkpoint {}: {} after {}",
        checkpoint.checkpoint,
        ended(checkpoint.status),
        shown(checkpoint.total_us())
    ));
    let mut rows = table(["subtask", "progress"].into_iter().chain(COLUMNS));
    for it in &checkpoint.subtasks {
        let name = history.subtask_name(it.subtask);
        rows.add_row([name, progress(it)].into_iter().chain(row(&it.figures)));
    }
    print_table(&rows);
}

/// Says why.
pub(crate) fn explained(
    root: &Path,
    history: &History,
    checkpoint: &CheckpointFigures,
    explanation: &Explanation,
    is_json: bool,
) {
    if is_json {
        return print_json(&json!({
            "directory": root, "id": checkpoint.checkpoint.0, "summary": explanation.summary,
            "subtask": explanation.subtask.map(|it| history.subtask_name(it)),
            "phase": explanation.phase.map(|it| it.to_string()),
            "reasons": explanation.reasons, "hint": explanation.hint,
        }));
    }
    to_stdout(&explanation.summary);
    for reason in &explanation.reasons {
        to_stdout(&format!("  {reason}"));
    }
    let subtask = explanation.subtask.map(|it| history.subtask_name(it));
    let found = match (subtask, explanation.phase) {
        (Some(subtask), Some(phase)) => format!("most of the time: {phase} of {subtask}"),
        (Some(subtask), None) => format!("the cause: {subtask}"),
        (None, Some(phase)) => format!("most of the time: {phase}"),
        (None, None) => return,
    };
    to_stdout(&found);
    if let Some(hint) = explanation.hint {
        to_stdout(&format!("hint: {hint}"));
    }
}

fn checkpoint_json(history: &History, it: &CheckpointFigures) -> Value {
    let sum = |of: fn(&SnapshotFigures) -> u64| -> u64 {
        it.subtasks.iter().map(|it| of(&it.figures)).sum()
    };
    let subtasks = it.subtasks.iter().map(|it| {
        let mut value = row_json(&it.figures);
        value["subtask"] = json!(history.subtask_name(it.subtask));
        value["index"] = json!(it.subtask.index);
        value["status"] = json!(progress(it));
        value
    });
    let failure = match it.status {
        Status::Failed(reason) => Some(reason.name()),
        Status::Completed | Status::Lost => None,
    };
    json!({
        "id": it.checkpoint.0,
        "status": if it.status == Status::Completed { "COMPLETED" } else { "FAILED" },
        "failure_reason": failure,
        "end_to_end_duration": millis(it.total_us()),
        "finalize": millis(it.finalize_us),
        "state_size": sum(|it| it.full_bytes),
        "checkpointed_size": sum(|it| it.written_bytes),
        "persisted_data": sum(|it| it.in_flight_bytes),
        "num_subtasks": it.subtasks.len(),
        "num_acknowledged_subtasks": it.acked(),
        "subtasks": subtasks.collect::<Vec<_>>(),
    })
}

fn ended(status: Status) -> &'static str {
    match status {
        Status::Completed => "completed",
        Status::Failed(reason) => reason.name(),
        Status::Lost => "lost with its coordinator",
    }
}

fn progress(it: &SubtaskFigures) -> String {
    match it.progress {
        Progress::Acked => "acked".to_owned(),
        Progress::Declined(_) => "declined".to_owned(),
        Progress::Silent => "silent".to_owned(),
        Progress::In(phase) => format!("in {phase}"),
    }
}

/// Milliseconds with their fraction.
#[expect(clippy::cast_precision_loss, reason = "durations of a checkpoint fit into 52 bits")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}
