//! Keyed state on the heap: one value per key in a hash table.
//!
//! A snapshot starts from a copy of the table, taken in one step between two records; encoding and
//! writing use the copy while the pipeline goes on (F1, F5).

use hashbrown::HashTable;
use seawall_protocol::key_group::key_group_of;

use crate::error::StreamError;
use crate::key::Key;
use crate::record::Record;

/// The encoded state of one key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedGroup {
    /// Which key group.
    pub key_group: u32,
    /// How many keys.
    pub entries: u64,
    /// Keys and values, ascending by key: equal state has equal bytes.
    pub bytes: Vec<u8>,
}

/// An immutable view of a subtask's keyed state.
pub trait StateView: Send {
    /// Encodes the view by key group, ascending.
    ///
    /// # Errors
    /// When a key or a value has no encoding.
    fn encode(self: Box<Self>) -> Result<Vec<EncodedGroup>, StreamError>;
}

/// The live keyed state of one operator subtask.
#[derive(Debug, Clone)]
pub struct KeyedState<K, V> {
    entries: HashTable<(K, Option<V>)>,
    key_groups: u32,
}

impl<K: Key, V: Record + Clone> KeyedState<K, V> {
    /// Empty state of a job with this many key groups.
    pub fn new(key_groups: u32) -> Self {
        Self { entries: HashTable::new(), key_groups }
    }

    /// The slot of `key`, created empty where there is none.
    #[inline]
    pub fn slot(&mut self, key: &K) -> &mut Option<V> {
        use hashbrown::hash_table::Entry;
        let hash = key.stable_hash();
        let entry = self.entries.entry(hash, |(it, _)| it == key, |(it, _)| it.stable_hash());
        match entry {
            Entry::Occupied(entry) => &mut entry.into_mut().1,
            Entry::Vacant(entry) => &mut entry.insert((key.clone(), None)).into_mut().1,
        }
    }

    /// Removes the slot of `key` when it is empty.
    pub fn forget_if_empty(&mut self, key: &K) {
        let found = self.entries.find_entry(key.stable_hash(), |(it, _)| it == key);
        if let Ok(entry) = found
            && entry.get().1.is_none()
        {
            entry.remove();
        }
    }

    /// Keys with a value, ascending.
    pub fn sorted(&self) -> Vec<(&K, &V)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| (key, value)))
            .collect();
        all.sort_unstable_by(|a, b| a.0.cmp(b.0));
        all
    }

    /// How many keys.
    pub fn length(&self) -> usize {
        self.entries.len()
    }

    /// Adds the entries of one encoded key group.
    ///
    /// # Errors
    /// When the bytes are not entries of this state.
    pub fn restore(&mut self, group: &EncodedGroup) -> Result<(), StreamError> {
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

impl<K: Key, V: Record + Clone> StateView for KeyedState<K, V> {
    fn encode(self: Box<Self>) -> Result<Vec<EncodedGroup>, StreamError> {
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

/// The view of a chain without keyed state.
pub struct NoState;

impl StateView for NoState {
    fn encode(self: Box<Self>) -> Result<Vec<EncodedGroup>, StreamError> {
        Ok(Vec::new())
    }
}
