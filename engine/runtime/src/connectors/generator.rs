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

impl GeneratorSplit {
    /// Hands the indices of at most `limit` records to `each`, and returns of how many.
    #[inline]
    pub fn advance(&mut self, limit: u64, mut each: impl FnMut(u64)) -> u64 {
        let left = self.end.saturating_sub(self.next).div_ceil(self.step);
        let count = left.min(limit);
        let mut next = self.next;
        for _ in 0..count {
            each(next);
            next += self.step;
        }
        self.next = next;
        count
    }

    /// What a reader of these splits can do next.
    pub fn progress(splits: &[Self]) -> Progress {
        let is_at_end = splits.iter().all(|it| it.next >= it.end);
        if is_at_end { Progress::Ended } else { Progress::Ready }
    }
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

#[async_trait]
impl SourceReader for GeneratorReader {
    type Record = u64;
    type Split = GeneratorSplit;

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        Ok(GeneratorSplit::progress(&self.splits))
    }

    fn emit(
        &mut self,
        limit: usize,
        out: &mut impl Collect<u64>,
    ) -> Result<Progress, ConnectorError> {
        let source = self.source;
        let mut budget = limit as u64;
        for split in &mut self.splits {
            budget -= split.advance(budget, |index| out.push(source.record(index)));
        }
        Ok(GeneratorSplit::progress(&self.splits))
    }

    fn splits(&self) -> Vec<GeneratorSplit> {
        self.splits.clone()
    }
}
