//! Records per second of `keyed-count`, with and without checkpoints.
//!
//! `cargo bench --bench keyed_count`; `SEAWALL_BENCH_RECORDS` sets the records of one run. Each figure is
//! the median of its runs; ratios are of medians from this one process.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use seawall_env::{Observer, Reaction};
use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use seawall_protocol::coordinator::Outcome;
use seawall_protocol::event::Event;
use seawall_protocol::record::JobResult;
use seawall_protocol::{JobId, WorkerId};
use seawall_runtime::control::Control;
use seawall_runtime::coordinator::{self, CoordinatorConfig};
use seawall_runtime::metrics::Metrics;
use seawall_runtime::storage::Storage;
use seawall_runtime::tokio_env::{self, InProcessNetwork};
use seawall_runtime::worker::{self, WorkerConfig};

const RUNS: usize = 5;

fn main() {
    let records: u64 = std::env::var("SEAWALL_BENCH_RECORDS")
        .ok()
        .and_then(|it| it.replace('_', "").parse().ok())
        .unwrap_or(300_000_000);
    println!("keyed-count, {records} records, parallelism 2, median of {RUNS} runs");
    println!(
        "{:>9}  {:>12}  {:>9}  {:>12}  {:>6}",
        "keys", "checkpoints", "completed", "M records/s", "ratio"
    );
    for keys in [1_000, 1_000_000] {
        let without = median(|| run(records, keys, None));
        let with = median(|| run(records, keys, Some(Duration::from_secs(1))));
        for (name, (rate, completed)) in [("none", without), ("each second", with)] {
            let ratio = rate / without.0;
            println!("{keys:>9}  {name:>12}  {completed:>9}  {:>12.1}  {ratio:>6.2}", rate / 1e6);
        }
    }
}

/// Counts completed checkpoints; the last one, at the end of the input, is one of them.
#[derive(Default)]
struct Completed(AtomicU64);

#[async_trait]
impl Observer for Completed {
    fn observe(&self, event: Event) -> Reaction {
        if let Event::CheckpointCompleted { .. } = event {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Reaction::Continue
    }

    async fn settle(&self) {}
}

fn median(mut run: impl FnMut() -> (f64, u64)) -> (f64, u64) {
    let mut runs: Vec<_> = (0..RUNS).map(|_| run()).collect();
    runs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    runs[RUNS / 2]
}

/// One run from an empty directory to its committed result: records per second, and checkpoints.
fn run(records: u64, keys: u64, interval: Option<Duration>) -> (f64, u64) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let (storage, output) = (directory.path().join("state"), directory.path().join("out"));
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let completed = runtime.block_on(process(records, keys, interval, &storage, &output));
    (records as f64 / began.elapsed().as_secs_f64(), completed)
}

async fn process(
    records: u64,
    keys: u64,
    interval: Option<Duration>,
    storage: &Path,
    output: &Path,
) -> u64 {
    let completed = Arc::new(Completed::default());
    let spec = seawall_jobs::find("keyed-count").expect("it is built in");
    let pairs = [
        format!("records={records}"),
        format!("keys={keys}"),
        format!("output={}", output.display()),
    ];
    let options = seawall_jobs::Options::parse(spec, &pairs).expect("the options are legal");
    let job = Arc::new((spec.build)(&options, 2));
    let env = tokio_env::env(
        Arc::new(InProcessNetwork::new()),
        Arc::clone(&completed) as Arc<dyn Observer>,
    );
    let worker = WorkerConfig {
        worker: WorkerId(1),
        slots: 2,
        coordinator: "coordinator".to_owned(),
        job: Arc::clone(&job),
        storage: Storage::on_disk(Arc::clone(&env.disk), storage),
        mode: seawall_protocol::config::CheckpointMode::ExactlyOnce,
        state: seawall_protocol::config::StateBackend::Heap,
        scratch: storage.join("scratch"),
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
    completed.0.load(Ordering::Relaxed)
}
