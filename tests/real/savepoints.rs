//! Savepoints of a running job: taken, listed, started from, disposed of; and stopping with one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Scratch, newest_checkpoint, visible, wait_until};

/// Ends when it is told to: its input lasts longer than anybody's patience.
const SLOW: &str = "run keyed-count -o records=200000 -o keys=50 -o output=out -o rate=1000 \
                    --checkpoint-interval 50ms";
/// The same job, to its end.
const FAST: &str = "run keyed-count -o records=200000 -o keys=50 -o output=out";

/// The output of a run that nothing disturbed.
fn undisturbed(scratch: &Scratch) -> Vec<String> {
    scratch
        .finish("run keyed-count -o records=200000 -o keys=50 -o output=undisturbed --state other");
    scratch.output("undisturbed")
}

fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    visible(directory).into_iter().map(|it| (it.clone(), fs::read(it).unwrap())).collect()
}

/// Checksums and lengths differ from run to run.
fn without_checksums(text: &str) -> String {
    let is_checksum = |it: &str| it.len() == 8 && it.chars().all(|it| it.is_ascii_hexdigit());
    let is_length = |it: &str| it.len() > 1 && it.chars().all(|it| it.is_ascii_digit());
    let word = |it: &str| match it {
        // One of digits only is a checksum all the same.
        it if is_checksum(it) => "[checksum]".to_owned(),
        it if is_length(it) => "[n]".to_owned(),
        it => it.to_owned(),
    };
    text.split_inclusive([' ', ',', '\n'])
        .map(|it| {
            let end = it.trim_end_matches([' ', ',', '\n']).len();
            word(&it[..end]) + &it[end..]
        })
        .collect()
}

/// The only savepoint directly in a directory.
fn savepoint_in(directory: &Path) -> String {
    let paths = fs::read_dir(directory).unwrap().map(|it| it.unwrap().path());
    let is_savepoint =
        |it: &PathBuf| it.file_name().unwrap().to_str().unwrap().starts_with("savepoint-");
    let mut savepoints: Vec<_> = paths.filter(is_savepoint).collect();
    assert_eq!(savepoints.len(), 1, "{savepoints:?}");
    savepoints.remove(0).display().to_string()
}

fn started(scratch: &Scratch) -> crate::support::Running {
    let running = scratch.start(SLOW);
    wait_until("a checkpoint is completed", || newest_checkpoint(scratch) > 0);
    running
}

// Rules: H7, H8, I7
#[test]
fn a_savepoint_is_whole_by_itself_and_outlives_its_job() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let running = started(&scratch);
    let said = scratch.run("savepoint trigger seawall-data");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.starts_with("savepoint "), "{}", said.stdout);
    running.kill();
    let list = scratch.finish("savepoint list seawall-data");
    assert!(list.contains("intact"), "{list}");
    // Nothing of the job is needed any more, and neither is the place.
    fs::rename(savepoint_in(&scratch.job_directory()), scratch.path("kept")).unwrap();
    fs::remove_dir_all(scratch.path("seawall-data")).unwrap();
    let before = files(&scratch.path("kept"));
    assert!(before.len() > 1, "manifest and snapshots: {before:?}");
    for command in ["show", "verify"] {
        scratch.finish(&format!("checkpoint {command} kept"));
    }
    scratch.finish(
        "run keyed-count -o records=200000 -o keys=50 -o output=out2 --from-savepoint kept",
    );
    assert_eq!(scratch.output("out2"), expected);
    assert_eq!(files(&scratch.path("kept")), before, "nobody touches what is not claimed");
}

// Rules: H7, I7
#[test]
fn a_savepoint_of_state_on_disk_is_whole_and_its_size_counts_every_file() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let settings = "-D state.backend.type=disk -D state.backend.disk.cache-size=64kb \
                    -D execution.checkpointing.incremental=true \
                    -D execution.checkpointing.unaligned.enabled=true";
    let running = scratch.start(&format!("{SLOW} {settings}"));
    wait_until("a checkpoint is completed", || newest_checkpoint(&scratch) > 0);
    let said = scratch.run("stop seawall-data --savepoint-dir kept");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(running.wait(&scratch).code, 0);
    let kept = savepoint_in(&scratch.path("kept"));
    let listed: serde_json::Value =
        serde_json::from_str(&scratch.finish("savepoint list kept --json")).unwrap();
    let manifest = Path::new(&kept).join("manifest");
    let all: usize =
        files(Path::new(&kept)).iter().filter(|it| *it.0 != manifest).map(|it| it.1.len()).sum();
    assert_eq!(listed["savepoints"][0]["bytes"], all, "{listed}");
    scratch.finish(&format!("{FAST} --state new {settings} --from-savepoint {kept}"));
    assert_eq!(scratch.output("out"), expected);
}

// Rules: N7, K4
#[test]
fn a_stopped_job_goes_on_from_its_savepoint_as_if_nothing_had_been() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let running = started(&scratch);
    let said = scratch.run("stop seawall-data");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.starts_with("stopped with savepoint "), "{}", said.stdout);
    let stopped = running.wait(&scratch);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    assert!(stopped.stdout.contains("stopped with savepoint "), "{}", stopped.stdout);
    assert!(fs::read_dir(scratch.path("out/.pending")).unwrap().next().is_none());
    let before = files(&scratch.path("out"));
    let again = scratch.run(SLOW);
    assert_eq!(again.code, 0);
    assert!(again.stdout.contains("stopped with savepoint "), "{}", again.stdout);
    let savepoint = savepoint_in(&scratch.job_directory());
    let restore = format!("{FAST} --state new --from-savepoint {savepoint}");
    scratch.finish(&restore);
    assert_eq!(scratch.output("out"), expected);
    for (path, bytes) in before {
        assert_eq!(fs::read(&path).unwrap(), bytes, "{} was changed", path.display());
    }
    let said = scratch.run(&restore);
    assert!(said.stdout.contains("already finished"), "{} {}", said.stdout, said.stderr);
}

// Rules: N7
#[test]
fn a_drained_job_has_written_all_that_depends_on_the_end() {
    let scratch = Scratch::new();
    let running = scratch.start(&format!("{SLOW} --json"));
    wait_until("a checkpoint is completed", || newest_checkpoint(&scratch) > 0);
    let said = scratch.run("stop seawall-data --drain --savepoint-dir kept");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let stopped = running.wait(&scratch);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    let summary: serde_json::Value = serde_json::from_str(&stopped.stdout).unwrap();
    let count = |line: &String| line.rsplit_once(',').unwrap().1.parse::<u64>().unwrap();
    let counted: u64 = scratch.output("out").iter().map(count).sum();
    assert_eq!(summary["records_read"], counted, "keyed-count emits at the end of the input");
    let list = scratch.finish("savepoint list kept");
    assert!(list.contains("kept/savepoint-"), "{list}");
    let savepoint = savepoint_in(&scratch.path("kept"));
    let refused = scratch.run(&format!("{FAST} --state new --from-savepoint {savepoint}"));
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("it was drained"), "{}", refused.stderr);
}

// Rules: H11, M6
#[test]
fn output_that_is_ahead_of_a_savepoint_is_not_written_twice() {
    let scratch = Scratch::new();
    let line = "10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 23 \"-\" \"-\"\n";
    scratch.write("access.log", line.repeat(30));
    let expected = {
        scratch.finish("run access-log -o input=access.log -o output=undisturbed --state other");
        scratch.output("undisturbed")
    };
    let running = started(&scratch);
    let said = scratch.run("savepoint trigger seawall-data --target kept");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let savepoint = savepoint_in(&scratch.path("kept"));
    let other = scratch.run(&format!(
        "run access-log -o input=access.log -o output=out3 --state s3 --from-savepoint {savepoint}"
    ));
    assert_eq!(other.code, 2, "{}", other.stdout);
    assert!(other.stderr.contains("does not have"), "{}", other.stderr);
    assert!(!scratch.path("s3").exists(), "nothing was written");
    scratch.finish(&format!(
        "run access-log -o input=access.log -o output=out3 --state s3 --from-savepoint {savepoint} \
         --allow-non-restored-state"
    ));
    assert_eq!(scratch.output("out3"), expected, "it starts from the beginning");
    assert_eq!(expected, ["10.0.0.1,30,690,0"]);
    running.kill();
    scratch.finish(FAST);
    let restore = format!("{FAST} --state new --from-savepoint {savepoint}");
    let refused = scratch.run(&restore);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("committed later"), "{}", refused.stderr);
    let expected = scratch.output("out");
    scratch.finish(&format!("{restore} --rewind"));
    assert_eq!(scratch.output("out"), expected);
    assert!(fs::read_dir(scratch.path("out/.rewound")).unwrap().next().is_some());
}

// Rules: H7, I7
#[test]
fn a_claimed_savepoint_goes_with_its_checkpoint_and_another_stays_until_it_is_disposed_of() {
    let scratch = Scratch::new();
    let running = started(&scratch);
    for target in ["one", "two"] {
        let said = scratch.run(&format!("savepoint trigger seawall-data --target {target}"));
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    running.kill();
    let (one, two) = (savepoint_in(&scratch.path("one")), savepoint_in(&scratch.path("two")));
    let before = files(Path::new(&two));
    scratch.finish(&format!("{FAST} --state s1 --from-savepoint {two} --rewind"));
    assert_eq!(files(Path::new(&two)), before, "nobody touches what is not claimed");
    scratch
        .finish(&format!("{FAST} --state s2 --from-savepoint {one} --claim-mode claim --rewind"));
    assert!(!Path::new(&one).exists(), "it was replaced by a checkpoint");
    assert_eq!(scratch.output("out").len(), 50);
    scratch.finish(&format!("savepoint dispose {two}"));
    assert!(!Path::new(&two).exists());
    let refused = scratch.run(&format!("savepoint dispose {two}"));
    assert_eq!(refused.code, 2);
}

// Rules: N7, T16
#[test]
fn everybody_who_stops_the_job_is_told_of_the_same_savepoint() {
    let scratch = Scratch::new();
    let running = started(&scratch);
    let asking: Vec<_> = (0..3).map(|_| scratch.start("stop seawall-data")).collect();
    let said: Vec<_> = asking.into_iter().map(|it| it.wait(&scratch)).collect();
    assert_eq!(running.wait(&scratch).code, 0);
    let stopped: Vec<_> = said.iter().filter(|it| it.code == 0).map(|it| &it.stdout).collect();
    assert!(!stopped.is_empty(), "{}", said[0].stderr);
    assert!(stopped.iter().all(|it| *it == stopped[0]), "{stopped:?}");
    // One that came too late says what became of the job.
    let late = said.iter().filter(|it| it.code != 0);
    for it in late {
        assert!(it.stderr.contains("was stopped with a savepoint"), "{}", it.stderr);
    }
    savepoint_in(&scratch.job_directory());
}

#[test]
fn settings_say_where_savepoints_go_and_what_a_job_starts_from() {
    let scratch = Scratch::new();
    let running = scratch.start(&format!("{SLOW} -D execution.checkpointing.savepoint-dir=kept"));
    wait_until("a checkpoint is completed", || newest_checkpoint(&scratch) > 0);
    scratch.finish("stop seawall-data");
    assert_eq!(running.wait(&scratch).code, 0);
    let savepoint = savepoint_in(&scratch.path("kept"));
    let odd = scratch.run(&format!("{FAST} --state new --claim-mode claim"));
    assert_eq!(odd.code, 2);
    assert!(odd.stderr.contains("execution.state-recovery.claim-mode"), "{}", odd.stderr);
    let restore = format!(
        "{FAST} --state new -D execution.state-recovery.path={savepoint} \
         -D execution.state-recovery.claim-mode=CLAIM"
    );
    scratch.finish(&restore);
    assert!(!Path::new(&savepoint).exists(), "it was claimed and replaced");
    assert_eq!(scratch.output("out"), undisturbed(&scratch));
}

// Rules: N7, H9
#[test]
fn a_cancelled_job_leaves_its_savepoints() {
    let scratch = Scratch::new();
    let running = started(&scratch);
    scratch.finish("savepoint trigger seawall-data --target kept");
    scratch.finish("cancel seawall-data");
    assert_eq!(running.wait(&scratch).code, 0);
    let savepoint = savepoint_in(&scratch.path("kept"));
    scratch.finish(&format!("checkpoint verify {savepoint}"));
    scratch.finish(&format!("{FAST} --state new --from-savepoint {savepoint} --rewind"));
    assert_eq!(scratch.output("out"), undisturbed(&scratch));
}

// Rules: R2, H8
#[test]
fn a_savepoint_that_is_not_whole_is_told_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let running = started(&scratch);
    scratch.finish("stop seawall-data --savepoint-dir kept");
    assert_eq!(running.wait(&scratch).code, 0);
    let savepoint = savepoint_in(&scratch.path("kept"));
    let savepoint = Path::new(&savepoint);
    let intact = files(savepoint);
    let snapshot = intact.keys().find(|it| it.extension().is_some()).unwrap().clone();
    let manifest = savepoint.join("manifest");
    let change = |path: &Path, change: fn(&mut Vec<u8>)| {
        let mut bytes = intact[path].clone();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    let middle: fn(&mut Vec<u8>) = |it| {
        let middle = it.len() / 2;
        it[middle] ^= 1;
    };
    let refused = |name: &str| {
        let before = (files(savepoint), scratch.output("out"));
        let said =
            scratch.run(&format!("{FAST} --state n --from-savepoint {}", savepoint.display()));
        assert_eq!(said.code, 2, "{name}: {}", said.stdout);
        let directory = savepoint.file_name().unwrap().to_str().unwrap();
        let stderr = said.stderr.replace(directory, "savepoint-[id]");
        let stderr = without_checksums(&stderr);
        insta::assert_snapshot!(name, stderr);
        assert_eq!((files(savepoint), scratch.output("out")), before, "{name}");
        assert!(!scratch.path("n").exists(), "{name}: nothing was written");
    };
    change(&manifest, |it| it[8] = 9);
    refused("savepoint_of_a_newer_format");
    change(&manifest, |it| it.truncate(it.len() / 2));
    refused("savepoint_with_half_a_manifest");
    change(&manifest, |_| {});
    change(&snapshot, middle);
    refused("savepoint_with_a_damaged_snapshot");
    fs::remove_file(&snapshot).unwrap();
    refused("savepoint_without_a_snapshot");
    let verify = scratch.run(&format!("checkpoint verify {}", savepoint.display()));
    assert_eq!(verify.code, 1, "{}", verify.stderr);
    change(&snapshot, |_| {});
    scratch.finish(&format!("{FAST} --state n --from-savepoint {}", savepoint.display()));
    assert_eq!(scratch.output("out"), undisturbed(&scratch));
}

#[test]
fn what_is_no_savepoint_is_told() {
    let scratch = Scratch::new();
    scratch.leave_unfinished(SLOW);
    let id = newest_checkpoint(&scratch);
    let refused = |name: &str, command: &str| {
        let said = scratch.run(command);
        assert_eq!(said.code, 2, "{}", said.stdout);
        let stderr = said.stderr.replace(&format!("chk-{id}"), "chk-[id]");
        insta::assert_snapshot!(name, stderr);
    };
    let checkpoint = scratch.job_directory().join(format!("chk-{id}"));
    let checkpoint = checkpoint.display();
    refused("dispose_a_checkpoint", &format!("savepoint dispose {checkpoint}"));
    refused("dispose_nothing", "savepoint dispose nowhere");
    refused("start_from_a_checkpoint", &format!("{FAST} --state n --from-savepoint {checkpoint}"));
    refused("start_from_nothing", &format!("{FAST} --state n --from-savepoint nowhere"));
    scratch.write("half/op0-0-attempt-1.snapshot", "half");
    refused("start_from_half", &format!("{FAST} --state n --from-savepoint half"));
    scratch.write("foreign/manifest", "nonsense");
    refused("start_from_foreign", &format!("{FAST} --state n --from-savepoint foreign"));
    assert!(!scratch.path("n").exists(), "nothing was written");
    refused("start_over_state", &format!("{FAST} --from-savepoint half"));
}
