//! The production Env: tokio's executor and clock, the operating system's files and entropy, and
//! connections within one process.
//!
//! This is the only module of the engine that names tokio.
//!
//! Deliberately absent: connections between processes.

use std::sync::Arc;

use seawall_env::{Env, Network, Observer};
use seawall_protocol::tamper::Honest;

mod clock;
mod disk;
mod entropy;
mod network;
mod observer;
mod spawner;

pub use clock::TokioClock;
pub use disk::FileSystem;
pub use entropy::SystemEntropy;
pub use network::InProcessNetwork;
pub use observer::Unobserved;
pub use spawner::TokioSpawner;

/// The production Env of one node. Nodes of one process share the `network`. Must be used within a tokio
/// runtime with its time driver on.
pub fn env(network: Arc<dyn Network>, observer: Arc<dyn Observer>) -> Env {
    Env {
        clock: Arc::new(TokioClock::new()),
        disk: Arc::new(FileSystem),
        network,
        spawner: Arc::new(TokioSpawner),
        entropy: Arc::new(SystemEntropy::new()),
        observer,
        tamper: Arc::new(Honest),
    }
}
