//! Provenance: which input record a violation is about, which checkpoint it belongs to, and which attempt had it.
//!
//! ```text
//! line or key ─► input records (the subject knows) ─► the checkpoint whose cut is the first behind each
//!             └► files that hold it ─► the transaction, who pre-committed it, who committed it and when
//! ```
//!
//! Read afterwards from what was recorded anyway, so a run that holds pays nothing for it. Where a line stems
//! from many records (a count), they are narrowed to those between the last checkpoint whose state was right
//! for the key and the first in which it was not.

use std::collections::{BTreeMap, BTreeSet};

use seawall_jobs::origin::{Origin, is_before};
use seawall_protocol::CheckpointId;
use seawall_protocol::event::Event;
use seawall_spec::{CheckpointContents, History, Violation};

use crate::subject::Subject;
use crate::trace::{Chains, show_attempt};

/// Lines of which a violation tells where they come from.
const SUBJECTS_MAX: usize = 3;
/// Records that are named of one line.
const RECORDS_MAX: usize = 3;
/// Lost lines that are looked at for one that a misplaced record belongs to.
const LOST_MAX: usize = 64;

/// The splits in each completed checkpoint, each at its position.
pub(crate) type Splits = BTreeMap<CheckpointId, Vec<Vec<u8>>>;

/// What was recorded of a run, as provenance needs it.
pub(crate) struct Ledger<'a> {
    pub(crate) subject: &'a dyn Subject,
    pub(crate) history: &'a History,
    pub(crate) splits: &'a Splits,
    pub(crate) chains: &'a Chains,
}

impl Ledger<'_> {
    /// Where the lines or keys of a violation come from, for people; nothing when nobody knows.
    pub(crate) fn explain(&self, violation: &Violation) -> Vec<String> {
        let subjects = violation.subjects.iter().take(SUBJECTS_MAX);
        subjects.flat_map(|it| self.explain_one(&String::from_utf8_lossy(it))).collect()
    }

    fn explain_one(&self, line: &str) -> Vec<String> {
        let mut told = Vec::new();
        let origins = self.subject.origins(line);
        if let Some(from) = self.records(line, &origins) {
            told.push(format!("{line}: {from}"));
        }
        told.extend(self.misplaced(line, &origins));
        told.extend(self.files(line));
        told
    }

    /// A line that should not be there, and whose only record is one of a line that is lost: it came into the
    /// wrong window, or was taken for late.
    fn misplaced(&self, line: &str, origins: &[Origin]) -> Option<String> {
        let [record] = origins else { return None };
        let is_expected = |it: &Vec<u8>| it.as_slice() == line.as_bytes();
        if self.history.expected_output.iter().any(is_expected) {
            return None;
        }
        let holds = |it: &&str| self.subject.origins(it).contains(record);
        let committed = self.history.committed_output.iter().flat_map(|it| &it.lines);
        let committed: BTreeSet<&Vec<u8>> = committed.collect();
        let lost = self.history.expected_output.iter().filter(|it| !committed.contains(it));
        let mut lost = lost.filter_map(|it| str::from_utf8(it).ok()).take(LOST_MAX);
        let belongs = lost.find(holds)?;
        Some(format!("  in the wrong place: {record} belongs to {belongs}, which is lost"))
    }

    /// The records, narrowed as far as checkpoints allow, and whose cut holds them. Where nothing is lost, the
    /// newest record that the last right checkpoint holds may have been read again.
    fn records(&self, line: &str, origins: &[Origin]) -> Option<String> {
        let key = line.split(',').next().unwrap_or_default();
        let (right, wrong) = self.deviation(key);
        let is_in = |cut: Option<CheckpointId>| {
            move |it: &&Origin| cut.is_some_and(|cut| self.is_before(it, cut))
        };
        let read_again = origins.iter().rfind(is_in(right)).filter(|_| !self.is_lost(line));
        let between = origins.iter().filter(|it| !is_in(right)(it) && is_in(wrong)(it));
        let narrowed: Vec<&Origin> = read_again.into_iter().chain(between).collect();
        let (suspects, note) = match (narrowed.is_empty(), wrong) {
            (false, Some(wrong)) => {
                (narrowed, format!("; the state of key {key} is wrong from checkpoint {wrong} on"))
            }
            _ => (origins.iter().collect(), String::new()),
        };
        let first = suspects.first()?;
        let names: Vec<String> =
            suspects.iter().take(RECORDS_MAX).map(|it| self.record(it)).collect();
        let from = match suspects.len() {
            1 => format!("stems from {}", self.record(first)),
            count if count <= RECORDS_MAX => format!("stems from {}", names.join(", or ")),
            count => format!("stems from {count} records: {}, ...", names.join(", ")),
        };
        Some(from + &note)
    }

    /// Whether the line is committed less often than it should be.
    fn is_lost(&self, line: &str) -> bool {
        let is_it = |it: &&Vec<u8>| it.as_slice() == line.as_bytes();
        let committed = self.history.committed_output.iter().flat_map(|it| &it.lines);
        committed.filter(is_it).count() < self.history.expected_output.iter().filter(is_it).count()
    }

    /// The last checkpoint in which the state of `key` was right before the first in which it was wrong.
    fn deviation(&self, key: &str) -> (Option<CheckpointId>, Option<CheckpointId>) {
        let is_wrong = |it: &&CheckpointContents| {
            it.restorable.is_ok()
                && it.state.get(key.as_bytes()) != it.expected_state.get(key.as_bytes())
        };
        let wrong = self.history.checkpoints.iter().find(is_wrong).map(|it| it.checkpoint);
        let before = self.history.checkpoints.iter().map(|it| it.checkpoint);
        let right = wrong.and_then(|wrong| before.take_while(|it| *it < wrong).last());
        (right, wrong)
    }

    fn is_before(&self, origin: &Origin, checkpoint: CheckpointId) -> bool {
        self.splits.get(&checkpoint).is_some_and(|it| is_before(origin, it))
    }

    /// A record, and the first checkpoint whose cut is behind it.
    fn record(&self, origin: &Origin) -> String {
        let cut = self.splits.keys().copied().find(|it| self.is_before(origin, *it));
        match cut {
            Some(checkpoint) => format!("{origin}, read before the cut of checkpoint {checkpoint}"),
            None => format!("{origin}, behind the cut of every completed checkpoint"),
        }
    }

    /// Each file that holds the line: its checkpoint, and who committed it when.
    fn files(&self, line: &str) -> Vec<String> {
        let holds = |lines: &[Vec<u8>]| lines.iter().any(|it| it == line.as_bytes());
        let files = self.history.committed_output.iter().filter(|it| holds(&it.lines));
        files.map(|file| format!("  in {}{}", file.name, self.transaction(&file.name))).collect()
    }

    /// `part-op2-0-chk-7.csv` is the transaction of subtask 0 in checkpoint 7.
    fn transaction(&self, file: &str) -> String {
        let parsed = file.rsplit_once("-chk-").and_then(|(writer, rest)| {
            let checkpoint = rest.split('.').next()?.parse().ok().map(CheckpointId)?;
            let index: u32 = writer.rsplit('-').next()?.parse().ok()?;
            Some((index, checkpoint))
        });
        let Some((index, checkpoint)) = parsed else { return String::new() };
        let mut steps = Vec::new();
        for recorded in &self.history.events {
            let (attempt, of, step) =
                if let Event::TransactionPrecommitted { attempt, checkpoint } = &recorded.event {
                    (attempt, checkpoint, "pre-committed")
                } else if let Event::TransactionCommitted { attempt, checkpoint, .. } =
                    &recorded.event
                {
                    (attempt, checkpoint, "committed")
                } else {
                    continue;
                };
            if attempt.subtask.index != index || *of != checkpoint {
                continue;
            }
            let at = recorded.at.as_secs_f64();
            let who = show_attempt(attempt, self.chains);
            steps.push(format!("{step} by {who} on {} at {at:.6}s", recorded.node));
        }
        format!(", transaction of checkpoint {checkpoint}: {}", steps.join(", "))
    }
}
