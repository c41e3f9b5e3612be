//! Limits and defaults of a transport and of its links.

use core::time::Duration;

use crate::secure::Security;

/// A node's name. Neither part may hold a zero byte, `/`, or (the name) `.`; each has at most 255 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Node {
    /// The name within its domain.
    pub name: String,
    /// The domain; may be empty.
    pub domain: String,
}

/// Limits and defaults of a transport.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: Node,
    /// Secret bytes that no start has had before: what must not be guessed is made from them (ephemeral
    /// keys, session ids, cookies, the boot id by which peers notice a restart).
    pub seed: [u8; 32],
    /// How peers prove who they are, and whether frames are enciphered.
    pub security: Security,
    /// Whether frames carry the LWL4 checksum (only where `security` is none, and if either end of a
    /// session wants it). Without it, only the link itself catches corruption.
    pub crc: bool,
    /// Most peers.
    pub peers_max: usize,
    /// [`crate::transport::Conn`]s are below. A used one costs each end about two hundred bytes, for as
    /// long as the peer lives.
    pub conns_max: u16,
    /// Longest message, in bytes.
    pub message_bytes_max: usize,
    /// Most bytes of incomplete and undelivered messages from one peer; at least `message_bytes_max`.
    pub receive_bytes_max: usize,
    /// Most bytes that wait to be sent to one peer, acknowledged ones not counted.
    pub send_bytes_max: usize,
    /// Most handshakes under way that others began. From half of it on, an initiator must show that it
    /// receives at its address before it is remembered.
    pub half_open_max: usize,
    /// Handshakes answered a second; more are dropped.
    pub handshakes_per_s: u32,
    /// How long a handshake may take before the peer counts as unreachable.
    pub connect_timeout: Duration,
    /// Lower bound of the retransmission timeout. It must exceed `ack_delay` and what threads oversleep.
    pub rto_min: Duration,
    /// Upper bound of the retransmission timeout.
    pub rto_max: Duration,
    /// Longest time for which an acknowledgement waits for company.
    pub ack_delay: Duration,
    /// How often an idle path is probed.
    pub heartbeat: Duration,
    /// Unanswered timeouts in a row, each twice as long as the one before, after which a path is down.
    /// Its messages go by other paths from the first on.
    pub path_probes: u32,
    /// How often a path that is down is probed.
    pub maintenance: Duration,
    /// How long a peer may have no path up before it is down itself.
    pub peer_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            node: Node::default(),
            seed: [0; 32],
            security: Security::None,
            crc: true,
            peers_max: 4096,
            conns_max: 4096,
            message_bytes_max: 64 << 20,
            receive_bytes_max: 64 << 20,
            send_bytes_max: 256 << 20,
            half_open_max: 256,
            handshakes_per_s: 1000,
            connect_timeout: Duration::from_secs(2),
            rto_min: Duration::from_millis(20),
            rto_max: Duration::from_secs(2),
            ack_delay: Duration::from_millis(5),
            heartbeat: Duration::from_secs(1),
            path_probes: 5,
            maintenance: Duration::from_millis(250),
            peer_timeout: Duration::from_secs(2),
        }
    }
}

/// The properties of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// Longest frame in bytes, the LWL4 header included: 1,280 to 65,536 (an Ethernet's MTU).
    pub mtu: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        LinkConfig { mtu: 1500 }
    }
}
