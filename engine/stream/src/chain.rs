//! Chains as the runtime sees them: object-safe, entered once a batch.
//!
//! ```text
//! runtime --fill/emit--> SourceChain   --push--> map --push--> Router ---take_ready--> runtime
//! runtime --on_batch---> OperatorChain --push--> map --push--> SinkTail --pre_commit-> runtime
//! ```
//!
//! Watermarks go the same way: [`OperatorChain::fire_timers`], then [`Outputs::on_watermark`], so that what a
//! watermark gives rise to goes ahead of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use seawall_env::{Env, Scratch};
use seawall_protocol::config::StateBackend;
use seawall_protocol::key_group::{key_group_of, owner_of};
use seawall_protocol::{CheckpointId, EventTime, Watermark};

use crate::batch::Batch;
use crate::error::{ConnectorError, StreamError};
use crate::key::Key;
use crate::operator::Collect;
use crate::operator_state::Visit;
use crate::record::Record;
use crate::sink::{Sink, SinkContext, SinkWriter};
use crate::source::Progress;
use crate::state::{Changes, EncodedGroup, SnapshotRequest, StateView};

/// Records per full batch.
pub const BATCH_RECORDS: usize = 1024;

/// One edge of the job graph, numbered in the order of construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId(pub u32);

/// What a chain is told about its place when it is built.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Subtasks of every operator of the job.
    pub parallelism: u32,
    /// This subtask's index.
    pub index: u32,
    /// Key groups of the job.
    pub key_groups: u32,
    /// Where live state is.
    pub state: StateBackend,
}

/// One subtask's fused operators.
pub enum Chain {
    /// Begins with a source.
    Source(Box<dyn SourceChain>),
    /// Begins with the input of channels.
    Operator(Box<dyn OperatorChain>),
}

impl Chain {
    /// The chain's outputs.
    pub fn outputs(&mut self) -> &mut dyn Outputs {
        match self {
            Self::Source(chain) => chain.as_outputs(),
            Self::Operator(chain) => chain.as_outputs(),
        }
    }
}

/// Where a chain ends: edges to other chains, and at most one sink.
pub trait Outputs: Send {
    /// Adds every edge this part of the chain emits to.
    fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>);
    /// The sink at the tail.
    fn sink(&mut self) -> Option<&mut dyn SinkPort>;
    /// Shows every operator state, in the order of the chain. Whoever stands before another hands it on.
    ///
    /// # Errors
    /// The first of `visit`.
    fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError>;
    /// Tells every operator, in the order of the chain. Whoever stands before another hands it on.
    fn tell(&mut self, notice: Notice);
    /// Whether an operator wants to hear of completed and aborted checkpoints.
    fn hears_checkpoints(&self) -> bool;
    /// Whether an operator may emit something when the input ends.
    fn hears_end(&self) -> bool;
    /// Whether an operator makes watermarks, and wants to hear of the time that passes.
    fn makes_watermarks(&self) -> bool;
    /// Event time rose: every operator, in the order of the chain, emits what waited for that, then hands it
    /// on. The end of the chain puts it behind everything emitted so far.
    fn on_watermark(&mut self, time: EventTime);
}

/// What the operators of a chain are told between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Operator state is restored.
    Restored,
    /// The checkpoint is completed.
    Completed(CheckpointId),
    /// The checkpoint was given up.
    Aborted(CheckpointId),
    /// The input ended.
    Ended,
    /// Nothing is expected of the input for now, or something is again (L5).
    Idle(bool),
    /// So much time has passed since the last one, in which there could have been input.
    Tick(Duration),
}

/// What an edge has for its channels.
#[derive(Debug)]
pub enum Ready {
    /// Records for the channel of this index.
    Batch(usize, Batch),
    /// For every channel, behind what was ready before (L8).
    Watermark(Watermark),
}

/// The emitting side of an edge.
pub trait EdgePort: Send {
    /// Which edge.
    fn edge(&self) -> EdgeId;
    /// What is to be sent next: a full batch, or a watermark.
    fn take_ready(&mut self) -> Option<Ready>;
    /// Makes partial batches ready too.
    fn flush(&mut self);
}

/// A sink with its record type hidden; see [`SinkWriter`] for each call's contract.
#[async_trait]
pub trait SinkPort: Send {
    /// Opens the writer.
    async fn open(&mut self, context: SinkContext) -> Result<(), ConnectorError>;
    /// See [`SinkWriter::flush`].
    async fn flush(&mut self) -> Result<(), ConnectorError>;
    /// See [`SinkWriter::pre_commit`].
    async fn pre_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<Option<Vec<u8>>, ConnectorError>;
    /// See [`SinkWriter::commit`].
    async fn commit(&mut self, committable: &[u8]) -> Result<(), ConnectorError>;
    /// See [`SinkWriter::abort_lingering`].
    async fn abort_lingering(&mut self, keep: &[Vec<u8>]) -> Result<u32, ConnectorError>;
}

/// A chain that begins with a source.
#[async_trait]
pub trait SourceChain: Outputs {
    /// Opens the reader at these splits.
    async fn open(&mut self, env: &Env, splits: &[Vec<u8>]) -> Result<(), ConnectorError>;
    /// Does the I/O that the next `emit` needs.
    async fn fill(&mut self) -> Result<Progress, ConnectorError>;
    /// Emits at most `limit` records through the chain; returns how many, and what comes next.
    ///
    /// # Errors
    /// See [`crate::SourceReader::emit`].
    fn emit(&mut self, limit: usize) -> Result<(usize, Progress), ConnectorError>;
    /// See [`crate::SourceReader::is_behind`].
    fn is_behind(&self) -> bool {
        false
    }
    /// Every split with its position, encoded.
    ///
    /// # Errors
    /// When a split has no encoding.
    fn splits(&self) -> Result<Vec<Vec<u8>>, StreamError>;
    /// Itself.
    fn as_outputs(&mut self) -> &mut dyn Outputs;
}

/// A chain that begins with the input of channels.
pub trait OperatorChain: Outputs {
    /// Handles every record of a batch.
    ///
    /// # Errors
    /// When state cannot be read or written.
    fn on_batch(&mut self, batch: Batch) -> Result<(), StreamError>;
    /// Fires at most about `limit` timers that are due at `time`, earliest first; call until `Ended`, then
    /// [`Outputs::on_watermark`] (L2).
    ///
    /// # Errors
    /// When state cannot be read or written.
    fn fire_timers(&mut self, time: EventTime, limit: usize) -> Result<Progress, StreamError>;
    /// Emits at most about `limit` records of what depends on the end of the input; call until `Ended`.
    ///
    /// # Errors
    /// When state cannot be read.
    fn on_end(&mut self, limit: usize) -> Result<Progress, StreamError>;
    /// Bytes of keyed state that changed since the last call: an estimate, one entry's size in memory for
    /// each record.
    fn take_dirty_bytes(&mut self) -> u64 {
        0
    }
    /// An immutable view of the state, taken in one step.
    ///
    /// # Errors
    /// When there is none to be had.
    fn view(&mut self, request: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError>;
    /// See [`crate::state::StateBackend::needs_scratch`].
    fn needs_scratch(&self) -> bool;
    /// See [`crate::state::StateBackend::open`].
    ///
    /// # Errors
    /// When the file cannot be used.
    fn open(&mut self, scratch: Arc<dyn Scratch>) -> Result<(), StreamError>;
    /// Applies restored changes, behind everything restored so far.
    ///
    /// # Errors
    /// When the bytes are not state of this operator.
    fn apply(&mut self, changes: &[Changes]) -> Result<(), StreamError>;
    /// See [`crate::state::StateBackend::track_changes`].
    fn track_changes(&mut self, restored: Option<CheckpointId>);
    /// See [`crate::state::StateBackend::confirm`].
    fn confirm(&mut self, checkpoint: CheckpointId);
    /// Adds restored state.
    ///
    /// # Errors
    /// When the bytes are not state of this operator.
    fn restore(&mut self, groups: &[EncodedGroup]) -> Result<(), StreamError>;
    /// Itself.
    fn as_outputs(&mut self) -> &mut dyn Outputs;
}

/// Chooses the channel of a record.
pub trait Partitioner<T>: Send + 'static {
    /// The index of the channel.
    fn channel(&mut self, record: &T) -> usize;
}

/// By the key's key group (M1, M2).
pub struct Hash<F> {
    key: F,
    channel_of_group: Vec<u32>,
}

impl<F> Hash<F> {
    /// Hashes by `key` over all subtasks of the consumer.
    pub fn new(key: F, place: Place) -> Self {
        let owner = |group| owner_of(group, place.key_groups, place.parallelism);
        Self { key, channel_of_group: (0..place.key_groups).map(owner).collect() }
    }
}

impl<T, K: Key, F: Fn(&T) -> K + Send + 'static> Partitioner<T> for Hash<F> {
    #[inline]
    fn channel(&mut self, record: &T) -> usize {
        let hash = (self.key)(record).stable_hash();
        let groups = u32::try_from(self.channel_of_group.len()).unwrap_or(u32::MAX);
        self.channel_of_group[key_group_of(hash, groups) as usize] as usize
    }
}

/// To the consumer of the same index; the edge has one channel.
pub struct Forward;

impl<T> Partitioner<T> for Forward {
    #[inline]
    fn channel(&mut self, _: &T) -> usize {
        0
    }
}

/// To each consumer in turn.
pub struct RoundRobin {
    next: usize,
    channels: usize,
}

impl RoundRobin {
    /// Starts at the consumer of the same index, so that subtasks do not all begin with the first.
    pub fn new(place: Place) -> Self {
        Self { next: place.index as usize, channels: place.parallelism as usize }
    }
}

impl<T> Partitioner<T> for RoundRobin {
    #[inline]
    fn channel(&mut self, _: &T) -> usize {
        let chosen = self.next;
        self.next = (chosen + 1) % self.channels;
        chosen
    }
}

/// The end of a chain on an edge: collects records into a batch per channel.
pub struct Router<T, P> {
    edge: EdgeId,
    partitioner: P,
    open: Vec<Vec<T>>,
    ready: VecDeque<Ready>,
    /// What the channels were told last.
    watermark: Watermark,
}

impl<T: Record, P: Partitioner<T>> Router<T, P> {
    /// A router over `channels` channels.
    pub fn new(edge: EdgeId, partitioner: P, channels: usize) -> Self {
        let open = (0..channels).map(|_| Vec::with_capacity(BATCH_RECORDS)).collect();
        Self { edge, partitioner, open, ready: VecDeque::new(), watermark: Watermark::NONE }
    }

    fn announce(&mut self, watermark: Watermark) {
        self.flush();
        self.watermark = watermark;
        self.ready.push_back(Ready::Watermark(watermark));
    }
}

impl<T: Record, P: Partitioner<T>> Collect<T> for Router<T, P> {
    #[inline]
    fn push(&mut self, record: T) {
        let channel = self.partitioner.channel(&record);
        let batch = &mut self.open[channel];
        batch.push(record);
        if batch.len() == BATCH_RECORDS {
            let full = std::mem::replace(batch, Vec::with_capacity(BATCH_RECORDS));
            self.ready.push_back(Ready::Batch(channel, Batch::new(full)));
        }
    }
}

impl<T: Record, P: Partitioner<T>> EdgePort for Router<T, P> {
    fn edge(&self) -> EdgeId {
        self.edge
    }

    fn take_ready(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    fn flush(&mut self) {
        for (channel, batch) in self.open.iter_mut().enumerate() {
            if !batch.is_empty() {
                // The next one is likely to be as short, and grows if it is not.
                let next = Vec::with_capacity(batch.len());
                let partial = std::mem::replace(batch, next);
                self.ready.push_back(Ready::Batch(channel, Batch::new(partial)));
            }
        }
    }
}

impl<T: Record, P: Partitioner<T>> Outputs for Router<T, P> {
    fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>) {
        into.push(self);
    }

    fn sink(&mut self) -> Option<&mut dyn SinkPort> {
        None
    }

    fn states(&mut self, _: &mut Visit<'_>) -> Result<(), StreamError> {
        Ok(())
    }

    fn tell(&mut self, notice: Notice) {
        match notice {
            Notice::Idle(is_idle) => self.announce(Watermark { is_idle, ..self.watermark }),
            Notice::Restored
            | Notice::Completed(_)
            | Notice::Aborted(_)
            | Notice::Ended
            | Notice::Tick(_) => {}
        }
    }

    fn hears_checkpoints(&self) -> bool {
        false
    }

    fn hears_end(&self) -> bool {
        false
    }

    fn makes_watermarks(&self) -> bool {
        false
    }

    fn on_watermark(&mut self, time: EventTime) {
        // The end of the channel says that one.
        if time < EventTime::MAX {
            self.announce(Watermark { time, ..self.watermark });
        }
    }
}

/// The end of a chain in a sink.
pub struct SinkTail<S: Sink> {
    sink: S,
    writer: Option<S::Writer>,
}

impl<S: Sink> SinkTail<S> {
    /// A tail whose writer is opened later.
    pub fn new(sink: S) -> Self {
        Self { sink, writer: None }
    }

    fn writer(&mut self) -> &mut S::Writer {
        self.writer.as_mut().expect("a sink is opened before anything flows")
    }
}

impl<S: Sink> Collect<S::Record> for SinkTail<S> {
    #[inline]
    fn push(&mut self, record: S::Record) {
        self.writer().write(record);
    }
}

impl<S: Sink> Outputs for SinkTail<S> {
    fn edges<'a>(&'a mut self, _: &mut Vec<&'a mut dyn EdgePort>) {}

    fn sink(&mut self) -> Option<&mut dyn SinkPort> {
        Some(self)
    }

    fn states(&mut self, _: &mut Visit<'_>) -> Result<(), StreamError> {
        Ok(())
    }

    fn tell(&mut self, _: Notice) {}

    fn hears_checkpoints(&self) -> bool {
        false
    }

    fn hears_end(&self) -> bool {
        false
    }

    fn makes_watermarks(&self) -> bool {
        false
    }

    fn on_watermark(&mut self, _: EventTime) {}
}

#[async_trait]
impl<S: Sink> SinkPort for SinkTail<S> {
    async fn open(&mut self, context: SinkContext) -> Result<(), ConnectorError> {
        self.writer = Some(self.sink.open(context).await?);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        self.writer().flush().await
    }

    async fn pre_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<Option<Vec<u8>>, ConnectorError> {
        self.writer().pre_commit(checkpoint).await
    }

    async fn commit(&mut self, committable: &[u8]) -> Result<(), ConnectorError> {
        self.writer().commit(committable).await
    }

    async fn abort_lingering(&mut self, keep: &[Vec<u8>]) -> Result<u32, ConnectorError> {
        self.writer().abort_lingering(keep).await
    }
}
