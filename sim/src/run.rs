//! One run: a world from a seed, the engine in it, its faults, and the verdict.
//!
//! ```text
//! scenario + seed ─► schedule ─► World { coordinator, workers } ─► trace + evidence ─► seawall_spec ─► Verdict
//!                                 safety phase │ liveness phase
//!                                            until: everything heals
//! ```
//!
//! Every run has a thread of its own and shares nothing with others.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError, mpsc};
use std::time::Duration;

use seawall_env::Env;
use seawall_probe::{Draw, Hits, Site};
use seawall_protocol::config::{CheckpointConfig, CheckpointMode};
use seawall_protocol::coordinator::Outcome as JobOutcome;
use seawall_protocol::record::JobResult;
use seawall_protocol::{CheckpointId, WorkerId};
use seawall_runtime::channel::CHANNEL_CAPACITY;
use seawall_runtime::coordinator::{self, CoordinatorConfig};
use seawall_runtime::metrics::Metrics;
use seawall_runtime::storage::Storage;
use seawall_runtime::storage::history::History as Remembered;
use seawall_runtime::storage::savepoint::Restore;
use seawall_runtime::worker::{self, WorkerConfig};
use seawall_spec::{CommittedFile, Ending, History, Limits, Recorded, Violation};

use crate::coverage::Coverage;
use crate::evidence::{self, Evidence};
use crate::fault::{self, Fault, Nodes, Verb};
use crate::inject::Injector;
use crate::liveness;
use crate::plants::Plant;
use crate::provenance::{Ledger, Splits};
use crate::recorder::{NodeObserver, Recorder};
use crate::scenario::{Claim, Node, Scenario, StartFrom, Then};
use crate::subject::Subject;
use crate::trace::{Chains, Trace, What};
use crate::verdict::{Counts, Result as Outcome, Verdict};
use crate::workload::{self, OUTPUT, Prepared, SCRATCH, STORAGE, STORAGE_THEN};
use crate::world::{Message, Streams, Watchdog, World, WorldConfig};

/// How long after the healing a job may take, besides the time its input takes at its rate.
const LIVENESS_BOUND: Duration = Duration::from_mins(2);
/// How long a supervisor waits before it starts a process again that ended with an error.
const SUPERVISOR_PAUSE: Duration = Duration::from_secs(1);
/// Real time after which a run is stuck; a thousand times what one takes.
const WALL_TIME_MAX: Duration = Duration::from_mins(2);
/// How often the end of the job is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the world may come to rest after the job ended.
const REST: Duration = Duration::from_secs(5);

/// Runs a scenario with a seed.
pub fn run(scenario: &Scenario, seed: u64) -> Verdict {
    run_subject(scenario, seed, built_in(scenario, seed))
}

/// Runs a scenario with a seed and this schedule of faults.
pub fn run_with(scenario: &Scenario, seed: u64, schedule: Vec<Fault>) -> Verdict {
    run_subject_with(scenario, seed, schedule, built_in(scenario, seed))
}

fn built_in(scenario: &Scenario, seed: u64) -> Arc<dyn Subject> {
    let mut stream = Streams::new(seed).stream("workload");
    Arc::new(Prepared::new(&scenario.workload, &mut stream))
}

/// Runs a scenario with a seed, and with this job and input in place of its workload's.
pub fn run_subject(scenario: &Scenario, seed: u64, subject: Arc<dyn Subject>) -> Verdict {
    let mut stream = Streams::new(seed).stream("faults");
    let resolved = fault::resolve(scenario, &mut |bound| stream.below(bound));
    let (origins, schedule): (Vec<usize>, Vec<Fault>) = resolved.into_iter().unzip();
    let mut verdict = run_subject_with(scenario, seed, schedule, subject);
    // What happened, by the scenario's faults rather than by the schedule's.
    let mut happened = vec![false; scenario.faults.len()];
    for (origin, did) in origins.into_iter().zip(&verdict.happened) {
        happened[origin] |= did;
    }
    verdict.happened = happened;
    verdict
}

/// How a run is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Everything heals at this moment rather than at the scenario's `until`; up to there it is the same run,
    /// byte for byte.
    pub heal_at: Option<Duration>,
    /// Every frame that was sent is kept, for pictures; the run is the same.
    pub records_messages: bool,
    /// Real time after which a run is stopped and taken for stuck.
    pub wall_time_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { heal_at: None, records_messages: false, wall_time_max: WALL_TIME_MAX }
    }
}

/// Runs a scenario with a seed, this schedule of faults, and this job and input.
pub fn run_subject_with(
    scenario: &Scenario,
    seed: u64,
    schedule: Vec<Fault>,
    subject: Arc<dyn Subject>,
) -> Verdict {
    run_as(scenario, seed, schedule, subject, Options::default())
}

/// Runs a scenario with a seed and this schedule of faults, and heals everything at this moment.
pub fn run_healed(
    scenario: &Scenario,
    seed: u64,
    schedule: Vec<Fault>,
    heal_at: Option<Duration>,
) -> Verdict {
    let options = Options { heal_at, ..Options::default() };
    run_as(scenario, seed, schedule, built_in(scenario, seed), options)
}

/// Every frame that was sent in the run of this verdict, which is made once more for it.
pub fn messages_of(scenario: &Scenario, verdict: &Verdict) -> Vec<Message> {
    let options = Options { records_messages: true, ..Options::default() };
    let (seed, schedule) = (verdict.seed, verdict.schedule.clone());
    run_as(scenario, seed, schedule, built_in(scenario, seed), options).messages
}

/// The same, made in this way. A run that does not even come back from one poll is left behind on its
/// thread, which nothing but the end of the process can stop, and is stuck.
pub fn run_as(
    scenario: &Scenario,
    seed: u64,
    schedule: Vec<Fault>,
    subject: Arc<dyn Subject>,
    options: Options,
) -> Verdict {
    quiet_panics();
    let scenario = scenario.clone();
    let (verdict, result) = mpsc::channel();
    std::thread::Builder::new()
        .name(RUN_THREAD.to_owned())
        .spawn(move || on_this_thread(&scenario, seed, schedule, &subject, options, &verdict))
        .expect("a thread can be started");
    result.recv().expect("a run catches its panics, and a watchdog sees the end of its time")
}

fn on_this_thread(
    scenario: &Scenario,
    seed: u64,
    schedule: Vec<Fault>,
    subject: &Arc<dyn Subject>,
    options: Options,
    answer: &mpsc::Sender<Verdict>,
) {
    let chains = workload::chains(subject.job());
    let subtasks = subject.job().subtasks().count();
    let recorder = Recorder::new(&schedule, chains, subtasks, Evidence::new(Arc::clone(subject)));
    let plant = match &scenario.claim {
        Claim::Expect(_) => None,
        Claim::Violates { plant, .. } => Plant::find(plant),
    };
    let stage = Stage {
        scenario: Arc::new(scenario.clone()),
        subject: Arc::clone(subject),
        schedule: schedule.clone(),
        heal_at: options.heal_at,
        recorder: recorder.clone(),
        plant,
        metrics: Arc::default(),
    };
    let records_messages = options.records_messages;
    let config = WorldConfig { records_messages, ..WorldConfig::default() };
    let watchdog = {
        let (recorder, schedule, answer) = (recorder.clone(), schedule.clone(), answer.clone());
        Watchdog::start(Arc::clone(&config.progress), options.wall_time_max, move |task| {
            let hint = "look for a loop without an await in it";
            let pending = format!("{task} does not return\nhint: {hint}");
            let violated = vec!["recovers".to_owned()];
            let judged = (Outcome::Stuck { pending }, violated);
            // Nobody listens when the run came to its end in this moment.
            let hits = Hits::default(); // They are that thread's, which does not return.
            let _ = answer.send(verdict(seed, judged, schedule, &recorder, hits, None));
        })
    };
    let streams = |site: Site| -> Draw {
        let mut stream = Streams::new(seed).stream(&format!("buggify/{}", site.name()));
        Box::new(move |bound| stream.below(bound))
    };
    seawall_probe::begin(scenario.is_buggified.then_some(&streams));
    let ended =
        catch_unwind(AssertUnwindSafe(|| World::try_run(seed, config, |world| stage.play(world))));
    let hits = seawall_probe::end();
    drop(watchdog);
    let (judged, facts) = match ended {
        Ok(Ok(facts)) => {
            let unjudged = recorder.with_evidence(|it| it.unjudged());
            let (splits, chains) =
                (recorder.with_evidence(|it| it.splits()), recorder.trace().chains);
            let known = (&splits, &chains);
            let violations = violations(scenario, &**subject, &facts.histories, known, &unjudged);
            (judge(violations, &facts.histories, &recorder.trace()), Some(facts))
        }
        Ok(Err(stuck)) => {
            let mut pending = vec![stuck.to_string()];
            pending.extend(liveness::pending(&recorder.trace()));
            let violated = vec!["recovers".to_owned()];
            ((Outcome::Stuck { pending: pending.join("\n  ") }, violated), None)
        }
        Err(_) => {
            let cause = LAST_PANIC.take().unwrap_or_else(|| "a panic without a message".into());
            let property = NO_PANIC.to_owned();
            let message = format!("{property}: {cause}");
            let violated = vec![property.clone()];
            ((Outcome::Violated { property, message }, violated), None)
        }
    };
    // The caller may have been told that this run hangs, and gone on.
    let _ = answer.send(verdict(seed, judged, schedule, &recorder, hits, facts));
}

fn verdict(
    seed: u64,
    (result, violated): (Outcome, Vec<String>),
    schedule: Vec<Fault>,
    recorder: &Recorder,
    hits: Hits,
    facts: Option<Facts>,
) -> Verdict {
    let (trace, begun, unjudged) = recorder.try_look();
    let counts = count(&trace);
    let faults = schedule.iter().zip(&begun);
    let faults = faults.filter_map(|(fault, entry)| Some(((*entry)?, fault.verb.name())));
    let coverage = Coverage::of(hits, &trace, faults);
    let last = trace.entries.last().map_or(Duration::ZERO, |it| it.at);
    let mut messages = Vec::new();
    let (strikes, virtual_time, checkpoints, committed) = match facts {
        Some(mut facts) => {
            let committed = facts.histories.pop().map(|it| it.committed_output);
            let committed = committed.unwrap_or_default();
            messages = facts.messages;
            (facts.strikes, facts.virtual_time, facts.checkpoints, committed)
        }
        None => (BTreeMap::new(), last, None, Vec::new()),
    };
    let happened = begun.iter().map(Option::is_some).collect();
    Verdict {
        seed,
        result,
        violated,
        unjudged,
        schedule,
        happened,
        begun,
        trace,
        counts,
        coverage,
        strikes,
        messages,
        virtual_time,
        checkpoints,
        committed,
    }
}

/// The engine's assertions hold.
pub const NO_PANIC: &str = "no-panic";
/// What the job's author says of its output holds.
pub const INVARIANT: &str = "invariant";

/// What a run needs besides its world.
struct Stage {
    scenario: Arc<Scenario>,
    subject: Arc<dyn Subject>,
    schedule: Vec<Fault>,
    heal_at: Option<Duration>,
    recorder: Recorder,
    plant: Option<Plant>,
    /// Of all workers.
    metrics: Arc<Metrics>,
}

/// What a world leaves behind.
struct Facts {
    /// One for each run of the job.
    histories: Vec<History>,
    checkpoints: Option<Remembered>,
    strikes: BTreeMap<&'static str, u64>,
    messages: Vec<Message>,
    virtual_time: Duration,
}

/// How the job ended, as the coordinator's process said.
type Ended = Arc<Mutex<Option<JobOutcome>>>;

impl Stage {
    async fn play(self, world: World) -> Facts {
        workload::place(self.subject.files(), &world.disk());
        let mut nodes = vec![Node::Coordinator];
        nodes.extend((1..=self.scenario.cluster.workers).map(Node::Worker));
        let injector = Injector::new(&world, &self.recorder, self.schedule.clone(), nodes.clone());
        let ended = Ended::default();
        let process = Process {
            scenario: Arc::clone(&self.scenario),
            subject: Arc::clone(&self.subject),
            injector: injector.clone(),
            world: world.clone(),
            plant: self.plant,
            ended: Arc::clone(&ended),
            run: Arc::new(Mutex::new(Run { root: STORAGE, restore: None, parallelism: None })),
            metrics: Arc::clone(&self.metrics),
        };
        injector.start();
        for node in nodes.clone() {
            let process = process.clone();
            world.start(
                &node.to_string(),
                Arc::new(move |env| {
                    let process = process.clone();
                    Box::pin(async move { process.run(node, env).await })
                }),
            );
        }
        let (mut histories, mut seen, mut healed_at) = (Vec::new(), 0, None);
        loop {
            self.wait_for_the_end(&world, &injector, &ended, &mut healed_at).await;
            let outcome = lock(&ended).clone();
            let next = self.next_run(outcome.as_ref(), histories.is_empty());
            if outcome.is_some() {
                if next.is_none() {
                    // A worker that was down when the job ended may come back and clean up.
                    self.recorder.end_safety_phase();
                }
                world.sleep(REST).await;
            }
            let root = lock(&process.run).root;
            let history = self.history(&world, outcome, healed_at.unwrap_or_default(), root, seen);
            histories.push(history);
            let Some((savepoint, then)) = next else { break };
            seen = self.recorder.trace().entries.len();
            let what = format!("a person starts the job from {}", savepoint.display());
            self.recorder.note(world.now(), What::Healed(what));
            self.recorder.with_evidence(|it| {
                it.begin_again(Path::new(STORAGE_THEN), &savepoint);
                if then.is_claiming || then.is_original_deleted {
                    it.forget_savepoints();
                }
            });
            let restore = Restore {
                savepoint: savepoint.display().to_string(),
                is_claimed: then.is_claiming,
                allows_lost_state: false,
                is_rewind: then.is_rewinding,
            };
            let (root, parallelism) = (STORAGE_THEN, then.parallelism);
            *lock(&process.run) = Run { root, restore: Some(restore), parallelism };
            *lock(&ended) = None;
            injector.next_run();
            if then.is_original_deleted {
                delete_original(&world);
            }
            for node in &nodes {
                world.restart(&node.to_string());
            }
        }
        let root = Path::new(lock(&process.run).root);
        Facts {
            histories,
            checkpoints: evidence::remembered(&world.disk(), root),
            strikes: world.stats().struck,
            messages: world.messages(),
            virtual_time: world.now(),
        }
    }

    /// Waits until the job ended, or had its time after everything was healed.
    async fn wait_for_the_end(
        &self,
        world: &World,
        injector: &Injector,
        ended: &Ended,
        healed_at: &mut Option<Duration>,
    ) {
        let is_over = || lock(ended).is_some();
        let until = self.heal_at.unwrap_or(self.scenario.until);
        while !is_over() && world.now() < until {
            // Only a moment that was asked for is met exactly; a scenario's is seen at the next look.
            let left = self.heal_at.map_or(LOOK_EVERY, |at| at.saturating_sub(world.now()));
            world.sleep(LOOK_EVERY.min(left)).await;
        }
        if is_over() {
            return;
        }
        if healed_at.is_none() {
            *healed_at = Some(world.now());
            injector.heal_all();
        }
        let deadline = world.now() + LIVENESS_BOUND + self.input_time();
        while !is_over() && world.now() < deadline {
            world.sleep(LOOK_EVERY).await;
        }
    }

    /// The savepoint that a person starts the ended job from, if the scenario and the run have one.
    fn next_run(&self, ended: Option<&JobOutcome>, is_first: bool) -> Option<(PathBuf, Then)> {
        let then = self.scenario.then.filter(|_| is_first)?;
        let savepoint = match (then.start_from, ended?) {
            (StartFrom::Stop, JobOutcome::Result(JobResult::Stopped(checkpoint))) => {
                self.recorder.with_evidence(|it| it.savepoint(*checkpoint))?
            }
            (StartFrom::Savepoint, JobOutcome::Result(_)) => {
                self.recorder.with_evidence(|it| it.oldest_savepoint())?.1
            }
            (StartFrom::Stop | StartFrom::Savepoint, _) => return None,
        };
        Some((savepoint, then))
    }

    /// How long the whole input takes at its rate.
    fn input_time(&self) -> Duration {
        let workload = &self.scenario.workload;
        let slowest = [workload.rate, workload.sink_rate].into_iter().flatten().min();
        slowest.map_or(Duration::ZERO, |it| Duration::from_secs(workload.records / it + 1))
    }

    /// How checkpoints are to be taken, if nobody else asks for any. A pause is kept by the coordinator's clock,
    /// and tells nothing where that one is not the world's.
    fn limits(&self) -> Option<Limits> {
        let CheckpointConfig { max_concurrent, min_pause, tolerable_failures, .. } =
            self.scenario.checkpoint;
        let asks = |it: &Fault| matches!(it.verb, Verb::Ask(_) | Verb::Rescale(_));
        let is_alone = !self.scenario.faults.iter().any(asks);
        let coordinator = Nodes::One(Node::Coordinator);
        let is_its_clock =
            |it: &Fault| matches!(&it.verb, Verb::Clock(clock) if clock.node == coordinator);
        let is_kept = !self.schedule.iter().any(is_its_clock);
        let min_pause = if is_kept { min_pause } else { Duration::ZERO };
        is_alone.then_some(Limits { max_concurrent, min_pause, tolerable_failures })
    }

    /// What was seen of one run, from the entry `seen` of the trace.
    fn history(
        &self,
        world: &World,
        outcome: Option<JobOutcome>,
        healed_at: Duration,
        root: &str,
        seen: usize,
    ) -> History {
        let trace = self.recorder.trace();
        let events = trace.entries[seen..].iter();
        let events = events.filter_map(|entry| match (&entry.what, entry.node) {
            (What::Event(event), Some(node)) => {
                Some(Recorded { at: entry.at, node: node.to_string(), event: event.clone() })
            }
            (
                What::Event(_)
                | What::Fault(_)
                | What::Healed(_)
                | What::Ended(_)
                | What::Struck(_),
                _,
            ) => None,
        });
        let disk = world.disk();
        let mut expected_output = self.subject.output();
        let ending = match outcome {
            Some(JobOutcome::Result(JobResult::Finished)) => Ending::Finished,
            Some(JobOutcome::Result(JobResult::Cancelled)) => Ending::Cancelled,
            Some(JobOutcome::Result(JobResult::Stopped(checkpoint))) => {
                if evidence::is_drained(&disk, Path::new(root), checkpoint) {
                    expected_output = self.output_before(checkpoint);
                    Ending::Drained
                } else {
                    Ending::Stopped
                }
            }
            Some(JobOutcome::Failed(cause)) => Ending::Failed(cause),
            None => Ending::TimeUp,
        };
        let leftover_files = match ending {
            Ending::Finished | Ending::Stopped | Ending::Drained => {
                evidence::leftover_files(&disk, &[STORAGE, STORAGE_THEN, OUTPUT])
            }
            // What was pre-committed waits for whoever restores what was retained.
            Ending::Cancelled => evidence::leftover_files(&disk, &[STORAGE, STORAGE_THEN]),
            Ending::Failed(_) | Ending::TimeUp => Vec::new(),
        };
        let (checkpoints, visible_early, taken_back) = self.recorder.with_evidence(|it| {
            it.look_at_checkpoints(&disk);
            it.look_at_savepoints(&disk);
            (it.checkpoints(), it.visible_early(), it.taken_back(world.now(), &disk))
        });
        if expected_output.is_none() {
            self.recorder.with_evidence(Evidence::leave_output_unjudged);
        }
        History {
            events: events.collect(),
            expected_output: expected_output.unwrap_or_default(),
            committed_output: evidence::committed_output(&disk),
            sequences: evidence::sequences(&disk, &*self.subject),
            visible_early,
            taken_back,
            checkpoints,
            leftover_files,
            longest_queue: self.metrics.longest_queue(),
            queue_capacity: CHANNEL_CAPACITY,
            limits: self.limits(),
            healed_at,
            ending,
            pending: liveness::pending(&trace),
        }
    }

    fn output_before(&self, checkpoint: CheckpointId) -> Option<Vec<Vec<u8>>> {
        self.recorder.with_evidence(|it| it.output_before(checkpoint))
    }
}

/// Deletes the first run's data directory, savepoint included, once the new run has its record.
fn delete_original(world: &World) {
    let this = world.clone();
    world.spawn("person", async move {
        while evidence::record(&this.disk(), Path::new(STORAGE_THEN)).is_none() {
            this.sleep(LOOK_EVERY).await;
        }
        this.disk().delete_below(Path::new(STORAGE));
    });
}

/// Where a run of the job has its checkpoints, and what it starts from.
#[derive(Clone)]
struct Run {
    root: &'static str,
    restore: Option<Restore>,
    /// Another one than the scenario's job has.
    parallelism: Option<u32>,
}

/// What runs on a node.
#[derive(Clone)]
struct Process {
    scenario: Arc<Scenario>,
    subject: Arc<dyn Subject>,
    injector: Injector,
    world: World,
    plant: Option<Plant>,
    ended: Ended,
    run: Arc<Mutex<Run>>,
    /// Of all workers.
    metrics: Arc<Metrics>,
}

impl Process {
    /// Runs the node's program. A supervisor starts it again when it ends with an error.
    async fn run(&self, node: Node, mut env: Env) {
        env.observer = Arc::new(NodeObserver::new(&self.world, &self.injector, node));
        if let Some(plant) = self.plant {
            plant.plant_in_env(&mut env);
        }
        let clock = Arc::clone(&env.clock);
        loop {
            let error = match node {
                Node::Coordinator => match self.coordinate(env.clone()).await {
                    Ok(outcome) => {
                        *lock(&self.ended) = Some(outcome);
                        return;
                    }
                    Err(error) => error,
                },
                Node::Worker(number) => match self.work(env.clone(), number).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
            };
            let text = format!("the process of {node}: {error}");
            self.injector.recorder().note(self.world.now(), What::Ended(text));
            clock.sleep(SUPERVISOR_PAUSE).await;
        }
    }

    async fn coordinate(&self, env: Env) -> Result<JobOutcome, seawall_runtime::RuntimeError> {
        let Run { root, restore, parallelism } = lock(&self.run).clone();
        let job = self.job();
        let config = CoordinatorConfig {
            address: Node::Coordinator.to_string(),
            storage: self.storage(Node::Coordinator, &env, root),
            id: self.subject.id(),
            job: parallelism.map_or_else(|| Arc::clone(&job), |it| Arc::new(job.at(it))),
            checkpoint: self.scenario.checkpoint.clone(),
            restart: self.scenario.restart.clone(),
            heartbeat: self.scenario.heartbeat.clone(),
            control: self.injector.control(),
            restore,
            open: {
                let (process, env) = (self.clone(), env.clone());
                Arc::new(move |place| Ok(process.storage(Node::Coordinator, &env, place)))
            },
        };
        coordinator::run(env, config).await
    }

    async fn work(&self, env: Env, number: u32) -> Result<(), seawall_runtime::RuntimeError> {
        let config = WorkerConfig {
            worker: WorkerId(number),
            slots: self.scenario.cluster.slots_per_worker,
            coordinator: Node::Coordinator.to_string(),
            job: self.job(),
            storage: self.storage(Node::Worker(number), &env, lock(&self.run).root),
            mode: self.scenario.checkpoint.mode,
            state: self.scenario.state,
            scratch: SCRATCH.into(),
            is_incremental: self.scenario.checkpoint.is_incremental,
            without_channel_state: None,
            watermark_interval: Duration::from_millis(200),
            heartbeat: self.scenario.heartbeat.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        worker::run(env, config).await
    }

    /// The checkpoint storage at `root` as `node` reaches it.
    fn storage(&self, node: Node, env: &Env, root: impl AsRef<Path>) -> Storage {
        let root = root.as_ref();
        let reached = |store| {
            let reached = self.world.service(&node.to_string(), root, store);
            self.plant.map_or(Arc::clone(&reached), |it| it.plant_in_store(reached))
        };
        Storage::on_disk(Arc::clone(&env.disk), root).through(reached)
    }

    fn job(&self) -> Arc<seawall_stream::Job> {
        self.injector.tapped(match self.plant {
            Some(plant) => Arc::new(plant.plant_in_job(self.subject.job())),
            None => Arc::clone(self.subject.job()),
        })
    }
}

/// Every property that was judged and does not hold.
fn violations(
    scenario: &Scenario,
    subject: &dyn Subject,
    histories: &[History],
    (splits, chains): (&Splits, &Chains),
    unjudged: &BTreeSet<&'static str>,
) -> Vec<Violation> {
    let is_promised = |property: &str| match scenario.checkpoint.mode {
        CheckpointMode::ExactlyOnce => true,
        CheckpointMode::AtLeastOnce => !is_exactly_once(property),
    };
    let is_expected = |property: &str| match &scenario.claim {
        Claim::Expect(expected) => {
            property != "recovers" || expected.iter().any(|it| it == property)
        }
        Claim::Violates { .. } => true,
    };
    let judge = |history: &'_ History| {
        let mut violations = seawall_spec::judge(history);
        for it in &mut violations {
            it.details.extend(Ledger { subject, history, splits, chains }.explain(it));
        }
        violations
    };
    let of_the_engine = histories
        .iter()
        .flat_map(judge)
        .filter(|it| is_promised(it.property) && is_expected(it.property))
        .filter(|it| !unjudged.contains(it.property));
    let of_the_job = histories
        .iter()
        .filter(|it| matches!(it.ending, Ending::Finished | Ending::Drained))
        .filter_map(|it| broken_invariant(subject, &it.committed_output));
    of_the_engine.chain(of_the_job).collect()
}

/// What the job's author says of its output, if it does not hold. An assertion is a way to say it.
fn broken_invariant(subject: &dyn Subject, committed: &[CommittedFile]) -> Option<Violation> {
    let judged = catch_unwind(AssertUnwindSafe(|| subject.invariant(committed)));
    let message = match judged {
        Ok(judged) => judged.err()?,
        Err(_) => LAST_PANIC.take().unwrap_or_else(|| "a panic without a message".into()),
    };
    let details = Vec::new();
    Some(Violation {
        property: INVARIANT,
        rule: "the job's own",
        message,
        details,
        subjects: Vec::new(),
    })
}

/// The verdict over the runs of a job, and every property that does not hold.
fn judge(
    violations: Vec<Violation>,
    histories: &[History],
    trace: &Trace,
) -> (Outcome, Vec<String>) {
    let mut violated: Vec<String> = violations.iter().map(|it| it.property.to_owned()).collect();
    let is_stuck = histories.last().is_some_and(|it| it.ending == Ending::TimeUp);
    if is_stuck && !violated.iter().any(|it| it == "recovers") {
        violated.push("recovers".to_owned());
    }
    let worst = violations.into_iter().find(|it| it.property != "recovers" || !is_stuck);
    let result = match worst {
        Some(violation) => Outcome::Violated {
            property: violation.property.to_owned(),
            message: violation.to_string(),
        },
        None if is_stuck => {
            let mut pending = liveness::pending(trace);
            if pending.is_empty() {
                pending.push("nothing is known to be pending".to_owned());
            }
            Outcome::Stuck { pending: pending.join("\n  ") }
        }
        None => Outcome::Holds,
    };
    (result, violated)
}

/// Properties that at-least-once mode does not promise (D5).
pub fn is_exactly_once(property: &str) -> bool {
    matches!(property, "exactly-once-output" | "exactly-once-state" | "records-in-order")
}

fn count(trace: &Trace) -> Counts {
    use seawall_protocol::event::Event;
    let mut counts = Counts::default();
    let mut attempts: u64 = 0;
    for entry in &trace.entries {
        match &entry.what {
            What::Fault(_) => counts.faults += 1,
            What::Event(Event::CheckpointCompleted { .. }) => counts.checkpoints += 1,
            What::Event(Event::AttemptStarted { .. }) => attempts += 1,
            What::Event(_) | What::Healed(_) | What::Ended(_) | What::Struck(_) => {}
        }
    }
    counts.recoveries = attempts.saturating_sub(1);
    counts
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const RUN_THREAD: &str = "run";

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic in a run is a verdict, not a message on the terminal.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some(RUN_THREAD) {
                before(info);
                return;
            }
            let place = info.location().map_or_else(String::new, |it| format!(", at {it}"));
            let text = info.payload_as_str().unwrap_or("a panic without a message");
            LAST_PANIC
                .with_borrow_mut(|it| it.get_or_insert_with(|| format!("{text}{place}")).len());
        }));
    });
}
