//! The jobs of the model and its steps, and how they are told.

use std::fmt;

use super::CHANNELS;

/// The jobs that are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Every source goes on, and channels wait for each other.
    ExactlyOnce,
    /// So they do, and a source finishes.
    Ending,
    /// No channel waits.
    AtLeastOnce,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The search chooses one of its jobs.
    Begin(Job),
    /// A source emits its next record.
    Emit(usize),
    /// A source gets its next trigger.
    Trigger(usize, u8),
    /// That trigger is lost.
    LoseTrigger(usize, u8),
    /// A subtask takes what is at the head of a channel.
    Take(usize),
    /// A subtask learns that a checkpoint was given up.
    TellAborted(usize, u8),
    /// A source finishes: it closes its channels and takes no part in later checkpoints.
    Close(usize),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(Job::ExactlyOnce) => f.write_str("a job runs exactly once"),
            Self::Begin(Job::Ending) => {
                f.write_str("a job runs exactly once; source/1 is to finish")
            }
            Self::Begin(Job::AtLeastOnce) => f.write_str("a job runs at least once"),
            Self::Emit(source) => write!(f, "{} emits a record", name(*source)),
            Self::Trigger(source, n) => {
                write!(f, "{} is triggered for checkpoint {n}", name(*source))
            }
            Self::LoseTrigger(source, n) => {
                write!(f, "the trigger of checkpoint {n} for {} is lost", name(*source))
            }
            Self::Take(channel) => {
                let (from, to, _) = CHANNELS[*channel];
                write!(f, "{} takes the next element from {}", name(to), name(from))
            }
            Self::TellAborted(node, n) => {
                write!(f, "{} learns that checkpoint {n} was given up", name(*node))
            }
            Self::Close(source) => write!(f, "{} finishes", name(*source)),
        }
    }
}

fn name(node: usize) -> String {
    match node {
        0 | 1 => format!("source/{node}"),
        2 | 3 => format!("operator/{}", node - 2),
        _ => "sink/0".into(),
    }
}
