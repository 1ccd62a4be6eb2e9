//! A guided sweep: rounds of runs, each drawn from what the rounds before it reached.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{Done, Plan, SWARM_SEEDS, Tally, run_one, signature, summary, work_off};
use crate::guided::{Guide, Run};
use crate::report::{self, Progress, Summary};
use crate::swarm::Profile;
use crate::verdict::Verdict;
use crate::verify::{self, Loaded};

/// As many runs as the plan has seeds, the first of which is the base.
pub fn sweep_guided(profile: Profile, plan: &Plan) -> Summary {
    let start = Instant::now();
    let seeds = plan.seeds.as_deref().unwrap_or_default();
    let runs = match seeds.len() {
        0 if plan.is_endless => None,
        0 => Some(usize::try_from(SWARM_SEEDS).expect("a few seeds")),
        some => Some(some),
    };
    let mut guide = Guide::new(profile, seeds.first().copied().unwrap_or(1));
    let mut tally = Tally::default();
    let (mut made, mut first_somewhere) = (0, 0);
    let mut kept = BTreeSet::new();
    let mut progress = Progress::new(runs);
    while !plan.stop.is_due() {
        let round = guide.round(runs.map_or(usize::MAX, |it| it - made));
        if round.is_empty() {
            break;
        }
        let mut results = BTreeMap::new();
        work_off(
            round.iter(),
            plan.jobs,
            &plan.stop,
            |run| run_one(&run.scenario, run.seed),
            |number, _, result| {
                progress.advance(profile.name(), tally.failed());
                results.insert(number, result);
            },
        );
        for (number, (result, scenario)) in results {
            let run = &round[number];
            first_somewhere += usize::from(guide.learn(run, &result.coverage));
            if let Some(verdict) = &result.failure
                && run.is_changed
                && kept.insert(signature(verdict))
            {
                keep(run, verdict);
            }
            tally.add(made + number, Done::Seed(result, scenario));
        }
        made += round.len();
    }
    progress.clear();
    let mut summary = summary(&[Loaded::Swarm(profile)], vec![tally], plan, start);
    for row in summary.rows.iter_mut().filter(|it| it.is_good) {
        row.result = format!("holds, {first_somewhere} reached something first");
    }
    summary
}

/// No seed draws a changed run again, so the first of each kind of failure is written down.
fn keep(run: &Run, verdict: &Verdict) {
    if let Err(error) = verify::keep(&run.scenario, verdict) {
        report::error(&error);
    }
}
