//! What madsim itself does, where the world relies on it or goes around it.
//!
//! A new version of madsim that fails one of these needs a look at `executor.rs`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use madsim::runtime::Runtime;
use madsim::{Config, time};

use crate::{Log, MILLISECOND, SECOND};

fn runtime(seed: u64) -> Runtime {
    Runtime::with_seed_and_config(seed, Config::default())
}

async fn yield_once() {
    let mut is_second = false;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut is_second, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[test]
fn an_hours_sleep_does_not_end_while_a_task_can_run() {
    let runtime = runtime(1);
    let node = runtime.create_node().build();
    runtime.block_on(async move {
        let polls = Arc::new(AtomicU64::new(0));
        let counted = polls.clone();
        node.spawn(async move {
            for _ in 0..100_000 {
                yield_once().await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        time::sleep(Duration::from_hours(1)).await;
        assert_eq!(polls.load(Ordering::Relaxed), 100_000);
    });
}

#[test]
fn a_poll_moves_the_clock_by_at_most_100_nanoseconds() {
    runtime(1).block_on(async {
        let before = Instant::now();
        for _ in 0..1_000 {
            yield_once().await;
        }
        assert!(before.elapsed() <= Duration::from_nanos(100 * 1_001), "{:?}", before.elapsed());
    });
}

#[test]
fn a_sleep_takes_a_millisecond_at_least_which_is_why_the_world_has_its_own() {
    runtime(1).block_on(async {
        let before = Instant::now();
        time::sleep(Duration::from_micros(1)).await;
        assert!(before.elapsed() >= MILLISECOND);
    });
}

struct SaysWhenDropped(Log);

impl Drop for SaysWhenDropped {
    fn drop(&mut self) {
        self.0.say("dropped");
    }
}

#[test]
fn the_tasks_of_a_killed_node_are_dropped_later_with_their_destructors() {
    let runtime = runtime(1);
    let node = runtime.create_node().build();
    let handle = runtime.handle().clone();
    runtime.block_on(async move {
        let log = Log::default();
        let held = SaysWhenDropped(log.clone());
        node.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        time::sleep(SECOND).await;
        handle.kill(node.id());
        assert!(log.lines().is_empty(), "not at once");
        time::sleep(SECOND).await;
        assert_eq!(log.lines(), ["dropped"]);
    });
}

#[test]
fn a_task_started_on_a_killed_node_never_runs() {
    let runtime = runtime(1);
    let node = runtime.create_node().build();
    let handle = runtime.handle().clone();
    runtime.block_on(async move {
        let log = Log::default();
        handle.kill(node.id());
        let said = log.clone();
        node.spawn(async move { said.say("ran") });
        time::sleep(SECOND).await;
        assert!(log.lines().is_empty());
    });
}

#[test]
fn a_paused_node_keeps_its_ready_tasks_and_runs_them_when_resumed() {
    let runtime = runtime(1);
    let node = runtime.create_node().build();
    let handle = runtime.handle().clone();
    runtime.block_on(async move {
        let log = Log::default();
        handle.pause(node.id());
        let said = log.clone();
        node.spawn(async move { said.say("ran") });
        time::sleep(SECOND).await;
        assert!(log.lines().is_empty());
        handle.resume(node.id());
        time::sleep(SECOND).await;
        assert_eq!(log.lines(), ["ran"]);
    });
}

#[test]
fn on_a_fresh_thread_the_order_of_a_hash_set_follows_from_the_seed() {
    let order = |seed: u64| {
        thread::spawn(move || {
            runtime(seed).block_on(async {
                let set: HashSet<u32> = (0..64).collect();
                set.into_iter().collect::<Vec<u32>>()
            })
        })
        .join()
        .unwrap()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}
