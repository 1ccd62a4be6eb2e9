//! What a trace looks like: lanes with rows, in them a mark for each entry, and spans from one entry to
//! another.
//!
//! A span ends with the entry that says so, with the crash of its node, or not at all. A fault is tied to
//! its healing by the words of the trace, so whatever a fault is called, a trace alone can be drawn.
//!
//! Deliberately absent: colours, pixels and what is in view, which the page decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seawall_protocol::event::Event;
use seawall_protocol::{AttemptId, CheckpointId, SubtaskId};
use serde::Serialize;

use crate::recorder::about;
use crate::scenario::Node;
use crate::trace::{Entry, Trace, What};

/// Everything that can be drawn of a trace.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Drawing {
    /// The last moment.
    end: u64,
    /// From top to bottom: the world, the coordinator, the workers.
    lanes: Vec<Lane>,
    /// One for each entry of the trace, in its order.
    pub(super) entries: Vec<Drawn>,
    /// Those of one kind in the order in which they were told.
    pub(super) spans: Vec<Span>,
}

/// The world, or a node.
#[derive(Debug, Clone, Serialize)]
struct Lane {
    name: String,
    /// What is in each row.
    rows: Vec<String>,
}

/// An entry as a mark.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Drawn {
    at: u64,
    lane: usize,
    row: usize,
    pub(super) mark: Mark,
    name: &'static str,
    line: String,
    /// Whether the recovery trace leaves it out.
    routine: bool,
}

/// How an entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    /// A step on the way.
    Step,
    /// Something begins or is decided.
    Turn,
    /// Something is achieved.
    Good,
    /// Something failed or was given up.
    Bad,
    Fault,
    Heal,
    Precommit,
    Commit,
}

/// What lasts.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Span {
    pub(super) kind: Kind,
    ending: Ending,
    pub(super) lane: usize,
    row: usize,
    from: u64,
    /// Where its nature changes: an attempt starts, a snapshot is taken.
    turn: Option<u64>,
    /// `None` when it outlasts the trace.
    to: Option<u64>,
    label: String,
    /// Of the checkpoint or attempt.
    pub(super) number: u64,
    /// The entry it began with.
    pub(super) first: usize,
    /// The entry that ended it.
    pub(super) last: Option<usize>,
}

/// What a span is a span of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// In the world's lane; one that passes at once has no length.
    Fault,
    /// A node has no power.
    Crash,
    /// A node stands still.
    Pause,
    /// A node suffers from another fault.
    Trouble,
    /// Of the job.
    Attempt,
    /// Of the job, from a failed attempt to the next that runs.
    Recovery,
    Checkpoint,
    /// A subtask's attempt, on its worker.
    Subtask,
    /// A checkpoint's way through a subtask: alignment, then writing.
    Barrier,
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ending {
    /// Not in this trace.
    Open,
    /// As it should.
    Good,
    /// It failed, or was given up.
    Bad,
    /// Whoever would have ended it was gone.
    Lost,
}

/// Rows of the coordinator's lane, above those of checkpoints.
const ATTEMPTS: usize = 1;
const RECOVERIES: usize = 2;
const CHECKPOINTS: usize = 3;
/// Rows that overlapping faults or checkpoints are spread over.
const ROWS_MAX: usize = 8;

const WORLD: usize = 0;
const COORDINATOR: usize = 1;

impl Drawing {
    /// Of a trace of a cluster with at least this many workers.
    pub(super) fn of(trace: &Trace, workers: u32) -> Self {
        let mut builder = Builder::new(trace, workers);
        for (index, entry) in trace.entries.iter().enumerate() {
            builder.on(index, entry);
        }
        builder.finish(trace)
    }
}

struct Builder<'a> {
    entries: &'a [Entry],
    /// The subtasks of each lane, by row after the first.
    subtasks: Vec<Vec<SubtaskId>>,
    drawn: Vec<Drawn>,
    spans: Vec<Span>,
    /// Which span an entry belongs to, and so which row.
    belongs: BTreeMap<usize, usize>,
    faults: Vec<OpenFault>,
    attempt: Option<usize>,
    recovery: Option<usize>,
    checkpoints: BTreeMap<CheckpointId, usize>,
    known: BTreeMap<CheckpointId, usize>,
    running: BTreeMap<AttemptId, usize>,
    barriers: BTreeMap<(AttemptId, CheckpointId), usize>,
    /// The entry with which the last leader ended, if nobody leads.
    leader_ended: Option<usize>,
    /// Whether the job came to its end.
    is_over: bool,
}

/// A fault that was not healed yet.
struct OpenFault {
    text: String,
    span: usize,
    first: usize,
    suffering: Kind,
    /// Of the nodes that suffer.
    lanes: BTreeSet<usize>,
}

impl OpenFault {
    /// Whether it goes on until something heals it. Others pass at once, unless their healing is told.
    fn lasts(&self) -> bool {
        let lasting =
            ["crash", "kill", "pause", "partition", "swizzle", "slow network", "slow disk"];
        lasting.iter().any(|it| self.text.starts_with(it))
    }

    /// Whether `healed`, which names these lanes, says its end: `worker-1 is back` that of
    /// `crash worker-1, restart after 2s`.
    fn is_healed_by(&self, healed: &str, lanes: &[usize]) -> bool {
        let said = match healed.rsplit(' ').next() {
            Some("back") => return self.suffering == Kind::Crash && self.names(lanes),
            Some("resumes") => return self.suffering == Kind::Pause && self.names(lanes),
            Some("reachable") => return self.text.starts_with("swizzle") && self.names(lanes),
            Some(_) | None => words(&self.text).collect::<BTreeSet<_>>(),
        };
        self.names(lanes) && words(healed).all(|it| said.contains(it))
    }

    fn names(&self, lanes: &[usize]) -> bool {
        lanes.iter().any(|it| self.lanes.contains(it))
    }
}

impl<'a> Builder<'a> {
    fn new(trace: &'a Trace, workers: u32) -> Self {
        let lane_max = trace.entries.iter().map(|it| lane_of(it.node)).max().unwrap_or(WORLD);
        let workers = usize::try_from(workers).expect("a cluster of this machine");
        let lane_count = (lane_max + 1).max(COORDINATOR + 1 + workers);
        let mut subtasks = vec![BTreeSet::new(); lane_count];
        for entry in &trace.entries {
            if let (What::Event(event), Some(Node::Worker(_))) = (&entry.what, entry.node) {
                subtasks[lane_of(entry.node)].extend(about(event).1);
            }
        }
        Self {
            entries: &trace.entries,
            subtasks: subtasks.into_iter().map(|it| it.into_iter().collect()).collect(),
            drawn: Vec::with_capacity(trace.entries.len()),
            spans: Vec::new(),
            belongs: BTreeMap::new(),
            faults: Vec::new(),
            attempt: None,
            recovery: None,
            checkpoints: BTreeMap::new(),
            known: BTreeMap::new(),
            running: BTreeMap::new(),
            barriers: BTreeMap::new(),
            leader_ended: None,
            is_over: false,
        }
    }

    fn on(&mut self, index: usize, entry: &Entry) {
        let (mut lane, mut row) = (lane_of(entry.node), 0);
        let mark = match &entry.what {
            What::Fault(text) => self.on_fault(index, text),
            What::Healed(text) => self.on_healed(index, text),
            What::Ended(text) => {
                lane = self.lanes_in(text).first().copied().unwrap_or(WORLD);
                self.on_gone(index, lane);
                Mark::Bad
            }
            // Its fault has the span; this is where it did its harm.
            What::Struck(_) => Mark::Fault,
            What::Event(event) => {
                row = self.row_of(lane, about(event).1);
                self.on_event(index, event, lane, row)
            }
        };
        let (at, name) = (micros(entry.at), entry.what.name());
        // The rest is known when all rows are.
        self.drawn.push(Drawn { at, lane, row, mark, name, line: String::new(), routine: true });
    }

    fn on_fault(&mut self, first: usize, text: &str) -> Mark {
        let span = self.open(Kind::Fault, WORLD, 0, first, text.to_owned(), 0);
        self.belongs.insert(first, span);
        let fault = OpenFault {
            text: text.to_owned(),
            span,
            first,
            suffering: suffering(text),
            lanes: self.lanes_in(text).into_iter().collect(),
        };
        if fault.suffering == Kind::Crash {
            for lane in &fault.lanes {
                self.on_gone(first, *lane);
            }
        }
        self.faults.push(fault);
        Mark::Fault
    }

    fn on_healed(&mut self, index: usize, text: &str) -> Mark {
        let is_everything = text.starts_with("everything");
        let lanes = self.lanes_in(text);
        let mut open = Vec::new();
        let mut is_found = false;
        for mut fault in std::mem::take(&mut self.faults) {
            if is_everything && fault.lasts() {
                for lane in std::mem::take(&mut fault.lanes) {
                    self.suffer(&fault, lane, Some(index));
                }
                self.close(fault.span, index, Ending::Good);
                continue;
            }
            if !is_found && !is_everything && fault.is_healed_by(text, &lanes) {
                is_found = true;
                self.belongs.insert(index, fault.span);
                for lane in &lanes {
                    if fault.lanes.remove(lane) {
                        self.suffer(&fault, *lane, Some(index));
                    }
                }
                if fault.lanes.is_empty() {
                    self.close(fault.span, index, Ending::Good);
                    continue;
                }
            }
            open.push(fault);
        }
        self.faults = open;
        Mark::Heal
    }

    /// What a fault does to a node, in the lane of the node.
    fn suffer(&mut self, fault: &OpenFault, lane: usize, last: Option<usize>) {
        let span = self.open(fault.suffering, lane, 0, fault.first, fault.text.clone(), 0);
        if let Some(last) = last {
            self.close(span, last, Ending::Good);
        }
    }

    /// The process of a lane is gone, and with it what ran there.
    fn on_gone(&mut self, index: usize, lane: usize) {
        if lane == COORDINATOR {
            self.leader_ended = Some(index);
        }
        let open = self.running.values().chain(self.barriers.values()).copied();
        let gone: BTreeSet<usize> = open.filter(|it| self.spans[*it].lane == lane).collect();
        self.running.retain(|_, span| !gone.contains(span));
        self.barriers.retain(|_, span| !gone.contains(span));
        for span in gone {
            self.close(span, index, Ending::Lost);
        }
    }

    fn on_event(&mut self, index: usize, event: &Event, lane: usize, row: usize) -> Mark {
        if let (COORDINATOR, Some(checkpoint)) = (lane, about(event).0)
            && let Some(span) = self.known.get(&checkpoint)
        {
            self.belongs.insert(index, *span);
        }
        match event {
            Event::CoordinatorStarted { restored, .. } => {
                self.on_leader(index, *restored);
                Mark::Turn
            }
            Event::AttemptDeployed { attempt, restore } => {
                self.is_over = false;
                self.end_attempt(index, Ending::Lost);
                let from = restore.map_or_else(String::new, |it| format!(" from checkpoint {it}"));
                let label = format!("attempt {attempt}{from}");
                let number = attempt.0.into();
                self.attempt =
                    Some(self.open(Kind::Attempt, COORDINATOR, ATTEMPTS, index, label, number));
                Mark::Turn
            }
            Event::AttemptStarted { .. } => {
                if let Some(open) = self.attempt {
                    self.spans[open].turn = Some(micros(self.entries[index].at));
                }
                if let Some(open) = self.recovery.take() {
                    self.close(open, index, Ending::Good);
                }
                Mark::Good
            }
            Event::AttemptFailed { cause, .. } => {
                self.end_attempt(index, Ending::Bad);
                self.recover(index, cause.clone());
                Mark::Bad
            }
            Event::JobFinished | Event::JobCancelled => {
                self.end_attempt(index, Ending::Good);
                self.is_over = true;
                Mark::Good
            }
            Event::JobFailed { .. } => {
                self.end_attempt(index, Ending::Bad);
                if let Some(open) = self.recovery.take() {
                    self.close(open, index, Ending::Bad);
                }
                self.is_over = true;
                Mark::Bad
            }
            Event::CheckpointTriggered { checkpoint, is_final } => {
                let label = format!("{checkpoint}{}", if *is_final { " final" } else { "" });
                let number = checkpoint.0;
                let span =
                    self.open(Kind::Checkpoint, COORDINATOR, CHECKPOINTS, index, label, number);
                self.checkpoints.insert(*checkpoint, span);
                self.known.insert(*checkpoint, span);
                self.belongs.insert(index, span);
                Mark::Step
            }
            Event::CheckpointCompleted { checkpoint } => {
                self.end_checkpoint(index, *checkpoint, Ending::Good);
                Mark::Good
            }
            Event::CheckpointAborted { checkpoint, .. } => {
                self.end_checkpoint(index, *checkpoint, Ending::Bad);
                Mark::Bad
            }
            Event::SubtaskReady { attempt, .. } => {
                let number = attempt.attempt.0.into();
                let label = format!("attempt {number}");
                let span = self.open(Kind::Subtask, lane, row, index, label, number);
                self.running.insert(*attempt, span);
                Mark::Step
            }
            Event::SubtaskStarted { attempt } => {
                if let Some(span) = self.running.get(attempt) {
                    self.spans[*span].turn = Some(micros(self.entries[index].at));
                }
                Mark::Step
            }
            Event::SubtaskFinished { attempt } => {
                self.end_subtask(index, attempt, Ending::Good);
                Mark::Good
            }
            Event::SubtaskCancelled { attempt } => {
                self.end_subtask(index, attempt, Ending::Lost);
                Mark::Step
            }
            Event::SubtaskFailed { attempt, .. } => {
                self.end_subtask(index, attempt, Ending::Bad);
                Mark::Bad
            }
            Event::AlignmentStarted { attempt, checkpoint } => {
                self.barrier(index, attempt, *checkpoint, lane, row);
                Mark::Step
            }
            Event::SnapshotTaken { attempt, checkpoint } => {
                let span = self.barrier(index, attempt, *checkpoint, lane, row);
                self.spans[span].turn = Some(micros(self.entries[index].at));
                Mark::Step
            }
            Event::SnapshotWritten { attempt, checkpoint, .. } => {
                self.end_barrier(index, attempt, *checkpoint, Ending::Good);
                Mark::Step
            }
            Event::SnapshotFailed { attempt, checkpoint, .. }
            | Event::SnapshotDeclined { attempt, checkpoint, .. }
            | Event::AlignmentAbandoned { attempt, checkpoint } => {
                self.end_barrier(index, attempt, *checkpoint, Ending::Bad);
                Mark::Bad
            }
            Event::TransactionPrecommitted { .. } => Mark::Precommit,
            Event::TransactionCommitted { .. } => Mark::Commit,
            Event::SavepointCompleted { .. } => Mark::Good,
            // When the job is over, its coordinator leaves.
            Event::CoordinatorLost { .. } if self.is_over => Mark::Turn,
            Event::WorkerLost { .. }
            | Event::CoordinatorLost { .. }
            | Event::CommitFailed { .. }
            | Event::OrderRefused { .. }
            | Event::RecordUncertain => Mark::Bad,
            Event::WorkerStarted { .. } => {
                self.on_gone(index, lane);
                Mark::Turn
            }
            Event::WorkerRegistered { .. }
            | Event::WaitingForSlots { .. }
            | Event::RestartScheduled { .. }
            | Event::JobStopping { .. }
            | Event::JobRescaled { .. }
            | Event::CancelRequested
            | Event::BacklogReported { .. }
            | Event::AlignmentTimedOut { .. }
            | Event::SubtaskRestoredAtEnd { .. }
            | Event::AckIgnored { .. }
            | Event::StaleInput { .. }
            | Event::LingeringAborted { .. } => Mark::Turn,
            Event::TriggerSkipped { .. }
            | Event::TriggeredDirectly { .. }
            | Event::FinishCounted { .. }
            | Event::SnapshotAcked { .. }
            | Event::CheckpointAcknowledged { .. }
            | Event::ManifestWritten { .. }
            | Event::CheckpointSubsumed { .. }
            | Event::CheckpointDiscarded { .. }
            | Event::SubtaskEnded { .. }
            | Event::ChannelBlocked { .. }
            | Event::BarrierIgnored { .. }
            | Event::BarrierForwarded { .. }
            | Event::ChannelStateCaptured { .. }
            | Event::ChannelStateReplayed { .. }
            | Event::ChannelStateLeftOut { .. }
            | Event::WatermarkAdvanced { .. }
            | Event::CompletionTold { .. } => Mark::Step,
        }
    }

    /// A leader begins: what its predecessor left pending is lost, but for what the record holds.
    fn on_leader(&mut self, index: usize, restored: Option<CheckpointId>) {
        let ended = self.leader_ended.take().unwrap_or(index);
        for (checkpoint, span) in std::mem::take(&mut self.checkpoints) {
            let is_durable = Some(checkpoint) == restored;
            self.close(span, ended, if is_durable { Ending::Good } else { Ending::Lost });
        }
        if let Some(open) = self.attempt.take() {
            self.close(open, ended, Ending::Lost);
            self.recover(ended, "its leader was gone".to_owned());
        }
    }

    fn recover(&mut self, index: usize, cause: String) {
        if self.recovery.is_none() {
            self.recovery =
                Some(self.open(Kind::Recovery, COORDINATOR, RECOVERIES, index, cause, 0));
        }
    }

    fn barrier(
        &mut self,
        index: usize,
        attempt: &AttemptId,
        checkpoint: CheckpointId,
        lane: usize,
        row: usize,
    ) -> usize {
        if let Some(span) = self.barriers.get(&(*attempt, checkpoint)) {
            return *span;
        }
        let label = format!("{checkpoint}");
        let span = self.open(Kind::Barrier, lane, row, index, label, checkpoint.0);
        self.barriers.insert((*attempt, checkpoint), span);
        span
    }

    fn end_attempt(&mut self, index: usize, ending: Ending) {
        if let Some(span) = self.attempt.take() {
            self.close(span, index, ending);
        }
    }

    fn end_checkpoint(&mut self, index: usize, checkpoint: CheckpointId, ending: Ending) {
        if let Some(span) = self.checkpoints.remove(&checkpoint) {
            self.close(span, index, ending);
        }
    }

    fn end_subtask(&mut self, index: usize, attempt: &AttemptId, ending: Ending) {
        if let Some(span) = self.running.remove(attempt) {
            self.close(span, index, ending);
        }
        let barriers = std::mem::take(&mut self.barriers);
        let (ended, open) = barriers.into_iter().partition(|((of, _), _)| of == attempt);
        self.barriers = open;
        for span in BTreeMap::into_values(ended) {
            self.close(span, index, Ending::Lost);
        }
    }

    fn end_barrier(
        &mut self,
        index: usize,
        attempt: &AttemptId,
        checkpoint: CheckpointId,
        ending: Ending,
    ) {
        if let Some(span) = self.barriers.remove(&(*attempt, checkpoint)) {
            self.close(span, index, ending);
        }
    }

    fn open(
        &mut self,
        kind: Kind,
        lane: usize,
        row: usize,
        first: usize,
        label: String,
        number: u64,
    ) -> usize {
        let (from, ending) = (micros(self.entries[first].at), Ending::Open);
        let (turn, to, last) = (None, None, None);
        self.spans.push(Span {
            kind,
            ending,
            lane,
            row,
            from,
            turn,
            to,
            label,
            number,
            first,
            last,
        });
        self.spans.len() - 1
    }

    fn close(&mut self, span: usize, last: usize, ending: Ending) {
        let at = micros(self.entries[last].at);
        let span = &mut self.spans[span];
        // A leader may be gone before the fault that took it was noticed by others.
        (span.to, span.last, span.ending) = (Some(at.max(span.from)), Some(last), ending);
    }

    fn row_of(&self, lane: usize, subtask: Option<SubtaskId>) -> usize {
        let row = subtask.and_then(|it| self.subtasks[lane].iter().position(|of| *of == it));
        row.map_or(0, |it| it + 1)
    }

    /// The lanes of the nodes that `text` names.
    fn lanes_in(&self, text: &str) -> Vec<usize> {
        let lanes = named(text).into_iter().map(|it| lane_of(Some(it)));
        lanes.filter(|it| *it < self.subtasks.len()).collect()
    }

    fn finish(mut self, trace: &Trace) -> Drawing {
        let end = self.entries.last().map_or(0, |it| micros(it.at));
        for fault in std::mem::take(&mut self.faults) {
            if fault.lasts() {
                for lane in &fault.lanes {
                    self.suffer(&fault, *lane, None);
                }
            } else {
                self.close(fault.span, fault.first, Ending::Good);
            }
        }
        // Room for the words beside a fault.
        let fault_rows = spread(&mut self.spans, Kind::Fault, 0, end, end / 4);
        let checkpoint_rows = spread(&mut self.spans, Kind::Checkpoint, CHECKPOINTS, end, 0);
        for (entry, span) in &self.belongs {
            (self.drawn[*entry].lane, self.drawn[*entry].row) =
                (self.spans[*span].lane, self.spans[*span].row);
        }
        for (drawn, entry) in self.drawn.iter_mut().zip(self.entries) {
            drawn.line = trace.line(entry);
        }
        for step in trace.steps() {
            self.drawn[step.index].routine = false;
        }
        let show = |it: &SubtaskId| {
            let chain = trace.chains.get(&it.operator.0).cloned();
            format!("{}/{}", chain.unwrap_or_else(|| it.operator.to_string()), it.index)
        };
        let lanes = self.subtasks.iter().enumerate().map(|(lane, subtasks)| {
            let (name, rows) = match lane {
                WORLD => ("world".to_owned(), vec!["faults".to_owned(); fault_rows.max(1)]),
                COORDINATOR => {
                    let rows = ["events", "attempts", "recoveries"].into_iter();
                    let checkpoints = std::iter::repeat_n("checkpoints", checkpoint_rows.max(1));
                    let rows = rows.chain(checkpoints).map(str::to_owned).collect();
                    (Node::Coordinator.to_string(), rows)
                }
                worker => {
                    let rows = std::iter::once("process".to_owned());
                    let name = format!("worker-{}", worker - COORDINATOR);
                    (name, rows.chain(subtasks.iter().map(show)).collect())
                }
            };
            Lane { name, rows }
        });
        Drawing { end, lanes: lanes.collect(), entries: self.drawn, spans: self.spans }
    }
}

/// Gives overlapping spans of a kind rows of their own, from `top` on, and says how many.
fn spread(spans: &mut [Span], kind: Kind, top: usize, end: u64, least: u64) -> usize {
    let mut free_from: Vec<u64> = Vec::new();
    for span in spans.iter_mut().filter(|it| it.kind == kind) {
        let to = span.to.unwrap_or(end).max(span.from + least);
        let free = free_from.iter().position(|it| *it <= span.from);
        let row = free.unwrap_or_else(|| {
            if free_from.len() < ROWS_MAX {
                free_from.push(0);
                return free_from.len() - 1;
            }
            let earliest = (0..ROWS_MAX).min_by_key(|it| free_from[*it]);
            earliest.expect("there are rows")
        });
        free_from[row] = to;
        span.row = top + row;
    }
    free_from.len()
}

fn lane_of(node: Option<Node>) -> usize {
    match node {
        None => WORLD,
        Some(Node::Coordinator) => COORDINATOR,
        Some(Node::Worker(number)) => {
            COORDINATOR + usize::try_from(number).expect("a cluster of this machine")
        }
    }
}

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).expect("a run is shorter than that")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|it: char| !it.is_alphanumeric() && it != '-').filter(|it| !it.is_empty())
}

/// The nodes that `text` names.
pub(super) fn named(text: &str) -> Vec<Node> {
    let named: BTreeSet<Node> = words(text).filter_map(Node::from_name).collect();
    named.into_iter().collect()
}

fn suffering(fault: &str) -> Kind {
    if fault.starts_with("crash") || fault.starts_with("kill") {
        Kind::Crash
    } else if fault.starts_with("pause") {
        Kind::Pause
    } else {
        Kind::Trouble
    }
}

#[cfg(test)]
mod tests {
    use seawall_protocol::Attempt;

    use super::*;

    fn drawing(entries: &[(u64, Option<Node>, What)]) -> Drawing {
        let entries = entries.iter().map(|(millis, node, what)| Entry {
            at: Duration::from_millis(*millis),
            node: *node,
            what: what.clone(),
        });
        Drawing::of(&Trace { entries: entries.collect(), chains: BTreeMap::new() }, 2)
    }

    fn of(drawing: &Drawing, kind: Kind) -> Vec<(u64, Option<u64>, Ending)> {
        let spans = drawing.spans.iter().filter(|it| it.kind == kind);
        spans.map(|it| (it.from / 1_000, it.to.map(|it| it / 1_000), it.ending)).collect()
    }

    fn fault(text: &str) -> What {
        What::Fault(text.to_owned())
    }

    fn healed(text: &str) -> What {
        What::Healed(text.to_owned())
    }

    #[test]
    fn every_way_to_heal_ends_the_fault_it_names_and_no_other() {
        for (began, ended) in [
            ("crash worker-1, restart after 2s", "worker-1 is back"),
            ("kill worker-1, restart after 2s", "worker-1 is back"),
            ("pause worker-1", "worker-1 resumes"),
            ("partition worker-1 <-> coordinator, heal after 2s", "worker-1 <-> coordinator"),
            ("swizzle worker-1, gap 1s", "worker-1 is reachable"),
            (
                "slow network worker-1 -> coordinator, for 2s, latency 1s",
                "slow network worker-1 -> coordinator",
            ),
            ("slow disk worker-1, for 2s, latency 1s", "slow disk worker-1"),
            ("something new worker-1, for 2s", "something new worker-1"),
        ] {
            let drawing = drawing(&[
                (1, None, fault("crash worker-2, restart after 1s")),
                (2, None, fault("pause worker-2")),
                (3, None, fault(began)),
                (4, None, healed(ended)),
                (5, None, healed("everything: the liveness phase begins")),
            ]);
            let good = |from, to| (from, Some(to), Ending::Good);
            assert_eq!(of(&drawing, Kind::Fault), [good(1, 5), good(2, 5), good(3, 4)], "{began}");
        }
    }

    #[test]
    fn a_rack_is_back_when_each_of_its_nodes_is() {
        let drawing = drawing(&[
            (1, None, fault("crash rack worker-1+worker-2, restart after 1s")),
            (2, None, healed("worker-2 is back")),
            (3, None, healed("worker-1 is back")),
        ]);
        let good = |to| (1, Some(to), Ending::Good);
        assert_eq!(of(&drawing, Kind::Fault), [good(3)]);
        assert_eq!(of(&drawing, Kind::Crash), [good(2), good(3)]);
    }

    #[test]
    fn a_fault_that_passes_at_once_has_no_length() {
        let drawing = drawing(&[
            (1, None, fault("reset worker-1 -> worker-2")),
            (9, None, healed("everything: the liveness phase begins")),
        ]);
        assert_eq!(of(&drawing, Kind::Fault), [(1, Some(1), Ending::Good)]);
        assert_eq!(of(&drawing, Kind::Trouble), []);
    }

    #[test]
    fn a_pending_checkpoint_and_the_attempt_end_when_their_leader_is_gone() {
        let leader = |restored| {
            let token = seawall_protocol::FencingToken(1);
            What::Event(Event::CoordinatorStarted { token, restored })
        };
        let triggered = |id| {
            let checkpoint = CheckpointId(id);
            What::Event(Event::CheckpointTriggered { checkpoint, is_final: false })
        };
        let deployed = What::Event(Event::AttemptDeployed { attempt: Attempt(1), restore: None });
        let coordinator = Some(Node::Coordinator);
        let drawing = drawing(&[
            (0, coordinator, leader(None)),
            (1, coordinator, deployed),
            (2, coordinator, triggered(1)),
            (3, coordinator, triggered(2)),
            (4, None, fault("crash coordinator, restart after 1s")),
            (9, coordinator, leader(Some(CheckpointId(1)))),
        ]);
        // The record held the first, so it is completed, though nobody lived to say so.
        let ended = |from, ending| (from, Some(4), ending);
        let checkpoints = [ended(2, Ending::Good), ended(3, Ending::Lost)];
        assert_eq!(of(&drawing, Kind::Checkpoint), checkpoints);
        assert_eq!(of(&drawing, Kind::Attempt), [ended(1, Ending::Lost)]);
        assert_eq!(of(&drawing, Kind::Recovery), [(4, None, Ending::Open)]);
    }
}
