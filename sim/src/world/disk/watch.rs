//! Calls to the disk as a watcher sees them, before and after they take effect.
//!
//! A watcher is how a fault hits the n-th call, or the gap between two effects: it may crash the node from
//! inside. Before, the call then has no effect; after, it has, and its caller never hears of it. A watcher
//! that only looks changes nothing.
//!
//! Deliberately absent: calls on scratch files, which do not await and leave nothing behind.

use std::path::PathBuf;
use std::sync::Arc;

use seawall_env::Reaction;

/// What is asked of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Create or truncate a file.
    Create,
    /// Open a file for reading.
    Open,
    /// Append bytes.
    Append,
    /// Read bytes.
    ReadAt,
    /// Ask for the length of a file.
    Length,
    /// Make bytes durable.
    Sync,
    /// Make names durable.
    SyncDirectory,
    /// Rename a file; the path is the new one.
    Rename,
    /// Remove a file.
    Remove,
    /// Create a directory and its parents.
    CreateDirectory,
    /// Remove a directory.
    RemoveDirectory,
    /// List a directory.
    List,
}

/// Which operations a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operations {
    /// All.
    Any,
    /// Those that change nothing: open, read, length, list.
    Read,
    /// Those that change bytes or names: create, append, rename, remove.
    Write,
    /// Those that make durable.
    Sync,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    Sync,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub node: Arc<str>,
    /// What for.
    pub operation: Operation,
    /// On what.
    pub path: PathBuf,
}

/// When a watcher is shown a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// It has taken its time and had no effect yet.
    Before,
    /// It took effect, or failed; its caller does not know.
    After,
}

/// Sees calls. It answers [`Reaction::Yield`] when it did something to the node that calls.
pub type DiskWatcher = Arc<dyn Fn(&Call, When) -> Reaction + Send + Sync>;

impl Operation {
    pub(super) fn access(self) -> Access {
        match self {
            Self::Open | Self::ReadAt | Self::Length | Self::List => Access::Read,
            Self::Sync | Self::SyncDirectory => Access::Sync,
            Self::Create
            | Self::Append
            | Self::Rename
            | Self::Remove
            | Self::CreateDirectory
            | Self::RemoveDirectory => Access::Write,
        }
    }
}

impl Operations {
    /// Whether this call is one of them.
    pub(crate) fn include(self, operation: Operation) -> bool {
        self.cover(operation.access())
    }

    pub(super) fn cover(self, access: Access) -> bool {
        match self {
            Self::Any => true,
            Self::Read => access == Access::Read,
            Self::Write => access == Access::Write,
            Self::Sync => access == Access::Sync,
        }
    }
}
