//! Crash, restart, pause and exit of nodes.

use std::path::Path;
use std::sync::Arc;

use seawall_env::Env;
use seawall_sim::world::View;

use crate::{Log, MILLISECOND, SECOND, env, program, run};

#[test]
fn a_crashed_node_runs_nothing_until_it_is_restarted_and_then_from_its_beginning() {
    run(1, |world| async move {
        let log = Log::default();
        let said = log.clone();
        let ticks = program(move |env: Env| {
            let log = said.clone();
            async move {
                log.say("start");
                loop {
                    env.clock.sleep(SECOND).await;
                    log.say("tick");
                }
            }
        });
        world.start("worker-1", ticks);
        world.sleep(MILLISECOND * 1_500).await;
        world.crash("worker-1");
        assert!(!world.is_up("worker-1"));
        world.sleep(SECOND * 10).await;
        world.restart("worker-1");
        assert!(world.is_up("worker-1"));
        assert_eq!(world.incarnation("worker-1"), 2);
        world.sleep(MILLISECOND * 1_500).await;
        assert_eq!(log.lines(), ["start", "tick", "start", "tick"]);
    });
}

/// Tries, when dropped, what a buffered writer tries.
struct FlushesWhenDropped {
    env: Env,
    log: Log,
    sender: Option<Box<dyn seawall_env::FrameSender>>,
}

impl Drop for FlushesWhenDropped {
    fn drop(&mut self) {
        self.log.say("dropped");
        let (env, log) = (self.env.clone(), self.log.clone());
        self.env.spawn("flushes", async move {
            log.say("spawned by a destructor");
            let mut file = env.disk.create(Path::new("late")).await.unwrap();
            file.append(b"late").await.unwrap();
        });
        drop(self.sender.take());
    }
}

#[test]
fn a_destructor_that_runs_after_a_crash_writes_nothing_and_says_nothing() {
    run(1, |world| async move {
        let log = Log::default();
        let mut listener = env(&world, "peer").network.listen("peer").await.unwrap();
        let said = log.clone();
        let holds = program(move |env: Env| {
            let log = said.clone();
            async move {
                let connection = env.network.connect("peer").await.unwrap();
                let sender = Some(connection.sender);
                let _flushes = FlushesWhenDropped { env: env.clone(), log, sender };
                env.clock.sleep(SECOND * 1_000).await;
            }
        });
        world.start("worker-1", holds);
        let mut connection = listener.accept().await.unwrap();
        world.sleep(SECOND).await;
        world.crash("worker-1");
        world.restart("worker-1");
        let silence = futures_util::future::select(
            connection.receiver.receive(),
            Box::pin(world.sleep(SECOND * 100)),
        );
        let is_silent = matches!(silence.await, futures_util::future::Either::Right(_));
        assert!(is_silent, "the peer heard something from a machine without power");
        assert_eq!(log.lines(), ["dropped"], "the destructor did run, and had no effect");
        assert!(world.disk().paths(View::Visible).is_empty());
    });
}

#[test]
fn a_handle_of_a_former_incarnation_does_nothing_after_the_restart() {
    run(1, |world| async move {
        let former = env(&world, "worker-1");
        world.crash("worker-1");
        world.restart("worker-1");
        let attempt = async {
            former.disk.create(Path::new("zombie")).await.unwrap();
        };
        let attempt =
            futures_util::future::select(Box::pin(attempt), Box::pin(world.sleep(SECOND * 100)));
        assert!(matches!(attempt.await, futures_util::future::Either::Right(_)));
        assert!(world.disk().paths(View::Visible).is_empty());
    });
}

#[test]
fn a_paused_node_stands_still_and_its_pending_writes_land_when_it_goes_on() {
    run(1, |world| async move {
        let writes = program(move |env: Env| async move {
            let mut file = env.disk.create(Path::new("log")).await.unwrap();
            loop {
                file.append(b"x").await.unwrap();
                env.clock.sleep(SECOND).await;
            }
        });
        world.start("worker-1", writes);
        world.sleep(MILLISECOND * 3_500).await;
        world.pause("worker-1");
        let length =
            |world: &seawall_sim::world::World| world.disk().read(View::Visible, Path::new("log"));
        let before = length(&world);
        world.sleep(SECOND * 100).await;
        assert_eq!(length(&world), before);
        assert!(world.is_up("worker-1"));
        world.resume("worker-1");
        world.sleep(MILLISECOND * 1_500).await;
        let after = length(&world).unwrap().len();
        assert!(after > before.unwrap().len() && after < 10, "{after}");
    });
}

#[test]
fn a_paused_node_can_crash_and_come_back() {
    run(1, |world| async move {
        let log = Log::default();
        let said = log.clone();
        let starts = program(move |env: Env| {
            let log = said.clone();
            async move {
                log.say("start");
                env.clock.sleep(SECOND * 1_000).await;
            }
        });
        world.start("worker-1", starts);
        world.sleep(SECOND).await;
        world.pause("worker-1");
        world.crash("worker-1");
        world.resume("worker-1");
        world.restart("worker-1");
        world.sleep(SECOND).await;
        assert_eq!(log.lines(), ["start", "start"]);
    });
}

#[test]
fn when_a_program_returns_its_tasks_stop_and_its_connections_end_in_order() {
    run(1, |world| async move {
        let log = Log::default();
        let mut listener = env(&world, "peer").network.listen("peer").await.unwrap();
        let said = log.clone();
        let returns = program(move |env: Env| {
            let log = said.clone();
            async move {
                let connection = env.network.connect("peer").await.unwrap();
                let clock = env.clock.clone();
                env.spawn("child", async move {
                    let _held = connection;
                    loop {
                        clock.sleep(SECOND).await;
                        log.say("tick");
                    }
                });
                env.clock.sleep(MILLISECOND * 1_500).await;
            }
        });
        world.start("worker-1", returns);
        let mut connection = listener.accept().await.unwrap();
        assert_eq!(connection.receiver.receive().await.unwrap(), None);
        assert!(!world.is_up("worker-1"));
        world.sleep(SECOND * 10).await;
        assert_eq!(log.lines(), ["tick"]);
        let refused = env(&world, "peer").network.connect("worker-1").await;
        assert_eq!(refused.err().unwrap().kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_crash_from_inside_a_task_ends_that_task_at_its_next_suspension() {
    run(1, |world| async move {
        let log = Log::default();
        let (said, inside) = (log.clone(), Arc::new(world.clone()));
        let crashes = program(move |env: Env| {
            let (log, world) = (said.clone(), inside.clone());
            async move {
                world.crash("worker-1");
                log.say("still in the same poll");
                env.clock.sleep(MILLISECOND).await;
                log.say("never");
            }
        });
        world.start("worker-1", crashes);
        world.sleep(SECOND).await;
        assert_eq!(log.lines(), ["still in the same poll"]);
    });
}

#[test]
fn each_incarnation_draws_its_own_entropy() {
    run(1, |world| async move {
        let first = env(&world, "worker-1").entropy.next_u64();
        let other = env(&world, "worker-2").entropy.next_u64();
        world.crash("worker-1");
        world.restart("worker-1");
        let second = env(&world, "worker-1").entropy.next_u64();
        assert!(first != other && first != second && other != second);
    });
}

#[test]
fn a_process_that_ends_closes_its_connections_and_leaves_what_it_wrote() {
    run(1, |world| async move {
        let mut listener = env(&world, "peer").network.listen("peer").await.unwrap();
        let writes = program(move |env: Env| async move {
            let _connection = env.network.connect("peer").await.unwrap();
            let mut file = env.disk.create(Path::new("unsynced")).await.unwrap();
            file.append(b"bytes").await.unwrap();
            std::future::pending::<()>().await;
        });
        world.start("worker-1", writes);
        let mut connection = listener.accept().await.unwrap();
        world.sleep(SECOND).await;
        world.end_process("worker-1");
        assert_eq!(connection.receiver.receive().await.unwrap(), None);
        assert!(!world.is_up("worker-1"));
        assert_eq!(world.disk().read(View::Visible, Path::new("unsynced")).unwrap(), b"bytes");
        world.restart("worker-1");
        assert!(world.is_up("worker-1"));
        world.crash("worker-1");
    });
}

/// Counts to ten, a poll for each number.
fn counts(log: &Log) -> seawall_sim::world::Program {
    let said = log.clone();
    program(move |env: Env| {
        let log = said.clone();
        async move {
            for number in 1..=10 {
                seawall_runtime::channel::yield_now().await;
                log.say(format!("{number} at {}", env.clock.now().as_millis()));
            }
        }
    })
}

#[test]
fn on_a_slow_processor_each_poll_begins_late_and_on_others_not() {
    run(1, |world| async move {
        let (slow, fast) = (Log::default(), Log::default());
        world.set_slow_cpu("slow", Some(MILLISECOND * 10));
        world.start("slow", counts(&slow));
        world.start("fast", counts(&fast));
        world.sleep(MILLISECOND * 25).await;
        assert_eq!(fast.lines().len(), 10);
        assert_eq!(slow.lines(), ["1 at 20"]);
        world.sleep(SECOND).await;
        assert_eq!(slow.lines().last().unwrap(), "10 at 110");
    });
}

#[test]
fn a_processor_that_is_healed_is_as_fast_as_ever() {
    run(1, |world| async move {
        let log = Log::default();
        world.set_slow_cpu("slow", Some(MILLISECOND * 10));
        world.start("slow", counts(&log));
        world.sleep(MILLISECOND * 25).await;
        world.heal_all();
        world.sleep(MILLISECOND * 10).await;
        assert_eq!(log.lines().len(), 10);
    });
}

#[test]
fn a_node_with_a_slow_processor_can_be_paused_and_crash_and_is_slow_after_its_restart() {
    run(1, |world| async move {
        let log = Log::default();
        world.set_slow_cpu("slow", Some(MILLISECOND * 10));
        world.start("slow", counts(&log));
        world.sleep(MILLISECOND * 25).await;
        world.pause("slow");
        world.sleep(SECOND).await;
        assert_eq!(log.lines(), ["1 at 20"]);
        world.resume("slow");
        world.sleep(MILLISECOND * 25).await;
        assert_eq!(log.lines().len(), 4, "{:?}", log.lines());
        world.crash("slow");
        world.sleep(SECOND).await;
        assert_eq!(log.lines().len(), 4);
        assert_eq!(world.stats().timers, 0, "a task that died waits for nothing");
        world.restart("slow");
        world.sleep(MILLISECOND * 25).await;
        assert_eq!(log.lines().len(), 5);
    });
}

#[test]
fn a_task_that_waits_for_its_turn_hears_what_came_meanwhile_and_can_be_ended() {
    run(1, |world| async move {
        let node = env(&world, "slow");
        let mut listener = node.network.listen("slow").await.unwrap();
        let mut client = env(&world, "client").network.connect("slow").await.unwrap();
        let mut connection = listener.accept().await.unwrap();
        world.set_slow_cpu("slow", Some(SECOND));
        let (log, clock) = (Log::default(), node.clock.clone());
        let said = log.clone();
        let receives = node.spawn("receives", async move {
            while let Ok(Some(frame)) = connection.receiver.receive().await {
                said.say(format!("{frame:?} at {}", clock.now().as_secs()));
            }
        });
        for number in 0..3 {
            client.sender.send(vec![number]).await.unwrap();
            world.sleep(MILLISECOND * 100).await;
        }
        world.sleep(SECOND).await;
        assert_eq!(log.lines(), ["[0] at 1", "[1] at 1", "[2] at 1"]);
        client.sender.send(vec![3]).await.unwrap();
        world.sleep(MILLISECOND * 500).await;
        receives.abort();
        world.sleep(SECOND * 10).await;
        assert_eq!(log.lines().len(), 3);
    });
}
