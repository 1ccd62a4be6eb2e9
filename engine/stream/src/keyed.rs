//! The head of a keyed chain: looks up the value of each record's key and hands both to the operator.
//!
//! One look-up a record, and none for timers: an operator with timers has them in the value of its key. An
//! operator without pays nothing for those that have some.

use std::sync::Arc;

use seawall_env::Scratch;
use seawall_protocol::{CheckpointId, EventTime, config};

use crate::batch::Batch;
use crate::chain::{Chain, EdgeId, EdgePort, Notice, OperatorChain, Outputs, Place, SinkPort};
use crate::error::StreamError;
use crate::key::Key;
use crate::operator::{Collect, KeyedProcess};
use crate::operator_state::Visit;
use crate::pipe::{Next, Pipe};
use crate::record::Record;
use crate::source::Progress;
use crate::state::{
    Changes, DiskState, EncodedGroup, HeapState, SnapshotRequest, StateBackend, StateView,
};
use crate::timers::Call;

/// Keys that are looked at in one step.
const INDEX_KEYS: usize = 4096;

/// What the head drives: a [`KeyedProcess`], or a [`crate::TimedProcess`] with its queue of timers.
pub trait Keyed: Clone + Send + Sync + 'static {
    /// The key.
    type Key: Key;
    /// What it receives.
    type In: Record;
    /// What the state backend holds per key.
    type State: Record + Clone + Sync;
    /// What it emits.
    type Out: Record;
    /// See [`KeyedProcess::HEARS_CHECKPOINTS`].
    const HEARS_CHECKPOINTS: bool = false;
    /// Whether values hold timers.
    const HAS_TIMERS: bool = false;

    /// Handles one record.
    fn on_record(
        &mut self,
        key: &Self::Key,
        record: Self::In,
        slot: &mut Option<Self::State>,
        out: &mut impl Collect<Self::Out>,
    );

    /// Learns its place.
    fn on_open(&mut self, place: Place) {
        let _ = place;
    }

    /// Whether timers up to `watermark` may be due that it does not know.
    fn needs_index(&self, watermark: EventTime) -> bool {
        let _ = watermark;
        false
    }

    /// Every key will be shown.
    fn begin_index(&mut self) {}

    /// Learns the timers of a key.
    fn index(&mut self, key: &Self::Key, value: &Self::State) {
        let _ = (key, value);
    }

    /// Takes the first that is due out of the queue.
    fn next_due(&mut self, watermark: EventTime) -> Option<(EventTime, Self::Key, Call)> {
        let _ = watermark;
        None
    }

    /// Does what [`Keyed::next_due`] returned.
    fn on_call(
        &mut self,
        due: (EventTime, &Self::Key, Call),
        slot: &mut Option<Self::State>,
        out: &mut impl Collect<Self::Out>,
    ) {
        let _ = (due, slot, out);
    }

    /// See [`KeyedProcess::on_end`].
    fn on_end(&mut self, key: &Self::Key, value: &Self::State, out: &mut impl Collect<Self::Out>);
    /// See [`KeyedProcess::on_checkpoint_completed`].
    fn on_checkpoint_completed(
        &mut self,
        checkpoint: CheckpointId,
        out: &mut impl Collect<Self::Out>,
    );
    /// See [`KeyedProcess::on_checkpoint_aborted`].
    fn on_checkpoint_aborted(&mut self, checkpoint: CheckpointId);
}

impl<P: KeyedProcess> Keyed for P {
    type Key = P::Key;
    type In = P::In;
    type State = P::State;
    type Out = P::Out;
    const HEARS_CHECKPOINTS: bool = P::HEARS_CHECKPOINTS;

    #[inline]
    fn on_record(
        &mut self,
        key: &P::Key,
        record: P::In,
        slot: &mut Option<P::State>,
        out: &mut impl Collect<P::Out>,
    ) {
        KeyedProcess::on_record(self, key, record, slot, out);
    }

    fn on_end(&mut self, key: &P::Key, value: &P::State, out: &mut impl Collect<P::Out>) {
        KeyedProcess::on_end(self, key, value, out);
    }

    fn on_checkpoint_completed(
        &mut self,
        checkpoint: CheckpointId,
        out: &mut impl Collect<P::Out>,
    ) {
        KeyedProcess::on_checkpoint_completed(self, checkpoint, out);
    }

    fn on_checkpoint_aborted(&mut self, checkpoint: CheckpointId) {
        KeyedProcess::on_checkpoint_aborted(self, checkpoint);
    }
}

/// A keyed process function at the head of a chain.
#[derive(Clone)]
pub struct KeyedPipe<P, F> {
    pub(crate) process: P,
    pub(crate) key: F,
}

impl<P, F> Pipe for KeyedPipe<P, F>
where
    P: Keyed,
    F: Fn(&P::In) -> P::Key + Clone + Send + Sync + 'static,
{
    type Out = P::Out;

    fn fuse<C: Next<P::Out>>(&self, place: Place, next: C) -> Chain {
        match place.state {
            config::StateBackend::Heap => self.head(place, HeapState::new(place.key_groups), next),
            config::StateBackend::Disk { cache_bytes } => {
                self.head(place, DiskState::new(place.key_groups, cache_bytes), next)
            }
        }
    }

    fn side_edges(&self) -> Vec<EdgeId> {
        Vec::new()
    }
}

impl<P, F> KeyedPipe<P, F>
where
    P: Keyed,
    F: Fn(&P::In) -> P::Key + Clone + Send + Sync + 'static,
{
    fn head<B, C>(&self, place: Place, state: B, next: C) -> Chain
    where
        B: StateBackend<P::Key, P::State>,
        C: Next<P::Out>,
    {
        let (mut process, key) = (self.process.clone(), self.key.clone());
        process.on_open(place);
        Chain::Operator(Box::new(KeyedHead {
            process,
            key,
            state,
            is_indexed: true,
            ending: B::Walk::default(),
            dirty_bytes: 0,
            next,
        }))
    }
}

struct KeyedHead<P: Keyed, F, B: StateBackend<P::Key, P::State>, C> {
    process: P,
    key: F,
    state: B,
    /// The operator knows the timers that come next.
    is_indexed: bool,
    /// Which keys `on_end` has visited.
    ending: B::Walk,
    /// Since they were last asked for.
    dirty_bytes: u64,
    next: C,
}

impl<P, F, B, C> KeyedHead<P, F, B, C>
where
    P: Keyed,
    B: StateBackend<P::Key, P::State>,
{
    /// Shows the operator every key, unless it knows them.
    fn index(&mut self) -> Result<(), StreamError> {
        if P::HAS_TIMERS && !self.is_indexed {
            let Self { process, state, .. } = self;
            process.begin_index();
            let mut walk = B::Walk::default();
            let mut each = |key: &P::Key, value: &P::State| process.index(key, value);
            while state.walk(&mut walk, INDEX_KEYS, &mut each)? == Progress::Ready {}
        }
        self.is_indexed = true;
        Ok(())
    }
}

impl<P, F, B, C> Outputs for KeyedHead<P, F, B, C>
where
    P: Keyed,
    F: Send,
    B: StateBackend<P::Key, P::State>,
    C: Next<P::Out>,
{
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
        match notice {
            Notice::Completed(checkpoint) => {
                self.process.on_checkpoint_completed(checkpoint, &mut self.next);
            }
            Notice::Aborted(checkpoint) => self.process.on_checkpoint_aborted(checkpoint),
            Notice::Restored | Notice::Ended | Notice::Idle(_) | Notice::Tick(_) => {}
        }
        self.next.tell(notice);
    }
    fn hears_checkpoints(&self) -> bool {
        P::HEARS_CHECKPOINTS || self.next.hears_checkpoints()
    }
    fn hears_end(&self) -> bool {
        true
    }
    fn makes_watermarks(&self) -> bool {
        self.next.makes_watermarks()
    }
    fn on_watermark(&mut self, time: EventTime) {
        self.next.on_watermark(time);
    }
}

impl<P, F, B, C> OperatorChain for KeyedHead<P, F, B, C>
where
    P: Keyed,
    F: Fn(&P::In) -> P::Key + Send + 'static,
    B: StateBackend<P::Key, P::State>,
    C: Next<P::Out>,
{
    fn on_batch(&mut self, batch: Batch) -> Result<(), StreamError> {
        self.index()?;
        let Self { process, key, state, next, dirty_bytes, .. } = self;
        let records = batch.into_records::<P::In>();
        // Once a batch: a record pays nothing.
        *dirty_bytes += (records.len() * size_of::<(P::Key, P::State)>()) as u64;
        for record in records {
            let key = key(&record);
            state.update(&key, |slot| process.on_record(&key, record, slot, next))?;
        }
        Ok(())
    }

    fn fire_timers(&mut self, time: EventTime, limit: usize) -> Result<Progress, StreamError> {
        for _ in 0..limit {
            self.is_indexed &= !self.process.needs_index(time);
            self.index()?;
            let Self { process, state, next, dirty_bytes, .. } = self;
            let Some((at, key, call)) = process.next_due(time) else { return Ok(Progress::Ended) };
            state.update(&key, |slot| process.on_call((at, &key, call), slot, next))?;
            *dirty_bytes += size_of::<(P::Key, P::State)>() as u64;
        }
        Ok(Progress::Ready)
    }

    fn on_end(&mut self, limit: usize) -> Result<Progress, StreamError> {
        let Self { process, state, ending, next, .. } = self;
        state.walk(ending, limit, |key, value| process.on_end(key, value, next))
    }

    fn take_dirty_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.dirty_bytes)
    }

    fn view(&mut self, request: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError> {
        self.state.view(request)
    }

    fn needs_scratch(&self) -> bool {
        self.state.needs_scratch()
    }

    fn open(&mut self, scratch: Arc<dyn Scratch>) -> Result<(), StreamError> {
        self.state.open(scratch)
    }

    fn apply(&mut self, changes: &[Changes]) -> Result<(), StreamError> {
        self.is_indexed = false;
        changes.iter().try_for_each(|it| self.state.apply(it))
    }

    fn track_changes(&mut self, restored: Option<CheckpointId>) {
        self.state.track_changes(restored);
    }

    fn confirm(&mut self, checkpoint: CheckpointId) {
        self.state.confirm(checkpoint);
    }

    fn restore(&mut self, groups: &[EncodedGroup]) -> Result<(), StreamError> {
        self.is_indexed = false;
        groups.iter().try_for_each(|group| self.state.restore(group))
    }

    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}
