//! `seawall checkpoint list|show|verify`, and damage.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Scratch, newest_checkpoint, wait_until};

fn finished() -> Scratch {
    let scratch = Scratch::new();
    scratch.finish("run keyed-count -o records=100 -o keys=5 -o output=out");
    scratch
}

/// A snapshot file of the only checkpoint.
fn a_snapshot(scratch: &Scratch) -> PathBuf {
    let checkpoint = scratch.job_directory().join("chk-1");
    let paths = fs::read_dir(checkpoint).unwrap().map(|it| it.unwrap().path());
    paths.filter(|it| it.extension().is_some()).min().unwrap()
}

// Rules: H8
// Rules: S1, S4
#[test]
fn a_checkpoint_is_listed_shown_and_verified() {
    let scratch = finished();
    let list = scratch.finish("checkpoint list seawall-data");
    for said in ["finished", "checkpoint  status", "1           retained  4", "intact"] {
        assert!(list.contains(said), "{said}: {list}");
    }
    let show = scratch.finish("checkpoint show seawall-data");
    for said in ["checkpoint 1 of keyed-count [job]", "generate/0", "count/1", "2            128"] {
        assert!(show.contains(said), "{said}: {show}");
    }
    assert!(list.contains("1 triggered: 1 completed, 100.00 % of those that ended"), "{list}");
    for column in ["start delay", "alignment", "sync", "async", "end to end", "in flight"] {
        assert!(show.contains(column), "{column}: {show}");
    }
    let explained = scratch.finish("checkpoint explain seawall-data 1");
    assert!(explained.starts_with("checkpoint 1 completed in "), "{explained}");
    assert!(explained.contains("most of the time: "), "{explained}");
    let verify = scratch.finish("checkpoint verify seawall-data");
    assert!(verify.starts_with("checkpoint 1: intact, "), "{verify}");
    let job = scratch.job_directory();
    assert_eq!(scratch.finish(&format!("checkpoint verify {}", job.display())), verify);
}

#[test]
fn json_holds_the_same() {
    let scratch = finished();
    let json = |command: &str| {
        let said = scratch.finish(&format!("checkpoint {command} seawall-data --json"));
        serde_json::from_str::<Value>(&said).unwrap()
    };
    assert_eq!(json("list")["checkpoints"][0]["snapshots"], 4);
    assert_eq!(json("show")["operators"][1]["name"], "count");
    assert_eq!(json("verify")["intact"], true);
    assert_eq!(json("list")["counts"]["completed"], 1);
    assert!(json("show")["snapshots"][0]["figures"]["checkpoint"]["async"].is_number());
    let said = scratch.finish("checkpoint explain seawall-data 1 --json");
    let explained: Value = serde_json::from_str(&said).unwrap();
    assert!(explained["phase"].is_string(), "{explained}");
}

// Rules: I2, R2, S1
#[test]
fn an_incremental_checkpoint_shows_its_full_size_and_what_was_written_for_it() {
    let scratch = Scratch::new();
    scratch.write(
        "config.yaml",
        "state.backend:\n  type: disk\n  disk.cache-size: 64 kb\nexecution.checkpointing:\n  incremental: true\n  \
         interval: 100 ms\n  num-retained: 8\n",
    );
    scratch.finish(
        "run keyed-count -o records=40000 -o keys=20000 -o rate=20000 -o output=out --config config.yaml",
    );
    let json = |command: &str| {
        let said = scratch.finish(&format!("checkpoint {command} --json"));
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let list = json("list seawall-data");
    let sizes = |it: &Value| (it["new_bytes"].as_u64().unwrap(), it["bytes"].as_u64().unwrap());
    let is_incremental = |it: &&Value| sizes(it).0 < sizes(it).1;
    let incremental = list["checkpoints"].as_array().unwrap().iter().find(is_incremental);
    let incremental = incremental.unwrap_or_else(|| panic!("none is incremental: {list}"));
    let shown = json(&format!("show seawall-data --checkpoint {}", incremental["checkpoint"]));
    let sum = |field: &str| -> u64 {
        let snapshots = shown["snapshots"].as_array().unwrap();
        snapshots.iter().map(|it| it[field].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("new_bytes"), sum("bytes")), sizes(incremental));
    let show = scratch.finish("checkpoint show seawall-data");
    for column in ["of them new", "files", "full size", "written"] {
        assert!(show.contains(column), "{column}: {show}");
    }
    scratch.finish("checkpoint verify seawall-data");

    // A shared file that is gone damages whatever refers to it.
    let shared = fs::read_dir(scratch.job_directory().join("shared")).unwrap();
    let path = shared.map(|it| it.unwrap().path()).max().unwrap();
    fs::remove_file(&path).unwrap();
    let said = scratch.run("checkpoint verify seawall-data");
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stdout.contains(path.file_name().unwrap().to_str().unwrap()), "{}", said.stdout);
}

// Rules: R2
#[test]
fn a_damaged_snapshot_is_named() {
    let scratch = finished();
    let path = a_snapshot(&scratch);
    let intact = fs::read(&path).unwrap();
    let mut flipped = intact.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let damages = [("damaged", flipped), ("short", intact[..intact.len() / 2].to_vec())];
    for (damage, bytes) in damages {
        fs::write(&path, bytes).unwrap();
        let said = scratch.run("checkpoint verify seawall-data");
        assert_eq!(said.code, 1, "{}", said.stdout);
        assert!(said.stdout.contains("checkpoint 1: damaged\n"), "{}", said.stdout);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(said.stdout.contains(name), "{}", said.stdout);
        assert!(said.stdout.contains(damage), "{}", said.stdout);
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(scratch.run("checkpoint verify seawall-data").code, 1);
    assert_eq!(scratch.run("checkpoint verify seawall-data --json").code, 1);
    fs::write(&path, intact).unwrap();
    scratch.finish("checkpoint verify seawall-data");
}

// Rules: H6
#[test]
fn checkpoints_of_a_running_job_are_never_called_damaged() {
    let scratch = Scratch::new();
    let mut running = scratch.start(
        "run keyed-count -o records=100_000_000 -o keys=2000 -o rate=20000 -o output=out --parallelism 4 \
         --checkpoint-interval 10ms -D execution.checkpointing.num-retained=1 \
         -D state.backend.type=disk -D execution.checkpointing.incremental=true",
    );
    wait_until("a checkpoint is completed", || newest_checkpoint(&scratch) > 0);
    let before = newest_checkpoint(&scratch);
    for _ in 0..15 {
        for command in ["verify", "show", "list"] {
            let said = scratch.run(&format!("checkpoint {command} seawall-data"));
            assert_eq!(said.code, 0, "{command}: {}{}", said.stdout, said.stderr);
            assert!(!said.stdout.contains("damaged"), "{command}: {}", said.stdout);
        }
    }
    assert!(!running.has_ended());
    wait_until("a newer checkpoint is completed", || newest_checkpoint(&scratch) > before);
    running.kill();
}

// Rules: R2
#[test]
fn a_damaged_record_is_named() {
    let scratch = finished();
    fs::write(scratch.job_directory().join("record"), "nonsense").unwrap();
    let said = scratch.run("checkpoint verify seawall-data");
    assert_eq!(said.code, 1);
    assert!(said.stdout.starts_with("store record: damaged\n"), "{}", said.stdout);
    assert_eq!(scratch.run("checkpoint list seawall-data").code, 2);
}

#[test]
fn what_is_not_there_is_told() {
    let scratch = finished();
    fs::create_dir(scratch.path("empty")).unwrap();
    let refused = |name: &str, command: &str| {
        let said = scratch.run(command);
        assert_eq!(said.code, 2, "{}", said.stdout);
        insta::assert_snapshot!(name, said.stderr);
    };
    refused("no_checkpoints", "checkpoint list empty");
    refused("no_such_directory", "checkpoint list nowhere");
    refused("no_such_checkpoint", "checkpoint show seawall-data --checkpoint 9");
    scratch.finish("run keyed-count -o records=100 -o keys=6 -o output=out2");
    let said = scratch.run("checkpoint list seawall-data");
    assert_eq!(said.code, 2);
    assert!(said.stderr.starts_with("error: several jobs have their state in: seawall-data"));
}
