//! A host: a stack, its programs' buffers, and an outbox for packets.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use io_net_tcpip::{
    Config, Env, IfaceAddr, IfaceConfig, IfaceId, Instant, Ready, RxMeta, SocketError, SocketId,
    SocketRequestError, Stack, TxMeta,
};

use crate::buffers::{Fifo, Inbox};

/// A packet that left the stack.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Interface.
    pub iface: IfaceId,
    /// Neighbour.
    pub next_hop: IpAddr,
    /// Offloads that it asks for.
    pub meta: TxMeta,
    /// The packet, IP header first.
    pub bytes: Vec<u8>,
}

/// The stack's environment in memory.
pub struct Memory {
    /// Packets sent and not yet taken away.
    pub outbox: VecDeque<Sent>,
    /// Packet buffers left; `transmit` fails at zero.
    pub packets_left: usize,
    /// Capacity of the buffers of accepted connections.
    pub send_capacity: usize,
    /// Capacity of the buffers of accepted connections.
    pub recv_capacity: usize,
    /// Whether peers' connections get buffers.
    pub accepts: bool,
    streams: HashMap<SocketId, (Fifo, Fifo)>,
}

impl Env for Memory {
    type Send = Fifo;
    type Recv = Fifo;
    type Datagrams = Inbox;

    fn transmit<F: FnOnce(&mut [u8])>(
        &mut self,
        iface: IfaceId,
        next_hop: IpAddr,
        meta: &TxMeta,
        len: usize,
        fill: F,
    ) -> bool {
        if self.packets_left == 0 {
            return false;
        }
        self.packets_left -= 1;
        // What `fill` forgets to write must not be zero by chance.
        let mut bytes = vec![0xa5; len];
        fill(&mut bytes);
        self.outbox.push_back(Sent {
            iface,
            next_hop,
            meta: *meta,
            bytes,
        });
        true
    }

    fn open_stream(
        &mut self,
        _listener: SocketId,
        socket: SocketId,
        _peer: SocketAddr,
    ) -> Option<(Fifo, Fifo)> {
        if !self.accepts {
            return None;
        }
        let pair = (Fifo::new(self.send_capacity), Fifo::new(self.recv_capacity));
        self.streams.insert(socket, pair.clone());
        Some(pair)
    }
}

/// What has happened to a socket so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Happened {
    /// All events.
    pub ready: Ready,
    /// The last error.
    pub error: Option<SocketError>,
}

/// A host.
pub struct Host {
    /// Its stack.
    pub stack: Stack<Memory>,
    /// Its surroundings.
    pub env: Memory,
    happened: HashMap<SocketId, Happened>,
}

impl Host {
    /// A host without interfaces.
    pub fn new(config: Config, seed: u64) -> Self {
        Host {
            stack: Stack::new(config, [seed, seed ^ 1, seed.rotate_left(17), !seed]),
            env: Memory {
                outbox: VecDeque::new(),
                packets_left: usize::MAX,
                send_capacity: 65_536,
                recv_capacity: 65_536,
                accepts: true,
                streams: HashMap::new(),
            },
            happened: HashMap::new(),
        }
    }

    /// A host with interface 0 and one address in a /24.
    pub fn with_address(config: Config, seed: u64, addr: [u8; 4], iface: IfaceConfig) -> Self {
        let mut host = Host::new(config, seed);
        host.stack.add_iface(0, iface).expect("interface 0 is free");
        let addr = IfaceAddr {
            addr: IpAddr::from(addr),
            prefix: 24,
        };
        host.stack.add_address(0, addr).expect("a good address");
        host
    }

    /// A socket that listens on `addr`.
    pub fn listen(&mut self, addr: SocketAddr, backlog: usize) -> SocketId {
        let id = self.stack.tcp_open().expect("room for a socket");
        self.stack.bind(id, addr).expect("a free address");
        self.stack.tcp_listen(id, backlog).expect("a bound socket");
        id
    }

    /// A socket that connects to `peer`, with buffers of that size.
    pub fn connect(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        capacity: usize,
    ) -> Result<SocketId, SocketRequestError> {
        let id = self.stack.tcp_open()?;
        if let Err(error) = self.connect_with(now, id, peer, capacity) {
            self.stack.close(now, id)?;
            return Err(error);
        }
        Ok(id)
    }

    /// Connects a socket that is there already.
    pub fn connect_with(
        &mut self,
        now: Instant,
        id: SocketId,
        peer: SocketAddr,
        capacity: usize,
    ) -> Result<(), SocketRequestError> {
        let (tx, rx) = (Fifo::new(capacity), Fifo::new(capacity));
        self.stack
            .tcp_connect(now, id, peer, tx.clone(), rx.clone())?;
        self.env.streams.insert(id, (tx, rx));
        Ok(())
    }

    /// The outgoing bytes of a connection.
    pub fn tx(&self, id: SocketId) -> Fifo {
        self.env.streams[&id].0.clone()
    }

    /// The incoming bytes of a connection.
    pub fn rx(&self, id: SocketId) -> Fifo {
        self.env.streams[&id].1.clone()
    }

    /// Writes into a connection; returns how much fitted.
    pub fn write(&mut self, now: Instant, id: SocketId, data: &[u8]) -> usize {
        let count = self.tx(id).put(data);
        self.stack.tcp_send_progress(now, id);
        self.stack.flush(now, &mut self.env);
        count
    }

    /// Reads from a connection.
    pub fn read(&mut self, now: Instant, id: SocketId, count: usize) -> Vec<u8> {
        let data = self.rx(id).take(count);
        self.stack.tcp_recv_progress(now, id);
        self.stack.flush(now, &mut self.env);
        data
    }

    /// Gives a packet to the stack and flushes.
    pub fn receive(&mut self, now: Instant, packet: &[u8], meta: RxMeta) {
        self.stack
            .handle_packet(now, 0, packet, meta, &mut self.env);
        self.stack.flush(now, &mut self.env);
    }

    /// Runs timers.
    pub fn poll(&mut self, now: Instant) {
        self.stack.poll(now, &mut self.env);
    }

    /// Takes all events, and adds them to what has happened.
    pub fn take_events(&mut self) {
        while let Some(event) = self.stack.poll_event() {
            let happened = self.happened.entry(event.socket).or_default();
            happened.ready |= event.ready;
            happened.error = event.error.or(happened.error);
            if event.ready.contains(Ready::RELEASED) {
                self.env.streams.remove(&event.socket);
            }
        }
    }

    /// What has happened to a socket so far.
    pub fn happened(&mut self, id: SocketId) -> Happened {
        self.take_events();
        self.happened.get(&id).copied().unwrap_or_default()
    }

    /// A named counter.
    pub fn stat(&self, name: &str) -> u64 {
        let found = self.stack.stats().iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }
}
