//! Generated records, and the limit on their rate.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;
use std::time::Duration;

use seawall_env::Env;
use seawall_protocol::config::StateBackend;
use seawall_runtime::connectors::{GeneratorSource, Rated};
use seawall_runtime::tokio_env::{self, InProcessNetwork, Unobserved};
use seawall_stream::chain::Place;
use seawall_stream::{Collect, Progress, Source, SourceReader};

struct Records(Vec<u64>);

impl Collect<u64> for Records {
    fn push(&mut self, record: u64) {
        self.0.push(record);
    }
}

fn env() -> Env {
    tokio_env::env(Arc::new(InProcessNetwork::new()), Arc::new(Unobserved))
}

async fn read_all<S: Source<Record = u64>>(source: &S, splits: Vec<S::Split>) -> Vec<u64> {
    let mut reader = source.open(&env(), splits).await.unwrap();
    let mut records = Records(Vec::new());
    while reader.fill().await.unwrap() != Progress::Ended {
        while reader.emit(100, &mut records).unwrap() == Progress::Ready {}
    }
    records.0
}

#[tokio::test]
async fn every_record_is_generated_once_for_every_parallelism() {
    let source = GeneratorSource { records: 1000, keys: 10, seed: 7 };
    let mut expected: Vec<_> = (0..1000).map(|index| source.record(index)).collect();
    expected.sort_unstable();
    assert!(expected.iter().all(|it| *it < 10));
    for parallelism in 1..9 {
        let splits = source.enumerate(&env(), parallelism).await.unwrap();
        assert_eq!(splits.len(), parallelism as usize);
        let mut records = Vec::new();
        for split in splits {
            records.extend(read_all(&source, vec![split]).await);
        }
        records.sort_unstable();
        assert_eq!(records, expected, "parallelism {parallelism}");
    }
}

#[tokio::test]
async fn every_key_is_drawn_about_as_often() {
    let source = GeneratorSource { records: 100_000, keys: 10, seed: 1 };
    let mut counts = [0_u32; 10];
    for index in 0..source.records {
        counts[usize::try_from(source.record(index)).unwrap()] += 1;
    }
    assert!(counts.iter().all(|it| (9_500..10_500).contains(it)), "{counts:?}");
}

// Rules: J1
#[tokio::test]
async fn generating_on_from_any_position_gives_the_rest() {
    let source = GeneratorSource { records: 100, keys: 1 << 40, seed: 3 };
    let splits = source.enumerate(&env(), 3).await.unwrap();
    let all = read_all(&source, splits.clone()).await;
    for stop in 0..=100 {
        let mut reader = source.open(&env(), splits.clone()).await.unwrap();
        let mut records = Records(Vec::new());
        reader.emit(stop, &mut records).unwrap();
        assert_eq!(records.0.len(), stop);
        records.0.extend(read_all(&source, reader.splits()).await);
        assert_eq!(records.0, all, "stopped after {stop}");
    }
}

#[tokio::test]
async fn a_rate_holds_over_all_subtasks() {
    let source = GeneratorSource { records: 200, keys: 10, seed: 7 };
    let (parallelism, index, key_groups, state) = (2, 0, 128, StateBackend::Heap);
    let place = Place { parallelism, index, key_groups, state };
    let rated = Rated::new(source, Some(2000)).at(place);
    let splits = rated.enumerate(&env(), 2).await.unwrap();
    let env = env();
    let started = env.clock.now();
    // Half of the records at half of the rate.
    assert_eq!(read_all(&rated, vec![splits[0]]).await.len(), 100);
    let took = env.clock.now().saturating_sub(started);
    assert!(took >= Duration::from_millis(95), "took {took:?}");
    assert!(took < Duration::from_secs(5), "took {took:?}");
}

#[tokio::test]
async fn without_a_rate_nothing_changes() {
    let source = GeneratorSource { records: 1000, keys: 10, seed: 7 };
    let rated = Rated::new(source, None);
    let splits = source.enumerate(&env(), 1).await.unwrap();
    assert_eq!(read_all(&rated, splits.clone()).await, read_all(&source, splits).await);
}
