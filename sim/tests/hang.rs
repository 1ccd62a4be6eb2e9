//! A run that does not come back. In a program of its own: what hangs goes on until the program ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use seawall_jobs::reference::InputFile;
use seawall_protocol::JobId;
use seawall_runtime::storage::Snapshot;
use seawall_sim::run::{Options, run_as};
use seawall_sim::scenario::Scenario;
use seawall_sim::subject::{Compared, Subject};
use seawall_sim::verdict::Result as Outcome;
use seawall_sim::workload::Prepared;
use seawall_stream::Job;

/// A job whose first operator never comes back from being built.
struct Hanging {
    inner: Prepared,
    job: Arc<Job>,
}

impl Subject for Hanging {
    fn job(&self) -> &Arc<Job> {
        &self.job
    }
    fn id(&self) -> JobId {
        self.inner.id()
    }
    fn files(&self) -> &[InputFile] {
        self.inner.files()
    }
    fn position(&self, split: &[u8]) -> Option<(String, u64)> {
        self.inner.position(split)
    }
    fn output(&self) -> Option<Vec<Vec<u8>>> {
        self.inner.output()
    }
    fn output_before(&self, splits: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        self.inner.output_before(splits)
    }
    fn state(&self, snapshots: &[Snapshot]) -> Result<Option<Compared>, String> {
        self.inner.state(snapshots)
    }
    fn place_in_sequence(&self, line: &str) -> Option<(String, u64)> {
        self.inner.place_in_sequence(line)
    }
}

#[test]
fn a_run_that_never_returns_from_a_poll_is_left_behind_and_named() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke/no-faults.toml");
    let scenario = Scenario::load(&path).expect("it is legal");
    let inner = Prepared::of(&scenario, 1);
    let mut job = (*inner.job).clone();
    job.operators[0].build = Arc::new(|_| {
        loop {
            std::hint::spin_loop();
        }
    });
    let subject = Arc::new(Hanging { inner, job: Arc::new(job) });
    let options = Options { wall_time_max: Duration::from_millis(500), ..Options::default() };
    let verdict = run_as(&scenario, 1, Vec::new(), subject, options);
    let Outcome::Stuck { pending } = &verdict.result else { panic!("{:?}", verdict.result) };
    assert!(pending.contains("does not return\nhint: look for a loop"), "{pending}");
    assert!(pending.contains("#1"), "it names the task: {pending}");
    assert_eq!(verdict.result.exit_code(), 4);
}
