//! A sink that takes at most so many records a second: the slow receiver under which a barrier that waits
//! for its turn arrives late, and one that overtakes does not.

use std::time::Duration;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_protocol::CheckpointId;
use seawall_stream::{ConnectorError, Sink, SinkContext, SinkWriter, Traces};

/// A sink with a limit.
#[derive(Debug, Clone)]
pub struct Slow<S> {
    sink: S,
    records_per_second: Option<u64>,
}

impl<S: Sink> Slow<S> {
    /// `sink` with at most `records_per_second` over all subtasks; `None` is no limit.
    pub fn new(sink: S, records_per_second: Option<u64>) -> Self {
        assert_ne!(records_per_second, Some(0), "a sink with rate 0 never ends");
        Self { sink, records_per_second }
    }
}

#[async_trait]
impl<S: Sink> Sink for Slow<S> {
    type Record = S::Record;
    type Writer = SlowWriter<S::Writer>;

    fn transaction_timeout(&self) -> Option<Duration> {
        self.sink.transaction_timeout()
    }

    async fn traces(&self, env: &Env) -> Result<Traces, ConnectorError> {
        self.sink.traces(env).await
    }

    async fn rewind(&self, env: &Env, to: CheckpointId) -> Result<u32, ConnectorError> {
        self.sink.rewind(env, to).await
    }

    async fn open(&self, context: SinkContext) -> Result<Self::Writer, ConnectorError> {
        let env = context.env.clone();
        let nanos_per_record = self
            .records_per_second
            .map_or(0, |rate| (u64::from(context.parallelism) * 1_000_000_000).div_ceil(rate));
        let writer = self.sink.open(context).await?;
        Ok(SlowWriter { writer, env, cost: Duration::from_nanos(nanos_per_record), unpaid: 0 })
    }
}

/// Writes, and waits after each batch for as long as its records cost.
pub struct SlowWriter<W> {
    writer: W,
    env: Env,
    cost: Duration,
    unpaid: u32,
}

#[async_trait]
impl<W: SinkWriter> SinkWriter for SlowWriter<W> {
    type Record = W::Record;

    fn write(&mut self, record: W::Record) {
        self.unpaid += 1;
        self.writer.write(record);
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        let unpaid = std::mem::take(&mut self.unpaid);
        if unpaid > 0 && !self.cost.is_zero() {
            self.env.clock.sleep(self.cost * unpaid).await;
        }
        self.writer.flush().await
    }

    async fn pre_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<Option<Vec<u8>>, ConnectorError> {
        self.writer.pre_commit(checkpoint).await
    }

    async fn commit(&mut self, committable: &[u8]) -> Result<(), ConnectorError> {
        self.writer.commit(committable).await
    }

    async fn abort_lingering(&mut self, keep: &[Vec<u8>]) -> Result<u32, ConnectorError> {
        self.writer.abort_lingering(keep).await
    }
}
