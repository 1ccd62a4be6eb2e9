//! What a coordinator or a worker can end with.

use std::io;

use seawall_stream::{ConnectorError, StreamError};

use crate::storage::StorageError;

/// A coordinator or a worker could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Checkpoint storage failed or does not fit the job.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A source or a sink failed.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// Bytes of a record, state or split could not be encoded or decoded.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The network refused.
    #[error("cannot {action} {address}: {source}")]
    Network {
        /// What was tried: "listen at", "connect to".
        action: &'static str,
        /// Where.
        address: String,
        /// What the network said.
        source: io::Error,
    },
}

impl RuntimeError {
    /// Wraps a network error with what was tried at which address.
    pub fn network(action: &'static str, address: &str) -> impl FnOnce(io::Error) -> Self {
        let address = address.to_owned();
        move |source| Self::Network { action, address, source }
    }
}
