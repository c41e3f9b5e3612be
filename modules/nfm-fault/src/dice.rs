//! Chance that can be repeated.

/// A share of all packets, in parts of 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share(u64);

impl Share {
    /// Every packet.
    pub(crate) const ALL: Share = Share(1 << 32);

    /// `fraction` of the packets, 0 to 1.
    pub(crate) fn new(fraction: f64) -> Share {
        Share((fraction * Share::ALL.0 as f64).round() as u64)
    }

    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// A stream of numbers: the SplitMix64 generator (Steele, Lea, Flood: Fast splittable pseudorandom
/// number generators, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The stream `number` of those that belong to `seed`.
    pub(crate) fn new(seed: u64, number: u64) -> Dice {
        let mut start = Dice(seed);
        for _ in 0..=number {
            start.next();
        }
        Dice(start.next().rotate_left(17) ^ number)
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// True for `share` of the calls. A share of nothing draws no number.
    #[inline]
    pub(crate) fn falls(&mut self, share: Share) -> bool {
        !share.is_none() && self.next() >> 32 < share.0
    }

    /// A number from 0 to `n` - 1; 0 where `n` is 0.
    #[inline]
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_repeats_and_differs_from_the_others() {
        let take = |seed, number| {
            let mut dice = Dice::new(seed, number);
            [dice.next(), dice.next(), dice.next()]
        };
        assert_eq!(take(7, 2), take(7, 2));
        for (seed, number) in [(7, 1), (7, 3), (8, 2), (0, 2)] {
            assert_ne!(take(7, 2), take(seed, number));
        }
    }

    #[test]
    fn a_share_falls_as_often_as_it_says() {
        let mut dice = Dice::new(1, 0);
        for percent in [0, 1, 10, 50, 99, 100] {
            let share = Share::new(f64::from(percent) / 100.0);
            let fell = (0..100_000).filter(|_| dice.falls(share)).count();
            let wanted = 1000 * percent as usize;
            assert!(fell.abs_diff(wanted) <= 600, "{percent}%: {fell}");
            assert!(percent % 100 != 0 || fell == wanted, "{percent}%: {fell}");
        }
    }

    #[test]
    fn numbers_stay_below() {
        let mut dice = Dice::new(3, 0);
        let seen = (0..1000).fold(0_u32, |seen, _| seen | 1 << dice.below(10));
        assert_eq!(seen, 0x3ff);
        assert_eq!(dice.below(0), 0);
    }
}
