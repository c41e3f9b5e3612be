//! Bursts to the link. Home worker.
//!
//! memif carries no metadata, so checksums are completed and super-packets cut here.

use crate::link::Link;
use crate::options::Role;
use crate::ring::{Broken, View};
use io_net_ddk::offload::{self, Unfinished};
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally};

/// How many slots ahead data is asked for.
const AHEAD: u16 = 8;

/// Sends `burst`, as far as there is room. Whether the peer sleeps is looked at in
/// [`Link::ring_sleeper`], at the worker's next turn: here that would wait for every store to
/// reach the peer.
///
/// # Errors
/// The peer's index makes no sense: the link is to be ended.
pub(crate) fn burst(
    link: &mut Link,
    burst: Burst,
    mtu: u32,
    counters: &NicCounters,
) -> Result<(), Broken> {
    let mut sender = Sender::new(link)?;
    let plain = |packet: &SharedPacket| !packet.is_chained() && !offload::is_needed(packet, 0);
    if burst.iter().all(plain) {
        sender.plain(&burst, counters);
        // All at once: a burst is released cheaper than its packets.
        drop(burst);
    } else {
        burst.for_each(|packet| sender.finish(packet, mtu, counters));
    }
    counters.sent(&sender.tally);
    let next = sender.publish();
    link.may_sleep |= next != link.tx.ring.next;
    link.tx.ring.next = next;
    Ok(())
}

/// One burst on its way.
struct Sender<'l> {
    link: &'l Link,
    view: View<'l>,
    next: u16,
    free: u16,
    /// Bytes of a buffer of ours; of the peer's buffers each descriptor tells.
    own_buffer: Option<u32>,
    tally: Tally,
}

impl<'l> Sender<'l> {
    fn new(link: &'l Link) -> Result<Self, Broken> {
        let (view, next) = (link.tx.ring.view(&link.regions)?, link.tx.ring.next);
        let (free, own_buffer) = match link.role {
            // The client has filled the slots from the tail to its head with empty buffers.
            Role::Server => (view.distance(next, view.head())?, None),
            Role::Client => {
                let used = view.distance(view.tail(), next)?;
                (link.tx.ring.size() - used, Some(link.buffer_size))
            }
        };
        Ok(Sender {
            link,
            view,
            next,
            free,
            own_buffer,
            tally: Tally::default(),
        })
    }

    /// Sends frames that lie in one piece and are complete.
    fn plain(&mut self, burst: &Burst, counters: &NicCounters) {
        let (mut next, mut free) = (self.next, self.free);
        let mut tally = self.tally;
        for ahead in 0..AHEAD.min(free) {
            self.prefetch(next.wrapping_add(ahead));
        }
        for packet in burst.iter() {
            if free > AHEAD {
                self.prefetch(next.wrapping_add(AHEAD));
            }
            let data = packet.data();
            if free > 0 && self.put(next, data) {
                tally.frame(data, data.len());
                next = next.wrapping_add(1);
                free -= 1;
            } else {
                // Rare: what is known in registers goes where the slow way finds it, and back.
                (self.next, self.free, self.tally) = (next, free, tally);
                self.spread(std::iter::once(data), data.len(), counters);
                (next, free, tally) = (self.next, self.free, self.tally);
            }
        }
        (self.next, self.free, self.tally) = (next, free, tally);
    }

    /// Asks for the buffer of a slot, to be written.
    #[inline]
    fn prefetch(&self, slot: u16) {
        let descriptor = self.view.descriptor(slot);
        if let Some(region) = self.link.regions.get(usize::from(descriptor.region)) {
            region.prefetch_write(descriptor.offset as usize);
        }
    }

    /// Fills one slot; false where `data` does not go in.
    #[inline]
    fn put(&self, slot: u16, data: &[u8]) -> bool {
        let descriptor = self.view.descriptor(slot);
        let room = self.own_buffer.unwrap_or(descriptor.len) as usize;
        let region = self.link.regions.get(usize::from(descriptor.region));
        let Some(region) = region.filter(|_| data.len() <= room) else {
            return false;
        };
        let done = region.write(descriptor.offset as usize, data);
        if done {
            let len = data.len() as u32;
            self.view.set_filled(slot, descriptor.region, len, false);
        }
        done
    }

    /// Sends a packet of any shape, its offloads completed.
    #[cold]
    fn finish(&mut self, packet: SharedPacket, mtu: u32, counters: &NicCounters) {
        let finished = offload::finish(packet, 0, mtu, &mut |packet| {
            self.spread(packet.fragments(), packet.total_len(), counters);
        });
        match finished {
            Ok(()) => {}
            Err(Unfinished::NoBuffer) => counters.tx_no_room.add(1),
            Err(_) => counters.tx_errors.add(1),
        }
    }

    /// Sends `len` bytes in as many slots as it takes, all of them or none.
    #[cold]
    fn spread<'d>(
        &mut self,
        parts: impl Iterator<Item = &'d [u8]>,
        len: usize,
        counters: &NicCounters,
    ) {
        let (first, mut used) = (self.next, 0);
        let (mut at, mut left) = (0usize, len);
        let mut parts = parts.filter(|part| !part.is_empty());
        let mut part: &[u8] = &[];
        let mut head = None;
        while left > 0 || used == 0 {
            if used == self.free {
                return counters.tx_no_room.add(1);
            }
            let slot = first.wrapping_add(used);
            let descriptor = self.view.descriptor(slot);
            let room = self.own_buffer.unwrap_or(descriptor.len) as usize;
            let region = self.link.regions.get(usize::from(descriptor.region));
            let Some(region) = region.filter(|_| room > 0) else {
                return counters.tx_errors.add(1);
            };
            let mut filled = 0;
            while filled < room && left > 0 {
                if part.is_empty() {
                    part = parts.next().unwrap_or(&[]);
                    head = head.or(Some(part));
                }
                let n = part.len().min(room - filled);
                let place = (descriptor.offset as usize).saturating_add(filled);
                if n == 0 || !region.write(place, &part[..n]) {
                    return counters.tx_errors.add(1);
                }
                (part, filled, left) = (&part[n..], filled + n, left - n);
            }
            at += filled;
            let more = at < len;
            self.view
                .set_filled(slot, descriptor.region, filled as u32, more);
            used += 1;
        }
        self.next = first.wrapping_add(used);
        self.free -= used;
        self.tally.frame(head.unwrap_or(&[]), len);
    }

    /// Shows the peer what has been sent. Returns where this side now is.
    #[inline]
    fn publish(self) -> u16 {
        match self.link.role {
            Role::Server => self.view.set_tail(self.next),
            Role::Client => self.view.set_head(self.next),
        }
        self.next
    }
}
