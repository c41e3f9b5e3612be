//! A mapped segment: safe access to its parts, and the two wake-up protocols.
//!
//! Used by both sides. Nothing read through it is checked here beyond staying in bounds: io-net
//! treats each value as hostile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering, fence};

use io_net_os::map::{self, SharedMap};
use io_net_ring::fifo::Fifo;
use io_net_ring::shared::{self, Bytes};

use crate::segment::{Geometry, Header, MAGIC};
use crate::session::SegmentInfo;
use crate::slot::{SLOT_SIZE, Slot};

/// A segment mapped into this process.
#[derive(Debug)]
pub struct Segment {
    map: SharedMap,
    geometry: Geometry,
    id: u64,
}

/// Whom to wake after [`Segment::publish`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Wake {
    /// Wake every sleeper on [`Segment::event_counter`] of the slot (futex).
    pub futex: bool,
    /// Raise these bells.
    pub bells: u64,
}

impl Segment {
    /// io-net's side: makes a segment, all slots free. The fd is for the programs.
    ///
    /// # Errors
    /// The kernel's, when it has no memory or fds left.
    pub fn create(geometry: Geometry, id: u64) -> io::Result<(Self, OwnedFd)> {
        let (fd, map) = map::sealed_segment(c"io-net-sockets", geometry.size())?;
        let segment = Self { map, geometry, id };
        let header = segment.header();
        header.major.store(crate::MAJOR.into(), Ordering::Relaxed);
        header.minor.store(crate::MINOR.into(), Ordering::Relaxed);
        header.id.store(id, Ordering::Relaxed);
        header.slots.store(geometry.slots(), Ordering::Relaxed);
        header
            .fifo_capacity
            .store(geometry.fifo_capacity(), Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok((segment, fd))
    }

    /// The program's side: maps what it was sent.
    ///
    /// # Errors
    /// `InvalidData` when the memfd is not what `info` says, or could change its size.
    pub fn open(info: SegmentInfo, fd: BorrowedFd<'_>) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not a segment of io-net's");
        let geometry = Geometry::new(info.slots, info.fifo_capacity).ok_or_else(wrong)?;
        let size = geometry.size();
        let sealed = map::seals(fd)? & map::SEALS_FIXED_SIZE == map::SEALS_FIXED_SIZE;
        if info.size != size as u64 || map::file_len(fd)? != size || !sealed {
            return Err(wrong());
        }
        let segment = Self {
            map: SharedMap::new(fd, size)?,
            geometry,
            id: info.id,
        };
        let header = segment.header();
        let same = header.magic.load(Ordering::Acquire) == MAGIC
            && header.major.load(Ordering::Relaxed) == u32::from(crate::MAJOR)
            && header.id.load(Ordering::Relaxed) == info.id;
        if same { Ok(segment) } else { Err(wrong()) }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its shape.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The first page.
    ///
    /// # Panics
    /// Never: the constructors map at least a page.
    #[inline]
    #[must_use]
    pub fn header(&self) -> &Header {
        shared::view(&self.map, 0).expect("a segment is larger than its header")
    }

    /// Slot `index`; None out of range.
    #[inline]
    #[must_use]
    pub fn slot(&self, index: u32) -> Option<&Slot> {
        if index >= self.geometry.slots() {
            return None;
        }
        shared::view(&self.map, self.geometry.slot(index))
    }

    /// The tx FIFO of slot `index`, `size` bytes of it being used. io-net passes the size that it
    /// remembers, a program what the slot shows. None when out of range.
    #[inline]
    #[must_use]
    pub fn tx(&self, index: u32, size: u32) -> Option<Fifo<'_>> {
        let slot = self.slot(index)?;
        let bytes = self.bytes(self.geometry.tx(index), size)?;
        let (tail, base) = (&slot.program.tx_tail, &slot.program.tx_base);
        Some(Fifo {
            tail,
            base,
            head: &slot.server.tx_head,
            bytes,
        })
    }

    /// The rx FIFO of slot `index`; see [`Segment::tx`].
    #[inline]
    #[must_use]
    pub fn rx(&self, index: u32, size: u32) -> Option<Fifo<'_>> {
        let slot = self.slot(index)?;
        let bytes = self.bytes(self.geometry.rx(index), size)?;
        let (tail, base) = (&slot.server.rx_tail, &slot.server.rx_base);
        Some(Fifo {
            tail,
            base,
            head: &slot.program.rx_head,
            bytes,
        })
    }

    fn bytes(&self, offset: usize, size: u32) -> Option<Bytes<'_>> {
        if size > self.geometry.fifo_capacity() {
            return None;
        }
        Bytes::new(&self.map, offset, size)
    }

    /// The event counter of slot `index`; None out of range.
    #[inline]
    #[must_use]
    pub fn event_counter(&self, index: u32) -> Option<&AtomicU32> {
        self.header().events.get(index as usize)
    }

    /// io-net's side: tells the program that something it wants to know has happened to slot
    /// `index`: new data, wanted room, a new state or error. All of it must be stored before. One
    /// call covers any number of changes. The caller makes the wake-ups that are returned.
    #[inline]
    pub fn publish(&self, index: u32) -> Wake {
        let header = self.header();
        let (Some(slot), Some(counter)) = (self.slot(index), self.event_counter(index)) else {
            return Wake::default();
        };
        counter.fetch_add(1, Ordering::Release);
        header.events_total.fetch_add(1, Ordering::Release);
        fence(Ordering::SeqCst);
        let waiting = &slot.program.waiting;
        let futex = waiting.load(Ordering::Relaxed) != 0 && waiting.swap(0, Ordering::SeqCst) != 0;
        let bells = header
            .sleepers
            .take(slot.program.watchers.load(Ordering::Relaxed));
        Wake { futex, bells }
    }

    /// The program's side: tells io-net that slot `index` has news, stored before this call. True:
    /// io-net sleeps, raise the kick eventfd.
    #[inline]
    #[must_use]
    pub fn mark_dirty(&self, index: u32) -> bool {
        self.header().dirty.mark(index as usize)
    }

    /// io-net's side: makes slot `index`, which is in nobody's use, all zero but for its generation.
    pub fn clear_slot(&self, index: u32) {
        let Some(slot) = self.slot(index) else { return };
        let generation = slot.server.generation.load(Ordering::Relaxed);
        let words: Option<&[AtomicU32; SLOT_SIZE / 4]> =
            shared::view(&self.map, self.geometry.slot(index));
        for word in words.into_iter().flatten() {
            word.store(0, Ordering::Relaxed);
        }
        slot.server.generation.store(generation, Ordering::Relaxed);
    }

    /// io-net's side: gives the memory of slot `index`'s FIFOs back to the system; they read as
    /// zero.
    ///
    /// # Errors
    /// EINVAL out of range, or the kernel's.
    pub fn discard_fifos(&self, index: u32) -> io::Result<()> {
        if index >= self.geometry.slots() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.map.discard(
            self.geometry.tx(index),
            2 * self.geometry.fifo_capacity() as usize,
        )
    }
}

/// Maps the segment that came as `fds` (memfd, kick, bell) and hands back the two eventfds.
///
/// # Errors
/// As [`Segment::open`]; `InvalidData` when an fd is missing.
pub fn open_received(
    info: SegmentInfo,
    mut next_fd: impl FnMut() -> Option<OwnedFd>,
) -> io::Result<(Segment, OwnedFd, OwnedFd)> {
    let mut fd = || next_fd().ok_or(io::Error::from(io::ErrorKind::InvalidData));
    let (memory, kick, bell) = (fd()?, fd()?, fd()?);
    Ok((Segment::open(info, memory.as_fd())?, kick, bell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_ring::fifo::{Consumer, Producer};

    fn pair() -> (Segment, Segment) {
        let geometry = Geometry::new(4, 4096).unwrap();
        let (server, fd) = Segment::create(geometry, 9).unwrap();
        let program = Segment::open(geometry.info(9), fd.as_fd()).unwrap();
        (server, program)
    }

    #[test]
    fn both_sides_see_the_same_fifos() {
        let (server, program) = pair();
        let (into, out) = (program.tx(3, 4096).unwrap(), server.tx(3, 4096).unwrap());
        let (mut p, mut c) = (Producer::default(), Consumer::default());
        p.free(&into).unwrap();
        p.write_at(&into, 0, b"data");
        p.commit(&into, 4);
        let mut buf = [0; 8];
        assert_eq!(c.used(&out), Ok(4));
        assert_eq!(c.read_at(&out, 0, &mut buf), 4);
        assert_eq!(&buf[..4], b"data");
        let (into, out) = (server.rx(3, 4096).unwrap(), program.rx(3, 4096).unwrap());
        let (mut p, mut c) = (Producer::default(), Consumer::default());
        p.free(&into).unwrap();
        p.write_at(&into, 0, b"more");
        p.commit(&into, 4);
        assert_eq!(c.used(&out), Ok(4));
        server.discard_fifos(3).unwrap();
        assert_eq!(c.read_at(&out, 0, &mut buf), 4);
        assert_eq!(&buf[..4], [0; 4]);
    }

    #[test]
    fn a_cleared_slot_keeps_its_generation() {
        let (server, program) = pair();
        let slot = program.slot(2).unwrap();
        slot.server.generation.store(7, Ordering::Relaxed);
        slot.reply.payload[31].store(1, Ordering::Relaxed);
        program
            .slot(3)
            .unwrap()
            .both
            .error
            .store(5, Ordering::Relaxed);
        server.clear_slot(2);
        server.clear_slot(4);
        assert_eq!(slot.server.generation.load(Ordering::Relaxed), 7);
        assert_eq!(slot.reply.payload[31].load(Ordering::Relaxed), 0);
        let other = program.slot(3).unwrap();
        assert_eq!(other.both.error.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn out_of_range_is_none() {
        let (server, _program) = pair();
        assert!(server.slot(4).is_none());
        assert!(server.tx(4, 4096).is_none());
        assert!(server.rx(0, 8192).is_none(), "larger than the capacity");
        assert!(server.rx(0, 0).is_none());
        assert!(server.rx(0, 1000).is_none(), "no power of two");
        assert!(server.discard_fifos(4).is_err());
        assert_eq!(server.publish(99), Wake::default());
        assert!(!server.mark_dirty(u32::MAX));
    }

    #[test]
    fn publish_wakes_only_those_who_sleep_and_once() {
        let (server, program) = pair();
        let slot = program.slot(1).unwrap();
        slot.program.watchers.store(1, Ordering::Relaxed);
        assert_eq!(server.publish(1), Wake::default());
        slot.program.waiting.store(1, Ordering::Relaxed);
        program.header().sleepers.sleep(0b11);
        assert_eq!(
            server.publish(1),
            Wake {
                futex: true,
                bells: 1
            }
        );
        assert_eq!(server.publish(1), Wake::default());
        assert_eq!(program.event_counter(1).unwrap().load(Ordering::Relaxed), 3);
        assert_eq!(program.header().events_total.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_segment_that_lies_is_refused() {
        let geometry = Geometry::new(4, 4096).unwrap();
        let (server, fd) = Segment::create(geometry, 9).unwrap();
        assert!(Segment::open(geometry.info(8), fd.as_fd()).is_err());
        assert!(Segment::open(Geometry::new(5, 4096).unwrap().info(9), fd.as_fd()).is_err());
        let zero = SegmentInfo {
            slots: 0,
            ..geometry.info(9)
        };
        assert!(Segment::open(zero, fd.as_fd()).is_err());
        server.header().magic.store(0, Ordering::Relaxed);
        assert!(Segment::open(geometry.info(9), fd.as_fd()).is_err());
        let unsealed = map::memfd(c"test", geometry.size(), false).unwrap();
        assert!(Segment::open(geometry.info(9), unsealed.as_fd()).is_err());
    }
}
