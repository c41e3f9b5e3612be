//! Where everything lies in a segment.
//!
//! ```text
//! 0                                  Header (one page)
//! 4096                               slots x Slot, 1 KiB each
//! fifos                              slots x (tx FIFO, rx FIFO), fifo_capacity bytes each
//! ```
//!
//! A segment is a memfd sealed against any change of size. Memory in it exists only once touched,
//! so its size is a reservation. io-net gives touched FIFO pages back when it frees a slot that
//! used many.

use std::sync::atomic::{AtomicU32, AtomicU64};

use io_net_ring::wake::{DIRTY_BITS, DirtySet, SleepSet};

use crate::session::SegmentInfo;
use crate::slot::SLOT_SIZE;

/// First word of a segment: "ionetseg" read as little-endian bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ionetseg");

/// The most slots that a segment can have.
pub const SLOTS_MAX: u32 = DIRTY_BITS as u32;
/// The slots that a segment has unless configured otherwise.
pub const SLOTS_DEFAULT: u32 = 256;
/// The bytes reserved for each FIFO unless configured otherwise.
pub const FIFO_CAPACITY_DEFAULT: u32 = 1 << 20;
/// The most bytes that can be reserved for a FIFO.
pub const FIFO_CAPACITY_MAX: u32 = 1 << 26;

io_net_ring::shared! {
    /// The first page.
    #[repr(C, align(64))]
    pub struct Header {
        /// [`MAGIC`]. Written once by io-net before anybody else sees the segment, as are the next
        /// four.
        pub magic: AtomicU64,
        /// [`crate::MAJOR`].
        pub major: AtomicU32,
        /// [`crate::MINOR`].
        pub minor: AtomicU32,
        /// [`SegmentInfo::id`].
        pub id: AtomicU64,
        /// [`SegmentInfo::slots`].
        pub slots: AtomicU32,
        /// [`SegmentInfo::fifo_capacity`].
        pub fifo_capacity: AtomicU32,
        /// Reserved, 0.
        pub reserved: [AtomicU64; 4],
        /// Slots that have news for io-net, and whether it sleeps.
        pub dirty: DirtySet,
        /// Bells whose owners sleep.
        pub sleepers: SleepSet,
        /// Reserved, 0.
        pub reserved_sleepers: [AtomicU64; 7],
        /// Sum of all event counters: nothing happened in this segment if it has not changed.
        /// Written by io-net.
        pub events_total: AtomicU32,
        /// Reserved, 0.
        pub reserved_events: [AtomicU32; 15],
        /// Reserved, 0.
        pub reserved_page: [AtomicU64; 224],
        /// An event counter for each slot, written by io-net: it differs from what one remembers if
        /// something happened to the socket since. Also the futex on which blocking calls sleep.
        pub events: [AtomicU32; DIRTY_BITS],
        /// Reserved, 0.
        pub reserved_end: [AtomicU32; 64],
    }
}

const _: () = {
    assert!(std::mem::offset_of!(Header, dirty) == 64);
    assert!(std::mem::offset_of!(Header, sleepers) == 128);
    assert!(std::mem::offset_of!(Header, events_total) == 192);
    assert!(std::mem::offset_of!(Header, events) == 2048);
    assert!(size_of::<Header>() == 4096);
};

/// A segment's shape, from which every offset follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    slots: u32,
    fifo_capacity: u32,
}

impl Geometry {
    /// A segment of `slots` slots (1 to [`SLOTS_MAX`]) with `fifo_capacity` bytes for each FIFO (a
    /// power of two from 4096 to [`FIFO_CAPACITY_MAX`]). None for anything else.
    #[must_use]
    pub fn new(slots: u32, fifo_capacity: u32) -> Option<Self> {
        let fits = (1..=SLOTS_MAX).contains(&slots)
            && fifo_capacity.is_power_of_two()
            && (4096..=FIFO_CAPACITY_MAX).contains(&fifo_capacity);
        fits.then_some(Self {
            slots,
            fifo_capacity,
        })
    }

    /// How many slots.
    #[must_use]
    pub fn slots(self) -> u32 {
        self.slots
    }

    /// Bytes reserved for each FIFO.
    #[must_use]
    pub fn fifo_capacity(self) -> u32 {
        self.fifo_capacity
    }

    /// Where slot `index` begins.
    #[must_use]
    pub fn slot(self, index: u32) -> usize {
        size_of::<Header>() + index as usize * SLOT_SIZE
    }

    fn fifos(self) -> usize {
        self.slot(self.slots).next_multiple_of(4096)
    }

    /// Where the tx FIFO of slot `index` begins; page aligned.
    #[must_use]
    pub fn tx(self, index: u32) -> usize {
        self.fifos() + index as usize * 2 * self.fifo_capacity as usize
    }

    /// Where the rx FIFO of slot `index` begins; page aligned.
    #[must_use]
    pub fn rx(self, index: u32) -> usize {
        self.tx(index) + self.fifo_capacity as usize
    }

    /// Bytes in all.
    #[must_use]
    pub fn size(self) -> usize {
        self.tx(self.slots)
    }

    /// As it is told to programs.
    #[must_use]
    pub fn info(self, id: u64) -> SegmentInfo {
        let (slots, fifo_capacity) = (self.slots, self.fifo_capacity);
        SegmentInfo {
            id,
            size: self.size() as u64,
            slots,
            fifo_capacity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps() {
        let g = Geometry::new(SLOTS_DEFAULT, FIFO_CAPACITY_DEFAULT).unwrap();
        assert_eq!(g.slot(0), 4096);
        assert!(g.slot(255) + SLOT_SIZE <= g.tx(0));
        assert_eq!(g.tx(0) % 4096, 0);
        assert_eq!(g.rx(7) + (1 << 20), g.tx(8));
        assert_eq!(g.size(), g.rx(255) + (1 << 20));
        for (slots, capacity) in [
            (0, 4096),
            (SLOTS_MAX + 1, 4096),
            (1, 5000),
            (1, 2048),
            (1, 1 << 27),
        ] {
            assert_eq!(Geometry::new(slots, capacity), None);
        }
    }
}
