//! Inputs of every kind: those that nobody would send, and those that nearly fit.

use proptest::prelude::*;
use seawall_protocol::coordinator::{Input, Timer, WriteId};
use seawall_protocol::message::{DeclineReason, ToCoordinator};
use seawall_protocol::record::StoreRecord;
use seawall_protocol::{Attempt, AttemptId, CheckpointId, JobId, SessionId, SubtaskId, WorkerId};

use crate::{ack, recovered};

pub(crate) fn any_timer() -> impl Strategy<Value = Timer> {
    let small = 0..6_u32;
    prop_oneof![
        Just(Timer::Trigger),
        Just(Timer::MinPause),
        small.clone().prop_map(|it| Timer::CheckpointExpires(CheckpointId(it.into()))),
        Just(Timer::RecordRetry),
        small.clone().prop_map(|it| Timer::Restart(Attempt(it))),
        small.clone().prop_map(|it| Timer::Stable(Attempt(it))),
        small.clone().prop_map(Timer::FailureForgotten),
        small.prop_map(|it| Timer::CancelExpires(Attempt(it))),
        Just(Timer::Heartbeat),
        (4..6_u32).prop_map(|it| Timer::WorkerSilent(WorkerId(it))),
    ]
}

/// Inputs that a correct world would not send: foreign sessions, forgotten timers, unknown answers.
pub(crate) fn garbage() -> impl Strategy<Value = Input> {
    let id = (0..2_u32, 0..3_u32, 0..5_u32).prop_map(|(operator, index, attempt)| AttemptId {
        subtask: SubtaskId::new(operator, index),
        attempt: Attempt(attempt),
    });
    let message = (id, 0..8_u64, 0..7_u8).prop_map(|(id, checkpoint, kind)| match kind {
        0 => ToCoordinator::Ready(id),
        1 => ToCoordinator::Ended(id),
        2 => ToCoordinator::Finished(id),
        3 => ToCoordinator::Cancelled(id),
        4 => ToCoordinator::Heartbeat,
        5 => ToCoordinator::Register { worker: WorkerId(2), session: SessionId(99), slots: 1 },
        _ => ack(id, CheckpointId(checkpoint)),
    });
    prop_oneof![
        (1..4_u32, message).prop_map(|(worker, message)| Input::Message {
            worker: WorkerId(worker),
            session: SessionId(1_000_000),
            message,
        }),
        (1..4_u32).prop_map(|worker| Input::Disconnected {
            worker: WorkerId(worker),
            session: SessionId(1_000_000),
        }),
        (0..3_u64).prop_map(|it| Input::RecordPersisted(WriteId(1_000_000 + it))),
        (0..3_u64).prop_map(|it| Input::RecordFailed(WriteId(1_000_000 + it))),
        (1_000..1_003_u64).prop_map(|it| Input::ManifestWritten(CheckpointId(it))),
        (1_000..1_003_u64).prop_map(|it| Input::ManifestFailed(CheckpointId(it))),
        (1_000..1_003_u64).prop_map(|it| Input::Deleted(CheckpointId(it))),
        any_timer().prop_map(Input::Timer),
        Just(recovered(StoreRecord::fresh(JobId(1)))),
    ]
}

/// Small numbers everywhere, so that most inputs nearly fit.
pub(crate) fn anything() -> impl Strategy<Value = Input> {
    let id = (0..2_u32, 1..4_u32).prop_map(|(operator, attempt)| AttemptId {
        subtask: SubtaskId::new(operator, operator),
        attempt: Attempt(attempt),
    });
    let message = (id, 0..5_u64, 0..12_u8, 1..3_u64, 1..3_u32).prop_map(
        |(id, checkpoint, kind, session, worker)| {
            let checkpoint = CheckpointId(checkpoint);
            let message = match kind {
                0 | 1 => ToCoordinator::Ready(id),
                2 => ToCoordinator::Ended(id),
                3 => ToCoordinator::Finished(id),
                4 => ToCoordinator::Cancelled(id),
                5 => ToCoordinator::Failed { attempt: id, cause: String::new(), fatal: false },
                6 => ToCoordinator::Decline {
                    attempt: id,
                    checkpoint,
                    reason: DeclineReason::AsyncException,
                },
                7 => ToCoordinator::Register {
                    worker: WorkerId(worker),
                    session: SessionId(session),
                    slots: 1,
                },
                8 => ToCoordinator::Heartbeat,
                _ => ack(id, checkpoint),
            };
            // The subtask's own worker, mostly: slot 0 is on worker 1 and slot 1 on worker 2.
            let worker = if kind == 7 { worker } else { id.subtask.index + 1 };
            Input::Message { worker: WorkerId(worker), session: SessionId(session), message }
        },
    );
    prop_oneof![
        8 => message,
        4 => (0..30_u64).prop_map(|it| Input::RecordPersisted(WriteId(it))),
        1 => (0..30_u64).prop_map(|it| Input::RecordFailed(WriteId(it))),
        1 => (0..6_u64).prop_map(|it| Input::ManifestWritten(CheckpointId(it))),
        1 => (0..6_u64).prop_map(|it| Input::ManifestFailed(CheckpointId(it))),
        1 => (0..6_u64).prop_map(|it| Input::Deleted(CheckpointId(it))),
        3 => any_timer().prop_map(Input::Timer),
        1 => (1..3_u32, 1..3_u64).prop_map(|(worker, session)| Input::Disconnected {
            worker: WorkerId(worker),
            session: SessionId(session),
        }),
    ]
}
