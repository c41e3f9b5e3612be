//! Messages between registrants that travel the packet path, in order with the packets.
//!
//! A message is a packet with [`crate::NPKT_MSG`] set, whose data is one of the structures here.
//! io-net and filters pass it on unread; whoever it is not for releases it.

/// [`MsgHead::kind`]: the addresses that a protocol has on an interface, all of them; down. The
/// packet's endpoint names the interface. Each replaces the one before. A protocol sends it when
/// they change and after each advert of the interface, so that a converter that has come later
/// knows them too. [`MsgAddress`]es follow.
pub const MSG_ADDRESSES: u32 = 1;

/// How a message begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsgHead {
    /// `MSG_*`.
    pub kind: u32,
    /// Structures that follow.
    pub count: u32,
}

/// An address of an interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsgAddress {
    /// 4 or 6: the version of IP.
    pub version: u16,
    /// Bits of the network part.
    pub prefix: u16,
    /// The address, in its first 4 or all 16 bytes.
    pub address: [u8; 16],
}
