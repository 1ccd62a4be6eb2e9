//! A job whose sources are slowed from outside, so that its input lasts as long as the storm.
//!
//! Records take no virtual time. Without a limit the whole input would be read before the first fault, and
//! nothing would be put to the test. The job itself is left as its author wrote it.

use std::sync::Arc;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_runtime::connectors::rate::Budget;
use seawall_stream::chain::{Chain, Outputs, SourceChain};
use seawall_stream::{ConnectorError, Job, Progress, StreamError};

use crate::delegate::delegate_outputs;

/// The job, with each of its sources at `rate` records per second over all its subtasks.
pub(crate) fn paced(mut job: Job, rate: u64) -> Job {
    for operator in &mut job.operators {
        let build = Arc::clone(&operator.build);
        operator.build = Arc::new(move |place| match build(place) {
            Chain::Source(inner) => Chain::Source(Box::new(Paced {
                inner,
                rate,
                parallelism: place.parallelism,
                budget: None,
                progress: Progress::NeedsInput,
            })),
            chain @ Chain::Operator(_) => chain,
        });
    }
    job
}

struct Paced {
    inner: Box<dyn SourceChain>,
    rate: u64,
    parallelism: u32,
    /// `None` before it is opened.
    budget: Option<Budget>,
    /// What the source said last.
    progress: Progress,
}

impl Paced {
    fn budget(&mut self) -> &mut Budget {
        self.budget.as_mut().expect("a source is opened before it is read")
    }
}

delegate_outputs!(Paced);

#[async_trait]
impl SourceChain for Paced {
    async fn open(&mut self, env: &Env, splits: &[Vec<u8>]) -> Result<(), ConnectorError> {
        self.budget = Some(Budget::new(env, self.rate, self.parallelism));
        self.inner.open(env, splits).await
    }

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        if self.progress == Progress::NeedsInput {
            self.progress = self.inner.fill().await?;
        }
        if self.progress == Progress::Ready {
            self.budget().refill().await;
        }
        Ok(self.progress)
    }

    fn emit(&mut self, limit: usize) -> Result<(usize, Progress), ConnectorError> {
        let allowed = self.budget().records().min(limit);
        let mut count = 0;
        if allowed > 0 {
            (count, self.progress) = self.inner.emit(allowed)?;
            self.budget().spend(count);
        }
        let is_spent = self.budget().records() == 0;
        Ok(match self.progress {
            Progress::Ready if is_spent => (count, Progress::NeedsInput),
            Progress::Ready | Progress::NeedsInput | Progress::Ended => (count, self.progress),
        })
    }

    fn is_behind(&self) -> bool {
        self.inner.is_behind() || self.budget.as_ref().is_some_and(Budget::is_full)
    }

    fn splits(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        self.inner.splits()
    }

    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}
