//! What the world does to a run, and when.
//!
//! ```text
//! scenario: [[fault]] = trigger + verb ── resolve (seed) ──► schedule ── inject ──► world
//! ```
//!
//! A schedule is a scenario's faults with every draw made. All draws come before the run, in the order of
//! the file, from a stream of their own. So the schedule is known whole before the first event, a seed file
//! can carry it, and nothing that happens in the run changes what is drawn.

mod field;
pub mod kinds;
mod verb;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use field::{Each, Nodes, Parallelism, Side};
pub(crate) use verb::FaultText;
pub use verb::{
    Ask, AskFor, Bandwidth, Clock, Crash, CrashRack, DelayMessage, DiskError, DuplicateMessage,
    FailDisk, FailService, Flaky, HalfOpen, HangConnects, Hold, IdleInput, Kill, Leaving, LieKind,
    LoseMessage, LyingDisk, MishapKind, Operation, Partition, Pause, Phase, RefuseConnects,
    Rescale, Reset, RollingRestart, Rot, SilentReconnect, SlowCheckpoint, SlowCpu, SlowDisk,
    SlowNetwork, StaleListings, Swizzle, ThrottleDisk, VERBS, Verb, VerbDoc,
};

use crate::scenario::quantity::{TimeRange, show_time};
use crate::scenario::{Node, Scenario};
use field::{Field, time};

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub verb: Verb,
}

/// When a fault happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// At a virtual time.
    At(TimeRange),
    /// When something happened.
    On(On),
    /// Again and again in the safety phase, with this mean interval.
    Every(Duration),
}

/// Something that happens, to wait for: an event of the protocol, another fault, or a call to the disk.
/// Exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// The name of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The verb of the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// A call to the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Operation>,
    /// Only calls on paths that contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Before a call has its effect, or after it; before when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// The first is 1; counted among those that match.
    pub nth: u32,
    /// Only events of this checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// Only events of this subtask, such as `count/0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtask: Option<String>,
    /// Only what happens on this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// How long after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<TimeRange>,
}

/// Before a call to the disk has its effect, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Nothing happened yet.
    Before,
    /// It happened, and its caller does not know.
    After,
}

/// How many faults one `every` may become.
pub const REPEATS_MAX: usize = 1_000;

/// Draws a number below its argument.
pub type Draw<'a> = dyn FnMut(u64) -> u64 + 'a;

/// Resolves every range, every `worker-*` and every `every` of the scenario. Beside each fault stands the
/// index of the scenario's fault that it comes from.
pub fn resolve(scenario: &Scenario, draw: &mut Draw<'_>) -> Vec<(usize, Fault)> {
    let mut schedule = Vec::new();
    for (origin, fault) in scenario.faults.iter().enumerate() {
        let mut add = |trigger: Trigger, draw: &mut Draw<'_>| {
            let mut verb = fault.verb.clone();
            verb.resolve(scenario.cluster, draw);
            schedule.push((origin, Fault { trigger, verb }));
        };
        match &fault.trigger {
            Trigger::At(range) => {
                let trigger = Trigger::At(TimeRange::exactly(time(*range, draw)));
                add(trigger, draw);
            }
            Trigger::On(on) => {
                let mut on = on.clone();
                on.after.resolve(scenario.cluster, draw);
                add(Trigger::On(on), draw);
            }
            Trigger::Every(mean) => {
                let mut at = gap(*mean, draw);
                for _ in 0..REPEATS_MAX {
                    if at >= scenario.until {
                        break;
                    }
                    add(Trigger::At(TimeRange::exactly(at)), draw);
                    at += gap(*mean, draw);
                }
            }
        }
    }
    schedule
}

/// A gap between two faults: uniform over half to one and a half of the mean.
fn gap(mean: Duration, draw: &mut Draw<'_>) -> Duration {
    time(TimeRange { least: mean / 2, most: mean + mean / 2 }, draw)
}

/// Writes one fault as a table of a scenario or seed file.
pub fn to_toml(fault: &Fault) -> toml::Table {
    use toml::Value;
    let mut table = toml::Table::new();
    let (key, value) = match &fault.trigger {
        Trigger::At(range) => ("at", Value::String(range.to_string())),
        Trigger::Every(mean) => ("every", Value::String(show_time(*mean))),
        Trigger::On(on) => ("on", Value::Table(on.table())),
    };
    table.insert(key.to_owned(), value);
    table.insert(fault.verb.name().to_owned(), Value::Table(fault.verb.table()));
    table
}

impl On {
    /// How long after what it waits for.
    pub fn delay(&self) -> TimeRange {
        self.after.unwrap_or(TimeRange::exactly(Duration::ZERO))
    }

    /// The same, so long after it.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        let after = (!delay.is_zero()).then_some(TimeRange::exactly(delay));
        Self { after, ..self }
    }

    /// What it waits for: `snapshot-acked`, `crash`, `sync`.
    pub fn what(&self) -> String {
        let call = self.call.map(|it| format!("{it:?}").to_lowercase() + " call");
        let fault = self.fault.as_ref().map(|it| format!("the fault {it}"));
        self.event.clone().or(fault).or(call).unwrap_or_default()
    }

    /// The first event of this name.
    pub fn event(name: &str) -> Self {
        Self {
            event: Some(name.to_owned()),
            fault: None,
            call: None,
            path: None,
            when: None,
            nth: 1,
            checkpoint: None,
            subtask: None,
            node: None,
            after: None,
        }
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("every trigger has a text")
    }
}
