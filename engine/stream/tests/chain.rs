//! Chains and the job graph: records reach the channel of their key, and both ends agree on channels.

use std::collections::BTreeMap;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_protocol::config::StateBackend;
use seawall_protocol::key_group::{key_group_of, owner_of};
use seawall_protocol::operator_state::Redistribution;
use seawall_protocol::{SubtaskId, Watermark};
use seawall_stream::batch::Batch;
use seawall_stream::chain::{BATCH_RECORDS, Chain, Notice, Place, Ready};
use seawall_stream::operator_state::{BroadcastState, ListState, States, UnionState};
use seawall_stream::testing::Harness;
use seawall_stream::{
    CheckpointId, Collect, ConnectorError, EventTime, Job, JobBuilder, Key, KeyedProcess, Process,
    Progress, Sink, SinkContext, SinkWriter, Source, SourceReader,
};

#[derive(Clone)]
struct NoSource;

#[async_trait]
impl Source for NoSource {
    type Record = u64;
    type Split = u64;
    type Reader = NoReader;

    async fn enumerate(&self, _: &Env, _: u32) -> Result<Vec<u64>, ConnectorError> {
        Ok(Vec::new())
    }

    async fn open(&self, _: &Env, _: Vec<u64>) -> Result<NoReader, ConnectorError> {
        Ok(NoReader)
    }
}

struct NoReader;

#[async_trait]
impl SourceReader for NoReader {
    type Record = u64;
    type Split = u64;

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        Ok(Progress::Ended)
    }

    fn emit(&mut self, _: usize, _: &mut impl Collect<u64>) -> Result<Progress, ConnectorError> {
        Ok(Progress::Ended)
    }

    fn splits(&self) -> Vec<u64> {
        Vec::new()
    }
}

#[derive(Clone)]
struct NoSink;

#[async_trait]
impl Sink for NoSink {
    type Record = u64;
    type Writer = NoWriter;

    async fn open(&self, _: SinkContext) -> Result<NoWriter, ConnectorError> {
        Ok(NoWriter)
    }
}

struct NoWriter;

#[async_trait]
impl SinkWriter for NoWriter {
    type Record = u64;

    fn write(&mut self, _: u64) {}

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn pre_commit(
        &mut self,
        _: seawall_protocol::CheckpointId,
    ) -> Result<Option<Vec<u8>>, ConnectorError> {
        Ok(None)
    }

    async fn commit(&mut self, _: &[u8]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn abort_lingering(&mut self, _: &[Vec<u8>]) -> Result<u32, ConnectorError> {
        Ok(0)
    }
}

/// Emits each key at the end, and nothing before.
#[derive(Clone)]
struct KeysAtEnd;

impl KeyedProcess for KeysAtEnd {
    type Key = u64;
    type In = u64;
    type State = u64;
    type Out = u64;

    fn on_record(
        &mut self,
        _: &u64,
        record: u64,
        state: &mut Option<u64>,
        _: &mut impl Collect<u64>,
    ) {
        // Odd records forget their key.
        *state = record.is_multiple_of(2).then_some(record);
    }

    fn on_end(&mut self, key: &u64, _: &u64, out: &mut impl Collect<u64>) {
        out.push(*key);
    }
}

const PARALLELISM: u32 = 3;

/// source -> split -> union with its own side output -> [hash] -> keyed process -> [round robin] -> sink
fn job() -> Job {
    let builder = JobBuilder::new("test", PARALLELISM);
    let (small, large) = builder.source("numbers", NoSource).map("same", |it| it).split(
        "small",
        "large",
        |it: u64| if it < 10 { Ok(it) } else { Err(it) },
    );
    small
        .union("all", large)
        .filter("not 7", |it| *it != 7)
        .key_by(|it| *it)
        .process("keys", KeysAtEnd)
        .rebalance("spread")
        .sink("nowhere", NoSink);
    builder.build()
}

fn place(job: &Job, index: u32) -> Place {
    Place {
        parallelism: job.parallelism,
        index,
        key_groups: job.key_groups,
        state: StateBackend::Heap,
    }
}

/// Everything a chain has ready, by edge and channel.
fn emitted(chain: &mut Chain) -> BTreeMap<(u32, usize), Vec<u64>> {
    let mut ports = Vec::new();
    chain.outputs().edges(&mut ports);
    let mut all: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for port in ports {
        port.flush();
        while let Some(ready) = port.take_ready() {
            if let Ready::Batch(channel, batch) = ready {
                let records = batch.into_records::<u64>();
                all.entry((port.edge().0, channel)).or_default().extend(records);
            }
        }
    }
    all
}

fn operator(job: &Job, name: &str) -> usize {
    job.operators.iter().position(|it| it.name == name).expect("the operator exists")
}

#[test]
fn the_graph_names_each_chain_and_its_ends() {
    let job = job();
    let labels: Vec<_> = job.operators.iter().map(|it| it.label.as_str()).collect();
    assert_eq!(
        labels,
        ["numbers -> same -> small", "large", "all -> not 7", "keys", "spread -> nowhere"]
    );
    assert!(job.operators[0].enumerate.is_some());
    assert!(job.operators.iter().skip(1).all(|it| it.enumerate.is_none()));
    let with_sink: Vec<_> = job.operators.iter().map(|it| it.has_sink).collect();
    assert_eq!(with_sink, [false, false, false, false, true]);
}

#[test]
fn both_ends_of_every_channel_agree_on_it() {
    let job = job();
    let mut from_senders = Vec::new();
    let mut from_receivers = Vec::new();
    for subtask in job.subtasks() {
        for (edge, sender) in job.channels_into(subtask) {
            from_receivers.push((edge, sender, subtask));
        }
        for (index, edge) in job.edges.iter().enumerate() {
            if edge.from == subtask.operator {
                let edge = seawall_stream::chain::EdgeId(u32::try_from(index).unwrap());
                for receiver in job.channels_out_of(subtask, edge) {
                    from_senders.push((edge, subtask, receiver));
                }
            }
        }
    }
    from_senders.sort_unstable();
    from_receivers.sort_unstable();
    assert_eq!(from_senders, from_receivers);
    let union = u32::try_from(operator(&job, "all")).unwrap();
    assert_eq!(job.channels_into(SubtaskId::new(union, 1)).len(), 2, "one of each stream");
}

#[test]
fn each_record_reaches_the_owner_of_its_key_group() {
    let job = job();
    let mut chain = (job.operators[operator(&job, "all")].build)(place(&job, 0));
    let Chain::Operator(union) = &mut chain else { panic!("it is fed by channels") };
    union.on_batch(Batch::new((0..5_000_u64).collect())).unwrap();
    let mut seen = 0;
    for ((_, channel), records) in emitted(&mut chain) {
        seen += records.len();
        for record in records {
            assert_ne!(record, 7, "the filter is part of the chain");
            let group = key_group_of(record.stable_hash(), job.key_groups);
            assert_eq!(owner_of(group, job.key_groups, PARALLELISM) as usize, channel, "{record}");
        }
    }
    assert_eq!(seen, 4_999);
}

#[test]
fn the_end_of_the_input_visits_each_key_with_a_value_once_in_order() {
    let job = job();
    let mut chain = (job.operators[operator(&job, "keys")].build)(place(&job, 1));
    let Chain::Operator(keyed) = &mut chain else { panic!("it is fed by channels") };
    keyed.on_batch(Batch::new(vec![8_u64, 2, 4, 3, 2, 6, 9])).unwrap();
    let mut calls = 0;
    while keyed.on_end(2).unwrap() == Progress::Ready {
        calls += 1;
    }
    assert!(calls > 0, "four keys do not fit into one call of two");
    // Round robin begins with the consumer of the same index.
    let all = emitted(&mut chain);
    let channel = |index: usize| {
        let found = all.iter().find(|((_, channel), _)| *channel == index);
        found.map(|(_, records)| records.clone()).unwrap_or_default()
    };
    assert_eq!([channel(1), channel(2), channel(0)], [vec![2, 8], vec![4], vec![6]]);
}

#[test]
fn a_full_batch_leaves_without_a_flush() {
    let job = job();
    let mut chain = (job.operators[operator(&job, "large")].build)(place(&job, 0));
    let Chain::Operator(large) = &mut chain else { panic!("it is fed by channels") };
    large.on_batch(Batch::new(vec![11_u64; BATCH_RECORDS + 1])).unwrap();
    let mut ports = Vec::new();
    chain.outputs().edges(&mut ports);
    let ready: Vec<_> = std::iter::from_fn(|| ports[0].take_ready()).collect();
    assert!(matches!(&ready[..], [Ready::Batch(_, full)] if full.length() == BATCH_RECORDS));
}

/// Adds up what it saw, tells on completion, and has a state of every kind.
#[derive(Clone, Default)]
struct Adds {
    seen: ListState<u64>,
    sums: UnionState<u64>,
    names: BroadcastState<String, u64>,
}

impl Process for Adds {
    type In = u64;
    type Out = u64;
    const HEARS_CHECKPOINTS: bool = true;

    fn states(&mut self, states: &mut States<'_, '_>) {
        states.declare("seen", &mut self.seen);
        states.declare("sums", &mut self.sums);
        states.declare("names", &mut self.names);
    }

    fn on_restored(&mut self) {
        *self.sums = vec![self.sums.iter().sum()];
    }

    fn on_record(&mut self, record: u64, _: &mut impl Collect<u64>) {
        self.seen.push(record);
        *self.sums = vec![self.seen.iter().sum()];
        self.names.insert(format!("at most {}", record.next_power_of_two()), record);
    }

    fn on_checkpoint_completed(&mut self, checkpoint: CheckpointId, out: &mut impl Collect<u64>) {
        self.seen.drain(..).for_each(|it| out.push(it * 1_000 + checkpoint.0));
    }

    fn on_end(&mut self, out: &mut impl Collect<u64>) {
        self.sums.iter().for_each(|it| out.push(*it));
    }
}

/// Two operators with state in one chain, a side output between them.
fn adding_chain() -> Chain {
    let builder = JobBuilder::new("test", 1);
    let (small, large) = builder
        .source("numbers", NoSource)
        .rebalance("in")
        .process("first", Adds::default())
        .split("small", "large", |it: u64| if it < 1_000_000 { Ok(it) } else { Err(it) });
    large.sink("nowhere", NoSink);
    small.process("second", Adds::default()).rebalance("out").sink("nowhere", NoSink);
    let job = builder.build();
    (job.operators[operator(&job, "in")].build)(place(&job, 0))
}

type Section = (String, Redistribution, Vec<Vec<u8>>);

fn sections(chain: &mut Chain) -> Vec<Section> {
    let mut sections = Vec::new();
    let visited = chain.outputs().states(&mut |name, state| {
        sections.push((name.to_owned(), state.redistribution(), state.items()?));
        Ok(())
    });
    visited.expect("numbers have an encoding");
    sections
}

fn receive(chain: &mut Chain, records: Vec<u64>) {
    let Chain::Operator(head) = chain else { panic!("it is fed by channels") };
    head.on_batch(Batch::new(records)).expect("nothing fails");
}

#[test]
fn every_operator_of_a_chain_shows_its_states_under_its_own_name() {
    let names: Vec<_> = sections(&mut adding_chain()).into_iter().map(|it| (it.0, it.1)).collect();
    let kinds = [
        ("seen", Redistribution::List),
        ("sums", Redistribution::Union),
        ("names", Redistribution::Broadcast),
    ];
    let of = |operator: &str| kinds.map(|(name, kind)| (format!("{operator}/{name}"), kind));
    assert_eq!(names, [of("first"), of("second")].concat());
}

// Rules: A3, M5
#[test]
fn operators_hear_of_checkpoints_along_the_chain_and_what_they_emit_flows_on() {
    let mut chain = adding_chain();
    assert!(chain.outputs().hears_checkpoints());
    receive(&mut chain, vec![1, 2]);
    assert_eq!(emitted(&mut chain), BTreeMap::new());
    chain.outputs().tell(Notice::Completed(CheckpointId(7)));
    let all: Vec<u64> = emitted(&mut chain).into_values().flatten().collect();
    // The first emits 1,007 and 2,007, which the second has before it hears of the checkpoint itself.
    assert_eq!(all, [1_007_007, 2_007_007]);
    chain.outputs().tell(Notice::Ended);
    let all: Vec<u64> = emitted(&mut chain).into_values().flatten().collect();
    // The first emits its sum; the second has let go what it saw, and saw that sum.
    assert_eq!(all, [3]);
}

// Rules: M5
#[test]
fn restored_states_are_what_was_stored_and_the_operator_hears_of_it() {
    let mut chain = adding_chain();
    receive(&mut chain, vec![5, 6, 700]);
    let stored = sections(&mut chain);
    let mut restored = adding_chain();
    let filled = restored.outputs().states(&mut |name, state| {
        let (_, _, items) = stored.iter().find(|it| it.0 == name).expect("it was stored");
        state.restore(items)
    });
    filled.expect("they are items of these states");
    restored.outputs().tell(Notice::Restored);
    assert_eq!(sections(&mut restored)[..3], stored[..3]);
    let damaged = restored.outputs().states(&mut |_, state| state.restore(&[vec![0xff]]));
    assert!(damaged.is_err());
}

#[test]
fn a_chain_whose_operators_want_no_callbacks_says_so() {
    let job = job();
    for operator in &job.operators {
        assert!(!(operator.build)(place(&job, 0)).outputs().hears_checkpoints());
    }
}

#[test]
fn a_batch_survives_its_bytes_and_refuses_others() {
    let batch = Batch::new(vec![("a".to_owned(), 1_u64), ("b".to_owned(), 2)]);
    let bytes = batch.encode().unwrap();
    let decoded = Batch::decode::<(String, u64)>(&bytes).unwrap();
    assert_eq!(decoded.into_records::<(String, u64)>(), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert!(Batch::decode::<(String, u64)>(&bytes[..bytes.len() - 1]).is_err());
}

/// Holds records back until event time has passed them.
#[derive(Clone, Default)]
struct Holds {
    held: ListState<u64>,
}

impl Process for Holds {
    type In = u64;
    type Out = u64;

    fn states(&mut self, states: &mut States<'_, '_>) {
        states.declare("held", &mut self.held);
    }

    fn on_record(&mut self, record: u64, _: &mut impl Collect<u64>) {
        self.held.push(record);
    }

    fn on_watermark(&mut self, time: EventTime, out: &mut impl Collect<u64>) {
        let is_due = |it: &u64| i64::try_from(*it).is_ok_and(|it| it <= time.0);
        let (due, held) = self.held.drain(..).partition(is_due);
        *self.held = held;
        Vec::into_iter(due).for_each(|it| out.push(it));
    }
}

// Rules: L8
#[test]
fn a_watermark_leaves_on_every_edge_behind_what_it_gave_rise_to() {
    let builder = JobBuilder::new("test", 1);
    let (small, large) = builder
        .source("numbers", NoSource)
        .rebalance("in")
        .process("holds", Holds::default())
        .split("small", "large", |it: u64| if it < 10 { Ok(it) } else { Err(it) });
    large.sink("nowhere", NoSink);
    small.rebalance("out").sink("nowhere", NoSink);
    let job = builder.build();
    let mut chain = (job.operators[operator(&job, "in")].build)(place(&job, 0));
    receive(&mut chain, vec![5, 15, 6]);
    chain.outputs().on_watermark(EventTime(5));
    receive(&mut chain, vec![7]);
    chain.outputs().tell(Notice::Idle(true));
    chain.outputs().on_watermark(EventTime(20));
    let mut ports = Vec::new();
    chain.outputs().edges(&mut ports);
    let told = ports.into_iter().map(|port| {
        let ready = std::iter::from_fn(|| port.take_ready());
        let told = ready.map(|it| match it {
            Ready::Batch(_, batch) => format!("{:?}", batch.into_records::<u64>()),
            Ready::Watermark(Watermark { time, is_idle }) => format!("{time} {is_idle}"),
        });
        told.collect::<Vec<_>>()
    });
    let marks = ["5 ms false", "5 ms true", "20 ms true"];
    let [five, idle, twenty] = marks;
    let small: Vec<&str> = vec!["[5]", five, idle, "[6, 7]", twenty];
    let large: Vec<&str> = vec![five, idle, "[15]", twenty];
    assert_eq!(told.collect::<Vec<_>>(), [large, small]);
}

#[test]
fn a_fork_gives_every_record_to_both_streams_in_order() {
    type Both = (Vec<u64>, Vec<String>);
    let mut harness = Harness::<u64, Both>::new(|numbers| {
        let (first, second) = numbers.map("double", |it| it * 2).fork("copies");
        (first.filter("not 2", |it| *it != 2), second.map("text", |it| it.to_string()))
    });
    harness.push([1, 2, 3]);
    assert_eq!(harness.take(), (vec![4, 6], ["2", "4", "6"].map(String::from).to_vec()));
}
