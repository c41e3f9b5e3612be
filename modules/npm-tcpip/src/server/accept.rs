//! Listeners: each established connection becomes one message to the program, with the new
//! socket's doorbell.

use super::slab::Key;
use super::{COOKIE_DOORBELL, Server};
use io_net_ddk::prelude::*;
use io_net_os::{epoll, unix};
use io_net_proto::request::Accepted;
use io_net_proto::slot::State;
use io_net_tcpip::{Accepted as Connection, Instant};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::Ordering;
use zerocopy::IntoBytes;

impl Server {
    /// Hands out the connections that wait at a listener, as many as its doorbell takes; the rest
    /// wait in the stack, whose backlog bounds them.
    pub(super) fn accept_waiting(&mut self, listener: Key, cx: &Cx) {
        loop {
            let Some(socket) = self.shell.tables.sockets.get(listener) else {
                return;
            };
            let (Some(id), None, Some(_)) = (socket.id, &socket.stalled, &socket.doorbell) else {
                return;
            };
            let Some(connection) = self.stack.tcp_accept(id) else {
                return;
            };
            let Some((message, doorbell)) = self.seat(listener, &connection, cx) else {
                self.stats.accept_failed.add(1);
                continue;
            };
            self.hand_out(listener, message, doorbell, cx);
        }
    }

    /// A listener's doorbell has room again.
    pub(super) fn accept_stalled(&mut self, listener: Key, cx: &Cx) {
        let socket = self.shell.tables.sockets.get_mut(listener);
        let Some((message, doorbell)) = socket.and_then(|s| s.stalled.take()) else {
            return;
        };
        self.watch_doorbell(listener, cx);
        self.hand_out(listener, message, doorbell, cx);
        self.accept_waiting(listener, cx);
    }

    /// A program has shut its listener for reading, with which Linux ends the listening: the port
    /// is free, and whoever waits for a connection hears that there will be none.
    pub(super) fn stop_listening(&mut self, now: Instant, listener: Key) {
        let Some(socket) = self.shell.tables.sockets.get_mut(listener) else {
            return;
        };
        socket.stalled = None;
        (socket.state, socket.bound) = (State::Open, None);
        let Some(old) = socket.id.take() else { return };
        let doorbell = socket.doorbell.as_ref();
        if let Some(copy) = doorbell.and_then(|ours| ours.try_clone().ok()) {
            // Cannot fail on a connected pair.
            let _ = UnixDatagram::from(copy).shutdown(Shutdown::Write);
        }
        // The listener has connections to lose, and nothing that could be refused.
        let _ = self.stack.close(now, old);
        if let Ok(id) = self.stack.tcp_open() {
            self.shell.tables.name(listener, id);
        }
        if let Some((socket, segment)) = self.shell.tables.socket(listener) {
            socket.show(segment);
            socket.show_addresses(segment, None, None);
        }
        self.tell(listener);
    }

    /// Makes the doorbell of a connection, and the message that tells of it.
    fn seat(
        &mut self,
        listener: Key,
        connection: &Connection,
        cx: &Cx,
    ) -> Option<(Accepted, OwnedFd)> {
        let tables = &mut self.shell.tables;
        let key = tables.find(connection.socket)?;
        tables.inherit_options(listener, key);
        let theirs = self.make_doorbell(key, cx).ok()?;
        let info = self.stack.tcp_info(connection.socket);
        let (socket, segment) = self.shell.tables.socket(key)?;
        socket.show_addresses(segment, Some(connection.local), Some(connection.peer));
        let slot = segment.memory.segment.slot(socket.slot)?;
        let mss = info.map_or(0, |info| u32::from(info.mss));
        slot.server.max_segment.store(mss, Ordering::Relaxed);
        let message = Accepted {
            magic: Accepted::MAGIC,
            slot: socket.slot,
            segment: segment.info(),
            generation: segment.generation(socket.slot),
            reserved: 0,
            remote: connection.peer.into(),
            local: connection.local.into(),
        };
        Some((message, theirs))
    }

    /// Gives a socket a doorbell; returns the program's end.
    pub(super) fn make_doorbell(&mut self, key: Key, cx: &Cx) -> io::Result<OwnedFd> {
        let (ours, theirs) = unix::seqpacket_pair(false)?;
        let cookie = unix::cookie(theirs.as_fd())?;
        self.shell.tables.hang_doorbell(key, ours, cookie);
        self.watch_doorbell(key, cx);
        Ok(theirs)
    }

    fn hand_out(&mut self, listener: Key, message: Accepted, doorbell: OwnedFd, cx: &Cx) {
        let Some(socket) = self.shell.tables.sockets.get_mut(listener) else {
            return;
        };
        let Some(ours) = &socket.doorbell else { return };
        let fds = [doorbell.as_fd()];
        let wait = unix::Wait::DontWait;
        let sent = unix::send_fds(ours.as_fd(), message.as_bytes(), &fds, wait);
        match sent {
            Ok(()) => self.stats.accepted.add(1),
            // Full, or (EPIPE) the listener is being closed: then its end-of-file comes next, and
            // the connection's after it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(_) => {
                socket.stalled = Some((message, doorbell));
                let fd = ours.as_fd();
                let events = epoll::IN | epoll::OUT;
                if cx
                    .watch(fd, events, super::cookie(COOKIE_DOORBELL, listener))
                    .is_err()
                {
                    self.stats.watch_failed.add(1);
                }
            }
        }
    }
}
