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
use super::field::{Each, Field, Nodes, Side, plain};
use crate::scenario::quantity::{PerMillion, Time, TimeRange};
use crate::scenario::{Cluster, OnText};

/// From one list: a struct for each verb, the enum over them, and the text of a `[[fault]]`.
macro_rules! verbs {
    ($($(#[$about:meta])* $verb:ident $key:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $verb { $($(#[$meta])* pub $field: $type,)* }
        )*

        /// What the world does.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Verb { $($(#[$about])* $verb($verb),)* }

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
        /// How many operations; 1 when it is absent.
        count: Option<NonZeroU32>,
        /// Only on paths that contain this.
        path: Option<String>,
    }
    /// Somebody asks for something, again and again until the job answers.
    Ask ask {
        /// What.
        #[serde(rename = "for")]
        what: AskFor,
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

plain!(DiskError, AskFor, Phase);

impl Verb {
    /// Whether it strikes whoever reports the event that triggers it.
    pub(crate) fn needs_event(&self) -> bool {
        matches!(self, Self::Hold(_))
    }

    /// What a trace says when the fault begins.
    pub fn describe(&self) -> String {
        let mut out = self.name().replace('_', " ");
        let mut table = self.table();
        let names = |value: &toml::Value| match value {
            toml::Value::Array(all) => {
                all.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join("+")
            }
            other => other.as_str().unwrap_or_default().to_owned(),
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
