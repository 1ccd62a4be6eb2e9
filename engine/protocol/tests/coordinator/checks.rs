//! What each order, record write and event of the coordinator must not break.

use std::collections::BTreeSet;

use seawall_protocol::coordinator::WriteId;
use seawall_protocol::event::Event;
use seawall_protocol::message::{Order, ToWorker};
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{AttemptId, WorkerId};

use crate::world::{Mini, MiniWorker, World};

impl World {
    pub(crate) fn on_persist(&mut self, write: WriteId, record: &StoreRecord) {
        assert!(self.outstanding.is_none(), "two record writes at once");
        let now = &self.register;
        assert!(record.next_checkpoint >= now.next_checkpoint, "ids went back");
        assert!(record.attempt >= now.attempt, "attempts went back");
        assert!(record.token >= now.token, "tokens went back");
        assert!(record.retained.is_sorted() && record.retained.len() <= 2, "{record:?}");
        for checkpoint in &record.retained {
            assert!(!self.aborted.contains(checkpoint), "{checkpoint} was aborted and comes back");
            assert!(!self.deleted.contains(checkpoint), "{checkpoint} was deleted");
        }
        self.outstanding = Some((write, record.clone()));
    }

    pub(crate) fn on_order(&mut self, worker: WorkerId, message: &ToWorker) {
        assert_eq!(message.token, self.register.token, "an order under a token not durable");
        let is_between = assigns_work(&message.order) && !self.triggered.is_empty();
        assert!(!is_between, "work is assigned while a checkpoint is in flight (J3, J4)");
        if let Order::Deploy(deployment) = &message.order {
            assert!(!self.in_doubt, "deployed while the record is in doubt");
            assert!(deployment.attempt <= self.register.attempt, "attempt not durable (A4)");
            assert_eq!(deployment.restore, self.register.retained.last().copied(), "O7");
            let older = self.workers.values().flat_map(|it| it.subtasks.iter());
            let mut live =
                older.filter(|(id, it)| id.attempt < deployment.attempt && **it != Mini::Finished);
            assert_eq!(live.next(), None, "deployed over a live attempt (O6)");
        }
        let mini = self.workers.get_mut(&worker).expect("a worker of the plan");
        let to_all = |mini: &mut MiniWorker, attempt, from, to| {
            for (_, it) in mini.subtasks.iter_mut().filter(|(id, _)| id.attempt == attempt) {
                assert_eq!(*it, from);
                *it = to;
            }
        };
        match &message.order {
            Order::Registered
            | Order::Heartbeat
            | Order::Aborted { .. }
            | Order::ReportProgress { .. }
            | Order::Trigger { .. } => {}
            Order::Deploy(deployment) => {
                for subtask in &deployment.subtasks {
                    let id = AttemptId { subtask: *subtask, attempt: deployment.attempt };
                    mini.subtasks.insert(id, Mini::Restoring);
                }
            }
            Order::Start(attempt) => to_all(mini, *attempt, Mini::Ready, Mini::Running),
            Order::Cancel(attempt) => {
                mini.cancelled.insert(*attempt);
            }
            Order::Completed { attempt, checkpoint, is_final } => {
                assert!(self.register.retained.contains(checkpoint), "told before durable (H1)");
                if *is_final {
                    to_all(mini, *attempt, Mini::Ended, Mini::Ended);
                    mini.final_completed.insert(*attempt);
                }
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other events are not checked here")]
    pub(crate) fn on_note(&mut self, event: &Event) {
        self.notes.push(event.name());
        match event {
            Event::CoordinatorStarted { token, restored } => {
                assert!(*token > self.last_token, "tokens must grow");
                assert_eq!(*restored, self.register.retained.last().copied());
                self.last_token = *token;
            }
            Event::AttemptDeployed { attempt, .. } => {
                assert!(*attempt > self.last_attempt, "attempts must grow");
                self.last_attempt = *attempt;
            }
            Event::CheckpointTriggered { checkpoint, is_final } => {
                assert!(*checkpoint > self.last_triggered, "ids must grow (A1)");
                assert!(*checkpoint < self.register.next_checkpoint, "id not reserved");
                self.last_triggered = *checkpoint;
                let attempt = self.last_attempt;
                self.triggered.insert(*checkpoint, (attempt, BTreeSet::new()));
                let mut subtasks = self.workers.values().flat_map(|it| it.subtasks.iter());
                let all_ended =
                    subtasks.all(|(id, it)| id.attempt != attempt || *it == Mini::Ended);
                assert!(!is_final || all_ended, "a final checkpoint before the end");
            }
            Event::CheckpointCompleted { checkpoint } => {
                assert_eq!(self.register.retained.last(), Some(checkpoint));
                assert!(!self.aborted.contains(checkpoint), "aborted and completed");
                assert!(self.completed.last() < Some(checkpoint), "completed out of order");
                self.completed.insert(*checkpoint);
                self.triggered.remove(checkpoint);
            }
            Event::CheckpointAborted { checkpoint, .. } => {
                assert!(self.aborted.insert(*checkpoint), "aborted twice");
                assert!(!self.completed.contains(checkpoint), "completed and aborted");
                if let Some((attempt, _)) = self.triggered.remove(checkpoint) {
                    let all = self.plan.subtasks.iter().map(|it| it.subtask);
                    let all = all.map(|subtask| (AttemptId { subtask, attempt }, *checkpoint));
                    self.late.extend(all);
                }
            }
            _ => {}
        }
    }
}

/// Whether a checkpoint that is in flight would miss what the order brings. Splits are listed once and then
/// known from positions, so that no order brings one to a running attempt.
fn assigns_work(order: &Order) -> bool {
    match order {
        Order::Deploy(_) | Order::Start(_) => true,
        Order::Registered
        | Order::Heartbeat
        | Order::ReportProgress { .. }
        | Order::Cancel(_)
        | Order::Trigger { .. }
        | Order::Completed { .. }
        | Order::Aborted { .. } => false,
    }
}
