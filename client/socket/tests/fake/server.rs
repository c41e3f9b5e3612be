//! Sessions, segments and the loop.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use io_net_os::epoll::{Epoll, Event, HUP, IN, RDHUP};
use io_net_os::eventfd::EventFd;
use io_net_os::unix::{self, Wait};
use io_net_os::{eventfd, futex};
use io_net_proto::address::Address;
use io_net_proto::request::{Accepted, Request};
use io_net_proto::segment::Geometry;
use io_net_proto::session::{Answer, Call, Hello, Interface, MAGIC, Welcome, op};
use io_net_proto::slot::{Slot, State, kind};
use io_net_proto::view::Segment;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::socket::Socket;

const FIFO: u32 = 128 * 1024;
const SLOTS: u32 = 64;

pub(crate) struct Memory {
    pub(crate) segment: Segment,
    pub(crate) bell: OwnedFd,
    memfd: OwnedFd,
    used: std::cell::RefCell<Vec<bool>>,
}

struct Session {
    fd: OwnedFd,
    welcomed: bool,
    segments: Vec<Rc<Memory>>,
    sent: Vec<u64>,
}

pub(crate) struct Server {
    listener: OwnedFd,
    kick: Arc<EventFd>,
    epoll: Epoll,
    sessions: HashMap<i32, Session>,
    /// By a number never used twice, so that no event meant for a closed one finds them.
    pub(crate) sockets: HashMap<i32, Socket>,
    by_cookie: HashMap<u64, i32>,
    count: Arc<AtomicU32>,
    next_segment: u64,
    next_port: u16,
    next_number: i32,
}

fn raw(fd: &impl AsRawFd) -> i32 {
    fd.as_raw_fd()
}

impl Server {
    pub(crate) fn new(listener: OwnedFd, kick: Arc<EventFd>, count: Arc<AtomicU32>) -> Self {
        let epoll = Epoll::new().unwrap();
        epoll.add(listener.as_fd(), IN, 0).unwrap();
        epoll.add((*kick).as_fd(), IN, 0).unwrap();
        let (sessions, sockets) = (HashMap::new(), HashMap::new());
        let by_cookie = HashMap::new();
        let (next_segment, next_port, next_number) = (1, 40_000, 1 << 20);
        Self {
            listener,
            kick,
            epoll,
            sessions,
            sockets,
            by_cookie,
            count,
            next_segment,
            next_port,
            next_number,
        }
    }

    /// One turn: descriptors, dirty slots, sleep when there is nothing.
    pub(crate) fn turn(&mut self) {
        let idle =
            self.serve_slots() == 0 && self.memories().all(|m| m.segment.header().dirty.sleep());
        let timeout = if idle {
            Duration::from_millis(100)
        } else {
            Duration::ZERO
        };
        let mut events = [Event::default(); 32];
        let n = self.epoll.wait(&mut events, Some(timeout)).unwrap().len();
        self.memories()
            .for_each(|m| m.segment.header().dirty.awake());
        self.kick.lower();
        while let Ok(fd) = unix::accept(self.listener.as_fd()) {
            self.epoll
                .add(fd.as_fd(), IN | RDHUP, raw(&fd) as u64)
                .unwrap();
            let session = Session {
                fd,
                welcomed: false,
                segments: Vec::new(),
                sent: Vec::new(),
            };
            self.sessions.insert(raw(&session.fd), session);
        }
        for event in &events[..n] {
            let fd = event.token() as i32;
            if self.sessions.contains_key(&fd) {
                self.serve_session(fd);
            } else if self.sockets.contains_key(&fd) {
                self.serve_doorbell(fd, event.events() & (HUP | RDHUP) != 0);
            }
        }
    }

    fn memories(&self) -> impl Iterator<Item = &Rc<Memory>> {
        let of_sockets = self.sockets.values().map(|s| &s.memory);
        self.sessions
            .values()
            .flat_map(|s| &s.segments)
            .chain(of_sockets)
    }

    fn serve_slots(&mut self) -> usize {
        let mut dirty = Vec::new();
        for (fd, socket) in &self.sockets {
            let _ = fd;
            for word in 0..SLOTS.div_ceil(64) as usize {
                let bits = socket.memory.segment.header().dirty.take(word);
                dirty.extend(
                    (0..64)
                        .filter(|b| bits >> b & 1 != 0)
                        .map(|b| (socket.memory.segment.id(), word as u32 * 64 + b)),
                );
            }
        }
        for &(segment, slot) in &dirty {
            let at = |s: &Socket| s.memory.segment.id() == segment && s.index == slot;
            let found = self.sockets.iter().find(|(_, s)| at(s)).map(|(fd, _)| *fd);
            if let Some(fd) = found {
                self.pump(fd);
                if let Some(peer) = self.sockets.get(&fd).and_then(|s| s.peer) {
                    self.pump(peer);
                    self.reap(peer);
                }
            }
        }
        dirty.len()
    }

    fn new_segment(&mut self) -> Rc<Memory> {
        let geometry = Geometry::new(SLOTS, FIFO).unwrap();
        let (segment, memfd) = Segment::create(geometry, self.next_segment).unwrap();
        self.next_segment += 1;
        let bell = EventFd::new().unwrap().into_fd();
        Rc::new(Memory {
            segment,
            memfd,
            bell,
            used: vec![false; SLOTS as usize].into(),
        })
    }

    fn serve_session(&mut self, fd: i32) {
        let mut session = self.sessions.remove(&fd).unwrap();
        let mut buf = [0; 256];
        let keep = match unix::recv_fds(session.fd.as_fd(), &mut buf, Wait::DontWait) {
            Ok(received) if received.len == 0 => false,
            Ok(received) if !session.welcomed => self.welcome(&mut session, &buf[..received.len]),
            Ok(mut received) => {
                let call = Call::read_from_bytes(&buf[..received.len]);
                call.is_ok_and(|call| self.answer(&mut session, &call, received.take_fd()))
            }
            Err(e) => e.kind() == std::io::ErrorKind::WouldBlock,
        };
        if keep {
            self.sessions.insert(fd, session);
        }
    }

    fn welcome(&mut self, session: &mut Session, message: &[u8]) -> bool {
        let Ok(hello) = Hello::read_from_bytes(message) else {
            return false;
        };
        let mut welcome = Welcome::new_zeroed();
        (welcome.magic, welcome.major) = (MAGIC, io_net_proto::MAJOR);
        if hello.magic != MAGIC || hello.major != io_net_proto::MAJOR {
            welcome.errno = 71; // EPROTO
            return send(session.fd.as_fd(), welcome.as_bytes(), &[]);
        }
        let memory = self.new_segment();
        welcome.segment = memory.segment.geometry().info(memory.segment.id());
        session.welcomed = true;
        session.sent.push(memory.segment.id());
        let fds = [
            memory.memfd.as_fd(),
            (*self.kick).as_fd(),
            memory.bell.as_fd(),
        ];
        let sent = send(session.fd.as_fd(), welcome.as_bytes(), &fds);
        session.segments.push(memory.clone());
        sent
    }

    fn answer(&mut self, session: &mut Session, call: &Call, fd: Option<OwnedFd>) -> bool {
        let mut answer = Answer::new_zeroed();
        let made = match call.op {
            op::SOCKET => {
                let [domain, socket_type, protocol] = call.args;
                if domain != 2 {
                    answer.errno = 97; // EAFNOSUPPORT
                    return send(session.fd.as_fd(), answer.as_bytes(), &[]);
                }
                let kind = kind(domain, socket_type, protocol);
                let memory = self.memory_for(session);
                let (number, program) = self.new_socket(&memory, kind).unwrap();
                Some((number, Some(program)))
            }
            op::ADOPT => {
                let cookie = fd.and_then(|fd| unix::cookie(fd.as_fd()).ok());
                cookie
                    .and_then(|c| self.by_cookie.get(&c))
                    .map(|&number| (number, None))
            }
            op::INTERFACE if call.args[0] == 1 || call.name.starts_with(b"en0") => {
                let mut name = [0; 16];
                name[..3].copy_from_slice(b"en0");
                let (address, netmask) = ([10, 0, 0, 1], [255, 255, 255, 0]);
                let (index, flags, mtu) = (1, 0x1043, 1500);
                answer.interface = Interface {
                    name,
                    index,
                    flags,
                    mtu,
                    address,
                    netmask,
                    ..Interface::default()
                };
                return send(session.fd.as_fd(), answer.as_bytes(), &[]);
            }
            _ => None,
        };
        let Some((number, program)) = made else {
            answer.errno = 88; // ENOTSOCK
            return send(session.fd.as_fd(), answer.as_bytes(), &[]);
        };
        let socket = &self.sockets[&number];
        let memory = socket.memory.clone();
        answer.slot = socket.index;
        answer.generation = socket.slot().server.generation.load(Ordering::Relaxed);
        answer.segment = memory.segment.geometry().info(memory.segment.id());
        let mut fds: Vec<BorrowedFd<'_>> = program.iter().map(AsFd::as_fd).collect();
        if !session.sent.contains(&memory.segment.id()) {
            session.sent.push(memory.segment.id());
            answer.has_segment = 1;
            fds.extend([
                memory.memfd.as_fd(),
                (*self.kick).as_fd(),
                memory.bell.as_fd(),
            ]);
        }
        send(session.fd.as_fd(), answer.as_bytes(), &fds)
    }

    fn memory_for(&mut self, session: &mut Session) -> Rc<Memory> {
        let free = |m: &&Rc<Memory>| m.used.borrow().contains(&false);
        if let Some(memory) = session.segments.iter().find(free) {
            return memory.clone();
        }
        let memory = self.new_segment();
        session.segments.push(memory.clone());
        memory
    }

    /// A socket in `memory`, or in a new segment if that is full: its number here and the program's
    /// end.
    pub(crate) fn new_socket(&mut self, memory: &Rc<Memory>, kind: u32) -> Option<(i32, OwnedFd)> {
        let index = memory.used.borrow().iter().position(|used| !used);
        let Some(index) = index else {
            let memory = self.new_segment();
            return self.new_socket(&memory, kind);
        };
        memory.used.borrow_mut()[index] = true;
        let (program, doorbell) = unix::seqpacket_pair(false).ok()?;
        let number = self.next_number;
        self.next_number += 1;
        self.epoll
            .add(doorbell.as_fd(), IN | RDHUP, number as u64)
            .ok()?;
        let cookie = unix::cookie(program.as_fd()).ok()?;
        self.by_cookie.insert(cookie, number);
        let socket = Socket::new(memory.clone(), index as u32, doorbell, cookie, kind, FIFO);
        self.sockets.insert(number, socket);
        self.count
            .store(self.sockets.len() as u32, Ordering::Relaxed);
        Some((number, program))
    }

    /// The program's last descriptor is closed: what it has sent still goes to the peer.
    fn close(&mut self, number: i32) {
        let Some(socket) = self.sockets.get_mut(&number) else {
            return;
        };
        self.epoll.remove(socket.doorbell.as_fd()).unwrap();
        self.by_cookie.remove(&socket.cookie);
        socket.closed = true;
        self.pump(number);
        self.reap(number);
    }

    /// Frees a closed socket once its bytes are gone.
    pub(crate) fn reap(&mut self, number: i32) {
        let done = |s: &mut Socket| s.closed && (s.peer.is_none() || s.is_drained());
        if !self.sockets.get_mut(&number).is_some_and(done) {
            return;
        }
        let Some(mut socket) = self.sockets.remove(&number) else {
            return;
        };
        if let Some(peer) = socket.peer
            && let Some(other) = self.sockets.get_mut(&peer)
        {
            other.peer = None;
            other.peer_closed(socket.has_unread());
            self.wake(peer);
            self.reap(peer);
        }
        let slot = socket.slot();
        let generation = slot
            .server
            .generation
            .load(Ordering::Relaxed)
            .wrapping_add(1);
        slot.server.generation.store(generation, Ordering::Relaxed);
        slot.server
            .state
            .store(State::Free as u32, Ordering::Release);
        socket.memory.used.borrow_mut()[socket.index as usize] = false;
        self.count
            .store(self.sockets.len() as u32, Ordering::Relaxed);
    }

    fn serve_doorbell(&mut self, number: i32, hung_up: bool) {
        let mut buf = [0; 512];
        let received = {
            let socket = &self.sockets[&number];
            unix::recv_fds(socket.doorbell.as_fd(), &mut buf, Wait::DontWait)
        };
        match received {
            Ok(received) if received.len > 0 => {
                if let Some(request) = Request::parse(&buf[..received.len]) {
                    let answer = self.request(number, &request);
                    self.sockets[&number].reply(request.sequence, answer);
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock && !hung_up => {}
            _ => self.close(number),
        }
    }

    pub(crate) fn take_port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    /// Makes a connection to the listener `number` wait there; returns the new socket.
    pub(crate) fn offer(&mut self, number: i32, local: Address, remote: Address) -> Option<i32> {
        let memory = self.sockets[&number].memory.clone();
        let kind = self.sockets[&number].kind;
        let (new, program) = self.new_socket(&memory, kind)?;
        let socket = self.sockets.get_mut(&new)?;
        socket.become_connected(local, remote);
        let mut accepted = Accepted::new_zeroed();
        (accepted.magic, accepted.slot) = (Accepted::MAGIC, socket.index);
        accepted.segment = socket
            .memory
            .segment
            .geometry()
            .info(socket.memory.segment.id());
        accepted.generation = socket.slot().server.generation.load(Ordering::Relaxed);
        (accepted.local, accepted.remote) = (local, remote);
        let listener = self.sockets[&number].doorbell.as_fd();
        send(listener, accepted.as_bytes(), &[program.as_fd()]).then_some(new)
    }

    pub(crate) fn wake(&self, number: i32) {
        let socket = &self.sockets[&number];
        let wake = socket.memory.segment.publish(socket.index);
        if wake.futex {
            futex::wake(
                socket.memory.segment.event_counter(socket.index).unwrap(),
                u32::MAX,
            );
        }
        if wake.bells != 0 {
            eventfd::raise(socket.memory.bell.as_fd());
        }
    }
}

fn send(to: BorrowedFd<'_>, message: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
    unix::send_fds(to, message, fds, Wait::DontWait).is_ok()
}

/// All of a slot's words as for a new socket, but for the generation.
pub(crate) fn clear(slot: &Slot) {
    let fresh = Slot::default();
    let generation = slot.server.generation.load(Ordering::Relaxed);
    macro_rules! copy {
        ($($field:ident . $word:ident),* $(,)?) => {
            $(slot.$field.$word.store(fresh.$field.$word.load(Ordering::Relaxed), Ordering::Relaxed);)*
        };
    }
    copy!(
        server.state,
        server.rx_tail,
        server.rx_base,
        server.tx_head,
        server.rx_notify_at,
        server.max_segment,
        program.tx_tail,
        program.tx_base,
        program.rx_head,
        program.tx_notify_at,
        program.shutdown,
        program.options_sequence,
        program.request_sequence,
        program.waiting,
        program.watchers,
        shared.nonblocking,
        shared.receive_low,
        shared.connect_pending,
        shared.receive_timeout,
        shared.send_timeout,
        both.error,
        reply.sequence,
    );
    slot.options
        .iter()
        .for_each(|word| word.store(0, Ordering::Relaxed));
    slot.addresses.set(Address::default(), Address::default());
    slot.server.generation.store(generation, Ordering::Relaxed);
}
