//! The main job: everything that is claimed is checked, and every check is shown to bite.
//!
//! ```text
//! scenarios/**.toml ─┬─ every file is sound ─┬─ claims: each seed holds, one seed twice is the same run
//!                    │                       └─ planted/: the bug is caught by the property that is named
//!                    ├─ **.seed.toml: the run replays byte for byte with the verdict it states
//!                    └─ models: exhausted or bounded, with the counts that are expected
//! ```

use std::path::{Path, PathBuf};
use std::time::Instant;

use seawall_models::{Size, check as model};

use crate::report::{Row, seed_directory};
use crate::run;
use crate::scenario::{FileError, Scenario};
use crate::seed_file::{Expected, SeedFile};
use crate::swarm::Profile;
use crate::sweep;
use crate::verdict::{Counts, Result as Outcome, Verdict};

/// What a path names.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// A scenario file.
    Scenario(Box<Scenario>),
    /// A seed file.
    Seed(PathBuf, Box<SeedFile>),
    /// A scenario for each seed.
    Swarm(Profile),
}

/// The scenario and seed files below `paths`, ascending, and the names of swarms.
///
/// # Errors
/// A path that does not exist, as a message with the nearest that does.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if profile(path).is_some() {
            found.push(path.clone());
            continue;
        }
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

/// The swarm that a path names, unless a file has that name.
pub fn profile(path: &Path) -> Option<Profile> {
    Profile::from_name(path.to_str()?).filter(|_| !path.exists())
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
        if let Some(profile) = profile(path) {
            loaded.push(Loaded::Swarm(profile));
            continue;
        }
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

impl Loaded {
    /// How tables call it.
    pub fn name(&self) -> String {
        match self {
            Self::Scenario(scenario) => scenario.name.clone(),
            Self::Seed(path, _) => format!("{}.seed", crate::scenario::name_of(path)),
            Self::Swarm(profile) => profile.name().to_owned(),
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

/// Where the seed file of a run is written.
pub fn seed_path(name: &str, seed: u64) -> PathBuf {
    seed_directory().join(format!("{}-{seed}.seed.toml", name.replace('/', "-")))
}

/// Writes the seed file of a run.
///
/// # Errors
/// When it cannot be written, as a message.
pub fn keep(scenario: &Scenario, verdict: &Verdict) -> Result<PathBuf, String> {
    let directory = seed_directory();
    std::fs::create_dir_all(&directory)
        .map_err(|it| format!("cannot create {}: {it}", directory.display()))?;
    let path = seed_path(&scenario.name, verdict.seed);
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
