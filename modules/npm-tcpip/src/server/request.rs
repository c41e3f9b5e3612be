//! What comes over a socket's doorbell: requests, and the end of the program's interest.

use super::Server;
use super::errno::*;
use super::slab::Key;
use io_net_ddk::prelude::*;
use io_net_os::{epoll, futex, unix};
use io_net_proto::address::{Address, FAMILY_NONE, FAMILY_V4};
use io_net_proto::request::{Request, VALUE_MAX, op};
use io_net_proto::slot::{Slot, State};
use io_net_tcpip::{Instant, SocketId, Transport};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

/// Requests taken from one doorbell at a time, so that others get their turn.
const BUDGET: usize = 16;
/// Ports below this are for the superuser and for io-net's own user.
const FIRST_COMMON_PORT: u16 = 1024;

impl Server {
    pub(super) fn handle_doorbell(&mut self, now: Instant, key: Key, events: u32, cx: &Cx) -> bool {
        if events & epoll::OUT != 0 {
            self.accept_stalled(key, cx);
        }
        if events & !epoll::OUT == 0 {
            return false;
        }
        let mut message = [0; size_of::<Request>() + 1];
        for _ in 0..BUDGET {
            let socket = self.shell.tables.sockets.get(key);
            let Some(doorbell) = socket.and_then(|s| s.doorbell.as_ref()) else {
                return false;
            };
            let wait = unix::Wait::DontWait;
            match unix::recv_fds(doorbell.as_fd(), &mut message, wait) {
                Ok(received) if received.len > 0 => {
                    self.take_request(now, key, &message[..received.len]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.close(now, key, cx);
                    return false;
                }
            }
        }
        true
    }

    fn take_request(&mut self, now: Instant, key: Key, message: &[u8]) {
        let sequence = match message.first_chunk() {
            Some(bytes) => u32::from_ne_bytes(*bytes),
            None => 0,
        };
        let result = match Request::parse(message) {
            Some(request) => self.perform(now, key, &request),
            None => {
                self.stats.malformed_requests.add(1);
                Err(EINVAL)
            }
        };
        let Some((socket, segment)) = self.shell.tables.socket(key) else {
            return;
        };
        if let Some(slot) = segment.memory.segment.slot(socket.slot) {
            reply(slot, sequence, result);
        }
    }

    /// Does what a request asks; the payload of the reply, or an errno.
    fn perform(&mut self, now: Instant, key: Key, request: &Request) -> Result<Vec<u8>, u32> {
        self.attend(now, key);
        let socket = self.shell.tables.sockets.get(key).ok_or(EBADF)?;
        let id = socket.id.ok_or(EBADF)?;
        let option = (request.args[0], request.args[1]);
        match request.op {
            op::BIND => self.bind(key, id, request.address).map(|()| Vec::new()),
            op::CONNECT => self
                .connect(now, key, id, request.address)
                .map(|()| Vec::new()),
            op::LISTEN => self.listen(key, id, request.args[0]).map(|()| Vec::new()),
            op::SET_OPTION => self
                .set_option(now, id, option, request.value())
                .map(|()| Vec::new()),
            op::GET_OPTION => self.get_option(id, option),
            op::SYNC => Ok(Vec::new()),
            _ => Err(EOPNOTSUPP),
        }
    }

    fn bind(&mut self, key: Key, id: SocketId, address: Address) -> Result<(), u32> {
        let address = ipv4(address)?;
        let socket = self.shell.tables.sockets.get(key).ok_or(EBADF)?;
        let reserved = (1..FIRST_COMMON_PORT).contains(&address.port());
        if reserved && socket.uid != 0 && socket.uid != self.door.own_uid() {
            return Err(EACCES);
        }
        if socket.bound.is_some() {
            return Err(EINVAL);
        }
        self.stack.bind(id, address).map_err(of_request)?;
        self.note_bound(key, id);
        Ok(())
    }

    /// Remembers and shows where a socket is bound.
    fn note_bound(&mut self, key: Key, id: SocketId) {
        let (local, peer) = (self.stack.local_addr(id), self.stack.peer_addr(id));
        if let Some((socket, segment)) = self.shell.tables.socket(key) {
            socket.bound = local;
            socket.show_addresses(segment, local, peer);
        }
    }

    fn connect(
        &mut self,
        now: Instant,
        key: Key,
        id: SocketId,
        address: Address,
    ) -> Result<(), u32> {
        if id.transport() == Transport::Udp {
            let peer = match address.family {
                FAMILY_NONE => None,
                _ => Some(ipv4(address)?),
            };
            self.stack.udp_connect(id, peer).map_err(of_request)?;
            self.note_bound(key, id);
            return Ok(());
        }
        let peer = ipv4(address)?;
        let socket = self.shell.tables.sockets.get(key).ok_or(EBADF)?;
        let id = match socket.state {
            State::Open => id,
            State::Closed => self.reopen(now, key, id)?,
            State::Connecting => return Err(EALREADY),
            _ => return Err(EISCONN),
        };
        let socket = self.shell.tables.sockets.get(key).ok_or(EBADF)?;
        let (segment, slot) = (socket.segment, socket.slot);
        let buffers = self.shell.tables.stream_buffers(segment, slot);
        let (send, recv) = buffers.ok_or(ENOBUFS)?;
        let started = self.stack.tcp_connect(now, id, peer, send, recv);
        started.map_err(of_request)?;
        self.note_bound(key, id);
        let (socket, segment) = self.shell.tables.socket(key).ok_or(EBADF)?;
        socket.state = State::Connecting;
        socket.ends = 0;
        socket.show(segment);
        Err(EINPROGRESS)
    }

    /// A connection attempt failed, and the program tries again with the same socket: gives it a
    /// new one of the stack's. One that was connected is not reused, as its FIFOs have been.
    fn reopen(&mut self, now: Instant, key: Key, old: SocketId) -> Result<SocketId, u32> {
        let (socket, segment) = self.shell.tables.socket(key).ok_or(EBADF)?;
        let slot = segment.memory.segment.slot(socket.slot).ok_or(EBADF)?;
        if slot.server.max_segment.load(Ordering::Relaxed) != 0 {
            return Err(EISCONN);
        }
        let bound = socket.bound.take();
        let id = self.stack.tcp_open().map_err(of_request)?;
        self.shell.tables.name(key, id);
        // The old one has failed: nothing is left to be refused.
        let _ = self.stack.close(now, old);
        self.apply_options(now, key);
        if let Some(address) = bound {
            self.stack.bind(id, address).map_err(of_request)?;
        }
        Ok(id)
    }

    fn listen(&mut self, key: Key, id: SocketId, backlog: u32) -> Result<(), u32> {
        if id.transport() == Transport::Udp {
            return Err(EOPNOTSUPP);
        }
        let socket = self.shell.tables.sockets.get(key).ok_or(EBADF)?;
        if !matches!(socket.state, State::Open | State::Listening) {
            return Err(EINVAL);
        }
        if self.stack.local_addr(id).is_none() {
            let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            self.stack.bind(id, any).map_err(of_request)?;
        }
        // Linux's listen takes a negative backlog for the largest, and 0 for 1.
        let backlog = backlog.clamp(1, i32::MAX as u32) as usize;
        self.stack.tcp_listen(id, backlog).map_err(of_request)?;
        self.note_bound(key, id);
        let (socket, segment) = self.shell.tables.socket(key).ok_or(EBADF)?;
        socket.state = State::Listening;
        socket.show(segment);
        Ok(())
    }
}

fn ipv4(address: Address) -> Result<SocketAddr, u32> {
    let parsed = (address.family == FAMILY_V4).then(|| address.to_std());
    parsed.flatten().ok_or(EAFNOSUPPORT)
}

/// Stores a reply, and wakes who waits for it.
fn reply(slot: &Slot, sequence: u32, result: Result<Vec<u8>, u32>) {
    let (errno, payload) = match result {
        Ok(payload) => (0, payload),
        Err(errno) => (errno, Vec::new()),
    };
    let len = payload.len().min(VALUE_MAX);
    for (word, bytes) in slot.reply.payload.iter().zip(payload[..len].chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
    }
    slot.reply.payload_len.store(len as u32, Ordering::Relaxed);
    slot.reply.errno.store(errno, Ordering::Relaxed);
    slot.reply.sequence.store(sequence, Ordering::Release);
    futex::wake(&slot.reply.sequence, u32::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_shows_its_number_last_and_its_value_whole() {
        let slot = Slot::default();
        reply(&slot, 7, Ok((0..11).collect()));
        assert_eq!(slot.reply.sequence.load(Ordering::Relaxed), 7);
        assert_eq!(slot.reply.payload_len.load(Ordering::Relaxed), 11);
        let second = slot.reply.payload[1].load(Ordering::Relaxed);
        assert_eq!(second.to_ne_bytes(), [8, 9, 10, 0, 0, 0, 0, 0]);
        reply(&slot, 8, Err(EINVAL));
        assert_eq!(slot.reply.errno.load(Ordering::Relaxed), EINVAL);
        assert_eq!(slot.reply.payload_len.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn only_ipv4_is_spoken_yet() {
        let v6: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(ipv4(v6.into()), Err(EAFNOSUPPORT));
        assert_eq!(ipv4(Address::default()), Err(EAFNOSUPPORT));
        let v4: SocketAddr = "10.0.0.1:80".parse().unwrap();
        assert_eq!(ipv4(v4.into()), Ok(v4));
    }
}
