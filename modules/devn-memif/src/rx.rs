//! Bursts from the link. Home worker.
//!
//! The peer writes descriptors and data on another processor: their lines are asked for some
//! slots ahead, so that several are on their way at once.

use crate::link::Link;
use crate::options::Role;
use crate::ring::{Broken, Descriptor, View};
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, rx_flags};

/// How many slots ahead data is asked for.
const AHEAD: u16 = 8;
/// What a fresh packet is to hold: a frame of the usual MTU.
const FRAME: u32 = 1514;
/// The longest packet.
const PACKET_MAX: usize = 65_549;

/// What received packets are marked with.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) cell: u16,
    pub(crate) endpoint: u16,
    pub(crate) mac: [u8; 6],
}

/// Packets that are filled and go up.
#[derive(Default)]
pub(crate) struct Receiver {
    pub(crate) up: Box<BurstBuf>,
}

impl Receiver {
    /// Takes up to `budget` packets from `link` into `self.up`. Returns how many slots went.
    ///
    /// # Errors
    /// The peer's index makes no sense: the link is to be ended.
    pub(crate) fn burst(
        &mut self,
        link: &mut Link,
        budget: usize,
        origin: Origin,
        counters: &NicCounters,
    ) -> Result<usize, Broken> {
        link.ring_sleeper()?;
        let view = link.rx.ring.view(&link.regions)?;
        let ready = link.ready(&view)?;
        if ready == 0 {
            return Ok(0);
        }
        let first = link.rx.ring.next;
        let end = first.wrapping_add(ready);
        for ahead in 0..AHEAD.min(ready) {
            prefetch(link, &view, first.wrapping_add(ahead));
        }
        let want = usize::from(ready).min(budget);
        alloc_burst(FRAME, want, &mut self.up);
        let mut tally = Tally::default();
        let (mut next, mut filled) = (first, 0);
        for _ in 0..want {
            if next == end {
                break;
            }
            // Not beyond what has come: the peer is writing there.
            if end.wrapping_sub(next) > AHEAD {
                prefetch(link, &view, next.wrapping_add(AHEAD));
            }
            let descriptor = view.descriptor(next);
            let Some(packet) = self.up.unique_mut(filled) else {
                // The pool gave fewer than were asked for: the others are lost.
                skip(&view, &mut next, end);
                counters.rx_no_buffer.add(1);
                continue;
            };
            if !descriptor.more && fill(link, descriptor, packet) {
                next = next.wrapping_add(1);
            } else if let Some(gathered) = gather(link, &view, &mut next, end, counters) {
                *packet = gathered;
            } else {
                packet.truncate(0);
                continue;
            }
            mark(packet, origin, &mut tally);
            filled += 1;
        }
        self.up.truncate(filled);
        counters.received(&tally);
        give_back(link, &view, first, next);
        link.rx.ring.next = next;
        Ok(usize::from(next.wrapping_sub(first)))
    }

    /// Releases what is held.
    pub(crate) fn release(&mut self) {
        drop(self.up.take());
    }
}

/// Makes a filled packet one that has come by this interface.
#[inline]
fn mark(packet: &mut Packet, origin: Origin, tally: &mut Tally) {
    let head = packet.data();
    tally.frame(head, packet.len());
    let flags = rx_flags(head, origin.mac);
    packet.set_flags(flags, 0);
    packet.set_way(origin.cell, origin.endpoint, 0);
}

/// Moves `next` past one packet, which is lost.
#[cold]
fn skip(view: &View, next: &mut u16, end: u16) {
    while *next != end {
        let more = view.descriptor(*next).more;
        *next = next.wrapping_add(1);
        if !more {
            break;
        }
    }
}

/// Asks for the data of a slot; rubbish in the descriptor does no harm.
#[inline]
fn prefetch(link: &Link, view: &View, slot: u16) {
    let descriptor = view.descriptor(slot);
    if let Some(region) = link.regions.get(usize::from(descriptor.region)) {
        region.prefetch(descriptor.offset as usize);
    }
}

/// Appends a slot's data to `packet`; false where it is not within its region or does not fit.
#[inline]
fn fill(link: &Link, descriptor: Descriptor, packet: &mut Packet) -> bool {
    let Some(region) = link.regions.get(usize::from(descriptor.region)) else {
        return false;
    };
    let room = packet.append(descriptor.len as usize);
    room.is_some_and(|room| region.read(descriptor.offset as usize, room))
}

/// Takes a packet that is long, goes over several slots or is malformed, and moves `next` past it.
/// `None`, counted, where it is lost.
#[cold]
fn gather(
    link: &Link,
    view: &View,
    next: &mut u16,
    end: u16,
    counters: &NicCounters,
) -> Option<Packet> {
    let first = *next;
    let (mut total, mut complete) = (0usize, false);
    let mut slots = 0;
    while *next != end && !complete {
        let descriptor = view.descriptor(*next);
        total = total.saturating_add(descriptor.len as usize);
        complete = !descriptor.more;
        *next = next.wrapping_add(1);
        slots += 1;
    }
    if !complete || total > PACKET_MAX {
        counters.rx_errors.add(1);
        return None;
    }
    let Some(mut packet) = alloc_one(total as u32) else {
        counters.rx_no_buffer.add(1);
        return None;
    };
    // The peer may have changed the descriptors since: what no longer fits is an error too.
    let mut all = (0..slots).map(|slot| view.descriptor(first.wrapping_add(slot)));
    if !all.all(|descriptor| fill(link, descriptor, &mut packet)) {
        counters.rx_errors.add(1);
        return None;
    }
    Some(packet)
}

/// Gives the slots from `first` to `next` back to the peer.
#[inline]
fn give_back(link: &Link, view: &View, first: u16, next: u16) {
    match link.role {
        Role::Server => view.set_tail(next),
        Role::Client => {
            let mut slot = first;
            while slot != next {
                view.set_filled(slot, 0, link.buffer_size, false);
                slot = slot.wrapping_add(1);
            }
            view.set_head(next.wrapping_add(link.rx.ring.size()));
        }
    }
}
