//! Input that does not come: sources which idle, all of them or one, for as long as a fault says.
//!
//! It stands where the outside world stands, between the job's sources and what they read: a source that
//! idles has nothing to give and says so; checkpoints, barriers and orders go on. It is part of the job
//! only in runs whose schedule lets the input idle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_stream::chain::{Chain, Outputs, SourceChain};
use seawall_stream::{ConnectorError, Job, Progress, StreamError};

use crate::delegate::delegate_outputs;
use crate::world::World;

/// Until when the sources idle.
#[derive(Clone, Default)]
pub(crate) struct InputTap(Arc<Mutex<BTreeMap<Option<u32>, Duration>>>);

impl InputTap {
    /// The source subtask of this number, or every one, has nothing to read until then.
    pub(crate) fn close(&self, subtask: Option<u32>, until: Duration) {
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = closed.entry(subtask).or_default();
        *end = until.max(*end);
    }

    /// Input flows again.
    pub(crate) fn open(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn closed_until(&self, subtask: u32) -> Duration {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = [closed.get(&None), closed.get(&Some(subtask))];
        ends.into_iter().flatten().copied().max().unwrap_or_default()
    }

    /// The job with this tap in front of its sources.
    pub(crate) fn put_on(&self, job: &Job, world: &World) -> Job {
        let mut job = job.clone();
        for operator in &mut job.operators {
            let build = Arc::clone(&operator.build);
            let (tap, world) = (self.clone(), world.clone());
            operator.build = Arc::new(move |at| {
                let subtask = at.index;
                match build(at) {
                    Chain::Source(inner) => {
                        let (tap, world) = (tap.clone(), world.clone());
                        Chain::Source(Box::new(Tapped { inner, tap, world, subtask }))
                    }
                    Chain::Operator(inner) => Chain::Operator(inner),
                }
            });
        }
        job
    }
}

/// A source behind a tap.
struct Tapped {
    inner: Box<dyn SourceChain>,
    tap: InputTap,
    world: World,
    subtask: u32,
}

impl Tapped {
    fn is_open(&self) -> bool {
        self.tap.closed_until(self.subtask) <= self.world.now()
    }
}

delegate_outputs!(Tapped);

#[async_trait]
impl SourceChain for Tapped {
    async fn open(&mut self, env: &Env, splits: &[Vec<u8>]) -> Result<(), ConnectorError> {
        self.inner.open(env, splits).await
    }
    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        while !self.is_open() {
            let left = self.tap.closed_until(self.subtask).saturating_sub(self.world.now());
            self.world.sleep(left).await;
        }
        self.inner.fill().await
    }
    fn emit(&mut self, limit: usize) -> Result<(usize, Progress), ConnectorError> {
        if self.is_open() { self.inner.emit(limit) } else { Ok((0, Progress::NeedsInput)) }
    }
    fn is_behind(&self) -> bool {
        self.inner.is_behind()
    }
    fn splits(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        self.inner.splits()
    }
    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}
