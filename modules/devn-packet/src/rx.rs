//! Bursts from the interface. Home worker.
//!
//! The ring says what has come, in order. A short frame is copied out of its place; a long one waits
//! in the socket's queue and is received straight into a packet of its size.

use crate::device::Queue;
use io_net_ddk::abi::{NPKT_PROMISC, VnetHdr};
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, errno, rx_flags, vlan, vnet};
use io_net_os::packet_ring::{Arrival, Stay};
use std::io::IoSliceMut;

/// Packets in a burst, at most.
const BURST: usize = 64;
/// Bytes in a burst, about: what of it has been read should still be in the cache further up.
const BURST_BYTES: u64 = 256 << 10;
/// Small packets fetched from the pool at once.
const STOCK: usize = 32;
/// Bytes that a small packet holds: any frame of the usual MTU, and nearly any in the ring.
const SMALL: usize = 1664;

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
    /// Frames that the kernel had no room for.
    pub(crate) kernel_drops: Counter,
}

/// Buffers for the next frames.
#[derive(Default)]
pub(crate) struct Receiver {
    small: BurstBuf,
}

impl Receiver {
    /// Takes up to `budget` frames from `queue` and passes them up. Returns how many there were.
    pub(crate) fn burst(
        &mut self,
        queue: &mut Queue,
        budget: usize,
        filter: Filter,
        counters: &RxCounters,
        cx: &Cx,
    ) -> usize {
        let mut burst = BurstBuf::new();
        let mut tally = Tally::default();
        let mut taken = 0;
        while taken < budget.min(BURST) && tally.bytes() < BURST_BYTES {
            let Some(arrival) = queue.ring.peek() else {
                break;
            };
            taken += 1;
            let packet = self.take(queue, &arrival, counters);
            queue.ring.release();
            if arrival.is_losing {
                count_drops(queue, counters);
            }
            let Some(mut packet) = packet else {
                continue;
            };
            let flags = rx_flags(packet.data(), filter.mac);
            if flags & NPKT_PROMISC != 0 && !filter.promiscuous {
                counters.filtered.add(1);
                continue;
            }
            packet.set_rx(Some(arrival.time_ns), None);
            packet.set_flags(flags, 0);
            packet.set_way(cx.cell(), cx.endpoint(), 0);
            tally.frame(packet.data(), packet.len());
            // There is room: a burst is shorter than the buffer.
            let _ = burst.push(packet);
        }
        if taken > 0 {
            counters.nic.received(&tally);
            cx.tx_up(burst.take());
        }
        taken
    }

    /// The next frame as a packet. None where it was lost, which has been counted.
    #[inline]
    fn take(&mut self, queue: &Queue, arrival: &Arrival, counters: &RxCounters) -> Option<Packet> {
        let mut header = [0; vnet::SIZE];
        let buffer = match arrival.len {
            len if len <= SMALL => self.small_packet(),
            len => alloc_one(u32::try_from(len).ok()?),
        };
        let Some(mut packet) = buffer.filter(|packet| packet.tailroom() >= arrival.len) else {
            return lose(queue, arrival, counters);
        };
        let frame = packet.append(arrival.len)?;
        let whole = match arrival.stay {
            Stay::Ring => queue.ring.read(arrival, &mut header, frame),
            Stay::Queue => receive(queue, &mut header, frame) == Some(frame.len()),
            Stay::Lost => {
                counters.kernel_drops.add(1);
                return None;
            }
        };
        let metadata = vnet::parse(&header, packet.data()).filter(|_| whole);
        let sound = metadata.and_then(|vnet| dress(&mut packet, &vnet, arrival.tag));
        if sound.is_none() {
            counters.nic.rx_errors.add(1);
        }
        sound.map(|()| packet)
    }

    /// An empty packet that holds [`SMALL`] bytes.
    #[inline]
    fn small_packet(&mut self) -> Option<Packet> {
        if self.small.is_empty() {
            alloc_burst(SMALL as u32, STOCK, &mut self.small);
        }
        self.small.pop_unique()
    }

    /// Gives the buffers back to the pool.
    pub(crate) fn release(&mut self) {
        *self = Receiver::default();
    }
}

/// Gives the packet its metadata, and the tag that the kernel has taken out of the frame. None where
/// the frame is too short to have had one.
#[inline]
fn dress(packet: &mut Packet, vnet: &VnetHdr, tag: Option<(u16, u16)>) -> Option<()> {
    *packet.vnet_mut() = *vnet;
    match tag {
        Some((kind, control)) => vlan::insert(packet, vlan::tag(kind, control)),
        None => Some(()),
    }
}

/// Receives the long frame whose turn it is. Returns the bytes that it has, where they fit.
fn receive(queue: &Queue, header: &mut vnet::Bytes, frame: &mut [u8]) -> Option<usize> {
    let mut parts = [IoSliceMut::new(header), IoSliceMut::new(frame)];
    let read = match queue.socket.receive(&mut parts) {
        // That the interface has been down is told once, before what it had received.
        Err(error) if error.raw_os_error() == Some(errno::ENETDOWN) => {
            queue.socket.receive(&mut parts)
        }
        read => read,
    };
    read.ok()?.checked_sub(vnet::SIZE)
}

/// Takes a frame for which there is no buffer.
#[cold]
fn lose(queue: &Queue, arrival: &Arrival, counters: &RxCounters) -> Option<Packet> {
    if arrival.stay == Stay::Queue {
        receive(queue, &mut [0; vnet::SIZE], &mut []);
    }
    counters.nic.rx_no_buffer.add(1);
    None
}

/// Counts what the kernel has dropped since this was last done.
#[cold]
pub(crate) fn count_drops(queue: &Queue, counters: &RxCounters) {
    if let Ok(drops) = queue.socket.take_drops() {
        counters.kernel_drops.add(drops.into());
    }
}
