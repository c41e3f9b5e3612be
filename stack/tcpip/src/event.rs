//! What happened to sockets, coalesced: at most one pending entry for each socket.

use std::collections::VecDeque;

use crate::{SocketError, SocketId};

/// A set of things that happened to a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ready(u16);

impl Ready {
    /// Nothing.
    pub const NONE: Ready = Ready(0);
    /// An attempt to connect succeeded.
    pub const CONNECTED: Ready = Ready(1);
    /// A listener has a connection to be taken with [`crate::Stack::tcp_accept`].
    pub const ACCEPTABLE: Ready = Ready(1 << 1);
    /// Bytes were committed to the receive buffer, or a datagram was queued.
    pub const READABLE: Ready = Ready(1 << 2);
    /// Room came free in the send buffer.
    pub const WRITABLE: Ready = Ready(1 << 3);
    /// The peer will send no more: all it sent has been committed.
    pub const PEER_CLOSED: Ready = Ready(1 << 4);
    /// The socket failed, or has a soft error to report: [`Event::error`] says why.
    pub const ERROR: Ready = Ready(1 << 5);
    /// All that was queued, and the end of the stream if it was shut, has been acknowledged.
    pub const SENT_ALL: Ready = Ready(1 << 6);
    /// The connection is over in both directions; nothing more will be sent or received.
    pub const DISCONNECTED: Ready = Ready(1 << 7);
    /// The stack has dropped the socket's buffers after a close. The last event of an id.
    pub const RELEASED: Ready = Ready(1 << 8);

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Ready) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in this set.
    pub const fn intersects(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is in this set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl core::ops::BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl core::ops::BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

/// Something that happened to a socket since its last event was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The socket.
    pub socket: SocketId,
    /// What happened.
    pub ready: Ready,
    /// The reason, with [`Ready::ERROR`].
    pub error: Option<SocketError>,
}

/// Sockets with something to tell, each at most once; what it is lies in the socket.
#[derive(Default)]
pub(crate) struct Events {
    queue: VecDeque<Pending>,
}

/// An entry of the queue.
pub(crate) enum Pending {
    /// Look at the socket.
    Socket(SocketId),
    /// The socket's buffers were dropped, and perhaps the socket with them.
    Released(SocketId),
}

impl Events {
    /// Adds to the things that happened to a socket, which are kept in `pending`.
    #[inline]
    pub(crate) fn raise(&mut self, socket: SocketId, pending: &mut Ready, ready: Ready) {
        if pending.is_empty() {
            self.queue.push_back(Pending::Socket(socket));
        }
        *pending |= ready;
    }

    pub(crate) fn released(&mut self, socket: SocketId) {
        self.queue.push_back(Pending::Released(socket));
    }

    pub(crate) fn pop(&mut self) -> Option<Pending> {
        self.queue.pop_front()
    }
}
