//! What a run waits for: read from its trace, for the moment when it should have ended and has not.

use std::collections::{BTreeMap, BTreeSet};

use seawall_protocol::event::Event;
use seawall_protocol::{Attempt, AttemptId, ChannelId, CheckpointId, SubtaskId};

use crate::scenario::Node;
use crate::trace::{Trace, What};

/// Everything that is pending, one thing a line; empty when nothing is known to be.
pub fn pending(trace: &Trace) -> Vec<String> {
    let mut state = State::default();
    for entry in &trace.entries {
        if let What::Event(event) = &entry.what {
            state.on(entry.node, event);
        }
    }
    state.pending(&|subtask: SubtaskId| {
        let chain = trace.chains.get(&subtask.operator.0).cloned();
        let chain = chain.unwrap_or_else(|| subtask.operator.to_string());
        format!("{chain}/{}", subtask.index)
    })
}

#[derive(Default)]
struct State {
    job: Job,
    attempt: Option<Attempt>,
    is_started: bool,
    ready: BTreeSet<SubtaskId>,
    stopped: BTreeSet<SubtaskId>,
    known: BTreeSet<SubtaskId>,
    checkpoints: BTreeMap<CheckpointId, BTreeSet<SubtaskId>>,
    last_completed: Option<CheckpointId>,
    /// Channels that wait for the others of their subtask, by the subtask and the checkpoint.
    blocked: BTreeMap<(AttemptId, CheckpointId), BTreeSet<ChannelId>>,
    last_failure: Option<String>,
}

#[derive(Default)]
enum Job {
    #[default]
    NoLeader,
    WaitingForSlots(u32, u32),
    Cancelling(String),
    Restarting,
    Running,
    Over,
}

impl State {
    fn on(&mut self, _: Option<Node>, event: &Event) {
        match event {
            Event::CoordinatorStarted { restored, .. } => {
                self.checkpoints.clear();
                self.last_completed = *restored;
                self.job = Job::Restarting;
            }
            Event::WaitingForSlots { have, need } => self.job = Job::WaitingForSlots(*have, *need),
            Event::AttemptDeployed { attempt, .. } => {
                self.attempt = Some(*attempt);
                self.is_started = false;
                self.ready.clear();
                self.stopped.clear();
                self.job = Job::Running;
            }
            Event::AttemptStarted { .. } => self.is_started = true,
            Event::ChannelBlocked { attempt, checkpoint, channel } => {
                self.blocked.entry((*attempt, *checkpoint)).or_default().insert(*channel);
            }
            Event::SnapshotTaken { attempt, checkpoint }
            | Event::AlignmentAbandoned { attempt, checkpoint } => {
                self.blocked.remove(&(*attempt, *checkpoint));
            }
            Event::AttemptFailed { cause, .. } => {
                self.last_failure = Some(cause.clone());
                self.blocked.clear();
                self.job = Job::Cancelling(cause.clone());
            }
            Event::RestartScheduled { .. } => self.job = Job::Restarting,
            Event::CancelRequested => self.job = Job::Cancelling("it was cancelled".to_owned()),
            Event::JobFailed { .. } | Event::JobFinished | Event::JobCancelled => {
                self.job = Job::Over;
            }
            Event::CheckpointTriggered { checkpoint, .. } => {
                self.checkpoints.insert(*checkpoint, BTreeSet::new());
            }
            Event::SnapshotAcked { attempt, checkpoint }
            | Event::FinishCounted { attempt, checkpoint } => {
                if let Some(acked) = self.checkpoints.get_mut(checkpoint) {
                    acked.insert(attempt.subtask);
                }
            }
            Event::CheckpointCompleted { checkpoint } => {
                self.last_completed = Some(*checkpoint);
                self.checkpoints.remove(checkpoint);
            }
            Event::CheckpointAborted { checkpoint, .. } => {
                self.checkpoints.remove(checkpoint);
            }
            Event::SubtaskReady { attempt, .. } => {
                self.known.insert(attempt.subtask);
                if Some(attempt.attempt) == self.attempt {
                    self.ready.insert(attempt.subtask);
                }
            }
            Event::SubtaskFinished { attempt }
            | Event::SubtaskCancelled { attempt }
            | Event::SubtaskFailed { attempt, .. } => {
                if Some(attempt.attempt) == self.attempt {
                    self.stopped.insert(attempt.subtask);
                }
            }
            Event::WorkerRegistered { .. }
            | Event::WorkerLost { .. }
            | Event::TriggerSkipped { .. }
            | Event::TriggeredDirectly { .. }
            | Event::SubtaskRestoredAtEnd { .. }
            | Event::AckIgnored { .. }
            | Event::CheckpointAcknowledged { .. }
            | Event::ManifestWritten { .. }
            | Event::RecordUncertain
            | Event::SavepointCompleted { .. }
            | Event::JobStopping { .. }
            | Event::JobRescaled { .. }
            | Event::CheckpointSubsumed { .. }
            | Event::CheckpointDiscarded { .. }
            | Event::BacklogReported { .. }
            | Event::StaleInput { .. }
            | Event::WorkerStarted { .. }
            | Event::CoordinatorLost { .. }
            | Event::OrderRefused { .. }
            | Event::SubtaskStarted { .. }
            | Event::SubtaskEnded { .. }
            | Event::AlignmentStarted { .. }
            | Event::AlignmentTimedOut { .. }
            | Event::ChannelStateCaptured { .. }
            | Event::ChannelStateReplayed { .. }
            | Event::ChannelStateLeftOut { .. }
            | Event::BarrierIgnored { .. }
            | Event::BarrierForwarded { .. }
            | Event::SnapshotWritten { .. }
            | Event::SnapshotFailed { .. }
            | Event::SnapshotDeclined { .. }
            | Event::TransactionPrecommitted { .. }
            | Event::TransactionCommitted { .. }
            | Event::CommitFailed { .. }
            | Event::CompletionTold { .. }
            | Event::WatermarkAdvanced { .. }
            | Event::LingeringAborted { .. } => {}
        }
    }

    fn pending(&self, name: &dyn Fn(SubtaskId) -> String) -> Vec<String> {
        let names = |subtasks: &mut dyn Iterator<Item = SubtaskId>| {
            subtasks.map(name).collect::<Vec<_>>().join(", ")
        };
        let attempt = self.attempt.map_or_else(|| "?".to_owned(), |it| it.to_string());
        let mut pending = Vec::new();
        match &self.job {
            Job::NoLeader => pending.push("no coordinator ever started".to_owned()),
            Job::WaitingForSlots(have, need) => {
                pending.push(format!("the job waits for slots: {have} of {need}"));
            }
            Job::Cancelling(cause) => {
                let running = self.ready.difference(&self.stopped).copied();
                pending.push(format!(
                    "attempt {attempt} failed ({cause}) and is not stopped yet: {}",
                    names(&mut { running })
                ));
            }
            Job::Restarting => pending.push(match &self.last_failure {
                Some(cause) => {
                    format!("the next attempt is not deployed yet; the last failed: {cause}")
                }
                None => "the next attempt is not deployed yet".to_owned(),
            }),
            Job::Running if !self.is_started => {
                let missing = self.known.difference(&self.ready).copied();
                pending.push(format!(
                    "attempt {attempt} is not ready yet: {}",
                    names(&mut { missing })
                ));
            }
            Job::Running => pending.push(match self.last_completed {
                Some(last) => format!("attempt {attempt} runs; checkpoint {last} was the last"),
                None => format!("attempt {attempt} runs; no checkpoint completed yet"),
            }),
            Job::Over => {}
        }
        for (checkpoint, acked) in &self.checkpoints {
            let missing = self.ready.difference(acked).filter(|it| !self.stopped.contains(it));
            let missing = missing.copied();
            let what = if acked.is_empty() {
                "every ack".to_owned()
            } else {
                format!("the ack of {}", names(&mut { missing }))
            };
            pending.push(format!("checkpoint {checkpoint} lacks {what}"));
        }
        for ((attempt, checkpoint), channels) in &self.blocked {
            let channels: Vec<_> = channels.iter().map(ToString::to_string).collect();
            pending.push(format!(
                "{} holds back {} and waits for the other barriers of checkpoint {checkpoint}",
                name(attempt.subtask),
                channels.join(", ")
            ));
        }
        pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::trace::Entry;

    fn told(events: Vec<Event>) -> String {
        let entries = events.into_iter().map(|event| Entry {
            at: Duration::ZERO,
            node: Some(Node::Coordinator),
            what: What::Event(event),
        });
        let chains = [(0, "generate".to_owned()), (1, "count".to_owned())].into();
        pending(&Trace { entries: entries.collect(), chains }).join("\n")
    }

    fn attempt(operator: u32) -> AttemptId {
        AttemptId { subtask: SubtaskId::new(operator, 0), attempt: Attempt(1) }
    }

    fn running() -> Vec<Event> {
        vec![
            Event::AttemptDeployed { attempt: Attempt(1), restore: None },
            Event::SubtaskReady { attempt: attempt(0), restored: None },
            Event::SubtaskReady { attempt: attempt(1), restored: None },
            Event::AttemptStarted { attempt: Attempt(1) },
        ]
    }

    #[test]
    fn a_job_without_slots_says_how_many_it_has() {
        let events = vec![Event::WaitingForSlots { have: 2, need: 4 }];
        assert_eq!(told(events), "the job waits for slots: 2 of 4");
    }

    #[test]
    fn a_checkpoint_names_the_acks_that_it_lacks() {
        let checkpoint = CheckpointId(1);
        let mut events = running();
        events.push(Event::CheckpointTriggered { checkpoint, is_final: false });
        events.push(Event::SnapshotAcked { attempt: attempt(0), checkpoint });
        let channel = ChannelId(1);
        events.push(Event::ChannelBlocked { attempt: attempt(1), checkpoint, channel });
        insta::assert_snapshot!(told(events), @r"
        attempt 1 runs; no checkpoint completed yet
        checkpoint 1 lacks the ack of count/0
        count/0 holds back ch1 and waits for the other barriers of checkpoint 1
        ");
    }

    #[test]
    fn an_attempt_that_does_not_stop_names_who_still_runs() {
        let mut events = running();
        events.push(Event::AttemptFailed { attempt: Attempt(1), cause: "a disk".to_owned() });
        events.push(Event::SubtaskCancelled { attempt: attempt(0) });
        assert_eq!(told(events), "attempt 1 failed (a disk) and is not stopped yet: count/0");
    }
}
