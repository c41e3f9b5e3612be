//! Who is ready for what, read from shared memory.

use std::sync::atomic::Ordering;

use io_net_os::epoll::{ERR, HUP, IN, OUT, RDHUP};
use io_net_proto::slot::{SHUT_RX, SHUT_TX, STATE_RX_END, STATE_TX_END, State};

use crate::endpoint::Endpoint;

/// EPOLLRDNORM, which comes with IN.
pub const READ_NORMAL: u32 = 0x40;
/// EPOLLWRNORM, which comes with OUT.
pub const WRITE_NORMAL: u32 = 0x100;

const READ: u32 = IN | READ_NORMAL;
const WRITE: u32 = OUT | WRITE_NORMAL;

impl Endpoint {
    /// Whether the kernel itself tells when it is ready: a listener is when its doorbell is.
    #[inline]
    #[must_use]
    pub fn is_listener(&self) -> bool {
        self.state().0 == State::Listening
    }

    /// Whether it listened for an io-net that is known to be gone. Nothing more happens to it, so it
    /// is ready for nothing: a server that waits for all its listeners goes on with the others.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.mapped().is_dead() && self.slot().shared.listens.load(Ordering::Relaxed) != 0
    }

    /// What it is ready for, of `interest` and of what is always reported (ERR, HUP), in epoll's
    /// bits. If it is not writable and `interest` has OUT, io-net is asked for an event when it is.
    /// Not for listeners.
    #[must_use]
    pub fn ready(&self, interest: u32) -> u32 {
        if self.is_orphan() {
            return 0;
        }
        let (state, flags) = self.state();
        let slot = self.slot();
        let shutdown = slot.program.shutdown.load(Ordering::Relaxed);
        let mut ready = 0;
        if slot.both.error.load(Ordering::Relaxed) != 0 || self.mapped().is_dead() {
            ready |= ERR | READ | WRITE;
        }
        let rx_end = flags & STATE_RX_END != 0 || shutdown & SHUT_RX != 0;
        let tx_end = flags & STATE_TX_END != 0 || shutdown & SHUT_TX != 0;
        match (state, self.is_stream()) {
            (State::Connecting, true) => return ready & (interest | ERR | HUP),
            (State::Open, true) => return (ready | WRITE | HUP) & (interest | ERR | HUP),
            (State::Closed, _) => ready |= READ | WRITE | RDHUP | HUP,
            _ => {}
        }
        if rx_end {
            ready |= READ | RDHUP;
        }
        if rx_end && tx_end {
            ready |= HUP;
        }
        if interest & READ != 0 && ready & IN == 0 {
            let low = slot.shared.receive_low.load(Ordering::Relaxed).max(1) as usize;
            let low = if self.is_stream() { low } else { 1 };
            if self.readable() >= low {
                ready |= READ;
            }
        }
        if interest & WRITE != 0 && (tx_end || self.has_room() || self.wants_room()) {
            ready |= WRITE;
        }
        ready & (interest | ERR | HUP)
    }
}
