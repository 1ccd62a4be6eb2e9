//! Tasks on tokio's threads.

use seawall_env::{BoxFuture, Spawn, TaskHandle};

/// Spawns on the tokio runtime of the caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioSpawner;

impl Spawn for TokioSpawner {
    fn spawn(&self, _name: &str, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        Box::new(Handle(tokio::spawn(task).abort_handle()))
    }
}

struct Handle(tokio::task::AbortHandle);

impl TaskHandle for Handle {
    fn abort(&self) {
        self.0.abort();
    }
}
