//! Errors at the boundary to connectors and to stored bytes.

use std::io;
use std::path::PathBuf;

/// A source or a sink could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The disk said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read", "create", "rename".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// There is nothing to read.
    #[error("no input: {what}\nhint: {hint}")]
    NoInput {
        /// What is missing.
        what: String,
        /// What to do.
        hint: String,
    },
    /// Stored or transmitted bytes do not have the expected form, or anything else that another
    /// attempt cannot mend.
    #[error("{0}")]
    Fatal(String),
}

impl ConnectorError {
    /// Whether another attempt cannot succeed either (O9).
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Io { .. } => false,
            Self::NoInput { .. } | Self::Fatal(_) => true,
        }
    }

    /// Wraps an I/O error with what was tried on which path.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// A batch or a piece of state could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The bytes are not what the type expects.
    #[error("cannot decode {what}: {source}")]
    Decode {
        /// What was decoded.
        what: &'static str,
        /// What postcard said.
        source: postcard::Error,
    },
    /// The store of live state failed. It is scratch: another attempt may succeed.
    #[error("cannot {action} live state on disk: {cause}")]
    Store {
        /// What was tried.
        action: &'static str,
        /// What the store said.
        cause: String,
    },
    /// The value has no encoding.
    #[error("cannot encode {what}: {source}")]
    Encode {
        /// What was encoded.
        what: &'static str,
        /// What postcard said.
        source: postcard::Error,
    },
}
