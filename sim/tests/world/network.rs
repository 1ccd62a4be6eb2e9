//! How connections fail.

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::future::{Either, select};
use seawall_env::{Connection, Env, FrameReceiver};
use seawall_sim::world::World;

use crate::{Log, MILLISECOND, SECOND, env, run};

/// A connection from "client" to "server": (client's, server's).
pub(crate) async fn connected(world: &World) -> (Connection, Connection) {
    let mut listener = env(world, "server").network.listen("server").await.unwrap();
    let client = env(world, "client").network.connect("server").await.unwrap();
    (client, listener.accept().await.unwrap())
}

/// What arrives within a while, or `None`.
pub(crate) async fn within(
    world: &World,
    duration: Duration,
    receiver: &mut Box<dyn FrameReceiver>,
) -> Option<std::io::Result<Option<Vec<u8>>>> {
    match select(receiver.receive(), Box::pin(world.sleep(duration))).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

pub(crate) async fn is_silent(world: &World, receiver: &mut Box<dyn FrameReceiver>) -> bool {
    within(world, SECOND * 100, receiver).await.is_none()
}

// Rules: A6, A7
#[test]
fn frames_arrive_once_in_order_and_after_their_latency() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        let sent = world.now();
        world.spawn("sends", async move {
            for number in 0..1_000_u16 {
                client.sender.send(number.to_le_bytes().to_vec()).await.unwrap();
            }
        });
        for number in 0..1_000_u16 {
            let frame = server.receiver.receive().await.unwrap().unwrap();
            assert_eq!(frame, number.to_le_bytes());
        }
        assert!(world.now() > sent + Duration::from_micros(200));
        assert_eq!(server.receiver.receive().await.unwrap(), None);
        assert_eq!(server.receiver.receive().await.unwrap(), None, "the end stays the end");
    });
}

#[test]
fn a_receiver_that_does_not_receive_stops_its_sender_and_memory_stays_bounded() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        let log = Log::default();
        let said = log.clone();
        world.spawn("sends", async move {
            loop {
                client.sender.send(vec![0; 1 << 20]).await.unwrap();
                said.say("sent");
            }
        });
        world.sleep(SECOND * 100).await;
        assert_eq!(log.lines().len(), 16);
        server.receiver.receive().await.unwrap();
        world.sleep(SECOND).await;
        assert_eq!(log.lines().len(), 17);
    });
}

#[test]
fn a_connect_is_refused_where_nobody_listens_and_takes_a_round_trip() {
    run(1, |world| async move {
        env(&world, "server");
        let before = world.now();
        let refused = env(&world, "client").network.connect("server").await;
        assert_eq!(refused.err().unwrap().kind(), ErrorKind::ConnectionRefused);
        assert!(world.now() >= before + Duration::from_micros(400));
    });
}

#[test]
fn a_dropped_listener_refuses_and_its_address_is_free_again() {
    run(1, |world| async move {
        let (server, client) = (env(&world, "server"), env(&world, "client"));
        let listener = server.network.listen("server").await.unwrap();
        let again = server.network.listen("server").await;
        assert_eq!(again.err().unwrap().kind(), ErrorKind::AddrInUse);
        let mut unaccepted = client.network.connect("server").await.unwrap();
        drop(listener);
        let reset = unaccepted.receiver.receive().await;
        assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let refused = client.network.connect("server").await;
        assert_eq!(refused.err().unwrap().kind(), ErrorKind::ConnectionRefused);
        server.network.listen("server").await.unwrap();
    });
}

#[test]
fn a_connect_to_a_node_without_power_hangs_and_gives_up() {
    run(1, |world| async move {
        env(&world, "server");
        world.crash("server");
        let before = world.now();
        let nobody = env(&world, "client").network.connect("server").await;
        assert_eq!(nobody.err().unwrap().kind(), ErrorKind::TimedOut);
        let passed = world.now().checked_sub(before).unwrap();
        assert!(passed >= SECOND * 20 && passed < SECOND * 21, "{passed:?}");
    });
}

#[test]
fn a_connect_that_began_while_cut_off_succeeds_after_healing() {
    run(1, |world| async move {
        let _listener = env(&world, "server").network.listen("server").await.unwrap();
        world.partition("client", "server");
        let healer = world.clone();
        world.spawn("heals", async move {
            healer.sleep(SECOND * 5).await;
            healer.heal_all();
        });
        env(&world, "client").network.connect("server").await.unwrap();
        assert!(world.now() >= SECOND * 5 && world.now() < SECOND * 12);
    });
}

#[test]
fn a_partition_holds_one_direction_back_and_delivers_after_healing() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        client.sender.send(vec![1]).await.unwrap();
        world.sleep(SECOND).await;
        client.sender.send(vec![2]).await.unwrap();
        world.partition("client", "server"); // Frame 2 is on its way.
        client.sender.send(vec![3]).await.unwrap();
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [1]);
        assert!(is_silent(&world, &mut server.receiver).await);
        server.sender.send(vec![9]).await.unwrap();
        assert_eq!(client.receiver.receive().await.unwrap().unwrap(), [9], "the other way works");
        world.heal("client", "server");
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [2]);
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [3]);
    });
}

#[test]
fn a_peer_that_lost_power_is_silence_until_it_is_back_and_answers_with_a_reset() {
    run(1, |world| async move {
        let (mut client, server) = connected(&world).await;
        world.crash("server");
        drop(server);
        assert!(is_silent(&world, &mut client.receiver).await);
        client.sender.send(vec![1]).await.unwrap();
        assert!(is_silent(&world, &mut client.receiver).await);
        world.restart("server");
        let reset = within(&world, SECOND, &mut client.receiver).await.unwrap();
        assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let reset = client.sender.send(vec![2]).await;
        assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_half_open_connection_is_silent_until_something_is_sent_on_it() {
    run(1, |world| async move {
        let (mut client, _server) = connected(&world).await;
        world.crash("server");
        world.restart("server");
        assert!(is_silent(&world, &mut client.receiver).await);
        client.sender.send(vec![1]).await.unwrap();
        let reset = within(&world, SECOND, &mut client.receiver).await.unwrap();
        assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_does_not_get_through_a_partition_until_it_heals() {
    run(1, |world| async move {
        let (mut client, _server) = connected(&world).await;
        world.crash("server");
        world.restart("server");
        world.partition("server", "client");
        client.sender.send(vec![1]).await.unwrap();
        assert!(is_silent(&world, &mut client.receiver).await);
        world.heal("server", "client");
        assert!(within(&world, SECOND, &mut client.receiver).await.unwrap().is_err());
    });
}

#[test]
fn a_sender_blocked_towards_a_dead_peer_stays_blocked_and_is_freed_by_the_reset() {
    run(1, |world| async move {
        let (mut client, _server) = connected(&world).await;
        let log = Log::default();
        let said = log.clone();
        world.crash("server");
        world.spawn("sends", async move {
            loop {
                match client.sender.send(vec![0]).await {
                    Ok(()) => said.say("sent"),
                    Err(error) => return said.say(error.kind().to_string()),
                }
            }
        });
        world.sleep(SECOND * 100).await;
        assert_eq!(log.lines().len(), 16);
        world.restart("server");
        world.sleep(SECOND).await;
        assert_eq!(log.lines().last().unwrap(), "connection reset");
    });
}

#[test]
fn what_a_node_sent_before_it_crashed_arrives_unless_it_was_cut_off() {
    run(1, |world| async move {
        let (client, mut server) = connected(&world).await;
        let mut sender = client.sender;
        sender.send(vec![1]).await.unwrap();
        world.partition("client", "server");
        sender.send(vec![2]).await.unwrap();
        world.heal("client", "server");
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [1]);
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [2]);
        sender.send(vec![3]).await.unwrap();
        world.partition("client", "server");
        sender.send(vec![4]).await.unwrap();
        world.crash("client");
        drop(sender);
        world.heal("client", "server");
        assert!(is_silent(&world, &mut server.receiver).await);
    });
}

#[test]
fn dropping_the_sender_ends_one_direction_and_the_other_goes_on() {
    run(1, |world| async move {
        let (client, mut server) = connected(&world).await;
        let Connection { sender, mut receiver } = client;
        drop(sender);
        assert_eq!(server.receiver.receive().await.unwrap(), None);
        server.sender.send(vec![1]).await.unwrap();
        assert_eq!(receiver.receive().await.unwrap().unwrap(), [1]);
    });
}

#[test]
fn dropping_the_receiver_breaks_the_peers_sender_after_a_while() {
    run(1, |world| async move {
        let (mut client, server) = connected(&world).await;
        drop(server.receiver);
        client.sender.send(vec![1]).await.unwrap();
        world.sleep(SECOND).await;
        let broken = client.sender.send(vec![2]).await;
        assert_eq!(broken.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn dropped_connections_are_reset_for_both_ends() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        world.drop_connections("server", "client");
        for end in [&mut client, &mut server] {
            let reset = end.receiver.receive().await;
            assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
            let reset = end.sender.send(vec![1]).await;
            assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_slow_direction_is_slow_and_the_other_is_not() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        world.set_latency("client", "server", Some(SECOND..=SECOND));
        let before = world.now();
        client.sender.send(vec![1]).await.unwrap();
        server.receiver.receive().await.unwrap();
        assert!(world.now() >= before + SECOND);
        let before = world.now();
        server.sender.send(vec![1]).await.unwrap();
        client.receiver.receive().await.unwrap();
        assert!(world.now() < before + MILLISECOND * 4);
    });
}

#[test]
fn a_receive_that_is_given_up_loses_no_frame() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        let sends = async {
            for number in 0..100_u8 {
                client.sender.send(vec![number]).await.unwrap();
                world.sleep(MILLISECOND * 2).await;
            }
        };
        let receives = async {
            let mut next = 0_u8;
            while next < 100 {
                if let Some(frame) = within(&world, MILLISECOND, &mut server.receiver).await {
                    assert_eq!(frame.unwrap().unwrap(), [next]);
                    next += 1;
                }
            }
        };
        futures_util::join!(sends, receives);
    });
}

#[test]
fn connections_that_are_over_leave_nothing_behind() {
    run(1, |world| async move {
        for round in 0..50 {
            let (client, server) = connected(&world).await;
            match round % 3 {
                0 => {}
                1 => world.crash("server"),
                _ => world.crash("client"),
            }
            drop((client, server));
            world.restart("server");
            world.restart("client");
        }
        let connecting: Env = env(&world, "client");
        assert_eq!(
            connecting.network.connect("server").await.err().unwrap().kind(),
            ErrorKind::ConnectionRefused
        );
        assert_eq!(world.stats().pipes, 0);
    });
}
