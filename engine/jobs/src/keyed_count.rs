//! `keyed-count`: how often each key occurs in a generated stream; the job of the benchmarks.

use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::generator::GeneratorSource;
use seawall_runtime::connectors::rate::Rated;
use seawall_stream::{Collect, Job, JobBuilder, KeyedProcess};

use crate::JobSpec;
use crate::options::{OUTPUT, OptionKind, OptionSpec, Options, RATE};

/// `records`, as every generated job takes it.
pub const RECORDS: OptionSpec = OptionSpec {
    key: "records",
    about: "how many records to generate",
    kind: OptionKind::Count,
    default: Some("1_000_000"),
};

/// `keys`, as every generated job takes it.
pub const KEYS: OptionSpec = OptionSpec {
    key: "keys",
    about: "how many different keys there are",
    kind: OptionKind::Count,
    default: Some("1_000"),
};

/// `seed`, as every generated job takes it.
pub const SEED: OptionSpec = OptionSpec {
    key: "seed",
    about: "which stream to generate",
    kind: OptionKind::Number,
    default: Some("0"),
};

/// What `seawall run keyed-count` offers.
pub const SPEC: JobSpec = JobSpec {
    name: "keyed-count",
    about: "counts generated records by key",
    output: "key,count",
    options: &[RECORDS, KEYS, SEED, OUTPUT, RATE],
    build,
};

/// The generated input of a job with these options.
pub fn generator(options: &Options) -> Rated<GeneratorSource> {
    Rated::new(numbers(options), options.optional_number("rate"))
}

/// The same, as fast as it can be read.
pub fn numbers(options: &Options) -> GeneratorSource {
    GeneratorSource {
        records: options.number("records"),
        keys: options.number("keys"),
        seed: options.number("seed"),
    }
}

fn build(options: &Options, parallelism: u32) -> Job {
    let builder = JobBuilder::new(SPEC.name, parallelism);
    builder
        .source("generate", generator(options))
        .key_by(|key| *key)
        .process("count", Count)
        .sink("counts", FileSink::new(options.path("output"), write_pair));
    builder.build()
}

/// Counts the records of each key and emits the count once, at the end.
#[derive(Clone)]
struct Count;

impl KeyedProcess for Count {
    type Key = u64;
    type In = u64;
    type State = u64;
    type Out = (u64, u64);

    #[inline]
    fn on_record(
        &mut self,
        _: &u64,
        _: u64,
        count: &mut Option<u64>,
        _: &mut impl Collect<(u64, u64)>,
    ) {
        *count = Some(count.unwrap_or(0) + 1);
    }

    fn on_end(&mut self, key: &u64, count: &u64, out: &mut impl Collect<(u64, u64)>) {
        out.push((*key, *count));
    }
}

/// Two numbers as one line of CSV.
pub fn write_pair((first, second): &(u64, u64), line: &mut Vec<u8>) {
    line.extend_from_slice(first.to_string().as_bytes());
    line.push(b',');
    line.extend_from_slice(second.to_string().as_bytes());
    line.push(b'\n');
}
