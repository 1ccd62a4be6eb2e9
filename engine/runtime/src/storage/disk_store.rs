//! Files of a [`Disk`] as an object store: the local default.
//!
//! Every object is one file below the root, under its own name. A put writes a temporary file, syncs it,
//! looks whether its condition holds, renames it over the name and syncs the directory (R1): a reader
//! sees the old object or the new one, and what was put is durable.
//!
//! An `e_tag` is a checksum of the content, so a conditional put is refused when the content is another.
//! A disk has no conditional rename: between the look and the rename another process can come first. The
//! lock that a process holds on its directory excludes that; the condition is what notices when nobody
//! holds one.
//!
//! Nothing here looks at a clock: `last_modified` is always the beginning of 1970, and nobody may decide
//! by it. Deliberately absent: multipart uploads. A put of any size is one file.

#![expect(
    clippy::default_trait_access,
    reason = "the types are of http and chrono, which object_store does not hand on"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, UpdateVersion,
};
use seawall_env::Disk;
use seawall_probe::sometimes;
use xxhash_rust::xxh3::Xxh3Default;

use crate::storage::durable::parent;
use crate::storage::layout;

const NAME: &str = "disk";

/// A directory of a disk as an object store. Cheap to clone.
#[derive(Clone)]
pub struct DiskStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

/// What the disk said, to which file, and whether the operation may have taken effect all the same.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub(crate) struct DiskError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
    pub(crate) is_uncertain: bool,
}

impl DiskStore {
    /// The objects are the files below `root`.
    pub fn new(disk: Arc<dyn Disk>, root: impl Into<PathBuf>) -> Self {
        Self { disk, root: root.into() }
    }

    fn path(&self, key: &Key) -> PathBuf {
        if key.is_root() { self.root.clone() } else { self.root.join(key.as_ref()) }
    }

    /// The key of a file; `None` for a name that no key has.
    fn key(&self, path: &Path) -> Option<Key> {
        Key::parse(path.strip_prefix(&self.root).ok()?.to_str()?).ok()
    }

    /// Creates the directories between the root and the file, durably; also when they exist: an earlier
    /// process may have died between creating and syncing.
    async fn create_directories(&self, path: &Path) -> Result<(), Error> {
        let directory = parent(path);
        let Ok(below) = directory.strip_prefix(&self.root) else { return Ok(()) };
        if below.as_os_str().is_empty() {
            return Ok(()); // The root itself is the owner's to create.
        }
        let created = self.disk.create_directory(&directory).await;
        created.map_err(definite("create", &directory))?;
        let mut holder = self.root.clone();
        for name in below {
            let synced = self.disk.sync_directory(&holder).await;
            synced.map_err(definite("sync", &holder))?;
            holder.push(name);
        }
        Ok(())
    }

    /// Whether what is there is what `mode` asks for.
    async fn check(&self, path: &Path, key: &Key, mode: PutMode) -> Result<(), Error> {
        let expected = match mode {
            PutMode::Overwrite => return Ok(()),
            PutMode::Create => match self.disk.open(path).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(definite("open", path)(error)),
                Ok(_) => {
                    return Err(Error::AlreadyExists {
                        path: key.to_string(),
                        source: "the file is there already".into(),
                    });
                }
            },
            PutMode::Update(UpdateVersion { e_tag, .. }) => e_tag,
        };
        let found = match self.read(path, key).await {
            Ok(bytes) => Some(tag([bytes.as_slice()])),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if found.is_some() && found == expected {
            return Ok(());
        }
        Err(Error::Precondition {
            path: key.to_string(),
            source: format!("found {found:?} where {expected:?} was expected").into(),
        })
    }

    async fn read(&self, path: &Path, key: &Key) -> Result<Vec<u8>, Error> {
        self.disk.read(path).await.map_err(missing("read", path, key))
    }

    async fn length(&self, path: &Path, key: &Key) -> Result<u64, Error> {
        let file = self.disk.open(path).await.map_err(missing("open", path, key))?;
        file.length().await.map_err(definite("read", path))
    }

    /// Names in the directory of `prefix`; none when there is no such directory.
    async fn entries(&self, prefix: &Key) -> Result<Vec<(Key, bool)>, Error> {
        let directory = self.path(prefix);
        let entries = match self.disk.list(&directory).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(definite("list", &directory)(error)),
        };
        let key = |it: seawall_env::Entry| Some((self.key(&it.path)?, it.is_directory));
        Ok(entries.into_iter().filter_map(key).collect())
    }

    /// The file as an object; `None` when it is gone by now.
    async fn meta(&self, key: Key) -> Result<Option<ObjectMeta>, Error> {
        match self.length(&self.path(&key), &key).await {
            Ok(size) => Ok(Some(meta(&key, size, None))),
            Err(Error::NotFound { .. }) => {
                sometimes!(ListedFileIsGone);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn walk(&self, prefix: Key) -> Result<Vec<ObjectMeta>, Error> {
        let (mut objects, mut directories) = (Vec::new(), vec![prefix]);
        while let Some(directory) = directories.pop() {
            for (key, is_directory) in self.entries(&directory).await? {
                if is_directory {
                    directories.push(key);
                } else {
                    objects.extend(self.meta(key).await?);
                }
            }
        }
        objects.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(objects)
    }

    /// Removes the files in their order and stops at the first that cannot be removed; then the
    /// directories that are empty now.
    async fn remove(&self, keys: Vec<Key>) -> Vec<Result<Key, Error>> {
        let mut removed = Vec::new();
        let mut directories = BTreeSet::new();
        for key in keys {
            let path = self.path(&key);
            if let Err(error) = absent(self.disk.remove(&path).await) {
                removed.push(Err(uncertain("remove", &path)(error)));
                return removed;
            }
            directories.insert(parent(&path));
            removed.push(Ok(key));
        }
        for directory in directories {
            // The root stays, also empty; what was removed from it must stay removed like everything else.
            let tidied = if directory == self.root {
                self.disk.sync_directory(&directory).await.map_err(uncertain("sync", &directory))
            } else {
                self.tidy(&directory).await
            };
            if let Err(error) = tidied {
                removed.push(Err(error));
            }
        }
        removed
    }

    async fn tidy(&self, directory: &Path) -> Result<(), Error> {
        let changed = match self.disk.remove_directory(directory).await {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                sometimes!(DirectoryIsNotEmpty);
                directory.to_owned()
            }
            result => {
                absent(result).map_err(uncertain("remove", directory))?;
                parent(directory)
            }
        };
        self.disk.sync_directory(&changed).await.map_err(uncertain("sync", &changed))
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskStore({})", self.root.display())
    }
}

impl fmt::Display for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the files below {}", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for DiskStore {
    async fn put_opts(
        &self,
        location: &Key,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult, Error> {
        let target = self.path(location);
        let e_tag = tag(payload.iter().map(AsRef::as_ref));
        // Two writers of different contents never write the same temporary file.
        let temporary = layout::temporary(&target, &e_tag);
        self.create_directories(&target).await?;
        let ready = match self.disk.write(&temporary, payload.into_iter().collect()).await {
            Ok(()) => self.check(&target, location, options.mode).await,
            Err(error) => Err(definite("write", &target)(error)),
        };
        if let Err(error) = ready {
            // Best effort: an unfinished file is harmless. Where a job runs it is cleaned up at the next start;
            // below a savepoint nobody comes again, so it must not come back with the power.
            sometimes!(TemporaryIsRemoved);
            let _ = self.disk.remove(&temporary).await;
            let _ = self.disk.sync_directory(&parent(&target)).await;
            return Err(error);
        }
        let renamed = self.disk.rename(&temporary, &target).await;
        renamed.map_err(uncertain("rename to", &target))?;
        let directory = parent(&target);
        let synced = self.disk.sync_directory(&directory).await;
        synced.map_err(uncertain("sync", &directory))?;
        Ok(PutResult { e_tag: Some(e_tag), version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(
        &self,
        _location: &Key,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>, Error> {
        Err(Error::NotImplemented { operation: "multipart".into(), implementer: NAME.into() })
    }

    async fn get_opts(&self, location: &Key, options: GetOptions) -> Result<GetResult, Error> {
        let path = self.path(location);
        // Only the whole content has a tag.
        let (bytes, meta, range) = match &options.range {
            None if options.head => {
                let size = self.length(&path, location).await?;
                (Vec::new(), meta(location, size, None), 0..size)
            }
            None => {
                let bytes = self.read(&path, location).await?;
                let size = bytes.len() as u64;
                let e_tag = tag([bytes.as_slice()]);
                (bytes, meta(location, size, Some(e_tag)), 0..size)
            }
            Some(range) => {
                let file = self.disk.open(&path).await.map_err(missing("open", &path, location))?;
                let size = file.length().await.map_err(definite("read", &path))?;
                let range: Range<u64> = range
                    .as_range(size)
                    .map_err(|source| Error::Generic { store: NAME, source: Box::new(source) })?;
                let length = usize::try_from(range.end - range.start).expect("fits into memory");
                let bytes = file.read_at(range.start, length).await;
                (bytes.map_err(definite("read", &path))?, meta(location, size, None), range)
            }
        };
        options.check_preconditions(&meta)?;
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::iter([Ok(bytes.into())]).boxed()),
            meta,
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Key, Error>>,
    ) -> BoxStream<'static, Result<Key, Error>> {
        let store = self.clone();
        let removed = async move {
            match locations.try_collect().await {
                Ok(keys) => store.remove(keys).await,
                Err(error) => vec![Err(error)],
            }
        };
        stream::once(removed).flat_map(stream::iter).boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta, Error>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listed = async move { store.walk(prefix).await };
        stream::once(listed).map_ok(|it| stream::iter(it.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult, Error> {
        let mut listed = ListResult {
            common_prefixes: Vec::new(),
            objects: Vec::new(),
            extensions: Default::default(),
        };
        for (key, is_directory) in self.entries(&prefix.cloned().unwrap_or_default()).await? {
            if is_directory {
                listed.common_prefixes.push(key);
            } else {
                listed.objects.extend(self.meta(key).await?);
            }
        }
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<(), Error> {
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        let bytes = self.read(&self.path(from), from).await?;
        self.put_opts(to, bytes.into(), mode.into()).await.map(drop)
    }
}

/// A name of the content.
fn tag<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Xxh3Default::new();
    chunks.into_iter().for_each(|it| hash.update(it));
    // Not a CRC: every file of checkpoint storage ends in its own, and then all have the same one.
    format!("{:032x}", hash.digest128())
}

fn meta(key: &Key, size: u64, e_tag: Option<String>) -> ObjectMeta {
    ObjectMeta {
        location: key.clone(),
        last_modified: Default::default(),
        size,
        e_tag,
        version: None,
    }
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            sometimes!(RemovedAlready);
            Ok(())
        }
        result => result,
    }
}

fn definite(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    told(action, path, false)
}

fn uncertain(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    told(action, path, true)
}

fn told(action: &'static str, path: &Path, is_uncertain: bool) -> impl FnOnce(io::Error) -> Error {
    move |source| {
        let path = path.to_path_buf();
        let source = DiskError { action, path, source, is_uncertain };
        Error::Generic { store: NAME, source: Box::new(source) }
    }
}

/// As [`definite`]; a file that is not there is told apart.
fn missing(action: &'static str, path: &Path, key: &Key) -> impl FnOnce(io::Error) -> Error {
    move |source| {
        if source.kind() != io::ErrorKind::NotFound {
            return definite(action, path)(source);
        }
        let path = path.to_path_buf();
        let source = DiskError { action, path, source, is_uncertain: false };
        Error::NotFound { path: key.to_string(), source: Box::new(source) }
    }
}
