//! One live link: a ring each way, the bells, and what waits for room. Home worker.

use crate::ring::{Consumer, Corrupt, LONGEST, Meta, Producer, Record, memory_size};
use io_net_ddk::abi::NPKT_MSG;
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, rx_flags, vnet_is_sound};
use io_net_os::eventfd::EventFd;
use io_net_os::map::{SharedMap, sealed_segment};
use io_net_os::region::Region;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Packets in a burst up, at most.
const BURST: usize = 128;
/// Bytes in a burst up, about: what of it has been copied should still be in the cache further up.
const BURST_BYTES: u64 = 256 << 10;
/// Bytes after which a burst's beginning is shown to the consumer, so that both ends work at once.
const PUBLISH_BYTES: u64 = 32 << 10;
/// Packets that wait for room, at most.
const BACKLOG: usize = 256;
/// Data bytes of a small packet.
const SMALL: usize = 1664;
/// Small packets fetched from the pool at once.
const STOCK: usize = 32;
/// Bytes of the shortest frame: an Ethernet header.
const SHORTEST: usize = 14;

/// The memory of a link.
pub(crate) struct Segment {
    region: Arc<Region>,
    size: usize,
}

/// Which of a segment's directions an end sends on: the first of the two, or the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

impl Segment {
    /// Bytes of a segment whose rings have `size` bytes.
    pub(crate) fn memory(size: usize) -> usize {
        2 * memory_size(size)
    }

    /// Makes one, and the sealed memfd by which another process maps it.
    ///
    /// # Errors
    /// The kernel's: out of memory or of descriptors.
    pub(crate) fn new(size: usize) -> io::Result<(Self, OwnedFd)> {
        let (fd, map) = sealed_segment(c"io-net-pipe", Self::memory(size))?;
        Ok((Self::over(map, size), fd))
    }

    /// One over a mapping.
    pub(crate) fn over(map: SharedMap, size: usize) -> Self {
        let region = Arc::new(Region::new(map));
        Segment { region, size }
    }
}

/// One end of a link.
pub(crate) struct Link {
    tx: Producer,
    rx: Consumer,
    bell: EventFd,
    peer_bell: EventFd,
    backlog: VecDeque<SharedPacket>,
    stock: BurstBuf,
}

impl Link {
    /// One end over an unused segment; `bell` wakes us, `peer_bell` the other end. None where the
    /// segment is smaller than it says.
    pub(crate) fn new(
        segment: &Segment,
        side: Side,
        bell: EventFd,
        peer_bell: EventFd,
    ) -> Option<Self> {
        let (ours, theirs) = match side {
            Side::Server => (0, memory_size(segment.size)),
            Side::Client => (memory_size(segment.size), 0),
        };
        Some(Link {
            tx: Producer::new(segment.region.clone(), ours, segment.size)?,
            rx: Consumer::new(segment.region.clone(), theirs, segment.size)?,
            bell,
            peer_bell,
            backlog: VecDeque::new(),
            stock: BurstBuf::new(),
        })
    }

    /// Takes a burst of at most `budget` frames off the ring and passes it up. Returns how many.
    ///
    /// # Errors
    /// [`Corrupt`]: the link is of no use any more.
    pub(crate) fn receive(
        &mut self,
        budget: usize,
        mac: [u8; 6],
        counters: &NicCounters,
        cx: &Cx,
    ) -> Result<usize, Corrupt> {
        let mut burst = BurstBuf::new();
        let mut tally = Tally::default();
        let mut taken = 0;
        while taken < budget.min(BURST) && tally.bytes() < BURST_BYTES {
            let Some(record) = self.rx.take()? else { break };
            taken += 1;
            if let Some(mut packet) = self.packet_of(&record, counters) {
                packet.set_flags(rx_flags(packet.data(), mac), 0);
                packet.set_way(cx.cell(), cx.endpoint(), 0);
                tally.frame(packet.data(), record.len);
                // There is room: a burst is shorter than the buffer.
                let _ = burst.push(packet);
            }
        }
        if self.rx.release() {
            self.peer_bell.raise();
        }
        if taken > 0 {
            counters.received(&tally);
            cx.tx_up(burst.take());
        }
        Ok(taken)
    }

    /// The packet of a record, or None, counted.
    #[inline]
    fn packet_of(&mut self, record: &Record, counters: &NicCounters) -> Option<Packet> {
        if record.len < SHORTEST || !vnet_is_sound(&record.meta.vnet, record.len) {
            counters.rx_errors.add(1);
            return None;
        }
        let Some(mut packet) = self.empty_packet(record.len) else {
            counters.rx_no_buffer.add(1);
            return None;
        };
        self.rx.copy(record, packet.append(record.len)?);
        *packet.vnet_mut() = record.meta.vnet;
        if record.meta.vlan_tci.is_some() {
            packet.set_vlan_tci(record.meta.vlan_tci);
        }
        Some(packet)
    }

    #[inline]
    fn empty_packet(&mut self, len: usize) -> Option<Packet> {
        if len > SMALL {
            return alloc_one(len as u32);
        }
        if self.stock.is_empty() {
            alloc_burst(SMALL as u32, STOCK, &mut self.stock);
        }
        self.stock.pop_unique()
    }

    /// Sends all of `burst`; what finds no room waits for it, up to a bound.
    ///
    /// # Errors
    /// As [`Link::receive`].
    pub(crate) fn send(&mut self, burst: Burst, counters: &NicCounters) -> Result<(), Corrupt> {
        let mut tally = Tally::default();
        let mut flowing = self.flush(&mut tally)?;
        for packet in burst {
            if packet.flags() & NPKT_MSG != 0 {
                continue;
            }
            flowing = flowing && self.push(&packet, &mut tally, counters)?;
            if flowing {
                continue;
            }
            if self.backlog.len() < BACKLOG {
                self.backlog.push_back(packet);
            } else {
                counters.tx_no_room.add(1);
            }
        }
        self.finish(&tally, counters);
        Ok(())
    }

    /// Sends what waits for room. Returns how many packets went.
    ///
    /// # Errors
    /// As [`Link::receive`].
    pub(crate) fn resume(&mut self, counters: &NicCounters) -> Result<usize, Corrupt> {
        if self.backlog.is_empty() {
            return Ok(0);
        }
        let before = self.backlog.len();
        let mut tally = Tally::default();
        self.flush(&mut tally)?;
        self.finish(&tally, counters);
        Ok(before - self.backlog.len())
    }

    /// Writes what waits; false where some of it still does.
    fn flush(&mut self, tally: &mut Tally) -> Result<bool, Corrupt> {
        while let Some(packet) = self.backlog.pop_front() {
            if !self.write(&packet, tally)? {
                self.backlog.push_front(packet);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes `packet`, or counts it where it is no frame; false where there is no room.
    #[inline]
    fn push(
        &mut self,
        packet: &SharedPacket,
        tally: &mut Tally,
        counters: &NicCounters,
    ) -> Result<bool, Corrupt> {
        let len = match packet.is_chained() {
            false => packet.len(),
            true => packet.total_len(),
        };
        if !(SHORTEST..=LONGEST).contains(&len) {
            counters.tx_errors.add(1);
            return Ok(true);
        }
        self.write(packet, tally)
    }

    #[inline]
    fn write(&mut self, packet: &SharedPacket, tally: &mut Tally) -> Result<bool, Corrupt> {
        let meta = Meta {
            vnet: *packet.vnet(),
            vlan_tci: packet.vlan_tci(),
        };
        let written = match packet.is_chained() {
            false => {
                let whole = std::iter::once(packet.data());
                self.tx.push(&meta, packet.len(), whole)?
            }
            true => {
                let len = packet.total_len();
                self.tx.push(&meta, len, packet.fragments())?
            }
        };
        if written {
            tally.packet(packet);
            if self.tx.unpublished() >= PUBLISH_BYTES {
                self.tx.publish();
            }
        }
        Ok(written)
    }

    /// Shows what has been written to the other end, and rings where that sleeps.
    #[inline]
    fn finish(&mut self, tally: &Tally, counters: &NicCounters) {
        if tally.bytes() == 0 {
            return;
        }
        self.tx.publish();
        counters.sent(tally);
        if self.tx.must_ring() {
            self.peer_bell.raise();
        }
    }

    /// The worker is about to sleep, or has woken. True where there is work after all.
    ///
    /// # Errors
    /// As [`Link::receive`].
    pub(crate) fn arm(&mut self, sleeping: bool) -> Result<bool, Corrupt> {
        if !sleeping {
            self.rx.wake();
            self.tx.wait_no_longer();
            return Ok(false);
        }
        let packets = self.rx.sleep()?;
        let room = match self.backlog.front() {
            Some(packet) => self.tx.wait(packet.total_len())?,
            None => false,
        };
        Ok(packets || room)
    }

    /// What the other end rings.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Silences the bell.
    pub(crate) fn hush(&self) {
        self.bell.lower();
    }

    /// Packets that wait for room.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len()
    }
}
