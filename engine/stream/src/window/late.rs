//! What becomes of records that are too late for every window: they are dropped, or are a stream of their
//! own. The window operator emits them among its results; what stands behind it tells the two apart.

use std::marker::PhantomData;

use crate::operator::{Collect, FlatMap};
use crate::pipe::{EdgePipe, FlatMapPipe, Pipe, SplitPipe};
use crate::record::Record;
use crate::stream::Stream;

/// What becomes of late records.
pub trait Late {
    /// One stream, or two.
    type Streams<R: Record, T: Record, P: Pipe<Out = Result<R, T>>>;

    /// Takes results and late records apart.
    fn separate<R: Record, T: Record, P: Pipe<Out = Result<R, T>>>(
        self,
        stream: Stream<Result<R, T>, P>,
    ) -> Self::Streams<R, T, P>;
}

/// Late records are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropLate;

impl Late for DropLate {
    type Streams<R: Record, T: Record, P: Pipe<Out = Result<R, T>>> =
        Stream<R, FlatMapPipe<P, OnTime<R, T>>>;

    fn separate<R: Record, T: Record, P: Pipe<Out = Result<R, T>>>(
        self,
        stream: Stream<Result<R, T>, P>,
    ) -> Self::Streams<R, T, P> {
        stream.extend_unnamed(|pipe| FlatMapPipe { pipe, apply: OnTime(PhantomData) })
    }
}

/// Keeps results.
pub struct OnTime<R, T>(PhantomData<fn() -> (R, T)>);

impl<R, T> Clone for OnTime<R, T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<R: Record, T: Record> FlatMap for OnTime<R, T> {
    type In = Result<R, T>;
    type Out = R;

    #[inline]
    fn apply(&mut self, record: Result<R, T>, out: &mut impl Collect<R>) {
        if let Ok(result) = record {
            out.push(result);
        }
    }
}

/// Late records are a stream of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateTo(pub String);

impl Late for LateTo {
    type Streams<R: Record, T: Record, P: Pipe<Out = Result<R, T>>> =
        (Stream<R, SplitPipe<P, fn(Result<R, T>) -> Result<R, T>, T>>, Stream<T, EdgePipe<T>>);

    fn separate<R: Record, T: Record, P: Pipe<Out = Result<R, T>>>(
        self,
        stream: Stream<Result<R, T>, P>,
    ) -> Self::Streams<R, T, P> {
        stream.split("on time", &self.0, |it| it)
    }
}
