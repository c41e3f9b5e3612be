//! No bytes from the network and no answer of a socket buffer may panic the stack, or make it grow.
//!
//! `IO_NET_SIM_SEED=n` replays one seed, `IO_NET_SIM_RUNS=n` sets how many are tried.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use io_net_sim::rng::Rng;
use io_net_sim::segment::transport_checksum;
use io_net_tcpip::{
    Config, Datagram, DatagramBuf, Env, IfaceAddr, IfaceConfig, IfaceId, Instant, Keepalive,
    Offload, RecvBuf, RxChecksum, RxMeta, SendBuf, SocketId, Stack, TxMeta,
};

/// A buffer in memory that a hostile program writes: every answer is a lie.
struct Liar(Rng);

impl Liar {
    fn lie(&mut self) -> usize {
        match self.0.below(6) {
            0 => 0,
            1 => usize::MAX,
            2 => u32::MAX as usize,
            3 => self.0.number() as usize,
            _ => self.0.below(70_000),
        }
    }
}

impl SendBuf for Liar {
    fn readable(&mut self) -> usize {
        self.lie()
    }

    fn read_at(&mut self, _offset: usize, out: &mut [u8]) -> usize {
        out.fill(7);
        self.lie()
    }

    fn consume(&mut self, _n: usize) {}

    fn capacity(&mut self) -> usize {
        self.lie()
    }
}

impl RecvBuf for Liar {
    fn window(&mut self) -> usize {
        self.lie()
    }

    fn capacity(&mut self) -> usize {
        self.lie()
    }

    fn write_at(&mut self, _offset: usize, _data: &[u8]) -> usize {
        self.lie()
    }

    fn commit(&mut self, _n: usize) {}
}

impl DatagramBuf for Liar {
    fn push(&mut self, _from: SocketAddr, _to: SocketAddr, _payload: &[u8]) -> bool {
        self.0.chance(500)
    }
}

/// Surroundings that keep the last packets, refuse some, and give lying buffers.
struct Chaos {
    rng: Rng,
    sent: Vec<Vec<u8>>,
    count: u64,
}

impl Env for Chaos {
    type Send = Liar;
    type Recv = Liar;
    type Datagrams = Liar;

    fn transmit<F: FnOnce(&mut [u8])>(
        &mut self,
        _iface: IfaceId,
        _next_hop: IpAddr,
        meta: &TxMeta,
        len: usize,
        fill: F,
    ) -> bool {
        assert!(len <= 65_535 && usize::from(meta.hdr_len) <= len);
        self.count += 1;
        if self.rng.chance(50) {
            return false;
        }
        let mut bytes = vec![0; len];
        fill(&mut bytes);
        if self.sent.len() > 8 {
            self.sent.remove(0);
        }
        self.sent.push(bytes);
        true
    }

    fn open_stream(
        &mut self,
        _listener: SocketId,
        _socket: SocketId,
        _peer: SocketAddr,
    ) -> Option<(Liar, Liar)> {
        (!self.rng.chance(100)).then(|| (liar(&mut self.rng), liar(&mut self.rng)))
    }
}

fn liar(rng: &mut Rng) -> Liar {
    Liar(Rng::new(rng.number()))
}

struct World {
    stack: Stack<Chaos>,
    env: Chaos,
    rng: Rng,
    now: Instant,
    sockets: Vec<SocketId>,
}

const SOCKETS_MAX: usize = 40;

impl World {
    fn new(seed: u64) -> Self {
        let config = Config {
            tcp_sockets_max: SOCKETS_MAX,
            udp_sockets_max: 10,
            time_wait_max: 5,
            syn_queue_max: 6,
            reassembly_bytes_max: 100_000,
            ..Config::default()
        };
        let mut rng = Rng::new(seed);
        let mut stack = Stack::new(config, [rng.number(); 4]);
        let iface = IfaceConfig {
            mtu: 1500,
            offload: Offload {
                checksum: rng.chance(500),
                tso4: rng.chance(500),
                ..Offload::default()
            },
            up: true,
        };
        stack.add_iface(0, iface).unwrap();
        let addr = IpAddr::from([10, 0, 0, 1]);
        stack
            .add_address(0, IfaceAddr { addr, prefix: 24 })
            .unwrap();
        let env = Chaos {
            rng: Rng::new(rng.number()),
            sent: Vec::new(),
            count: 0,
        };
        World {
            stack,
            env,
            rng,
            now: Instant::from_millis(5000),
            sockets: Vec::new(),
        }
    }

    /// One step of a program: any call, on any socket, mostly out of place.
    fn call(&mut self) {
        let rng = &mut self.rng;
        let now = self.now;
        let stack = &mut self.stack;
        let peer = SocketAddr::new(IpAddr::from([10, 0, 0, rng.below(3) as u8]), port(rng));
        if self.sockets.is_empty() || rng.chance(100) {
            self.sockets.extend(stack.tcp_open());
            self.sockets.extend(stack.udp_open(liar(rng)));
            return;
        }
        let id = self.sockets[rng.below(self.sockets.len())];
        match rng.below(16) {
            0 => _ = stack.bind(id, peer),
            1 | 2 => _ = stack.tcp_listen(id, rng.below(5)),
            3..=5 => _ = stack.tcp_connect(now, id, peer, liar(rng), liar(rng)),
            6 => _ = stack.tcp_shutdown_send(now, id),
            7 => _ = stack.tcp_shutdown_recv(now, id),
            8 => _ = stack.tcp_abort(now, id),
            9 if rng.chance(300) => _ = stack.close(now, id),
            10 => _ = stack.udp_connect(id, rng.chance(800).then_some(peer)),
            11 => {
                let datagram = Datagram {
                    to: Some(peer),
                    len: rng.below(70_000),
                    segment: rng.below(3) as u16 * 700,
                };
                _ = stack.udp_send(now, id, datagram, |out| out.fill(1), &mut self.env);
            }
            12 => {
                let mut options = stack.options(id).unwrap_or_default();
                options.no_delay = rng.chance(500);
                options.cork = rng.chance(300);
                options.max_segment = rng.below(2000) as u16;
                options.keepalive = rng.chance(500).then_some(Keepalive::default());
                _ = stack.set_options(now, id, options);
            }
            13 => stack.tcp_recv_progress(now, id),
            _ => stack.tcp_send_progress(now, id),
        }
        if let Some(accepted) = stack.tcp_accept(id) {
            self.sockets.push(accepted.socket);
        }
    }

    /// A packet: one of the stack's own turned round and damaged, or plain rubbish.
    fn packet(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        if self.env.sent.is_empty() || rng.chance(100) {
            let mut packet: Vec<u8> = (0..rng.below(200)).map(|_| rng.number() as u8).collect();
            if let Some(first) = packet.first_mut() {
                *first = 0x40 | (*first & 0xf);
            }
            return packet;
        }
        let mut packet = self.env.sent[rng.below(self.env.sent.len())].clone();
        turn_round(&mut packet, rng);
        for _ in 0..rng.below(4) {
            let at = rng.below(packet.len().min(64));
            packet[at] = rng.number() as u8;
        }
        if rng.chance(200) {
            packet.truncate(rng.below(packet.len() + 1));
        }
        if packet.len() >= 20 && rng.chance(900) {
            repair(&mut packet);
        }
        packet
    }

    fn step(&mut self) {
        if self.rng.chance(300) {
            self.call();
        }
        let packet = self.packet();
        let kinds = [RxChecksum::Unknown, RxChecksum::Valid, RxChecksum::Partial];
        let meta = RxMeta {
            checksum: kinds[self.rng.below(3)],
            gso_type: self.rng.below(6) as u8,
            gso_size: if self.rng.chance(700) {
                0
            } else {
                self.rng.number() as u16
            },
        };
        let iface = u16::from(self.rng.chance(10)) * u16::MAX;
        self.stack
            .handle_packet(self.now, iface, &packet, meta, &mut self.env);
        if self.rng.chance(700) {
            let before = self.env.count;
            self.stack.flush(self.now, &mut self.env);
            assert!(
                self.env.count - before < 100_000,
                "one flush sends for ever"
            );
        }
        if self.rng.chance(300) {
            let most = [1_000, 1_000_000, 1_000_000_000, 60_000_000_000][self.rng.below(4)];
            self.now = self.now + Duration::from_nanos(self.rng.below(most) as u64);
            self.stack.poll(self.now, &mut self.env);
        }
        while self.stack.poll_event().is_some() {}
        assert!(self.stack.sockets().len() <= SOCKETS_MAX + 10);
    }
}

fn port(rng: &mut Rng) -> u16 {
    [0, 80, 81, 4000][rng.below(4)]
}

/// Makes a packet of the stack one to the stack.
fn turn_round(packet: &mut [u8], rng: &mut Rng) {
    for at in 0..4 {
        packet.swap(12 + at, 16 + at);
    }
    if packet.len() < 40 || packet[9] != 6 {
        return;
    }
    packet.swap(20, 22);
    packet.swap(21, 23);
    for at in 0..4 {
        packet.swap(24 + at, 28 + at);
    }
    // The acknowledgement of a SYN, of a byte, of much; or the flags of another state.
    let ack = u32::from_be_bytes([packet[28], packet[29], packet[30], packet[31]]);
    let step = [0, 1, 1, 1460, 70_000][rng.below(5)];
    packet[28..32].copy_from_slice(&ack.wrapping_add(step).to_be_bytes());
    if rng.chance(700) {
        packet[33] = [0x02, 0x10, 0x10, 0x12, 0x11, 0x18, 0x04, 0x14][rng.below(8)];
    }
}

/// Makes lengths and checksums right, so that the damage gets further in.
fn repair(packet: &mut [u8]) {
    packet[0] = 0x45;
    let len = packet.len().min(65_535) as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[10..12].fill(0);
    let sum = io_net_wire::checksum::Sum::of(&packet[..20]).checksum();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let field = match packet[9] {
        6 => 36,
        17 => 26,
        1 => 22,
        _ => return,
    };
    if packet.len() < field + 2 {
        return;
    }
    packet[field..field + 2].fill(0);
    let sum = match packet[9] {
        1 => io_net_wire::checksum::Sum::of(&packet[20..]).checksum(),
        _ => transport_checksum(packet),
    };
    packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn nothing_panics_or_grows() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match number("IO_NET_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IO_NET_SIM_RUNS").unwrap_or(40),
    };
    let mut totals = std::collections::BTreeMap::new();
    for seed in seeds {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..1500 {
            world.step();
        }
        for (name, count) in world.stack.stats().iter() {
            *totals.entry(name).or_insert(0) += count;
        }
    }
    println!("{totals:#?}");
    // The mix must reach the inner states to be worth something.
    for name in [
        "tcp_passive_opens",
        "tcp_resets_in",
        "tcp_out_of_order",
        "tcp_timeouts",
    ] {
        assert!(totals[name] > 10, "{name}: {}", totals[name]);
    }
}
