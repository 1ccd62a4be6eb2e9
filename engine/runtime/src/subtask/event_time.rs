//! What the driver of a subtask does about event time: the valve of its channels drives the chain.

use seawall_protocol::{ChannelId, Watermark};
use seawall_stream::Progress;
use seawall_stream::chain::{Chain, Notice};

use super::{Driver, EMIT_RECORDS, Failure};

impl Driver {
    /// What one channel says; the chain hears of it when it changes what all of them say (L3-L5).
    pub(super) async fn on_channel_watermark(
        &mut self,
        channel: ChannelId,
        said: Watermark,
    ) -> Result<(), Failure> {
        let before = self.valve.output();
        let Some(watermark) = self.valve.handle(channel, said) else { return Ok(()) };
        if watermark.time > before.time {
            self.fire_timers().await?;
            self.chain.outputs().on_watermark(watermark.time);
        }
        if watermark.is_idle != before.is_idle {
            self.chain.outputs().tell(Notice::Idle(watermark.is_idle));
        }
        self.offer_ready()?;
        self.flush_sink().await
    }

    /// Fires every timer that is due. What they emit is sent meanwhile; no barrier is handled in between, so a
    /// snapshot holds all of it or none.
    async fn fire_timers(&mut self) -> Result<(), Failure> {
        let time = self.valve.output().time;
        loop {
            let Chain::Operator(operator) = &mut self.chain else {
                unreachable!("a source has no input channels")
            };
            if operator.fire_timers(time, EMIT_RECORDS).map_err(Failure::retryable)?
                == Progress::Ended
            {
                return Ok(());
            }
            self.files.settle().await;
            self.offer_ready()?;
            while !self.flow().await? {
                self.room().await;
            }
            self.flush_sink().await?;
        }
    }
}
