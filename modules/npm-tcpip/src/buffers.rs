//! Socket buffers over the FIFOs that a program maps: payload is copied once, between packet and FIFO.
//!
//! What the program writes there is hostile. A FIFO position that cannot be leaves the buffer as it
//! was, and is noted in [`Memory`], whose owner drops the program's session.

use io_net_os::clock;
use io_net_proto::options::{flag, word};
use io_net_proto::slot::Record;
use io_net_proto::view::Segment;
use io_net_ring::Corrupt;
use io_net_ring::fifo::{Consumer, Fifo, Producer};
use io_net_tcpip::{DatagramBuf, RecvBuf, SendBuf};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zerocopy::{FromZeros, IntoBytes};

/// A segment, and whether its program was caught writing what cannot be.
pub(crate) struct Memory {
    pub(crate) segment: Segment,
    lied: AtomicBool,
}

impl Memory {
    pub(crate) fn new(segment: Segment) -> Arc<Self> {
        let lied = AtomicBool::new(false);
        Arc::new(Memory { segment, lied })
    }

    /// Notes that the segment holds what cannot be.
    #[cold]
    pub(crate) fn accuse(&self) {
        self.lied.store(true, Ordering::Relaxed);
    }

    /// Whether anything was noted.
    #[inline]
    pub(crate) fn lied(&self) -> bool {
        self.lied.load(Ordering::Relaxed)
    }
}

/// Which FIFO of a segment.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) memory: Arc<Memory>,
    pub(crate) slot: u32,
    /// Bytes of the FIFO in use.
    pub(crate) size: u32,
}

impl Place {
    #[inline]
    fn tx(&self) -> Option<Fifo<'_>> {
        self.memory.segment.tx(self.slot, self.size)
    }

    #[inline]
    fn rx(&self) -> Option<Fifo<'_>> {
        self.memory.segment.rx(self.slot, self.size)
    }
}

/// What a program sends on a stream, or its datagrams with a record before each.
pub(crate) struct TxFifo {
    place: Place,
    consumer: Consumer,
}

impl TxFifo {
    pub(crate) fn new(place: Place) -> Self {
        let consumer = Consumer::default();
        TxFifo { place, consumer }
    }
}

impl SendBuf for TxFifo {
    #[inline]
    fn readable(&mut self) -> usize {
        let Some(fifo) = self.place.tx() else {
            return 0;
        };
        match self.consumer.used(&fifo) {
            Ok(used) => used as usize,
            Err(Corrupt) => {
                self.place.memory.accuse();
                self.consumer.used_seen() as usize
            }
        }
    }

    #[inline]
    fn read_at(&mut self, offset: usize, out: &mut [u8]) -> usize {
        match (self.place.tx(), u32::try_from(offset)) {
            (Some(fifo), Ok(offset)) => self.consumer.read_at(&fifo, offset, out),
            _ => 0,
        }
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        if let Some(fifo) = self.place.tx() {
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            self.consumer.consume(&fifo, n);
        }
    }

    fn capacity(&mut self) -> usize {
        self.place.size as usize
    }
}

/// What a program receives on a stream.
pub(crate) struct RxFifo {
    place: Place,
    producer: Producer,
    /// How far beyond the tail bytes have been written that are not committed.
    ahead: usize,
}

impl RxFifo {
    pub(crate) fn new(place: Place) -> Self {
        RxFifo {
            place,
            producer: Producer::default(),
            ahead: 0,
        }
    }
}

impl RecvBuf for RxFifo {
    #[inline]
    fn window(&mut self) -> usize {
        let Some(fifo) = self.place.rx() else {
            return 0;
        };
        match self.producer.free(&fifo) {
            Ok(free) => free as usize,
            Err(Corrupt) => {
                self.place.memory.accuse();
                self.producer.free_seen(&fifo) as usize
            }
        }
    }

    fn capacity(&mut self) -> usize {
        self.place.size as usize
    }

    #[inline]
    fn write_at(&mut self, offset: usize, data: &[u8]) -> usize {
        let (Some(fifo), Ok(at)) = (self.place.rx(), u32::try_from(offset)) else {
            return 0;
        };
        if self.ahead == 0 {
            self.producer.rewind_if_empty(&fifo);
        }
        let written = self.producer.write_at(&fifo, at, data);
        self.ahead = self.ahead.max(offset + written);
        written
    }

    #[inline]
    fn commit(&mut self, n: usize) {
        if let Some(fifo) = self.place.rx() {
            let n32 = u32::try_from(n).unwrap_or(u32::MAX);
            self.producer.commit(&fifo, n32);
            self.ahead = self.ahead.saturating_sub(n);
        }
    }
}

/// The datagrams that a program receives: a [`Record`] and the payload, over and over.
pub(crate) struct RxDatagrams {
    place: Place,
    producer: Producer,
}

impl RxDatagrams {
    pub(crate) fn new(place: Place) -> Self {
        let producer = Producer::default();
        RxDatagrams { place, producer }
    }

    fn put(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<()> {
        let fifo = self.place.rx()?;
        let span = Record::span(u32::try_from(payload.len()).ok()?)?;
        match self.producer.free(&fifo) {
            Ok(free) if span <= free => {}
            Ok(_) => return None,
            Err(Corrupt) => {
                self.place.memory.accuse();
                return None;
            }
        }
        self.producer.rewind_if_empty(&fifo);
        let mut record = Record::new_zeroed();
        record.len = payload.len() as u32;
        (record.peer, record.local) = (from.into(), to.into());
        if self.wants_time() {
            record.timestamp = clock::realtime_ns();
        }
        self.producer.write_at(&fifo, 0, record.as_bytes());
        let header = size_of::<Record>() as u32;
        self.producer.write_at(&fifo, header, payload);
        self.producer.commit(&fifo, span);
        Some(())
    }

    fn wants_time(&self) -> bool {
        let slot = self.place.memory.segment.slot(self.place.slot);
        let flags = slot.map_or(0, |slot| slot.options[word::FLAGS].load(Ordering::Relaxed));
        flags & (flag::TIMESTAMP | flag::TIMESTAMP_NS) != 0
    }
}

impl DatagramBuf for RxDatagrams {
    fn push(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> bool {
        let fits = self.put(from, to, payload).is_some();
        if !fits && let Some(slot) = self.place.memory.segment.slot(self.place.slot) {
            slot.server.rx_dropped.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_proto::segment::Geometry;
    use zerocopy::FromBytes;

    const SIZE: u32 = 4096;

    fn place() -> Place {
        let geometry = Geometry::new(2, SIZE).unwrap();
        let (segment, _fd) = Segment::create(geometry, 1).unwrap();
        Place {
            memory: Memory::new(segment),
            slot: 1,
            size: SIZE,
        }
    }

    #[test]
    fn a_stream_to_the_network() {
        let place = place();
        let mut tx = TxFifo::new(place.clone());
        assert_eq!(tx.readable(), 0);
        let fifo = place.tx().unwrap();
        let mut program = Producer::default();
        program.free(&fifo).unwrap();
        program.write_at(&fifo, 0, b"hello");
        program.commit(&fifo, 5);
        let mut out = [0; 9];
        assert_eq!(tx.readable(), 5);
        assert_eq!(tx.read_at(1, &mut out), 4);
        assert_eq!(&out[..4], b"ello");
        tx.consume(2);
        assert_eq!(tx.readable(), 3);
        assert_eq!(program.free(&fifo), Ok(SIZE - 3));
    }

    #[test]
    fn a_stream_from_the_network_out_of_order() {
        let place = place();
        let mut rx = RxFifo::new(place.clone());
        let fifo = place.rx().unwrap();
        let mut program = Consumer::default();
        for round in 0..3000 {
            assert_eq!(rx.window(), SIZE as usize);
            assert_eq!(rx.write_at(3, b"def"), 3);
            assert_eq!(rx.write_at(0, b"abc"), 3);
            assert_eq!(program.used(&fifo), Ok(0));
            rx.commit(6);
            let mut out = [0; 6];
            assert_eq!(program.used(&fifo), Ok(6));
            program.read_at(&fifo, 0, &mut out);
            program.consume(&fifo, 6);
            assert_eq!(&out, b"abcdef", "round {round}");
        }
        assert!(!place.memory.lied());
    }

    #[test]
    fn lies_are_noted_and_do_no_harm() {
        for word in [1, SIZE + 1, u32::MAX, 1 << 31] {
            let place = place();
            let slot = place.memory.segment.slot(1).unwrap();
            let mut rx = RxFifo::new(place.clone());
            slot.program.rx_head.store(word, Ordering::Relaxed);
            assert_eq!(rx.window(), SIZE as usize);
            assert!(place.memory.lied(), "rx_head {word}");
        }
        for word in [SIZE + 1, u32::MAX, 1 << 31] {
            let place = place();
            let slot = place.memory.segment.slot(1).unwrap();
            let mut tx = TxFifo::new(place.clone());
            slot.program.tx_tail.store(word, Ordering::Relaxed);
            assert_eq!(tx.readable(), 0);
            assert!(place.memory.lied(), "tx_tail {word}");
        }
    }

    #[test]
    fn datagrams_carry_their_addresses_until_full() {
        let place = place();
        let mut rx = RxDatagrams::new(place.clone());
        let (from, to) = ("10.0.0.2:7".parse().unwrap(), "10.0.0.1:9".parse().unwrap());
        let mut pushed = 0;
        while rx.push(from, to, b"payload") {
            pushed += 1;
        }
        assert_eq!(pushed, SIZE / Record::span(7).unwrap());
        let slot = place.memory.segment.slot(1).unwrap();
        assert_eq!(slot.server.rx_dropped.load(Ordering::Relaxed), 1);
        let fifo = place.rx().unwrap();
        let mut program = Consumer::default();
        assert_eq!(program.used(&fifo), Ok(pushed * 80));
        let mut head = [0; size_of::<Record>()];
        program.read_at(&fifo, 80, &mut head);
        let record = Record::read_from_bytes(&head).unwrap();
        assert_eq!((record.len, record.timestamp), (7, 0));
        assert_eq!(record.peer.to_std(), Some(from));
        assert_eq!(record.local.to_std(), Some(to));
        let mut payload = [0; 7];
        program.read_at(&fifo, 80 + 72, &mut payload);
        assert_eq!(&payload, b"payload");
        program.consume(&fifo, 80);
        assert!(rx.push(from, to, &[]));
    }
}
