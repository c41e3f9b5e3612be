//! Waiting for one socket: a short spin, then a sleep on its event counter.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use io_net_os::futex::Sleep;
use io_net_os::{clock, cpu, epoll, futex, signal};

use crate::endpoint::Endpoint;
use crate::errno::{Errno, Result};

/// Looks before the first sleep: the first few for an answer from another core, the others giving
/// this core to io-net, which may be waiting for it to answer.
pub(crate) const SPINS: u32 = 60;

/// How often a sleeper looks whether io-net is still there.
const LOOK: Duration = Duration::from_millis(500);

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Not at all: EAGAIN.
    Now,
    /// For ever.
    Ever,
    /// Until the monotonic clock shows this many nanoseconds: EAGAIN then.
    Time(u64),
}

impl Until {
    /// `nanoseconds` from now; 0: for ever.
    #[must_use]
    pub fn after(nanoseconds: u64) -> Self {
        match nanoseconds {
            0 => Self::Ever,
            n => Self::Time(clock::monotonic_ns().saturating_add(n)),
        }
    }

    /// What is left of it; None: for ever.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::Ever => None,
            Self::Time(at) => Some(Duration::from_nanos(
                at.saturating_sub(clock::monotonic_ns()),
            )),
        }
    }
}

impl Endpoint {
    /// How long a receive waits when nothing else is said.
    #[inline]
    #[must_use]
    pub fn receive_until(&self) -> Until {
        match self.is_nonblocking() {
            true => Until::Now,
            false => Until::after(self.slot().shared.receive_timeout.load(Ordering::Relaxed)),
        }
    }

    /// How long a send waits when nothing else is said.
    #[inline]
    #[must_use]
    pub fn send_until(&self) -> Until {
        match self.is_nonblocking() {
            true => Until::Now,
            false => Until::after(self.slot().shared.send_timeout.load(Ordering::Relaxed)),
        }
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait(
        &self,
        doorbell: BorrowedFd<'_>,
        until: Until,
        mut ready: impl FnMut() -> bool,
    ) -> Result<()> {
        if until == Until::Now {
            return if ready() { Ok(()) } else { Err(Errno::AGAIN) };
        }
        for looks in 0..SPINS {
            if ready() {
                return Ok(());
            }
            cpu::pause_after(looks);
        }
        loop {
            let seen = self.events().load(Ordering::Acquire);
            self.slot().program.waiting.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if ready() {
                return Ok(());
            }
            let left = until.left();
            if left == Some(Duration::ZERO) {
                return Err(Errno::AGAIN);
            }
            match futex::sleep(self.events(), seen, Some(left.unwrap_or(LOOK).min(LOOK))) {
                Sleep::TimedOut if hung_up(doorbell) => {
                    return if ready() { Ok(()) } else { Err(Errno::RESET) };
                }
                // The kernel restarts its own calls under SA_RESTART unless they have a timeout.
                Sleep::Interrupted if left.is_some() || !signal::all_handlers_restart() => {
                    return Err(Errno::INTERRUPTED);
                }
                _ => {}
            }
        }
    }
}

/// Whether io-net has closed its end, which it only does by ending.
pub(crate) fn hung_up(doorbell: BorrowedFd<'_>) -> bool {
    let mut fds = [epoll::PollFd {
        fd: doorbell.as_raw_fd(),
        events: 0,
        revents: 0,
    }];
    epoll::poll(&mut fds, Some(Duration::ZERO)).is_ok_and(|n| n > 0)
}
