//! The main job: everything that is claimed is checked, and every check is shown to bite.
//!
//! ```text
//! scenarios/**.toml ─┬─ every file is sound ─┬─ claims: each seed holds, one seed twice is the same run
//!                    │                       └─ planted/: the bug is caught by the property that is named
//!                    ├─ **.seed.toml: the run replays byte for byte with the verdict it states
//!                    └─ models: exhausted or bounded, with the counts that are expected
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seawall_models::{Size, check as model};

use xxhash_rust::xxh3::xxh3_64;

use crate::report::{Progress, Row, Summary, seed_directory};
use crate::run;
use crate::scenario::{Claim, FileError, Scenario};
use crate::seed_file::{Expected, SeedFile};
use crate::sweep::{self, Hunt, SeedResult};
use crate::verdict::{Counts, Result as Outcome, USAGE, Verdict};

/// What a path names.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// A scenario file.
    Scenario(Box<Scenario>),
    /// A seed file.
    Seed(PathBuf, Box<SeedFile>),
}

/// The scenario and seed files below `paths`, ascending.
///
/// # Errors
/// A path that does not exist, as a message with the nearest that does.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        let path = existing(path)?;
        if path.is_dir() {
            walk(&path, &mut found)?;
        } else {
            found.push(path);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The directory of all scenarios: that of the current directory, or that of this source tree.
pub fn scenario_directory() -> PathBuf {
    let here = PathBuf::from("scenarios");
    if here.is_dir() {
        return here;
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// `path` itself, or the scenario of that name: `crash/worker-after-ack`.
fn existing(path: &Path) -> Result<PathBuf, String> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    let root = scenario_directory();
    let by_name = root.join(format!("{}.toml", path.display()));
    if by_name.is_file() {
        return Ok(by_name);
    }
    let mut all = Vec::new();
    // The message is about the missing path, whatever else is wrong.
    let _ = walk(&root, &mut all);
    let names: Vec<String> = all.iter().map(|it| crate::scenario::name_of(it)).collect();
    let text = path.display().to_string();
    let wanted = crate::scenario::name_of(path);
    let nearest = crate::scenario::nearest(&wanted, names.iter().map(String::as_str));
    let hint = match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("the scenarios are below {}", root.display()),
    };
    Err(format!("no such scenario or directory: {text}\nhint: {hint}"))
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |it| format!("cannot list {}: {it}", directory.display());
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|it| it == "toml") {
            found.push(path);
        }
    }
    Ok(())
}

/// Reads every file; the files that are wrong are all told.
///
/// # Errors
/// What is wrong with which file.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Loaded>, Vec<FileError>> {
    let (mut loaded, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        let is_seed = path.to_string_lossy().ends_with(".seed.toml");
        let one = if is_seed {
            SeedFile::load(path).map(|it| Loaded::Seed(path.clone(), Box::new(it)))
        } else {
            Scenario::load(path).map(|it| Loaded::Scenario(Box::new(it)))
        };
        match one {
            Ok(one) => loaded.push(one),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(errors) }
}

/// One piece of work that a core takes at a time.
enum Unit<'a> {
    Seed(usize, &'a Scenario, u64),
    Twice(usize, &'a Scenario, u64),
    Hunt(usize, &'a Scenario, &'a [u64]),
    Replay(usize, &'a SeedFile),
}

enum Done {
    Seed(usize, SeedResult),
    Twice(usize, Duration, Option<Box<Verdict>>),
    Hunt(usize, Duration, Box<Hunt>),
    Replay(usize, Duration, Box<Verdict>),
}

impl Done {
    fn index(&self) -> usize {
        match self {
            Self::Seed(index, _)
            | Self::Twice(index, _, _)
            | Self::Hunt(index, _, _)
            | Self::Replay(index, _, _) => *index,
        }
    }
}

/// Runs everything that is loaded: each scenario over `seeds`, or its own seeds when `None`. A seed file
/// keeps its own.
pub fn sweep_all(loaded: &[Loaded], seeds: Option<&[u64]>, jobs: usize) -> Summary {
    let start = Instant::now();
    let mut units = Vec::new();
    for (index, one) in loaded.iter().enumerate() {
        match one {
            Loaded::Seed(_, file) => units.push(Unit::Replay(index, file)),
            Loaded::Scenario(scenario) => match &scenario.claim {
                Claim::Violates { .. } => {
                    units.push(Unit::Hunt(index, scenario, seeds.unwrap_or(&scenario.seeds)));
                }
                Claim::Expect(_) => {
                    let seeds = seeds.unwrap_or(&scenario.seeds);
                    let seeds = seeds.iter().copied();
                    units.extend(seeds.clone().map(|it| Unit::Seed(index, scenario, it)));
                    units.extend(seeds.take(1).map(|it| Unit::Twice(index, scenario, it)));
                }
            },
        }
    }
    let progress = Progress::new(units.len());
    let left: Vec<_> = loaded
        .iter()
        .enumerate()
        .map(|(index, _)| {
            let count = units.iter().filter(|it| it.index() == index).count();
            std::sync::atomic::AtomicUsize::new(count)
        })
        .collect();
    let done = sweep::in_parallel(&units, jobs, |unit| {
        let done = unit.run();
        let name = loaded[unit.index()].name();
        progress.advance(&name);
        let before = left[unit.index()].fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if before == 1 {
            progress.finished(&format!("{name}: done"));
        }
        done
    });
    progress.clear();
    let mut by_index: BTreeMap<usize, Vec<Done>> = BTreeMap::new();
    for one in done {
        by_index.entry(one.index()).or_default().push(one);
    }
    let rows = loaded
        .iter()
        .enumerate()
        .map(|(index, one)| row(one, by_index.remove(&index).unwrap_or_default()))
        .collect();
    Summary::new(rows, start.elapsed())
}

impl Unit<'_> {
    fn index(&self) -> usize {
        match self {
            Self::Seed(index, _, _)
            | Self::Twice(index, _, _)
            | Self::Hunt(index, _, _)
            | Self::Replay(index, _) => *index,
        }
    }

    fn run(&self) -> Done {
        let start = Instant::now();
        match self {
            Self::Seed(index, scenario, seed) => {
                Done::Seed(*index, sweep::one_seed(scenario, *seed))
            }
            Self::Twice(index, scenario, seed) => {
                let differs = sweep::twice(scenario, *seed).map(Box::new);
                Done::Twice(*index, start.elapsed(), differs)
            }
            Self::Hunt(index, scenario, seeds) => {
                let hunt = Box::new(sweep::hunt(scenario, seeds));
                Done::Hunt(*index, start.elapsed(), hunt)
            }
            Self::Replay(index, file) => {
                let verdict = run::run_with(&file.scenario, file.seed, file.schedule.clone());
                Done::Replay(*index, start.elapsed(), Box::new(verdict))
            }
        }
    }
}

impl Loaded {
    /// How tables call it.
    pub fn name(&self) -> String {
        match self {
            Self::Scenario(scenario) => scenario.name.clone(),
            Self::Seed(path, _) => format!("{}.seed", crate::scenario::name_of(path)),
        }
    }
}

/// Replays a seed file: the verdict, and what differs from what the file states with its exit code.
pub fn replay(file: &SeedFile) -> (Verdict, Result<(), (u8, String)>) {
    let verdict = run::run_with(&file.scenario, file.seed, file.schedule.clone());
    let found = Expected::of(&verdict.result);
    let outcome = match file.diverges_at(&verdict.trace) {
        Some(event) => {
            let line = match verdict.trace.entries.get(event - 1) {
                Some(entry) => verdict.trace.line(entry),
                None => "the trace ends there".to_owned(),
            };
            let recorded = file.footprint.as_ref().map_or(0, |it| it.marks.len());
            Err((
                Outcome::NotDeterministic { message: String::new() }.exit_code(),
                format!(
                    "diverged from the recorded run at event {event} of {recorded}: {}\n\
                     hint: another build draws otherwise; if the change is meant, record the run again",
                    line.trim()
                ),
            ))
        }
        None if found != file.expected => {
            let run = if file.footprint.is_some() { "the same run" } else { "it" };
            let message = format!("{run} was `{}` and is `{}`", file.expected, found);
            Err((1, message))
        }
        None => Ok(()),
    };
    (verdict, outcome)
}

fn row(loaded: &Loaded, done: Vec<Done>) -> Row {
    let name = loaded.name();
    let (mut seeds, mut counts, mut time) = (0, Counts::default(), Duration::ZERO);
    let mut failures: Vec<Box<Verdict>> = Vec::new();
    let mut happened: Vec<bool> = Vec::new();
    let mut digests: Vec<u8> = Vec::new();
    let mut replayed = None;
    let mut hunted = None;
    for one in done {
        match one {
            Done::Seed(_, result) => {
                seeds += 1;
                counts += result.counts;
                time += result.wall_time;
                digests.extend(result.digest.to_le_bytes());
                happened.resize(result.happened.len(), false);
                happened.iter_mut().zip(&result.happened).for_each(|(any, it)| *any |= it);
                failures.extend(result.failure);
            }
            Done::Twice(_, duration, differs) => {
                time += duration;
                failures.extend(differs);
            }
            Done::Hunt(_, duration, hunt) => {
                time += duration;
                seeds += hunt.seeds;
                counts += hunt.counts;
                hunted = Some(hunt);
            }
            Done::Replay(_, duration, verdict) => {
                time += duration;
                seeds += 1;
                counts += verdict.counts;
                replayed = Some(verdict);
            }
        }
    }
    let mut row = Row::new(&name, seeds, counts, time);
    row.digest = (!digests.is_empty()).then(|| format!("{:016x}", xxh3_64(&digests)));
    match loaded {
        Loaded::Seed(_, file) => regression(row, file, &replayed.expect("it was replayed")),
        Loaded::Scenario(scenario) => match (&scenario.claim, hunted) {
            (Claim::Violates { property, .. }, Some(hunt)) => hunted_row(row, property, *hunt),
            (Claim::Violates { .. } | Claim::Expect(_), _) => {
                claimed(row, scenario, &failures, &happened)
            }
        },
    }
}

/// A regression keeps its verdict. Its trace may move when the engine changes, which is told.
fn regression(row: Row, file: &SeedFile, verdict: &Verdict) -> Row {
    let found = Expected::of(&verdict.result);
    if found != file.expected {
        let message = format!("was `{}`: {}", file.expected.result, verdict.result.explain());
        let code = verdict.result.exit_code().max(1);
        return row.failed(&format!("is `{}` now", found.result), code, message);
    }
    let result = match file.diverges_at(&verdict.trace) {
        None => format!("replays: {}", found.result),
        Some(event) => format!("{}, moved at event {event}", found.result),
    };
    row.good(result)
}

fn hunted_row(row: Row, property: &str, hunt: Hunt) -> Row {
    if let Some(caught) = hunt.caught {
        return row.good(format!("caught by {property} at seed {}", caught.seed));
    }
    let other = hunt.other.unwrap_or_else(|| "every property held".to_owned());
    row.failed("not caught", 1, format!("no seed violates {property}; {other}"))
}

fn claimed(row: Row, scenario: &Scenario, failures: &[Box<Verdict>], happened: &[bool]) -> Row {
    let Some(first) = failures.iter().min_by_key(|it| (it.result.exit_code(), it.seed)) else {
        let Some(never) = happened.iter().position(|it| !it) else { return row };
        let message = format!(
            "fault {} never happened in {} seeds\n\
             hint: let it come earlier, wait for an event that occurs, or remove it",
            never + 1,
            row.seeds
        );
        return row.failed("a fault never happened", USAGE, message);
    };
    let mut lines = vec![format!("seed {}: {}", first.seed, first.result.explain())];
    if failures.len() > 1 {
        lines.push(format!("{} of {} seeds fail", failures.len(), row.seeds));
    }
    lines.push(match keep(scenario, first) {
        Ok(path) => format!("replay: cargo sim replay {}", path.display()),
        Err(error) => error,
    });
    let result = match &first.result {
        Outcome::Violated { property, .. } => format!("violated: {property}"),
        Outcome::Holds | Outcome::Stuck { .. } | Outcome::NotDeterministic { .. } => {
            first.result.name().to_owned()
        }
    };
    row.failed(&result, first.result.exit_code(), lines.join("\n"))
}

/// Writes the seed file of a run.
///
/// # Errors
/// When it cannot be written, as a message.
pub fn keep(scenario: &Scenario, verdict: &Verdict) -> Result<PathBuf, String> {
    let directory = seed_directory();
    std::fs::create_dir_all(&directory)
        .map_err(|it| format!("cannot create {}: {it}", directory.display()))?;
    let name = scenario.name.replace('/', "-");
    let path = directory.join(format!("{name}-{}.seed.toml", verdict.seed));
    let text = SeedFile::of(scenario, verdict).to_text();
    crate::report::write(&path, &text)?;
    Ok(path)
}

/// Checks the models at their small size, one row each, and that they catch the bugs planted in them.
pub fn check_models(jobs: usize) -> Vec<Row> {
    let models = seawall_models::models();
    let mut rows = sweep::in_parallel(models, jobs, |model| {
        let report = seawall_models::check(model.name, Size::Smoke).expect("it is listed");
        let name = format!("model/{}", model.name);
        let row = Row::new(&name, 0, Counts::default(), report.elapsed);
        let size = format!("{} states, depth {}", report.unique, report.depth);
        match &report.verdict {
            model::Verdict::Exhausted => row.good(format!("holds: {size}, exhausted")),
            model::Verdict::Violated { property, .. } => {
                row.failed(&format!("violated: {property}"), 1, report.to_string())
            }
            model::Verdict::Bounded { .. } | model::Verdict::Unreached { .. } => {
                row.failed("not shown", 1, report.to_string())
            }
        }
    });
    let start = Instant::now();
    let reverts = check_reverts(jobs);
    let missed: Vec<&Row> = reverts.iter().filter(|row| !row.is_good).collect();
    let row = Row::new("model/planted", 0, Counts::default(), start.elapsed());
    rows.push(if missed.is_empty() {
        row.good(format!("{} bugs, all caught", reverts.len()))
    } else {
        let names: Vec<_> = missed.iter().map(|row| row.name.as_str()).collect();
        row.failed("not caught", 1, names.join("\n"))
    });
    rows
}

/// Turns each rule off in the model that covers it: a row for each planted bug, good when the property
/// that states the rule fails.
pub fn check_reverts(jobs: usize) -> Vec<Row> {
    let planted: Vec<_> = seawall_models::plants::all().filter(|it| it.model.is_some()).collect();
    sweep::in_parallel(&planted, jobs, |plant| {
        let report = seawall_models::check_planted(plant).expect("a model reaches it");
        let name = format!("{} without {}", report.model, plant.rules.join(", "));
        let row = Row::new(&name, 0, Counts::default(), report.elapsed);
        match &report.verdict {
            model::Verdict::Violated { property, steps }
                if seawall_models::is_caught(plant, &report) =>
            {
                row.good(format!("{property} fails in {} steps: {}", steps.len(), plant.about))
            }
            model::Verdict::Violated { .. }
            | model::Verdict::Exhausted
            | model::Verdict::Bounded { .. }
            | model::Verdict::Unreached { .. } => {
                let expected = format!("{} is not caught by {}", plant.name, plant.model_property);
                row.failed("not caught", 1, format!("{expected}\n{report}"))
            }
        }
    })
}
