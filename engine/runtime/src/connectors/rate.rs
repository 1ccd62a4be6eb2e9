//! At most so many records a second, from any source.
//!
//! Each subtask keeps its own budget on its own clock; nothing is coordinated. Time that passed while the
//! reader was held up is not made good beyond a tenth of a second.

use std::time::Duration;

use async_trait::async_trait;
use seawall_env::Env;
use seawall_stream::chain::Place;
use seawall_stream::{Collect, ConnectorError, Progress, Source, SourceReader};

const NANOS: u128 = 1_000_000_000;

/// A source with a limit.
#[derive(Debug, Clone)]
pub struct Rated<S> {
    source: S,
    records_per_second: Option<u64>,
    /// Subtasks that share the limit.
    parallelism: u32,
}

impl<S: Source> Rated<S> {
    /// `source` with at most `records_per_second` over all subtasks; `None` is no limit.
    pub fn new(source: S, records_per_second: Option<u64>) -> Self {
        assert_ne!(records_per_second, Some(0), "a source with rate 0 never ends");
        Self { source, records_per_second, parallelism: 1 }
    }
}

#[async_trait]
impl<S: Source> Source for Rated<S> {
    type Record = S::Record;
    type Split = S::Split;
    type Reader = RatedReader<S::Reader>;

    async fn enumerate(
        &self,
        env: &Env,
        parallelism: u32,
    ) -> Result<Vec<S::Split>, ConnectorError> {
        self.source.enumerate(env, parallelism).await
    }

    fn at(self, place: Place) -> Self {
        Self { source: self.source.at(place), parallelism: place.parallelism, ..self }
    }

    async fn open(&self, env: &Env, splits: Vec<S::Split>) -> Result<Self::Reader, ConnectorError> {
        let reader = self.source.open(env, splits).await?;
        let budget = self.records_per_second.map(|it| Budget::new(env, it, self.parallelism));
        Ok(RatedReader { reader, budget, progress: Progress::NeedsInput })
    }
}

/// Reads as far as its budget allows.
pub struct RatedReader<R> {
    reader: R,
    budget: Option<Budget>,
    /// What the reader said last.
    progress: Progress,
}

/// What one source subtask may emit now. A nanosecond earns `rate`, a record costs `cost`; whole numbers
/// only, so that nothing is lost to rounding.
pub struct Budget {
    env: Env,
    rate: u128,
    cost: u128,
    earned: u128,
    counted_until: Duration,
    /// It could not be spent as fast as it was earned.
    is_full: bool,
}

impl Budget {
    /// The share of one of `parallelism` subtasks in `records_per_second`; it begins empty.
    pub fn new(env: &Env, records_per_second: u64, parallelism: u32) -> Self {
        Self {
            env: env.clone(),
            rate: records_per_second.into(),
            cost: u128::from(parallelism) * NANOS,
            earned: 0,
            counted_until: env.clock.now(),
            is_full: false,
        }
    }

    /// How many records may be emitted now.
    pub fn records(&self) -> usize {
        usize::try_from(self.earned / self.cost).unwrap_or(usize::MAX)
    }

    fn earn(&mut self) {
        let now = self.env.clock.now();
        let elapsed = now.saturating_sub(self.counted_until).as_nanos();
        self.counted_until = now;
        let most = (self.rate * NANOS / 10).max(self.cost);
        self.earned = (self.earned + elapsed * self.rate).min(most);
        self.is_full = self.earned == most;
    }

    /// These records were emitted; at most as many as were allowed.
    pub fn spend(&mut self, records: usize) {
        self.earned -= records as u128 * self.cost;
    }

    /// Whether it could not be spent as fast as it was earned.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Waits until there is at least one record, better a fiftieth of a second of them. Cancel safe.
    pub async fn refill(&mut self) {
        self.earn();
        while self.earned < self.cost {
            let wanted = (self.rate * NANOS / 50).max(self.cost);
            let nanos = (wanted - self.earned).div_ceil(self.rate);
            let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
            self.env.clock.sleep(Duration::from_nanos(nanos)).await;
            self.earn();
        }
    }
}

struct Counting<'a, C> {
    out: &'a mut C,
    count: usize,
}

impl<T, C: Collect<T>> Collect<T> for Counting<'_, C> {
    #[inline]
    fn push(&mut self, record: T) {
        self.count += 1;
        self.out.push(record);
    }
}

#[async_trait]
impl<R: SourceReader> SourceReader for RatedReader<R> {
    type Record = R::Record;
    type Split = R::Split;

    async fn fill(&mut self) -> Result<Progress, ConnectorError> {
        if self.progress == Progress::NeedsInput {
            self.progress = self.reader.fill().await?;
        }
        if let (Some(budget), Progress::Ready) = (&mut self.budget, self.progress) {
            budget.refill().await;
        }
        Ok(self.progress)
    }

    fn emit(
        &mut self,
        limit: usize,
        out: &mut impl Collect<R::Record>,
    ) -> Result<Progress, ConnectorError> {
        let Some(budget) = &mut self.budget else {
            self.progress = self.reader.emit(limit, out)?;
            return Ok(self.progress);
        };
        let allowed = budget.records().min(limit);
        if allowed > 0 {
            let mut counting = Counting { out, count: 0 };
            let progress = self.reader.emit(allowed, &mut counting);
            budget.spend(counting.count);
            self.progress = progress?;
        }
        match self.progress {
            Progress::Ready if budget.records() == 0 => Ok(Progress::NeedsInput),
            Progress::Ready | Progress::NeedsInput | Progress::Ended => Ok(self.progress),
        }
    }

    /// Behind when a tenth of a second of records waits, or when the source itself is.
    fn is_behind(&self) -> bool {
        self.reader.is_behind() || self.budget.as_ref().is_some_and(Budget::is_full)
    }

    fn splits(&self) -> Vec<R::Split> {
        self.reader.splits()
    }
}
