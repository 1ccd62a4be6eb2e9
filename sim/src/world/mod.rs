//! The simulated world: one process, one seed, virtual time, and an [`Env`] for each node.
//!
//! ```text
//! seed ─► Streams ─┬─► executor (schedule) ──► tasks of nodes ──► Env ─┬─► clock
//!                  ├─► network ◄──────────────────────────────────────┼─► network
//!                  ├─► disk    ◄──────────────────────────────────────┴─► disk
//!                  └─► workload, faults, clock: for whoever sets the scene
//! World::{crash, pause, partition, …} ─► node, network, disk          timeline ─► everything
//! ```
//!
//! The same seed, configuration and program give the same run, byte for byte, whatever else runs in
//! the process. The world knows nothing of the engine: it serves [`Env`] and breaks it.

mod clock;
mod cpu;
mod disk;
mod entropy;
mod executor;
mod network;
mod node;
mod ready;
mod service;
mod strikes;
mod task;
mod watchdog;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{Env, Observer, Reaction, TaskHandle};
use seawall_protocol::event::Event;
use seawall_protocol::tamper::{Honest, Tamper};

pub use disk::{
    Call, DiskConfig, DiskWatcher, InspectableDisk, Leaves, Lie, Operation, Operations, View, When,
};
pub use entropy::{Stream, Streams};
pub use network::{ConnectFault, Message, NetworkConfig};
pub use node::Program;
pub use service::{Mishap, Request};
pub use task::{Budget, Progress, Stuck, StuckCause};
pub use watchdog::Watchdog;

use clock::{ClockView, NodeClock, Timeline};
use cpu::Cpu;
use disk::{NodeDisk, Volume};
use entropy::NodeEntropy;
use executor::{Executor, Process};
use network::{NodeNetwork, Wire};
use node::{Life, Node, NodeEntry};
use service::Service;
use strikes::Strikes;
use task::{Cut, Meter, Metered, NodeSpawner};

/// What a world is like before anything goes wrong.
#[derive(Debug, Clone, Default)]
pub struct WorldConfig {
    /// The network.
    pub network: NetworkConfig,
    /// The disk.
    pub disk: DiskConfig,
    /// When the world is taken for stuck.
    pub budget: Budget,
    /// Virtual time that one poll of a task takes.
    pub poll_cost: PollCost,
    /// Whether every frame that is sent is kept, for [`World::messages`].
    pub records_messages: bool,
    /// Lets another thread see how far the world is, and stop it.
    pub progress: Arc<Progress>,
}

/// Virtual time that one poll of a task takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollCost(pub Duration);

impl Default for PollCost {
    fn default() -> Self {
        Self(Duration::from_nanos(100))
    }
}

/// What happened in a world, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Virtual time.
    pub now: Duration,
    /// Polls of tasks.
    pub polls: u64,
    /// Moments at which nothing could run.
    pub idles: u64,
    /// Tasks started.
    pub tasks: u64,
    /// Timers that wait now.
    pub timers: usize,
    /// The most timers that ever waited.
    pub timers_peak: usize,
    /// Frames sent.
    pub frames: u64,
    /// Directions of connections that exist now.
    pub pipes: usize,
    /// Operations on the disk.
    pub disk_operations: u64,
    /// A hash over which task was polled when; equal for equal runs.
    pub schedule_digest: u64,
    /// How often each kind of fault changed something; kinds that never did are not there.
    pub struck: BTreeMap<&'static str, u64>,
}

/// A handle to the world; cheap to clone.
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
}

struct Inner {
    streams: Streams,
    timeline: Arc<Timeline>,
    meter: Arc<Meter>,
    wire: Arc<Wire>,
    volume: Arc<Volume>,
    service: Arc<Service>,
    strikes: Strikes,
    executor: Executor,
    /// Where the world's own tasks run.
    process: Process,
    nodes: Mutex<BTreeMap<String, NodeEntry>>,
}

impl World {
    /// Runs `main` to its end in a new world.
    ///
    /// Run it on a thread of its own: the order of a `HashMap` depends on what the thread did before.
    ///
    /// # Panics
    /// When a task panics, and with the text of [`Stuck`] when the world is stuck; see
    /// [`World::try_run`].
    pub fn run<T, F: Future<Output = T>>(
        seed: u64,
        config: WorldConfig,
        main: impl FnOnce(World) -> F,
    ) -> T {
        match Self::try_run(seed, config, main) {
            Ok(output) => output,
            Err(stuck) => panic!("seed {seed}: {stuck}"),
        }
    }

    /// As [`World::run`], with being stuck as a value.
    ///
    /// # Errors
    /// [`Stuck`] when `main` cannot reach its end.
    ///
    /// # Panics
    /// When a task panics, with what it panicked with, after everything else was dropped.
    pub fn try_run<T, F: Future<Output = T>>(
        seed: u64,
        config: WorldConfig,
        main: impl FnOnce(World) -> F,
    ) -> Result<T, Stuck> {
        let streams = Streams::new(seed);
        let schedule = streams.stream("schedule").next_u64();
        let ended = Executor::block_on(schedule, |executor| async move {
            let world = Self::new(streams, executor, config);
            let _cleanup = Cleanup(world.clone());
            let inner = &world.inner;
            let meter = inner.meter.clone();
            inner.process.spawn(async move {
                loop {
                    Executor::idle().await;
                    meter.on_idle();
                }
            });
            let task = inner.meter.enter("main".to_owned());
            let (mut main, counted) = (pin!(main(world.clone())), inner.meter.counted());
            poll_fn(|context| {
                let context = &mut Context::from_waker(counted.on_poll(context));
                inner.meter.poll_main(task, main.as_mut(), context)
            })
            .await
        });
        match ended {
            Ok(output) => Ok(output),
            Err(Cut::Stuck(stuck)) => Err(stuck),
            Err(Cut::Panic(panic)) => resume_unwind(panic),
        }
    }

    fn new(streams: Streams, executor: Executor, config: WorldConfig) -> Self {
        let timeline = Arc::new(Timeline::new());
        let meter =
            Meter::new(timeline.clone(), config.progress, config.budget, config.poll_cost.0);
        let strikes = Strikes::default();
        let wire = Wire::new(
            timeline.clone(),
            streams.stream("network"),
            config.network,
            config.records_messages,
            strikes.clone(),
        );
        let volume =
            Volume::new(timeline.clone(), streams.stream("disk"), config.disk, strikes.clone());
        let service = Service::new(timeline.clone(), strikes.clone());
        let process = executor.create_process("world");
        let inner = Inner {
            streams,
            timeline,
            meter: Arc::new(meter),
            wire: Arc::new(wire),
            volume: Arc::new(volume),
            service: Arc::new(service),
            strikes,
            executor,
            process,
            nodes: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The random streams of this world's seed.
    pub fn streams(&self) -> Streams {
        self.inner.streams
    }

    /// Virtual time since the world began.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.inner.timeline.now())
    }

    /// Completes `duration` from now; at least every other task gets a chance to run.
    pub async fn sleep(&self, duration: Duration) {
        self.inner.timeline.sleep(duration).await;
    }

    /// Runs a task of the world, which no fault touches.
    pub fn spawn(
        &self,
        name: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Box<dyn TaskHandle> {
        let name = format!("world/{name}");
        Box::new(task::start(&self.inner.process, &self.inner.meter, None, name, Box::pin(task)))
    }

    /// Numbers about the run so far.
    pub fn stats(&self) -> Stats {
        let (timers, timers_peak) = self.inner.timeline.counts();
        let (frames, pipes) = self.inner.wire.counts();
        Stats {
            now: self.now(),
            polls: self.inner.meter.progress.polls(),
            idles: self.inner.meter.idles(),
            tasks: self.inner.meter.tasks_spawned(),
            timers,
            timers_peak,
            frames,
            pipes,
            disk_operations: self.inner.volume.operations(),
            schedule_digest: self.inner.meter.digest(),
            struck: self.inner.strikes.counts(),
        }
    }

    // Nodes.

    /// The [`Env`] of the current incarnation of `node`, which is switched on when it is new. Once that
    /// incarnation is over, nothing this value does has an effect.
    pub fn env(&self, node: &str, observer: Arc<dyn Observer>, tamper: Arc<dyn Tamper>) -> Env {
        self.with_node(node, |entry| self.env_of(entry, observer, tamper))
    }

    fn env_of(
        &self,
        entry: &NodeEntry,
        observer: Arc<dyn Observer>,
        tamper: Arc<dyn Tamper>,
    ) -> Env {
        let Inner { streams, timeline, meter, wire, volume, strikes, .. } = &*self.inner;
        let life = &entry.life;
        let find = {
            let world = Arc::downgrade(&self.inner);
            move |name: &str| {
                let inner = world.upgrade()?;
                lock(&inner.nodes).get(name).map(|entry| entry.node.clone())
            }
        };
        let entropy = format!("entropy/{}/{}", life.node.name, life.number);
        Env {
            clock: Arc::new(NodeClock {
                timeline: timeline.clone(),
                view: entry.clock.clone(),
                strikes: strikes.clone(),
            }),
            disk: Arc::new(NodeDisk { volume: volume.clone(), life: life.clone() }),
            network: Arc::new(NodeNetwork {
                wire: wire.clone(),
                life: life.clone(),
                find: Arc::new(find),
            }),
            spawner: Arc::new(NodeSpawner {
                meter: meter.clone(),
                life: life.clone(),
                process: entry.process.clone(),
                strikes: strikes.clone(),
            }),
            entropy: Arc::new(NodeEntropy::new(streams.stream(&entropy))),
            observer,
            tamper,
        }
    }

    /// Runs `program` on `node`, now and after each restart. Its [`Env`] has an observer that ignores
    /// everything and an honest tamper; a program that wants others puts them in. When the program
    /// returns, its process ends: its tasks stop, and what it held is closed in order.
    pub fn start(&self, node: &str, program: Program) {
        let is_running = self.with_node(node, |entry| {
            entry.program = Some(program);
            entry.life.is_running()
        });
        if is_running {
            self.run_program(node);
        } else {
            self.restart(node);
        }
    }

    fn run_program(&self, node: &str) {
        let started = self.with_node(node, |entry| {
            let program = entry.program.clone()?;
            let env = self.env_of(entry, Arc::new(Unobserved), Arc::new(Honest));
            Some((program, env, entry.life.clone(), entry.process.clone()))
        });
        let Some((program, env, life, process)) = started else { return };
        let name = format!("{}#{}", life.node.name, life.number);
        let Inner { timeline, meter, strikes, .. } = &*self.inner;
        let cpu = Cpu::new(timeline.clone(), life.node.clone(), strikes.clone());
        let run = {
            let process = process.clone();
            async move {
                program(env).await;
                life.exit();
                process.kill();
            }
        };
        process.spawn(Metered::new(meter.clone(), Some(cpu), name, Box::pin(run)));
    }

    /// Cuts the power of `node`: memory is gone, unsynced bytes and names are lost or torn, and its
    /// connections fall silent.
    pub fn crash(&self, node: &str) {
        self.crash_leaving(node, Leaves::Drawn);
    }

    /// As [`World::crash`], with a choice of what is left of what was not synced.
    pub fn crash_leaving(&self, node: &str, leaves: Leaves) {
        let (life, process) = self.with_node(node, |entry| {
            entry.is_paused = false;
            (entry.life.clone(), entry.process.clone())
        });
        if life.is_lost() {
            return;
        }
        self.inner.strikes.hit("crash");
        life.lose();
        life.node.set_powered(false);
        self.inner.wire.on_crash(&life);
        self.inner.volume.on_crash(life.node.index, leaves);
        process.kill();
    }

    /// Ends the process of `node` and nothing else: its tasks stop and its connections are closed, as an
    /// operating system does for a process that dies; what it wrote, synced or not, stays.
    pub fn end_process(&self, node: &str) {
        let (life, process) = self.with_node(node, |entry| {
            entry.is_paused = false;
            (entry.life.clone(), entry.process.clone())
        });
        if life.is_running() {
            self.inner.strikes.hit("end-process");
            life.exit();
            process.kill();
        }
    }

    /// Switches `node` on again, with a new incarnation; crashes it first when it is running. When its
    /// program had returned, only the program starts again: what it wrote is still there.
    pub fn restart(&self, node: &str) {
        if self.is_up(node) {
            self.crash(node);
        }
        self.with_node(node, |entry| {
            let number = entry.life.number + 1;
            let name = format!("{node}#{number}");
            entry.life = Arc::new(Life::new(entry.node.clone(), number));
            entry.process = self.inner.executor.create_process(&name);
            entry.node.set_powered(true);
        });
        self.inner.wire.on_power();
        self.run_program(node);
    }

    /// Stops every task of `node` where it is; its memory, connections and files stay.
    pub fn pause(&self, node: &str) {
        self.with_node(node, |entry| {
            if entry.life.is_running() && !entry.is_paused {
                entry.is_paused = true;
                entry.process.pause();
                self.inner.strikes.hit("pause");
            }
        });
    }

    /// Lets a paused node go on.
    pub fn resume(&self, node: &str) {
        self.with_node(node, |entry| {
            if std::mem::take(&mut entry.is_paused) {
                entry.process.resume();
            }
        });
    }

    /// Whether `node` is switched on and its program did not return; a paused node is up.
    pub fn is_up(&self, node: &str) -> bool {
        lock(&self.inner.nodes).get(node).is_some_and(|entry| entry.life.is_running())
    }

    /// How often `node` was switched on.
    pub fn incarnation(&self, node: &str) -> u32 {
        lock(&self.inner.nodes).get(node).map_or(0, |entry| entry.life.number)
    }

    /// The names of all nodes.
    pub fn nodes(&self) -> Vec<String> {
        lock(&self.inner.nodes).keys().cloned().collect()
    }

    /// Makes the clock of `node` jump ahead by `ahead` and gain `parts_per_million` from now on.
    pub fn set_clock(&self, node: &str, ahead: Duration, parts_per_million: i32) {
        let view = self.with_node(node, |entry| entry.clock.clone());
        let mut view = lock(&view);
        *view = view.changed(self.inner.timeline.now(), ahead, parts_per_million);
    }

    /// Each poll of a task of `node` begins `delay` after it could have; for each task by itself, and
    /// over restarts.
    pub fn set_slow_cpu(&self, node: &str, delay: Option<Duration>) {
        self.with_node(node, |entry| entry.node.set_poll_delay(delay));
    }

    /// Acts on a node, which comes into being when it is first named.
    fn with_node<T>(&self, name: &str, act: impl FnOnce(&mut NodeEntry) -> T) -> T {
        let mut nodes = lock(&self.inner.nodes);
        let index = u32::try_from(nodes.len()).expect("fewer nodes than u32 holds");
        let entry = nodes.entry(name.to_owned()).or_insert_with(|| {
            let node = Arc::new(Node::new(index, name));
            node.set_powered(true);
            NodeEntry {
                life: Arc::new(Life::new(node.clone(), 1)),
                process: self.inner.executor.create_process(&format!("{name}#1")),
                node,
                program: None,
                is_paused: false,
                clock: Arc::new(Mutex::new(ClockView::TRUE)),
            }
        });
        act(entry)
    }

    fn index(&self, node: &str) -> u32 {
        self.with_node(node, |entry| entry.node.index)
    }

    // The network.

    /// Nothing gets from `from` to `to` until healed; the other direction is not touched.
    pub fn partition(&self, from: &str, to: &str) {
        self.inner.wire.partition(self.index(from), self.index(to));
    }

    /// What was held back from `from` to `to` arrives.
    pub fn heal(&self, from: &str, to: &str) {
        self.inner.wire.heal(self.index(from), self.index(to));
    }

    /// Ends what is wrong between nodes and with their processors, except for latencies: partitions,
    /// limits, what is armed and did not strike yet, what is wrong with connects, slow processors. What was
    /// held back or is late arrives, and what is sent on dead connections is answered with a reset.
    pub fn heal_all(&self) {
        for entry in lock(&self.inner.nodes).values() {
            entry.node.set_poll_delay(None);
        }
        self.inner.wire.heal_all();
    }

    /// How long frames take from `from` to `to` from now on; `None` is as configured.
    pub fn set_latency(&self, from: &str, to: &str, range: Option<RangeInclusive<Duration>>) {
        self.inner.wire.set_latency(self.index(from), self.index(to), range);
    }

    /// Frames leave from `from` to `to` one after the other at this rate, and then take their latency.
    /// Without a limit, as at first, what still waits arrives as soon as latency alone allows.
    pub fn set_bandwidth(&self, from: &str, to: &str, bytes_per_second: Option<NonZeroU64>) {
        self.inner.wire.set_bandwidth(self.index(from), self.index(to), bytes_per_second);
    }

    /// Each frame from `from` to `to` resets its connection, for both ends, with this probability.
    pub fn set_flaky(&self, from: &str, to: &str, resets_per_mille: Option<u32>) {
        self.inner.wire.set_flaky(self.index(from), self.index(to), resets_per_mille);
    }

    /// The next `count` frames from `from` to `to` take `duration` longer, and what is sent behind them
    /// on the same connection waits for them.
    pub fn delay_next(&self, from: &str, to: &str, duration: Duration, count: u32) {
        self.inner.wire.delay_next(self.index(from), self.index(to), duration, count);
    }

    /// The next `count` frames from `from` to `to` never arrive, though their sends succeed. As TCP keeps
    /// order, nothing that is sent behind such a frame arrives either; the other direction goes on, until
    /// both ends give the connection up with a reset ([`NetworkConfig::loss_noticed`]). So each loss costs
    /// a connection.
    pub fn lose_next(&self, from: &str, to: &str, count: u32) {
        self.inner.wire.lose_next(self.index(from), self.index(to), count);
    }

    /// The next `count` frames from `from` to `to` arrive twice in a row.
    ///
    /// TCP never does this. It stands for a sender that was cut off, does not know whether its frame
    /// arrived, and sends it once more. So it is legal only on links whose protocol has an answer for
    /// what comes twice: in the engine those from and to the coordinator. A channel between two workers
    /// relies on TCP for exactly-once, and must never see it.
    pub fn duplicate_next(&self, from: &str, to: &str, count: u32) {
        self.inner.wire.duplicate_next(self.index(from), self.index(to), count);
    }

    /// What is wrong with connects to `node` from now on; connections that exist live on.
    pub fn fail_connects(&self, node: &str, fault: Option<ConnectFault>) {
        self.inner.wire.fail_connects(self.index(node), fault);
    }

    /// Resets every connection between two nodes, for both.
    pub fn drop_connections(&self, one: &str, other: &str) {
        self.inner.wire.drop_connections(self.index(one), self.index(other));
    }

    /// Resets every connection between two nodes, for `one` alone: it can connect again before `other`
    /// knows. What it had sent arrives; `other` learns of the reset when it sends.
    pub fn drop_connections_at(&self, one: &str, other: &str) {
        self.inner.wire.drop_connections_at(self.index(one), self.index(other));
    }

    /// Every connection between two nodes is dead from now on, in both directions, and nobody is told;
    /// new ones can be made.
    pub fn half_open(&self, one: &str, other: &str) {
        self.inner.wire.half_open(self.index(one), self.index(other));
    }

    /// What was and will be sent on dead connections between two nodes is answered with a reset.
    pub fn heal_half_open(&self, one: &str, other: &str) {
        self.inner.wire.heal_half_open(self.index(one), self.index(other));
    }

    /// Every frame that was sent so far, in order; nothing unless [`WorldConfig::records_messages`].
    pub fn messages(&self) -> Vec<Message> {
        self.inner.wire.messages()
    }
}

/// Ends everything when `main` has ended, so that tasks and what they hold are dropped.
struct Cleanup(World);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let inner = &self.0.inner;
        let entries = std::mem::take(&mut *lock(&inner.nodes));
        for entry in entries.values() {
            entry.life.lose();
            entry.process.kill();
        }
        inner.process.kill();
        inner.volume.forget_watchers();
        inner.timeline.clear();
    }
}

/// Ignores events.
struct Unobserved;

#[async_trait]
impl Observer for Unobserved {
    fn observe(&self, _: Event) -> Reaction {
        Reaction::Continue
    }

    async fn settle(&self) {}
}

/// Completes at once while the program of `life` may act, and otherwise never.
async fn still_running(life: &Life) {
    if !life.is_running() {
        std::future::pending::<()>().await;
    }
}

/// Locks `mutex`. A panic elsewhere ends the run; destructors that follow must not add their own.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nanoseconds, as the timeline counts; 584 years at most.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
