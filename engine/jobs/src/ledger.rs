//! `ledger`: one line of output for each record, so that every checkpoint has a transaction to commit.
//!
//! The n-th record of a key becomes the line `key,n`. A lost record leaves a gap, a repeated one a
//! duplicate, wrong state a wrong number: the output alone convicts.

use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::slow::Slow;
use seawall_stream::{Collect, Job, JobBuilder, KeyedProcess};

use crate::JobSpec;
use crate::keyed_count::{KEYS, RECORDS, SEED, generator, write_pair};
use crate::options::{OUTPUT, Options, RATE, SINK_RATE};

/// What `seawall run ledger` offers.
pub const SPEC: JobSpec = JobSpec {
    name: "ledger",
    about: "numbers the generated records of each key as they come",
    output: "key,number",
    options: &[RECORDS, KEYS, SEED, OUTPUT, RATE, SINK_RATE],
    build,
};

fn build(options: &Options, parallelism: u32) -> Job {
    let builder = JobBuilder::new(SPEC.name, parallelism);
    let lines = FileSink::new(options.path("output"), write_pair);
    builder
        .source("generate", generator(options))
        .key_by(|key| *key)
        .process("number", Number)
        .rebalance("spread")
        .sink("lines", Slow::new(lines, options.optional_number("sink-rate")));
    builder.build()
}

/// Numbers the records of each key, from 1.
#[derive(Clone)]
struct Number;

impl KeyedProcess for Number {
    type Key = u64;
    type In = u64;
    type State = u64;
    type Out = (u64, u64);

    fn on_record(
        &mut self,
        key: &u64,
        _: u64,
        count: &mut Option<u64>,
        out: &mut impl Collect<(u64, u64)>,
    ) {
        let number = count.unwrap_or(0) + 1;
        *count = Some(number);
        out.push((*key, number));
    }
}
