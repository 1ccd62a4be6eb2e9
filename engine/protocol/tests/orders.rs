//! What a coordinator may tell workers: the list is closed, and nothing in it carries data of the job.

use seawall_protocol::message::{Barrier, Deployment, Order};
use seawall_protocol::{Attempt, CheckpointId};

/// Whether the order hands a source something to read, or an operator something to keep.
///
/// None does: splits are listed by the sources themselves from the restored positions. An order that
/// did would have to wait between a checkpoint and the subtask's ack of it (J3), and a checkpoint would
/// have to wait for its receipt (J4). The match names every order, so that a new one is asked this here.
fn carries_an_assignment(order: &Order) -> bool {
    match order {
        Order::Registered
        | Order::Heartbeat
        | Order::Deploy(_)
        | Order::Start(_)
        | Order::ReportProgress { .. }
        | Order::Cancel(_)
        | Order::Trigger { .. }
        | Order::Completed { .. }
        | Order::Aborted { .. } => false,
    }
}

// Rules: J3, J4
#[test]
fn no_order_carries_an_assignment_that_a_checkpoint_could_miss() {
    let attempt = Attempt(1);
    let checkpoint = CheckpointId(1);
    let orders = [
        Order::Registered,
        Order::Heartbeat,
        Order::Deploy(Deployment {
            attempt,
            restore: None,
            is_stopping: false,
            subtasks: Vec::new(),
            locations: Vec::new(),
            finish_together: Vec::new(),
        }),
        Order::Start(attempt),
        Order::ReportProgress { attempt, records: 1, dirty_bytes: 1 },
        Order::Cancel(attempt),
        Order::Trigger { attempt, barrier: Barrier::aligned(checkpoint), subtasks: Vec::new() },
        Order::Completed { attempt, checkpoint, is_final: false },
        Order::Aborted { attempt, checkpoint },
    ];
    assert!(!orders.iter().any(carries_an_assignment));
}
