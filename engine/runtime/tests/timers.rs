//! Timers on a real clock.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_env::Env;
use seawall_runtime::timers::{Fired, Timers};
use seawall_runtime::tokio_env::{self, InProcessNetwork, Unobserved};

type Log = Arc<Mutex<Vec<Fired<&'static str>>>>;

fn timers() -> (Env, Timers<&'static str>, Log) {
    let env = tokio_env::env(Arc::new(InProcessNetwork::new()), Arc::new(Unobserved));
    let log = Log::default();
    let sink = Arc::clone(&log);
    let timers = Timers::new(&env, move |fired| sink.lock().unwrap().push(fired));
    (env, timers, log)
}

fn taken(timers: &Timers<&'static str>, log: &Log) -> Vec<&'static str> {
    log.lock().unwrap().drain(..).filter_map(|it| timers.take(it)).collect()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test]
async fn timers_fire_in_the_order_of_their_deadlines() {
    let (env, timers, log) = timers();
    timers.arm("late", ms(60));
    env.clock.sleep(ms(5)).await;
    timers.arm("early", ms(10));
    timers.arm("middle", ms(30));
    env.clock.sleep(ms(150)).await;
    assert_eq!(taken(&timers, &log), ["early", "middle", "late"]);
}

#[tokio::test]
async fn a_disarmed_timer_does_not_fire() {
    let (env, timers, log) = timers();
    timers.arm("a", ms(10));
    timers.arm("b", ms(20));
    timers.disarm("a");
    env.clock.sleep(ms(100)).await;
    assert_eq!(taken(&timers, &log), ["b"]);
}

#[tokio::test]
async fn a_timer_put_off_fires_once_at_its_new_deadline() {
    let (env, timers, log) = timers();
    timers.arm("a", ms(20));
    timers.arm("a", ms(150));
    env.clock.sleep(ms(60)).await;
    assert_eq!(taken(&timers, &log), Vec::<&str>::new());
    env.clock.sleep(ms(150)).await;
    assert_eq!(taken(&timers, &log), ["a"]);
}

// Rules: B12
#[tokio::test]
async fn a_timer_that_fired_and_was_armed_again_is_stale() {
    let (env, timers, log) = timers();
    timers.arm("a", ms(5));
    env.clock.sleep(ms(50)).await;
    assert_eq!(log.lock().unwrap().len(), 1);
    timers.arm("a", ms(20));
    assert_eq!(taken(&timers, &log), Vec::<&str>::new());
    env.clock.sleep(ms(80)).await;
    assert_eq!(taken(&timers, &log), ["a"]);
}

#[tokio::test]
async fn a_timer_can_be_armed_again_from_its_own_firing() {
    let (env, timers, log) = timers();
    for round in 0..3 {
        timers.arm("a", ms(5));
        env.clock.sleep(ms(50)).await;
        assert_eq!(taken(&timers, &log), ["a"], "round {round}");
    }
}
