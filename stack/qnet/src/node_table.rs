//! The nodes that this one knows, by number, name and peer.

use std::collections::{HashMap, VecDeque};

use crate::ids::Query;
use crate::kif::Outgoing;
use crate::node_name::NodeName;
use crate::resolve::Search;
use crate::transport::{LinkAddr, LinkId, PeerId};

/// A node that was met or looked for.
pub(crate) struct Node {
    pub(crate) name: NodeName,
    /// Where it is, as far as resolvers know: one address a link.
    pub(crate) paths: Vec<(LinkId, LinkAddr)>,
    /// Its present life, once it was opened or came by itself.
    pub(crate) peer: Option<PeerId>,
    /// Whether that life has answered.
    pub(crate) up: bool,
    /// How often it was opened in vain since it was last up.
    pub(crate) attempts: u32,
    /// The resolvers being asked.
    pub(crate) search: Option<Search>,
    /// Programs that wait for its descriptor.
    pub(crate) asking: Vec<Query>,
    /// Messages that the transport did not take yet.
    pub(crate) backlog: VecDeque<Outgoing>,
    /// When its last message came or went, or it was last named: a count of such events.
    used: u64,
}

impl Node {
    /// Nothing of it would be lost but its number.
    fn is_idle(&self) -> bool {
        self.peer.is_none() && self.search.is_none() && self.backlog.is_empty()
    }

    /// Notes where it is on a link; whether that is news.
    pub(crate) fn learn(&mut self, link: LinkId, addr: LinkAddr) -> bool {
        match self.paths.iter_mut().find(|(known, _)| *known == link) {
            Some((_, known)) if *known == addr => false,
            Some((_, known)) => {
                *known = addr;
                true
            }
            None => {
                self.paths.push((link, addr));
                true
            }
        }
    }
}

/// The table. Numbers go round before one is used again, so that a stale one finds nothing for long.
pub(crate) struct Nodes {
    /// By number; 0 is this node and never filled. It grows up to `limit` and one.
    slots: Vec<Option<Node>>,
    limit: usize,
    by_name: HashMap<NodeName, u16>,
    by_peer: HashMap<PeerId, u16>,
    next: usize,
    clock: u64,
}

impl Nodes {
    /// A table of at most `limit` nodes.
    pub(crate) fn new(limit: usize) -> Self {
        Nodes {
            slots: Vec::from([None]),
            limit: limit.min(usize::from(u16::MAX)),
            by_name: HashMap::new(),
            by_peer: HashMap::new(),
            next: 0,
            clock: 0,
        }
    }

    /// Whether a new node takes the place of another.
    pub(crate) fn is_full(&self) -> bool {
        self.by_name.len() >= self.limit
    }

    pub(crate) fn get(&self, number: u16) -> Option<&Node> {
        self.slots.get(usize::from(number))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u16) -> Option<&mut Node> {
        self.slots.get_mut(usize::from(number))?.as_mut()
    }

    pub(crate) fn number(&self, name: &NodeName) -> Option<u16> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn of_peer(&self, peer: PeerId) -> Option<u16> {
        self.by_peer.get(&peer).copied()
    }

    /// The number of a node of that name, a new one if need be. Where the table is full, the idle node
    /// that was used longest ago and that `in_use` does not hold gives way; where there is none, `None`.
    pub(crate) fn enter(&mut self, name: &NodeName, in_use: impl Fn(u16) -> bool) -> Option<u16> {
        if let Some(number) = self.number(name) {
            self.touch(number);
            return Some(number);
        }
        let number = self.free_number(in_use)?;
        self.slots[usize::from(number)] = Some(Node {
            name: name.clone(),
            paths: Vec::new(),
            peer: None,
            up: false,
            attempts: 0,
            search: None,
            asking: Vec::new(),
            backlog: VecDeque::new(),
            used: 0,
        });
        self.by_name.insert(name.clone(), number);
        self.touch(number);
        Some(number)
    }

    fn free_number(&mut self, in_use: impl Fn(u16) -> bool) -> Option<u16> {
        if self.slots.len() <= self.limit {
            self.slots.push(None);
            return Some(self.slots.len() as u16 - 1);
        }
        if self.by_name.len() < self.limit {
            loop {
                self.next = self.next % self.limit + 1;
                if self.slots[self.next].is_none() {
                    return Some(self.next as u16);
                }
            }
        }
        let nodes = self.slots.iter().enumerate();
        let mut idle: Vec<(u64, u16)> = nodes
            .filter_map(|(at, node)| Some((at as u16, node.as_ref()?)))
            .filter(|(_, node)| node.is_idle())
            .map(|(number, node)| (node.used, number))
            .collect();
        idle.sort_unstable();
        let (_, number) = idle.into_iter().find(|&(_, number)| !in_use(number))?;
        self.remove(number);
        Some(number)
    }

    /// Forgets a node that has no peer.
    pub(crate) fn remove(&mut self, number: u16) {
        if let Some(node) = self.slots[usize::from(number)].take() {
            self.by_name.remove(&node.name);
        }
    }

    /// The node was used just now.
    pub(crate) fn touch(&mut self, number: u16) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(node) = self.get_mut(number) {
            node.used = clock;
        }
    }

    /// The node's life is that peer from now on.
    pub(crate) fn bind(&mut self, number: u16, peer: PeerId) {
        if let Some(node) = self.get_mut(number)
            && let Some(old) = node.peer.replace(peer)
        {
            self.by_peer.remove(&old);
        }
        self.by_peer.insert(peer, number);
    }

    /// That life is over: the node it was of, if it was the present one.
    pub(crate) fn unbind(&mut self, peer: PeerId) -> Option<u16> {
        let number = self.by_peer.remove(&peer)?;
        let node = self.get_mut(number)?;
        (node.peer, node.up) = (None, false);
        Some(number)
    }

    /// The nodes with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Node)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(at, node)| Some((at as u16, node.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_go_round_and_a_full_table_forgets_who_was_idle_longest() {
        let mut nodes = Nodes::new(3);
        let free = |_| false;
        let a = nodes.enter(&name("a"), free).unwrap();
        let b = nodes.enter(&name("b"), free).unwrap();
        assert_eq!((a, b), (1, 2));
        assert_eq!(nodes.enter(&name("a"), free), Some(a));
        nodes.remove(b);
        assert_eq!(nodes.enter(&name("c"), free), Some(3));
        assert_eq!(nodes.enter(&name("b"), free), Some(2));
        // Full; of all, a was named longest ago, but is in use.
        assert_eq!(nodes.enter(&name("d"), |number| number == 1), Some(3));
        assert_eq!(nodes.number(&name("c")), None);
        assert_eq!(nodes.enter(&name("e"), |_| true), None);
        assert_eq!(nodes.get(0).map(|node| &node.name), None);
    }

    #[test]
    fn a_link_has_one_address() {
        let mut nodes = Nodes::new(1);
        let a = nodes.enter(&name("a"), |_| false).unwrap();
        let node = nodes.get_mut(a).unwrap();
        let (mac, other) = (LinkAddr::Mac([1; 6]), LinkAddr::Mac([2; 6]));
        assert!(node.learn(LinkId(0), mac));
        assert!(!node.learn(LinkId(0), mac));
        assert!(node.learn(LinkId(0), other));
        assert_eq!(node.paths, vec![(LinkId(0), other)]);
    }
}
