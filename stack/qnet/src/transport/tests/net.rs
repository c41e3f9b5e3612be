//! Nodes on simulated links, in virtual time.

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::*;
use crate::time::Instant;

pub(super) const MS: Duration = Duration::from_millis(1);

/// A small generator of pseudo-random numbers.
pub(super) struct Lcg(pub(super) u64);

impl Lcg {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let x = self.0;
        (x ^ (x >> 29)).wrapping_mul(0xbf58476d1ce4e5b9) >> 16
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True so many times in a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// How a link treats frames.
#[derive(Clone, Copy)]
pub(super) struct Wire {
    pub(super) up: bool,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    /// Times in a thousand.
    pub(super) loss: u64,
    pub(super) duplication: u64,
    pub(super) corruption: u64,
    /// Bytes a second, and bytes that may wait; 0 for no limit.
    pub(super) rate: u64,
    pub(super) queue: u64,
    pub(super) free_at: Instant,
}

impl Default for Wire {
    fn default() -> Self {
        Wire {
            up: true,
            delay: Duration::from_micros(50),
            jitter: Duration::ZERO,
            loss: 0,
            duplication: 0,
            corruption: 0,
            rate: 0,
            queue: 256 << 10,
            free_at: Instant::ZERO,
        }
    }
}

type Flight = Reverse<(Instant, u64, usize, u8, usize, Vec<u8>)>;

pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Transport>,
    /// What each node has been told, and when.
    pub(super) events: Vec<Vec<(Instant, Event)>>,
    pub(super) wires: Vec<Wire>,
    pub(super) rng: Lcg,
    /// Every frame that was sent: link, from, to, bytes.
    pub(super) capture: Vec<(u8, usize, usize, Vec<u8>)>,
    pub(super) capturing: bool,
    pub(super) sent_on: [u64; 4],
    flights: BinaryHeap<Flight>,
    order: u64,
    buffer: Vec<u8>,
}

pub(super) fn name(node: usize) -> Node {
    Node {
        name: format!("node{node}"),
        domain: "test".into(),
    }
}

pub(super) fn addr(link: u8, node: usize) -> LinkAddr {
    LinkAddr::Mac([2, 0, 0, 0, link, node as u8])
}

pub(super) fn config(node: usize, life: u8, security: crate::secure::Security) -> Config {
    Config {
        node: name(node),
        seed: [node as u8 * 16 + life + 1; 32],
        security,
        ..Config::default()
    }
}

impl Net {
    pub(super) fn new(configs: Vec<Config>, wires: Vec<Wire>, mtu: usize, seed: u64) -> Self {
        let now = Instant::from_millis(1000);
        let mut net = Net {
            now,
            events: configs.iter().map(|_| Vec::new()).collect(),
            nodes: configs
                .into_iter()
                .map(|c| Transport::new(now, c))
                .collect(),
            wires,
            rng: Lcg(seed),
            capture: Vec::new(),
            capturing: false,
            sent_on: [0; 4],
            flights: BinaryHeap::new(),
            order: 0,
            buffer: vec![0; 65_536],
        };
        for node in 0..net.nodes.len() {
            net.add_links(node, mtu);
        }
        net
    }

    pub(super) fn add_links(&mut self, node: usize, mtu: usize) {
        for link in 0..self.wires.len() as u8 {
            self.nodes[node].add_link(self.now, LinkId(link), LinkConfig { mtu });
        }
    }

    /// Two nodes without security over so many good links.
    pub(super) fn pair(links: usize) -> Self {
        let plain = |node| config(node, 0, crate::secure::Security::None);
        Net::new(
            vec![plain(0), plain(1)],
            vec![Wire::default(); links],
            1500,
            1,
        )
    }

    pub(super) fn open(&mut self, from: usize, to: usize) -> PeerId {
        let links = 0..self.wires.len() as u8;
        let paths: Vec<_> = links.map(|link| (LinkId(link), addr(link, to))).collect();
        self.nodes[from].open(self.now, &name(to), &paths).unwrap()
    }

    /// Opens, and waits until both ends are up; the peer as either sees the other.
    pub(super) fn connect(&mut self, from: usize, to: usize) -> (PeerId, PeerId) {
        let peer = self.open(from, to);
        self.run(Duration::from_secs(5), |net| {
            net.up(from) == Some(peer) && net.up(to).is_some()
        });
        assert_eq!(self.up(from), Some(peer));
        (peer, self.up(to).unwrap())
    }

    /// The last peer that came up at a node.
    pub(super) fn up(&self, node: usize) -> Option<PeerId> {
        self.events[node]
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::PeerUp { peer, .. } => Some(*peer),
                _ => None,
            })
    }

    pub(super) fn down(&self, node: usize) -> Option<(PeerId, DownReason)> {
        self.events[node]
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::PeerDown { peer, reason, .. } => Some((*peer, *reason)),
                _ => None,
            })
    }

    pub(super) fn send(&mut self, node: usize, peer: PeerId, conn: u16, qos: Qos, bytes: Vec<u8>) {
        let sent = self.nodes[node].send(self.now, peer, Conn(conn), qos, bytes.into());
        sent.unwrap();
    }

    /// The messages that arrived on a conn, with their times.
    pub(super) fn messages(&self, node: usize, wanted: u16) -> Vec<(Instant, &[u8])> {
        let on_conn = |(at, event): &'_ (Instant, Event)| match event {
            Event::Message { conn, .. } if conn.0 == wanted => Some(*at),
            _ => None,
        };
        let bytes = |event| match event {
            &(_, Event::Message { ref bytes, .. }) => &bytes[..],
            _ => &[],
        };
        let events = self.events[node].iter();
        events
            .filter_map(|entry| on_conn(entry).map(|at| (at, bytes(entry))))
            .collect()
    }

    pub(super) fn count(&self, node: usize) -> usize {
        let is_message = |(_, event): &&(Instant, Event)| matches!(event, Event::Message { .. });
        self.events[node].iter().filter(is_message).count()
    }

    /// Lets time pass until `done`, for `at_most`; whether it was done.
    pub(super) fn run(&mut self, at_most: Duration, done: impl Fn(&Net) -> bool) -> bool {
        let end = self.now + at_most;
        loop {
            self.pump();
            if done(self) {
                return true;
            }
            let timeouts = self.nodes.iter().filter_map(Transport::poll_timeout);
            let arrival = self.flights.peek().map(|flight| flight.0.0);
            let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            self.arrive();
            for node in &mut self.nodes {
                if node.poll_timeout().is_some_and(|at| at <= self.now) {
                    node.handle_timeout(self.now);
                }
            }
        }
    }

    pub(super) fn idle(&mut self, span: Duration) {
        self.run(span, |_| false);
    }

    fn arrive(&mut self) {
        while self
            .flights
            .peek()
            .is_some_and(|flight| flight.0.0 <= self.now)
        {
            let Some(Reverse((_, _, to, link, from, mut bytes))) = self.flights.pop() else {
                return;
            };
            self.nodes[to].handle_frame(self.now, LinkId(link), addr(link, from), &mut bytes);
        }
    }

    fn pump(&mut self) {
        for from in 0..self.nodes.len() {
            while let Some(transmit) = self.nodes[from].poll_transmit(self.now) {
                let Some(len) = self.nodes[from].emit(self.now, &mut self.buffer) else {
                    continue;
                };
                assert_eq!(len, transmit.len);
                let frame = self.buffer[..len].to_vec();
                self.launch(from, transmit, &frame);
            }
            while let Some(event) = self.nodes[from].poll_event() {
                self.events[from].push((self.now, event));
            }
        }
    }

    fn launch(&mut self, from: usize, transmit: Transmit, bytes: &[u8]) {
        let link = transmit.link.0;
        let LinkAddr::Mac([.., to]) = transmit.to else {
            panic!("a MAC address");
        };
        let to = usize::from(to);
        self.sent_on[usize::from(link)] += 1;
        if self.capturing {
            self.capture.push((link, from, to, bytes.to_vec()));
        }
        let wire = &mut self.wires[usize::from(link)];
        if !wire.up || self.rng.chance(wire.loss) || to >= self.nodes.len() {
            return;
        }
        let mut at = self.now + wire.delay;
        if wire.rate > 0 {
            let start = wire.free_at.max(self.now);
            let waiting = start.since(self.now).as_nanos() as u64 * wire.rate / 1_000_000_000;
            if waiting > wire.queue {
                return;
            }
            let nanos = bytes.len() as u64 * 1_000_000_000 / wire.rate;
            wire.free_at = start + Duration::from_nanos(nanos);
            at = wire.free_at + wire.delay;
        }
        let copies = 1 + u64::from(self.rng.chance(wire.duplication));
        for _ in 0..copies {
            let jitter = wire.jitter.as_nanos() as u64;
            let late = Duration::from_nanos(self.rng.below(jitter + 1));
            let mut bytes = bytes.to_vec();
            if self.rng.chance(wire.corruption) {
                let at = self.rng.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << self.rng.below(8);
            }
            self.order += 1;
            let flight = (at + late, self.order, to, link, from, bytes);
            self.flights.push(Reverse(flight));
        }
    }
}
