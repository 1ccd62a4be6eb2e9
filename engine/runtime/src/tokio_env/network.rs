//! Connections between nodes of one process: bounded queues of frames under names.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use seawall_env::{Connection, FrameReceiver, FrameSender, Listener, Network};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Frames in one direction that wait to be received; `send` waits beyond that.
const FRAMES_MAX: usize = 16;
/// Connections that wait to be accepted; `connect` waits beyond that.
const CONNECTIONS_MAX: usize = 64;

/// Listeners by name, shared by all nodes of the process. Cheap to clone.
#[derive(Clone, Default)]
pub struct InProcessNetwork {
    listeners: Arc<Mutex<BTreeMap<String, mpsc::Sender<Connection>>>>,
}

impl InProcessNetwork {
    /// A network without listeners.
    pub fn new() -> Self {
        Self::default()
    }

    fn listeners(&self) -> MutexGuard<'_, BTreeMap<String, mpsc::Sender<Connection>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Network for InProcessNetwork {
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        let (connections, incoming) = mpsc::channel(CONNECTIONS_MAX);
        let mut listeners = self.listeners();
        if listeners.get(address).is_some_and(|it| !it.is_closed()) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("{address} has a listener already"),
            ));
        }
        listeners.insert(address.to_owned(), connections);
        Ok(Box::new(InProcessListener { incoming }))
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        let refused = || {
            io::Error::new(io::ErrorKind::ConnectionRefused, format!("nobody listens at {address}"))
        };
        let listener = self.listeners().get(address).cloned().ok_or_else(refused)?;
        let (near, far) = pair();
        listener.send(far).await.map_err(|_| refused())?;
        Ok(near)
    }
}

struct InProcessListener {
    incoming: mpsc::Receiver<Connection>,
}

#[async_trait]
impl Listener for InProcessListener {
    async fn accept(&mut self) -> io::Result<Connection> {
        self.incoming
            .recv()
            .await
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "listener was replaced"))
    }
}

/// The two ends of one connection.
fn pair() -> (Connection, Connection) {
    let (request, requested) = mpsc::channel(FRAMES_MAX);
    let (answer, answered) = mpsc::channel(FRAMES_MAX);
    (end(request, answered), end(answer, requested))
}

fn end(sender: mpsc::Sender<Vec<u8>>, receiver: mpsc::Receiver<Vec<u8>>) -> Connection {
    Connection {
        sender: Box::new(InProcessSender(sender)),
        receiver: Box::new(InProcessReceiver(receiver)),
    }
}

struct InProcessSender(mpsc::Sender<Vec<u8>>);

fn nobody_receives() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the peer no longer receives")
}

#[async_trait]
impl FrameSender for InProcessSender {
    async fn send(&mut self, frame: Vec<u8>) -> io::Result<()> {
        self.0.send(frame).await.map_err(|_| nobody_receives())
    }

    fn try_send(&mut self, frame: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        match self.0.try_send(frame) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(frame)) => Ok(Some(frame)),
            Err(TrySendError::Closed(_)) => Err(nobody_receives()),
        }
    }
}

struct InProcessReceiver(mpsc::Receiver<Vec<u8>>);

#[async_trait]
impl FrameReceiver for InProcessReceiver {
    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.recv().await)
    }
}
