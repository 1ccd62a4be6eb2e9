//! Timers that fire when they should not, or do not when they should.

use std::sync::Arc;
use std::time::Duration;

use seawall_env::Scratch;
use seawall_protocol::{CheckpointId, EventTime};
use seawall_stream::batch::Batch;
use seawall_stream::chain::{OperatorChain, Outputs};
use seawall_stream::state::{Changes, EncodedGroup, SnapshotRequest, StateView};
use seawall_stream::{Progress, StreamError};

use crate::delegate::delegate_outputs;

/// How timers are fired wrongly.
#[derive(Clone, Copy)]
pub(super) enum Misfire {
    /// Before the watermark has come to them.
    Early,
    /// At the end of the input the first, and no other.
    OneAtTheEnd,
}

/// A chain whose timers fire wrongly.
pub(super) struct Misfiring {
    pub(super) inner: Box<dyn OperatorChain>,
    pub(super) how: Misfire,
}

delegate_outputs!(Misfiring);

impl OperatorChain for Misfiring {
    fn fire_timers(&mut self, time: EventTime, limit: usize) -> Result<Progress, StreamError> {
        match self.how {
            Misfire::Early => self.inner.fire_timers(time.after(Duration::from_mins(1)), limit),
            Misfire::OneAtTheEnd if time == EventTime::MAX => {
                self.inner.fire_timers(time, 1)?;
                Ok(Progress::Ended)
            }
            Misfire::OneAtTheEnd => self.inner.fire_timers(time, limit),
        }
    }
    fn on_batch(&mut self, batch: Batch) -> Result<(), StreamError> {
        self.inner.on_batch(batch)
    }
    fn on_end(&mut self, limit: usize) -> Result<Progress, StreamError> {
        self.inner.on_end(limit)
    }
    fn take_dirty_bytes(&mut self) -> u64 {
        self.inner.take_dirty_bytes()
    }
    fn view(&mut self, request: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError> {
        self.inner.view(request)
    }
    fn needs_scratch(&self) -> bool {
        self.inner.needs_scratch()
    }
    fn open(&mut self, scratch: Arc<dyn Scratch>) -> Result<(), StreamError> {
        self.inner.open(scratch)
    }
    fn apply(&mut self, changes: &[Changes]) -> Result<(), StreamError> {
        self.inner.apply(changes)
    }
    fn track_changes(&mut self, restored: Option<CheckpointId>) {
        self.inner.track_changes(restored);
    }
    fn confirm(&mut self, checkpoint: CheckpointId) {
        self.inner.confirm(checkpoint);
    }
    fn restore(&mut self, groups: &[EncodedGroup]) -> Result<(), StreamError> {
        self.inner.restore(groups)
    }
    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}
