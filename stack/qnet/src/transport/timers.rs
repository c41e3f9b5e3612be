//! When each peer wants to be called next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Instant;

/// A queue of wake-ups. A peer's wake-up may be moved forward; what it leaves behind is passed over.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u16)>>,
}

impl Timers {
    /// Wakes `peer` at `at` unless it is going to be woken before, which `armed` tells and remembers.
    #[inline]
    pub(crate) fn arm(&mut self, peer: u16, armed: &mut Option<Instant>, at: Instant) {
        if armed.is_none_or(|armed| at < armed) {
            *armed = Some(at);
            self.heap.push(Reverse((at, peer)));
        }
    }

    /// When the first wake-up is.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.0.0)
    }

    /// The next wake-up that is due. It counts only if the peer is armed for that very time.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, u16)> {
        self.first().filter(|at| *at <= now)?;
        self.heap.pop().map(|entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_woken_at_the_earliest_time_it_asked_for() {
        let mut timers = Timers::default();
        let mut armed = None;
        for at in [50, 70, 30] {
            timers.arm(1, &mut armed, Instant::from_millis(at));
        }
        assert_eq!(armed, Some(Instant::from_millis(30)));
        assert_eq!(timers.first(), armed);
        assert_eq!(timers.pop_due(Instant::from_millis(29)), None);
        let woken: Vec<_> =
            std::iter::from_fn(|| timers.pop_due(Instant::from_millis(100))).collect();
        assert_eq!(woken.len(), 2);
        assert_eq!(woken[0], (Instant::from_millis(30), 1));
    }
}
