//! Ready tasks: how many were woken and not polled since.
//!
//! The executor tells that no task can run by the end of a sleep, which costs it a timer and a poll for each
//! moment of a world. Mostly one task waits for one frame, and goes on to wait for the next: who counts wakes
//! knows at once that time can move on.
//!
//! The count includes tasks of a paused node, and does not include tasks that are woken to be dropped. So it
//! says when time may move on, and leaves to the executor to say that nothing will ever happen.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};

/// The ready tasks of a world. One thread wakes and polls all of them.
#[derive(Default)]
pub(crate) struct Ready {
    count: AtomicUsize,
}

impl Ready {
    /// Whether no task waits to be polled.
    pub(crate) fn is_nobody(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn change(&self, by: impl FnOnce(usize) -> usize) {
        self.count.store(by(self.count.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

/// One task's part in the count; a new task is ready.
pub(crate) struct Counted {
    wakes: Arc<Wakes>,
    waker: Waker,
}

struct Wakes {
    ready: Arc<Ready>,
    /// It will be polled, and is counted; or it is over, and is not.
    is_woken: AtomicBool,
    executor: OnceLock<Waker>,
}

impl Counted {
    pub(crate) fn new(ready: &Arc<Ready>) -> Self {
        ready.change(|it| it + 1);
        let (ready, executor) = (Arc::clone(ready), OnceLock::new());
        let wakes = Arc::new(Wakes { ready, is_woken: AtomicBool::new(true), executor });
        Self { waker: Waker::from(Arc::clone(&wakes)), wakes }
    }

    /// The executor polls the task, which is to be polled with this waker.
    pub(crate) fn on_poll(&self, context: &Context<'_>) -> &Waker {
        self.wakes.executor.get_or_init(|| context.waker().clone());
        if self.wakes.set_woken(false) {
            self.wakes.ready.change(|it| it - 1);
        }
        &self.waker
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.wakes.set_woken(true) {
            self.wakes.ready.change(|it| it - 1);
        }
    }
}

impl Wakes {
    /// Whether it was.
    fn set_woken(&self, is_woken: bool) -> bool {
        let was_woken = self.is_woken.load(Ordering::Relaxed);
        self.is_woken.store(is_woken, Ordering::Relaxed);
        was_woken
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.set_woken(true) {
            return;
        }
        self.ready.change(|it| it + 1);
        if let Some(executor) = self.executor.get() {
            executor.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled(counted: &Counted) -> Waker {
        counted.on_poll(&Context::from_waker(Waker::noop())).clone()
    }

    #[test]
    fn a_task_is_ready_from_its_first_wake_to_its_poll() {
        let ready = Arc::new(Ready::default());
        let task = Counted::new(&ready);
        assert!(!ready.is_nobody(), "a new task was not polled yet");
        let waker = polled(&task);
        assert!(ready.is_nobody());
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(!ready.is_nobody());
        polled(&task);
        assert!(ready.is_nobody(), "two wakes are one poll");
    }

    #[test]
    fn a_task_that_is_over_is_not_ready_whoever_wakes_it() {
        let ready = Arc::new(Ready::default());
        let (woken, waiting) = (Counted::new(&ready), Counted::new(&ready));
        let wakers = [polled(&woken), polled(&waiting)];
        wakers[0].wake_by_ref();
        drop((woken, waiting));
        assert!(ready.is_nobody());
        wakers.into_iter().for_each(Waker::wake);
        assert!(ready.is_nobody());
    }
}
