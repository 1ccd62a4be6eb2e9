//! Randomness: named streams from one seed.
//!
//! Each part of the world draws from its own stream, so a fault added to a scenario does not reshuffle
//! the latencies of the network, and a smaller workload does not move the faults. A stream is a pure
//! function of seed and name; nothing else feeds it.
//!
//! Deliberately absent: ambient randomness. Inside a world the operating system's source is madsim's,
//! and nothing here reads it.

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use seawall_env::Entropy;
use xxhash_rust::xxh3::xxh3_64;

use super::{lock, nanos};

/// The named streams of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream called `name`, from its beginning. The world itself draws from `schedule`, `network`,
    /// `disk` and `entropy/…`, the engine from `buggify/…`; `workload`, `faults` and `clock` are for whoever
    /// sets the scene.
    pub fn stream(&self, name: &str) -> Stream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&xxh3_64(name.as_bytes()).to_le_bytes());
        key[16..].copy_from_slice(b"seawall.stream.1");
        Stream { random: ChaCha8Rng::from_seed(key) }
    }
}

/// One stream of random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    random: ChaCha8Rng,
}

impl Stream {
    /// A uniformly distributed number.
    pub fn next_u64(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// A number below `bound`, which is not zero. One draw, always; the bias of 2^-64 is accepted.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no members");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Whether an event of probability `one_in` to one happens.
    pub fn one_in(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// A duration in `range`; draws nothing when the range is one value.
    pub fn duration(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let (low, high) = (nanos(*range.start()), nanos(*range.end()));
        assert!(low <= high, "empty range of durations: {range:?}");
        if low == high {
            return *range.start();
        }
        Duration::from_nanos(low + self.below(high - low + 1))
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.random.fill_bytes(bytes);
    }
}

/// The entropy of one incarnation of a node.
pub(crate) struct NodeEntropy(Mutex<Stream>);

impl NodeEntropy {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(Mutex::new(stream))
    }
}

impl Entropy for NodeEntropy {
    fn next_u64(&self) -> u64 {
        lock(&self.0).next_u64()
    }
}
