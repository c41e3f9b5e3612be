//! Datagrams that a program queued: each record in the tx FIFO becomes one call of the stack.

use super::Server;
use super::errno;
use super::slab::Key;
use crate::buffers::TxFifo;
use io_net_proto::slot::Record;
use io_net_tcpip::{Datagram, Instant, SendBuf, SocketId, SocketRequestError};
use std::sync::atomic::Ordering;
use zerocopy::FromBytes;

/// Datagrams of one socket sent at a time, so that others get their turn.
const BUDGET: usize = 64;

/// What came of one record.
enum Sent {
    /// It is gone.
    Done,
    /// There is none, or it is not whole yet.
    Nothing,
    /// There is no packet buffer: it stays.
    Later,
    /// It is gone, and the stack refused it.
    Refused(u32),
    /// The FIFO holds what cannot be.
    Lie,
}

impl Server {
    /// Sends what a datagram socket's program has queued.
    pub(super) fn send_datagrams(&mut self, now: Instant, key: Key) {
        let Some((socket, _)) = self.shell.tables.socket(key) else {
            return;
        };
        let (Some(id), Some(mut fifo)) = (socket.id, socket.datagrams.take()) else {
            return;
        };
        let was_bound = socket.bound.is_some();
        let mut outcome = Sent::Done;
        let mut refusal = None;
        for _ in 0..BUDGET {
            outcome = self.send_datagram(now, id, &mut fifo);
            match outcome {
                Sent::Done => {}
                Sent::Refused(error) => refusal = Some(error),
                Sent::Nothing | Sent::Later | Sent::Lie => break,
            }
        }
        let local = self.stack.local_addr(id);
        let peer = self.stack.peer_addr(id);
        let Some((socket, segment)) = self.shell.tables.socket(key) else {
            return;
        };
        socket.datagrams = Some(fifo);
        if !was_bound && local.is_some() {
            socket.bound = local;
            socket.show_addresses(segment, local, peer);
        }
        let Some(slot) = segment.memory.segment.slot(socket.slot) else {
            return;
        };
        if let Some(error) = refusal {
            slot.both.error.store(error, Ordering::Relaxed);
        }
        let tell = socket.room_is_wanted(slot) || refusal.is_some();
        match outcome {
            Sent::Lie => segment.memory.accuse(),
            Sent::Nothing => {}
            Sent::Done | Sent::Later | Sent::Refused(_) => self.unfinished.push(key),
        }
        if tell {
            self.tell(key);
        }
    }

    fn send_datagram(&mut self, now: Instant, id: SocketId, fifo: &mut TxFifo) -> Sent {
        const HEADER: usize = size_of::<Record>();
        let queued = fifo.readable();
        if queued < HEADER {
            return Sent::Nothing;
        }
        let mut header = [0; HEADER];
        fifo.read_at(0, &mut header);
        let Ok(record) = Record::read_from_bytes(&header) else {
            return Sent::Lie;
        };
        let span = Record::span(record.len).map(|span| span as usize);
        let Some(span) = span.filter(|&span| span <= fifo.capacity()) else {
            return Sent::Lie;
        };
        if span > queued {
            return Sent::Lie; // A record is committed whole.
        }
        let datagram = Datagram {
            to: record.peer.to_std(),
            len: record.len as usize,
            segment: u16::try_from(record.segment).unwrap_or(0),
        };
        let payload = |out: &mut [u8]| {
            let n = fifo.read_at(HEADER, out);
            out[n..].fill(0);
        };
        let sent = self
            .stack
            .udp_send(now, id, datagram, payload, &mut self.shell);
        if sent == Err(SocketRequestError::NoBuffer) {
            return Sent::Later;
        }
        fifo.consume(span);
        match sent {
            Ok(()) => Sent::Done,
            Err(error) => {
                self.stats.datagrams_refused.add(1);
                Sent::Refused(errno::of_request(error))
            }
        }
    }
}
