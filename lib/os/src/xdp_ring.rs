//! The rings of an `AF_XDP` socket: two counters and a run of entries that we share with the kernel
//! (the kernel's `Documentation/networking/af_xdp.rst`).
//!
//! Of each ring one side is ours: [`Producer`] or [`Consumer`]. Our own counter is never read back,
//! and how far the kernel says it has come is held against the ring's size before it is believed.
//! One thread; no system call.

use crate::map::SharedMap;
use crate::region::Region;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// A frame, or a piece of one, in the memory that the socket was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desc {
    /// Offset of its first byte.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// The frame goes on in the next descriptor.
    pub more: bool,
}

/// What lies in a ring.
pub trait Entry: Copy {
    /// 64-bit words of an entry.
    const WORDS: usize;
    /// Reads an entry of that many words.
    fn load(words: &[AtomicU64]) -> Self;
    /// Writes an entry of that many words.
    fn store(self, words: &[AtomicU64]);
}

/// Of the fill and completion rings: the offset of a chunk.
impl Entry for u64 {
    const WORDS: usize = 1;

    #[inline]
    fn load(words: &[AtomicU64]) -> Self {
        words.first().map_or(0, |word| word.load(Ordering::Relaxed))
    }

    #[inline]
    fn store(self, words: &[AtomicU64]) {
        if let Some(word) = words.first() {
            word.store(self, Ordering::Relaxed);
        }
    }
}

/// Of the rx and tx rings: offset, then length and options (`struct xdp_desc`).
impl Entry for Desc {
    const WORDS: usize = 2;

    #[inline]
    fn load(words: &[AtomicU64]) -> Self {
        let [addr, rest] = words else {
            return Desc {
                addr: 0,
                len: 0,
                more: false,
            };
        };
        let [l0, l1, l2, l3, options @ ..] = rest.load(Ordering::Relaxed).to_ne_bytes();
        Desc {
            addr: addr.load(Ordering::Relaxed),
            len: u32::from_ne_bytes([l0, l1, l2, l3]),
            more: u32::from_ne_bytes(options) & libc::XDP_PKT_CONTD != 0,
        }
    }

    #[inline]
    fn store(self, words: &[AtomicU64]) {
        let [addr, rest] = words else { return };
        let [l0, l1, l2, l3] = self.len.to_ne_bytes();
        let options = if self.more { libc::XDP_PKT_CONTD } else { 0 };
        let [o0, o1, o2, o3] = options.to_ne_bytes();
        addr.store(self.addr, Ordering::Relaxed);
        let word = u64::from_ne_bytes([l0, l1, l2, l3, o0, o1, o2, o3]);
        rest.store(word, Ordering::Relaxed);
    }
}

/// Where the parts of a ring are in its mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) producer: usize,
    pub(crate) consumer: usize,
    pub(crate) flags: usize,
    pub(crate) entries: usize,
}

/// A ring in memory, of either side.
#[derive(Debug)]
struct Shared {
    memory: Region,
    at: Layout,
    /// Entries: a power of two.
    size: u32,
}

impl Shared {
    fn map<E: Entry>(
        socket: BorrowedFd<'_>,
        page_offset: i64,
        size: u32,
        at: Layout,
    ) -> io::Result<Self> {
        let entries = size as usize * E::WORDS * 8;
        let memory = SharedMap::populated_at(socket, page_offset, at.entries + entries)?;
        Self::new::<E>(Region::new(memory), size, at)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// None where the parts do not lie within the memory.
    fn new<E: Entry>(memory: Region, size: u32, at: Layout) -> Option<Self> {
        let words = [at.producer, at.consumer, at.flags];
        let sound = size.is_power_of_two()
            && words.into_iter().all(|at| memory.word32(at).is_some())
            && memory
                .words64(at.entries, size as usize * E::WORDS)
                .is_some();
        sound.then_some(Shared { memory, at, size })
    }

    #[inline]
    fn counter(&self, at: usize) -> u32 {
        self.memory
            .word32(at)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    #[inline]
    fn publish(&self, at: usize, value: u32) {
        if let Some(word) = self.memory.word32(at) {
            word.store(value, Ordering::Release);
        }
    }

    /// The words of all entries.
    #[inline]
    fn words<E: Entry>(&self) -> &[AtomicU64] {
        let count = self.size as usize * E::WORDS;
        self.memory.words64(self.at.entries, count).unwrap_or(&[])
    }

    /// The words of the entry with number `index`, counted from the ring's beginning on for ever.
    #[inline]
    fn entry<E: Entry>(words: &[AtomicU64], index: u32) -> &[AtomicU64] {
        let ring = words.len() / E::WORDS;
        let at = (index as usize & ring.wrapping_sub(1)) * E::WORDS;
        words.get(at..at + E::WORDS).unwrap_or(&[])
    }
}

/// A ring that we fill: fill or tx.
#[derive(Debug)]
pub struct Producer<E> {
    shared: Shared,
    /// The next entry of ours.
    next: u32,
    /// Where the kernel was when last looked.
    taken: u32,
    entry: std::marker::PhantomData<E>,
}

impl<E: Entry> Producer<E> {
    pub(crate) fn map(
        socket: BorrowedFd<'_>,
        page_offset: i64,
        size: u32,
        at: Layout,
    ) -> io::Result<Self> {
        Shared::map::<E>(socket, page_offset, size, at).map(Self::over)
    }

    fn over(shared: Shared) -> Self {
        Producer {
            shared,
            next: 0,
            taken: 0,
            entry: std::marker::PhantomData,
        }
    }

    /// Entries that there is room for; the kernel is asked only where fewer than `wanted` are known.
    #[inline]
    pub fn room(&mut self, wanted: u32) -> u32 {
        let known = self.shared.size - self.next.wrapping_sub(self.taken);
        if known >= wanted {
            return known;
        }
        let taken = self.shared.counter(self.shared.at.consumer);
        // Anything else is not between what it had and what it was given.
        if self.next.wrapping_sub(taken) <= self.next.wrapping_sub(self.taken) {
            self.taken = taken;
        }
        self.shared.size - self.next.wrapping_sub(self.taken)
    }

    /// Gives the kernel `entries`, as many as [`Producer::room`] has last allowed. Returns how many.
    #[inline]
    pub fn give(&mut self, entries: impl IntoIterator<Item = E>) -> u32 {
        let free = self.shared.size - self.next.wrapping_sub(self.taken);
        let words = self.shared.words::<E>();
        let mut next = self.next;
        for entry in entries.into_iter().take(free as usize) {
            entry.store(Shared::entry::<E>(words, next));
            next = next.wrapping_add(1);
        }
        let given = next.wrapping_sub(self.next);
        if given > 0 {
            self.next = next;
            self.shared.publish(self.shared.at.producer, next);
        }
        given
    }

    /// Entries given that the kernel has not taken yet.
    #[must_use]
    pub fn waiting(&mut self) -> u32 {
        self.shared.size - self.room(u32::MAX)
    }

    /// Whether the kernel takes more only after a call. Without `XDP_USE_NEED_WAKEUP` never.
    #[inline]
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        self.shared.counter(self.shared.at.flags) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// A ring that the kernel fills: rx or completion.
#[derive(Debug)]
pub struct Consumer<E> {
    shared: Shared,
    /// The next entry to take.
    next: u32,
    entry: std::marker::PhantomData<E>,
}

impl<E: Entry> Consumer<E> {
    pub(crate) fn map(
        socket: BorrowedFd<'_>,
        page_offset: i64,
        size: u32,
        at: Layout,
    ) -> io::Result<Self> {
        Shared::map::<E>(socket, page_offset, size, at).map(Self::over)
    }

    fn over(shared: Shared) -> Self {
        Consumer {
            shared,
            next: 0,
            entry: std::marker::PhantomData,
        }
    }

    /// Entries to take.
    #[inline]
    #[must_use]
    pub fn ready(&self) -> u32 {
        let ready = self
            .shared
            .counter(self.shared.at.producer)
            .wrapping_sub(self.next);
        // More than the ring holds cannot be.
        if ready <= self.shared.size { ready } else { 0 }
    }

    /// Takes up to `most` entries and hands each to `take`, oldest first. Returns how many. Their
    /// places are the kernel's again afterwards.
    #[inline]
    pub fn take(&mut self, most: u32, mut take: impl FnMut(E)) -> u32 {
        let count = self.ready().min(most);
        let words = self.shared.words::<E>();
        for offset in 0..count {
            take(E::load(Shared::entry::<E>(
                words,
                self.next.wrapping_add(offset),
            )));
        }
        if count > 0 {
            self.next = self.next.wrapping_add(count);
            self.shared.publish(self.shared.at.consumer, self.next);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Layout = Layout {
        producer: 0,
        consumer: 64,
        flags: 128,
        entries: 192,
    };

    fn shared<E: Entry>(size: u32) -> Shared {
        let memory = Region::new(SharedMap::anonymous(4096).unwrap());
        Shared::new::<E>(memory, size, AT).unwrap()
    }

    fn set(shared: &Shared, at: usize, value: u32) {
        shared.publish(at, value);
    }

    #[test]
    fn what_is_given_lies_where_the_kernel_reads_it() {
        let mut ring = Producer::<Desc>::over(shared::<Desc>(4));
        let desc = |addr, more| Desc {
            addr,
            len: 0x0102_0304,
            more,
        };
        assert_eq!(ring.room(9), 4);
        assert_eq!(ring.give((0..9).map(|n| desc(n, n == 3))), 4);
        assert_eq!((ring.room(1), ring.waiting()), (0, 4));
        let mut bytes = [0; 64];
        assert!(ring.shared.memory.read(AT.entries, &mut bytes));
        assert_eq!(bytes[48..56], 3_u64.to_ne_bytes());
        assert_eq!(bytes[56..60], 0x0102_0304_u32.to_ne_bytes());
        assert_eq!(bytes[60..], 1_u32.to_ne_bytes());
        assert_eq!(bytes[44..48], [0; 4]);
        // The kernel takes three, and three more go round the end.
        set(&ring.shared, AT.consumer, 3);
        assert_eq!(ring.room(1), 3);
        assert_eq!(ring.give((10..13).map(|n| desc(n, false))), 3);
        assert!(ring.shared.memory.read(AT.entries, &mut bytes));
        assert_eq!(bytes[..8], 10_u64.to_ne_bytes());
        assert_eq!(ring.shared.counter(AT.producer), 7);
    }

    #[test]
    fn a_consumer_counter_that_cannot_be_is_not_believed() {
        let mut ring = Producer::<u64>::over(shared::<u64>(4));
        ring.room(4);
        ring.give([1, 2]);
        for wild in [3, 5, u32::MAX] {
            set(&ring.shared, AT.consumer, wild);
            assert_eq!(ring.room(4), 2, "{wild}");
        }
        set(&ring.shared, AT.consumer, 2);
        assert_eq!(ring.room(4), 4);
        // Nor does it go back.
        set(&ring.shared, AT.consumer, 1);
        assert_eq!(ring.room(5), 4);
        assert!(!ring.needs_wakeup());
        set(&ring.shared, AT.flags, 1);
        assert!(ring.needs_wakeup());
    }

    #[test]
    fn entries_are_taken_in_order_and_wild_counters_give_none() {
        let mut ring = Consumer::<u64>::over(shared::<u64>(4));
        let words = ring.shared.memory.words64(AT.entries, 4).unwrap();
        for (n, word) in words.iter().enumerate() {
            word.store(100 + n as u64, Ordering::Relaxed);
        }
        set(&ring.shared, AT.producer, 3);
        let mut got = Vec::new();
        assert_eq!(ring.take(2, |addr| got.push(addr)), 2);
        assert_eq!(ring.shared.counter(AT.consumer), 2);
        set(&ring.shared, AT.producer, 6);
        assert_eq!(ring.take(9, |addr| got.push(addr)), 4);
        assert_eq!(got, [100, 101, 102, 103, 100, 101]);
        for wild in [5, 11, u32::MAX] {
            set(&ring.shared, AT.producer, wild);
            assert_eq!(ring.ready(), 0, "{wild}");
        }
    }

    #[test]
    fn a_ring_outside_its_mapping_is_refused() {
        let memory = || Region::new(SharedMap::anonymous(4096).unwrap());
        let far = Layout {
            consumer: 4096,
            ..AT
        };
        assert!(Shared::new::<u64>(memory(), 4, far).is_none());
        assert!(Shared::new::<u64>(memory(), 512, AT).is_none());
        assert!(Shared::new::<u64>(memory(), 3, AT).is_none());
        assert!(Shared::new::<Desc>(memory(), 128, AT).is_some());
    }
}
