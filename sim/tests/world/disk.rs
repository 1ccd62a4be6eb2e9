//! What a crash leaves of files and names.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use seawall_env::Env;
use seawall_sim::world::{View, World, WorldConfig};

use crate::{MILLISECOND, SECOND, env, run};

pub(crate) async fn write(env: &Env, path: &str, bytes: &[u8], sync: bool) {
    let mut file = env.disk.create(Path::new(path)).await.unwrap();
    file.append(bytes).await.unwrap();
    if sync {
        file.sync().await.unwrap();
    }
}

pub(crate) async fn sync_root(env: &Env) {
    env.disk.sync_directory(Path::new("")).await.unwrap();
}

pub(crate) fn durable(world: &World, path: &str) -> Option<Vec<u8>> {
    world.disk().read(View::Durable, Path::new(path))
}

/// What is left in each of many seeds.
pub(crate) fn outcomes<T: Ord>(each: impl Fn(u64) -> T) -> BTreeSet<T> {
    (0..64).map(each).collect()
}

#[test]
fn a_crash_keeps_what_was_synced() {
    for seed in 0..20 {
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "file", b"durable", true).await;
            sync_root(&env).await;
            let mut again = env.disk.create(Path::new("other")).await.unwrap();
            again.append(b"x").await.unwrap();
            world.crash("one");
            assert_eq!(durable(&world, "file").unwrap(), b"durable");
        });
    }
}

// Rules: R4
#[test]
fn a_crash_keeps_any_part_of_what_was_not_synced_and_may_tear_its_end() {
    let text = vec![b'a'; 2_000];
    let left = outcomes(|seed| {
        let text = text.clone();
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "file", b"head", true).await;
            sync_root(&env).await;
            let mut file = {
                // Appended through a second handle, after the sync.
                let mut file = env.disk.create(Path::new("tail")).await.unwrap();
                file.sync().await.unwrap();
                sync_root(&env).await;
                file.append(&text).await.unwrap();
                file
            };
            world.crash("one");
            file.append(b"late").await_never();
            durable(&world, "tail").unwrap()
        })
    });
    assert!(left.contains(&Vec::new()), "sometimes nothing");
    assert!(left.contains(&text), "sometimes all");
    let clean = left.iter().filter(|it| it.iter().all(|byte| *byte == b'a')).count();
    assert!(clean > 5, "sometimes a prefix");
    let torn: Vec<_> = left.iter().filter(|it| it.iter().any(|byte| *byte != b'a')).collect();
    assert!(torn.iter().any(|it| it.last() == Some(&0)), "sometimes zeroes");
    assert!(torn.iter().any(|it| it.last() != Some(&0)), "sometimes garbage");
    for bytes in torn {
        let head = bytes.len().saturating_sub(512);
        assert!(bytes[..head].iter().all(|byte| *byte == b'a'), "only the last block is torn");
    }
}

/// Polls a future once and drops it.
trait AwaitNever {
    fn await_never(self);
}

impl<T: Future> AwaitNever for T {
    fn await_never(self) {
        let polled = futures_util::FutureExt::now_or_never(self);
        assert!(polled.is_none(), "a handle without power did something");
    }
}

#[test]
fn a_name_that_was_not_synced_may_be_undone_although_its_bytes_were() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "file", b"bytes", true).await;
            assert_eq!(durable(&world, "file"), None);
            world.crash("one");
            durable(&world, "file")
        })
    });
    assert_eq!(left, BTreeSet::from([None, Some(b"bytes".to_vec())]));
}

// Rules: R1, R4
#[test]
fn a_rename_without_a_directory_sync_may_be_undone_and_is_never_half_done() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "record", b"old", true).await;
            sync_root(&env).await;
            write(&env, "record.new", b"new", true).await;
            sync_root(&env).await;
            env.disk.rename(Path::new("record.new"), Path::new("record")).await.unwrap();
            assert_eq!(durable(&world, "record").unwrap(), b"old");
            world.crash("one");
            (durable(&world, "record").unwrap(), durable(&world, "record.new"))
        })
    });
    let undone = (b"old".to_vec(), Some(b"new".to_vec()));
    let done = (b"new".to_vec(), None);
    assert_eq!(left, BTreeSet::from([undone, done]));
}

#[test]
fn a_rename_is_durable_once_its_directory_is_synced_and_not_its_bytes() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "record.new", b"new", false).await;
            env.disk.rename(Path::new("record.new"), Path::new("record")).await.unwrap();
            sync_root(&env).await;
            world.crash("one");
            durable(&world, "record").expect("the name is durable")
        })
    });
    assert!(left.contains(b"new".as_slice()) && left.contains(&Vec::new()));
}

#[test]
fn changes_of_names_are_undone_from_the_last_to_the_first() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            for path in ["a", "b", "c"] {
                write(&env, path, b"x", true).await;
            }
            world.crash("one");
            world.disk().paths(View::Durable)
        })
    });
    let prefixes: BTreeSet<Vec<PathBuf>> = [&[][..], &["a"], &["a", "b"], &["a", "b", "c"]]
        .map(|names| names.iter().map(PathBuf::from).collect())
        .into();
    assert_eq!(left, prefixes);
}

#[test]
fn a_directory_whose_removal_is_durable_leaves_no_durable_files_behind() {
    run(1, |world| async move {
        let env = env(&world, "one");
        env.disk.create_directory(Path::new("a")).await.unwrap();
        sync_root(&env).await;
        write(&env, "a/file", b"x", true).await;
        env.disk.sync_directory(Path::new("a")).await.unwrap();
        env.disk.remove(Path::new("a/file")).await.unwrap();
        env.disk.remove_directory(Path::new("a")).await.unwrap();
        assert!(durable(&world, "a/file").is_some(), "nothing was synced since");
        sync_root(&env).await;
        assert_eq!(durable(&world, "a/file"), None);
    });
}

#[test]
fn a_directory_that_is_undone_takes_along_what_is_in_it() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            env.disk.create_directory(Path::new("a/b")).await.unwrap();
            write(&env, "a/b/file", b"x", true).await;
            env.disk.sync_directory(Path::new("a/b")).await.unwrap();
            world.crash("one");
            durable(&world, "a/b/file").is_some()
        })
    });
    assert_eq!(left, BTreeSet::from([false, true]));
    run(1, |world| async move {
        let env = env(&world, "one");
        env.disk.create_directory(Path::new("a/b")).await.unwrap();
        write(&env, "a/b/file", b"x", true).await;
        for directory in ["", "a", "a/b"] {
            env.disk.sync_directory(Path::new(directory)).await.unwrap();
        }
        world.crash("one");
        assert!(durable(&world, "a/b/file").is_some());
    });
}

#[test]
fn a_removed_file_may_come_back_after_a_crash() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "file", b"x", true).await;
            sync_root(&env).await;
            env.disk.remove(Path::new("file")).await.unwrap();
            assert_eq!(
                env.disk.open(Path::new("file")).await.err().unwrap().kind(),
                ErrorKind::NotFound
            );
            world.crash("one");
            world.disk().read(View::Visible, Path::new("file")).is_some()
        })
    });
    assert_eq!(left, BTreeSet::from([false, true]));
}

#[test]
fn a_truncation_that_was_not_synced_leaves_the_old_bytes_or_a_part_of_the_new() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            write(&env, "file", b"old", true).await;
            sync_root(&env).await;
            write(&env, "file", b"new", false).await;
            assert_eq!(durable(&world, "file").unwrap(), b"old");
            world.crash("one");
            let file = world.disk().read(View::Visible, Path::new("file")).unwrap();
            assert_eq!(durable(&world, "file").unwrap(), file);
            file
        })
    });
    assert!(left.contains(b"old".as_slice()) && left.contains(b"new".as_slice()));
    assert!(left.contains(&Vec::new()));
}

#[test]
fn other_nodes_see_what_is_not_synced_until_its_writer_crashes() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let (one, other) = (env(&world, "one"), env(&world, "other"));
            write(&one, "file", b"bytes", false).await;
            let file = other.disk.open(Path::new("file")).await.unwrap();
            assert_eq!(file.read_at(0, 100).await.unwrap(), b"bytes");
            world.crash("other");
            assert_eq!(world.disk().read(View::Visible, Path::new("file")).unwrap(), b"bytes");
            world.crash("one");
            world.disk().read(View::Visible, Path::new("file")).is_some()
        })
    });
    assert_eq!(left, BTreeSet::from([false, true]));
}

#[test]
fn a_crash_of_one_writer_leaves_the_other_writers_bytes_visible() {
    for seed in 0..32 {
        run(seed, |world| async move {
            let (one, other) = (env(&world, "one"), env(&world, "other"));
            let mut mine = one.disk.create(Path::new("file")).await.unwrap();
            mine.append(b"1111").await.unwrap();
            let mut theirs = other.disk.create(Path::new("file")).await.unwrap();
            theirs.append(b"2222").await.unwrap();
            mine.append(b"1111").await.unwrap();
            sync_root(&one).await;
            world.crash("one");
            let seen = world.disk().read(View::Visible, Path::new("file")).unwrap();
            assert!(String::from_utf8_lossy(&seen).contains("2222"), "{seen:?}");
            theirs.sync().await.unwrap();
            assert_eq!(durable(&world, "file").unwrap(), seen);
        });
    }
}

// Rules: R4
#[test]
fn a_stalled_write_hangs_for_its_time_and_only_once() {
    run(1, |world| async move {
        let env = env(&world, "one");
        world.stall_writes("one", "snapshot", SECOND * 30);
        write(&env, "other", b"x", true).await;
        assert!(world.now() < SECOND);
        write(&env, "snapshot-1", b"x", true).await;
        assert!(world.now() > SECOND * 30);
        write(&env, "snapshot-2", b"x", true).await;
        assert!(world.now() < SECOND * 31);
    });
}

#[test]
fn a_slow_disk_is_slow_on_its_node_only() {
    run(1, |world| async move {
        world.set_disk_latency("one", Some(SECOND..=SECOND * 2));
        write(&env(&world, "other"), "file", b"x", true).await;
        assert!(world.now() < MILLISECOND * 10);
        write(&env(&world, "one"), "file", b"x", true).await;
        assert!(world.now() > SECOND * 3);
    });
}

// Rules: R4
#[test]
fn a_failing_disk_fails_as_often_as_told() {
    run(1, |world| async move {
        let env = env(&world, "one");
        let mut file = env.disk.create(Path::new("file")).await.unwrap();
        world.fail_disk("one", ErrorKind::StorageFull, "file", 2);
        assert_eq!(file.append(b"12345678").await.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(file.sync().await.unwrap_err().kind(), ErrorKind::StorageFull);
        file.append(b"x").await.unwrap();
        assert!(file.length().await.unwrap() <= 8, "a failed append wrote less than all");
    });
}

// Rules: R4
#[test]
fn a_flipped_bit_changes_one_bit_of_a_durable_file() {
    run(1, |world| async move {
        let env = env(&world, "one");
        write(&env, "file", &[0; 64], true).await;
        assert_eq!(world.flip_bit("file"), None, "the name is not durable");
        sync_root(&env).await;
        let (path, bit) = world.flip_bit("file").unwrap();
        assert_eq!((path, bit < 512), (PathBuf::from("file"), true));
        let bytes = env.disk.open(Path::new("file")).await.unwrap().read_at(0, 64).await.unwrap();
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert_eq!(durable(&world, "file").unwrap(), bytes);
    });
}

#[test]
fn errors_are_those_of_a_file_system() {
    run(1, |world| async move {
        let env = env(&world, "one");
        let disk = &env.disk;
        let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
        let p = Path::new;
        assert_eq!(disk.create(p("no/file")).await.err().unwrap().kind(), ErrorKind::NotFound);
        assert_eq!(disk.open(p("file")).await.err().unwrap().kind(), ErrorKind::NotFound);
        assert_eq!(kind(disk.remove(p("file")).await), ErrorKind::NotFound);
        assert_eq!(kind(disk.rename(p("file"), p("other")).await), ErrorKind::NotFound);
        assert_eq!(kind(disk.sync_directory(p("no")).await), ErrorKind::NotFound);
        disk.create_directory(p("a/b")).await.unwrap();
        disk.create_directory(p("a/b")).await.unwrap();
        assert_eq!(kind(disk.remove_directory(p("a")).await), ErrorKind::DirectoryNotEmpty);
        assert_eq!(disk.list(p("a")).await.unwrap().len(), 1);
        disk.remove_directory(p("a/b")).await.unwrap();
        assert!(disk.list(p("a")).await.unwrap().is_empty());
        let mut file = {
            write(&env, "a/file", b"x", true).await;
            disk.open(p("a/file")).await.unwrap()
        };
        assert_eq!(kind(file.append(b"x").await), ErrorKind::PermissionDenied);
        disk.remove(p("a/file")).await.unwrap();
        assert_eq!(file.read_at(0, 9).await.unwrap(), b"x", "an open file outlives its name");
    });
}

#[test]
fn bytes_of_a_failed_sync_may_never_become_durable_although_a_second_sync_succeeds() {
    let left = outcomes(|seed| {
        run(seed, |world| async move {
            let env = env(&world, "one");
            let mut file = env.disk.create(Path::new("file")).await.unwrap();
            sync_root(&env).await;
            file.append(b"bytes").await.unwrap();
            world.fail_disk("one", ErrorKind::Other, "file", 1);
            file.sync().await.unwrap_err();
            file.sync().await.unwrap();
            durable(&world, "file").unwrap()
        })
    });
    assert_eq!(left, BTreeSet::from([Vec::new(), b"bytes".to_vec()]));
}

// Rules: R3, R4
#[test]
fn a_lagging_listing_misses_what_other_nodes_did_lately_and_nothing_else() {
    let mut config = WorldConfig::default();
    config.disk.listing_lag = SECOND..=SECOND;
    World::run(1, config, |world| async move {
        let (one, other) = (env(&world, "one"), env(&world, "other"));
        write(&one, "old", b"x", true).await;
        world.sleep(SECOND * 2).await;
        one.disk.rename(Path::new("old"), Path::new("new")).await.unwrap();
        let names = |entries: Vec<seawall_env::Entry>| -> Vec<PathBuf> {
            entries.into_iter().map(|entry| entry.path).collect()
        };
        let root = Path::new("");
        assert_eq!(names(one.disk.list(root).await.unwrap()), [PathBuf::from("new")]);
        assert_eq!(names(other.disk.list(root).await.unwrap()), [PathBuf::from("old")]);
        other.disk.open(Path::new("new")).await.unwrap();
        world.sleep(SECOND * 2).await;
        assert_eq!(names(other.disk.list(root).await.unwrap()), [PathBuf::from("new")]);
    });
}
