//! The stack's face: one method for each thing that can be asked of it.

use core::net::{IpAddr, SocketAddr};

use io_net_wire::{icmpv4, protocol};

use crate::config::{Config, IfaceAddr, IfaceConfig, IfaceId, Route, SocketOptions};
use crate::env::{Env, RxChecksum, RxMeta};
use crate::error::{IfaceError, SocketError, SocketRequestError};
use crate::event::{Event, Events, Pending, Ready};
use crate::icmp;
use crate::id::{SocketId, Transport};
use crate::ip::input::{Inbound, accept};
use crate::ip::{LOOPBACK, Net};
use crate::stats::Stats;
use crate::tcp::socket::Ctx;
use crate::tcp::{Tcp, TcpInfo};
use crate::time::Instant;
use crate::udp::Udp;

/// Packets of the loopback handled in one flush; what remains waits for the next call.
const LOOPED_MAX: usize = 4096;

/// A TCP/IP stack. See the crate's documentation for how it is driven.
pub struct Stack<E: Env> {
    net: Net,
    tcp: Tcp<E>,
    udp: Udp<E>,
    events: Events,
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

/// The parts that a TCP or UDP call needs besides its own tables.
macro_rules! ctx {
    ($stack:ident, $now:expr) => {
        Ctx {
            now: $now,
            net: &mut $stack.net,
            events: &mut $stack.events,
        }
    };
}

impl<E: Env> Stack<E> {
    /// A stack without interfaces. `seed` must be unpredictable: sequence numbers, ports and hashes come from it.
    pub fn new(config: Config, seed: [u64; 4]) -> Self {
        let net = Net::new(config, seed);
        Stack {
            tcp: Tcp::new(&net.config, net.table_hash),
            udp: Udp::new(&net.config, net.table_hash),
            events: Events::default(),
            net,
        }
    }

    // ---- Interfaces, addresses, routes -------------------------------------------------------

    /// Adds an interface under a number of the caller's choice.
    pub fn add_iface(&mut self, id: IfaceId, config: IfaceConfig) -> Result<(), IfaceError> {
        self.net.add_iface(id, config)
    }
    /// Changes an interface's properties. Connections keep going; those over it follow its MTU.
    pub fn update_iface(&mut self, id: IfaceId, config: IfaceConfig) -> Result<(), IfaceError> {
        self.net.update_iface(id, config)
    }
    /// Removes an interface with its addresses and routes. Connections over it time out unless it returns.
    pub fn remove_iface(&mut self, id: IfaceId) -> Result<(), IfaceError> {
        self.net.remove_iface(id)
    }
    /// Adds an address to an interface, and the route to its network.
    pub fn add_address(&mut self, id: IfaceId, addr: IfaceAddr) -> Result<(), IfaceError> {
        self.net.add_address(id, addr)
    }
    /// Removes an address, and the route to its network. Connections from it time out.
    pub fn remove_address(&mut self, id: IfaceId, addr: IpAddr) -> Result<(), IfaceError> {
        self.net.remove_address(id, addr)
    }
    /// Adds a route. A gateway must be a neighbour.
    pub fn add_route(&mut self, route: Route) -> Result<(), IfaceError> {
        self.net.add_route(route)
    }
    /// Removes the route with that destination, prefix, interface and gateway.
    pub fn remove_route(&mut self, route: &Route) -> Result<(), IfaceError> {
        self.net.remove_route(route)
    }
    /// The interfaces with their properties and addresses.
    pub fn ifaces(&self) -> Vec<(IfaceId, IfaceConfig, Vec<IfaceAddr>)> {
        let ifaces = self.net.ifaces.iter();
        ifaces
            .map(|(id, iface)| (id, iface.config, iface.addrs.clone()))
            .collect()
    }
    /// The route table, networks of addresses included.
    pub fn routes(&self) -> Vec<Route> {
        self.net.routes.iter().copied().collect()
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
        let mut ctx = ctx!(self, now);
        dispatch(
            &mut ctx,
            env,
            &mut self.tcp,
            &mut self.udp,
            iface,
            packet,
            meta,
        );
    }
    /// Sends what is due: call it after each burst of packets or of socket requests, and when packet
    /// buffers came free after a failed transmit.
    pub fn flush(&mut self, now: Instant, env: &mut E) {
        self.tcp.flush(&mut ctx!(self, now), env);
        for _ in 0..LOOPED_MAX {
            let Some(packet) = self.net.loopback.pop() else {
                break;
            };
            let meta = RxMeta {
                checksum: RxChecksum::Partial,
                gso_size: packet.gso_size,
                ..RxMeta::default()
            };
            let mut ctx = ctx!(self, now);
            let (tcp, udp) = (&mut self.tcp, &mut self.udp);
            dispatch(&mut ctx, env, tcp, udp, LOOPBACK, &packet.bytes, meta);
            self.net.loopback.recycle(packet);
            if !self.tcp.is_clean() {
                self.tcp.flush(&mut ctx!(self, now), env);
            }
        }
    }
    /// Runs the timers that are due, then flushes.
    pub fn poll(&mut self, now: Instant, env: &mut E) {
        self.tcp.poll(&mut ctx!(self, now), env);
        self.net.reassembly.expire(now, &mut self.net.stats);
        self.flush(now, env);
    }
    /// When [`Stack::poll`] has to be called next; `None` while no timer runs. May be a little early.
    pub fn poll_at(&self) -> Option<Instant> {
        if !self.net.loopback.is_empty() {
            return Some(Instant::ZERO);
        }
        let reassembly = self.net.reassembly.next_expiry();
        [self.tcp.poll_at(), reassembly].into_iter().flatten().min()
    }
    /// The next thing that happened to a socket.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            let event = match self.events.pop()? {
                Pending::Released(socket) => Some(Event {
                    socket,
                    ready: Ready::RELEASED,
                    error: None,
                }),
                Pending::Socket(id) if id.transport() == Transport::Tcp => self.tcp.take_ready(id),
                Pending::Socket(id) => self.udp.take_ready(id),
            };
            // What happened to a socket that has been closed since is nobody's business.
            if let Some(event) = event
                && !event.ready.is_empty()
            {
                return Some(event);
            }
        }
    }
    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.net.stats
    }

    // ---- Sockets of either transport ---------------------------------------------------------

    /// Binds a socket. Port 0 takes an ephemeral port; an unspecified address stands for all.
    pub fn bind(&mut self, id: SocketId, addr: SocketAddr) -> Result<(), SocketRequestError> {
        match id.transport() {
            Transport::Tcp => self.tcp.bind(&self.net, id, addr),
            Transport::Udp => self.udp.bind(&self.net, id, addr),
        }
    }
    /// The settings of a socket.
    pub fn options(&self, id: SocketId) -> Option<SocketOptions> {
        match id.transport() {
            Transport::Tcp => self.tcp.options(id),
            Transport::Udp => self.udp.options(id),
        }
    }
    /// Replaces the settings of a socket (read them, change some, write them back).
    pub fn set_options(
        &mut self,
        now: Instant,
        id: SocketId,
        options: SocketOptions,
    ) -> Result<(), SocketRequestError> {
        match id.transport() {
            Transport::Tcp => self.tcp.set_options(&mut ctx!(self, now), id, options),
            Transport::Udp => self.udp.set_options(id, options),
        }
    }
    /// The local address, once bound.
    pub fn local_addr(&self, id: SocketId) -> Option<SocketAddr> {
        match id.transport() {
            Transport::Tcp => self.tcp.local_addr(id),
            Transport::Udp => self.udp.local_addr(id),
        }
    }
    /// The peer, once connected.
    pub fn peer_addr(&self, id: SocketId) -> Option<SocketAddr> {
        match id.transport() {
            Transport::Tcp => self.tcp.peer_addr(id),
            Transport::Udp => self.udp.peer_addr(id),
        }
    }
    /// Takes the pending error (`SO_ERROR`).
    pub fn take_error(&mut self, id: SocketId) -> Option<SocketError> {
        match id.transport() {
            Transport::Tcp => self.tcp.take_error(id),
            Transport::Udp => self.udp.take_error(id),
        }
    }
    /// The owner has no more use for the socket. A connection sends what is queued and its FIN, then
    /// lives on until it is over; unread received data or `linger_abort` makes it a reset. `RELEASED`
    /// follows once the buffers have been dropped.
    pub fn close(&mut self, now: Instant, id: SocketId) -> Result<(), SocketRequestError> {
        match id.transport() {
            Transport::Tcp => self.tcp.close(&mut ctx!(self, now), id),
            Transport::Udp => self.udp.close(&mut self.events, id),
        }
    }
    /// All sockets, for listings.
    pub fn sockets(&self) -> Vec<SocketId> {
        self.tcp.ids().chain(self.udp.ids()).collect()
    }

    // ---- TCP ---------------------------------------------------------------------------------

    /// A new TCP socket, closed and unbound.
    pub fn tcp_open(&mut self) -> Result<SocketId, SocketRequestError> {
        self.tcp.open(&self.net)
    }
    /// Starts to listen, or changes the backlog.
    pub fn tcp_listen(&mut self, id: SocketId, backlog: usize) -> Result<(), SocketRequestError> {
        self.tcp.listen(&self.net, id, backlog)
    }
    /// Takes the oldest established connection of a listener.
    pub fn tcp_accept(&mut self, id: SocketId) -> Option<Accepted> {
        self.tcp.accept(id)
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
        self.tcp.connect(&mut ctx!(self, now), id, peer, send, recv)
    }
    /// The program queued bytes in the send buffer: they go out at the next flush. An unknown id is ignored.
    pub fn tcp_send_progress(&mut self, now: Instant, id: SocketId) {
        let _ = now;
        self.tcp.send_progress(id);
    }
    /// The program read bytes from the receive buffer: a window update may go out at the next flush.
    pub fn tcp_recv_progress(&mut self, now: Instant, id: SocketId) {
        let _ = now;
        self.tcp.recv_progress(id);
    }
    /// Ends the stream after what is queued: `shutdown(SHUT_WR)`.
    pub fn tcp_shutdown_send(
        &mut self,
        now: Instant,
        id: SocketId,
    ) -> Result<(), SocketRequestError> {
        let _ = now;
        self.tcp.shutdown_send(id)
    }
    /// Received data is thrown away from now on: `shutdown(SHUT_RD)`.
    pub fn tcp_shutdown_recv(
        &mut self,
        now: Instant,
        id: SocketId,
    ) -> Result<(), SocketRequestError> {
        let _ = now;
        self.tcp.shutdown_recv(id)
    }
    /// Resets the connection; the socket stays until closed.
    pub fn tcp_abort(&mut self, now: Instant, id: SocketId) -> Result<(), SocketRequestError> {
        self.tcp.abort(&mut ctx!(self, now), id)
    }
    /// The inner state of a TCP socket.
    pub fn tcp_info(&mut self, id: SocketId) -> Option<TcpInfo> {
        self.tcp.info(id)
    }
    /// A listener's queues: half-open, established and waiting, backlog.
    pub fn tcp_backlog(&self, id: SocketId) -> Option<(usize, usize, usize)> {
        self.tcp.backlog(id)
    }

    // ---- UDP ---------------------------------------------------------------------------------

    /// A new UDP socket that queues what it receives in `recv`.
    pub fn udp_open(&mut self, recv: E::Datagrams) -> Result<SocketId, SocketRequestError> {
        self.udp.open(recv)
    }
    /// Sets the only peer (and binds, when unbound); `None` dissolves it.
    pub fn udp_connect(
        &mut self,
        id: SocketId,
        peer: Option<SocketAddr>,
    ) -> Result<(), SocketRequestError> {
        self.udp.connect(&self.net, id, peer)
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
        self.udp.send(&mut ctx!(self, now), env, id, datagram, fill)
    }
}

/// Takes one packet: the network layer's checks, reassembly, then its transport.
#[inline]
fn dispatch<E: Env>(
    ctx: &mut Ctx<'_>,
    env: &mut E,
    tcp: &mut Tcp<E>,
    udp: &mut Udp<E>,
    iface: IfaceId,
    bytes: &[u8],
    meta: RxMeta,
) {
    let Some(packet) = accept(ctx.net, iface, bytes) else {
        return;
    };
    if !packet.header.is_fragment() {
        return transport(ctx, env, tcp, udp, &packet, meta, bytes);
    }
    let net = &mut *ctx.net;
    let payload = packet.payload;
    let whole = net
        .reassembly
        .insert(ctx.now, &packet.header, payload, &mut net.stats);
    if let Some(payload) = whole {
        let mut header = packet.header;
        (header.more_fragments, header.fragment_offset) = (false, 0);
        let packet = Inbound {
            header,
            payload: &payload,
            broadcast: packet.broadcast,
        };
        transport(ctx, env, tcp, udp, &packet, RxMeta::default(), bytes);
    }
}

#[inline]
fn transport<E: Env>(
    ctx: &mut Ctx<'_>,
    env: &mut E,
    tcp: &mut Tcp<E>,
    udp: &mut Udp<E>,
    packet: &Inbound<'_>,
    meta: RxMeta,
    original: &[u8],
) {
    match packet.header.protocol {
        protocol::TCP => tcp.input(ctx, env, packet, meta),
        protocol::UDP => udp.input(ctx, env, packet, meta, original),
        protocol::ICMP => {
            let Some(report) = icmp::input(ctx.net, env, packet) else {
                return;
            };
            match report.protocol {
                protocol::TCP => tcp.complain(ctx, &report.flow, report.seq, report.complaint),
                protocol::UDP => udp.complain(ctx.events, &report.flow, report.complaint),
                _ => {}
            }
        }
        // Qnet may stand beside this stack, on the same address: its packets are no reason to complain.
        protocol::QNET => ctx.net.stats.ip_in_qnet += 1,
        _ => {
            ctx.net.stats.ip_drop_protocol += 1;
            let code = icmpv4::CODE_PROTOCOL;
            icmp::send_unreachable(ctx.net, env, ctx.now, packet, original, code);
        }
    }
}
