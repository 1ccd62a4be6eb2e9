//! Faults that changed something are counted, and only those.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::thread;

use futures_util::future::{Either, select};
use seawall_env::Env;
use seawall_sim::world::{ConnectFault, Stats, World};

use crate::network::connected;
use crate::{MILLISECOND, SECOND, env, program, run};

/// What struck when `fault` happened to a world with one connection, in which then both ends send, the
/// client connects once more, and a program runs.
fn struck(fault: impl Fn(&World) + Send + 'static) -> BTreeMap<&'static str, u64> {
    run(1, |world| async move {
        let ticks = program(|env: Env| async move {
            loop {
                env.clock.sleep(SECOND).await;
            }
        });
        world.start("ticks", ticks);
        let mut listener = env(&world, "server").network.listen("server").await.unwrap();
        let connecting = env(&world, "client");
        let mut client = connecting.network.connect("server").await.unwrap();
        let mut server = listener.accept().await.unwrap();
        fault(&world);
        let _ = client.sender.send(vec![0; 100]).await;
        let _ = server.sender.send(vec![0; 100]).await;
        let _ = connecting.network.connect("server").await;
        world.sleep(SECOND * 3).await;
        world.stats().struck
    })
}

#[test]
fn a_fault_that_changed_something_is_counted_under_its_name() {
    assert_eq!(struck(|_| ()), BTreeMap::new());
    let check = |name: &'static str, count: Option<u64>, fault: fn(&World)| {
        let struck = struck(fault);
        assert_eq!(struck.keys().collect::<Vec<_>>(), [&name]);
        if let Some(count) = count {
            assert_eq!(struck[name], count, "{name}");
        }
    };
    check("crash", Some(1), |world| world.crash("ticks"));
    check("end-process", Some(1), |world| world.end_process("ticks"));
    check("pause", Some(1), |world| world.pause("ticks"));
    check("clock", None, |world| world.set_clock("ticks", SECOND, 0));
    check("slow-cpu", Some(3), |world| world.set_slow_cpu("ticks", Some(MILLISECOND)));
    check("partition", None, |world| world.partition("client", "server"));
    check("latency", None, |world| {
        world.set_latency("client", "server", Some(SECOND..=SECOND));
    });
    check("bandwidth", None, |world| {
        world.set_bandwidth("client", "server", NonZeroU64::new(1_000));
    });
    check("flaky", Some(1), |world| world.set_flaky("client", "server", Some(1_000)));
    check("delay-next", Some(1), |world| world.delay_next("client", "server", SECOND, 5));
    check("lose-next", Some(1), |world| world.lose_next("client", "server", 5));
    check("duplicate-next", Some(1), |world| world.duplicate_next("client", "server", 5));
    check("drop-connections", Some(1), |world| world.drop_connections("client", "server"));
    check("drop-connections-at", Some(1), |world| {
        world.drop_connections_at("client", "server");
    });
    check("half-open", Some(1), |world| world.half_open("client", "server"));
    check("hang-connects", None, |world| {
        world.fail_connects("server", Some(ConnectFault::Hang));
    });
    check("refuse-connects", Some(1), |world| {
        world.fail_connects("server", Some(ConnectFault::Refuse));
    });
}

#[test]
fn a_fault_that_meets_nothing_is_not_counted() {
    let nothing = struck(|world| {
        env(world, "bystander");
        world.partition("bystander", "server");
        world.set_latency("bystander", "server", Some(SECOND..=SECOND));
        world.set_bandwidth("bystander", "server", NonZeroU64::new(1));
        world.set_flaky("bystander", "server", Some(1_000));
        world.delay_next("bystander", "server", SECOND, 1);
        world.lose_next("bystander", "server", 1);
        world.duplicate_next("bystander", "server", 1);
        world.drop_connections("bystander", "server");
        world.drop_connections_at("bystander", "server");
        world.half_open("bystander", "server");
        world.fail_connects("bystander", Some(ConnectFault::Hang));
        world.set_slow_cpu("bystander", Some(SECOND));
        world.resume("bystander");
    });
    assert_eq!(nothing, BTreeMap::new());
}

/// A node that echoes to one that loses its patience, under everything that can be wrong with the network.
fn storm(seed: u64) -> Stats {
    run(seed, |world| async move {
        let echoes = program(|env: Env| async move {
            let mut listener = env.network.listen("server").await.unwrap();
            while let Ok(mut connection) = listener.accept().await {
                env.spawn("echoes", async move {
                    while let Ok(Some(frame)) = connection.receiver.receive().await {
                        let _ = connection.sender.send(frame).await;
                    }
                });
            }
        });
        let asks = program(|env: Env| async move {
            loop {
                if let Ok(mut connection) = env.network.connect("server").await {
                    while connection.sender.send(vec![0; 100]).await.is_ok() {
                        let patience = env.clock.sleep(SECOND / 2);
                        match select(connection.receiver.receive(), patience).await {
                            Either::Left((Ok(Some(_)), _)) => {}
                            Either::Left(_) | Either::Right(_) => break,
                        }
                    }
                }
                env.clock.sleep(MILLISECOND * 10).await;
            }
        });
        world.start("server", echoes);
        world.start("client", asks);
        for round in 0..100_u32 {
            for (from, to) in [("client", "server"), ("server", "client")] {
                world.set_bandwidth(from, to, NonZeroU64::new(100_000));
                world.set_flaky(from, to, Some(10));
            }
            world.set_slow_cpu("server", Some(MILLISECOND / 10));
            match round % 10 {
                0 => world.half_open("client", "server"),
                1 => world.heal_half_open("client", "server"),
                2 => world.drop_connections_at("server", "client"),
                3 => world.fail_connects("server", Some(ConnectFault::Refuse)),
                4 => world.fail_connects("server", Some(ConnectFault::Hang)),
                5 => world.fail_connects("server", None),
                6 => world.delay_next("client", "server", MILLISECOND * 20, 2),
                7 => world.duplicate_next("client", "server", 1),
                8 => world.lose_next("server", "client", 1),
                _ => world.heal_all(),
            }
            world.sleep(SECOND).await;
        }
        world.stats()
    })
}

#[test]
fn a_storm_in_the_network_is_the_same_storm_again() {
    let storm = |seed| thread::spawn(move || storm(seed)).join().unwrap();
    let one = storm(1);
    assert!(one.struck.len() >= 10, "{:?}", one.struck);
    assert_eq!(one, storm(1));
    assert_ne!(one.schedule_digest, storm(2).schedule_digest);
}

#[test]
fn after_a_storm_a_healed_network_carries_again() {
    run(1, |world| async move {
        world.set_flaky("client", "server", Some(1_000));
        world.fail_connects("server", Some(ConnectFault::Hang));
        world.set_slow_cpu("server", Some(SECOND));
        world.heal_all();
        let (mut client, mut server) = connected(&world).await;
        client.sender.send(vec![1]).await.unwrap();
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [1]);
        assert!(world.stats().struck.is_empty());
    });
}
