//! Maps by the numbers that the protocol and this module give out themselves: nobody else chooses
//! them, so a multiplication spreads them well enough.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are such numbers.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Hashes one number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

/// 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for IdHasher {
    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(SPREAD);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    #[inline]
    fn finish(&self) -> u64 {
        // The map takes the place from the low bits, and the best are the high ones.
        self.0.rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn numbers_are_spread_over_low_and_high_bits() {
        let hash = |number: u32| BuildHasherDefault::<IdHasher>::default().hash_one(number);
        let low: HashSet<u64> = (0..1024).map(|n| hash(n) & 1023).collect();
        let high: HashSet<u64> = (0..1024).map(|n| hash(n) >> 57).collect();
        assert!(low.len() > 500, "{}", low.len());
        assert!(high.len() > 100, "{}", high.len());
    }
}
