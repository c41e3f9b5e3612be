//! The time that a blocking call has.

use std::time::{Duration, Instant};

use crate::thread;

/// A blocking call's timeout, used up when the call begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    mask: u32,
    /// None: for ever.
    until: Option<Instant>,
}

/// What a wait in some state may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Wait for as long as it takes.
    Forever,
    /// Wait for at most this long.
    Time(Duration),
    /// Wait no longer.
    Nothing,
}

impl Deadline {
    /// That of the calling thread's next blocking call, which is this.
    #[inline]
    pub(crate) fn take() -> Self {
        match thread::take_timeout() {
            None => Self {
                mask: 0,
                until: None,
            },
            Some((mask, time)) => Self {
                mask,
                until: Instant::now().checked_add(time),
            },
        }
    }

    /// Whether there is one.
    pub(crate) fn is_set(&self) -> bool {
        self.until.is_some()
    }

    /// What is left for a wait in the states of `mask`.
    #[inline]
    pub(crate) fn left(&self, mask: u32) -> Left {
        let Some(until) = self.until.filter(|_| self.mask & mask != 0) else {
            return Left::Forever;
        };
        match until.saturating_duration_since(Instant::now()) {
            left if left.is_zero() => Left::Nothing,
            left => Left::Time(left),
        }
    }
}
