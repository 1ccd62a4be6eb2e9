//! What came of a run, and the exit code that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seawall_runtime::storage::history::History;
use seawall_spec::CommittedFile;

use crate::coverage::Coverage;
use crate::fault::Fault;
use crate::trace::Trace;
use crate::world::Message;

/// What came of one run of one scenario with one seed.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// With which seed.
    pub seed: u64,
    /// Whether everything held.
    pub result: Result,
    /// Every property that did not hold, by name; the first is in `result`.
    pub violated: Vec<String>,
    /// Properties that were not judged, because the job's author said nothing to judge them by.
    pub unjudged: BTreeSet<&'static str>,
    /// What the world was going to do.
    pub schedule: Vec<Fault>,
    /// Which faults of the scenario happened.
    pub happened: Vec<bool>,
    /// The entry of the trace with which each fault of the schedule began, if it did.
    pub begun: Vec<Option<usize>>,
    /// What happened.
    pub trace: Trace,
    /// How often.
    pub counts: Counts,
    /// What it reached.
    pub coverage: Coverage,
    /// How often faults changed something, by the names of the world.
    pub strikes: BTreeMap<&'static str, u64>,
    /// Every frame that was sent, where that was asked for.
    pub messages: Vec<Message>,
    /// How much virtual time passed.
    pub virtual_time: Duration,
    /// The figures of its checkpoints, as the coordinators left them on the disk.
    pub checkpoints: Option<History>,
    /// What stood in the output at the end.
    pub committed: Vec<CommittedFile>,
}

impl Verdict {
    /// Whether `property` did not hold. A run that is stuck does not recover.
    pub fn violates(&self, property: &str) -> bool {
        self.violated.iter().any(|it| it == property)
    }
}

/// Whether everything held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Result {
    /// Every property.
    Holds,
    /// This one did not.
    Violated {
        /// Its name.
        property: String,
        /// Its name and how it did not.
        message: String,
    },
    /// After all faults healed the job did not get on.
    Stuck {
        /// What is pending.
        pending: String,
    },
    /// Two runs of the same seed differ.
    NotDeterministic {
        /// Where.
        message: String,
    },
}

impl Result {
    /// In one word, as files and tables say it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Violated { .. } => "violated",
            Self::Stuck { .. } => "stuck",
            Self::NotDeterministic { .. } => "not deterministic",
        }
    }

    /// The exit code of a program whose worst result is this one.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Violated { .. } => 1,
            Self::NotDeterministic { .. } => 3,
            Self::Stuck { .. } => 4,
        }
    }

    /// For people, in one paragraph.
    pub fn explain(&self) -> String {
        match self {
            Self::Holds => "every property holds".to_owned(),
            Self::Violated { property: _, message } | Self::NotDeterministic { message } => {
                message.clone()
            }
            Self::Stuck { pending } => format!("after all faults healed, {pending}"),
        }
    }
}

/// Exit code of usage, scenario and configuration errors.
pub const USAGE: u8 = 2;

/// What a run put to the test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Faults that began.
    pub faults: u64,
    /// Checkpoints completed.
    pub checkpoints: u64,
    /// Attempts started after the first one.
    pub recoveries: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.faults += other.faults;
        self.checkpoints += other.checkpoints;
        self.recoveries += other.recoveries;
    }
}
