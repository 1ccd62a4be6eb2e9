//! The handle on one job's checkpoint storage: whole files in any object store.
//!
//! Paths are as people read them, below [`Storage::root`]; the handle knows which object each one is.
//! What can be asked of it is as narrow as the storage contract (rules R): a file is written whole and
//! once, or replaced on the condition that it is still the one that was read; it is read whole; listing
//! is for people and for cleaning.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{ready, try_join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, Error, GetOptions, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, UpdateVersion,
};
use seawall_env::{Disk, Entry};
use seawall_probe::{buggify, sometimes};

use crate::storage::disk_store::{DiskError, DiskStore};
use crate::storage::durable;
use crate::storage::error::StorageError;

/// Which user metadata of an object names its writer.
const WRITER: &str = "seawall-writer";

/// Bytes that go to a remote store in one request.
const ONE_REQUEST_MAX: usize = 64 << 20;
/// Bytes of one part of a larger file.
const PART: usize = 16 << 20;
/// Parts on their way at the same time.
const PARTS_AT_ONCE: usize = 4;
/// Pieces of one byte each that the simulator may make of a file's beginning.
const SMALL_PIECES: usize = 32;

/// Where one job's checkpoints are. Cheap to clone.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// What every key begins with.
    prefix: Key,
    /// How people name the place.
    root: PathBuf,
    /// The disk of a local directory, which must be created; other stores have no directories.
    disk: Option<Arc<dyn Disk>>,
    /// Who writes, where a store can note that.
    writer: Option<String>,
    /// Whether the store can replace a file on condition.
    is_conditional: bool,
    /// Why a write failed last, for people.
    failure: Arc<Mutex<Option<String>>>,
}

/// A file with what identifies its content to a conditional write.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) bytes: Vec<u8>,
    pub(crate) version: Version,
    /// Who wrote it, if the store noted that.
    pub(crate) writer: Option<String>,
}

/// What identifies a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(UpdateVersion);

impl Storage {
    /// The directory `root` of `disk`: the local default.
    pub fn on_disk(disk: Arc<dyn Disk>, root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let store = Arc::new(DiskStore::new(Arc::clone(&disk), &root));
        Self { disk: Some(disk), ..Self::over(store, Key::default(), root) }
    }

    /// The objects of `store` whose keys begin with `prefix`, which people know as `root`.
    pub fn over(store: Arc<dyn ObjectStore>, prefix: Key, root: impl Into<PathBuf>) -> Self {
        Self {
            store,
            prefix,
            root: root.into(),
            disk: None,
            writer: None,
            is_conditional: true,
            failure: Arc::default(),
        }
    }

    /// The same storage with something between it and its store.
    #[must_use]
    pub fn through(
        self,
        put_between: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Self {
        Self { store: put_between(self.store), ..self }
    }

    /// The same storage over a store that cannot replace a file on condition: a file is looked at and then
    /// replaced, and between the two another leader can come first.
    #[must_use]
    pub fn without_conditional_update(self) -> Self {
        Self { is_conditional: false, ..self }
    }

    /// The same storage for one leader among several: what it writes is noted as its own, where the store
    /// can do that, so that no two leaders take each other's record for theirs.
    #[must_use]
    pub fn for_leader(&self, nonce: impl FnOnce() -> u64) -> Self {
        let mut storage = self.clone();
        // A directory has one leader at a time: the process that holds its lock.
        if self.disk.is_none() {
            storage.writer = Some(format!("{:016x}", nonce()));
        }
        storage
    }

    /// How people name the place; every path of the storage is below it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory, when it is one of a disk.
    pub fn directory(&self) -> Option<&Path> {
        self.disk.is_some().then_some(self.root.as_path())
    }

    /// Why a write failed last, for people who ask why nothing goes on.
    pub fn last_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the place ready to be written to, durably; fine when it is. A coordinator does this before
    /// it writes anything.
    ///
    /// # Errors
    /// As the disk says.
    pub async fn prepare(&self) -> Result<(), StorageError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let created = durable::create_directory(disk.as_ref(), &self.root).await;
        created.map_err(StorageError::io("create", &self.root))
    }

    /// All bytes of the file.
    ///
    /// # Errors
    /// As the store says; [`StorageError::is_not_found`] when there is no such file.
    pub async fn get(&self, path: &Path) -> Result<Vec<u8>, StorageError> {
        self.find(path).await.map(|it| it.bytes)
    }

    /// All bytes of the file with their version.
    pub(crate) async fn find(&self, path: &Path) -> Result<Found, StorageError> {
        let told = |error| told("read", path, false, error);
        if buggify!(FileReadTwice) {
            drop(self.store.get_opts(&self.key(path), GetOptions::default()).await);
        }
        let found = self.store.get_opts(&self.key(path), GetOptions::default()).await;
        let found = found.map_err(told)?;
        let version = Version(UpdateVersion {
            e_tag: found.meta.e_tag.clone(),
            version: found.meta.version.clone(),
        });
        let writer = found.attributes.get(&Attribute::Metadata(WRITER.into()));
        let writer = writer.map(|it| it.as_ref().to_owned());
        let bytes = found.bytes().await.map_err(told)?.into();
        Ok(Found { bytes, version, writer })
    }

    /// Writes a file that is never written again. It is durable when this returns. Writing the same bytes
    /// twice is writing them once.
    ///
    /// # Errors
    /// [`StorageError::Exists`] when there is a file with other bytes, which stays as it is; else as the
    /// store says.
    pub async fn put_new(
        &self,
        path: &Path,
        bytes: impl Into<PutPayload>,
    ) -> Result<(), StorageError> {
        let payload = bytes.into();
        if self.disk.is_none() && payload.content_length() > ONE_REQUEST_MAX {
            return self.put_in_parts(path, payload).await;
        }
        let mut put = self.put(path, payload.clone(), PutMode::Create).await;
        if put.is_ok() && buggify!(FileWrittenTwice) {
            put = self.put(path, payload.clone(), PutMode::Create).await;
        }
        let Err(StorageError::Exists { .. }) = &put else { return put };
        // The store's client may have repeated a request whose answer was lost.
        let found = self.get(path).await?;
        let is_same = found.len() == payload.content_length()
            && payload.iter().flat_map(|it| it.iter()).eq(&found);
        sometimes!(is_same, SameFileIsThere);
        sometimes!(!is_same, OtherFileIsThere);
        if is_same { Ok(()) } else { put }
    }

    /// As [`Self::put_new`], in several requests: one would take longer than a store waits. The file appears
    /// when all parts are there. Whether it is there already is looked at first, and not decided in the
    /// same step; the names of such files are never used twice.
    async fn put_in_parts(&self, path: &Path, bytes: PutPayload) -> Result<(), StorageError> {
        let key = self.key(path);
        let failed = |error| told("write", path, true, error);
        match self.store.get_opts(&key, GetOptions::new().with_head(true)).await {
            Err(Error::NotFound { .. }) => {}
            Ok(_) => return Err(StorageError::Exists { path: path.to_path_buf() }),
            Err(error) => return Err(told("read", path, false, error)),
        }
        let upload = self.store.put_multipart_opts(&key, PutMultipartOptions::default()).await;
        let mut upload = upload.map_err(failed)?;
        for together in parts(bytes).chunks(PARTS_AT_ONCE) {
            let sent: Vec<_> = together.iter().map(|it| upload.put_part(it.clone())).collect();
            if let Err(error) = try_join_all(sent).await {
                // Best effort: a store removes parts that nobody completes, if it is told to.
                let _ = upload.abort().await;
                return Err(failed(error));
            }
        }
        upload.complete().await.map(drop).map_err(failed)
    }

    /// Whether this leader wrote the file; `None` where nobody noted that.
    pub(crate) fn wrote(&self, found: &Found) -> Option<bool> {
        Some(*self.writer.as_ref()? == *found.writer.as_ref()?)
    }

    /// Replaces the file if it is still the one of `expected`; `None` is no file.
    ///
    /// # Errors
    /// [`StorageError::Exists`] or [`StorageError::Changed`] when it is not, and nothing was written; else
    /// as the store says.
    pub(crate) async fn replace(
        &self,
        path: &Path,
        bytes: Vec<u8>,
        expected: Option<Version>,
    ) -> Result<(), StorageError> {
        let mode = match expected {
            None => PutMode::Create,
            Some(version) if self.is_conditional => PutMode::Update(version.0),
            Some(_) => PutMode::Overwrite,
        };
        self.put(path, bytes.into(), mode).await
    }

    async fn put(
        &self,
        path: &Path,
        payload: PutPayload,
        mode: PutMode,
    ) -> Result<(), StorageError> {
        let mut options = PutOptions::from(mode);
        if let Some(writer) = &self.writer {
            let mut attributes = Attributes::new();
            attributes.insert(Attribute::Metadata(WRITER.into()), writer.clone().into());
            options.attributes = attributes;
        }
        let payload = if buggify!(FileInPieces) { in_pieces(payload) } else { payload };
        match self.store.put_opts(&self.key(path), payload, options).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = told("write", path, true, error);
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                *failure = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Removes the files in this order; fine when some are not there. A remote store removes the first one
    /// first, and keeps no order among the others.
    ///
    /// # Errors
    /// When one cannot be removed; those behind it may be left.
    pub async fn delete(&self, paths: Vec<PathBuf>) -> Result<(), StorageError> {
        if buggify!(RemovedTwice) {
            self.delete_in_order(paths.clone()).await?;
        }
        self.delete_in_order(paths).await
    }

    async fn delete_in_order(&self, paths: Vec<PathBuf>) -> Result<(), StorageError> {
        let first = paths.first().cloned();
        if let Some(first) = first
            && self.disk.is_none()
            && paths.len() > 1
        {
            // One request for all of them has no order, and several run at once.
            self.delete_together(vec![first]).await?;
            return self.delete_together(paths.into_iter().skip(1).collect()).await;
        }
        self.delete_together(paths).await
    }

    async fn delete_together(&self, paths: Vec<PathBuf>) -> Result<(), StorageError> {
        let Some(first) = paths.first().cloned() else { return Ok(()) };
        let keys: Vec<_> = paths.iter().map(|it| Ok(self.key(it))).collect();
        let removed = self.store.delete_stream(stream::iter(keys).boxed());
        match removed.try_for_each(|_| ready(Ok(()))).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(told("remove", &first, true, error)),
        }
    }

    /// Removes the place itself, where it is a directory of a disk and empty.
    ///
    /// # Errors
    /// As the disk says.
    pub async fn remove_place(&self) -> Result<(), StorageError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        match disk.remove_directory(&self.root).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
            Err(error) => return Err(StorageError::io("remove", &self.root)(error)),
        }
        let parent = self.root.parent().filter(|it| !it.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        disk.sync_directory(parent).await.map_err(StorageError::io("sync", parent))
    }

    /// What is directly below the directory, sorted by path. For people and for cleaning only: it may be
    /// stale (R3). A directory without files may be missing.
    ///
    /// # Errors
    /// As the store says.
    pub async fn list(&self, directory: &Path) -> Result<Vec<Entry>, StorageError> {
        let prefix = self.key(directory);
        let prefix = (!prefix.is_root()).then_some(&prefix);
        if buggify!(ListedTwice) {
            drop(self.store.list_with_delimiter(prefix).await);
        }
        let listed = self.store.list_with_delimiter(prefix).await;
        let listed = listed.map_err(|error| told("list", directory, false, error))?;
        let directories = listed.common_prefixes.into_iter().map(|it| (it, true));
        let files = listed.objects.into_iter().map(|it| (it.location, false));
        let mut entries: Vec<_> = directories
            .chain(files)
            .map(|(key, is_directory)| Entry { path: self.path(&key), is_directory })
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn key(&self, path: &Path) -> Key {
        let below = path.strip_prefix(&self.root).expect("paths of the storage are below its root");
        let names = below.iter().map(|it| it.to_str().expect("names of the storage are text"));
        names.fold(self.prefix.clone(), Key::join)
    }

    fn path(&self, key: &Key) -> PathBuf {
        let mut path = self.root.clone();
        for name in key.parts().skip(self.prefix.parts_count()) {
            path.push(name.as_ref());
        }
        path
    }
}

/// The bytes in parts of [`PART`] bytes and a last one of what is left; nothing is copied.
fn parts(bytes: PutPayload) -> Vec<PutPayload> {
    let mut parts = Vec::new();
    let (mut part, mut room) = (Vec::new(), PART);
    for mut piece in bytes {
        while !piece.is_empty() {
            let fits = piece.split_to(room.min(piece.len()));
            room -= fits.len();
            part.push(fits);
            if room == 0 {
                parts.push(PutPayload::from_iter(std::mem::take(&mut part)));
                room = PART;
            }
        }
    }
    if !part.is_empty() {
        parts.push(PutPayload::from_iter(part));
    }
    parts
}

/// The same bytes, of which the first few come one by one.
fn in_pieces(bytes: PutPayload) -> PutPayload {
    let mut pieces = Vec::new();
    for mut piece in bytes {
        while !piece.is_empty() {
            let length = if pieces.len() < SMALL_PIECES { 1 } else { piece.len() };
            pieces.push(piece.split_to(length));
        }
    }
    PutPayload::from_iter(pieces)
}

/// The store's error, with what was tried on which file.
fn told(action: &'static str, path: &Path, is_write: bool, error: Error) -> StorageError {
    let path = path.to_path_buf();
    // A request that was refused had no effect; one that was not answered may have been carried out.
    let (hint, is_uncertain) = match &error {
        Error::AlreadyExists { .. } => return StorageError::Exists { path },
        Error::Precondition { .. } => return StorageError::Changed { path },
        Error::NotFound { .. } if is_write => ("create the bucket, or name another one", false),
        Error::NotFound { .. } => ("restore the file from a copy", false),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ("check the credentials, and that they may read, write and list there", false)
        }
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            ("use a store that supports conditional writes", false)
        }
        Error::Generic { .. } | _ => {
            ("check the address of the store, and that it can be reached", is_write)
        }
    };
    let is_not_found = matches!(error, Error::NotFound { .. });
    let reason = reason(&error);
    if let Error::Generic { source, .. } | Error::NotFound { source, .. } = error
        && let Ok(told) = source.downcast::<DiskError>()
    {
        let DiskError { action, path, source, is_uncertain } = *told;
        return StorageError::Io { action, path, source, is_uncertain };
    }
    StorageError::Remote { action, path, reason, hint, is_not_found, is_uncertain }
}

/// The error with the innermost cause, which says most, on one line.
fn reason(error: &Error) -> String {
    let mut causes = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        // Most layers repeat what is below them.
        if !causes.iter().any(|it| it.contains(&text)) {
            causes.push(text);
        }
        source = cause.source();
    }
    causes.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({})", self.root.display())
    }
}
