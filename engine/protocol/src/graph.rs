//! The operators of a job and who sends to whom: what its subtasks are at any parallelism (M7).
//!
//! Deliberately absent: what the operators do.

use alloc::vec;
use alloc::vec::Vec;

use crate::coordinator::SubtaskPlan;
use crate::ids::{OperatorId, SubtaskId};

/// How the subtasks of two operators are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Each with each.
    AllToAll,
    /// Each with the one of the same index.
    Forward,
}

/// One operator sends to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// Sends.
    pub from: OperatorId,
    /// Receives.
    pub to: OperatorId,
    /// How their subtasks are connected.
    pub pattern: Pattern,
}

/// The plan of the same job at `parallelism`, ascending. `plan` is it at any other one.
pub fn at_parallelism(plan: &[SubtaskPlan], edges: &[Edge], parallelism: u32) -> Vec<SubtaskPlan> {
    let mut operators: Vec<&SubtaskPlan> = Vec::new();
    for it in plan {
        if operators.last().is_none_or(|last| last.subtask.operator != it.subtask.operator) {
            operators.push(it);
        }
    }
    let of =
        |operator: OperatorId| (0..parallelism).map(move |index| SubtaskId { operator, index });
    let upstream = |subtask: SubtaskId| {
        let mut upstream = Vec::new();
        for edge in edges.iter().filter(|it| it.to == subtask.operator) {
            upstream.extend(match edge.pattern {
                Pattern::AllToAll => of(edge.from).collect(),
                Pattern::Forward => vec![SubtaskId { operator: edge.from, index: subtask.index }],
            });
        }
        upstream.sort_unstable();
        upstream.dedup();
        upstream
    };
    let planned = |it: &&SubtaskPlan| {
        let it = (*it).clone();
        of(it.subtask.operator).map(move |subtask| (subtask, it.clone())).collect::<Vec<_>>()
    };
    let planned = operators.iter().flat_map(planned);
    planned
        .map(|(subtask, it)| SubtaskPlan { subtask, upstream: upstream(subtask), ..it })
        .collect()
}
