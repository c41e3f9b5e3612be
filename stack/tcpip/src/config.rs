//! Limits and defaults of a stack, of an interface and of a socket.

use core::net::IpAddr;
use core::time::Duration;

/// An interface's number: the endpoint number of the manager's graph.
pub type IfaceId = u16;

/// Limits and defaults of a stack.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most TCP sockets, listeners, half-open and TIME-WAIT connections included.
    pub tcp_sockets_max: usize,
    /// Most UDP sockets.
    pub udp_sockets_max: usize,
    /// Most connections in TIME-WAIT; the oldest make room.
    pub time_wait_max: usize,
    /// How long TIME-WAIT lasts: twice the maximum segment lifetime (RFC 9293, 3.4.2).
    pub time_wait: Duration,
    /// How long an orphaned FIN-WAIT-2 is kept.
    pub fin_wait_2: Duration,
    /// Most half-open connections of one listener; the oldest make room.
    pub syn_queue_max: usize,
    /// Largest accept backlog of a listener.
    pub backlog_max: usize,
    /// Receive window offered in a SYN-ACK, before the connection has a buffer: no more than the buffers
    /// that [`crate::Env::open_stream`] gives can hold, or what is too much must be sent twice.
    pub recv_window_initial: usize,
    /// The largest receive buffer that a socket may come to have: sets the window scale.
    pub recv_buffer_max: usize,
    /// Lower bound of the retransmission timeout. RFC 6298 says a second; the field uses 200 ms.
    pub rto_min: Duration,
    /// Upper bound of the retransmission timeout.
    pub rto_max: Duration,
    /// Longest delay of an acknowledgement; at most 500 ms (RFC 1122, 4.2.3.2).
    pub delayed_ack: Duration,
    /// Attempts at sending a SYN or SYN-ACK again.
    pub syn_retries: u8,
    /// Times that data is sent again before the connection fails, unless the socket has a user timeout.
    pub data_retries: u8,
    /// Challenge acknowledgements a second (RFC 5961, 7).
    pub challenge_acks_per_s: u32,
    /// ICMP errors sent a second (RFC 1812, 4.3.2.8).
    pub icmp_errors_per_s: u32,
    /// First and last ephemeral port.
    pub ephemeral_ports: (u16, u16),
    /// Memory for incomplete IP datagrams, in bytes.
    pub reassembly_bytes_max: usize,
    /// How long an incomplete IP datagram is kept (RFC 1122, 3.3.2).
    pub reassembly_timeout: Duration,
    /// Most packets waiting on the loopback interface.
    pub loopback_packets_max: usize,
    /// Most interfaces.
    pub ifaces_max: usize,
    /// Most routes.
    pub routes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            tcp_sockets_max: 65_536,
            udp_sockets_max: 16_384,
            time_wait_max: 16_384,
            time_wait: Duration::from_secs(60),
            fin_wait_2: Duration::from_secs(60),
            syn_queue_max: 1024,
            backlog_max: 4096,
            recv_window_initial: 65_535,
            recv_buffer_max: 16 << 20,
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(60),
            delayed_ack: Duration::from_millis(40),
            syn_retries: 6,
            data_retries: 15,
            challenge_acks_per_s: 1000,
            icmp_errors_per_s: 1000,
            ephemeral_ports: (32_768, 60_999),
            reassembly_bytes_max: 4 << 20,
            reassembly_timeout: Duration::from_secs(30),
            loopback_packets_max: 1024,
            ifaces_max: 256,
            routes_max: 65_536,
        }
    }
}

/// What an interface's lower layers do for the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// They complete transport checksums (`TxMeta::needs_csum`).
    pub checksum: bool,
    /// They split TCP super-segments over IPv4.
    pub tso4: bool,
    /// They split TCP super-segments over IPv6.
    pub tso6: bool,
    /// They split UDP super-datagrams.
    pub uso: bool,
}

/// The properties of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IfaceConfig {
    /// Longest IP packet in bytes, 68 to 65535.
    pub mtu: u16,
    /// What the lower layers do for the stack. Segmentation needs the checksum offload too.
    pub offload: Offload,
    /// Whether packets may be sent.
    pub up: bool,
}

impl Default for IfaceConfig {
    fn default() -> Self {
        IfaceConfig {
            mtu: 1500,
            offload: Offload::default(),
            up: true,
        }
    }
}

/// An address of an interface with its network's prefix length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IfaceAddr {
    /// The address.
    pub addr: IpAddr,
    /// Bits of the network part.
    pub prefix: u8,
}

/// A route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The network's address; bits past the prefix are ignored.
    pub dest: IpAddr,
    /// Bits of the network part; 0 for a default route.
    pub prefix: u8,
    /// The next router; `None` when the destination is a neighbour.
    pub gateway: Option<IpAddr>,
    /// The interface to send on.
    pub iface: IfaceId,
    /// Of routes with equal prefixes the lowest metric wins.
    pub metric: u32,
}

/// Keepalive probing (RFC 1122, 4.2.3.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes after which the connection fails.
    pub probes: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive {
            idle: Duration::from_secs(7200),
            interval: Duration::from_secs(75),
            probes: 9,
        }
    }
}

/// Settings of one socket. Accepted connections start with their listener's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketOptions {
    /// `SO_REUSEADDR`.
    pub reuse_addr: bool,
    /// `SO_REUSEPORT`; held for later, no effect yet.
    pub reuse_port: bool,
    /// `SO_BROADCAST`.
    pub broadcast: bool,
    /// `TCP_NODELAY`: no Nagle algorithm.
    pub no_delay: bool,
    /// `TCP_CORK`: send only full segments until it is taken off.
    pub cork: bool,
    /// `TCP_QUICKACK`: acknowledge at once.
    pub quick_ack: bool,
    /// `SO_KEEPALIVE` with its times.
    pub keepalive: Option<Keepalive>,
    /// `SO_LINGER` with time zero: closing resets the connection. (Waiting is the caller's part.)
    pub linger_abort: bool,
    /// `TCP_USER_TIMEOUT` (RFC 5482): longest time that data may stay unacknowledged.
    pub user_timeout: Option<Duration>,
    /// `TCP_MAXSEG`: upper bound of the segment size, 0 for none.
    pub max_segment: u16,
    /// `IP_TTL`.
    pub ttl: u8,
    /// `IP_TOS`.
    pub tos: u8,
    /// `SO_BINDTODEVICE`: the only interface to use.
    pub bind_iface: Option<IfaceId>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions {
            reuse_addr: false,
            reuse_port: false,
            broadcast: false,
            no_delay: false,
            cork: false,
            quick_ack: false,
            keepalive: None,
            linger_abort: false,
            user_timeout: None,
            max_segment: 0,
            ttl: 64,
            tos: 0,
            bind_iface: None,
        }
    }
}
