//! `buffered`: records that wait in operator state until a checkpoint is completed; the job of callbacks.
//!
//! Each source subtask numbers its records and holds them back, in list state. A completed checkpoint, a
//! full buffer or the end of the input lets them go. How many a subtask has numbered is in union state, of
//! which a restored one picks its own. A lost item is a missing line, a lost count a wrong number.

use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::slow::Slow;
use seawall_stream::chain::Place;
use seawall_stream::operator_state::{ListState, States, UnionState};
use seawall_stream::{CheckpointId, Collect, Job, JobBuilder, Process};

use crate::JobSpec;
use crate::keyed_count::{KEYS, RECORDS, SEED, generator, write_pair};
use crate::options::{OUTPUT, OptionKind, OptionSpec, Options, RATE, SINK_RATE};

const CAPACITY: OptionSpec = OptionSpec {
    key: "capacity",
    about: "how many records a subtask holds back at most",
    kind: OptionKind::Count,
    default: Some("100"),
};

/// What `seawall run buffered` offers.
pub const SPEC: JobSpec = JobSpec {
    name: "buffered",
    about: "numbers generated records and holds them back until a checkpoint is completed",
    output: "key,number",
    options: &[RECORDS, KEYS, SEED, CAPACITY, OUTPUT, RATE, SINK_RATE],
    build,
};

fn build(options: &Options, parallelism: u32) -> Job {
    let capacity = usize::try_from(options.number("capacity")).unwrap_or(usize::MAX);
    let builder = JobBuilder::new(SPEC.name, parallelism);
    let lines = FileSink::new(options.path("output"), write_pair);
    builder
        .source("generate", generator(options, parallelism))
        .process("buffer", Buffer { capacity, ..Buffer::default() })
        .rebalance("spread")
        .sink("lines", Slow::new(lines, options.optional_number("sink-rate"), parallelism));
    builder.build()
}

/// Numbers records as the generator did, and holds them back.
#[derive(Clone, Default)]
struct Buffer {
    capacity: usize,
    index: u64,
    parallelism: u64,
    held: ListState<(u64, u64)>,
    /// A subtask's index, and how many records it has numbered. Here the own one alone.
    numbered: UnionState<(u64, u64)>,
}

impl Buffer {
    fn let_go(&mut self, out: &mut impl Collect<(u64, u64)>) {
        self.held.drain(..).for_each(|it| out.push(it));
    }
}

impl Process for Buffer {
    type In = u64;
    type Out = (u64, u64);
    const HEARS_CHECKPOINTS: bool = true;

    fn on_open(&mut self, place: Place) {
        self.index = place.index.into();
        self.parallelism = place.parallelism.into();
        *self.numbered = vec![(self.index, 0)];
    }

    fn states(&mut self, states: &mut States<'_, '_>) {
        states.declare("held", &mut self.held);
        states.declare("numbered", &mut self.numbered);
    }

    fn on_restored(&mut self) {
        let index = self.index;
        self.numbered.retain(|(of, _)| *of == index);
        if self.numbered.is_empty() {
            self.numbered.push((index, 0));
        }
    }

    fn on_record(&mut self, key: u64, out: &mut impl Collect<(u64, u64)>) {
        let numbered = &mut self.numbered[0].1;
        let number = self.index + *numbered * self.parallelism;
        *numbered += 1;
        self.held.push((key, number));
        if self.held.len() >= self.capacity {
            self.let_go(out);
        }
    }

    fn on_checkpoint_completed(&mut self, _: CheckpointId, out: &mut impl Collect<(u64, u64)>) {
        self.let_go(out);
    }

    fn on_end(&mut self, out: &mut impl Collect<(u64, u64)>) {
        self.let_go(out);
    }
}
