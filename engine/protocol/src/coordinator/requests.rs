//! What people and programs ask of a running job (B4, N7, H7).

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Answer, Coordinator, Effect, Request, RequestId};
use crate::message::CheckpointKind;

impl Coordinator {
    /// Each request has exactly one answer.
    pub(super) fn on_requested(
        &mut self,
        id: RequestId,
        request: Request,
        effects: &mut Vec<Effect>,
    ) {
        let what = match request {
            Request::Checkpoint => {
                return self.trigger.request(CheckpointKind::Checkpoint, id, effects);
            }
            Request::Savepoint => "savepoints",
            Request::StopWithSavepoint { .. } => "stops",
            Request::Cancel => "cancels",
        };
        let answer = Answer::Refused(what.to_string() + " are not taken on request");
        effects.push(Effect::Answer { id, answer });
    }
}
