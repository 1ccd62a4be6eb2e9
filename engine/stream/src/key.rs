//! Keys and their stable hash (M1).

use std::fmt::Debug;

use crate::record::Record;

/// A key of a keyed stream.
///
/// `stable_hash` decides which key group, and so which subtask, owns the key. It must not depend on
/// process, seed or version: a checkpoint outlives all three.
pub trait Key: Record + Clone + Eq + Ord + Debug + Sync {
    /// A 64-bit hash in which every bit depends on the whole key.
    fn stable_hash(&self) -> u64;
}

/// Mixes 64 bits so that each output bit depends on each input bit (the finalizer of `MurmurHash3`).
#[inline]
pub fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

macro_rules! integer_keys {
    ($($type:ty),*) => {$(
        impl Key for $type {
            #[inline]
            fn stable_hash(&self) -> u64 {
                mix(u64::from(*self))
            }
        }
    )*};
}
integer_keys!(u8, u16, u32, u64);

impl Key for String {
    #[inline]
    fn stable_hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.as_bytes())
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    #[inline]
    fn stable_hash(&self) -> u64 {
        mix(self.0.stable_hash().rotate_left(23) ^ self.1.stable_hash())
    }
}
