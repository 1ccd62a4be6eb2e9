//! The listening side: one task for each connection, one answer for each line.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::{Either, select};
use seawall::runtime::control::{Ask, Control, Reply};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::{LINE_MAX, address, socket};
use crate::error::CliError;

/// What the last answers are given to leave.
const LEAVE: Duration = Duration::from_secs(1);
const HINT: &str = "the job runs on, but nobody can ask it for a savepoint or to stop";

/// The open socket.
pub(crate) struct Listening {
    path: PathBuf,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// Opens the socket. To be called by the process that holds the lock on the directory, within a tokio
/// runtime: a socket that is there belongs to nobody.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn listen(
    root: &Path,
    control: Control,
    savepoints: Option<String>,
) -> Result<Listening, CliError> {
    let path = socket(root);
    let failed = || CliError::io("listen at", &path, HINT);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
        Ok(()) | Err(_) => {}
    }
    let (bound, _directory) = address(root)?;
    let listener = UnixListener::bind(bound).map_err(failed())?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed())?;
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(serve(listener, Answers { control, savepoints }, stopped));
    Ok(Listening { path, stop, serving })
}

impl Listening {
    /// Lets the last answers leave and removes the socket.
    pub(crate) async fn close(self) {
        // Nobody connects in vain any more; whoever is connected hears the end.
        let _ = fs::remove_file(&self.path);
        let _ = self.stop.send(());
        let _ = timeout(LEAVE, self.serving).await;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Answers {
    control: Control,
    /// Where savepoints go whose place is not named.
    savepoints: Option<String>,
}

impl Answers {
    async fn to(&self, mut ask: Ask) -> Reply {
        if let Ask::Savepoint { target } | Ask::Stop { target, .. } = &mut ask
            && target.is_none()
        {
            target.clone_from(&self.savepoints);
        }
        self.control.ask(ask).await
    }
}

async fn serve(listener: UnixListener, answers: Answers, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = Box::pin(listener.accept());
        match select(&mut stopped, accepted).await {
            Either::Left(_) => break,
            Either::Right((Ok((connection, _)), _)) => {
                connections.spawn(answer(connection, answers.clone()));
            }
            // Out of file descriptors, say; it passes.
            Either::Right((Err(_), _)) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

/// Answers one line. A connection that breaks concerns nobody else: what was asked goes on.
async fn answer(mut connection: UnixStream, answers: Answers) {
    let (reading, mut writing) = connection.split();
    let mut line = String::new();
    let read = BufReader::new(reading.take(LINE_MAX)).read_line(&mut line).await;
    if read.is_err() || line.is_empty() {
        return;
    }
    let reply = match serde_json::from_str::<Ask>(&line) {
        Ok(ask) => answers.to(ask).await,
        Err(error) => Reply::Refused { why: format!("this is nothing that can be asked: {error}") },
    };
    let mut line = serde_json::to_vec(&reply).expect("a reply has a JSON form");
    line.push(b'\n');
    let _ = writing.write_all(&line).await;
}
