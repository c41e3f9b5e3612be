//! QNX's flags and numbers.

/// Receiving threads keep their own priority.
pub const CHF_FIXED_PRIORITY: u32 = 0x1;
/// A client that waits for a reply is unblocked by the server only: see
/// [`crate::pulse::CODE_UNBLOCK`].
pub const CHF_UNBLOCK: u32 = 0x2;
/// A pulse when a thread of this process ends that has sent or received.
pub const CHF_THREAD_DEATH: u32 = 0x4;
/// A pulse when all connections of a client have gone; its scoid is kept until detached.
pub const CHF_DISCONNECT: u32 = 0x8;
/// Qnet's channel. Refused here: Qnet needs none.
pub const CHF_NET_MSG: u32 = 0x10;
/// Senders' lengths are told; here always.
pub const CHF_SENDER_LEN: u32 = 0x20;
/// A pulse when the channel behind a connection of this process has gone.
pub const CHF_COID_DISCONNECT: u32 = 0x40;
/// Clients' room for a reply is told; here always.
pub const CHF_REPLY_LEN: u32 = 0x80;

/// This node.
pub const ND_LOCAL_NODE: u32 = 0;
/// Ored into the index of an attach: the coid is from this on.
pub const SIDE_CHANNEL: u32 = 0x4000_0000;
/// Close on exec. Here each connection is.
pub const COF_CLOEXEC: u32 = 1;
/// The channel behind a connection has gone.
pub const COF_DEAD: u32 = 2;

/// Sent, and not yet received.
pub const STATE_SEND: u32 = 4;
/// Waits to receive.
pub const STATE_RECEIVE: u32 = 5;
/// Received, and not yet replied to.
pub const STATE_REPLY: u32 = 6;
