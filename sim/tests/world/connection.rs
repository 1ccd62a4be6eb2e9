//! Connections that one end, or nobody, knows to be dead; connects that fail while connections live.

use std::io::ErrorKind;
use std::time::Duration;

use seawall_env::{FrameReceiver, FrameSender};
use seawall_sim::world::{ConnectFault, World};

use crate::network::{connected, is_silent, within};
use crate::{Log, SECOND, env, run};

async fn assert_reset(world: &World, receiver: &mut Box<dyn FrameReceiver>) {
    let outcome = within(world, SECOND, receiver).await.expect("the reset arrives");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn assert_carries(sender: &mut Box<dyn FrameSender>, receiver: &mut Box<dyn FrameReceiver>) {
    sender.send(vec![42]).await.unwrap();
    assert_eq!(receiver.receive().await.unwrap().unwrap(), [42]);
}

#[test]
fn a_half_open_connection_is_dead_both_ways_and_nobody_is_told_but_new_ones_work() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        client.sender.send(vec![1]).await.unwrap(); // Is on its way, and is lost.
        world.half_open("server", "client");
        server.sender.send(vec![2]).await.unwrap();
        assert!(is_silent(&world, &mut server.receiver).await);
        assert!(is_silent(&world, &mut client.receiver).await);
        let (mut client, mut server) = connected(&world).await;
        assert_carries(&mut client.sender, &mut server.receiver).await;
        assert_carries(&mut server.sender, &mut client.receiver).await;
    });
}

#[test]
fn what_had_arrived_before_the_connection_died_can_still_be_received() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        client.sender.send(vec![1]).await.unwrap();
        world.sleep(SECOND).await;
        world.half_open("client", "server");
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [1]);
    });
}

#[test]
fn on_a_dead_connection_a_dropped_half_says_nothing() {
    run(1, |world| async move {
        let (client, mut server) = connected(&world).await;
        world.half_open("client", "server");
        drop(client);
        assert!(is_silent(&world, &mut server.receiver).await);
        for _ in 0..16 {
            server.sender.send(vec![1]).await.unwrap();
        }
        assert!(is_silent(&world, &mut server.receiver).await);
        drop(server);
        assert_eq!(world.stats().pipes, 0);
    });
}

#[test]
fn a_dead_connection_answers_with_a_reset_once_it_is_healed() {
    for healer in [World::heal_all, |world: &World| world.heal_half_open("client", "server")] {
        run(1, |world| async move {
            let (mut client, mut server) = connected(&world).await;
            let log = Log::default();
            world.half_open("client", "server");
            let said = log.clone();
            world.spawn("sends", async move {
                loop {
                    match client.sender.send(vec![0]).await {
                        Ok(()) => said.say("sent"),
                        Err(error) => return said.say(error.kind().to_string()),
                    }
                }
            });
            world.sleep(SECOND * 100).await;
            assert_eq!(log.lines().len(), 16, "nobody takes what is sent");
            healer(&world);
            world.sleep(SECOND).await;
            assert_eq!(log.lines().last().unwrap(), "connection reset");
            assert!(is_silent(&world, &mut server.receiver).await, "it sent nothing yet");
            server.sender.send(vec![1]).await.unwrap();
            assert_reset(&world, &mut server.receiver).await;
        });
    }
}

#[test]
fn a_dead_connection_outlives_partitions_crashes_and_restarts() {
    run(1, |world| async move {
        let (mut client, _server) = connected(&world).await;
        world.half_open("client", "server");
        client.sender.send(vec![1]).await.unwrap();
        world.partition("client", "server");
        world.heal("client", "server");
        world.crash("server");
        world.restart("server");
        assert!(is_silent(&world, &mut client.receiver).await);
        world.heal_half_open("client", "server");
        assert_reset(&world, &mut client.receiver).await;
    });
}

#[test]
fn a_reset_at_one_end_is_not_known_at_the_other_until_that_sends() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        client.sender.send(vec![1]).await.unwrap(); // Is on its way, and arrives.
        world.drop_connections_at("client", "server");
        assert_reset(&world, &mut client.receiver).await;
        assert!(client.sender.send(vec![2]).await.is_err());
        drop(client);
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [1]);
        assert!(is_silent(&world, &mut server.receiver).await, "not even an end");

        let (mut client, mut again) = connected(&world).await;
        assert_carries(&mut client.sender, &mut again.receiver).await;
        server.sender.send(vec![3]).await.unwrap();
        assert_reset(&world, &mut server.receiver).await;
        assert_carries(&mut again.sender, &mut client.receiver).await;
        drop((client, server, again));
        assert_eq!(world.stats().pipes, 0);
    });
}

#[test]
fn what_was_on_its_way_to_an_end_that_was_reset_is_answered_with_a_reset() {
    run(1, |world| async move {
        let (client, mut server) = connected(&world).await;
        server.sender.send(vec![1]).await.unwrap();
        world.partition("server", "client");
        world.drop_connections_at("client", "server");
        drop(client);
        assert!(is_silent(&world, &mut server.receiver).await, "nothing gets there");
        world.heal("server", "client");
        assert_reset(&world, &mut server.receiver).await;
    });
}

#[test]
fn an_end_that_closes_what_the_other_forgot_is_answered_with_a_reset() {
    run(1, |world| async move {
        let (client, server) = connected(&world).await;
        world.drop_connections_at("client", "server");
        drop(client);
        let mut receiver = server.receiver;
        drop(server.sender);
        assert_reset(&world, &mut receiver).await;
    });
}

#[test]
fn connects_to_a_node_hang_while_its_connections_live() {
    run(1, |world| async move {
        let mut listener = env(&world, "server").network.listen("server").await.unwrap();
        let connecting = env(&world, "client");
        let mut client = connecting.network.connect("server").await.unwrap();
        let mut server = listener.accept().await.unwrap();
        world.fail_connects("server", Some(ConnectFault::Hang));
        let since = world.now();
        let nobody = connecting.network.connect("server").await;
        assert_eq!(nobody.err().unwrap().kind(), ErrorKind::TimedOut);
        assert!(world.now() >= since + SECOND * 20);
        assert_carries(&mut client.sender, &mut server.receiver).await;
        assert_carries(&mut server.sender, &mut client.receiver).await;
        let (healer, since) = (world.clone(), world.now());
        world.spawn("heals", async move {
            healer.sleep(SECOND * 5).await;
            healer.heal_all();
        });
        connecting.network.connect("server").await.unwrap();
        assert!(world.now() >= since + SECOND * 5);
    });
}

#[test]
fn connects_to_a_node_are_refused_though_it_listens_and_its_own_succeed() {
    run(1, |world| async move {
        let mut listener = env(&world, "server").network.listen("server").await.unwrap();
        let mut others = env(&world, "client").network.listen("client").await.unwrap();
        let connecting = env(&world, "client");
        let mut client = connecting.network.connect("server").await.unwrap();
        let mut server = listener.accept().await.unwrap();
        world.fail_connects("server", Some(ConnectFault::Refuse));
        let since = world.now();
        let refused = connecting.network.connect("server").await;
        assert_eq!(refused.err().unwrap().kind(), ErrorKind::ConnectionRefused);
        assert!(world.now() < since + Duration::from_millis(10));
        assert_carries(&mut client.sender, &mut server.receiver).await;
        env(&world, "server").network.connect("client").await.unwrap();
        others.accept().await.unwrap();
        world.fail_connects("server", None);
        connecting.network.connect("server").await.unwrap();
    });
}
