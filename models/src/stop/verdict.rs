//! What the steps are judged by: a savepoint that was handed out stands, and the output is exact.

use seawall_protocol::CheckpointId;
use seawall_protocol::event::AbortReason;
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::record::JobResult;

use super::{END, EXACTLY_ONCE, STANDS, State, Stop, WITHIN_LIMITS};

/// H7, K14: nobody falls back behind a savepoint that was handed out.
pub(super) fn judge_restore(state: &mut State, restore: Option<CheckpointId>) {
    if restore < state.disk.exported.last_key_value().map(|(newest, _)| *newest) {
        state.violated.insert(STANDS);
    }
}

/// G6, G7: no failure is tolerated here, and that of a savepoint is none.
pub(super) fn judge_abort(state: &mut State, checkpoint: CheckpointId, reason: AbortReason) {
    let is_plain = state.leader.kinds.remove(&checkpoint) == Some(CheckpointKind::Checkpoint);
    if is_plain && reason.is_counted() && state.leader.core.is_running() {
        state.violated.insert(WITHIN_LIMITS);
    }
}

/// X1, N7: every record once, in order, and none behind a savepoint that the job stopped with.
pub(super) fn show(state: &mut State, records: &[u8]) {
    let disk = &mut state.disk;
    let is_behind_a_stop = disk.exported.values().any(|(_, is_stop)| *is_stop);
    if is_behind_a_stop {
        state.violated.insert(STANDS);
    }
    disk.output.extend_from_slice(records);
    if !disk.output.is_sorted_by(|one, next| one < next) {
        state.violated.insert(EXACTLY_ONCE);
    }
}

/// What must stand in the output when everything before the position is in it.
fn expected(position: u8, is_ended: bool) -> Vec<u8> {
    (0..position).chain(is_ended.then_some(END)).collect()
}

impl Stop {
    pub(super) fn judge_result(&self, state: &mut State) {
        let disk = &state.disk;
        match disk.record.result {
            Some(JobResult::Finished) => {
                if disk.output != expected(self.records_max, true) {
                    state.violated.insert(EXACTLY_ONCE);
                }
            }
            Some(JobResult::Stopped(checkpoint)) => {
                let is_drained = disk.manifests.get(&checkpoint)
                    == Some(&CheckpointKind::StopWithSavepoint { drain: true });
                let is_whole = disk.exported.get(&checkpoint).is_some_and(|(contents, is_stop)| {
                    *is_stop
                        && (contents.is_ended || !is_drained)
                        && disk.output == expected(contents.position, contents.is_ended)
                });
                if !is_whole {
                    state.violated.insert(STANDS);
                }
            }
            Some(JobResult::Cancelled) => {
                if disk.record.stopping.is_some() {
                    state.violated.insert(STANDS);
                }
            }
            None => return,
        }
        // K7: what a savepoint holds as pre-committed, its job has committed.
        let disk = &state.disk;
        let is_cancelled = disk.record.result == Some(JobResult::Cancelled);
        let held = disk.exported.values().flat_map(|(it, _)| it.transactions.values().flatten());
        let is_kept = held.into_iter().all(|it| disk.output.contains(it));
        if !is_kept && !is_cancelled {
            state.violated.insert(STANDS);
        }
    }
}
