//! Stream sockets: bytes in, bytes out, connect, shutdown.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{Ordering, fence};

use io_net_proto::slot::{SHUT_RX, SHUT_TX, STATE_RX_END, STATE_TX_END, State};
use io_net_ring::fifo::{Consumer, Producer};
use io_net_ring::wake::reached;

use crate::endpoint::{Endpoint, lock};
use crate::errno::{Errno, Result};
use crate::wait::Until;

/// Bytes put into the FIFO before io-net hears of them: large enough that telling costs nothing,
/// small enough that it works on the first part while the next is being copied, and that both stay
/// in cache.
const PART: usize = 64 * 1024;

impl Endpoint {
    /// Sends what there is room for, waiting for the first room and, unless `until` is `Now`, until
    /// all is in.
    ///
    /// # Errors
    /// EAGAIN, EINTR (only if nothing was sent), EPIPE (without a signal: that is the caller's to
    /// raise), or what went wrong with the connection.
    pub fn send_stream(
        &self,
        doorbell: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
        until: Until,
    ) -> Result<usize> {
        let mut sent = 0;
        for buf in bufs {
            let mut rest = &buf[..];
            while !rest.is_empty() {
                let n = match self.put(&rest[..rest.len().min(PART)]) {
                    Ok(n) => n,
                    Err(_) if sent > 0 => return Ok(sent),
                    Err(e) => return Err(e),
                };
                (sent, rest) = (sent + n, &rest[n..]);
                if n == 0
                    && let Err(e) = self.wait_for_room(doorbell, until)
                {
                    return if sent > 0 { Ok(sent) } else { Err(e) };
                }
            }
        }
        if sent == 0 {
            self.check_sendable()?;
        }
        Ok(sent)
    }

    /// Puts what fits into the FIFO; 0 when it is full or the connection not made yet.
    #[inline]
    fn put(&self, bytes: &[u8]) -> Result<usize> {
        if !self.check_sendable()? {
            return Ok(0);
        }
        let fifo = self.tx()?;
        let guard = lock(&self.slot().shared.tx_lock)?;
        let mut producer = Producer::attach(&fifo);
        if producer.free(&fifo)? == 0 {
            return Ok(0);
        }
        producer.rewind_if_empty(&fifo);
        let n = producer.write_at(&fifo, 0, bytes);
        producer.commit(&fifo, n as u32);
        drop(guard);
        self.tell();
        Ok(n)
    }

    /// True: may send. False: not connected yet.
    #[inline]
    fn check_sendable(&self) -> Result<bool> {
        let (state, flags) = self.state();
        let shut = self.slot().program.shutdown.load(Ordering::Relaxed) & SHUT_TX != 0;
        match state {
            State::Connected if flags & STATE_TX_END == 0 && !shut => Ok(true),
            State::Connecting => Ok(false),
            _ => {
                self.check_error()?;
                Err(Errno::PIPE)
            }
        }
    }

    /// Waits until a third of the FIFO is free, as Linux does, so that one wake-up is worth its
    /// price.
    #[cold]
    fn wait_for_room(&self, doorbell: BorrowedFd<'_>, until: Until) -> Result<()> {
        if until == Until::Now {
            self.wants_room();
            return Err(Errno::AGAIN);
        }
        self.wait(doorbell, until, || {
            let (state, flags) = self.state();
            let open = state == State::Connected && flags & STATE_TX_END == 0;
            state != State::Connecting && (!open || self.has_room() || self.wants_room())
        })
    }

    /// Whether a third of the tx FIFO is free.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.tx()
            .is_ok_and(|fifo| fifo.level() <= fifo.size() / 3 * 2)
    }

    /// Asks for an event when there is room again. True: there is already.
    pub(crate) fn wants_room(&self) -> bool {
        let Ok(fifo) = self.tx() else { return true };
        let tail = fifo.tail.load(Ordering::Relaxed);
        let at = tail.wrapping_sub(fifo.size() / 3 * 2);
        self.slot()
            .program
            .tx_notify_at
            .store(at, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.has_room()
    }

    /// Receives what is there, waiting for the first byte, or for `low` bytes if that is more and
    /// so many fit. 0: no byte will come. With `peek` the bytes stay.
    ///
    /// # Errors
    /// EAGAIN, EINTR, ENOTCONN, or what went wrong with the connection.
    pub fn receive_stream(
        &self,
        doorbell: BorrowedFd<'_>,
        bufs: &mut [IoSliceMut<'_>],
        low: usize,
        peek: bool,
        until: Until,
    ) -> Result<usize> {
        let wanted: usize = bufs.iter().map(|buf| buf.len()).sum();
        if wanted == 0 {
            return Ok(0);
        }
        let mut got = 0;
        loop {
            let n = match self.take(bufs, got, peek) {
                Ok(n) => n,
                Err(_) if got > 0 => return Ok(got),
                Err(e) => return Err(e),
            };
            match n {
                Some(n) => got = if peek { n } else { got + n },
                None => return Ok(got),
            }
            if got >= low.clamp(1, wanted) {
                return Ok(got);
            }
            let seen = if peek { got } else { 0 };
            let ready = || self.readable() > seen || self.state().1 & STATE_RX_END != 0;
            let ready =
                || ready() || !matches!(self.state().0, State::Connected | State::Connecting);
            if let Err(e) = self.wait(doorbell, until, ready) {
                return if got > 0 { Ok(got) } else { Err(e) };
            }
        }
    }

    /// Takes what is there into `bufs` from byte `skip` on; None: no byte will come.
    #[inline]
    fn take(&self, bufs: &mut [IoSliceMut<'_>], skip: usize, peek: bool) -> Result<Option<usize>> {
        // The state is read before the data that it speaks of.
        let (state, flags) = self.state();
        let slot = self.slot();
        let fifo = self.rx()?;
        let guard = lock(&slot.shared.rx_lock)?;
        let mut consumer = Consumer::attach(&fifo);
        let old = consumer.head();
        if consumer.used(&fifo)? == 0 {
            drop(guard);
            return self.nothing_there(state, flags);
        }
        let skip = if peek { 0 } else { skip };
        let mut n = 0;
        for buf in Window::new(bufs, skip) {
            n += consumer.read_at(&fifo, n as u32, buf);
        }
        if !peek {
            consumer.consume(&fifo, n as u32);
            drop(guard);
            fence(Ordering::SeqCst);
            let notify_at = slot.server.rx_notify_at.load(Ordering::Relaxed);
            if reached(notify_at, old, consumer.head()) {
                self.tell();
            }
        }
        Ok(Some(n))
    }

    #[cold]
    fn nothing_there(&self, state: State, flags: u32) -> Result<Option<usize>> {
        self.check_error()?;
        let shut = self.slot().program.shutdown.load(Ordering::Relaxed) & SHUT_RX != 0;
        match state {
            _ if flags & STATE_RX_END != 0 || shut => Ok(None),
            State::Connected | State::Connecting => Ok(Some(0)),
            State::Closed => Ok(None),
            _ => Err(Errno::NOT_CONNECTED),
        }
    }

    /// FIONREAD: bytes that can be received at once.
    #[inline]
    #[must_use]
    pub fn readable(&self) -> usize {
        self.rx().map_or(0, |fifo| fifo.level() as usize)
    }

    /// SIOCOUTQ: bytes that the peer has not acknowledged.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.tx().map_or(0, |fifo| fifo.level() as usize)
    }

    /// shutdown(2), `how` being `SHUT_RX` and `SHUT_TX` bits.
    ///
    /// # Errors
    /// ENOTCONN when it is not connected.
    pub fn shutdown(&self, how: u32) -> Result<()> {
        let connected = match self.state().0 {
            State::Connected | State::Connecting | State::Listening => true,
            State::Closed => !self.mapped().is_dead() && !self.is_stream(),
            _ => !self.is_stream() && self.peer().is_ok(),
        };
        if !connected {
            return Err(Errno::NOT_CONNECTED);
        }
        self.slot()
            .program
            .shutdown
            .fetch_or(how, Ordering::Release);
        self.tell();
        Ok(())
    }
}

/// The buffers of `bufs` without their first `skip` bytes.
struct Window<'b, 'd> {
    bufs: std::slice::IterMut<'b, IoSliceMut<'d>>,
    skip: usize,
}

impl<'b, 'd> Window<'b, 'd> {
    fn new(bufs: &'b mut [IoSliceMut<'d>], skip: usize) -> Self {
        Self {
            bufs: bufs.iter_mut(),
            skip,
        }
    }
}

impl<'b> Iterator for Window<'b, '_> {
    type Item = &'b mut [u8];

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let buf: &'b mut [u8] = self.bufs.next()?;
            let skip = self.skip.min(buf.len());
            self.skip -= skip;
            if skip < buf.len() {
                return Some(&mut buf[skip..]);
            }
        }
    }
}
