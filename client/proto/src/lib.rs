//! What clients, protocol modules and the manager say to each other.
//!
//! | file | between | what |
//! | --- | --- | --- |
//! | [`session`] | program and `npm-tcpip`, over `SOCK/socket` | hello, new sockets, adopting sockets |
//! | [`request`] | program and `npm-tcpip`, over a socket's doorbell | bind, connect, listen, accepted |
//! | [`segment`] | the same, in shared memory | where everything lies |
//! | [`slot`] | the same, in shared memory | one socket: its state, FIFOs' positions, options |
//! | [`view`] | | a mapped segment, and its wake-up protocols |
//! | [`name`] | programs and `npm-qnet`, in `<run>/name` | names of channels |
//! | [`netmgr`] | program and `npm-qnet`, by message | questions about nodes |
//! | [`gns`] | programs and `gns`, by message | questions about global names |
//! | [`address`] | | socket addresses |
//! | `control` | `io-netctl` and the manager | JSON lines (feature `control`) |
//!
//! # A socket
//!
//! A program's socket has three parts:
//!
//! - Its **doorbell**: a `SOCK_SEQPACKET` pair made by io-net. The program's end is the fd that the
//!   program sees, so fork, exec, dup, `SCM_RIGHTS` and close are the kernel's own; when the last copy is
//!   closed, io-net's end reads end-of-file, and the socket is closed. Whoever holds it may use the
//!   socket: requests go over it. On a listener, each accepted connection is one message to the program.
//! - Its **slot** in a segment, which is memory shared with io-net: [`slot::Slot`].
//! - Its two **FIFOs** in the same segment.
//!
//! # Who wakes whom
//!
//! The program → io-net: after it has changed something in the slot, it marks the slot's bit in the
//! segment's [`io_net_ring::wake::DirtySet`], and raises the segment's *kick* eventfd only if
//! io-net sleeps.
//!
//! io-net → the program: after it has changed something, it calls [`view::Segment::publish`], which
//! bumps the slot's event counter and says whom to wake: threads in a blocking call on that one
//! socket sleep on the counter (futex), threads in poll or epoll on the segment's *bell* eventfd.
//!
//! # Trust
//!
//! io-net trusts nothing in a segment: each word is read once, checked, used. What it needs to
//! remember (sizes, its own positions, a socket's state) it keeps in memory of its own and only
//! shows here.
//!
//! There is no hand-written unsafe here; shared types are declared with [`io_net_ring::shared!`].

pub mod address;
#[cfg(feature = "control")]
pub mod control;
pub mod gns;
pub mod name;
pub mod netmgr;
pub mod options;
pub mod request;
pub mod segment;
pub mod session;
pub mod slot;
pub mod view;

/// Protocol version: both sides must have the same `MAJOR`; the smaller `MINOR` is what both speak.
pub const MAJOR: u16 = 1;
/// See [`MAJOR`].
pub const MINOR: u16 = 0;
