//! Messages between nodes: exactly once and in order within a conn, or the peer's end is reported.
//!
//! A [`Transport`] is driven by one thread, which may be any:
//!
//! 1. [`Transport::handle_frame`] for each frame of a burst, [`Transport::send`] for each message, and
//!    [`Transport::handle_timeout`] when [`Transport::poll_timeout`] has come;
//! 2. [`Transport::poll_transmit`] and [`Transport::emit`] until there is nothing to transmit;
//! 3. [`Transport::poll_event`] until it gives nothing.
//!
//! A *link* is one of this node's interfaces, numbered by the caller; a *path* is a link together with
//! the address at which a peer is reached over it. A *peer* is one life of another node: when the node
//! restarts, its old peer goes down and another comes up. A *conn* orders the messages sent on it and
//! chooses their [`Qos`]; conns need no opening and do not wait for each other.
//!
//! A frame is the LWL4 format from its two bytes of padding on, that is what follows the ethertype.

mod config;
mod event;
mod id;
mod message;
mod stats;

pub use config::{Config, LinkConfig, Node};
pub use event::{DownReason, Event, OpenError, RefusedReason, SendError, Transmit};
pub use id::{Conn, LinkAddr, LinkId, MessageId, PeerId, Qos};
pub use message::{Message, Source};
pub use stats::Stats;

use crate::time::Instant;

/// Bytes of a frame before its payload: the padding and the LWL4 header.
pub const FRAME_OVERHEAD_BYTES: usize = 38;

/// The transport of one node.
pub struct Transport {
    config: Config,
    stats: Stats,
}

impl Transport {
    /// A transport without links or peers.
    pub fn new(_now: Instant, config: Config) -> Self {
        Transport {
            config,
            stats: Stats::default(),
        }
    }

    /// The settings that it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What was counted since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Adds a link, or changes the settings of one that is there. Peers may be met over it from now on.
    pub fn add_link(&mut self, _now: Instant, _link: LinkId, _config: LinkConfig) {}

    /// Takes a link away with all paths over it.
    pub fn remove_link(&mut self, _now: Instant, _link: LinkId) {}

    /// The peer with that node, whose addresses on some links are known. A live peer with a node of that
    /// name is given again, and learns the addresses; otherwise a handshake starts. Messages may be sent
    /// at once: they leave when it is up. [`Event::PeerUp`] or [`Event::PeerDown`] follows.
    pub fn open(
        &mut self,
        _now: Instant,
        _node: &Node,
        _paths: &[(LinkId, LinkAddr)],
    ) -> Result<PeerId, OpenError> {
        Err(OpenError::TooManyPeers)
    }

    /// A further address of a peer, or the address that has taken the place of its old one on that link.
    pub fn add_path(&mut self, _now: Instant, _peer: PeerId, _link: LinkId, _addr: LinkAddr) {}

    /// Ends a peer at once, telling it so. [`Event::PeerDown`] follows.
    pub fn close(&mut self, _now: Instant, _peer: PeerId) {}

    /// The name of a peer.
    pub fn node(&self, _peer: PeerId) -> Option<&Node> {
        None
    }

    /// Takes a message to be delivered to the peer exactly once, after those sent before on the same
    /// conn; or [`Event::PeerDown`], or with [`Qos::Exclusive`] [`Event::ConnFailed`], tells that it may
    /// not have been.
    pub fn send(
        &mut self,
        _now: Instant,
        _peer: PeerId,
        _conn: Conn,
        _qos: Qos,
        _message: Message,
    ) -> Result<MessageId, SendError> {
        Err(SendError::NoPeer)
    }

    /// How many bytes may wait for the peer beside those that do: a message no longer than that is not
    /// refused with [`SendError::Full`]. 0 for an unknown peer.
    pub fn room(&self, _peer: PeerId) -> usize {
        0
    }

    /// The peer has the message: a reply to it came. Its bytes are not read any more. Not needed for
    /// delivery, but it frees a [`Source`] at once; an unknown id is nothing.
    pub fn settle(&mut self, _now: Instant, _message: MessageId) {}

    /// Sends a frame outside any peer, once and unprotected: the LAN resolver's (`layer` 2 of LWL4).
    /// Too long for the link, or too many waiting: dropped and counted.
    pub fn send_datagram(&mut self, _link: LinkId, _to: LinkAddr, _layer: u8, _bytes: &[u8]) {}

    /// Takes a frame that came over `link` from `from`. The bytes may be changed (deciphered in place).
    pub fn handle_frame(
        &mut self,
        _now: Instant,
        _link: LinkId,
        _from: LinkAddr,
        _frame: &mut [u8],
    ) {
    }

    /// Does what is due. Calling early does no harm.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`Transport::handle_timeout`] must be called, `None` while nothing is awaited.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The frame that must be sent next: where to and how long, so that a buffer can be found for it.
    /// The same again until [`Transport::emit`] has written it.
    pub fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        None
    }

    /// Writes the frame that [`Transport::poll_transmit`] gave into the first [`Transmit::len`] bytes of
    /// `out`. Nothing happens where there was none, or `out` is shorter.
    pub fn emit(&mut self, _now: Instant, _out: &mut [u8]) {}

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }
}
