//! `seawall checkpoint list|show|verify`, and damage.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::Scratch;

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
