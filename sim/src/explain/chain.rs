//! How one thing led to the other: the trace, walked backwards from the violation to the faults.
//!
//! What may cause an event is a table, by name: the nearest earlier event of that name about the same
//! checkpoint or the same subtask. An event that the table does not know leads to the nearest about the
//! same things. A fault is a cause when it names a node that the event is about.
//!
//! Deliberately absent: messages and records. The chain is a reading aid and no proof; proof is the
//! table of faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use seawall_protocol::SubtaskId;
use serde::Serialize;

use crate::recorder::about;
use crate::scenario::Node;
use crate::shrink::Signature;
use crate::trace::{Entry, Trace, What};
use crate::verdict::Verdict;

/// A line of the trace and why it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The number of the entry in the trace, from 1.
    pub number: usize,
    /// In one word.
    pub why: &'static str,
    /// The line.
    pub line: String,
}

/// The most lines of a chain.
const LINKS_MAX: usize = 15;

/// What a cause has in common with its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    /// Nothing: the nearest.
    Run,
    /// The checkpoint.
    Checkpoint,
    /// The subtask.
    Subtask,
    /// Checkpoint and subtask.
    Both,
    /// A node: the cause is a fault.
    Node,
}

/// A cause: the name of the event, what both are about, and why in one word. `*` is a fault.
type Cause = (&'static str, Same, &'static str);

/// The causes of each event.
const CAUSES: &[(&str, &[Cause])] = &[
    (
        "transaction-committed",
        &[
            ("completion-told", Same::Both, "told"),
            ("checkpoint-completed", Same::Checkpoint, "completion"),
            ("transaction-precommitted", Same::Both, "pre-commit"),
            ("subtask-ready", Same::Subtask, "restore"),
        ],
    ),
    (
        "commit-failed",
        &[("*", Same::Node, "fault"), ("transaction-precommitted", Same::Both, "pre-commit")],
    ),
    ("lingering-aborted", &[("subtask-ready", Same::Subtask, "restore")]),
    ("completion-told", &[("checkpoint-completed", Same::Checkpoint, "completion")]),
    ("savepoint-completed", &[("checkpoint-completed", Same::Checkpoint, "completion")]),
    ("job-stopping", &[("checkpoint-triggered", Same::Checkpoint, "trigger")]),
    ("checkpoint-completed", &[("manifest-written", Same::Checkpoint, "manifest")]),
    ("manifest-written", &[("checkpoint-acknowledged", Same::Checkpoint, "acks")]),
    (
        "checkpoint-acknowledged",
        &[
            ("snapshot-acked", Same::Checkpoint, "ack"),
            ("checkpoint-triggered", Same::Checkpoint, "trigger"),
        ],
    ),
    ("snapshot-acked", &[("snapshot-written", Same::Both, "snapshot")]),
    ("ack-ignored", &[("snapshot-written", Same::Both, "snapshot")]),
    ("snapshot-written", &[("snapshot-taken", Same::Both, "snapshot")]),
    ("snapshot-failed", &[("*", Same::Node, "fault"), ("snapshot-taken", Same::Both, "snapshot")]),
    (
        "snapshot-taken",
        &[
            ("alignment-started", Same::Both, "barrier"),
            ("checkpoint-triggered", Same::Checkpoint, "trigger"),
        ],
    ),
    ("transaction-precommitted", &[("checkpoint-triggered", Same::Checkpoint, "trigger")]),
    (
        "checkpoint-aborted",
        &[
            ("snapshot-failed", Same::Checkpoint, "failure"),
            ("snapshot-declined", Same::Checkpoint, "decline"),
            ("checkpoint-triggered", Same::Checkpoint, "trigger"),
        ],
    ),
    ("checkpoint-subsumed", &[("checkpoint-completed", Same::Run, "completion")]),
    ("checkpoint-discarded", &[("checkpoint-completed", Same::Run, "completion")]),
    ("attempt-started", &[("attempt-deployed", Same::Run, "deployment")]),
    ("subtask-ready", &[("attempt-deployed", Same::Run, "deployment")]),
    (
        "attempt-deployed",
        &[
            ("restart-scheduled", Same::Run, "restart"),
            ("checkpoint-completed", Same::Checkpoint, "restored"),
            ("coordinator-started", Same::Run, "leader"),
        ],
    ),
    ("restart-scheduled", &[("attempt-failed", Same::Run, "failure")]),
    ("job-failed", &[("attempt-failed", Same::Run, "failure")]),
    ("job-finished", &[("checkpoint-completed", Same::Run, "completion")]),
    ("subtask-finished", &[("completion-told", Same::Subtask, "told")]),
    (
        "attempt-failed",
        &[
            ("worker-lost", Same::Run, "loss"),
            ("subtask-failed", Same::Run, "failure"),
            ("checkpoint-aborted", Same::Run, "abort"),
        ],
    ),
    ("subtask-failed", &[("*", Same::Node, "fault")]),
    ("worker-lost", &[("*", Same::Node, "fault")]),
    ("coordinator-lost", &[("*", Same::Node, "fault")]),
    (
        "coordinator-started",
        &[
            ("*", Same::Node, "fault"),
            ("coordinator-started", Same::Run, "predecessor"),
            ("checkpoint-completed", Same::Checkpoint, "newest"),
        ],
    ),
    ("record-uncertain", &[("*", Same::Node, "fault")]),
    ("waiting-for-slots", &[("coordinator-started", Same::Run, "leader")]),
    ("worker-started", &[("*", Same::Node, "fault")]),
];

/// The chain to the failure of a run, in the order of the trace. Faults that are known to be needed are in
/// it in any case, and so is the event that made the failure inevitable.
pub(super) fn chain(
    verdict: &Verdict,
    signature: &Signature,
    needed: &[usize],
    inevitable: Option<usize>,
) -> Vec<Link> {
    let trace = &verdict.trace;
    let mut links: BTreeMap<usize, &'static str> = BTreeMap::new();
    let mut open: VecDeque<usize> = VecDeque::new();
    links.extend(inevitable.map(|it| (it, "inevitable")));
    if let Some(entry) = seen_in(trace, &verdict.result.explain(), signature) {
        links.insert(entry, "violation");
        open.push_back(entry);
    }
    links.extend(needed.iter().map(|it| (*it, "fault")));
    open.extend(inevitable);
    while let Some(effect) = open.pop_front() {
        for (cause, why) in causes_of(trace, effect) {
            if links.len() < LINKS_MAX && !links.contains_key(&cause) {
                links.insert(cause, why);
                open.push_back(cause);
            }
        }
    }
    let link = |(entry, why): (usize, &'static str)| Link {
        number: entry + 1,
        why,
        line: trace.line(&trace.entries[entry]),
    };
    links.into_iter().map(link).collect()
}

/// The entry that the message of a violation is about: the one whose moment and node it names, or the
/// last about the checkpoint that it names, or the last that changed the course of the run.
fn seen_in(trace: &Trace, message: &str, signature: &Signature) -> Option<usize> {
    let entries = || trace.entries.iter().enumerate().rev();
    let words: Vec<&str> = message.split_whitespace().collect();
    let stamped = words.windows(4).find_map(|it| match it {
        ["at", time, "on", node] => Some((time.strip_suffix('s')?, Node::from_name(bare(node))?)),
        _ => None,
    });
    if let Some((time, node)) = stamped {
        let mut there = entries().filter(|(_, it)| {
            it.node == Some(node) && format!("{:.6}", it.at.as_secs_f64()) == time
        });
        // Of several at one moment, the one whose words are in the message.
        let best = there.clone().max_by_key(|(index, it)| {
            let line = trace.line(it);
            let common = line.split_whitespace().filter(|word| words.contains(word)).count();
            (common, *index)
        });
        if let Some((index, _)) = best.or_else(|| there.next()) {
            return Some(index);
        }
    }
    let named = named_checkpoint(message);
    let is_stuck = match signature {
        Signature::Stuck(_) => true,
        Signature::Violated(_) | Signature::Panicked(_) => false,
    };
    let about_named = entries()
        .filter(|_| named.is_some() && !is_stuck)
        .find(|(_, it)| subject(trace, it).0 == named);
    let turning = entries().find(|(_, it)| match &it.what {
        What::Event(event) => TURNING.contains(&event.name()),
        What::Fault(_) | What::Healed(_) | What::Ended(_) | What::Struck(_) => false,
    });
    about_named.or(turning).map(|(index, _)| index)
}

/// Events that decide what becomes of a job; the last of them stands for a failure that names nothing.
const TURNING: [&str; 8] = [
    "attempt-deployed",
    "attempt-failed",
    "job-failed",
    "waiting-for-slots",
    "checkpoint-aborted",
    "record-uncertain",
    "coordinator-started",
    "lingering-aborted",
];

fn causes_of(trace: &Trace, effect: usize) -> Vec<(usize, &'static str)> {
    let entry = &trace.entries[effect];
    let What::Event(event) = &entry.what else { return Vec::new() };
    let before = || trace.entries[..effect].iter().enumerate().rev();
    let known = CAUSES.iter().find(|(name, _)| *name == event.name());
    let nearest = [("", Same::Both, "before"), ("*", Same::Node, "fault")];
    let causes = known.map_or(nearest.as_slice(), |(_, causes)| causes);
    let (checkpoint, subtask) = subject(trace, entry);
    let nodes = nodes(trace, entry);
    let find = |(name, same, why): &Cause| {
        let found = before().find(|(_, it)| {
            let (Some(other), it) = (name_of(it), *it) else { return false };
            let is_named = name.is_empty() || *name == other;
            let (its_checkpoint, its_subtask) = subject(trace, it);
            let is_same_checkpoint = checkpoint.is_some() && its_checkpoint == checkpoint;
            let is_same_subtask = subtask.is_some() && its_subtask == subtask;
            is_named
                && match same {
                    Same::Run => true,
                    Same::Checkpoint => is_same_checkpoint,
                    Same::Subtask => is_same_subtask,
                    Same::Both => is_same_checkpoint && (is_same_subtask || its_subtask.is_none()),
                    Same::Node => self::nodes(trace, it).iter().any(|it| nodes.contains(it)),
                }
        });
        found.map(|(index, _)| (index, *why))
    };
    causes.iter().filter_map(find).collect()
}

/// The name of an event, `*` of a fault.
fn name_of(entry: &Entry) -> Option<&'static str> {
    match &entry.what {
        What::Event(event) => Some(event.name()),
        What::Fault(_) | What::Struck(_) => Some("*"),
        What::Healed(_) | What::Ended(_) => None,
    }
}

/// Checkpoint and subtask that an entry is about; of a checkpoint it is enough that the line names it.
fn subject(trace: &Trace, entry: &Entry) -> (Option<u64>, Option<SubtaskId>) {
    let What::Event(event) = &entry.what else { return (None, None) };
    let (checkpoint, subtask) = about(event);
    let named = || named_checkpoint(&trace.line(entry));
    (checkpoint.map(|it| it.0).or_else(named), subtask)
}

fn named_checkpoint(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).find_map(|it| match it {
        ["checkpoint", number] => bare(number).parse().ok(),
        _ => None,
    })
}

/// The nodes that an entry is about: those that it names, and otherwise the one where it was seen.
fn nodes(trace: &Trace, entry: &Entry) -> BTreeSet<Node> {
    let line = trace.line(entry);
    let words = line.split_whitespace().skip(2).flat_map(|it| it.split("->"));
    let words = words.flat_map(|it| it.split(['+', '<', '>']));
    let named: BTreeSet<Node> = words.filter_map(|it| Node::from_name(bare(it))).collect();
    if named.is_empty() { entry.node.into_iter().collect() } else { named }
}

fn bare(word: &str) -> &str {
    word.trim_matches(|it: char| !it.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use seawall_protocol::event::Event;

    use super::*;

    #[test]
    fn causes_and_effects_are_events_that_exist() {
        let is_event = |name: &str| name == "*" || Event::NAMES.contains(&name);
        for (effect, causes) in CAUSES {
            assert!(is_event(effect), "{effect}");
            for (cause, same, _) in *causes {
                assert!(is_event(cause), "{effect}: {cause}");
                assert_eq!(*cause == "*", *same == Same::Node, "{effect}: {cause}");
            }
        }
        for it in TURNING {
            assert!(is_event(it), "{it}");
        }
    }
}
