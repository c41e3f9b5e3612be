//! Bursts from the interface. Home worker.
//!
//! The kernel has written each frame into the buffer of a packet that it had from us: the packet is
//! told where the frame begins and how long it is, and goes up.

use crate::device::Queue;
use crate::umem::{CHUNK, PoolMemory};
use io_net_ddk::abi::{BURST_MAX, NPKT_PROMISC};
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, rx_flags};
use io_net_os::xdp_ring::Desc;

/// Packets in a burst, at most.
const BURST: usize = 64;
/// Bytes that a packet is to hold, which makes it a small one.
const SMALL: u32 = 1500;

/// Which frames to take of those that the rules name.
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

/// Takes up to `budget` frames from `queue` and passes them up. Returns how many there were.
pub(crate) fn burst(
    queue: &mut Queue,
    budget: usize,
    filter: Filter,
    counters: &RxCounters,
    cx: &Cx,
) -> usize {
    let mut burst = BurstBuf::new();
    let mut tally = Tally::default();
    let (filled, partial) = (&mut queue.filled, &mut queue.partial);
    let most = budget.min(BURST) as u32;
    let taken = queue.rings.rx.take(most, |desc| {
        let Some(mut packet) = filled.take(desc.addr).and_then(|p| receive(p, desc)) else {
            return counters.nic.rx_errors.add(1);
        };
        if desc.more || partial.is_some() {
            match join(partial, packet, desc.more) {
                Some(whole) => packet = whole,
                None => return,
            }
        }
        let flags = rx_flags(packet.data(), filter.mac);
        if flags & NPKT_PROMISC != 0 && !filter.promiscuous {
            return counters.filtered.add(1);
        }
        packet.set_rx(None, None);
        packet.set_flags(flags, 0);
        packet.set_way(cx.cell(), cx.endpoint(), 0);
        tally.packet(&packet);
        // There is room: a burst is shorter than the buffer.
        let _ = burst.push(packet);
    });
    if taken > 0 {
        counters.nic.received(&tally);
        cx.tx_up(burst.take());
    }
    taken as usize
}

/// The packet with the frame that the kernel has put there. None where it cannot be there.
#[inline]
fn receive(mut packet: Packet, desc: Desc) -> Option<Packet> {
    let offset = desc.addr as usize % CHUNK;
    if !packet.reserve(offset) {
        return None;
    }
    packet.append(desc.len as usize)?;
    Some(packet)
}

/// Adds a piece to the frame that has begun, and returns that once it is whole.
#[cold]
fn join(partial: &mut Option<Packet>, piece: Packet, more: bool) -> Option<Packet> {
    match partial {
        Some(first) => first.chain(piece),
        None => *partial = Some(piece),
    }
    if more { None } else { partial.take() }
}

/// Gives the kernel empty packets in place of those that have come back.
#[inline]
pub(crate) fn refill(
    queue: &mut Queue,
    memory: &PoolMemory,
    spare: &mut BurstBuf,
    counters: &RxCounters,
) {
    let filled = &mut queue.filled;
    while filled.count < queue.target {
        let lacking = (queue.target - filled.count).min(BURST_MAX);
        let room = queue.rings.fill.room(lacking as u32) as usize;
        if room == 0 {
            break;
        }
        if spare.is_empty() && alloc_burst(SMALL, lacking.min(room), spare) == 0 {
            counters.nic.rx_no_buffer.add(1);
            break;
        }
        let places = std::iter::from_fn(|| {
            let packet = spare.pop_unique()?;
            let place = memory.place(packet.data())? / CHUNK * CHUNK;
            filled.put(place, packet).ok()?;
            Some(place as u64)
        });
        if queue.rings.fill.give(places.take(lacking.min(room))) == 0 {
            break;
        }
    }
    if queue.rings.fill.needs_wakeup() {
        // What is wrong with the interface is told otherwise.
        let _ = queue.socket.wake_rx();
    }
}
