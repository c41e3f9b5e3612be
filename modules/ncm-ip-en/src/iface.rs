//! One Ethernet interface: its addresses, its neighbours, and what it answers to ARP. What it does
//! for IPv6 is in [`crate::six`].

use crate::claims::{Broadcast, Claims};
use crate::neighbours::{Action, Neighbours};
use crate::options::Limits;
use crate::six::Six;
use io_net_ddk::abi::Advert;
use io_net_ddk::advert_name;
use io_net_wire::arp::{Operation, Packet as Arp};
use io_net_wire::ethernet::Mac;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

/// An interface, with packets of type `P` that wait for neighbours.
pub(crate) struct Iface<P> {
    pub(crate) name: String,
    /// The layer `en`, as io-net numbers it.
    pub(crate) cell: u16,
    pub(crate) endpoint: u16,
    pub(crate) iface: u16,
    pub(crate) mac: Mac,
    pub(crate) up: bool,
    pub(crate) claims: Claims<Ipv4Addr>,
    pub(crate) neighbours: Neighbours<Ipv4Addr, P>,
    pub(crate) six: Six<P>,
}

/// A packet of ARP or of neighbour discovery, and the link-layer address to send it to.
pub(crate) type Outgoing<Q> = (Q, Mac);

/// What such a packet brought about.
pub(crate) struct Heard<Q, P> {
    /// To be sent in answer.
    pub(crate) answer: Option<Outgoing<Q>>,
    /// A neighbour has another link-layer address than before.
    pub(crate) changed: bool,
    /// Somebody claims an address of ours.
    pub(crate) conflict: Option<Conflict>,
    /// Packets that can be sent now.
    pub(crate) ready: VecDeque<P>,
    /// Whereto.
    pub(crate) mac: Mac,
}

impl<Q, P> Default for Heard<Q, P> {
    fn default() -> Self {
        Heard {
            answer: None,
            changed: false,
            conflict: None,
            ready: VecDeque::new(),
            mac: Mac::default(),
        }
    }
}

impl<Q, P> Heard<Q, P> {
    /// The same with what the cache knows now.
    pub(crate) fn with(self, mac: Mac, changed: bool, ready: VecDeque<P>) -> Self {
        Heard {
            mac,
            changed,
            ready,
            ..self
        }
    }
}

/// A claim of somebody else to an address of ours.
pub(crate) struct Conflict {
    pub(crate) address: IpAddr,
    pub(crate) mac: Mac,
    /// Say so: it is the first in a while.
    pub(crate) report: bool,
}

impl<P> Iface<P> {
    pub(crate) fn new(advert: &Advert, limits: Limits) -> Self {
        Iface {
            name: advert_name(advert).to_owned(),
            cell: advert.cell,
            endpoint: advert.endpoint,
            iface: advert.iface,
            mac: Mac::default(),
            up: false,
            claims: Claims::default(),
            neighbours: Neighbours::new(limits.clone()),
            six: Six::new(limits),
        }
    }

    /// Takes over an advert's state. A new link-layer address, and a link that came up, have our
    /// addresses announced again.
    pub(crate) fn update(&mut self, now_ns: u64, mac: Mac, up: bool) {
        let known = self.mac != Mac::default();
        if known && (mac != self.mac || up && !self.up) {
            self.claims.announce(now_ns);
            self.six.claims.announce(now_ns);
        }
        (self.mac, self.up) = (mac, up);
    }

    /// Takes an ARP packet (RFC 826; RFC 5227, 2.4 on conflicts).
    pub(crate) fn handle_arp(&mut self, now_ns: u64, arp: &Arp) -> Heard<Arp, P> {
        let mut heard = Heard::default();
        if arp.sender_mac == self.mac {
            return heard; // Our own, come back.
        }
        let for_us = self.claims.is_ours(arp.target);
        let asks = arp.operation == Operation::Request;
        if self.claims.is_ours(arp.sender) {
            let report = self.claims.conflict(now_ns, arp.sender);
            heard.conflict = Some(Conflict {
                address: arp.sender.into(),
                mac: arp.sender_mac,
                report,
            });
            heard.answer = report.then(|| self.announcement(arp.sender));
            return heard;
        }
        if !arp.sender.is_unspecified() {
            let (address, mac) = (arp.sender, arp.sender_mac);
            let answers = !asks && arp.target_mac == self.mac;
            if let Some((changed, ready)) = self.neighbours.heard(now_ns, address, mac, answers) {
                heard = heard.with(mac, changed, ready);
            } else if asks && for_us {
                self.neighbours.learn(now_ns, address, mac);
            }
        }
        if asks && for_us {
            let reply = Arp {
                operation: Operation::Reply,
                sender_mac: self.mac,
                sender: arp.target,
                target_mac: arp.sender_mac,
                target: arp.sender,
            };
            heard.answer = Some((reply, arp.sender_mac));
        }
        heard
    }

    /// What of ARP is due at `now_ns`: packets to send, and packets for which nobody answered.
    pub(crate) fn poll(
        &mut self,
        now_ns: u64,
        send: &mut Vec<Outgoing<Arp>>,
        lost: &mut VecDeque<P>,
    ) {
        let mut actions = Vec::new();
        self.neighbours.poll(now_ns, &mut actions);
        for action in actions {
            match action {
                Action::Request(target, to) => {
                    let request = self.request(self.claims.source_for(target), target);
                    send.push((request, to.unwrap_or(Mac::BROADCAST)));
                }
                Action::Unreachable(mut waiting) => lost.append(&mut waiting),
            }
        }
        let mac = self.mac;
        self.claims.poll(now_ns, |broadcast| {
            send.push(match broadcast {
                Broadcast::Probe(target) => (
                    request_from(mac, Ipv4Addr::UNSPECIFIED, target),
                    Mac::BROADCAST,
                ),
                Broadcast::Announce(address) => {
                    (request_from(mac, address, address), Mac::BROADCAST)
                }
            });
        });
    }

    /// When [`Iface::poll`] or [`Six::poll`] has something to do, `u64::MAX` for never.
    pub(crate) fn next_ns(&self) -> u64 {
        let four = self.neighbours.next_ns().min(self.claims.next_ns());
        four.min(self.six.next_ns())
    }

    /// Where packets for `next_hop` go, as far as that is known without asking anybody.
    #[inline]
    pub(crate) fn resolve(&mut self, now_ns: u64, next_hop: Ipv4Addr) -> Option<Mac> {
        if let Some(mac) = self.neighbours.lookup(now_ns, next_hop) {
            return Some(mac);
        }
        if next_hop.is_multicast() {
            return Some(multicast_mac(next_hop));
        }
        let broadcast = next_hop.is_broadcast() || self.claims.is_broadcast(next_hop);
        broadcast.then_some(Mac::BROADCAST)
    }

    fn announcement(&self, address: Ipv4Addr) -> Outgoing<Arp> {
        (self.request(address, address), Mac::BROADCAST)
    }

    fn request(&self, sender: Ipv4Addr, target: Ipv4Addr) -> Arp {
        request_from(self.mac, sender, target)
    }
}

fn request_from(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Arp {
    Arp {
        operation: Operation::Request,
        sender_mac: mac,
        sender,
        target_mac: Mac::default(),
        target,
    }
}

/// Whether an ARP packet's sender can be: no group, neither in hardware nor in IPv4.
pub(crate) fn sender_is_possible(arp: &Arp) -> bool {
    let mac = arp.sender_mac;
    let group = mac.is_multicast() || arp.sender.is_multicast() || arp.sender.is_broadcast();
    !group && mac != Mac::default()
}

/// The link-layer address of an IPv4 multicast group (RFC 1112, 6.4).
fn multicast_mac(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_ddk::InterfaceAddress;
    use io_net_ddk::advert;

    const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIR_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn iface() -> Iface<u32> {
        let mut iface = Iface::new(&advert("en0", "en"), Limits::default());
        iface.update(0, OUR_MAC, true);
        let address = InterfaceAddress {
            address: IpAddr::V4(OURS),
            prefix: 24,
        };
        iface.claims.set(0, &[address], |_| true);
        iface
    }

    fn arp(operation: Operation, sender: Ipv4Addr, target: Ipv4Addr) -> Arp {
        Arp {
            operation,
            sender_mac: THEIR_MAC,
            sender,
            target_mac: OUR_MAC,
            target,
        }
    }

    #[test]
    fn requests_for_us_are_answered_and_remembered() {
        let mut iface = iface();
        let heard = iface.handle_arp(0, &arp(Operation::Request, THEIRS, OURS));
        let (reply, to) = heard.answer.unwrap();
        assert_eq!(to, THEIR_MAC);
        assert_eq!(reply.operation, Operation::Reply);
        assert_eq!((reply.sender, reply.sender_mac), (OURS, OUR_MAC));
        assert_eq!((reply.target, reply.target_mac), (THEIRS, THEIR_MAC));
        assert_eq!(iface.resolve(1, THEIRS), Some(THEIR_MAC));
    }

    #[test]
    fn others_requests_and_unasked_replies_leave_nothing() {
        let mut iface = iface();
        let third = Ipv4Addr::new(10, 0, 0, 3);
        let heard = iface.handle_arp(0, &arp(Operation::Request, THEIRS, third));
        assert!(heard.answer.is_none());
        let heard = iface.handle_arp(0, &arp(Operation::Reply, THEIRS, OURS));
        assert!(heard.answer.is_none());
        assert_eq!(iface.resolve(1, THEIRS), None);
    }

    #[test]
    fn probes_by_others_for_our_address_are_answered() {
        let mut iface = iface();
        let heard = iface.handle_arp(0, &arp(Operation::Request, Ipv4Addr::UNSPECIFIED, OURS));
        assert_eq!(heard.answer.unwrap().0.sender, OURS);
    }

    #[test]
    fn a_conflict_is_reported_and_defended_once_in_a_while() {
        let mut iface = iface();
        let claim = arp(Operation::Request, OURS, OURS);
        let heard = iface.handle_arp(0, &claim);
        assert!(heard.conflict.unwrap().report);
        let (defence, to) = heard.answer.unwrap();
        assert_eq!(
            (defence.sender, defence.target, to),
            (OURS, OURS, Mac::BROADCAST)
        );
        let heard = iface.handle_arp(1, &claim);
        assert!(!heard.conflict.unwrap().report && heard.answer.is_none());
        let own = Arp {
            sender_mac: OUR_MAC,
            ..claim
        };
        assert!(iface.handle_arp(2, &own).conflict.is_none());
    }

    #[test]
    fn a_neighbour_is_asked_from_our_address() {
        let mut iface = iface();
        let mut drain = Vec::new();
        iface.poll(0, &mut drain, &mut VecDeque::new());
        iface.neighbours.enqueue(0, THEIRS, 7);
        let (mut send, mut lost) = (Vec::new(), VecDeque::new());
        iface.poll(0, &mut send, &mut lost);
        assert_eq!(
            send,
            [(request_from(OUR_MAC, OURS, THEIRS), Mac::BROADCAST)]
        );
        let heard = iface.handle_arp(0, &arp(Operation::Reply, THEIRS, OURS));
        assert_eq!(heard.ready, [7]);
    }

    #[test]
    fn groups_and_broadcasts_need_no_asking() {
        let mut iface = iface();
        let group = Ipv4Addr::new(239, 129, 2, 3);
        assert_eq!(iface.resolve(0, group), Some(Mac([1, 0, 0x5e, 1, 2, 3])));
        for broadcast in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 255)] {
            assert_eq!(iface.resolve(0, broadcast), Some(Mac::BROADCAST));
        }
    }

    #[test]
    fn a_new_hardware_address_is_announced() {
        let mut iface = iface();
        let mut send = Vec::new();
        iface.poll(0, &mut send, &mut VecDeque::new());
        iface.poll(u64::MAX / 2, &mut send, &mut VecDeque::new());
        send.clear();
        let other = Mac([2, 0, 0, 0, 0, 7]);
        iface.update(9, other, true);
        iface.poll(9, &mut send, &mut VecDeque::new());
        assert_eq!(send, [(request_from(other, OURS, OURS), Mac::BROADCAST)]);
    }

    #[test]
    fn senders_that_cannot_be() {
        let good = arp(Operation::Reply, THEIRS, OURS);
        assert!(sender_is_possible(&good));
        for mac in [Mac::default(), Mac::BROADCAST] {
            let sender_mac = mac;
            assert!(!sender_is_possible(&Arp { sender_mac, ..good }));
        }
        let sender = Ipv4Addr::new(224, 0, 0, 1);
        assert!(!sender_is_possible(&Arp { sender, ..good }));
    }
}
