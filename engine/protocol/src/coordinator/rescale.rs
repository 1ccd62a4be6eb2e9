//! Another parallelism for a running job (M7).
//!
//! ```text
//! asked ─► checkpoint, aligned ─► record: checkpoint and parallelism ─► attempt stopped ─► next attempt
//! ```
//!
//! It is a checkpoint that the record names together with the new parallelism: before that record is
//! durable nothing has changed, and from then on every attempt and every leader has the new number of
//! subtasks, whoever crashes when. An attempt of another parallelism than the record says is stopped, and its
//! successor restores that very checkpoint; no restart strategy is asked, since nothing failed.
//!
//! The barrier overtakes nothing, so there are no records in flight to be divided (E11). A subtask whose
//! end had an effect of its own cannot be divided either; once there is one, nothing begins.
//!
//! Deliberately absent: choosing the parallelism (Q3).

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use super::{Answer, Coordinator, Effect, Job, JobPlan, RequestId};
use crate::event::{AbortReason, Event, SkipReason};
use crate::execution::{Execution, Phase, slots_needed};
use crate::graph::at_parallelism;
use crate::ids::{AttemptId, CheckpointId, SubtaskId};
use crate::limits::WAITING_REQUESTS_MAX;
use crate::message::CheckpointKind;

impl Coordinator {
    /// Subtasks of every operator, from the next attempt on.
    pub fn parallelism(&self) -> u32 {
        slots_needed(&self.plan.subtasks)
    }

    pub(super) fn on_rescale_requested(
        &mut self,
        id: RequestId,
        parallelism: u32,
        effects: &mut Vec<Effect>,
    ) {
        let most = self.plan.parallelism_max;
        let slots = self.slots();
        let is_rescale = |it| matches!(it, CheckpointKind::Rescale { .. });
        let refused = if !(1..=most).contains(&parallelism) {
            sometimes!(RescaleIsOutOfRange);
            format!("parallelism {parallelism} is not in 1..={most}, which the key groups allow")
        } else if self.has_begun(is_rescale) {
            sometimes!(RescaleMeetsAnother);
            "another change of parallelism is under way".to_string()
        } else if parallelism == self.parallelism() {
            sometimes!(RescaleIsDoneAlready);
            return self.await_rescaled(id, effects);
        } else if parallelism > slots {
            sometimes!(RescaleLacksSlots);
            format!("parallelism {parallelism} needs {parallelism} slots, and there are {slots}")
        } else {
            return self.trigger.request(CheckpointKind::Rescale { parallelism }, id, effects);
        };
        effects.push(Effect::Answer { id, answer: Answer::Refused(refused) });
    }

    /// The request is answered as soon as an attempt of the record's parallelism runs.
    fn await_rescaled(&mut self, id: RequestId, effects: &mut Vec<Effect>) {
        if self.rescale_requests.len() >= WAITING_REQUESTS_MAX {
            let answer = Answer::Refused(SkipReason::TooManyRequests.to_string());
            return effects.push(Effect::Answer { id, answer });
        }
        self.rescale_requests.push(id);
    }

    /// Why no rescale may begin although the attempt runs.
    pub(super) fn end_keeps_from_rescale(&self) -> Option<SkipReason> {
        let ended = self.execution().map(Execution::ended).unwrap_or_default();
        let is_over = ended.iter().any(|it| self.acts_at_end(*it));
        sometimes!(is_over, EndKeepsFromRescale);
        is_over.then_some(SkipReason::InputEndOfStream)
    }

    /// A subtask ended whose snapshot would hold that; one that acked before is in time.
    pub(super) fn on_ended_in_rescale(&mut self, by: AttemptId, effects: &mut Vec<Effect>) {
        if !self.acts_at_end(by.subtask) {
            return;
        }
        for checkpoint in self.pending.ids() {
            if self.is_rescale(checkpoint) && self.pending.is_awaited(checkpoint, by) {
                sometimes!(EndAbortsRescale);
                self.abort(checkpoint, AbortReason::InputEndOfStream, effects);
            }
        }
    }

    fn acts_at_end(&self, subtask: SubtaskId) -> bool {
        self.plan.subtasks.iter().any(|it| it.subtask == subtask && it.acts_at_end)
    }

    fn is_rescale(&self, checkpoint: CheckpointId) -> bool {
        let kind = self.pending.get(checkpoint).map(|it| it.kind);
        matches!(kind, Some(CheckpointKind::Rescale { .. }))
    }

    /// The record with the new parallelism is durable.
    pub(super) fn on_rescaled(
        &mut self,
        checkpoint: CheckpointId,
        parallelism: u32,
        request: Option<RequestId>,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Note(Event::JobRescaled { checkpoint, parallelism }));
        let JobPlan { subtasks, edges, .. } = &self.plan;
        self.plan.subtasks = at_parallelism(subtasks, edges, parallelism);
        self.rescale_requests.extend(request);
    }

    /// Whether the living attempt has another parallelism than the record says.
    pub(super) fn is_outgrown(&self) -> bool {
        self.execution().is_some_and(|it| it.slots() != self.parallelism())
    }

    /// Stops an attempt of another parallelism, and answers where one of the right parallelism runs.
    pub(super) fn settle_rescale(&mut self, effects: &mut Vec<Effect>) {
        let Job::Live(execution) = &self.job else { return };
        let phase = execution.phase.clone();
        if self.is_outgrown() {
            if phase == Phase::Running {
                let parallelism = self.parallelism();
                self.fail_attempt(
                    format!("it is to have parallelism {parallelism}"),
                    false,
                    effects,
                );
            }
        } else if phase == Phase::Running || phase == Phase::Finishing {
            let parallelism = self.parallelism();
            for id in core::mem::take(&mut self.rescale_requests) {
                effects.push(Effect::Answer { id, answer: Answer::Rescaled { parallelism } });
            }
        }
    }
}
