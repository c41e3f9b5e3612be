//! The time that a blocking call has.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::event::Event;
use crate::{deliver, thread};

/// A blocking call's timeout, used up when the call begins.
#[derive(Debug)]
pub(crate) struct Deadline {
    mask: u32,
    /// None: for ever.
    until: Cell<Option<Instant>>,
    event: Event,
}

/// What a wait in some state may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Wait for as long as it takes.
    Forever,
    /// Wait for at most this long.
    Time(Duration),
    /// Wait no longer: [`Deadline::error`].
    Nothing,
}

impl Deadline {
    /// That of the calling thread's next blocking call, which is this.
    #[inline]
    pub(crate) fn take() -> Self {
        match thread::take_timeout() {
            None => Self {
                mask: 0,
                until: Cell::new(None),
                event: Event::Unblock,
            },
            Some(timeout) => Self {
                mask: timeout.mask,
                until: Cell::new(Instant::now().checked_add(timeout.time)),
                event: timeout.event,
            },
        }
    }

    /// Whether there is one.
    pub(crate) fn is_set(&self) -> bool {
        self.until.get().is_some()
    }

    /// What is left for a wait in the states of `mask`.
    #[inline]
    pub(crate) fn left(&self, mask: u32) -> Left {
        let Some(until) = self.until.get().filter(|_| self.mask & mask != 0) else {
            return Left::Forever;
        };
        match until.saturating_duration_since(Instant::now()) {
            left if left.is_zero() => self.over(),
            left => Left::Time(left),
        }
    }

    /// The time is up: what was to happen then happens, once.
    #[cold]
    fn over(&self) -> Left {
        match self.event {
            Event::Unblock => return Left::Nothing,
            Event::None => {}
            event => deliver::to_self(&event),
        }
        if let Event::None | Event::Pulse { .. } = self.event {
            self.until.set(None);
            return Left::Forever;
        }
        Left::Nothing
    }

    /// What a call fails with that may wait no longer.
    pub(crate) fn error(&self) -> Error {
        match self.event {
            Event::Unblock => Error::TIMED_OUT,
            _ => Error::INTERRUPTED,
        }
    }
}
