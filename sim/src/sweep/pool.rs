//! Work on as many cores as there are, until there is no more, time is up, or somebody has seen enough.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::interrupt;

/// How many runs go on at a time unless told otherwise.
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// When no more work is begun. What has begun is finished.
#[derive(Debug, Default)]
pub struct Stop {
    is_asked: AtomicBool,
    deadline: Option<Instant>,
}

impl Stop {
    /// At this moment, or when asked.
    pub fn at(deadline: Option<Instant>) -> Self {
        Self { is_asked: AtomicBool::new(false), deadline }
    }

    /// Begin no more work.
    pub fn ask(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked, here or with Ctrl-C.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed) || interrupt::is_stopped()
    }

    /// Whether no more work is to be begun.
    pub fn is_due(&self) -> bool {
        self.is_asked() || self.deadline.is_some_and(|it| Instant::now() >= it)
    }
}

/// Does the work that `next` hands out, `jobs` at a time, until there is none or `stop` is due. Each result
/// goes to `done` as it comes, one at a time, with the number of its work.
pub fn work_off<W: Send, R: Send>(
    work: impl Iterator<Item = W> + Send,
    jobs: usize,
    stop: &Stop,
    each: impl Fn(&W) -> R + Sync,
    done: impl FnMut(usize, W, R) + Send,
) {
    let work = Mutex::new(work.enumerate());
    let done = Mutex::new(done);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while !stop.is_due() {
                    let next = work.lock().expect("an iterator does not panic").next();
                    let Some((number, item)) = next else { return };
                    let result = each(&item);
                    (*done.lock().expect("no run panics here"))(number, item, result);
                }
            });
        }
    });
}

/// Does all of `work`, `jobs` at a time, and returns the results in the order of the work.
pub fn in_parallel<W: Sync, R: Send>(
    work: &[W],
    jobs: usize,
    each: impl Fn(&W) -> R + Sync,
) -> Vec<R> {
    let mut results: Vec<Option<R>> = work.iter().map(|_| None).collect();
    let jobs = jobs.min(work.len());
    let put = |number: usize, _, result| results[number] = Some(result);
    work_off(work.iter(), jobs, &Stop::default(), |item| each(item), put);
    results.into_iter().map(|it| it.expect("all work was done")).collect()
}
