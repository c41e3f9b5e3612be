//! Transmission: two frames have room on the card, so that one is written while the other is
//! sent; more wait here. Home worker.

use crate::counters::Counters;
use crate::dma::{self, PAGE, Stuck};
use crate::ports::Ports;
use crate::probe::Layout;
use crate::regs::{CR, cr, isr, page0, tsr};
use io_net_ddk::prelude::*;
use io_net_ddk::{Tally, offload, vlan};
use std::collections::VecDeque;

/// Pages of one frame.
const SLOT_PAGES: u8 = 6;
/// Pages of the card's memory that transmission has.
pub(crate) const PAGES: u8 = 2 * SLOT_PAGES;
/// Bytes of a slot: more than a frame with a tag has.
const SLOT: usize = SLOT_PAGES as usize * PAGE;
/// The shortest frame, without its checksum (IEEE 802.3, 3.2.8).
const FRAME_MIN: usize = 60;
/// Bytes of an Ethernet header.
pub(crate) const HEADER: usize = 14;
/// Frames that wait, at most: a quarter of a second at 10 Mbit/s.
const QUEUE_MAX: usize = 256;
/// How long a frame may take: sixteen collisions with their longest pauses take 0.4 s.
const TIMEOUT_NS: u64 = 1_000_000_000;

/// What is to be sent, and what is being sent.
pub(crate) struct Transmitter {
    queue: VecDeque<SharedPacket>,
    /// Frames on the card: their length, and what they add to the counters.
    slots: [Option<(u16, Tally)>; 2],
    /// The slot that is being sent, and since when.
    sending: Option<(usize, u64)>,
    /// Where a frame is put together.
    frame: Box<[u8; SLOT]>,
}

impl Transmitter {
    pub(crate) fn new() -> Self {
        Transmitter {
            queue: VecDeque::with_capacity(QUEUE_MAX),
            slots: [None; 2],
            sending: None,
            frame: Box::new([0; SLOT]),
        }
    }

    /// Takes `packet` to be sent: what the card cannot do is done here.
    pub(crate) fn push(&mut self, packet: SharedPacket, mtu: u32, counters: &Counters) {
        let queue = &mut self.queue;
        let mut out = |piece: SharedPacket| {
            let longest = HEADER + mtu as usize + tag_within(&piece);
            match piece.total_len() {
                ..HEADER => counters.nic.tx_errors.add(1),
                len if len > longest => counters.tx_too_long.add(1),
                _ if queue.len() == QUEUE_MAX => counters.nic.tx_no_room.add(1),
                _ => queue.push_back(piece),
            }
        };
        match offload::finish(packet, 0, mtu, &mut out) {
            Ok(()) => {}
            Err(offload::Unfinished::NoBuffer) => counters.nic.tx_no_room.add(1),
            Err(offload::Unfinished::TooLong) => counters.tx_too_long.add(1),
            Err(offload::Unfinished::Malformed) => counters.nic.tx_errors.add(1),
        }
    }

    /// Writes frames to the card as long as it has room, and has it send.
    ///
    /// # Errors
    /// [`Stuck`]: the chip is to be reset.
    pub(crate) fn fill(
        &mut self,
        ports: &mut impl Ports,
        layout: &Layout,
        now_ns: u64,
        counters: &Counters,
    ) -> Result<usize, Stuck> {
        let mut done = 0;
        while !self.queue.is_empty() {
            let Some(slot) = self.slots.iter().position(Option::is_none) else {
                // Perhaps the one that is being sent is through by now.
                if !self.is_through(ports) {
                    break;
                }
                self.complete(ports, layout, now_ns, counters);
                continue;
            };
            let Some(packet) = self.queue.pop_front() else {
                break;
            };
            self.load(ports, layout, slot, &packet)?;
            done += 1;
            if self.sending.is_none() {
                self.send(ports, layout, slot, now_ns);
            }
        }
        Ok(done)
    }

    /// Writes a frame into `slot`: with its tag, and as long as frames are at least.
    fn load(
        &mut self,
        ports: &mut impl Ports,
        layout: &Layout,
        slot: usize,
        packet: &SharedPacket,
    ) -> Result<(), Stuck> {
        let mut len = 0;
        let mut put = |bytes: &[u8]| {
            // There is room: longer frames are not queued.
            if let Some(place) = self.frame.get_mut(len..len + bytes.len()) {
                place.copy_from_slice(bytes);
                len += bytes.len();
            }
        };
        packet.fragments().for_each(&mut put);
        if let Some(tci) = packet.vlan_tci() {
            put(&[0; vlan::TAG]);
            let tagged = &mut self.frame[..len];
            tagged.copy_within(vlan::TAG_AT..len - vlan::TAG, vlan::TAG_AT + vlan::TAG);
            let tag = vlan::tag(vlan::CUSTOMER, tci);
            tagged[vlan::TAG_AT..vlan::TAG_AT + vlan::TAG].copy_from_slice(&tag);
        }
        let mut tally = Tally::default();
        tally.frame(&self.frame[..len], len);
        let padded = len.max(FRAME_MIN);
        let written = padded.next_multiple_of(layout.width.bytes());
        // What an earlier frame has left there is nobody's business.
        self.frame[len..written].fill(0);
        let at = u16::from(page_of(layout, slot)) << 8;
        dma::write(ports, layout.width, at, &self.frame[..written])?;
        self.slots[slot] = Some((padded as u16, tally));
        Ok(())
    }

    fn send(&mut self, ports: &mut impl Ports, layout: &Layout, slot: usize, now_ns: u64) {
        let Some((len, _)) = self.slots[slot] else {
            return;
        };
        let [low, high] = len.to_le_bytes();
        ports.out8(page0::TPSR, page_of(layout, slot));
        ports.out8(page0::TBCR[0], low);
        ports.out8(page0::TBCR[1], high);
        ports.out8(CR, cr::STA | cr::TXP | cr::NO_DMA);
        self.sending = Some((slot, now_ns));
    }

    /// Whether the chip says that the frame under way is through, acknowledging it.
    fn is_through(&self, ports: &mut impl Ports) -> bool {
        const THROUGH: u8 = isr::PTX | isr::TXE;
        let status = ports.in8(page0::ISR);
        let through = status != 0xff && status & THROUGH != 0;
        if through {
            ports.out8(page0::ISR, status & THROUGH);
        }
        through
    }

    /// The frame under way is through, for good or bad: counts it and sends the next.
    pub(crate) fn complete(
        &mut self,
        ports: &mut impl Ports,
        layout: &Layout,
        now_ns: u64,
        counters: &Counters,
    ) {
        let Some((slot, _)) = self.sending.take() else {
            return;
        };
        let status = ports.in8(page0::TSR);
        if let Some((_, tally)) = self.slots[slot].take() {
            match status & (tsr::ABT | tsr::FU) {
                0 => counters.nic.sent(&tally),
                _ => counters.nic.tx_errors.add(1),
            }
        }
        if status & tsr::COL != 0 {
            counters
                .tx_collisions
                .add((ports.in8(page0::NCR) & 15).into());
        }
        for (bit, counter) in [
            (tsr::ABT, counters.tx_aborted),
            (tsr::CRS, counters.tx_carrier_lost),
            (tsr::FU, counters.tx_fifo_underruns),
            (tsr::OWC, counters.tx_late_collisions),
            (tsr::CDH, counters.tx_heartbeat_lost),
        ] {
            counter.add((status & bit != 0).into());
        }
        let other = 1 - slot;
        if self.slots[other].is_some() {
            self.send(ports, layout, other, now_ns);
        }
    }

    /// When the frame under way is late.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.sending.map(|(_, since)| since + TIMEOUT_NS)
    }

    /// Whether a frame is under way or waits.
    pub(crate) fn is_busy(&self) -> bool {
        self.sending.is_some()
    }

    /// Forgets what is on the card, which has lost it. Returns how many frames that were.
    pub(crate) fn forget(&mut self) -> u64 {
        self.sending = None;
        let lost = self.slots.iter_mut().filter_map(Option::take).count();
        lost as u64
    }

    /// Releases what waits. Returns how many frames that were.
    pub(crate) fn release(&mut self) -> u64 {
        let waiting = self.queue.len() as u64;
        self.queue.clear();
        waiting + self.forget()
    }
}

/// Bytes of the tags that a frame has in itself, which the MTU does not count.
fn tag_within(packet: &SharedPacket) -> usize {
    match packet.data().get(12..14) {
        Some([0x81, 0x00] | [0x88, 0xa8]) => vlan::TAG,
        _ => 0,
    }
}

/// The first page of a slot.
fn page_of(layout: &Layout, slot: usize) -> u8 {
    layout.start + SLOT_PAGES * slot as u8
}
