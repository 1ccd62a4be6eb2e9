//! The operator that makes watermarks: what it says of its records, when it falls silent, what it keeps.

use std::time::Duration;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_protocol::Watermark;
use seawall_protocol::config::StateBackend;
use seawall_stream::batch::Batch;
use seawall_stream::chain::{Chain, Notice, Place, Ready};
use seawall_stream::{
    CheckpointId, ConnectorError, EventTime, JobBuilder, Sink, SinkContext, SinkWriter, Source,
    WatermarkStrategy,
};
use seawall_stream::{Collect, Progress, SourceReader};

const TICK: Duration = Duration::from_millis(200);

/// A chain `in -> time -> out` of the second of two subtasks, fed by channels.
fn chain(strategy: WatermarkStrategy) -> Chain {
    chain_at(strategy, Place { parallelism: 2, index: 1, key_groups: 4, state: StateBackend::Heap })
}

fn chain_at(strategy: WatermarkStrategy, place: Place) -> Chain {
    let builder = JobBuilder::new("test", place.parallelism);
    builder
        .source("numbers", Nothing)
        .rebalance("in")
        // A multiple of 100 says nothing of time.
        .watermarks("time", strategy, |it: &i64| (it % 100 != 0).then_some(EventTime(*it)))
        .rebalance("out")
        .sink("nowhere", Nothing);
    (builder.build().operators[1].build)(place)
}

fn receive(chain: &mut Chain, records: &[i64]) {
    let Chain::Operator(head) = chain else { panic!("it is fed by channels") };
    head.on_batch(Batch::new(records.to_vec())).expect("nothing fails");
}

fn tick(chain: &mut Chain) {
    chain.outputs().tell(Notice::Tick(TICK));
}

/// What left since the last call, in order: records as they are, watermarks as `@time`, `@time idle`.
fn left(chain: &mut Chain) -> Vec<String> {
    let mut ports = Vec::new();
    chain.outputs().edges(&mut ports);
    let [port] = &mut ports[..] else { panic!("there is one edge") };
    let mut left = Vec::new();
    while let Some(ready) = port.take_ready() {
        match ready {
            Ready::Batch(_, batch) => {
                left.extend(batch.into_records::<i64>().iter().map(i64::to_string));
            }
            Ready::Watermark(Watermark { time, is_idle }) => {
                left.push(format!("@{}{}", time.0, if is_idle { " idle" } else { "" }));
            }
        }
    }
    left
}

#[test]
fn a_bounded_watermark_is_behind_the_newest_record_by_its_bound_and_one() {
    let mut chain = chain(WatermarkStrategy::bounded(Duration::from_millis(10)));
    receive(&mut chain, &[50, 45, 61, 52, 100]);
    assert!(left(&mut chain).is_empty(), "it waits for its time");
    tick(&mut chain);
    // Round robin over two channels, each with what was emitted before in front.
    assert_eq!(left(&mut chain), ["45", "52", "50", "61", "100", "@50"]);
    tick(&mut chain);
    receive(&mut chain, &[51]);
    tick(&mut chain);
    assert!(left(&mut chain).is_empty(), "nothing rose");
    receive(&mut chain, &[70]);
    tick(&mut chain);
    assert_eq!(left(&mut chain).last().map(String::as_str), Some("@59"));
}

#[test]
fn monotonous_times_leave_room_for_a_record_of_the_same_time() {
    let mut chain = chain(WatermarkStrategy::monotonous());
    receive(&mut chain, &[7]);
    tick(&mut chain);
    assert_eq!(left(&mut chain), ["7", "@6"]);
}

#[test]
fn a_punctuated_watermark_is_right_behind_its_record() {
    let mut chain = chain(WatermarkStrategy::punctuated());
    receive(&mut chain, &[100, 7, 200, 5, 9]);
    assert_eq!(left(&mut chain), ["7", "100", "@7", "5", "200", "9", "@9"]);
}

// Rules: L4
#[test]
fn a_silent_chain_says_so_once_and_again_when_a_record_comes() {
    let mut chain = chain(WatermarkStrategy::monotonous().idle_after(3 * TICK));
    receive(&mut chain, &[7]);
    for _ in 0..3 {
        tick(&mut chain);
    }
    assert_eq!(left(&mut chain), ["7", "@6"]);
    tick(&mut chain);
    tick(&mut chain);
    assert_eq!(left(&mut chain), ["@6 idle"]);
    receive(&mut chain, &[8]);
    tick(&mut chain);
    assert_eq!(left(&mut chain), ["@6", "8", "@7"]);
}

#[test]
fn time_that_came_from_upstream_ends_here_but_for_the_end() {
    let mut chain = chain(WatermarkStrategy::monotonous());
    chain.outputs().on_watermark(EventTime(99));
    chain.outputs().tell(Notice::Idle(true));
    assert!(left(&mut chain).is_empty());
    receive(&mut chain, &[7]);
    chain.outputs().on_watermark(EventTime::MAX);
    tick(&mut chain);
    assert!(left(&mut chain).is_empty(), "behind the end nothing rises");
}

/// Another chain of this strategy at this place that was restored from `chain`.
fn restored(chain: &mut Chain, strategy: WatermarkStrategy, place: Place) -> Chain {
    let mut kept = Vec::new();
    let gathered = chain.outputs().states(&mut |name, state| {
        assert_eq!(name, "time/watermark");
        kept = state.items()?;
        Ok(())
    });
    gathered.expect("it has an encoding");
    let mut restored = chain_at(strategy, place);
    let filled = restored.outputs().states(&mut |_, state| state.restore(&kept));
    filled.expect("it is the same state");
    restored.outputs().tell(Notice::Restored);
    restored
}

// Rules: L6
#[test]
fn a_restored_chain_says_at_its_first_tick_how_far_it_was() {
    let strategy = WatermarkStrategy::monotonous().idle_after(TICK);
    let own = Place { parallelism: 2, index: 1, key_groups: 4, state: StateBackend::Heap };
    let mut chain = chain_at(strategy, own);
    receive(&mut chain, &[7]);
    // It was read and not told.
    let mut busy = restored(&mut chain, strategy, own);
    receive(&mut busy, &[3]);
    tick(&mut busy);
    assert_eq!(left(&mut busy), ["3", "@6"]);
    tick(&mut chain);
    tick(&mut chain);
    let mut silent = restored(&mut chain, strategy, own);
    tick(&mut silent);
    assert_eq!(left(&mut silent), ["@6", "@6 idle"]);
    // Splits of others may be behind what this one read.
    let mut rescaled = restored(&mut chain, strategy, Place { parallelism: 3, ..own });
    receive(&mut rescaled, &[3]);
    tick(&mut rescaled);
    assert_eq!(left(&mut rescaled), ["3", "@2"]);
}

/// A source of nothing, and a sink for it.
#[derive(Clone)]
struct Nothing;

#[async_trait]
impl Source for Nothing {
    type Record = i64;
    type Split = u64;
    type Reader = Self;

    async fn enumerate(&self, _: &Env, _: u32) -> Result<Vec<u64>, ConnectorError> {
        Ok(Vec::new())
    }

    async fn open(&self, _: &Env, _: Vec<u64>) -> Result<Self, ConnectorError> {
        Ok(Self)
    }
}

#[async_trait]
impl SourceReader for Nothing {
    type Record = i64;
    type Split = u64;

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        Ok(Progress::Ended)
    }

    fn emit(&mut self, _: usize, _: &mut impl Collect<i64>) -> Result<Progress, ConnectorError> {
        Ok(Progress::Ended)
    }

    fn splits(&self) -> Vec<u64> {
        Vec::new()
    }
}

#[async_trait]
impl Sink for Nothing {
    type Record = i64;
    type Writer = Self;

    async fn open(&self, _: SinkContext) -> Result<Self, ConnectorError> {
        Ok(Self)
    }
}

#[async_trait]
impl SinkWriter for Nothing {
    type Record = i64;

    fn write(&mut self, _: i64) {}

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn pre_commit(&mut self, _: CheckpointId) -> Result<Option<Vec<u8>>, ConnectorError> {
        Ok(None)
    }

    async fn commit(&mut self, _: &[u8]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn abort_lingering(&mut self, _: &[Vec<u8>]) -> Result<u32, ConnectorError> {
        Ok(0)
    }
}
