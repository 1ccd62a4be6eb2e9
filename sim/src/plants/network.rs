//! Planted bugs between the engine and its network.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use seawall_env::{Connection, FrameReceiver, FrameSender, Listener, Network};
use seawall_runtime::wire::{decode_message, encode_message};

/// A network that alters each connection which is made to a worker.
pub(super) struct ToWorkers {
    pub(super) inner: Arc<dyn Network>,
    pub(super) alter: fn(Connection) -> Connection,
}

#[async_trait]
impl Network for ToWorkers {
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        self.inner.listen(address).await
    }
    async fn connect(&self, address: &str) -> io::Result<Connection> {
        let connection = self.inner.connect(address).await?;
        let is_to_worker = address.starts_with("worker-");
        Ok(if is_to_worker { (self.alter)(connection) } else { connection })
    }
}

/// A frame never arrives.
pub(super) fn frame_lost(connection: Connection) -> Connection {
    with_mishap(connection, Mishap::Lost)
}

/// A frame arrives behind the one that was sent after it.
pub(super) fn frame_late(connection: Connection) -> Connection {
    with_mishap(connection, Mishap::Late)
}

/// The receiver's first word, which opens the channel, is heard before it is said.
pub(super) fn opening_taken_for_granted(connection: Connection) -> Connection {
    with_words(connection, Word::OpeningTakenForGranted)
}

/// Each batch of room that the receiver tells of is heard as eight.
pub(super) fn credit_eightfold(connection: Connection) -> Connection {
    with_words(connection, Word::CreditEightfold)
}

fn with_mishap(connection: Connection, what: Mishap) -> Connection {
    let sender = Unlucky { inner: connection.sender, what, sent: 0, late: None };
    Connection { sender: Box::new(sender), ..connection }
}

fn with_words(connection: Connection, what: Word) -> Connection {
    let receiver = Misheard { inner: connection.receiver, what, has_heard: false };
    Connection { receiver: Box::new(receiver), ..connection }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Lost,
    Late,
}

/// The frame to which it happens: late enough for the connection to be in use.
const UNLUCKY_FRAME: u32 = 20;

struct Unlucky {
    inner: Box<dyn FrameSender>,
    what: Mishap,
    sent: u32,
    late: Option<Vec<u8>>,
}

#[async_trait]
impl FrameSender for Unlucky {
    async fn send(&mut self, frame: Vec<u8>) -> io::Result<()> {
        self.sent += 1;
        if self.sent == UNLUCKY_FRAME {
            self.late = (self.what == Mishap::Late).then_some(frame);
            return Ok(());
        }
        self.inner.send(frame).await?;
        match self.late.take() {
            Some(late) => self.inner.send(late).await,
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    OpeningTakenForGranted,
    CreditEightfold,
}

struct Misheard {
    inner: Box<dyn FrameReceiver>,
    what: Word,
    has_heard: bool,
}

#[async_trait]
impl FrameReceiver for Misheard {
    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let is_first = !std::mem::replace(&mut self.has_heard, true);
        if self.what == Word::OpeningTakenForGranted {
            return if is_first { Ok(Some(word(0))) } else { self.inner.receive().await };
        }
        let frame = self.inner.receive().await?;
        Ok(frame.map(|it| decode_message(&it).map_or(it, |freed: u32| word(8 * freed))))
    }
}

fn word(freed: u32) -> Vec<u8> {
    encode_message(&freed)
}
