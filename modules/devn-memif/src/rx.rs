//! Bursts from the link. Home worker.
//!
//! The peer writes descriptors and data on another processor: their lines are asked for some
//! slots ahead, so that several are on their way at once.

use crate::copy;
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

/// Packets that are on their way up, and those to fill next.
#[derive(Default)]
pub(crate) struct Receiver {
    fresh: Box<BurstBuf>,
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
        let view = link.rx.ring.view(&link.regions)?;
        let ready = link.ready(&view)?;
        if ready == 0 {
            return Ok(0);
        }
        let first = link.rx.ring.next;
        let end = first.wrapping_add(ready);
        for slot in 0..AHEAD {
            prefetch(link, &view, first.wrapping_add(slot));
        }
        let want = usize::from(ready).min(budget);
        alloc_burst(FRAME, want, &mut self.fresh);
        let mut tally = Tally::default();
        let (mut next, mut done) = (first, 0);
        while next != end && done < want {
            prefetch(link, &view, next.wrapping_add(AHEAD));
            let descriptor = view.descriptor(next);
            let whole = self.fresh.pop_unique().and_then(|mut packet| {
                let filled = !descriptor.more && fill(link, descriptor, &mut packet);
                filled.then_some(packet)
            });
            let packet = match whole {
                Some(packet) => {
                    next = next.wrapping_add(1);
                    Some(packet)
                }
                None => gather(link, &view, &mut next, end, counters),
            };
            done += 1;
            if let Some(packet) = packet {
                self.up(packet, origin, &mut tally);
            }
        }
        drop(self.fresh.take());
        counters.received(&tally);
        give_back(link, &view, first, next);
        link.rx.ring.next = next;
        Ok(usize::from(next.wrapping_sub(first)))
    }

    #[inline]
    fn up(&mut self, mut packet: Packet, origin: Origin, tally: &mut Tally) {
        let head = packet.data();
        tally.frame(head, head.len());
        let flags = rx_flags(head, origin.mac);
        packet.set_flags(flags, 0);
        packet.set_way(origin.cell, origin.endpoint, 0);
        // There is room: no more are taken than a burst has.
        let _ = self.up.push(packet);
    }

    /// Releases what is held.
    pub(crate) fn release(&mut self) {
        drop(self.fresh.take());
        drop(self.up.take());
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
    room.is_some_and(|room| copy::read(region, descriptor.offset as usize, room))
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
