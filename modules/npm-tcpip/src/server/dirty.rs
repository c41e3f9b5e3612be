//! What programs changed in shared memory: bytes to send, bytes read, ends shut, options set.

use super::Server;
use super::slab::Key;
use io_net_ddk::prelude::*;
use io_net_os::epoll;
use io_net_proto::slot::{SHUT_RX, SHUT_TX, STATE_RX_END, STATE_TX_END, State};
use io_net_tcpip::{Instant, Transport};
use std::sync::atomic::Ordering;

impl Server {
    /// Gathers the sockets whose slots are marked, and those with more to do from before. Returns
    /// how many there are; [`Server::attend_marked`] does what they need.
    #[inline]
    pub(crate) fn gather_marked(&mut self) -> usize {
        self.attention.append(&mut self.unfinished);
        for (_, segment) in self.shell.tables.segments.iter() {
            for word in 0..segment.dirty_words() {
                let mut bits = segment.take_dirty(word);
                while bits != 0 {
                    let slot = word as u32 * 64 + bits.trailing_zeros();
                    self.attention.extend(segment.tenant(slot));
                    bits &= bits - 1;
                }
            }
        }
        self.attention.len()
    }

    /// Attends to the sockets gathered.
    pub(crate) fn attend_marked(&mut self, now: Instant, cx: &Cx) {
        let mut attention = std::mem::take(&mut self.attention);
        for socket in attention.drain(..) {
            if self.attend(now, socket) {
                self.handle_doorbell(now, socket, epoll::IN, cx);
            }
        }
        self.attention = attention;
    }

    /// The worker is about to sleep, or has woken. Returns whether there is work already.
    pub(crate) fn arm(&mut self, sleeping: bool) -> bool {
        let mut marked = self.restless || !self.unfinished.is_empty();
        for (_, segment) in self.shell.tables.segments.iter() {
            let dirty = &segment.memory.segment.header().dirty;
            if sleeping {
                marked |= !dirty.sleep();
            } else {
                dirty.awake();
            }
        }
        marked
    }

    pub(super) fn handle_kick(&mut self, now: Instant, key: Key, cx: &Cx) -> bool {
        if let Some(segment) = self.shell.tables.segments.get(key) {
            segment.kick.lower();
        }
        let marked = self.gather_marked() > 0;
        self.attend_marked(now, cx);
        marked
    }

    /// Acts on what a program changed in a socket's slot. Returns whether there is a request on
    /// the doorbell too.
    #[inline]
    pub(super) fn attend(&mut self, now: Instant, key: Key) -> bool {
        let Some((socket, segment)) = self.shell.tables.socket(key) else {
            return false;
        };
        let (Some(id), Some(slot)) = (socket.id, segment.memory.segment.slot(socket.slot)) else {
            return false;
        };
        let asked = slot.program.request_sequence.load(Ordering::Relaxed);
        let asks = std::mem::replace(&mut socket.asked, asked) != asked;
        let options = slot.program.options_sequence.load(Ordering::Acquire);
        let shut = slot.program.shutdown.load(Ordering::Acquire) & !socket.shutdown;
        if options != socket.options {
            socket.options = options;
            self.apply_options(now, key);
        }
        match id.transport() {
            Transport::Udp => self.send_datagrams(now, key),
            Transport::Tcp => {
                self.stack.tcp_send_progress(now, id);
                self.stack.tcp_recv_progress(now, id);
            }
        }
        if shut != 0 {
            self.shut(now, key, shut);
        }
        asks
    }

    /// Shuts one or both directions, as the program asked by `SHUT_*` bits.
    #[cold]
    fn shut(&mut self, now: Instant, key: Key, bits: u32) {
        let Some((socket, segment)) = self.shell.tables.socket(key) else {
            return;
        };
        let Some(id) = socket.id else { return };
        let stream = id.transport() == Transport::Tcp;
        if socket.state == State::Listening && bits & SHUT_RX != 0 {
            socket.shutdown |= SHUT_RX;
            self.stop_listening(now, key);
            return;
        }
        if stream && socket.state != State::Connected {
            return;
        }
        socket.shutdown |= bits & (SHUT_RX | SHUT_TX);
        // A refusal means that the connection is over already, which its events tell.
        if bits & SHUT_TX != 0 {
            socket.ends |= STATE_TX_END;
            if stream {
                let _ = self.stack.tcp_shutdown_send(now, id);
            }
        }
        if bits & SHUT_RX != 0 {
            socket.ends |= STATE_RX_END;
            if stream {
                let _ = self.stack.tcp_shutdown_recv(now, id);
            }
        }
        socket.show(segment);
        self.tell(key);
    }
}
