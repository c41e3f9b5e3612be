//! The loop guard: finds cables and tunnels that lead from one port of this bridge to another.
//!
//! Each second, and at once when stations seem to jump between ports, a probe goes out of every
//! port. A probe that comes back in has gone round a loop. Then the port with the higher index of
//! the two is closed for a while, and the probes after that show whether the loop is still there. A
//! port closes on what it hears itself only, so that a station which forges probes closes none but
//! its own.

use crate::bridge::Bridge;
use crate::frame::{HEADER_LEN, Mac};
use io_net_ddk::abi::LOG_WARNING;
use io_net_ddk::pktbuf::alloc_one;
use io_net_ddk::prelude::*;
use io_net_ddk::{random_mac, vlan};

/// The group that probes go to, of local administration: other bridges pass them on.
pub(crate) const GROUP: Mac = Mac(u64::from_le_bytes([0x03, 0, 0, 0x69, 0x6f, 0x6e, 0, 0]));
/// EtherType for local experiments (IEEE 802-2014, 9.2.4).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
const MAGIC: [u8; 8] = *b"ionet-lp";
/// Header, magic, the bridge's identity, the port; padded to what Ethernet wants.
const PROBE_LEN: usize = 60;
/// Jumps of stations within a second that look like a loop.
const JUMPS: u32 = 16;

/// What the guard of one bridge remembers.
pub(crate) struct Guard {
    /// Tells this bridge's probes from others'.
    id: [u8; 6],
    /// Seconds that a port stays closed; 0 for no guard.
    hold_s: u32,
    /// Jumps since the last second began.
    jumps: u32,
}

impl Guard {
    pub(crate) fn new(hold_s: u32) -> Guard {
        Guard {
            id: random_mac(),
            hold_s,
            jumps: 0,
        }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.hold_s != 0
    }

    /// A station has jumped to another port. True where that is once too often to be one's moving.
    pub(crate) fn jumped(&mut self) -> bool {
        self.jumps += 1;
        self.jumps == JUMPS
    }

    /// A second is over; how often stations have jumped in it, where that was often.
    pub(crate) fn second(&mut self) -> Option<u32> {
        Some(std::mem::take(&mut self.jumps)).filter(|&jumps| jumps >= JUMPS)
    }

    /// The bytes of a probe from `port` with the address `source`.
    fn probe(&self, source: Mac, port: u8) -> [u8; PROBE_LEN] {
        let mut frame = [0; PROBE_LEN];
        frame[..6].copy_from_slice(&GROUP.0.to_le_bytes()[..6]);
        frame[6..12].copy_from_slice(&source.0.to_le_bytes()[..6]);
        frame[12..14].copy_from_slice(&ETHERTYPE);
        frame[HEADER_LEN..22].copy_from_slice(&MAGIC);
        frame[22..28].copy_from_slice(&self.id);
        frame[28] = port;
        frame
    }

    /// The port that this bridge sent a frame from as a probe; None for any other frame.
    fn origin(&self, frame: &[u8]) -> Option<u8> {
        let tag = match frame.get(vlan::TAG_AT..vlan::TAG_AT + 2)? {
            [0x81, 0x00] => vlan::TAG,
            _ => 0,
        };
        let rest = frame.get(vlan::TAG_AT + tag..)?.strip_prefix(&ETHERTYPE)?;
        let rest = rest.strip_prefix(&MAGIC)?.strip_prefix(&self.id)?;
        rest.first().copied()
    }
}

impl Bridge {
    /// Opens ports whose time is over, and sends a probe from each.
    pub(crate) fn probe(&mut self, now_s: u32, cx: &Cx) {
        self.ports.reopen(now_s);
        for (index, port) in self.ports.iter().filter(|(_, port)| port.up) {
            let source = match port.mac == Mac::default() {
                true => Mac::new(self.guard.id),
                false => port.mac,
            };
            let Some(mut packet) = alloc_one(2 * PROBE_LEN as u32) else {
                self.stats.no_buffer.add(1);
                return;
            };
            let Some(room) = packet.append(PROBE_LEN) else {
                return;
            };
            room.copy_from_slice(&self.guard.probe(source, index));
            let tag = port.vlans.first().filter(|&vlan| port.vlans.tags(vlan));
            if vlan::set(&mut packet, tag).is_none() {
                self.stats.no_room.add(1);
                continue;
            }
            packet.set_way(port.cell, port.endpoint, 0);
            self.stats.probes.add(1);
            cx.tx_down_one(packet);
        }
    }

    /// Takes a frame for the probes' group that came in by `ingress`. True where it was one of
    /// this bridge's.
    pub(crate) fn probed(&mut self, frame: &[u8], ingress: u8, cx: &Cx) -> bool {
        let Some(origin) = self.guard.origin(frame) else {
            return false;
        };
        if origin <= ingress && self.ports.close(ingress, self.now_s + self.guard.hold_s) {
            let forgotten = self.table.forget(|station| station.port == ingress);
            self.stats.forgotten.add(forgotten as u64);
            self.stats.loops.add(1);
            let name = |port| self.ports.get(port).map_or("?", |port| &port.name);
            cx.log(
                LOG_WARNING,
                format_args!(
                    "a loop leads from {} to {}, which is closed for {} s",
                    name(origin),
                    name(ingress),
                    self.guard.hold_s
                ),
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_probes_are_known_tagged_or_not() {
        let (guard, other) = (Guard::new(5), Guard::new(5));
        let probe = guard.probe(Mac::new([2, 0, 0, 0, 0, 1]), 7);
        assert_eq!(guard.origin(&probe), Some(7));
        assert_eq!(other.origin(&probe), None);
        let tagged = [&probe[..12], &[0x81, 0, 0, 9], &probe[12..]].concat();
        assert_eq!(guard.origin(&tagged), Some(7));
        for len in 0..29 {
            assert_eq!(guard.origin(&probe[..len]), None);
        }
        assert!(GROUP.is_group() && !GROUP.is_reserved());
    }

    #[test]
    fn many_jumps_are_told_once_a_second() {
        let mut guard = Guard::new(0);
        assert_eq!((0..40).filter(|_| guard.jumped()).count(), 1);
        assert_eq!((guard.second(), guard.second()), (Some(40), None));
    }
}
