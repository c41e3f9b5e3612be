//! So many a second and no more.

use crate::time::Instant;

const SECOND_NANOS: u64 = 1_000_000_000;

/// A bucket that fills with time: an allowance of one second's worth.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// Nanoseconds of time that are used up.
    used: u64,
    looked_at: Instant,
}

impl Rate {
    /// Whether one more may pass now.
    pub(crate) fn allows(&mut self, now: Instant, per_s: u32) -> bool {
        let passed = now.since(self.looked_at).as_nanos();
        self.used = self
            .used
            .saturating_sub(u64::try_from(passed).unwrap_or(u64::MAX));
        self.looked_at = now;
        let cost = SECOND_NANOS / u64::from(per_s.max(1));
        let allowed = self.used + cost <= SECOND_NANOS;
        if allowed {
            self.used += cost;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_burst_then_the_rate() {
        let mut rate = Rate::default();
        let count = |rate: &mut Rate, ms| {
            let now = Instant::from_millis(ms);
            (0..1000).filter(|_| rate.allows(now, 100)).count()
        };
        assert_eq!(count(&mut rate, 10_000), 100);
        assert_eq!(count(&mut rate, 10_100), 10);
        assert_eq!(count(&mut rate, 99_000), 100);
    }
}
