//! A socket's slot: 1 KiB of shared memory, a cache line for each writer and purpose.
//!
//! Positions of both directions lie together by writer, so that a request and its reply move one
//! line each way. `tx` is program → io-net → network; `rx` is the other way.

use std::sync::atomic::{AtomicU32, AtomicU64};

use io_net_ring::lock::SharedLock;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address::{Address, Addresses};
use crate::options::word;

/// Bytes that a slot takes.
pub const SLOT_SIZE: usize = 1024;

/// What a socket is doing: the low 8 bits of [`ServerWords::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Nobody's: the slot is free.
    Free = 0,
    /// Made, not connected. Datagram sockets stay here, bound or not.
    Open = 1,
    /// Takes connections.
    Listening = 2,
    /// A connection is being made.
    Connecting = 3,
    /// Connected; see the flags for what has been shut since.
    Connected = 4,
    /// Over: reset, refused, timed out or closed on both sides. `error` says why; 0 for an orderly
    /// end.
    Closed = 5,
}

impl State {
    /// The state in a `state` word; None when it is none of them.
    #[must_use]
    pub fn of(word: u32) -> Option<Self> {
        Some(match word & 0xff {
            0 => Self::Free,
            1 => Self::Open,
            2 => Self::Listening,
            3 => Self::Connecting,
            4 => Self::Connected,
            5 => Self::Closed,
            _ => return None,
        })
    }
}

/// Flag in [`ServerWords::state`]: no byte will follow those in the rx FIFO (the peer's FIN, a
/// reset, or shutdown for reading).
pub const STATE_RX_END: u32 = 1 << 8;
/// Flag in [`ServerWords::state`]: nothing more can be sent: writes fail with EPIPE.
pub const STATE_TX_END: u32 = 1 << 9;

/// Bit of [`ProgramWords::shutdown`]: no more receiving.
pub const SHUT_RX: u32 = 1;
/// Bit of [`ProgramWords::shutdown`]: FIN after all that is in the tx FIFO.
pub const SHUT_TX: u32 = 2;

/// Domain, type and protocol of a socket in one word ([`ServerWords::kind`]).
#[must_use]
pub const fn kind(domain: u32, socket_type: u32, protocol: u32) -> u32 {
    (domain & 0xff) | (socket_type & 0xff) << 8 | (protocol & 0xffff) << 16
}

io_net_ring::shared! {
    /// Written by io-net, read by programs. It reads none of these back.
    #[repr(C, align(64))]
    #[derive(Default)]
    pub struct ServerWords {
        /// [`State`] and `STATE_*` flags. Stored (release) after the data or error that it
        /// announces.
        pub state: AtomicU32,
        /// rx FIFO: bytes ever put in.
        pub rx_tail: AtomicU32,
        /// rx FIFO: the position at its byte 0.
        pub rx_base: AtomicU32,
        /// tx FIFO: bytes ever taken out. Stream: acknowledged by the peer, so no longer needed.
        pub tx_head: AtomicU32,
        /// "Mark the slot dirty when `rx_head` reaches this" ([`io_net_ring::wake::reached`]): set
        /// by io-net when the room that it has told the peer of runs low, so that it can tell of
        /// more. After setting it, it fences and looks at `rx_head` again.
        pub rx_notify_at: AtomicU32,
        /// Counts the uses of this slot; changes when it is freed.
        pub generation: AtomicU32,
        /// [`kind`].
        pub kind: AtomicU32,
        /// Bytes of the tx FIFO in use: a power of two, at most the segment's `fifo_capacity`.
        /// Fixed while the slot is in use.
        pub tx_size: AtomicU32,
        /// The same of the rx FIFO.
        pub rx_size: AtomicU32,
        /// Maximum segment size of a connected stream, in bytes; 0 else.
        pub max_segment: AtomicU32,
        /// Datagram: messages that did not fit in the rx FIFO and were dropped.
        pub rx_dropped: AtomicU32,
        /// Stream: bytes in the tx FIFO that have been sent but not acknowledged, as of the last
        /// event.
        pub tx_in_flight: AtomicU32,
        /// Reserved, 0.
        pub reserved: [AtomicU32; 4],
    }
}

io_net_ring::shared! {
    /// Written by programs (under the locks below), read by io-net.
    #[repr(C, align(64))]
    #[derive(Default)]
    pub struct ProgramWords {
        /// tx FIFO: bytes ever put in.
        pub tx_tail: AtomicU32,
        /// tx FIFO: the position at its byte 0.
        pub tx_base: AtomicU32,
        /// rx FIFO: bytes ever taken out.
        pub rx_head: AtomicU32,
        /// "Publish an event when `tx_head` reaches this" ([`io_net_ring::wake::reached`]): set by
        /// a program that waits for room. After setting it, it fences and looks at `tx_head` again.
        /// io-net publishes no event for room otherwise.
        pub tx_notify_at: AtomicU32,
        /// `SHUT_*` bits, never taken back.
        pub shutdown: AtomicU32,
        /// Bumped (release) after a change of [`Slot::options`].
        pub options_sequence: AtomicU32,
        /// Number of the last request sent over the doorbell.
        pub request_sequence: AtomicU32,
        /// 1: threads sleep (futex) on the slot's event counter. io-net swaps it for 0 and wakes
        /// them all.
        pub waiting: AtomicU32,
        /// Which bells concern this socket: bit b for bell b of the segment.
        pub watchers: AtomicU64,
        /// Reserved, 0.
        pub reserved: [AtomicU32; 6],
    }
}

io_net_ring::shared! {
    /// Between the programs that share a socket: io-net neither reads nor writes these, except that
    /// it zeroes them for a new socket.
    #[repr(C, align(64))]
    #[derive(Default)]
    pub struct Shared {
        /// Held to put into the tx FIFO.
        pub tx_lock: SharedLock,
        /// Held to take out of the rx FIFO.
        pub rx_lock: SharedLock,
        /// Held over a request and its reply, and to change options.
        pub control_lock: SharedLock,
        /// O_NONBLOCK of the open file description.
        pub nonblocking: AtomicU32,
        /// SO_RCVLOWAT; 0: 1.
        pub receive_low: AtomicU32,
        /// 1: a connect that did not wait was answered, and its outcome not fetched yet.
        pub connect_pending: AtomicU32,
        /// SO_RCVTIMEO in nanoseconds; 0: for ever.
        pub receive_timeout: AtomicU64,
        /// SO_SNDTIMEO in nanoseconds; 0: for ever.
        pub send_timeout: AtomicU64,
        /// 1: it has been made a listener.
        pub listens: AtomicU32,
        /// Reserved, 0.
        pub reserved: [AtomicU32; 5],
    }
}

io_net_ring::shared! {
    /// Written by both, rarely.
    #[repr(C, align(64))]
    #[derive(Default)]
    pub struct Both {
        /// SO_ERROR: io-net stores a positive errno (before the state that goes with it), the
        /// program swaps it for 0.
        pub error: AtomicU32,
        /// Reserved, 0.
        pub reserved: [AtomicU32; 15],
    }
}

io_net_ring::shared! {
    /// The answer to the last request over the doorbell. Written by io-net.
    #[repr(C, align(64))]
    #[derive(Default)]
    pub struct Reply {
        /// The request's number; stored (release) last, then woken as a futex. The program waits
        /// for it to become its own.
        pub sequence: AtomicU32,
        /// 0 or a positive errno.
        pub errno: AtomicU32,
        /// Bytes of `payload` that matter; at most [`crate::request::VALUE_MAX`].
        pub payload_len: AtomicU32,
        /// Reserved, 0.
        pub reserved: AtomicU32,
        /// GET_OPTION's value.
        pub payload: [AtomicU64; 32],
        /// Reserved, 0.
        pub reserved_end: [AtomicU64; 6],
    }
}

io_net_ring::shared! {
    /// A socket's slot.
    #[repr(C, align(64))]
    #[derive(Default)]
    pub struct Slot {
        /// See [`ServerWords`].
        pub server: ServerWords,
        /// See [`ProgramWords`].
        pub program: ProgramWords,
        /// See [`Shared`].
        pub shared: Shared,
        /// See [`Both`].
        pub both: Both,
        /// See [`Addresses`].
        pub addresses: Addresses,
        /// Option values by [`crate::options::word`]; written by programs.
        pub options: [AtomicU32; word::COUNT],
        /// See [`Reply`].
        pub reply: Reply,
        /// Reserved, 0.
        pub reserved: [AtomicU64; 32],
    }
}

const _: () = {
    assert!(size_of::<ServerWords>() == 64);
    assert!(size_of::<ProgramWords>() == 64);
    assert!(size_of::<Shared>() == 64);
    assert!(size_of::<Both>() == 64);
    assert!(size_of::<Reply>() == 320);
    assert!(size_of::<Slot>() == SLOT_SIZE);
    assert!(std::mem::offset_of!(Slot, options) == 320);
    assert!(std::mem::offset_of!(Slot, reply) == 448);
};

/// What stands before each message in the FIFOs of a datagram socket. A record takes
/// [`Record::span`] bytes; records begin at multiples of 8.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Record {
    /// Bytes of the message, which follow the record.
    pub len: u32,
    /// tx: interface index to send on, rx: that it came in on; 0: any.
    pub interface: u32,
    /// tx: where to; family none: the connected peer. rx: where from.
    pub peer: Address,
    /// tx: source address to use; family none: the usual. rx: the address that it was sent to
    /// (port: ours).
    pub local: Address,
    /// rx: when it came, in nanoseconds since 1970; tx: 0.
    pub timestamp: u64,
    /// IP TTL; tx: 0 for the socket's.
    pub ttl: u8,
    /// IP TOS; tx: used if `flags` has [`Record::HAS_TOS`].
    pub tos: u8,
    /// [`Record::HAS_TOS`].
    pub flags: u16,
    /// rx: 0, tx: bytes of each datagram that the message is to be cut into (UDP_SEGMENT); 0: do
    /// not cut.
    pub segment: u32,
}

impl Record {
    /// `tos` counts.
    pub const HAS_TOS: u16 = 1;

    /// Bytes that the record and a message of `len` bytes take in the FIFO; None beyond any FIFO's
    /// size.
    #[must_use]
    pub fn span(len: u32) -> Option<u32> {
        len.checked_add(size_of::<Self>() as u32)?
            .checked_next_multiple_of(8)
    }
}

const _: () = assert!(size_of::<Record>() == 72);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart_whatever_the_flags() {
        for (word, state) in [
            (4, Some(State::Connected)),
            (0x305, Some(State::Closed)),
            (6, None),
        ] {
            assert_eq!(State::of(word), state);
        }
        assert_eq!(State::of(u32::MAX), None);
    }

    #[test]
    fn record_spans_are_multiples_of_eight() {
        assert_eq!(Record::span(0), Some(72));
        assert_eq!(Record::span(1), Some(80));
        assert_eq!(Record::span(u32::MAX - 3), None);
    }
}
