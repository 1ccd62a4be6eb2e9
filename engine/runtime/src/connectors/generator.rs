//! Records from arithmetic: as fast as a source can be, and the same in every run.

use async_trait::async_trait;
use seawall_env::Env;
use seawall_stream::{Collect, ConnectorError, Progress, Source, SourceReader};
use serde::{Deserialize, Serialize};

/// Emits `records` keys in `0..keys`, drawn from `seed`. Record `i` is [`GeneratorSource::record`] of `i`,
/// whoever emits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneratorSource {
    /// How many records.
    pub records: u64,
    /// How many different keys, at least 1.
    pub keys: u64,
    /// Which sequence.
    pub seed: u64,
}

/// Every `step`-th record from `next` to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorSplit {
    /// The position: the record that is emitted next.
    pub next: u64,
    /// The distance to the record after it, at least 1.
    pub step: u64,
    /// No record from here on is emitted.
    pub end: u64,
}

impl GeneratorSource {
    /// Record `index` of the sequence.
    #[inline]
    pub fn record(&self, index: u64) -> u64 {
        // Multiplying and shifting maps to a range without the division that would dominate the loop.
        ((u128::from(split_mix(self.seed, index)) * u128::from(self.keys)) >> 64) as u64
    }
}

/// Number `index` of the `SplitMix64` sequence of `seed`.
#[inline]
fn split_mix(seed: u64, index: u64) -> u64 {
    let mut bits = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[async_trait]
impl Source for GeneratorSource {
    type Record = u64;
    type Split = GeneratorSplit;
    type Reader = GeneratorReader;

    async fn enumerate(
        &self,
        _env: &Env,
        parallelism: u32,
    ) -> Result<Vec<GeneratorSplit>, ConnectorError> {
        if self.keys == 0 {
            return Err(ConnectorError::Fatal(
                "the generator has no keys to draw from\nhint: set keys to 1 or more".into(),
            ));
        }
        let split = |next| GeneratorSplit { next, step: parallelism.into(), end: self.records };
        Ok((0..parallelism).map(|index| split(index.into())).collect())
    }

    async fn open(
        &self,
        _env: &Env,
        splits: Vec<GeneratorSplit>,
    ) -> Result<GeneratorReader, ConnectorError> {
        Ok(GeneratorReader { source: *self, splits })
    }
}

/// Emits its splits one after the other.
#[derive(Debug, Clone)]
pub struct GeneratorReader {
    source: GeneratorSource,
    splits: Vec<GeneratorSplit>,
}

impl GeneratorReader {
    fn progress(&self) -> Progress {
        if self.splits.iter().all(|it| it.next >= it.end) {
            Progress::Ended
        } else {
            Progress::Ready
        }
    }
}

#[async_trait]
impl SourceReader for GeneratorReader {
    type Record = u64;
    type Split = GeneratorSplit;

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        Ok(self.progress())
    }

    fn emit(
        &mut self,
        limit: usize,
        out: &mut impl Collect<u64>,
    ) -> Result<Progress, ConnectorError> {
        let source = self.source;
        let mut budget = limit as u64;
        for split in &mut self.splits {
            let left = split.end.saturating_sub(split.next).div_ceil(split.step);
            let count = left.min(budget);
            let mut next = split.next;
            for _ in 0..count {
                out.push(source.record(next));
                next += split.step;
            }
            split.next = next;
            budget -= count;
        }
        Ok(self.progress())
    }

    fn splits(&self) -> Vec<GeneratorSplit> {
        self.splits.clone()
    }
}
