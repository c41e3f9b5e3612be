//! Frames that go up, to several places or nowhere.
//!
//! The interface that a packet is for is written in its descriptor, so two ports cannot share one:
//! each further place gets a copy, and the last one the frame itself.

use crate::bridge::{Bridge, writable};
use crate::decide::{Decision, Verdict};
use io_net_ddk::abi::NPKT_UP;
use io_net_ddk::prelude::*;
use io_net_ddk::vlan;

impl Bridge {
    /// Does what is not forwarding to one port. Returns a bit for each port with frames waiting.
    #[cold]
    pub(crate) fn elsewhere(
        &mut self,
        packet: SharedPacket,
        decision: Decision,
        came_up: bool,
        cx: &Cx,
    ) -> u64 {
        let vlan = decision.vlan;
        match decision.verdict {
            Verdict::Forward { port, endpoint } => {
                self.forward(packet, port, endpoint, vlan);
                1 << port
            }
            Verdict::Local(endpoint) => {
                self.deliver(packet, endpoint, vlan, cx);
                0
            }
            Verdict::Pass if came_up => {
                self.push_up(packet, cx);
                0
            }
            Verdict::Pass => {
                cx.tx_down_one(packet);
                0
            }
            Verdict::Flood { group } => self.flood(packet, group, vlan, came_up, cx),
            Verdict::Probe => {
                let ingress = self.ports.by_endpoint(packet.endpoint());
                match ingress.is_some_and(|port| self.probed(packet.data(), port, cx)) {
                    true => 0,
                    false => self.flood(packet, true, vlan, came_up, cx),
                }
            }
            Verdict::Drop => 0,
        }
    }

    fn flood(
        &mut self,
        packet: SharedPacket,
        group: bool,
        vlan: u16,
        came_up: bool,
        cx: &Cx,
    ) -> u64 {
        let came = self.ports.by_endpoint(packet.endpoint());
        let ingress = came.filter(|_| came_up);
        let mut touched = 0;
        for index in 0..crate::ports::PORTS_MAX as u8 {
            let port = self.ports.get(index);
            let Some(port) = port.filter(|port| port.vlans.carries(vlan)) else {
                continue;
            };
            let (endpoint, down) = (port.endpoint, port.open && Some(index) != ingress);
            // What a local stack sends does not come back to it.
            let up = group && (came_up || came != Some(index));
            if down {
                match packet.copy() {
                    Some(copy) => {
                        self.forward(copy.into(), index, endpoint, vlan);
                        touched |= 1 << index;
                    }
                    None => self.stats.no_buffer.add(1),
                }
            }
            if up && Some(index) != ingress {
                match packet.copy() {
                    Some(copy) => self.deliver(copy.into(), endpoint, vlan, cx),
                    None => self.stats.no_buffer.add(1),
                }
            }
        }
        // The local stack of the port that it came from gets the frame itself.
        if group && came_up {
            self.push_up(packet, cx);
        }
        touched
    }

    /// Gives a frame of `vlan` the form in which `port` carries it.
    pub(crate) fn shape(&self, packet: &mut Packet, vlan: u16, port: u8) -> Option<()> {
        let tag = self.ports.get(port)?.vlans.tags(vlan).then(|| {
            // The priority stays with the frame (IEEE 802.1Q-2018, 6.9.4).
            vlan::control(packet).unwrap_or(0) & 0xf000 | vlan
        });
        vlan::set(packet, tag)
    }

    /// Sends a frame up as from `endpoint`.
    fn deliver(&mut self, packet: SharedPacket, endpoint: u16, vlan: u16, cx: &Cx) {
        let Some(mut packet) = writable(packet) else {
            return self.stats.no_buffer.add(1);
        };
        if vlan != 0 {
            let port = self.ports.by_endpoint(endpoint);
            if port
                .and_then(|port| self.shape(&mut packet, vlan, port))
                .is_none()
            {
                return self.stats.no_room.add(1);
            }
        }
        let (cell, iface) = (packet.cell(), 0);
        packet.set_flags(NPKT_UP, 0);
        packet.set_way(cell, endpoint, iface);
        self.push_up(packet.into(), cx);
    }

    fn push_up(&mut self, packet: SharedPacket, cx: &Cx) {
        if self.up.is_full() {
            cx.tx_up(self.up.take());
        }
        // There is room: it has just been emptied where it was full.
        let _ = self.up.push(packet);
    }
}
