//! Operator state: state of a subtask rather than of a key, in typed handles that an operator owns.
//!
//! ```text
//! ListState<T>            items of this subtask; each goes to one subtask when the parallelism changes
//! UnionState<T>           items of this subtask; on restore every subtask gets the items of all
//! BroadcastState<K, V>    the same entries in every subtask
//! ```
//!
//! A handle is a plain value, read and written between two records without a call into the engine. The
//! engine reads the handles in the same step in which it takes the view of keyed state (F1), and fills
//! them before the first record. Who gets which items is decided in
//! [`seawall_protocol::operator_state`] (M5).

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use seawall_protocol::operator_state::Redistribution;

use crate::error::StreamError;
use crate::record::Record;

/// Items of this subtask, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListState<T>(Vec<T>);

/// Items of this subtask, in order; after a restore the items of all subtasks, ascending by subtask. An
/// operator that keeps its own only picks them in [`crate::Process::on_restored`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnionState<T>(Vec<T>);

/// Entries that are the same in every subtask. That they are is the operator's duty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastState<K, V>(BTreeMap<K, V>);

macro_rules! handle {
    ([$($generic:ident),*] $name:ty, $inner:ty) => {
        impl<$($generic),*> Default for $name {
            fn default() -> Self {
                Self(<$inner>::new())
            }
        }

        impl<$($generic),*> Deref for $name {
            type Target = $inner;
            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl<$($generic),*> DerefMut for $name {
            fn deref_mut(&mut self) -> &mut $inner {
                &mut self.0
            }
        }
    };
}
handle!([T] ListState<T>, Vec<T>);
handle!([T] UnionState<T>, Vec<T>);
handle!([K, V] BroadcastState<K, V>, BTreeMap<K, V>);

/// A handle as the engine sees it.
pub trait StateCell {
    /// How its items are handed out on restore.
    fn redistribution(&self) -> Redistribution;
    /// Its items, encoded.
    ///
    /// # Errors
    /// When an item has no encoding.
    fn items(&self) -> Result<Vec<Vec<u8>>, StreamError>;
    /// Replaces what it holds by these items.
    ///
    /// # Errors
    /// When the bytes are not items of this state.
    fn restore(&mut self, items: &[Vec<u8>]) -> Result<(), StreamError>;
}

fn encode<T: serde::Serialize>(item: T) -> Result<Vec<u8>, StreamError> {
    postcard::to_allocvec(&item)
        .map_err(|source| StreamError::Encode { what: "operator state", source })
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StreamError> {
    let decoded = |source| StreamError::Decode { what: "operator state", source };
    match postcard::take_from_bytes(bytes).map_err(decoded)? {
        (item, []) => Ok(item),
        _ => Err(decoded(postcard::Error::SerdeDeCustom)),
    }
}

impl<T: Record> StateCell for ListState<T> {
    fn redistribution(&self) -> Redistribution {
        Redistribution::List
    }
    fn items(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        self.iter().map(encode).collect()
    }
    fn restore(&mut self, items: &[Vec<u8>]) -> Result<(), StreamError> {
        self.0 = items.iter().map(|it| decode(it)).collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl<T: Record> StateCell for UnionState<T> {
    fn redistribution(&self) -> Redistribution {
        Redistribution::Union
    }
    fn items(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        self.iter().map(encode).collect()
    }
    fn restore(&mut self, items: &[Vec<u8>]) -> Result<(), StreamError> {
        self.0 = items.iter().map(|it| decode(it)).collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl<K: Record + Ord, V: Record> StateCell for BroadcastState<K, V> {
    fn redistribution(&self) -> Redistribution {
        Redistribution::Broadcast
    }
    fn items(&self) -> Result<Vec<Vec<u8>>, StreamError> {
        self.iter().map(encode).collect()
    }
    fn restore(&mut self, items: &[Vec<u8>]) -> Result<(), StreamError> {
        self.0 = items.iter().map(|it| decode(it)).collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// Looks at every state of a chain, by its name: `operator/state`.
pub type Visit<'a> = dyn FnMut(&str, &mut dyn StateCell) -> Result<(), StreamError> + 'a;

/// Where an operator declares its states. Names are part of the checkpoint: one that is renamed is lost,
/// and refused on restore.
pub struct States<'a, 'v> {
    operator: &'a str,
    visit: &'a mut Visit<'v>,
    result: Result<(), StreamError>,
}

impl<'a, 'v> States<'a, 'v> {
    /// Shows the states of `operator` to `visit`.
    pub(crate) fn new(operator: &'a str, visit: &'a mut Visit<'v>) -> Self {
        Self { operator, visit, result: Ok(()) }
    }

    pub(crate) fn finish(self) -> Result<(), StreamError> {
        self.result
    }

    /// Declares a state: a [`ListState`], [`UnionState`] or [`BroadcastState`].
    pub fn declare(&mut self, name: &str, state: &mut dyn StateCell) {
        if self.result.is_ok() {
            self.result = (self.visit)(&format!("{}/{name}", self.operator), state);
        }
    }
}
