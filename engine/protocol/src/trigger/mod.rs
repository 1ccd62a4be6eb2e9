//! When to take the next checkpoint (B1-B7, B12, E10, N4).
//!
//! ```text
//! interval, records, bytes ─ conditions ─► automatic ─┐
//! a person ──────────────────────────────► manual ────┤
//! all subtasks ended ────────────────────► final ─────┼─► queue ─► obstacles ─► reserve an id ─► begins
//! a person ──────────────────────────────► savepoint ─┘
//! ```
//!
//! At most one trigger is in progress; at most `max-concurrent` checkpoints are pending, and not more
//! than that are being deleted; the automatic one keeps `min-pause` from the last completion. What
//! meets an obstacle waits and begins when the obstacle is gone.
//!
//! An automatic checkpoint within the pause is noted as skipped and waits for [`Timer::MinPause`]; in
//! Flink it fails and its timer is armed for that moment. The moment is the same.
//!
//! Deliberately absent: the clock (the driver fires the timers) and what a savepoint is.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use seawall_probe::sometimes;

use crate::config::{Alignment, CheckpointConfig};
use crate::coordinator::{Answer, Delay, Effect, RequestId, Timer};
use crate::event::{Event, SkipReason};
use crate::limits::PENDING_CHECKPOINTS_MAX;
use crate::message::CheckpointKind;

mod conditions;
mod queue;

use conditions::{Conditions, Progress};
pub use queue::{Queue, Rank, Wanted};

/// The trigger of one job. It is stopped until an attempt runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Trigger {
    conditions: Conditions,
    min_pause: Duration,
    pending_max: usize,
    /// Barriers may overtake records: then no two checkpoints are pending (E10).
    may_overtake: bool,
    /// `None` while no attempt runs (B12).
    running: Option<Running>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing about the moment")]
struct Running {
    progress: Progress,
    queue: Queue,
    /// Its id is being reserved (B1).
    in_progress: Option<Wanted>,
    /// The last completion is less than `min_pause` ago.
    is_pausing: bool,
    /// A source reports a backlog (B7).
    is_behind: bool,
    last: Final,
    /// Nothing begins by itself any more, except the final one.
    is_automatic_off: bool,
    /// A stop is pending: nothing else begins.
    is_stopping: bool,
}

/// Where the final checkpoint stands (N4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Final {
    #[default]
    NotYet,
    /// It is in the queue, or its id is being reserved.
    Wanted,
    Pending,
}

/// What the coordinator is busy with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Load {
    /// Checkpoints that are pending.
    pub pending: usize,
    /// Checkpoints that are being deleted.
    pub cleaning: usize,
}

impl Trigger {
    /// A stopped trigger. Settings out of range are brought into it (B8); programs refuse them before.
    pub fn new(config: &CheckpointConfig) -> Self {
        let may_overtake = config.alignment != Alignment::Aligned;
        let pending_max = if may_overtake { 1 } else { config.max_concurrent as usize };
        Self {
            conditions: Conditions::new(config),
            min_pause: config.min_pause,
            pending_max: pending_max.clamp(1, PENDING_CHECKPOINTS_MAX),
            may_overtake,
            running: None,
        }
    }

    /// An attempt runs.
    pub fn start(&mut self, effects: &mut Vec<Effect>) {
        assert!(self.running.is_none(), "the trigger was started twice");
        let progress = self.conditions.start(effects);
        self.running = Some(Running { progress, ..Running::default() });
    }

    /// The attempt no longer runs, or its final checkpoint is completed. Whoever waits is refused.
    pub fn stop(&mut self, reason: SkipReason, effects: &mut Vec<Effect>) {
        let Some(mut running) = self.running.take() else { return };
        running.progress.stop(effects);
        if running.is_pausing {
            effects.push(Effect::Disarm(Timer::MinPause));
        }
        let waiting = running.queue.take_all();
        for wanted in running.in_progress.into_iter().chain(waiting) {
            if wanted.request.is_some() {
                sometimes!(WaitingRequestIsRefused);
                refuse(wanted, reason, effects);
            }
        }
    }

    /// Somebody asks for a checkpoint or a savepoint. It is answered when it ends, or now when it has
    /// no place.
    pub fn request(&mut self, kind: CheckpointKind, id: RequestId, effects: &mut Vec<Effect>) {
        let rank = match kind {
            CheckpointKind::Checkpoint => Rank::Manual,
            CheckpointKind::Savepoint
            | CheckpointKind::StopWithSavepoint { .. }
            | CheckpointKind::Rescale { .. } => Rank::Savepoint,
        };
        let wanted = Wanted::new(rank, kind, Some(id));
        if self.running.is_some() {
            self.enqueue(wanted, effects);
        } else {
            sometimes!(RequestWhileNothingRuns);
            refuse(wanted, SkipReason::NotAllRequiredTasksRunning, effects);
        }
    }

    /// [`Timer::Trigger`] fired; [`Self::begin`] says whether a checkpoint begins.
    pub fn on_trigger_timer(&mut self, load: Load, effects: &mut Vec<Effect>) {
        let is_expected = self.running.as_mut().is_some_and(|it| it.progress.on_timer());
        if is_expected {
            return self.enqueue_when_due(load, effects);
        }
        let is_over = self.running.as_ref().is_some_and(|it| it.last != Final::NotYet);
        sometimes!(is_over, TimerAfterTheFinal);
        effects.push(Effect::Note(if is_over {
            Event::TriggerSkipped { reason: SkipReason::PeriodicSchedulerShutdown }
        } else {
            Event::StaleInput { what: "timer trigger".to_string() }
        }));
    }

    /// Sources ingested records and operators changed state.
    pub fn on_progress(
        &mut self,
        records: u64,
        dirty_bytes: u64,
        load: Load,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(running) = &mut self.running {
            running.progress.add(records, dirty_bytes);
            self.enqueue_when_due(load, effects);
        }
    }

    /// A source fell behind, or none is behind any more (B7).
    pub fn on_behind(&mut self, is_behind: bool, effects: &mut Vec<Effect>) {
        let running = self.running.as_mut();
        if let Some(running) = running.filter(|it| it.last == Final::NotYet && !it.is_automatic_off)
        {
            running.is_behind = is_behind;
            self.conditions.on_behind(&mut running.progress, is_behind, effects);
        }
    }

    /// [`Timer::MinPause`] fired.
    pub fn on_pause_timer(&mut self, effects: &mut Vec<Effect>) {
        if let Some(running) = self.running.as_mut().filter(|it| it.is_pausing) {
            running.is_pausing = false;
        } else {
            sometimes!(StalePauseTimer);
            effects.push(Effect::Note(Event::StaleInput { what: "timer min-pause".to_string() }));
        }
    }

    /// All subtasks ended: the final checkpoint is wanted, and no automatic one follows (N4).
    pub fn request_final(&mut self, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.as_mut().filter(|it| it.last == Final::NotYet) else {
            return;
        };
        running.last = Final::Wanted;
        running.progress.stop(effects);
        running.queue.remove(Rank::Periodic);
        match &mut running.in_progress {
            // Nothing is cut yet: what was to be the automatic one is the final one.
            Some(wanted) if wanted.rank == Rank::Periodic => {
                sometimes!(PeriodicBecomesFinal);
                *wanted = final_checkpoint();
            }
            Some(_) | None => self.enqueue(final_checkpoint(), effects),
        }
    }

    /// No automatic checkpoint begins any more, only the final one.
    pub fn stop_automatic(&mut self, effects: &mut Vec<Effect>) {
        if let Some(running) = &mut self.running {
            running.progress.stop(effects);
            running.queue.remove(Rank::Periodic);
            running.is_automatic_off = true;
        }
    }

    /// Whether a checkpoint begins now; then an id must be reserved and [`Self::on_reserved`] called.
    /// To be asked after anything changed.
    #[must_use]
    pub fn begin(&mut self, load: Load, effects: &mut Vec<Effect>) -> bool {
        let Some(first) = self.running.as_ref().and_then(|it| it.queue.first()) else {
            return false;
        };
        if self.obstacle(first.rank, load).is_some() {
            return false;
        }
        let running = self.running.as_mut().expect("it has a queue");
        let wanted = running.queue.pop_first().expect("it has a first");
        match wanted.rank {
            Rank::Savepoint => {}
            Rank::Manual | Rank::Final => running.progress.forget_counts(),
            Rank::Periodic => {
                self.conditions.restart(&mut running.progress, running.is_behind, effects);
            }
        }
        running.in_progress = Some(wanted);
        true
    }

    /// The id of the trigger in progress is durable: the checkpoint goes ahead. `None` when the trigger
    /// was stopped meanwhile.
    #[must_use]
    pub fn on_reserved(&mut self) -> Option<Wanted> {
        let running = self.running.as_mut()?;
        let wanted = running.in_progress.take()?;
        if wanted.is_final() {
            running.last = Final::Pending;
        }
        running.is_stopping |= matches!(wanted.kind, CheckpointKind::StopWithSavepoint { .. });
        Some(wanted)
    }

    /// A checkpoint was completed; the final one stops the trigger instead.
    pub fn on_completed(&mut self, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.as_mut() else { return };
        if !self.min_pause.is_zero() && running.last == Final::NotYet {
            running.is_pausing = true;
            effects.push(Effect::Arm(Timer::MinPause, Delay::exactly(self.min_pause)));
        }
    }

    /// Whether somebody waits for such a checkpoint that has not begun.
    pub fn awaits(&self, is_such: impl Fn(CheckpointKind) -> bool) -> bool {
        let Some(running) = &self.running else { return false };
        running.in_progress.is_some_and(|it| is_such(it.kind)) || running.queue.awaits(is_such)
    }

    /// The pending stop was given up: checkpoints begin again.
    pub fn on_stop_aborted(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_stopping = false;
        }
    }

    /// A savepoint waits for a later checkpoint to complete: one is wanted now, unless one is (K7).
    pub fn request_cover(&mut self, effects: &mut Vec<Effect>) {
        let Some(running) = &self.running else { return };
        let is_coming = running.in_progress.is_some_and(|it| it.kind != CheckpointKind::Savepoint)
            || running.queue.has(Rank::Manual)
            || running.queue.has(Rank::Final)
            || running.is_stopping;
        sometimes!(is_coming, CoverIsComing);
        if !is_coming {
            sometimes!(CoverIsAskedFor);
            self.enqueue(Wanted::new(Rank::Manual, CheckpointKind::Checkpoint, None), effects);
        }
    }

    /// The final checkpoint was given up; another one is wanted.
    pub fn on_final_aborted(&mut self, effects: &mut Vec<Effect>) {
        if let Some(running) = self.running.as_mut().filter(|it| it.last == Final::Pending) {
            sometimes!(FinalIsWantedAgain);
            running.last = Final::Wanted;
            self.enqueue(final_checkpoint(), effects);
        }
    }

    /// Wants the automatic checkpoint when its conditions are met, and notes what keeps it waiting.
    fn enqueue_when_due(&mut self, load: Load, effects: &mut Vec<Effect>) {
        let Some(running) = &self.running else { return };
        let is_due = self.conditions.are_met(&running.progress);
        let is_off = running.is_automatic_off || running.last != Final::NotYet;
        if !is_due || is_off || running.queue.has(Rank::Periodic) {
            return;
        }
        if let Some(reason) = self.obstacle(Rank::Periodic, load) {
            effects.push(Effect::Note(Event::TriggerSkipped { reason }));
        }
        self.enqueue(Wanted::periodic(), effects);
    }

    fn enqueue(&mut self, wanted: Wanted, effects: &mut Vec<Effect>) {
        let Some(running) = &mut self.running else { return };
        let Some(dropped) = running.queue.push(wanted) else { return };
        refuse(dropped, SkipReason::TooManyRequests, effects);
        if dropped.rank == Rank::Periodic {
            self.conditions.restart(&mut running.progress, running.is_behind, effects);
        }
    }

    /// What keeps a checkpoint of this rank from beginning now.
    fn obstacle(&self, rank: Rank, load: Load) -> Option<SkipReason> {
        let running = self.running.as_ref()?;
        let pending_max = match rank {
            Rank::Savepoint if !self.may_overtake => PENDING_CHECKPOINTS_MAX,
            Rank::Savepoint | Rank::Final | Rank::Manual | Rank::Periodic => self.pending_max,
        };
        if running.is_stopping {
            sometimes!(WaitsForAStop);
            Some(SkipReason::PeriodicSchedulerShutdown)
        } else if running.in_progress.is_some() {
            sometimes!(WaitsForATrigger);
            Some(SkipReason::TriggerInProgress)
        } else if load.cleaning > self.pending_max {
            sometimes!(WaitsForDeletions);
            Some(SkipReason::TooManyCleaning)
        } else if load.pending >= pending_max {
            sometimes!(WaitsForPending);
            Some(SkipReason::TooManyPending)
        } else if running.is_pausing && rank == Rank::Periodic {
            sometimes!(WaitsForThePause);
            Some(SkipReason::MinimumTimeBetweenCheckpoints)
        } else if running.last == Final::Pending && rank > Rank::Final {
            sometimes!(WaitsBehindTheFinal);
            Some(SkipReason::PeriodicSchedulerShutdown)
        } else {
            None
        }
    }
}

fn final_checkpoint() -> Wanted {
    Wanted::new(Rank::Final, CheckpointKind::Checkpoint, None)
}

/// It never begins. Whoever asked for it hears why.
pub fn refuse(wanted: Wanted, reason: SkipReason, effects: &mut Vec<Effect>) {
    effects.push(Effect::Note(Event::TriggerSkipped { reason }));
    if let Some(id) = wanted.request {
        effects.push(Effect::Answer { id, answer: Answer::Refused(reason.to_string()) });
    }
}
