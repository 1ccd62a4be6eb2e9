//! `buffered`: records that wait in operator state until a checkpoint is completed; the job of callbacks.
//!
//! Each source subtask numbers the records of each split and holds them back, in list state. A completed
//! checkpoint, a full buffer or the end of the input lets them go. How many of a split were numbered is in
//! union state, so that whoever reads the split next goes on from there. A lost item is a missing line, a
//! lost count a wrong number.

use std::collections::BTreeMap;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::generator::{GeneratorSource, GeneratorSplit};
use seawall_runtime::connectors::rate::Rated;
use seawall_runtime::connectors::slow::Slow;
use seawall_stream::operator_state::{ListState, States, UnionState};
use seawall_stream::{
    CheckpointId, Collect, ConnectorError, Job, JobBuilder, Process, Progress, Source, SourceReader,
};

use crate::JobSpec;
use crate::keyed_count::{KEYS, RECORDS, SEED, numbers, write_pair};
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
        .source("generate", Rated::new(Lanes(numbers(options)), options.optional_number("rate")))
        .process("buffer", Buffer { capacity, ..Buffer::default() })
        .rebalance("spread")
        .sink("lines", Slow::new(lines, options.optional_number("sink-rate")));
    builder.build()
}

/// A generated key, and the split it comes from: one of so many.
type Laned = (u64, u64, u64);

/// The generator, with the split of each record.
#[derive(Clone)]
struct Lanes(GeneratorSource);

#[async_trait]
impl Source for Lanes {
    type Record = Laned;
    type Split = GeneratorSplit;
    type Reader = LanesReader;

    async fn enumerate(
        &self,
        env: &Env,
        parallelism: u32,
    ) -> Result<Vec<GeneratorSplit>, ConnectorError> {
        self.0.enumerate(env, parallelism).await
    }

    async fn open(
        &self,
        _env: &Env,
        splits: Vec<GeneratorSplit>,
    ) -> Result<LanesReader, ConnectorError> {
        Ok(LanesReader { source: self.0, splits })
    }
}

struct LanesReader {
    source: GeneratorSource,
    splits: Vec<GeneratorSplit>,
}

#[async_trait]
impl SourceReader for LanesReader {
    type Record = Laned;
    type Split = GeneratorSplit;

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        Ok(GeneratorSplit::progress(&self.splits))
    }

    fn emit(
        &mut self,
        limit: usize,
        out: &mut impl Collect<Laned>,
    ) -> Result<Progress, ConnectorError> {
        let source = self.source;
        let mut left = limit as u64;
        for split in &mut self.splits {
            let lanes = split.step;
            left -= split.advance(left, |index| {
                out.push((index % lanes, lanes, source.record(index)));
            });
        }
        Ok(GeneratorSplit::progress(&self.splits))
    }

    fn splits(&self) -> Vec<GeneratorSplit> {
        self.splits.clone()
    }
}

/// Numbers records as the generator did, and holds them back.
#[derive(Clone, Default)]
struct Buffer {
    capacity: usize,
    held: ListState<(u64, u64)>,
    /// How many records of each split were numbered.
    numbered: UnionState<(u64, u64)>,
}

impl Buffer {
    fn let_go(&mut self, out: &mut impl Collect<(u64, u64)>) {
        self.held.drain(..).for_each(|it| out.push(it));
    }
}

impl Process for Buffer {
    type In = Laned;
    type Out = (u64, u64);
    const HEARS_CHECKPOINTS: bool = true;

    fn states(&mut self, states: &mut States<'_, '_>) {
        states.declare("held", &mut self.held);
        states.declare("numbered", &mut self.numbered);
    }

    /// Of a split that several have read, the one that read it last has numbered most.
    fn on_restored(&mut self) {
        let mut newest = BTreeMap::new();
        for (lane, count) in self.numbered.drain(..) {
            let most = newest.entry(lane).or_insert(count);
            *most = count.max(*most);
        }
        self.numbered.extend(newest);
    }

    fn on_record(&mut self, (lane, lanes, key): Laned, out: &mut impl Collect<(u64, u64)>) {
        let known = self.numbered.iter().position(|(of, _)| *of == lane);
        let at = known.unwrap_or_else(|| {
            self.numbered.push((lane, 0));
            self.numbered.len() - 1
        });
        let numbered = &mut self.numbered[at].1;
        let number = lane + *numbered * lanes;
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
