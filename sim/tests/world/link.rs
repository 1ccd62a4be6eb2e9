//! What happens to frames between two nodes: narrow links, and faults that strike single frames.

use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::time::Duration;

use seawall_env::{Connection, FrameReceiver};
use seawall_sim::world::World;

use crate::network::{connected, is_silent, within};
use crate::{Log, MILLISECOND, SECOND, env, run};

/// From client to server a frame takes exactly a millisecond.
fn steady(world: &World) {
    world.set_latency("client", "server", Some(MILLISECOND..=MILLISECOND));
}

/// A limit of so many bytes a second.
fn limit(world: &World, bytes_per_second: u64) {
    let rate = NonZeroU64::new(bytes_per_second);
    world.set_bandwidth("client", "server", rate);
}

/// When the next frame is there, from `since` on, to the millisecond.
async fn arrival(
    world: &World,
    since: Duration,
    receiver: &mut Box<dyn FrameReceiver>,
) -> (Vec<u8>, u128) {
    let frame = receiver.receive().await.unwrap().unwrap();
    (frame, world.now().checked_sub(since).unwrap().as_millis())
}

async fn is_reset(world: &World, receiver: &mut Box<dyn FrameReceiver>, limit: Duration) -> bool {
    match within(world, limit, receiver).await {
        Some(outcome) => outcome.unwrap_err().kind() == ErrorKind::ConnectionReset,
        None => false,
    }
}

#[test]
fn frames_leave_one_after_the_other_at_the_bandwidth_of_their_link() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        let (mut second, mut its_server) = connected(&world).await;
        steady(&world);
        limit(&world, 1_000);
        let since = world.now();
        for number in 0..3 {
            client.sender.send(vec![number; 500]).await.unwrap();
        }
        second.sender.send(vec![9; 100]).await.unwrap();
        for (number, at) in [(0, 501), (1, 1_001), (2, 1_501)] {
            assert_eq!(
                arrival(&world, since, &mut server.receiver).await,
                (vec![number; 500], at),
                "frame {number}"
            );
        }
        let (_, at) = arrival(&world, since, &mut its_server.receiver).await;
        assert_eq!(at, 1_601, "connections share their link");
        let since = world.now();
        server.sender.send(vec![0; 1_000]).await.unwrap();
        let (_, at) = arrival(&world, since, &mut client.receiver).await;
        assert!(at < 4, "the other direction is as ever: {at}");
    });
}

#[test]
fn a_narrow_link_stops_a_sender_that_sends_more() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        let (log, since) = (Log::default(), world.now());
        limit(&world, 1_000);
        let said = log.clone();
        world.spawn("sends", async move {
            for _ in 0..100 {
                client.sender.send(vec![0; 100]).await.unwrap();
                said.say("sent");
            }
        });
        world.sleep(MILLISECOND).await;
        assert_eq!(log.lines().len(), 16);
        for _ in 0..100 {
            server.receiver.receive().await.unwrap();
        }
        assert!(world.now() >= since + SECOND * 10);
    });
}

#[test]
fn what_waits_for_bandwidth_arrives_when_the_limit_is_lifted() {
    for healer in [World::heal_all, |world: &World| world.set_bandwidth("client", "server", None)] {
        run(1, |world| async move {
            let (mut client, mut server) = connected(&world).await;
            limit(&world, 1);
            client.sender.send(vec![1; 1_000]).await.unwrap();
            client.sender.send(vec![2; 1_000]).await.unwrap();
            world.sleep(SECOND * 5).await;
            healer(&world);
            client.sender.send(vec![3; 1_000]).await.unwrap();
            let since = world.now();
            for number in 1..=3 {
                let (frame, at) = arrival(&world, since, &mut server.receiver).await;
                assert_eq!(frame[0], number);
                assert!(at < 10, "{at}");
            }
        });
    }
}

#[test]
fn what_a_partition_held_back_leaves_at_the_bandwidth_of_the_link() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        steady(&world);
        limit(&world, 1_000);
        world.partition("client", "server");
        for number in 0..3 {
            client.sender.send(vec![number; 500]).await.unwrap();
        }
        world.sleep(SECOND * 100).await;
        world.heal("client", "server");
        let since = world.now();
        for at in [501, 1_001, 1_501] {
            assert_eq!(arrival(&world, since, &mut server.receiver).await.1, at);
        }
    });
}

#[test]
fn a_delayed_frame_holds_up_what_is_behind_it_and_no_other_connection() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        let (mut second, mut its_server) = connected(&world).await;
        steady(&world);
        world.delay_next("client", "server", SECOND * 7, 1);
        let since = world.now();
        client.sender.send(vec![1]).await.unwrap();
        client.sender.send(vec![2]).await.unwrap();
        second.sender.send(vec![3]).await.unwrap();
        assert_eq!(arrival(&world, since, &mut its_server.receiver).await, (vec![3], 1));
        assert_eq!(arrival(&world, since, &mut server.receiver).await, (vec![1], 7_001));
        assert_eq!(arrival(&world, since, &mut server.receiver).await, (vec![2], 7_001));
        let since = world.now();
        client.sender.send(vec![4]).await.unwrap();
        assert_eq!(arrival(&world, since, &mut server.receiver).await, (vec![4], 1));
    });
}

#[test]
fn a_delayed_frame_arrives_when_everything_heals() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        world.delay_next("client", "server", SECOND * 10_000, 1);
        client.sender.send(vec![1]).await.unwrap();
        assert!(is_silent(&world, &mut server.receiver).await);
        world.heal_all();
        let since = world.now();
        assert!(arrival(&world, since, &mut server.receiver).await.1 < 10);
    });
}

#[test]
fn a_frame_that_is_lost_was_sent_for_its_sender_and_takes_the_connection_with_it() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        let (mut second, mut its_server) = connected(&world).await;
        world.lose_next("client", "server", 1);
        client.sender.send(vec![1]).await.unwrap();
        client.sender.send(vec![2]).await.unwrap();
        server.sender.send(vec![8]).await.unwrap();
        assert_eq!(client.receiver.receive().await.unwrap().unwrap(), [8], "the other way works");
        let since = world.now();
        for end in [&mut server, &mut client] {
            assert!(is_reset(&world, &mut end.receiver, SECOND * 5).await);
            let reset = end.sender.send(vec![3]).await;
            assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        assert!(world.now() > since + MILLISECOND * 190, "not at once");
        second.sender.send(vec![4]).await.unwrap();
        assert_eq!(its_server.receiver.receive().await.unwrap().unwrap(), [4]);
    });
}

#[test]
fn of_a_lost_response_the_request_has_arrived() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        world.lose_next("server", "client", 1);
        client.sender.send(vec![1]).await.unwrap();
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [1]);
        server.sender.send(vec![2]).await.unwrap();
        assert!(is_reset(&world, &mut client.receiver, SECOND * 5).await);
    });
}

#[test]
fn a_loss_is_noticed_through_a_partition_and_after_healing() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        world.lose_next("client", "server", 1);
        client.sender.send(vec![1]).await.unwrap();
        world.partition("client", "server");
        world.partition("server", "client");
        world.heal_all();
        for end in [&mut server, &mut client] {
            assert!(is_reset(&world, &mut end.receiver, SECOND * 6).await);
        }
    });
}

#[test]
fn a_duplicated_frame_arrives_twice_in_a_row() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        world.duplicate_next("client", "server", 2);
        for number in 1..=3 {
            client.sender.send(vec![number]).await.unwrap();
        }
        for number in [1, 1, 2, 2, 3] {
            assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [number]);
        }
        assert!(is_silent(&world, &mut server.receiver).await);
    });
}

#[test]
fn armed_faults_strike_one_frame_each_in_the_order_in_which_they_were_armed() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        steady(&world);
        world.delay_next("client", "server", SECOND, 1);
        world.duplicate_next("client", "server", 1);
        world.lose_next("client", "server", 1);
        let since = world.now();
        for number in 1..=3 {
            client.sender.send(vec![number]).await.unwrap();
        }
        for number in [1, 2, 2] {
            let arrived = arrival(&world, since, &mut server.receiver).await;
            assert_eq!(arrived, (vec![number], 1_001));
        }
        assert!(is_reset(&world, &mut server.receiver, SECOND * 5).await);
    });
}

#[test]
fn a_frame_that_nobody_would_take_is_not_struck() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        world.duplicate_next("client", "server", 1);
        world.partition("client", "server");
        client.sender.send(vec![1]).await.unwrap();
        world.heal("client", "server");
        assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [1]);
        client.sender.send(vec![2]).await.unwrap();
        for number in [2, 2] {
            assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [number]);
        }
    });
}

#[test]
fn healing_takes_back_what_did_not_strike_yet() {
    run(1, |world| async move {
        let (mut client, mut server) = connected(&world).await;
        world.delay_next("client", "server", SECOND * 100, 5);
        world.lose_next("client", "server", 5);
        world.duplicate_next("client", "server", 5);
        world.set_flaky("client", "server", Some(1_000));
        world.heal_all();
        let since = world.now();
        for number in 1..=20 {
            client.sender.send(vec![number]).await.unwrap();
            let (frame, at) = arrival(&world, since, &mut server.receiver).await;
            assert_eq!(frame, [number]);
            assert!(at < 100, "{at}");
        }
    });
}

/// How many frames got through before the connection was reset.
async fn frames_until_reset(world: &World, one: &mut Connection, other: &mut Connection) -> u32 {
    for sent in 0..10_000 {
        if one.sender.send(vec![0]).await.is_err() {
            assert!(is_reset(world, &mut other.receiver, SECOND).await);
            return sent;
        }
        let _ = other.receiver.receive().await;
    }
    10_000
}

#[test]
fn a_flaky_link_resets_its_connections_again_and_again() {
    run(1, |world| async move {
        world.set_flaky("client", "server", Some(50));
        let mut survived = Vec::new();
        for _ in 0..40 {
            let (mut client, mut server) = connected(&world).await;
            survived.push(frames_until_reset(&world, &mut client, &mut server).await);
        }
        let average = f64::from(survived.iter().sum::<u32>()) / 40.0;
        assert!((8.0..40.0).contains(&average), "one of twenty frames: {survived:?}");

        let (mut client, mut server) = connected(&world).await;
        assert_eq!(frames_until_reset(&world, &mut server, &mut client).await, 10_000);
        world.set_flaky("client", "server", None);
        assert_eq!(frames_until_reset(&world, &mut client, &mut server).await, 10_000);
    });
}

#[test]
fn a_link_of_a_node_to_itself_can_fail_as_others_do() {
    run(1, |world| async move {
        let node = env(&world, "server");
        let mut listener = node.network.listen("server").await.unwrap();
        let mut client = node.network.connect("server").await.unwrap();
        let mut server = listener.accept().await.unwrap();
        world.duplicate_next("server", "server", 1);
        client.sender.send(vec![1]).await.unwrap();
        for _ in 0..2 {
            assert_eq!(server.receiver.receive().await.unwrap().unwrap(), [1]);
        }
        world.half_open("server", "server");
        client.sender.send(vec![2]).await.unwrap();
        assert!(is_silent(&world, &mut server.receiver).await);
    });
}
