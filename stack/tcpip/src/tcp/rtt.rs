//! The retransmission timeout (RFC 6298).

use core::time::Duration;

/// The timeout before the first measurement.
const INITIAL: Duration = Duration::from_secs(1);
/// The timeout after a handshake that needed a retransmission (RFC 6298, 5.7).
const AFTER_SYN_LOSS: Duration = Duration::from_secs(3);

pub(crate) struct Rtt {
    srtt: Option<Duration>,
    var: Duration,
    base: Duration,
    backoff: u32,
    min: Duration,
    max: Duration,
}

impl Rtt {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Rtt {
            srtt: None,
            var: Duration::ZERO,
            base: INITIAL.clamp(min, max.max(min)),
            backoff: 0,
            min,
            max: max.max(min),
        }
    }

    /// Takes a measurement (RFC 6298, 2.2 and 2.3), which also ends any backing off.
    pub(crate) fn sample(&mut self, rtt: Duration) {
        let srtt = match self.srtt {
            None => {
                self.var = rtt / 2;
                rtt
            }
            Some(srtt) => {
                self.var = (self.var * 3 + srtt.abs_diff(rtt)) / 4;
                (srtt * 7 + rtt) / 8
            }
        };
        self.srtt = Some(srtt);
        let granularity = Duration::from_millis(1);
        self.base = (srtt + granularity.max(self.var * 4)).clamp(self.min, self.max);
        self.backoff = 0;
    }

    /// The timeout now.
    pub(crate) fn timeout(&self) -> Duration {
        let factor = 1u32 << self.backoff.min(16);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// Doubles the timeout (RFC 6298, 5.5).
    pub(crate) fn back_off(&mut self) {
        self.backoff += 1;
    }

    /// The handshake is done, and its first segment had to be sent again.
    pub(crate) fn after_syn_loss(&mut self) {
        if self.srtt.is_none() {
            self.base = AFTER_SYN_LOSS.clamp(self.min, self.max);
        }
        self.backoff = 0;
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.srtt
    }

    pub(crate) fn variation(&self) -> Duration {
        self.var
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn follows_rfc_6298() {
        let mut rtt = Rtt::new(MS, MS * 60_000);
        assert_eq!(rtt.timeout(), INITIAL);
        rtt.sample(MS * 100);
        assert_eq!(rtt.timeout(), MS * 300);
        rtt.sample(MS * 100);
        assert_eq!(rtt.variation(), MS * 75 / 2);
        assert_eq!(rtt.timeout(), MS * 250);
        rtt.back_off();
        rtt.back_off();
        assert_eq!(rtt.timeout(), MS * 1000);
        rtt.sample(MS * 100);
        assert!(rtt.timeout() < MS * 250);
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.timeout(), MS * 60_000);
    }

    #[test]
    fn bounds_hold() {
        let mut rtt = Rtt::new(MS * 200, MS * 60_000);
        rtt.sample(MS / 10);
        assert_eq!(rtt.timeout(), MS * 200);
        rtt.sample(MS * 1_000_000);
        assert_eq!(rtt.timeout(), MS * 60_000);
    }
}
