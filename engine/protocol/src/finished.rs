//! Which subtasks a checkpoint may hold as finished (N6).
//!
//! A subtask finishes after its whole upstream ended. So in a checkpoint that holds it as finished, all who
//! send to it are finished too, or their snapshots hold their end: otherwise their records would meet
//! nobody after a restore. Flink states the same for whole vertices: predecessors of a fully finished
//! vertex are fully finished, or partly where each subtask has one predecessor.

use alloc::collections::BTreeSet;
use core::fmt;

use crate::coordinator::SubtaskPlan;
use crate::ids::SubtaskId;

/// Why a checkpoint cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gap {
    /// The subtask is neither finished nor has it a snapshot, or it is both.
    NotOnce(SubtaskId),
    /// The first subtask is finished, and the second one still has records for it.
    UpstreamGoesOn {
        /// Who is held as finished.
        finished: SubtaskId,
        /// Who sends to it.
        upstream: SubtaskId,
    },
    /// A part of the operator's union state is gone with this subtask (N5).
    UnionStateIsPartlyGone(SubtaskId),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOnce(subtask) => {
                write!(f, "it must hold {subtask} once, by its snapshot or as finished")
            }
            Self::UpstreamGoesOn { finished, upstream } => {
                write!(
                    f,
                    "it holds {finished} as finished, and {upstream}, which sends to it, is not at its end"
                )
            }
            Self::UnionStateIsPartlyGone(subtask) => {
                write!(
                    f,
                    "it holds {subtask} as finished, and others of its operator need its union state"
                )
            }
        }
    }
}

/// The first gap of a checkpoint with snapshots of `held`, of which those of `at_end` hold the end of
/// their input, and with `finished`, for a job of these subtasks.
pub fn find_gap(
    plan: &[SubtaskPlan],
    held: &BTreeSet<SubtaskId>,
    at_end: &BTreeSet<SubtaskId>,
    finished: &BTreeSet<SubtaskId>,
) -> Option<Gap> {
    let not_once =
        plan.iter().find(|it| held.contains(&it.subtask) == finished.contains(&it.subtask));
    if let Some(SubtaskPlan { subtask, .. }) = not_once {
        return Some(Gap::NotOnce(*subtask));
    }
    plan.iter().filter(|it| finished.contains(&it.subtask)).find_map(|it| {
        let subtask = it.subtask;
        let goes_on =
            it.upstream.iter().find(|from| !finished.contains(from) && !at_end.contains(from));
        if let Some(&upstream) = goes_on {
            return Some(Gap::UpstreamGoesOn { finished: subtask, upstream });
        }
        let is_partly_gone =
            it.has_union_state && held.iter().any(|other| other.operator == subtask.operator);
        is_partly_gone.then_some(Gap::UnionStateIsPartlyGone(subtask))
    })
}
