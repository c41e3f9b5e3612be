//! Reception: the ring of pages that the chip fills, and the host empties. Home worker.
//!
//! The chip puts four bytes before each frame: status, the page of the next frame, and the length
//! with these four (DP8390D data sheet, section 7). Nothing of them is believed: what does not fit
//! together empties the ring.

use crate::counters::Counters;
use crate::dma::{self, PAGE};
use crate::ports::Ports;
use crate::probe::Layout;
use crate::regs::{CR, cr, page0, page1, rsr};
use io_net_ddk::abi::{NPKT_BCAST, NPKT_MCAST, NPKT_PROMISC};
use io_net_ddk::prelude::*;
use io_net_ddk::{Tally, rx_flags};

/// Bytes before a frame.
const HEADER: usize = 4;
/// Bytes of the checksum after it, which the chip stores but does not count.
const CHECKSUM: usize = 4;
/// Ethernet's header.
const FRAME_MIN: usize = 14;
/// The longest frame: 1500 bytes, header, and a tag.
const FRAME_MAX: usize = 1518;

/// Which frames to take.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) mac: [u8; 6],
    pub(crate) promiscuous: bool,
    /// The chip is to take frames for any station, because it may know another address than `mac`.
    pub(crate) any_station: bool,
    /// Multicast addresses; none for all.
    pub(crate) groups: Vec<[u8; 6]>,
}

impl Filter {
    #[inline]
    fn takes(&self, frame: &[u8], flags: u16) -> bool {
        if self.promiscuous || flags & NPKT_BCAST != 0 {
            return true;
        }
        if flags & NPKT_MCAST != 0 {
            let to = frame.first_chunk();
            return self.groups.is_empty() || to.is_some_and(|to| self.groups.contains(to));
        }
        flags & NPKT_PROMISC == 0
    }
}

/// The chip says where it stores, and it is not in the ring: it is to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Astray;

/// The host's end of the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    /// The page of the next frame.
    next: u8,
}

impl Ring {
    /// An empty ring; the chip is to be told that it stores at [`Ring::next`], and that everything
    /// up to [`Ring::boundary`] has been read.
    pub(crate) fn new(layout: &Layout) -> Self {
        Ring {
            next: layout.ring + 1,
        }
    }

    pub(crate) fn next(self) -> u8 {
        self.next
    }

    /// The page before the next frame's: what a full ring stops at.
    pub(crate) fn boundary(self, layout: &Layout) -> u8 {
        match self.next {
            next if next == layout.ring => layout.stop - 1,
            next => next - 1,
        }
    }

    /// Takes up to `budget` frames and passes them up. Returns how many there were.
    ///
    /// # Errors
    /// [`Astray`].
    pub(crate) fn drain(
        &mut self,
        ports: &mut impl Ports,
        layout: &Layout,
        filter: &Filter,
        budget: usize,
        counters: &Counters,
        cx: &Cx,
    ) -> Result<usize, Astray> {
        let mut burst = BurstBuf::new();
        let mut tally = Tally::default();
        let current = current(ports, layout)?;
        let mut taken = 0;
        let mut outcome = Ok(());
        while self.next != current && taken < budget && !burst.is_full() {
            taken += 1;
            let Some(slot) = self.look(ports, layout, current) else {
                counters.rx_ring_resets.add(1);
                counters.nic.rx_errors.add(1);
                outcome = self.skip(ports, layout);
                break;
            };
            let packet = self.take(ports, layout, &slot, counters);
            self.advance(ports, layout, slot.next);
            let Some(mut packet) = packet else {
                continue;
            };
            let flags = rx_flags(packet.data(), filter.mac);
            if !filter.takes(packet.data(), flags) {
                counters.rx_filtered.add(1);
                continue;
            }
            packet.set_rx(None, None);
            packet.set_flags(flags, 0);
            packet.set_way(cx.cell(), cx.endpoint(), 0);
            tally.frame(packet.data(), packet.len());
            // There is room: it was looked at.
            let _ = burst.push(packet);
        }
        counters.nic.received(&tally);
        cx.tx_up(burst.take());
        outcome.map(|()| taken)
    }

    /// Throws away everything up to where the chip stores.
    #[cold]
    fn skip(&mut self, ports: &mut impl Ports, layout: &Layout) -> Result<(), Astray> {
        let current = current(ports, layout)?;
        self.advance(ports, layout, current);
        Ok(())
    }

    /// Reads the next frame's header. None where it makes no sense.
    #[inline]
    fn look(&self, ports: &mut impl Ports, layout: &Layout, current: u8) -> Option<Slot> {
        let mut header = [0; HEADER];
        dma::read(ports, layout.width, u16::from(self.next) << 8, &mut header);
        let [status, next, low, high] = header;
        let len = usize::from(u16::from_le_bytes([low, high])).checked_sub(HEADER)?;
        let ring = layout.ring..layout.stop;
        let pages = self.distance(next, layout);
        // Chips differ in whether a page that only the checksum's end would need is counted.
        let needed = (HEADER + len).div_ceil(PAGE)..=(HEADER + len + CHECKSUM).div_ceil(PAGE) + 1;
        let sound = status & rsr::PRX != 0
            && len > 0
            && ring.contains(&next)
            && needed.contains(&usize::from(pages))
            && pages <= self.distance(current, layout);
        sound.then_some(Slot { status, next, len })
    }

    /// Pages from the next frame's to `page`, around the ring.
    fn distance(&self, page: u8, layout: &Layout) -> u8 {
        match page < self.next {
            false => page - self.next,
            true => (layout.stop - self.next) + page.saturating_sub(layout.ring),
        }
    }

    /// Reads a frame. None where it is lost, which has been counted.
    #[inline]
    fn take(
        &self,
        ports: &mut impl Ports,
        layout: &Layout,
        slot: &Slot,
        counters: &Counters,
    ) -> Option<Packet> {
        if slot.status & rsr::BAD != 0 {
            counters
                .rx_fifo_overruns
                .add((slot.status & rsr::FO != 0).into());
            counters.nic.rx_errors.add(1);
            return None;
        }
        if slot.len > FRAME_MAX {
            counters.rx_too_long.add(1);
            return None;
        }
        if slot.len < FRAME_MIN {
            counters.nic.rx_errors.add(1);
            return None;
        }
        let rounded = slot.len.next_multiple_of(layout.width.bytes());
        let packet = alloc_one(rounded as u32);
        let Some(mut packet) = packet.filter(|packet| packet.tailroom() >= rounded) else {
            counters.nic.rx_no_buffer.add(1);
            return None;
        };
        let bytes = packet.append(rounded)?;
        let at = (u16::from(self.next) << 8) + HEADER as u16;
        // Where the ring ends the frame goes on at its beginning.
        let straight = usize::from((u16::from(layout.stop) << 8) - at).min(rounded);
        let (first, second) = bytes.split_at_mut(straight);
        dma::read(ports, layout.width, at, first);
        if !second.is_empty() {
            dma::read(ports, layout.width, u16::from(layout.ring) << 8, second);
        }
        packet.truncate(slot.len);
        Some(packet)
    }

    /// Gives the pages before `next` back to the chip.
    fn advance(&mut self, ports: &mut impl Ports, layout: &Layout, next: u8) {
        self.next = next;
        ports.out8(page0::BNRY, self.boundary(layout));
    }
}

/// The frame whose turn it is.
struct Slot {
    status: u8,
    /// The page of the frame after it.
    next: u8,
    len: usize,
}

/// The page that the chip stores at.
fn current(ports: &mut impl Ports, layout: &Layout) -> Result<u8, Astray> {
    ports.out8(CR, cr::STA | cr::NO_DMA | cr::PAGE1);
    let page = ports.in8(page1::CURR);
    ports.out8(CR, cr::STA | cr::NO_DMA);
    match (layout.ring..layout.stop).contains(&page) {
        true => Ok(page),
        false => Err(Astray),
    }
}
