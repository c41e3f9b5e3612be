//! The session: what a process and `npm-tcpip` say over `SOCK/socket`.
//!
//! `SOCK/socket` is a `SOCK_SEQPACKET` listener. Each process makes a session of its own (after
//! fork, the child makes a new one when it first needs it). The program speaks first: [`Hello`],
//! answered by [`Welcome`]; from then on one [`Call`] at a time, each answered by one [`Answer`]. A
//! message is exactly one of these structs; one of another length, or an unknown `op`, ends the
//! session.
//!
//! When the session's connection ends, its sockets live on for as long as somebody holds their
//! doorbells; a segment lives until its session has ended and its last slot is free.
//!
//! Errors are Linux's numbers (`errno`), positive, 0 for success.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// File name of the session listener in the runtime directory.
pub const SOCKET_NAME: &str = "socket";

/// First word of [`Hello`] and [`Welcome`]: "ionetsck" read as little-endian bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ionetsck");

/// The program's first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`crate::MAJOR`] of the program.
    pub major: u16,
    /// [`crate::MINOR`] of the program.
    pub minor: u16,
    /// Its process id as it sees it, for logs only; io-net asks the kernel who is there.
    pub pid: u32,
}

/// The answer to [`Hello`]. With `errno` 0 it carries three fds: see [`SegmentInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Welcome {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`crate::MAJOR`] of io-net.
    pub major: u16,
    /// [`crate::MINOR`] of io-net.
    pub minor: u16,
    /// 0, or why there is no session: EPROTO (other major version), EACCES, ENFILE, ENOMEM.
    pub errno: u32,
    /// io-net's process id.
    pub pid: u32,
    /// The most sockets that this session may have.
    pub sockets_max: u32,
    /// The session's first segment.
    pub segment: SegmentInfo,
}

/// A segment, described. The message that holds this carries, in this order, the segment's memfd
/// (sealed against any change of size), its kick eventfd (the program raises it, io-net sleeps on
/// it), and its bell eventfd number 0 (io-net raises it; the program polls it edge-triggered and
/// need not read it).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SegmentInfo {
    /// Unique among all segments that this io-net ever made; never 0.
    pub id: u64,
    /// The memfd's size in bytes.
    pub size: u64,
    /// Slots in it.
    pub slots: u32,
    /// Bytes reserved for each FIFO: a power of two.
    pub fifo_capacity: u32,
}

/// What the program asks of the session: the value of [`Call::op`].
pub mod op {
    /// A new socket; `args` are domain, type (flags masked off) and protocol, Linux's numbers.
    pub const SOCKET: u32 = 1;
    /// "What is this?": the message carries one fd, a copy of the program's end of a doorbell.
    /// io-net knows it by its `SO_COOKIE`. Answered like SOCKET but without a doorbell, or with
    /// ENOTSOCK when it is none of this io-net's. For sockets inherited over exec, received from
    /// another process, or accepted in a segment that is not mapped yet.
    pub const ADOPT: u32 = 2;
    /// One more bell eventfd for the segment in which the doorbell sent along lies, so that each
    /// epoll instance can be woken alone. Answered with its number (1 to 63) in `slot` and its fd,
    /// or ENOSPC: use bell 0.
    pub const BELL: u32 = 3;
    /// One of io-net's interfaces: `args[0]` is its index from 1, or 0 and `name` tells. Answered
    /// in [`super::Answer::interface`], or ENODEV. For the SIOCGIF* ioctls.
    pub const INTERFACE: u32 = 4;
}

/// A request over the session.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Call {
    /// One of [`op`].
    pub op: u32,
    /// What `op` says; 0 else.
    pub args: [u32; 3],
    /// What `op` says; 0 else.
    pub name: [u8; 16],
}

/// The answer to a [`Call`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Answer {
    /// 0 or the error. SOCKET: EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EMFILE (the
    /// session's limit), ENOBUFS.
    pub errno: u32,
    /// The slot's index in its segment.
    pub slot: u32,
    /// The slot's segment. Its fds come along when io-net has not sent them over this session
    /// before, else `has_segment` is 0. A doorbell, when there is one, is always the first fd.
    pub segment: SegmentInfo,
    /// 1: the segment's three fds are with this message.
    pub has_segment: u32,
    /// The slot's generation, see [`crate::slot::ServerWords::generation`].
    pub generation: u32,
    /// INTERFACE: what was asked for. All zero else.
    pub interface: Interface,
}

/// An interface of io-net's, as the ioctls report it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Interface {
    /// NUL-padded: `en0`.
    pub name: [u8; 16],
    /// From 1.
    pub index: u32,
    /// Linux's IFF_* flags.
    pub flags: u32,
    /// In bytes.
    pub mtu: u32,
    /// IPv4 address, network order; 0 for none.
    pub address: [u8; 4],
    /// IPv4 netmask.
    pub netmask: [u8; 4],
    /// IPv4 broadcast address.
    pub broadcast: [u8; 4],
    /// Ethernet address; 0 for none.
    pub hardware: [u8; 6],
    /// Reserved, 0.
    pub reserved: [u8; 18],
}

const _: () = {
    assert!(size_of::<Hello>() == 16);
    assert!(size_of::<SegmentInfo>() == 24);
    assert!(size_of::<Welcome>() == 48);
    assert!(size_of::<Call>() == 32);
    assert!(size_of::<Answer>() == 104);
    assert!(size_of::<Interface>() == 64);
};
