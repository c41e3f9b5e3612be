//! Messages over a socket's doorbell.
//!
//! Program → io-net: [`Request`], answered in the slot's [`crate::slot::Reply`]: no reply goes over
//! the doorbell, so that several processes can share it. A requester holds the slot's `control`
//! lock from before it sends until it has read the reply, so at most one request a socket is under
//! way.
//!
//! io-net → program: [`Accepted`] on listeners, nothing on others. A listener is readable in the
//! kernel's own eyes while connections wait, so poll and epoll on it are native.
//!
//! Other changes need no message: data, shutdown and most options are words in the slot.
//!
//! A message of a wrong length is answered EINVAL if it has a sequence number, else ignored and
//! counted.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address::Address;
use crate::session::SegmentInfo;

/// The most bytes of an option's value in a request or reply.
pub const VALUE_MAX: usize = 256;

/// What the program asks of a socket: the value of [`Request::op`].
pub mod op {
    /// Bind to `address`; port 0 takes a free one. EADDRINUSE, EADDRNOTAVAIL, EINVAL (bound
    /// already), EACCES.
    pub const BIND: u32 = 1;
    /// Connect to `address`. Datagram: sets (or, with family none, clears) the peer; answered 0.
    /// Stream: answered EINPROGRESS when under way (the outcome appears in the slot's state, with
    /// an event), or ENETUNREACH, EADDRNOTAVAIL, EISCONN, EALREADY, ...
    pub const CONNECT: u32 = 2;
    /// Listen, `args[0]` being the backlog; again to change it. EOPNOTSUPP on datagrams,
    /// EADDRINUSE.
    pub const LISTEN: u32 = 3;
    /// setsockopt of an option that is none of [`crate::options`]: level `args[0]`, name `args[1]`,
    /// value in `value`. ENOPROTOOPT when unknown.
    pub const SET_OPTION: u32 = 4;
    /// getsockopt of the same kind (TCP_INFO, ...): the value is the reply's payload.
    pub const GET_OPTION: u32 = 5;
    /// Nothing: answered 0. Tells whether the socket is alive, and brings io-net's view of it up to
    /// date.
    pub const SYNC: u32 = 6;
}

/// A request about the socket whose doorbell carries it. The first [`Request::HEADER`] bytes always
/// come, then `value_len` bytes of `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Request {
    /// The number that the reply will carry; see [`crate::slot::ProgramWords::request_sequence`].
    pub sequence: u32,
    /// One of [`op`].
    pub op: u32,
    /// What `op` says; 0 else.
    pub args: [u32; 2],
    /// What `op` says; all zero else.
    pub address: Address,
    /// Bytes of `value` that follow; at most [`VALUE_MAX`].
    pub value_len: u32,
    /// Reserved, 0.
    pub reserved: u32,
    /// What `op` says.
    pub value: [u8; VALUE_MAX],
}

impl Request {
    /// Bytes before `value`.
    pub const HEADER: usize = std::mem::offset_of!(Self, value);

    /// An empty request.
    #[must_use]
    pub fn new(sequence: u32, op: u32) -> Self {
        Self {
            sequence,
            op,
            ..Self::new_zeroed()
        }
    }

    fn new_zeroed() -> Self {
        zerocopy::transmute!([0_u8; size_of::<Self>()])
    }

    /// The bytes to send: the header and `value_len` bytes of `value`.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.as_bytes()[..Self::HEADER + (self.value_len as usize).min(VALUE_MAX)]
    }

    /// Reads a message; None when its length is not what it must be.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut request = Self::new_zeroed();
        let value = message
            .get(Self::HEADER..)
            .filter(|v| v.len() <= VALUE_MAX)?;
        request.as_mut_bytes()[..message.len()].copy_from_slice(message);
        (request.value_len as usize == value.len()).then_some(request)
    }

    /// The value that came along.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value[..(self.value_len as usize).min(VALUE_MAX)]
    }
}

/// A connection for the program to take: one message on the listener's doorbell, with one fd, the
/// new socket's doorbell. If nobody takes it before the listener is closed, the kernel closes that
/// fd, and io-net resets the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Accepted {
    /// [`Accepted::MAGIC`].
    pub magic: u32,
    /// The new socket's slot.
    pub slot: u32,
    /// The segment of that slot, normally the listener's. A program that has not mapped it asks
    /// with [`crate::session::op::ADOPT`].
    pub segment: SegmentInfo,
    /// The slot's generation.
    pub generation: u32,
    /// Reserved, 0.
    pub reserved: u32,
    /// The peer.
    pub remote: Address,
    /// The address that it connected to.
    pub local: Address,
}

impl Accepted {
    /// First word of each.
    pub const MAGIC: u32 = u32::from_le_bytes(*b"acpt");
}

const _: () = {
    assert!(Request::HEADER == 48);
    assert!(size_of::<Request>() == 48 + VALUE_MAX);
    assert!(size_of::<Accepted>() == 88);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_keep_their_value_and_nothing_else_parses() {
        let mut request = Request::new(7, op::SET_OPTION);
        request.value[..3].copy_from_slice(b"abc");
        request.value_len = 3;
        let message = request.message();
        assert_eq!(message.len(), Request::HEADER + 3);
        assert_eq!(Request::parse(message).unwrap().value(), b"abc");
        assert!(Request::parse(&message[..Request::HEADER + 2]).is_none());
        assert!(Request::parse(&message[..20]).is_none());
        assert!(Request::parse(&[]).is_none());
        request.value_len = u32::MAX;
        assert_eq!(request.message().len(), size_of::<Request>());
        assert!(Request::parse(request.as_bytes()).is_none());
        assert!(Request::parse(&[0; 1000]).is_none());
    }
}
