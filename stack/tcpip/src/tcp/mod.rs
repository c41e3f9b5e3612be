//! TCP (RFC 9293).
//!
//! [`Tcp`] owns the sockets and finds them: connections by their four addresses, listeners by address
//! and port. A segment is dealt with inside its socket ([`input`]), which only notes what it owes the
//! peer; [`Tcp::flush`] then sends for each socket that owes something ([`output`]). After each step
//! [`Tcp::settle`] draws the consequences outside the socket: timers, tables, queues of listeners.

mod assembler;
mod calls;
mod congestion;
mod deadlines;
pub(crate) mod flow;
pub(crate) mod icmp;
mod info;
mod input;
pub(crate) mod isn;
mod output;
mod rtt;
pub(crate) mod seq;
pub(crate) mod socket;

use core::net::{IpAddr, Ipv4Addr};
use std::collections::{HashMap, VecDeque};

use io_net_wire::tcp as wire;

use crate::config::Config;
use crate::env::{Env, RxMeta};
use crate::event::Ready;
use crate::hash::TableHash;
use crate::id::{SocketId, Transport};
use crate::ip::input::Inbound;
use crate::slab::Slab;
use crate::time::Instant;
use crate::timers::Wheel;
use flow::Flow;
use input::Segment;
use input::listen::own_shift as input_shift;
use output::Reset;
use seq::Seq;
use socket::{Ctx, Owner, Socket};

pub use info::TcpInfo;

/// When to try again after the environment had no packet buffer.
const RETRY_NANOS: u64 = 1_000_000;

/// The states of a connection (RFC 9293, 3.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No connection.
    Closed,
    /// Waiting for peers.
    Listen,
    /// Our SYN is sent.
    SynSent,
    /// Both SYNs are sent, ours is not acknowledged.
    SynReceived,
    /// Data flows.
    Established,
    /// We have closed; our FIN is not acknowledged.
    FinWait1,
    /// We have closed; the peer has not.
    FinWait2,
    /// The peer has closed; we have not.
    CloseWait,
    /// Both closed at once; our FIN is not acknowledged.
    Closing,
    /// The peer closed first, then we; our FIN is not acknowledged.
    LastAck,
    /// Over; a repeated FIN would still be answered.
    TimeWait,
}

/// A local address that a socket has taken with bind or connect.
struct Binding {
    addr: IpAddr,
    socket: u32,
}

pub(crate) struct Tcp<E: Env> {
    sockets: Slab<Socket<E>>,
    flows: HashMap<Flow, u32, TableHash>,
    listeners: HashMap<(u16, IpAddr), u32, TableHash>,
    bindings: HashMap<u16, Vec<Binding>, TableHash>,
    wheel: Wheel,
    /// Sockets with something to send.
    dirty: Vec<u32>,
    /// The same list while it is being worked on, kept for its memory.
    flushing: Vec<u32>,
    /// Resets of connections that are gone.
    resets: VecDeque<Reset>,
    /// Sockets in TIME-WAIT, oldest first; some may be gone since.
    time_wait: VecDeque<SocketId>,
    time_wait_count: usize,
    port_counter: u32,
    /// When to flush again, after there was no packet buffer.
    retry: Option<Instant>,
}

impl<E: Env> Tcp<E> {
    pub(crate) fn new(config: &Config, hash: TableHash) -> Self {
        Tcp {
            sockets: Slab::new(config.tcp_sockets_max),
            flows: HashMap::with_hasher(hash),
            listeners: HashMap::with_hasher(hash),
            bindings: HashMap::with_hasher(hash),
            wheel: Wheel::new(),
            dirty: Vec::new(),
            flushing: Vec::new(),
            resets: VecDeque::new(),
            time_wait: VecDeque::new(),
            time_wait_count: 0,
            port_counter: 0,
            retry: None,
        }
    }

    /// Takes a packet that holds a segment.
    #[inline]
    pub(crate) fn input(
        &mut self,
        ctx: &mut Ctx<'_>,
        env: &mut E,
        packet: &Inbound<'_>,
        meta: RxMeta,
    ) {
        if packet.broadcast {
            // RFC 9293, 3.9.2.3.
            ctx.net.stats.tcp_drop_malformed += 1;
            return;
        }
        let Some(mut segment) = Segment::parse(ctx.net, packet, meta) else {
            return;
        };
        match self.flows.get(&segment.flow) {
            Some(&index) => self.input_connection(ctx, env, index, &mut segment),
            None => self.input_unconnected(ctx, env, &segment, None),
        }
    }

    #[inline]
    fn input_connection(
        &mut self,
        ctx: &mut Ctx<'_>,
        env: &mut E,
        index: u32,
        segment: &mut Segment<'_>,
    ) {
        if self.accept_queue_full(index) && segment.has(wire::ACK) {
            // Not now: the peer will repeat its ACK or data, or our SYN-ACK will be answered again.
            ctx.net.stats.tcp_drop_backlog += 1;
            return;
        }
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        let reset = match socket.state {
            State::SynSent => socket.input_syn_sent(ctx, segment),
            State::TimeWait if reopens(socket, segment) => {
                let after = socket.send.max;
                socket.finish(ctx.events, Ready::NONE);
                self.settle(ctx, index);
                return self.input_unconnected(ctx, env, segment, Some(after));
            }
            _ => socket.input_synchronized(ctx, env, segment),
        };
        if let Some(reset) = reset {
            reset.send(ctx.net, env);
        }
        self.settle(ctx, index);
        self.mark_dirty(index);
    }

    /// A segment for no connection: a SYN to a listener opens one, anything else is refused
    /// (RFC 9293, 3.10.7.1 and 3.10.7.2).
    fn input_unconnected(
        &mut self,
        ctx: &mut Ctx<'_>,
        env: &mut E,
        segment: &Segment<'_>,
        after: Option<Seq>,
    ) {
        let listener = self.find_listener(&segment.flow);
        if segment.has(wire::RST) {
            ctx.net.stats.tcp_drop_no_socket += 1;
            return;
        }
        let syn = segment.has(wire::SYN) && !segment.has(wire::ACK);
        match listener {
            Some(listener) if syn => self.open_passive(ctx, listener, segment, after),
            Some(_) if !segment.has(wire::ACK) => ctx.net.stats.tcp_drop_state += 1,
            _ => {
                ctx.net.stats.tcp_drop_no_socket += 1;
                segment.reset().send(ctx.net, env);
            }
        }
    }

    fn find_listener(&self, flow: &Flow) -> Option<u32> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let exact = self.listeners.get(&(flow.local_port, flow.local));
        exact
            .or_else(|| self.listeners.get(&(flow.local_port, any)))
            .copied()
    }

    fn open_passive(
        &mut self,
        ctx: &mut Ctx<'_>,
        listener: u32,
        segment: &Segment<'_>,
        after: Option<Seq>,
    ) {
        let Some(parent) = self.sockets.get(listener) else {
            return;
        };
        let (parent_id, opts) = (parent.id, parent.opts);
        let full = parent
            .listen
            .as_ref()
            .is_none_or(|l| l.established.len() >= l.backlog);
        if full {
            ctx.net.stats.tcp_drop_backlog += 1;
            return;
        }
        self.make_room_half_open(ctx, listener);
        let config = &ctx.net.config;
        let Some(index) = self.sockets.insert(|index, generation| {
            Socket::new(SocketId::new(Transport::Tcp, index, generation), config)
        }) else {
            ctx.net.stats.tcp_drop_limit += 1;
            return;
        };
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        socket.opts = opts;
        socket.parent = Some(parent_id);
        socket.open_passive(ctx, segment, after);
        let id = socket.id;
        self.flows.insert(segment.flow, index);
        if let Some(listen) = self
            .sockets
            .get_mut(listener)
            .and_then(|l| l.listen.as_mut())
        {
            listen.half_open.push_back(id);
            listen.half_open_count += 1;
        }
        self.mark_dirty(index);
    }

    /// Bounds the half-open connections of a listener: the oldest goes, as a flood's own will.
    fn make_room_half_open(&mut self, ctx: &mut Ctx<'_>, listener: u32) {
        let max = ctx.net.config.syn_queue_max.max(1);
        loop {
            let Some(listen) = self
                .sockets
                .get_mut(listener)
                .and_then(|l| l.listen.as_mut())
            else {
                return;
            };
            // Entries of connections that have left the queue are dropped when they come to the front.
            let too_many = listen.half_open_count >= max || listen.half_open.len() >= 2 * max;
            if !too_many {
                return;
            }
            let Some(oldest) = listen.half_open.pop_front() else {
                return;
            };
            let Some(index) = self.find(oldest) else {
                continue;
            };
            if let Some(socket) = self.sockets.get_mut(index)
                && socket.state == State::SynReceived
            {
                ctx.net.stats.tcp_syn_evicted += 1;
                socket.finish(ctx.events, Ready::NONE);
                self.settle(ctx, index);
            }
        }
    }

    /// Whether a connection is half-open and its listener can take no more.
    #[inline]
    fn accept_queue_full(&self, child: u32) -> bool {
        let Some(parent) = self.sockets.get(child).and_then(|child| child.parent) else {
            return false;
        };
        let parent = Some(parent);
        let parent = parent
            .and_then(|id| self.find(id))
            .and_then(|index| self.sockets.get(index));
        let listen = parent.and_then(|parent| parent.listen.as_ref());
        listen.is_some_and(|listen| listen.established.len() >= listen.backlog)
    }

    /// Draws the consequences of what happened to a socket: its timer, its place in the tables, its
    /// listener's queues, and its end.
    #[inline]
    fn settle(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        if socket.parent.is_some() && socket.state != State::SynReceived {
            self.leave_half_open(ctx, index);
        }
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        match socket.state {
            State::Closed => return self.settle_closed(ctx, index),
            State::TimeWait => self.settle_time_wait(ctx, index),
            // Of an orphan whose FIN has arrived no byte will be sent or taken any more.
            State::FinWait2 if socket.owner == Owner::Nobody => socket.release(ctx.events),
            _ => {}
        }
        if let Some(socket) = self.sockets.get(index) {
            // A timer that moves away is left to fire in vain: moving it at each segment costs more.
            let first = socket.deadlines.first();
            if first != Instant::NEVER && self.wheel.at(index).is_none_or(|at| first < at) {
                self.wheel.set(index, first);
            }
        }
    }

    /// A half-open connection has become established, or failed.
    fn leave_half_open(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        let Some(child) = self.sockets.get_mut(index) else {
            return;
        };
        let (id, exposed) = (child.id, child.exposed);
        let Some(parent) = child.parent.take() else {
            return;
        };
        let listener = self
            .find(parent)
            .and_then(|index| self.sockets.get_mut(index));
        let Some(listener) = listener.filter(|socket| socket.listen.is_some()) else {
            // The listener has gone meanwhile.
            self.abandon(ctx, index);
            return;
        };
        if let Some(listen) = &mut listener.listen {
            listen.half_open_count = listen.half_open_count.saturating_sub(1);
            if exposed {
                listen.established.push_back(id);
            }
        }
        if exposed {
            listener.raise(ctx.events, Ready::ACCEPTABLE);
        } else if let Some(child) = self.sockets.get_mut(index) {
            child.owner = Owner::Nobody;
        }
    }

    fn settle_closed(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        self.wheel.clear(index);
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        if self.flows.get(&socket.flow) == Some(&index) {
            self.flows.remove(&socket.flow);
        }
        if core::mem::take(&mut socket.counted_time_wait) {
            self.time_wait_count -= 1;
        }
        if socket.owner == Owner::Nobody {
            socket.release(ctx.events);
            self.remove(index);
        }
    }

    fn settle_time_wait(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        if socket.owner == Owner::Nobody {
            socket.release(ctx.events);
        }
        if socket.counted_time_wait {
            return;
        }
        socket.counted_time_wait = true;
        self.time_wait.push_back(socket.id);
        self.time_wait_count += 1;
        while let Some(&oldest) = self.time_wait.front() {
            let waiting = self.find(oldest).filter(|&index| self.is_time_wait(index));
            let too_many = self.time_wait_count > ctx.net.config.time_wait_max.max(1);
            if waiting.is_some() && !too_many {
                break;
            }
            self.time_wait.pop_front();
            if let Some(index) = waiting
                && let Some(socket) = self.sockets.get_mut(index)
            {
                ctx.net.stats.tcp_time_wait_evicted += 1;
                socket.finish(ctx.events, Ready::NONE);
                self.settle_closed(ctx, index);
            }
        }
    }

    fn is_time_wait(&self, index: u32) -> bool {
        self.sockets
            .get(index)
            .is_some_and(|socket| socket.state == State::TimeWait)
    }

    /// Takes a socket out of all tables.
    fn remove(&mut self, index: u32) {
        self.unbind(index);
        self.sockets.remove(index);
    }

    /// Ends a connection that nobody wants with a reset.
    fn abandon(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        socket.owner = Owner::Nobody;
        if !matches!(
            socket.state,
            State::Closed | State::Listen | State::SynSent | State::TimeWait
        ) {
            self.resets.push_back(socket.own_reset());
        }
        socket.finish(ctx.events, Ready::NONE);
    }

    #[inline]
    fn mark_dirty(&mut self, index: u32) {
        if let Some(socket) = self.sockets.get_mut(index)
            && !socket.dirty
        {
            socket.dirty = true;
            self.dirty.push(index);
        }
    }

    #[inline]
    fn find(&self, id: SocketId) -> Option<u32> {
        if id.transport() != Transport::Tcp {
            return None;
        }
        self.sockets.check(id.index(), id.generation())
    }

    /// Sends all that the sockets owe.
    pub(crate) fn flush(&mut self, ctx: &mut Ctx<'_>, env: &mut E) {
        while let Some(reset) = self.resets.pop_front() {
            reset.send(ctx.net, env);
        }
        self.retry = None;
        let mut list = core::mem::replace(&mut self.dirty, core::mem::take(&mut self.flushing));
        for index in list.drain(..) {
            let Some(socket) = self.sockets.get_mut(index) else {
                continue;
            };
            socket.dirty = false;
            let blocked = socket.output(ctx, env).is_err();
            self.settle(ctx, index);
            if blocked {
                self.retry_later(ctx.now, index);
            }
        }
        self.flushing = list;
    }

    fn retry_later(&mut self, now: Instant, index: u32) {
        self.mark_dirty(index);
        self.retry = Some(Instant::from_nanos(now.as_nanos() + RETRY_NANOS));
    }

    /// Whether something waits for [`Tcp::flush`] that is not held up by a lack of buffers.
    pub(crate) fn is_clean(&self) -> bool {
        self.resets.is_empty() && (self.dirty.is_empty() || self.retry.is_some())
    }

    /// Runs the timers that are due.
    pub(crate) fn poll(&mut self, ctx: &mut Ctx<'_>, env: &mut E) {
        while let Some(index) = self.wheel.pop(ctx.now) {
            let Some(socket) = self.sockets.get_mut(index) else {
                continue;
            };
            if socket.deadlines.first() <= ctx.now {
                let blocked = socket.on_deadlines(ctx, env).is_err();
                self.mark_dirty(index);
                if blocked {
                    self.retry_later(ctx.now, index);
                }
            }
            self.settle(ctx, index);
        }
    }

    pub(crate) fn poll_at(&self) -> Option<Instant> {
        [self.wheel.next(), self.retry].into_iter().flatten().min()
    }

    /// Takes what happened to a socket, with its error.
    pub(crate) fn take_ready(&mut self, id: SocketId) -> Option<crate::Event> {
        let index = self.find(id)?;
        let socket = self.sockets.get_mut(index)?;
        let ready = core::mem::take(&mut socket.ready);
        let error = if ready.contains(Ready::ERROR) {
            socket.error
        } else {
            None
        };
        Some(crate::Event {
            socket: id,
            ready,
            error,
        })
    }
}

/// Whether a segment in TIME-WAIT opens a new connection (RFC 9293, 3.10.7.4; RFC 6191).
fn reopens<E: Env>(socket: &Socket<E>, segment: &Segment<'_>) -> bool {
    if !segment.has(wire::SYN) || segment.has(wire::ACK | wire::RST) {
        return false;
    }
    match segment.options.timestamp {
        Some(stamp) if socket.ts.enabled => {
            (stamp.value.wrapping_sub(socket.ts.recent) as i32) > 0
                || (stamp.value == socket.ts.recent && segment.seq.after(socket.recv.nxt))
        }
        _ => segment.seq.after(socket.recv.nxt),
    }
}
