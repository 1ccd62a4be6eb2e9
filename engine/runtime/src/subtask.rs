//! One subtask attempt: drives a chain between its gate, its output channels and its core.
//!
//! ```text
//!              orders                      reports
//! worker ───────────────> gate ──> drive ──────────> worker
//!                          │        │ ▲
//!           elements ──────┘        ▼ │ effects
//!                              chain   core (seawall_protocol::subtask)
//! ```
//!
//! What the chain emits waits in `outlet` until its channel has room, and nothing is read meanwhile
//! except orders and word of barriers, so that a barrier overtakes a subtask that cannot go on.
//!
//! Records go from the gate through the chain to the channels. The core is asked only when a barrier,
//! an end, an order or an answer of the storage arrives; its effects are performed in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, FutureExt, select};
use seawall_env::Env;
use seawall_probe::{buggify, sometimes};
use seawall_protocol::config::{CheckpointMode, StateBackend};
use seawall_protocol::event::Event;
use seawall_protocol::message::{Barrier, ToCoordinator};
use seawall_protocol::record::{SnapshotFigures, SnapshotHandle, SnapshotPhase};
use seawall_protocol::subtask::{Effect, Input, Plan, Subtask, Timer};
use seawall_protocol::tamper::DataStep;
use seawall_protocol::watermark::Valve;
use seawall_protocol::{AttemptId, ChannelId, CheckpointId, EventTime, Watermark};
use seawall_stream::chain::{Chain, EdgeId, Notice, Place};
use seawall_stream::state::{EncodedGroup, NoState, StateView};
use seawall_stream::{ConnectorError, Job, Progress, SinkContext, StreamError};

use crate::channel::{Element, Gate, Inbox, Incoming, SubtaskOrder, yield_now};
use crate::figures::Watches;
use crate::metrics::Metrics;
use crate::operator_state;
use crate::outlet::Outlets;
use crate::progress::ProgressCounter;
use crate::state_files::{self, StateFiles};
use crate::storage::snapshot::{self, KeyedSection, Snapshot};
use crate::storage::{Storage, inspect, splits};
use crate::task::LATE;
use crate::timers::Timers;
use crate::wire::Outgoing;

mod event_time;
mod restore;
mod unaligned;

use unaligned::{Captured, RestoredOutput, Unsealed, is_pointwise};

/// Records a source emits before it looks at its orders again.
const EMIT_RECORDS: usize = 4096;
/// Records of a short emit.
const SHORT_EMIT_RECORDS: usize = 7;

/// Batches and other elements an operator takes in before others run again, were there always more.
const ELEMENTS_PER_TURN: usize = 4;

/// Bytes of state that are encoded before others run again.
const ENCODE_BYTES: usize = 512 * 1024;

/// What a subtask attempt is told at its launch.
#[derive(Clone)]
pub struct Launch {
    /// The world.
    pub env: Env,
    /// The program.
    pub job: Arc<Job>,
    /// Which execution.
    pub attempt: AttemptId,
    /// The checkpoint to restore.
    pub restore: Option<CheckpointId>,
    /// Whether it finishes with the job's final checkpoint only.
    pub finishes_together: bool,
    /// The checkpoint whose in-flight data the user gives up: it is restored without (E12).
    pub without_channel_state: Option<CheckpointId>,
    /// Nothing is left but to commit what is restored.
    pub is_stopping: bool,
    /// Where checkpoints are.
    pub storage: Storage,
    /// How barriers are handled.
    pub mode: CheckpointMode,
    /// Where live state is.
    pub state: StateBackend,
    /// Where scratch files are, on a disk of this machine.
    pub scratch: PathBuf,
    /// Snapshots may refer to files of confirmed checkpoints (I).
    pub is_incremental: bool,
    /// Time between two watermarks of a subtask that makes them; none but punctuated ones when it is zero.
    pub watermark_interval: Duration,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What the triggers of the coordinator depend on.
    pub progress: Arc<ProgressCounter>,
    /// Hears what the subtask reports, in order.
    pub report: Arc<dyn Fn(ToCoordinator) + Send + Sync>,
    /// Opens the output channels, by edge and channel index, once the attempt starts.
    pub connect: Arc<dyn Connect>,
}

/// Opens output channels.
#[async_trait::async_trait]
pub trait Connect: Send + Sync {
    /// The channels of `from` on `edge`, in the order of their indices.
    async fn connect(&self, from: AttemptId, edge: EdgeId) -> Result<Vec<Outgoing>, String>;
}

/// Why an attempt ends early.
pub(crate) struct Failure {
    cause: String,
    is_fatal: bool,
}

impl Failure {
    pub(crate) fn retryable(cause: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self { cause: cause.into().to_string(), is_fatal: false }
    }

    fn fatal(cause: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self { cause: cause.into().to_string(), is_fatal: true }
    }
}

/// The store of live state is scratch and may work the next time; its bytes will not change.
impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        let is_fatal = !matches!(error, StreamError::Store { .. });
        Self { cause: error.to_string(), is_fatal }
    }
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self { is_fatal: error.is_fatal(), cause: error.to_string() }
    }
}

/// Runs the attempt to its end and reports it: `Finished`, `Cancelled` or `Failed`, once.
pub async fn run(launch: Launch, inbox: Inbox, gate: Gate) {
    let (env, attempt) = (launch.env.clone(), launch.attempt);
    let (report, storage) = (Arc::clone(&launch.report), launch.storage.clone());
    let stopped = inbox.clone();
    let drive = Box::pin(drive(launch, inbox, gate));
    // Biased to the stop; dropping `drive` closes every channel before anything is reported.
    let end = match select(Box::pin(stopped.stopped()), drive).await {
        Either::Left(((), drive)) => {
            drop(drive);
            None
        }
        Either::Right((result, _)) => Some(result),
    };
    for order in stopped.unread() {
        discard(&storage, order).await;
    }
    match end {
        None => {
            env.emit(Event::SubtaskCancelled { attempt }).await;
            report(ToCoordinator::Cancelled(attempt));
        }
        Some(Ok(())) => {
            env.emit(Event::SubtaskFinished { attempt }).await;
            report(ToCoordinator::Finished(attempt));
        }
        Some(Err(Failure { cause, is_fatal })) => {
            env.emit(Event::SubtaskFailed { attempt, cause: cause.clone() }).await;
            report(ToCoordinator::Failed { attempt, cause, fatal: is_fatal });
        }
    }
}

/// A snapshot that became durable when its subtask was gone belongs to nothing: nobody will ack it.
async fn discard(storage: &Storage, order: SubtaskOrder) {
    if let SubtaskOrder::SnapshotDurable(checkpoint, handle) = order {
        sometimes!(SnapshotComesTooLate);
        // What cannot be deleted now is an orphan, which the next leader removes.
        let attempt = AttemptId { subtask: handle.subtask, attempt: handle.attempt };
        let _ = snapshot::discard(storage, attempt, checkpoint, &handle.shared).await;
    }
}

/// What the driver of a subtask waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriverTimer {
    /// A timer of the core.
    Core(Timer),
    /// The next watermark.
    Tick,
}

/// Where the attempt is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Restored transactions are being committed.
    Restoring,
    /// Input is read.
    Running,
    /// Everything is committed and the output channels are closed.
    Finished,
}

/// What the attempt works with between two inputs.
#[expect(clippy::struct_excessive_bools, reason = "each says one thing about the moment")]
struct Driver {
    launch: Launch,
    inbox: Inbox,
    gate: Gate,
    plan: Plan,
    core: Subtask,
    chain: Chain,
    outlets: Outlets,
    /// Restored output that is sent first, once the channels are there (E6).
    restored_output: RestoredOutput,
    /// Restored batches that were not all processed and sent.
    replaying: Option<(CheckpointId, u32)>,
    /// The snapshot that waits for its in-flight data.
    unsealed: Option<Unsealed>,
    /// The timed barrier that may wait in the output.
    unsent: Option<CheckpointId>,
    /// There once one was armed.
    timers: Option<Timers<DriverTimer>>,
    /// Transactions that are pre-committed and not known to be committed, as their committables: one a
    /// checkpoint, and those that were taken over from other subtasks.
    transactions: BTreeMap<CheckpointId, Vec<Vec<u8>>>,
    /// Durable snapshots that were not acked yet.
    handles: BTreeMap<CheckpointId, SnapshotHandle>,
    /// Scratch and shared files of live state.
    files: StateFiles,
    /// Inputs that effects gave rise to.
    inputs: VecDeque<Input>,
    /// What the input channels say of event time.
    valve: Valve,
    /// What the operators know of it.
    watermark: Watermark,
    /// When the operators that make watermarks last heard of the time.
    ticked: Duration,
    /// Channels that have not delivered `End`.
    open_channels: BTreeSet<ChannelId>,
    /// How long each phase of each snapshot takes.
    watches: Watches,
    /// The newest checkpoint that this subtask acked or declined.
    answered: CheckpointId,
    /// Everything that depends on the end of the input was emitted.
    is_ended: bool,
    /// This attempt told downstream and coordinator that it ended; a restored one tells again.
    has_told_end: bool,
    /// Its source was behind when it last emitted.
    is_behind: bool,
    /// A source reads nothing until it is told to go on.
    is_paused: bool,
    life: Life,
    /// Why a commit failed in a way that no other attempt can mend: output is lost (K8).
    lost_output: Option<String>,
}

async fn drive(launch: Launch, inbox: Inbox, gate: Gate) -> Result<(), Failure> {
    let attempt = launch.attempt;
    let mut driver = Driver::prepare(launch, inbox, gate).await?;
    let restored = driver.launch.restore;
    driver.launch.env.emit(Event::SubtaskReady { attempt, restored }).await;
    (driver.launch.report)(ToCoordinator::Ready(attempt));
    driver.await_start().await?;
    driver.feed_core(Input::Start).await?;
    match driver.chain {
        Chain::Source(_) => driver.drive_source().await,
        Chain::Operator(_) => driver.drive_operator().await,
    }
}

impl Driver {
    /// Builds the chain and restores it.
    async fn prepare(launch: Launch, inbox: Inbox, mut gate: Gate) -> Result<Self, Failure> {
        let subtask = launch.attempt.subtask;
        let operator = &launch.job.operators[subtask.operator.0 as usize];
        let place = Place {
            parallelism: launch.job.parallelism,
            index: subtask.index,
            key_groups: launch.job.key_groups,
            state: launch.state,
        };
        let mut chain = (operator.build)(place);
        let (mut snapshot, watermark) = match launch.restore {
            Some(checkpoint) => {
                let (own, time) = restore::restore(&launch, checkpoint, &mut chain).await?;
                (Some(own), time)
            }
            None => (None, EventTime::MIN),
        };
        let is_at_end = snapshot.as_ref().is_some_and(|it| it.is_ended);
        let mut files = StateFiles::default();
        match &mut chain {
            Chain::Source(source) => {
                let splits = match &snapshot {
                    Some(snapshot) => snapshot.splits.clone(),
                    None => own_splits(&launch).await?,
                };
                source.open(&launch.env, &splits).await?;
            }
            Chain::Operator(operator) => {
                files = StateFiles::open(&launch, operator.as_mut()).await?;
                let mut chain = Vec::new();
                if let Some(snapshot) = &mut snapshot {
                    let keyed = std::mem::take(&mut snapshot.keyed);
                    let groups: Vec<_> = keyed.into_iter().map(encoded_group).collect();
                    operator.restore(&groups)?;
                    chain = std::mem::take(&mut snapshot.shared);
                }
                files.restore(&launch, operator.as_mut(), chain).await?;
            }
        }
        if let Some(sink) = chain.outputs().sink() {
            let (env, parallelism) = (launch.env.clone(), place.parallelism);
            sink.open(SinkContext { env, attempt: launch.attempt, parallelism }).await?;
        }
        let mut transactions = BTreeMap::<_, Vec<_>>::new();
        for (checkpoint, committable) in snapshot.iter().flat_map(|it| it.transactions.clone()) {
            transactions.entry(checkpoint).or_default().push(committable);
        }
        let (restored_output, replayed) = match &snapshot {
            Some(snapshot) => unaligned::restore(&launch, &mut gate, snapshot).await?,
            None => (RestoredOutput::new(), 0),
        };
        let edges_in = launch.job.channels_into(subtask);
        let channels = u32::try_from(edges_in.len()).expect("channels are numbered in 32 bits");
        let pointwise = (0..channels).map(ChannelId);
        let pointwise =
            pointwise.zip(&edges_in).filter(|(_, (edge, _))| is_pointwise(&launch.job, *edge));
        let plan = Plan {
            attempt: launch.attempt,
            channels,
            pointwise: pointwise.map(|(channel, _)| channel).collect(),
            has_sink: operator.has_sink,
            has_callbacks: chain.outputs().hears_checkpoints(),
            mode: launch.mode,
            restored: launch.restore,
            restored_transactions: transactions.keys().copied().collect(),
            is_restored_at_end: is_at_end,
            finishes_together: launch.finishes_together,
            is_stopping: launch.is_stopping,
        };
        Ok(Self {
            core: Subtask::new(plan.clone()),
            is_ended: is_at_end,
            has_told_end: false,
            is_behind: false,
            valve: Valve::new(channels, watermark),
            watermark: Watermark { time: watermark, is_idle: false },
            ticked: Duration::ZERO,
            open_channels: (0..channels).map(ChannelId).collect(),
            watches: Watches::default(),
            answered: CheckpointId::default(),
            launch,
            inbox,
            gate,
            plan,
            chain,
            outlets: Outlets::default(),
            restored_output,
            replaying: snapshot.filter(|_| replayed > 0).map(|it| (it.checkpoint, replayed)),
            unsealed: None,
            unsent: None,
            timers: None,
            transactions,
            handles: BTreeMap::new(),
            files,
            inputs: VecDeque::new(),
            is_paused: false,
            life: Life::Restoring,
            lost_output: None,
        })
    }

    /// Waits for `Start`, then opens the output channels. Other subtasks may start earlier: what they
    /// send waits in the channels.
    async fn await_start(&mut self) -> Result<(), Failure> {
        while !matches!(self.next_order().await, SubtaskOrder::Start) {}
        let attempt = self.launch.attempt;
        if self.launch.is_stopping {
            // Nothing is sent any more, and receivers may have finished already.
            self.launch.env.emit(Event::SubtaskStarted { attempt }).await;
            return Ok(());
        }
        let mut ports = Vec::new();
        self.chain.outputs().edges(&mut ports);
        let edges: Vec<EdgeId> = ports.iter().map(|port| port.edge()).collect();
        for edge in edges {
            let channels = self.launch.connect.connect(self.launch.attempt, edge).await;
            let is_pointwise = is_pointwise(&self.launch.job, edge);
            self.outlets.add(edge, channels.map_err(Failure::retryable)?, is_pointwise);
        }
        if !self.launch.env.tamper.skips(DataStep::ReplayFirst) {
            self.offer_restored()?;
        }
        self.begin_event_time().await?;
        self.launch.env.emit(Event::SubtaskStarted { attempt }).await;
        Ok(())
    }

    async fn next_order(&mut self) -> SubtaskOrder {
        loop {
            if let Some(order) = self.gate.try_order() {
                return order;
            }
            self.gate.order_arrived().await;
        }
    }

    async fn drive_source(&mut self) -> Result<(), Failure> {
        let mut progress = Progress::NeedsInput;
        while self.life != Life::Finished {
            if !self.flow().await? {
                if let Some(urgent) = self.urgent_or_room().await {
                    self.on_incoming(urgent).await?;
                }
                continue;
            }
            if let Some(order) = self.gate.try_order() {
                self.on_order(order).await?;
                continue;
            }
            if self.life != Life::Running || self.has_told_end || self.is_paused {
                self.gate.order_arrived().await;
                continue;
            }
            let Chain::Source(source) = &mut self.chain else { unreachable!("it is a source") };
            match progress {
                Progress::Ready => progress = self.emit().await?,
                Progress::NeedsInput => {
                    let mut fill = source.fill();
                    let mut polls = 0_u32;
                    let filled = poll_fn(|context| {
                        polls += 1;
                        fill.poll_unpin(context)
                    });
                    let order = self.gate.order_arrived();
                    match select(Box::pin(order), filled).await {
                        Either::Left(((), _)) => {}
                        Either::Right((filled, _)) => progress = filled?,
                    }
                    if polls == 1 {
                        yield_now().await; // It waited for nothing, and need not the next time.
                    }
                }
                Progress::Ended => {
                    self.end_source().await?;
                    self.tell_end().await?;
                }
            }
        }
        Ok(())
    }

    /// Emits what depends on the end of the input, unless the restored snapshot was taken after it.
    async fn end_source(&mut self) -> Result<(), Failure> {
        if !self.is_ended {
            self.chain.outputs().on_watermark(EventTime::MAX);
            self.tell(Notice::Ended).await?;
        }
        self.is_ended = true;
        Ok(())
    }

    async fn emit(&mut self) -> Result<Progress, Failure> {
        let Chain::Source(source) = &mut self.chain else { unreachable!("it is a source") };
        let limit = if buggify!(ShortEmit) { SHORT_EMIT_RECORDS } else { EMIT_RECORDS };
        let (records, progress) = source.emit(limit)?;
        let is_behind = source.is_behind() && progress != Progress::Ended;
        self.launch.metrics.add_records_in(records);
        self.report(self.launch.progress.add(records as u64, 0));
        if std::mem::replace(&mut self.is_behind, is_behind) != is_behind {
            self.report(self.launch.progress.set_behind(is_behind));
        }
        self.offer(progress != Progress::Ready)?;
        self.flush_sink().await?;
        if progress == Progress::Ready {
            yield_now().await;
        }
        Ok(progress)
    }

    fn report(&self, report: Option<ToCoordinator>) {
        if let Some(report) = report {
            (self.launch.report)(report);
        }
    }

    async fn drive_operator(&mut self) -> Result<(), Failure> {
        let mut elements = 0_usize;
        while self.life != Life::Finished {
            let incoming =
                if self.flow().await? { self.read().await? } else { self.urgent_or_room().await };
            if let Some(incoming) = incoming {
                self.on_incoming(incoming).await?;
            }
            elements += 1;
            // What waits for a snapshot to be written waits for all of it, and each record that comes first
            // may copy a page.
            if self.core.is_writing()
                || elements.is_multiple_of(ELEMENTS_PER_TURN)
                || buggify!(OperatorYields)
            {
                yield_now().await;
            }
        }
        Ok(())
    }

    /// What comes next; `None` when output must be sent first.
    async fn read(&mut self) -> Result<Option<Incoming>, Failure> {
        if let Some(incoming) = self.gate.try_next() {
            return Ok(Some(incoming));
        }
        // Nothing to do: what is half full would otherwise wait.
        self.offer_all()?;
        Ok(if self.flow().await? { Some(self.gate.next().await) } else { None })
    }

    /// Sends what finds room. Whether nothing waits, so that input may be read.
    async fn flow(&mut self) -> Result<bool, Failure> {
        if self.outlets.is_clear() && self.unsent.is_none() && self.replaying.is_none() {
            return Ok(true);
        }
        let is_clear = match self.outlets.pump() {
            Ok(is_clear) => is_clear,
            // A receiver that heard of the end may have finished.
            Err(_) if self.has_told_end => self.outlets.is_clear(),
            Err(error) => return Err(Failure::retryable(error)),
        };
        if let Some(checkpoint) = self.unsent
            && !self.outlets.holds(checkpoint)
        {
            self.unsent = None;
            self.feed_core(Input::BarrierSent(checkpoint)).await?;
        }
        if is_clear
            && !self.gate.is_replaying()
            && let Some((checkpoint, batches)) = self.replaying.take()
        {
            sometimes!(InFlightDataIsReplayed);
            let attempt = self.launch.attempt;
            let event = Event::ChannelStateReplayed { attempt, checkpoint, batches };
            self.launch.env.emit(event).await;
        }
        Ok(self.outlets.is_clear())
    }

    /// While output waits: what must not wait with it, or `None` once there is room.
    async fn urgent_or_room(&mut self) -> Option<Incoming> {
        let (gate, outlets) = (&mut self.gate, &mut self.outlets);
        poll_fn(|context| match gate.poll_urgent(context) {
            Poll::Ready(urgent) => Poll::Ready(Some(urgent)),
            Poll::Pending => outlets.poll_room(context).map(|()| None),
        })
        .await
    }

    async fn on_incoming(&mut self, incoming: Incoming) -> Result<(), Failure> {
        match incoming {
            Incoming::Order(order) => self.on_order(order).await,
            Incoming::Notice(channel, notice) => self.on_notice(channel, notice).await,
            Incoming::Element(channel, element) => self.on_element(channel, element).await,
            Incoming::Broken(channel) => {
                Err(Failure::retryable(format!("input channel {channel} broke")))
            }
        }
    }

    async fn on_element(&mut self, channel: ChannelId, element: Element) -> Result<(), Failure> {
        match element {
            Element::Batch(batch) => {
                let Chain::Operator(operator) = &mut self.chain else {
                    unreachable!("a source has no input channels")
                };
                operator.on_batch(batch).map_err(Failure::retryable)?;
                let dirty_bytes = operator.take_dirty_bytes();
                self.report(self.launch.progress.add(0, dirty_bytes));
                self.files.settle().await;
                self.offer_ready()?;
                self.flush_sink().await
            }
            Element::Barrier(barrier) => self.feed_core(Input::Barrier { channel, barrier }).await,
            Element::CancelMarker(checkpoint) => {
                self.feed_core(Input::CancelMarker { channel, checkpoint }).await
            }
            Element::Watermark(watermark) => self.on_channel_watermark(channel, watermark).await,
            Element::End => {
                self.open_channels.remove(&channel);
                let end = Watermark { time: EventTime::MAX, is_idle: false };
                self.on_channel_watermark(channel, end).await?;
                if self.open_channels.is_empty() { self.end_input().await } else { Ok(()) }
            }
            Element::Closed => self.feed_core(Input::Closed { channel }).await,
        }
    }

    /// Emits what depends on the end of the input, unless the restored snapshot was taken after it. No
    /// barrier is handled in between, so a snapshot holds all of it or none.
    async fn end_input(&mut self) -> Result<(), Failure> {
        while !self.is_ended {
            let Chain::Operator(operator) = &mut self.chain else {
                unreachable!("a source has no input channels")
            };
            let progress = operator.on_end(EMIT_RECORDS).map_err(Failure::retryable)?;
            self.is_ended = progress == Progress::Ended;
            if self.is_ended {
                self.chain.outputs().tell(Notice::Ended);
            }
            self.files.settle().await;
            self.offer_ready()?;
            while !self.flow().await? {
                self.room().await;
            }
            self.flush_sink().await?;
        }
        self.offer_all()?;
        self.tell_end().await
    }

    /// Completes once something that waits could be sent.
    async fn room(&mut self) {
        poll_fn(|context| self.outlets.poll_room(context)).await;
    }

    async fn tell_end(&mut self) -> Result<(), Failure> {
        self.send_all(|| Element::End)?;
        self.has_told_end = true;
        self.feed_core(Input::InputEnded).await
    }

    async fn on_order(&mut self, order: SubtaskOrder) -> Result<(), Failure> {
        match order {
            SubtaskOrder::Start => Ok(()),
            SubtaskOrder::ReceiverSilent(cause) => {
                Err(Failure::retryable(format!("a channel broke: {cause}")))
            }
            SubtaskOrder::Fired(fired) => self.on_fired(fired).await,
            SubtaskOrder::Trigger(barrier) => self.feed_core(Input::Trigger(barrier)).await,
            SubtaskOrder::Completed { checkpoint, is_final } => {
                self.feed_core(Input::Completed { checkpoint, is_final }).await
            }
            SubtaskOrder::Aborted(checkpoint) => {
                self.tell_progress(checkpoint);
                self.feed_core(Input::Aborted(checkpoint)).await
            }
            SubtaskOrder::SnapshotDurable(checkpoint, handle) => {
                let attempt = self.launch.attempt;
                let bytes = inspect::new_bytes(&handle, checkpoint);
                self.files.on_durable(checkpoint, handle.shared.clone());
                self.handles.insert(checkpoint, handle);
                self.launch.env.emit(Event::SnapshotWritten { attempt, checkpoint, bytes }).await;
                self.feed_core(Input::SnapshotDurable(checkpoint)).await
            }
            SubtaskOrder::SnapshotFailed(checkpoint, cause) => {
                let attempt = self.launch.attempt;
                self.launch.env.emit(Event::SnapshotFailed { attempt, checkpoint, cause }).await;
                self.feed_core(Input::SnapshotFailed(checkpoint)).await
            }
        }
    }

    fn enter(&mut self, checkpoint: CheckpointId, phase: SnapshotPhase) {
        self.watches.enter(checkpoint, phase, self.launch.env.clock.now());
    }

    /// Tells how far this subtask had come with a checkpoint that is given up and that it did not ack.
    fn tell_progress(&mut self, checkpoint: CheckpointId) {
        let ended = self.watches.end(checkpoint, self.launch.env.clock.now());
        if checkpoint <= self.answered && ended.is_none() {
            return; // The coordinator heard of it already.
        }
        sometimes!(UnfinishedIsTold);
        let nothing = (SnapshotPhase::StartDelay, SnapshotFigures::default());
        let (phase, figures) = ended.unwrap_or(nothing);
        let attempt = self.launch.attempt;
        (self.launch.report)(ToCoordinator::Unfinished { attempt, checkpoint, phase, figures });
    }

    /// Puts what was measured into the snapshot that is acked now.
    fn add_figures(&mut self, checkpoint: CheckpointId, snapshot: &mut SnapshotHandle) {
        if let Some((_, measured)) = self.watches.end(checkpoint, self.launch.env.clock.now()) {
            for phase in SnapshotPhase::ALL {
                *snapshot.figures.phase_mut(phase) = measured.phase(phase);
            }
        }
    }

    /// Hands `input` to the core and performs what it answers, and what that gives rise to.
    async fn feed_core(&mut self, input: Input) -> Result<(), Failure> {
        self.inputs.push_back(input);
        let tamper = Arc::clone(&self.launch.env.tamper);
        while let Some(mut input) = self.inputs.pop_front() {
            if !tamper.admits_to_subtask(&self.plan, &mut input) {
                continue;
            }
            let mut effects = Vec::new();
            self.core.handle(input.clone(), &mut effects);
            tamper.after_subtask(&self.plan, &input, &mut effects);
            for effect in effects {
                self.perform(effect).await?;
            }
        }
        Ok(())
    }

    async fn perform(&mut self, effect: Effect) -> Result<(), Failure> {
        let attempt = self.launch.attempt;
        match effect {
            Effect::Block(channel) => self.gate.block(channel),
            Effect::Unblock(channel) => self.gate.unblock(channel),
            Effect::ForwardBarrier(barrier) => {
                self.enter(barrier.checkpoint, SnapshotPhase::Output);
                self.forward(barrier)?;
                self.enter(barrier.checkpoint, SnapshotPhase::Sync);
            }
            Effect::OvertakeOutput(barrier) => self.overtake_output(barrier)?,
            Effect::CaptureInput { channel, checkpoint } => self.capture(checkpoint, channel),
            Effect::EndCapture { channel, checkpoint: _ } => self.gate.end_capture(channel),
            Effect::SealSnapshot(checkpoint) => self.seal(checkpoint).await,
            Effect::DiscardSnapshot(checkpoint) => self.discard(checkpoint),
            Effect::Arm(timer, duration) => {
                let is_early = buggify!(AlignmentTimeoutEarly);
                self.timers().arm(
                    DriverTimer::Core(timer),
                    if is_early { Duration::ZERO } else { duration },
                );
            }
            Effect::Disarm(timer) => self.timers().disarm(DriverTimer::Core(timer)),
            Effect::ForwardCancelMarker(checkpoint) => {
                self.offer_all()?;
                self.send_all(|| Element::CancelMarker(checkpoint))?;
            }
            Effect::PreCommit(checkpoint) => {
                let sink = self.chain.outputs().sink().expect("only a sink is asked to pre-commit");
                if let Some(committable) = sink.pre_commit(checkpoint).await? {
                    self.transactions.insert(checkpoint, vec![committable]);
                    let event = Event::TransactionPrecommitted { attempt, checkpoint };
                    self.launch.env.emit(event).await;
                }
            }
            Effect::Snapshot(barrier) => {
                self.snapshot(&barrier)?;
                self.enter(barrier.checkpoint, SnapshotPhase::Async);
                // Its encoding begins: each page that is encoded before the next record need not be copied.
                yield_now().await;
            }
            Effect::Ack(checkpoint) => {
                self.answered = self.answered.max(checkpoint);
                if let Some(mut snapshot) = self.handles.remove(&checkpoint) {
                    self.add_figures(checkpoint, &mut snapshot);
                    (self.launch.report)(ToCoordinator::Ack { attempt, checkpoint, snapshot });
                }
            }
            Effect::Decline(checkpoint, reason) => {
                self.handles.remove(&checkpoint);
                self.answered = self.answered.max(checkpoint);
                self.watches.end(checkpoint, self.launch.env.clock.now());
                (self.launch.report)(ToCoordinator::Decline { attempt, checkpoint, reason });
            }
            Effect::TellCompleted(checkpoint) => {
                self.launch.env.emit(Event::CompletionTold { attempt, checkpoint }).await;
                self.tell(Notice::Completed(checkpoint)).await?;
            }
            Effect::TellAborted(checkpoint) => self.tell(Notice::Aborted(checkpoint)).await?,
            Effect::Confirm(checkpoint) => {
                if let Chain::Operator(operator) = &mut self.chain {
                    self.files.on_confirmed(checkpoint, operator.as_mut());
                }
            }
            Effect::Commit(checkpoint) => self.commit(checkpoint).await,
            Effect::AbortLingering => {
                let keep: Vec<_> = self.transactions.values().flatten().cloned().collect();
                let sink = self.chain.outputs().sink().expect("only a sink has transactions");
                let mut transactions = sink.abort_lingering(&keep).await?;
                if buggify!(LingeringRemovedTwice) {
                    transactions += sink.abort_lingering(&keep).await?;
                }
                if transactions > 0 {
                    sometimes!(LingeringIsRemoved);
                    let event = Event::LingeringAborted { attempt, transactions };
                    self.launch.env.emit(event).await;
                }
            }
            Effect::Run => {
                self.life = Life::Running;
                self.begin_ticks().await?;
            }
            Effect::EndInput => {
                self.end_source().await?;
                self.has_told_end = true;
                self.offer_all()?;
                self.send_all(|| Element::End)?;
            }
            Effect::Pause => self.is_paused = true,
            Effect::Resume => self.is_paused = false,
            Effect::ReportEnded => (self.launch.report)(ToCoordinator::Ended(attempt)),
            Effect::Finish => {
                // A receiver that finished first is gone, and needs to know nothing more.
                let _ = self.outlets.send_all(|| Element::Closed);
                while !self.outlets.is_clear() {
                    sometimes!(FinishWaitsForRoom);
                    self.room().await;
                    let _ = self.outlets.pump();
                }
                self.life = Life::Finished;
            }
            Effect::Fail { cause } => {
                return Err(match self.lost_output.take() {
                    Some(lost) => Failure { cause: format!("{cause}: {lost}"), is_fatal: true },
                    None => Failure { cause, is_fatal: false },
                });
            }
            Effect::Note(event) => {
                if let Event::AlignmentStarted { checkpoint, .. } = event {
                    self.enter(checkpoint, SnapshotPhase::Alignment);
                }
                self.launch.env.emit(event).await;
            }
        }
        Ok(())
    }

    /// Tells the operators, and moves on what they emit.
    async fn tell(&mut self, notice: Notice) -> Result<(), Failure> {
        self.chain.outputs().tell(notice);
        self.offer_all()?;
        self.flush_sink().await
    }

    /// Commits a transaction and queues the answer for the core. One without records is committed by
    /// saying so.
    async fn commit(&mut self, checkpoint: CheckpointId) {
        let attempt = self.launch.attempt;
        let Some(committables) = self.transactions.get(&checkpoint) else {
            self.inputs.push_back(Input::Committed(checkpoint));
            return;
        };
        let sink = self.chain.outputs().sink().expect("only a sink has transactions");
        let mut committed = Ok(());
        for committable in committables {
            committed = sink.commit(committable).await;
            if committed.is_ok() && buggify!(CommittedTwice) {
                committed = sink.commit(committable).await;
            }
            if committed.is_err() {
                break;
            }
        }
        match committed {
            Ok(()) => {
                self.transactions.remove(&checkpoint);
                let restored = self.plan.restored_transactions.contains(&checkpoint);
                let event = Event::TransactionCommitted { attempt, checkpoint, restored };
                self.launch.env.emit(event).await;
                self.inputs.push_back(Input::Committed(checkpoint));
            }
            Err(error) => {
                sometimes!(SinkCannotCommit);
                let is_retryable = !error.is_fatal();
                let cause = error.to_string();
                if !is_retryable {
                    self.lost_output = Some(cause.clone());
                }
                self.launch.env.emit(Event::CommitFailed { attempt, checkpoint, cause }).await;
                self.inputs.push_back(Input::CommitFailed { checkpoint, is_retryable });
            }
        }
    }

    /// Every transaction that is not known to be committed, ascending.
    fn pre_committed(&self) -> Vec<(CheckpointId, Vec<u8>)> {
        let of = |(id, of): (&CheckpointId, &Vec<Vec<u8>>)| {
            of.iter().map(|it| (*id, it.clone())).collect::<Vec<_>>()
        };
        self.transactions.iter().flat_map(of).collect()
    }

    /// The synchronous part: an immutable view of state and positions, taken between two records (F1).
    /// Encoding and writing go on beside the pipeline and answer through the inbox.
    fn snapshot(&mut self, barrier: &Barrier) -> Result<(), Failure> {
        let checkpoint = barrier.checkpoint;
        sometimes!(self.replaying.is_some(), CheckpointDuringReplay);
        let (mut view, splits): (Box<dyn StateView>, _) = match &mut self.chain {
            // Nothing reads it any more: only what is to be committed counts (N2).
            _ if self.core.is_finishing() => (Box::new(NoState), Vec::new()),
            Chain::Source(source) => {
                (Box::new(NoState), source.splits().map_err(Failure::retryable)?)
            }
            Chain::Operator(operator) => {
                let request = self.files.request(barrier);
                (operator.view(request).map_err(Failure::retryable)?, Vec::new())
            }
        };
        let mut operator_states =
            operator_state::gather(self.chain.outputs()).map_err(Failure::retryable)?;
        operator_states.extend(operator_state::watermark_section(self.watermark.time));
        let subtask = self.launch.attempt.subtask;
        let mut snapshot = Snapshot {
            operator: self.launch.job.operators[subtask.operator.0 as usize].name.clone(),
            subtask,
            attempt: self.launch.attempt.attempt,
            checkpoint,
            is_ended: self.is_ended,
            splits,
            keyed: Vec::new(),
            shared: Vec::new(),
            transactions: self.pre_committed(),
            operator_states,
            input: Vec::new(),
            output: Vec::new(),
        };
        let in_flight = self.await_seal(*barrier);
        let storage = self.launch.storage.clone();
        let (attempt, base) = (self.launch.attempt, self.files.base());
        let is_own = !self.files.is_shared(barrier);
        let (inbox, clock) = (self.inbox.clone(), Arc::clone(&self.launch.env.clock));
        self.launch.env.spawn("snapshot", async move {
            let encoded = match view.runs() {
                Some(runs) => {
                    let id = (attempt, checkpoint);
                    let chain = state_files::write(&storage, id, base, is_own, runs);
                    chain.await.map(|chain| (Vec::new(), chain))
                }
                None => match encode(view.as_mut()).await {
                    Ok(keyed) => Ok((keyed, Vec::new())),
                    Err(error) => Err(error.to_string()),
                },
            };
            let captured = match in_flight {
                None => Ok(Captured::default()),
                Some(mut captured) => {
                    let Some(captured) = captured.receive().await else {
                        sometimes!(WriterIsGivenUp);
                        let chain = encoded.map_or_else(|_| Vec::new(), |(_, chain)| chain);
                        // What cannot be deleted now is an orphan, which the next leader removes.
                        let _ = snapshot::discard(&storage, attempt, checkpoint, &chain).await;
                        return;
                    };
                    captured
                }
            };
            let written = match encoded.and_then(|state| Ok((state, captured?))) {
                Ok(((keyed, chain), captured)) => {
                    snapshot.keyed = keyed;
                    snapshot.shared = chain;
                    snapshot.input = captured.input;
                    snapshot.output = captured.output;
                    let written = snapshot::write(&storage, &snapshot).await;
                    written.map_err(|error| error.to_string())
                }
                Err(cause) => Err(cause),
            };
            if buggify!(AckLate) {
                clock.sleep(LATE).await;
            }
            let unread = inbox.order(match written {
                Ok(handle) => SubtaskOrder::SnapshotDurable(checkpoint, handle),
                Err(cause) => SubtaskOrder::SnapshotFailed(checkpoint, cause),
            });
            if let Some(order) = unread {
                discard(&storage, order).await;
            }
        });
        Ok(())
    }

    /// Sends every full batch, or lets it wait for room.
    fn offer_ready(&mut self) -> Result<(), Failure> {
        self.offer(false)
    }

    /// Sends what was emitted, or lets it wait for room.
    fn offer_all(&mut self) -> Result<(), Failure> {
        self.offer(true)
    }

    fn offer(&mut self, even_short: bool) -> Result<(), Failure> {
        if self.launch.is_stopping {
            return Ok(()); // What a restored operator may emit belongs to no checkpoint.
        }
        let even_short = even_short || buggify!(ShortBatch);
        let mut ports = Vec::new();
        self.chain.outputs().edges(&mut ports);
        for port in ports {
            if even_short {
                port.flush();
            }
            let edge = port.edge();
            while let Some(ready) = port.take_ready() {
                self.outlets.offer(edge, ready).map_err(Failure::retryable)?;
            }
        }
        Ok(())
    }

    async fn flush_sink(&mut self) -> Result<(), Failure> {
        match self.chain.outputs().sink() {
            Some(sink) => Ok(sink.flush().await?),
            None => Ok(()),
        }
    }

    /// Sends an element on every output channel, behind everything emitted so far (C8). Once it heard of
    /// the end, a receiver may have finished, and needs to know nothing more; one that is still there sees
    /// for itself that its channel broke.
    fn send_all(&mut self, element: impl Fn() -> Element) -> Result<(), Failure> {
        let sent = self.outlets.send_all(element);
        if self.has_told_end { Ok(()) } else { sent.map_err(Failure::retryable) }
    }
}

/// Encodes key group by key group, and lets others run in between.
async fn encode(view: &mut dyn StateView) -> Result<Vec<KeyedSection>, StreamError> {
    let mut sections = Vec::new();
    let mut encoded = 0;
    while let Some(group) = view.next_group()? {
        encoded += group.bytes.len();
        sections.push(keyed_section(group));
        if encoded >= ENCODE_BYTES || buggify!(EncodingYields) {
            encoded = 0;
            yield_now().await;
        }
    }
    Ok(sections)
}

/// This subtask's share of the splits that were listed when the job started.
async fn own_splits(launch: &Launch) -> Result<Vec<Vec<u8>>, Failure> {
    let subtask = launch.attempt.subtask;
    let listed = splits::read(&launch.storage)
        .await
        .map_err(Failure::retryable)?
        .ok_or_else(|| Failure::retryable("the coordinator has not listed the splits"))?;
    let of_operator = listed.into_iter().find(|(id, _)| *id == subtask.operator);
    let all = of_operator.map(|(_, splits)| splits).unwrap_or_default();
    let parallelism = launch.job.parallelism as usize;
    Ok(all.into_iter().skip(subtask.index as usize).step_by(parallelism).collect())
}

fn encoded_group(section: KeyedSection) -> EncodedGroup {
    let KeyedSection { key_group, entries, bytes } = section;
    EncodedGroup { key_group, entries, bytes: bytes.into() }
}

fn keyed_section(group: EncodedGroup) -> KeyedSection {
    let EncodedGroup { key_group, entries, bytes } = group;
    KeyedSection { key_group, entries, bytes: bytes.into() }
}
