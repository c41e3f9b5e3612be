//! How long a path takes, and so how long to wait for it (RFC 6298, with the delay of acknowledgements
//! taken out as in RFC 9002, 5).

use core::time::Duration;

/// What is assumed before the first measurement.
const INITIAL: Duration = Duration::from_millis(50);

/// An estimate of a path's round-trip time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    latest: Duration,
    least: Duration,
}

impl Default for Rtt {
    fn default() -> Self {
        Rtt {
            smoothed: None,
            variation: INITIAL / 2,
            latest: INITIAL,
            least: Duration::MAX,
        }
    }
}

impl Rtt {
    /// Takes a measurement, in which the other end admits to have waited for `delay`.
    pub(crate) fn sample(&mut self, measured: Duration, delay: Duration) {
        self.least = self.least.min(measured);
        self.latest = match measured.checked_sub(delay) {
            Some(adjusted) if adjusted >= self.least => adjusted,
            _ => measured.min(self.least.max(measured.saturating_sub(delay))),
        };
        match self.smoothed {
            None => {
                self.smoothed = Some(self.latest);
                self.variation = self.latest / 2;
            }
            Some(smoothed) => {
                let error = smoothed.abs_diff(self.latest);
                self.variation = (self.variation * 3 + error) / 4;
                self.smoothed = Some((smoothed * 7 + self.latest) / 8);
            }
        }
    }

    /// The smoothed time.
    pub(crate) fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL)
    }

    /// How long to wait for an acknowledgement that is not delayed.
    pub(crate) fn timeout(&self) -> Duration {
        self.smoothed() + self.variation * 4
    }

    /// How much later than a frame sent after it may a frame arrive (RFC 9002, 6.1.2).
    pub(crate) fn reordering(&self) -> Duration {
        let longest = self.smoothed().max(self.latest);
        (longest + longest / 8).max(Duration::from_millis(1))
    }

    /// Whether frames wait somewhere: the path takes much longer than it can.
    pub(crate) fn shows_queue(&self) -> bool {
        self.smoothed.is_some()
            && self.latest > self.least + (self.least / 2).max(Duration::from_millis(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_settles_and_the_delay_does_not_count() {
        let mut rtt = Rtt::default();
        rtt.sample(10 * MS, Duration::ZERO);
        for _ in 0..100 {
            rtt.sample(15 * MS, 5 * MS);
        }
        assert_eq!(rtt.smoothed(), 10 * MS);
        assert!(rtt.timeout() < 11 * MS);
        // A delay that cannot be: never below the least ever measured.
        rtt.sample(10 * MS, 500 * MS);
        assert!(rtt.smoothed() >= 9 * MS);
        assert!(!rtt.shows_queue());
        rtt.sample(40 * MS, Duration::ZERO);
        assert!(rtt.shows_queue());
    }
}
