//! What a checkpoint of much keyed state costs the records that flow meanwhile.
//!
//! `cargo bench -p seawall-jobs --bench checkpoint_stall`; `SEAWALL_BENCH_RECORDS` sets the records of
//! one run, `SEAWALL_BENCH_RUNS` how many pairs of runs there are. A pair is one run without and one run
//! with checkpoints, and its ratio is of these two neighbours.
//!
//! A checkpoint stalls a subtask for the *synchronous part*, in which it takes its view, and for the
//! *gap*: the longest time from the end of one batch to the end of the next between the trigger and the
//! completion. The gap holds the alignment, the copying of shared state and whatever else the machine
//! does; what it is without checkpoints is measured too, in windows as long as a checkpoint.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use seawall_env::{Observer, Reaction, Scratch};
use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use seawall_protocol::coordinator::Outcome;
use seawall_protocol::event::Event;
use seawall_protocol::record::JobResult;
use seawall_protocol::{CheckpointId, EventTime, JobId, WorkerId};
use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::generator::GeneratorSource;
use seawall_runtime::control::Control;
use seawall_runtime::coordinator::{self, CoordinatorConfig};
use seawall_runtime::metrics::Metrics;
use seawall_runtime::storage::Storage;
use seawall_runtime::tokio_env::{self, InProcessNetwork};
use seawall_runtime::worker::{self, WorkerConfig};
use seawall_stream::batch::Batch;
use seawall_stream::chain::{Chain, EdgePort, Notice, OperatorChain, Outputs, SinkPort};
use seawall_stream::operator_state::Visit;
use seawall_stream::state::{Changes, EncodedGroup, SnapshotRequest, StateView};
use seawall_stream::{Collect, Job, JobBuilder, KeyedProcess, Progress, StreamError};

const KEYS: u64 = 1_000_000;
const INTERVAL: Duration = Duration::from_secs(1);

fn main() {
    let records = setting("SEAWALL_BENCH_RECORDS", 300_000_000);
    let pairs = setting("SEAWALL_BENCH_RUNS", 5);
    println!("{records} records over {KEYS} keys of 16 bytes with values of 16 bytes,");
    println!("parallelism 2, a checkpoint each {INTERVAL:?}, {pairs} pairs of runs");
    let (mut ratios, mut rates) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut all = Figures::default();
    let mut quiet = Vec::new();
    for _ in 0..pairs {
        let (without, figures) = run(records, None);
        quiet.extend(figures.gaps);
        let (with, figures) = run(records, Some(INTERVAL));
        all.views.extend(figures.views);
        all.gaps.extend(figures.gaps);
        all.checkpoints.extend(figures.checkpoints);
        ratios.push(with / without);
        rates[0].push(without / 1e6);
        rates[1].push(with / 1e6);
    }
    let [without, with] = rates.map(|it| median(&it));
    println!("M records/s without {without:.1}, with {with:.1}, ratio {:.2}", median(&ratios));
    println!("{:>28} {:>7} {:>7} {:>7} {:>7}", "milliseconds", "p50", "p99", "max", "n");
    row("synchronous part", &all.views);
    row("gap during a checkpoint", &all.gaps);
    row("gap without checkpoints", &quiet);
    row("trigger to completed", &all.checkpoints);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.replace('_', "").parse().ok()).unwrap_or(default)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn row(name: &str, times: &[Duration]) {
    let mut times: Vec<f64> = times.iter().map(|it| it.as_secs_f64() * 1e3).collect();
    times.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| {
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)))
    };
    let [p50, p99, max] = [50, 99, 100].map(|it| at(it).copied().unwrap_or_default());
    println!("{name:>28} {p50:>7.2} {p99:>7.2} {max:>7.2} {:>7}", times.len());
}

/// What one run shows.
#[derive(Default)]
struct Figures {
    /// How long taking the view took, by checkpoint and subtask.
    views: Vec<Duration>,
    /// The longest gap between batches, by checkpoint and subtask.
    gaps: Vec<Duration>,
    /// From the trigger to the completion.
    checkpoints: Vec<Duration>,
}

/// What happened when: for each subtask the ends of its batches, and the checkpoints.
#[derive(Default)]
struct Log {
    batches: Mutex<Vec<Vec<Instant>>>,
    views: Mutex<Vec<Duration>>,
    triggered: Mutex<Option<Instant>>,
    checkpoints: Mutex<Vec<(Instant, Instant)>>,
}

#[async_trait]
impl Observer for Log {
    fn observe(&self, event: Event) -> Reaction {
        let now = Instant::now();
        let mut triggered = self.triggered.lock().expect("nobody panics");
        if let Event::CheckpointTriggered { is_final: false, .. } = event {
            *triggered = Some(now);
        } else if let Event::CheckpointCompleted { .. } = event
            && let Some(began) = triggered.take()
        {
            self.checkpoints.lock().expect("nobody panics").push((began, now));
        }
        Reaction::Continue
    }

    async fn settle(&self) {}
}

impl Log {
    fn figures(&self) -> Figures {
        let batches = std::mem::take(&mut *self.batches.lock().expect("nobody panics"));
        let mut checkpoints = std::mem::take(&mut *self.checkpoints.lock().expect("nobody panics"));
        let durations = checkpoints.iter().map(|(from, to)| *to - *from).collect();
        if checkpoints.is_empty() {
            // Windows of a tenth of a second, two seconds after the start and later.
            let began = batches.iter().flatten().min().copied().expect("records flowed");
            let window = |it: u32| began + Duration::from_millis(2_000 + 500 * u64::from(it));
            let windows = (0..).map(|it| (window(it), window(it) + Duration::from_millis(100)));
            let ended = batches.iter().filter_map(|it| it.last()).min().copied();
            checkpoints = windows.take_while(|it| Some(it.1) < ended).collect();
        }
        let mut gaps = Vec::new();
        for (from, to) in checkpoints {
            for ends in &batches {
                let first = ends.partition_point(|it| *it < from).saturating_sub(1);
                let last = ends.partition_point(|it| *it < to).min(ends.len() - 1);
                gaps.extend(ends[first..=last].windows(2).map(|it| it[1] - it[0]).max());
            }
        }
        let views = std::mem::take(&mut *self.views.lock().expect("nobody panics"));
        Figures { views, gaps, checkpoints: durations }
    }
}

/// An operator that notes when it did what.
struct Timed {
    inner: Box<dyn OperatorChain>,
    log: Arc<Log>,
    ends: Vec<Instant>,
}

impl Drop for Timed {
    fn drop(&mut self) {
        // A chain is also built to be asked for its states; that one ran nothing.
        if !self.ends.is_empty() {
            self.log.batches.lock().expect("nobody panics").push(std::mem::take(&mut self.ends));
        }
    }
}

impl Outputs for Timed {
    fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>) {
        self.inner.edges(into);
    }
    fn sink(&mut self) -> Option<&mut dyn SinkPort> {
        self.inner.sink()
    }
    fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError> {
        self.inner.states(visit)
    }
    fn tell(&mut self, notice: Notice) {
        self.inner.tell(notice);
    }
    fn hears_checkpoints(&self) -> bool {
        self.inner.hears_checkpoints()
    }
    fn hears_end(&self) -> bool {
        self.inner.hears_end()
    }
    fn makes_watermarks(&self) -> bool {
        self.inner.makes_watermarks()
    }
    fn on_watermark(&mut self, time: EventTime) {
        self.inner.on_watermark(time);
    }
}

impl OperatorChain for Timed {
    fn on_batch(&mut self, batch: Batch) -> Result<(), StreamError> {
        self.inner.on_batch(batch)?;
        self.ends.push(Instant::now());
        Ok(())
    }
    fn fire_timers(&mut self, time: EventTime, limit: usize) -> Result<Progress, StreamError> {
        self.inner.fire_timers(time, limit)
    }
    fn on_end(&mut self, limit: usize) -> Result<Progress, StreamError> {
        self.inner.on_end(limit)
    }
    fn view(&mut self, request: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError> {
        let began = Instant::now();
        let view = self.inner.view(request);
        self.log.views.lock().expect("nobody panics").push(began.elapsed());
        view
    }
    fn restore(&mut self, groups: &[EncodedGroup]) -> Result<(), StreamError> {
        self.inner.restore(groups)
    }
    fn needs_scratch(&self) -> bool {
        self.inner.needs_scratch()
    }
    fn open(&mut self, scratch: Arc<dyn Scratch>) -> Result<(), StreamError> {
        self.inner.open(scratch)
    }
    fn apply(&mut self, changes: &[Changes]) -> Result<(), StreamError> {
        self.inner.apply(changes)
    }
    fn track_changes(&mut self, restored: Option<CheckpointId>) {
        self.inner.track_changes(restored);
    }
    fn confirm(&mut self, checkpoint: CheckpointId) {
        self.inner.confirm(checkpoint);
    }
    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}

/// Counts and sums the records of each key, and emits nothing.
#[derive(Clone)]
struct Sum;

impl KeyedProcess for Sum {
    type Key = (u64, u64);
    type In = u64;
    type State = [u64; 2];
    type Out = u64;

    #[inline]
    fn on_record(
        &mut self,
        _: &(u64, u64),
        record: u64,
        state: &mut Option<[u64; 2]>,
        _: &mut impl Collect<u64>,
    ) {
        let [count, sum] = state.unwrap_or_default();
        *state = Some([count + 1, sum.wrapping_add(record)]);
    }
}

fn job(records: u64, output: &Path, log: &Arc<Log>) -> Job {
    let builder = JobBuilder::new("checkpoint-stall", 2);
    builder
        .source("generate", GeneratorSource { records, keys: KEYS, seed: 0 })
        .key_by(|it| (*it, !*it))
        .process("sum", Sum)
        .sink("nothing", FileSink::new(output, |_, _| {}));
    let mut job = builder.build();
    for operator in &mut job.operators {
        let (build, log) = (Arc::clone(&operator.build), Arc::clone(log));
        operator.build = Arc::new(move |place| match build(place) {
            Chain::Operator(inner) => {
                let ends = Vec::with_capacity(1 << 20);
                Chain::Operator(Box::new(Timed { inner, log: Arc::clone(&log), ends }))
            }
            source @ Chain::Source(_) => source,
        });
    }
    job
}

/// One run from an empty directory to its end: records per second, and what it shows.
fn run(records: u64, interval: Option<Duration>) -> (f64, Figures) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let (storage, output) = (directory.path().join("state"), directory.path().join("out"));
    let log = Arc::new(Log::default());
    let job = job(records, &output, &log);
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(process(job, interval, &storage, &log));
    let rate = records as f64 / began.elapsed().as_secs_f64();
    drop(runtime);
    (rate, log.figures())
}

async fn process(job: Job, interval: Option<Duration>, storage: &Path, log: &Arc<Log>) {
    let job = Arc::new(job);
    let observer = Arc::clone(log) as Arc<dyn Observer>;
    let env = tokio_env::env(Arc::new(InProcessNetwork::new()), observer);
    let worker = WorkerConfig {
        worker: WorkerId(1),
        slots: 2,
        coordinator: "coordinator".to_owned(),
        job: Arc::clone(&job),
        storage: Storage::on_disk(Arc::clone(&env.disk), storage),
        mode: seawall_protocol::config::CheckpointMode::ExactlyOnce,
        state: seawall_protocol::config::StateBackend::Heap,
        scratch: std::env::temp_dir(),
        is_incremental: false,
        without_channel_state: None,
        watermark_interval: Duration::from_millis(200),
        heartbeat: HeartbeatConfig::default(),
        metrics: Arc::new(Metrics::default()),
    };
    let worker_env = env.clone();
    let worker = tokio::spawn(async move { worker::run(worker_env, worker).await });
    let config = CoordinatorConfig {
        address: "coordinator".to_owned(),
        storage: Storage::on_disk(Arc::clone(&env.disk), storage),
        id: JobId(1),
        job,
        checkpoint: CheckpointConfig { interval, ..CheckpointConfig::default() },
        restart: RestartStrategy::None,
        heartbeat: HeartbeatConfig::default(),
        control: Control::default(),
        restore: None,
        open: Arc::new(|_| unreachable!("nobody asks for savepoints")),
    };
    let outcome = coordinator::run(env, config).await.expect("nothing is in the way");
    assert_eq!(outcome, Outcome::Result(JobResult::Finished));
    worker.abort();
}
