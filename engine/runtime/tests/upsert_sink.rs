//! A sink into a table without transactions of its own: exact, because what it commits are idempotent
//! upserts under keys that depend on the records alone.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::prelude::*;
use seawall_protocol::{Attempt, AttemptId, CheckpointId, SubtaskId};
use seawall_runtime::tokio_env::{self, InProcessNetwork, Unobserved};
use seawall_stream::{ConnectorError, Sink, SinkContext, SinkWriter};

type Table = Arc<Mutex<BTreeMap<u8, u32>>>;

/// Sets `key` to `value` in a table that knows no transactions.
#[derive(Clone)]
struct UpsertSink(Table);

struct UpsertWriter {
    table: Table,
    open: BTreeMap<u8, u32>,
}

#[async_trait]
impl Sink for UpsertSink {
    type Record = (u8, u32);
    type Writer = UpsertWriter;

    async fn open(&self, _context: SinkContext) -> Result<UpsertWriter, ConnectorError> {
        Ok(UpsertWriter { table: Arc::clone(&self.0), open: BTreeMap::new() })
    }
}

#[async_trait]
impl SinkWriter for UpsertWriter {
    type Record = (u8, u32);

    fn write(&mut self, (key, value): (u8, u32)) {
        self.open.insert(key, value);
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// The upserts themselves are the committable: the snapshot keeps them.
    async fn pre_commit(&mut self, _: CheckpointId) -> Result<Option<Vec<u8>>, ConnectorError> {
        let upserts = std::mem::take(&mut self.open);
        Ok((!upserts.is_empty()).then(|| postcard::to_allocvec(&upserts).unwrap()))
    }

    async fn commit(&mut self, committable: &[u8]) -> Result<(), ConnectorError> {
        let upserts: BTreeMap<u8, u32> = postcard::from_bytes(committable).unwrap();
        self.table.lock().unwrap().extend(upserts);
        Ok(())
    }

    async fn abort_lingering(&mut self, _keep: &[Vec<u8>]) -> Result<u32, ConnectorError> {
        Ok(0) // Nothing is outside before it is committed.
    }
}

proptest! {
    // Rules: K4, K15
    #[test]
    fn upserts_that_are_committed_again_after_a_crash_change_nothing(
        transactions in prop::collection::vec(
            prop::collection::vec((0..5_u8, any::<u32>()), 1..6), 1..6,
        ),
        repeats in prop::collection::vec(0..4_usize, 6),
    ) {
        let mut expected = BTreeMap::new();
        expected.extend(transactions.iter().flatten().copied());
        let table = Table::default();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let env = tokio_env::env(Arc::new(InProcessNetwork::new()), Arc::new(Unobserved));
            let subtask = SubtaskId::new(0, 0);
            let mut committables: Vec<Vec<u8>> = Vec::new();
            for (number, records) in transactions.iter().enumerate() {
                // Every transaction is written by another attempt, which first commits again some of the
                // newest that its predecessors committed, in order (K2, K4).
                let attempt = Attempt(u32::try_from(number).unwrap() + 1);
                let context = SinkContext {
                    env: env.clone(),
                    attempt: AttemptId { subtask, attempt },
                    parallelism: 1,
                };
                let mut writer = UpsertSink(Arc::clone(&table)).open(context).await.unwrap();
                let again = committables.len() - repeats[number].min(committables.len());
                for committable in &committables[again..] {
                    writer.commit(committable).await.unwrap();
                }
                for record in records {
                    writer.write(*record);
                }
                let checkpoint = CheckpointId(number as u64 + 1);
                let committable = writer.pre_commit(checkpoint).await.unwrap().unwrap();
                writer.commit(&committable).await.unwrap();
                committables.push(committable);
            }
        });
        prop_assert_eq!(&*table.lock().unwrap(), &expected);
    }
}
