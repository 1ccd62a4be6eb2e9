//! Output equals an independent count of the input.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::support::{Scratch, count_access, count_words, sample};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Real prose, with letters beyond ASCII.
fn prose() -> String {
    format!("{}\nÉtude étude STRASSE Straße 東京 東京 x2 2x\n", include_str!("../../LICENSE"))
}

#[test]
fn access_log_equals_an_independent_count() {
    let scratch = Scratch::new();
    scratch.write("access.log", sample());
    let summary = scratch.finish("run access-log -o input=access.log -o output=out");
    let (clients, malformed) = count_access(&sample());
    assert_eq!(scratch.output("out"), clients);
    assert_eq!(scratch.output("out/malformed"), malformed);
    assert_eq!(malformed.len(), 1, "the sample has one malformed line");
    for said in ["300 read", "exactly-once", "malformed: 1 lines", "restarts     0"] {
        assert!(summary.contains(said), "{summary}");
    }
}

#[test]
fn word_count_equals_an_independent_count_of_plain_and_gzip_files() {
    let scratch = Scratch::new();
    let prose = prose();
    scratch.write("texts/plain.txt", &prose);
    scratch.write("texts/compressed.txt.gz", gzip(prose.as_bytes()));
    scratch.write("texts/without-line-end.txt", "the last word");
    scratch.write("texts/empty.txt", "");
    let many: Vec<String> = (0..40).map(|it| format!("file {it}\nof many\n")).collect();
    for (index, text) in many.iter().enumerate() {
        scratch.write(&format!("texts/many-{index}.txt"), text);
    }
    scratch.finish("run word-count -o input=texts -o output=out --parallelism 3");
    let texts = [prose.as_str(), prose.as_str(), "the last word"];
    let texts = texts.into_iter().chain(many.iter().map(String::as_str));
    assert_eq!(scratch.output("out"), count_words(texts));
}

#[test]
fn keyed_count_counts_every_record_whatever_the_parallelism() {
    let scratch = Scratch::new();
    let options = "-o records=20_000 -o keys=100 -o seed=7";
    let counted = |parallelism: u32| {
        let output = format!("out-{parallelism}");
        scratch.finish(&format!(
            "run keyed-count {options} -o output={output} --parallelism {parallelism}"
        ));
        scratch.output(&output)
    };
    let one = counted(1);
    assert_eq!(one.len(), 100);
    let counts = one.iter().map(|it| it.split_once(',').unwrap().1.parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), 20_000);
    assert_eq!(counted(3), one);
}

#[test]
fn a_rate_limits_the_records_per_second() {
    let scratch = Scratch::new();
    let summary: Value = serde_json::from_str(
        &scratch.finish("run keyed-count -o records=1000 -o rate=1000 -o output=out --json"),
    )
    .unwrap();
    let duration = summary["duration_ms"].as_u64().unwrap();
    assert!(duration >= 800, "1000 records at 1000 records/s took {duration} ms");
    assert_eq!(summary["result"], "finished");
    assert_eq!(summary["guarantee"], "exactly-once");
    assert_eq!(summary["records_read"], 1000);
}

// Rules: J6
#[test]
fn at_least_once_is_told_as_such() {
    let scratch = Scratch::new();
    let summary = scratch
        .finish("run keyed-count -o records=1000 -o keys=10 -o output=out --mode at-least-once");
    assert!(summary.contains("guarantee    at-least-once"), "{summary}");
    assert_eq!(scratch.output("out").len(), 10);
}

#[test]
fn the_jobs_are_listed_with_options_and_output() {
    let scratch = Scratch::new();
    insta::assert_snapshot!("jobs", scratch.finish("jobs"));
    let jobs: Value = serde_json::from_str(&scratch.finish("jobs --json")).unwrap();
    assert_eq!(jobs[1]["name"], "access-log");
    assert_eq!(jobs[1]["output"], "client,requests,bytes,errors");
}

#[test]
fn sorted_writes_every_record_and_each_file_by_event_time() {
    let scratch = Scratch::new();
    scratch.finish("run sorted -o records=20_000 -o keys=100 -o output=out --parallelism 2");
    let time = |line: &str| line.split_once(',').unwrap().1.parse::<u64>().unwrap();
    let mut times: Vec<u64> = scratch.output("out").iter().map(|it| time(it)).collect();
    times.sort_unstable();
    // The last block is not full, and turned round it ends with the end of the block.
    let expected: Vec<u64> = (0..19_968).chain((19_968..20_032).skip(32)).collect();
    assert_eq!(times, expected);
    for entry in std::fs::read_dir(scratch.path("out")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "csv") {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.lines().map(time).is_sorted(), "{text}");
        }
    }
}
