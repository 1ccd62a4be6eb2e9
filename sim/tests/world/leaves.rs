//! What a crash leaves of what was not synced, when a fault chooses it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use seawall_sim::world::{Leaves, View, World};

use crate::disk::{durable, outcomes, sync_root, write};
use crate::{env, run, struck};

const BLOCK: usize = 512;

/// A file with `head` durable and `tail` not, then a crash that leaves this; what is there, and how often the
/// fault struck.
fn left_of(
    seed: u64,
    head: usize,
    tail: usize,
    leaves: Leaves,
    fault: &'static str,
) -> (Vec<u8>, u64) {
    run(seed, |world| async move {
        let env = env(&world, "one");
        let mut file = env.disk.create(Path::new("file")).await.unwrap();
        file.append(&vec![b'h'; head]).await.unwrap();
        file.sync().await.unwrap();
        sync_root(&env).await;
        file.append(&vec![b't'; tail]).await.unwrap();
        world.crash_leaving("one", leaves);
        (durable(&world, "file").unwrap(), struck(&world, fault))
    })
}

// Rules: R4
#[test]
fn a_crash_that_leaves_nothing_loses_all_that_was_not_synced_bytes_and_names() {
    for seed in 0..8 {
        let (left, strikes) = left_of(seed, 700, 2_000, Leaves::Nothing, "lost-write");
        assert_eq!((left, strikes), (vec![b'h'; 700], 1));
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "synced", b"old", true).await;
            sync_root(&env).await;
            write(&env, "new", b"x", true).await;
            write(&env, "synced", b"new", false).await;
            world.crash_leaving("one", Leaves::Nothing);
            assert_eq!(durable(&world, "new"), None, "the directory entry is lost");
            assert_eq!(durable(&world, "synced").unwrap(), b"old", "the truncation is undone");
            assert_eq!(struck(&world, "lost-name"), 1);
        });
    }
}

#[test]
fn a_crash_that_leaves_everything_loses_nothing() {
    for seed in 0..8 {
        let (left, strikes) = left_of(seed, 700, 2_000, Leaves::Everything, "lost-write");
        assert_eq!((left.len(), strikes), (2_700, 0));
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "file", b"bytes", false).await;
            world.crash_leaving("one", Leaves::Everything);
            assert_eq!(durable(&world, "file").unwrap(), b"bytes");
        });
    }
}

// Rules: R4
#[test]
fn a_crash_that_leaves_a_prefix_leaves_a_part_of_the_bytes_and_their_names() {
    for seed in 0..32 {
        let (left, strikes) = left_of(seed, 10, 2_000, Leaves::Prefix, "lost-write");
        assert!((11..2_010).contains(&left.len()), "{} bytes", left.len());
        assert_eq!((&left[..10], strikes), (&[b'h'; 10][..], 1));
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "file", b"bytes", false).await;
            world.crash_leaving("one", Leaves::Prefix);
            let left = durable(&world, "file").expect("names stay").len();
            assert!((1..5).contains(&left), "{left} bytes");
        });
    }
}

// Rules: R2, R4
#[test]
fn a_hole_is_in_the_unsynced_bytes_before_their_end_and_later_ones_are_there() {
    let mut holes = BTreeSet::new();
    for seed in 0..64 {
        let (left, strikes) = left_of(seed, 700, 3_000, Leaves::Hole, "hole-in-write");
        assert_eq!((left.len(), strikes), (3_700, 1), "the length is whole");
        assert!(left[..700].iter().all(|it| *it == b'h'), "synced bytes stay");
        let hole: Vec<usize> = (700..3_700).filter(|at| left[*at] == 0).collect();
        let (first, last) = (hole[0], *hole.last().unwrap());
        assert_eq!(hole.len(), last + 1 - first, "the hole is in one piece");
        assert!(first == 700 || first % BLOCK == 0, "it begins with a block");
        assert_eq!((last + 1) % BLOCK, 0, "it ends with a block");
        assert_eq!(left[3_699], b't', "later bytes are there");
        holes.insert((first, last));
    }
    assert!(holes.len() > 5, "holes differ: {holes:?}");
    let (left, strikes) = left_of(1, 0, 100, Leaves::Hole, "hole-in-write");
    assert_eq!((left, strikes), (vec![b't'; 100], 0), "one block has no middle");
}

/// The durable names after changes in two directories and a crash.
async fn after_two_directories(world: &World, leaves: Leaves) -> Vec<PathBuf> {
    let env = env(world, "one");
    for directory in ["a", "b"] {
        env.disk.create_directory(Path::new(directory)).await.unwrap();
    }
    sync_root(&env).await;
    write(&env, "a/first", b"x", true).await;
    write(&env, "b/second", b"x", true).await;
    write(&env, "a/third", b"x", true).await;
    write(&env, "b/fourth", b"x", true).await;
    world.crash_leaving("one", leaves);
    world.disk().paths(View::Durable)
}

#[test]
fn a_later_name_may_stay_while_an_earlier_one_in_another_directory_is_lost() {
    run(1, |world| async move {
        let left = after_two_directories(&world, Leaves::LastDirectory).await;
        assert_eq!(left, ["b/fourth", "b/second"].map(PathBuf::from));
        assert_eq!(struck(&world, "reordered-names"), 1);
    });
    let drawn = outcomes(|seed| {
        run(seed, |world| async move { after_two_directories(&world, Leaves::Drawn).await })
    });
    let is_reordered = |it: &Vec<PathBuf>| !it.is_empty() && !it.contains(&"a/first".into());
    assert!(!drawn.iter().any(is_reordered), "a crash as it comes keeps the order");
}

/// What is at `pending` and `done` after a rename over `done` and a crash.
fn after_a_rename(leaves: Leaves, is_synced: bool) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    run(1, |world| async move {
        let env = env(&world, "one");
        write(&env, "done", b"old", true).await;
        write(&env, "pending", b"new", true).await;
        sync_root(&env).await;
        env.disk.rename(Path::new("pending"), Path::new("done")).await.unwrap();
        if is_synced {
            sync_root(&env).await;
        }
        world.crash_leaving("one", leaves);
        (durable(&world, "pending"), durable(&world, "done"))
    })
}

#[test]
fn a_rename_that_was_not_synced_may_leave_both_names_or_none() {
    let (old, new) = (|| Some(b"old".to_vec()), || Some(b"new".to_vec()));
    assert_eq!(after_a_rename(Leaves::BothNames, false), (new(), new()));
    assert_eq!(after_a_rename(Leaves::NoName, false), (None, old()));
    for leaves in [Leaves::BothNames, Leaves::NoName, Leaves::Nothing] {
        assert_eq!(after_a_rename(leaves, true), (None, new()), "a synced rename is whole");
    }
}

#[test]
fn what_was_in_scratch_files_is_gone_after_any_crash() {
    run(1, |world| async move {
        let one = env(&world, "one");
        let file = one.disk.scratch(Path::new("scratch/state")).await.unwrap();
        file.write_at(0, b"state").unwrap();
        drop(file);
        world.crash_leaving("one", Leaves::Everything);
        world.restart("one");
        let file = env(&world, "one").disk.scratch(Path::new("scratch/state")).await.unwrap();
        assert_eq!(file.length().unwrap(), 0);
    });
}
