//! How many bytes may be under way on a path: slow start and additive increase (RFC 5681), left early
//! where a queue shows, and decrease to 0.7 (as in RFC 9438).

/// The window's upper bound, so that half of the frame numbers on the wire are never under way.
const WINDOW_MAX: usize = 16 << 20;

/// The window of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Congestion {
    window: usize,
    threshold: usize,
    mtu: usize,
    /// Frames before this one were sent before the last decrease, which answers for their loss.
    recovery_end: u64,
}

impl Congestion {
    pub(crate) fn new(mtu: usize) -> Self {
        Congestion {
            window: initial_window(mtu),
            threshold: usize::MAX,
            mtu,
            recovery_end: 0,
        }
    }

    /// Bytes that may be under way.
    #[inline]
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// Frames have become longer or shorter.
    pub(crate) fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
        if self.threshold == usize::MAX {
            self.window = self.window.max(initial_window(mtu));
        }
        self.window = self.window.max(least_window(mtu));
    }

    /// `bytes` were acknowledged while the window was in use; `queue` says that frames wait somewhere.
    #[inline]
    pub(crate) fn on_acked(&mut self, bytes: usize, queue: bool) {
        if self.window < self.threshold {
            if queue {
                self.threshold = self.window;
            }
            self.window += bytes;
        } else {
            self.window += self.mtu * bytes / self.window;
        }
        self.window = self.window.min(WINDOW_MAX);
    }

    /// Frame `number` was lost; `next` is the next to be sent.
    pub(crate) fn on_lost(&mut self, number: u64, next: u64) {
        if number < self.recovery_end {
            return;
        }
        self.recovery_end = next;
        self.window = (self.window * 7 / 10).max(least_window(self.mtu));
        self.threshold = self.window;
    }

    /// Nothing comes through.
    pub(crate) fn on_silence(&mut self) {
        self.threshold = (self.window / 2).max(least_window(self.mtu));
        self.window = least_window(self.mtu);
    }
}

fn initial_window(mtu: usize) -> usize {
    (mtu * 16).clamp(64 << 10, WINDOW_MAX)
}

fn least_window(mtu: usize) -> usize {
    mtu * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_then_creeps_and_falls_once_a_round() {
        let mut cc = Congestion::new(1500);
        let start = cc.window();
        cc.on_acked(start, false);
        assert_eq!(cc.window(), 2 * start);
        cc.on_lost(10, 100);
        let fallen = cc.window();
        assert_eq!(fallen, 2 * start * 7 / 10);
        cc.on_lost(99, 120);
        assert_eq!(cc.window(), fallen);
        cc.on_acked(fallen, false);
        assert_eq!(cc.window(), fallen + 1500);
        cc.on_lost(100, 130);
        assert!(cc.window() < fallen);
        cc.on_silence();
        assert_eq!(cc.window(), 6000);
    }

    #[test]
    fn a_queue_ends_slow_start_and_the_window_is_bounded() {
        let mut cc = Congestion::new(65_536);
        cc.on_acked(1, true);
        let window = cc.window();
        cc.on_acked(window, false);
        assert!(cc.window() <= window + 65_536);
        for _ in 0..10_000 {
            cc.on_acked(16 << 20, false);
        }
        assert_eq!(cc.window(), WINDOW_MAX);
    }
}
