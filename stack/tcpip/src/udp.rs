//! UDP (RFC 768; RFC 1122, 4.1).
//!
//! A datagram goes to the connected socket of its four addresses, else to the best binding of its port:
//! the exact address before all addresses, the newest before older ones.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::HashMap;

use io_net_wire::checksum::{Sum, pseudo_v4};
use io_net_wire::gso::{GSO_NONE, GSO_UDP_L4};
use io_net_wire::{icmpv4, ipv4, protocol, udp as wire};

use crate::config::{Config, SocketOptions};
use crate::env::{DatagramBuf, Env, RxChecksum, RxMeta};
use crate::error::{SocketError, SocketRequestError};
use crate::event::{Event, Events, Ready};
use crate::hash::TableHash;
use crate::icmp;
use crate::id::{SocketId, Transport};
use crate::ip::input::Inbound;
use crate::ip::output::{IpMeta, Segmentation, send, send_fragments};
use crate::ip::{Net, Path};
use crate::slab::Slab;
use crate::stack::Datagram;
use crate::tcp::flow::Flow;
use crate::tcp::icmp::Complaint;
use crate::tcp::socket::Ctx;

type Outcome<T = ()> = Result<T, SocketRequestError>;

/// Longest payload.
const PAYLOAD_MAX: usize = 65_535 - ipv4::HEADER_LEN - wire::HEADER_LEN;

struct Socket<E: Env> {
    id: SocketId,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    recv: E::Datagrams,
    opts: SocketOptions,
    ready: Ready,
    error: Option<SocketError>,
}

struct Binding {
    addr: IpAddr,
    socket: u32,
}

pub(crate) struct Udp<E: Env> {
    sockets: Slab<Socket<E>>,
    bindings: HashMap<u16, Vec<Binding>, TableHash>,
    /// Connected sockets.
    flows: HashMap<Flow, u32, TableHash>,
    port_counter: u32,
    /// Memory in which a datagram is put together before it is split.
    scratch: Vec<u8>,
}

/// A datagram's way.
struct Route {
    path: Path,
    ip: IpMeta,
    source_port: u16,
    dest_port: u16,
}

impl<E: Env> Udp<E> {
    pub(crate) fn new(config: &Config, hash: TableHash) -> Self {
        Udp {
            sockets: Slab::new(config.udp_sockets_max),
            bindings: HashMap::with_hasher(hash),
            flows: HashMap::with_hasher(hash),
            port_counter: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes a packet that holds a datagram, or several in a super-datagram.
    #[inline]
    pub(crate) fn input(
        &mut self,
        ctx: &mut Ctx<'_>,
        env: &mut E,
        packet: &Inbound<'_>,
        meta: RxMeta,
        original: &[u8],
    ) {
        ctx.net.stats.udp_in += 1;
        let Ok(header) = wire::Header::parse(packet.payload) else {
            ctx.net.stats.udp_drop_malformed += 1;
            return;
        };
        let datagram = &packet.payload[..usize::from(header.len)];
        let (source, dest) = (packet.header.source, packet.header.dest);
        if header.checksum != 0 && meta.checksum == RxChecksum::Unknown {
            let pseudo = pseudo_v4(source, dest, protocol::UDP, datagram.len());
            if !pseudo.and(Sum::of(datagram)).is_valid() {
                ctx.net.stats.udp_drop_checksum += 1;
                return;
            }
        }
        let flow = Flow {
            local: dest.into(),
            remote: source.into(),
            local_port: header.dest,
            remote_port: header.source,
        };
        let payload = &datagram[wire::HEADER_LEN..];
        let pieces = match meta.gso_type {
            GSO_UDP_L4 if meta.gso_size > 0 => usize::from(meta.gso_size),
            _ => payload.len().max(1),
        };
        match self.find_receiver(&flow) {
            Some(index) => self.deliver(ctx, index, &flow, payload, pieces),
            None => {
                ctx.net.stats.udp_drop_no_socket += 1;
                let code = icmpv4::CODE_PORT;
                icmp::send_unreachable(ctx.net, env, ctx.now, packet, original, code);
            }
        }
    }

    fn find_receiver(&self, flow: &Flow) -> Option<u32> {
        if let Some(&index) = self.flows.get(flow) {
            return Some(index);
        }
        let bindings = self.bindings.get(&flow.local_port)?;
        let unconnected = |binding: &&Binding| {
            self.sockets
                .get(binding.socket)
                .is_some_and(|socket| socket.peer.is_none())
        };
        let newest = || bindings.iter().rev().filter(unconnected);
        let exact = newest().find(|binding| binding.addr == flow.local);
        let best = exact.or_else(|| newest().find(|binding| binding.addr.is_unspecified()));
        best.map(|binding| binding.socket)
    }

    fn deliver(
        &mut self,
        ctx: &mut Ctx<'_>,
        index: u32,
        flow: &Flow,
        payload: &[u8],
        piece_len: usize,
    ) {
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        let (from, to) = (flow.remote_addr(), flow.local_addr());
        let mut taken = false;
        let mut push = |piece: &[u8]| match socket.recv.push(from, to, piece) {
            true => taken = true,
            false => ctx.net.stats.udp_drop_full += 1,
        };
        if payload.is_empty() {
            push(payload);
        }
        payload.chunks(piece_len).for_each(push);
        if taken {
            ctx.events
                .raise(socket.id, &mut socket.ready, Ready::READABLE);
        }
    }

    /// An ICMP error about a datagram of ours: only a connected socket learns of it (RFC 1122, 4.1.3.3).
    pub(crate) fn complain(&mut self, events: &mut Events, flow: &Flow, complaint: Complaint) {
        let index = self.flows.get(flow);
        let Some(socket) = index.and_then(|&index| self.sockets.get_mut(index)) else {
            return;
        };
        socket.error = Some(match complaint {
            Complaint::Unreachable(error) => error,
            Complaint::TooLong(_) => SocketError::TooLong,
        });
        events.raise(socket.id, &mut socket.ready, Ready::ERROR);
    }

    pub(crate) fn send<F: FnOnce(&mut [u8])>(
        &mut self,
        ctx: &mut Ctx<'_>,
        env: &mut E,
        id: SocketId,
        datagram: Datagram,
        fill: F,
    ) -> Outcome {
        let route = self.route(ctx, id, &datagram)?;
        let whole = ipv4::HEADER_LEN + wire::HEADER_LEN + datagram.len;
        let split = datagram.segment != 0 && usize::from(datagram.segment) < datagram.len;
        let device_splits = route.path.offload.uso && route.path.offload.checksum;
        let sent = if split && !device_splits {
            self.fill_scratch(datagram.len, 0, fill);
            let pieces = self.scratch.chunks(usize::from(datagram.segment));
            let mut sent = true;
            for piece in pieces {
                let copy = |out: &mut [u8]| out.copy_from_slice(piece);
                sent = sent && send_one(ctx.net, env, &route, piece.len(), 0, copy);
            }
            sent
        } else if split || whole <= usize::from(route.path.mtu) {
            let segment = if split { datagram.segment } else { 0 };
            send_one(ctx.net, env, &route, datagram.len, segment, fill)
        } else {
            self.fill_scratch(datagram.len, wire::HEADER_LEN, fill);
            finish_datagram(&route, &mut self.scratch);
            let sent = send_fragments(ctx.net, env, &route.path, &route.ip, &self.scratch);
            ctx.net.stats.udp_out += u64::from(sent);
            sent
        };
        sent.then_some(()).ok_or(SocketRequestError::NoBuffer)
    }

    fn fill_scratch(&mut self, len: usize, before: usize, fill: impl FnOnce(&mut [u8])) {
        self.scratch.clear();
        self.scratch.resize(before + len, 0);
        fill(&mut self.scratch[before..]);
    }

    /// Finds the way of a datagram, binding the socket if it is not bound.
    fn route(&mut self, ctx: &mut Ctx<'_>, id: SocketId, datagram: &Datagram) -> Outcome<Route> {
        let (_, socket) = self.socket(id)?;
        let to = datagram
            .to
            .or(socket.peer)
            .ok_or(SocketRequestError::NotConnected)?;
        let opts = socket.opts;
        let (dest, path) = towards(ctx.net, to, &opts)?;
        if datagram.len > PAYLOAD_MAX {
            return Err(SocketRequestError::TooLong);
        }
        let segment = usize::from(datagram.segment);
        let headers = ipv4::HEADER_LEN + wire::HEADER_LEN;
        if segment != 0 && segment + headers > usize::from(path.mtu) {
            return Err(SocketRequestError::TooLong);
        }
        if self.socket(id)?.1.local.is_none() {
            self.bind(
                ctx.net,
                id,
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            )?;
        }
        let local = self.socket(id)?.1.local.ok_or(SocketRequestError::State)?;
        let source = match local.ip() {
            IpAddr::V4(addr) if !addr.is_unspecified() => addr,
            _ => path.source,
        };
        Ok(Route {
            path,
            ip: IpMeta {
                source,
                dest,
                protocol: protocol::UDP,
                ttl: opts.ttl,
                tos: opts.tos,
            },
            source_port: local.port(),
            dest_port: to.port(),
        })
    }

    fn find(&self, id: SocketId) -> Option<u32> {
        if id.transport() != Transport::Udp {
            return None;
        }
        self.sockets.check(id.index(), id.generation())
    }

    fn socket(&mut self, id: SocketId) -> Outcome<(u32, &mut Socket<E>)> {
        let index = self.find(id).ok_or(SocketRequestError::Unknown)?;
        let socket = self
            .sockets
            .get_mut(index)
            .ok_or(SocketRequestError::Unknown)?;
        Ok((index, socket))
    }

    fn peek(&self, id: SocketId) -> Option<&Socket<E>> {
        self.sockets.get(self.find(id)?)
    }

    pub(crate) fn open(&mut self, recv: E::Datagrams) -> Outcome<SocketId> {
        let make = |index, generation| Socket {
            id: SocketId::new(Transport::Udp, index, generation),
            local: None,
            peer: None,
            recv,
            opts: SocketOptions::default(),
            ready: Ready::NONE,
            error: None,
        };
        let index = self.sockets.insert(make).ok_or(SocketRequestError::Limit)?;
        self.sockets
            .get(index)
            .map(|socket| socket.id)
            .ok_or(SocketRequestError::Limit)
    }

    pub(crate) fn bind(&mut self, net: &Net, id: SocketId, addr: SocketAddr) -> Outcome {
        let (index, socket) = self.socket(id)?;
        if socket.local.is_some() {
            return Err(SocketRequestError::State);
        }
        let reuse = socket.opts.reuse_addr;
        let IpAddr::V4(v4) = addr.ip() else {
            return Err(SocketRequestError::NotLocal);
        };
        let ours = v4.is_unspecified() || v4.is_loopback() || net.ifaces.is_local(v4);
        let broadcast = net
            .ifaces
            .iter()
            .any(|(id, _)| net.ifaces.is_broadcast(id, v4));
        if !ours && !broadcast {
            return Err(SocketRequestError::NotLocal);
        }
        let port = match addr.port() {
            0 => self
                .free_port(net, addr.ip())
                .ok_or(SocketRequestError::InUse)?,
            port if self.conflicts(addr.ip(), port, reuse) => {
                return Err(SocketRequestError::InUse);
            }
            port => port,
        };
        self.bindings.entry(port).or_default().push(Binding {
            addr: addr.ip(),
            socket: index,
        });
        let (_, socket) = self.socket(id)?;
        socket.local = Some(SocketAddr::new(addr.ip(), port));
        Ok(())
    }

    fn conflicts(&self, addr: IpAddr, port: u16, reuse: bool) -> bool {
        let Some(bindings) = self.bindings.get(&port) else {
            return false;
        };
        bindings.iter().any(|binding| {
            let overlap =
                binding.addr == addr || binding.addr.is_unspecified() || addr.is_unspecified();
            let other = self.sockets.get(binding.socket);
            overlap && !(reuse && other.is_some_and(|other| other.opts.reuse_addr))
        })
    }

    fn free_port(&mut self, net: &Net, addr: IpAddr) -> Option<u16> {
        let flow = Flow {
            local: addr,
            ..Flow::NONE
        };
        self.port_counter = self.port_counter.wrapping_add(1);
        let range = net.config.ephemeral_ports;
        crate::tcp::isn::ephemeral_ports(&net.secret, &flow, self.port_counter, range)
            .find(|&port| !self.conflicts(addr, port, false))
    }

    pub(crate) fn connect(&mut self, net: &Net, id: SocketId, peer: Option<SocketAddr>) -> Outcome {
        let (index, socket) = self.socket(id)?;
        let opts = socket.opts;
        let Some(peer) = peer else {
            self.forget_flow(index);
            return Ok(());
        };
        let (dest, path) = towards(net, peer, &opts)?;
        if socket.local.is_none() {
            self.bind(net, id, SocketAddr::new(path.source.into(), 0))?;
        }
        self.forget_flow(index);
        let (_, socket) = self.socket(id)?;
        let local = socket.local.ok_or(SocketRequestError::State)?;
        let source = match local.ip() {
            addr if addr.is_unspecified() => path.source.into(),
            addr => addr,
        };
        let flow = Flow {
            local: source,
            remote: dest.into(),
            local_port: local.port(),
            remote_port: peer.port(),
        };
        socket.peer = Some(flow.remote_addr());
        socket.local = Some(flow.local_addr());
        self.flows.insert(flow, index);
        Ok(())
    }

    fn forget_flow(&mut self, index: u32) {
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        if let (Some(local), Some(peer)) = (socket.local, socket.peer.take()) {
            let flow = Flow {
                local: local.ip(),
                remote: peer.ip(),
                local_port: local.port(),
                remote_port: peer.port(),
            };
            if self.flows.get(&flow) == Some(&index) {
                self.flows.remove(&flow);
            }
        }
    }

    pub(crate) fn close(&mut self, events: &mut Events, id: SocketId) -> Outcome {
        let (index, _) = self.socket(id)?;
        self.forget_flow(index);
        if let Some(socket) = self.sockets.remove(index)
            && let Some(local) = socket.local
            && let Some(bindings) = self.bindings.get_mut(&local.port())
        {
            bindings.retain(|binding| binding.socket != index);
            if bindings.is_empty() {
                self.bindings.remove(&local.port());
            }
        }
        events.released(id);
        Ok(())
    }

    pub(crate) fn options(&self, id: SocketId) -> Option<SocketOptions> {
        self.peek(id).map(|socket| socket.opts)
    }

    pub(crate) fn set_options(&mut self, id: SocketId, options: SocketOptions) -> Outcome {
        self.socket(id)?.1.opts = options;
        Ok(())
    }

    pub(crate) fn local_addr(&self, id: SocketId) -> Option<SocketAddr> {
        self.peek(id)?.local
    }

    pub(crate) fn peer_addr(&self, id: SocketId) -> Option<SocketAddr> {
        self.peek(id)?.peer
    }

    pub(crate) fn take_error(&mut self, id: SocketId) -> Option<SocketError> {
        self.socket(id).ok()?.1.error.take()
    }

    pub(crate) fn take_ready(&mut self, id: SocketId) -> Option<Event> {
        let (_, socket) = self.socket(id).ok()?;
        let ready = core::mem::take(&mut socket.ready);
        let error = if ready.contains(Ready::ERROR) {
            socket.error
        } else {
            None
        };
        Some(Event {
            socket: id,
            ready,
            error,
        })
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SocketId> {
        self.sockets.iter().map(|socket| socket.id)
    }
}

/// The address and the way to a destination that may be used.
fn towards(net: &Net, to: SocketAddr, opts: &SocketOptions) -> Outcome<(Ipv4Addr, Path)> {
    let IpAddr::V4(dest) = to.ip() else {
        return Err(SocketRequestError::Destination);
    };
    if to.port() == 0 || dest.is_multicast() {
        return Err(SocketRequestError::Destination);
    }
    let dest = if dest.is_unspecified() {
        Ipv4Addr::LOCALHOST
    } else {
        dest
    };
    let path = net
        .path(dest, opts.bind_iface)
        .ok_or(SocketRequestError::NoRoute)?;
    if !opts.broadcast && net.ifaces.is_broadcast(path.iface, dest) {
        return Err(SocketRequestError::Broadcast);
    }
    Ok((dest, path))
}

/// Sends a datagram that fits a packet, or a super-datagram when `segment` is not zero.
#[inline]
fn send_one<E: Env, F: FnOnce(&mut [u8])>(
    net: &mut Net,
    env: &mut E,
    route: &Route,
    len: usize,
    segment: u16,
    fill: F,
) -> bool {
    let header = wire::Header {
        source: route.source_port,
        dest: route.dest_port,
        len: (wire::HEADER_LEN + len) as u16,
        checksum: 0,
    };
    let segmentation = Segmentation {
        gso_type: if segment == 0 { GSO_NONE } else { GSO_UDP_L4 },
        gso_size: segment,
        header_len: wire::HEADER_LEN as u16,
        csum_offset: Some(wire::CHECKSUM_OFFSET as u16),
    };
    let write = |out: &mut [u8]| {
        header.emit(out);
        fill(&mut out[wire::HEADER_LEN..]);
    };
    let len = wire::HEADER_LEN + len;
    let sent = send(net, env, &route.path, &route.ip, len, segmentation, write);
    net.stats.udp_out += u64::from(sent);
    sent
}

/// Puts the header, with its checksum, before a payload that is about to be fragmented.
fn finish_datagram(route: &Route, datagram: &mut [u8]) {
    let mut header = wire::Header {
        source: route.source_port,
        dest: route.dest_port,
        len: datagram.len() as u16,
        checksum: 0,
    };
    header.emit(datagram);
    let pseudo = pseudo_v4(
        route.ip.source,
        route.ip.dest,
        protocol::UDP,
        datagram.len(),
    );
    header.checksum = match pseudo.and(Sum::of(datagram)).checksum() {
        0 => 0xffff,
        sum => sum,
    };
    header.emit(datagram);
}
