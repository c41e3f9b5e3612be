//! The rate: a token bucket that neither gains nor loses a bit by rounding.

/// Tokens in a bit: so that a rate in bits a second is one in tokens a nanosecond.
const BIT: i128 = 1_000_000_000;

/// The bucket. A packet may go when there are tokens for all of it; packets that have been promised
/// tokens to come are its debt.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Bits a second.
    rate: u64,
    depth: i128,
    tokens: i128,
    at_ns: u64,
}

impl Bucket {
    /// A full bucket of `burst` bytes. `rate` is from 1 to 10^12, `burst` at most 10^9.
    pub(crate) fn new(rate: u64, burst: u64, now_ns: u64) -> Bucket {
        let depth = i128::from(burst) * 8 * BIT;
        Bucket {
            rate,
            depth,
            tokens: depth,
            at_ns: now_ns,
        }
    }

    /// When a packet of `len` bytes may go.
    #[inline]
    pub(crate) fn ready_ns(&mut self, len: usize, now_ns: u64) -> u64 {
        self.fill(now_ns);
        let missing = cost(len) - self.tokens;
        if missing <= 0 {
            return now_ns;
        }
        let rate = i128::from(self.rate);
        let wait = (missing + rate - 1) / rate;
        now_ns.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// Takes the tokens for a packet of `len` bytes.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) {
        self.tokens -= cost(len);
    }

    #[inline]
    fn fill(&mut self, now_ns: u64) {
        let passed = now_ns.saturating_sub(self.at_ns);
        self.at_ns = now_ns.max(self.at_ns);
        let gained = i128::from(passed) * i128::from(self.rate);
        self.tokens = self.depth.min(self.tokens + gained);
    }
}

#[inline]
fn cost(len: usize) -> i128 {
    len as i128 * 8 * BIT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `n` packets goes that all come at 0.
    fn departures(bucket: &mut Bucket, len: usize, n: usize) -> Vec<u64> {
        let next = |_| {
            let at = bucket.ready_ns(len, 0);
            bucket.take(len);
            at
        };
        (0..n).map(next).collect()
    }

    #[test]
    fn a_line_takes_each_packet_its_time_without_rounding() {
        // 1500 bytes at 7 Mbit/s: 1714285.714... ns each.
        let mut bucket = Bucket::new(7_000_000, 0, 0);
        let at = departures(&mut bucket, 1500, 700_000);
        for (index, at) in at.iter().enumerate() {
            let bits = (index as u64 + 1) * 12_000;
            assert_eq!(*at, (bits * 1000).div_ceil(7), "{index}");
        }
    }

    #[test]
    fn what_is_saved_up_goes_at_once_and_no_more() {
        let mut bucket = Bucket::new(8_000_000, 3000, 0);
        // A byte a microsecond.
        let second = 1_000_000_000;
        assert_eq!(
            departures(&mut bucket, 1000, 5),
            [0, 0, 0, 1_000_000, 2_000_000]
        );
        assert_eq!(bucket.ready_ns(3000, second), second);
        bucket.take(3000);
        assert_eq!(bucket.ready_ns(1, second), second + 1000);
    }

    #[test]
    fn no_window_holds_more_than_the_burst_and_the_rate() {
        let (rate, burst) = (1_000_003, 4000);
        let mut bucket = Bucket::new(rate, burst, 0);
        let mut now = 0;
        let mut sent = Vec::new();
        for step in 0..2000_u64 {
            now += step * 7919 % 100_000;
            let len = (step * 31 % 1400 + 60) as usize;
            let at = bucket.ready_ns(len, now);
            if at == now {
                bucket.take(len);
                sent.push((now, len as u64));
            }
        }
        for (first, (from, _)) in sent.iter().enumerate() {
            let mut bytes = 0;
            for (until, len) in &sent[first..] {
                bytes += len;
                let allowed =
                    u128::from(burst) * 8_000_000_000 + u128::from(until - from) * u128::from(rate);
                assert!(u128::from(bytes) * 8_000_000_000 <= allowed);
            }
        }
    }

    #[test]
    fn far_times_do_no_harm() {
        let mut bucket = Bucket::new(1_000_000_000_000, 1_000_000_000, 0);
        assert_eq!(bucket.ready_ns(1 << 30, u64::MAX), u64::MAX);
        let mut slow = Bucket::new(1, 0, u64::MAX - 5);
        assert_eq!(slow.ready_ns(1 << 16, 3), 524_288_000_000_003);
        assert_eq!(slow.ready_ns(1 << 16, u64::MAX), u64::MAX);
    }
}
