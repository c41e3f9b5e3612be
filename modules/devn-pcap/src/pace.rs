//! When each frame's turn is.

/// How fast a capture is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    /// As it was recorded.
    Recorded,
    /// As fast as it is taken.
    Full,
    /// So many frames a second.
    Rate {
        /// At least 1.
        pps: u64,
    },
}

/// The course of a replay.
#[derive(Debug)]
pub(crate) struct Pace {
    speed: Speed,
    /// When the present pass began: of the clock, and of its first frame in the capture.
    began: Option<(u64, u64)>,
    /// Frames since then.
    frames: u64,
}

impl Pace {
    /// Before the first frame.
    pub(crate) fn new(speed: Speed) -> Self {
        Pace {
            speed,
            began: None,
            frames: 0,
        }
    }

    /// When the next frame's turn is, in nanoseconds of the clock by which it is `now_ns`. The frame
    /// was captured at `time_ns`.
    #[inline]
    pub(crate) fn due_ns(&mut self, now_ns: u64, time_ns: u64) -> u64 {
        let (clock_ns, first_ns) = *self.began.get_or_insert((now_ns, time_ns));
        let since = match self.speed {
            Speed::Full => return 0,
            // A clock that was set back while capturing costs no time.
            Speed::Recorded => time_ns.saturating_sub(first_ns),
            Speed::Rate { pps } => {
                let ns = u128::from(self.frames) * 1_000_000_000 / u128::from(pps);
                u64::try_from(ns).unwrap_or(u64::MAX)
            }
        };
        clock_ns.saturating_add(since)
    }

    /// The next frame has been sent.
    #[inline]
    pub(crate) fn sent(&mut self) {
        self.frames += 1;
    }

    /// The capture begins anew.
    pub(crate) fn restart(&mut self) {
        if self.speed == Speed::Recorded {
            self.began = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_recorded() {
        let mut pace = Pace::new(Speed::Recorded);
        assert_eq!(pace.due_ns(50, 1000), 50);
        pace.sent();
        assert_eq!(pace.due_ns(60, 1500), 550);
        assert_eq!(pace.due_ns(60, 900), 50);
        pace.restart();
        assert_eq!(pace.due_ns(7000, 1000), 7000);
        assert_eq!(pace.due_ns(7000, u64::MAX), u64::MAX);
    }

    #[test]
    fn at_a_rate() {
        let mut pace = Pace::new(Speed::Rate { pps: 3 });
        let due: Vec<u64> = (0..4)
            .map(|_| {
                let due = pace.due_ns(10, 0);
                pace.sent();
                due
            })
            .collect();
        assert_eq!(due, [10, 333_333_343, 666_666_676, 1_000_000_010]);
        pace.restart();
        assert_eq!(pace.due_ns(99, 0), 1_333_333_343);
    }

    #[test]
    fn at_full_speed_it_is_always_its_turn() {
        let mut pace = Pace::new(Speed::Full);
        assert_eq!(pace.due_ns(10, 5), 0);
        pace.sent();
        assert_eq!(pace.due_ns(10, 5_000_000), 0);
    }
}
