//! Bursts to the interface: one call for each, whatever their size. Home worker.
//!
//! A packet is sent from its own buffer. A reference to it stays with the queue until the kernel
//! says that it has been sent.

use crate::device::{PIECES_MAX, Queue};
use crate::umem::{CHUNK, PoolMemory, pieces};
use io_net_ddk::abi::{NPKT_EXT, NPKT_MSG};
use io_net_ddk::pktbuf::SharedPacket;
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, errno, offload, vlan};
use io_net_os::xdp_ring::Desc;
use std::io;

/// Bytes of an Ethernet header.
const HEADER: usize = 14;
/// What the kernel may refuse to take at once before the rest is left for later.
const TRIES: usize = 64;

/// What has been sent and lost.
#[derive(Clone, Copy)]
pub(crate) struct TxCounters {
    pub(crate) nic: NicCounters,
    /// Packets not sent because the interface was down or gone.
    pub(crate) link_down: Counter,
    /// Frames longer than the interface's MTU.
    pub(crate) too_long: Counter,
    /// Packets whose bytes were copied first: they were not in the pool, or under way already.
    pub(crate) copied: Counter,
}

/// What frames may be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ability {
    pub(crate) mtu: u32,
    /// Of several pieces.
    pub(crate) multi: bool,
}

/// What a burst needs.
pub(crate) struct Sender<'a> {
    pub(crate) queue: &'a mut Queue,
    pub(crate) memory: &'a PoolMemory,
    pub(crate) ability: Ability,
    pub(crate) counters: &'a TxCounters,
    /// Room for descriptors, empty between bursts.
    pub(crate) descs: &'a mut Vec<Desc>,
}

impl Sender<'_> {
    /// Sends all of `burst`. What cannot be sent is counted and released. Returns whether the kernel
    /// has left something for later.
    pub(crate) fn burst(mut self, burst: Burst) -> bool {
        let mut tally = Tally::default();
        reap(self.queue);
        // Usually there is room for all, and the kernel need not be asked again.
        let mut room = self.queue.rings.tx.room(burst.len() as u32) as usize;
        let longest = self.ability.mtu as usize + HEADER;
        for packet in burst {
            if !is_plain(&packet) {
                room -= self.rework(packet, room, &mut tally);
                continue;
            }
            let data = packet.data();
            let len = data.len();
            let place = self.memory.place(data);
            let usual = |place: &usize| place % CHUNK + len <= CHUNK && room > 0;
            match place.filter(usual) {
                Some(place) if (HEADER..=longest).contains(&len) => {
                    tally.frame(data, len);
                    match self.queue.sent.put(place, packet) {
                        Ok(()) => {
                            self.descs.push(desc(place, len, false));
                            room -= 1;
                        }
                        // The tally has it already.
                        Err(again) => {
                            room -= self.spread(again, room, &mut Tally::default());
                        }
                    }
                }
                _ => room -= self.spread(packet, room, &mut tally),
            }
        }
        self.counters.nic.sent(&tally);
        self.queue.rings.tx.give(self.descs.drain(..));
        flush(self.queue, self.counters)
    }

    /// Sends a packet of any shape, its offloads completed. Returns how many entries it took.
    #[cold]
    fn rework(&mut self, packet: SharedPacket, room: usize, tally: &mut Tally) -> usize {
        if packet.flags() & NPKT_MSG != 0 {
            return 0;
        }
        let Some(packet) = tagged(packet) else {
            self.counters.nic.tx_no_room.add(1);
            return 0;
        };
        let mut used = 0;
        let mtu = self.ability.mtu;
        let finished = offload::finish(packet, 0, mtu, &mut |piece| {
            used += self.spread(piece, room - used, tally);
        });
        match finished {
            Ok(()) => {}
            Err(offload::Unfinished::NoBuffer) => self.counters.nic.tx_no_room.add(1),
            Err(offload::Unfinished::TooLong) => self.counters.too_long.add(1),
            Err(offload::Unfinished::Malformed) => self.counters.nic.tx_errors.add(1),
        }
        used
    }

    /// Sends a finished frame in as many pieces as it takes: all of them or none. Returns how many.
    #[cold]
    fn spread(&mut self, packet: SharedPacket, room: usize, tally: &mut Tally) -> usize {
        let total = packet.total_len();
        if total < HEADER {
            self.counters.nic.tx_errors.add(1);
            return 0;
        }
        let tags = if is_tagged(packet.data()) {
            vlan::TAG
        } else {
            0
        };
        if total > self.ability.mtu as usize + HEADER + tags {
            self.counters.too_long.add(1);
            return 0;
        }
        let fits = self.cut(&packet);
        let (packet, cut) = match fits {
            Some(cut) => (packet, cut),
            None => {
                self.counters.copied.add(1);
                let copy = packet.copy().map(SharedPacket::from);
                let cut = copy.as_ref().and_then(|copy| self.cut(copy));
                match copy.zip(cut) {
                    Some(copied) => copied,
                    None => {
                        self.counters.nic.tx_no_room.add(1);
                        return 0;
                    }
                }
            }
        };
        if cut.len() > room {
            self.counters.nic.tx_no_room.add(1);
            return 0;
        }
        tally.frame(packet.data(), total);
        let last = cut.len() - 1;
        for (number, &(place, len)) in cut.iter().enumerate() {
            // That the kernel has none of them has been seen.
            let _ = self.queue.sent.put(place, packet.share());
            self.descs.push(desc(place, len, number < last));
        }
        cut.len()
    }

    /// The frame's pieces, where the kernel can take it so.
    fn cut(&self, packet: &SharedPacket) -> Option<Vec<(usize, usize)>> {
        let most = if self.ability.multi { PIECES_MAX } else { 1 };
        let cut = pieces(self.memory, packet)?;
        let free = |(place, _): &(usize, usize)| !self.queue.sent.has(*place);
        let possible = (1..=most).contains(&cut.len()) && cut.iter().all(free);
        possible.then_some(cut)
    }
}

#[inline]
fn desc(place: usize, len: usize, more: bool) -> Desc {
    Desc {
        addr: place as u64,
        len: len as u32,
        more,
    }
}

/// Whether the packet is a frame as it is.
#[inline]
fn is_plain(packet: &SharedPacket) -> bool {
    !packet.is_chained()
        && packet.flags() & (NPKT_MSG | NPKT_EXT) == 0
        && packet.vlan_tci().is_none()
        && !offload::is_needed(packet, 0)
}

/// Puts the tag that is beside the frame into it. None where the pool is dry or there is no room.
fn tagged(packet: SharedPacket) -> Option<SharedPacket> {
    let Some(tci) = packet.vlan_tci() else {
        return Some(packet);
    };
    let mut packet = packet.into_unique()?;
    packet.set_vlan_tci(None);
    vlan::insert(&mut packet, vlan::tag(vlan::CUSTOMER, tci))?;
    Some(packet.into())
}

fn is_tagged(frame: &[u8]) -> bool {
    let kind = frame.get(vlan::TAG_AT..vlan::TAG_AT + 2);
    matches!(kind, Some([0x81, 0x00] | [0x88, 0xa8]))
}

/// Releases what the kernel has sent.
#[inline]
pub(crate) fn reap(queue: &mut Queue) {
    if queue.sent.count == 0 {
        return;
    }
    let sent = &mut queue.sent;
    let mut done = BurstBuf::new();
    queue.rings.completion.take(u32::MAX, |place| {
        if done.is_full() {
            drop(done.take());
        }
        if let Some(packet) = sent.take(place) {
            let _ = done.push(packet);
        }
    });
}

/// Has the kernel send what it has been given. What it cannot take now stays in the ring: returns
/// whether anything has.
pub(crate) fn flush(queue: &mut Queue, counters: &TxCounters) -> bool {
    let mut left = u32::MAX;
    for _ in 0..TRIES {
        if !queue.rings.tx.needs_wakeup() {
            return false;
        }
        let Err(error) = queue.socket.wake_tx() else {
            return false;
        };
        reap(queue);
        match error.raw_os_error() {
            Some(errno::EAGAIN) => {}
            _ if error.kind() == io::ErrorKind::Interrupted => {}
            // The interface had no room for one frame, which is lost.
            Some(errno::EBUSY | errno::ENOBUFS) => counters.nic.tx_no_room.add(1),
            _ => {
                note(&error, counters);
                break;
            }
        }
        let waiting = queue.rings.tx.waiting();
        if waiting == 0 || waiting >= left {
            break;
        }
        left = waiting;
    }
    queue.rings.tx.waiting() > 0
}

#[cold]
fn note(error: &io::Error, counters: &TxCounters) {
    match error.raw_os_error() {
        Some(errno::ENETDOWN | errno::ENXIO | errno::ENODEV) => counters.link_down.add(1),
        _ => counters.nic.tx_errors.add(1),
    }
}
