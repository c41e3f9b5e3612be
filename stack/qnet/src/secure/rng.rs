//! Numbers that nobody can guess, made from the seed that the caller gave: same seed, same numbers.

use aws_lc_rs::hmac;

/// A generator of random bytes: HMAC-SHA-256 of a counter under the seed.
pub(crate) struct Rng {
    key: hmac::Key,
    counter: u64,
}

impl Rng {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Rng {
            key: hmac::Key::new(hmac::HMAC_SHA256, seed),
            counter: 0,
        }
    }

    /// 32 random bytes.
    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let tag = hmac::sign(&self.key, &self.counter.to_le_bytes());
        self.counter += 1;
        let mut out = [0; 32];
        out.copy_from_slice(tag.as_ref());
        out
    }

    pub(crate) fn u64(&mut self) -> u64 {
        let bytes = self.bytes();
        u64::from_le_bytes(*bytes.first_chunk().expect("32 bytes hold 8"))
    }

    /// A random number other than zero.
    pub(crate) fn nonzero_u32(&mut self) -> u32 {
        (self.u64() as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_and_no_number_twice() {
        let (mut a, mut b) = (Rng::new(&[1; 32]), Rng::new(&[1; 32]));
        let drawn: Vec<u64> = (0..100).map(|_| a.u64()).collect();
        assert!(drawn.iter().all(|number| *number == b.u64()));
        let mut distinct = drawn.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), drawn.len());
        assert_ne!(Rng::new(&[2; 32]).u64(), drawn[0]);
    }
}
