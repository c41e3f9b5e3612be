//! The addresses of one version that are ours on one interface, and how they are claimed (RFC 5227;
//! for IPv6 in the same times, RFC 4862, 5.4).
//!
//! A new address is probed for and then announced. It is usable from the start: a conflict is
//! found, counted and reported while the address is in use (the way of optimistic duplicate
//! address detection, RFC 4429), because programs that were told the address wait for it.

use crate::address::Address;
use io_net_ddk::InterfaceAddress;
use std::net::Ipv4Addr;

const SECOND_NS: u64 = 1_000_000_000;
/// Probes, and the time between them (RFC 5227, 1.1: PROBE_NUM, PROBE_MIN to PROBE_MAX).
const PROBES: u8 = 3;
const PROBE_MIN_NS: u64 = SECOND_NS;
/// From the last probe to the first announcement (ANNOUNCE_WAIT).
const ANNOUNCE_WAIT_NS: u64 = 2 * SECOND_NS;
/// Announcements, and the time between them (ANNOUNCE_NUM, ANNOUNCE_INTERVAL).
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL_NS: u64 = 2 * SECOND_NS;
/// Least time between two defences of an address (DEFEND_INTERVAL).
const DEFEND_INTERVAL_NS: u64 = 10 * SECOND_NS;

/// What is to be broadcast for a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broadcast<A> {
    /// Whether anybody has the address.
    Probe(A),
    /// That it is ours.
    Announce(A),
}

struct Claim<A> {
    address: A,
    prefix: u8,
    probes_left: u8,
    announcements_left: u8,
    next_ns: u64,
    defended_ns: Option<u64>,
}

/// The claims of an interface.
pub(crate) struct Claims<A>(Vec<Claim<A>>);

impl<A> Default for Claims<A> {
    fn default() -> Self {
        Claims(Vec::new())
    }
}

impl<A: Address> Claims<A> {
    /// Makes `addresses`, those of this version, the addresses of the interface. New ones are probed
    /// for, then announced; those that `held` knows were ours on this network before, and are
    /// announced at once, so that neighbours learn where they are now.
    pub(crate) fn set(
        &mut self,
        now_ns: u64,
        addresses: &[InterfaceAddress],
        held: impl Fn(A) -> bool,
    ) {
        let wanted = addresses
            .iter()
            .filter_map(|a| Some((A::of(a.address)?, a.prefix)));
        let mut old = std::mem::take(&mut self.0);
        for (address, prefix) in wanted {
            let claim = match old.iter().position(|claim| claim.address == address) {
                Some(at) => Claim {
                    prefix,
                    ..old.swap_remove(at)
                },
                None => Claim {
                    address,
                    prefix,
                    probes_left: if held(address) { 0 } else { PROBES },
                    announcements_left: ANNOUNCEMENTS,
                    next_ns: now_ns,
                    defended_ns: None,
                },
            };
            self.0.push(claim);
        }
    }

    /// Announces all addresses again: the link came up, or our link-layer address changed.
    pub(crate) fn announce(&mut self, now_ns: u64) {
        for claim in &mut self.0 {
            claim.probes_left = 0;
            claim.announcements_left = ANNOUNCEMENTS;
            claim.next_ns = now_ns;
        }
    }

    /// Whether `address` is ours.
    #[inline]
    pub(crate) fn is_ours(&self, address: A) -> bool {
        self.0.iter().any(|claim| claim.address == address)
    }

    /// The address to ask from when looking for `target`: of its network, or else the first.
    pub(crate) fn source_for(&self, target: A) -> A {
        let same_network = |claim: &&Claim<A>| claim.address.is_near(target, claim.prefix);
        let claim = self.0.iter().find(same_network).or(self.0.first());
        claim.map_or(A::UNSPECIFIED, |claim| claim.address)
    }

    /// Somebody else claims `address`, which is ours. Returns whether to defend it now, which is
    /// also when to say so.
    pub(crate) fn conflict(&mut self, now_ns: u64, address: A) -> bool {
        let claim = self.0.iter_mut().find(|claim| claim.address == address);
        let Some(claim) = claim else { return false };
        let defend = claim
            .defended_ns
            .is_none_or(|last_ns| now_ns.saturating_sub(last_ns) >= DEFEND_INTERVAL_NS);
        if defend {
            claim.defended_ns = Some(now_ns);
        }
        defend
    }

    /// What is due at `now_ns`.
    pub(crate) fn poll(&mut self, now_ns: u64, mut broadcast: impl FnMut(Broadcast<A>)) {
        for claim in self.0.iter_mut().filter(|claim| claim.next_ns <= now_ns) {
            if claim.probes_left > 0 {
                claim.probes_left -= 1;
                broadcast(Broadcast::Probe(claim.address));
                claim.next_ns = now_ns
                    + if claim.probes_left > 0 {
                        // Spread over PROBE_MIN to PROBE_MAX by what the clock's low bits say.
                        PROBE_MIN_NS + now_ns % SECOND_NS
                    } else {
                        ANNOUNCE_WAIT_NS
                    };
            } else if claim.announcements_left > 0 {
                claim.announcements_left -= 1;
                broadcast(Broadcast::Announce(claim.address));
                claim.next_ns = now_ns + ANNOUNCE_INTERVAL_NS;
            }
            if claim.probes_left == 0 && claim.announcements_left == 0 {
                claim.next_ns = u64::MAX;
            }
        }
    }

    /// When [`Claims::poll`] has something to do, `u64::MAX` for never.
    pub(crate) fn next_ns(&self) -> u64 {
        let times = self.0.iter().map(|claim| claim.next_ns);
        times.min().unwrap_or(u64::MAX)
    }
}

impl Claims<Ipv4Addr> {
    /// Whether `address` is the broadcast address of one of our networks (RFC 919). Networks of 31
    /// and 32 bits have none (RFC 3021).
    #[inline]
    pub(crate) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        self.0.iter().any(|claim| {
            let hosts = u32::MAX.checked_shr(claim.prefix.into()).unwrap_or(0);
            hosts > 1 && address.to_bits() == claim.address.to_bits() | hosts
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn address(address: Ipv4Addr, prefix: u8) -> InterfaceAddress {
        InterfaceAddress {
            address: IpAddr::V4(address),
            prefix,
        }
    }

    fn run(claims: &mut Claims<Ipv4Addr>) -> Vec<(u64, Broadcast<Ipv4Addr>)> {
        let mut sent = Vec::new();
        while claims.next_ns() != u64::MAX {
            let now_ns = claims.next_ns();
            claims.poll(now_ns, |broadcast| {
                sent.push((now_ns / SECOND_NS, broadcast))
            });
        }
        sent
    }

    #[test]
    fn a_new_address_is_probed_for_then_announced() {
        let mut claims = Claims::default();
        claims.set(0, &[address(OURS, 24)], |_| false);
        let (probe, announce) = (Broadcast::Probe(OURS), Broadcast::Announce(OURS));
        let expected = [
            (0, probe),
            (1, probe),
            (2, probe),
            (4, announce),
            (6, announce),
        ];
        assert_eq!(run(&mut claims), expected);
        claims.set(0, &[address(OURS, 16)], |_| false);
        assert!(run(&mut claims).is_empty(), "a known address is left alone");
    }

    #[test]
    fn an_address_held_before_is_announced_at_once() {
        let mut claims = Claims::default();
        claims.set(0, &[address(OURS, 24)], |_| true);
        let announce = Broadcast::Announce(OURS);
        assert_eq!(run(&mut claims), [(0, announce), (2, announce)]);
        claims.announce(9 * SECOND_NS);
        assert_eq!(run(&mut claims), [(9, announce), (11, announce)]);
    }

    #[test]
    fn networks() {
        let mut claims = Claims::default();
        let second = Ipv4Addr::new(192, 168, 0, 9);
        claims.set(0, &[address(OURS, 24), address(second, 31)], |_| true);
        assert!(claims.is_ours(OURS) && claims.is_ours(second));
        assert!(claims.is_broadcast(Ipv4Addr::new(10, 0, 0, 255)));
        assert!(!claims.is_broadcast(Ipv4Addr::new(10, 0, 1, 255)));
        assert!(!claims.is_broadcast(second));
        assert_eq!(claims.source_for(Ipv4Addr::new(192, 168, 0, 8)), second);
        assert_eq!(claims.source_for(Ipv4Addr::new(1, 1, 1, 1)), OURS);
        let nothing = Claims::<Ipv4Addr>::default().source_for(OURS);
        assert_eq!(nothing, Ipv4Addr::UNSPECIFIED);
    }

    #[test]
    fn an_address_is_defended_now_and_then() {
        let mut claims = Claims::default();
        claims.set(0, &[address(OURS, 24)], |_| true);
        assert!(claims.conflict(0, OURS));
        assert!(!claims.conflict(9 * SECOND_NS, OURS));
        assert!(claims.conflict(10 * SECOND_NS, OURS));
        assert!(!claims.conflict(0, Ipv4Addr::LOCALHOST));
    }
}
