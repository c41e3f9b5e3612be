//! Finding nodes: the chain of resolvers, and what is said on LANs.

use super::Qnet;
use crate::errno::Errno;
use crate::event::Event;
use crate::ids::Query;
use crate::node::Nd;
use crate::node_name::NodeName;
use crate::resolve::lan::{Kind, Packet};
use crate::resolve::{Resolver, Search};
use crate::time::Instant;
use crate::transport::{self, LinkAddr, LinkId};

impl Qnet {
    /// LWL4's number for the LAN resolver's layer.
    pub(super) const LAYER_LAN: u8 = 2;

    /// Somebody wants to talk to a node that has no peer: opens one, or looks for it first.
    pub(super) fn reach(&mut self, now: Instant, number: u16) {
        let Some(node) = self.nodes.get(number) else {
            return;
        };
        if node.search.is_some() {
            return;
        }
        if node.paths.is_empty() {
            return self.search(now, number);
        }
        let name = transport::Node {
            name: node.name.name().to_owned(),
            domain: node.name.domain().to_owned(),
        };
        match self.transport.open(now, &name, &node.paths) {
            Ok(peer) => self.nodes.bind(number, peer),
            Err(transport::OpenError::TooManyPeers) => self.node_lost(number, Errno::EAGAIN),
            Err(_) => self.node_lost(number, Errno::EHOSTUNREACH),
        }
    }

    // ---- The chain of resolvers --------------------------------------------------------------

    pub(super) fn search(&mut self, now: Instant, number: u16) {
        self.searching.push(number);
        self.ask(now, number, 0, None);
    }

    /// Asks the resolver at that step of the chain, or the next that can be asked.
    fn ask(&mut self, now: Instant, number: u16, step: usize, failed: Option<Errno>) {
        let Some(&resolver) = self.config.resolvers.get(step) else {
            return self.not_found(number, failed.unwrap_or(Errno::ENOENT));
        };
        let mut search = Search {
            step,
            tries: 0,
            deadline: now + self.config.lookup_timeout,
            query: None,
            failed,
        };
        if resolver == Resolver::Ndp {
            search.deadline = now + self.config.resolve_timeout;
            self.ask_lans(number, None);
        } else {
            search.query = self.queries.insert(number);
        }
        let Some(node) = self.nodes.get_mut(number) else {
            return;
        };
        node.search = Some(search);
        if let Some(query) = search.query {
            let name = node.name.clone();
            let query = Query(query);
            self.event(Event::Resolve {
                query,
                resolver,
                name,
            });
        }
    }

    /// When the next search has waited long enough.
    pub(super) fn search_deadline(&self) -> Option<Instant> {
        let searches = self.searching.iter();
        let searches = searches.filter_map(|&number| self.nodes.get(number)?.search);
        searches.map(|search| search.deadline).min()
    }

    /// Goes on with the searches that have waited long enough.
    pub(super) fn search_on(&mut self, now: Instant) {
        for number in self.searching.clone() {
            let Some(mut search) = self.nodes.get(number).and_then(|node| node.search) else {
                continue;
            };
            if search.deadline > now {
                continue;
            }
            let on_lan = self.config.resolvers.get(search.step) == Some(&Resolver::Ndp);
            if on_lan && search.tries < self.config.resolve_retries {
                search.tries += 1;
                search.deadline = now + self.config.resolve_timeout;
                if let Some(node) = self.nodes.get_mut(number) {
                    node.search = Some(search);
                }
                self.ask_lans(number, None);
            } else {
                self.ask_next(now, number, search);
            }
        }
    }

    fn ask_next(&mut self, now: Instant, number: u16, search: Search) {
        if let Some(query) = search.query {
            self.queries.remove(query);
        }
        self.ask(now, number, search.step + 1, search.failed);
    }

    /// The surroundings have answered.
    pub(super) fn take_answer(
        &mut self,
        now: Instant,
        query: Query,
        result: Result<&[(LinkId, LinkAddr)], Errno>,
    ) {
        let Some(&number) = self.queries.get(query.0) else {
            return;
        };
        let search = self.nodes.get(number).and_then(|node| node.search);
        let Some(mut search) = search.filter(|search| search.query == Some(query.0)) else {
            self.queries.remove(query.0);
            return;
        };
        if let Err(errno) = result
            && errno != Errno::ENOENT
        {
            search.failed = Some(errno);
        }
        for &(link, addr) in result.unwrap_or_default() {
            self.learn(now, number, link, addr);
        }
        let known = self.nodes.get(number);
        if known.is_none_or(|node| node.search.is_some()) {
            self.ask_next(now, number, search);
        }
    }

    /// A node's address on a link was told.
    fn learn(&mut self, now: Instant, number: u16, link: LinkId, addr: LinkAddr) {
        let here = self.links.iter().any(|known| known.id == link);
        let Some(node) = self.nodes.get_mut(number).filter(|_| here) else {
            return;
        };
        // Nobody proves what he says on a LAN: an address in use is not given up for it.
        let in_use = node.peer.is_some() && node.paths.iter().any(|(known, _)| *known == link);
        if !in_use
            && node.learn(link, addr)
            && let Some(peer) = node.peer
        {
            self.transport.add_path(now, peer, link, addr);
        }
        self.found(now, number);
    }

    /// A node's place is known: who waited for it goes on.
    pub(super) fn found(&mut self, now: Instant, number: u16) {
        let Some(node) = self.nodes.get_mut(number) else {
            return;
        };
        let Some(search) = node.search.take() else {
            return;
        };
        let waiting = !node.backlog.is_empty() && node.peer.is_none();
        let asking = core::mem::take(&mut node.asking);
        self.end_search(number, search);
        for query in asking {
            let result = Ok(Nd::new(number, self.qos_asked(query)));
            self.event(Event::Answer { query, result });
        }
        if waiting {
            self.reach(now, number);
        }
    }

    /// No resolver knows the node, or, as `why` says, one could not be asked.
    fn not_found(&mut self, number: u16, why: Errno) {
        let Some(node) = self.nodes.get_mut(number) else {
            return;
        };
        if let Some(search) = node.search.take() {
            self.end_search(number, search);
        }
        self.searching.retain(|&other| other != number);
        let Some(node) = self.nodes.get_mut(number) else {
            return;
        };
        let asking = core::mem::take(&mut node.asking);
        let waited = !node.backlog.is_empty();
        for query in asking {
            self.qos_asked(query);
            let result = Err(why);
            self.event(Event::Answer { query, result });
        }
        if waited {
            self.node_lost(number, Errno::EHOSTUNREACH);
        } else if self
            .nodes
            .get(number)
            .is_some_and(|node| node.peer.is_none())
            && !self.kif.clients.uses(number)
        {
            self.nodes.remove(number);
        }
    }

    fn end_search(&mut self, number: u16, search: Search) {
        self.searching.retain(|&other| other != number);
        if let Some(query) = search.query {
            self.queries.remove(query);
        }
    }

    /// The quality of service that a question of `strtond` had, and the end of that question.
    fn qos_asked(&mut self, query: Query) -> u16 {
        self.asked.remove(query.0).unwrap_or_default()
    }

    // ---- LANs --------------------------------------------------------------------------------

    /// Asks on one LAN, or on each, where a node is.
    pub(super) fn ask_lans(&mut self, number: u16, only: Option<LinkId>) {
        if !self.config.resolvers.contains(&Resolver::Ndp) {
            return;
        }
        let Some(node) = self.nodes.get(number) else {
            return;
        };
        let about = node.name.clone();
        self.say(Kind::Request, Some(about), only);
    }

    /// Tells each LAN, or one, where this node is.
    pub(super) fn announce(&mut self, only: Option<LinkId>) {
        self.say(Kind::Reply, None, only);
    }

    fn say(&mut self, kind: Kind, about: Option<NodeName>, only: Option<LinkId>) {
        let mut packet = Packet {
            kind,
            sender: self.name.clone(),
            address: [0; 6],
            about,
        };
        for link in &self.links {
            if let LinkAddr::Mac(address) = link.addr
                && only.is_none_or(|only| only == link.id)
            {
                packet.address = address;
                let bytes = packet.emit();
                let (id, to) = (link.id, LinkAddr::BROADCAST);
                self.transport
                    .send_datagram(id, to, Self::LAYER_LAN, &bytes);
            }
        }
    }

    pub(super) fn take_lan_packet(
        &mut self,
        now: Instant,
        link: LinkId,
        from: [u8; 6],
        bytes: &[u8],
        big_endian: bool,
    ) {
        let Ok(packet) = Packet::parse(bytes, big_endian) else {
            self.stats.lan_malformed += 1;
            return;
        };
        if packet.sender == self.name || !self.config.resolvers.contains(&Resolver::Ndp) {
            self.stats.lan_ignored += 1;
            return;
        }
        let asked = packet.kind == Kind::Request && packet.about.as_ref() == Some(&self.name);
        if asked {
            self.answer_lan(link, from, &packet.sender);
        }
        let number = match self.nodes.number(&packet.sender) {
            // What nobody asked for is entered only where this node itself tells others unasked, and
            // while nobody needs to give way for it: names are cheap to make up.
            None if self.nodes.is_full() => None,
            None if asked || !self.config.announce.is_zero() => self.enter(&packet.sender),
            number => number,
        };
        match number {
            Some(number) => self.learn(now, number, link, LinkAddr::Mac(from)),
            None => self.stats.lan_ignored += 1,
        }
    }

    fn answer_lan(&mut self, link: LinkId, to: [u8; 6], asker: &NodeName) {
        let own = self.links.iter().find(|known| known.id == link);
        let Some(LinkAddr::Mac(address)) = own.map(|link| link.addr) else {
            return;
        };
        let packet = Packet {
            kind: Kind::Reply,
            sender: self.name.clone(),
            address,
            about: Some(asker.clone()),
        };
        let to = LinkAddr::Mac(to);
        self.transport
            .send_datagram(link, to, Self::LAYER_LAN, &packet.emit());
    }

    /// A peer is not reached over a link any more: its station may have been replaced, so it is asked for.
    pub(super) fn path_lost(&mut self, number: u16, link: LinkId) {
        if let Some(node) = self.nodes.get_mut(number) {
            node.paths.retain(|(known, _)| *known != link);
            self.ask_lans(number, Some(link));
        }
    }
}
