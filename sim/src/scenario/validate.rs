//! From the shapes of a scenario file to its meaning. All problems are collected before stopping.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use seawall_protocol::config::{CheckpointMode, RestartStrategy, StateBackend};
use toml::Spanned;

use super::ScenarioText;
use super::meaning::{Claim, Cluster, Scenario, Workload};
use super::problem::{FileError, Problem, list_names, unknown};
use super::quantity::Seeds;
use crate::fault::{Fault, FaultText};
use crate::{legal, run, workload as job};

mod checkpoint;
mod fault;
mod restart;
mod workload;

impl Scenario {
    /// Reads a scenario from its text. `name` is folder and file name: `crash/worker-after-ack`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, FileError> {
        let shapes: ScenarioText =
            toml::from_str(text).map_err(|it| FileError::toml(name, text, &it))?;
        let mut reader = Reader { text, ..Reader::default() };
        let scenario = reader.scenario(name, text, shapes);
        let mut problems = reader.problems;
        match scenario {
            Some(scenario) if problems.is_empty() => Ok(scenario),
            _ => {
                problems.sort_by_key(|it| it.span.as_ref().map(|it| it.start));
                Err(FileError { file: name.to_owned(), text: text.to_owned(), problems })
            }
        }
    }

    /// Reads the resolved faults of a seed file, which have the form of a scenario's.
    pub(crate) fn read_schedule(
        &self,
        text: &str,
        faults: &[Spanned<FaultText>],
    ) -> Result<Vec<Fault>, Vec<Problem>> {
        let Cluster { workers, slots_per_worker } = self.cluster;
        let slots = workers * slots_per_worker;
        let subtasks = subtasks(&self.workload);
        let until = self.until;
        let mut reader = Reader { text, workers, slots, until, subtasks, ..Reader::default() };
        let faults: Vec<_> =
            faults.iter().enumerate().map(|(index, it)| reader.fault(index + 1, it)).collect();
        match faults.into_iter().collect() {
            Some(faults) if reader.problems.is_empty() => Ok(faults),
            _ => Err(reader.problems),
        }
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    /// When it cannot be read, and everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|it| FileError::whole(&file, format!("cannot read the scenario: {it}")))?;
        Self::parse(&name_of(path), &text)
            .and_then(Self::of_this_program)
            .map_err(|it| FileError { file, ..it })
    }

    /// The scenario, when this program has its job.
    ///
    /// # Errors
    /// Who has it.
    pub fn of_this_program(self) -> Result<Self, FileError> {
        if !self.workload.is_own {
            return Ok(self);
        }
        let header = "[own_job]";
        let start = self.text.find(header).unwrap_or_default();
        let message = format!("the job `{}` is of another crate", self.workload.job);
        let problem = Problem::at(start..start + header.len(), message).hint(
            "replay the seed file in that crate's test: `.replay(\"FILE\").unwrap()` on its `Storm`",
        );
        Err(FileError { file: self.name, text: self.text, problems: vec![problem] })
    }
}

/// Folder and file name without its ending.
pub fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_suffix(".seed").unwrap_or(&stem).to_owned();
    match path.parent().and_then(Path::file_name) {
        Some(kind) => format!("{}/{stem}", kind.to_string_lossy()),
        None => stem,
    }
}

#[derive(Default)]
struct Reader<'a> {
    /// The file.
    text: &'a str,
    problems: Vec<Problem>,
    workers: u32,
    /// Of all workers together.
    slots: u32,
    until: Duration,
    /// The names of the job's subtasks, when the job is known.
    subtasks: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn at_least_one(&mut self, what: &str, value: &Spanned<u32>) -> u32 {
        if *value.get_ref() == 0 {
            self.problem(Problem::at(value.span(), format!("{what} is 0, expected at least 1")));
        }
        *value.get_ref()
    }

    fn scenario(&mut self, name: &str, text: &str, shapes: ScenarioText) -> Option<Scenario> {
        self.until = shapes.until.get_ref().0;
        if self.until.is_zero() {
            self.problem(Problem::at(
                shapes.until.span(),
                "`until` is 0, expected the length of the safety phase",
            ));
        }
        if shapes.about.get_ref().trim().is_empty() {
            self.problem(
                Problem::at(shapes.about.span(), "`about` is empty")
                    .hint("one sentence: the circumstance, then the danger"),
            );
        }
        let claim = self.claim(name, &shapes);
        let seeds = self.seeds(&shapes.seeds);
        let cluster = self.cluster(&shapes);
        let workload = self.workload(&shapes, cluster);
        self.subtasks = workload.as_ref().map(subtasks).unwrap_or_default();
        let checkpoint = self.checkpoint(&shapes.checkpoint);
        let state = self.state(&shapes.state);
        if state == StateBackend::Heap
            && let Some(incremental) = shapes.checkpoint.incremental.as_ref()
        {
            let message = "`incremental` has no effect: snapshots of the heap backend are full";
            self.problem(
                Problem::at(incremental.span(), message.to_owned())
                    .hint("set state.backend to \"disk\""),
            );
        }
        if checkpoint.mode == CheckpointMode::AtLeastOnce
            && let Some(expect) = &shapes.expect
        {
            for property in expect.get_ref().iter().filter(|it| run::is_exactly_once(it.get_ref()))
            {
                self.problem(
                    Problem::at(
                        property.span(),
                        format!("at-least-once mode does not promise `{}`", property.get_ref()),
                    )
                    .hint("expect `no-loss`, or set checkpoint.mode to \"exactly-once\""),
                );
            }
        }
        let restart = match &shapes.restart {
            Some(restart) => self.restart(restart),
            None => Some(RestartStrategy::default()),
        };
        let heartbeat = self.heartbeat(&shapes.heartbeat);
        let then = shapes.then.as_ref().map(|it| self.then(it));
        let faults: Vec<_> = shapes
            .fault
            .iter()
            .enumerate()
            .map(|(index, fault)| self.fault(index + 1, fault))
            .collect();
        Some(Scenario {
            name: name.to_owned(),
            about: shapes.about.into_inner(),
            claim: claim?,
            seeds,
            until: self.until,
            workload: workload?,
            cluster,
            checkpoint,
            state,
            restart: restart?,
            heartbeat,
            is_buggified: shapes.buggify,
            then,
            faults: faults.into_iter().collect::<Option<_>>()?,
            text: text.to_owned(),
        })
    }

    fn claim(&mut self, name: &str, shapes: &ScenarioText) -> Option<Claim> {
        let top = || 0..0;
        let is_planted = name.starts_with("planted/");
        match (&shapes.expect, &shapes.plant, &shapes.violates) {
            (Some(expect), None, None) => {
                if is_planted {
                    self.problem(
                        Problem::at(expect.span(), "`expect` in a scenario of planted/")
                            .hint("name the bug with `plant` and the property that must see it with `violates`"),
                    );
                }
                if expect.get_ref().is_empty() {
                    self.problem(Problem::at(
                        expect.span(),
                        format!(
                            "`expect` is empty, expected some of {}",
                            list_names(legal::properties())
                        ),
                    ));
                }
                let mut seen = BTreeSet::new();
                for property in expect.get_ref() {
                    self.name("property", property, &legal::properties());
                    if !seen.insert(property.get_ref()) {
                        let message = format!("property `{}` is listed twice", property.get_ref());
                        self.problem(Problem::at(property.span(), message));
                    }
                }
                Some(Claim::Expect(
                    expect.get_ref().iter().map(|it| it.get_ref().clone()).collect(),
                ))
            }
            (None, Some(plant), Some(violates)) => {
                if !is_planted {
                    self.problem(Problem::at(plant.span(), "`plant` outside planted/").hint(
                        "move the file to scenarios/planted/, or claim what holds with `expect`",
                    ));
                }
                self.name("planted bug", plant, &legal::plants());
                self.name("property", violates, &legal::properties());
                Some(Claim::Violates {
                    plant: plant.get_ref().clone(),
                    property: violates.get_ref().clone(),
                })
            }
            (None, None, None) => {
                self.problem(
                    Problem::at(
                        top(),
                        "the scenario claims nothing, expected `expect`, or `plant` and `violates`",
                    )
                    .hint(format!("the properties are {}", list_names(legal::properties()))),
                );
                None
            }
            (None, Some(plant), None) => {
                self.problem(Problem::at(
                    plant.span(),
                    "`plant` without `violates`, expected the property that must see the bug",
                ));
                None
            }
            (None, None, Some(violates)) => {
                self.problem(Problem::at(
                    violates.span(),
                    "`violates` without `plant`, expected the bug that is planted",
                ));
                None
            }
            (Some(expect), _, _) => {
                self.problem(Problem::at(
                    expect.span(),
                    "`expect` beside `plant` or `violates`, expected one claim",
                ));
                None
            }
        }
    }

    fn name(&mut self, what: &str, name: &Spanned<String>, legal: &[&str]) {
        if !legal.contains(&name.get_ref().as_str()) {
            self.problem(unknown(name.span(), what, name.get_ref(), legal.iter().copied()));
        }
    }

    fn seeds(&mut self, seeds: &Spanned<Seeds>) -> Vec<u64> {
        let list = &seeds.get_ref().0;
        if list.is_empty() {
            self.problem(Problem::at(seeds.span(), "`seeds` is empty, expected at least one seed"));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = list.iter().find(|it| !seen.insert(**it)) {
            let message = format!("seed {twice} is listed twice, which has no effect");
            self.problem(Problem::at(seeds.span(), message));
        }
        list.clone()
    }
}

fn subtasks(workload: &Workload) -> Vec<String> {
    let Some(job) = job::graph(workload) else { return Vec::new() };
    job.subtasks().map(|it| job.subtask_name(it)).collect()
}
