//! How a person or a program talks to a running job: what can be asked, and what is answered.
//!
//! ```text
//! whoever asks ── Ask ──> Control ──> coordinator (the core decides) ── Reply ──> whoever asks
//! ```
//!
//! The types are the whole protocol; a transport carries them as JSON, one line each, and adds nothing.
//! The program `seawall` does so over a socket in the job's data directory.
//!
//! Deliberately absent: who may ask. Whoever can open the socket can; the file system decides.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::mailbox::{MailboxSender, mailbox};

/// What can be asked of a running job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// A checkpoint now.
    Checkpoint,
    /// A savepoint now.
    Savepoint {
        /// The directory or URL below which it is written; the data directory when it is not given.
        target: Option<String>,
    },
    /// A savepoint, and the end of the job when its transactions are committed.
    Stop {
        /// Whether the input counts as ended first.
        drain: bool,
        /// As for a savepoint.
        target: Option<String>,
    },
    /// The end of the job, at once.
    Cancel,
    /// The job goes on with another parallelism.
    Rescale {
        /// Subtasks of every operator.
        parallelism: u32,
    },
}

/// What is answered, once for each [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Reply {
    /// It is done.
    Completed {
        /// The checkpoint or savepoint, if one was taken.
        checkpoint: Option<u64>,
        /// Where the savepoint is.
        savepoint: Option<String>,
    },
    /// The checkpoint or savepoint was given up; the job goes on.
    Aborted {
        /// Which.
        checkpoint: u64,
        /// The name of the reason, for programs.
        reason: String,
        /// The reason in words.
        why: String,
    },
    /// It never began.
    Refused {
        /// Why.
        why: String,
    },
    /// The job runs with the parallelism that was asked for.
    Rescaled {
        /// Subtasks of every operator.
        parallelism: u32,
    },
    /// The job ended first; what was asked may have been done or not.
    Ended,
}

/// Something asked, and the way back.
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) reply: MailboxSender<Reply>,
}

type Deliver = Box<dyn Fn(Asked) + Send>;

/// The line to a job's coordinator, as long as one leads here. Cheap to clone.
#[derive(Clone, Default)]
pub struct Control {
    deliver: Arc<Mutex<Option<Deliver>>>,
}

impl Control {
    /// Asks, and waits for the answer.
    pub async fn ask(&self, ask: Ask) -> Reply {
        let (reply, mut answer) = mailbox();
        if let Some(deliver) = self.lock().as_ref() {
            deliver(Asked { ask, reply });
        } else {
            drop(reply);
        }
        // Nobody holds the way back any more: the job ended.
        answer.receive().await.unwrap_or(Reply::Ended)
    }

    /// From now on what is asked goes to `deliver`, until the result is dropped.
    pub(crate) fn attach(&self, deliver: impl Fn(Asked) + Send + 'static) -> Attached {
        *self.lock() = Some(Box::new(deliver));
        Attached(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Deliver>> {
        self.deliver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

/// Detaches the coordinator when dropped.
pub(crate) struct Attached(Control);

impl Drop for Attached {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
