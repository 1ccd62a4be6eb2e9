//! Every refusal: a message that says what and what to do, exit code 2, and nothing written.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Scratch, sample};

/// Its input lasts longer than anybody's patience.
const KEYED: &str = "run keyed-count -o records=200000 -o keys=50 -o rate=1000 \
                     --checkpoint-interval 20ms";

/// The command is refused with the message of the snapshot, and writes nothing.
fn refused(scratch: &Scratch, name: &str, command: &str) {
    let before = scratch.tree();
    let said = scratch.run(command);
    assert_eq!(said.code, 2, "{command}: {}{}", said.stdout, said.stderr);
    assert_eq!(said.stdout, "");
    insta::assert_snapshot!(name, said.stderr);
    assert_eq!(scratch.tree(), before, "{command} wrote something");
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let scratch = Scratch::new();
    scratch.write("access.log", sample());
    refused(&scratch, "an_unknown_job", "run acces-log -o input=access.log -o output=out");
    refused(&scratch, "an_unknown_option", "run access-log -o inptu=access.log -o output=out");
    refused(&scratch, "an_unknown_flag", "run access-log --paralelism 2");
    refused(&scratch, "an_unknown_command", "rnu access-log");
    refused(&scratch, "an_unknown_file", "run access-log -o input=acess.log -o output=out");
}

#[test]
fn wrong_values_are_refused() {
    let scratch = Scratch::new();
    scratch.write("access.log", sample());
    let run = |rest: &str| format!("run access-log -o input=access.log {rest}");
    refused(&scratch, "a_missing_option", &run(""));
    refused(&scratch, "an_option_without_value", &run("-o output"));
    refused(&scratch, "an_option_twice", &run("-o output=a -o output=b"));
    refused(&scratch, "a_rate_of_zero", &run("-o output=out -o rate=0"));
    refused(&scratch, "a_time_without_unit", &run("-o output=out --checkpoint-interval 5"));
    refused(&scratch, "an_interval_too_short", &run("-o output=out --checkpoint-interval 1ms"));
    refused(&scratch, "no_parallelism", &run("-o output=out --parallelism 0"));
    refused(&scratch, "nothing_retained", &run("-o output=out --retained 0"));
}

#[test]
fn input_that_cannot_be_read_is_refused() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("empty")).unwrap();
    scratch.write("some/good.log", sample());
    symlink("loop.log", scratch.path("some/loop.log")).unwrap();
    let run = |input: &str| format!("run access-log -o input={input} -o output=out");
    refused(&scratch, "a_missing_input", &run("nowhere/at-all.log"));
    refused(&scratch, "a_directory_without_files", &run("empty"));
    refused(&scratch, "an_unreadable_file", &run("some"));
}

#[test]
fn an_empty_input_is_warned_of_and_gives_an_empty_result() {
    let scratch = Scratch::new();
    scratch.write("access.log", "");
    let said = scratch.run("run access-log -o input=access.log -o output=out");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.stderr, "warning: the input is empty; the result will be empty too\n");
    assert_eq!(scratch.output("out"), Vec::<String>::new());
}

#[test]
fn a_damaged_gzip_file_ends_the_job_with_its_name() {
    let scratch = Scratch::new();
    scratch.write("words.gz", b"\x1f\x8b\x08\x00this is not gzip at all");
    let said = scratch.run("run word-count -o input=words.gz -o output=out");
    assert_eq!(said.code, 1, "{}", said.stderr);
    // Before it, subtasks say in any order why they stopped.
    let end = said.stderr.find("error: ").unwrap();
    insta::assert_snapshot!("a_damaged_gzip_file", &said.stderr[end..]);
    assert_eq!(scratch.output("out"), Vec::<String>::new());
}

#[test]
fn directories_within_each_other_are_refused() {
    let scratch = Scratch::new();
    scratch.write("logs/access.log", sample());
    let run = |rest: &str| format!("run access-log -o input=logs {rest}");
    refused(&scratch, "output_in_input", &run("-o output=logs/out"));
    refused(&scratch, "state_in_output", &run("-o output=out --state out/state"));
}

#[test]
fn an_output_directory_of_others_is_refused() {
    let scratch = Scratch::new();
    scratch.write("a-file", "mine");
    scratch.write("mine/notes.txt", "mine");
    refused(&scratch, "output_is_a_file", &format!("{KEYED} -o output=a-file"));
    refused(&scratch, "output_is_not_empty", &format!("{KEYED} -o output=mine"));

    scratch.finish("run keyed-count -o records=10 -o keys=5 -o output=theirs");
    refused(&scratch, "output_of_another_job", &format!("{KEYED} -o output=theirs"));
    refused(
        &scratch,
        "output_without_its_state",
        "run keyed-count -o records=10 -o keys=5 -o output=theirs --state elsewhere",
    );
    fs::remove_dir_all(scratch.path("theirs")).unwrap();
    refused(
        &scratch,
        "state_without_its_output",
        "run keyed-count -o records=10 -o keys=5 -o output=theirs",
    );
}

#[test]
fn a_state_directory_that_cannot_be_used_is_refused() {
    let scratch = Scratch::new();
    scratch.write("a-file", "mine");
    refused(&scratch, "state_is_a_file", &format!("{KEYED} -o output=out --state a-file"));
    refused(&scratch, "output_below_a_file", &format!("{KEYED} -o output=a-file/out"));
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let scratch = Scratch::new();
    let command = format!("{KEYED} -o output=out");
    scratch.leave_unfinished(&command);
    refused(&scratch, "another_parallelism", &format!("{command} --parallelism 3"));

    let job = scratch.job_directory();
    let record = fs::read(job.join("record")).unwrap();
    let manifest =
        job.join(format!("chk-{}/manifest", crate::support::newest_checkpoint(&scratch)));
    let intact = fs::read(&manifest).unwrap();
    let with = |bytes: &[u8], change: fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        bytes
    };
    let flip: fn(&mut Vec<u8>) = |it| {
        let middle = it.len() / 2;
        it[middle] ^= 1;
    };
    let cut: fn(&mut Vec<u8>) = |it| it.truncate(it.len() / 2);
    let newer: fn(&mut Vec<u8>) = |it| it[8] = 9;
    for (name, change) in [("flipped", flip), ("cut", cut), ("of_a_newer_format", newer)] {
        fs::write(&manifest, with(&intact, change)).unwrap();
        refused_with_checkpoint(&scratch, &format!("a_manifest_{name}"), &command);
        fs::write(&manifest, &intact).unwrap();
        fs::write(job.join("record"), with(&record, change)).unwrap();
        refused_with_checkpoint(&scratch, &format!("a_record_{name}"), &command);
        fs::write(job.join("record"), &record).unwrap();
    }
    scratch.finish(&command.replace("-o rate=1000", "")); // Nothing was lost.
    assert_eq!(scratch.output("out").len(), 50);
}

#[test]
fn a_checkpoint_of_another_job_is_refused() {
    let scratch = Scratch::new();
    scratch.finish("run keyed-count -o records=10 -o keys=5 -o output=theirs");
    let theirs = scratch.job_directory();
    let command = "run keyed-count -o records=20 -o keys=5 -o output=mine --state state";
    scratch.finish(command);
    let mine = fs::read_dir(scratch.path("state")).unwrap().next().unwrap().unwrap().path();
    fs::copy(theirs.join("record"), mine.join("record")).unwrap();
    refused(&scratch, "a_checkpoint_of_another_job", command);
}

/// As `refused`, with the number of the checkpoint, its length and its checksums replaced.
fn refused_with_checkpoint(scratch: &Scratch, name: &str, command: &str) {
    let before = scratch.tree();
    let said = scratch.run(command);
    assert_eq!(said.code, 2, "{}", said.stderr);
    let numberless: String =
        said.stderr.split_inclusive(char::is_whitespace).map(numberless).collect();
    insta::assert_snapshot!(name, numberless);
    assert_eq!(scratch.tree(), before);
}

fn numberless(word: &str) -> String {
    match word.split_once("chk-") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|it: char| it.is_ascii_digit());
            format!("{before}chk-[n]{after}")
        }
        None if word.trim_end().len() == 8
            && word.trim_end().chars().all(|it| it.is_ascii_hexdigit()) =>
        {
            "[checksum] ".to_owned()
        }
        None if word.trim_end().len() > 1
            && word.trim_end().chars().all(|it| it.is_ascii_digit()) =>
        {
            "[n] ".to_owned()
        }
        None => word.to_owned(),
    }
}
