//! The IPv6 side of one interface: its addresses, its neighbours, and what it answers to neighbour
//! discovery (RFC 4861). Routers, prefixes and redirects are the business of the protocol above.

use crate::claims::{Broadcast, Claims};
use crate::iface::{Conflict, Heard, Outgoing};
use crate::neighbours::{Action, Neighbours};
use crate::options::Limits;
use io_net_wire::ethernet::Mac;
use io_net_wire::ndp::{ALL_NODES, Message, Packet as Ndp, multicast_mac, solicited_node};
use std::collections::VecDeque;
use std::net::Ipv6Addr;

/// The IPv6 side of an interface, with packets of type `P` that wait for neighbours.
pub(crate) struct Six<P> {
    pub(crate) claims: Claims<Ipv6Addr>,
    pub(crate) neighbours: Neighbours<Ipv6Addr, P>,
}

impl<P> Six<P> {
    pub(crate) fn new(limits: Limits) -> Self {
        Six {
            claims: Claims::default(),
            neighbours: Neighbours::new(limits),
        }
    }

    /// Takes a packet that the station `from` sent; `own` is our link-layer address.
    pub(crate) fn handle(&mut self, now_ns: u64, own: Mac, from: Mac, ndp: &Ndp) -> Heard<Ndp, P> {
        if from == own {
            return Heard::default(); // Our own, come back.
        }
        let claimed = match ndp.message {
            Message::Solicitation => ndp.source,
            Message::Advertisement { .. } => ndp.target,
        };
        if self.claims.is_ours(claimed) {
            return self.claimed(now_ns, own, from, claimed);
        }
        match ndp.message {
            Message::Solicitation => self.asked(now_ns, own, from, ndp),
            Message::Advertisement {
                solicited,
                overrides,
            } => self.told(now_ns, ndp, solicited, overrides),
        }
    }

    /// Somebody asks for an address (RFC 4861, 7.2.3).
    fn asked(&mut self, now_ns: u64, own: Mac, from: Mac, ndp: &Ndp) -> Heard<Ndp, P> {
        let mut heard = Heard::default();
        if let Some(mac) = ndp.mac {
            match self.neighbours.heard(now_ns, ndp.source, mac, false) {
                Some((changed, ready)) => heard = heard.with(mac, changed, ready),
                None if self.claims.is_ours(ndp.target) => {
                    self.neighbours.learn(now_ns, ndp.source, mac);
                }
                None => {}
            }
        }
        if self.claims.is_ours(ndp.target) {
            // Who asks from no address wants to know whether it may have ours.
            heard.answer = Some(match ndp.source.is_unspecified() {
                true => announcement(own, ndp.target),
                false => (
                    advertisement(own, ndp.target, ndp.source, true),
                    ndp.mac.unwrap_or(from),
                ),
            });
        }
        heard
    }

    /// Somebody says where an address is (RFC 4861, 7.2.5).
    fn told(&mut self, now_ns: u64, ndp: &Ndp, solicited: bool, overrides: bool) -> Heard<Ndp, P> {
        let known = self.neighbours.mac(ndp.target);
        let Some(mac) = ndp.mac.or(known) else {
            return Heard::default();
        };
        if !overrides && self.neighbours.doubt(ndp.target, mac) {
            return Heard::default();
        }
        match self.neighbours.heard(now_ns, ndp.target, mac, solicited) {
            Some((changed, ready)) => Heard::default().with(mac, changed, ready),
            None => Heard::default(),
        }
    }

    /// Somebody else uses an address of ours (RFC 4862, 5.4.4); defended as in IPv4.
    fn claimed(&mut self, now_ns: u64, own: Mac, from: Mac, ours: Ipv6Addr) -> Heard<Ndp, P> {
        let report = self.claims.conflict(now_ns, ours);
        Heard {
            conflict: Some(Conflict {
                address: ours.into(),
                mac: from,
                report,
            }),
            answer: report.then(|| announcement(own, ours)),
            ..Heard::default()
        }
    }

    /// What is due at `now_ns`: packets to send, and packets for which nobody answered.
    pub(crate) fn poll(
        &mut self,
        now_ns: u64,
        own: Mac,
        send: &mut Vec<Outgoing<Ndp>>,
        lost: &mut VecDeque<P>,
    ) {
        let mut actions = Vec::new();
        self.neighbours.poll(now_ns, &mut actions);
        for action in actions {
            match action {
                Action::Request(target, to) => {
                    let source = self.claims.source_for(target);
                    // From no address it would be a search for duplicates.
                    if !source.is_unspecified() {
                        send.push(solicitation(source, Some(own), target, to));
                    }
                }
                Action::Unreachable(mut waiting) => lost.append(&mut waiting),
            }
        }
        self.claims.poll(now_ns, |broadcast| {
            send.push(match broadcast {
                Broadcast::Probe(target) => solicitation(Ipv6Addr::UNSPECIFIED, None, target, None),
                Broadcast::Announce(address) => announcement(own, address),
            });
        });
    }

    /// When [`Six::poll`] has something to do, `u64::MAX` for never.
    pub(crate) fn next_ns(&self) -> u64 {
        self.neighbours.next_ns().min(self.claims.next_ns())
    }

    /// Where packets for `next_hop` go, as far as that is known without asking anybody.
    #[inline]
    pub(crate) fn resolve(&mut self, now_ns: u64, next_hop: Ipv6Addr) -> Option<Mac> {
        let known = self.neighbours.lookup(now_ns, next_hop);
        known.or_else(|| next_hop.is_multicast().then(|| multicast_mac(next_hop)))
    }
}

/// A question after `target`: to all that could have it, or to the station that had it last.
fn solicitation(
    source: Ipv6Addr,
    mac: Option<Mac>,
    target: Ipv6Addr,
    to: Option<Mac>,
) -> Outgoing<Ndp> {
    let group = solicited_node(target);
    let packet = Ndp {
        source,
        dest: if to.is_some() { target } else { group },
        target,
        mac,
        message: Message::Solicitation,
    };
    (packet, to.unwrap_or_else(|| multicast_mac(group)))
}

fn announcement(own: Mac, ours: Ipv6Addr) -> Outgoing<Ndp> {
    (
        advertisement(own, ours, ALL_NODES, false),
        multicast_mac(ALL_NODES),
    )
}

fn advertisement(own: Mac, ours: Ipv6Addr, dest: Ipv6Addr, solicited: bool) -> Ndp {
    Ndp {
        source: ours,
        dest,
        target: ours,
        mac: Some(own),
        message: Message::Advertisement {
            solicited,
            overrides: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_ddk::InterfaceAddress;

    const OURS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    const THEIRS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
    const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIR_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const OTHER_MAC: Mac = Mac([2, 0, 0, 0, 0, 3]);

    fn six() -> Six<u32> {
        let mut six = Six::new(Limits::default());
        let address = InterfaceAddress {
            address: OURS.into(),
            prefix: 64,
        };
        six.claims.set(0, &[address], |_| true);
        due(&mut six, 0);
        due(&mut six, 9_000_000_000);
        six
    }

    fn due(six: &mut Six<u32>, now_ns: u64) -> Vec<Outgoing<Ndp>> {
        let mut send = Vec::new();
        six.poll(now_ns, OUR_MAC, &mut send, &mut VecDeque::new());
        send
    }

    fn handle(six: &mut Six<u32>, ndp: Ndp) -> Heard<Ndp, u32> {
        six.handle(0, OUR_MAC, THEIR_MAC, &ndp)
    }

    fn theirs(mac: Mac, solicited: bool, overrides: bool) -> Ndp {
        Ndp {
            source: THEIRS,
            dest: OURS,
            target: THEIRS,
            mac: Some(mac),
            message: Message::Advertisement {
                solicited,
                overrides,
            },
        }
    }

    #[test]
    fn who_asks_for_us_is_answered_and_remembered() {
        let mut six = six();
        let (ask, _) = solicitation(THEIRS, Some(THEIR_MAC), OURS, None);
        let (answer, to) = handle(&mut six, ask).answer.unwrap();
        assert_eq!(
            (answer, to),
            (advertisement(OUR_MAC, OURS, THEIRS, true), THEIR_MAC)
        );
        assert_eq!(six.resolve(0, THEIRS), Some(THEIR_MAC));
        let (other, _) = solicitation(THEIRS, Some(THEIR_MAC), THEIRS, None);
        assert!(handle(&mut six, other).answer.is_none());
    }

    #[test]
    fn a_neighbour_is_asked_for_and_waited_for() {
        let mut six = six();
        assert_eq!(six.resolve(0, THEIRS), None);
        six.neighbours.enqueue(0, THEIRS, 7);
        assert_eq!(
            due(&mut six, 0),
            [solicitation(OURS, Some(OUR_MAC), THEIRS, None)]
        );
        let heard = handle(&mut six, theirs(THEIR_MAC, true, false));
        assert_eq!(
            (heard.mac, &*heard.ready.into_iter().collect::<Vec<_>>()),
            (THEIR_MAC, &[7][..])
        );
        assert_eq!(six.resolve(1, THEIRS), Some(THEIR_MAC));
    }

    #[test]
    fn another_address_counts_only_where_it_insists() {
        let mut six = six();
        six.neighbours.enqueue(0, THEIRS, 7);
        handle(&mut six, theirs(THEIR_MAC, true, true));
        assert!(!handle(&mut six, theirs(OTHER_MAC, false, false)).changed);
        assert_eq!(six.resolve(1, THEIRS), Some(THEIR_MAC));
        assert!(handle(&mut six, theirs(OTHER_MAC, false, true)).changed);
        assert_eq!(six.resolve(1, THEIRS), Some(OTHER_MAC));
        let without = Ndp {
            mac: None,
            ..theirs(OTHER_MAC, true, false)
        };
        assert!(!handle(&mut six, without).changed);
    }

    #[test]
    fn duplicates_are_searched_for_and_found() {
        let mut six: Six<u32> = Six::new(Limits::default());
        let address = InterfaceAddress {
            address: OURS.into(),
            prefix: 64,
        };
        six.claims.set(0, &[address], |_| false);
        let search = solicitation(Ipv6Addr::UNSPECIFIED, None, OURS, None);
        assert_eq!(due(&mut six, 0), [search]);
        // Another one searches too: it is told that the address is taken.
        assert_eq!(
            handle(&mut six, search.0).answer,
            Some(announcement(OUR_MAC, OURS))
        );
        let claim = advertisement(THEIR_MAC, OURS, ALL_NODES, false);
        let conflict = handle(&mut six, claim).conflict.unwrap();
        assert!(conflict.report && conflict.address == OURS);
        assert!(!handle(&mut six, claim).conflict.unwrap().report);
        assert!(six.handle(0, OUR_MAC, OUR_MAC, &claim).conflict.is_none());
    }

    #[test]
    fn groups_need_no_asking_and_without_an_address_nobody_is_asked() {
        let mut six: Six<u32> = Six::new(Limits::default());
        let group = "ff05::1:3".parse().unwrap();
        assert_eq!(six.resolve(0, group), Some(Mac([0x33, 0x33, 0, 1, 0, 3])));
        six.neighbours.enqueue(0, THEIRS, 7);
        assert!(due(&mut six, 0).is_empty());
    }
}
