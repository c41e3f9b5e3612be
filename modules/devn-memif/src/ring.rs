//! A ring in shared memory: its header, its descriptors, and the buffers that they name.
//!
//! All of it may be written by the peer at any moment. What decides anything is read once, into a
//! variable of our own, and checked; buffers are reached only through accesses that check
//! their bounds.
//!
//! | offset | field |
//! | --- | --- |
//! | 0 | cookie, `u32` |
//! | 4 | flags, `u16`: bit 0 asks for no interrupts |
//! | 6 | head, `u16`: where the client is |
//! | 64 | tail, `u16`: where the server is |
//! | 128 | descriptors: flags, region (`u16`), length, offset, metadata (`u32`) |

use crate::message::COOKIE;
use io_net_os::region::Region;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering, fence};

/// Bytes of a ring's header.
const HEADER_LEN: usize = 128;
const DESCRIPTOR_LEN: usize = 16;
const FLAGS_AT: usize = 4;
const HEAD_AT: usize = 6;
const TAIL_AT: usize = 64;

/// A ring's flag: the consumer polls.
const MASK_INTERRUPT: u16 = 1;
/// A descriptor's flag: the packet goes on in the next one.
const MORE: u16 = 1;

/// The link's shared memory, by the numbers that descriptors use.
pub(crate) type Regions = Vec<Region>;

/// The peer has written what no honest peer would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Where a ring is, and how far this side has come in it.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    region: usize,
    offset: usize,
    /// Slots less one.
    mask: u16,
    /// The next slot of ours. Never read back from the shared memory.
    pub(crate) next: u16,
}

/// One descriptor, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) more: bool,
    pub(crate) region: u16,
    pub(crate) len: u32,
    pub(crate) offset: u32,
}

/// A ring's parts, borrowed for one burst.
pub(crate) struct View<'r> {
    head: &'r AtomicU16,
    tail: &'r AtomicU16,
    flags: &'r AtomicU16,
    slots: &'r [[AtomicU64; 2]],
    mask: u16,
}

/// Bytes of a ring of 2^`log2` slots.
pub(crate) fn ring_len(log2: u8) -> usize {
    HEADER_LEN + (DESCRIPTOR_LEN << log2)
}

impl Ring {
    pub(crate) fn new(region: u16, offset: u32, log2: u8) -> Ring {
        Ring {
            region: region.into(),
            offset: offset as usize,
            mask: ((1u32 << log2) - 1) as u16,
            next: 0,
        }
    }

    /// Slots.
    pub(crate) fn size(&self) -> u16 {
        self.mask + 1
    }

    /// The ring's parts.
    ///
    /// # Errors
    /// It does not lie within its region, aligned.
    #[inline]
    pub(crate) fn view<'r>(&self, regions: &'r Regions) -> Result<View<'r>, Broken> {
        let region = regions.get(self.region).ok_or(Broken)?;
        let words = region.words64(self.offset + HEADER_LEN, 2 * (usize::from(self.mask) + 1));
        Ok(View {
            head: region.word16(self.offset + HEAD_AT).ok_or(Broken)?,
            tail: region.word16(self.offset + TAIL_AT).ok_or(Broken)?,
            flags: region.word16(self.offset + FLAGS_AT).ok_or(Broken)?,
            slots: words.ok_or(Broken)?.as_chunks().0,
            mask: self.mask,
        })
    }

    /// Writes the header of a new ring.
    pub(crate) fn format(&self, regions: &Regions) -> Result<(), Broken> {
        let cookie = regions.get(self.region).and_then(|r| r.word32(self.offset));
        cookie.ok_or(Broken)?.store(COOKIE, Ordering::Relaxed);
        self.restart(regions)
    }

    /// Whether the header is that of a ring.
    pub(crate) fn is_formatted(&self, regions: &Regions) -> bool {
        let cookie = regions.get(self.region).and_then(|r| r.word32(self.offset));
        cookie.is_some_and(|cookie| cookie.load(Ordering::Relaxed) == COOKIE)
    }

    /// Puts both ends to the beginning, as each peer does when the link comes up.
    pub(crate) fn restart(&self, regions: &Regions) -> Result<(), Broken> {
        let view = self.view(regions)?;
        view.head.store(0, Ordering::Relaxed);
        view.tail.store(0, Ordering::Relaxed);
        Ok(())
    }
}

impl View<'_> {
    /// Where the client is.
    #[inline]
    pub(crate) fn head(&self) -> u16 {
        self.head.load(Ordering::Acquire)
    }

    /// Where the server is.
    #[inline]
    pub(crate) fn tail(&self) -> u16 {
        self.tail.load(Ordering::Acquire)
    }

    /// Tells the peer that the client has come so far.
    #[inline]
    pub(crate) fn set_head(&self, head: u16) {
        self.head.store(head, Ordering::Release);
    }

    /// Tells the peer that the server has come so far.
    #[inline]
    pub(crate) fn set_tail(&self, tail: u16) {
        self.tail.store(tail, Ordering::Release);
    }

    /// Slots between `from` and `to`.
    ///
    /// # Errors
    /// There are more than the ring has.
    #[inline]
    pub(crate) fn distance(&self, from: u16, to: u16) -> Result<u16, Broken> {
        let n = to.wrapping_sub(from);
        if u32::from(n) <= u32::from(self.mask) + 1 {
            Ok(n)
        } else {
            Err(Broken)
        }
    }

    #[inline]
    fn slot(&self, slot: u16) -> &[AtomicU64; 2] {
        &self.slots[usize::from(slot & self.mask)]
    }

    /// The descriptor of a slot.
    #[inline]
    pub(crate) fn descriptor(&self, slot: u16) -> Descriptor {
        let [first, second] = self.slot(slot);
        let first = first.load(Ordering::Relaxed).to_ne_bytes();
        let second = second.load(Ordering::Relaxed).to_ne_bytes();
        let [f0, f1, r0, r1, l0, l1, l2, l3] = first;
        let [o0, o1, o2, o3, ..] = second;
        Descriptor {
            more: u16::from_ne_bytes([f0, f1]) & MORE != 0,
            region: u16::from_ne_bytes([r0, r1]),
            len: u32::from_ne_bytes([l0, l1, l2, l3]),
            offset: u32::from_ne_bytes([o0, o1, o2, o3]),
        }
    }

    /// Writes flags, region and length of a slot; the offset stays.
    #[inline]
    pub(crate) fn set_filled(&self, slot: u16, region: u16, len: u32, more: bool) {
        let [f0, f1] = u16::from(more).to_ne_bytes();
        let [r0, r1] = region.to_ne_bytes();
        let [l0, l1, l2, l3] = len.to_ne_bytes();
        let word = u64::from_ne_bytes([f0, f1, r0, r1, l0, l1, l2, l3]);
        self.slot(slot)[0].store(word, Ordering::Relaxed);
    }

    /// Writes the whole of a slot.
    pub(crate) fn set_descriptor(&self, slot: u16, region: u16, len: u32, offset: u32) {
        let [o0, o1, o2, o3] = offset.to_ne_bytes();
        let word = u64::from_ne_bytes([o0, o1, o2, o3, 0, 0, 0, 0]);
        self.slot(slot)[1].store(word, Ordering::Relaxed);
        self.set_filled(slot, region, len, false);
    }

    /// As a consumer: asks for no interrupts, or for some.
    pub(crate) fn mask_interrupt(&self, mask: bool) {
        let flags = self.flags.load(Ordering::Relaxed) & !MASK_INTERRUPT;
        let bit = if mask { MASK_INTERRUPT } else { 0 };
        self.flags.store(flags | bit, Ordering::Relaxed);
        // Whoever stops polling looks at the ring once more after this; whoever produces looks at
        // the flag after it has published. One of the two sees the other.
        fence(Ordering::SeqCst);
    }

    /// As a producer that has published: whether the consumer wants an interrupt.
    #[inline]
    pub(crate) fn wants_interrupt(&self) -> bool {
        fence(Ordering::SeqCst);
        self.flags.load(Ordering::Relaxed) & MASK_INTERRUPT == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_os::map::SharedMap;

    fn regions(len: usize) -> Regions {
        vec![Region::new(SharedMap::anonymous(len).unwrap())]
    }

    #[test]
    fn descriptors_survive_and_the_layout_is_the_protocols() {
        let regions = regions(4096);
        let ring = Ring::new(0, 256, 3);
        ring.format(&regions).unwrap();
        assert!(ring.is_formatted(&regions));
        let view = ring.view(&regions).unwrap();
        view.set_descriptor(9, 0x0102, 77, 0x0304_0506);
        let expected = Descriptor {
            more: false,
            region: 0x0102,
            len: 77,
            offset: 0x0304_0506,
        };
        assert_eq!(view.descriptor(1), expected);
        view.set_filled(1, 3, 60, true);
        assert_eq!(view.descriptor(9).offset, 0x0304_0506);
        let mut bytes = [0; 16];
        assert!(regions[0].read(256 + 128 + 16, &mut bytes));
        assert_eq!(bytes[..2], 1u16.to_ne_bytes());
        assert_eq!(bytes[2..4], 3u16.to_ne_bytes());
        assert_eq!(bytes[4..8], 60u32.to_ne_bytes());
        assert_eq!(bytes[8..12], 0x0304_0506u32.to_ne_bytes());
        view.set_head(0x1234);
        view.set_tail(0x4321);
        let word = |at| regions[0].word16(at).unwrap().load(Ordering::Relaxed);
        assert_eq!((word(256 + 6), word(256 + 64)), (0x1234, 0x4321));
    }

    #[test]
    fn a_ring_outside_its_region_is_broken() {
        let regions = regions(4096);
        for (region, offset, log2) in [(1, 0, 3), (0, 4096, 1), (0, 0, 9), (0, 3, 3), (0, 4, 3)] {
            let ring = Ring::new(region, offset, log2);
            assert!(ring.view(&regions).is_err(), "{region} {offset} {log2}");
        }
        assert!(Ring::new(0, 0, 7).view(&regions).is_ok());
        assert!(!Ring::new(0, 0, 7).is_formatted(&regions));
    }

    #[test]
    fn indices_wrap_and_wild_ones_are_broken() {
        let regions = regions(4096);
        let view = Ring::new(0, 0, 3).view(&regions).unwrap();
        assert_eq!(view.distance(0xfffe, 3), Ok(5));
        assert_eq!(view.distance(5, 13), Ok(8));
        assert_eq!(view.distance(5, 14), Err(Broken));
        assert_eq!(view.distance(5, 4), Err(Broken));
    }

    #[test]
    fn the_largest_ring() {
        let ring = Ring::new(0, 0, 14);
        let regions = regions(ring_len(14));
        assert_eq!(ring.size(), 16384);
        let view = ring.view(&regions).unwrap();
        assert_eq!(view.distance(0, 16384), Ok(16384));
        assert_eq!(view.distance(0, 16385), Err(Broken));
    }

    #[test]
    fn interrupts_are_wanted_unless_masked() {
        let regions = regions(4096);
        let ring = Ring::new(0, 0, 3);
        ring.format(&regions).unwrap();
        let view = ring.view(&regions).unwrap();
        assert!(view.wants_interrupt());
        view.mask_interrupt(true);
        assert!(!view.wants_interrupt());
    }
}
