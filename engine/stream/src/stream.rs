//! Streams: what a user composes.

use std::marker::PhantomData;
use std::sync::Arc;

use seawall_protocol::{EventTime, OperatorId};

use crate::chain::{Chain, EdgeId, Forward, Hash, Place, RoundRobin, Router, SinkTail};
use crate::fork::ForkPipe;
use crate::job::{Enumerate, JobBuilder, Operator, Pattern, Survey};
use crate::key::Key;
use crate::keyed::{Keyed, KeyedPipe};
use crate::operator::{FlatMap, KeyedProcess};
use crate::pipe::{EdgePipe, FilterPipe, FlatMapPipe, MapPipe, Pipe, ProcessPipe, SplitPipe};
use crate::process::Process;
use crate::record::Record;
use crate::sink::Sink;
use crate::timers::{TimedProcess, WithTimers};
use crate::watermarks::{WatermarkPipe, WatermarkStrategy};

/// Records of type `T`, produced by the chain `P` that is still open at its end.
#[must_use = "a stream that ends nowhere makes `build` panic"]
pub struct Stream<T, P> {
    pub(crate) builder: JobBuilder,
    pub(crate) operator: OperatorId,
    pub(crate) names: Vec<String>,
    pub(crate) uid: Option<String>,
    pub(crate) inputs: Vec<EdgeId>,
    pub(crate) enumerate: Option<Enumerate>,
    pub(crate) pipe: P,
    pub(crate) record: PhantomData<fn() -> T>,
}

impl<T: Record, P: Pipe<Out = T>> Stream<T, P> {
    /// Names the state of the chain that this stream is part of, so that a savepoint is found by it
    /// whatever the operators are called later. Without one it is the name of the chain's first operator.
    pub fn uid(mut self, uid: &str) -> Self {
        self.uid = Some(uid.to_owned());
        self
    }

    /// Applies `apply` to each record.
    pub fn map<U, F>(self, name: &str, apply: F) -> Stream<U, MapPipe<P, F>>
    where
        U: Record,
        F: Fn(T) -> U + Clone + Send + Sync + 'static,
    {
        self.extend(name, |pipe| MapPipe { pipe, apply })
    }

    /// Keeps the records that `keep` accepts.
    pub fn filter<F>(self, name: &str, keep: F) -> Stream<T, FilterPipe<P, F>>
    where
        F: Fn(&T) -> bool + Clone + Send + Sync + 'static,
    {
        self.extend(name, |pipe| FilterPipe { pipe, keep })
    }

    /// Turns each record into any number of records.
    pub fn flat_map<F>(self, name: &str, apply: F) -> Stream<F::Out, FlatMapPipe<P, F>>
    where
        F: FlatMap<In = T>,
    {
        self.extend(name, |pipe| FlatMapPipe { pipe, apply })
    }

    /// Processes each record with state of the subtask; see [`Process`].
    pub fn process<Q>(self, name: &str, process: Q) -> Stream<Q::Out, ProcessPipe<P, Q>>
    where
        Q: Process<In = T>,
    {
        let named = name.to_owned();
        self.extend(name, |pipe| ProcessPipe { pipe, name: named, process })
    }

    /// Makes watermarks from the `time` of each record, or of each that has one; see [`WatermarkStrategy`].
    pub fn watermarks<E, F>(
        self,
        name: &str,
        strategy: WatermarkStrategy,
        time: F,
    ) -> Stream<T, WatermarkPipe<P, F>>
    where
        E: Into<Option<EventTime>> + 'static,
        F: Fn(&T) -> E + Clone + Send + Sync + 'static,
    {
        let named = name.to_owned();
        self.extend(name, |pipe| WatermarkPipe { pipe, name: named, strategy, time })
    }

    /// Applies `apply`; what succeeds goes on, what fails becomes the second stream, a side output.
    pub fn split<U, S, F>(self, name: &str, side_name: &str, apply: F) -> Split<U, S, P, F>
    where
        U: Record,
        S: Record,
        F: Fn(T) -> Result<U, S> + Clone + Send + Sync + 'static,
    {
        let side = self.builder.graph.borrow_mut().add_edge::<S>(Pattern::AllToAll);
        let side_stream = head(&self.builder, side_name, vec![side], EdgePipe(PhantomData));
        let main =
            self.extend(name, |pipe| SplitPipe { pipe, apply, side, side_record: PhantomData });
        (main, side_stream)
    }

    /// Makes a second stream of the same records.
    pub fn fork(self, name: &str) -> (Stream<T, ForkPipe<P>>, Stream<T, EdgePipe<T>>)
    where
        T: Clone,
    {
        let side = self.builder.graph.borrow_mut().add_edge::<T>(Pattern::Forward);
        let side_stream = head(&self.builder, name, vec![side], EdgePipe(PhantomData));
        (self.extend_unnamed(|pipe| ForkPipe { pipe, side }), side_stream)
    }

    /// Groups records by key. The next operator has state per key.
    pub fn key_by<K, F>(self, key: F) -> KeyedStream<T, P, F>
    where
        K: Key,
        F: Fn(&T) -> K + Clone + Send + Sync + 'static,
    {
        KeyedStream { stream: self, key }
    }

    /// Spreads records evenly over the subtasks of what follows.
    pub fn rebalance(self, name: &str) -> Stream<T, EdgePipe<T>> {
        let builder = self.builder.clone();
        let edge = self.into_edge(Pattern::AllToAll, |edge, place| {
            Router::new(edge, RoundRobin::new(place), place.parallelism as usize)
        });
        head(&builder, name, vec![edge], EdgePipe(PhantomData))
    }

    /// Merges two streams; the order between them is not fixed.
    pub fn union<Q: Pipe<Out = T>>(
        self,
        name: &str,
        other: Stream<T, Q>,
    ) -> Stream<T, EdgePipe<T>> {
        let builder = self.builder.clone();
        let forward = |edge, _| Router::new(edge, Forward, 1);
        let first = self.into_edge(Pattern::Forward, forward);
        let second = other.into_edge(Pattern::Forward, forward);
        head(&builder, name, vec![first, second], EdgePipe(PhantomData))
    }

    /// Ends the stream in a sink.
    pub fn sink<S: Sink<Record = T>>(mut self, name: &str, sink: S) {
        self.names.push(name.to_owned());
        let pipe = self.pipe.clone();
        let surveyed = sink.clone();
        let survey: Survey = Arc::new(move |env, rewind_to| {
            let sink = surveyed.clone();
            Box::pin(async move {
                if let Some(checkpoint) = rewind_to {
                    sink.rewind(&env, checkpoint).await?;
                }
                sink.traces(&env).await
            })
        });
        let (builder, operator) = (self.builder.clone(), self.operator);
        let transaction_timeout = sink.transaction_timeout();
        self.finish(Some(survey), move |place| pipe.fuse(place, SinkTail::new(sink.clone())));
        let mut graph = builder.graph.borrow_mut();
        let operator = graph.operators[operator.0 as usize].as_mut().expect("it was registered");
        operator.transaction_timeout = transaction_timeout;
    }

    fn extend<U, Q>(mut self, name: &str, extend: impl FnOnce(P) -> Q) -> Stream<U, Q> {
        self.names.push(name.to_owned());
        self.extend_unnamed(extend)
    }

    /// Adds to the chain what has no name of its own.
    pub(crate) fn extend_unnamed<U, Q>(self, extend: impl FnOnce(P) -> Q) -> Stream<U, Q> {
        Stream {
            builder: self.builder,
            operator: self.operator,
            names: self.names,
            uid: self.uid,
            inputs: self.inputs,
            enumerate: self.enumerate,
            pipe: extend(self.pipe),
            record: PhantomData,
        }
    }

    pub(crate) fn into_edge<R, M>(self, pattern: Pattern, router: M) -> EdgeId
    where
        R: crate::pipe::Next<T>,
        M: Fn(EdgeId, Place) -> R + Send + Sync + 'static,
    {
        let edge = {
            let mut graph = self.builder.graph.borrow_mut();
            let edge = graph.add_edge::<T>(pattern);
            graph.edges[edge.0 as usize].from = Some(self.operator);
            edge
        };
        let pipe = self.pipe.clone();
        self.finish(None, move |place| pipe.fuse(place, router(edge, place)));
        edge
    }

    /// Registers the chain, now that its end is known.
    fn finish(
        self,
        survey: Option<Survey>,
        build: impl Fn(Place) -> Chain + Send + Sync + 'static,
    ) {
        let mut graph = self.builder.graph.borrow_mut();
        for side in self.pipe.side_edges() {
            graph.edges[side.0 as usize].from = Some(self.operator);
        }
        let operator = Operator {
            id: self.operator,
            name: self.names[0].clone(),
            uid: self.uid.unwrap_or_default(),
            label: self.names.join(" -> "),
            inputs: self.inputs,
            has_sink: survey.is_some(),
            survey,
            transaction_timeout: None,
            enumerate: self.enumerate,
            build: Arc::new(build),
        };
        graph.operators[self.operator.0 as usize] = Some(operator);
    }
}

/// The main stream and the side stream of [`Stream::split`].
pub type Split<U, S, P, F> = (Stream<U, SplitPipe<P, F, S>>, Stream<S, EdgePipe<S>>);

/// A chain that begins with the records of `inputs`.
pub(crate) fn head<T, P>(
    builder: &JobBuilder,
    name: &str,
    inputs: Vec<EdgeId>,
    pipe: P,
) -> Stream<T, P> {
    let mut graph = builder.graph.borrow_mut();
    let operator = graph.reserve_operator();
    for edge in &inputs {
        graph.edges[edge.0 as usize].to = Some(operator);
    }
    Stream {
        builder: builder.clone(),
        operator,
        names: vec![name.to_owned()],
        uid: None,
        inputs,
        enumerate: None,
        pipe,
        record: PhantomData,
    }
}

/// A stream grouped by key.
pub struct KeyedStream<T, P, F> {
    stream: Stream<T, P>,
    key: F,
}

impl<T: Record, P: Pipe<Out = T>, F> KeyedStream<T, P, F> {
    /// Processes each record with the state of its key.
    pub fn process<Q>(self, name: &str, process: Q) -> Stream<Q::Out, KeyedPipe<Q, F>>
    where
        Q: KeyedProcess<In = T>,
        F: Fn(&T) -> Q::Key + Clone + Send + Sync + 'static,
    {
        self.head(name, process)
    }

    /// Processes each record, and each moment that was asked for, with the state of its key.
    pub fn process_timed<Q>(
        self,
        name: &str,
        process: Q,
    ) -> Stream<Q::Out, KeyedPipe<WithTimers<Q>, F>>
    where
        Q: TimedProcess<In = T>,
        F: Fn(&T) -> Q::Key + Clone + Send + Sync + 'static,
    {
        self.head(name, WithTimers::new(process))
    }

    fn head<Q>(self, name: &str, process: Q) -> Stream<Q::Out, KeyedPipe<Q, F>>
    where
        Q: Keyed<In = T>,
        F: Fn(&T) -> Q::Key + Clone + Send + Sync + 'static,
    {
        let builder = self.stream.builder.clone();
        let key = self.key.clone();
        let edge = self.stream.into_edge(Pattern::AllToAll, move |edge, place: Place| {
            Router::new(edge, Hash::new(key.clone(), place), place.parallelism as usize)
        });
        head(&builder, name, vec![edge], KeyedPipe { process, key: self.key })
    }
}
