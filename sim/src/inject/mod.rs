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

use seawall_runtime::control::Control;

use crate::fault::{Fault, Trigger, Verb};
use crate::recorder::Recorder;
use crate::scenario::Node;
use crate::scenario::quantity::TimeRange;
use crate::trace::What;
use crate::world::World;

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
            Verb::Clock(it) => self.clock(it),
            Verb::Partition(it) => self.partition(it),
            Verb::Swizzle(it) => self.swizzle(it),
            Verb::Reset(it) => self.reset(it),
            Verb::SlowNetwork(it) => self.slow_network(it),
            Verb::SlowDisk(it) => self.slow_disk(it),
            Verb::SlowCheckpoint(it) => self.slow_checkpoint(it),
            Verb::Hold(it) => {
                let reporter = reporter.expect("validated: it waits for an event");
                self.recorder.hold(reporter, it.lasts.least);
            }
            Verb::FailDisk(it) => self.fail_disk(it),
            Verb::Ask(it) => self.ask(it.what),
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

    /// Ends the safety phase: everything heals, and nothing goes wrong from now on.
    pub(crate) fn heal_all(&self) {
        self.recorder.end_safety_phase();
        self.is_over.store(true, Ordering::Relaxed);
        self.healed("everything: the liveness phase begins".to_owned());
        self.world.heal_all();
        self.world.heal_disks();
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
