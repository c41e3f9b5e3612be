//! What the stack's events mean for programs: states, errors, wake-ups; and the end of sockets.

use super::errno;
use super::slab::Key;
use super::socket::ask_for_room;
use super::{COOKIE_DOORBELL, Server};
use io_net_ddk::abi::LOG_WARNING;
use io_net_ddk::prelude::*;
use io_net_os::epoll;
use io_net_proto::slot::{STATE_RX_END, State};
use io_net_tcpip::{Event, Instant, Ready, Transport};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

impl Server {
    /// Takes all of the stack's events. Returns whether there were any.
    #[inline]
    pub(super) fn handle_events(&mut self, now: Instant, cx: &Cx) -> bool {
        let mut any = false;
        while let Some(event) = self.stack.poll_event() {
            any = true;
            self.handle_event(&event, now, cx);
        }
        any
    }

    #[inline]
    fn handle_event(&mut self, event: &Event, now: Instant, cx: &Cx) {
        let Some(key) = self.shell.tables.find(event.socket) else {
            return;
        };
        let rare = Ready::CONNECTED
            | Ready::ACCEPTABLE
            | Ready::PEER_CLOSED
            | Ready::ERROR
            | Ready::DISCONNECTED
            | Ready::RELEASED;
        let mut tell = event.ready.intersects(Ready::READABLE);
        if event.ready.intersects(rare) {
            tell |= self.handle_rare(event, key, cx);
        }
        let size = self.shell.tables.limits.receive_buffer;
        let Some((socket, segment)) = self.shell.tables.socket(key) else {
            return;
        };
        let Some(slot) = segment.memory.segment.slot(socket.slot) else {
            return;
        };
        if event.ready.intersects(Ready::WRITABLE) {
            tell |= socket.room_is_wanted(slot);
        }
        if !tell {
            return;
        }
        let stream = socket.transport == Transport::Tcp;
        if stream && ask_for_room(slot, size) {
            self.stack.tcp_recv_progress(now, event.socket);
        }
        self.tell(key);
    }

    /// Changes of state. Returns whether the program is to be told.
    #[cold]
    fn handle_rare(&mut self, event: &Event, key: Key, cx: &Cx) -> bool {
        let ready = event.ready;
        if ready.intersects(Ready::ACCEPTABLE) {
            self.accept_waiting(key, cx);
        }
        let (local, peer) = (
            self.stack.local_addr(event.socket),
            self.stack.peer_addr(event.socket),
        );
        let info = self.stack.tcp_info(event.socket);
        let Some((socket, segment)) = self.shell.tables.socket(key) else {
            return false;
        };
        let Some(slot) = segment.memory.segment.slot(socket.slot) else {
            return false;
        };
        if ready.intersects(Ready::CONNECTED) {
            socket.state = State::Connected;
            let mss = info.map_or(0, |info| u32::from(info.mss));
            slot.server.max_segment.store(mss, Ordering::Relaxed);
            socket.show_addresses(segment, local, peer);
        }
        if ready.intersects(Ready::PEER_CLOSED) {
            socket.ends |= STATE_RX_END;
        }
        if let Some(error) = event.error {
            let number = errno::of_socket(error);
            slot.both.error.store(number, Ordering::Relaxed);
        }
        let failed = ready.intersects(Ready::ERROR) && socket.transport == Transport::Tcp;
        if failed || ready.intersects(Ready::DISCONNECTED) {
            socket.end();
        }
        socket.show(segment);
        if ready.intersects(Ready::RELEASED) {
            self.release(key, cx);
            return false;
        }
        true
    }

    /// Tells the program that something happened to a socket; rung in [`Server::ring`].
    #[inline]
    pub(super) fn tell(&mut self, key: Key) {
        if let Some((socket, segment)) = self.shell.tables.socket(key) {
            segment.publish(socket.slot);
            self.told.push(socket.segment);
        }
    }

    /// Wakes the sleepers that [`Server::tell`] concerned, once each.
    #[inline]
    pub(super) fn ring(&mut self) {
        for key in self.told.drain(..) {
            if let Some(segment) = self.shell.tables.segments.get_mut(key) {
                segment.ring();
            }
        }
    }

    /// The program has let go of a socket: the stack finishes it, and then it is released.
    pub(super) fn close(&mut self, now: Instant, key: Key, cx: &Cx) {
        // What the program did last counts, datagrams and linger included.
        self.attend(now, key);
        if let Some(doorbell) = self.shell.tables.take_doorbell(key) {
            self.unwatch(doorbell.as_fd(), cx);
        }
        let Some((socket, _)) = self.shell.tables.socket(key) else {
            return;
        };
        // Closes the doorbell of a connection that nobody took: that one is closed in its turn.
        socket.stalled = None;
        let id = socket.id;
        let closing = id.is_some_and(|id| self.stack.close(now, id).is_ok());
        if !closing {
            self.release(key, cx);
        }
    }

    /// Forgets a socket that the stack has finished with.
    fn release(&mut self, key: Key, cx: &Cx) {
        if let Some(doorbell) = self.shell.tables.take_doorbell(key) {
            self.unwatch(doorbell.as_fd(), cx);
        }
        if let Some(segment) = self.shell.tables.remove_socket(key) {
            self.remove_segment(segment, cx);
        }
    }

    /// Takes a segment out of use.
    pub(super) fn remove_segment(&mut self, key: Key, cx: &Cx) {
        if let Some(segment) = self.shell.tables.remove_segment(key) {
            self.unwatch(segment.kick.as_fd(), cx);
        }
    }

    /// Drops each session in whose memory something was found that cannot be: its sockets are
    /// reset, its connection is closed.
    #[inline]
    pub(crate) fn drop_liars(&mut self, now: Instant, cx: &Cx) {
        let segments = self.shell.tables.segments.iter();
        let liar = segments
            .filter(|(_, s)| s.memory.lied())
            .map(|(key, _)| key);
        let liars: Vec<Key> = liar.collect();
        for segment in liars {
            self.drop_liar(segment, now, cx);
        }
    }

    #[cold]
    fn drop_liar(&mut self, segment: Key, now: Instant, cx: &Cx) {
        let tables = &mut self.shell.tables;
        let Some(session) = tables.segments.get(segment).map(|s| s.session) else {
            return;
        };
        self.stats.liars.add(1);
        if let Some(session) = tables.sessions.get(session) {
            cx.log(
                LOG_WARNING,
                format_args!(
                    "process {} wrote what cannot be into its sockets' memory: they are reset",
                    session.peer.pid
                ),
            );
        }
        let segments: Vec<Key> = match tables.sessions.get(session) {
            Some(session) => session.segments.clone(),
            None => vec![segment],
        };
        for segment in segments {
            let tenants = self.shell.tables.segments.get(segment);
            let sockets: Vec<Key> = tenants.into_iter().flat_map(|s| s.tenants()).collect();
            for socket in sockets {
                self.reset(socket, now, cx);
            }
        }
        self.end_session(session, cx);
    }

    /// Ends a socket at once, whatever is in its FIFOs.
    fn reset(&mut self, key: Key, now: Instant, cx: &Cx) {
        if let Some((socket, segment)) = self.shell.tables.socket(key) {
            socket.end();
            socket.show(segment);
            if let (Some(id), Transport::Tcp) = (socket.id, socket.transport) {
                // Refused where there is no connection: there is nothing to reset then.
                let _ = self.stack.tcp_abort(now, id);
            }
        }
        self.tell(key);
        self.close(now, key, cx);
    }

    /// Ends everything: peers get resets, programs see their sockets end.
    pub(crate) fn quiesce(&mut self, now: Instant, cx: &Cx) {
        for segment in self.shell.tables.segments.iter_mut() {
            segment.retire();
        }
        let sockets: Vec<Key> = self.shell.tables.sockets.iter().map(|(k, _)| k).collect();
        for socket in sockets {
            self.reset(socket, now, cx);
        }
        let sessions: Vec<Key> = self.shell.tables.sessions.iter().map(|(k, _)| k).collect();
        for session in sessions {
            self.end_session(session, cx);
        }
        self.settle(now, cx);
        for (_, segment) in self.shell.tables.segments.iter() {
            self.unwatch(segment.kick.as_fd(), cx);
        }
        self.unwatch(self.door.fd(), cx);
    }

    /// Watches io-net's end of a doorbell.
    pub(super) fn watch_doorbell(&self, key: Key, cx: &Cx) {
        let socket = self.shell.tables.sockets.get(key);
        if let Some(doorbell) = socket.and_then(|s| s.doorbell.as_ref()) {
            self.watch(doorbell.as_fd(), epoll::IN, COOKIE_DOORBELL, key, cx);
        }
    }
}
