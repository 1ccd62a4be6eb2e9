//! Which faults a failure needs, and how exactly each has to come at its moment.

use std::time::Duration;

use serde::Serialize;

use super::Trial;
use crate::fault::{Fault, Trigger};
use crate::pin;
use crate::scenario::quantity::TimeRange;
use crate::seed_file::Expected;
use crate::shrink::tell_fault;

/// How far a fault is moved: a little, and far.
const SHIFTS: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// When a fault comes that is left out. No scenario lasts so long.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// What a fault has to do with the failure.
#[derive(Debug, Clone, Serialize)]
pub struct FaultReport {
    /// The fault in words.
    pub fault: String,
    /// When it began, in seconds.
    pub began_at: Option<f64>,
    /// Whether it is needed.
    pub need: Need,
    /// What the run comes to without it, when it is needed.
    pub without: Option<String>,
}

/// How much a failure needs a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// It did not even begin.
    NeverBegan,
    /// The run fails alike without it.
    NotNeeded,
    /// The run fails alike only with it, and as long as it comes at most so much earlier or later;
    /// distances that were tried, in milliseconds.
    Needed {
        /// How much earlier it may come.
        earlier_ms: u64,
        /// How much later it may come.
        later_ms: u64,
    },
}

impl FaultReport {
    pub(super) fn is_needed(&self) -> bool {
        match self.need {
            Need::Needed { .. } => true,
            Need::NeverBegan | Need::NotNeeded => false,
        }
    }
}

impl Need {
    /// The most that is tried, in milliseconds.
    pub(super) fn far_ms() -> u64 {
        millis(SHIFTS[SHIFTS.len() - 1])
    }
}

/// A report for each fault, and whether the needed ones alone make the run fail.
pub(super) fn report(trial: &mut Trial<'_>) -> (Vec<FaultReport>, bool) {
    let schedule = trial.file.schedule.clone();
    let begun = trial.verdict.begun.clone();
    let indices = 0..schedule.len();
    let real: Vec<usize> = indices.filter(|it| begun[*it].is_some()).collect();
    let without: Vec<_> = real.iter().map(|it| left_out(&schedule, &[*it])).collect();
    let verdicts = trial.with_schedules(&without);
    let mut reports: Vec<FaultReport> = schedule
        .iter()
        .map(|it| FaultReport {
            fault: tell_fault(it),
            began_at: None,
            need: Need::NeverBegan,
            without: None,
        })
        .collect();
    for (index, verdict) in real.into_iter().zip(verdicts) {
        let at = begun[index].map(|it| trial.verdict.trace.entries[it].at.as_secs_f64());
        reports[index].began_at = at;
        if trial.signature.is_of(&verdict) {
            reports[index].need = Need::NotNeeded;
            continue;
        }
        reports[index].without = Some(Expected::of(&verdict.result).to_string());
        let (earlier_ms, later_ms) =
            (tolerance(trial, index, earlier), tolerance(trial, index, later));
        reports[index].need = Need::Needed { earlier_ms, later_ms };
    }
    let unneeded: Vec<usize> =
        reports.iter().enumerate().filter(|(_, it)| !it.is_needed()).map(|(at, _)| at).collect();
    let alone = trial.with_schedules(&[left_out(&schedule, &unneeded)]);
    let is_sufficient = alone.iter().all(|it| trial.signature.is_of(it));
    (reports, is_sufficient)
}

/// The schedule with these faults put off for ever. They keep their places, so that the run is the same
/// until the first of them would have come.
fn left_out(schedule: &[Fault], indices: &[usize]) -> Vec<Fault> {
    let mut schedule = schedule.to_vec();
    for index in indices {
        match &mut schedule[*index].trigger {
            Trigger::At(at) => *at = TimeRange::exactly(NEVER),
            Trigger::On(on) => on.nth = u32::MAX,
            Trigger::Every(_) => unreachable!("a schedule is resolved"),
        }
    }
    schedule
}

/// The farthest of the shifts up to which the run fails alike, in milliseconds; 0 when none.
fn tolerance(
    trial: &mut Trial<'_>,
    index: usize,
    shift: fn(&Trial<'_>, usize, Duration) -> Option<Trigger>,
) -> u64 {
    let moved = SHIFTS.iter().map_while(|by| shift(trial, index, *by)).map(|trigger| {
        let mut schedule = trial.file.schedule.clone();
        schedule[index].trigger = trigger;
        schedule
    });
    let moved: Vec<_> = moved.collect();
    let verdicts = trial.with_schedules(&moved);
    let fails = verdicts.iter().take_while(|it| trial.signature.is_of(it)).count();
    fails.checked_sub(1).map_or(0, |last| millis(SHIFTS[last]))
}

fn later(trial: &Trial<'_>, index: usize, by: Duration) -> Option<Trigger> {
    match &trial.file.schedule[index].trigger {
        Trigger::At(at) => {
            let at = at.least + by;
            (at < trial.file.scenario.until).then_some(Trigger::At(TimeRange::exactly(at)))
        }
        Trigger::On(on) => Some(Trigger::On(on.clone().after(on.delay().least + by))),
        Trigger::Every(_) => unreachable!("a schedule is resolved"),
    }
}

/// A fault that waits for an event comes earlier at an earlier event.
fn earlier(trial: &Trial<'_>, index: usize, by: Duration) -> Option<Trigger> {
    match &trial.file.schedule[index].trigger {
        Trigger::At(at) => {
            let at = at.least.checked_sub(by)?;
            Some(Trigger::At(TimeRange::exactly(at)))
        }
        Trigger::On(on) => {
            if let Some(after) = on.delay().least.checked_sub(by) {
                return Some(Trigger::On(on.clone().after(after)));
            }
            let trace = &trial.verdict.trace;
            let latest = trace.entries[trial.verdict.begun[index]?].at.checked_sub(by)?;
            let before = trace.entries.partition_point(|it| it.at <= latest);
            pin::on(trace, pin::event_before(trace, before)?, Duration::ZERO).map(Trigger::On)
        }
        Trigger::Every(_) => unreachable!("a schedule is resolved"),
    }
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).expect("shifts are short")
}
