//! `docs/planted-bugs.md`: a row for each planted bug, and what they say together.

use std::fmt;

use super::{Bug, Outcome, Plan, claim, median};
use crate::plants::Plant;
use crate::scenario::Scenario;

/// Where the page is kept.
pub const PATH: &str = "docs/planted-bugs.md";

const HEADER: &str = "\
| plant | what it does | the real bug | seen by | budget | seeds to find | in budget | faults left | records left | shrunk in | outcome |
| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
";

/// The whole page.
pub fn page(bugs: &[Bug], plan: Plan) -> String {
    let rows: Vec<String> = bugs.iter().map(row).collect();
    let Plan { sweeps, seeds_max, shrinking, jobs: _ } = plan;
    format!(
        "\
# Planted bugs

Defects that are put into the engine on purpose, most of them re-creations of bugs that stream processors
really had. An oracle that never fails proves nothing: each of these is one that must. Written by

    cargo sim planted

{sweeps} sweeps over each scenario of `scenarios/planted`, each from a seed base of its own (1, 1001, 2001, ...), until
the property that the scenario names is violated. The budget is the scenario's `seeds`; a sweep goes on to {seeds_max} seeds
to learn how far it missed. A failure counts only when the same seed without the plant does not fail alike. The first
failure is shrunk on one core for {} s at most; `*` means that the time was up before nothing simpler was left to try.

- **killed**: the median sweep finds it within the budget;
- **reached**: it changes the trace of a seed, and no property says so in time;
- **not reached**: the runs with it are, byte for byte, the runs without it.

{}

## The bugs

{HEADER}{}",
        shrinking.as_secs(),
        summary(bugs),
        rows.concat(),
    )
}

/// What the bugs say together, one line each.
pub fn summary(bugs: &[Bug]) -> String {
    let count = |outcome| bugs.iter().filter(|it| it.outcome == outcome).count();
    let killed = count(Outcome::Killed);
    let share = 100 * killed / bugs.len().max(1);
    let small = || bugs.iter().filter_map(|it| it.small);
    let always = bugs.iter().filter(|it| it.in_budget() == it.found.len()).count();
    let few = small().filter(|it| it.faults <= 3).count();
    let done = small().filter(|it| it.is_minimal).count();
    let seeds = median(bugs.iter().map(|it| it.seeds_to_find().unwrap_or(usize::MAX)));
    [
        format!("- planted bugs: {}, of which {killed} are killed ({share} %), {} reached and not killed, {} not reached", bugs.len(), count(Outcome::Reached), count(Outcome::NotReached)),
        format!("- {always} are found within their budget by every sweep"),
        format!("- seeds to find: {} in the median", or_dash(seeds.filter(|it| *it != usize::MAX))),
        format!("- faults left: {} in the median; {few} of {} shrink to 3 or fewer", or_dash(median(small().map(|it| it.faults))), small().count()),
        format!("- time to shrink: {} s in the median; {done} of {} came to their end", or_dash(median(small().map(|it| it.seconds)).map(|it| format!("{it:.1}"))), small().count()),
    ]
    .join("\n")
}

/// The cells of a row that a scenario says before it runs.
pub(super) fn facts(scenario: &Scenario, plant: &Plant) -> String {
    let (_, property) = claim(scenario);
    let name = scenario.name.trim_start_matches("planted/");
    let Plant { about, bug, .. } = plant;
    let budget = scenario.seeds.len();
    format!(
        "| [{name}](../scenarios/planted/{name}.toml) | {about} | {bug} | `{property}` | {budget} |"
    )
}

/// Whether a page has exactly one row for each of these scenarios, and each as it is now.
///
/// # Errors
/// What is missing, or too much.
pub fn is_of(page: &str, scenarios: &[&Scenario]) -> Result<(), String> {
    let facts: Vec<String> = scenarios.iter().map(|it| facts(it, &claim(it).0)).collect();
    let rows: Vec<&str> = page.lines().filter(|it| it.starts_with("| [")).collect();
    let is_row_of = |row: &str| facts.iter().any(|it| row.starts_with(it));
    let missing = facts.iter().filter(|it| !rows.iter().any(|row| row.starts_with(*it)));
    let stale = rows.iter().filter(|row| !is_row_of(row)).map(|it| (*it).to_owned());
    let wrong: Vec<String> = missing
        .map(|it| format!("missing: {it}"))
        .chain(stale.map(|it| format!("stale: {it}")))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn row(bug: &Bug) -> String {
    let sweeps = bug.found.len();
    let seeds = bug.seeds_to_find().map_or_else(|| "none".to_owned(), |it| it.to_string());
    let small = match bug.small {
        None => "- | - | -".to_owned(),
        Some(it) => format!(
            "{} of {} | {} of {} | {:.1} s{}",
            it.faults,
            it.faults_before,
            it.records,
            it.records_before,
            it.seconds,
            if it.is_minimal { "" } else { " *" }
        ),
    };
    format!("{} {seeds} | {}/{sweeps} | {small} | {} |\n", bug.facts, bug.in_budget(), bug.outcome)
}

fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |it| it.to_string())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Reached => "reached",
            Self::NotReached => "not reached",
        })
    }
}
