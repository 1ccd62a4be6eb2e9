//! The wall clock's view of a world, from a thread outside it.
//!
//! Everything in a world is virtual time, so nothing in it notices that a run takes an hour. This
//! thread does. It stops a run that takes too long, and it reports a task that does not return from a
//! poll, which nothing but the end of the process can stop.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Progress;

/// Looks this often, and sees a hang this late.
const LOOKS_PER_LIMIT: u32 = 20;

/// Watches one run, from [`Watchdog::start`] until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    ended: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Stops the run of `progress` after `limit` of wall time. When it does not even come to its next
    /// poll for another `limit`, `on_hang` gets the name of the task that holds it: print it and end
    /// the process. Call this outside the world.
    ///
    /// # Panics
    /// When the operating system refuses a thread.
    pub fn start(
        progress: Arc<Progress>,
        limit: Duration,
        on_hang: impl FnOnce(String) + Send + 'static,
    ) -> Self {
        let (ended, end) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || watch(&progress, limit, &end, on_hang))
            .expect("a thread can be started outside the world");
        Self { ended: Some(ended), thread: Some(thread) }
    }
}

fn watch(
    progress: &Progress,
    limit: Duration,
    end: &mpsc::Receiver<()>,
    on_hang: impl FnOnce(String),
) {
    let began = Instant::now();
    let mut polls = 0;
    let mut moved = began;
    while end.recv_timeout(limit / LOOKS_PER_LIMIT) == Err(RecvTimeoutError::Timeout) {
        if began.elapsed() > limit {
            progress.stop();
        }
        if progress.polls() != polls {
            polls = progress.polls();
            moved = Instant::now();
        } else if began.elapsed() > limit && moved.elapsed() > limit {
            on_hang(progress.running());
            return;
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.ended.take());
        if let Some(thread) = self.thread.take() {
            // A panic of `on_hang` was printed by its thread.
            let _ = thread.join();
        }
    }
}
