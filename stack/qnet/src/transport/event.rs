//! What a transport tells its caller.

use core::fmt;
use core::time::Duration;

use super::{Conn, LinkAddr, LinkId, Node, PeerId};
use crate::secure::PublicKey;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A peer can be talked to: one that was opened, or one that came by itself.
    PeerUp {
        /// The peer.
        peer: PeerId,
        /// Its name.
        node: Node,
        /// Its key, where security is on.
        key: Option<PublicKey>,
    },
    /// A peer is gone; its id means nothing any more. Messages sent to it and not acknowledged may or
    /// may not have been delivered; none comes from it any more.
    PeerDown {
        /// The peer.
        peer: PeerId,
        /// Its name.
        node: Node,
        /// Why.
        reason: DownReason,
    },
    /// A message arrived.
    Message {
        /// The sender.
        peer: PeerId,
        /// The sender's conn.
        conn: Conn,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The link of an exclusive conn is down. Messages sent on the conn and not acknowledged may or may
    /// not have been delivered; later ones may be sent when the link is up again.
    ConnFailed {
        /// The peer.
        peer: PeerId,
        /// The conn.
        conn: Conn,
    },
    /// A peer is reached over a link.
    PathUp {
        /// The peer.
        peer: PeerId,
        /// The link.
        link: LinkId,
    },
    /// A peer is not reached over a link any more.
    PathDown {
        /// The peer.
        peer: PeerId,
        /// The link.
        link: LinkId,
    },
    /// A frame outside any peer: the LAN resolver's.
    Datagram {
        /// The link it came over.
        link: LinkId,
        /// The sender's address.
        from: LinkAddr,
        /// The layer of LWL4 that it is for.
        layer: u8,
        /// Whether its numbers are big-endian.
        big_endian: bool,
        /// Its payload.
        bytes: Vec<u8>,
    },
    /// A node was met for the first time, and its key is trusted from now on; to be written down.
    Pinned {
        /// Its name.
        node: Node,
        /// Its key.
        key: PublicKey,
    },
    /// A node was not let in.
    Refused {
        /// The name that it claims.
        node: Node,
        /// Where it spoke from.
        from: LinkAddr,
        /// Why.
        reason: RefusedReason,
    },
}

/// Why a peer went down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DownReason {
    /// [`crate::transport::Transport::close`] was called.
    Closed,
    /// It said goodbye.
    ClosedByPeer,
    /// No path to it works.
    Unreachable,
    /// The node started anew.
    Restarted,
    /// It broke the protocol.
    Violation,
    /// Either end does not trust the other; [`Event::Refused`] says more where it was this one.
    Refused,
}

/// Why a node was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusedReason {
    /// It is not on the list of those allowed.
    NotAllowed,
    /// Its key is not the one that was pinned: it was set up anew, or somebody poses as it. If it is
    /// genuine, its pinned key must be removed.
    KeyChanged,
    /// It wants no security, and this node does; or the other way round.
    SecurityMismatch,
    /// It answered under another name than it was asked for.
    WrongName,
}

/// Why a peer was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// [`crate::transport::Config::peers_max`] is reached.
    TooManyPeers,
    /// No path was given whose link is there.
    NoPath,
    /// The name is empty, too long, has a character that it must not have, or is this node's own.
    BadName,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpenError::TooManyPeers => "too many peers: raise the limit",
            OpenError::NoPath => "the node has no address on any link here",
            OpenError::BadName => "not the name of another node",
        })
    }
}

impl core::error::Error for OpenError {}

/// Why a message was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The peer is down.
    NoPeer,
    /// The exclusive link is down.
    LinkDown,
    /// The message is empty or longer than this node or the peer allows.
    BadLength,
    /// The conn is not below the limit.
    BadConn,
    /// Too many bytes wait already: try again after some are acknowledged.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::NoPeer => "the peer is down",
            SendError::LinkDown => "the exclusive link is down",
            SendError::BadLength => "the message is empty or too long",
            SendError::BadConn => "the conn is out of range",
            SendError::Full => "too many bytes wait to be sent",
        })
    }
}

impl core::error::Error for SendError {}

/// How a peer is reached over a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathInfo {
    /// The link.
    pub link: LinkId,
    /// The peer's address there.
    pub addr: LinkAddr,
    /// Whether it works.
    pub is_up: bool,
    /// Its round-trip time, smoothed, without the time that acknowledgements wait for company; 50 ms
    /// before it was measured.
    pub rtt: Duration,
    /// Bytes that may be under way.
    pub window: usize,
    /// Bytes that are under way.
    pub in_flight: usize,
    /// Longest frame.
    pub mtu: usize,
}

/// A frame to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// The link to send it on.
    pub link: LinkId,
    /// Its destination there.
    pub to: LinkAddr,
    /// Its length in bytes.
    pub len: usize,
}
