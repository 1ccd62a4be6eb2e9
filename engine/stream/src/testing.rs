//! A harness for unit tests of operators: the test is the source, the clock and the disk.
//!
//! ```
//! use seawall_stream::testing::Harness;
//! use seawall_stream::{Collect, KeyedProcess};
//!
//! #[derive(Clone)]
//! struct Number;
//!
//! impl KeyedProcess for Number {
//!     type Key = String;
//!     type In = String;
//!     type State = u64;
//!     type Out = (String, u64);
//!
//!     fn on_record(
//!         &mut self,
//!         key: &String,
//!         _: String,
//!         state: &mut Option<u64>,
//!         out: &mut impl Collect<(String, u64)>,
//!     ) {
//!         let seen = state.get_or_insert_default();
//!         *seen += 1;
//!         out.push((key.clone(), *seen));
//!     }
//! }
//!
//! let build = || {
//!     Harness::<String, _>::new(|words| words.key_by(String::clone).process("number", Number))
//! };
//! let mut harness = build();
//! harness.push(["a", "b", "a"].map(String::from));
//! let numbered = [("a", 1), ("b", 1), ("a", 2)].map(|(word, seen)| (word.to_owned(), seen));
//! assert_eq!(harness.take(), numbered);
//!
//! let mut restored = build();
//! restored.restore(&harness.snapshot());
//! restored.push(["a".to_owned()]);
//! assert_eq!(restored.take(), [("a".to_owned(), 3)]);
//! ```
//!
//! It runs whatever graph stands between one input and one or two outputs, one subtask of each operator,
//! call by call on the caller's thread. What goes from chain to chain goes through the same batches, edges
//! and valves as in a running job; nothing waits and nothing is lost. For everything that can go wrong
//! there is the simulator.
//!
//! Source: Flink's `KeyedOneInputStreamOperatorTestHarness`.

use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use seawall_env::Scratch;
use seawall_protocol::config::StateBackend;
use seawall_protocol::watermark::Valve;
use seawall_protocol::{ChannelId, CheckpointId, EventTime, OperatorId, Watermark};

use crate::batch::Batch;
use crate::chain::{Chain, EdgeId, Forward, Notice, OperatorChain, Place, Ready, Router};
use crate::job::{Job, JobBuilder, Pattern};
use crate::pipe::{EdgePipe, Pipe};
use crate::record::Record;
use crate::source::Progress;
use crate::state::{EncodedGroup, SnapshotRequest, encode_all};
use crate::stream::{Stream, head};

/// Where the input comes from and the outputs go.
const OUTSIDE: OperatorId = OperatorId(u32::MAX);
const INPUT: EdgeId = EdgeId(0);
/// Timers that fire, or keys that end, in one call.
const LIMIT: usize = 16;
/// The checkpoint that views are taken for.
const ANY: SnapshotRequest = SnapshotRequest { checkpoint: CheckpointId(1), since: None };

/// What came out and was not taken.
type Emitted = BTreeMap<EdgeId, Vec<Batch>>;
type Take<O> = Box<dyn Fn(&mut Emitted) -> O>;

/// What a graph under test ends in: a stream, or a pair.
pub trait Ends {
    /// What is taken from it.
    type Taken;
    /// Ends it in the harness.
    fn end(self) -> Take<Self::Taken>;
}

impl<T: Record, P: Pipe<Out = T>> Ends for Stream<T, P> {
    type Taken = Vec<T>;

    fn end(self) -> Take<Vec<T>> {
        let builder = self.builder.clone();
        let edge = self.into_edge(Pattern::Forward, |edge, _| Router::new(edge, Forward, 1));
        builder.graph.borrow_mut().edges[edge.0 as usize].to = Some(OUTSIDE);
        Box::new(move |emitted| {
            let batches = emitted.remove(&edge).unwrap_or_default();
            batches.into_iter().flat_map(Batch::into_records).collect()
        })
    }
}

impl<A: Ends, B: Ends> Ends for (A, B)
where
    A::Taken: 'static,
    B::Taken: 'static,
{
    type Taken = (A::Taken, B::Taken);

    fn end(self) -> Take<Self::Taken> {
        let (first, second) = (self.0.end(), self.1.end());
        Box::new(move |emitted| (first(emitted), second(emitted)))
    }
}

/// Operators under test: takes records of type `T` and gives `O`.
pub struct Harness<T, O> {
    job: Job,
    operators: Vec<Under>,
    emitted: Emitted,
    take: Take<O>,
    input: PhantomData<fn(T)>,
}

/// One chain, and what its channels said of event time.
struct Under {
    chain: Box<dyn OperatorChain>,
    channels: u32,
    valve: Valve,
    watermark: Watermark,
}

/// What a checkpoint would hold: keyed state, operator states and watermarks. Equal state is equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(Vec<OperatorSnapshot>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct OperatorSnapshot {
    keyed: Vec<EncodedGroup>,
    states: BTreeMap<String, Vec<Vec<u8>>>,
    watermark: EventTime,
}

impl Snapshot {
    /// The encoded keyed state of every operator, in the order of the graph.
    pub fn keyed(&self) -> impl Iterator<Item = &[EncodedGroup]> {
        self.0.iter().map(|it| it.keyed.as_slice())
    }
}

impl<T: Record, O> Harness<T, O> {
    /// The operators that `build` puts behind the input, with state on the heap.
    pub fn new<E: Ends<Taken = O>>(build: impl FnOnce(Stream<T, EdgePipe<T>>) -> E) -> Self {
        Self::with_state(StateBackend::Heap, build)
    }

    /// The operators that `build` puts behind the input. Scratch files are in memory.
    ///
    /// # Panics
    /// When a stream ends nowhere, or in a sink: a harness has no world for it.
    pub fn with_state<E: Ends<Taken = O>>(
        state: StateBackend,
        build: impl FnOnce(Stream<T, EdgePipe<T>>) -> E,
    ) -> Self {
        let builder = JobBuilder::new("harness", 1);
        let edge = builder.graph.borrow_mut().add_edge::<T>(Pattern::Forward);
        assert_eq!(edge, INPUT, "the input is the first edge");
        builder.graph.borrow_mut().edges[0].from = Some(OUTSIDE);
        let input = head(&builder, "input", vec![INPUT], EdgePipe(PhantomData));
        let take = build(input).end();
        let job = builder.build();
        let place = Place { parallelism: 1, index: 0, key_groups: job.key_groups, state };
        let under = |operator: &crate::job::Operator| {
            let Chain::Operator(mut chain) = (operator.build)(place) else {
                panic!("the harness is the only source")
            };
            if chain.needs_scratch() {
                chain.open(Arc::new(Memory::default())).expect("memory is always there");
            }
            let channels = u32::try_from(operator.inputs.len()).expect("edges are few");
            let valve = Valve::new(channels, EventTime::MIN);
            Under { chain, channels, valve, watermark: Watermark::NONE }
        };
        let operators = job.operators.iter().map(under).collect();
        Self { job, operators, emitted: Emitted::new(), take, input: PhantomData }
    }

    /// Lets records in, as one batch.
    pub fn push(&mut self, records: impl IntoIterator<Item = T>) {
        self.deliver(INPUT, Ready::Batch(0, Batch::new(records.into_iter().collect())));
    }

    /// Lets a watermark in: every timer up to `time` fires.
    pub fn watermark(&mut self, time: EventTime) {
        self.deliver(INPUT, Ready::Watermark(Watermark { time, is_idle: false }));
    }

    /// Ends the input: the watermark is [`EventTime::MAX`], and every operator hears of the end.
    pub fn end(&mut self) {
        for index in 0..self.operators.len() {
            self.rise(index, EventTime::MAX);
            while self.chain(index).on_end(LIMIT).expect("state works") == Progress::Ready {}
            self.chain(index).tell(Notice::Ended);
            self.forward(index);
        }
    }

    /// Tells every operator.
    pub fn tell(&mut self, notice: Notice) {
        for index in 0..self.operators.len() {
            self.chain(index).tell(notice);
            self.forward(index);
        }
    }

    /// What came out since it was last taken.
    pub fn take(&mut self) -> O {
        (0..self.operators.len()).for_each(|index| self.forward(index));
        (self.take)(&mut self.emitted)
    }

    /// What a checkpoint of this moment would hold.
    pub fn snapshot(&mut self) -> Snapshot {
        let of = |Under { chain, watermark, .. }: &mut Under| {
            let mut view = chain.view(ANY).expect("state works");
            let keyed = encode_all(view.as_mut()).expect("state has an encoding");
            let mut states = BTreeMap::new();
            let gathered = chain.states(&mut |name, state| {
                states.insert(name.to_owned(), state.items()?);
                Ok(())
            });
            gathered.expect("operator state has an encoding");
            OperatorSnapshot { keyed, states, watermark: watermark.time }
        };
        Snapshot(self.operators.iter_mut().map(of).collect())
    }

    /// Begins where the snapshot was taken; to be called first. Timers that were due and had not fired do so
    /// now.
    ///
    /// # Panics
    /// When the snapshot is that of other operators.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        assert_eq!(self.operators.len(), snapshot.0.len(), "a snapshot of these operators");
        for (under, from) in self.operators.iter_mut().zip(&snapshot.0) {
            let Under { chain, channels, valve, watermark } = under;
            let filled = chain.states(&mut |name, state| state.restore(&from.states[name]));
            filled.expect("operator state of these operators");
            chain.tell(Notice::Restored);
            chain.restore(&from.keyed).expect("keyed state of these operators");
            *valve = Valve::new(*channels, from.watermark);
            watermark.time = from.watermark;
        }
        for index in 0..self.operators.len() {
            let time = self.operators[index].watermark.time;
            if time > EventTime::MIN {
                self.rise(index, time);
            }
        }
    }

    /// The chain that begins with the operator of this name, for what the harness does not offer.
    ///
    /// # Panics
    /// When there is none.
    pub fn operator(&mut self, name: &str) -> &mut dyn OperatorChain {
        let index = self.job.operators.iter().position(|it| it.name == name);
        self.chain(index.expect("an operator of this name"))
    }

    fn chain(&mut self, index: usize) -> &mut dyn OperatorChain {
        self.operators[index].chain.as_mut()
    }

    /// Hands on what came through an edge.
    fn deliver(&mut self, edge: EdgeId, ready: Ready) {
        let to = self.job.edges[edge.0 as usize].to;
        if to == OUTSIDE {
            if let Ready::Batch(_, batch) = ready {
                self.emitted.entry(edge).or_default().push(batch);
            }
            return;
        }
        let index = to.0 as usize;
        match ready {
            Ready::Batch(_, batch) => self.chain(index).on_batch(batch).expect("state works"),
            Ready::Watermark(said) => self.on_watermark(index, edge, said),
        }
        self.forward(index);
    }

    fn on_watermark(&mut self, index: usize, edge: EdgeId, said: Watermark) {
        let inputs = &self.job.operators[index].inputs;
        let channel = inputs.iter().position(|it| *it == edge).expect("it is one of its inputs");
        let channel = ChannelId(u32::try_from(channel).expect("edges are few"));
        let under = &mut self.operators[index];
        let Some(watermark) = under.valve.handle(channel, said) else { return };
        let before = std::mem::replace(&mut under.watermark, watermark);
        if watermark.time > before.time {
            self.rise(index, watermark.time);
        }
        if watermark.is_idle != before.is_idle {
            self.chain(index).tell(Notice::Idle(watermark.is_idle));
        }
    }

    fn rise(&mut self, index: usize, time: EventTime) {
        let chain = self.chain(index);
        while chain.fire_timers(time, LIMIT).expect("state works") == Progress::Ready {}
        chain.on_watermark(time);
        self.forward(index);
    }

    /// Hands on what an operator has emitted.
    fn forward(&mut self, index: usize) {
        let mut ready = Vec::new();
        let mut ports = Vec::new();
        self.chain(index).edges(&mut ports);
        for port in ports {
            port.flush();
            let edge = port.edge();
            ready.extend(std::iter::from_fn(|| port.take_ready()).map(|it| (edge, it)));
        }
        for (edge, ready) in ready {
            self.deliver(edge, ready);
        }
    }
}

/// A scratch file in memory.
#[derive(Default)]
struct Memory(Mutex<Vec<u8>>);

impl Memory {
    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(position: u64) -> io::Result<usize> {
    usize::try_from(position).map_err(io::Error::other)
}

#[async_trait]
impl Scratch for Memory {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.bytes().resize(place(length)?, 0);
        Ok(())
    }
    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<()> {
        let (bytes, start) = (self.bytes(), place(position)?);
        let read = bytes.get(start..start + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(read);
        Ok(())
    }
    fn write_at(&self, position: u64, written: &[u8]) -> io::Result<()> {
        let (mut bytes, start) = (self.bytes(), place(position)?);
        let end = bytes.len().max(start + written.len());
        bytes.resize(end, 0);
        bytes[start..start + written.len()].copy_from_slice(written);
        Ok(())
    }
    async fn settle(&self) {}
}
