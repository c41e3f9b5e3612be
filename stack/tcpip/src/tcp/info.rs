//! What a socket tells about itself.

use core::time::Duration;

use super::State;
use super::congestion::Congestion;
use super::socket::Socket;
use crate::env::{Env, RecvBuf};

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

impl<E: Env> Socket<E> {
    pub(crate) fn info(&mut self) -> TcpInfo {
        TcpInfo {
            state: self.state,
            mss: self.send.mss as u16,
            cwnd: self.cwnd(),
            ssthresh: self.cc.threshold(),
            send_window: self.send.wnd,
            recv_window: self.recv.window(),
            in_flight: self.send.max.past(self.send.una),
            send_queued: self.data_end().past(self.data_start()),
            recv_queued: self.rx.as_mut().map_or(0, |rx| rx.unread()),
            srtt: self.rtt.smoothed(),
            rttvar: self.rtt.variation(),
            rto: self.rtt.timeout(),
            retransmits: self.send.retransmits,
        }
    }
}
