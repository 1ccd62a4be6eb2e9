//! Descriptions of chains, fused into one value when a stream ends in an edge or a sink.
//!
//! A pipe is the chain up to some operator. `fuse` is handed the rest and returns the whole, so the
//! compiler sees every call from the source to the tail.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use seawall_env::{Env, Scratch};
use seawall_protocol::{CheckpointId, EventTime};

use crate::batch::Batch;
use crate::chain::{
    Chain, EdgeId, EdgePort, Notice, OperatorChain, Outputs, Place, RoundRobin, Router, SinkPort,
    SourceChain,
};
use crate::error::{ConnectorError, StreamError};
use crate::operator::{Collect, FlatMap};
use crate::operator_state::{States, Visit};
use crate::process::Process;
use crate::record::Record;
use crate::source::{Progress, Source, SourceReader};
use crate::state::{Changes, EncodedGroup, NoState, SnapshotRequest, StateView};

/// The rest of a chain: takes records and knows its outputs.
pub trait Next<T>: Collect<T> + Outputs + 'static {}
impl<T, C: Collect<T> + Outputs + 'static> Next<T> for C {}

/// A chain up to some operator.
pub trait Pipe: Clone + Send + Sync + 'static {
    /// What the operator emits.
    type Out: Record;
    /// Completes the chain with `next` for the subtask at `place`.
    fn fuse<C: Next<Self::Out>>(&self, place: Place, next: C) -> Chain;
    /// Edges that leave the chain in its middle.
    fn side_edges(&self) -> Vec<EdgeId>;
}

macro_rules! pass_outputs {
    () => {
        fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>) {
            self.next.edges(into);
        }
        fn sink(&mut self) -> Option<&mut dyn SinkPort> {
            self.next.sink()
        }
        fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError> {
            self.next.states(visit)
        }
        fn tell(&mut self, notice: Notice) {
            self.next.tell(notice);
        }
        fn hears_checkpoints(&self) -> bool {
            self.next.hears_checkpoints()
        }
        fn hears_end(&self) -> bool {
            self.next.hears_end()
        }
        fn makes_watermarks(&self) -> bool {
            self.next.makes_watermarks()
        }
        fn on_watermark(&mut self, time: EventTime) {
            self.next.on_watermark(time);
        }
    };
}

/// A source.
#[derive(Clone)]
pub struct SourcePipe<S>(pub(crate) S);

impl<S: Source> Pipe for SourcePipe<S> {
    type Out = S::Record;

    fn fuse<C: Next<S::Record>>(&self, place: Place, next: C) -> Chain {
        let next = Counted { next, records: 0 };
        Chain::Source(Box::new(SourceHead { source: self.0.clone().at(place), reader: None, next }))
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        Vec::new()
    }
}

struct SourceHead<S: Source, C> {
    source: S,
    reader: Option<S::Reader>,
    next: Counted<C>,
}

/// Counts what a source emits.
struct Counted<C> {
    next: C,
    records: usize,
}

impl<T, C: Collect<T>> Collect<T> for Counted<C> {
    #[inline]
    fn push(&mut self, record: T) {
        self.records += 1;
        self.next.push(record);
    }
}

impl<S: Source, C: Next<S::Record>> Outputs for SourceHead<S, C> {
    fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>) {
        self.next.next.edges(into);
    }
    fn sink(&mut self) -> Option<&mut dyn SinkPort> {
        self.next.next.sink()
    }
    fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError> {
        self.next.next.states(visit)
    }
    fn tell(&mut self, notice: Notice) {
        self.next.next.tell(notice);
    }
    fn hears_checkpoints(&self) -> bool {
        self.next.next.hears_checkpoints()
    }
    fn hears_end(&self) -> bool {
        self.next.next.hears_end()
    }
    fn makes_watermarks(&self) -> bool {
        self.next.next.makes_watermarks()
    }
    fn on_watermark(&mut self, time: EventTime) {
        self.next.next.on_watermark(time);
    }
}

#[async_trait]
impl<S: Source, C: Next<S::Record>> SourceChain for SourceHead<S, C> {
    async fn open(&mut self, env: &Env, splits: &[Vec<u8>]) -> Result<(), ConnectorError> {
        let decode = |bytes: &Vec<u8>| {
            postcard::from_bytes(bytes).map_err(|source| {
                ConnectorError::Fatal(StreamError::Decode { what: "a split", source }.to_string())
            })
        };
        let splits = splits.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        self.reader = Some(self.source.open(env, splits).await?);
        Ok(())
    }

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        self.reader.as_mut().expect("opened first").fill().await
    }

    fn emit(&mut self, limit: usize) -> Result<(usize, Progress), ConnectorError> {
        self.next.records = 0;
        let progress = self.reader.as_mut().expect("opened first").emit(limit, &mut self.next)?;
        Ok((self.next.records, progress))
    }

    fn is_behind(&self) -> bool {
        self.reader.as_ref().expect("opened first").is_behind()
    }

    fn splits(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        let encode = |split: &S::Split| {
            postcard::to_allocvec(split)
                .map_err(|source| StreamError::Encode { what: "a split", source })
        };
        self.reader.as_ref().expect("opened first").splits().iter().map(encode).collect()
    }

    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}

/// The records of one or more edges, unchanged.
pub struct EdgePipe<T>(pub(crate) PhantomData<fn() -> T>);

impl<T> Clone for EdgePipe<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T: Record> Pipe for EdgePipe<T> {
    type Out = T;

    fn fuse<C: Next<T>>(&self, _: Place, next: C) -> Chain {
        Chain::Operator(Box::new(EdgeHead::<T, C> { next, records: PhantomData }))
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        Vec::new()
    }
}

struct EdgeHead<T, C> {
    next: C,
    records: PhantomData<fn() -> T>,
}

impl<T: Record, C: Next<T>> Outputs for EdgeHead<T, C> {
    pass_outputs!();
}

impl<T: Record, C: Next<T>> OperatorChain for EdgeHead<T, C> {
    fn on_batch(&mut self, batch: Batch) -> Result<(), StreamError> {
        for record in batch.into_records::<T>() {
            self.next.push(record);
        }
        Ok(())
    }

    fn fire_timers(&mut self, _: EventTime, _: usize) -> Result<Progress, StreamError> {
        Ok(Progress::Ended)
    }

    fn on_end(&mut self, _: usize) -> Result<Progress, StreamError> {
        Ok(Progress::Ended)
    }

    fn view(&mut self, _: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError> {
        Ok(Box::new(NoState))
    }

    fn needs_scratch(&self) -> bool {
        false
    }

    fn open(&mut self, _: Arc<dyn Scratch>) -> Result<(), StreamError> {
        Ok(())
    }

    fn apply(&mut self, changes: &[Changes]) -> Result<(), StreamError> {
        assert!(changes.is_empty(), "an operator without state restores none");
        Ok(())
    }

    fn track_changes(&mut self, _: Option<CheckpointId>) {}

    fn confirm(&mut self, _: CheckpointId) {}

    fn restore(&mut self, groups: &[EncodedGroup]) -> Result<(), StreamError> {
        assert!(groups.is_empty(), "an operator without state restores none");
        Ok(())
    }

    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}

/// `map`.
#[derive(Clone)]
pub struct MapPipe<P, F> {
    pub(crate) pipe: P,
    pub(crate) apply: F,
}

impl<P: Pipe, U: Record, F: Fn(P::Out) -> U + Clone + Send + Sync + 'static> Pipe
    for MapPipe<P, F>
{
    type Out = U;

    fn fuse<C: Next<U>>(&self, place: Place, next: C) -> Chain {
        self.pipe.fuse(place, Map { apply: self.apply.clone(), next })
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        self.pipe.side_edges()
    }
}

struct Map<F, C> {
    apply: F,
    next: C,
}

impl<T, U, F: Fn(T) -> U, C: Collect<U>> Collect<T> for Map<F, C> {
    #[inline]
    fn push(&mut self, record: T) {
        self.next.push((self.apply)(record));
    }
}

impl<F: Send, C: Outputs> Outputs for Map<F, C> {
    pass_outputs!();
}

/// `filter`.
#[derive(Clone)]
pub struct FilterPipe<P, F> {
    pub(crate) pipe: P,
    pub(crate) keep: F,
}

impl<P: Pipe, F: Fn(&P::Out) -> bool + Clone + Send + Sync + 'static> Pipe for FilterPipe<P, F> {
    type Out = P::Out;

    fn fuse<C: Next<P::Out>>(&self, place: Place, next: C) -> Chain {
        self.pipe.fuse(place, Filter { keep: self.keep.clone(), next })
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        self.pipe.side_edges()
    }
}

struct Filter<F, C> {
    keep: F,
    next: C,
}

impl<T, F: Fn(&T) -> bool, C: Collect<T>> Collect<T> for Filter<F, C> {
    #[inline]
    fn push(&mut self, record: T) {
        if (self.keep)(&record) {
            self.next.push(record);
        }
    }
}

impl<F: Send, C: Outputs> Outputs for Filter<F, C> {
    pass_outputs!();
}

/// `flat_map`.
#[derive(Clone)]
pub struct FlatMapPipe<P, F> {
    pub(crate) pipe: P,
    pub(crate) apply: F,
}

impl<P: Pipe, F: FlatMap<In = P::Out>> Pipe for FlatMapPipe<P, F> {
    type Out = F::Out;

    fn fuse<C: Next<F::Out>>(&self, place: Place, next: C) -> Chain {
        self.pipe.fuse(place, FlatMapped { apply: self.apply.clone(), next })
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        self.pipe.side_edges()
    }
}

struct FlatMapped<F, C> {
    apply: F,
    next: C,
}

impl<F: FlatMap, C: Collect<F::Out>> Collect<F::In> for FlatMapped<F, C> {
    #[inline]
    fn push(&mut self, record: F::In) {
        self.apply.apply(record, &mut self.next);
    }
}

impl<F: Send, C: Outputs> Outputs for FlatMapped<F, C> {
    pass_outputs!();
}

/// `process`.
#[derive(Clone)]
pub struct ProcessPipe<P, Q> {
    pub(crate) pipe: P,
    pub(crate) name: String,
    pub(crate) process: Q,
}

impl<P: Pipe, Q: Process<In = P::Out>> Pipe for ProcessPipe<P, Q> {
    type Out = Q::Out;

    fn fuse<C: Next<Q::Out>>(&self, place: Place, next: C) -> Chain {
        let mut process = self.process.clone();
        process.on_open(place);
        self.pipe.fuse(place, Processed { name: self.name.clone(), process, next })
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        self.pipe.side_edges()
    }
}

struct Processed<Q, C> {
    name: String,
    process: Q,
    next: C,
}

impl<Q: Process, C: Collect<Q::Out>> Collect<Q::In> for Processed<Q, C> {
    #[inline]
    fn push(&mut self, record: Q::In) {
        self.process.on_record(record, &mut self.next);
    }
}

impl<Q: Process, C: Next<Q::Out>> Outputs for Processed<Q, C> {
    fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>) {
        self.next.edges(into);
    }
    fn sink(&mut self) -> Option<&mut dyn SinkPort> {
        self.next.sink()
    }
    fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError> {
        let mut states = States::new(&self.name, visit);
        self.process.states(&mut states);
        states.finish()?;
        self.next.states(visit)
    }
    fn tell(&mut self, notice: Notice) {
        match notice {
            Notice::Restored => self.process.on_restored(),
            Notice::Completed(checkpoint) => {
                self.process.on_checkpoint_completed(checkpoint, &mut self.next);
            }
            Notice::Aborted(checkpoint) => self.process.on_checkpoint_aborted(checkpoint),
            Notice::Ended => self.process.on_end(&mut self.next),
            Notice::Idle(_) | Notice::Tick(_) => {}
        }
        self.next.tell(notice);
    }
    fn hears_checkpoints(&self) -> bool {
        Q::HEARS_CHECKPOINTS || self.next.hears_checkpoints()
    }
    fn hears_end(&self) -> bool {
        true
    }
    fn makes_watermarks(&self) -> bool {
        self.next.makes_watermarks()
    }
    fn on_watermark(&mut self, time: EventTime) {
        self.process.on_watermark(time, &mut self.next);
        self.next.on_watermark(time);
    }
}

/// `split`: what succeeds goes on, what fails leaves on a side edge.
pub struct SplitPipe<P, F, S> {
    pub(crate) pipe: P,
    pub(crate) apply: F,
    pub(crate) side: EdgeId,
    pub(crate) side_record: PhantomData<fn() -> S>,
}

impl<P: Clone, F: Clone, S> Clone for SplitPipe<P, F, S> {
    fn clone(&self) -> Self {
        Self {
            pipe: self.pipe.clone(),
            apply: self.apply.clone(),
            side: self.side,
            side_record: PhantomData,
        }
    }
}

impl<P, U, S, F> Pipe for SplitPipe<P, F, S>
where
    P: Pipe,
    U: Record,
    S: Record,
    F: Fn(P::Out) -> Result<U, S> + Clone + Send + Sync + 'static,
{
    type Out = U;

    fn fuse<C: Next<U>>(&self, place: Place, next: C) -> Chain {
        let side = Router::new(self.side, RoundRobin::new(place), place.parallelism as usize);
        self.pipe.fuse(place, Split { apply: self.apply.clone(), side, next })
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        let mut edges = self.pipe.side_edges();
        edges.push(self.side);
        edges
    }
}

/// Two ways on: the chain, and an edge beside it.
pub(crate) struct Split<F, D, C> {
    pub(crate) apply: F,
    pub(crate) side: D,
    pub(crate) next: C,
}

impl<T, U, S, F, D, C> Collect<T> for Split<F, D, C>
where
    F: Fn(T) -> Result<U, S>,
    D: Collect<S>,
    C: Collect<U>,
{
    #[inline]
    fn push(&mut self, record: T) {
        match (self.apply)(record) {
            Ok(record) => self.next.push(record),
            Err(record) => self.side.push(record),
        }
    }
}

impl<F: Send, D: Outputs, C: Outputs> Outputs for Split<F, D, C> {
    fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>) {
        self.side.edges(into);
        self.next.edges(into);
    }
    fn sink(&mut self) -> Option<&mut dyn SinkPort> {
        self.next.sink()
    }
    fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError> {
        self.next.states(visit)
    }
    fn tell(&mut self, notice: Notice) {
        self.side.tell(notice);
        self.next.tell(notice);
    }
    fn hears_checkpoints(&self) -> bool {
        self.next.hears_checkpoints()
    }
    fn hears_end(&self) -> bool {
        self.next.hears_end()
    }
    fn makes_watermarks(&self) -> bool {
        self.next.makes_watermarks()
    }
    fn on_watermark(&mut self, time: EventTime) {
        self.side.on_watermark(time);
        self.next.on_watermark(time);
    }
}
