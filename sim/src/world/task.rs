//! Tasks: each poll is counted, charged to the timeline, and watched.
//!
//! A world that can no longer reach its end must end anyway, and say why: when nothing can ever run
//! again, when tasks wake each other without end, or when a limit is reached. Only a task that does not
//! return from one poll is beyond reach of this thread; [`Progress`] tells another thread which it is.
//! A task that panics ends the world too, in order: every other task is dropped first.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use seawall_env::{BoxFuture, Spawn, TaskHandle};

use super::clock::Timeline;
use super::cpu::Cpu;
use super::executor::{Abort, Process};
use super::node::Life;
use super::ready::{Counted, Ready};
use super::strikes::Strikes;
use super::{lock, nanos};

/// How many names a report of a stuck world gives.
const NAMES_MAX: usize = 16;

/// What a world may use before it is taken for stuck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Polls from one moment at which nothing can run to the next.
    pub polls_while_busy: u64,
    /// Polls of the whole world.
    pub polls: u64,
    /// Virtual time of the whole world.
    pub time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { polls_while_busy: 5_000_000, polls: 1_000_000_000, time: Duration::from_hours(24) }
    }
}

/// Why a world could not reach its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Stuck {
    /// Virtual time.
    pub now: Duration,
    /// Polls so far.
    pub polls: u64,
    /// What went wrong.
    pub cause: StuckCause,
    /// The tasks concerned, most of all first: those that wait, or those that were polled most.
    pub tasks: Vec<String>,
}

/// The kinds of being stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StuckCause {
    /// Nothing can run and no timer is set.
    NothingToWaitFor,
    /// Tasks wake each other, or themselves, and never wait.
    Busy,
    /// The budget of polls is used up.
    PollsExceeded,
    /// The budget of virtual time is used up.
    TimeExceeded,
    /// [`Progress::stop`] was called.
    Stopped,
}

impl fmt::Display for Stuck {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            StuckCause::NothingToWaitFor => "nothing can run and nothing will ever wake, waiting",
            StuckCause::Busy => "tasks keep waking without ever waiting, most polled",
            StuckCause::PollsExceeded => "the budget of polls is used up, running",
            StuckCause::TimeExceeded => "the budget of virtual time is used up, running",
            StuckCause::Stopped => "stopped from outside, running",
        };
        write!(
            out,
            "stuck after {:?} of virtual time and {} polls: {cause}: {}",
            self.now,
            self.polls,
            self.tasks.join(", ")
        )
    }
}

/// A view of a running world for another thread, and its way to stop it.
///
/// When [`Progress::polls`] does not move while the wall clock does, a task does not return from its
/// poll; [`Progress::running`] names it. Nothing but the end of the process stops that one.
#[derive(Debug, Default)]
pub struct Progress {
    polls: AtomicU64,
    now: AtomicU64,
    running: AtomicU64,
    is_stopped: AtomicBool,
    names: Mutex<BTreeMap<u64, String>>,
}

impl Progress {
    /// Polls so far.
    pub fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Virtual time so far.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now.load(Ordering::Relaxed))
    }

    /// The task that is being polled.
    pub fn running(&self) -> String {
        let task = self.running.load(Ordering::Relaxed);
        lock(&self.names).get(&task).cloned().unwrap_or_default()
    }

    /// Ends the world with [`StuckCause::Stopped`] before the next poll.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// Counts and charges polls, and decides that a world is stuck.
pub(crate) struct Meter {
    pub(crate) timeline: Arc<Timeline>,
    ready: Arc<Ready>,
    pub(crate) progress: Arc<Progress>,
    budget: Budget,
    poll_cost: u64,
    idle_at_polls: AtomicU64,
    idles: AtomicU64,
    digest: AtomicU64,
    tasks: AtomicU64,
    verdict: Mutex<Verdict>,
    is_cut: AtomicBool,
}

/// Why a world ended before its main task did.
pub(crate) enum Cut {
    /// It could not go on.
    Stuck(Stuck),
    /// A task panicked, with this.
    Panic(Box<dyn Any + Send>),
}

#[derive(Default)]
struct Verdict {
    cut: Option<Cut>,
    main: Option<Waker>,
    polled: BTreeMap<u64, u64>,
}

impl Meter {
    pub(crate) fn new(
        timeline: Arc<Timeline>,
        progress: Arc<Progress>,
        budget: Budget,
        poll_cost: Duration,
    ) -> Self {
        Self {
            timeline,
            ready: Arc::default(),
            progress,
            budget,
            poll_cost: nanos(poll_cost),
            idle_at_polls: AtomicU64::new(0),
            idles: AtomicU64::new(0),
            digest: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
            tasks: AtomicU64::new(0),
            verdict: Mutex::default(),
            is_cut: AtomicBool::new(false),
        }
    }

    /// A name for people, and an identifier that depends on nothing outside this world.
    pub(crate) fn enter(&self, name: String) -> u64 {
        let task = self.tasks.load(Ordering::Relaxed) + 1;
        self.tasks.store(task, Ordering::Relaxed);
        lock(&self.progress.names).insert(task, name);
        task
    }

    fn leave(&self, task: u64) {
        lock(&self.progress.names).remove(&task);
    }

    fn after_poll(&self, task: u64) {
        let polls = self.progress.polls() + 1;
        self.progress.polls.store(polls, Ordering::Relaxed);
        self.timeline.advance(self.poll_cost);
        let now = self.timeline.now();
        self.progress.now.store(now, Ordering::Relaxed);
        let mixed = (self.digest.load(Ordering::Relaxed) ^ task).rotate_left(23) ^ now;
        self.digest.store(mixed.wrapping_mul(0x9fb2_1c65_1e98_df25), Ordering::Relaxed);

        let busy = polls - self.idle_at_polls.load(Ordering::Relaxed);
        if busy > self.budget.polls_while_busy / 2 {
            *lock(&self.verdict).polled.entry(task).or_default() += 1;
        }
        if busy > self.budget.polls_while_busy {
            self.give_up(StuckCause::Busy);
        } else if polls > self.budget.polls {
            self.give_up(StuckCause::PollsExceeded);
        } else if now > nanos(self.budget.time) {
            self.give_up(StuckCause::TimeExceeded);
        } else if self.progress.is_stopped.load(Ordering::Relaxed) {
            self.give_up(StuckCause::Stopped);
        }
    }

    /// Nothing can run: on to the next timer.
    pub(crate) fn on_idle(&self) {
        if let Err(cause) = self.move_on() {
            self.give_up(cause);
        }
    }

    /// On to the next timer, if there is one in time.
    fn move_on(&self) -> Result<(), StuckCause> {
        self.timeline.jump(nanos(self.budget.time)).map_err(|next| match next {
            Some(_) => StuckCause::TimeExceeded,
            None => StuckCause::NothingToWaitFor,
        })?;
        self.idles.fetch_add(1, Ordering::Relaxed);
        let polls = self.progress.polls();
        let was_busy = polls - self.idle_at_polls.swap(polls, Ordering::Relaxed);
        if was_busy > self.budget.polls_while_busy / 2 {
            lock(&self.verdict).polled.clear();
        }
        Ok(())
    }

    fn give_up(&self, cause: StuckCause) {
        if self.is_cut.load(Ordering::Relaxed) {
            return;
        }
        let names = lock(&self.progress.names).clone();
        let tasks = {
            let verdict = lock(&self.verdict);
            let mut polled: Vec<(u64, u64)> =
                verdict.polled.iter().map(|(task, polls)| (*task, *polls)).collect();
            polled.sort_by_key(|(task, polls)| (std::cmp::Reverse(*polls), *task));
            if polled.is_empty() {
                names.into_values().take(NAMES_MAX).collect()
            } else {
                polled
                    .iter()
                    .filter_map(|(task, polls)| Some(format!("{} ({polls})", names.get(task)?)))
                    .take(NAMES_MAX)
                    .collect()
            }
        };
        let (now, polls) = (self.progress.now(), self.progress.polls());
        self.cut(Cut::Stuck(Stuck { now, polls, cause, tasks }));
    }

    /// Ends the world; what comes first counts.
    fn cut(&self, cut: Cut) {
        if self.is_cut.swap(true, Ordering::Relaxed) {
            return;
        }
        let main = {
            let mut verdict = lock(&self.verdict);
            verdict.cut = Some(cut);
            verdict.main.take()
        };
        if let Some(waker) = main {
            waker.wake();
        }
    }

    /// Polls a task; `None` when it panicked.
    fn poll<T>(&self, task: u64, poll: impl FnOnce() -> Poll<T>) -> Option<Poll<T>> {
        self.progress.running.store(task, Ordering::Relaxed);
        let polled = catch_unwind(AssertUnwindSafe(poll));
        self.after_poll(task);
        // A task that is over is dropped first, which takes no time.
        if matches!(polled, Ok(Poll::Pending)) && self.ready.is_nobody() {
            // Where nothing is left to wait for, the executor says so when everything is dropped.
            let _ = self.move_on();
        }
        polled.map_err(|panic| self.cut(Cut::Panic(panic))).ok()
    }

    pub(crate) fn idles(&self) -> u64 {
        self.idles.load(Ordering::Relaxed)
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.load(Ordering::Relaxed)
    }

    pub(crate) fn tasks_spawned(&self) -> u64 {
        self.tasks.load(Ordering::Relaxed)
    }

    /// A task's part in the count of those that can run.
    pub(crate) fn counted(&self) -> Counted {
        Counted::new(&self.ready)
    }

    /// Polls `main`, which ends early when the world is cut short.
    pub(crate) fn poll_main<T>(
        &self,
        task: u64,
        main: Pin<&mut impl Future<Output = T>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, Cut>> {
        {
            let mut verdict = lock(&self.verdict);
            if let Some(cut) = verdict.cut.take() {
                return Poll::Ready(Err(cut));
            }
            verdict.main = Some(context.waker().clone());
        }
        match self.poll(task, || main.poll(context)) {
            Some(polled) => polled.map(Ok),
            None => match lock(&self.verdict).cut.take() {
                Some(cut) => Poll::Ready(Err(cut)),
                None => unreachable!("a panic cuts the world short"),
            },
        }
    }
}

/// A task of the world.
pub(crate) struct Metered {
    meter: Arc<Meter>,
    task: u64,
    /// Of the node it runs on; the world's own tasks have none.
    cpu: Option<Cpu>,
    counted: Counted,
    future: BoxFuture<'static, ()>,
}

impl Metered {
    pub(crate) fn new(
        meter: Arc<Meter>,
        cpu: Option<Cpu>,
        name: String,
        future: BoxFuture<'static, ()>,
    ) -> Self {
        let (task, counted) = (meter.enter(name), meter.counted());
        Self { meter, task, cpu, counted, future }
    }
}

impl Future for Metered {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { meter, task, cpu, counted, future } = &mut *self;
        let context = &mut Context::from_waker(counted.on_poll(context));
        if let Some(cpu) = cpu {
            ready!(cpu.poll_turn(context));
        }
        // A task that panicked is over; its node lives on for the moment until all is dropped.
        meter.poll(*task, || future.as_mut().poll(context)).unwrap_or(Poll::Ready(()))
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.meter.leave(self.task);
    }
}

/// Starts tasks on one incarnation of a node.
pub(crate) struct NodeSpawner {
    pub(crate) meter: Arc<Meter>,
    pub(crate) life: Arc<Life>,
    pub(crate) process: Process,
    pub(crate) strikes: Strikes,
}

impl Spawn for NodeSpawner {
    fn spawn(&self, name: &str, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        if !self.life.is_running() {
            return Box::new(WorldTask { abort: None });
        }
        let name = format!("{}#{}/{name}", self.life.node.name, self.life.number);
        let node = self.life.node.clone();
        let cpu = Cpu::new(self.meter.timeline.clone(), node, self.strikes.clone());
        Box::new(start(&self.process, &self.meter, Some(cpu), name, task))
    }
}

/// Starts `task` in `process`.
pub(crate) fn start(
    process: &Process,
    meter: &Arc<Meter>,
    cpu: Option<Cpu>,
    name: String,
    task: BoxFuture<'static, ()>,
) -> WorldTask {
    WorldTask { abort: Some(process.spawn(Metered::new(meter.clone(), cpu, name, task))) }
}

/// A task that can be ended.
pub(crate) struct WorldTask {
    abort: Option<Abort>,
}

impl TaskHandle for WorldTask {
    fn abort(&self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }
}
