//! Planted bugs between the engine and its network.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use seawall_env::{Connection, FrameReceiver, FrameSender, Listener, Network};
use seawall_runtime::wire::{decode_message, encode_message};

/// A network to which something happens on each connection between workers, and goes on.
pub(super) struct Unreliable {
    pub(super) inner: Arc<dyn Network>,
    pub(super) what: Mishap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    /// A frame never arrives.
    Lost,
    /// A frame arrives behind the one that was sent after it.
    Late,
}

/// The frame to which it happens: late enough for the connection to be in use.
const UNLUCKY_FRAME: u32 = 20;

struct UnreliableSender {
    inner: Box<dyn FrameSender>,
    what: Mishap,
    sent: u32,
    late: Option<Vec<u8>>,
}

#[async_trait]
impl Network for Unreliable {
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        self.inner.listen(address).await
    }
    async fn connect(&self, address: &str) -> io::Result<Connection> {
        let Connection { sender, receiver } = self.inner.connect(address).await?;
        if !address.starts_with("worker-") {
            return Ok(Connection { sender, receiver });
        }
        let what = self.what;
        let sender = Box::new(UnreliableSender { inner: sender, what, sent: 0, late: None });
        Ok(Connection { sender, receiver })
    }
}

#[async_trait]
impl FrameSender for UnreliableSender {
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

/// A network on which the words of receivers to their senders are misheard.
pub(super) struct Words {
    pub(super) inner: Arc<dyn Network>,
    pub(super) what: Word,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The first one, which opens the channel, is heard before it is said.
    GivenForGranted,
    /// Each batch of room is eight.
    CountsEightfold,
}

struct Misheard {
    inner: Box<dyn FrameReceiver>,
    what: Word,
    has_heard: bool,
}

#[async_trait]
impl Network for Words {
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        self.inner.listen(address).await
    }
    async fn connect(&self, address: &str) -> io::Result<Connection> {
        let Connection { sender, receiver } = self.inner.connect(address).await?;
        if !address.starts_with("worker-") {
            return Ok(Connection { sender, receiver });
        }
        let receiver = Box::new(Misheard { inner: receiver, what: self.what, has_heard: false });
        Ok(Connection { sender, receiver })
    }
}

#[async_trait]
impl FrameReceiver for Misheard {
    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let is_first = !std::mem::replace(&mut self.has_heard, true);
        if self.what == Word::GivenForGranted {
            return if is_first { Ok(Some(word(0))) } else { self.inner.receive().await };
        }
        let frame = self.inner.receive().await?;
        Ok(frame.map(|it| decode_message(&it).map_or(it, |freed: u32| word(8 * freed))))
    }
}

fn word(freed: u32) -> Vec<u8> {
    encode_message(&freed)
}
