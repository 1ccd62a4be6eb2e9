//! From when on a failure was inevitable: the first event after which the run fails even when everything
//! heals at once and nothing goes wrong any more. Found by bisection, in about as many runs as the number
//! of events has binary digits.

use std::time::Duration;

use serde::Serialize;

use super::Trial;
use crate::trace::Entry;

/// How many other moments are looked at to see whether the bisection may be believed.
const PROBES: usize = 8;

/// From when on a failure was inevitable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum Inevitable {
    /// From the beginning: it fails without any fault.
    Start,
    /// From an event on.
    Event {
        /// Its number in the trace, from 1.
        number: usize,
        /// The lines of the trace at that moment, and the one before.
        lines: Vec<String>,
        /// Whether all looks agree: before it the run can be saved, after it never.
        is_monotone: bool,
    },
    /// Until the end of the safety phase: healed before that, it does not fail.
    End,
}

impl Inevitable {
    /// The entry of the trace from which on.
    pub(super) fn entry(&self) -> Option<usize> {
        match self {
            Self::Event { number, .. } => Some(number - 1),
            Self::Start | Self::End => None,
        }
    }
}

/// Bisects the events of the safety phase.
pub(super) fn find(trial: &mut Trial<'_>) -> Inevitable {
    let entries = trial.verdict.trace.entries.clone();
    let until = trial.file.scenario.until;
    let moments = moments(&entries, until);
    let Some(last) = moments.len().checked_sub(1) else { return Inevitable::Start };
    // Whether the run fails when healed just after the moment.
    let just_after = |moment: usize| entries[moments[moment]].at + Duration::from_nanos(1);
    let ends = trial.fails_when_healed(&[Duration::ZERO, just_after(last)]);
    if ends[0] {
        return Inevitable::Start;
    }
    if !ends[1] {
        return Inevitable::End;
    }
    // The run can be saved before `low` and not after `high`.
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = low.midpoint(high);
        if trial.fails_when_healed(&[just_after(middle)])[0] {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let spread = |from: usize, to: usize| {
        (1..=PROBES / 2).map(move |it| from + (to - from) * it / (PROBES / 2 + 1))
    };
    let probes: Vec<usize> = spread(0, high).chain(spread(high, last)).collect();
    let looks: Vec<_> = probes.iter().map(|it| just_after(*it)).collect();
    let fails = trial.fails_when_healed(&looks);
    let is_monotone = probes.iter().zip(fails).all(|(at, fails)| fails == (*at >= high));
    let entry = moments[high];
    let first = entries.partition_point(|it| it.at < entries[entry].at);
    let shown = &entries[first.saturating_sub(1)..=entry];
    let lines = shown.iter().map(|it| trial.verdict.trace.line(it)).collect();
    Inevitable::Event { number: entry + 1, lines, is_monotone }
}

/// The last entry of each moment of the safety phase.
fn moments(entries: &[Entry], until: Duration) -> Vec<usize> {
    let in_time = entries.iter().take_while(|it| it.at < until).enumerate();
    let is_last = |index: usize, at: Duration| entries.get(index + 1).is_none_or(|it| it.at > at);
    in_time.filter(|(index, it)| is_last(*index, it.at)).map(|(index, _)| index).collect()
}
