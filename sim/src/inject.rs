//! Makes faults happen in a world, and heals them.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use seawall_runtime::control::{Ask, Control, Reply};

use crate::fault::describe;
use crate::recorder::Recorder;
use crate::scenario::quantity::TimeRange;
use crate::scenario::{DiskError, Fault, Node, Nodes, Trigger, Verb};
use crate::trace::What;
use crate::workload::STORAGE;
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

/// How long somebody waits who was not answered, before asking again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

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
                Trigger::At(range) => self.happen_later(index, range.least),
                Trigger::On(_) => {}
                Trigger::Every(_) => unreachable!("a schedule is resolved"),
            }
        }
    }

    /// The fault happens `after` an event: now, or in a task of its own.
    pub(crate) fn happen_after(&self, index: usize, after: Duration) {
        if after.is_zero() {
            self.happen(index);
        } else {
            self.happen_later(index, after);
        }
    }

    fn happen_later(&self, index: usize, after: Duration) {
        let this = self.clone();
        self.world.spawn("fault", async move {
            this.world.sleep(after).await;
            this.happen(index);
        });
    }

    fn happen(&self, index: usize) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let verb = &self.schedule[index].verb;
        self.recorder.note_fault(self.world.now(), index, describe(verb));
        let (world, name) = (&self.world, |node: Nodes| one(node).to_string());
        match verb {
            Verb::Crash { node, restart_after } => {
                let node = name(*node);
                world.crash(&node);
                let this = self.clone();
                self.heal_after(*restart_after, move || this.switch_on(&node));
            }
            Verb::Pause { node, resume_after } => {
                let node = name(*node);
                world.pause(&node);
                let this = self.clone();
                self.heal_after(*resume_after, move || {
                    this.world.resume(&node);
                    this.healed(format!("{node} resumes"));
                });
            }
            Verb::Partition { from, to, both, heal_after } => {
                let pairs = pairs(from, to, *both);
                for (from, to) in &pairs {
                    world.partition(from, to);
                }
                let this = self.clone();
                let healed = partition_name(from, to, *both);
                self.heal_after(*heal_after, move || {
                    for (from, to) in &pairs {
                        this.world.heal(from, to);
                    }
                    this.healed(healed);
                });
            }
            Verb::Reset { from, to } => {
                for (from, to) in pairs(from, to, false) {
                    world.drop_connections(&from, &to);
                }
            }
            Verb::SlowNetwork { from, to, both, latency, lasts } => {
                let pairs = pairs(from, to, *both);
                for (from, to) in &pairs {
                    world.set_latency(from, to, Some(inclusive(*latency)));
                }
                let this = self.clone();
                let healed = format!("slow network {}", partition_name(from, to, *both));
                self.heal_after(*lasts, move || {
                    for (from, to) in &pairs {
                        this.world.set_latency(from, to, None);
                    }
                    this.healed(healed);
                });
            }
            Verb::SlowDisk { node, latency, lasts } => {
                let node = name(*node);
                world.set_disk_latency(&node, Some(inclusive(*latency)));
                let this = self.clone();
                self.heal_after(*lasts, move || {
                    this.world.set_disk_latency(&node, None);
                    this.healed(format!("slow disk {node}"));
                });
            }
            Verb::SlowCheckpoint { node, stall } => {
                world.stall_writes(&name(*node), &format!("{STORAGE}/chk-"), stall.least);
            }
            Verb::Ask(ask) => {
                let (this, ask) = (self.clone(), ask.clone());
                self.world.spawn("person", async move {
                    let run = this.run.load(Ordering::Relaxed);
                    while !is_answered(&ask, &this.control.ask(ask.clone()).await) {
                        this.world.sleep(ASK_AGAIN).await;
                        if this.run.load(Ordering::Relaxed) != run {
                            return;
                        }
                    }
                });
            }
            Verb::FailDisk { node, error, count, path } => {
                let kind = match error {
                    DiskError::Io => io::ErrorKind::Other,
                    DiskError::Full => io::ErrorKind::StorageFull,
                };
                world.fail_disk(&name(*node), kind, path.as_deref().unwrap_or(""), *count);
            }
        }
    }

    fn heal_after(&self, after: Option<TimeRange>, heal: impl FnOnce() + Send + 'static) {
        let Some(after) = after else { return };
        let (world, is_over) = (self.world.clone(), Arc::clone(&self.is_over));
        self.world.spawn("heal", async move {
            world.sleep(after.least).await;
            if !is_over.load(Ordering::Relaxed) {
                heal();
            }
        });
    }

    fn switch_on(&self, node: &str) {
        if !self.world.is_up(node) {
            self.healed(format!("{node} is back"));
            self.world.restart(node);
        }
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

/// Whether a person is content. Who wants a savepoint asks until there is one.
fn is_answered(ask: &Ask, reply: &Reply) -> bool {
    match ask {
        Ask::Checkpoint | Ask::Cancel => *reply != Reply::Ended,
        Ask::Savepoint { .. } | Ask::Stop { .. } => matches!(reply, Reply::Completed { .. }),
    }
}

fn one(node: Nodes) -> Node {
    match node {
        Nodes::One(node) => node,
        Nodes::AnyWorker | Nodes::Any => unreachable!("a schedule is resolved"),
    }
}

fn pairs(from: &[Nodes], to: &[Nodes], both: bool) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for from in from.iter().map(|it| one(*it)) {
        for to in to.iter().map(|it| one(*it)).filter(|it| *it != from) {
            pairs.push((from.to_string(), to.to_string()));
            if both {
                pairs.push((to.to_string(), from.to_string()));
            }
        }
    }
    pairs
}

fn partition_name(from: &[Nodes], to: &[Nodes], both: bool) -> String {
    let names =
        |side: &[Nodes]| side.iter().map(|it| one(*it).to_string()).collect::<Vec<_>>().join("+");
    format!("{} {} {}", names(from), if both { "<->" } else { "->" }, names(to))
}

fn inclusive(range: TimeRange) -> RangeInclusive<Duration> {
    range.least..=range.most
}
