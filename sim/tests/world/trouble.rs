//! Disks that fail, lie and are slow.

use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall_env::Env;
use seawall_sim::world::{Leaves, Lie, Operations, View, World};

use crate::disk::{durable, outcomes, sync_root, write};
use crate::{MILLISECOND, SECOND, env, run, struck};

fn rate(bytes_per_second: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(bytes_per_second)
}

async fn read(env: &Env, path: &str) -> Vec<u8> {
    env.disk.read(Path::new(path)).await.unwrap()
}

// Rules: R4
#[test]
fn a_failure_strikes_only_the_operations_that_it_is_about() {
    run(1, |world| async move {
        let env = env(&world, "one");
        let (disk, path) = (&env.disk, Path::new("file"));
        world.fail_disk_on("one", Operations::Sync, ErrorKind::Other, "file", 1);
        world.fail_disk_on("one", Operations::Read, ErrorKind::Other, "file", 4);
        let mut file = disk.create(path).await.unwrap();
        file.append(b"bytes").await.unwrap();
        file.sync().await.unwrap_err();
        file.sync().await.unwrap();
        file.length().await.unwrap_err();
        file.read_at(0, 5).await.unwrap_err();
        assert!(disk.open(path).await.is_err());
        world.fail_disk_on("one", Operations::Write, ErrorKind::StorageFull, "file", 3);
        file.append(b"more").await.unwrap_err();
        assert!(disk.create(path).await.is_err());
        disk.rename(Path::new("file"), Path::new("file-2")).await.unwrap_err();
        file.append(b"more").await.unwrap();
        file.read_at(0, 5).await.unwrap_err();
        file.read_at(0, 5).await.unwrap();
        let counts = ["sync-error", "read-error", "disk-full"].map(|it| struck(&world, it));
        assert_eq!(counts, [1, 4, 3]);
    });
}

#[test]
fn a_directory_fails_to_sync_as_a_file_does() {
    run(1, |world| async move {
        let env = env(&world, "one");
        write(&env, "file", b"x", true).await;
        world.fail_disk_on("one", Operations::Sync, ErrorKind::Other, "", 1);
        env.disk.sync_directory(Path::new("")).await.unwrap_err();
        assert_eq!(durable(&world, "file"), None);
        sync_root(&env).await;
        assert!(durable(&world, "file").is_some());
    });
}

// Rules: R2, R4
#[test]
fn a_short_read_returns_a_part_of_what_is_there_and_only_once() {
    for seed in 0..16 {
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "file", b"0123456789", true).await;
            let file = env.disk.open(Path::new("file")).await.unwrap();
            world.lie_about_disk("one", Lie::ShortRead, "file", 1);
            assert_eq!(file.read_at(9, 5).await.unwrap(), b"9", "the end is no lie");
            let short = file.read_at(2, 5).await.unwrap();
            assert!((1..5).contains(&short.len()), "{} bytes", short.len());
            assert!(b"23456".starts_with(&short));
            assert_eq!(file.read_at(2, 5).await.unwrap(), b"23456");
            assert_eq!(struck(&world, "short-read"), 1);
        });
    }
}

// Rules: R2, R4
#[test]
fn a_rotten_read_inverts_one_bit_and_the_file_is_fine() {
    run(1, |world| async move {
        let env = env(&world, "one");
        write(&env, "file", &[0; 64], true).await;
        world.lie_about_disk("one", Lie::RottenRead, "file", 2);
        for _ in 0..2 {
            let bits: u32 = read(&env, "file").await.iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(bits, 1);
        }
        assert_eq!(read(&env, "file").await, [0; 64]);
        let scratch = env.disk.scratch(Path::new("scratch/one")).await.unwrap();
        scratch.write_at(0, &[0; 8]).unwrap();
        world.lie_about_disk("one", Lie::RottenRead, "scratch", 1);
        let mut bytes = [0; 8];
        scratch.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert_eq!(struck(&world, "rotten-read"), 3);
    });
}

// Rules: R2, R4
#[test]
fn a_misdirected_write_lands_in_another_file_that_the_node_writes() {
    run(1, |world| async move {
        let (one, other) = (env(&world, "one"), env(&world, "other"));
        let mut theirs = other.disk.create(Path::new("theirs")).await.unwrap();
        theirs.append(b"theirs").await.unwrap();
        let mut file = one.disk.create(Path::new("file")).await.unwrap();
        world.lie_about_disk("one", Lie::MisdirectedWrite, "file", 1);
        file.append(b"alone ").await.unwrap();
        assert_eq!(struck(&world, "misdirected-write"), 0, "there is no other file");
        let mut victim = one.disk.create(Path::new("victim")).await.unwrap();
        victim.append(b"victim ").await.unwrap();
        file.append(b"astray ").await.unwrap();
        file.append(b"back").await.unwrap();
        assert_eq!(read(&one, "file").await, b"alone back");
        assert_eq!(read(&one, "victim").await, b"victim astray ");
        assert_eq!(read(&one, "theirs").await, b"theirs");
    });
}

// Rules: R2, R4
#[test]
fn a_phantom_write_can_be_read_until_its_writer_loses_power_and_is_never_stored() {
    for leaves in [Leaves::Drawn, Leaves::Everything] {
        run(1, |world| async move {
            let (one, other) = (env(&world, "one"), env(&world, "other"));
            world.lie_about_disk("one", Lie::PhantomWrite, "file", 1);
            write(&one, "file", b"bytes", true).await;
            sync_root(&one).await;
            assert_eq!(read(&other, "file").await, b"bytes");
            assert_eq!(durable(&world, "file").unwrap(), b"", "the sync said that it is");
            world.crash_leaving("one", leaves);
            assert_eq!(read(&other, "file").await, b"");
            write(&other, "file", b"again", true).await;
            assert_eq!(durable(&world, "file").unwrap(), b"again", "an honest sync stores");
        });
    }
}

// Rules: R4
#[test]
fn a_throttled_disk_moves_so_many_bytes_a_second_one_transfer_after_the_other() {
    run(1, |world| async move {
        let one = env(&world, "one");
        world.set_disk_rate("one", rate(1_000));
        let mut file = one.disk.create(Path::new("file")).await.unwrap();
        assert!(world.now() < MILLISECOND * 10, "what moves no bytes is not throttled");
        file.append(&[0; 5_000]).await.unwrap();
        assert!((SECOND * 5..SECOND * 6).contains(&world.now()), "{:?}", world.now());
        let mut again = one.disk.create(Path::new("other")).await.unwrap();
        let since = world.now();
        let (first, second) =
            futures_util::join!(file.append(&[0; 5_000]), again.append(&[0; 5_000]));
        first.and(second).unwrap();
        let took = world.now().saturating_sub(since);
        assert!((SECOND * 10..SECOND * 11).contains(&took), "two share one disk: {took:?}");
        let since = world.now();
        assert_eq!(file.read_at(9_000, 5_000).await.unwrap().len(), 1_000);
        let took = world.now().saturating_sub(since);
        assert!((SECOND..SECOND * 2).contains(&took), "only what is there is read: {took:?}");
        let since = world.now();
        write(&env(&world, "two"), "theirs", &[0; 5_000], true).await;
        world.heal_disks();
        file.append(&[0; 5_000]).await.unwrap();
        let took = world.now().saturating_sub(since);
        assert!(took < MILLISECOND * 20, "neither another node nor when healed");
    });
}

#[test]
fn scratch_files_share_the_rate_of_the_disk_and_owe_their_time() {
    run(1, |world| async move {
        let env = env(&world, "one");
        let file = env.disk.scratch(Path::new("scratch/state")).await.unwrap();
        world.set_disk_rate("one", rate(1_000));
        for at in 0..4 {
            file.write_at(at * 500, &[0; 500]).unwrap();
        }
        assert!(world.now() < SECOND);
        file.settle().await;
        assert!((SECOND * 2..SECOND * 3).contains(&world.now()), "{:?}", world.now());
    });
}

// Rules: R3, R4
#[test]
fn listings_lag_from_when_they_are_told_to_until_they_are_healed() {
    run(1, |world| async move {
        let (one, other) = (env(&world, "one"), env(&world, "other"));
        let listed = async |env: &Env| env.disk.list(Path::new("")).await.unwrap().len();
        write(&one, "before", b"x", true).await;
        world.set_listing_lag(Some(SECOND * 9..=SECOND * 9));
        write(&one, "after", b"x", true).await;
        assert_eq!((listed(&one).await, listed(&other).await), (2, 1));
        assert_eq!(struck(&world, "stale-listing"), 1);
        world.heal_disks();
        assert_eq!(listed(&other).await, 2);
    });
}

#[test]
fn only_files_that_may_rot_do() {
    let flipped = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            for path in ["needed", "spare-1", "spare-2"] {
                write(&env, path, &[0; 8], true).await;
            }
            sync_root(&env).await;
            assert_eq!(world.flip_bit_where(|_| false), None);
            let (path, _) = world.flip_bit_where(|it| it != Path::new("needed")).unwrap();
            assert_eq!(durable(&world, "needed").unwrap(), [0; 8]);
            path
        })
    });
    assert_eq!(flipped, ["spare-1", "spare-2"].map(PathBuf::from).into());
}

#[test]
fn a_healed_disk_neither_fails_nor_lies() {
    run(1, |world| async move {
        let env = env(&world, "one");
        world.fail_disk("one", ErrorKind::Other, "", 9);
        world.stall_writes("one", "", SECOND * 9);
        for lie in [Lie::ShortRead, Lie::RottenRead, Lie::MisdirectedWrite, Lie::PhantomWrite] {
            world.lie_about_disk("one", lie, "", 9);
        }
        world.heal_disks();
        let mut other = env.disk.create(Path::new("other")).await.unwrap();
        other.sync().await.unwrap();
        write(&env, "file", b"bytes", true).await;
        sync_root(&env).await;
        assert_eq!(read(&env, "file").await, b"bytes");
        assert_eq!(durable(&world, "file").unwrap(), b"bytes");
        assert!(world.now() < SECOND);
        assert_eq!(world.stats().struck.len(), 0);
    });
}

/// A run in which every fault of a disk is armed on a node that does nothing.
fn digest(is_armed: bool) -> (u64, Duration) {
    run(7, |world: World| async move {
        if is_armed {
            world.set_disk_rate("idle", rate(1));
            world.fail_disk_on("idle", Operations::Any, ErrorKind::Other, "", 9);
            for lie in [Lie::ShortRead, Lie::RottenRead, Lie::MisdirectedWrite, Lie::PhantomWrite] {
                world.lie_about_disk("idle", lie, "", 9);
            }
        }
        let env = env(&world, "one");
        for name in ["a", "b", "c"] {
            write(&env, name, &[1; 700], false).await;
            read(&env, name).await;
        }
        world.crash("one");
        assert!(world.disk().files(View::Durable).len() <= 3);
        (world.stats().schedule_digest, world.now())
    })
}

#[test]
fn a_fault_that_strikes_nothing_moves_nothing() {
    assert_eq!(digest(false), digest(true));
}
