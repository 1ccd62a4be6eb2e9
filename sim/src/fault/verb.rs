//! The verbs of scenario files: what the world can do, one table each.
//!
//! A struct here is the table as a file writes it, as a schedule holds it and as a trace tells it; its
//! documentation is what `docs/faults.md` shows. How it is done is in `inject/`.
//!
//! Lengths that are absent last to the end of the safety phase.

use std::num::NonZeroU32;
use std::ops::Range;

use seawall_runtime::control::Ask as Request;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::Draw;
use super::field::{Each, Field, Nodes, Parallelism, Side, plain};
use crate::scenario::quantity::{BytesPerSecond, PerMillion, Percent, Time, TimeRange};
use crate::scenario::{Cluster, OnText};
use crate::world::Operations;

/// A verb as the documentation shows it.
#[derive(Debug, Clone, Copy)]
pub struct VerbDoc {
    /// The key in a `[[fault]]` table.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    keys: &'static [(&'static str, &'static str)],
}

impl VerbDoc {
    /// Its keys and what they mean.
    pub fn keys(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        // `for` is a word of Rust's.
        let name = |field| if matches!(field, "lasts" | "what") { "for" } else { field };
        self.keys.iter().map(move |(field, about)| (name(*field), about.trim()))
    }
}

/// From one list: a struct for each verb, the enum over them, and the text of a `[[fault]]`.
macro_rules! verbs {
    ($($(#[doc = $about:literal])* $verb:ident $key:ident {
        $($(#[doc = $meaning:literal])* $(#[serde($($serde:tt)*)])* $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[doc = $about])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $verb {
                $($(#[doc = $meaning])* $(#[serde($($serde)*)])* pub $field: $type,)*
            }
        )*

        /// Every verb as the documentation shows it.
        pub const VERBS: &[VerbDoc] = &[$(VerbDoc {
            name: stringify!($key),
            about: concat!($($about),*),
            keys: &[$((stringify!($field), concat!($($meaning),*)),)*],
        },)*];

        /// What the world does.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Verb { $($(#[doc = $about])* $verb($verb),)* }

        impl Verb {
            /// The keys in a file, in the order of the documentation.
            pub const NAMES: &[&str] = &[$(stringify!($key)),*];

            /// The key in the file.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$verb(_) => stringify!($key),)* }
            }

            /// Draws what the file leaves open, field by field.
            pub(super) fn resolve(&mut self, cluster: Cluster, draw: &mut Draw<'_>) {
                match self { $(Self::$verb($verb { $($field),* }) => { $($field.resolve(cluster, draw);)* })* }
            }

            /// Every node it names.
            pub fn nodes(&self) -> Vec<Nodes> {
                let mut nodes = Vec::new();
                match self { $(Self::$verb($verb { $($field),* }) => { $(nodes.extend($field.nodes());)* })* }
                nodes
            }

            /// The sides of the link that it is about.
            pub(crate) fn sides(&self) -> Vec<Vec<Nodes>> {
                let mut sides = Vec::new();
                match self { $(Self::$verb($verb { $($field),* }) => {
                    $(if $field.is_side() { sides.push($field.nodes()); })*
                })* }
                sides
            }

            /// The table that a file has under its key.
            pub fn table(&self) -> toml::Table {
                let table = match self { $(Self::$verb(it) => toml::Table::try_from(it),)* };
                table.expect("every verb has a text")
            }
        }

        $(impl From<$verb> for Verb {
            fn from(it: $verb) -> Self { Self::$verb(it) }
        })*

        /// One fault as a file writes it: optional fields rather than an enum, so that the parser can name
        /// the unknown ones and the validation can say which two were written.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct FaultText {
            pub(crate) at: Option<Spanned<TimeRange>>,
            pub(crate) on: Option<Spanned<OnText>>,
            pub(crate) every: Option<Spanned<Time>>,
            $($key: Option<Spanned<$verb>>,)*
        }

        impl FaultText {
            /// The verbs that are written, each with its place in the file.
            pub(crate) fn verbs(&self) -> Vec<(Range<usize>, Verb)> {
                let mut verbs = Vec::new();
                $(if let Some(it) = &self.$key {
                    verbs.push((it.span(), Verb::$verb(it.get_ref().clone())));
                })*
                verbs
            }
        }
    };
}

verbs! {
    /// A node loses its power: memory and what it did not sync; its connections fall silent.
    Crash crash {
        /// Who.
        node: Nodes,
        /// When it is back.
        restart_after: Option<TimeRange>,
        /// Crashes once more, so long after it is back.
        again_after: Option<TimeRange>,
        /// What is left of bytes and names that were not synced: `drawn` when it is absent.
        leaving: Option<Leaving>,
    }
    /// A process is killed and its machine lives on: what it wrote stays, its connections are closed.
    Kill kill {
        /// Who.
        node: Nodes,
        /// When it is started again.
        restart_after: Option<TimeRange>,
    }
    /// A rack loses its power: several nodes crash at the same moment.
    CrashRack crash_rack {
        /// Who.
        nodes: Side,
        /// When they are back, all at once.
        restart_after: Option<TimeRange>,
    }
    /// Every worker in turn is stopped and started again.
    RollingRestart rolling_restart {
        /// How long each is away, and how long the next waits after that.
        pause: TimeRange,
    }
    /// A node stops and keeps its memory; one that wakes after it was replaced is a zombie.
    Pause pause {
        /// Who.
        node: Nodes,
        /// When it goes on.
        resume_after: Option<TimeRange>,
    }
    /// Every step of a node takes longer, while the others go on.
    SlowCpu slow_cpu {
        /// Who.
        node: Nodes,
        /// How long each step waits.
        delay: TimeRange,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// The clock of a node jumps ahead, or runs fast or slow from now on.
    Clock clock {
        /// Whose.
        node: Nodes,
        /// How far it jumps.
        ahead: Option<TimeRange>,
        /// What it gains from now on.
        drift: Option<PerMillion>,
    }
    /// Nothing arrives from one side at the other.
    Partition partition {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// In both directions.
        #[serde(default)]
        both: bool,
        /// When it heals.
        heal_after: Option<TimeRange>,
    }
    /// Nodes are cut off from all others one by one, and come back in another order.
    Swizzle swizzle {
        /// Who.
        nodes: Side,
        /// Between two steps.
        gap: TimeRange,
    }
    /// Every connection between the two sides breaks, for both ends; new ones can be made.
    Reset reset {
        /// One side.
        from: Side,
        /// The other.
        to: Side,
    }
    /// Frames from one side to the other take longer.
    SlowNetwork slow_network {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// In both directions.
        #[serde(default)]
        both: bool,
        /// How long each frame takes.
        latency: Each,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// A link carries so many bytes a second and no more.
    Bandwidth bandwidth {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// In both directions.
        #[serde(default)]
        both: bool,
        /// At most.
        rate: BytesPerSecond,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// The next frames from one side to the other are late, and what follows them waits.
    DelayMessage delay_message {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// How late.
        by: TimeRange,
        /// How many; 1 when it is absent.
        count: Option<NonZeroU32>,
    }
    /// The next frame from one side to the other is lost, and its connection breaks.
    LoseMessage lose_message {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// How many; 1 when it is absent.
        count: Option<NonZeroU32>,
    }
    /// The next frames between a coordinator and a worker arrive twice. Frames between workers never do: a
    /// channel is a connection, and TCP does not repeat.
    DuplicateMessage duplicate_message {
        /// Senders.
        from: Side,
        /// Receivers.
        to: Side,
        /// How many; 1 when it is absent.
        count: Option<NonZeroU32>,
    }
    /// Every connection between the two sides breaks for the first; the other learns it when it sends.
    SilentReconnect silent_reconnect {
        /// Who is told.
        from: Side,
        /// Who is not.
        to: Side,
    }
    /// Every connection between the two sides goes dead without a word; new ones can be made.
    HalfOpen half_open {
        /// One side.
        from: Side,
        /// The other.
        to: Side,
        /// When the ends are told that it broke.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// Connects to a node are refused.
    RefuseConnects refuse_connects {
        /// To whom.
        node: Nodes,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// Connects to a node hang until their timeout.
    HangConnects hang_connects {
        /// To whom.
        node: Nodes,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// Connections of a link break again and again.
    Flaky flaky {
        /// One side.
        from: Side,
        /// The other.
        to: Side,
        /// The share of frames that break their connection.
        resets: Percent,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// Every disk operation of a node takes longer.
    SlowDisk slow_disk {
        /// Whose.
        node: Nodes,
        /// How long each operation takes.
        latency: Each,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// The next checkpoint is held up in one phase.
    SlowCheckpoint slow_checkpoint {
        /// Whose.
        node: Nodes,
        /// How long.
        stall: TimeRange,
        /// Where: `upload` when it is absent.
        phase: Option<Phase>,
    }
    /// Whoever reports the event that triggers this stands still before its next step.
    Hold hold {
        /// How long.
        #[serde(rename = "for")]
        lasts: TimeRange,
    }
    /// Disk operations of a node fail.
    FailDisk fail_disk {
        /// Whose.
        node: Nodes,
        /// How.
        error: DiskError,
        /// Which: `any` when it is absent.
        operation: Option<Operation>,
        /// How many operations; 1 when it is absent.
        count: Option<NonZeroU32>,
        /// Only on paths that contain this.
        path: Option<String>,
    }
    /// The disk of a node takes so many bytes a second and no more.
    ThrottleDisk throttle_disk {
        /// Whose.
        node: Nodes,
        /// At most.
        rate: BytesPerSecond,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// Listings miss what other nodes did lately.
    StaleListings stale_listings {
        /// How far they are behind.
        lag: Each,
        /// How long it stays so.
        #[serde(rename = "for")]
        lasts: Option<TimeRange>,
    }
    /// The disk of a node does something else than it says.
    LyingDisk lying_disk {
        /// Whose.
        node: Nodes,
        /// What.
        lie: LieKind,
        /// How many operations; 1 when it is absent.
        count: Option<NonZeroU32>,
        /// Only on paths that contain this.
        path: Option<String>,
    }
    /// A bit of a durable file is inverted for good; what has no second copy is spared.
    Rot rot {
        /// Of a file whose path contains this.
        path: String,
    }
    /// Requests of a node to the storage service go wrong.
    FailService fail_service {
        /// Whose.
        node: Nodes,
        /// How.
        mishap: MishapKind,
        /// How much later the answer comes; only for `indeterminate` and `slow`.
        by: Option<TimeRange>,
        /// How many requests; 1 when it is absent.
        count: Option<NonZeroU32>,
        /// Only of objects whose path contains this.
        path: Option<String>,
    }
    /// The sources have nothing to read for a while.
    IdleInput idle_input {
        /// Only the source subtask of this number.
        subtask: Option<u32>,
        /// How long.
        #[serde(rename = "for")]
        lasts: TimeRange,
        /// How often; once when it is absent.
        times: Option<NonZeroU32>,
        /// Between two times.
        gap: Option<TimeRange>,
    }
    /// Somebody asks for something, again and again until the job answers.
    Ask ask {
        /// What.
        #[serde(rename = "for")]
        what: AskFor,
    }
    /// Somebody asks for another parallelism, again and again until the job has it or refuses.
    Rescale rescale {
        /// Subtasks of every operator; `*` is drawn among those there are slots for.
        parallelism: Parallelism,
    }
}

/// How a disk operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskError {
    /// The device reports an error.
    Io,
    /// There is no room.
    Full,
}

/// What a crash leaves of bytes and names that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaving {
    /// A drawn prefix of each.
    Drawn,
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// All names and a part of the bytes, the last block torn.
    Prefix,
    /// All names and bytes, with zeroes in the middle.
    Hole,
    /// All bytes, and only the names of the directory that was changed last.
    LastDirectory,
    /// Everything, and each renamed file under its old name, too.
    BothNames,
    /// Everything, but renamed files have neither name.
    NoName,
}

/// Which disk operations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Every one.
    Any,
    /// Open, read, length, list.
    Read,
    /// Create, append, rename, remove.
    Write,
    /// Of files and directories.
    Sync,
}

impl Operation {
    /// As the world calls it.
    pub(crate) fn world(self) -> Operations {
        match self {
            Self::Any => Operations::Any,
            Self::Read => Operations::Read,
            Self::Write => Operations::Write,
            Self::Sync => Operations::Sync,
        }
    }
}

/// What a disk does instead of what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LieKind {
    /// A read returns too little.
    ShortRead,
    /// A read returns one bit inverted.
    RottenRead,
    /// Bytes land in another file.
    MisdirectedWrite,
    /// Bytes are synced and never stored.
    PhantomWrite,
}

/// How a request to the storage service goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MishapKind {
    /// Carried out, and reported failed.
    Indeterminate,
    /// Refused, without an effect.
    Refused,
    /// Slow.
    Slow,
    /// A conditional write meets a conflict that is none.
    Conflict,
    /// A conditional write meets itself.
    OwnConflict,
}

/// What somebody can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskFor {
    /// A checkpoint.
    Checkpoint,
    /// The end of the job, without its output.
    Cancel,
    /// A savepoint, while the job runs on.
    Savepoint,
    /// A savepoint and the end of the job.
    Stop,
    /// The same, with the input taken for ended.
    Drain,
}

impl AskFor {
    /// As the job hears it.
    pub(crate) fn request(self) -> Request {
        match self {
            Self::Checkpoint => Request::Checkpoint,
            Self::Cancel => Request::Cancel,
            Self::Savepoint => Request::Savepoint { target: None },
            Self::Stop => Request::Stop { drain: false, target: None },
            Self::Drain => Request::Stop { drain: true, target: None },
        }
    }
}

/// Where a checkpoint can be held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The order to take the checkpoint is late.
    Barrier,
    /// A subtask has the first barrier and reads nothing.
    Alignment,
    /// A subtask has all barriers, has passed them on, and stands still over its snapshot.
    Sync,
    /// The snapshot is on its way to the storage.
    Upload,
    /// The snapshot is durable and its ack is not sent.
    Ack,
    /// As `ack`, of the subtask that acks last.
    LastAck,
    /// Every ack is there and the manifest is being written.
    Manifest,
    /// The checkpoint is completed and nobody hears of it.
    Notification,
}

plain!(DiskError, AskFor, Phase, Leaving, Operation, LieKind, MishapKind);

impl Verb {
    /// Whether it strikes whoever reports the event that triggers it.
    pub(crate) fn needs_event(&self) -> bool {
        matches!(self, Self::Hold(_))
    }

    /// What a trace says when the fault begins.
    pub fn describe(&self) -> String {
        let mut out = self.name().replace('_', " ");
        let mut table = self.table();
        let names = |value: &toml::Value| match value.as_array() {
            Some(all) => all.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join("+"),
            None => value.as_str().unwrap_or_default().to_owned(),
        };
        let link = (table.remove("from"), table.remove("to"));
        let is_mutual = table.remove("both").is_some_and(|it| it == toml::Value::Boolean(true));
        if let (Some(from), Some(to)) = link {
            let arrow = if is_mutual { "<->" } else { "->" };
            out = format!("{out} {} {arrow} {}", names(&from), names(&to));
        }
        for key in ["node", "nodes"] {
            if let Some(who) = table.remove(key) {
                out = format!("{out} {}", names(&who));
            }
        }
        for (index, (key, value)) in table.iter().enumerate() {
            let comma = if index == 0 && !out.contains(' ') { "" } else { "," };
            let value = value.as_str().map_or_else(|| value.to_string(), tell);
            out = format!("{out}{comma} {} {value}", key.replace('_', " "));
        }
        out
    }
}

/// A value for people: a drawn length in seconds.
fn tell(text: &str) -> String {
    let micros: Option<u64> = text.strip_suffix("us").and_then(|it| it.parse().ok());
    micros
        .map_or_else(|| text.to_owned(), |it| format!("{}.{:06}s", it / 1_000_000, it % 1_000_000))
}
