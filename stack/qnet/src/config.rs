//! What a node is configured with.

use core::time::Duration;

use crate::payload::HEADROOM;
use crate::resolve::Resolver;
use crate::transport;

/// Options and limits of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The transport's; its `node` is this node's name, and `conns_max` at least 1024 on every node.
    pub transport: transport::Config,
    /// Whose rights remote users have here.
    pub users: UserMap,
    /// How nodes are found, in this order.
    pub resolvers: Vec<Resolver>,
    /// How often this node tells each LAN where it is (`auto_add`); zero: never, and what others tell
    /// unasked is ignored.
    pub announce: Duration,
    /// How long a LAN may take to answer, each time it is asked.
    pub resolve_timeout: Duration,
    /// How long any other resolver may take.
    pub lookup_timeout: Duration,
    /// How many times a LAN is asked once more (`res_retries`).
    pub resolve_retries: u32,
    /// Most nodes known at a time, at most 65,535.
    pub nodes_max: usize,
    /// Most connections of local clients to remote channels.
    pub client_conns_max: usize,
    /// Most messages of local clients in flight.
    pub client_sends_max: usize,
    /// Most connections of remote clients to local channels, and of those of one node.
    pub remote_clients_max: usize,
    /// See `remote_clients_max`.
    pub remote_clients_per_node_max: usize,
    /// Most virtual threads: messages of remote clients not yet answered.
    pub vthreads_max: usize,
    /// Most virtual threads of one node.
    pub vthreads_per_node_max: usize,
    /// Most bytes of messages of one node that lie with servers here, not yet answered.
    pub vthread_bytes_per_node_max: usize,
    /// Bytes of a message that a remote client may send before the server asks for more.
    pub msgsend_limit: u32,
    /// Bytes that one KIF message carries at most; longer replies and reads take several. It and
    /// `msgsend_limit` are held below the transport's longest message, which every node must take.
    pub chunk: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            transport: transport::Config {
                message_bytes_max: 4 << 20,
                send_bytes_max: 16 << 20,
                ..transport::Config::default()
            },
            users: UserMap::default(),
            resolvers: vec![Resolver::Ndp],
            announce: Duration::from_secs(30),
            resolve_timeout: Duration::from_millis(200),
            lookup_timeout: Duration::from_secs(10),
            resolve_retries: 2,
            nodes_max: 4096,
            client_conns_max: 65_536,
            client_sends_max: 65_536,
            remote_clients_max: 65_536,
            remote_clients_per_node_max: 16_384,
            vthreads_max: 65_536,
            vthreads_per_node_max: 16_384,
            vthread_bytes_per_node_max: 256 << 20,
            msgsend_limit: 1 << 20,
            chunk: 1 << 20,
        }
    }
}

impl Config {
    /// The same with limits that fit each other.
    pub(crate) fn fitted(mut self) -> Self {
        let transport = &self.transport;
        let longest = transport.message_bytes_max.min(transport.send_bytes_max);
        let longest = longest.saturating_sub(HEADROOM);
        let longest = u32::try_from(longest).unwrap_or(u32::MAX).max(1);
        self.chunk = self.chunk.clamp(1, longest);
        self.msgsend_limit = self.msgsend_limit.min(longest);
        self
    }
}

/// The user and group of somebody who may do nothing in particular.
pub const NOBODY: u32 = 65_534;

/// Whose rights remote users have on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserMap {
    /// For remote users but root (`mapany`).
    pub any: MapTo,
    /// For remote root (`maproot`).
    pub root: MapTo,
}

impl Default for UserMap {
    fn default() -> Self {
        let nobody = MapTo::User {
            uid: NOBODY,
            gid: NOBODY,
        };
        UserMap {
            any: nobody,
            root: nobody,
        }
    }
}

/// What a remote user becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapTo {
    /// That user and group, and no others.
    User {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// The same numbers as on the client's node, which is trusted with them.
    Same,
}
