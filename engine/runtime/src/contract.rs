//! What every Env must do, as checks that any test can call against its own Env.
//!
//! Each function asserts what `seawall_env` documents and panics where the Env breaks it. They take no
//! fault into account: call them in a world that does none.
//!
//! Deliberately absent: what a crash keeps. Only a world that can crash can check that.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, join, ready, select};
use seawall_env::{Connection, Entry, Env, File, FrameReceiver};

/// Every check. `directory` exists and is empty, `address` is free.
pub async fn all(env: &Env, directory: &Path, address: &str) {
    clock(env).await;
    spawn(env).await;
    entropy(env);
    disk(env, directory).await;
    network(env, address).await;
}

/// The clock never goes back, and a sleep is never short.
pub async fn clock(env: &Env) {
    let before = env.clock.now();
    env.clock.sleep(Duration::from_millis(20)).await;
    let after = env.clock.now();
    assert!(after >= before + Duration::from_millis(20), "slept from {before:?} to {after:?}");
    env.clock.sleep(Duration::ZERO).await;
    assert!(env.clock.now() >= after, "the clock went back");

    // A sleep that is given up ends nothing else.
    let long = env.clock.sleep(Duration::from_hours(1));
    let short = env.clock.sleep(Duration::from_millis(1));
    match select(long, short).await {
        Either::Left(_) => panic!("an hour passed within a millisecond"),
        Either::Right(_) => {}
    }
}

/// A spawned task runs by itself, survives its handle, and stops when it is aborted.
pub async fn spawn(env: &Env) {
    let count = Arc::new(AtomicU32::new(0));
    let counting = |delay_ms: u64| {
        let (count, clock) = (Arc::clone(&count), Arc::clone(&env.clock));
        async move {
            clock.sleep(Duration::from_millis(delay_ms)).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    drop(env.spawn("contract-unwatched", counting(1)));
    let aborted = env.spawn("contract-aborted", counting(100));
    env.clock.sleep(Duration::from_millis(30)).await;
    aborted.abort();
    aborted.abort();
    env.clock.sleep(Duration::from_millis(200)).await;
    assert_eq!(count.load(Ordering::SeqCst), 1, "tasks that ran to their end");
}

/// Numbers differ.
pub fn entropy(env: &Env) {
    let mut drawn: Vec<u64> = (0..64).map(|_| env.entropy.next_u64()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 64, "of 64 random numbers some were equal");
}

/// Files hold what was appended, names move atomically, and each refusal has its kind.
pub async fn disk(env: &Env, directory: &Path) {
    files(env, directory).await;
    names(env, directory).await;
    refusals(env, directory).await;
    scratch(env, directory).await;
}

async fn files(env: &Env, directory: &Path) {
    let path = directory.join("file");
    let mut file = create(env, &path).await;
    assert_eq!(file.length().await.expect("length"), 0, "length of a created file");
    file.append(b"sea").await.expect("append");
    file.append(b"").await.expect("append nothing");
    file.append(b"wall").await.expect("append again");
    assert_eq!(file.length().await.expect("length"), 7, "length before sync");
    assert_eq!(file.read_at(0, 7).await.expect("read"), b"seawall", "reads back before sync");
    file.sync().await.expect("sync");
    drop(file);

    let file = env.disk.open(&path).await.expect("open");
    assert_eq!(file.length().await.expect("length"), 7, "length after reopening");
    assert_eq!(
        file.read_at(0, 100).await.expect("read"),
        b"seawall",
        "a long read ends at the end"
    );
    assert_eq!(file.read_at(3, 2).await.expect("read"), b"wa", "a read in the middle");
    assert_eq!(file.read_at(7, 1).await.expect("read"), b"", "a read at the end");
    assert_eq!(file.read_at(100, 1).await.expect("read"), b"", "a read behind the end");
    drop(file);

    let mut file = create(env, &path).await;
    assert_eq!(file.length().await.expect("length"), 0, "an existing file is truncated");
    let block: Vec<u8> = (0..=u8::MAX).cycle().take(300_000).collect();
    file.append(&block).await.expect("append much");
    file.sync().await.expect("sync");
    let read = file.read_at(1, block.len()).await.expect("read");
    assert!(read == block[1..], "a large read returned {} other bytes", read.len());
    drop(file);

    let chunks = vec![Bytes::from(block.clone()), Bytes::new(), Bytes::from_static(b"wall")];
    env.disk.write(&path, chunks).await.expect("write whole");
    let read = env.disk.read(&path).await.expect("read whole");
    assert!(read == [&block, b"wall".as_slice()].concat(), "{} other bytes", read.len());
    env.disk.write(&path, Vec::new()).await.expect("write nothing");
    assert_eq!(env.disk.read(&path).await.expect("read nothing"), b"", "the file is another");
    env.disk.remove(&path).await.expect("remove");
}

async fn names(env: &Env, directory: &Path) {
    let disk = &env.disk;
    let nested = directory.join("b/nested");
    disk.create_directory(&nested).await.expect("create with parents");
    disk.create_directory(&nested).await.expect("create again");
    let (first, second) = (directory.join("c"), directory.join("a"));
    write(env, &first, b"first").await;
    write(env, &second, b"second").await;
    disk.sync_directory(directory).await.expect("sync directory");

    let entry = |name: &str, is_directory| Entry { path: directory.join(name), is_directory };
    assert_eq!(
        disk.list(directory).await.expect("list"),
        [entry("a", false), entry("b", true), entry("c", false)],
        "a listing is sorted"
    );

    disk.rename(&first, &second).await.expect("rename over a file");
    disk.sync_directory(directory).await.expect("sync directory");
    assert_eq!(read(env, &second).await, b"first", "a rename replaces its target");
    assert_eq!(
        disk.list(directory).await.expect("list"),
        [entry("a", false), entry("b", true)],
        "a renamed file has one name"
    );
    let moved = nested.join("moved");
    disk.rename(&second, &moved).await.expect("rename into another directory");
    assert_eq!(read(env, &moved).await, b"first", "a file moves with its bytes");

    disk.remove(&moved).await.expect("remove a file");
    disk.remove_directory(&nested).await.expect("remove a directory");
    disk.remove_directory(&directory.join("b")).await.expect("remove its parent");
    disk.sync_directory(directory).await.expect("sync directory");
    assert_eq!(disk.list(directory).await.expect("list"), [], "everything is removed");
}

async fn refusals(env: &Env, directory: &Path) {
    let disk = &env.disk;
    let missing = directory.join("missing");
    let within = missing.join("file");
    let kind = |result: std::io::Result<()>| result.expect_err("must be refused").kind();
    assert_eq!(kind(disk.open(&missing).await.map(drop)), ErrorKind::NotFound, "open");
    assert_eq!(kind(disk.read(&missing).await.map(drop)), ErrorKind::NotFound, "read");
    assert_eq!(kind(disk.write(&within, Vec::new()).await), ErrorKind::NotFound, "write");
    assert_eq!(kind(disk.create(&within).await.map(drop)), ErrorKind::NotFound, "create");
    assert_eq!(
        kind(disk.rename(&missing, &directory.join("x")).await),
        ErrorKind::NotFound,
        "rename"
    );
    assert_eq!(kind(disk.remove(&missing).await), ErrorKind::NotFound, "remove");
    assert_eq!(
        kind(disk.remove_directory(&missing).await),
        ErrorKind::NotFound,
        "remove directory"
    );
    assert_eq!(kind(disk.list(&missing).await.map(drop)), ErrorKind::NotFound, "list");
    assert_eq!(kind(disk.sync_directory(&missing).await), ErrorKind::NotFound, "sync directory");

    let full = directory.join("full");
    disk.create_directory(&full).await.expect("create directory");
    write(env, &full.join("file"), b"").await;
    assert_eq!(kind(disk.remove_directory(&full).await), ErrorKind::DirectoryNotEmpty, "not empty");
    disk.remove(&full.join("file")).await.expect("remove");
    disk.remove_directory(&full).await.expect("remove directory");
}

/// A scratch file has random access and no name.
async fn scratch(env: &Env, directory: &Path) {
    let path = directory.join("scratch/file");
    let file = env.disk.scratch(&path).await.expect("open a scratch file");
    let other = env.disk.scratch(&path).await.expect("open another one at the same path");
    assert_eq!(file.length().expect("length"), 0, "length of a new scratch file");
    file.write_at(0, b"seawall").expect("write");
    file.write_at(3, b"WALL and more").expect("write over and behind the end");
    assert_eq!(file.length().expect("length"), 16, "length after writing");
    let read = |position, length| {
        let mut into = vec![1; length];
        file.read_at(position, &mut into).map(|()| into)
    };
    assert_eq!(read(0, 16).expect("read"), b"seaWALL and more", "reads what was written");
    let end = read(10, 7).expect_err("a read beyond the end must be refused");
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof, "a read beyond the end");
    file.set_length(4).expect("cut");
    file.set_length(6).expect("extend");
    assert_eq!(read(0, 6).expect("read"), b"seaW\0\0", "what is new is zero");
    file.write_at(8, b"x").expect("write behind the end");
    assert_eq!(read(4, 5).expect("read"), b"\0\0\0\0x", "a gap is zero");
    file.settle().await;
    assert_eq!(other.length().expect("length"), 0, "two scratch files share nothing");
    let listed = env.disk.list(&directory.join("scratch")).await.expect("list");
    assert_eq!(listed, [], "a scratch file has no name");
    drop((file, other));
    env.disk.remove_directory(&directory.join("scratch")).await.expect("nothing is left in it");
}

async fn create(env: &Env, path: &Path) -> Box<dyn File> {
    env.disk.create(path).await.expect("create")
}

async fn write(env: &Env, path: &Path, bytes: &[u8]) {
    let mut file = create(env, path).await;
    file.append(bytes).await.expect("append");
    file.sync().await.expect("sync");
}

async fn read(env: &Env, path: &Path) -> Vec<u8> {
    let file = env.disk.open(path).await.expect("open");
    let length = file.length().await.expect("length");
    file.read_at(0, usize::try_from(length).expect("small")).await.expect("read")
}

/// Frames arrive once and in order, buffers are bounded, and each way to end a connection is told.
pub async fn network(env: &Env, address: &str) {
    let refused = env.network.connect(address).await.map(drop).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "connect to nobody");

    let mut listener = env.network.listen(address).await.expect("listen");
    let taken = env.network.listen(address).await.map(drop).expect_err("the name is taken");
    assert_eq!(taken.kind(), ErrorKind::AddrInUse, "listen twice");

    for check in 0..5 {
        let (near, far) = join(env.network.connect(address), listener.accept()).await;
        let (near, far) = (near.expect("connect"), far.expect("accept"));
        match check {
            0 => frames_arrive_in_order_both_ways(near, far).await,
            1 => a_sender_waits_for_a_receiver_that_does_not_receive(env, near, far).await,
            2 => what_finds_no_room_comes_back(near, far).await,
            3 => a_closed_half_ends_in_order(near, far).await,
            _ => a_sender_is_told_that_nobody_receives(env, near, far).await,
        }
    }

    drop(listener);
    env.clock.sleep(Duration::from_millis(50)).await;
    let refused = env.network.connect(address).await.map(drop).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "connect after the listener closed");
    drop(env.network.listen(address).await.expect("the name is free again"));
}

async fn next(receiver: &mut Box<dyn FrameReceiver>) -> Option<Vec<u8>> {
    receiver.receive().await.expect("receive")
}

async fn frames_arrive_in_order_both_ways(mut near: Connection, mut far: Connection) {
    for number in 0..3_u8 {
        near.sender.send(vec![number; usize::from(number)]).await.expect("send there");
        far.sender.send(vec![number, 255]).await.expect("send back");
    }
    for number in 0..3_u8 {
        let there = next(&mut far.receiver).await;
        assert_eq!(there, Some(vec![number; usize::from(number)]), "frame {number} there");
        assert_eq!(next(&mut near.receiver).await, Some(vec![number, 255]), "frame {number} back");
    }
}

async fn a_sender_waits_for_a_receiver_that_does_not_receive(
    env: &Env,
    mut near: Connection,
    mut far: Connection,
) {
    let sent = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&sent);
    let frames: u32 = 100_000;
    let sender = env.spawn("contract-sender", async move {
        for number in 0..frames {
            let frame = number.to_le_bytes().repeat(16);
            if near.sender.send(frame).await.is_err() {
                return;
            }
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    env.clock.sleep(Duration::from_millis(500)).await;
    let waiting = sent.load(Ordering::SeqCst);
    assert!(waiting < frames, "{waiting} frames were buffered: nothing bounds the buffer");

    // Dropping a pending `receive` loses nothing.
    for number in 0..waiting {
        let given_up = match select(far.receiver.receive(), ready(())).await {
            Either::Left((frame, _)) => Some(frame),
            Either::Right(_) => None,
        };
        let frame = match given_up {
            Some(frame) => frame,
            None => far.receiver.receive().await,
        };
        let expected = number.to_le_bytes().repeat(16);
        assert_eq!(frame.expect("receive"), Some(expected), "frame {number}");
    }
    sender.abort();
}

async fn what_finds_no_room_comes_back(mut near: Connection, mut far: Connection) {
    let mut sent: u32 = 0;
    let back = loop {
        let frame = sent.to_le_bytes().to_vec();
        match near.sender.try_send(frame).expect("try to send") {
            None => sent += 1,
            Some(back) => break back,
        }
        assert!(sent < 100_000, "{sent} frames were buffered: nothing bounds the buffer");
    };
    let (waited, first) = join(near.sender.send(back), next(&mut far.receiver)).await;
    waited.expect("send what came back");
    assert_eq!(first, Some(0_u32.to_le_bytes().to_vec()), "the first frame");
    for number in 1..=sent {
        let frame = next(&mut far.receiver).await;
        assert_eq!(frame, Some(number.to_le_bytes().to_vec()), "frame {number}");
    }
}

async fn a_closed_half_ends_in_order(near: Connection, mut far: Connection) {
    let Connection { mut sender, mut receiver } = near;
    sender.send(b"last".to_vec()).await.expect("send");
    drop(sender);
    assert_eq!(next(&mut far.receiver).await, Some(b"last".to_vec()), "the last frame");
    assert_eq!(next(&mut far.receiver).await, None, "the end");
    assert_eq!(next(&mut far.receiver).await, None, "the end stays the end");
    far.sender.send(b"still".to_vec()).await.expect("the other direction is open");
    assert_eq!(next(&mut receiver).await, Some(b"still".to_vec()), "the other direction works");
}

async fn a_sender_is_told_that_nobody_receives(env: &Env, mut near: Connection, far: Connection) {
    drop(far);
    for _ in 0..10_000 {
        if let Err(error) = near.sender.send(vec![0; 64]).await {
            let is_expected =
                matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
            assert!(is_expected, "{error:?}");
            return;
        }
        env.clock.sleep(Duration::from_millis(1)).await;
    }
    panic!("a sender was never told that nobody receives");
}
