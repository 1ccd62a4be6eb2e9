//! One attempt as the coordinator sees it: where each subtask runs and how far it has come (O2, O6, B9).
//!
//! Slots are shared: slot `i` holds instance `i` of every chain, so a job needs as many slots as its
//! largest parallelism.
//!
//! Deliberately absent: messages. This is only the picture that messages change.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::coordinator::SubtaskPlan;
use crate::ids::{Attempt, AttemptId, SubtaskId, WorkerId};

/// A living attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Execution {
    /// Which.
    pub attempt: Attempt,
    /// How it goes.
    pub phase: Phase,
    subtasks: BTreeMap<SubtaskId, Placed>,
}

/// How an attempt goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not every subtask is ready.
    Deploying,
    /// Told to start.
    Running,
    /// Its final checkpoint is completed; subtasks commit and finish.
    Finishing,
    /// Failed; ends when every subtask is terminal (O6).
    Cancelling {
        /// The first cause, or the first fatal one.
        cause: String,
        /// Whether another attempt could succeed.
        is_fatal: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Placed {
    worker: WorkerId,
    status: Status,
}

/// How far a subtask has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Being created and restored.
    Restoring,
    /// Restored.
    Ready,
    /// Told to start.
    Running,
    /// Has read all input.
    Ended,
    /// A completed checkpoint holds its end, it committed everything and stopped (N3). Terminal.
    Finished,
    /// Cancelled, failed, or lost with its worker. Terminal.
    Stopped,
}

impl Status {
    /// Whether the subtask may still do something.
    pub fn is_live(self) -> bool {
        match self {
            Self::Restoring | Self::Ready | Self::Running | Self::Ended => true,
            Self::Finished | Self::Stopped => false,
        }
    }
}

impl Execution {
    /// Places the subtasks: slot `i` on the `i`-th worker, ascending, round and round while it has free
    /// slots. `None` when there are fewer slots than needed.
    pub fn place(
        attempt: Attempt,
        plan: &[SubtaskPlan],
        slots: &BTreeMap<WorkerId, u32>,
    ) -> Option<Self> {
        let hosts = spread(slots, slots_needed(plan))?;
        let place = |it: &SubtaskPlan| {
            let worker = hosts[it.subtask.index as usize];
            (it.subtask, Placed { worker, status: Status::Restoring })
        };
        let subtasks = plan.iter().map(place).collect();
        Some(Self { attempt, phase: Phase::Deploying, subtasks })
    }

    /// The slots it takes: its largest parallelism.
    pub fn slots(&self) -> u32 {
        self.subtasks.keys().map(|it| it.index + 1).max().unwrap_or(0)
    }

    /// Where every subtask runs, ascending.
    pub fn locations(&self) -> Vec<(SubtaskId, WorkerId)> {
        self.subtasks.iter().map(|(subtask, it)| (*subtask, it.worker)).collect()
    }

    /// The workers of the attempt, ascending.
    pub fn workers(&self) -> BTreeSet<WorkerId> {
        self.subtasks.values().map(|it| it.worker).collect()
    }

    /// The workers of these subtasks, ascending, each with its own.
    pub fn by_worker(
        &self,
        subtasks: impl IntoIterator<Item = SubtaskId>,
    ) -> BTreeMap<WorkerId, Vec<SubtaskId>> {
        let mut by_worker: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for subtask in subtasks {
            by_worker.entry(self.subtasks[&subtask].worker).or_default().push(subtask);
        }
        by_worker
    }

    /// Whether it runs and has not failed.
    pub fn has_started(&self) -> bool {
        match self.phase {
            Phase::Running | Phase::Finishing => true,
            Phase::Deploying | Phase::Cancelling { .. } => false,
        }
    }

    /// The workers on which a subtask is live, ascending.
    pub fn live_workers(&self) -> BTreeSet<WorkerId> {
        self.subtasks.values().filter(|it| it.status.is_live()).map(|it| it.worker).collect()
    }

    /// The subtasks that are live, ascending.
    pub fn live_subtasks(&self) -> Vec<SubtaskId> {
        self.subtasks.iter().filter(|(_, it)| it.status.is_live()).map(|(id, _)| *id).collect()
    }

    /// The subtasks that finished, ascending (N1).
    pub fn finished(&self) -> BTreeSet<SubtaskId> {
        let finished = self.subtasks.iter().filter(|(_, it)| it.status == Status::Finished);
        finished.map(|(subtask, _)| *subtask).collect()
    }

    /// The subtasks that have no input left, ascending; the finished ones too.
    pub fn ended(&self) -> BTreeSet<SubtaskId> {
        let is_ended = |it: &Placed| matches!(it.status, Status::Ended | Status::Finished);
        self.subtasks.iter().filter(|(_, it)| is_ended(it)).map(|(subtask, _)| *subtask).collect()
    }

    /// Whether a subtask has no input left.
    pub fn has_any_ended(&self) -> bool {
        self.subtasks.values().any(|it| matches!(it.status, Status::Ended | Status::Finished))
    }

    /// Whether no subtask has input left.
    pub fn have_all_ended(&self) -> bool {
        self.subtasks.values().all(|it| matches!(it.status, Status::Ended | Status::Finished))
    }

    /// Whether every subtask has this status.
    pub fn are_all(&self, status: Status) -> bool {
        self.subtasks.values().all(|it| it.status == status)
    }

    /// Whether no subtask is live.
    pub fn is_stopped(&self) -> bool {
        !self.subtasks.values().any(|it| it.status.is_live())
    }

    /// The status of a live subtask of this attempt on this worker; reports of any other are stale.
    pub fn live_status(&mut self, worker: WorkerId, by: AttemptId) -> Option<&mut Status> {
        if by.attempt != self.attempt {
            return None;
        }
        let placed = self.subtasks.get_mut(&by.subtask)?;
        (placed.worker == worker && placed.status.is_live()).then_some(&mut placed.status)
    }

    /// Every subtask was told to start.
    pub fn on_started(&mut self) {
        assert!(self.are_all(Status::Ready), "started before every subtask was ready");
        self.phase = Phase::Running;
        for placed in self.subtasks.values_mut() {
            placed.status = Status::Running;
        }
    }

    /// The worker's subtasks count as terminal (O2). Whether one of them was live.
    pub fn on_worker_lost(&mut self, worker: WorkerId) -> bool {
        let mut had_live = false;
        for placed in self.subtasks.values_mut().filter(|it| it.worker == worker) {
            if placed.status.is_live() {
                placed.status = Status::Stopped;
                had_live = true;
            }
        }
        had_live
    }
}

/// The slots a job needs: its largest parallelism.
pub fn slots_needed(plan: &[SubtaskPlan]) -> u32 {
    plan.iter().map(|it| it.subtask.index + 1).max().unwrap_or(0)
}

/// The worker of each slot.
fn spread(slots: &BTreeMap<WorkerId, u32>, needed: u32) -> Option<Vec<WorkerId>> {
    let needed = needed as usize;
    let mut hosts = Vec::with_capacity(needed);
    let mut round = 0;
    while hosts.len() < needed {
        let before = hosts.len();
        let free = slots.iter().filter(|(_, free)| **free > round).map(|(worker, _)| *worker);
        hosts.extend(free.take(needed - before));
        if hosts.len() == before {
            return None;
        }
        round += 1;
    }
    Some(hosts)
}
