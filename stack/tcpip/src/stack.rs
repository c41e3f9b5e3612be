//! The stack's face: one method for each thing that can be asked of it.

use core::net::{IpAddr, SocketAddr};

use crate::config::{Config, IfaceAddr, IfaceConfig, IfaceId, Route, SocketOptions};
use crate::env::{Env, RxMeta};
use crate::error::{IfaceError, SocketError, SocketRequestError};
use crate::event::Event;
use crate::id::SocketId;
use crate::stats::Stats;
use crate::tcp::TcpInfo;
use crate::time::Instant;

/// A TCP/IP stack.
pub struct Stack<E: Env> {
    _env: core::marker::PhantomData<E>,
}

/// A connection taken from a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The connection.
    pub socket: SocketId,
    /// Its local address.
    pub local: SocketAddr,
    /// Its peer.
    pub peer: SocketAddr,
}

/// A datagram to be sent, without its payload.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// Destination; `None` for a connected socket's peer.
    pub to: Option<SocketAddr>,
    /// Payload bytes, at most 65507.
    pub len: usize,
    /// Non-zero: `len` is several datagrams of this many bytes each, the last perhaps shorter (`UDP_SEGMENT`).
    pub segment: u16,
}

#[allow(unused_variables, missing_docs, clippy::todo)]
impl<E: Env> Stack<E> {
    /// A stack without interfaces. `seed` must be unpredictable: sequence numbers, ports and hashes come from it.
    pub fn new(config: Config, seed: [u64; 4]) -> Self {
        todo!()
    }

    // ---- Interfaces, addresses, routes -------------------------------------------------------

    pub fn add_iface(&mut self, id: IfaceId, config: IfaceConfig) -> Result<(), IfaceError> {
        todo!()
    }
    /// Changes an interface's properties. Connections keep going; those over it follow its MTU.
    pub fn update_iface(&mut self, id: IfaceId, config: IfaceConfig) -> Result<(), IfaceError> {
        todo!()
    }
    /// Removes an interface with its addresses and routes. Connections over it time out unless it returns.
    pub fn remove_iface(&mut self, id: IfaceId) -> Result<(), IfaceError> {
        todo!()
    }
    pub fn add_address(&mut self, id: IfaceId, addr: IfaceAddr) -> Result<(), IfaceError> {
        todo!()
    }
    pub fn remove_address(&mut self, id: IfaceId, addr: IpAddr) -> Result<(), IfaceError> {
        todo!()
    }
    pub fn add_route(&mut self, route: Route) -> Result<(), IfaceError> {
        todo!()
    }
    /// Removes the route with that destination, prefix, interface and gateway.
    pub fn remove_route(&mut self, route: &Route) -> Result<(), IfaceError> {
        todo!()
    }
    /// The interfaces with their properties and addresses.
    pub fn ifaces(&self) -> Vec<(IfaceId, IfaceConfig, Vec<IfaceAddr>)> {
        todo!()
    }
    /// The route table, networks of addresses included.
    pub fn routes(&self) -> Vec<Route> {
        todo!()
    }

    // ---- Packets and time --------------------------------------------------------------------

    /// Takes one received packet, IP header first. Answers that can wait for the end of the burst are
    /// kept until [`Stack::flush`].
    pub fn handle_packet(
        &mut self,
        now: Instant,
        iface: IfaceId,
        packet: &[u8],
        meta: RxMeta,
        env: &mut E,
    ) {
        todo!()
    }
    /// Sends what is due: call it after each burst of packets or of socket requests, and when packet
    /// buffers came free after a failed transmit.
    pub fn flush(&mut self, now: Instant, env: &mut E) {
        todo!()
    }
    /// Runs the timers that are due, then flushes.
    pub fn poll(&mut self, now: Instant, env: &mut E) {
        todo!()
    }
    /// When [`Stack::poll`] has to be called next; `None` while no timer runs. May be a little early.
    pub fn poll_at(&self) -> Option<Instant> {
        todo!()
    }
    /// The next thing that happened to a socket.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// The counters.
    pub fn stats(&self) -> &Stats {
        todo!()
    }

    // ---- Sockets of either transport ---------------------------------------------------------

    /// Binds a socket. Port 0 takes an ephemeral port; an unspecified address stands for all.
    pub fn bind(&mut self, id: SocketId, addr: SocketAddr) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// The settings of a socket.
    pub fn options(&self, id: SocketId) -> Option<SocketOptions> {
        todo!()
    }
    /// Replaces the settings of a socket (read them, change some, write them back).
    pub fn set_options(
        &mut self,
        now: Instant,
        id: SocketId,
        options: SocketOptions,
    ) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// The local address, once bound.
    pub fn local_addr(&self, id: SocketId) -> Option<SocketAddr> {
        todo!()
    }
    /// The peer, once connected.
    pub fn peer_addr(&self, id: SocketId) -> Option<SocketAddr> {
        todo!()
    }
    /// Takes the pending error (`SO_ERROR`).
    pub fn take_error(&mut self, id: SocketId) -> Option<SocketError> {
        todo!()
    }
    /// The owner has no more use for the socket. A connection sends what is queued and its FIN, then
    /// lives on until it is over; unread received data or `linger_abort` makes it a reset. `RELEASED`
    /// follows once the buffers have been dropped.
    pub fn close(&mut self, now: Instant, id: SocketId) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// All sockets, for listings.
    pub fn sockets(&self) -> Vec<SocketId> {
        todo!()
    }

    // ---- TCP ---------------------------------------------------------------------------------

    /// A new TCP socket, closed and unbound.
    pub fn tcp_open(&mut self) -> Result<SocketId, SocketRequestError> {
        todo!()
    }
    /// Starts to listen, or changes the backlog.
    pub fn tcp_listen(&mut self, id: SocketId, backlog: usize) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// Takes the oldest established connection of a listener.
    pub fn tcp_accept(&mut self, id: SocketId) -> Option<Accepted> {
        todo!()
    }
    /// Starts to connect. `CONNECTED` or `ERROR` follows. The buffers are dropped when refused.
    pub fn tcp_connect(
        &mut self,
        now: Instant,
        id: SocketId,
        peer: SocketAddr,
        send: E::Send,
        recv: E::Recv,
    ) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// The program queued bytes in the send buffer: they go out at the next flush. An unknown id is ignored.
    pub fn tcp_send_progress(&mut self, now: Instant, id: SocketId) {
        todo!()
    }
    /// The program read bytes from the receive buffer: a window update may go out at the next flush.
    pub fn tcp_recv_progress(&mut self, now: Instant, id: SocketId) {
        todo!()
    }
    /// Ends the stream after what is queued: `shutdown(SHUT_WR)`.
    pub fn tcp_shutdown_send(
        &mut self,
        now: Instant,
        id: SocketId,
    ) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// Received data is thrown away from now on: `shutdown(SHUT_RD)`.
    pub fn tcp_shutdown_recv(
        &mut self,
        now: Instant,
        id: SocketId,
    ) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// Resets the connection; the socket stays until closed.
    pub fn tcp_abort(&mut self, now: Instant, id: SocketId) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// The inner state of a TCP socket.
    pub fn tcp_info(&mut self, id: SocketId) -> Option<TcpInfo> {
        todo!()
    }
    /// A listener's queues: half-open, established and waiting, backlog.
    pub fn tcp_backlog(&self, id: SocketId) -> Option<(usize, usize, usize)> {
        todo!()
    }

    // ---- UDP ---------------------------------------------------------------------------------

    /// A new UDP socket that queues what it receives in `recv`.
    pub fn udp_open(&mut self, recv: E::Datagrams) -> Result<SocketId, SocketRequestError> {
        todo!()
    }
    /// Sets the only peer (and binds, when unbound); `None` dissolves it.
    pub fn udp_connect(
        &mut self,
        id: SocketId,
        peer: Option<SocketAddr>,
    ) -> Result<(), SocketRequestError> {
        todo!()
    }
    /// Sends a datagram at once. `fill` writes its payload into a slice of `datagram.len` bytes (it may
    /// be called once, or not at all on an error).
    pub fn udp_send<F: FnOnce(&mut [u8])>(
        &mut self,
        now: Instant,
        id: SocketId,
        datagram: Datagram,
        fill: F,
        env: &mut E,
    ) -> Result<(), SocketRequestError> {
        todo!()
    }
}
