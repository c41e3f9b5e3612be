//! TCP (RFC 9293).

use core::time::Duration;

/// The states of a connection (RFC 9293, 3.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

/// The inner state of a TCP socket, for listings and `TCP_INFO`.
#[derive(Clone, Copy, Debug)]
pub struct TcpInfo {
    /// The connection's state.
    pub state: State,
    /// Largest payload of a segment sent.
    pub mss: u16,
    /// Congestion window in bytes.
    pub cwnd: usize,
    /// Slow start threshold in bytes.
    pub ssthresh: usize,
    /// Window that the peer offers, in bytes.
    pub send_window: usize,
    /// Window offered to the peer, in bytes.
    pub recv_window: usize,
    /// Bytes sent and not acknowledged.
    pub in_flight: usize,
    /// Bytes queued by the program and not acknowledged.
    pub send_queued: usize,
    /// Bytes received that the program has not read.
    pub recv_queued: usize,
    /// Smoothed round-trip time, once measured.
    pub srtt: Option<Duration>,
    /// Variation of the round-trip time.
    pub rttvar: Duration,
    /// Retransmission timeout.
    pub rto: Duration,
    /// Segments sent again over the connection's life.
    pub retransmits: u64,
}
