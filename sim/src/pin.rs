//! A moment of a run, named by its events instead of the clock: a change of the workload or of the engine
//! moves every time, and few of the events.

use std::time::Duration;

use crate::fault::On;
use crate::recorder::{about, matches};
use crate::trace::{Trace, What};

/// The newest event of the engine before `entry`, by its number in the trace.
pub(crate) fn event_before(trace: &Trace, entry: usize) -> Option<usize> {
    let events = trace.entries[..entry].iter();
    let is_event = |what: &What| match what {
        What::Event(_) => true,
        What::Fault(_) | What::Healed(_) | What::Ended(_) | What::Struck(_) => false,
    };
    events.enumerate().rev().find(|(_, it)| is_event(&it.what)).map(|(index, _)| index)
}

/// What waits for exactly the event at `entry`, told apart by checkpoint and subtask if it is about any,
/// and otherwise by its node. `None` when the entry is no event of the engine.
pub(crate) fn on(trace: &Trace, entry: usize, after: Duration) -> Option<On> {
    let What::Event(event) = &trace.entries[entry].what else { return None };
    let (checkpoint, subtask) = about(event);
    let subtask = subtask.and_then(|subtask| {
        let chain = trace.chains.get(&subtask.operator.0)?;
        Some(format!("{chain}/{}", subtask.index))
    });
    let is_told_apart = checkpoint.is_some() || subtask.is_some();
    let mut on = On {
        nth: 0,
        checkpoint: checkpoint.map(|it| it.0),
        subtask,
        node: trace.entries[entry].node.filter(|_| !is_told_apart),
        ..On::event(event.name()).after(after)
    };
    let counted = trace.entries[..=entry].iter().filter(|it| match (&it.what, it.node) {
        (What::Event(event), Some(node)) => matches(&on, node, event, &trace.chains),
        (
            What::Event(_) | What::Fault(_) | What::Healed(_) | What::Ended(_) | What::Struck(_),
            _,
        ) => false,
    });
    on.nth = u32::try_from(counted.count()).ok()?;
    Some(on)
}
