//! No room left on the disk: the job ends with the cause, nothing is lost, and with room it goes on.

use std::process::Command;

use crate::support::{Said, Scratch};

const JOB: &str = "run ledger -o records=60_000 -o keys=50 -o output=out --restart-attempts 2 \
                   --restart-delay 50ms --checkpoint-interval 50ms";

fn sh(scratch: &Scratch, program: &str, arguments: &[&str], script: &str) -> Said {
    let script = script.replace("SEAWALL", env!("CARGO_BIN_EXE_seawall"));
    let mut command = Command::new(program);
    command.args(arguments).arg(script).current_dir(scratch.path("."));
    scratch.said(command.output().unwrap())
}

/// Small disks need user namespaces, which not every machine allows; the other test needs nothing.
fn cannot_mount(said: &Said) -> bool {
    let cannot = said.code == 99 || said.stderr.contains("unshare");
    if cannot {
        eprintln!("skipped: no disk can be mounted here: {}", said.stderr);
    }
    cannot
}

fn expected() -> Vec<String> {
    let scratch = Scratch::new();
    scratch.finish(&JOB.replace("output=out", "output=out -o rate=100_000_000"));
    scratch.output("out")
}

#[test]
fn a_file_that_may_not_grow_ends_the_job_with_the_cause() {
    let scratch = Scratch::new();
    // No file of more than 64 blocks of 512 bytes: every write beyond fails, as on a full disk.
    let limited = format!("trap '' XFSZ; ulimit -f 64; exec SEAWALL {JOB}");
    let said = sh(&scratch, "sh", &["-c"], &limited);
    assert_eq!(said.code, 1, "{}", said.stderr);
    for expected in [
        " failed: cannot write [dir]/out/.pending/part-op2-",
        "restarting as attempt 3 from the beginning",
        "error: job ledger failed: ",
        "File too large (os error 27)",
        "hint: mend the cause, then run the same command again",
    ] {
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }
    assert_eq!(scratch.output("out"), Vec::<String>::new(), "nothing was committed");
    scratch.finish(JOB);
    assert_eq!(scratch.output("out"), expected());
}

#[test]
fn a_full_disk_ends_the_job_with_the_cause_and_it_continues_with_room() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("disk")).unwrap();
    let job = JOB.replace("output=out", "output=disk/out");
    let script = format!(
        "mount -t tmpfs -o size=128k none disk || exit 99
         SEAWALL {job}; echo first run: $? >&2
         mount -o remount,size=64m disk
         SEAWALL {job} >&2; echo second run: $? >&2
         cat disk/out/*.csv"
    );
    let said = sh(&scratch, "unshare", &["-Urm", "sh", "-c"], &script);
    if cannot_mount(&said) {
        return;
    }
    for expected in [
        "No space left on device (os error 28)",
        "hint: free space on the disk, then run the same command again; nothing is lost",
        "first run: 1",
        "second run: 0",
    ] {
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }
    let mut lines: Vec<_> = said.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, expected());
}

#[test]
fn a_full_disk_under_the_checkpoints_ends_the_program_and_the_job_continues_with_room() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("disk")).unwrap();
    let job = "run keyed-count -o records=3000 -o keys=50 -o rate=1500 -o output=out --state disk \
               --checkpoint-interval 20ms --restart-attempts 2 --restart-delay 50ms";
    // What the job deletes makes room again, so the rest is filled until the program gives up.
    let script = format!(
        "mount -t tmpfs -o size=256k none disk || exit 99
         SEAWALL {job} & process=$!
         until ls disk/*/chk-*/manifest > /dev/null 2>&1; do sleep 0.02; done
         while kill -0 $process 2> /dev/null; do
             dd if=/dev/zero bs=4k of=disk/filler oflag=append conv=notrunc 2> /dev/null
             sleep 0.01
         done
         wait $process; echo first run: $? >&2
         rm disk/filler
         SEAWALL {job} >&2; echo second run: $? >&2
         cat out/*.csv"
    );
    let said = sh(&scratch, "unshare", &["-Urm", "sh", "-c"], &script);
    if cannot_mount(&said) {
        return;
    }
    // Which write fails first is up to the moment: a snapshot's (1) or the record's (2).
    assert!(!said.stderr.contains("first run: 0"), "{}", said.stderr);
    for expected in ["No space left on device (os error 28)", "nothing is lost", "second run: 0"] {
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }
    let counts = said.stdout.lines().map(|it| it.split_once(',').unwrap().1);
    assert_eq!(counts.map(|it| it.parse::<u64>().unwrap()).sum::<u64>(), 3000);
}
