//! Calls to the disk, before and after they take effect.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use seawall_env::Reaction;
use seawall_sim::world::{Call, Leaves, Operation, View, When, World};

use crate::disk::{sync_root, write};
use crate::{Log, SECOND, env, program, run};

/// A program that replaces a record, as checkpoint storage does.
fn start(world: &World, log: &Log) {
    let log = log.clone();
    world.start(
        "one",
        program(move |env| {
            let log = log.clone();
            async move {
                write(&env, "record.new", b"new", true).await;
                env.disk.rename(Path::new("record.new"), Path::new("record")).await.unwrap();
                log.say("renamed");
                sync_root(&env).await;
                log.say("durable");
            }
        }),
    );
}

/// Crashes the node at its nth call of this kind.
fn crash_at(world: &World, operation: Operation, when: When, nth: u32) {
    let (this, count) = (world.clone(), AtomicU32::new(0));
    world.watch_disk(Arc::new(move |call: &Call, at| {
        let is_it = call.operation == operation && at == when;
        if !is_it || count.fetch_add(1, Ordering::Relaxed) + 1 != nth {
            return Reaction::Continue;
        }
        this.crash_leaving(&call.node, Leaves::Everything);
        Reaction::Yield
    }));
}

/// The files that are left, and what the program came to say.
fn crashed_at(operation: Operation, when: When, nth: u32) -> (Vec<PathBuf>, Vec<String>) {
    run(1, |world| async move {
        let log = Log::default();
        crash_at(&world, operation, when, nth);
        start(&world, &log);
        world.sleep(SECOND).await;
        assert!(!world.is_up("one"));
        (world.disk().paths(View::Durable), log.lines())
    })
}

#[test]
fn a_crash_before_a_call_leaves_it_without_effect() {
    let (files, said) = crashed_at(Operation::Rename, When::Before, 1);
    assert_eq!((files, said.len()), (vec!["record.new".into()], 0));
}

#[test]
fn a_crash_after_a_call_leaves_its_effect_and_its_caller_never_hears_of_it() {
    let (files, said) = crashed_at(Operation::Rename, When::After, 1);
    assert_eq!((files, said.len()), (vec!["record".into()], 0));
    let (_, said) = crashed_at(Operation::SyncDirectory, When::After, 1);
    assert_eq!(said, ["renamed"]);
}

#[test]
fn every_call_is_shown_before_and_after_in_its_order() {
    run(1, |world| async move {
        let (log, calls) = (Log::default(), Log::default());
        let seen = calls.clone();
        world.watch_disk(Arc::new(move |Call { node, operation, path }: &Call, when| {
            seen.say(format!("{node} {when:?} {operation:?} {}", path.display()));
            Reaction::Continue
        }));
        start(&world, &log);
        world.sleep(SECOND).await;
        let expected = [
            "one Before Create record.new",
            "one After Create record.new",
            "one Before Append record.new",
            "one After Append record.new",
            "one Before Sync record.new",
            "one After Sync record.new",
            "one Before Rename record",
            "one After Rename record",
            "one Before SyncDirectory ",
            "one After SyncDirectory ",
        ];
        assert_eq!(calls.lines(), expected);
    });
}

#[test]
fn a_node_that_is_paused_at_a_call_makes_it_when_it_goes_on() {
    run(1, |world| async move {
        let log = Log::default();
        let this = world.clone();
        world.watch_disk(Arc::new(move |call: &Call, when| {
            if (call.operation, when) != (Operation::Rename, When::Before) {
                return Reaction::Continue;
            }
            this.pause(&call.node);
            Reaction::Yield
        }));
        start(&world, &log);
        world.sleep(SECOND).await;
        assert_eq!(world.disk().read(View::Visible, Path::new("record")), None);
        world.resume("one");
        world.sleep(SECOND).await;
        assert_eq!(log.lines(), ["renamed", "durable"]);
    });
}

/// The digest of a run, with or without somebody who looks.
fn digest(is_watched: bool) -> u64 {
    run(3, |world| async move {
        if is_watched {
            world.watch_disk(Arc::new(|_: &Call, _| Reaction::Continue));
        }
        start(&world, &Log::default());
        let env = env(&world, "two");
        write(&env, "file", b"bytes", true).await;
        world.sleep(SECOND).await;
        world.stats().schedule_digest
    })
}

#[test]
fn looking_moves_nothing() {
    assert_eq!(digest(false), digest(true));
}
