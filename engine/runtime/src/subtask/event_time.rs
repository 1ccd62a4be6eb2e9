//! What the driver of a subtask does about event time: the valve of its channels drives its chain, and time
//! that passes drives the operators that make watermarks.
//!
//! **Across a restore.** A snapshot holds how far event time was at its cut, and nothing of single channels or
//! of watermarks in flight. Each subtask of the next attempt says it again as the first thing behind its
//! restored output, and none goes on before each of its channels has said something. So a watermark never comes
//! earlier than it did, every record that was on time still is (L6, T10), and a barrier that overtakes
//! watermarks leaves nothing to be kept of them.

use seawall_probe::sometimes;
use seawall_protocol::event::Event;
use seawall_protocol::{ChannelId, EventTime, Watermark};
use seawall_stream::Progress;
use seawall_stream::chain::{Chain, Notice};

use super::{Driver, DriverTimer, EMIT_RECORDS, Failure, Life};

impl Driver {
    /// Says how far event time was at the restored cut. At the end of the input nothing waits for it any more.
    pub(super) async fn begin_event_time(&mut self) -> Result<(), Failure> {
        let time = self.watermark.time;
        if time > EventTime::MIN && time < EventTime::MAX {
            sometimes!(RestoredTimeIsSaid);
            self.raise(time).await?;
            self.note_watermark().await;
        }
        Ok(())
    }

    /// Begins to tell the time that passes, at once: a restored operator says how far it was.
    pub(super) async fn begin_ticks(&mut self) -> Result<(), Failure> {
        if !self.chain.outputs().makes_watermarks() {
            return Ok(());
        }
        self.ticked = self.launch.env.clock.now();
        self.on_tick().await
    }

    /// What one channel says; the chain hears of it when it changes what all of them say (L3-L5).
    pub(super) async fn on_channel_watermark(
        &mut self,
        channel: ChannelId,
        said: Watermark,
    ) -> Result<(), Failure> {
        let mut told = self.valve.handle(channel, said);
        self.launch.env.tamper.after_valve(&self.plan, channel, said, &mut told);
        let Some(watermark) = told else { return Ok(()) };
        let before = std::mem::replace(&mut self.watermark, watermark);
        if watermark.time != before.time {
            self.raise(watermark.time).await?;
        }
        if watermark.is_idle != before.is_idle {
            self.chain.outputs().tell(Notice::Idle(watermark.is_idle));
            self.offer_ready()?;
        }
        self.note_watermark().await;
        Ok(())
    }

    /// The end of the input is told otherwise.
    async fn note_watermark(&mut self) {
        let (attempt, Watermark { time, is_idle }) = (self.launch.attempt, self.watermark);
        if time < EventTime::MAX {
            self.launch.env.emit(Event::WatermarkAdvanced { attempt, time, is_idle }).await;
        }
    }

    /// Event time rose: timers fire, then the operators hear of it. What is emitted is sent meanwhile; no
    /// barrier is handled in between, so a snapshot holds all of it or none.
    async fn raise(&mut self, time: EventTime) -> Result<(), Failure> {
        while let Chain::Operator(operator) = &mut self.chain {
            let progress = operator.fire_timers(time, EMIT_RECORDS).map_err(Failure::retryable)?;
            if progress == Progress::Ended {
                break;
            }
            self.files.settle().await;
            self.offer_ready()?;
            while !self.flow().await? {
                self.room().await;
            }
            self.flush_sink().await?;
        }
        self.chain.outputs().on_watermark(time);
        self.offer_ready()?;
        self.flush_sink().await
    }

    /// Tells the operators that make watermarks of the time that has passed. Time in which nothing could be
    /// read is no time: a source that its receivers slow down is not idle (FLINK-35886).
    pub(super) async fn on_tick(&mut self) -> Result<(), Failure> {
        if self.has_told_end {
            return Ok(());
        }
        let interval = self.launch.watermark_interval;
        if !interval.is_zero() {
            self.timers().arm(DriverTimer::Tick, interval);
        }
        let now = self.launch.env.clock.now();
        let passed = now.saturating_sub(std::mem::replace(&mut self.ticked, now));
        let could_read = self.life == Life::Running
            && !self.is_paused
            && self.outlets.is_clear()
            && self.core.blocked().is_empty();
        if !could_read {
            sometimes!(TimePassesUncounted);
            return Ok(());
        }
        self.chain.outputs().tell(Notice::Tick(passed));
        self.offer_ready()?;
        self.flush_sink().await
    }
}
