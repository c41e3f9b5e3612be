//! Bursts from the device. Home worker.
//!
//! Each read goes to two buffers: a small packet that holds any frame of the usual MTU, and behind
//! it a large one for what is longer. A small frame thus costs no large buffer and no copy; a long
//! one has its first [`FIRST`] bytes copied in front of the rest.

use io_net_ddk::abi::NPKT_PROMISC;
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, rx_flags, vnet};
use io_net_os::tun::{Tap, VNET_SIZE};
use std::io::{ErrorKind, IoSliceMut};

/// Packets in a burst, at most.
const BURST: usize = 64;
/// Small packets fetched from the pool at once.
const STOCK: usize = 32;
/// Bytes in a burst, about: what of it has been read should still be in the cache further up.
const BURST_BYTES: u64 = 256 << 10;
/// Bytes that the small packet takes: an MTU of 1500 with headers, tags and some room.
const FIRST: usize = 1664;
/// Bytes of the longest frame: 64 KiB with headers, and one to tell that it was longer.
const LONGEST: usize = 66_560;

/// What ended a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There may be more.
    More,
    /// The device has nothing left.
    Empty,
    /// The device has been removed.
    Gone,
}

/// Which frames to take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    /// Our address.
    pub(crate) mac: [u8; 6],
    /// Take frames for others too.
    pub(crate) promiscuous: bool,
}

/// What has been received and lost.
#[derive(Clone, Copy)]
pub(crate) struct RxCounters {
    pub(crate) nic: NicCounters,
    /// Frames for others, while not promiscuous.
    pub(crate) filtered: Counter,
}

/// Buffers for the next reads.
#[derive(Default)]
pub(crate) struct Receiver {
    small: BurstBuf,
    large: Option<Packet>,
}

impl Receiver {
    /// Reads one burst from `tap` and passes it up.
    pub(crate) fn burst(
        &mut self,
        tap: &Tap,
        filter: Filter,
        counters: &RxCounters,
        cx: &Cx,
    ) -> Next {
        let mut burst = BurstBuf::new();
        let mut tally = Tally::default();
        let mut next = Next::More;
        while burst.len() < BURST && tally.bytes() < BURST_BYTES {
            let mut packet = match self.read(tap, &counters.nic) {
                Ok(Some(packet)) => packet,
                Ok(None) => continue,
                Err(ended) => {
                    next = ended;
                    break;
                }
            };
            let flags = rx_flags(packet.data(), filter.mac);
            if flags & NPKT_PROMISC != 0 && !filter.promiscuous {
                counters.filtered.add(1);
                continue;
            }
            packet.set_flags(flags, 0);
            packet.set_way(cx.cell(), cx.endpoint(), 0);
            tally.frame(packet.data(), packet.len());
            // There is room: a burst is shorter than the buffer.
            let _ = burst.push(packet);
        }
        counters.nic.received(&tally);
        cx.tx_up(burst.take());
        next
    }

    /// Reads one frame. None where it was lost, which has been counted.
    #[inline]
    fn read(&mut self, tap: &Tap, counters: &NicCounters) -> Result<Option<Packet>, Next> {
        let mut header = [0; VNET_SIZE];
        let Some(mut small) = self.small_packet() else {
            return lose(tap, counters);
        };
        if self.large.is_none() {
            self.large = large_packet();
        }
        let mut nothing = [];
        let spill = match &mut self.large {
            Some(large) => &mut large.data_mut()[FIRST..],
            None => &mut nothing[..],
        };
        let mut parts = [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(small.data_mut()),
            IoSliceMut::new(spill),
        ];
        let room = parts.iter().map(|part| part.len()).sum::<usize>();
        let read = match tap.read(&mut parts) {
            Ok(read) => read,
            Err(error) => {
                small.truncate(0);
                let _ = self.small.push(small);
                return Err(ended(error.kind()));
            }
        };
        let len = read.saturating_sub(VNET_SIZE);
        if read == room {
            // It may have been longer: there was no large buffer, or none is that large.
            counters.rx_no_buffer.add(1);
            return Ok(None);
        }
        let packet = self.assemble(small, len);
        Ok(finish(packet, &header, counters))
    }

    /// The frame of `len` bytes that lies in `small` and, behind that, in the large packet.
    #[inline]
    fn assemble(&mut self, mut small: Packet, len: usize) -> Packet {
        if len > FIRST
            && let Some(mut large) = self.large.take()
        {
            large.data_mut()[..FIRST].copy_from_slice(small.data());
            large.truncate(len);
            small.truncate(0);
            let _ = self.small.push(small);
            return large;
        }
        small.truncate(len);
        small
    }

    /// A packet with [`FIRST`] bytes of data, whatever they are.
    #[inline]
    fn small_packet(&mut self) -> Option<Packet> {
        if self.small.is_empty() {
            alloc_burst(FIRST as u32, STOCK, &mut self.small);
        }
        let mut packet = self.small.pop_unique()?;
        packet.append(FIRST)?;
        Some(packet)
    }

    /// Gives the buffers back to the pool.
    pub(crate) fn release(&mut self) {
        *self = Receiver::default();
    }
}

/// A packet with [`LONGEST`] bytes of data, whatever they are.
fn large_packet() -> Option<Packet> {
    let mut packet = alloc_one(LONGEST as u32)?;
    packet.append(LONGEST)?;
    Some(packet)
}

fn ended(kind: ErrorKind) -> Next {
    match kind {
        ErrorKind::WouldBlock => Next::Empty,
        ErrorKind::Interrupted => Next::More,
        _ => Next::Gone,
    }
}

/// Takes a frame for which there is no buffer.
#[cold]
fn lose(tap: &Tap, counters: &NicCounters) -> Result<Option<Packet>, Next> {
    let mut header = [0; VNET_SIZE];
    let read = tap.read(&mut [IoSliceMut::new(&mut header)]);
    read.map_err(|error| ended(error.kind()))?;
    counters.rx_no_buffer.add(1);
    Ok(None)
}

/// The packet with its header's metadata, or None, counted, where the header makes no sense.
#[inline]
fn finish(mut packet: Packet, header: &vnet::Bytes, counters: &NicCounters) -> Option<Packet> {
    match vnet::parse(header, packet.data()) {
        Some(vnet) => {
            *packet.vnet_mut() = vnet;
            Some(packet)
        }
        None => {
            counters.rx_errors.add(1);
            None
        }
    }
}
