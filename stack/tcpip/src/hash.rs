//! Two keyed hashes: a fast one for tables, and SipHash for values that peers see.

use core::hash::{BuildHasher, Hasher};

/// A table hash: one multiplication a word, folded. Its key is secret, so that peers cannot choose
/// colliding addresses; it is not for values that leave the machine.
#[derive(Clone, Copy)]
pub(crate) struct TableHash(u64);

impl TableHash {
    pub(crate) fn new(key: u64) -> Self {
        TableHash(key)
    }
}

impl BuildHasher for TableHash {
    type Hasher = TableHasher;

    #[inline]
    fn build_hasher(&self) -> TableHasher {
        TableHasher(self.0)
    }
}

pub(crate) struct TableHasher(u64);

impl TableHasher {
    #[inline(always)]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 =
            (product as u64) ^ ((product >> 64) as u64).rotate_left(23) ^ self.0.rotate_left(41);
    }
}

impl Hasher for TableHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.mix(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let product = u128::from(self.0) * 0xd6e8_feb8_6659_fd93_u128;
        (product as u64) ^ ((product >> 64) as u64)
    }
}

/// SipHash-2-4 with a secret key.
#[derive(Clone, Copy)]
pub(crate) struct SecretHash {
    k0: u64,
    k1: u64,
}

impl SecretHash {
    pub(crate) fn new(k0: u64, k1: u64) -> Self {
        SecretHash { k0, k1 }
    }

    /// The hash of whole words.
    pub(crate) fn of(&self, words: &[u64]) -> u64 {
        let mut v = [
            self.k0 ^ 0x736f_6d65_7073_6575,
            self.k1 ^ 0x646f_7261_6e64_6f6d,
            self.k0 ^ 0x6c79_6765_6e65_7261,
            self.k1 ^ 0x7465_6462_7974_6573,
        ];
        let length = (words.len() as u64 * 8) << 56;
        for &word in words.iter().chain([&length]) {
            v[3] ^= word;
            round(&mut v);
            round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        for _ in 0..4 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_gives_the_published_vector() {
        // Key 00..0f, input 00..07: from the SipHash paper's test vectors.
        let key = |first: u8| u64::from_le_bytes(core::array::from_fn(|i| first + i as u8));
        let hash = SecretHash::new(key(0), key(8));
        assert_eq!(hash.of(&[key(0)]), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn table_hash_spreads_neighbouring_words() {
        let build = TableHash::new(0x1234_5678_9abc_def0);
        let mut low = std::collections::HashSet::new();
        for word in 0..4096u64 {
            let mut hasher = build.build_hasher();
            hasher.write_u64(word);
            low.insert(hasher.finish() & 0xfff);
        }
        // Random placement fills about 63% of the places.
        assert!(low.len() > 2300, "{} of 4096 places", low.len());
    }
}
