//! Datagram sockets: each message with its [`Record`] in the FIFO.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{Ordering, fence};

use io_net_proto::address::{Address, FAMILY_NONE, FAMILY_V4};
use io_net_proto::slot::{Record, SHUT_RX, SHUT_TX};
use io_net_ring::fifo::{Consumer, Producer};
use io_net_ring::wake::reached;
use zerocopy::IntoBytes;

use crate::endpoint::{Endpoint, lock};
use crate::errno::{Errno, Result};
use crate::wait::Until;

/// The longest message: a UDP datagram over IPv4.
const MESSAGE_MAX: usize = 65_507;

/// A message that was received.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes copied.
    pub len: usize,
    /// Bytes that the message had.
    pub full_len: usize,
    /// Where it came from, and all else that is known of it.
    pub record: Record,
}

impl Endpoint {
    /// Sends one message. `record` says where to (family none: the connected peer); its length is
    /// filled in.
    ///
    /// # Errors
    /// EMSGSIZE, EDESTADDRREQ, EAGAIN, EINTR, EPIPE after shutdown, or an error that came back for
    /// an earlier message.
    pub fn send_datagram(
        &self,
        doorbell: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        mut record: Record,
        until: Until,
    ) -> Result<usize> {
        let len: usize = bufs.iter().map(|buf| buf.len()).sum();
        self.check_error()?;
        if self.slot().program.shutdown.load(Ordering::Relaxed) & SHUT_TX != 0 {
            return Err(Errno::PIPE);
        }
        if len > MESSAGE_MAX {
            return Err(Errno(libc::EMSGSIZE));
        }
        self.check_destination(doorbell, &record)?;
        record.len = len as u32;
        let span = Record::span(record.len).ok_or(Errno(libc::EMSGSIZE))?;
        while !self.put_message(&record, bufs, span)? {
            if self.mapped().is_dead() {
                return Err(Errno::NET_DOWN);
            }
            if until == Until::Now {
                self.wants_room();
                return Err(Errno::AGAIN);
            }
            self.wait(doorbell, until, || self.fits(span) || self.wants_room())?;
        }
        Ok(len)
    }

    /// Knows a peer, and has a local port: the first send of an unbound socket binds it, so that
    /// getsockname tells the port at once.
    fn check_destination(&self, doorbell: BorrowedFd<'_>, record: &Record) -> Result<()> {
        let (local, remote) = self.slot().addresses.get();
        if record.peer.family == FAMILY_NONE && remote.family == FAMILY_NONE {
            return Err(Errno(libc::EDESTADDRREQ));
        }
        if local.port == 0 {
            let any = Address {
                family: FAMILY_V4,
                ..Address::default()
            };
            match self.bind(doorbell, any) {
                // Another thread was first.
                Err(e) if e != Errno::INVALID => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    fn fits(&self, span: u32) -> bool {
        self.tx()
            .is_ok_and(|fifo| fifo.size() - fifo.level() >= span)
    }

    fn put_message(&self, record: &Record, bufs: &[IoSlice<'_>], span: u32) -> Result<bool> {
        let fifo = self.tx()?;
        if span > fifo.size() {
            return Err(Errno(libc::EMSGSIZE));
        }
        let guard = lock(&self.slot().shared.tx_lock)?;
        let mut producer = Producer::attach(&fifo);
        if producer.free(&fifo)? < span {
            return Ok(false);
        }
        producer.rewind_if_empty(&fifo);
        let mut at = producer.write_at(&fifo, 0, record.as_bytes());
        for buf in bufs {
            at += producer.write_at(&fifo, at as u32, buf);
        }
        producer.commit(&fifo, span);
        drop(guard);
        self.tell();
        Ok(true)
    }

    /// Receives one message, the rest of which is lost if `bufs` are too short. None: shut down for
    /// reading.
    ///
    /// # Errors
    /// EAGAIN, EINTR, or an error that came back for an earlier message.
    pub fn receive_datagram(
        &self,
        doorbell: BorrowedFd<'_>,
        bufs: &mut [IoSliceMut<'_>],
        peek: bool,
        until: Until,
    ) -> Result<Option<Received>> {
        loop {
            if let Some(received) = self.take_message(bufs, peek)? {
                return Ok(Some(received));
            }
            self.check_error()?;
            if self.slot().program.shutdown.load(Ordering::Relaxed) & SHUT_RX != 0 {
                return Ok(None);
            }
            if self.mapped().is_dead() {
                return Err(Errno::NET_DOWN);
            }
            self.wait(doorbell, until, || {
                let slot = self.slot();
                self.readable() > 0
                    || slot.both.error.load(Ordering::Relaxed) != 0
                    || slot.program.shutdown.load(Ordering::Relaxed) & SHUT_RX != 0
            })?;
        }
    }

    fn take_message(&self, bufs: &mut [IoSliceMut<'_>], peek: bool) -> Result<Option<Received>> {
        let slot = self.slot();
        let fifo = self.rx()?;
        let guard = lock(&slot.shared.rx_lock)?;
        let mut consumer = Consumer::attach(&fifo);
        let old = consumer.head();
        if consumer.used(&fifo)? == 0 {
            return Ok(None);
        }
        let mut record = Record::default();
        let header = consumer.read_at(&fifo, 0, record.as_mut_bytes());
        let span = Record::span(record.len).filter(|&span| span <= consumer.used_seen());
        let span = span
            .filter(|_| header == size_of::<Record>())
            .ok_or(Errno::CORRUPT)?;
        let full_len = record.len as usize;
        let mut len = 0;
        for buf in bufs {
            let part = buf.len().min(full_len - len);
            len += consumer.read_at(&fifo, (header + len) as u32, &mut buf[..part]);
        }
        if !peek {
            consumer.consume(&fifo, span);
            drop(guard);
            fence(Ordering::SeqCst);
            let notify_at = slot.server.rx_notify_at.load(Ordering::Relaxed);
            if reached(notify_at, old, consumer.head()) {
                self.tell();
            }
        }
        Ok(Some(Received {
            len,
            full_len,
            record,
        }))
    }

    /// FIONREAD of a datagram socket: bytes of the next message.
    #[must_use]
    pub fn next_message_len(&self) -> usize {
        match self.take_message(&mut [], true) {
            Ok(Some(received)) => received.full_len,
            _ => 0,
        }
    }
}
