//! `word-count`: how often each word occurs in text files.

use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::file_source::FileSource;
use seawall_runtime::connectors::rate::Rated;
use seawall_stream::{Collect, FlatMap, Job, JobBuilder, KeyedProcess};

use crate::JobSpec;
use crate::options::{INPUT, OUTPUT, Options, RATE};

/// What `seawall run word-count` offers.
pub const SPEC: JobSpec = JobSpec {
    name: "word-count",
    about: "counts words: maximal runs of alphanumeric characters, lower-cased",
    output: "word,count",
    options: &[INPUT, OUTPUT, RATE],
    build,
};

fn build(options: &Options, parallelism: u32) -> Job {
    let builder = JobBuilder::new(SPEC.name, parallelism);
    let lines = FileSource::new(options.path("input"));
    builder
        .source("lines", Rated::new(lines, options.optional_number("rate")))
        .flat_map("words", Words)
        .key_by(String::clone)
        .process("count", Count)
        .sink("counts", FileSink::new(options.path("output"), write_count));
    builder.build()
}

/// Splits a line into its words.
#[derive(Clone)]
struct Words;

impl FlatMap for Words {
    type In = String;
    type Out = String;

    fn apply(&mut self, line: String, out: &mut impl Collect<String>) {
        for word in line.split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty()) {
            out.push(word.to_lowercase());
        }
    }
}

/// Counts the records of each key and emits the count once, at the end.
#[derive(Clone)]
struct Count;

impl KeyedProcess for Count {
    type Key = String;
    type In = String;
    type State = u64;
    type Out = (String, u64);

    fn on_record(
        &mut self,
        _: &String,
        _: String,
        count: &mut Option<u64>,
        _: &mut impl Collect<(String, u64)>,
    ) {
        *count = Some(count.unwrap_or(0) + 1);
    }

    fn on_end(&mut self, word: &String, count: &u64, out: &mut impl Collect<(String, u64)>) {
        out.push((word.clone(), *count));
    }
}

fn write_count((word, count): &(String, u64), line: &mut Vec<u8>) {
    line.extend_from_slice(word.as_bytes());
    line.push(b',');
    line.extend_from_slice(count.to_string().as_bytes());
    line.push(b'\n');
}
