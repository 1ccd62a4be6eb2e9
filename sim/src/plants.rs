//! Planted bugs: defects put into the engine on purpose, from outside, each of which a named property
//! must see. An oracle that cannot fail is a defect.
//!
//! ```text
//! between a core and its driver    seawall_models::plants, which the models catch as well
//! between the engine and its disk or network, in a source, in keyed state    HERE, bytes and local code
//! ```
//!
//! Those that show only under what a world can do beyond crashes and partitions are in files of their own.

mod core;
mod disk;
mod event_time;
mod network;
mod store;
mod timers;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use object_store::ObjectStore;
use seawall_env::{Disk, Entry, Env, File, Network, Scratch};
use seawall_protocol::operator_state::Redistribution;
use seawall_protocol::tamper::Tamper;
use seawall_protocol::{CheckpointId, EventTime};
use seawall_runtime::connectors::generator::GeneratorSplit;
use seawall_stream::batch::Batch;
use seawall_stream::chain::{
    Chain, EdgePort, Notice, OperatorChain, Outputs, SinkPort, SourceChain,
};
use seawall_stream::operator_state::{StateCell, Visit};
use seawall_stream::state::{Changes, EncodedGroup, SnapshotRequest, StateView};
use seawall_stream::{ConnectorError, Job, Progress, StreamError};

use crate::delegate::delegate_outputs;
use crate::workload::{INPUT, OUTPUT};

use self::core::{CountsRepeatedAcks, StaysAway};
use self::disk::{Misuse, Misused};
use self::event_time::{EndSaysNothing, FurthestLeads, LastWordCounts, RestoredAreNotAwaited};
use self::network::ToWorkers;
use self::store::{Misread, Misreading};
use self::timers::{Misfire, Misfiring};

/// One planted bug.
#[derive(Clone, Copy)]
pub struct Plant {
    /// Its name in `plant`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The real bug it re-creates.
    pub bug: &'static str,
    /// The property that must see it.
    pub violates: &'static str,
    place: Place,
}

/// Where a planted bug sits.
#[derive(Clone, Copy)]
enum Place {
    Core(&'static seawall_models::Plant),
    Tamper(fn() -> Arc<dyn Tamper>),
    Store(fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>),
    Disk(fn(Arc<dyn Disk>) -> Arc<dyn Disk>),
    Network(fn(Arc<dyn Network>) -> Arc<dyn Network>),
    Source(fn(Box<dyn SourceChain>) -> Box<dyn SourceChain>),
    State(fn(Box<dyn OperatorChain>) -> Box<dyn OperatorChain>),
}

/// Planted bugs outside the cores.
const HERE: &[Plant] = &[
    Plant {
        name: "files-are-not-synced",
        about: "a file is taken for durable when it is written, without a sync",
        bug: "FLINK-36421: checkpoint files were closed and not synced",
        violates: "restorable",
        place: Place::Disk(|inner| Arc::new(Careless::new(inner, Skips::Files))),
    },
    Plant {
        name: "directories-are-not-synced",
        about: "a name is taken for durable when it is given, without a sync of its directory",
        bug: "FLINK-35217: the rename was durable only by luck",
        violates: "restorable",
        place: Place::Disk(|inner| Arc::new(Careless::new(inner, Skips::Directories))),
    },
    Plant {
        name: "old-output-is-cleaned-up",
        about: "a commit takes away the file that this sink committed two commits before",
        bug: "none known: that committed output stays, turned off",
        violates: "visible-stays",
        place: Place::Disk(|inner| Arc::new(Careless::new(inner, Skips::KeepingOutput))),
    },
    Plant {
        name: "lost-frame-goes-unnoticed",
        about: "of each connection between workers the twentieth frame never arrives",
        bug: "Hazelcast Jet #2532: a transparent reconnect did not send again what was lost",
        violates: "exactly-once-state",
        place: Place::Network(|inner| Arc::new(ToWorkers { inner, alter: network::frame_lost })),
    },
    Plant {
        name: "frame-comes-late",
        about: "of each connection between workers the twentieth frame arrives behind the next one",
        bug: "none known: that a channel keeps its order, turned off",
        violates: "records-in-order",
        place: Place::Network(|inner| Arc::new(ToWorkers { inner, alter: network::frame_late })),
    },
    Plant {
        name: "channel-opens-unanswered",
        about: "a channel is taken for open when its first frame is sent, before its receiver answers",
        bug: "our own: a first frame was lost, the receiver knew of no channel, and nobody else looked",
        violates: "recovers",
        place: Place::Network(|inner| {
            Arc::new(ToWorkers { inner, alter: network::opening_taken_for_granted })
        }),
    },
    Plant {
        name: "credit-counts-eightfold",
        about: "a sender takes each credit for eight",
        bug: "none known: that a sender waits for room, turned off",
        violates: "bounded-memory",
        place: Place::Network(|inner| {
            Arc::new(ToWorkers { inner, alter: network::credit_eightfold })
        }),
    },
    Plant {
        name: "short-read-is-taken-for-whole",
        about: "what a source reads is taken for whole although half of it came, the rest is zeroes",
        bug: "none known: that a read goes on until it has all, turned off",
        violates: "exactly-once-output",
        place: Place::Disk(|inner| Arc::new(Careless::new(inner, Skips::RestOfReads))),
    },
    Plant {
        name: "positions-lag-behind",
        about: "a snapshot holds the positions of the snapshot before it",
        bug: "Feldera ba2c9755b: a checkpoint after a replay held no new input positions",
        violates: "exactly-once-state",
        place: Place::Source(|inner| Box::new(Lagging { inner, last: Mutex::default() })),
    },
    Plant {
        name: "last-record-is-read-again",
        about: "a restored source begins with the last record before its position",
        bug: "RisingWave #5199: the reader sought to the last processed offset, not past it",
        violates: "exactly-once-output",
        place: Place::Source(|inner| Box::new(Rereading { inner })),
    },
    Plant {
        name: "union-of-one",
        about: "union state is restored from the first subtask's snapshot alone",
        bug: "none known: what union state promises, turned off",
        violates: "exactly-once-output",
        place: Place::Source(|inner| Box::new(Misrestored { inner, what: Wrong::UnionOfOne })),
    },
    Plant {
        name: "restore-loses-a-list",
        about: "list state is restored empty",
        bug: "FLINK-11618: with the same parallelism a subtask was given another's list state, or none",
        violates: "exactly-once-output",
        place: Place::Source(|inner| Box::new(Misrestored { inner, what: Wrong::NoList })),
    },
    Plant {
        name: "restore-repeats-a-list",
        about: "list state is restored with its first item twice",
        bug: "flink-agents #824: restored items were stored once more, by a subtask that did not own them",
        violates: "exactly-once-output",
        place: Place::Source(|inner| Box::new(Misrestored { inner, what: Wrong::ListTwice })),
    },
    Plant {
        name: "restore-loses-a-key-group",
        about: "the last key group of each snapshot is not restored",
        bug: "FLINK-31963: state was not assigned to every subtask on restore",
        violates: "exactly-once-output",
        place: Place::State(|inner| Box::new(Forgetful { inner })),
    },
    Plant {
        name: "timers-fire-early",
        about: "timers fire a minute before the watermark has come to them",
        bug: "none known: that a timer waits for the watermark, turned off",
        violates: "exactly-once-output",
        place: Place::State(|inner| Box::new(Misfiring { inner, how: Misfire::Early })),
    },
    Plant {
        name: "end-fires-one-timer",
        about: "the end of the input fires the first timer that waits, and no other",
        bug: "none known: that firing in parts goes on until all is fired, turned off",
        violates: "exactly-once-output",
        place: Place::State(|inner| Box::new(Misfiring { inner, how: Misfire::OneAtTheEnd })),
    },
    Plant {
        name: "newest-changes-are-applied-first",
        about: "the files of an incremental snapshot are applied in the wrong order",
        bug: "RisingWave #5169: deltas were applied newest first, so an old value won",
        violates: "exactly-once-output",
        place: Place::State(|inner| Box::new(Backward { inner, held: Vec::new() })),
    },
    Plant {
        name: "unconfirmed-snapshot-is-built-upon",
        about: "a snapshot holds what changed since the last one, confirmed or not",
        bug: "FLINK-24611: files of checkpoints that were never confirmed were built upon",
        violates: "exactly-once-state",
        place: Place::State(|inner| Box::new(Hasty { inner, last: None })),
    },
    Plant {
        name: "failed-sync-is-tried-again",
        about: "a sync of a file that fails is tried again, and its success is believed",
        bug: "none known: that a failed sync is final, turned off",
        violates: "restorable",
        place: Place::Disk(|inner| Arc::new(Misused::new(inner, Misuse::SyncsAgain))),
    },
    Plant {
        name: "record-is-written-in-place",
        about: "the store record is written under its own name, and not under another that is renamed",
        bug: "FLINK-17808: metadata was written directly under its final name, and half of it was there",
        violates: "recovers",
        place: Place::Disk(|inner| Arc::new(Misused::new(inner, Misuse::RecordInPlace))),
    },
    Plant {
        name: "rename-does-not-replace",
        about: "a commit is refused when its file is committed already",
        bug: "SPARK-19677: a rename onto an existing target failed, at every restart again",
        violates: "recovers",
        place: Place::Disk(|inner| Arc::new(Misused::new(inner, Misuse::KeepsTarget))),
    },
    Plant {
        name: "retried-commit-has-another-name",
        about: "a commit that took effect and reported an error is repeated under another name",
        bug: "Iceberg #16008: after a lost response the same result was not recognised and committed again",
        violates: "exactly-once-output",
        place: Place::Disk(|inner| Arc::new(Misused::new(inner, Misuse::CommitsAnew))),
    },
    Plant {
        name: "listings-are-believed",
        about: "output that a listing does not show is taken for lost",
        bug: "none known: that nobody decides by a listing (R3), turned off",
        violates: "recovers",
        place: Place::Disk(|inner| Arc::new(Misused::new(inner, Misuse::BelievesListings))),
    },
    Plant {
        name: "unreadable-is-absent",
        about: "a file that cannot be read is taken for one that is not there",
        bug: "Feldera bb1815a90: a missing catalogue was a new job, and all checkpoints were collected",
        violates: "one-leader",
        place: Place::Store(|store| Arc::new(Misread { store, how: Misreading::ErrorIsAbsence })),
    },
    Plant {
        name: "conflict-is-garbage",
        about: "after a conditional write was refused the object in its place is deleted",
        bug: "Materialize #14745: a client met its own write, took it for another's, and deleted the blob",
        violates: "one-leader",
        place: Place::Store(|store| {
            Arc::new(Misread { store, how: Misreading::ConflictIsGarbage })
        }),
    },
    Plant {
        name: "repeated-ack-counts-twice",
        about: "an ack that arrives twice is counted for a subtask that did not ack",
        bug: "RisingWave #25690, in its shape: what was delivered again was taken in again",
        violates: "restorable",
        place: Place::Tamper(|| Arc::new(CountsRepeatedAcks::default())),
    },
    Plant {
        name: "lost-worker-stays-away",
        about: "a worker that lost its coordinator never connects again",
        bug: "STORM-3354, FLINK-34007: after a loss of leadership a node took part in nothing any more",
        violates: "recovers",
        place: Place::Tamper(|| Arc::new(StaysAway::default())),
    },
    Plant {
        name: "furthest-channel-leads",
        about: "event time is that of the furthest input channel",
        bug: "none known: that the slowest channel holds the others back, turned off",
        violates: "records-in-order",
        place: Place::Tamper(|| Arc::new(FurthestLeads::default())),
    },
    Plant {
        name: "last-word-counts",
        about: "a watermark of one channel is passed on, were it behind the one before",
        bug: "none known: that event time never goes back, turned off",
        violates: "watermarks-rise",
        place: Place::Tamper(|| Arc::new(LastWordCounts)),
    },
    Plant {
        name: "restored-channels-are-not-awaited",
        about: "restored event time goes on as soon as one channel said how far it is",
        bug: "none known: that nothing is late for having been restored, turned off",
        violates: "records-in-order",
        place: Place::Tamper(|| Arc::new(RestoredAreNotAwaited::default())),
    },
    Plant {
        name: "end-says-nothing",
        about: "a channel that ended is waited for in event time",
        bug: "FLINK-2577: a source that closed early said no more, and watermarks stalled behind it",
        violates: "exactly-once-output",
        place: Place::Tamper(|| Arc::new(EndSaysNothing)),
    },
];

/// Every planted bug: those of the cores first.
pub fn all() -> Vec<Plant> {
    let cores = seawall_models::plants::all().map(|it| Plant {
        name: it.name,
        about: it.about,
        bug: it.bug,
        violates: it.violates,
        place: Place::Core(it),
    });
    cores.chain(HERE.iter().copied()).collect()
}

impl Plant {
    /// The planted bug of this name.
    pub fn find(name: &str) -> Option<Self> {
        all().into_iter().find(|it| it.name == name)
    }

    /// Puts it between the engine and the node's world, if it belongs there.
    pub fn plant_in_env(&self, env: &mut Env) {
        match self.place {
            Place::Core(plant) => env.tamper = (plant.tamper)().into(),
            Place::Tamper(make) => env.tamper = make(),
            Place::Disk(wrap) => env.disk = wrap(Arc::clone(&env.disk)),
            Place::Network(wrap) => env.network = wrap(Arc::clone(&env.network)),
            Place::Store(_) | Place::Source(_) | Place::State(_) => {}
        }
    }

    /// Puts it between the engine and its checkpoint storage, if it belongs there.
    pub fn plant_in_store(&self, store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        match self.place {
            Place::Store(wrap) => wrap(store),
            Place::Core(_)
            | Place::Tamper(_)
            | Place::Disk(_)
            | Place::Network(_)
            | Place::Source(_)
            | Place::State(_) => store,
        }
    }

    /// Puts it into the job, if it belongs there.
    #[must_use]
    pub fn plant_in_job(&self, job: &Job) -> Job {
        let mut job = job.clone();
        let place = self.place;
        for operator in &mut job.operators {
            let build = Arc::clone(&operator.build);
            operator.build = Arc::new(move |at| match (build(at), place) {
                (Chain::Source(inner), Place::Source(wrap)) => Chain::Source(wrap(inner)),
                (Chain::Operator(inner), Place::State(wrap)) => Chain::Operator(wrap(inner)),
                (chain, _) => chain,
            });
        }
        job
    }
}

/// A disk on which some syncs do nothing.
struct Careless {
    inner: Arc<dyn Disk>,
    skips: Skips,
    /// What was committed, oldest first.
    committed: Mutex<VecDeque<PathBuf>>,
}

impl Careless {
    fn new(inner: Arc<dyn Disk>, skips: Skips) -> Self {
        Self { inner, skips, committed: Mutex::default() }
    }

    /// The file that was committed two commits before this one.
    fn old_output(&self, committed: &Path) -> Option<PathBuf> {
        let is_pending = committed.components().any(|it| it.as_os_str() == ".pending");
        if self.skips != Skips::KeepingOutput || is_pending || !committed.starts_with(OUTPUT) {
            return None;
        }
        let mut all = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(committed.to_owned());
        if all.len() > 2 { all.pop_front() } else { None }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skips {
    Files,
    Directories,
    /// The second half of every read of an input file.
    RestOfReads,
    /// Leaving alone what is committed.
    KeepingOutput,
}

struct CarelessFile(Box<dyn File>, Skips);

#[async_trait]
impl Disk for Careless {
    async fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = self.inner.create(path).await?;
        Ok(match self.skips {
            Skips::Files => Box::new(CarelessFile(file, self.skips)),
            Skips::Directories | Skips::RestOfReads | Skips::KeepingOutput => file,
        })
    }
    async fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = self.inner.open(path).await?;
        let is_input = path.starts_with(INPUT);
        Ok(match self.skips {
            Skips::RestOfReads if is_input => Box::new(CarelessFile(file, self.skips)),
            Skips::RestOfReads | Skips::Files | Skips::Directories | Skips::KeepingOutput => file,
        })
    }
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to).await?;
        match self.old_output(to) {
            Some(old) => self.inner.remove(&old).await,
            None => Ok(()),
        }
    }
    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        match self.skips {
            Skips::Files | Skips::RestOfReads | Skips::KeepingOutput => {
                self.inner.sync_directory(path).await
            }
            Skips::Directories => Ok(()),
        }
    }
    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path).await
    }
    async fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_directory(path).await
    }
    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.create_directory(path).await
    }
    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(path).await
    }
    async fn scratch(&self, path: &Path) -> io::Result<Box<dyn Scratch>> {
        self.inner.scratch(path).await
    }
}

#[async_trait]
impl File for CarelessFile {
    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes).await
    }
    async fn read_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = self.0.read_at(position, length).await?;
        if self.1 == Skips::RestOfReads {
            // The length of the buffer, and not what the disk said.
            let came = bytes.len().div_ceil(2);
            bytes[came..].fill(0);
        }
        Ok(bytes)
    }
    async fn sync(&mut self) -> io::Result<()> {
        if self.1 == Skips::Files { Ok(()) } else { self.0.sync().await }
    }
    async fn length(&self) -> io::Result<u64> {
        self.0.length().await
    }
}

/// A source that reports old positions.
struct Lagging {
    inner: Box<dyn SourceChain>,
    last: Mutex<Option<Vec<Vec<u8>>>>,
}

/// A source that goes one record back when it is restored.
struct Rereading {
    inner: Box<dyn SourceChain>,
}

/// A source whose chain restores operator state wrongly.
struct Misrestored {
    inner: Box<dyn SourceChain>,
    what: Wrong,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    UnionOfOne,
    NoList,
    ListTwice,
}

struct WrongCell<'a>(&'a mut dyn StateCell, Wrong);

impl StateCell for WrongCell<'_> {
    fn redistribution(&self) -> Redistribution {
        self.0.redistribution()
    }
    fn items(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        self.0.items()
    }
    fn restore(&mut self, items: &[Vec<u8>]) -> Result<(), StreamError> {
        let first = &items[..items.len().min(1)];
        match (self.0.redistribution(), self.1) {
            (Redistribution::Union, Wrong::UnionOfOne) => self.0.restore(first),
            (Redistribution::List, Wrong::NoList) => self.0.restore(&[]),
            (Redistribution::List, Wrong::ListTwice) => self.0.restore(&[first, items].concat()),
            _ => self.0.restore(items),
        }
    }
}

impl Outputs for Misrestored {
    fn edges<'a>(&'a mut self, into: &mut Vec<&'a mut dyn EdgePort>) {
        self.inner.edges(into);
    }
    fn sink(&mut self) -> Option<&mut dyn SinkPort> {
        self.inner.sink()
    }
    fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError> {
        let what = self.what;
        self.inner.states(&mut |name, state| visit(name, &mut WrongCell(state, what)))
    }
    fn tell(&mut self, notice: Notice) {
        self.inner.tell(notice);
    }
    fn hears_checkpoints(&self) -> bool {
        self.inner.hears_checkpoints()
    }
    fn hears_end(&self) -> bool {
        self.inner.hears_end()
    }
    fn makes_watermarks(&self) -> bool {
        self.inner.makes_watermarks()
    }
    fn on_watermark(&mut self, time: EventTime) {
        self.inner.on_watermark(time);
    }
}

#[async_trait]
impl SourceChain for Misrestored {
    async fn open(&mut self, env: &Env, splits: &[Vec<u8>]) -> Result<(), ConnectorError> {
        self.inner.open(env, splits).await
    }
    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        self.inner.fill().await
    }
    fn emit(&mut self, limit: usize) -> Result<(usize, Progress), ConnectorError> {
        self.inner.emit(limit)
    }
    fn splits(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        self.inner.splits()
    }
    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}

delegate_outputs!(Lagging, Rereading, Forgetful, Backward, Hasty);

#[async_trait]
impl SourceChain for Lagging {
    async fn open(&mut self, env: &Env, splits: &[Vec<u8>]) -> Result<(), ConnectorError> {
        self.inner.open(env, splits).await
    }
    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        self.inner.fill().await
    }
    fn emit(&mut self, limit: usize) -> Result<(usize, Progress), ConnectorError> {
        self.inner.emit(limit)
    }
    fn is_behind(&self) -> bool {
        self.inner.is_behind()
    }
    fn splits(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        let now = self.inner.splits()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(last.replace(now.clone()).unwrap_or(now))
    }
    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}

#[async_trait]
impl SourceChain for Rereading {
    async fn open(&mut self, env: &Env, splits: &[Vec<u8>]) -> Result<(), ConnectorError> {
        let splits: Vec<Vec<u8>> = splits.iter().map(|it| one_back(it)).collect();
        self.inner.open(env, &splits).await
    }
    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        self.inner.fill().await
    }
    fn emit(&mut self, limit: usize) -> Result<(usize, Progress), ConnectorError> {
        self.inner.emit(limit)
    }
    fn is_behind(&self) -> bool {
        self.inner.is_behind()
    }
    fn splits(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        self.inner.splits()
    }
    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}

/// As in the original, a split at its very beginning is left alone.
fn one_back(bytes: &[u8]) -> Vec<u8> {
    let Ok(mut split) = postcard::from_bytes::<GeneratorSplit>(bytes) else {
        return bytes.to_vec();
    };
    if split.next >= split.step {
        split.next -= split.step;
    }
    postcard::to_allocvec(&split).expect("numbers have an encoding")
}

/// Keyed state that restores all but one key group.
struct Forgetful {
    inner: Box<dyn OperatorChain>,
}

impl OperatorChain for Forgetful {
    fn on_batch(&mut self, batch: Batch) -> Result<(), StreamError> {
        self.inner.on_batch(batch)
    }
    fn take_dirty_bytes(&mut self) -> u64 {
        self.inner.take_dirty_bytes()
    }
    fn fire_timers(&mut self, time: EventTime, limit: usize) -> Result<Progress, StreamError> {
        self.inner.fire_timers(time, limit)
    }
    fn on_end(&mut self, limit: usize) -> Result<Progress, StreamError> {
        self.inner.on_end(limit)
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
        self.inner.restore(groups.split_last().map_or(groups, |(_, rest)| rest))
    }
    fn as_outputs(&mut self) -> &mut dyn Outputs {
        self
    }
}

/// Delegates all of `OperatorChain` but what the wrapper does otherwise.
macro_rules! delegate_chain {
    () => {
        fn on_batch(&mut self, batch: Batch) -> Result<(), StreamError> {
            self.inner.on_batch(batch)
        }
        fn fire_timers(&mut self, time: EventTime, limit: usize) -> Result<Progress, StreamError> {
            self.inner.fire_timers(time, limit)
        }
        fn on_end(&mut self, limit: usize) -> Result<Progress, StreamError> {
            self.inner.on_end(limit)
        }
        fn take_dirty_bytes(&mut self) -> u64 {
            self.inner.take_dirty_bytes()
        }
        fn needs_scratch(&self) -> bool {
            self.inner.needs_scratch()
        }
        fn open(&mut self, scratch: Arc<dyn Scratch>) -> Result<(), StreamError> {
            self.inner.open(scratch)
        }
        fn restore(&mut self, groups: &[EncodedGroup]) -> Result<(), StreamError> {
            self.inner.restore(groups)
        }
        fn as_outputs(&mut self) -> &mut dyn Outputs {
            self
        }
    };
}

/// Keyed state that applies the last changes first.
struct Backward {
    inner: Box<dyn OperatorChain>,
    held: Vec<Vec<Changes>>,
}

impl OperatorChain for Backward {
    delegate_chain!();
    fn view(&mut self, request: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError> {
        self.inner.view(request)
    }
    fn apply(&mut self, changes: &[Changes]) -> Result<(), StreamError> {
        self.held.push(changes.to_vec());
        Ok(())
    }
    fn track_changes(&mut self, restored: Option<CheckpointId>) {
        for changes in std::mem::take(&mut self.held).into_iter().rev() {
            self.inner.apply(&changes).expect("they are in order, only not in this one");
        }
        self.inner.track_changes(restored);
    }
    fn confirm(&mut self, checkpoint: CheckpointId) {
        self.inner.confirm(checkpoint);
    }
}

/// Keyed state that takes its last snapshot for the confirmed one.
struct Hasty {
    inner: Box<dyn OperatorChain>,
    last: Option<CheckpointId>,
}

impl OperatorChain for Hasty {
    delegate_chain!();
    fn view(&mut self, mut request: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError> {
        if request.since.is_some() {
            request.since = self.last.or(request.since);
        }
        let view = self.inner.view(request)?;
        self.inner.confirm(request.checkpoint);
        self.last = Some(request.checkpoint);
        Ok(view)
    }
    fn apply(&mut self, changes: &[Changes]) -> Result<(), StreamError> {
        self.inner.apply(changes)
    }
    fn track_changes(&mut self, restored: Option<CheckpointId>) {
        self.inner.track_changes(restored);
    }
    fn confirm(&mut self, _: CheckpointId) {}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_planted_bug_has_a_name_of_its_own_and_a_property_that_exists() {
        let plants = all();
        let names: BTreeSet<_> = plants.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), plants.len());
        for plant in plants {
            assert!(seawall_spec::find(plant.violates).is_some(), "{}", plant.name);
        }
    }
}
