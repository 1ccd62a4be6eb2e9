//! The trace of a run: every protocol event and every fault, in the order in which they happened.
//!
//! Two views: the full trace, one line an event, whose digest decides whether two runs are the same; and
//! the recovery trace, without the steps that every checkpoint takes, for people and for snapshots. The
//! legend is in `sim/README.md`.
//!
//! Deliberately absent: records, bytes and addresses. A line shows what was decided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seawall_protocol::event::Event;
use seawall_protocol::{AttemptId, CheckpointId};
use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use crate::scenario::Node;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Virtual time since the start of the run.
    pub at: Duration,
    /// Where; `None` for the world itself.
    pub node: Option<Node>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum What {
    /// In the engine.
    Event(Event),
    /// A fault began.
    Fault(String),
    /// A fault healed.
    Healed(String),
    /// A process ended with an error; a supervisor starts it again.
    Ended(String),
    /// A fault that lay in wait struck, or was kept from striking.
    Struck(String),
}

impl What {
    /// The second word of its line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Event(event) => event.name(),
            Self::Fault(_) => "FAULT",
            Self::Healed(_) => "HEALED",
            Self::Ended(_) => "ENDED",
            Self::Struck(_) => "STRUCK",
        }
    }
}

/// One line of the recovery trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// The last entry that the line stands for.
    pub entry: &'a Entry,
    /// Its number in the trace.
    pub index: usize,
    /// What follows the name.
    pub details: String,
}

/// Names of chains, by operator number.
pub type Chains = BTreeMap<u32, String>;

/// A recorded run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// In order.
    pub entries: Vec<Entry>,
    /// How the job calls its chains.
    pub chains: Chains,
}

/// Sixteen bits for each prefix of a trace: enough to say where two runs part.
pub type Marks = Vec<u16>;

impl Trace {
    /// The digest of the full trace.
    pub fn digest(&self) -> u64 {
        let mut state = Xxh3::new();
        self.entries.iter().for_each(|it| update(&mut state, it));
        state.digest()
    }

    /// The mark of each prefix. Where two runs first differ, their marks differ from there on.
    pub fn marks(&self) -> Marks {
        let mut rolling: u64 = 0;
        let mut marks = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let mut state = Xxh3::with_seed(rolling);
            update(&mut state, entry);
            rolling = state.digest();
            marks.push(u16::try_from(rolling & 0xffff).expect("sixteen bits"));
        }
        marks
    }

    /// The full trace, one line an entry.
    pub fn full(&self) -> String {
        self.entries.iter().map(|it| self.line(it) + "\n").collect()
    }

    /// The recovery trace: what changed the course of the run. Checkpoints that follow each other without
    /// anything in between share a line.
    pub fn recovery(&self) -> String {
        let lines = self.steps().into_iter();
        lines.map(|it| Self::line_of(it.entry, &it.details) + "\n").collect()
    }

    /// The lines of the recovery trace.
    pub fn steps(&self) -> Vec<Step<'_>> {
        let completed = self.completed();
        let mut steps: Vec<Step<'_>> = Vec::new();
        let mut first = None;
        for (index, entry) in self.entries.iter().enumerate() {
            if matches!(&entry.what, What::Event(event) if is_routine(event, &completed)) {
                continue;
            }
            let mut step = Step { entry, index, details: self.details(entry) };
            let What::Event(Event::CheckpointCompleted { checkpoint }) = entry.what else {
                first = None;
                steps.push(step);
                continue;
            };
            if let Some(first) = first {
                step.details = format!("checkpoints {first} to {checkpoint}");
                steps.pop();
            }
            first = first.or(Some(checkpoint));
            steps.push(step);
        }
        steps
    }

    fn completed(&self) -> BTreeSet<CheckpointId> {
        let completed = self.entries.iter().filter_map(|entry| match entry.what {
            What::Event(Event::CheckpointCompleted { checkpoint }) => Some(checkpoint),
            What::Event(_)
            | What::Fault(_)
            | What::Healed(_)
            | What::Ended(_)
            | What::Struck(_) => None,
        });
        completed.collect()
    }

    /// One entry as a line of a trace.
    pub fn line(&self, entry: &Entry) -> String {
        Self::line_of(entry, &self.details(entry))
    }

    /// What follows the name in the entry's line.
    pub fn details(&self, entry: &Entry) -> String {
        match &entry.what {
            What::Event(event) => details(event, &self.chains),
            What::Fault(what) | What::Healed(what) | What::Ended(what) | What::Struck(what) => {
                what.clone()
            }
        }
    }

    fn line_of(entry: &Entry, details: &str) -> String {
        let (time, node, name) = (show_time(entry.at), show_node(entry.node), entry.what.name());
        let line = format!("{time:>11}  {node:<11}  {name:<23}  {details}");
        line.trim_end().to_owned()
    }
}

/// Seconds of virtual time, as a line begins.
pub fn show_time(at: Duration) -> String {
    let micros = at.as_micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Where something happened, as a line names it.
pub fn show_node(node: Option<Node>) -> String {
    node.map_or_else(|| "world".to_owned(), |it| it.to_string())
}

fn update(state: &mut Xxh3, entry: &Entry) {
    state.update(&entry.at.as_nanos().to_le_bytes());
    let node = match entry.node {
        None => 0,
        Some(Node::Coordinator) => 1,
        Some(Node::Worker(number)) => 1 + u64::from(number),
    };
    state.update(&node.to_le_bytes());
    let what = postcard::to_allocvec(&entry.what).expect("every event has an encoding");
    state.update(&u64::try_from(what.len()).expect("a short event").to_le_bytes());
    state.update(&what);
}

/// What every checkpoint and every start goes through when nothing is wrong.
fn is_routine(event: &Event, completed: &BTreeSet<CheckpointId>) -> bool {
    match event {
        Event::CheckpointTriggered { checkpoint, is_final } => {
            !is_final && completed.contains(checkpoint)
        }
        Event::TransactionCommitted { restored, .. } => !restored,
        Event::SnapshotAcked { .. }
        | Event::TriggerSkipped { .. }
        | Event::CheckpointAcknowledged { .. }
        | Event::ManifestWritten { .. }
        | Event::CheckpointSubsumed { .. }
        | Event::SubtaskReady { .. }
        | Event::SubtaskStarted { .. }
        | Event::SubtaskEnded { .. }
        | Event::SubtaskCancelled { .. }
        | Event::SubtaskFinished { .. }
        | Event::AlignmentStarted { .. }
        | Event::ChannelBlocked { .. }
        | Event::BarrierIgnored { .. }
        | Event::BarrierForwarded { .. }
        | Event::SnapshotTaken { .. }
        | Event::ChannelStateCaptured { .. }
        | Event::ChannelStateReplayed { .. }
        | Event::SnapshotWritten { .. }
        | Event::CompletionTold { .. }
        | Event::WatermarkAdvanced { .. }
        | Event::TransactionPrecommitted { .. } => true,
        Event::CoordinatorStarted { .. }
        | Event::WorkerRegistered { .. }
        | Event::WorkerLost { .. }
        | Event::WaitingForSlots { .. }
        | Event::AttemptDeployed { .. }
        | Event::AttemptStarted { .. }
        | Event::AttemptFailed { .. }
        | Event::RestartScheduled { .. }
        | Event::JobFailed { .. }
        | Event::JobFinished
        | Event::TriggeredDirectly { .. }
        | Event::FinishCounted { .. }
        | Event::SubtaskRestoredAtEnd { .. }
        | Event::JobCancelled
        | Event::CancelRequested
        | Event::BacklogReported { .. }
        | Event::CheckpointDiscarded { .. }
        | Event::AckIgnored { .. }
        | Event::CheckpointCompleted { .. }
        | Event::SavepointCompleted { .. }
        | Event::JobStopping { .. }
        | Event::JobRescaled { .. }
        | Event::CheckpointAborted { .. }
        | Event::RecordUncertain
        | Event::StaleInput { .. }
        | Event::WorkerStarted { .. }
        | Event::CoordinatorLost { .. }
        | Event::OrderRefused { .. }
        | Event::SubtaskFailed { .. }
        | Event::AlignmentAbandoned { .. }
        | Event::AlignmentTimedOut { .. }
        | Event::ChannelStateLeftOut { .. }
        | Event::SnapshotFailed { .. }
        | Event::SnapshotDeclined { .. }
        | Event::CommitFailed { .. }
        | Event::LingeringAborted { .. } => false,
    }
}

/// An attempt the way people read it: `count/1#2` is attempt 2 of subtask 1 of the chain `count`.
pub fn show_attempt(attempt: &AttemptId, chains: &Chains) -> String {
    let operator = attempt.subtask.operator;
    let chain = chains.get(&operator.0).cloned().unwrap_or_else(|| operator.to_string());
    format!("{chain}/{}#{}", attempt.subtask.index, attempt.attempt)
}

fn from(restored: Option<CheckpointId>) -> String {
    restored.map_or_else(|| "from the beginning".to_owned(), |it| format!("from checkpoint {it}"))
}

fn details(event: &Event, chains: &Chains) -> String {
    let show = |attempt: &AttemptId| show_attempt(attempt, chains);
    match event {
        Event::CoordinatorStarted { token, restored } => {
            let newest = restored
                .map_or_else(|| "no checkpoint".to_owned(), |it| format!("newest checkpoint {it}"));
            format!("token {token}, {newest}")
        }
        Event::WorkerRegistered { worker, session: _, slots } => format!("{worker}, {slots} slots"),
        Event::WorkerLost { worker, session: _, cause } => format!("{worker}: {cause}"),
        Event::WaitingForSlots { have, need } => format!("{have} of {need}"),
        Event::AttemptDeployed { attempt, restore } => {
            format!("attempt {attempt} {}", from(*restore))
        }
        Event::AttemptStarted { attempt } | Event::RestartScheduled { attempt } => {
            format!("attempt {attempt}")
        }
        Event::AttemptFailed { attempt, cause } => format!("attempt {attempt}: {cause}"),
        Event::JobFailed { cause } | Event::CoordinatorLost { worker: _, cause } => cause.clone(),
        Event::JobFinished
        | Event::JobCancelled
        | Event::CancelRequested
        | Event::RecordUncertain => String::new(),
        Event::BacklogReported { is_behind } => {
            if *is_behind { "a source is behind" } else { "no source is behind" }.to_owned()
        }
        Event::CheckpointTriggered { checkpoint, is_final } => {
            format!("checkpoint {checkpoint}{}", if *is_final { ", the final one" } else { "" })
        }
        Event::TriggerSkipped { reason } => words(reason),
        Event::SnapshotAcked { attempt, checkpoint }
        | Event::TriggeredDirectly { attempt, checkpoint }
        | Event::FinishCounted { attempt, checkpoint }
        | Event::AlignmentStarted { attempt, checkpoint }
        | Event::AlignmentAbandoned { attempt, checkpoint }
        | Event::AlignmentTimedOut { attempt, checkpoint }
        | Event::BarrierForwarded { attempt, checkpoint }
        | Event::SnapshotTaken { attempt, checkpoint }
        | Event::TransactionPrecommitted { attempt, checkpoint }
        | Event::CompletionTold { attempt, checkpoint } => {
            format!("{} checkpoint {checkpoint}", show(attempt))
        }
        Event::WatermarkAdvanced { attempt, time, is_idle } => {
            format!("{} {time}{}", show(attempt), if *is_idle { ", idle" } else { "" })
        }
        Event::AckIgnored { attempt, checkpoint, reason } => {
            format!("{} checkpoint {checkpoint}: {}", show(attempt), words(reason))
        }
        Event::CheckpointAcknowledged { checkpoint }
        | Event::ManifestWritten { checkpoint }
        | Event::CheckpointCompleted { checkpoint }
        | Event::SavepointCompleted { checkpoint }
        | Event::JobStopping { checkpoint }
        | Event::CheckpointSubsumed { checkpoint }
        | Event::CheckpointDiscarded { checkpoint } => format!("checkpoint {checkpoint}"),
        Event::CheckpointAborted { checkpoint, reason } => {
            format!("checkpoint {checkpoint}: {}", words(reason))
        }
        Event::JobRescaled { checkpoint, parallelism } => {
            format!("checkpoint {checkpoint}: parallelism {parallelism}")
        }
        Event::StaleInput { what } => what.clone(),
        Event::WorkerStarted { worker, session: _ } => worker.to_string(),
        Event::OrderRefused { worker: _, token } => format!("token {token}"),
        Event::SubtaskReady { attempt, restored } => {
            format!("{} {}", show(attempt), from(*restored))
        }
        Event::SubtaskStarted { attempt }
        | Event::SubtaskEnded { attempt }
        | Event::SubtaskRestoredAtEnd { attempt }
        | Event::SubtaskFinished { attempt }
        | Event::SubtaskCancelled { attempt } => show(attempt),
        Event::SubtaskFailed { attempt, cause } => format!("{}: {cause}", show(attempt)),
        Event::ChannelBlocked { attempt, checkpoint, channel }
        | Event::BarrierIgnored { attempt, checkpoint, channel } => {
            format!("{} checkpoint {checkpoint} {channel}", show(attempt))
        }
        Event::ChannelStateCaptured { attempt, checkpoint, batches, bytes } => {
            let attempt = show(attempt);
            format!("{attempt} checkpoint {checkpoint}, {batches} batches, {bytes} bytes")
        }
        Event::ChannelStateReplayed { attempt, checkpoint, batches }
        | Event::ChannelStateLeftOut { attempt, checkpoint, batches } => {
            format!("{} checkpoint {checkpoint}, {batches} batches", show(attempt))
        }
        Event::SnapshotWritten { attempt, checkpoint, bytes } => {
            format!("{} checkpoint {checkpoint}, {bytes} bytes", show(attempt))
        }
        Event::SnapshotFailed { attempt, checkpoint, cause }
        | Event::CommitFailed { attempt, checkpoint, cause } => {
            format!("{} checkpoint {checkpoint}: {cause}", show(attempt))
        }
        Event::SnapshotDeclined { attempt, checkpoint, reason } => {
            format!("{} checkpoint {checkpoint}: {}", show(attempt), words(reason))
        }
        Event::TransactionCommitted { attempt, checkpoint, restored } => {
            let note = if *restored { ", found in the restored snapshot" } else { "" };
            format!("{} checkpoint {checkpoint}{note}", show(attempt))
        }
        Event::LingeringAborted { attempt, transactions } => {
            format!("{} {transactions} transactions", show(attempt))
        }
    }
}

/// The name of a variant as words: `JobFailover` is `job failover`.
fn words(variant: &impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// Where two traces first differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The number of the first event that differs, from 1.
    pub event: usize,
    /// What both had before, at most [`CONTEXT`] lines.
    pub before: Vec<String>,
    /// That event and what follows in the first, at most [`CONTEXT`] lines; empty when it ended.
    pub left: Vec<String>,
    /// The same of the second.
    pub right: Vec<String>,
}

/// Lines shown around a divergence.
pub const CONTEXT: usize = 5;

/// Compares two rendered traces; lines that begin with `#` are comments.
pub fn first_divergence(left: &str, right: &str) -> Option<Divergence> {
    let events = |text: &str| -> Vec<String> {
        text.lines().filter(|it| !it.starts_with('#')).map(str::to_owned).collect()
    };
    let (left, right) = (events(left), events(right));
    let common = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    if common == left.len() && common == right.len() {
        return None;
    }
    let after = |lines: &[String]| lines.iter().skip(common).take(CONTEXT).cloned().collect();
    Some(Divergence {
        event: common + 1,
        before: left[common.saturating_sub(CONTEXT)..common].to_vec(),
        left: after(&left),
        right: after(&right),
    })
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "the first event that differs is event {}", self.event)?;
        for line in &self.before {
            writeln!(f, "  {line}")?;
        }
        for (sign, side) in [('-', &self.left), ('+', &self.right)] {
            if side.is_empty() {
                writeln!(f, "{sign} (the trace ends here)")?;
            }
            for line in side {
                writeln!(f, "{sign} {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(millis: u64, event: Event) -> Entry {
        let at = Duration::from_millis(millis);
        Entry { at, node: Some(Node::Worker(1)), what: What::Event(event) }
    }

    fn trace(checkpoints: &[u64]) -> Trace {
        let triggered = |it: &u64| Event::CheckpointTriggered {
            checkpoint: CheckpointId(*it),
            is_final: false,
        };
        let entries = checkpoints.iter().map(|it| entry(100 * it, triggered(it))).collect();
        Trace { entries, chains: Chains::new() }
    }

    #[test]
    fn equal_traces_have_equal_digests_and_no_divergence() {
        let (left, right) = (trace(&[1, 2, 3]), trace(&[1, 2, 3]));
        assert_eq!(left.digest(), right.digest());
        assert_eq!(first_divergence(&left.full(), &right.full()), None);
    }

    #[test]
    fn marks_part_where_the_traces_part_and_never_meet_again() {
        let (left, right) = (trace(&[1, 2, 3, 5, 6]).marks(), trace(&[1, 2, 4, 5, 6]).marks());
        let same: Vec<_> = left.iter().zip(&right).map(|(left, right)| left == right).collect();
        assert_eq!(same, [true, true, false, false, false]);
    }

    #[test]
    fn the_first_divergence_is_shown_with_what_came_before() {
        let (left, right) = (trace(&[1, 2, 3]), trace(&[1, 2]));
        let divergence = first_divergence(&left.full(), &right.full()).unwrap();
        insta::assert_snapshot!(divergence.to_string(), @r"
        the first event that differs is event 3
             0.100000  worker-1     checkpoint-triggered     checkpoint 1
             0.200000  worker-1     checkpoint-triggered     checkpoint 2
        -    0.300000  worker-1     checkpoint-triggered     checkpoint 3
        + (the trace ends here)
        ");
    }
}
