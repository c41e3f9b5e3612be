//! What the kernel interface counts.

/// Counters of a node's message passing since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KifStats {
    /// KIF messages handed to the transport.
    pub messages_sent: u64,
    /// KIF messages that came.
    pub messages_received: u64,
    /// Messages that are no KIF messages, dropped.
    pub malformed: u64,
    /// Messages about a connection, send or read that is not there any more, dropped.
    pub stale: u64,
    /// Connects, sends and reads refused because a table or an allowance was full.
    pub refused: u64,
    /// Sends of local clients begun.
    pub client_sends: u64,
    /// Of those, ended with an error.
    pub client_errors: u64,
    /// Sends of remote clients delivered to local servers.
    pub server_sends: u64,
    /// Pulses delivered to local servers.
    pub server_pulses: u64,
    /// Unblock requests passed on to local servers.
    pub server_unblocks: u64,
}
