//! What the job is doing, from its events alone: the columns of the matrix of faults and phases.
//!
//! ```text
//! no-leader ─► slots ─► deploying, restoring ─► running ─► barriers ─► snapshots ─► manifest ─► record ─► commits
//!                ▲                                 ▲                                                       │
//!                └── delay ◄── failing ◄── anything┘◄─────────────────────────────────────────────────────┘
//! ```
//!
//! With several pending checkpoints the oldest one counts, which has come furthest. From the final checkpoint
//! or a stop on it is `ending`, whatever its steps.
//!
//! Deliberately absent: what the world knows and nobody has noticed. A leader that was just crashed leaves the
//! phase as it was.

use std::collections::{BTreeMap, BTreeSet};

use seawall_protocol::event::Event;
use seawall_protocol::{CheckpointId, SubtaskId};

use crate::trace::{Entry, What};

/// A phase of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Nobody leads yet.
    #[default]
    NoLeader,
    /// A leader waits for slots.
    Slots,
    /// Subtasks are created, from the beginning of the input.
    Deploying,
    /// Subtasks are restored from a checkpoint.
    Restoring,
    /// Records are processed, and no checkpoint is under way.
    Running,
    /// A checkpoint was triggered, and not every subtask has taken its snapshot.
    Barriers,
    /// Every subtask has taken its snapshot, and not every one has acked.
    Snapshots,
    /// Every subtask acked, and the manifest is being written.
    Manifest,
    /// The manifest is durable, and the record is being written.
    Record,
    /// A checkpoint is completed, and transactions of it are not committed.
    Commits,
    /// The attempt failed and is being stopped.
    Failing,
    /// The next attempt waits for its time.
    Delay,
    /// The final checkpoint, or a stop, is on its way.
    Ending,
    /// The job ended.
    Ended,
}

impl Phase {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 14] = [
        Self::NoLeader,
        Self::Slots,
        Self::Deploying,
        Self::Restoring,
        Self::Running,
        Self::Barriers,
        Self::Snapshots,
        Self::Manifest,
        Self::Record,
        Self::Commits,
        Self::Failing,
        Self::Delay,
        Self::Ending,
        Self::Ended,
    ];

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoLeader => "no-leader",
            Self::Slots => "slots",
            Self::Deploying => "deploying",
            Self::Restoring => "restoring",
            Self::Running => "running",
            Self::Barriers => "barriers",
            Self::Snapshots => "snapshots",
            Self::Manifest => "manifest",
            Self::Record => "record",
            Self::Commits => "commits",
            Self::Failing => "failing",
            Self::Delay => "delay",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }
}

/// Follows a run through its phases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Phases {
    /// The phase, as long as no checkpoint refines [`Phase::Running`].
    life: Phase,
    /// The subtasks of the attempt that have not finished.
    live: BTreeSet<SubtaskId>,
    pending: BTreeMap<CheckpointId, Stage>,
    /// Transactions that were pre-committed.
    uncommitted: BTreeSet<(CheckpointId, SubtaskId)>,
    completed: CheckpointId,
    is_ending: bool,
}

/// How far a pending checkpoint has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Snapshots were taken of these.
    Taken(BTreeSet<SubtaskId>),
    Manifest,
    Record,
}

impl Phases {
    /// The phase now.
    pub fn now(&self) -> Phase {
        if self.life != Phase::Running {
            return self.life;
        }
        if self.is_ending {
            return Phase::Ending;
        }
        match self.pending.values().next() {
            Some(Stage::Taken(taken)) if self.live.is_subset(taken) => Phase::Snapshots,
            Some(Stage::Taken(_)) => Phase::Barriers,
            Some(Stage::Manifest) => Phase::Manifest,
            Some(Stage::Record) => Phase::Record,
            None if self.uncommitted.first().is_some_and(|(it, _)| *it <= self.completed) => {
                Phase::Commits
            }
            None => Phase::Running,
        }
    }

    /// All of this happened.
    pub fn on_all(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let What::Event(event) = &entry.what {
                self.on(event);
            }
        }
    }

    /// Something happened.
    pub fn on(&mut self, event: &Event) {
        if let Event::CoordinatorStarted { .. } = event {
            *self = Self { life: Phase::Slots, ..Self::default() };
        } else if let Event::AttemptDeployed { restore, .. } = event {
            let life = if restore.is_some() { Phase::Restoring } else { Phase::Deploying };
            *self = Self { life, ..Self::default() };
        } else if let Event::AttemptStarted { .. } = event {
            self.life = Phase::Running;
        } else if let Event::AttemptFailed { .. } | Event::CoordinatorLost { .. } = event {
            self.on_failure();
        } else if let Event::RestartScheduled { .. } = event {
            self.life = Phase::Delay;
        } else if let Event::WaitingForSlots { .. } = event {
            self.life = Phase::Slots;
        } else if let Event::JobFinished | Event::JobCancelled | Event::JobFailed { .. } = event {
            self.life = Phase::Ended;
        } else {
            self.on_step(event);
        }
    }

    /// A worker that misses its leader when all is over tells nothing new.
    fn on_failure(&mut self) {
        match self.life {
            Phase::NoLeader | Phase::Slots | Phase::Delay | Phase::Ended => {}
            Phase::Deploying
            | Phase::Restoring
            | Phase::Running
            | Phase::Barriers
            | Phase::Snapshots
            | Phase::Manifest
            | Phase::Record
            | Phase::Commits
            | Phase::Failing
            | Phase::Ending => self.life = Phase::Failing,
        }
    }

    /// A step of a checkpoint, or of a subtask that takes part.
    fn on_step(&mut self, event: &Event) {
        if let Event::SubtaskReady { attempt, .. } = event {
            self.live.insert(attempt.subtask);
        } else if let Event::SubtaskFinished { attempt } = event {
            self.live.remove(&attempt.subtask);
        } else if let Event::CheckpointTriggered { checkpoint, is_final } = event {
            self.pending.insert(*checkpoint, Stage::Taken(BTreeSet::new()));
            self.is_ending |= is_final;
        } else if let Event::JobStopping { .. } = event {
            self.is_ending = true;
        } else if let Event::SnapshotTaken { attempt, checkpoint } = event {
            if let Some(Stage::Taken(taken)) = self.pending.get_mut(checkpoint) {
                taken.insert(attempt.subtask);
            }
        } else if let Event::CheckpointAcknowledged { checkpoint } = event {
            self.pending.insert(*checkpoint, Stage::Manifest);
        } else if let Event::ManifestWritten { checkpoint } = event {
            self.pending.insert(*checkpoint, Stage::Record);
        } else if let Event::CheckpointCompleted { checkpoint } = event {
            self.pending.retain(|it, _| it > checkpoint);
            self.completed = *checkpoint;
        } else if let Event::CheckpointAborted { checkpoint, .. } = event {
            self.pending.remove(checkpoint);
        } else if let Event::TransactionPrecommitted { attempt, checkpoint } = event {
            self.uncommitted.insert((*checkpoint, attempt.subtask));
        } else if let Event::TransactionCommitted { attempt, checkpoint, .. } = event {
            self.uncommitted.remove(&(*checkpoint, attempt.subtask));
        }
    }
}

#[cfg(test)]
mod tests {
    use seawall_protocol::event::AbortReason;
    use seawall_protocol::{Attempt, AttemptId, FencingToken, OperatorId};

    use super::*;

    const ONE: AttemptId = of_operator(0);
    const TWO: AttemptId = of_operator(1);

    const fn of_operator(number: u32) -> AttemptId {
        let subtask = SubtaskId { operator: OperatorId(number), index: 0 };
        AttemptId { subtask, attempt: Attempt(1) }
    }

    fn check(steps: impl IntoIterator<Item = (Event, Phase)>) {
        let mut phases = Phases::default();
        for (index, (event, phase)) in steps.into_iter().enumerate() {
            phases.on(&event);
            assert_eq!(phases.now(), phase, "after step {index}: {event:?}");
        }
    }

    fn started(restore: Option<CheckpointId>) -> Vec<(Event, Phase)> {
        let attempt = Attempt(1);
        let born = if restore.is_some() { Phase::Restoring } else { Phase::Deploying };
        vec![
            (Event::CoordinatorStarted { token: FencingToken(1), restored: None }, Phase::Slots),
            (Event::AttemptDeployed { attempt, restore }, born),
            (Event::SubtaskReady { attempt: ONE, restored: restore }, born),
            (Event::SubtaskReady { attempt: TWO, restored: restore }, born),
            (Event::AttemptStarted { attempt }, Phase::Running),
        ]
    }

    #[test]
    fn a_checkpoint_goes_from_barriers_to_commits() {
        let checkpoint = CheckpointId(1);
        let taken = |attempt| Event::SnapshotTaken { attempt, checkpoint };
        let mut steps = started(None);
        steps.extend([
            (Event::CheckpointTriggered { checkpoint, is_final: false }, Phase::Barriers),
            (taken(ONE), Phase::Barriers),
            (Event::TransactionPrecommitted { attempt: TWO, checkpoint }, Phase::Barriers),
            (taken(TWO), Phase::Snapshots),
            (Event::CheckpointAcknowledged { checkpoint }, Phase::Manifest),
            (Event::ManifestWritten { checkpoint }, Phase::Record),
            (Event::CheckpointCompleted { checkpoint }, Phase::Commits),
            (
                Event::TransactionCommitted { attempt: TWO, checkpoint, restored: false },
                Phase::Running,
            ),
        ]);
        check(steps);
    }

    #[test]
    fn a_checkpoint_that_is_given_up_leaves_a_job_that_runs() {
        let (checkpoint, reason) = (CheckpointId(1), AbortReason::Expired);
        let mut steps = started(Some(CheckpointId(7)));
        steps.extend([
            (Event::CheckpointTriggered { checkpoint, is_final: false }, Phase::Barriers),
            (Event::CheckpointAborted { checkpoint, reason }, Phase::Running),
        ]);
        check(steps);
    }

    #[test]
    fn a_finished_subtask_is_not_waited_for() {
        let checkpoint = CheckpointId(1);
        let mut steps = started(None);
        steps.extend([
            (Event::SubtaskFinished { attempt: ONE }, Phase::Running),
            (Event::CheckpointTriggered { checkpoint, is_final: false }, Phase::Barriers),
            (Event::SnapshotTaken { attempt: TWO, checkpoint }, Phase::Snapshots),
        ]);
        check(steps);
    }

    #[test]
    fn a_job_fails_waits_and_ends() {
        let attempt = Attempt(2);
        let cause = "a test".to_owned();
        let worker = seawall_protocol::WorkerId(1);
        let lost = || Event::CoordinatorLost { worker, cause: "it ended".to_owned() };
        let final_one = Event::CheckpointTriggered { checkpoint: CheckpointId(3), is_final: true };
        let mut steps = started(None);
        steps.extend([
            (Event::AttemptFailed { attempt: Attempt(1), cause }, Phase::Failing),
            (lost(), Phase::Failing),
            (Event::RestartScheduled { attempt }, Phase::Delay),
            (Event::WaitingForSlots { have: 1, need: 2 }, Phase::Slots),
            (Event::AttemptDeployed { attempt, restore: None }, Phase::Deploying),
            (Event::AttemptStarted { attempt }, Phase::Running),
            (final_one, Phase::Ending),
            (Event::JobFinished, Phase::Ended),
            (lost(), Phase::Ended),
        ]);
        check(steps);
    }
}
