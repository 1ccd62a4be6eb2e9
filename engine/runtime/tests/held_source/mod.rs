//! A source whose end waits: a job with it runs until what a test waits for has happened.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_stream::{Collect, ConnectorError, Progress, Source, SourceReader};

type IsHeld = Arc<dyn Fn() -> bool + Send + Sync>;

/// `source` whose end is not told while `is_held`.
#[derive(Clone)]
pub(crate) struct Held<S> {
    source: S,
    is_held: IsHeld,
}

impl<S> Held<S> {
    pub(crate) fn new(source: S, is_held: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { source, is_held: Arc::new(is_held) }
    }
}

#[async_trait]
impl<S: Source> Source for Held<S> {
    type Record = S::Record;
    type Split = S::Split;
    type Reader = HeldReader<S::Reader>;

    async fn enumerate(
        &self,
        env: &Env,
        parallelism: u32,
    ) -> Result<Vec<S::Split>, ConnectorError> {
        self.source.enumerate(env, parallelism).await
    }

    async fn open(&self, env: &Env, splits: Vec<S::Split>) -> Result<Self::Reader, ConnectorError> {
        let reader = self.source.open(env, splits).await?;
        let is_held = Arc::clone(&self.is_held);
        Ok(HeldReader { reader, is_held, has_ended: false })
    }
}

pub(crate) struct HeldReader<R> {
    reader: R,
    is_held: IsHeld,
    has_ended: bool,
}

impl<R> HeldReader<R> {
    fn tell(&mut self, progress: Progress) -> Progress {
        self.has_ended = progress == Progress::Ended;
        if self.has_ended && (self.is_held)() { Progress::NeedsInput } else { progress }
    }
}

#[async_trait]
impl<R: SourceReader> SourceReader for HeldReader<R> {
    type Record = R::Record;
    type Split = R::Split;

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        if !self.has_ended {
            self.has_ended = self.reader.fill().await? == Progress::Ended;
        }
        while self.has_ended && (self.is_held)() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(if self.has_ended { Progress::Ended } else { Progress::Ready })
    }

    fn emit(
        &mut self,
        limit: usize,
        out: &mut impl Collect<R::Record>,
    ) -> Result<Progress, ConnectorError> {
        let progress =
            if self.has_ended { Progress::Ended } else { self.reader.emit(limit, out)? };
        Ok(self.tell(progress))
    }

    fn splits(&self) -> Vec<R::Split> {
        self.reader.splits()
    }
}
