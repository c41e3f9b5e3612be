//! What a transport counts.

/// Counters since the start. Each frame that is dropped is counted under exactly one `drop_` name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Frames sent.
    pub tx_frames: u64,
    /// Frames received, dropped ones included.
    pub rx_frames: u64,
    /// Messages taken to be sent.
    pub tx_messages: u64,
    /// Messages delivered.
    pub rx_messages: u64,
    /// Fragments sent again, or sent while they may be lost.
    pub tx_again: u64,
    /// Acknowledgements sent, those that report a gap included.
    pub tx_acks: u64,
    /// Probes sent: heartbeats, alarms and maintenance.
    pub tx_probes: u64,
    /// Handshakes completed.
    pub sessions: u64,
    /// Too short, of an unknown version, with a length beyond its end, or a payload that is no such.
    pub drop_malformed: u64,
    /// Of a type that does not exist.
    pub drop_unknown_type: u64,
    /// Over a link that is not there.
    pub drop_unknown_link: u64,
    /// Of no session.
    pub drop_no_session: u64,
    /// The checksum is wrong, or missing where it is wanted.
    pub drop_crc: u64,
    /// Neither deciphered nor authenticated: forged or corrupt.
    pub drop_forged: u64,
    /// Seen before, or too old to tell: duplicated by the network, or replayed.
    pub drop_replayed: u64,
    /// Fragments that were there already; acknowledged again.
    pub drop_duplicate: u64,
    /// Fragments that contradict others or exceed a limit.
    pub drop_refused: u64,
    /// Acknowledgements of frames never sent.
    pub drop_bogus_ack: u64,
    /// Handshakes for another node.
    pub drop_misaddressed: u64,
    /// Handshakes of nodes that are not trusted or disagree about security.
    pub drop_untrusted: u64,
    /// Handshakes beyond the rate.
    pub drop_flood: u64,
    /// Handshakes beyond the table's limits.
    pub drop_half_open: u64,
    /// Handshakes that gave way to one of this node's own, or came late.
    pub drop_handshake: u64,
    /// Handshakes answered with a cookie only.
    pub drop_cookie: u64,
    /// Datagrams for which there was no room on their way out.
    pub drop_datagram_tx: u64,
    /// Datagrams for which there was no room among the events.
    pub drop_datagram_rx: u64,
}
