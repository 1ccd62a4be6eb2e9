//! The store of one subtask: encoded keys and values in redb, and which keys changed in which interval.
//!
//! ```text
//! values       key group (2 bytes, big-endian), key ──> value
//! changed-3    the keys that changed between the third and the fourth snapshot
//! ```

use std::iter::Peekable;
use std::sync::Arc;

use redb::{Builder, Database, ReadOnlyTable, ReadableDatabase, TableDefinition, TableError};
use seawall_env::Scratch;

use super::pages::Pages;
use crate::error::StreamError;

const VALUES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("values");

/// An encoded key with its key group in front, and its value unless it has none.
pub(super) type Encoded = (Vec<u8>, Option<Vec<u8>>);

/// An encoded key with its key group in front, and its value.
pub(super) type Stored = (Vec<u8>, Vec<u8>);

/// The live store.
pub(super) struct Store {
    /// What the last commit left; behind the database, which must be dropped last.
    values: ReadOnlyTable<&'static [u8], &'static [u8]>,
    database: Database,
}

/// Says what of the store failed; the attempt fails with it, and another may succeed.
pub(super) fn failed<E: Into<redb::Error>>(action: &'static str) -> impl FnOnce(E) -> StreamError {
    move |error| StreamError::Store { action, cause: error.into().to_string() }
}

fn changed_in(interval: u32) -> String {
    format!("changed-{interval}")
}

impl Store {
    /// An empty store which keeps at most about `cache` bytes of pages in memory.
    pub(super) fn create(scratch: Arc<dyn Scratch>, cache: usize) -> Result<Self, StreamError> {
        let mut builder = Builder::new();
        builder.set_cache_size(cache);
        let database =
            builder.create_with_backend(Pages::new(scratch)).map_err(failed("create"))?;
        let write = database.begin_write().map_err(failed("create"))?;
        write.open_table(VALUES).map(drop).map_err(failed("create"))?;
        write.commit().map_err(failed("create"))?;
        Ok(Self { values: values_of(&database)?, database })
    }

    /// Hands the value of `key` to `decode`.
    pub(super) fn get<T>(
        &self,
        key: &[u8],
        decode: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<T, StreamError> {
        let value = self.values.get(key).map_err(failed("read"))?;
        Ok(decode(value.as_ref().map(redb::AccessGuard::value)))
    }

    /// Writes entries in one transaction, best in ascending order, remembers their keys in `interval`, and
    /// forgets the `obsolete` intervals.
    pub(super) fn write(
        &mut self,
        entries: &[Encoded],
        interval: Option<u32>,
        obsolete: std::ops::Range<u32>,
    ) -> Result<(), StreamError> {
        let write = self.database.begin_write().map_err(failed("write"))?;
        {
            let mut values = write.open_table(VALUES).map_err(failed("write"))?;
            for (key, value) in entries {
                match value {
                    Some(value) => values.insert(key.as_slice(), value.as_slice()),
                    None => values.remove(key.as_slice()),
                }
                .map_err(failed("write"))?;
            }
        }
        if let Some(interval) = interval {
            let name = changed_in(interval);
            let table: TableDefinition<'_, &[u8], ()> = TableDefinition::new(&name);
            let mut changed = write.open_table(table).map_err(failed("write"))?;
            for (key, _) in entries {
                changed.insert(key.as_slice(), ()).map_err(failed("write"))?;
            }
        }
        for interval in obsolete {
            let name = changed_in(interval);
            let table: TableDefinition<'_, &[u8], ()> = TableDefinition::new(&name);
            write.delete_table(table).map_err(failed("write"))?;
        }
        write.commit().map_err(failed("write"))?;
        self.values = values_of(&self.database)?;
        Ok(())
    }

    /// An immutable view of the values and of the keys that changed in `intervals` (F5).
    pub(super) fn view(&self, intervals: std::ops::Range<u32>) -> Result<View, StreamError> {
        let read = self.database.begin_read().map_err(failed("read"))?;
        let mut changed = Vec::new();
        for interval in intervals {
            let name = changed_in(interval);
            let table: TableDefinition<'_, &[u8], ()> = TableDefinition::new(&name);
            match read.open_table(table) {
                Ok(table) => changed.push(keys(&table)?.peekable()),
                Err(TableError::TableDoesNotExist(_)) => {} // Nothing changed.
                Err(error) => return Err(failed("read")(error)),
            }
        }
        let values = read.open_table(VALUES).map_err(failed("read"))?;
        Ok(View { values, changed })
    }

    /// At most `limit` entries behind the key `after`, ascending.
    pub(super) fn behind(
        &self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Stored>, StreamError> {
        let start = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = self.values.range::<&[u8]>((start, std::ops::Bound::Unbounded));
        let mut found = Vec::new();
        for entry in range.map_err(failed("read"))?.take(limit) {
            let (key, value) = entry.map_err(failed("read"))?;
            found.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(found)
    }
}

fn values_of(
    database: &Database,
) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, StreamError> {
    let read = database.begin_read().map_err(failed("read"))?;
    read.open_table(VALUES).map_err(failed("read"))
}

type Keys = Box<dyn Iterator<Item = Result<Vec<u8>, StreamError>> + Send>;

fn keys(table: &ReadOnlyTable<&'static [u8], ()>) -> Result<Keys, StreamError> {
    let range = table.range::<&[u8]>(..).map_err(failed("read"))?;
    let key = |entry: Result<
        (redb::AccessGuard<'static, &'static [u8]>, _),
        redb::StorageError,
    >| { entry.map(|(key, _)| key.value().to_vec()).map_err(failed("read")) };
    Ok(Box::new(range.map(key)))
}

/// The store at one moment.
pub(super) struct View {
    values: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// The keys of each interval, ascending.
    changed: Vec<Peekable<Keys>>,
}

impl View {
    /// Every entry, ascending by key.
    pub(super) fn all(&self) -> Result<All, StreamError> {
        let range = self.values.range::<&[u8]>(..).map_err(failed("read"))?;
        Ok(All(range))
    }

    /// The next key that changed in any interval, ascending, each once, with its value at this moment.
    pub(super) fn next_changed(&mut self) -> Result<Option<Encoded>, StreamError> {
        let mut least: Option<Vec<u8>> = None;
        for keys in &mut self.changed {
            match keys.peek() {
                Some(Ok(key)) if least.as_ref().is_none_or(|it| key < it) => {
                    least = Some(key.clone());
                }
                Some(Err(_)) => return keys.next().transpose().map(|_| None),
                Some(Ok(_)) | None => {}
            }
        }
        let Some(key) = least else { return Ok(None) };
        for keys in &mut self.changed {
            keys.next_if(|it| it.as_ref().is_ok_and(|it| *it == key));
        }
        let value = self.values.get(key.as_slice()).map_err(failed("read"))?;
        let value = value.map(|it| it.value().to_vec());
        Ok(Some((key, value)))
    }
}

/// Walks over every entry.
pub(super) struct All(redb::Range<'static, &'static [u8], &'static [u8]>);

impl All {
    pub(super) fn next(&mut self) -> Result<Option<Encoded>, StreamError> {
        let entry = self.0.next().transpose().map_err(failed("read"))?;
        Ok(entry.map(|(key, value)| (key.value().to_vec(), Some(value.value().to_vec()))))
    }
}
