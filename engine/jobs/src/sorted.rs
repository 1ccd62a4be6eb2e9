//! `sorted`: records that come out of order, put into the order of their event time; the job of watermarks.
//!
//! ```text
//! generate -> stamp -> clock -> [ rebalance ] -> relay -> [ rebalance ] -> sort -> lines
//! ```
//!
//! The time of a record is its number with each block of 64 turned round, so none comes more than 63
//! milliseconds late. A subtask of `sort` holds a record back until the watermark has passed it, in list
//! state, and writes what it lets go by time. A record behind the watermark is written at once. So a watermark
//! that says more than is true, by a wrong valve or by a wrong restore, is a time in the output that comes
//! after a larger one. With `idle-after` a source that was silent may come late by right.

use std::time::Duration;

use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::slow::Slow;
use seawall_stream::chain::Place;
use seawall_stream::operator_state::{ListState, States};
use seawall_stream::{Collect, EventTime, Job, JobBuilder, Process, WatermarkStrategy};

use crate::JobSpec;
use crate::keyed_count::{KEYS, RECORDS, SEED, generator, write_pair};
use crate::options::{OUTPUT, OptionKind, OptionSpec, Options, RATE, SINK_RATE};

const IDLE_AFTER: OptionSpec = OptionSpec {
    key: "idle-after",
    about: "milliseconds without a record after which nobody waits for a source subtask; never when absent",
    kind: OptionKind::Count,
    default: Some(""),
};

/// What `seawall run sorted` offers.
pub const SPEC: JobSpec = JobSpec {
    name: "sorted",
    about: "puts generated records that come out of order into the order of their event time",
    output: "key,time",
    options: &[RECORDS, KEYS, SEED, IDLE_AFTER, OUTPUT, RATE, SINK_RATE],
    build,
};

/// Records in a block that comes in reverse.
const BLOCK: u64 = 64;

fn build(options: &Options, parallelism: u32) -> Job {
    let builder = JobBuilder::new(SPEC.name, parallelism);
    let lines = FileSink::new(options.path("output"), write_pair);
    let mut strategy = WatermarkStrategy::bounded(Duration::from_millis(BLOCK - 1));
    if let Some(silence) = options.optional_number("idle-after") {
        strategy = strategy.idle_after(Duration::from_millis(silence));
    }
    builder
        .source("generate", generator(options))
        .process("stamp", Stamp::default())
        .watermarks("clock", strategy, |(_, time)| at(*time))
        .rebalance("relay")
        .rebalance("sort")
        .process("hold", Sort::default())
        .sink("lines", Slow::new(lines, options.optional_number("sink-rate")));
    builder.build()
}

fn at(time: u64) -> EventTime {
    EventTime(i64::try_from(time).expect("fewer records than milliseconds"))
}

/// Numbers records as the generator did, and gives each its time.
#[derive(Clone, Default)]
struct Stamp {
    index: u64,
    parallelism: u64,
    /// How many this subtask has numbered.
    numbered: ListState<u64>,
}

impl Process for Stamp {
    type In = u64;
    type Out = (u64, u64);

    fn on_open(&mut self, place: Place) {
        self.index = place.index.into();
        self.parallelism = place.parallelism.into();
        *self.numbered = vec![0];
    }

    fn states(&mut self, states: &mut States<'_, '_>) {
        states.declare("numbered", &mut self.numbered);
    }

    fn on_record(&mut self, key: u64, out: &mut impl Collect<(u64, u64)>) {
        let number = self.index + self.numbered[0] * self.parallelism;
        self.numbered[0] += 1;
        let block = number - number % BLOCK;
        out.push((key, block + (BLOCK - 1 - number % BLOCK)));
    }
}

/// Holds records back until their time has come.
#[derive(Clone)]
struct Sort {
    watermark: EventTime,
    held: ListState<(u64, u64)>,
}

impl Default for Sort {
    fn default() -> Self {
        Self { watermark: EventTime::MIN, held: ListState::default() }
    }
}

impl Process for Sort {
    type In = (u64, u64);
    type Out = (u64, u64);

    fn states(&mut self, states: &mut States<'_, '_>) {
        states.declare("held", &mut self.held);
    }

    fn on_record(&mut self, record: (u64, u64), out: &mut impl Collect<(u64, u64)>) {
        if at(record.1) <= self.watermark {
            out.push(record);
        } else {
            self.held.push(record);
        }
    }

    fn on_watermark(&mut self, time: EventTime, out: &mut impl Collect<(u64, u64)>) {
        self.watermark = time;
        let mut due: Vec<_> = self.held.extract_if(.., |it| at(it.1) <= time).collect();
        due.sort_unstable_by_key(|it| it.1);
        for record in due {
            out.push(record);
        }
    }
}
