//! The log of messages.

use seawall_sim::world::{Message, World, WorldConfig};

use crate::network::connected;
use crate::{MILLISECOND, SECOND};

/// One frame that arrives, one twice, one not at all, and an answer.
async fn exchange(world: World) -> (World, u64) {
    let (mut client, mut server) = connected(&world).await;
    client.sender.send(vec![0; 10]).await.unwrap();
    server.receiver.receive().await.unwrap();
    server.sender.send(vec![0; 20]).await.unwrap();
    client.receiver.receive().await.unwrap();
    let (mut client, mut server) = connected(&world).await;
    world.duplicate_next("client", "server", 1);
    world.lose_next("client", "server", 1);
    client.sender.send(vec![0; 30]).await.unwrap();
    client.sender.send(vec![0; 40]).await.unwrap();
    server.receiver.receive().await.unwrap();
    server.receiver.receive().await.unwrap();
    world.sleep(SECOND).await;
    let digest = world.stats().schedule_digest;
    (world, digest)
}

#[test]
fn every_frame_is_kept_with_when_it_was_sent_and_when_it_was_there() {
    let config = WorldConfig { records_messages: true, ..WorldConfig::default() };
    World::run(1, config, |world| async move {
        let (world, _) = exchange(world).await;
        let messages = world.messages();
        let facts = |it: &Message| (it.from.to_string(), it.bytes, it.connection);
        let client = |bytes, connection| ("client".to_owned(), bytes, connection);
        assert_eq!(
            messages.iter().map(facts).collect::<Vec<_>>(),
            [
                client(10, 0),
                ("server".to_owned(), 20, 0),
                client(30, 1),
                client(30, 1),
                client(40, 1)
            ]
        );
        let (lost, arrived) = messages.split_last().unwrap();
        assert_eq!(lost.arrived, None);
        for message in arrived {
            let took = message.arrived.unwrap().checked_sub(message.sent).unwrap();
            assert!(took > MILLISECOND / 10 && took < MILLISECOND * 4, "{message:?}");
        }
        assert_eq!(&*messages[1].to, "client");
    });
}

#[test]
fn keeping_messages_changes_nothing_and_otherwise_none_are_kept() {
    let kept = WorldConfig { records_messages: true, ..WorldConfig::default() };
    let (_, with) = World::run(1, kept, exchange);
    let (count, without) = World::run(1, WorldConfig::default(), |world| async move {
        let (world, digest) = exchange(world).await;
        (world.messages().len(), digest)
    });
    assert_eq!((count, with), (0, without));
}
