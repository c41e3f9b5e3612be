//! One socket, and what its requests and bytes do.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};

use io_net_os::futex;
use io_net_proto::address::{Address, FAMILY_NONE, FAMILY_V4};
use io_net_proto::request::{Request, op};
use io_net_proto::slot::{Record, SHUT_RX, SHUT_TX, STATE_RX_END, STATE_TX_END, Slot, State};
use io_net_ring::fifo::{Consumer, Producer};
use io_net_ring::wake::reached;
use zerocopy::{FromBytes, IntoBytes};

use super::server::{Memory, Server, clear};

const EINVAL: u32 = 22;
const EADDRINUSE: u32 = 98;
const ECONNRESET: u32 = 104;
const EISCONN: u32 = 106;
const ECONNREFUSED: u32 = 111;
const EINPROGRESS: u32 = 115;
const ENOPROTOOPT: u32 = 92;

pub(crate) struct Socket {
    pub(crate) memory: Rc<Memory>,
    pub(crate) index: u32,
    pub(crate) doorbell: OwnedFd,
    pub(crate) cookie: u64,
    pub(crate) kind: u32,
    pub(crate) peer: Option<i32>,
    /// The program's last descriptor is closed.
    pub(crate) closed: bool,
    size: u32,
    state: State,
    flags: u32,
    local: Address,
    remote: Address,
    tx: Consumer,
    rx: Producer,
}

impl Socket {
    pub(crate) fn new(
        memory: Rc<Memory>,
        index: u32,
        doorbell: OwnedFd,
        cookie: u64,
        kind: u32,
        size: u32,
    ) -> Self {
        let (local, remote) = (Address::default(), Address::default());
        let (tx, rx) = (Consumer::default(), Producer::default());
        let (state, peer) = (State::Open, None);
        let (closed, flags) = (false, 0);
        let new = Self {
            memory,
            index,
            doorbell,
            cookie,
            kind,
            peer,
            closed,
            size,
            state,
            flags,
            local,
            remote,
            tx,
            rx,
        };
        clear(new.slot());
        let server = &new.slot().server;
        server.kind.store(kind, Ordering::Relaxed);
        server.tx_size.store(size, Ordering::Relaxed);
        server.rx_size.store(size, Ordering::Relaxed);
        new.show();
        new
    }

    pub(crate) fn slot(&self) -> &Slot {
        self.memory.segment.slot(self.index).unwrap()
    }

    fn is_stream(&self) -> bool {
        self.kind >> 8 & 0xff == 1
    }

    fn show(&self) {
        self.slot().addresses.set(self.local, self.remote);
        self.slot()
            .server
            .state
            .store(self.state as u32 | self.flags, Ordering::Release);
    }

    pub(crate) fn become_connected(&mut self, local: Address, remote: Address) {
        (self.local, self.remote, self.state) = (local, remote, State::Connected);
        self.show();
    }

    pub(crate) fn reply(&self, sequence: u32, errno: u32) {
        let reply = &self.slot().reply;
        reply.errno.store(errno, Ordering::Relaxed);
        reply.payload_len.store(0, Ordering::Relaxed);
        reply.sequence.store(sequence, Ordering::Release);
        futex::wake(&reply.sequence, u32::MAX);
    }

    /// Whether the program closed without having read all.
    pub(crate) fn has_unread(&mut self) -> bool {
        let fifo = self.memory.segment.rx(self.index, self.size).unwrap();
        self.is_stream() && self.rx.free(&fifo).is_ok_and(|free| free < self.size)
    }

    /// Whether nothing is left in the tx FIFO.
    pub(crate) fn is_drained(&mut self) -> bool {
        let fifo = self.memory.segment.tx(self.index, self.size).unwrap();
        self.tx.used(&fifo) == Ok(0)
    }

    pub(crate) fn peer_closed(&mut self, reset: bool) {
        self.flags |= STATE_RX_END | if reset { STATE_TX_END } else { 0 };
        if reset {
            self.state = State::Closed;
            self.slot().both.error.store(ECONNRESET, Ordering::Release);
        }
        self.show();
    }
}

impl Server {
    /// Does what the program asks of socket `number`, and returns the error or 0.
    pub(crate) fn request(&mut self, number: i32, request: &Request) -> u32 {
        match request.op {
            op::BIND => self.bind(number, request.address),
            op::LISTEN => {
                let socket = self.sockets.get_mut(&number).unwrap();
                socket.state = State::Listening;
                socket.show();
                0
            }
            op::CONNECT => self.connect(number, request.address),
            op::SYNC => 0,
            _ => ENOPROTOOPT,
        }
    }

    fn bind(&mut self, number: i32, mut address: Address) -> u32 {
        if address.port == 0 {
            address.port = self.take_port();
        }
        let kind = self.sockets[&number].kind;
        let same = |s: &Socket| s.kind == kind && s.local.port == address.port;
        let taken = |s: &Socket| same(s) && s.state != State::Connected;
        if self.sockets[&number].local.port != 0 {
            return EINVAL;
        }
        if self.sockets.values().any(taken) {
            return EADDRINUSE;
        }
        let socket = self.sockets.get_mut(&number).unwrap();
        socket.local = address;
        socket.show();
        0
    }

    fn connect(&mut self, number: i32, address: Address) -> u32 {
        let port = self.take_port();
        let socket = self.sockets.get_mut(&number).unwrap();
        if socket.is_stream() && socket.state != State::Open {
            return EISCONN;
        }
        if socket.local.port == 0 {
            socket.local = Address { port, ..address };
        }
        socket.remote = address;
        let (local, stream) = (socket.local, socket.is_stream());
        if !stream {
            socket.show();
            return 0;
        }
        let listens = |s: &Socket| s.state == State::Listening && s.local.port == address.port;
        let listener = self
            .sockets
            .iter()
            .find(|(_, s)| listens(s))
            .map(|(n, _)| *n);
        let peer = listener.and_then(|listener| self.offer(listener, address, local));
        let socket = self.sockets.get_mut(&number).unwrap();
        match peer {
            Some(peer) => {
                socket.peer = Some(peer);
                socket.become_connected(local, address);
                self.sockets.get_mut(&peer).unwrap().peer = Some(number);
            }
            None => {
                socket.state = State::Closed;
                socket
                    .slot()
                    .both
                    .error
                    .store(ECONNREFUSED, Ordering::Release);
                socket.show();
            }
        }
        self.wake(number);
        EINPROGRESS
    }

    /// Moves what is in the tx FIFO of socket `number` to where it goes.
    pub(crate) fn pump(&mut self, number: i32) {
        let Some(socket) = self.sockets.get(&number) else {
            return;
        };
        if socket.is_stream() {
            self.pump_stream(number)
        } else {
            self.pump_datagrams(number)
        }
    }

    fn pump_stream(&mut self, number: i32) {
        let Some(mut socket) = self.sockets.remove(&number) else {
            return;
        };
        if let Some(peer) = socket.peer.and_then(|peer| self.sockets.get_mut(&peer)) {
            let moved = socket.move_to(peer);
            let ended = socket.end_toward(peer);
            if moved || ended {
                self.wake(socket.peer.unwrap());
            }
        }
        let room = socket.slot().program.tx_notify_at.load(Ordering::Relaxed);
        let old = socket
            .slot()
            .server
            .tx_head
            .swap(socket.tx.head(), Ordering::Release);
        fence(Ordering::SeqCst);
        let tell = reached(room, old, socket.tx.head());
        self.sockets.insert(number, socket);
        if tell {
            self.wake(number);
        }
    }

    fn pump_datagrams(&mut self, number: i32) {
        let mut socket = self.sockets.remove(&number).unwrap();
        while let Some((record, payload)) = socket.next_message() {
            let port = match record.peer.family {
                FAMILY_NONE => socket.remote.port,
                _ => record.peer.port,
            };
            let kind = socket.kind;
            let to = |s: &Socket| s.kind == kind && s.local.port == port;
            if to(&socket) {
                let (local, remote) = (socket.local, socket.local);
                socket.deliver(&payload, local, remote);
            } else if let Some((to, peer)) = self.sockets.iter_mut().find(|(_, s)| to(s)) {
                let (to, local) = (*to, peer.local);
                let mut from = socket.local;
                from.family = FAMILY_V4;
                from.ip[..4].copy_from_slice(&[127, 0, 0, 1]);
                peer.deliver(&payload, local, from);
                self.wake(to);
            } else if record.peer.family == FAMILY_NONE {
                socket
                    .slot()
                    .both
                    .error
                    .store(ECONNREFUSED, Ordering::Release);
            }
        }
        self.sockets.insert(number, socket);
        self.wake(number);
    }
}

impl Socket {
    fn move_to(&mut self, peer: &mut Self) -> bool {
        let from = self.memory.segment.tx(self.index, self.size).unwrap();
        let to = peer.memory.segment.rx(peer.index, peer.size).unwrap();
        let (Ok(used), Ok(free)) = (self.tx.used(&from), peer.rx.free(&to)) else {
            return false;
        };
        let mut buf = vec![0; used.min(free) as usize];
        self.tx.read_at(&from, 0, &mut buf);
        peer.rx.rewind_if_empty(&to);
        peer.rx.write_at(&to, 0, &buf);
        peer.rx.commit(&to, buf.len() as u32);
        // tx_head is stored by the caller, which must see what it was.
        self.tx_take(buf.len() as u32);
        let notify = &peer.slot().server.rx_notify_at;
        notify.store(
            peer.rx.tail().wrapping_sub(peer.size / 2),
            Ordering::Relaxed,
        );
        !buf.is_empty()
    }

    fn tx_take(&mut self, len: u32) {
        let word = std::sync::atomic::AtomicU32::new(0);
        let fifo = self.memory.segment.tx(self.index, self.size).unwrap();
        let unseen = io_net_ring::fifo::Fifo {
            head: &word,
            ..fifo
        };
        self.tx.consume(&unseen, len);
    }

    /// Passes an end of sending on once all before it has been.
    fn end_toward(&mut self, peer: &mut Self) -> bool {
        let shutdown = self.slot().program.shutdown.load(Ordering::Acquire);
        let mut changed = false;
        if shutdown & SHUT_RX != 0 && self.flags & STATE_RX_END == 0 {
            self.flags |= STATE_RX_END;
            self.show();
        }
        let ends = shutdown & SHUT_TX != 0 || self.closed;
        if ends && self.tx.used_seen() == 0 && self.flags & STATE_TX_END == 0 {
            self.flags |= STATE_TX_END;
            self.show();
            peer.flags |= STATE_RX_END;
            peer.show();
            changed = true;
        }
        changed
    }

    fn next_message(&mut self) -> Option<(Record, Vec<u8>)> {
        let fifo = self.memory.segment.tx(self.index, self.size).unwrap();
        let used = self.tx.used(&fifo).ok()?;
        let mut header = [0; size_of::<Record>()];
        if self.tx.read_at(&fifo, 0, &mut header) < header.len() {
            return None;
        }
        let record = Record::read_from_bytes(&header).ok()?;
        let span = Record::span(record.len).filter(|&span| span <= used)?;
        let mut payload = vec![0; record.len as usize];
        self.tx.read_at(&fifo, header.len() as u32, &mut payload);
        self.tx.consume(&fifo, span);
        Some((record, payload))
    }

    fn deliver(&mut self, payload: &[u8], local: Address, peer: Address) {
        let fifo = self.memory.segment.rx(self.index, self.size).unwrap();
        let len = payload.len() as u32;
        let record = Record {
            len,
            peer,
            local,
            ..Record::default()
        };
        let span = Record::span(len).unwrap();
        if self.rx.free(&fifo).is_ok_and(|free| free >= span) {
            self.rx.rewind_if_empty(&fifo);
            let header = self.rx.write_at(&fifo, 0, record.as_bytes());
            self.rx.write_at(&fifo, header as u32, payload);
            self.rx.commit(&fifo, span);
        }
    }
}
