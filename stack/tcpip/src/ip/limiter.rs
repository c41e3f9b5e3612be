//! A token bucket for answers that a flood could provoke.

use crate::time::Instant;

/// Lets `rate` events a second pass, and a burst of as many.
pub(crate) struct Limiter {
    rate: u32,
    tokens: u32,
    refilled: Instant,
}

impl Limiter {
    pub(crate) fn new(rate: u32) -> Self {
        Limiter {
            rate,
            tokens: rate,
            refilled: Instant::ZERO,
        }
    }

    /// Whether one more event may pass at `now`.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        if self.tokens < self.rate {
            let span = now.since(self.refilled).as_nanos();
            let earned = span.saturating_mul(u128::from(self.rate)) / 1_000_000_000;
            if earned > 0 {
                self.tokens = (u128::from(self.tokens) + earned).min(u128::from(self.rate)) as u32;
                self.refilled = now;
            }
        } else {
            self.refilled = now;
        }
        let allowed = self.tokens > 0;
        self.tokens -= u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut limiter = Limiter::new(10);
        let passed = |limiter: &mut Limiter, ms: u64| {
            (0..100)
                .filter(|_| limiter.allow(Instant::from_millis(ms)))
                .count()
        };
        assert_eq!(passed(&mut limiter, 0), 10);
        assert_eq!(passed(&mut limiter, 99), 0);
        assert_eq!(passed(&mut limiter, 300), 3);
        assert_eq!(passed(&mut limiter, 60_000), 10);
    }
}
