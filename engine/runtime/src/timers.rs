//! Named timers of a core, on the clock of a node.
//!
//! One sleeping task serves all timers. It wakes no earlier than needed and no more often than deadlines
//! move forward, because the most frequent operation is to put off a timer that never fires.
//!
//! A timer that fired and was then armed again or disarmed is stale: [`Timers::take`] tells, at the
//! moment the driver handles it, so a timer in the driver's queue never outlives its meaning.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::{Either, select};
use seawall_env::{Clock, Env, TaskHandle};
use seawall_probe::{buggify, sometimes};

use crate::channel::yield_now;

/// A timer that reached its deadline; [`Timers::take`] says whether it still means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired<T> {
    timer: T,
    arming: u64,
}

/// The timers of one core. Dropping them disarms all.
pub struct Timers<T> {
    shared: Arc<Shared<T>>,
    clock: Arc<dyn Clock>,
    sleeper: Box<dyn TaskHandle>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    armed: BTreeMap<T, Armed>,
    /// Numbers the calls of `arm`, so that a timer armed again is told from its former self.
    armings: u64,
    /// When the sleeper wakes by itself; `None` while it waits to be woken.
    sleeps_until: Option<Duration>,
    is_woken: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy)]
struct Armed {
    deadline: Duration,
    arming: u64,
    has_fired: bool,
}

impl<T: Ord + Copy + Send + 'static> Timers<T> {
    /// Timers on the clock of `env`. `on_fired` is called once for each timer that reaches its deadline,
    /// in order of deadlines, then of arming; it must not block.
    pub fn new(env: &Env, on_fired: impl Fn(Fired<T>) + Send + Sync + 'static) -> Self {
        let state = State {
            armed: BTreeMap::new(),
            armings: 0,
            sleeps_until: None,
            is_woken: false,
            waker: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let clock = Arc::clone(&env.clock);
        let sleeper = env.spawn("timers", sleep(Arc::clone(&shared), Arc::clone(&clock), on_fired));
        Self { shared, clock, sleeper }
    }

    /// Arms the timer to fire after `duration`; one that is armed is replaced.
    pub fn arm(&self, timer: T, duration: Duration) {
        let deadline = self.clock.now().saturating_add(duration);
        let waker = {
            let mut state = self.shared.lock();
            state.armings += 1;
            let arming = state.armings;
            state.armed.insert(timer, Armed { deadline, arming, has_fired: false });
            let is_earlier = state.sleeps_until.is_none_or(|it| deadline < it);
            if is_earlier { state.wake() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Disarms the timer; fine when it is not armed.
    pub fn disarm(&self, timer: T) {
        // The sleeper finds out when it wakes.
        self.shared.lock().armed.remove(&timer);
    }

    /// The timer, if nothing has replaced or disarmed it since it fired.
    pub fn take(&self, fired: Fired<T>) -> Option<T> {
        let mut state = self.shared.lock();
        let is_current = state.armed.get(&fired.timer).is_some_and(|it| it.arming == fired.arming);
        sometimes!(!is_current, TimerIsOutdated);
        if is_current {
            state.armed.remove(&fired.timer);
        }
        is_current.then_some(fired.timer)
    }
}

impl<T> Drop for Timers<T> {
    fn drop(&mut self) {
        self.sleeper.abort();
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn wake(&mut self) -> Option<Waker> {
        self.is_woken = true;
        self.waker.take()
    }
}

impl<T: Ord + Copy> State<T> {
    /// Marks and returns what is due, and notes when to look again.
    fn fire(&mut self, now: Duration) -> Vec<Fired<T>> {
        let mut due = Vec::new();
        self.sleeps_until = None;
        for (timer, armed) in &mut self.armed {
            if armed.has_fired {
                continue;
            }
            if armed.deadline <= now {
                armed.has_fired = true;
                due.push((armed.deadline, armed.arming, *timer));
            } else if self.sleeps_until.is_none_or(|it| armed.deadline < it) {
                self.sleeps_until = Some(armed.deadline);
            }
        }
        due.sort_unstable_by_key(|(deadline, arming, _)| (*deadline, *arming));
        due.into_iter().map(|(_, arming, timer)| Fired { timer, arming }).collect()
    }
}

async fn sleep<T: Ord + Copy>(
    shared: Arc<Shared<T>>,
    clock: Arc<dyn Clock>,
    on_fired: impl Fn(Fired<T>),
) {
    loop {
        let now = clock.now();
        let (due, sleeps_until) = {
            let mut state = shared.lock();
            (state.fire(now), state.sleeps_until)
        };
        if !due.is_empty() && buggify!(TimersLate) {
            yield_now().await;
        }
        for fired in due {
            on_fired(fired);
        }
        let woken = pin!(woken(&shared));
        match sleeps_until {
            None => woken.await,
            Some(deadline) => {
                match select(woken, clock.sleep(deadline.saturating_sub(now))).await {
                    Either::Left(((), _)) | Either::Right(((), _)) => {}
                }
            }
        }
    }
}

fn woken<T>(shared: &Shared<T>) -> impl Future<Output = ()> {
    poll_fn(|context: &mut Context<'_>| {
        let mut state = shared.lock();
        if std::mem::take(&mut state.is_woken) {
            Poll::Ready(())
        } else {
            state.waker = Some(context.waker().clone());
            Poll::Pending
        }
    })
}
