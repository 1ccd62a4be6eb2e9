//! The world the engine stands on: clock, network, disk, spawn, entropy, observer.
//!
//! Each is a small trait at the granularity of I/O, never of a record. The production world is in
//! `seawall-runtime`, the simulated one in `seawall-sim`; the contract tests of `seawall-runtime` run
//! against both.
//!
//! Deliberately absent: wall-clock time. No decision compares the clocks of two machines (A8).

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_protocol::event::Event;
use seawall_protocol::tamper::Tamper;

/// A boxed future, as trait objects need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One node's view of the world. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Connections to other nodes.
    pub network: Arc<dyn Network>,
    /// Concurrency.
    pub spawner: Arc<dyn Spawn>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where events go.
    pub observer: Arc<dyn Observer>,
    /// What sits between the cores and their drivers: [`seawall_protocol::tamper::Honest`] in production.
    pub tamper: Arc<dyn Tamper>,
}

impl Env {
    /// Runs `task` concurrently. Dropping the handle does not stop it.
    pub fn spawn(
        &self,
        name: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Box<dyn TaskHandle> {
        self.spawner.spawn(name, Box::pin(task))
    }

    /// Reports an event and gives the world a chance to act on it (to crash this node, say) before the
    /// caller's next step.
    pub async fn emit(&self, event: Event) {
        if self.observer.observe(event) == Reaction::Yield {
            self.observer.settle().await;
        }
    }
}

/// A node's monotonic clock. It may jump forward and drift, never back.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Time since an arbitrary origin of this node.
    fn now(&self) -> Duration;
    /// Completes once at least `duration` has passed.
    async fn sleep(&self, duration: Duration);
}

/// What the world asks of the reporter of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Continue,
    /// To await [`Observer::settle`] before the next step.
    Yield,
}

/// Receives events.
#[async_trait]
pub trait Observer: Send + Sync {
    /// Records `event`. Must not block.
    fn observe(&self, event: Event) -> Reaction;
    /// Completes when the world has acted; never, on a node that has crashed.
    async fn settle(&self);
}

/// Runs futures concurrently.
pub trait Spawn: Send + Sync {
    /// Starts `task` under a name for people.
    fn spawn(&self, name: &str, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle>;
}

/// A running task.
pub trait TaskHandle: Send + Sync {
    /// Stops the task at its next suspension point.
    fn abort(&self);
}

/// Random numbers.
pub trait Entropy: Send + Sync {
    /// A uniformly distributed number.
    fn next_u64(&self) -> u64;
}

/// Ordered connections that carry frames.
///
/// What was sent arrives once and in order, or the connection breaks. A connection may hang, and a
/// peer that loses power is silence: nothing but a timeout tells it from a slow one. Buffers are
/// bounded: `send` waits while the receiver does not receive.
#[async_trait]
pub trait Network: Send + Sync {
    /// Accepts connections at `address`, which is a name of the world ("coordinator", "worker-1").
    ///
    /// # Errors
    /// `AddrInUse` when a listener of this name is open.
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>>;
    /// Connects to the listener at `address`.
    ///
    /// # Errors
    /// `ConnectionRefused` when the node is there and nobody listens. May hang when it is not.
    async fn connect(&self, address: &str) -> io::Result<Connection>;
}

/// Accepts connections until dropped.
#[async_trait]
pub trait Listener: Send + Sync {
    /// The next connection.
    ///
    /// # Errors
    /// When the listener can accept no more.
    async fn accept(&mut self) -> io::Result<Connection>;
}

/// Both directions of a connection. Dropping a half closes that direction.
pub struct Connection {
    /// The sending half.
    pub sender: Box<dyn FrameSender>,
    /// The receiving half.
    pub receiver: Box<dyn FrameReceiver>,
}

/// Sends frames.
#[async_trait]
pub trait FrameSender: Send + Sync {
    /// Queues `frame`; waits while the bounded buffer is full. Success promises nothing about arrival.
    ///
    /// # Errors
    /// `BrokenPipe` or `ConnectionReset` when the connection is known to be broken.
    async fn send(&mut self, frame: Vec<u8>) -> io::Result<()>;
    /// Queues `frame` if that needs no waiting, and hands it back if it does, or may.
    ///
    /// # Errors
    /// As [`FrameSender::send`].
    fn try_send(&mut self, frame: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        Ok(Some(frame))
    }
}

/// Receives frames. Cancel safe: dropping the future of `receive` loses no frame.
#[async_trait]
pub trait FrameReceiver: Send + Sync {
    /// The next frame, or `None` after the peer closed its sending half in order.
    ///
    /// # Errors
    /// `ConnectionReset` when the connection broke.
    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>>;
}

/// Bytes that [`Disk::write`] appends at once; others run in between.
const APPEND_BYTES: usize = 1024 * 1024;

/// A file system.
///
/// Nothing is durable before a sync: bytes after [`File::sync`], names (created, renamed, removed)
/// after [`Disk::sync_directory`] of their directory. A crash keeps any part of what was not synced.
/// A rename is atomic: the target is the old file or the new one.
#[async_trait]
pub trait Disk: Send + Sync {
    /// Creates `path` for appending; an existing file is truncated. Parent directories must exist.
    ///
    /// # Errors
    /// As the file system says: `NotFound`, `PermissionDenied`, `StorageFull`, others.
    async fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens `path` for reading.
    ///
    /// # Errors
    /// `NotFound` and others.
    async fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Creates `path` with these bytes and makes them durable; the name is not. As [`Disk::create`],
    /// [`File::append`] and [`File::sync`] in one step, which a disk may take without coming back between.
    ///
    /// # Errors
    /// As those three; a part may have been written.
    async fn write(&self, path: &Path, chunks: Vec<Bytes>) -> io::Result<()> {
        let mut file = self.create(path).await?;
        for bytes in chunks.iter().flat_map(|it| it.chunks(APPEND_BYTES)) {
            file.append(bytes).await?;
        }
        file.sync().await
    }
    /// All bytes of a file: [`Disk::open`], [`File::length`] and [`File::read_at`] in one step.
    ///
    /// # Errors
    /// As those three.
    async fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path).await?;
        let length = usize::try_from(file.length().await?).map_err(io::Error::other)?;
        file.read_at(0, length).await
    }
    /// Renames a file, replacing the target.
    ///
    /// # Errors
    /// `NotFound` and others.
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in `path` durable.
    ///
    /// # Errors
    /// As the file system says.
    async fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` and others.
    async fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotFound`, `DirectoryNotEmpty` and others.
    async fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents; fine when they exist.
    ///
    /// # Errors
    /// As the file system says.
    async fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// The files and directories in it, sorted by path; nothing else, such as sockets. A listing may be
    /// stale (R3).
    ///
    /// # Errors
    /// `NotFound` and others.
    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Opens an empty scratch file, creating the parents of `path` where they are missing. The path says
    /// on which disk it is and is shown in errors; nobody finds the file there.
    ///
    /// # Errors
    /// As the file system says.
    async fn scratch(&self, path: &Path) -> io::Result<Box<dyn Scratch>>;
}

/// A file for what may be lost: it has no name, and is gone with its handle, its process or the power.
///
/// Reads and writes may be anywhere in it and do not await, as the stores that use it do not. The time
/// they should have taken is a debt; whoever uses the file pays it at its next suspension point.
#[async_trait]
pub trait Scratch: Send + Sync {
    /// Length in bytes.
    ///
    /// # Errors
    /// As the file system says.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or extends the file; what is new is zero.
    ///
    /// # Errors
    /// `StorageFull` and others.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Fills `into` from `position`.
    ///
    /// # Errors
    /// `UnexpectedEof` behind the end, and others.
    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `position`, extending the file where needed.
    ///
    /// # Errors
    /// `StorageFull` and others; a part may have been written.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits for the time that the calls so far have not taken.
    async fn settle(&self);
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Where.
    pub path: PathBuf,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// An open file.
#[async_trait]
pub trait File: Send + Sync {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// `StorageFull` and others; a part may have been written.
    async fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to `length` bytes at `position`; fewer only at the end of the file.
    ///
    /// # Errors
    /// As the file system says.
    async fn read_at(&self, position: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Makes all appended bytes durable. After an error nothing is known about them; do not retry.
    ///
    /// # Errors
    /// As the file system says.
    async fn sync(&mut self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// As the file system says.
    async fn length(&self) -> io::Result<u64>;
}
