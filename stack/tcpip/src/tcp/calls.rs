//! What programs ask of TCP (RFC 9293, 3.9.1): bind, listen, connect, accept, shutdown, close, abort.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::flow::Flow;
use super::input_shift;
use super::socket::{Ctx, Listen, Owner, Socket};
use super::{Binding, State, Tcp, TcpInfo, isn};
use crate::config::SocketOptions;
use crate::env::{Env, RecvBuf};
use crate::error::{SocketError, SocketRequestError};
use crate::event::Ready;
use crate::id::{SocketId, Transport};
use crate::ip::Net;
use crate::stack::Accepted;

type Outcome<T = ()> = Result<T, SocketRequestError>;

/// How long a connection must have been in TIME-WAIT before its addresses may be used again from our
/// side: timestamps have moved by then (RFC 6191).
const TIME_WAIT_REUSE: Duration = Duration::from_secs(1);

impl<E: Env> Tcp<E> {
    fn socket(&mut self, id: SocketId) -> Outcome<(u32, &mut Socket<E>)> {
        let index = self.find(id).ok_or(SocketRequestError::Unknown)?;
        let socket = self
            .sockets
            .get_mut(index)
            .ok_or(SocketRequestError::Unknown)?;
        if socket.owner == Owner::Nobody {
            return Err(SocketRequestError::Unknown);
        }
        Ok((index, socket))
    }

    fn peek(&self, id: SocketId) -> Option<&Socket<E>> {
        let socket = self.sockets.get(self.find(id)?)?;
        (socket.owner != Owner::Nobody).then_some(socket)
    }

    pub(crate) fn open(&mut self, net: &Net) -> Outcome<SocketId> {
        let make = |index, generation| {
            Socket::new(
                SocketId::new(Transport::Tcp, index, generation),
                &net.config,
            )
        };
        let index = self.sockets.insert(make).ok_or(SocketRequestError::Limit)?;
        let socket = self.sockets.get(index).ok_or(SocketRequestError::Limit)?;
        Ok(socket.id)
    }

    pub(crate) fn bind(&mut self, net: &Net, id: SocketId, addr: SocketAddr) -> Outcome {
        let (index, socket) = self.socket(id)?;
        if socket.bound.is_some() || socket.state != State::Closed {
            return Err(SocketRequestError::State);
        }
        let reuse = socket.opts.reuse_addr;
        if !is_bindable(net, addr.ip()) {
            return Err(SocketRequestError::NotLocal);
        }
        let port = match addr.port() {
            0 => self
                .free_port(net, addr.ip(), reuse)
                .ok_or(SocketRequestError::InUse)?,
            port if self.conflicts(addr.ip(), port, reuse) => {
                return Err(SocketRequestError::InUse);
            }
            port => port,
        };
        let addr = SocketAddr::new(addr.ip(), port);
        let binding = Binding {
            addr: addr.ip(),
            socket: index,
        };
        self.bindings.entry(port).or_default().push(binding);
        let (_, socket) = self.socket(id)?;
        socket.bound = Some(addr);
        socket.flow = Flow {
            local: addr.ip(),
            local_port: port,
            ..Flow::NONE
        };
        Ok(())
    }

    /// Two sockets share a port when their addresses differ, or both say `SO_REUSEADDR` and neither
    /// listens there.
    fn conflicts(&self, addr: IpAddr, port: u16, reuse: bool) -> bool {
        let Some(bindings) = self.bindings.get(&port) else {
            return false;
        };
        bindings.iter().any(|binding| {
            let overlap =
                binding.addr == addr || binding.addr.is_unspecified() || addr.is_unspecified();
            let shares = self.sockets.get(binding.socket).is_some_and(|other| {
                reuse && other.opts.reuse_addr && other.state != State::Listen
            });
            overlap && !shares
        })
    }

    fn free_port(&mut self, net: &Net, addr: IpAddr, reuse: bool) -> Option<u16> {
        let flow = Flow {
            local: addr,
            ..Flow::NONE
        };
        self.port_counter = self.port_counter.wrapping_add(1);
        let range = net.config.ephemeral_ports;
        isn::ephemeral_ports(&net.secret, &flow, self.port_counter, range)
            .find(|&port| !self.conflicts(addr, port, reuse))
    }

    pub(super) fn unbind(&mut self, index: u32) {
        let Some(addr) = self.sockets.get(index).and_then(|socket| socket.bound) else {
            return;
        };
        if let Some(bindings) = self.bindings.get_mut(&addr.port()) {
            bindings.retain(|binding| binding.socket != index);
            if bindings.is_empty() {
                self.bindings.remove(&addr.port());
            }
        }
        if self.listeners.get(&(addr.port(), addr.ip())) == Some(&index) {
            self.listeners.remove(&(addr.port(), addr.ip()));
        }
    }

    pub(crate) fn listen(&mut self, net: &Net, id: SocketId, backlog: usize) -> Outcome {
        let backlog = backlog.clamp(1, net.config.backlog_max.max(1));
        let (_, socket) = self.socket(id)?;
        if let Some(listen) = &mut socket.listen {
            listen.backlog = backlog;
            return Ok(());
        }
        if socket.state != State::Closed {
            return Err(SocketRequestError::State);
        }
        if socket.bound.is_none() {
            self.bind(net, id, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))?;
        }
        let (index, socket) = self.socket(id)?;
        let addr = socket.bound.ok_or(SocketRequestError::State)?;
        let key = (addr.port(), addr.ip());
        if self.listeners.contains_key(&key) {
            return Err(SocketRequestError::InUse);
        }
        self.listeners.insert(key, index);
        let (_, socket) = self.socket(id)?;
        socket.state = State::Listen;
        socket.listen = Some(Box::new(Listen {
            backlog,
            half_open: Default::default(),
            half_open_count: 0,
            established: Default::default(),
        }));
        Ok(())
    }

    pub(crate) fn accept(&mut self, id: SocketId) -> Option<Accepted> {
        loop {
            let child = {
                let (_, listener) = self.socket(id).ok()?;
                listener.listen.as_mut()?.established.pop_front()?
            };
            if let Ok((_, socket)) = self.socket(child) {
                socket.owner = Owner::Program;
                return Some(Accepted {
                    socket: child,
                    local: socket.flow.local_addr(),
                    peer: socket.flow.remote_addr(),
                });
            }
        }
    }

    pub(crate) fn connect(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: SocketId,
        peer: SocketAddr,
        send: E::Send,
        recv: E::Recv,
    ) -> Outcome {
        let (index, socket) = self.socket(id)?;
        match socket.state {
            State::Closed => {}
            State::SynSent | State::SynReceived => return Err(SocketRequestError::Connecting),
            State::Listen => return Err(SocketRequestError::State),
            _ => return Err(SocketRequestError::Connected),
        }
        let (bound, bind_iface) = (socket.bound, socket.opts.bind_iface);
        let remote = destination(ctx.net, peer)?;
        let path = ctx
            .net
            .path(remote, bind_iface)
            .ok_or(SocketRequestError::NoRoute)?;
        let local = match bound {
            Some(addr) if !addr.ip().is_unspecified() => addr.ip(),
            _ => path.source.into(),
        };
        if local.is_unspecified() {
            return Err(SocketRequestError::NotLocal);
        }
        let mut flow = Flow {
            local,
            remote: remote.into(),
            local_port: bound.map_or(0, |addr| addr.port()),
            remote_port: peer.port(),
        };
        if flow.local_port == 0 {
            flow.local_port = self
                .port_towards(ctx, &flow)
                .ok_or(SocketRequestError::NoPorts)?;
        }
        if !self.make_free(ctx, &flow) {
            return Err(SocketRequestError::InUse);
        }
        let iss = isn::initial_seq(&ctx.net.secret, &flow, ctx.now);
        let (_, socket) = self.socket(id)?;
        socket.restart(&ctx.net.config, iss, ctx.now);
        socket.flow = flow;
        socket.state = State::SynSent;
        (socket.tx, socket.rx) = (Some(send), Some(recv));
        socket.passive = false;
        socket.recv.scaling = true;
        socket.recv.shift = input_shift(&ctx.net.config);
        socket.ts.enabled = false;
        socket.ts.offset = isn::timestamp_offset(&ctx.net.secret, &flow);
        socket.path = Some(path);
        ctx.net.stats.tcp_active_opens += 1;
        self.flows.insert(flow, index);
        self.mark_dirty(index);
        Ok(())
    }

    /// An ephemeral port that makes the flow unique; one in TIME-WAIT only if all others are taken.
    fn port_towards(&mut self, ctx: &mut Ctx<'_>, flow: &Flow) -> Option<u16> {
        self.port_counter = self.port_counter.wrapping_add(1);
        let range = ctx.net.config.ephemeral_ports;
        let candidate = |port: &u16| {
            let to_itself = flow.local == flow.remote && *port == flow.remote_port;
            !to_itself && !self.bindings.contains_key(port)
        };
        let ports = || {
            isn::ephemeral_ports(&ctx.net.secret, flow, self.port_counter, range).filter(candidate)
        };
        let with = |port: u16| Flow {
            local_port: port,
            ..*flow
        };
        let free = ports().find(|&port| !self.flows.contains_key(&with(port)));
        free.or_else(|| ports().find(|&port| self.reusable(ctx, &with(port)).is_some()))
    }

    /// The socket in TIME-WAIT whose addresses may be taken over (RFC 6191).
    fn reusable(&self, ctx: &Ctx<'_>, flow: &Flow) -> Option<u32> {
        let index = *self.flows.get(flow)?;
        let socket = self.sockets.get(index)?;
        let since = ctx.now.since(socket.recv.last_heard);
        let old = socket.ts.enabled && since >= TIME_WAIT_REUSE;
        let gone = socket.state == State::TimeWait && socket.owner == Owner::Nobody;
        (gone && old).then_some(index)
    }

    /// Whether the flow is free, perhaps by ending a connection in TIME-WAIT.
    fn make_free(&mut self, ctx: &mut Ctx<'_>, flow: &Flow) -> bool {
        if !self.flows.contains_key(flow) {
            return true;
        }
        let Some(index) = self.reusable(ctx, flow) else {
            return false;
        };
        if let Some(socket) = self.sockets.get_mut(index) {
            socket.finish(ctx.events, Ready::NONE);
        }
        self.settle(ctx, index);
        true
    }

    pub(crate) fn send_progress(&mut self, id: SocketId) {
        if let Some(index) = self.find(id) {
            self.mark_dirty(index);
        }
    }

    pub(crate) fn recv_progress(&mut self, id: SocketId) {
        if let Some(index) = self.find(id)
            && self
                .sockets
                .get_mut(index)
                .is_some_and(Socket::recv_progress)
        {
            self.mark_dirty(index);
        }
    }

    pub(crate) fn shutdown_send(&mut self, id: SocketId) -> Outcome {
        let (index, socket) = self.socket(id)?;
        if socket.send.fin.is_some() && socket.state != State::Closed {
            return Ok(());
        }
        if !socket.shut_send() {
            return Err(SocketRequestError::NotConnected);
        }
        self.mark_dirty(index);
        Ok(())
    }

    pub(crate) fn shutdown_recv(&mut self, id: SocketId) -> Outcome {
        let (index, socket) = self.socket(id)?;
        if matches!(socket.state, State::Closed | State::Listen) {
            return Err(SocketRequestError::NotConnected);
        }
        socket.recv.shut = true;
        self.mark_dirty(index);
        Ok(())
    }

    pub(crate) fn abort(&mut self, ctx: &mut Ctx<'_>, id: SocketId) -> Outcome {
        let (index, socket) = self.socket(id)?;
        if matches!(socket.state, State::Closed | State::Listen) {
            return Ok(());
        }
        if socket.is_synchronized() {
            let reset = socket.own_reset();
            self.resets.push_back(reset);
        }
        let (_, socket) = self.socket(id)?;
        socket.fail(ctx, SocketError::Aborted);
        self.settle(ctx, index);
        Ok(())
    }

    pub(crate) fn close(&mut self, ctx: &mut Ctx<'_>, id: SocketId) -> Outcome {
        let (index, socket) = self.socket(id)?;
        socket.owner = Owner::Nobody;
        socket.ready = Ready::NONE;
        let unread = socket.rx.as_mut().is_some_and(|rx| rx.unread() > 0);
        match socket.state {
            State::Closed => {}
            State::Listen => self.close_listener(ctx, index),
            State::SynSent | State::SynReceived => self.abandon(ctx, index),
            // Unread data, or the owner's wish, makes it a reset (RFC 9293, 3.6.1; RFC 1122, 4.2.2.13).
            State::TimeWait => {}
            _ if unread || socket.opts.linger_abort => self.abandon(ctx, index),
            State::FinWait2 => socket.start_fin_wait_2(ctx),
            _ => {
                socket.shut_send();
            }
        }
        self.settle(ctx, index);
        self.mark_dirty(index);
        Ok(())
    }

    fn close_listener(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        let Some(listen) = socket.listen.take() else {
            return;
        };
        socket.finish(ctx.events, Ready::NONE);
        for child in listen.half_open.into_iter().chain(listen.established) {
            let Some(child) = self.find(child) else {
                continue;
            };
            let owner = self.sockets.get(child).map(|socket| socket.owner);
            if owner == Some(Owner::Listener) {
                if let Some(socket) = self.sockets.get_mut(child) {
                    socket.parent = None;
                }
                self.abandon(ctx, child);
                self.settle(ctx, child);
            }
        }
    }

    pub(crate) fn options(&self, id: SocketId) -> Option<SocketOptions> {
        self.peek(id).map(|socket| socket.opts)
    }

    pub(crate) fn set_options(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: SocketId,
        options: SocketOptions,
    ) -> Outcome {
        let (index, socket) = self.socket(id)?;
        let before = core::mem::replace(&mut socket.opts, options);
        if before.keepalive != options.keepalive {
            socket.start_keepalive(ctx.now);
        }
        if before.max_segment != options.max_segment && socket.is_synchronized() {
            socket.set_mss();
        }
        if before.bind_iface != options.bind_iface {
            socket.path = None;
        }
        self.settle(ctx, index);
        self.mark_dirty(index);
        Ok(())
    }

    pub(crate) fn local_addr(&self, id: SocketId) -> Option<SocketAddr> {
        let flow = self.sockets.get(self.find(id)?)?.flow;
        (flow.local_port != 0).then(|| flow.local_addr())
    }

    pub(crate) fn peer_addr(&self, id: SocketId) -> Option<SocketAddr> {
        let flow = self.sockets.get(self.find(id)?)?.flow;
        (flow.remote_port != 0).then(|| flow.remote_addr())
    }

    pub(crate) fn take_error(&mut self, id: SocketId) -> Option<SocketError> {
        let (_, socket) = self.socket(id).ok()?;
        socket.error.take().or_else(|| socket.soft_error.take())
    }

    pub(crate) fn info(&mut self, id: SocketId) -> Option<TcpInfo> {
        let index = self.find(id)?;
        self.sockets.get_mut(index).map(Socket::info)
    }

    pub(crate) fn backlog(&self, id: SocketId) -> Option<(usize, usize, usize)> {
        let listen = self.peek(id)?.listen.as_ref()?;
        Some((
            listen.half_open_count,
            listen.established.len(),
            listen.backlog,
        ))
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SocketId> {
        self.sockets.iter().map(|socket| socket.id)
    }
}

impl<E: Env> Socket<E> {
    /// Whether a reset of ours would mean something to the peer.
    fn is_synchronized(&self) -> bool {
        !matches!(
            self.state,
            State::Closed | State::Listen | State::SynSent | State::TimeWait
        )
    }

    /// Sends a FIN after what is queued. False when there is no connection.
    fn shut_send(&mut self) -> bool {
        let next = match self.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            _ => return false,
        };
        self.send.fin = Some(self.data_end());
        self.state = next;
        true
    }
}

fn is_bindable(net: &Net, addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_loopback() || net.ifaces.is_local(v4),
        IpAddr::V6(_) => false,
    }
}

/// The address to connect to; the unspecified one means this host.
fn destination(net: &Net, peer: SocketAddr) -> Outcome<Ipv4Addr> {
    let IpAddr::V4(addr) = peer.ip() else {
        return Err(SocketRequestError::Destination);
    };
    let unusable = addr.is_multicast() || addr.is_broadcast() || peer.port() == 0;
    if unusable
        || net
            .ifaces
            .iter()
            .any(|(id, _)| net.ifaces.is_broadcast(id, addr))
    {
        return Err(SocketRequestError::Destination);
    }
    Ok(if addr.is_unspecified() {
        Ipv4Addr::LOCALHOST
    } else {
        addr
    })
}
