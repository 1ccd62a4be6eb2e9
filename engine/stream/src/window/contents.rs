//! What a window keeps of its records, and what it makes of that when it fires.
//!
//! An aggregate keeps one accumulator and has no record in state; a process function sees every record, of
//! which an evictor may have thrown some away.

use std::marker::PhantomData;

use seawall_protocol::EventTime;
use serde::{Deserialize, Serialize};

use crate::operator::Collect;
use crate::record::Record;
use crate::window::Window;

/// Turns records into a result one by one.
pub trait Aggregate<T>: Clone + Send + Sync + 'static {
    /// What is kept.
    type Accumulator: Record + Clone + Sync;
    /// What comes out.
    type Out: Record;

    /// Of no record.
    fn create(&self) -> Self::Accumulator;
    /// Adds a record.
    fn add(&self, accumulator: &mut Self::Accumulator, record: &T);
    /// Adds what `from` holds; sessions that become one need it.
    fn merge(&self, into: &mut Self::Accumulator, from: Self::Accumulator);
    /// The result so far.
    fn result(&self, accumulator: &Self::Accumulator) -> Self::Out;
}

/// How many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count;

impl<T> Aggregate<T> for Count {
    type Accumulator = u64;
    type Out = u64;

    fn create(&self) -> u64 {
        0
    }
    fn add(&self, count: &mut u64, _: &T) {
        *count += 1;
    }
    fn merge(&self, into: &mut u64, from: u64) {
        *into += from;
    }
    fn result(&self, count: &u64) -> u64 {
        *count
    }
}

/// The sum of a column; it stops at the largest number rather than wrap.
#[derive(Debug, Clone, Copy)]
pub struct Sum<F>(pub F);

impl<T, F: Fn(&T) -> u64 + Clone + Send + Sync + 'static> Aggregate<T> for Sum<F> {
    type Accumulator = u64;
    type Out = u64;

    fn create(&self) -> u64 {
        0
    }
    fn add(&self, sum: &mut u64, record: &T) {
        *sum = sum.saturating_add((self.0)(record));
    }
    fn merge(&self, into: &mut u64, from: u64) {
        *into = into.saturating_add(from);
    }
    fn result(&self, sum: &u64) -> u64 {
        *sum
    }
}

/// The `n` records with the highest score, descending; of equal ones the earlier.
#[derive(Debug, Clone, Copy)]
pub struct TopN<F> {
    n: usize,
    score: F,
}

impl<F> TopN<F> {
    /// The `n` records for which `score` is highest.
    pub fn new(n: usize, score: F) -> Self {
        Self { n, score }
    }
}

impl<T, S, F> Aggregate<T> for TopN<F>
where
    T: Record + Clone + Sync,
    S: Ord,
    F: Fn(&T) -> S + Clone + Send + Sync + 'static,
{
    type Accumulator = Vec<T>;
    type Out = Vec<T>;

    fn create(&self) -> Vec<T> {
        Vec::new()
    }
    fn add(&self, top: &mut Vec<T>, record: &T) {
        let score = (self.score)(record);
        let place = top.partition_point(|it| (self.score)(it) >= score);
        if place < self.n {
            top.truncate(self.n - 1);
            top.insert(place, record.clone());
        }
    }
    fn merge(&self, into: &mut Vec<T>, from: Vec<T>) {
        for record in &from {
            self.add(into, record);
        }
    }
    fn result(&self, top: &Vec<T>) -> Vec<T> {
        top.clone()
    }
}

/// Two aggregates of the same records.
impl<T, A: Aggregate<T>, B: Aggregate<T>> Aggregate<T> for (A, B) {
    type Accumulator = (A::Accumulator, B::Accumulator);
    type Out = (A::Out, B::Out);

    fn create(&self) -> Self::Accumulator {
        (self.0.create(), self.1.create())
    }
    fn add(&self, (a, b): &mut Self::Accumulator, record: &T) {
        self.0.add(a, record);
        self.1.add(b, record);
    }
    fn merge(&self, into: &mut Self::Accumulator, from: Self::Accumulator) {
        self.0.merge(&mut into.0, from.0);
        self.1.merge(&mut into.1, from.1);
    }
    fn result(&self, (a, b): &Self::Accumulator) -> Self::Out {
        (self.0.result(a), self.1.result(b))
    }
}

/// A function over all records of a window that fires.
pub trait ProcessWindow<K, T>: Clone + Send + Sync + 'static {
    /// What it emits.
    type Out: Record;

    /// Handles the records in the order in which they came; those of sessions that became one, session
    /// by session.
    fn process(&self, key: &K, window: Window, records: &[T], out: &mut impl Collect<Self::Out>);
}

/// Throws records of a window that fires away.
pub trait Evictor<T>: Clone + Send + Sync + 'static {
    /// Whether the process function still sees them.
    const IS_AFTER: bool = false;

    /// Removes from `records`, which are in the order in which they came.
    fn evict(&self, records: &mut Vec<T>);
}

/// No evictor.
impl<T> Evictor<T> for () {
    fn evict(&self, _: &mut Vec<T>) {}
}

/// Keeps the last `n` records that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepLast(pub usize);

impl<T> Evictor<T> for KeepLast {
    fn evict(&self, records: &mut Vec<T>) {
        records.drain(..records.len().saturating_sub(self.0));
    }
}

/// Keeps the records of the last `span` before the newest, that is those later than `newest - span`.
#[derive(Debug, Clone, Copy)]
pub struct KeepRecent<F> {
    /// How long.
    pub span: std::time::Duration,
    /// The time of a record.
    pub time: F,
}

impl<T, F> Evictor<T> for KeepRecent<F>
where
    F: Fn(&T) -> EventTime + Clone + Send + Sync + 'static,
{
    fn evict(&self, records: &mut Vec<T>) {
        if let Some(newest) = records.iter().map(&self.time).max() {
            records.retain(|it| (self.time)(it) > newest.before(self.span));
        }
    }
}

/// Evicts after the process function has seen the records, where others evict before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After<E>(pub E);

impl<T, E: Evictor<T>> Evictor<T> for After<E> {
    const IS_AFTER: bool = true;

    fn evict(&self, records: &mut Vec<T>) {
        self.0.evict(records);
    }
}

/// A result of one window of one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Windowed<K, R> {
    /// Of which key.
    pub key: K,
    /// Of which window.
    pub window: Window,
    /// What came out.
    pub result: R,
}

/// What a window holds, as the operator sees it.
pub trait Contents<K, T>: Clone + Send + Sync + 'static {
    /// What is kept.
    type Held: Record + Clone + Sync;
    /// What is emitted.
    type Out: Record;

    /// Adds a record.
    fn add(&self, held: &mut Option<Self::Held>, record: &T);
    /// Adds what another window held.
    fn merge(&self, into: &mut Self::Held, from: Self::Held);
    /// Emits; nothing is left where nothing is kept.
    fn emit(
        &self,
        key: &K,
        window: Window,
        held: &mut Option<Self::Held>,
        out: &mut impl Collect<Self::Out>,
    );
}

/// One accumulator.
#[derive(Debug, Clone)]
pub struct Aggregated<A>(pub A);

impl<K: Record + Clone, T, A: Aggregate<T>> Contents<K, T> for Aggregated<A> {
    type Held = A::Accumulator;
    type Out = Windowed<K, A::Out>;

    fn add(&self, held: &mut Option<A::Accumulator>, record: &T) {
        self.0.add(held.get_or_insert_with(|| self.0.create()), record);
    }

    fn merge(&self, into: &mut A::Accumulator, from: A::Accumulator) {
        self.0.merge(into, from);
    }

    fn emit(
        &self,
        key: &K,
        window: Window,
        held: &mut Option<A::Accumulator>,
        out: &mut impl Collect<Self::Out>,
    ) {
        if let Some(accumulator) = held {
            let result = self.0.result(accumulator);
            out.push(Windowed { key: key.clone(), window, result });
        }
    }
}

/// One record, made of all.
#[derive(Debug, Clone)]
pub struct Reduced<F>(pub F);

impl<K, T, F> Contents<K, T> for Reduced<F>
where
    K: Record + Clone,
    T: Record + Clone + Sync,
    F: Fn(&mut T, &T) + Clone + Send + Sync + 'static,
{
    type Held = T;
    type Out = Windowed<K, T>;

    fn add(&self, held: &mut Option<T>, record: &T) {
        match held {
            Some(held) => (self.0)(held, record),
            None => *held = Some(record.clone()),
        }
    }

    fn merge(&self, into: &mut T, from: T) {
        (self.0)(into, &from);
    }

    fn emit(
        &self,
        key: &K,
        window: Window,
        held: &mut Option<T>,
        out: &mut impl Collect<Self::Out>,
    ) {
        if let Some(result) = held.clone() {
            out.push(Windowed { key: key.clone(), window, result });
        }
    }
}

/// Every record.
pub struct Whole<T, E, W> {
    evictor: E,
    process: W,
    record: PhantomData<fn() -> T>,
}

impl<T, E, W> Whole<T, E, W> {
    /// Records that `evictor` leaves, for `process`.
    pub fn new(evictor: E, process: W) -> Self {
        Self { evictor, process, record: PhantomData }
    }
}

impl<T, E: Clone, W: Clone> Clone for Whole<T, E, W> {
    fn clone(&self) -> Self {
        Self::new(self.evictor.clone(), self.process.clone())
    }
}

impl<K, T, E, W> Contents<K, T> for Whole<T, E, W>
where
    T: Record + Clone + Sync,
    E: Evictor<T>,
    W: ProcessWindow<K, T>,
{
    type Held = Vec<T>;
    type Out = W::Out;

    fn add(&self, held: &mut Option<Vec<T>>, record: &T) {
        held.get_or_insert_default().push(record.clone());
    }

    fn merge(&self, into: &mut Vec<T>, from: Vec<T>) {
        into.extend(from);
    }

    fn emit(
        &self,
        key: &K,
        window: Window,
        held: &mut Option<Vec<T>>,
        out: &mut impl Collect<W::Out>,
    ) {
        let Some(records) = held else { return };
        if !E::IS_AFTER {
            self.evictor.evict(records);
        }
        self.process.process(key, window, records, out);
        if E::IS_AFTER {
            self.evictor.evict(records);
        }
        if records.is_empty() {
            *held = None;
        }
    }
}
