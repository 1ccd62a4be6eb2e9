//! `fork`: every record goes on, and a copy of it leaves on a side edge.

use crate::chain::{Chain, EdgeId, Forward, Place, Router};
use crate::operator::Collect;
use crate::pipe::{Next, Pipe, Split};

/// `fork`.
#[derive(Clone)]
pub struct ForkPipe<P> {
    pub(crate) pipe: P,
    pub(crate) side: EdgeId,
}

impl<P: Pipe<Out: Clone>> Pipe for ForkPipe<P> {
    type Out = P::Out;

    fn fuse<C: Next<P::Out>>(&self, place: Place, next: C) -> Chain {
        let side = Router::new(self.side, Forward, 1);
        self.pipe.fuse(place, Split { apply: ToBoth, side, next })
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        let mut edges = self.pipe.side_edges();
        edges.push(self.side);
        edges
    }
}

struct ToBoth;

impl<T: Clone, D: Collect<T>, C: Collect<T>> Collect<T> for Split<ToBoth, D, C> {
    #[inline]
    fn push(&mut self, record: T) {
        self.side.push(record.clone());
        self.next.push(record);
    }
}
