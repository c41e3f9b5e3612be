//! One socket as io-net remembers it, and what its slot shows of that.

use super::segment::SharedSegment;
use super::slab::Key;
use crate::buffers::TxFifo;
use io_net_proto::address::Address;
use io_net_proto::request::Accepted;
use io_net_proto::slot::{STATE_RX_END, STATE_TX_END, Slot, State};
use io_net_ring::wake::reached;
use io_net_tcpip::{SocketId, Transport};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{Ordering, fence};

/// A socket.
pub(crate) struct Socket {
    pub(crate) segment: Key,
    pub(crate) slot: u32,
    /// The stack's name for it; none while it is being made.
    pub(crate) id: Option<SocketId>,
    pub(crate) transport: Transport,
    pub(crate) state: State,
    /// `STATE_*` flags.
    pub(crate) ends: u32,
    /// io-net's end; none before the connection is accepted, and after the program closed it.
    pub(crate) doorbell: Option<OwnedFd>,
    /// `SO_COOKIE` of the program's end.
    pub(crate) cookie: u64,
    /// Effective user of the process that made it.
    pub(crate) uid: u32,
    /// `SHUT_*` bits acted on.
    pub(crate) shutdown: u32,
    /// Number of the option words acted on.
    pub(crate) options: u32,
    /// Number of the last request seen under way.
    pub(crate) asked: u32,
    /// Position of the tx FIFO's head when the program was last told of room.
    pub(crate) tx_told: u32,
    /// What it was asked to be bound to, to bind it again where an attempt to connect failed.
    pub(crate) bound: Option<SocketAddr>,
    /// Datagrams that the program sends.
    pub(crate) datagrams: Option<TxFifo>,
    /// A listener's connection that its doorbell had no room for.
    pub(crate) stalled: Option<(Accepted, OwnedFd)>,
}

impl Socket {
    /// Shows its state in its slot.
    pub(crate) fn show(&self, segment: &SharedSegment) {
        if let Some(slot) = segment.memory.segment.slot(self.slot) {
            let word = self.state as u32 | self.ends;
            slot.server.state.store(word, Ordering::Release);
        }
    }

    /// Ends it: nothing can be sent or received any more.
    pub(crate) fn end(&mut self) {
        self.state = State::Closed;
        self.ends = STATE_RX_END | STATE_TX_END;
    }

    /// Shows both of its addresses.
    pub(crate) fn show_addresses(
        &self,
        segment: &SharedSegment,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
    ) {
        let address = |a: Option<SocketAddr>| a.map_or(Address::default(), Address::from);
        if let Some(slot) = segment.memory.segment.slot(self.slot) {
            slot.addresses.set(address(local), address(peer));
        }
    }

    /// Whether the program waits for the room that came free in its tx FIFO since it was last told.
    #[inline]
    pub(crate) fn room_is_wanted(&mut self, slot: &Slot) -> bool {
        let now = slot.server.tx_head.load(Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mark = slot.program.tx_notify_at.load(Ordering::Relaxed);
        let told = std::mem::replace(&mut self.tx_told, now);
        reached(mark, told, now)
    }
}

/// Asks the program to mark its slot once it has read the rx FIFO down to half, where it is fuller
/// than that. True where it has just done so: the peer can be told of the room at once.
#[inline]
pub(crate) fn ask_for_room(slot: &Slot, size: u32) -> bool {
    let tail = slot.server.rx_tail.load(Ordering::Relaxed);
    let unread = || tail.wrapping_sub(slot.program.rx_head.load(Ordering::Acquire));
    if unread() <= size / 2 {
        return false;
    }
    let at = tail.wrapping_sub(size / 2);
    slot.server.rx_notify_at.store(at, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    unread() <= size / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_asked_for_while_the_fifo_is_more_than_half_full() {
        let slot = Slot::default();
        slot.server.rx_tail.store(50, Ordering::Relaxed);
        assert!(!ask_for_room(&slot, 100));
        assert_eq!(slot.server.rx_notify_at.load(Ordering::Relaxed), 0);
        slot.server.rx_tail.store(80, Ordering::Relaxed);
        assert!(!ask_for_room(&slot, 100));
        assert_eq!(slot.server.rx_notify_at.load(Ordering::Relaxed), 30);
    }
}
