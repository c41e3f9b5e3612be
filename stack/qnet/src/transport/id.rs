//! How links, addresses, peers, conns and messages are named.

use core::fmt;
use core::net::IpAddr;

use io_net_wire::ethernet::Mac;

/// Most links of a node: [`LinkId`]s are below.
pub(crate) const LINKS_MAX: usize = 16;

/// An interface of this node, numbered by the caller from 0; below 16.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LinkId(pub u8);

/// An address on a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum LinkAddr {
    /// Of an Ethernet; [`LinkAddr::BROADCAST`] is everyone.
    Mac([u8; 6]),
    /// Of an IP network.
    Ip(IpAddr),
}

impl LinkAddr {
    /// Everyone on an Ethernet.
    pub const BROADCAST: LinkAddr = LinkAddr::Mac(Mac::BROADCAST.0);
}

impl fmt::Display for LinkAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkAddr::Mac(mac) => Mac(*mac).fmt(f),
            LinkAddr::Ip(ip) => ip.fmt(f),
        }
    }
}

/// One life of another node. An id is not used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PeerId {
    pub(crate) index: u16,
    pub(crate) generation: u32,
}

impl PeerId {
    /// A small number, from 1, that no other live peer has. It is what the LWL4 header names the node
    /// by.
    pub fn index(self) -> u16 {
        self.index
    }
}

/// Orders the messages that are sent on it. Chosen by the sender, below [`crate::transport::Config`]'s
/// `conns_max`, and told to the receiver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Conn(pub u16);

/// A message on its way. An id is not used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MessageId {
    pub(crate) peer: PeerId,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Which of a peer's links a message may take.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Qos {
    /// The link that delivers soonest, as measured.
    #[default]
    LoadBalance,
    /// That link while it is up, else as [`Qos::LoadBalance`].
    Preferred(LinkId),
    /// That link or none: while it is down sending fails.
    Exclusive(LinkId),
}
