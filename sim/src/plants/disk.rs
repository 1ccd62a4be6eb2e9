//! Planted bugs in what is asked of a disk.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use seawall_env::{Disk, Entry, File, Scratch};

use crate::workload::{OUTPUT, STORAGE};

/// A disk that is used wrongly.
pub(super) struct Misused {
    pub(super) inner: Arc<dyn Disk>,
    pub(super) how: Misuse,
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
        if self.how == Misuse::RecordInPlace && to == Path::new(STORAGE).join("record") {
            let bytes = self.inner.read(from).await?;
            let mut file = self.inner.create(to).await?;
            file.append(&bytes).await?;
            file.sync().await?;
            return self.inner.remove(from).await;
        }
        let is_commit = to.parent() == Some(Path::new(OUTPUT));
        if self.how == Misuse::KeepsTarget && is_commit && self.inner.open(to).await.is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.inner.rename(from, to).await
    }
    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_directory(path).await
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
