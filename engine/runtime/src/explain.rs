//! Why a checkpoint was slow, or failed: which subtask, which phase (S4).
//!
//! The slowest subtask is followed upstream for as long as the barrier left its senders late: a subtask
//! whose barrier came late is not what was slow.

use std::fmt;

use seawall_protocol::SubtaskId;
use seawall_protocol::message::DeclineReason;
use seawall_protocol::record::SnapshotPhase;

use crate::storage::history::{CheckpointFigures, History, Progress, Status, SubtaskFigures};

/// The answer for one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// How the checkpoint ended, in one line.
    pub summary: String,
    /// The subtask that took longest, or that held up the others.
    pub subtask: Option<SubtaskId>,
    /// Where the time went.
    pub phase: Option<Phase>,
    /// How that follows from the figures, in sentences.
    pub reasons: Vec<String>,
    /// What to look at.
    pub hint: Option<&'static str>,
}

/// Where the time of a checkpoint goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// At a subtask.
    Snapshot(SnapshotPhase),
    /// At the coordinator: manifest and record.
    Finalize,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(phase) => phase.fmt(f),
            Self::Finalize => f.write_str("finalize"),
        }
    }
}

/// Explains one checkpoint of the history.
pub fn explain(history: &History, checkpoint: &CheckpointFigures) -> Explanation {
    let id = checkpoint.checkpoint;
    let total = shown(checkpoint.total_us());
    let (acked, all) = (checkpoint.acked(), checkpoint.subtasks.len());
    let summary = match checkpoint.status {
        Status::Completed if checkpoint.total_us() == 0 => {
            format!("checkpoint {id} completed; its figures were lost with its coordinator")
        }
        Status::Completed => format!("checkpoint {id} completed in {total}"),
        Status::Lost => format!("checkpoint {id} was lost with its coordinator"),
        Status::Failed(reason) => format!(
            "checkpoint {id} {} after {total} ({}); {acked} of {all} subtasks acked",
            reason.in_words(),
            reason.name()
        ),
    };
    let mut explanation =
        Explanation { summary, subtask: None, phase: None, reasons: Vec::new(), hint: None };
    if checkpoint.subtasks.is_empty() {
        return explanation;
    }
    if acked == all && checkpoint.finalize_us > checkpoint.collecting_us {
        explanation.phase = Some(Phase::Finalize);
        explanation.reasons.push(format!(
            "every subtask had acked after {}; manifest and record took {} more",
            shown(checkpoint.collecting_us),
            shown(checkpoint.finalize_us)
        ));
        explanation.hint = Some("look at the storage as the coordinator sees it");
        return explanation;
    }
    let culprit = Search { history, checkpoint }.culprit(&mut explanation.reasons);
    explanation.subtask = Some(culprit.subtask);
    explanation.hint = match culprit.progress {
        Progress::Silent => Some("look at its worker: it may be gone, or cut off"),
        Progress::Declined(DeclineReason::AsyncException) => {
            explanation.phase = Some(Phase::Snapshot(SnapshotPhase::Async));
            Some("look at the storage as its worker sees it")
        }
        Progress::Declined(DeclineReason::Subsumed | DeclineReason::NotRunning) => None,
        Progress::In(_) | Progress::Acked => {
            let phase = longest(culprit);
            explanation.phase = Some(Phase::Snapshot(phase));
            Some(hint(phase))
        }
    };
    explanation
}

struct Search<'a> {
    history: &'a History,
    checkpoint: &'a CheckpointFigures,
}

impl<'a> Search<'a> {
    fn culprit(&self, reasons: &mut Vec<String>) -> &'a SubtaskFigures {
        let mut culprit = self.slowest();
        loop {
            let name = self.history.subtask_name(culprit.subtask);
            let figures = &culprit.figures;
            let phase = longest(culprit);
            let took = shown(figures.phase(phase));
            reasons.push(match culprit.progress {
                Progress::Silent => format!("{name} never acked, and nothing was heard of it"),
                Progress::Declined(DeclineReason::AsyncException) => {
                    format!("{name} declined: its snapshot could not be written")
                }
                Progress::Declined(DeclineReason::Subsumed) => {
                    format!("{name} declined: a newer barrier came first")
                }
                Progress::Declined(DeclineReason::NotRunning) => {
                    format!("{name} declined: it did not run yet")
                }
                Progress::In(at) => {
                    format!("{name} never acked, it was in {at}; {phase} took {took}")
                }
                Progress::Acked => {
                    let end = shown(figures.end_to_end_us());
                    format!("{name} acked after {end}; {phase} took {took}")
                }
            });
            match self.late_sender(culprit) {
                Some(sender) => culprit = sender,
                None => return culprit,
            }
        }
    }

    /// One that did not ack, as far upstream as there is; else the one whose ack came last.
    fn slowest(&self) -> &'a SubtaskFigures {
        let rows = &self.checkpoint.subtasks;
        let rank = |it: &&SubtaskFigures| match it.progress {
            Progress::Declined(_) => (3, 0),
            Progress::In(_) => (2, it.figures.measured_us()),
            Progress::Silent => (1, u64::from(u32::MAX - it.subtask.operator.0)),
            Progress::Acked => (0, it.figures.end_to_end_us()),
        };
        rows.iter().max_by_key(rank).expect("there are subtasks")
    }

    /// The sender whose barrier left last, if it left so late that it is what the receiver waited for.
    fn late_sender(&self, receiver: &SubtaskFigures) -> Option<&'a SubtaskFigures> {
        let figures = &receiver.figures;
        match receiver.progress {
            Progress::Declined(_) => return None,
            Progress::Silent | Progress::In(_) | Progress::Acked => {}
        }
        let arrived = match longest(receiver) {
            SnapshotPhase::StartDelay => figures.start_delay_us,
            SnapshotPhase::Alignment => figures.start_delay_us + figures.alignment_us,
            SnapshotPhase::Output | SnapshotPhase::Sync | SnapshotPhase::Async => return None,
        };
        let inputs = &self.operator(receiver.subtask)?.inputs;
        let senders = self.checkpoint.subtasks.iter();
        let senders = senders.filter(|it| inputs.contains(&it.subtask.operator));
        let last = senders.max_by_key(|it| left(it))?;
        (left(last) >= arrived / 2).then_some(last)
    }

    fn operator(&self, subtask: SubtaskId) -> Option<&'a crate::storage::history::HistoryOperator> {
        self.history.operators.iter().find(|it| it.id == subtask.operator)
    }
}

/// When the barrier left a subtask, in microseconds from the trigger; never, when it did not.
fn left(sender: &SubtaskFigures) -> u64 {
    let figures = &sender.figures;
    match sender.progress {
        Progress::Silent
        | Progress::Declined(_)
        | Progress::In(
            SnapshotPhase::StartDelay | SnapshotPhase::Alignment | SnapshotPhase::Output,
        ) => u64::MAX,
        Progress::In(SnapshotPhase::Sync | SnapshotPhase::Async) | Progress::Acked => {
            figures.start_delay_us + figures.alignment_us + figures.output_us
        }
    }
}

/// The phase that took longest; of one that did not end, the phase it is in, unless another took longer.
fn longest(row: &SubtaskFigures) -> SnapshotPhase {
    let of = |it: &SnapshotPhase| row.figures.phase(*it);
    SnapshotPhase::ALL.into_iter().max_by_key(of).expect("there are phases")
}

fn hint(phase: SnapshotPhase) -> &'static str {
    match phase {
        SnapshotPhase::StartDelay => {
            "its barrier came late: look for a slow link, or records that wait before it (back pressure)"
        }
        SnapshotPhase::Alignment => {
            "some of its channels were slower than others: look at their links and for skew; \
             unaligned checkpoints do not wait"
        }
        SnapshotPhase::Output => {
            "what it sends to does not take it in: look downstream for what is slow"
        }
        SnapshotPhase::Sync => {
            "it was busy with its own state or transaction: look at the sink's disk"
        }
        SnapshotPhase::Async => {
            "its snapshot was written slowly: look at the storage as its worker sees it"
        }
    }
}

/// A duration for people.
pub fn shown(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..10_000_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        _ => format!("{}.{} s", micros / 1_000_000, micros / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use seawall_protocol::event::AbortReason;
    use seawall_protocol::record::SnapshotFigures;
    use seawall_protocol::{CheckpointId, OperatorId};

    use super::*;
    use crate::storage::history::HistoryOperator;

    /// `source` feeds `count`, two subtasks each.
    fn history() -> History {
        let operator = |id, name: &str, inputs: &[u32]| HistoryOperator {
            id: OperatorId(id),
            name: name.to_owned(),
            inputs: inputs.iter().copied().map(OperatorId).collect(),
        };
        let operators = vec![operator(0, "source", &[]), operator(1, "count", &[0])];
        History { operators, ..History::default() }
    }

    /// A subtask with milliseconds of start delay, alignment, output, sync and async.
    fn row(operator: u32, index: u32, progress: Progress, millis: [u64; 5]) -> SubtaskFigures {
        let mut figures = SnapshotFigures::default();
        for (phase, millis) in SnapshotPhase::ALL.into_iter().zip(millis) {
            *figures.phase_mut(phase) = millis * 1000;
        }
        SubtaskFigures { subtask: SubtaskId::new(operator, index), progress, figures }
    }

    fn check(status: Status, finalize_ms: u64, subtasks: Vec<SubtaskFigures>) -> (String, String) {
        let collecting_us = subtasks.iter().map(|it| it.figures.end_to_end_us()).max().unwrap_or(0);
        let checkpoint = CheckpointFigures {
            checkpoint: CheckpointId(7),
            is_final: false,
            status,
            collecting_us,
            finalize_us: finalize_ms * 1000,
            subtasks,
        };
        let found = explain(&history(), &checkpoint);
        let subtask = found.subtask.map(|it| history().subtask_name(it)).unwrap_or_default();
        (subtask, found.phase.map(|it| it.to_string()).unwrap_or_default())
    }

    fn found(subtask: &str, phase: &str) -> (String, String) {
        (subtask.to_owned(), phase.to_owned())
    }

    // Rules: S4
    #[test]
    fn the_slowest_subtask_is_named_with_its_longest_phase() {
        let acked = Progress::Acked;
        let rows = vec![
            row(0, 0, acked, [1, 0, 0, 0, 5]),
            row(0, 1, acked, [1, 0, 0, 0, 5]),
            row(1, 0, acked, [2, 1, 0, 1, 900]),
            row(1, 1, acked, [2, 1, 0, 1, 9]),
        ];
        assert_eq!(check(Status::Completed, 5, rows.clone()), found("count/0", "async"));
        assert_eq!(check(Status::Completed, 5_000, rows), found("", "finalize"));
    }

    // Rules: S4
    #[test]
    fn a_late_barrier_is_followed_to_the_sender_that_was_late() {
        let acked = Progress::Acked;
        let aligning = |sources: [[u64; 5]; 2]| {
            let [first, second] = sources;
            let rows = vec![
                row(0, 0, acked, first),
                row(0, 1, acked, second),
                row(1, 0, acked, [2, 800, 0, 0, 5]),
                row(1, 1, acked, [2, 790, 0, 0, 5]),
            ];
            check(Status::Completed, 5, rows)
        };
        let quick = [1, 0, 0, 0, 5];
        assert_eq!(aligning([quick, [780, 0, 0, 0, 5]]), found("source/1", "start delay"));
        assert_eq!(aligning([[1, 0, 770, 0, 5], quick]), found("source/0", "output"));
        // Both barriers left early: the link or what was before the barrier was slow, at the receiver.
        assert_eq!(aligning([quick, quick]), found("count/0", "alignment"));
    }

    // Rules: S3, S4
    #[test]
    fn who_held_up_a_failed_checkpoint_is_named() {
        let (acked, silent) = (Progress::Acked, Progress::Silent);
        let expired = |last: SubtaskFigures| {
            let rows = vec![
                row(0, 0, acked, [1, 0, 0, 0, 5]),
                row(0, 1, acked, [1, 0, 0, 0, 5]),
                row(1, 0, acked, [2, 1, 0, 0, 5]),
                last,
            ];
            check(Status::Failed(AbortReason::Expired), 0, rows)
        };
        let stuck = Progress::In(SnapshotPhase::Async);
        assert_eq!(expired(row(1, 1, stuck, [2, 1, 0, 0, 997])), found("count/1", "async"));
        assert_eq!(expired(row(1, 1, silent, [0; 5])), found("count/1", ""));
        let declined = Progress::Declined(DeclineReason::AsyncException);
        assert_eq!(expired(row(1, 1, declined, [0; 5])), found("count/1", "async"));
    }

    #[test]
    fn durations_are_shown_with_their_unit() {
        let all = [7, 1_500, 999_999, 10_000_000, 61_234_567].map(shown);
        assert_eq!(all, ["7 us", "1.5 ms", "999.9 ms", "10.0 s", "61.2 s"]);
    }
}
