//! One direction of a link: a ring of records in memory that both ends write.
//!
//! Layout from the direction's start: four words, each in a cache line of its own, then from
//! `DATA` the records. A record is a header of `HEADER` bytes and a frame, contiguous, padded to
//! `ALIGN`; where one would not fit before the end, a header with length `SKIP` sends the
//! consumer back to the start. Positions only grow; they are taken modulo the size.
//!
//! One thread at each end. What the other end has written is nobody's word: each word is read once
//! and checked, and what cannot be is [`Corrupt`].

use io_net_ddk::abi::VnetHdr;
use io_net_os::region::Region;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Where the producer says how far it has written, in bytes.
const HEAD: usize = 0;
/// Where the consumer says how far it has read.
const TAIL: usize = 128;
/// Set where the consumer sleeps and wants to be rung for packets.
const SLEEPING: usize = 256;
/// Set where the producer wants to be rung for room.
const WAITING: usize = 384;
/// Where the records begin: at a page of their own.
const DATA: usize = 4096;

/// Bytes of a record's header.
const HEADER: usize = 32;
/// Records begin at multiples of this.
const ALIGN: usize = 32;
/// The length that stands for the unused end of the ring.
const SKIP: u32 = u32::MAX;
/// [`Meta::vlan_tci`] is there.
const HAS_VLAN: u16 = 1;

/// Bytes of the longest frame: a 64 KiB segment with headers.
pub const LONGEST: usize = 66_560;
/// Bytes of records that a direction may have.
pub const SIZES: std::ops::RangeInclusive<usize> = (256 << 10)..=(64 << 20);

/// The other end has written what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// What crosses beside a frame's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Offloads asked for or done.
    pub vnet: VnetHdr,
    /// A tag that is not in the frame.
    pub vlan_tci: Option<u16>,
}

/// Bytes of memory for one direction with `size` bytes of records.
#[must_use]
pub fn memory_size(size: usize) -> usize {
    DATA + size
}

/// One direction's place in a mapping, checked once.
#[derive(Clone, Debug)]
struct Place {
    region: Arc<Region>,
    base: usize,
    /// A power of two.
    size: usize,
}

impl Place {
    fn new(region: Arc<Region>, base: usize, size: usize) -> Option<Self> {
        let fits = base
            .checked_add(memory_size(size))
            .is_some_and(|end| end <= region.len());
        let sound = fits && base.is_multiple_of(DATA) && size.is_power_of_two();
        (sound && SIZES.contains(&size)).then_some(Place { region, base, size })
    }

    #[inline]
    fn position(&self, at: usize) -> &AtomicU64 {
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        // `new` has seen that it is there.
        self.region.word64(self.base + at).unwrap_or(&NOWHERE)
    }

    #[inline]
    fn flag(&self, at: usize) -> &AtomicU32 {
        static NOWHERE: AtomicU32 = AtomicU32::new(0);
        self.region.word32(self.base + at).unwrap_or(&NOWHERE)
    }

    /// Where in the mapping the record at `position` lies, and the bytes up to the ring's end.
    #[inline]
    fn locate(&self, position: u64) -> (usize, usize) {
        let at = position as usize & (self.size - 1);
        (self.base + DATA + at, self.size - at)
    }

    /// Sets a flag that the other end reads after it has moved its position.
    #[inline]
    fn ask(&self, at: usize) {
        self.flag(at).store(1, Ordering::Relaxed);
        // With the fence in `answer`: either we see the new position, or the other end the flag.
        fence(Ordering::SeqCst);
    }

    /// Whether the other end has set a flag; it is clear afterwards. Called after a position of
    /// ours has moved.
    #[inline]
    fn answer(&self, at: usize) -> bool {
        fence(Ordering::SeqCst);
        let flag = self.flag(at);
        let set = flag.load(Ordering::Relaxed) != 0;
        if set {
            flag.store(0, Ordering::Relaxed);
        }
        set
    }
}

/// The sending end of a direction.
#[derive(Debug)]
pub struct Producer {
    place: Place,
    head: u64,
    published: u64,
    tail: u64,
}

impl Producer {
    /// The producer of the empty direction at `base`; None where it does not fit.
    #[must_use]
    pub fn new(region: Arc<Region>, base: usize, size: usize) -> Option<Self> {
        let place = Place::new(region, base, size)?;
        Some(Producer {
            place,
            head: 0,
            published: 0,
            tail: 0,
        })
    }

    /// Writes one frame of `len` bytes, at most [`LONGEST`], that lies in `fragments`. It is seen
    /// once it has been published. False where there is no room.
    ///
    /// # Errors
    /// [`Corrupt`].
    #[inline]
    pub fn push<'f>(
        &mut self,
        meta: &Meta,
        len: usize,
        fragments: impl Iterator<Item = &'f [u8]>,
    ) -> Result<bool, Corrupt> {
        let needed = record_size(len);
        let (mut at, to_end) = self.place.locate(self.head);
        let skipped = if needed > to_end { to_end } else { 0 };
        if !self.has_room(skipped + needed)? {
            return Ok(false);
        }
        if skipped > 0 {
            self.write(at, &SKIP.to_ne_bytes());
            self.head += skipped as u64;
            at = self.place.base + DATA;
        }
        self.write(at, &header(meta, len as u32));
        let mut end = at + HEADER;
        for fragment in fragments {
            self.write(end, fragment);
            end += fragment.len();
        }
        self.head += needed as u64;
        Ok(true)
    }

    /// Bytes written and not yet published.
    #[inline]
    #[must_use]
    pub fn unpublished(&self) -> u64 {
        self.head - self.published
    }

    /// Lets the consumer see all that has been written.
    #[inline]
    pub fn publish(&mut self) {
        self.published = self.head;
        let head = self.place.position(HEAD);
        head.store(self.head, Ordering::Release);
    }

    /// Whether the consumer sleeps and is to be rung for what has been published.
    #[inline]
    #[must_use]
    pub fn must_ring(&self) -> bool {
        self.place.answer(SLEEPING)
    }

    /// Asks to be rung for room. True where there is some already, for a frame of `len` bytes.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn wait(&mut self, len: usize) -> Result<bool, Corrupt> {
        self.place.ask(WAITING);
        // A skip may come on top.
        self.has_room(2 * record_size(len))
    }

    /// Asks no longer.
    pub fn wait_no_longer(&self) {
        self.place.flag(WAITING).store(0, Ordering::Relaxed);
    }

    #[inline]
    fn has_room(&mut self, needed: usize) -> Result<bool, Corrupt> {
        let size = self.place.size as u64;
        let fits = |tail: u64| self.head + needed as u64 <= tail + size;
        if fits(self.tail) {
            return Ok(true);
        }
        let tail = self.place.position(TAIL).load(Ordering::Acquire);
        if !(self.tail..=self.published).contains(&tail) {
            return Err(Corrupt);
        }
        self.tail = tail;
        Ok(fits(tail))
    }

    #[inline]
    fn write(&self, at: usize, bytes: &[u8]) {
        let written = self.place.region.write(at, bytes);
        debug_assert!(written, "records lie within the mapping");
    }
}

/// A frame that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Bytes.
    pub len: usize,
    /// What came beside them; unchecked.
    pub meta: Meta,
    at: usize,
}

/// The receiving end of a direction.
#[derive(Debug)]
pub struct Consumer {
    place: Place,
    tail: u64,
    released: u64,
    head: u64,
}

impl Consumer {
    /// The consumer of the empty direction at `base`; None where it does not fit.
    #[must_use]
    pub fn new(region: Arc<Region>, base: usize, size: usize) -> Option<Self> {
        let place = Place::new(region, base, size)?;
        Some(Consumer {
            place,
            tail: 0,
            released: 0,
            head: 0,
        })
    }

    /// Takes the next frame's record, if there is one. Its bytes stay until [`Consumer::release`].
    ///
    /// # Errors
    /// [`Corrupt`].
    #[inline]
    pub fn take(&mut self) -> Result<Option<Record>, Corrupt> {
        loop {
            if self.tail == self.head && !self.has_more()? {
                return Ok(None);
            }
            let (at, to_end) = self.place.locate(self.tail);
            let available = (self.head - self.tail) as usize;
            let mut bytes = [0; HEADER];
            if !self.place.region.read(at, &mut bytes) {
                return Err(Corrupt);
            }
            let (len, meta) = parse(&bytes);
            if len == SKIP {
                if to_end > available {
                    return Err(Corrupt);
                }
                self.tail += to_end as u64;
                continue;
            }
            let len = len as usize;
            let needed = record_size(len.min(LONGEST));
            if len > LONGEST || needed > available || needed > to_end {
                return Err(Corrupt);
            }
            self.tail += needed as u64;
            return Ok(Some(Record {
                len,
                meta,
                at: at + HEADER,
            }));
        }
    }

    /// Copies the first `to.len()` bytes of a frame, which has as many.
    #[inline]
    pub fn copy(&self, record: &Record, to: &mut [u8]) {
        let len = to.len().min(record.len);
        let copied = self.place.region.read(record.at, &mut to[..len]);
        debug_assert!(copied, "records lie within the mapping");
    }

    /// Gives the room of all that has been taken back. True where the producer is to be rung.
    #[inline]
    #[must_use]
    pub fn release(&mut self) -> bool {
        if self.released == self.tail {
            return false;
        }
        self.released = self.tail;
        let tail = self.place.position(TAIL);
        tail.store(self.tail, Ordering::Release);
        self.place.answer(WAITING)
    }

    /// Asks to be rung for packets. True where there are some already.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn sleep(&mut self) -> Result<bool, Corrupt> {
        self.place.ask(SLEEPING);
        Ok(self.tail != self.head || self.has_more()?)
    }

    /// Asks no longer.
    pub fn wake(&self) {
        self.place.flag(SLEEPING).store(0, Ordering::Relaxed);
    }

    #[inline]
    fn has_more(&mut self) -> Result<bool, Corrupt> {
        let head = self.place.position(HEAD).load(Ordering::Acquire);
        let longest = self.released.saturating_add(self.place.size as u64);
        let sound = (self.head..=longest).contains(&head) && head.is_multiple_of(ALIGN as u64);
        if !sound {
            return Err(Corrupt);
        }
        self.head = head;
        Ok(self.tail != head)
    }
}

/// Bytes of the record of a frame of `len` bytes.
#[inline]
fn record_size(len: usize) -> usize {
    (HEADER + len).next_multiple_of(ALIGN)
}

#[inline]
fn header(meta: &Meta, len: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let has_vlan = if meta.vlan_tci.is_some() { HAS_VLAN } else { 0 };
    let vnet = &meta.vnet;
    bytes[0..4].copy_from_slice(&len.to_ne_bytes());
    bytes[4..6].copy_from_slice(&has_vlan.to_ne_bytes());
    bytes[6..8].copy_from_slice(&meta.vlan_tci.unwrap_or(0).to_ne_bytes());
    (bytes[8], bytes[9]) = (vnet.flags, vnet.gso_type);
    bytes[10..12].copy_from_slice(&vnet.hdr_len.to_ne_bytes());
    bytes[12..14].copy_from_slice(&vnet.gso_size.to_ne_bytes());
    bytes[14..16].copy_from_slice(&vnet.csum_start.to_ne_bytes());
    bytes[16..18].copy_from_slice(&vnet.csum_offset.to_ne_bytes());
    bytes
}

#[inline]
fn parse(bytes: &[u8; HEADER]) -> (u32, Meta) {
    let field = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let len = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let meta = Meta {
        vnet: VnetHdr {
            flags: bytes[8],
            gso_type: bytes[9],
            hdr_len: field(10),
            gso_size: field(12),
            csum_start: field(14),
            csum_offset: field(16),
        },
        vlan_tci: (field(4) & HAS_VLAN != 0).then(|| field(6)),
    };
    (len, meta)
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
