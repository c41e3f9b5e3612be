//! Hosts joined by one unreliable segment, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Duration;

use io_net_tcpip::{GSO_NONE, Instant, RxChecksum, RxMeta};

use crate::host::Host;
use crate::rng::Rng;
use crate::segment;

/// What the network does to packets; chances are per mille.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Packets lost.
    pub loss: usize,
    /// Packets delivered twice.
    pub duplication: usize,
    /// Packets held back for a while.
    pub reordering: usize,
    /// Packets with a flipped bit.
    pub corruption: usize,
    /// Time on the way.
    pub delay: Duration,
    /// Super-segments arrive whole, as from another stack on the same machine.
    pub keeps_super_segments: bool,
    /// No packet passes for the last half of each period of this length.
    pub partition_period: Option<Duration>,
}

/// Hosts and what is on the way between them.
pub struct Network {
    /// The hosts, each with interface 0 on the segment.
    pub hosts: Vec<Host>,
    /// The time.
    pub now: Instant,
    /// What happens to packets.
    pub weather: Weather,
    /// Whether packets are looked at for validity as they leave.
    pub checks: bool,
    rng: Rng,
    on_the_way: BinaryHeap<Reverse<Flight>>,
    count: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    arrival: Instant,
    /// Keeps packets of equal arrival in order.
    number: u64,
    host: usize,
    gso_size: u16,
    gso_type: u8,
    partial: bool,
    bytes: Vec<u8>,
}

impl Network {
    /// A network of these hosts.
    pub fn new(hosts: Vec<Host>, weather: Weather, seed: u64) -> Self {
        Network {
            hosts,
            now: Instant::from_millis(1000),
            weather,
            checks: true,
            rng: Rng::new(seed),
            on_the_way: BinaryHeap::new(),
            count: 0,
        }
    }

    /// Sends what the hosts have in their outboxes.
    pub fn collect(&mut self) {
        for host in 0..self.hosts.len() {
            while let Some(sent) = self.hosts[host].env.outbox.pop_front() {
                let Some(dest) = self.host_of(sent.next_hop) else {
                    continue;
                };
                let whole = self.weather.keeps_super_segments;
                if whole && (sent.meta.gso_type != GSO_NONE || sent.meta.needs_csum) {
                    let meta = sent.meta;
                    self.launch(dest, sent.bytes, meta.gso_size, meta.gso_type, true);
                    continue;
                }
                for packet in segment::to_wire(&sent) {
                    if self.checks {
                        segment::assert_valid(&packet);
                    }
                    self.launch(dest, packet, 0, GSO_NONE, false);
                }
            }
        }
    }

    fn host_of(&self, addr: IpAddr) -> Option<usize> {
        let owns = |host: &Host| {
            let ifaces = host.stack.ifaces();
            ifaces
                .iter()
                .any(|(_, _, addrs)| addrs.iter().any(|own| own.addr == addr))
        };
        self.hosts.iter().position(owns)
    }

    fn launch(&mut self, host: usize, bytes: Vec<u8>, gso_size: u16, gso_type: u8, partial: bool) {
        let weather = self.weather;
        if self.is_partitioned() || self.rng.chance(weather.loss) {
            return;
        }
        let copies = 1 + usize::from(self.rng.chance(weather.duplication));
        for _ in 0..copies {
            let mut bytes = bytes.clone();
            let mut partial = partial;
            if self.rng.chance(weather.corruption) {
                if partial {
                    continue;
                }
                let bit = self.rng.below(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                partial = false;
            }
            let mut arrival = self.now + weather.delay;
            if self.rng.chance(weather.reordering) {
                let hold = 1 + self.rng.below(5_000_000) as u64;
                arrival = arrival + weather.delay + Duration::from_nanos(hold);
            }
            self.count += 1;
            self.on_the_way.push(Reverse(Flight {
                arrival,
                number: self.count,
                host,
                gso_size,
                gso_type,
                partial,
                bytes,
            }));
        }
    }

    fn is_partitioned(&self) -> bool {
        let Some(period) = self.weather.partition_period else {
            return false;
        };
        let into = u128::from(self.now.as_nanos()) % period.as_nanos();
        into * 2 > period.as_nanos()
    }

    /// When something happens next.
    pub fn next_time(&self) -> Option<Instant> {
        let arrival = self.on_the_way.peek().map(|Reverse(flight)| flight.arrival);
        let timers = self.hosts.iter().filter_map(|host| host.stack.poll_at());
        timers.chain(arrival).min().map(|at| at.max(self.now))
    }

    /// Moves to the next time at which something happens, and lets it happen. False when nothing is to
    /// come before `limit`.
    pub fn step(&mut self, limit: Instant) -> bool {
        self.collect();
        let Some(next) = self.next_time().filter(|next| *next <= limit) else {
            return false;
        };
        self.now = next;
        while let Some(Reverse(flight)) = self.on_the_way.peek()
            && flight.arrival <= self.now
        {
            let Some(Reverse(flight)) = self.on_the_way.pop() else {
                break;
            };
            let meta = RxMeta {
                checksum: if flight.partial {
                    RxChecksum::Partial
                } else {
                    RxChecksum::Unknown
                },
                gso_type: flight.gso_type,
                gso_size: flight.gso_size,
            };
            let host = &mut self.hosts[flight.host];
            host.stack
                .handle_packet(self.now, 0, &flight.bytes, meta, &mut host.env);
        }
        for host in &mut self.hosts {
            host.poll(self.now);
        }
        self.collect();
        true
    }

    /// Steps until nothing is to come for `span`, or it has passed.
    pub fn run_for(&mut self, span: Duration) {
        let limit = self.now + span;
        while self.step(limit) {}
        self.now = limit;
    }
}
