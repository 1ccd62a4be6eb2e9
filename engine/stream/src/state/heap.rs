//! The `heap` state backend: one value per key in a hash table.
//!
//! A snapshot starts from a copy of the table, taken in one step between two records; encoding and
//! writing use the copy while the pipeline goes on (F1, F5).

use hashbrown::HashTable;
use seawall_protocol::key_group::key_group_of;

use crate::error::StreamError;
use crate::key::Key;
use crate::record::Record;
use crate::state::{EncodedGroup, StateBackend, StateView};

/// Keyed state in memory.
#[derive(Debug, Clone)]
pub struct HeapState<K, V> {
    entries: HashTable<(K, Option<V>)>,
    key_groups: u32,
}

impl<K: Key, V: Record + Clone> HeapState<K, V> {
    /// Empty state of a job with this many key groups.
    pub fn new(key_groups: u32) -> Self {
        Self { entries: HashTable::new(), key_groups }
    }

    /// How many keys.
    pub fn length(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    fn slot(&mut self, key: &K) -> &mut Option<V> {
        use hashbrown::hash_table::Entry;
        let hash = key.stable_hash();
        let entry = self.entries.entry(hash, |(it, _)| it == key, |(it, _)| it.stable_hash());
        match entry {
            Entry::Occupied(entry) => &mut entry.into_mut().1,
            Entry::Vacant(entry) => &mut entry.insert((key.clone(), None)).into_mut().1,
        }
    }

    #[cold]
    fn remove(&mut self, key: &K) {
        if let Ok(entry) = self.entries.find_entry(key.stable_hash(), |(it, _)| it == key) {
            entry.remove();
        }
    }

    fn sorted(&self) -> Vec<(&K, &V)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| (key, value)))
            .collect();
        all.sort_unstable_by(|a, b| a.0.cmp(b.0));
        all
    }

    fn encode(&self) -> Result<Vec<EncodedGroup>, StreamError> {
        let mut groups: Vec<Vec<(&K, &V)>> = Vec::new();
        groups.resize_with(self.key_groups as usize, Vec::new);
        for (key, value) in self.sorted() {
            let group = key_group_of(key.stable_hash(), self.key_groups);
            groups[group as usize].push((key, value));
        }
        let mut encoded = Vec::new();
        for (key_group, entries) in groups.into_iter().enumerate().filter(|(_, it)| !it.is_empty())
        {
            let mut bytes = Vec::with_capacity(entries.len() * size_of::<(K, V)>());
            let count = entries.len() as u64;
            for entry in entries {
                bytes = postcard::to_extend(&entry, bytes)
                    .map_err(|source| StreamError::Encode { what: "keyed state", source })?;
            }
            let key_group = u32::try_from(key_group).expect("key groups are at most 2^15");
            encoded.push(EncodedGroup { key_group, entries: count, bytes });
        }
        Ok(encoded)
    }
}

impl<K: Key, V: Record + Clone> StateBackend<K, V> for HeapState<K, V> {
    #[inline]
    fn update<R>(
        &mut self,
        key: &K,
        apply: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R, StreamError> {
        let slot = self.slot(key);
        let result = apply(slot);
        if slot.is_none() {
            self.remove(key);
        }
        Ok(result)
    }

    fn sorted_keys(&self) -> Result<Vec<K>, StreamError> {
        Ok(self.sorted().into_iter().map(|(key, _)| key.clone()).collect())
    }

    fn view(&mut self) -> Result<Box<dyn StateView>, StreamError> {
        Ok(Box::new(Copied { state: self.clone(), groups: None }))
    }

    fn restore(&mut self, group: &EncodedGroup) -> Result<(), StreamError> {
        let decoded = |source| StreamError::Decode { what: "keyed state", source };
        let mut bytes = group.bytes.as_slice();
        for _ in 0..group.entries {
            let ((key, value), rest): ((K, V), _) =
                postcard::take_from_bytes(bytes).map_err(decoded)?;
            *self.slot(&key) = Some(value);
            bytes = rest;
        }
        if bytes.is_empty() { Ok(()) } else { Err(decoded(postcard::Error::SerdeDeCustom)) }
    }
}

/// A copy of the state, encoded on the first call.
struct Copied<K, V> {
    state: HeapState<K, V>,
    groups: Option<std::vec::IntoIter<EncodedGroup>>,
}

impl<K: Key, V: Record + Clone> StateView for Copied<K, V> {
    fn next_group(&mut self) -> Result<Option<EncodedGroup>, StreamError> {
        if self.groups.is_none() {
            self.groups = Some(self.state.encode()?.into_iter());
        }
        Ok(self.groups.as_mut().and_then(Iterator::next))
    }
}
