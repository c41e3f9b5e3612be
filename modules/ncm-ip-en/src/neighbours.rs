//! The neighbour cache of one interface: which link-layer address belongs to which address
//! of one version of IP.
//!
//! No clock and no packet type of its own: `now` is an argument, and what is to be sent comes out
//! of [`Neighbours::poll`]. The number of entries and of packets waiting is bounded. An address
//! that nobody here asked for is not entered, so that a flood of unasked replies changes nothing.

use crate::address::Address;
use crate::options::Limits;
use io_net_wire::ethernet::Mac;
use std::collections::{HashMap, VecDeque};
/// Requests sent before a neighbour counts as unreachable.
const TRIES: u8 = 3;
/// Time between requests to one neighbour; RFC 1122, 2.3.2.1 allows one a second.
const RETRY_NS: u64 = 1_000_000_000;

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Asked for; `tries` requests were sent, the next is due at `next_ns`.
    Incomplete { tries: u8, next_ns: u64 },
    /// Confirmed, until `until_ns`.
    Reachable { until_ns: u64 },
    /// Known, not confirmed of late; confirmed when next used.
    Stale,
    /// In use while it is being confirmed by requests to itself.
    Probe { tries: u8, next_ns: u64 },
    /// Given by hand.
    Static,
}

/// One neighbour, with the packets of type `P` that wait for it.
pub(crate) struct Neighbour<P> {
    pub(crate) state: State,
    pub(crate) mac: Mac,
    used_ns: u64,
    waiting: VecDeque<P>,
}

/// What the cache wants done.
pub(crate) enum Action<A, P> {
    /// Ask who has the address: everybody, or the neighbour that had it last.
    Request(A, Option<Mac>),
    /// Nobody answered: these packets cannot be sent.
    Unreachable(VecDeque<P>),
}

/// What became of a packet that has to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Queued<P> {
    /// It waits.
    Waits,
    /// It waits, and an older one had to go.
    Displaced(P),
    /// The cache is full of neighbours that may not be forgotten.
    Refused(P),
}

/// The cache.
pub(crate) struct Neighbours<A, P> {
    entries: HashMap<A, Neighbour<P>>,
    limits: Limits,
    next_ns: u64,
    evicted: u64,
}

impl<A: Address, P> Neighbours<A, P> {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut neighbours = Neighbours {
            entries: HashMap::new(),
            next_ns: u64::MAX,
            evicted: 0,
            limits,
        };
        for (address, mac) in neighbours.limits.fixed.clone() {
            if let Some(address) = A::of(address) {
                neighbours.fix(address, mac);
            }
        }
        neighbours
    }

    /// The neighbour's link-layer address, where it is known. One not confirmed of late is used
    /// and asked at the next [`Neighbours::poll`].
    #[inline]
    pub(crate) fn lookup(&mut self, now_ns: u64, address: A) -> Option<Mac> {
        let entry = self.entries.get_mut(&address)?;
        entry.used_ns = now_ns;
        match entry.state {
            State::Incomplete { .. } => return None,
            State::Reachable { until_ns } if now_ns < until_ns => {}
            State::Static | State::Probe { .. } => {}
            State::Reachable { .. } | State::Stale => {
                let (tries, next_ns) = (0, now_ns);
                entry.state = State::Probe { tries, next_ns };
                self.next_ns = self.next_ns.min(next_ns);
            }
        }
        Some(entry.mac)
    }

    /// Keeps a packet until the neighbour, whose address [`Neighbours::lookup`] did not know, has
    /// answered; asks for it at the next [`Neighbours::poll`].
    pub(crate) fn enqueue(&mut self, now_ns: u64, address: A, packet: P) -> Queued<P> {
        if !self.entries.contains_key(&address) {
            if !self.make_room() {
                return Queued::Refused(packet);
            }
            let state = State::Incomplete {
                tries: 0,
                next_ns: now_ns,
            };
            self.insert(now_ns, address, state, Mac::default());
            self.next_ns = self.next_ns.min(now_ns);
        }
        let Some(entry) = self.entries.get_mut(&address) else {
            return Queued::Refused(packet);
        };
        // RFC 1122, 2.3.2.2: at least the newest packet is kept.
        entry.waiting.push_back(packet);
        if entry.waiting.len() <= self.limits.queue {
            return Queued::Waits;
        }
        match entry.waiting.pop_front() {
            Some(oldest) => Queued::Displaced(oldest),
            None => Queued::Waits,
        }
    }

    /// A neighbour said that `address` is at `mac`: takes it over where the address is in the
    /// cache. Returns whether that was a change of address, and the packets that can now be sent.
    /// `answers` where it was in answer to a request of ours.
    pub(crate) fn heard(
        &mut self,
        now_ns: u64,
        address: A,
        mac: Mac,
        answers: bool,
    ) -> Option<(bool, VecDeque<P>)> {
        let entry = self.entries.get_mut(&address)?;
        let known = match entry.state {
            State::Static => return None,
            State::Incomplete { .. } => false,
            _ => true,
        };
        let changed = known && entry.mac != mac;
        entry.mac = mac;
        if answers || !known {
            let until_ns = now_ns.saturating_add(self.limits.reachable_ns);
            entry.state = State::Reachable { until_ns };
        } else if changed {
            entry.state = State::Stale;
        }
        Some((changed, std::mem::take(&mut entry.waiting)))
    }

    /// The neighbour's link-layer address, if any is known; this is no use of it.
    pub(crate) fn mac(&self, address: A) -> Option<Mac> {
        let entry = self.entries.get(&address)?;
        (!matches!(entry.state, State::Incomplete { .. })).then_some(entry.mac)
    }

    /// A neighbour said that `address` is at `mac` without insisting on it: where another
    /// link-layer address is known, that stays, to be confirmed when it is next used. Returns false
    /// where there is nothing to doubt.
    pub(crate) fn doubt(&mut self, address: A, mac: Mac) -> bool {
        let Some(entry) = self.entries.get_mut(&address) else {
            return false;
        };
        if entry.mac == mac || matches!(entry.state, State::Incomplete { .. }) {
            return false;
        }
        if matches!(entry.state, State::Reachable { .. }) {
            entry.state = State::Stale;
        }
        true
    }

    /// A neighbour asked for an address of ours, so that an answer to it is likely: remembers
    /// where it is, while the cache is less than half full.
    pub(crate) fn learn(&mut self, now_ns: u64, address: A, mac: Mac) {
        let room = self.entries.len() < self.limits.cache / 2;
        if room && !self.entries.contains_key(&address) {
            self.insert(now_ns, address, State::Stale, mac);
        }
    }

    /// Enters a neighbour for good. False where the cache is full.
    pub(crate) fn fix(&mut self, address: A, mac: Mac) -> bool {
        let known = self.entries.remove(&address).is_some();
        if !known && !self.make_room() {
            return false;
        }
        self.insert(0, address, State::Static, mac);
        true
    }

    /// Forgets a neighbour; the packets that waited for it go too. `None` where it was not known.
    pub(crate) fn forget(&mut self, address: A) -> Option<VecDeque<P>> {
        self.entries.remove(&address).map(|entry| entry.waiting)
    }

    /// What is due at `now_ns`.
    pub(crate) fn poll(&mut self, now_ns: u64, actions: &mut Vec<Action<A, P>>) {
        if now_ns < self.next_ns {
            return;
        }
        self.next_ns = u64::MAX;
        let mut gone = Vec::new();
        for (&address, entry) in &mut self.entries {
            let (tries, next_ns, to) = match entry.state {
                State::Incomplete { tries, next_ns } => (tries, next_ns, None),
                State::Probe { tries, next_ns } => (tries, next_ns, Some(entry.mac)),
                _ => continue,
            };
            if next_ns > now_ns {
                self.next_ns = self.next_ns.min(next_ns);
            } else if tries < TRIES {
                actions.push(Action::Request(address, to));
                let (tries, next_ns) = (tries + 1, now_ns + RETRY_NS);
                entry.state = match to {
                    None => State::Incomplete { tries, next_ns },
                    Some(_) => State::Probe { tries, next_ns },
                };
                self.next_ns = self.next_ns.min(next_ns);
            } else {
                gone.push(address);
            }
        }
        for address in gone {
            if let Some(waiting) = self.forget(address) {
                actions.push(Action::Unreachable(waiting));
            }
        }
    }

    /// When [`Neighbours::poll`] has something to do, `u64::MAX` for never.
    #[inline]
    pub(crate) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Neighbours forgotten to make room since the last call.
    pub(crate) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// All neighbours.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (A, &Neighbour<P>)> {
        self.entries
            .iter()
            .map(|(&address, entry)| (address, entry))
    }

    fn insert(&mut self, now_ns: u64, address: A, state: State, mac: Mac) {
        let entry = Neighbour {
            state,
            mac,
            used_ns: now_ns,
            waiting: VecDeque::new(),
        };
        self.entries.insert(address, entry);
    }

    /// Forgets the least useful neighbour where the cache is full: a stale one before one that
    /// never answered, that before one in use, and the longest unused first.
    fn make_room(&mut self) -> bool {
        if self.entries.len() < self.limits.cache {
            return true;
        }
        let rank = |state: State| match state {
            State::Stale => 0,
            State::Incomplete { .. } => 1,
            _ => 2,
        };
        let victim = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state != State::Static)
            .min_by_key(|(_, entry)| (rank(entry.state), entry.used_ns))
            .map(|(&address, _)| address);
        let Some(victim) = victim else { return false };
        self.entries.remove(&victim);
        self.evicted += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const SECOND: u64 = 1_000_000_000;
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn host(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, n)
    }

    fn small() -> Neighbours<Ipv4Addr, u32> {
        Neighbours::new(Limits {
            cache: 4,
            queue: 2,
            ..Limits::default()
        })
    }

    fn poll(neighbours: &mut Neighbours<Ipv4Addr, u32>, now_ns: u64) -> Vec<String> {
        let mut actions = Vec::new();
        neighbours.poll(now_ns, &mut actions);
        let text = |action| match action {
            Action::Request(address, None) => format!("who has {address}"),
            Action::Request(address, Some(_)) => format!("still {address}?"),
            Action::Unreachable(waiting) => format!("lost {waiting:?}"),
        };
        actions.into_iter().map(text).collect()
    }

    #[test]
    fn a_packet_waits_for_the_answer() {
        let mut n = small();
        assert_eq!(n.lookup(5, host(1)), None);
        assert_eq!(n.enqueue(5, host(1), 7), Queued::Waits);
        assert_eq!(n.next_ns(), 5);
        assert_eq!(poll(&mut n, 5), ["who has 10.0.0.1"]);
        assert!(poll(&mut n, 6).is_empty());
        let (changed, ready) = n.heard(9, host(1), MAC, true).unwrap();
        assert_eq!((changed, ready), (false, VecDeque::from([7])));
        assert_eq!(n.lookup(10, host(1)), Some(MAC));
    }

    #[test]
    fn the_queue_is_bounded_and_keeps_the_newest() {
        let mut n = small();
        assert_eq!(n.enqueue(0, host(1), 1), Queued::Waits);
        assert_eq!(n.enqueue(0, host(1), 2), Queued::Waits);
        assert_eq!(n.enqueue(0, host(1), 3), Queued::Displaced(1));
    }

    #[test]
    fn nobody_answers() {
        let mut n = small();
        n.enqueue(0, host(1), 1);
        for second in 0..3 {
            assert_eq!(poll(&mut n, second * SECOND), ["who has 10.0.0.1"]);
        }
        assert_eq!(poll(&mut n, 3 * SECOND), ["lost [1]"]);
        assert_eq!(n.next_ns(), u64::MAX);
        assert_eq!(n.iter().count(), 0);
    }

    #[test]
    fn an_old_answer_is_used_and_confirmed() {
        let mut n = small();
        n.enqueue(0, host(1), 1);
        n.heard(0, host(1), MAC, true);
        assert_eq!(n.lookup(59 * SECOND, host(1)), Some(MAC));
        assert!(poll(&mut n, 59 * SECOND).is_empty());
        assert_eq!(n.lookup(60 * SECOND, host(1)), Some(MAC));
        for second in 60..63 {
            assert_eq!(poll(&mut n, second * SECOND), ["still 10.0.0.1?"]);
            assert_eq!(n.lookup(second * SECOND, host(1)), Some(MAC));
        }
        assert_eq!(poll(&mut n, 63 * SECOND), ["lost []"]);
        assert_eq!(n.lookup(63 * SECOND, host(1)), None);
    }

    #[test]
    fn unasked_replies_change_only_what_is_known() {
        let mut n = small();
        assert!(n.heard(0, host(1), MAC, true).is_none());
        assert_eq!(n.iter().count(), 0);
        n.enqueue(0, host(2), 1);
        n.heard(0, host(2), MAC, true);
        let other = Mac([2, 0, 0, 0, 0, 8]);
        let (changed, _) = n.heard(1, host(2), other, false).unwrap();
        assert!(changed);
        assert_eq!(n.lookup(1, host(2)), Some(other));
    }

    #[test]
    fn static_neighbours_stay() {
        let mut n = small();
        assert!(n.fix(host(1), MAC));
        assert!(n.heard(0, host(1), Mac([2; 6]), true).is_none());
        for i in 10..30 {
            n.enqueue(u64::from(i), host(i), 0);
        }
        assert_eq!(n.lookup(99 * SECOND, host(1)), Some(MAC));
        assert_eq!(n.iter().count(), 4);
        assert_eq!(n.take_evicted(), 17);
        for i in 2..5 {
            assert!(n.fix(host(i), MAC));
        }
        assert!(!n.fix(host(5), MAC));
        assert_eq!(n.enqueue(0, host(6), 3), Queued::Refused(3));
    }

    #[test]
    fn askers_are_remembered_while_there_is_plenty_of_room() {
        let mut n = small();
        for i in 1..9 {
            n.learn(0, host(i), MAC);
        }
        assert_eq!(n.iter().count(), 2);
        assert_eq!(n.lookup(1, host(1)), Some(MAC));
        assert_eq!(poll(&mut n, 1), ["still 10.0.0.1?"]);
    }
}
