//! The `disk` state backend: more state than memory, in a scratch file.
//!
//! ```text
//! record ──update──> hot ──> cold ──evicted in one transaction──> redb ──> Pages ──> Scratch (Env's disk)
//!                     ^        ^                                    │
//!                     └────────┴───────────── a miss ───────────────┘
//! ```
//!
//! A write-back cache of two generations stands in front of the store. A key that is used is hot; when the
//! hot generation is full, the cold one is written where it changed and dropped, and the hot one turns
//! cold. So the cache holds what was used last, and a write transaction holds many keys.
//!
//! A snapshot writes what changed in the cache and begins a read transaction: redb never overwrites a page
//! that a reader can reach, so the view is immutable at no cost (F5). Which keys changed since a confirmed
//! snapshot is remembered in the store itself and costs nothing where snapshots are not incremental.
//!
//! The store is scratch: it is thrown away with the attempt and rebuilt from a checkpoint. Whatever its
//! disk does, the attempt fails and no state is wrong.
//!
//! Why redb: pure Rust, one file, and a trait for its storage, so that it stands on `Env` and simulated
//! faults reach it; no threads, no clock and no random numbers, so that a run repeats; MVCC. `fjall` and
//! `rocksdb` write better (LSM) but open their own files and start threads; LMDB maps its file into memory,
//! where a fault is a signal; `SQLite`'s storage can be replaced only through unsafe callbacks; `sled` is
//! unfinished.

use std::sync::Arc;

use async_trait::async_trait;
use hashbrown::HashTable;
use seawall_env::Scratch;
use seawall_protocol::CheckpointId;
use seawall_protocol::key_group::key_group_of;

use crate::error::StreamError;
use crate::key::Key;
use crate::record::Record;
use crate::source::Progress;
use crate::state::{
    Changes, EncodedGroup, Entries, RunView, SnapshotRequest, StateBackend, StateView,
};
use intervals::Intervals;
use store::{All, Encoded, Store, View};

mod intervals;
mod pages;
mod store;

/// Length of the key group in front of a key.
const GROUP_BYTES: usize = 2;
/// The least number of keys in a generation, whatever was asked for.
const GENERATION_MIN: usize = 16;

/// Keyed state in a scratch file.
pub struct DiskState<K, V> {
    key_groups: u32,
    cache_bytes: usize,
    store: Option<Opened>,
    hot: HashTable<Cached<K, V>>,
    cold: HashTable<Cached<K, V>>,
    /// Bytes and number of the values encoded so far: what a value takes on average.
    encoded: (usize, usize),
    /// Absent where snapshots are not incremental.
    intervals: Option<Intervals>,
}

struct Opened {
    store: Store,
    scratch: Arc<dyn Scratch>,
}

struct Cached<K, V> {
    key: K,
    value: Option<V>,
    /// Whether the store has another value.
    is_dirty: bool,
}

impl<K: Key, V: Record + Clone> DiskState<K, V> {
    /// Empty state of a job with this many key groups, of which about `cache_bytes` are in memory.
    pub fn new(key_groups: u32, cache_bytes: u64) -> Self {
        Self {
            key_groups,
            cache_bytes: usize::try_from(cache_bytes).unwrap_or(usize::MAX),
            store: None,
            hot: HashTable::new(),
            cold: HashTable::new(),
            encoded: (0, 0),
            intervals: None,
        }
    }

    /// How many keys are in the cache.
    pub fn cached(&self) -> usize {
        self.hot.len() + self.cold.len()
    }

    fn opened(&self) -> &Opened {
        self.store.as_ref().expect("state on disk is opened before anything flows")
    }

    fn encoded_key(&self, key: &K) -> Result<Vec<u8>, StreamError> {
        let group = key_group_of(key.stable_hash(), self.key_groups);
        let group = u16::try_from(group).expect("key groups are at most 2^15");
        postcard::to_extend(key, group.to_be_bytes().to_vec()).map_err(encode)
    }

    fn load(&self, key: &K) -> Result<Option<V>, StreamError> {
        let encoded = self.encoded_key(key)?;
        let decode = |bytes: Option<&[u8]>| bytes.map(postcard::from_bytes).transpose();
        self.opened().store.get(&encoded, decode)?.map_err(decoded)
    }

    /// How many keys a generation may hold. Half of the cache is the store's.
    fn generation_max(&self) -> usize {
        let (bytes, values) = self.encoded;
        let on_heap = if std::mem::needs_drop::<(K, V)>() { bytes / values.max(1) } else { 0 };
        // A hash table is between seven sixteenths and seven eighths full.
        let cost = 2 * size_of::<Cached<K, V>>() + on_heap;
        (self.cache_bytes / 4 / cost).max(GENERATION_MIN)
    }

    /// The slow path of `update`: the key is not hot.
    #[cold]
    #[inline(never)]
    fn warm(&mut self, key: &K, hash: u64) -> Result<&mut Cached<K, V>, StreamError> {
        let cached = match self.cold.find_entry(hash, |it| it.key == *key) {
            Ok(found) => found.remove().0,
            Err(_) => Cached { key: key.clone(), value: self.load(key)?, is_dirty: false },
        };
        if self.hot.len() >= self.generation_max() {
            self.turn()?;
        }
        Ok(self.hot.insert_unique(hash, cached, |it| it.key.stable_hash()).into_mut())
    }

    /// Writes and drops the cold generation; the hot one turns cold.
    fn turn(&mut self) -> Result<(), StreamError> {
        let mut cold = std::mem::take(&mut self.cold);
        let entries = self.take_dirty(&mut cold)?;
        self.write(entries)?;
        cold.clear();
        self.cold = std::mem::replace(&mut self.hot, cold);
        Ok(())
    }

    /// Writes everything that changed in the cache.
    fn flush(&mut self) -> Result<(), StreamError> {
        let (mut hot, mut cold) = (std::mem::take(&mut self.hot), std::mem::take(&mut self.cold));
        let mut entries = self.take_dirty(&mut hot)?;
        entries.append(&mut self.take_dirty(&mut cold)?);
        (self.hot, self.cold) = (hot, cold);
        self.write(entries)
    }

    fn take_dirty(
        &mut self,
        from: &mut HashTable<Cached<K, V>>,
    ) -> Result<Vec<Encoded>, StreamError> {
        let mut entries = Vec::new();
        for cached in from.iter_mut().filter(|it| it.is_dirty) {
            let key = self.encoded_key(&cached.key)?;
            let value = cached.value.as_ref().map(postcard::to_allocvec).transpose();
            let value = value.map_err(encode)?;
            let (bytes, values) = &mut self.encoded;
            *bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            *values += 1;
            cached.is_dirty = false;
            entries.push((key, value));
        }
        Ok(entries)
    }

    fn write(&mut self, mut entries: Vec<Encoded>) -> Result<(), StreamError> {
        entries.sort_unstable();
        let obsolete = self.intervals.as_mut().map(Intervals::take_obsolete).unwrap_or_default();
        if entries.is_empty() && obsolete.is_empty() {
            return Ok(());
        }
        let interval = self.intervals.as_ref().map(Intervals::current);
        let opened = self.store.as_mut().expect("state on disk is opened before anything flows");
        opened.store.write(&entries, interval, obsolete)
    }
}

fn encode(source: postcard::Error) -> StreamError {
    StreamError::Encode { what: "keyed state", source }
}

fn decoded(source: postcard::Error) -> StreamError {
    StreamError::Decode { what: "keyed state", source }
}

impl<K: Key, V: Record + Clone> StateBackend<K, V> for DiskState<K, V> {
    /// The last key that was visited, encoded.
    type Walk = Option<Vec<u8>>;

    fn needs_scratch(&self) -> bool {
        true
    }

    fn open(&mut self, scratch: Arc<dyn Scratch>) -> Result<(), StreamError> {
        let store = Store::create(Arc::clone(&scratch), self.cache_bytes / 2)?;
        self.store = Some(Opened { store, scratch });
        Ok(())
    }

    #[inline]
    fn update<R>(
        &mut self,
        key: &K,
        apply: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R, StreamError> {
        let hash = key.stable_hash();
        // Two look-ups, because a borrow that is returned from one arm lasts through the other.
        let is_hot = self.hot.find(hash, |it| it.key == *key).is_some();
        let cached = if is_hot {
            self.hot.find_mut(hash, |it| it.key == *key).expect("it was found")
        } else {
            self.warm(key, hash)?
        };
        let had_value = cached.value.is_some();
        let result = apply(&mut cached.value);
        cached.is_dirty |= had_value || cached.value.is_some();
        Ok(result)
    }

    fn walk(
        &mut self,
        walk: &mut Self::Walk,
        limit: usize,
        mut each: impl FnMut(&K, &V),
    ) -> Result<Progress, StreamError> {
        if walk.is_none() {
            self.flush()?;
        }
        let found = self.opened().store.behind(walk.as_deref(), limit)?;
        for (key, value) in &found {
            let key: K = postcard::from_bytes(&key[GROUP_BYTES..]).map_err(decoded)?;
            let value: V = postcard::from_bytes(value).map_err(decoded)?;
            each(&key, &value);
        }
        let is_over = found.len() < limit;
        if let Some((last, _)) = found.into_iter().last() {
            *walk = Some(last);
        }
        Ok(if is_over { Progress::Ended } else { Progress::Ready })
    }

    fn view(&mut self, request: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError> {
        self.flush()?;
        let since = request.since;
        let delta =
            self.intervals.as_mut().and_then(|it| it.on_snapshot(request.checkpoint, since));
        let opened = self.opened();
        let is_base = delta.is_none();
        let view = opened.store.view(delta.unwrap_or_default())?;
        let all = view.all()?;
        let scratch = Arc::clone(&opened.scratch);
        Ok(Box::new(DiskView { view, all, is_base, next: None, scratch }))
    }

    fn restore(&mut self, group: &EncodedGroup) -> Result<(), StreamError> {
        let mut bytes = group.bytes.as_slice();
        let mut entries = Vec::new();
        for _ in 0..group.entries {
            let ((key, value), rest): ((K, V), _) =
                postcard::take_from_bytes(bytes).map_err(decoded)?;
            let value = postcard::to_allocvec(&value).map_err(encode)?;
            entries.push((self.encoded_key(&key)?, Some(value)));
            bytes = rest;
        }
        if !bytes.is_empty() {
            return Err(decoded(postcard::Error::SerdeDeCustom));
        }
        self.write(entries)
    }

    fn apply(&mut self, changes: &Changes) -> Result<(), StreamError> {
        let group = u16::try_from(changes.key_group).map_err(|_| decoded(OUT_OF_RANGE))?;
        let mut entries = Vec::new();
        for entry in Entries::new(&changes.bytes) {
            let (key, value) = entry.map_err(decoded)?;
            entries.push(([&group.to_be_bytes(), key].concat(), value.map(<[u8]>::to_vec)));
        }
        self.write(entries)
    }

    fn track_changes(&mut self, restored: Option<CheckpointId>) {
        self.intervals = Some(Intervals::new(restored));
    }

    fn confirm(&mut self, checkpoint: CheckpointId) {
        if let Some(intervals) = &mut self.intervals {
            intervals.on_confirmed(checkpoint);
        }
    }
}

const OUT_OF_RANGE: postcard::Error = postcard::Error::DeserializeBadVarint;

/// The state at one moment: a read transaction of the store.
struct DiskView {
    view: View,
    all: All,
    is_base: bool,
    /// Read and not handed out yet.
    next: Option<Encoded>,
    scratch: Arc<dyn Scratch>,
}

impl DiskView {
    fn next_entry(&mut self) -> Result<Option<Encoded>, StreamError> {
        match self.next.take() {
            Some(entry) => Ok(Some(entry)),
            None if self.is_base => self.all.next(),
            None => self.view.next_changed(),
        }
    }
}

fn group_of(key: &[u8]) -> u32 {
    u16::from_be_bytes([key[0], key[1]]).into()
}

impl StateView for DiskView {
    /// Of all state, also where the runs hold changes only.
    fn next_group(&mut self) -> Result<Option<EncodedGroup>, StreamError> {
        let mut group: Option<EncodedGroup> = None;
        loop {
            let entry = match self.next.take() {
                Some(entry) => Some(entry),
                None => self.all.next()?,
            };
            let Some((key, value)) = entry else { return Ok(group) };
            let key_group = group_of(&key);
            match &mut group {
                Some(group) if group.key_group != key_group => {
                    self.next = Some((key, value));
                    return Ok(Some(group.clone()));
                }
                Some(_) | None => {}
            }
            let group =
                group.get_or_insert(EncodedGroup { key_group, entries: 0, bytes: Vec::new() });
            group.entries += 1;
            group.bytes.extend_from_slice(&key[GROUP_BYTES..]);
            group.bytes.extend_from_slice(&value.expect("what is stored has a value"));
        }
    }

    fn runs(&mut self) -> Option<&mut dyn RunView> {
        Some(self)
    }
}

#[async_trait]
impl RunView for DiskView {
    fn is_base(&self) -> bool {
        self.is_base
    }

    fn next_run(&mut self, limit: usize) -> Result<Option<Vec<Changes>>, StreamError> {
        let mut run: Vec<Changes> = Vec::new();
        let mut bytes = 0;
        while bytes < limit {
            let Some((key, value)) = self.next_entry()? else { break };
            let key_group = group_of(&key);
            bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            let is_same = run.last().is_some_and(|it| it.key_group == key_group);
            if !is_same {
                run.push(Changes::new(key_group));
            }
            let changes = run.last_mut().expect("pushed above");
            changes.push((&key[GROUP_BYTES..], value.as_deref()));
        }
        Ok((!run.is_empty()).then_some(run))
    }

    async fn settle(&mut self) {
        self.scratch.settle().await;
    }
}
