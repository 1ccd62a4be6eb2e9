//! An ordered queue of inputs with one receiver, for shells and subtasks.
//!
//! Deliberately not a channel of an async runtime: wake order here depends on nothing but the calls.
//! Pushing never waits; what is pushed is bounded by the protocol (a message, a timer or an answer for
//! each thing that is outstanding).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// The pushing side. Cheap to clone.
pub struct MailboxSender<T> {
    shared: Arc<Mutex<State<T>>>,
}

/// The receiving side.
pub struct Mailbox<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    queue: VecDeque<T>,
    receiver: Option<Waker>,
    senders: usize,
}

/// An empty mailbox.
pub fn mailbox<T>() -> (MailboxSender<T>, Mailbox<T>) {
    let shared = Arc::new(Mutex::new(State { queue: VecDeque::new(), receiver: None, senders: 1 }));
    (MailboxSender { shared: Arc::clone(&shared) }, Mailbox { shared })
}

impl<T> Clone for MailboxSender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for MailboxSender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.senders -= 1;
            if state.senders == 0 { state.receiver.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> MailboxSender<T> {
    /// Adds `value` at the end.
    pub fn push(&self, value: T) {
        let waker = {
            let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.queue.push_back(value);
            state.receiver.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> MailboxSender<T> {
    /// How many values were pushed and not received.
    pub fn waiting(&self) -> usize {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).queue.len()
    }
}

impl<T> Mailbox<T> {
    /// Whether nothing waits to be received.
    pub fn is_empty(&self) -> bool {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).queue.is_empty()
    }

    /// The next value, or `None` once all is received and no sender is left. Cancel safe.
    pub async fn receive(&mut self) -> Option<T> {
        poll_fn(|context| {
            let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(value) = state.queue.pop_front() {
                return Poll::Ready(Some(value));
            }
            if state.senders == 0 {
                return Poll::Ready(None);
            }
            state.receiver = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
