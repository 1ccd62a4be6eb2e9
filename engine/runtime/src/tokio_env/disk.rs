//! The operating system's files, with real syncs, on tokio's blocking threads.

use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_env::{Disk, Entry, File, Scratch};

/// Files as the operating system has them; relative paths start at the working directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

/// Runs blocking `work` where it blocks nobody. A caller that stops waiting does not stop the work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The path as the operating system wants it: the empty one means the working directory.
fn owned(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_path_buf() }
}

#[async_trait]
impl Disk for FileSystem {
    async fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let path = owned(path);
        let file = blocking(move || {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)
        });
        Ok(Box::new(OpenFile(Arc::new(file.await?))))
    }

    async fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let path = owned(path);
        let file = blocking(move || {
            let file = std::fs::File::open(path)?;
            if file.metadata()?.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
            }
            Ok(file)
        });
        Ok(Box::new(OpenFile(Arc::new(file.await?))))
    }

    async fn write(&self, path: &Path, chunks: Vec<Bytes>) -> io::Result<()> {
        let path = owned(path);
        blocking(move || {
            let mut file = std::fs::File::create(path)?;
            chunks.iter().try_for_each(|it| file.write_all(it))?;
            file.sync_all()
        })
        .await
    }

    async fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = owned(path);
        blocking(move || std::fs::read(path)).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (owned(from), owned(to));
        blocking(move || std::fs::rename(from, to)).await
    }

    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = owned(path);
        blocking(move || match std::fs::File::open(path)?.sync_all() {
            // Some file systems cannot sync a directory and keep names in their own way.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        })
        .await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = owned(path);
        blocking(move || std::fs::remove_file(path)).await
    }

    async fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let path = owned(path);
        blocking(move || std::fs::remove_dir(path)).await
    }

    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        let path = owned(path);
        blocking(move || std::fs::create_dir_all(path)).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let path = owned(path);
        blocking(move || {
            let mut entries = Vec::new();
            for entry in std::fs::read_dir(path)? {
                let path = entry?.path();
                match std::fs::metadata(&path) {
                    // A socket or a pipe holds no bytes: a running job's control socket, for one.
                    Ok(it) if !it.is_dir() && !it.is_file() => {}
                    Ok(it) => entries.push(Entry { path, is_directory: it.is_dir() }),
                    // A name that vanished since, or a link to nowhere, is no directory.
                    Err(_) => entries.push(Entry { path, is_directory: false }),
                }
            }
            entries.sort();
            Ok(entries)
        })
        .await
    }

    async fn scratch(&self, path: &Path) -> io::Result<Box<dyn Scratch>> {
        let path = owned(path);
        let file = blocking(move || {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create_new(true);
            loop {
                // Never a file that exists: it may be another process's, which has yet to remove the name.
                let opened = options.open(&path);
                let is_left_over =
                    matches!(&opened, Err(it) if it.kind() == io::ErrorKind::AlreadyExists);
                // From here on the file lives as long as its handle, whatever becomes of the process.
                match std::fs::remove_file(&path) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return opened.and(Err(error)),
                }
                if !is_left_over {
                    return opened;
                }
            }
        });
        Ok(Box::new(ScratchFile(file.await?)))
    }
}

/// A file whose name is already gone.
struct ScratchFile(std::fs::File);

#[async_trait]
impl Scratch for ScratchFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, position)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    /// The calls have taken their time.
    async fn settle(&self) {}
}

struct OpenFile(Arc<std::fs::File>);

#[async_trait]
impl File for OpenFile {
    async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (file, bytes) = (Arc::clone(&self.0), bytes.to_vec());
        blocking(move || (&*file).write_all(&bytes)).await
    }

    async fn read_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = Arc::clone(&self.0);
        blocking(move || {
            let rest = file.metadata()?.len().saturating_sub(position);
            let length = length.min(usize::try_from(rest).unwrap_or(usize::MAX));
            let mut bytes = vec![0; length];
            let mut filled = 0;
            while filled < length {
                match file.read_at(&mut bytes[filled..], position + filled as u64) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        })
        .await
    }

    async fn sync(&mut self) -> io::Result<()> {
        let file = Arc::clone(&self.0);
        blocking(move || file.sync_all()).await
    }

    async fn length(&self) -> io::Result<u64> {
        let file = Arc::clone(&self.0);
        blocking(move || Ok(file.metadata()?.len())).await
    }
}
