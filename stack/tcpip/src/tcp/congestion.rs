//! Congestion control: the trait that an algorithm fills in, and NewReno.
//!
//! The sender decides *what* was lost (duplicate acknowledgements, timeouts; later SACK and RACK); the
//! algorithm decides *how much* may be in flight. All quantities are bytes.

use crate::time::Instant;

/// A congestion control algorithm.
pub(crate) trait Congestion {
    /// Bytes that may be in flight.
    fn window(&self) -> usize;
    /// Slow start threshold.
    fn threshold(&self) -> usize;
    /// `acked` new bytes were acknowledged outside recovery; `limited` says that the window, not the
    /// program, held the sender back.
    fn on_ack(&mut self, now: Instant, acked: usize, limited: bool);
    /// Fast recovery begins, with that much in flight.
    fn on_loss(&mut self, now: Instant, in_flight: usize);
    /// One more duplicate acknowledgement arrived in recovery: a segment has left the network.
    fn on_dup_ack(&mut self);
    /// An acknowledgement in recovery covered `acked` bytes, but not all that was in flight at its start.
    fn on_partial_ack(&mut self, acked: usize);
    /// Recovery is over, with that much in flight.
    fn on_recovered(&mut self, in_flight: usize);
    /// The retransmission timer fired; `again` when nothing was acknowledged since it last did.
    fn on_timeout(&mut self, in_flight: usize, again: bool);
    /// Nothing was sent for a whole timeout.
    fn on_idle(&mut self);
    /// The segment size changed.
    fn set_mss(&mut self, mss: usize);
}

/// NewReno: RFC 5681 with RFC 6582, counting bytes as RFC 3465 does, initial window of RFC 6928.
pub(crate) struct NewReno {
    window: usize,
    threshold: usize,
    mss: usize,
    /// Bytes acknowledged towards the next increase in congestion avoidance.
    credit: usize,
    /// After a timeout slow start is by one segment an acknowledgement (RFC 3465, 2.3).
    cautious: bool,
}

/// No window grows past this.
const WINDOW_MAX: usize = 1 << 30;

impl NewReno {
    pub(crate) fn new(mss: usize) -> Self {
        NewReno {
            window: initial_window(mss),
            threshold: WINDOW_MAX,
            mss,
            credit: 0,
            cautious: false,
        }
    }

    /// Half of what is in flight, at least two segments (RFC 5681, equation 4).
    fn halve(&mut self, in_flight: usize) {
        self.threshold = (in_flight / 2).max(2 * self.mss);
        self.credit = 0;
    }
}

/// RFC 6928, 2.
fn initial_window(mss: usize) -> usize {
    (10 * mss).min((2 * mss).max(14_600))
}

impl Congestion for NewReno {
    fn window(&self) -> usize {
        self.window
    }

    fn threshold(&self) -> usize {
        self.threshold
    }

    fn on_ack(&mut self, _now: Instant, acked: usize, limited: bool) {
        // A window that is not used says nothing about the network (RFC 7661).
        if !limited {
            return;
        }
        if self.window < self.threshold {
            let step = if self.cautious {
                acked.min(self.mss)
            } else {
                acked
            };
            self.window = (self.window + step).min(WINDOW_MAX);
            return;
        }
        self.cautious = false;
        self.credit += acked;
        if self.credit >= self.window {
            self.credit -= self.window;
            self.window = (self.window + self.mss).min(WINDOW_MAX);
        }
    }

    fn on_loss(&mut self, _now: Instant, in_flight: usize) {
        self.halve(in_flight);
        self.window = self.threshold + 3 * self.mss;
    }

    fn on_dup_ack(&mut self) {
        self.window = (self.window + self.mss).min(WINDOW_MAX);
    }

    fn on_partial_ack(&mut self, acked: usize) {
        // Deflate by what left, and add one segment back (RFC 6582, 3.2, step 3).
        self.window = self.window.saturating_sub(acked).max(self.mss);
        if acked >= self.mss {
            self.window += self.mss;
        }
    }

    fn on_recovered(&mut self, in_flight: usize) {
        // The less bursty choice of RFC 6582, 3.2, step 3.
        self.window = self.threshold.min(in_flight.max(self.mss) + self.mss);
    }

    fn on_timeout(&mut self, in_flight: usize, again: bool) {
        if !again {
            self.halve(in_flight);
        }
        self.window = self.mss;
        self.credit = 0;
        self.cautious = true;
    }

    fn on_idle(&mut self) {
        // The restart window (RFC 5681, 4.1).
        self.window = self.window.min(initial_window(self.mss));
    }

    fn set_mss(&mut self, mss: usize) {
        let fresh = self.window == initial_window(self.mss);
        self.mss = mss;
        self.window = if fresh {
            initial_window(mss)
        } else {
            self.window.max(mss)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_avoidance_recovery_timeout() {
        let now = Instant::ZERO;
        let mut reno = NewReno::new(1000);
        assert_eq!(reno.window(), 10_000);
        reno.on_ack(now, 10_000, true);
        assert_eq!(reno.window(), 20_000);
        reno.on_ack(now, 10_000, false);
        assert_eq!(reno.window(), 20_000);
        reno.on_loss(now, 20_000);
        assert_eq!((reno.threshold(), reno.window()), (10_000, 13_000));
        reno.on_dup_ack();
        assert_eq!(reno.window(), 14_000);
        reno.on_partial_ack(3000);
        assert_eq!(reno.window(), 12_000);
        reno.on_recovered(50_000);
        assert_eq!(reno.window(), 10_000);
        reno.on_ack(now, 9_999, true);
        assert_eq!(reno.window(), 10_000);
        reno.on_ack(now, 1, true);
        assert_eq!(reno.window(), 11_000);
        reno.on_timeout(11_000, false);
        assert_eq!((reno.threshold(), reno.window()), (5_500, 1000));
        reno.on_timeout(1000, true);
        assert_eq!(reno.threshold(), 5_500);
        reno.on_ack(now, 3000, true);
        assert_eq!(reno.window(), 2000);
    }

    #[test]
    fn initial_window_follows_rfc_6928() {
        assert_eq!(NewReno::new(1460).window(), 14_600);
        assert_eq!(NewReno::new(536).window(), 5360);
        assert_eq!(NewReno::new(9000).window(), 18_000);
        assert_eq!(NewReno::new(65_000).window(), 130_000);
    }
}
