//! Same seed, same run; a world that cannot end is ended; nothing grows without bound.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, select};
use seawall_runtime::channel::yield_now;
use seawall_sim::world::{
    Budget, Progress, Stats, Streams, StuckCause, Watchdog, World, WorldConfig,
};

use crate::{Log, MILLISECOND, SECOND, env, program, run};

/// Something of everything: two nodes that talk, write, sleep and crash.
fn busy_world(seed: u64) -> (Stats, Vec<String>) {
    run(seed, |world| async move {
        let log = Log::default();
        let server = {
            let log = log.clone();
            program(move |env| {
                let log = log.clone();
                async move {
                    let mut listener = env.network.listen("server").await.unwrap();
                    loop {
                        let mut connection = listener.accept().await.unwrap();
                        while let Ok(Some(frame)) = connection.receiver.receive().await {
                            log.say(format!("{:?} got {frame:?}", env.clock.now()));
                            if connection.sender.send(frame).await.is_err() {
                                break;
                            }
                        }
                    }
                }
            })
        };
        let client = {
            let log = log.clone();
            program(move |env| {
                let log = log.clone();
                async move {
                    env.disk.create_directory(Path::new("data")).await.unwrap();
                    loop {
                        let Ok(mut connection) = env.network.connect("server").await else {
                            env.clock.sleep(MILLISECOND * 100).await;
                            continue;
                        };
                        for number in 0..20_u8 {
                            if connection.sender.send(vec![number]).await.is_err() {
                                break;
                            }
                            let timeout = env.clock.sleep(SECOND);
                            let receive = connection.receiver.receive();
                            let Either::Left((Ok(Some(_)), _)) = select(receive, timeout).await
                            else {
                                log.say("lost the server");
                                break;
                            };
                            let path = format!("data/{}", env.entropy.next_u64() % 4);
                            let mut file = env.disk.create(Path::new(&path)).await.unwrap();
                            file.append(&[number; 100]).await.unwrap();
                            file.sync().await.unwrap();
                        }
                    }
                }
            })
        };
        world.start("server", server);
        world.start("client", client);
        for _ in 0..3 {
            world.sleep(MILLISECOND * 700).await;
            world.crash("server");
            world.sleep(MILLISECOND * 300).await;
            world.restart("server");
        }
        world.crash("client");
        world.sleep(SECOND).await;
        log.say(format!("{:?}", world.disk().files(seawall_sim::world::View::Visible)));
        (world.stats(), log.lines())
    })
}

// Rules: A9
#[test]
fn a_seed_alone_and_the_same_seed_last_in_a_batch_of_threads_give_the_same_run() {
    let alone = thread::spawn(|| busy_world(7)).join().unwrap();
    assert!(alone.0.frames > 100, "{:?}", alone.0);
    let batch: Vec<_> =
        (0..16).map(|index| thread::spawn(move || busy_world(100 + index % 4))).collect();
    let last = thread::spawn(|| busy_world(7));
    for one in batch {
        one.join().unwrap();
    }
    assert_eq!(alone, last.join().unwrap());
}

#[test]
fn another_seed_gives_another_run() {
    let one = thread::spawn(|| busy_world(1)).join().unwrap().0;
    let other = thread::spawn(|| busy_world(2)).join().unwrap().0;
    assert_ne!(one.schedule_digest, other.schedule_digest);
}

#[test]
fn a_second_run_on_the_same_thread_equals_the_first() {
    thread::spawn(|| assert_eq!(busy_world(3), busy_world(3))).join().unwrap();
}

// Rules: A9
#[test]
fn a_draw_from_one_stream_does_not_shift_another() {
    let streams = Streams::new(5);
    let expected = streams.stream("network").next_u64();
    let mut faults = streams.stream("faults");
    faults.next_u64();
    assert_eq!(streams.stream("network").next_u64(), expected);
    assert_ne!(expected, streams.stream("disk").next_u64());
    assert_ne!(expected, Streams::new(6).stream("network").next_u64());
}

#[test]
fn idle_time_is_skipped_and_a_sleep_ends_at_its_deadline() {
    run(1, |world| async move {
        for micros in [1, 50, 1_000, 80_000_000_000_u64] {
            let wanted = Duration::from_micros(micros);
            let before = world.now();
            world.sleep(wanted).await;
            let passed = world.now().checked_sub(before).unwrap();
            assert!(passed >= wanted && passed < wanted + MILLISECOND / 100, "{passed:?}");
        }
    });
}

#[test]
fn time_moves_on_when_nobody_can_run_and_not_before() {
    run(1, |world| async move {
        let busy = |name: &str| {
            let this = world.clone();
            world.spawn(name, async move {
                let began = this.now();
                for _ in 0..1_000 {
                    yield_now().await;
                }
                let took = this.now().checked_sub(began).unwrap();
                assert!(took < MILLISECOND, "others waited for a timer meanwhile: {took:?}");
            })
        };
        for names in [["a", "b"], ["c", "d"]] {
            let tasks = names.map(busy);
            world.sleep(MILLISECOND).await;
            // A task that is dropped while it waits, or while it can run, leaves the others as they are.
            let asleep = world.clone();
            world.spawn("asleep", async move { asleep.sleep(SECOND).await }).abort();
            tasks[0].abort();
            world.sleep(MILLISECOND).await;
        }
        let Stats { polls, idles, .. } = world.stats();
        assert!(idles < 16, "{idles} idle moments in {polls} polls");
    });
}

#[test]
fn sleeps_with_one_deadline_are_woken_in_the_order_in_which_they_began() {
    // The schedule then chooses among them, so both orders are seen.
    let orders: std::collections::BTreeSet<Vec<String>> = (0..16)
        .map(|seed| {
            run(seed, |world| async move {
                let log = Log::default();
                for name in ["a", "b", "c"] {
                    let (log, sleeper) = (log.clone(), world.clone());
                    world.spawn(name, async move {
                        sleeper.sleep(SECOND).await;
                        log.say(name);
                    });
                }
                world.sleep(SECOND * 2).await;
                log.lines()
            })
        })
        .collect();
    assert!(orders.len() > 2, "{orders:?}");
}

#[test]
fn a_hundred_thousand_receives_raced_against_a_sleep_leave_the_timer_queue_small() {
    let stats = run(1, |world| async move {
        let (one, other) = (env(&world, "one"), env(&world, "other"));
        let mut listener = other.network.listen("other").await.unwrap();
        let counted = Arc::new(AtomicU64::new(0));
        let count = counted.clone();
        let network = one.network.clone();
        one.spawn("sends", async move {
            let mut connection = network.connect("other").await.unwrap();
            for number in 0..100_000_u32 {
                connection.sender.send(number.to_le_bytes().to_vec()).await.unwrap();
            }
        });
        let mut connection = listener.accept().await.unwrap();
        loop {
            let heartbeat = other.clock.sleep(SECOND);
            let receive = connection.receiver.receive();
            match select(receive, heartbeat).await {
                Either::Left((Ok(Some(_)), _)) => count.fetch_add(1, Ordering::Relaxed),
                Either::Left((_, _)) => break,
                Either::Right(_) => panic!("no frame for a second"),
            };
        }
        assert_eq!(counted.load(Ordering::Relaxed), 100_000);
        world.stats()
    });
    assert!(stats.timers_peak < 10, "{stats:?}");
}

#[test]
fn a_task_that_only_yields_is_ended_by_the_watchdog_and_named() {
    let config = WorldConfig {
        budget: Budget { polls_while_busy: 10_000, ..Budget::default() },
        ..WorldConfig::default()
    };
    let stuck = World::try_run(1, config, |world| async move {
        env(&world, "worker-1").spawn("spins", async {
            loop {
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
        });
        world.sleep(SECOND * 3_600).await;
    })
    .unwrap_err();
    assert_eq!(stuck.cause, StuckCause::Busy);
    assert!(stuck.to_string().contains("worker-1#1/spins"), "{stuck}");
}

#[test]
fn a_task_that_sleeps_for_no_time_again_and_again_is_ended_too_and_does_not_stop_time() {
    let config = WorldConfig {
        budget: Budget { polls_while_busy: 100_000, ..Budget::default() },
        ..WorldConfig::default()
    };
    let stuck = World::try_run(1, config, |world| async move {
        let env = env(&world, "worker-1");
        env.clone().spawn("naps", async move {
            loop {
                env.clock.sleep(Duration::ZERO).await;
            }
        });
        // Other timers fire meanwhile.
        world.sleep(MILLISECOND).await;
        world.spawn("after", async {});
        std::future::pending::<()>().await;
    })
    .unwrap_err();
    assert_eq!(stuck.cause, StuckCause::Busy);
    assert!(stuck.now > MILLISECOND);
}

#[test]
fn a_world_in_which_nothing_can_happen_says_so_and_names_who_waits() {
    let stuck = World::try_run(1, WorldConfig::default(), |world| async move {
        env(&world, "worker-1").spawn("waits", std::future::pending());
        std::future::pending::<()>().await;
    })
    .unwrap_err();
    assert_eq!(stuck.cause, StuckCause::NothingToWaitFor);
    assert_eq!(stuck.tasks, ["main", "worker-1#1/waits"]);
}

#[test]
fn a_world_that_outlives_its_virtual_time_is_ended() {
    let config = WorldConfig {
        budget: Budget { time: SECOND * 60, ..Budget::default() },
        ..WorldConfig::default()
    };
    let stuck = World::try_run(1, config, |world| async move {
        while world.now() < SECOND * 1_000 {
            world.sleep(SECOND).await; // A heartbeat keeps an engine from ever being idle.
        }
    })
    .unwrap_err();
    assert_eq!(stuck.cause, StuckCause::TimeExceeded);
    assert!(stuck.now <= SECOND * 61, "{stuck}");
}

#[test]
fn another_thread_can_stop_a_world() {
    let progress = Arc::new(Progress::default());
    let config = WorldConfig { progress: progress.clone(), ..WorldConfig::default() };
    let stopper = thread::spawn(move || {
        while progress.polls() < 100 {
            thread::yield_now();
        }
        progress.stop();
    });
    let stuck = World::try_run(1, config, |world| async move {
        world.sleep(MILLISECOND).await;
        while world.now() < SECOND * 1_000 {
            world.sleep(Duration::from_nanos(1)).await;
        }
    })
    .unwrap_err();
    stopper.join().unwrap();
    assert!(matches!(stuck.cause, StuckCause::Stopped | StuckCause::Busy), "{stuck}");
}

#[test]
fn the_end_of_a_run_drops_every_task_and_program() {
    let witness = Arc::new(());
    let held = witness.clone();
    run(1, |world| async move {
        for node in ["runs", "paused", "crashed"] {
            let held = held.clone();
            let world_in_task = world.clone();
            let program = program(move |env| {
                let (held, world) = (held.clone(), world_in_task.clone());
                async move {
                    let inner = held.clone();
                    env.spawn("child", async move {
                        std::future::pending::<()>().await;
                        drop(inner);
                    });
                    world.sleep(SECOND * 1_000).await;
                    drop(held);
                }
            });
            world.start(node, program);
        }
        let (task_world, held) = (world.clone(), held.clone());
        world.spawn("of the world", async move {
            task_world.sleep(SECOND * 1_000).await;
            drop(held);
        });
        world.sleep(SECOND).await;
        world.pause("paused");
        world.crash("crashed");
        world.sleep(SECOND).await;
    });
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn an_aborted_task_is_not_polled_again() {
    run(1, |world| async move {
        let log = Log::default();
        let env = env(&world, "one");
        let (inner, clock) = (log.clone(), env.clock.clone());
        let task = env.spawn("ticks", async move {
            loop {
                clock.sleep(SECOND).await;
                inner.say("tick");
            }
        });
        world.sleep(MILLISECOND * 2_500).await;
        task.abort();
        world.sleep(SECOND * 10).await;
        assert_eq!(log.lines(), ["tick", "tick"]);
    });
}

// Rules: A8
#[test]
fn a_clock_that_gains_sleeps_shorter_and_never_runs_back() {
    run(1, |world| async move {
        let clock = env(&world, "fast").clock;
        world.set_clock("fast", SECOND, 100_000);
        assert!(clock.now() >= SECOND);
        let (started, shown) = (world.now(), clock.now());
        clock.sleep(SECOND * 11).await;
        assert!(clock.now() >= shown + SECOND * 11);
        let passed = world.now().checked_sub(started).unwrap();
        assert!(passed >= SECOND * 10 && passed < SECOND * 10 + MILLISECOND, "{passed:?}");
        let before = clock.now();
        world.set_clock("fast", Duration::ZERO, -100_000);
        assert!(clock.now() >= before);
    });
}

#[test]
fn a_panic_of_a_task_ends_the_run_with_its_text_after_all_else_was_dropped() {
    let witness = Arc::new(());
    let held = witness.clone();
    let panicked = thread::spawn(move || {
        run(1, |world| async move {
            let env = env(&world, "worker-1");
            env.spawn("waits", async move {
                std::future::pending::<()>().await;
                drop(held);
            });
            let clock = env.clock.clone();
            env.spawn("panics", async move {
                clock.sleep(SECOND).await;
                panic!("as planted");
            });
            world.sleep(SECOND * 100).await;
        });
    });
    let panic = panicked.join().unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"as planted"));
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn the_watchdog_stops_a_run_that_takes_too_much_wall_time() {
    let progress = Arc::new(Progress::default());
    let config = WorldConfig { progress: progress.clone(), ..WorldConfig::default() };
    let watchdog = Watchdog::start(progress, MILLISECOND * 50, |task| panic!("{task} hangs"));
    let stuck = World::try_run(1, config, |world| async move {
        loop {
            world.sleep(Duration::from_micros(1)).await;
            if world.now() > SECOND * 80_000 {
                break;
            }
        }
    })
    .unwrap_err();
    drop(watchdog);
    assert_eq!(stuck.cause, StuckCause::Stopped);
}

#[test]
fn the_watchdog_names_a_task_that_does_not_return_from_its_poll() {
    let (report, hang) = std::sync::mpsc::channel();
    let progress = Arc::new(Progress::default());
    let config = WorldConfig { progress: progress.clone(), ..WorldConfig::default() };
    let _watchdog = Watchdog::start(progress, MILLISECOND * 50, move |task| {
        report.send(task).unwrap();
    });
    let stuck = World::try_run(1, config, |world| async move {
        env(&world, "worker-1").spawn("computes", async move {
            // Stands for an endless loop; ends so that this test can.
            assert_eq!(hang.recv().unwrap(), "worker-1#1/computes");
        });
        std::future::pending::<()>().await;
    })
    .unwrap_err();
    assert_eq!(stuck.cause, StuckCause::Stopped);
}
