//! A job of your own under seeds: each seed is an input, a cluster, settings and faults, and whatever they
//! are the output must be what it is without faults.
//!
//! ```text
//! Storm ─ seed ─► draw: settings, faults ─► scenario ─┐
//!       ─ seed ─► input ─► job ─► own::Own ───────────┴─► run ─► Verdict ─► holds, or Failure + seed file
//! ```
//!
//! Nothing is judged here: a run of your job is a run like any other, with all properties of `engine/spec`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seawall_jobs::reference::InputFile;
use seawall_spec::CommittedFile;
use seawall_stream::{Job, Record};

use crate::fault::Fault;
use crate::own::{self, At, Input, Knowledge, Own, StateFold};
use crate::pace::paced;
use crate::run::{run_subject, run_subject_with};
use crate::scenario::Scenario;
use crate::seed_file::SeedFile;
use crate::settings::Settings;
use crate::trace::What;
use crate::verdict::{Counts, Result as Outcome, Verdict};
use crate::workload::{INPUT, OUTPUT};
use crate::world::{Stream, Streams};
use crate::{report, strategies, sweep, verify};

/// Input lines are dealt to this many files, so that several subtasks read at once.
const FILES: usize = 4;
/// Seeds unless told otherwise.
const SEEDS: u64 = 100;
/// So many seeds without any recovery test nothing.
const SEEDS_AT_LEAST: usize = 10;
/// Seeds for each core between two looks whether one of them failed.
const SEEDS_AT_ONCE: usize = 8;

/// A job of your own in a storm.
///
/// ```
/// use seawall_runtime::connectors::{FileSink, FileSource};
/// use seawall_sim::{At, Storm};
/// use seawall_stream::{Job, JobBuilder};
///
/// fn shout(at: &At) -> Job {
///     let builder = JobBuilder::new("shout", at.parallelism);
///     builder
///         .source("lines", FileSource::new(&at.input))
///         .map("shout", |line: String| line.to_uppercase())
///         .sink("loud", FileSink::new(&at.output, |line: &String, out: &mut Vec<u8>| {
///             out.extend_from_slice(format!("{line}\n").as_bytes());
///         }));
///     builder.build()
/// }
///
/// Storm::new("shout", shout)
///     .input(|rng| (0..100).map(|_| format!("word {}", rng.below(50))).collect::<Vec<_>>())
///     .reference(|input| input.lines().map(str::to_uppercase).collect::<Vec<_>>())
///     .seeds(0..10)
///     .run();
/// ```
///
/// What must come of it is said with [`reference`](Self::reference), with [`invariant`](Self::invariant), or
/// with neither: then a run without faults says it. All properties of the engine are judged besides.
///
/// Input, job, reference and invariant are functions of their arguments alone: no clock, no randomness, no
/// order of a hash map. The first seed is run twice to see that.
#[derive(Clone)]
#[must_use = "a storm that does not `run` breaks nothing"]
pub struct Storm {
    name: String,
    job: Arc<dyn Fn(&At) -> Job + Send + Sync>,
    input: Option<DrawInput>,
    knowledge: Knowledge,
    is_compared: Option<bool>,
    adjust: Arc<dyn Fn(&mut Settings) + Send + Sync>,
    seeds: Vec<u64>,
}

/// Draws the input files of a run, and says how many records they are.
type DrawInput = Arc<dyn Fn(&mut Stream) -> (u64, Vec<InputFile>) + Send + Sync>;

impl Storm {
    /// A storm over the job that `job` builds. `name` names its seed files.
    pub fn new(name: &str, job: impl Fn(&At) -> Job + Send + Sync + 'static) -> Self {
        Self {
            name: name.to_owned(),
            job: Arc::new(job),
            input: None,
            knowledge: Knowledge::default(),
            is_compared: None,
            adjust: Arc::new(|_| {}),
            seeds: (0..SEEDS).collect(),
        }
    }

    /// Draws the lines of its input. They are dealt to four files in [`At::input`]; the order of lines in
    /// different files is not kept. A job that needs an order takes [`files`](Self::files).
    pub fn input<I, L>(self, draw: impl Fn(&mut Stream) -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item = L>,
        L: Into<String>,
    {
        self.files(move |rng| {
            let mut files = vec![Vec::new(); FILES];
            for (number, line) in draw(rng).into_iter().enumerate() {
                files[number % FILES].push(line.into());
            }
            let name = |number| format!("part-{number}.txt");
            files.into_iter().enumerate().map(|(number, it)| (name(number), it)).collect()
        })
    }

    /// Draws the files of its input: a name and the lines of each.
    pub fn files(
        mut self,
        draw: impl Fn(&mut Stream) -> Vec<(String, Vec<String>)> + Send + Sync + 'static,
    ) -> Self {
        self.input = Some(Arc::new(move |rng| {
            let files = draw(rng);
            let records = files.iter().map(|(_, lines)| lines.len() as u64).sum();
            (records, files.into_iter().map(|(name, lines)| own::file(&name, lines)).collect())
        }));
        self
    }

    /// Its source makes about this many records up, from [`At::seed`].
    pub fn generated(mut self, records: u64) -> Self {
        self.input = Some(Arc::new(move |_| (records, Vec::new())));
        self
    }

    /// The lines that it must have committed when it has read all of its input, in any order. A line of a
    /// file in a directory below [`At::output`] begins with that directory: `malformed: the line`.
    pub fn reference<I, L>(mut self, fold: impl Fn(&Input) -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item = L>,
        L: Into<String>,
    {
        self.knowledge.reference =
            Some(Arc::new(move |input| fold(input).into_iter().map(Into::into).collect()));
        self
    }

    /// What must be true of the output of a finished run, for a job whose lines depend on the order in
    /// which records meet; the property `invariant`. It may return what is wrong, or assert.
    ///
    /// In place of the comparison with a run without faults, unless
    /// [`like_without_faults`](Self::like_without_faults) asks for both.
    pub fn invariant(
        mut self,
        holds: impl Fn(&Input, &[CommittedFile]) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.knowledge.invariant = Some(Arc::new(holds));
        self
    }

    /// The output must be that of a run without faults. The default, unless a reference or an invariant is
    /// given.
    pub fn like_without_faults(mut self) -> Self {
        self.is_compared = Some(true);
        self
    }

    /// What the keyed operator of this name must keep once it has processed this input. Every completed
    /// checkpoint is compared with the fold of the input before its cut, except those that hold records in
    /// flight; without it the property `exactly-once-state` is not judged.
    pub fn state<K, V>(
        mut self,
        operator: &str,
        fold: impl Fn(&Input) -> BTreeMap<K, V> + Send + Sync + 'static,
    ) -> Self
    where
        K: Record,
        V: Record,
    {
        self.knowledge.state = Some(StateFold::new(operator, fold));
        self
    }

    /// The sequence that a line of output belongs to, and its number in it: the lines of one sequence must
    /// be committed in ascending order by each sink subtask. Without it `records-in-order` is not judged.
    pub fn sequence(
        mut self,
        place: impl Fn(&str) -> Option<(String, u64)> + Send + Sync + 'static,
    ) -> Self {
        self.knowledge.sequence = Some(Arc::new(place));
        self
    }

    /// Changes what is drawn for each seed, before its faults are: `|it| it.parallelism = 1`.
    pub fn settings(mut self, adjust: impl Fn(&mut Settings) + Send + Sync + 'static) -> Self {
        self.adjust = Arc::new(adjust);
        self
    }

    /// The seeds, 0 to 99 unless told otherwise.
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = u64>) -> Self {
        self.seeds = seeds.into_iter().collect();
        self
    }

    /// Runs every seed, on all cores.
    ///
    /// # Panics
    /// With the first seed that does not hold: what is violated, which faults happened, its seed file and how
    /// to replay it. When nothing was put to the test.
    pub fn run(&self) {
        match self.sweep() {
            Ok(held) => report::say(&format!("{}: {held}", self.name)),
            Err(failure) => panic!("{failure}"),
        }
    }

    /// The same, for whoever wants to look at the failure.
    ///
    /// # Errors
    /// The first seed that does not hold.
    ///
    /// # Panics
    /// When nothing was put to the test: no recovery in ten seeds or more.
    pub fn sweep(&self) -> Result<Held, Failure> {
        let jobs = sweep::default_jobs();
        let mut held = Held::default();
        for seeds in self.seeds.chunks(jobs * SEEDS_AT_ONCE) {
            for verdict in sweep::in_parallel(seeds, jobs, |seed| self.one_seed(*seed)) {
                held.add(&verdict?);
            }
        }
        let first = self.seeds.first().expect("a storm has seeds");
        self.twice(*first)?;
        assert!(
            held.counts.recoveries > 0 || held.seeds < SEEDS_AT_LEAST,
            "{}: nothing was put to the test: {held}\nhint: more input, or more seeds",
            self.name,
        );
        Ok(held)
    }

    /// One run with these settings and faults: for `proptest!`, where `check(..)?` is all there is to say.
    ///
    /// # Errors
    /// When it does not hold; it has left a seed file.
    ///
    /// # Panics
    /// When a scenario file could not say these settings or faults.
    pub fn check(
        &self,
        seed: u64,
        settings: &Settings,
        faults: &[Fault],
    ) -> Result<Verdict, Failure> {
        kept(self.weather(seed, settings, faults))
    }

    /// Runs what a seed file recorded, with the job as it is now, and prints its trace. A regression test:
    /// it fails until the job holds.
    ///
    /// # Errors
    /// When the run does not hold.
    ///
    /// # Panics
    /// When the file is not a seed file of this storm.
    pub fn replay(&self, path: impl AsRef<Path>) -> Result<Verdict, Failure> {
        let path = path.as_ref();
        let file = SeedFile::load_any(path).unwrap_or_else(|error| panic!("{error}"));
        let workload = &file.scenario.workload;
        assert!(
            workload.is_own && workload.job == self.name,
            "{} is a seed file of the job {}, this storm is {}",
            path.display(),
            workload.job,
            self.name,
        );
        let drawn = self.draw_input(file.seed);
        let schedule = Some(file.schedule.clone());
        let (scenario, verdict) = self.brave(file.scenario.clone(), file.seed, schedule, drawn);
        report::say(&verdict.trace.recovery());
        report::say(&match file.diverges_at(&verdict.trace) {
            None => format!("the same run as in {}, byte for byte", path.display()),
            Some(event) => format!("left the run of {} at event {event}", path.display()),
        });
        if verdict.result == Outcome::Holds {
            return Ok(verdict);
        }
        let text = described(&scenario, &verdict);
        Err(Failure { verdict: Box::new(verdict), seed_file: Some(path.to_path_buf()), text })
    }

    fn one_seed(&self, seed: u64) -> Result<Verdict, Failure> {
        let (settings, faults) = draw(seed, &*self.adjust);
        self.check(seed, &settings, &faults)
    }

    /// Runs a seed twice; the traces must be the same, byte for byte.
    fn twice(&self, seed: u64) -> Result<(), Failure> {
        let (settings, faults) = draw(seed, &*self.adjust);
        let run = || self.weather(seed, &settings, &faults);
        let ((_, first), (scenario, second)) = (run(), run());
        match sweep::difference(&first, second) {
            Some(verdict) => kept((scenario, verdict)).map(|_| ()),
            None => Ok(()),
        }
    }

    fn weather(&self, seed: u64, settings: &Settings, faults: &[Fault]) -> (Scenario, Verdict) {
        let drawn = self.draw_input(seed);
        let scenario = settings.scenario(&self.name, seed, drawn.records, faults);
        self.brave(scenario, seed, None, drawn)
    }

    /// Runs the scenario, with its own faults unless there is a schedule; before that without any, when
    /// nobody else knows what the output must be. If that does not hold, it is the verdict.
    fn brave(
        &self,
        scenario: Scenario,
        seed: u64,
        schedule: Option<Vec<Fault>>,
        drawn: Drawn,
    ) -> (Scenario, Verdict) {
        let mut own = self.own(&scenario, drawn);
        if self.is_compared() {
            let calm = Scenario { faults: Vec::new(), ..scenario.clone() };
            let verdict = run_subject_with(&calm, seed, Vec::new(), Arc::new(own.clone()));
            if verdict.result != Outcome::Holds {
                return (scenario, verdict);
            }
            own.calm = Some(verdict.committed.into_iter().flat_map(|it| it.lines).collect());
        }
        let verdict = match schedule {
            Some(schedule) => run_subject_with(&scenario, seed, schedule, Arc::new(own)),
            None => run_subject(&scenario, seed, Arc::new(own)),
        };
        (scenario, verdict)
    }

    fn is_compared(&self) -> bool {
        let Knowledge { reference, invariant, .. } = &self.knowledge;
        self.is_compared.unwrap_or(reference.is_none() && invariant.is_none())
    }

    fn own(&self, scenario: &Scenario, drawn: Drawn) -> Own {
        let workload = &scenario.workload;
        let at = At {
            parallelism: workload.parallelism,
            input: PathBuf::from(INPUT),
            output: PathBuf::from(OUTPUT),
            seed: drawn.generator,
        };
        let job = (self.job)(&at);
        if let Some(known) = &self.knowledge.state {
            let is_known = job.operators.iter().any(|it| it.name == known.operator);
            assert!(is_known, "{} has no operator {}", self.name, known.operator);
        }
        let job = paced(job, workload.rate.expect("a storm has a pace"));
        Own {
            name: self.name.clone(),
            job: Arc::new(job),
            input: Arc::new(Input { seed: drawn.generator, files: drawn.files }),
            knowledge: self.knowledge.clone(),
            calm: None,
        }
    }

    fn draw_input(&self, seed: u64) -> Drawn {
        let input = self.input.as_ref().unwrap_or_else(|| {
            panic!("{} has no input: call `input`, `files` or `generated`", self.name)
        });
        let mut stream = Streams::new(seed).stream("workload");
        // Small, so that a person can give it to the job elsewhere.
        let generator = stream.below(1_000_000);
        let (records, files) = input(&mut stream);
        Drawn { generator, records, files }
    }
}

/// The input of a seed.
struct Drawn {
    /// For a source that makes its records up.
    generator: u64,
    records: u64,
    files: Vec<InputFile>,
}

/// Settings and faults of a seed: the strategies of [`strategies`], with at least one fault.
fn draw(seed: u64, adjust: &dyn Fn(&mut Settings)) -> (Settings, Vec<Fault>) {
    let mut random = [0; 32];
    Streams::new(seed).stream("storm").fill(&mut random);
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &random);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let mut settings = sample(&strategies::settings(), &mut runner);
    adjust(&mut settings);
    let faults = proptest::collection::vec(strategies::fault(settings.cluster), 1..=5);
    let faults = sample(&faults, &mut runner);
    (settings, faults)
}

fn sample<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).expect("nothing is filtered out").current()
}

/// The verdict when it holds, else the failure with its seed file.
fn kept((scenario, verdict): (Scenario, Verdict)) -> Result<Verdict, Failure> {
    if verdict.result == Outcome::Holds {
        return Ok(verdict);
    }
    let seed_file = verify::keep(&scenario, &verdict);
    let mut text = described(&scenario, &verdict);
    let replay = match &seed_file {
        Ok(path) => {
            let path = path.display();
            format!(
                "\nseed file: {path}\nreplay: `.replay(\"{path}\").unwrap()` in place of `.run()`"
            )
        }
        Err(error) => format!("\nno seed file: {error}"),
    };
    text.push_str(&replay);
    Err(Failure { verdict: Box::new(verdict), seed_file: seed_file.ok(), text })
}

/// What does not hold, in which circumstances.
fn described(scenario: &Scenario, verdict: &Verdict) -> String {
    let mut out = format!(
        "{} does not hold with seed {}\n\n{}\n\n{}\n",
        scenario.name,
        verdict.seed,
        verdict.result.explain(),
        Settings::of(scenario),
    );
    let faults = verdict.trace.entries.iter().filter(|it| matches!(it.what, What::Fault(_)));
    let lines: Vec<String> = faults.map(|it| verdict.trace.line(it)).collect();
    let faults = if lines.is_empty() { "no fault happened".to_owned() } else { lines.join("\n") };
    write!(out, "{faults}{}", not_judged(&verdict.unjudged))
        .expect("writing to a string cannot fail");
    out
}

fn not_judged(unjudged: &BTreeSet<&'static str>) -> String {
    if unjudged.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = unjudged.iter().copied().collect();
    format!("\nnot judged: {}", names.join(", "))
}

/// What a storm put to the test, and what held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Seeds run.
    pub seeds: usize,
    /// What all of them put to the test.
    pub counts: Counts,
    /// Properties that were not judged, because the storm was not told what to judge them by.
    pub unjudged: BTreeSet<&'static str>,
}

impl Held {
    fn add(&mut self, verdict: &Verdict) {
        self.seeds += 1;
        self.counts += verdict.counts;
        self.unjudged.extend(&verdict.unjudged);
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, counts: Counts { faults, checkpoints, recoveries }, unjudged } = self;
        write!(f, "{seeds} seeds hold: {faults} faults, {checkpoints} checkpoints, ")?;
        write!(f, "{recoveries} recoveries{}", not_judged(unjudged))
    }
}

/// A run that does not hold. Its text says what is violated, in which circumstances, and how to replay it.
pub struct Failure {
    /// What came of it.
    pub verdict: Box<Verdict>,
    /// Where it can be replayed from, if the file could be written.
    pub seed_file: Option<PathBuf>,
    text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As text, because `unwrap` and test results show it to people.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for Failure {}
