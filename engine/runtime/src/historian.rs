//! Keeps the history of checkpoints as the coordinator decides it (S1, S2).
//!
//! It only looks: at each input and at what the core answered, with the time of the coordinator's own
//! clock. A subtask measures its phases itself; what is left of the time from the trigger to its ack is
//! its start delay, so that the parts always add up to the whole (S2) and no two clocks are compared (A8).
//!
//! Deliberately absent: decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_protocol::coordinator::{Effect, Input};
use seawall_protocol::event::Event;
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::{SnapshotFigures, SnapshotPhase, StoreRecord};
use seawall_protocol::{CheckpointId, SubtaskId};
use seawall_stream::Job;

use crate::figures::micros;
use crate::storage::history::{
    CheckpointFigures, Counts, History, HistoryOperator, Progress, Status, SubtaskFigures,
};

/// Keeps the history of one leadership, and what earlier ones left.
pub(crate) struct Historian {
    history: History,
    subtasks: Vec<SubtaskId>,
    pending: BTreeMap<CheckpointId, Pending>,
    has_news: bool,
}

struct Pending {
    since: Duration,
    is_final: bool,
    /// When the last ack came.
    acknowledged: Option<Duration>,
    rows: BTreeMap<SubtaskId, SubtaskFigures>,
}

impl Historian {
    /// Goes on with what earlier leaders left. Checkpoints that they reserved and that are not in their
    /// history ended with them: those of the record completed, the others are lost.
    pub(crate) fn new(job: &Job, found: Option<History>, record: &StoreRecord) -> Self {
        let is_ours = |it: &History| it.job == record.job;
        let mut history = found.filter(is_ours).unwrap_or_else(|| History {
            job: record.job,
            since: record.next_checkpoint,
            ..History::default()
        });
        history.operators = operators(job);
        let newest = history.checkpoints.iter().map(|it| it.checkpoint.next()).max();
        let unknown = newest.unwrap_or(history.since).max(history.since).0;
        for checkpoint in (unknown..record.next_checkpoint.0).map(CheckpointId) {
            let is_retained = record.retained.contains(&checkpoint);
            let status = if is_retained { Status::Completed } else { Status::Lost };
            count(&mut history.counts, status);
            history.push(CheckpointFigures {
                checkpoint,
                is_final: false,
                status,
                collecting_us: 0,
                finalize_us: 0,
                subtasks: Vec::new(),
            });
        }
        let Counts { completed, failed, .. } = history.counts;
        history.counts.in_progress = 0;
        history.counts.triggered = completed + failed;
        let subtasks = job.subtasks().collect();
        Self { history, subtasks, pending: BTreeMap::new(), has_news: false }
    }

    /// The job has another parallelism from now on.
    pub(crate) fn rescale(&mut self, job: &Job) {
        self.subtasks = job.subtasks().collect();
    }

    /// The history, when a checkpoint ended since the last call.
    pub(crate) fn take_news(&mut self) -> Option<History> {
        std::mem::take(&mut self.has_news).then(|| self.history.clone())
    }

    /// Looks at an input with what the core answered, before it is performed. Puts start delays, which
    /// only a coordinator can know, into the snapshots of a manifest.
    pub(crate) fn look(&mut self, input: &Input, effects: &mut [Effect], now: Duration) {
        if let Input::Message { message, .. } = input {
            self.on_message(message);
        }
        for effect in effects {
            if let Effect::Note(event) = effect {
                self.on_event(input, event, now);
            } else if let Effect::WriteManifest { checkpoint, snapshots, .. } = effect
                && let Some(pending) = self.pending.get_mut(checkpoint)
            {
                pending.acknowledged = Some(now);
                for snapshot in snapshots {
                    if let Some(row) = pending.rows.get(&snapshot.subtask) {
                        snapshot.figures = row.figures;
                    }
                }
            }
        }
    }

    fn on_event(&mut self, input: &Input, event: &Event, now: Duration) {
        if let Event::CheckpointTriggered { checkpoint, is_final, .. } = event {
            self.on_triggered(*checkpoint, *is_final, now);
        } else if let Event::SnapshotAcked { attempt, checkpoint } = event {
            let figures = acked_figures(input).unwrap_or_default();
            self.on_acked(*checkpoint, attempt.subtask, figures, now);
        } else if let Event::CheckpointCompleted { checkpoint } = event {
            self.on_end(*checkpoint, Status::Completed, now);
        } else if let Event::CheckpointAborted { checkpoint, reason } = event {
            self.on_end(*checkpoint, Status::Failed(*reason), now);
        }
    }

    fn on_message(&mut self, message: &ToCoordinator) {
        match message {
            ToCoordinator::Unfinished { attempt, checkpoint, phase, figures } => {
                self.on_progress(*checkpoint, attempt.subtask, *phase, *figures);
            }
            ToCoordinator::Decline { attempt, checkpoint, reason } => {
                let pending = self.pending.get_mut(checkpoint);
                if let Some(row) = pending.and_then(|it| it.rows.get_mut(&attempt.subtask)) {
                    row.progress = Progress::Declined(*reason);
                }
            }
            ToCoordinator::Register { .. }
            | ToCoordinator::Heartbeat
            | ToCoordinator::Progress { .. }
            | ToCoordinator::Ready(_)
            | ToCoordinator::Ended(_)
            | ToCoordinator::Finished(_)
            | ToCoordinator::Cancelled(_)
            | ToCoordinator::Failed { .. }
            | ToCoordinator::Ack { .. } => {}
        }
    }

    fn on_triggered(&mut self, checkpoint: CheckpointId, is_final: bool, now: Duration) {
        let silent = |&subtask: &SubtaskId| {
            let (progress, figures) = (Progress::Silent, SnapshotFigures::default());
            (subtask, SubtaskFigures { subtask, progress, figures })
        };
        let rows = self.subtasks.iter().map(silent).collect();
        self.pending.insert(checkpoint, Pending { since: now, is_final, acknowledged: None, rows });
        self.history.counts.triggered += 1;
        self.history.counts.in_progress += 1;
    }

    fn on_acked(
        &mut self,
        checkpoint: CheckpointId,
        subtask: SubtaskId,
        mut figures: SnapshotFigures,
        now: Duration,
    ) {
        let Some(pending) = self.pending.get_mut(&checkpoint) else { return };
        let since_trigger = micros(now.saturating_sub(pending.since));
        figures.start_delay_us = since_trigger.saturating_sub(figures.measured_us());
        let row = SubtaskFigures { subtask, progress: Progress::Acked, figures };
        pending.rows.insert(subtask, row);
    }

    /// A subtask tells how far it had come with a checkpoint that was given up.
    fn on_progress(
        &mut self,
        checkpoint: CheckpointId,
        subtask: SubtaskId,
        phase: SnapshotPhase,
        figures: SnapshotFigures,
    ) {
        let ended = self.history.checkpoints.iter_mut().rfind(|it| it.checkpoint == checkpoint);
        let Some(ended) = ended else { return };
        let collecting_us = ended.collecting_us;
        let row = ended.subtasks.iter_mut().find(|it| it.subtask == subtask);
        if let Some(row) = row.filter(|it| it.progress == Progress::Silent) {
            row.progress = Progress::In(phase);
            row.figures = figures;
            row.figures.start_delay_us = collecting_us.saturating_sub(figures.measured_us());
            self.has_news = true;
        }
    }

    fn on_end(&mut self, checkpoint: CheckpointId, status: Status, now: Duration) {
        let Some(mut pending) = self.pending.remove(&checkpoint) else { return };
        if status == Status::Completed {
            // Only finished subtasks are not waited for (N1).
            pending.rows.retain(|_, row| row.progress != Progress::Silent);
        }
        let acknowledged = pending.acknowledged.unwrap_or(now);
        self.history.counts.in_progress -= 1;
        count(&mut self.history.counts, status);
        self.history.push(CheckpointFigures {
            checkpoint,
            is_final: pending.is_final,
            status,
            collecting_us: micros(acknowledged.saturating_sub(pending.since)),
            finalize_us: micros(now.saturating_sub(acknowledged)),
            subtasks: pending.rows.into_values().collect(),
        });
        self.has_news = true;
    }
}

fn count(counts: &mut Counts, status: Status) {
    match status {
        Status::Completed => counts.completed += 1,
        Status::Failed(_) | Status::Lost => counts.failed += 1,
    }
}

fn acked_figures(input: &Input) -> Option<SnapshotFigures> {
    let Input::Message { message: ToCoordinator::Ack { snapshot, .. }, .. } = input else {
        return None;
    };
    Some(snapshot.figures)
}

fn operators(job: &Job) -> Vec<HistoryOperator> {
    let of = |operator: &seawall_stream::job::Operator| HistoryOperator {
        id: operator.id,
        name: operator.name.clone(),
        inputs: operator.inputs.iter().map(|edge| job.edges[edge.0 as usize].from).collect(),
    };
    job.operators.iter().map(of).collect()
}
