//! From the shapes of a scenario file to its meaning. All problems are collected before stopping.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use seawall_protocol::config::{
    Alignment, CheckpointConfig, CheckpointMode, HeartbeatConfig, RestartStrategy,
    RetentionOnCancel, StateBackend, TriggerCombination,
};
use seawall_protocol::event::Event;
use seawall_protocol::limits;
use seawall_runtime::control::Ask;
use toml::Spanned;

use super::problem::{FileError, Problem, list_names, unknown};
use super::quantity::{Percent, Time, TimeRange};
use super::{
    CheckpointText, FaultText, HeartbeatText, OnText, RestartText, ScenarioText, StateText,
    ThenText,
};
use crate::{fault, legal, run, workload};

/// A scenario: what runs, what the world does to it, and what must hold all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Folder and file name: `crash/worker-after-ack`.
    pub name: String,
    /// One sentence: circumstance, then danger.
    pub about: String,
    /// What is claimed.
    pub claim: Claim,
    /// The seeds it is swept over.
    pub seeds: Vec<u64>,
    /// The end of the safety phase: all faults heal.
    pub until: Duration,
    /// What runs.
    pub workload: Workload,
    /// On what.
    pub cluster: Cluster,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// Where live state is.
    pub state: StateBackend,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
    /// What a person does when the job ended.
    pub then: Option<Then>,
    /// What the world does.
    pub faults: Vec<Fault>,
    /// The file.
    pub text: String,
}

/// The job is started once more, in a data directory of its own, on the same output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Then {
    /// From where.
    pub start_from: StartFrom,
    /// Whether the new run owns the savepoint.
    pub is_claiming: bool,
    /// Whether what was committed behind the savepoint is taken back.
    pub is_rewinding: bool,
    /// Whether the first run's data directory and the savepoint are deleted once the new run has its own.
    pub is_original_deleted: bool,
}

/// Which savepoint a job is started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// The one that it stopped with, if it did.
    Stop,
    /// The oldest that was handed out, if one was.
    Savepoint,
}

/// What a scenario claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// These properties hold, and the run has really put them to the test.
    Expect(Vec<String>),
    /// With this bug planted, this property is violated in at least one of the seeds.
    Violates {
        /// The planted bug.
        plant: String,
        /// The property that must see it.
        property: String,
    },
}

/// The job and its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// A built-in job.
    pub job: String,
    /// Subtasks of each chain.
    pub parallelism: u32,
    /// Input records.
    pub records: u64,
    /// Distinct keys among them.
    pub keys: u64,
    /// Records per second of each source, if limited.
    pub rate: Option<u64>,
    /// Records per second that all sink subtasks take.
    pub sink_rate: Option<u64>,
    /// Input files, for the jobs that read files.
    pub files: u32,
    /// Whether they are compressed: one source then reads the whole of a file.
    pub gzip: bool,
}

/// The nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// Workers, named `worker-1` and so on.
    pub workers: u32,
    /// Subtasks of each chain a worker has room for.
    pub slots_per_worker: u32,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub verb: Verb,
}

/// When a fault happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// At a virtual time.
    At(TimeRange),
    /// At a protocol event.
    On(On),
    /// Again and again in the safety phase, with this mean interval.
    Every(Duration),
}

/// A protocol event to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct On {
    /// Its name.
    pub event: String,
    /// The first is 1; counted among the events that match.
    pub nth: u32,
    /// Only events of this checkpoint.
    pub checkpoint: Option<u64>,
    /// Only events of this subtask, such as `count/0`.
    pub subtask: Option<String>,
    /// Only events of this node.
    pub node: Option<Node>,
    /// How long after it.
    pub after: TimeRange,
}

/// What the world does. Durations that are absent last to the end of the safety phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// A node loses its memory and what it did not sync.
    Crash {
        /// Who.
        node: Nodes,
        /// When it is back.
        restart_after: Option<TimeRange>,
    },
    /// A node stops and keeps its memory.
    Pause {
        /// Who.
        node: Nodes,
        /// When it goes on.
        resume_after: Option<TimeRange>,
    },
    /// Nothing arrives from one side at the other.
    Partition {
        /// Senders.
        from: Vec<Nodes>,
        /// Receivers.
        to: Vec<Nodes>,
        /// In both directions.
        both: bool,
        /// When it heals.
        heal_after: Option<TimeRange>,
    },
    /// Every connection between the two sides breaks; new ones can be made.
    Reset {
        /// One side.
        from: Vec<Nodes>,
        /// The other.
        to: Vec<Nodes>,
    },
    /// Frames from one side to the other take longer.
    SlowNetwork {
        /// Senders.
        from: Vec<Nodes>,
        /// Receivers.
        to: Vec<Nodes>,
        /// In both directions.
        both: bool,
        /// How long each frame takes.
        latency: TimeRange,
        /// How long it stays so.
        lasts: Option<TimeRange>,
    },
    /// Every disk operation of a node takes longer.
    SlowDisk {
        /// Whose.
        node: Nodes,
        /// How long each operation takes.
        latency: TimeRange,
        /// How long it stays so.
        lasts: Option<TimeRange>,
    },
    /// The checkpoint storage stalls once for a node: its next sync takes this long.
    SlowCheckpoint {
        /// Whose.
        node: Nodes,
        /// How long.
        stall: TimeRange,
    },
    /// Disk operations of a node fail.
    FailDisk {
        /// Whose.
        node: Nodes,
        /// How.
        error: DiskError,
        /// How many operations.
        count: u32,
        /// Only on paths that contain this.
        path: Option<String>,
    },
    /// Somebody asks for something, again and again until the job answers.
    Ask(Ask),
}

impl Verb {
    /// The key in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::Pause { .. } => "pause",
            Self::Partition { .. } => "partition",
            Self::Reset { .. } => "reset",
            Self::SlowNetwork { .. } => "slow_network",
            Self::SlowDisk { .. } => "slow_disk",
            Self::SlowCheckpoint { .. } => "slow_checkpoint",
            Self::FailDisk { .. } => "fail_disk",
            Self::Ask(_) => "ask",
        }
    }
}

/// How a disk operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// The device reports an error.
    Io,
    /// There is no room.
    Full,
}

impl DiskError {
    /// The names in a file.
    pub const NAMES: [&'static str; 2] = ["io", "full"];

    /// The name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Full => "full",
        }
    }

    /// From the name in a file.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "io" => Some(Self::Io),
            "full" => Some(Self::Full),
            _ => None,
        }
    }
}

/// A node of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The coordinator.
    Coordinator,
    /// A worker, numbered from 1.
    Worker(u32),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("coordinator"),
            Self::Worker(number) => write!(f, "worker-{number}"),
        }
    }
}

impl Node {
    /// From its name.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "coordinator" {
            return Some(Self::Coordinator);
        }
        let number: u32 = name.strip_prefix("worker-")?.parse().ok()?;
        (Self::Worker(number).to_string() == name).then_some(Self::Worker(number))
    }
}

/// One node, or one that the seed chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// This one.
    One(Node),
    /// `worker-*`: a worker drawn from the seed.
    AnyWorker,
    /// `*`: any node, drawn from the seed.
    Any,
}

impl Scenario {
    /// Reads a scenario from its text. `name` is folder and file name: `crash/worker-after-ack`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, FileError> {
        let shapes: ScenarioText =
            toml::from_str(text).map_err(|it| FileError::toml(name, text, &it))?;
        let mut reader = Reader::default();
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
        faults: &[Spanned<FaultText>],
    ) -> Result<Vec<Fault>, Vec<Problem>> {
        let workers = self.cluster.workers;
        let subtasks = subtasks(&self.workload);
        let mut reader = Reader { workers, until: self.until, subtasks, ..Reader::default() };
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
        Self::parse(&name_of(path), &text).map_err(|it| FileError { file, ..it })
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
struct Reader {
    problems: Vec<Problem>,
    workers: u32,
    until: Duration,
    /// The names of the job's subtasks, when the job is known.
    subtasks: Vec<String>,
}

impl Reader {
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

    fn seeds(&mut self, seeds: &Spanned<super::quantity::Seeds>) -> Vec<u64> {
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

    fn cluster(&mut self, shapes: &ScenarioText) -> Cluster {
        let cluster = &shapes.cluster;
        self.workers = self.at_least_one("`workers`", &cluster.workers);
        if self.workers as usize > limits::WORKERS_MAX {
            let message =
                format!("{} workers, expected at most {}", self.workers, limits::WORKERS_MAX);
            self.problem(Problem::at(cluster.workers.span(), message));
        }
        if let Some(coordinators) = &cluster.coordinators
            && *coordinators.get_ref() != 1
        {
            self.problem(Problem::at(
                coordinators.span(),
                format!(
                    "{} coordinators, expected 1: there is no leader election yet",
                    coordinators.get_ref()
                ),
            ));
        }
        Cluster {
            workers: self.workers,
            slots_per_worker: self.at_least_one("`slots_per_worker`", &cluster.slots_per_worker),
        }
    }

    fn workload(&mut self, shapes: &ScenarioText, cluster: Cluster) -> Option<Workload> {
        let job = &shapes.job;
        let name = job.name.get_ref().as_str();
        self.name("job", &job.name, &legal::jobs());
        let parallelism = self.at_least_one("`parallelism`", &job.parallelism);
        let slots = u64::from(cluster.workers) * u64::from(cluster.slots_per_worker);
        if u64::from(parallelism) > slots {
            self.problem(
                Problem::at(
                    job.parallelism.span(),
                    format!(
                        "parallelism {parallelism} needs {parallelism} slots, the cluster has {slots}: {} workers with {} each",
                        cluster.workers, cluster.slots_per_worker
                    ),
                )
                .hint("raise cluster.workers or cluster.slots_per_worker, or lower job.parallelism"),
            );
        }
        let (records, keys) = (*job.records.get_ref(), *job.keys.get_ref());
        if keys == 0 || keys > records.max(1) {
            self.problem(Problem::at(
                job.keys.span(),
                format!("{keys} keys, expected 1 to the number of records ({records})"),
            ));
        }
        let reads_files = workload::reads_files(name);
        let files = match (&job.files, reads_files) {
            (Some(files), true) => self.at_least_one("`files`", files),
            (None, true) => 1,
            (Some(files), false) => {
                self.problem(Problem::at(
                    files.span(),
                    format!("`files` has no effect: {name} reads no files"),
                ));
                return None;
            }
            (None, false) => 0,
        };
        if let (Some(gzip), false) = (&job.gzip, reads_files) {
            let message = format!("`gzip` has no effect: {name} reads no files");
            self.problem(Problem::at(gzip.span(), message));
        }
        if let Some(rate) = &job.sink_rate
            && !workload::has_slow_sink(name)
        {
            self.problem(Problem::at(
                rate.span(),
                format!("`sink_rate` has no effect: the sink of {name} has no limit"),
            ));
        }
        Some(Workload {
            job: name.to_owned(),
            parallelism,
            records,
            keys,
            rate: job.rate.as_ref().map(|it| it.get_ref().0),
            sink_rate: job.sink_rate.as_ref().map(|it| it.get_ref().0),
            files,
            gzip: job.gzip.as_ref().is_some_and(|it| *it.get_ref()),
        })
    }

    /// `"aligned"`, `"unaligned"`, or how long a barrier waits before it overtakes: `"200ms"`.
    fn alignment(&mut self, text: &CheckpointText) -> Alignment {
        let Some(alignment) = &text.alignment else { return Alignment::Aligned };
        let chosen = match alignment.get_ref().as_str() {
            "aligned" => return Alignment::Aligned,
            "unaligned" => Alignment::Unaligned,
            other => {
                let Ok(time) = super::quantity::parse_time(other) else {
                    let message = format!("`{other}` is no alignment");
                    let hint = "`aligned`, `unaligned`, or a time such as `200ms`";
                    self.problem(Problem::at(alignment.span(), message).hint(hint));
                    return Alignment::Aligned;
                };
                Alignment::AlignedFor(time)
            }
        };
        let is_counted = text.mode.as_ref().is_some_and(|it| it.get_ref() == "at-least-once");
        let overlaps = text.max_concurrent.as_ref().is_some_and(|it| *it.get_ref() > 1);
        if is_counted {
            let message = "at-least-once mode has no barrier that could overtake";
            self.problem(
                Problem::at(alignment.span(), message.to_owned())
                    .hint("leave `alignment` out, or set checkpoint.mode to \"exactly-once\""),
            );
        }
        if overlaps {
            let message = "checkpoints whose barriers overtake are taken one at a time";
            self.problem(
                Problem::at(alignment.span(), message.to_owned())
                    .hint("leave `max_concurrent` out, or set it to 1"),
            );
        }
        chosen
    }

    fn checkpoint(&mut self, text: &CheckpointText) -> CheckpointConfig {
        let defaults = CheckpointConfig::default();
        let mode = match &text.mode {
            None => CheckpointMode::ExactlyOnce,
            Some(mode) => {
                self.name("mode", mode, &["exactly-once", "at-least-once"]);
                match mode.get_ref().as_str() {
                    "at-least-once" => CheckpointMode::AtLeastOnce,
                    _ => CheckpointMode::ExactlyOnce,
                }
            }
        };
        for time in [&text.interval, &text.timeout].into_iter().flatten() {
            if time.get_ref().0 < limits::CHECKPOINT_TIME_MIN {
                let message = format!(
                    "`{}` is too short, expected at least {}",
                    super::quantity::show_time(time.get_ref().0),
                    super::quantity::show_time(limits::CHECKPOINT_TIME_MIN)
                );
                self.problem(Problem::at(time.span(), message));
            }
        }
        let bounded =
            |this: &mut Self, value: &Option<Spanned<u32>>, what: &str, most: u32, default: u32| {
                let Some(value) = value else { return default };
                if *value.get_ref() == 0 || *value.get_ref() > most {
                    let message = format!("{what} is {}, expected 1 to {most}", value.get_ref());
                    this.problem(Problem::at(value.span(), message));
                }
                *value.get_ref()
            };
        let combination = text.combination.as_ref().is_some_and(|it| {
            self.name("combination", it, &["any", "all"]);
            it.get_ref() == "all"
        });
        let is_retaining = text.on_cancel.as_ref().is_some_and(|it| {
            self.name("retention", it, &["delete", "retain"]);
            it.get_ref() == "retain"
        });
        if let Some(records) = &text.every_records
            && *records.get_ref() == 0
        {
            let message = "`every_records` is 0, expected at least 1";
            self.problem(Problem::at(records.span(), message));
        }
        let counts = text.every_records.is_some() || text.every_dirty_bytes.is_some();
        let pending_max = u32::try_from(limits::PENDING_CHECKPOINTS_MAX).expect("a small limit");
        CheckpointConfig {
            mode,
            alignment: self.alignment(text),
            interval: match &text.interval {
                Some(interval) => Some(interval.get_ref().0),
                None if counts => None,
                None => defaults.interval,
            },
            interval_during_backlog: text.interval_during_backlog.map(|it| it.0),
            every_records: text.every_records.as_ref().map(|it| *it.get_ref()),
            every_dirty_bytes: text.every_dirty_bytes.as_ref().map(|it| it.get_ref().0),
            combination: if combination {
                TriggerCombination::All
            } else {
                TriggerCombination::Any
            },
            expiration: text.expiration.map(|it| it.0),
            on_cancel: if is_retaining {
                RetentionOnCancel::Retain
            } else {
                RetentionOnCancel::Delete
            },
            timeout: text.timeout.as_ref().map_or(defaults.timeout, |it| it.get_ref().0),
            min_pause: text.min_pause.map_or(defaults.min_pause, |it| it.0),
            max_concurrent: bounded(
                self,
                &text.max_concurrent,
                "`max_concurrent`",
                pending_max,
                defaults.max_concurrent,
            ),
            tolerable_failures: text.tolerable_failures.unwrap_or(defaults.tolerable_failures),
            retained: bounded(
                self,
                &text.retained,
                "`retained`",
                limits::RETAINED_MAX,
                defaults.retained,
            ),
            is_incremental: text.incremental.as_ref().is_some_and(|it| *it.get_ref()),
            ..defaults
        }
    }

    fn state(&mut self, text: &StateText) -> StateBackend {
        /// Half of it is the store's, which must hold a few pages at least.
        const CACHE_MIN: u64 = 16 << 10;
        let backend = text.backend.as_ref().map_or("heap", |it| it.get_ref().as_str());
        if let Some(named) = &text.backend {
            self.name("backend", named, &["heap", "disk"]);
        }
        if backend != "disk" {
            if let Some(cache) = &text.cache {
                let message = "`cache` has no effect: only the disk backend has one";
                self.problem(Problem::at(cache.span(), message.to_owned()));
            }
            return StateBackend::Heap;
        }
        let cache_bytes = text.cache.as_ref().map_or(64 << 10, |it| it.get_ref().0);
        if let Some(cache) = text.cache.as_ref().filter(|it| it.get_ref().0 < CACHE_MIN) {
            let message = "`cache` is too small, expected at least 16KiB".to_owned();
            self.problem(Problem::at(cache.span(), message));
        }
        StateBackend::Disk { cache_bytes }
    }

    fn restart(&mut self, text: &Spanned<RestartText>) -> Option<RestartStrategy> {
        const STRATEGIES: [&str; 4] = ["none", "fixed-delay", "failure-rate", "exponential-delay"];
        let it = text.get_ref();
        let strategy = it.strategy.get_ref().as_str();
        self.name("strategy", &it.strategy, &STRATEGIES);
        let legal: &[&str] = match strategy {
            "none" => &[],
            "fixed-delay" => &["attempts", "delay"],
            "failure-rate" => &["max_failures", "interval", "delay"],
            "exponential-delay" => &["initial", "max", "multiplier", "jitter", "reset_after"],
            _ => return None,
        };
        let written: [(&str, Option<Range<usize>>); 9] = [
            ("attempts", it.attempts.as_ref().map(Spanned::span)),
            ("delay", it.delay.as_ref().map(Spanned::span)),
            ("max_failures", it.max_failures.as_ref().map(Spanned::span)),
            ("interval", it.interval.as_ref().map(Spanned::span)),
            ("initial", it.initial.as_ref().map(Spanned::span)),
            ("max", it.max.as_ref().map(Spanned::span)),
            ("multiplier", it.multiplier.as_ref().map(Spanned::span)),
            ("jitter", it.jitter.as_ref().map(Spanned::span)),
            ("reset_after", it.reset_after.as_ref().map(Spanned::span)),
        ];
        let mut is_sound = true;
        for (key, span) in written {
            match (span, legal.contains(&key)) {
                (Some(span), false) => {
                    is_sound = false;
                    let message = format!("`{key}` has no effect with the strategy `{strategy}`");
                    let problem = Problem::at(span, message);
                    self.problem(match legal {
                        [] => problem,
                        legal => problem
                            .hint(format!("its keys are {}", list_names(legal.iter().copied()))),
                    });
                }
                (None, true) => {
                    is_sound = false;
                    self.problem(Problem::at(
                        it.strategy.span(),
                        format!("the strategy `{strategy}` needs `{key}`"),
                    ));
                }
                (Some(_), true) | (None, false) => {}
            }
        }
        if !is_sound {
            return None;
        }
        let number = |it: &Option<Spanned<u32>>| it.as_ref().map_or(0, |it| *it.get_ref());
        let time =
            |it: &Option<Spanned<Time>>| it.as_ref().map_or(Duration::ZERO, |it| it.get_ref().0);
        let percent = |it: &Option<Spanned<Percent>>| it.as_ref().map_or(0, |it| it.get_ref().0);
        if let Some(multiplier) = &it.multiplier
            && multiplier.get_ref().0 < 100
        {
            self.problem(Problem::at(
                multiplier.span(),
                "a multiplier below 100% shrinks the delay, expected at least \"100%\"",
            ));
        }
        Some(match strategy {
            "fixed-delay" => RestartStrategy::FixedDelay {
                attempts: number(&it.attempts),
                delay: time(&it.delay),
            },
            "failure-rate" => RestartStrategy::FailureRate {
                max_failures: number(&it.max_failures),
                interval: time(&it.interval),
                delay: time(&it.delay),
            },
            "exponential-delay" => RestartStrategy::ExponentialDelay {
                initial: time(&it.initial),
                max: time(&it.max),
                multiplier_percent: percent(&it.multiplier),
                jitter_percent: percent(&it.jitter),
                reset_after: time(&it.reset_after),
            },
            _ => RestartStrategy::None,
        })
    }

    fn heartbeat(&mut self, text: &HeartbeatText) -> HeartbeatConfig {
        let defaults = HeartbeatConfig::default();
        let interval = text.interval.as_ref().map_or(defaults.interval, |it| it.get_ref().0);
        let timeout = text.timeout.as_ref().map_or(defaults.timeout, |it| it.get_ref().0);
        if timeout <= interval
            && let Some(span) = text.timeout.as_ref().or(text.interval.as_ref()).map(Spanned::span)
        {
            self.problem(Problem::at(
                span,
                "the heartbeat timeout must be longer than the interval",
            ));
        }
        HeartbeatConfig { interval, timeout, ..defaults }
    }

    fn then(&mut self, text: &ThenText) -> Then {
        self.name("savepoint", &text.start_from, &["stop", "savepoint"]);
        let is_original_deleted = text.delete_original.as_ref().is_some_and(|it| *it.get_ref());
        if let Some(delete) = &text.delete_original
            && text.claim
        {
            let message = "a claimed savepoint belongs to the new run, so nobody deletes it";
            self.problem(Problem::at(delete.span(), message).hint("drop `claim`"));
        }
        Then {
            start_from: match text.start_from.get_ref().as_str() {
                "stop" => StartFrom::Stop,
                _ => StartFrom::Savepoint,
            },
            is_claiming: text.claim,
            is_rewinding: text.rewind,
            is_original_deleted,
        }
    }

    fn fault(&mut self, number: usize, text: &Spanned<FaultText>) -> Option<Fault> {
        const TRIGGERS: [&str; 3] = ["at", "on", "every"];
        const VERBS: [&str; 9] = [
            "crash",
            "pause",
            "partition",
            "reset",
            "slow_network",
            "slow_disk",
            "slow_checkpoint",
            "fail_disk",
            "ask",
        ];
        let it = text.get_ref();
        let triggers = [it.at.is_some(), it.on.is_some(), it.every.is_some()];
        let verbs = [
            it.crash.is_some(),
            it.pause.is_some(),
            it.partition.is_some(),
            it.reset.is_some(),
            it.slow_network.is_some(),
            it.slow_disk.is_some(),
            it.slow_checkpoint.is_some(),
            it.fail_disk.is_some(),
            it.ask.is_some(),
        ];
        let has_trigger = self.exactly_one(number, text.span(), "trigger", &TRIGGERS, &triggers);
        let has_verb = self.exactly_one(number, text.span(), "verb", &VERBS, &verbs);
        let trigger = self.trigger(it);
        let verb = self.verb(it);
        if !has_trigger || !has_verb {
            return None;
        }
        Some(Fault { trigger: trigger?, verb: verb? })
    }

    fn exactly_one(
        &mut self,
        number: usize,
        span: Range<usize>,
        what: &str,
        names: &[&str],
        present: &[bool],
    ) -> bool {
        let written: Vec<_> =
            names.iter().zip(present).filter(|(_, it)| **it).map(|(name, _)| *name).collect();
        if written.len() == 1 {
            return true;
        }
        let found = match written.as_slice() {
            [] => format!("no {what}"),
            more => format!("{} {what}s ({})", more.len(), list_names(more.iter().copied())),
        };
        let problem = Problem::at(
            span.start..span.start + "[[fault]]".len(),
            format!(
                "fault {number} names {found}, expected exactly one of {}",
                list_names(names.iter().copied())
            ),
        );
        self.problem(if written.len() > 1 {
            problem.hint(format!(
                "one [[fault]] table is one {what}; split it into {} tables",
                written.len()
            ))
        } else {
            problem
        });
        false
    }

    fn trigger(&mut self, it: &FaultText) -> Option<Trigger> {
        if let Some(at) = &it.at {
            self.within_until(at.span(), at.get_ref().most);
            return Some(Trigger::At(*at.get_ref()));
        }
        if let Some(every) = &it.every {
            if every.get_ref().0 < Duration::from_millis(10) {
                self.problem(Problem::at(
                    every.span(),
                    "the mean interval is too short, expected at least 10ms",
                ));
                return None;
            }
            self.within_until(every.span(), every.get_ref().0);
            return Some(Trigger::Every(every.get_ref().0));
        }
        it.on.as_ref().map(|on| Trigger::On(self.on(on.get_ref())))
    }

    fn within_until(&mut self, span: Range<usize>, time: Duration) {
        if time >= self.until {
            let until = super::quantity::show_time(self.until);
            self.problem(
                Problem::at(
                    span,
                    format!("the fault comes after the safety phase, which ends at {until}"),
                )
                .hint("raise `until`, or let the fault come earlier"),
            );
        }
    }

    fn on(&mut self, on: &OnText) -> On {
        self.name("event", &on.event, Event::NAMES);
        let nth = on.nth.as_ref().map_or(1, |it| self.at_least_one("`nth`", it));
        if let Some(subtask) = &on.subtask
            && !self.subtasks.is_empty()
            && !self.subtasks.contains(subtask.get_ref())
        {
            let legal: Vec<_> = self.subtasks.iter().map(String::as_str).collect();
            let problem = unknown(subtask.span(), "subtask", subtask.get_ref(), legal);
            self.problem(problem);
        }
        let node = on.node.as_ref().and_then(|it| match self.node(it)? {
            Nodes::One(node) => Some(node),
            Nodes::AnyWorker | Nodes::Any => {
                self.problem(Problem::at(
                    it.span(),
                    "`node` of a trigger must be one node; leave it out to match any",
                ));
                None
            }
        });
        On {
            event: on.event.get_ref().clone(),
            nth,
            checkpoint: on.checkpoint.as_ref().map(|it| *it.get_ref()),
            subtask: on.subtask.as_ref().map(|it| it.get_ref().clone()),
            node,
            after: on.after.unwrap_or(TimeRange::exactly(Duration::ZERO)),
        }
    }

    fn verb(&mut self, it: &FaultText) -> Option<Verb> {
        if let Some(crash) = &it.crash {
            let crash = crash.get_ref();
            return Some(Verb::Crash {
                node: self.node(&crash.node)?,
                restart_after: crash.restart_after,
            });
        }
        if let Some(pause) = &it.pause {
            let pause = pause.get_ref();
            return Some(Verb::Pause {
                node: self.node(&pause.node)?,
                resume_after: pause.resume_after,
            });
        }
        if let Some(partition) = &it.partition {
            let it = partition.get_ref();
            let (from, to) = self.sides(&it.from, &it.to);
            return Some(Verb::Partition {
                from: from?,
                to: to?,
                both: it.both,
                heal_after: it.heal_after,
            });
        }
        if let Some(reset) = &it.reset {
            let (from, to) = self.sides(&reset.get_ref().from, &reset.get_ref().to);
            return Some(Verb::Reset { from: from?, to: to? });
        }
        if let Some(slow) = &it.slow_network {
            let it = slow.get_ref();
            let (from, to) = self.sides(&it.from, &it.to);
            return Some(Verb::SlowNetwork {
                from: from?,
                to: to?,
                both: it.both,
                latency: it.latency,
                lasts: it.lasts,
            });
        }
        if let Some(slow) = &it.slow_disk {
            let it = slow.get_ref();
            return Some(Verb::SlowDisk {
                node: self.node(&it.node)?,
                latency: it.latency,
                lasts: it.lasts,
            });
        }
        if let Some(slow) = &it.slow_checkpoint {
            let it = slow.get_ref();
            return Some(Verb::SlowCheckpoint { node: self.node(&it.node)?, stall: it.stall });
        }
        if let Some(ask) = &it.ask {
            let what = &ask.get_ref().what;
            self.name("request", what, &fault::ASKS.map(|(name, _)| name));
            let found = fault::ASKS.into_iter().find(|(name, _)| name == what.get_ref());
            return found.map(|(_, ask)| Verb::Ask(ask));
        }
        let it = it.fail_disk.as_ref()?.get_ref();
        self.name("disk error", &it.error, &DiskError::NAMES);
        Some(Verb::FailDisk {
            node: self.node(&it.node)?,
            error: DiskError::from_name(it.error.get_ref())?,
            count: it.count.as_ref().map_or(1, |it| self.at_least_one("`count`", it)),
            path: it.path.clone(),
        })
    }

    fn sides(
        &mut self,
        from: &Spanned<Vec<Spanned<String>>>,
        to: &Spanned<Vec<Spanned<String>>>,
    ) -> (Option<Vec<Nodes>>, Option<Vec<Nodes>>) {
        for (side, what) in [(from, "from"), (to, "to")] {
            if side.get_ref().is_empty() {
                self.problem(Problem::at(
                    side.span(),
                    format!("`{what}` is empty, expected at least one node"),
                ));
            }
        }
        let both = from.get_ref().iter().find_map(|it| {
            to.get_ref()
                .iter()
                .find(|other| other.get_ref() == it.get_ref() && !it.get_ref().contains('*'))
        });
        if let Some(both) = both {
            let message = format!("`{}` is on both sides", both.get_ref());
            self.problem(Problem::at(both.span(), message));
        }
        let mut nodes = |side: &[Spanned<String>]| -> Option<Vec<Nodes>> {
            let nodes: Vec<_> = side.iter().map(|it| self.node(it)).collect();
            nodes.into_iter().collect()
        };
        (nodes(from.get_ref()), nodes(to.get_ref()))
    }

    fn node(&mut self, name: &Spanned<String>) -> Option<Nodes> {
        match name.get_ref().as_str() {
            "*" => return Some(Nodes::Any),
            "worker-*" => return Some(Nodes::AnyWorker),
            _ => {}
        }
        match Node::from_name(name.get_ref()) {
            Some(Node::Worker(number)) if number == 0 || number > self.workers => {}
            Some(node) => return Some(Nodes::One(node)),
            None => {}
        }
        let mut legal = vec!["coordinator".to_owned()];
        legal.extend((1..=self.workers).map(|it| format!("worker-{it}")));
        legal.extend(["worker-*".to_owned(), "*".to_owned()]);
        let legal: Vec<_> = legal.iter().map(String::as_str).collect();
        self.problem(unknown(name.span(), "node", name.get_ref(), legal.iter().copied()));
        None
    }
}

fn subtasks(workload: &Workload) -> Vec<String> {
    let Some(job) = workload::graph(workload) else { return Vec::new() };
    job.subtasks().map(|it| job.subtask_name(it)).collect()
}
