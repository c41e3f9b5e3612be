//! Sequence numbers: arithmetic modulo 2^32 (RFC 9293, 3.4).

use core::ops::{Add, AddAssign, Sub};

/// A sequence number. Comparisons hold for numbers less than 2^31 apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    #[inline(always)]
    pub(crate) fn before(self, other: Seq) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    #[inline(always)]
    pub(crate) fn after(self, other: Seq) -> bool {
        other.before(self)
    }

    #[inline(always)]
    pub(crate) fn max(self, other: Seq) -> Seq {
        if self.before(other) { other } else { self }
    }

    /// How far `self` lies after `earlier`; zero when it does not.
    #[inline(always)]
    pub(crate) fn past(self, earlier: Seq) -> usize {
        (self.0.wrapping_sub(earlier.0) as i32).max(0) as usize
    }
}

impl Add<usize> for Seq {
    type Output = Seq;

    #[inline(always)]
    fn add(self, span: usize) -> Seq {
        Seq(self.0.wrapping_add(span as u32))
    }
}

impl AddAssign<usize> for Seq {
    #[inline(always)]
    fn add_assign(&mut self, span: usize) {
        *self = *self + span;
    }
}

impl Sub<usize> for Seq {
    type Output = Seq;

    #[inline(always)]
    fn sub(self, span: usize) -> Seq {
        Seq(self.0.wrapping_sub(span as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        let (low, high) = (Seq(u32::MAX - 1), Seq(3));
        assert!(low.before(high) && high.after(low) && !low.after(high));
        assert_eq!((high.past(low), low.past(high)), (5, 0));
        assert_eq!((low.max(high), high.max(low)), (high, high));
        assert_eq!((low + 5, high - 5), (high, low));
    }
}
