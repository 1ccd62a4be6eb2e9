//! What the simulated world guarantees, each guarantee a test.
//!
//! - `contract`: what every Env guarantees
//! - `executor`: same seed, same run; nothing hangs; nothing leaks
//! - `node`: crash, restart, pause, exit
//! - `madsim`: what the executor below does
//! - `disk`: what a crash leaves
//! - `leaves`: what a crash leaves when a fault chooses it
//! - `trouble`: disks that fail, lie and are slow
//! - `watch`: calls to the disk, before and after they take effect
//! - `service`: requests to a storage service that go wrong
//! - `network`: how connections fail
//! - `link`: what happens to frames between two nodes
//! - `connection`: connections that one end, or nobody, knows to be dead; connects that fail
//! - `message`: the log of messages
//! - `strikes`: faults that changed something are counted, and only those

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod connection;
mod contract;
mod disk;
mod executor;
mod leaves;
mod link;
mod madsim;
mod message;
mod network;
mod node;
mod service;
mod strikes;
mod trouble;
mod watch;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{BoxFuture, Env, Observer, Reaction};
use seawall_protocol::event::Event;
use seawall_protocol::tamper::Honest;
use seawall_sim::world::{Program, World, WorldConfig};

struct Unobserved;

#[async_trait]
impl Observer for Unobserved {
    fn observe(&self, _: Event) -> Reaction {
        Reaction::Continue
    }

    async fn settle(&self) {}
}

/// The current `Env` of `node`.
fn env(world: &World, node: &str) -> Env {
    world.env(node, Arc::new(Unobserved), Arc::new(Honest))
}

/// Runs `main` in a world of `seed` as it comes.
fn run<T, F: Future<Output = T>>(seed: u64, main: impl FnOnce(World) -> F) -> T {
    World::run(seed, WorldConfig::default(), main)
}

/// A program from an async closure.
fn program<F: Future<Output = ()> + Send + 'static>(
    run: impl Fn(Env) -> F + Send + Sync + 'static,
) -> Program {
    Arc::new(move |env| -> BoxFuture<'static, ()> { Box::pin(run(env)) })
}

/// Collects what tasks report.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn say(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// How often the fault changed something.
fn struck(world: &World, fault: &str) -> u64 {
    world.stats().struck.get(fault).copied().unwrap_or_default()
}

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
