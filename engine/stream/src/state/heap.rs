//! The `heap` state backend: one value per key in hash tables, copied on write while a view is held.
//!
//! ```text
//! hash ── key group ──> Group { page, page, page, ... }     pages in the order of their hashes
//!                                 │
//!                        Owned(table) <──> Shared(table) ──── view
//! ```
//!
//! A key group is a row of small tables, its pages; the high half of a key's hash names both. A view
//! shares every page and copies none (F1). The first write to a shared page copies that page alone, or
//! takes it back without a copy when the view has already encoded and dropped it (F5). So what a
//! snapshot costs the pipeline is spread over the records that follow it, some hundred nanoseconds at
//! a time. Whether a page is shared is a tag beside it: no record pays for an atomic.
//!
//! Pages also bound the cost of growth, which is that of one key group at a time.
//!
//! Deliberately absent: giving memory back when keys are removed, and telling reads from writes.

use std::mem;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::error::StreamError;
use crate::key::Key;
use crate::record::Record;
use crate::source::Progress;
use crate::state::{Changes, EncodedGroup, Entries, SnapshotRequest, StateBackend, StateView};

/// Keys of a page, on average over its key group, above which the group gets twice as many pages.
/// Most pages then stay below the 112 keys that fit into 128 buckets.
const PAGE_KEYS: usize = 88;

/// Keyed state in memory.
#[derive(Debug)]
pub struct HeapState<K, V> {
    /// By key group; those of other subtasks stay empty.
    groups: Vec<Group<K, V>>,
}

type Table<K, V> = HashTable<(K, Option<V>)>;

/// The state of one key group. Key `k` is in page `page_of(hash of k)`, so page after page is in
/// ascending order of hashes.
#[derive(Debug)]
struct Group<K, V> {
    /// `1 << page_bits` of them.
    pages: Vec<Page<K, V>>,
    page_bits: u32,
    length: usize,
}

#[derive(Debug)]
enum Page<K, V> {
    /// Nobody else sees it.
    Owned(Table<K, V>),
    /// A view may see it.
    Shared(Arc<Table<K, V>>),
}

/// Where a hash belongs: the key group, as [`seawall_protocol::key_group::key_group_of`] has it, and
/// the place within it, scaled to 32 bits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
fn place_of(hash: u64, key_groups: usize) -> (usize, u32) {
    let scaled = (hash >> 32) * key_groups as u64;
    ((scaled >> 32) as usize, scaled as u32)
}

/// What a table sees of a hash. Keys of one page share the high bits, in which tables look for
/// differences.
#[inline]
fn within_page(hash: u64) -> u64 {
    hash.rotate_left(32)
}

#[inline]
fn rehash<K: Key, V>((key, _): &(K, V)) -> u64 {
    within_page(key.stable_hash())
}

impl<K: Clone, V: Clone> Page<K, V> {
    const fn new() -> Self {
        Self::Owned(HashTable::new())
    }

    /// The table, for writing.
    #[inline]
    fn own(&mut self) -> &mut Table<K, V> {
        if matches!(self, Self::Shared(_)) {
            self.take_back();
        }
        match self {
            Self::Owned(table) => table,
            Self::Shared(_) => unreachable!("it was taken back"),
        }
    }

    #[cold]
    fn take_back(&mut self) {
        if let Self::Shared(table) = mem::replace(self, Self::new()) {
            *self = Self::Owned(Arc::try_unwrap(table).unwrap_or_else(|it| (*it).clone()));
        }
    }

    fn share(&mut self) -> Arc<Table<K, V>> {
        let shared = match mem::replace(self, Self::new()) {
            Self::Owned(table) => Arc::new(table),
            Self::Shared(table) => table,
        };
        *self = Self::Shared(Arc::clone(&shared));
        shared
    }

    fn table(&self) -> &Table<K, V> {
        match self {
            Self::Owned(table) => table,
            Self::Shared(table) => table,
        }
    }
}

impl<K: Key, V: Clone> Group<K, V> {
    fn new() -> Self {
        Self { pages: vec![Page::new()], page_bits: 0, length: 0 }
    }

    #[inline]
    fn page(&mut self, place: u32) -> &mut Page<K, V> {
        let index = (u64::from(place) << self.page_bits) >> 32;
        &mut self.pages[index as usize]
    }

    /// Makes room for one more key.
    #[cold]
    fn grow(&mut self, key_groups: usize) {
        self.length += 1;
        if self.length <= PAGE_KEYS << self.page_bits {
            return;
        }
        self.page_bits += 1;
        let pages = (0..1_usize << self.page_bits).map(|_| Page::new()).collect();
        for mut page in mem::replace(&mut self.pages, pages) {
            for entry in mem::take(page.own()) {
                let hash = entry.0.stable_hash();
                let (_, place) = place_of(hash, key_groups);
                self.page(place).own().insert_unique(within_page(hash), entry, rehash);
            }
        }
    }
}

impl<K: Key, V: Record + Clone> HeapState<K, V> {
    /// Empty state of a job with this many key groups.
    pub fn new(key_groups: u32) -> Self {
        Self { groups: (0..key_groups).map(|_| Group::new()).collect() }
    }

    /// How many keys.
    pub fn length(&self) -> usize {
        self.groups.iter().map(|group| group.length).sum()
    }

    /// Adds a key that is not there.
    #[cold]
    fn insert(&mut self, hash: u64, key: &K, value: V) {
        let key_groups = self.groups.len();
        let (group, place) = place_of(hash, key_groups);
        let group = &mut self.groups[group];
        group.grow(key_groups);
        let entry = (key.clone(), Some(value));
        group.page(place).own().insert_unique(within_page(hash), entry, rehash);
    }

    /// Removes a key that is there.
    #[cold]
    fn remove(&mut self, hash: u64, key: &K) {
        let (group, place) = place_of(hash, self.groups.len());
        let group = &mut self.groups[group];
        let found = group.page(place).own().find_entry(within_page(hash), |(it, _)| it == key);
        if let Ok(entry) = found {
            entry.remove();
            group.length -= 1;
        }
    }

    fn sorted_keys(&self) -> Vec<K> {
        let pages = self.groups.iter().flat_map(|group| &group.pages);
        let mut keys: Vec<K> =
            pages.flat_map(|page| page.table().iter().map(|(key, _)| key.clone())).collect();
        keys.sort_unstable();
        keys
    }
}

impl<K: Key, V: Record + Clone + Sync> StateBackend<K, V> for HeapState<K, V> {
    #[inline]
    fn update<R>(
        &mut self,
        key: &K,
        apply: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R, StreamError> {
        let hash = key.stable_hash();
        let (group, place) = place_of(hash, self.groups.len());
        let page = self.groups[group].page(place).own();
        let Some((_, slot)) = page.find_mut(within_page(hash), |(it, _)| it == key) else {
            let mut fresh = None;
            let result = apply(&mut fresh);
            if let Some(value) = fresh {
                self.insert(hash, key, value);
            }
            return Ok(result);
        };
        let result = apply(slot);
        if slot.is_none() {
            self.remove(hash, key);
        }
        Ok(result)
    }

    /// The keys that are yet to be visited, ascending.
    type Walk = Option<std::vec::IntoIter<K>>;

    fn walk(
        &mut self,
        walk: &mut Self::Walk,
        limit: usize,
        mut each: impl FnMut(&K, &V),
    ) -> Result<Progress, StreamError> {
        let keys = walk.get_or_insert_with(|| self.sorted_keys().into_iter());
        for key in keys.by_ref().take(limit) {
            self.update(&key, |slot| {
                each(&key, slot.as_ref().expect("state does not change during a walk"));
            })?;
        }
        Ok(if keys.len() == 0 { Progress::Ended } else { Progress::Ready })
    }

    fn view(&mut self, _: SnapshotRequest) -> Result<Box<dyn StateView>, StreamError> {
        let mut groups = Vec::new();
        for (key_group, group) in (0..).zip(&mut self.groups) {
            if group.length > 0 {
                let pages = group.pages.iter_mut().map(Page::share).collect();
                groups.push(SharedGroup { key_group, entries: group.length as u64, pages });
            }
        }
        Ok(Box::new(HeapView { groups: groups.into_iter() }))
    }

    fn restore(&mut self, group: &EncodedGroup) -> Result<(), StreamError> {
        let decoded = |source| StreamError::Decode { what: "keyed state", source };
        let mut bytes = group.bytes.as_slice();
        for _ in 0..group.entries {
            let ((key, value), rest): ((K, V), _) =
                postcard::take_from_bytes(bytes).map_err(decoded)?;
            self.update(&key, |slot| *slot = Some(value))?;
            bytes = rest;
        }
        if bytes.is_empty() { Ok(()) } else { Err(decoded(postcard::Error::SerdeDeCustom)) }
    }

    fn apply(&mut self, changes: &Changes) -> Result<(), StreamError> {
        let decoded = |source| StreamError::Decode { what: "keyed state", source };
        for entry in Entries::new(&changes.bytes) {
            let (key, value) = entry.map_err(decoded)?;
            let key: K = postcard::from_bytes(key).map_err(decoded)?;
            let value = value.map(postcard::from_bytes).transpose().map_err(decoded)?;
            self.update(&key, |slot| *slot = value)?;
        }
        Ok(())
    }
}

/// The pages as they were when the view was taken.
struct HeapView<K, V> {
    groups: std::vec::IntoIter<SharedGroup<K, V>>,
}

struct SharedGroup<K, V> {
    key_group: u32,
    entries: u64,
    pages: Vec<Arc<Table<K, V>>>,
}

impl<K: Key, V: Record + Sync> StateView for HeapView<K, V> {
    fn next_group(&mut self) -> Result<Option<EncodedGroup>, StreamError> {
        let Some(SharedGroup { key_group, entries, pages }) = self.groups.next() else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(pages.len() * PAGE_KEYS * size_of::<(K, V)>() / 2);
        for page in pages {
            bytes = encode_page(&page, bytes)?;
            // The page is dropped here: a write to it no longer copies.
        }
        Ok(Some(EncodedGroup { key_group, entries, bytes }))
    }
}

/// Appends the entries of a page, ascending by hash, and by key where hashes are equal.
fn encode_page<K: Key, V: Record>(
    page: &Table<K, V>,
    mut bytes: Vec<u8>,
) -> Result<Vec<u8>, StreamError> {
    let mut entries: Vec<_> = page.iter().map(|(key, it)| (key.stable_hash(), key, it)).collect();
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    for (_, key, value) in entries {
        let value = value.as_ref().expect("an entry without a value is removed");
        bytes = postcard::to_extend(&(key, value), bytes)
            .map_err(|source| StreamError::Encode { what: "keyed state", source })?;
    }
    Ok(bytes)
}
