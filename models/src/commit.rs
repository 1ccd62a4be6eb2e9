//! Two-phase commit: is each record visible exactly once, whatever crashes between which two steps?
//!
//! ```text
//!   real `Subtask` core ── PreCommit, Snapshot, Commit, one at a time ──► prepared ──► visible
//!   (source and sink in one)                                              └── outside, survive crashes
//!            ▲ trigger, completed, aborted        a register completes a checkpoint when all acked
//! ```
//!
//! Each subtask reads its records into the open transaction of its sink. Faults, from one budget: the
//! attempt crashes between any two effects, with outstanding commits applied, lost, or still on their way
//! as those of a zombie; a checkpoint is given up; a snapshot or a commit fails (a commit perhaps having
//! taken effect). A notification may be arbitrarily late, so that the next one overtakes it.
//!
//! One subtask with two records at the smaller size, two subtasks with one each at the larger.
//!
//! The coordinator is a register here; [`crate::checkpoint`] checks that the real one is as good.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use seawall_protocol::config::CheckpointMode;
use seawall_protocol::message::Barrier;
use seawall_protocol::subtask::{Effect, Input, Plan, Subtask};
use seawall_protocol::tamper::{DataStep, Tamper};
use seawall_protocol::{Attempt, AttemptId, CheckpointId, SubtaskId};
use stateright::{Model, Property};

use crate::check::Size;

/// At most this many; a crash names for each whether its outstanding commit took effect.
const SUBTASKS_MAX: usize = 2;

/// The input and the budgets.
pub struct Commit {
    subtasks: usize,
    records_per_subtask: u8,
    early_checkpoints_max: u8,
    faults_max: u8,
    tamper: Box<dyn Tamper>,
}

impl Commit {
    /// The model at a size.
    pub fn new(size: Size, tamper: Box<dyn Tamper>) -> Self {
        let (subtasks, records_per_subtask, faults_max) = match size {
            Size::Smoke => (1, 2, 2),
            Size::Merge => (2, 1, 1),
        };
        Self { subtasks, records_per_subtask, early_checkpoints_max: 1, faults_max, tamper }
    }

    fn all_records(&self) -> u8 {
        (1 << self.records_per_subtask) - 1
    }
}

/// Records of one subtask, as bits.
type Records = u8;
/// Transactions of one sink subtask.
type Transactions = BTreeMap<CheckpointId, Records>;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Snapshot {
    position: u8,
    transactions: Transactions,
}

/// One subtask attempt and what its driver keeps for it; a crash loses all of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    core: Subtask,
    /// Decided and not yet performed.
    effects: VecDeque<Effect>,
    is_running: bool,
    has_ended: bool,
    has_finished: bool,
    position: u8,
    open: Records,
    /// Pre-committed and not known to be committed.
    transactions: Transactions,
    writing: BTreeMap<CheckpointId, Snapshot>,
    committing: Option<CheckpointId>,
    /// What it heard of.
    triggered: CheckpointId,
    completed: CheckpointId,
    aborted: CheckpointId,
}

/// What one sink subtask's output is made of; nothing loses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Output {
    prepared: Transactions,
    visible: Transactions,
    /// Commits of dead attempts that may still arrive.
    zombies: BTreeSet<CheckpointId>,
}

/// The checkpoint that is being taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Pending {
    checkpoint: CheckpointId,
    is_final: bool,
    acked: BTreeSet<usize>,
}

/// The whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    processes: Vec<Process>,
    outputs: Vec<Output>,
    snapshots: BTreeMap<(CheckpointId, usize), Snapshot>,
    pending: Option<Pending>,
    newest_id: CheckpointId,
    completed: CheckpointId,
    is_final_completed: bool,
    aborted: BTreeSet<CheckpointId>,
    attempt: Attempt,
    early_checkpoints: u8,
    faults: u8,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A subtask reads its next record into the open transaction.
    Read(usize),
    /// A subtask reads the end of its input.
    End(usize),
    /// A checkpoint starts.
    Begin,
    /// A subtask gets the trigger.
    Trigger(usize),
    /// A subtask performs its next effect.
    Perform(usize),
    /// A subtask's snapshot is durable.
    SnapshotWritten(usize, CheckpointId),
    /// A subtask's snapshot cannot be written.
    SnapshotFails(usize, CheckpointId),
    /// All acked: the checkpoint is completed.
    Complete,
    /// A subtask hears of the newest completed checkpoint.
    Notify(usize),
    /// A subtask's commit is done.
    Committed(usize),
    /// A subtask's commit fails; `true`: it took effect all the same.
    CommitFails(usize, bool),
    /// The pending checkpoint is given up.
    GiveUp,
    /// A subtask hears of it.
    NotifyAborted(usize),
    /// The attempt crashes and the next one is restored; the flags: whether each outstanding commit took effect.
    Crash([bool; SUBTASKS_MAX]),
    /// A commit of a dead attempt arrives.
    Zombie(usize, CheckpointId),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(at) => write!(f, "sink/{at} gets a record"),
            Self::End(at) => write!(f, "sink/{at} reads the end of its input"),
            Self::Begin => f.write_str("a checkpoint starts"),
            Self::Trigger(at) => write!(f, "sink/{at} gets the trigger"),
            Self::Perform(at) => write!(f, "sink/{at} performs its next effect"),
            Self::SnapshotWritten(at, n) => {
                write!(f, "sink/{at} wrote its snapshot of checkpoint {n}")
            }
            Self::SnapshotFails(at, n) => {
                write!(f, "sink/{at} cannot write its snapshot of checkpoint {n}")
            }
            Self::Complete => f.write_str("the checkpoint is completed"),
            Self::Notify(at) => write!(f, "sink/{at} hears of the completed checkpoint"),
            Self::Committed(at) => write!(f, "sink/{at} committed"),
            Self::CommitFails(at, false) => {
                write!(f, "the commit of sink/{at} fails and took no effect")
            }
            Self::CommitFails(at, true) => {
                write!(f, "the commit of sink/{at} fails and took effect")
            }
            Self::GiveUp => f.write_str("the pending checkpoint is given up"),
            Self::NotifyAborted(at) => write!(f, "sink/{at} hears that a checkpoint was given up"),
            Self::Crash(applied) => {
                f.write_str("the attempt crashes; the next one is restored")?;
                for at in (0..SUBTASKS_MAX).filter(|at| applied[*at]) {
                    write!(f, "; the commit of sink/{at} took effect")?;
                }
                Ok(())
            }
            Self::Zombie(at, n) => write!(f, "the dead attempt's commit {n} of sink/{at} arrives"),
        }
    }
}

impl Output {
    /// Idempotent, as a sink must be; `false` when there is no such transaction.
    fn commit(&mut self, checkpoint: CheckpointId) -> bool {
        if let Some(records) = self.prepared.remove(&checkpoint) {
            self.visible.insert(checkpoint, records);
        }
        self.visible.contains_key(&checkpoint)
    }

    fn times_visible(&self, record: Records) -> usize {
        self.visible.values().filter(|records| *records & record != 0).count()
    }
}

impl Commit {
    fn start(&self, state: &mut State) {
        state.attempt = state.attempt.next();
        let restored = (state.completed > CheckpointId(0)).then_some(state.completed);
        state.processes = (0..self.subtasks)
            .map(|at| {
                let snapshot = state.snapshots.get(&(state.completed, at)).cloned();
                let mut snapshot =
                    snapshot.unwrap_or(Snapshot { position: 0, transactions: BTreeMap::new() });
                if self.tamper.skips(DataStep::RestoreTransactions) {
                    snapshot.transactions.clear();
                }
                let index = u32::try_from(at).expect("two subtasks");
                let plan = Plan {
                    attempt: AttemptId {
                        subtask: SubtaskId::new(0, index),
                        attempt: state.attempt,
                    },
                    pointwise: std::collections::BTreeSet::new(),
                    has_callbacks: false,
                    channels: 0,
                    has_sink: true,
                    mode: CheckpointMode::ExactlyOnce,
                    restored,
                    restored_transactions: snapshot.transactions.keys().copied().collect(),
                    is_restored_at_end: false,
                    finishes_together: true,
                    is_stopping: false,
                };
                Process {
                    core: Subtask::new(plan),
                    effects: VecDeque::new(),
                    is_running: false,
                    has_ended: false,
                    has_finished: false,
                    position: snapshot.position,
                    open: 0,
                    transactions: snapshot.transactions,
                    writing: BTreeMap::new(),
                    committing: None,
                    triggered: state.newest_id,
                    completed: state.completed,
                    aborted: state.newest_id,
                }
            })
            .collect();
        for at in 0..self.subtasks {
            self.feed(state, at, Input::Start);
        }
    }

    fn feed(&self, state: &mut State, at: usize, mut input: Input) {
        let process = &mut state.processes[at];
        let plan = process.core.plan().clone();
        if !self.tamper.admits_to_subtask(&plan, &mut input) {
            return;
        }
        let mut effects = Vec::new();
        process.core.handle(input.clone(), &mut effects);
        self.tamper.after_subtask(&plan, &input, &mut effects);
        process.effects.extend(effects);
        self.perform_what_nobody_sees(state, at);
    }

    /// Everything at the head of the queue that changes nothing outside the attempt: a crash before it
    /// and a crash after it leave the same.
    fn perform_what_nobody_sees(&self, state: &mut State, at: usize) {
        while let Some(effect) = state.processes[at].effects.front() {
            match effect {
                Effect::PreCommit(_) | Effect::Commit(_) | Effect::AbortLingering => return,
                Effect::Block(_)
                | Effect::Unblock(_)
                | Effect::ForwardBarrier(_)
                | Effect::OvertakeOutput(_)
                | Effect::CaptureInput { .. }
                | Effect::EndCapture { .. }
                | Effect::SealSnapshot(_)
                | Effect::DiscardSnapshot(_)
                | Effect::Arm(..)
                | Effect::Disarm(_)
                | Effect::TellCompleted(_)
                | Effect::TellAborted(_)
                | Effect::ForwardCancelMarker(_)
                | Effect::Snapshot(_)
                | Effect::Ack(_)
                | Effect::Decline(..)
                | Effect::Confirm(_)
                | Effect::Run
                | Effect::EndInput
                | Effect::Pause
                | Effect::Resume
                | Effect::ReportEnded
                | Effect::Finish
                | Effect::Fail { .. }
                | Effect::Note(_) => self.perform(state, at),
            }
        }
    }

    fn perform(&self, state: &mut State, at: usize) {
        let (process, output) = (&mut state.processes[at], &mut state.outputs[at]);
        let Some(effect) = process.effects.pop_front() else { return };
        match effect {
            Effect::PreCommit(checkpoint) => {
                if process.open != 0 {
                    output.prepared.insert(checkpoint, process.open);
                    process.transactions.insert(checkpoint, process.open);
                    process.open = 0;
                }
            }
            Effect::Snapshot(Barrier { checkpoint, .. }) => {
                let transactions = process.transactions.clone();
                let is_ahead = self.tamper.skips(DataStep::MovePosition);
                let position =
                    (process.position + u8::from(is_ahead)).min(self.records_per_subtask);
                process.writing.insert(checkpoint, Snapshot { position, transactions });
            }
            Effect::Commit(checkpoint) => {
                if process.transactions.contains_key(&checkpoint) {
                    process.committing = Some(checkpoint);
                } else {
                    self.feed(state, at, Input::Committed(checkpoint));
                }
            }
            Effect::AbortLingering => {
                let kept = &process.transactions;
                output.prepared.retain(|checkpoint, _| kept.contains_key(checkpoint));
            }
            Effect::Ack(checkpoint) => {
                if let Some(pending) =
                    state.pending.as_mut().filter(|it| it.checkpoint == checkpoint)
                {
                    pending.acked.insert(at);
                }
            }
            Effect::Decline(checkpoint, _) => {
                if state.pending.as_ref().is_some_and(|it| it.checkpoint == checkpoint) {
                    state.pending = None;
                    state.aborted.insert(checkpoint);
                }
            }
            Effect::Run => process.is_running = true,
            Effect::Finish => process.has_finished = true,
            Effect::Fail { .. } => unreachable!("a commit fails less often than it is tried"),
            Effect::Block(_)
            | Effect::Unblock(_)
            | Effect::ForwardBarrier(_)
            | Effect::OvertakeOutput(_)
            | Effect::CaptureInput { .. }
            | Effect::EndCapture { .. }
            | Effect::SealSnapshot(_)
            | Effect::DiscardSnapshot(_)
            | Effect::Arm(..)
            | Effect::Disarm(_)
            | Effect::TellCompleted(_)
            | Effect::TellAborted(_)
            | Effect::ForwardCancelMarker(_)
            | Effect::Confirm(_)
            | Effect::EndInput
            | Effect::Pause
            | Effect::Resume
            | Effect::ReportEnded
            | Effect::Note(_) => {}
        }
    }
}

impl State {
    fn have_all(&self, what: impl Fn(&Process) -> bool) -> bool {
        self.processes.iter().all(what)
    }
}

impl Model for Commit {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            processes: Vec::new(),
            outputs: vec![Output::default(); self.subtasks],
            snapshots: BTreeMap::new(),
            pending: None,
            newest_id: CheckpointId(0),
            completed: CheckpointId(0),
            is_final_completed: false,
            aborted: BTreeSet::new(),
            attempt: Attempt(0),
            early_checkpoints: 0,
            faults: 0,
        };
        self.start(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.have_all(|it| it.has_finished) {
            return; // Nothing crashes any more and nobody commits.
        }
        let may_fail = state.faults < self.faults_max;
        if may_fail {
            let applied = |at: usize| -> &[bool] {
                let process = state.processes.get(at);
                let is_outstanding = process.is_some_and(|it| it.committing.is_some());
                if is_outstanding { &[false, true] } else { &[false] }
            };
            for first in applied(0) {
                actions.extend(applied(1).iter().map(|second| Action::Crash([*first, *second])));
            }
        }
        for (at, output) in state.outputs.iter().enumerate() {
            actions.extend(output.zombies.iter().map(|checkpoint| Action::Zombie(at, *checkpoint)));
        }
        if let Some(at) = (0..self.subtasks).find(|at| {
            let process = &state.processes[*at];
            process.committing.is_none() && !process.effects.is_empty()
        }) {
            // Local and deterministic; only a crash and a zombie can tell when: it goes first.
            actions.push(Action::Perform(at));
            return;
        }
        if let Some(pending) = &state.pending {
            if pending.acked.len() == self.subtasks {
                actions.push(Action::Complete);
            }
            if may_fail {
                actions.push(Action::GiveUp);
            }
        } else {
            let is_due = if state.have_all(|it| it.has_ended) {
                !state.is_final_completed
            } else {
                state.early_checkpoints < self.early_checkpoints_max
                    && state.have_all(|it| it.is_running)
            };
            if is_due {
                actions.push(Action::Begin);
            }
        }
        for (at, process) in state.processes.iter().enumerate() {
            if process.has_finished {
                continue;
            }
            if let Some(pending) = &state.pending
                && process.triggered < pending.checkpoint
            {
                actions.push(Action::Trigger(at));
            }
            if process.completed < state.completed {
                actions.push(Action::Notify(at));
            }
            if state.aborted.last().is_some_and(|newest| process.aborted < *newest) {
                actions.push(Action::NotifyAborted(at));
            }
            if process.committing.is_some() {
                actions.push(Action::Committed(at));
                if may_fail {
                    let fails = [false, true].map(|applied| Action::CommitFails(at, applied));
                    actions.extend(fails);
                }
            }
            for checkpoint in process.writing.keys() {
                actions.push(Action::SnapshotWritten(at, *checkpoint));
                if may_fail {
                    actions.push(Action::SnapshotFails(at, *checkpoint));
                }
            }
            if process.is_running && process.position < self.records_per_subtask {
                actions.push(Action::Read(at));
            } else if process.is_running && !process.has_ended {
                actions.push(Action::End(at));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Read(at) => {
                let process = &mut state.processes[at];
                process.open |= 1 << process.position;
                process.position += 1;
            }
            Action::End(at) => {
                state.processes[at].has_ended = true;
                self.feed(&mut state, at, Input::InputEnded);
            }
            Action::Begin => {
                let is_final = state.have_all(|it| it.has_ended);
                state.early_checkpoints += u8::from(!is_final);
                state.newest_id = state.newest_id.next();
                let (checkpoint, acked) = (state.newest_id, BTreeSet::new());
                state.pending = Some(Pending { checkpoint, is_final, acked });
            }
            Action::Trigger(at) => {
                let checkpoint = state.pending.as_ref()?.checkpoint;
                state.processes[at].triggered = checkpoint;
                self.feed(&mut state, at, Input::Trigger(Barrier::aligned(checkpoint)));
            }
            Action::Perform(at) => {
                self.perform(&mut state, at);
                self.perform_what_nobody_sees(&mut state, at);
            }
            Action::SnapshotWritten(at, checkpoint) => {
                let snapshot = state.processes[at].writing.remove(&checkpoint)?;
                state.snapshots.insert((checkpoint, at), snapshot);
                self.feed(&mut state, at, Input::SnapshotDurable(checkpoint));
            }
            Action::SnapshotFails(at, checkpoint) => {
                state.faults += 1;
                state.processes[at].writing.remove(&checkpoint)?;
                self.feed(&mut state, at, Input::SnapshotFailed(checkpoint));
            }
            Action::Complete => {
                let pending = state.pending.take()?;
                state.completed = pending.checkpoint;
                state.is_final_completed = pending.is_final;
                state.snapshots.retain(|(checkpoint, _), _| *checkpoint >= pending.checkpoint);
            }
            Action::Notify(at) => {
                let (checkpoint, is_final) = (state.completed, state.is_final_completed);
                state.processes[at].completed = checkpoint;
                self.feed(&mut state, at, Input::Completed { checkpoint, is_final });
            }
            Action::Committed(at) => {
                let checkpoint = state.processes[at].committing.take()?;
                let is_visible = state.outputs[at].commit(checkpoint);
                state.processes[at].transactions.remove(&checkpoint);
                let input = if is_visible {
                    Input::Committed(checkpoint)
                } else {
                    Input::CommitFailed { checkpoint, is_retryable: false }
                };
                self.feed(&mut state, at, input);
            }
            Action::CommitFails(at, is_applied) => {
                state.faults += 1;
                let checkpoint = state.processes[at].committing.take()?;
                if is_applied {
                    state.outputs[at].commit(checkpoint);
                }
                let is_retryable = true;
                self.feed(&mut state, at, Input::CommitFailed { checkpoint, is_retryable });
            }
            Action::GiveUp => {
                state.faults += 1;
                state.aborted.insert(state.pending.take()?.checkpoint);
            }
            Action::NotifyAborted(at) => {
                let newest = *state.aborted.last()?;
                state.processes[at].aborted = newest;
                if self.tamper.skips(DataStep::KeepGivenUp) {
                    state.outputs[at].prepared.remove(&newest);
                }
                self.feed(&mut state, at, Input::Aborted(newest));
            }
            Action::Crash(applied) => {
                state.faults += 1;
                for ((process, output), is_applied) in
                    state.processes.iter().zip(&mut state.outputs).zip(applied)
                {
                    let Some(checkpoint) = process.committing else { continue };
                    if is_applied {
                        output.commit(checkpoint);
                    } else {
                        output.zombies.insert(checkpoint);
                    }
                }
                state.pending = None;
                let completed = state.completed;
                state.snapshots.retain(|(checkpoint, _), _| *checkpoint == completed);
                // A final checkpoint that completed is restored too, and another final one follows.
                state.is_final_completed = false;
                self.start(&mut state);
            }
            Action::Zombie(at, checkpoint) => {
                let output = &mut state.outputs[at];
                output.zombies.remove(&checkpoint);
                output.commit(checkpoint);
            }
        }
        Some(state)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // F7: acked is durable; completed is acked by all.
            Property::always("durable-before-ack", |model: &Self, state: &State| {
                let acked = state
                    .pending
                    .iter()
                    .flat_map(|pending| pending.acked.iter().map(|at| (pending.checkpoint, *at)));
                let completed = (0..model.subtasks).map(|at| (state.completed, at));
                let completed = completed.filter(|it| it.0 > CheckpointId(0));
                acked.chain(completed).all(|it| state.snapshots.contains_key(&it))
            }),
            // K2, X2: a transaction is visible only when a checkpoint at or above its own completed.
            Property::always("commit-after-completion", |_: &Self, state: &State| {
                let mut visible = state.outputs.iter().flat_map(|it| it.visible.keys());
                visible.all(|checkpoint| *checkpoint <= state.completed)
            }),
            // N3: who finished is held at its end.
            Property::always("finish-after-checkpoint", |model: &Self, state: &State| {
                let finished = state.processes.iter().enumerate().filter(|(_, it)| it.has_finished);
                finished
                    .map(|(at, _)| state.snapshots.get(&(state.completed, at)))
                    .all(|held| held.is_some_and(|it| it.position == model.records_per_subtask))
            }),
            // T1, X1: no record twice; at the end, each once.
            Property::always("exactly-once-output", |model: &Self, state: &State| {
                let least = usize::from(state.have_all(|it| it.has_finished));
                state.outputs.iter().all(|output| {
                    (0..model.records_per_subtask)
                        .all(|record| (least..=1).contains(&output.times_visible(1 << record)))
                })
            }),
            // T2, X4: what a completed checkpoint has read is visible, or still can be.
            Property::always("no-loss", |_: &Self, state: &State| {
                (0..state.processes.len()).all(|at| {
                    let Some(snapshot) = state.snapshots.get(&(state.completed, at)) else {
                        return true;
                    };
                    let output = &state.outputs[at];
                    (0..snapshot.position).all(|record| {
                        let is_held = |transactions: &Transactions| {
                            transactions.values().any(|records| records & (1 << record) != 0)
                        };
                        is_held(&output.visible)
                            || (is_held(&output.prepared) && is_held(&snapshot.transactions))
                    })
                })
            }),
            // T8: in the end nothing prepared is left.
            Property::always("no-orphans", |_: &Self, state: &State| {
                !state.have_all(|it| it.has_finished)
                    || state.outputs.iter().all(|output| output.prepared.is_empty())
            }),
            // T11, T16: everything can always still be committed.
            Property::eventually("recovers", |model: &Self, state: &State| {
                state.have_all(|it| it.has_finished)
                    && state.outputs.iter().all(|output| {
                        let visible = output.visible.values();
                        visible.fold(0, |all, records| all | records) == model.all_records()
                    })
            }),
            Property::sometimes(
                "a restored transaction is not visible yet",
                |_: &Self, state: &State| {
                    state.outputs.iter().zip(&state.processes).any(|(output, process)| {
                        let restored = &process.core.plan().restored_transactions;
                        restored.iter().any(|it| output.prepared.contains_key(it))
                    })
                },
            ),
            Property::sometimes("a restored transaction is visible", |_: &Self, state: &State| {
                state.outputs.iter().zip(&state.processes).any(|(output, process)| {
                    let restored = &process.core.plan().restored_transactions;
                    !process.is_running && restored.iter().any(|it| output.visible.contains_key(it))
                })
            }),
            // K7: it rode with the next completed one.
            Property::sometimes(
                "a transaction of an aborted checkpoint is visible",
                |_, state: &State| {
                    let mut visible = state.outputs.iter().flat_map(|it| it.visible.keys());
                    visible.any(|checkpoint| state.aborted.contains(checkpoint))
                },
            ),
            Property::sometimes("a zombie's commit is on its way", |_: &Self, state: &State| {
                state.outputs.iter().any(|output| !output.zombies.is_empty())
            }),
        ]
    }
}
