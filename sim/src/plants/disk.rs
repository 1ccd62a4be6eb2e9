//! Planted bugs in what is asked of a disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use seawall_env::{Disk, Entry, File, Scratch};

use crate::workload::{OUTPUT, STORAGE};

/// A disk that is used wrongly.
pub(super) struct Misused {
    inner: Arc<dyn Disk>,
    how: Misuse,
    /// Pending files that were committed and whose commit is not durable, and how often that was tried.
    tries: Mutex<BTreeMap<PathBuf, usize>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Misuse {
    /// A sync that failed is tried again, and the second answer counts.
    SyncsAgain,
    /// The record is written under its own name, where others rename.
    RecordInPlace,
    /// A rename to a committed file is refused when there is one.
    KeepsTarget,
    /// Output that a listing does not show is taken for absent.
    BelievesListings,
    /// Each try of a commit gives the file a name of its own.
    CommitsAnew,
}

impl Misused {
    pub(super) fn new(inner: Arc<dyn Disk>, how: Misuse) -> Self {
        Self { inner, how, tries: Mutex::default() }
    }

    async fn write_as(&self, from: &Path, to: &Path) -> io::Result<()> {
        let bytes = self.inner.read(from).await?;
        let mut file = self.inner.create(to).await?;
        file.append(&bytes).await?;
        file.sync().await
    }

    fn tries(&self) -> MutexGuard<'_, BTreeMap<PathBuf, usize>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Disk for Misused {
    async fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = self.inner.create(path).await?;
        Ok(if self.how == Misuse::SyncsAgain { Box::new(Insistent(file)) } else { file })
    }
    async fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        if self.how == Misuse::BelievesListings && path.starts_with(OUTPUT) {
            let directory = path.parent().expect("output is in a directory");
            if !self.inner.list(directory).await?.iter().any(|it| it.path == path) {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        self.inner.open(path).await
    }
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let is_record = to == Path::new(STORAGE).join("record");
        let is_commit = to.parent() == Some(Path::new(OUTPUT));
        match self.how {
            Misuse::RecordInPlace if is_record => {
                self.write_as(from, to).await?;
                return self.inner.remove(from).await;
            }
            Misuse::KeepsTarget if is_commit && self.inner.open(to).await.is_ok() => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Misuse::CommitsAnew if is_commit => {
                let tries = {
                    let mut tries = self.tries();
                    let tries = tries.entry(from.to_owned()).or_default();
                    *tries += 1;
                    *tries
                };
                let mut name = to.as_os_str().to_owned();
                name.push(".again".repeat(tries - 1));
                return self.write_as(from, Path::new(&name)).await;
            }
            Misuse::SyncsAgain
            | Misuse::RecordInPlace
            | Misuse::KeepsTarget
            | Misuse::BelievesListings
            | Misuse::CommitsAnew => {}
        }
        self.inner.rename(from, to).await
    }
    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_directory(path).await?;
        let durable = if path == Path::new(OUTPUT) {
            std::mem::take(&mut *self.tries())
        } else {
            BTreeMap::new()
        };
        for pending in durable.keys() {
            self.inner.remove(pending).await?;
        }
        Ok(())
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

struct Insistent(Box<dyn File>);

#[async_trait]
impl File for Insistent {
    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes).await
    }
    async fn read_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        self.0.read_at(position, length).await
    }
    async fn sync(&mut self) -> io::Result<()> {
        match self.0.sync().await {
            Ok(()) => Ok(()),
            Err(_) => self.0.sync().await,
        }
    }
    async fn length(&self) -> io::Result<u64> {
        self.0.length().await
    }
}
