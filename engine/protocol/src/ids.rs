//! Identities. Each is a newtype, ordered, and printed the way a trace shows it.

use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
    };
}

number!(
    /// One job; derived from its name and its resolved options, so that two jobs never share state (P11).
    JobId(u64), "{:016x}"
);
number!(
    /// A checkpoint, numbered from 1, strictly increasing over all leaders, never reused (A1).
    CheckpointId(u64), "{}"
);
number!(
    /// One chain of fused operators in the job graph, numbered in the order of construction.
    OperatorId(u32), "op{}"
);
number!(
    /// One input channel of a subtask: its index in the subtask's gate.
    ChannelId(u32), "ch{}"
);
number!(
    /// The n-th execution of the job's subtasks, from 1; grows with each failover and each leader (A4).
    Attempt(u32), "{}"
);
number!(
    /// A worker process, named by its configuration.
    WorkerId(u32), "worker-{}"
);
number!(
    /// One life of a worker process; a worker that comes back is a new session (H5 of the models).
    SessionId(u64), "{:x}"
);
number!(
    /// Grows with each leadership; whoever holds a smaller one is refused (A5, P1).
    FencingToken(u64), "{}"
);

impl CheckpointId {
    /// The checkpoint after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Attempt {
    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl FencingToken {
    /// The token of the next leadership.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One parallel instance of an operator chain.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SubtaskId {
    /// The chain.
    pub operator: OperatorId,
    /// Which instance, from 0.
    pub index: u32,
}

impl SubtaskId {
    /// Instance `index` of chain `operator`.
    pub fn new(operator: u32, index: u32) -> Self {
        Self { operator: OperatorId(operator), index }
    }
}

impl fmt::Display for SubtaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.operator, self.index)
    }
}

/// One execution of one subtask; every ack, decline and report names it (A4).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct AttemptId {
    /// The subtask.
    pub subtask: SubtaskId,
    /// Its execution.
    pub attempt: Attempt,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.subtask, self.attempt)
    }
}
