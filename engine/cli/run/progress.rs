//! What a running job does, counted from its events.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use seawall::env::{Observer, Reaction};
use seawall::protocol::event::Event;
use seawall::protocol::{AttemptId, CheckpointId};
use seawall::stream::Job;

/// Messages that wait to be printed; older ones are dropped beyond that.
const NOTICES_MAX: usize = 256;
/// Failed writes of the store record in a row after which the program gives up.
pub(crate) const RECORD_TRIES_MAX: u32 = 25;

/// Counts of one process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Checkpoints completed.
    pub(crate) completed: u32,
    /// Checkpoints that failed; those that a restart or a newer one ended do not count.
    pub(crate) failed: u32,
    /// Attempts that failed and were followed by another.
    pub(crate) restarts: u32,
    /// The newest completed checkpoint.
    pub(crate) newest: Option<CheckpointId>,
    /// Failed writes of the store record since the last event that proves a successful one.
    pub(crate) record_failures: u32,
}

#[derive(Default)]
struct State {
    counts: Counts,
    notices: VecDeque<String>,
    /// Why subtasks of the running attempt failed.
    causes: Vec<String>,
}

/// Observes a job. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Progress {
    job: Arc<Job>,
    state: Arc<Mutex<State>>,
}

impl Progress {
    pub(crate) fn new(job: Arc<Job>) -> Self {
        Self { job, state: Arc::default() }
    }

    /// The counts so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Messages for people since the last call.
    pub(crate) fn take_notices(&self) -> VecDeque<String> {
        std::mem::take(&mut self.lock().notices)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The subtask as people write it: `sum/1`.
    fn name(&self, attempt: AttemptId) -> String {
        self.job.subtask_name(attempt.subtask)
    }

    /// The text with subtasks named as people write them.
    pub(crate) fn with_names(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for operator in &self.job.operators {
            text = text.replace(&format!("{}/", operator.id), &format!("{}/", operator.name));
        }
        text
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "few of the many events concern a user")]
    fn note(&self, event: &Event) {
        let mut state = self.lock();
        let State { counts, notices, causes } = &mut *state;
        let notice = match event {
            Event::CoordinatorStarted { restored, .. } => {
                counts.record_failures = 0;
                counts.newest = *restored;
                restored.map(|it| format!("continuing from checkpoint {it}"))
            }
            Event::AttemptDeployed { .. } | Event::CheckpointTriggered { .. } => {
                counts.record_failures = 0;
                None
            }
            Event::CheckpointCompleted { checkpoint } => {
                counts.completed += 1;
                counts.record_failures = 0;
                counts.newest = Some(*checkpoint);
                None
            }
            Event::CheckpointAborted { checkpoint, reason } if reason.is_counted() => {
                counts.failed += 1;
                Some(format!("checkpoint {checkpoint} {}", reason.in_words()))
            }
            Event::SnapshotFailed { attempt, checkpoint, cause } => {
                let name = self.name(*attempt);
                Some(format!(
                    "{name} could not write its snapshot for checkpoint {checkpoint}: {cause}"
                ))
            }
            Event::CommitFailed { attempt, checkpoint, cause } => {
                let name = self.name(*attempt);
                Some(format!(
                    "{name} could not commit checkpoint {checkpoint}, trying again: {cause}"
                ))
            }
            Event::SubtaskFailed { attempt, cause } => {
                causes.push(cause.clone());
                Some(format!("{} failed: {cause}", self.name(*attempt)))
            }
            // Said already when a subtask was the cause.
            Event::AttemptFailed { cause, .. } if causes.iter().any(|it| cause.ends_with(it)) => {
                None
            }
            Event::AttemptFailed { attempt, cause } => {
                Some(format!("attempt {attempt} failed: {}", self.with_names(cause)))
            }
            Event::RestartScheduled { attempt } => {
                counts.restarts += 1;
                causes.clear();
                let from = counts.newest;
                let from = from.map_or("the beginning".into(), |it| format!("checkpoint {it}"));
                Some(format!("restarting as attempt {attempt} from {from}"))
            }
            Event::RecordUncertain => {
                counts.record_failures += 1;
                (counts.record_failures == 1)
                    .then(|| "the store record could not be written; trying again".to_owned())
            }
            _ => None,
        };
        if let Some(notice) = notice {
            notices.push_back(notice);
            if notices.len() > NOTICES_MAX {
                notices.pop_front();
            }
        }
    }
}

#[async_trait]
impl Observer for Progress {
    fn observe(&self, event: Event) -> Reaction {
        self.note(&event);
        Reaction::Continue
    }

    async fn settle(&self) {}
}
