//! The catalogue: every kind of fault, how a scenario spells it, and what shows that it bites.
//!
//! ```text
//! KINDS ─┬─► docs/faults.md          a page for people
//!        ├─► the swarm               which draws triggers and lets the spelling's ranges be drawn
//!        └─► tests/simulated/bite.rs each kind changes something that is named here
//! ```
//!
//! A spelling is the verb of a `[[fault]]` table without its trigger, or a line of `[job]`. Its ranges and
//! wildcards are what the swarm draws from.

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its name for people.
    pub name: &'static str,
    /// What it strikes.
    pub family: Family,
    /// What happens, and what it re-creates.
    pub about: &'static str,
    /// A verb, or a line of `[job]`.
    pub spelling: &'static str,
    /// What it waits for, where it makes sense at that alone: the inside of `on = { ... }`.
    pub trigger: Option<&'static str>,
    /// What the engine owes.
    pub class: Class,
    /// What shows that it changed something.
    pub bite: Bite,
    /// The jobs it can strike; every one when empty.
    pub jobs: &'static [&'static str],
}

/// What a kind strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Processes, machines, clocks.
    Process,
    /// Links and connections.
    Network,
    /// Files and names.
    Disk,
    /// The service that keeps checkpoints.
    Service,
    /// One phase of a checkpoint.
    Checkpoint,
    /// Input, output, and the people who run the job.
    Work,
}

impl Family {
    /// In the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Process, Self::Network, Self::Disk, Self::Service, Self::Checkpoint, Self::Work];

    /// The headline.
    pub fn title(self) -> &'static str {
        match self {
            Self::Process => "Processes, machines, clocks",
            Self::Network => "Network",
            Self::Disk => "Disk",
            Self::Service => "Storage service",
            Self::Checkpoint => "Slow checkpoints, phase by phase",
            Self::Work => "Input, output, people",
        }
    }
}

/// What the engine owes under a kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Every property holds. The swarm draws these.
    Survivable,
    /// It destroys what has no second copy: the damage must be noticed, and that is all.
    Beyond,
}

/// What shows that a fault changed something; compared with the same run without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bite {
    /// The world counted a strike of this name.
    Strike(&'static str),
    /// The trace says that it struck.
    Struck,
    /// This event occurs, and does not occur without it.
    Event(&'static str),
    /// This event occurs more often.
    More(&'static str),
    /// The job takes longer.
    Slower,
    /// The run takes another course.
    Course,
    /// The output is another one, as its reference is.
    Output,
}

impl Kind {
    /// Whether the swarm may draw it.
    pub fn is_survivable(&self) -> bool {
        self.class == Class::Survivable
    }

    /// Whether it is a line of `[job]`, and not a fault with a trigger.
    pub fn is_setting(&self) -> bool {
        !self.spelling.contains('{')
    }

    /// The verb of a fault, the key of a setting.
    pub fn verb(&self) -> &'static str {
        self.spelling.split_whitespace().next().expect("no spelling is empty")
    }

    /// Whether it can strike this job.
    pub fn fits(&self, job: &str) -> bool {
        self.jobs.is_empty() || self.jobs.contains(&job)
    }

    /// The kind of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|it| it.name == name)
    }
}

const fn kind(
    family: Family,
    name: &'static str,
    about: &'static str,
    spelling: &'static str,
    bite: Bite,
) -> Kind {
    let class = Class::Survivable;
    Kind { name, family, about, spelling, trigger: None, class, bite, jobs: &[] }
}

impl Kind {
    const fn on(self, trigger: &'static str) -> Self {
        Self { trigger: Some(trigger), ..self }
    }
    const fn beyond(self) -> Self {
        Self { class: Class::Beyond, ..self }
    }
    const fn of(self, jobs: &'static [&'static str]) -> Self {
        Self { jobs, ..self }
    }
}

use Bite::{Course, Event, More, Output, Slower, Strike, Struck};
use Family::{Checkpoint, Disk, Network, Process, Service, Work};

const FILES: &[&str] = &["word-count", "access-log"];
const SLOW_SINKS: &[&str] = &["ledger", "buffered"];

/// Every kind.
pub const KINDS: &[Kind] = &[
    // Processes, machines, clocks.
    kind(
        Process,
        "crash",
        "A machine loses its power: memory, unsynced bytes and unsynced names are gone or torn, no destructor runs, and peers hear nothing.",
        r#"crash = { node = "*", restart_after = "100ms..3s" }"#,
        Strike("crash"),
    ),
    kind(
        Process,
        "crash-for-good",
        "A machine does not come back before everything heals.",
        r#"crash = { node = "worker-*" }"#,
        Strike("crash"),
    ),
    kind(
        Process,
        "crash-twice",
        "A machine crashes again while it is being restored from the first crash.",
        r#"crash = { node = "*", restart_after = "100ms..1s", again_after = "10ms..2s" }"#,
        Strike("crash"),
    ),
    kind(
        Process,
        "crash-between-two-effects",
        "A machine crashes before or after one call to its disk: everything before it happened, nothing behind it.",
        r#"crash = { node = "*", restart_after = "100ms..2s" }"#,
        Strike("crash"),
    )
    .on(r#"call = "any""#),
    kind(
        Process,
        "kill",
        "A process is killed and its machine lives on: destructors do not count, connections are closed in order, unsynced bytes stay.",
        r#"kill = { node = "*", restart_after = "100ms..3s" }"#,
        Strike("end-process"),
    ),
    kind(
        Process,
        "crash-rack",
        "A rack loses its power: several machines crash at the same moment.",
        r#"crash_rack = { nodes = ["worker-*", "worker-*", "*"], restart_after = "100ms..3s" }"#,
        Strike("crash"),
    ),
    kind(
        Process,
        "rolling-restart",
        "Every worker in turn is stopped and started again, as an upgrade does it.",
        r#"rolling_restart = { pause = "200ms..1s" }"#,
        Strike("end-process"),
    ),
    kind(
        Process,
        "pause",
        "A process stands still and is heard of again before anybody gives it up: a long collection of garbage.",
        r#"pause = { node = "*", resume_after = "50ms..1s" }"#,
        Strike("pause"),
    ),
    kind(
        Process,
        "zombie",
        "A process stands still until it was replaced, then wakes and goes on where it was.",
        r#"pause = { node = "*", resume_after = "4s..8s" }"#,
        Strike("pause"),
    ),
    kind(
        Process,
        "slow-cpu",
        "Everything a machine does takes longer, and no message of it is lost.",
        r#"slow_cpu = { node = "*", delay = "1ms..20ms", for = "500ms..4s" }"#,
        Strike("slow-cpu"),
    ),
    kind(
        Process,
        "clock-jump",
        "The clock of a machine jumps ahead: timeouts end early.",
        r#"clock = { node = "*", ahead = "500ms..20s" }"#,
        Strike("clock"),
    ),
    kind(
        Process,
        "clock-drift",
        "The clock of a machine runs fast or slow from now on.",
        r#"clock = { node = "*", drift = "-300_000ppm" }"#,
        Strike("clock"),
    ),
    kind(
        Process,
        "wiped-disk",
        "A machine comes back with nothing of what it had not synced: no byte, no name, no scratch file.",
        r#"crash = { node = "worker-1", leaving = "nothing", restart_after = "100ms..2s" }"#,
        Strike("lost-write"),
    )
    .on(r#"call = "sync", when = "before", path = ".snapshot", node = "worker-1""#),
    kind(
        Process,
        "old-disk",
        "A machine comes back with the disk it had, and everything unsynced is there as if it had been synced.",
        r#"crash = { node = "*", leaving = "everything", restart_after = "100ms..2s" }"#,
        Strike("crash"),
    ),
    // Network.
    kind(
        Network,
        "partition",
        "Nothing gets from one machine to the other or back.",
        r#"partition = { from = ["*"], to = ["*"], both = true, heal_after = "200ms..6s" }"#,
        Strike("partition"),
    ),
    kind(
        Network,
        "one-way-partition",
        "Nothing gets from one machine to the other; the way back works.",
        r#"partition = { from = ["*"], to = ["*"], heal_after = "200ms..6s" }"#,
        Strike("partition"),
    ),
    kind(
        Network,
        "partial-partition",
        "A worker is cut off from another worker, and both reach the coordinator.",
        r#"partition = { from = ["worker-*"], to = ["worker-*", "worker-*"], both = true, heal_after = "500ms..6s" }"#,
        Strike("partition"),
    ),
    kind(
        Network,
        "swizzle",
        "Machines are cut off one by one and come back in another order.",
        r#"swizzle = { nodes = ["worker-*", "*", "worker-*"], gap = "100ms..800ms" }"#,
        Strike("partition"),
    ),
    kind(
        Network,
        "slow-link",
        "One link is slow, and how slow is drawn for each frame.",
        r#"slow_network = { from = ["*"], to = ["*"], both = true, latency = "5ms..200ms", for = "500ms..4s" }"#,
        Strike("latency"),
    ),
    kind(
        Network,
        "narrow-link",
        "A link carries so many bytes a second and no more.",
        r#"bandwidth = { from = ["*"], to = ["*"], both = true, rate = "8KiB/s", for = "1s..4s" }"#,
        Strike("bandwidth"),
    ),
    kind(
        Network,
        "late-message",
        "One message arrives after a failover has made it obsolete.",
        r#"delay_message = { from = ["*"], to = ["*"], by = "1s..8s" }"#,
        Strike("delay-next"),
    ),
    kind(
        Network,
        "lost-message",
        "A message is gone together with the connection that carried it, although it was sent without an error.",
        r#"lose_message = { from = ["worker-*"], to = ["*"] }"#,
        Strike("lose-next"),
    ),
    kind(
        Network,
        "lost-response",
        "The request arrived and was carried out, and only its answer is lost.",
        r#"lose_message = { from = ["coordinator"], to = ["worker-*"] }"#,
        Strike("lose-next"),
    ),
    kind(
        Network,
        "doubled-message",
        "A message between coordinator and worker arrives twice, as after a sender that tried again.",
        r#"duplicate_message = { from = ["worker-*"], to = ["coordinator"], count = 3 }"#,
        Strike("duplicate-next"),
    ),
    kind(
        Network,
        "reset",
        "Every connection between two machines breaks, and both ends know.",
        r#"reset = { from = ["*"], to = ["*"] }"#,
        Strike("drop-connections"),
    ),
    kind(
        Network,
        "silent-reconnect",
        "A connection breaks for one end, which connects again; the other end learns nothing until it sends.",
        r#"silent_reconnect = { from = ["*"], to = ["*"] }"#,
        Strike("drop-connections-at"),
    ),
    kind(
        Network,
        "half-open",
        "Connections die without a word to either end, as behind a router that forgot them.",
        r#"half_open = { from = ["*"], to = ["*"], for = "500ms..5s" }"#,
        Strike("half-open"),
    ),
    kind(
        Network,
        "refused-connects",
        "Every connect to a machine is refused, while its old connections live.",
        r#"refuse_connects = { node = "*", for = "500ms..5s" }"#,
        Strike("refuse-connects"),
    ),
    kind(
        Network,
        "hanging-connects",
        "Every connect to a machine hangs until its timeout, while its old connections live.",
        r#"hang_connects = { node = "*", for = "500ms..5s" }"#,
        Strike("hang-connects"),
    ),
    kind(
        Network,
        "flaky-link",
        "A link loses its connections again and again.",
        r#"flaky = { from = ["*"], to = ["*"], resets = "2%", for = "1s..4s" }"#,
        Strike("flaky"),
    ),
    // Disk.
    kind(
        Disk,
        "lost-unsynced-write",
        "Of what was not synced nothing is left.",
        r#"crash = { node = "worker-1", leaving = "nothing", restart_after = "100ms..2s" }"#,
        Strike("lost-write"),
    )
    .on(r#"call = "sync", when = "before", path = ".snapshot", node = "worker-1""#),
    kind(
        Disk,
        "torn-write",
        "Of what was not synced a part is left, and its last block may be garbage.",
        r#"crash = { node = "worker-1", leaving = "prefix", restart_after = "100ms..2s" }"#,
        Strike("torn-write"),
    )
    .on(r#"call = "sync", when = "before", path = ".snapshot", node = "worker-1""#),
    kind(
        Disk,
        "hole-in-a-write",
        "Of what was not synced the end is there and blocks in the middle are zeroes.",
        r#"crash = { node = "worker-1", leaving = "hole", restart_after = "100ms..2s" }"#,
        Strike("hole-in-write"),
    )
    .on(r#"call = "sync", when = "before", path = ".snapshot", node = "worker-1""#),
    kind(
        Disk,
        "lost-directory-entry",
        "Names in one directory are durable, and earlier ones in another are lost.",
        r#"crash = { node = "worker-1", leaving = "last-directory", restart_after = "100ms..2s" }"#,
        Strike("reordered-names"),
    )
    .on(r#"call = "sync", when = "before", path = ".snapshot", node = "worker-1""#),
    kind(
        Disk,
        "rename-leaves-both-names",
        "A crash in a rename leaves the old and the new name.",
        r#"crash = { node = "worker-1", leaving = "both-names", restart_after = "100ms..2s" }"#,
        Strike("both-names"),
    )
    .on(r#"call = "write", when = "after", path = "-chk-", node = "worker-1""#),
    kind(
        Disk,
        "rename-leaves-no-name",
        "A crash in a rename leaves neither name: no file system promises this little.",
        r#"crash = { node = "worker-1", leaving = "no-name", restart_after = "100ms..2s" }"#,
        Strike("no-name"),
    )
    .on(r#"call = "write", when = "after", path = "-chk-", node = "worker-1""#)
    .beyond(),
    kind(
        Disk,
        "read-error",
        "Reads fail.",
        r#"fail_disk = { node = "*", error = "io", operation = "read", count = 2 }"#,
        Strike("read-error"),
    ),
    kind(
        Disk,
        "write-error",
        "Writes fail, and a part of each may be there.",
        r#"fail_disk = { node = "*", error = "io", operation = "write", count = 2 }"#,
        Strike("write-error"),
    ),
    kind(
        Disk,
        "sync-error",
        "A sync fails; what it was to make durable may never be, though a later sync succeeds.",
        r#"fail_disk = { node = "*", error = "io", operation = "sync", count = 2 }"#,
        Strike("sync-error"),
    ),
    kind(
        Disk,
        "disk-full",
        "There is no room for a while.",
        r#"fail_disk = { node = "*", error = "full", count = 6 }"#,
        Strike("disk-full"),
    ),
    kind(
        Disk,
        "slow-disk",
        "Every operation of a disk takes long.",
        r#"slow_disk = { node = "*", latency = "5ms..100ms", for = "500ms..4s" }"#,
        Strike("slow-disk"),
    ),
    kind(
        Disk,
        "throttled-disk",
        "A disk takes so many bytes a second and no more.",
        r#"throttle_disk = { node = "*", rate = "32KiB/s", for = "1s..4s" }"#,
        Strike("throttle-disk"),
    ),
    kind(
        Disk,
        "stale-listing",
        "A listing misses what other machines did lately: a cleaning that lists leaves files to the next leader.",
        r#"stale_listings = { lag = "100ms..2s", for = "2s..6s" }"#,
        Strike("stale-listing"),
    )
    .beyond(),
    kind(
        Disk,
        "rotten-read",
        "A read returns one bit inverted; the file itself is sound.",
        r#"lying_disk = { node = "*", lie = "rotten-read", count = 1, path = "/checkpoints" }"#,
        Strike("rotten-read"),
    ),
    kind(
        Disk,
        "short-read",
        "A read returns fewer bytes than were asked for.",
        r#"lying_disk = { node = "*", lie = "short-read", count = 1 }"#,
        Strike("short-read"),
    )
    .beyond(),
    kind(
        Disk,
        "bit-rot",
        "A bit of a durable file is inverted for good. What is the last copy of its kind is spared, and the trace says so.",
        r#"rot = { path = "/checkpoints" }"#,
        Strike("flip-bit"),
    )
    .beyond(),
    kind(
        Disk,
        "misdirected-write",
        "Bytes land in another file that is being written.",
        r#"lying_disk = { node = "*", lie = "misdirected-write", count = 1, path = "/checkpoints" }"#,
        Strike("misdirected-write"),
    )
    .beyond(),
    kind(
        Disk,
        "phantom-write",
        "A write and its sync succeed, and nothing is stored.",
        r#"lying_disk = { node = "*", lie = "phantom-write", count = 1, path = "/checkpoints" }"#,
        Strike("phantom-write"),
    )
    .beyond(),
    // The storage service.
    kind(
        Service,
        "applied-but-failed",
        "A request is carried out and reported failed: its answer was lost.",
        r#"fail_service = { node = "*", mishap = "indeterminate", by = "0ms..1s" }"#,
        Strike("service-indeterminate"),
    ),
    kind(
        Service,
        "failed-before-applying",
        "A request is refused and has no effect.",
        r#"fail_service = { node = "*", mishap = "refused", count = 2 }"#,
        Strike("service-refused"),
    ),
    kind(
        Service,
        "slow-request",
        "A request takes long.",
        r#"fail_service = { node = "*", mishap = "slow", by = "200ms..4s", count = 3 }"#,
        Strike("service-slow"),
    ),
    kind(
        Service,
        "write-conflict",
        "A conditional write is refused, although nobody else wrote.",
        r#"fail_service = { node = "coordinator", mishap = "conflict" }"#,
        Strike("service-conflict"),
    ),
    kind(
        Service,
        "own-write-conflict",
        "A conditional write is carried out, and its own repetition is what the client hears refused.",
        r#"fail_service = { node = "coordinator", mishap = "own-conflict" }"#,
        Strike("service-conflict"),
    ),
    // Slow checkpoints.
    kind(
        Checkpoint,
        "slow-barrier",
        "The order to take a checkpoint is late at one worker.",
        r#"slow_checkpoint = { node = "worker-*", phase = "barrier", stall = "200ms..3s" }"#,
        Strike("delay-next"),
    ),
    kind(
        Checkpoint,
        "slow-alignment",
        "A subtask that has the first barrier stands still.",
        r#"slow_checkpoint = { node = "worker-*", phase = "alignment", stall = "200ms..3s" }"#,
        Struck,
    ),
    kind(
        Checkpoint,
        "slow-sync-part",
        "A subtask stands still over its snapshot.",
        r#"slow_checkpoint = { node = "worker-*", phase = "sync", stall = "200ms..3s" }"#,
        Struck,
    ),
    kind(
        Checkpoint,
        "slow-upload",
        "The next write of a snapshot takes long.",
        r#"slow_checkpoint = { node = "worker-*", phase = "upload", stall = "200ms..6s" }"#,
        Strike("stall-writes"),
    ),
    kind(
        Checkpoint,
        "slow-ack",
        "A snapshot is durable, and its ack is late.",
        r#"slow_checkpoint = { node = "worker-*", phase = "ack", stall = "200ms..3s" }"#,
        Struck,
    ),
    kind(
        Checkpoint,
        "slow-last-ack",
        "All acks are there but the last.",
        r#"slow_checkpoint = { node = "worker-*", phase = "last-ack", stall = "200ms..6s" }"#,
        Struck,
    ),
    kind(
        Checkpoint,
        "slow-manifest",
        "All acks are there, and the manifest takes long.",
        r#"slow_checkpoint = { node = "coordinator", phase = "manifest", stall = "200ms..6s" }"#,
        Strike("stall-writes"),
    ),
    kind(
        Checkpoint,
        "slow-notification",
        "A checkpoint is completed, and nobody hears of it for a while.",
        r#"slow_checkpoint = { node = "coordinator", phase = "notification", stall = "200ms..3s" }"#,
        Struck,
    ),
    kind(
        Checkpoint,
        "held-event",
        "Whoever reports an event stands still before the next step.",
        r#"hold = { for = "50ms..3s" }"#,
        Struck,
    )
    .on(r#"event = "checkpoint-acknowledged""#),
    // Work.
    kind(
        Work,
        "checkpoint-request",
        "A person asks for a checkpoint.",
        r#"ask = { for = "checkpoint" }"#,
        More("checkpoint-triggered"),
    ),
    kind(
        Work,
        "savepoint",
        "A person asks for a savepoint.",
        r#"ask = { for = "savepoint" }"#,
        Event("savepoint-completed"),
    ),
    kind(
        Work,
        "stop",
        "A person stops the job with a savepoint.",
        r#"ask = { for = "stop" }"#,
        Event("job-stopping"),
    ),
    kind(
        Work,
        "drain",
        "A person stops the job and takes its input for ended.",
        r#"ask = { for = "drain" }"#,
        Event("job-stopping"),
    ),
    kind(
        Work,
        "cancel",
        "A person cancels the job.",
        r#"ask = { for = "cancel" }"#,
        Event("job-cancelled"),
    ),
    kind(
        Work,
        "rescale",
        "A person gives the job another parallelism.",
        r#"rescale = { parallelism = "*" }"#,
        Event("job-rescaled"),
    ),
    kind(
        Work,
        "idle-input",
        "The sources have nothing to read for a while.",
        r#"idle_input = { for = "500ms..4s" }"#,
        Slower,
    ),
    kind(
        Work,
        "late-input",
        "One source has nothing to read while the others go on.",
        r#"idle_input = { subtask = 0, for = "500ms..4s" }"#,
        Slower,
    ),
    kind(
        Work,
        "bursts",
        "Input comes in bursts with nothing between.",
        r#"idle_input = { for = "300ms..600ms", times = 5, gap = "50ms..200ms" }"#,
        Slower,
    ),
    kind(
        Work,
        "uneven-ends",
        "Sources end at different times: a compressed file is read by one alone.",
        "gzip = true",
        Course,
    )
    .of(FILES),
    kind(
        Work,
        "malformed-input",
        "Many lines of the input are not what the job expects.",
        "malformed = \"30%\"",
        Output,
    )
    .of(&["access-log"]),
    kind(
        Work,
        "skewed-keys",
        "Nearly all records have the same key.",
        "skew = \"90%\"",
        Output,
    )
    .of(FILES),
    kind(
        Work,
        "slow-sink",
        "The sink takes fewer records than the sources have.",
        "sink_rate = \"200/s\"",
        Slower,
    )
    .of(SLOW_SINKS),
];
