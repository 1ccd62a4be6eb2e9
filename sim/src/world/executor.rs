//! The seam to madsim: everything that names it is in this file.
//!
//! Used of it: one thread that polls tasks in an order drawn from a seed, groups of tasks that can be
//! killed, paused and resumed together, and the interception of the C library's clock and random
//! source. Not used: its time, network, files and randomness (see `README.md`).
//!
//! madsim's clock serves as a signal only. A sleep of an hour of madsim time ends exactly when no task
//! can run, because polls move that clock by at most 100 ns each; then our own timers decide what
//! happens next. So neither its floor of 1 ms nor its heap of sleeps, from which nothing is ever
//! removed, is ours.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle, Runtime};
use madsim::task::AbortHandle;

/// Longer than the polls between two idle moments can make madsim's clock move: 36 billion polls.
const BEYOND_BUSY: Duration = Duration::from_hours(1);

/// How many spawns go between two removals of what madsim keeps about tasks that ended.
const SPAWNS_PER_PRUNE: u64 = 1_024;

/// Creates processes.
#[derive(Clone)]
pub(crate) struct Executor {
    handle: Handle,
    spawned: Arc<AtomicU64>,
}

impl Executor {
    /// Runs what `main` returns to its end, in the order that `schedule` chooses.
    pub(crate) fn block_on<T, F: Future<Output = T>>(
        schedule: u64,
        main: impl FnOnce(Executor) -> F,
    ) -> T {
        let runtime = Runtime::with_seed_and_config(schedule, madsim::Config::default());
        let executor =
            Self { handle: runtime.handle().clone(), spawned: Arc::new(AtomicU64::new(0)) };
        let future = main(executor);
        runtime.block_on(future)
    }

    /// A new, empty process. Each incarnation of a node is one, so nothing of madsim's own restart is
    /// relied on.
    pub(crate) fn create_process(&self, name: &str) -> Process {
        let node = self.handle.create_node().name(name).build();
        Process { node, executor: self.clone() }
    }

    /// Completes when no task can run.
    pub(crate) async fn idle() {
        madsim::time::sleep(BEYOND_BUSY).await;
    }
}

/// Tasks that die, stop and go on together.
#[derive(Clone)]
pub(crate) struct Process {
    node: NodeHandle,
    executor: Executor,
}

impl Process {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Abort {
        // madsim keeps a weak reference, and with it the allocation, of each task it ever started on
        // a node; counting them is what removes those.
        if (self.executor.spawned.fetch_add(1, Ordering::Relaxed) + 1)
            .is_multiple_of(SPAWNS_PER_PRUNE)
        {
            self.executor.handle.metrics().num_tasks();
        }
        Abort(self.node.spawn(task).abort_handle())
    }

    /// Ends all tasks: none is polled again, and madsim drops each one, with its destructors, later.
    pub(crate) fn kill(&self) {
        // Parked tasks would be dropped while madsim holds its lock; resumed, they are dropped as the
        // others are.
        self.executor.handle.resume(self.node.id());
        self.executor.handle.kill(self.node.id());
    }

    /// Parks all tasks.
    pub(crate) fn pause(&self) {
        self.executor.handle.pause(self.node.id());
    }

    /// Lets parked tasks go on.
    pub(crate) fn resume(&self) {
        self.executor.handle.resume(self.node.id());
    }
}

/// Ends one task.
pub(crate) struct Abort(AbortHandle);

impl Abort {
    /// The task is not polled again; it is dropped later.
    pub(crate) fn abort(&self) {
        self.0.abort();
    }
}
