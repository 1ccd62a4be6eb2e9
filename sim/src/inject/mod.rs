//! Makes faults happen in a world, and heals them.
//!
//! ```text
//! schedule ── at a time ──────────┐
//! recorder ── at an event, fault ─┴─► happen ─► process · network · disk · work ─► World
//! ```
//!
//! Deliberately absent: when and whom. That is resolved before the run (`fault`).

mod disk;
mod network;
mod process;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use seawall_env::Reaction;
use seawall_runtime::control::{Ask as Request, Control};
use seawall_stream::Job;

use crate::fault::{Fault, Trigger, Verb};
use crate::input::InputTap;
use crate::recorder::Recorder;
use crate::scenario::Node;
use crate::scenario::quantity::TimeRange;
use crate::trace::What;
use crate::world::{ConnectFault, World};

/// The faults of one run. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Injector {
    world: World,
    recorder: Recorder,
    schedule: Arc<Vec<Fault>>,
    nodes: Arc<Vec<Node>>,
    is_over: Arc<AtomicBool>,
    /// The line to the job's leader, whoever leads.
    control: Control,
    /// Which run of the job it is; who asked an earlier one asks no more.
    run: Arc<AtomicU32>,
    tap: InputTap,
}

impl Injector {
    /// The faults of `schedule` in `world`, which has these nodes.
    pub(crate) fn new(
        world: &World,
        recorder: &Recorder,
        schedule: Vec<Fault>,
        nodes: Vec<Node>,
    ) -> Self {
        Self {
            world: world.clone(),
            recorder: recorder.clone(),
            schedule: Arc::new(schedule),
            nodes: Arc::new(nodes),
            is_over: Arc::default(),
            control: Control::default(),
            run: Arc::default(),
            tap: InputTap::default(),
        }
    }

    /// The job is started once more.
    pub(crate) fn next_run(&self) {
        self.run.fetch_add(1, Ordering::Relaxed);
    }

    /// How this world's people reach the job.
    pub(crate) fn control(&self) -> Control {
        self.control.clone()
    }

    /// The job as it runs: with a tap in front of its sources when the schedule closes it.
    pub(crate) fn tapped(&self, job: Arc<Job>) -> Arc<Job> {
        let idles = |it: &Fault| matches!(it.verb, Verb::IdleInput(_));
        if self.schedule.iter().any(idles) {
            Arc::new(self.tap.put_on(&job, &self.world))
        } else {
            job
        }
    }

    /// Where faults and events are written down.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Arms the faults that happen at a time.
    pub(crate) fn start(&self) {
        for (index, fault) in self.schedule.iter().enumerate() {
            match &fault.trigger {
                Trigger::At(range) => self.happen_later(index, range.least, None),
                Trigger::On(_) => {}
                Trigger::Every(_) => unreachable!("a schedule is resolved"),
            }
        }
        if self.recorder.waits_for_calls() {
            let this = self.clone();
            self.world.watch_disk(Arc::new(move |call, when| {
                let due = this.recorder.on_call(call, when);
                if due.is_empty() {
                    return Reaction::Continue;
                }
                this.happen_after(due, Node::from_name(&call.node));
                Reaction::Yield
            }));
        }
    }

    /// These faults are due, each so long after what `node` reports.
    pub(crate) fn happen_after(&self, due: Vec<(usize, Duration)>, node: Option<Node>) {
        for (index, after) in due {
            if after.is_zero() {
                self.happen(index, node);
            } else {
                self.happen_later(index, after, node);
            }
        }
    }

    fn happen_later(&self, index: usize, after: Duration, node: Option<Node>) {
        let this = self.clone();
        self.world.spawn("fault", async move {
            this.world.sleep(after).await;
            this.happen(index, node);
        });
    }

    /// The fault begins; `reporter` is the node whose event it waited for.
    fn happen(&self, index: usize, reporter: Option<Node>) {
        if self.is_over() {
            return;
        }
        let verb = &self.schedule[index].verb;
        let due = self.recorder.note_fault(self.world.now(), index, verb);
        match verb {
            Verb::Crash(it) => self.crash(it),
            Verb::Kill(it) => self.kill(it),
            Verb::CrashRack(it) => self.crash_rack(it),
            Verb::RollingRestart(it) => self.rolling_restart(it),
            Verb::Pause(it) => self.pause(it),
            Verb::SlowCpu(it) => self.slow_cpu(it),
            Verb::Clock(it) => self.clock(it),
            Verb::Partition(it) => self.partition(it),
            Verb::Swizzle(it) => self.swizzle(it),
            Verb::Reset(it) => self.reset(it),
            Verb::SlowNetwork(it) => self.slow_network(it),
            Verb::Bandwidth(it) => self.bandwidth(it),
            Verb::DelayMessage(it) => self.delay_message(it),
            Verb::LoseMessage(it) => self.lose_message(it),
            Verb::DuplicateMessage(it) => self.duplicate_message(it),
            Verb::SilentReconnect(it) => self.silent_reconnect(it),
            Verb::HalfOpen(it) => self.half_open(it),
            Verb::RefuseConnects(it) => {
                self.fail_connects(it.node, ConnectFault::Refuse, it.lasts);
            }
            Verb::HangConnects(it) => self.fail_connects(it.node, ConnectFault::Hang, it.lasts),
            Verb::Flaky(it) => self.flaky(it),
            Verb::SlowDisk(it) => self.slow_disk(it),
            Verb::SlowCheckpoint(it) => self.slow_checkpoint(it),
            Verb::ThrottleDisk(it) => self.throttle_disk(it),
            Verb::StaleListings(it) => self.stale_listings(it),
            Verb::LyingDisk(it) => self.lying_disk(it),
            Verb::Rot(it) => self.rot(it),
            Verb::FailService(it) => self.fail_service(it),
            Verb::IdleInput(it) => self.idle_input(it),
            Verb::Rescale(it) => {
                self.ask(Request::Rescale { parallelism: it.parallelism.exactly() });
            }
            Verb::Hold(it) => {
                let reporter = reporter.expect("validated: it waits for an event");
                self.recorder.hold(self.world.now(), reporter, it.lasts.least);
            }
            Verb::FailDisk(it) => self.fail_disk(it),
            Verb::Ask(it) => self.ask(it.what.request()),
        }
        self.happen_after(due, None);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn heal_after(&self, after: Option<TimeRange>, heal: impl FnOnce() + Send + 'static) {
        let Some(after) = after else { return };
        let this = self.clone();
        self.world.spawn("heal", async move {
            this.world.sleep(after.least).await;
            if !this.is_over() {
                heal();
            }
        });
    }

    fn healed(&self, what: String) {
        self.recorder.note(self.world.now(), What::Healed(what));
    }

    fn struck(&self, what: String) {
        self.recorder.note(self.world.now(), What::Struck(what));
    }

    /// Ends the safety phase: everything heals, and nothing goes wrong from now on.
    pub(crate) fn heal_all(&self) {
        self.recorder.end_safety_phase();
        self.is_over.store(true, Ordering::Relaxed);
        self.healed("everything: the liveness phase begins".to_owned());
        self.world.heal_all();
        self.world.heal_disks();
        self.tap.open();
        for one in self.nodes.iter() {
            for other in self.nodes.iter() {
                self.world.set_latency(&one.to_string(), &other.to_string(), None);
            }
        }
        for node in self.nodes.iter() {
            self.world.resume(&node.to_string());
            self.switch_on(&node.to_string());
        }
    }
}
