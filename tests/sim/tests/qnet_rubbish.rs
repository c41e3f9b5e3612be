//! No frame may panic a node, or make it grow: frames of real conversations, changed and with their
//! checksums made right again, replayed, cut, and invented.
//!
//! `IO_NET_SIM_SEED=n` replays one seed, `IO_NET_SIM_RUNS=n` sets how many are tried.

use std::time::Duration;

use io_net_qnet::time::Instant;
use io_net_qnet::transport::{self, LinkAddr, LinkConfig, LinkId};
use io_net_qnet::{
    Channel, ClientConn, Config, Errno, Event, Identity, KifStats, Lookup, Payload, Qnet,
    RemoteClient, SendInfo, Sigevent, Vthread,
};
use io_net_sim::rng::Rng;
use io_net_wire::lwl4;

const LINK: LinkId = LinkId(0);

fn addr(node: usize) -> LinkAddr {
    LinkAddr::Mac([2, 0, 0, 0, 0, node as u8])
}

/// A node and programs that do anything at any time, whatever they are told.
struct Careless {
    qnet: Qnet,
    conns: Vec<ClientConn>,
    clients: Vec<RemoteClient>,
    vthreads: Vec<Vthread>,
    sent: Vec<(LinkAddr, Vec<u8>)>,
}

impl Careless {
    fn new(number: usize, now: Instant, rng: &mut Rng) -> Self {
        let mut config = Config {
            remote_clients_per_node_max: 40,
            vthreads_per_node_max: 40,
            vthread_bytes_per_node_max: 100_000,
            client_conns_max: 40,
            client_sends_max: 40,
            nodes_max: 20,
            ..Config::default()
        };
        config.transport.node = transport::Node {
            name: format!("node{number}"),
            domain: String::new(),
        };
        config.transport.seed = std::array::from_fn(|_| rng.number() as u8);
        config.transport.peers_max = 20;
        let mut qnet = Qnet::new(now, config).expect("a good name");
        qnet.add_link(now, LINK, "en0", addr(number), LinkConfig { mtu: 1500 });
        Careless {
            qnet,
            conns: Vec::new(),
            clients: Vec::new(),
            vthreads: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Does something, and then what events ask for, more or less.
    fn act(&mut self, now: Instant, rng: &mut Rng) {
        let qnet = &mut self.qnet;
        if rng.chance(400)
            && let Ok((Lookup::Known(nd), _)) = qnet.strtond(now, "node1~loadbalance")
            && let Ok(conn) =
                qnet.client_connect(now, nd, Channel { pid: 1, chid: 1 }, Identity::default())
        {
            let length = rng.below(5000) as u32;
            let info = SendInfo {
                length,
                reply_length: 100,
                ..SendInfo::default()
            };
            let data = Payload::zeroed(rng.below(length as usize + 1));
            let send = qnet.client_send(now, conn, info, data);
            self.conns.push(conn);
            match (rng.below(4), send) {
                (0, Ok(send)) => qnet.client_unblock(now, send),
                (1, Ok(send)) => qnet.client_abandon(now, send),
                _ => {}
            }
        }
        if self.conns.len() > 5 {
            let conn = self.conns.swap_remove(rng.below(5));
            qnet.client_detach(now, conn);
        }
        while let Some(event) = self.qnet.poll_event() {
            self.take(now, event, rng);
        }
        let mut frame = vec![0; 1500];
        while let Some(transmit) = self.qnet.poll_transmit(now) {
            assert!(transmit.len <= 1500);
            if let Some(len) = self.qnet.emit(now, &mut frame) {
                self.sent.push((transmit.to, frame[..len].to_vec()));
            }
        }
    }

    fn take(&mut self, now: Instant, event: Event, rng: &mut Rng) {
        let qnet = &mut self.qnet;
        match event {
            Event::ClientRead { send, length, .. } if rng.chance(900) => {
                let wrong = rng.chance(100);
                let len = if wrong {
                    rng.below(9000)
                } else {
                    length as usize
                };
                qnet.client_data(now, send, Ok(Payload::zeroed(len)));
            }
            Event::ClientDead { conn, .. } => qnet.client_detach(now, conn),
            Event::Connect { client, .. } => {
                self.clients.push(client);
                let answer = if rng.chance(800) {
                    Ok(1)
                } else {
                    Err(Errno::EPERM)
                };
                qnet.server_connected(now, client, answer);
            }
            Event::Deliver { vthread, .. } => self.vthreads.push(vthread),
            _ => {}
        }
        if let Some(&vthread) = self.vthreads.get(rng.below(self.vthreads.len().max(1))) {
            let (offset, length) = (rng.number() as u32, rng.number() as u32);
            let data = Payload::zeroed(rng.below(3000));
            let _ = match rng.below(6) {
                0 => qnet.server_read(now, vthread, offset, length),
                1 => qnet.server_read(now, vthread, 0, length),
                2 => qnet.server_write(now, vthread, offset, data).map(|_| ()),
                3 => qnet.server_error(now, vthread, Errno::EINTR),
                4 => qnet.server_reply(now, vthread, 1, 0, data),
                _ => Ok(()),
            };
        }
        if let Some(&client) = self.clients.get(rng.below(self.clients.len().max(1))) {
            match rng.below(8) {
                0 => _ = qnet.server_event(now, client, Sigevent::default()),
                1 => qnet.server_gone(now, client),
                _ => {}
            }
        }
    }
}

/// Where a frame has the low byte of its sequence number.
const SEQ: usize = 18;

/// A frame that was not sent like that, with a checksum that is right unless it says so itself.
fn spoil(frame: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(frame.len());
        match rng.below(6) {
            0 => frame[at] ^= 1 << rng.below(8),
            1 => frame[at] = rng.number() as u8,
            2 => frame.truncate(at.max(1)),
            3 => frame.resize(at + rng.below(1500), 0xff),
            // What lengths, offsets and handles are made of.
            4 if at + 4 <= frame.len() => frame[at..at + 4].copy_from_slice(&[0xff; 4]),
            _ => frame[at] = rng.below(3) as u8,
        }
        if frame.is_empty() {
            frame.push(0);
        }
    }
    if frame.len() >= lwl4::HEADER_LEN && rng.chance(900) {
        if rng.chance(600) {
            // As if it came next.
            frame[SEQ] = frame[SEQ].wrapping_add(rng.below(60) as u8);
        }
        if rng.chance(500) {
            let length = (frame.len() - lwl4::HEADER_LEN) as u32;
            frame[30..34].copy_from_slice(&length.to_ne_bytes());
        }
        lwl4::write_crc(frame);
    }
}

/// The KIF messages that came, and those of them that were none.
fn run(seed: u64) -> (u64, u64) {
    println!("seed {seed}");
    let mut rng = Rng::new(seed);
    let mut now = Instant::from_millis(1000);
    let mut nodes = [0, 1].map(|number| Careless::new(number, now, &mut rng));
    let mut heard: Vec<Vec<u8>> = Vec::new();
    for _ in 0..1500 {
        now = now + Duration::from_micros(rng.below(2000) as u64);
        for at in 0..2 {
            nodes[at].act(now, &mut rng);
            for (_, mut frame) in std::mem::take(&mut nodes[at].sent) {
                heard.push(frame.clone());
                nodes[1 - at]
                    .qnet
                    .handle_frame(now, LINK, addr(at), &mut frame);
            }
            if nodes[at].qnet.poll_timeout().is_some_and(|due| due <= now) {
                nodes[at].qnet.handle_timeout(now);
            }
        }
        if rng.chance(700) {
            continue;
        }
        let mut forged = heard[rng.below(heard.len())].clone();
        if rng.chance(900) {
            spoil(&mut forged, &mut rng);
        }
        let from = addr(rng.below(3));
        nodes[rng.below(2)]
            .qnet
            .handle_frame(now, LINK, from, &mut forged);
        if heard.len() > 400 {
            heard.swap_remove(rng.below(400));
        }
        for node in &nodes {
            let counts = node.qnet.counts();
            assert!(counts.client_conns <= 40 && counts.client_sends <= 40);
            assert!(counts.remote_clients <= 40 * 20 && counts.vthreads <= 40 * 20);
            assert!(node.qnet.nodes().len() <= 20);
        }
    }
    let stats = nodes.each_ref().map(|node| node.qnet.kif_stats());
    let sum = |of: fn(&KifStats) -> u64| stats.iter().map(of).sum();
    (sum(|s| s.messages_received), sum(|s| s.malformed + s.stale))
}

#[test]
fn no_frame_panics_a_node_or_makes_it_grow() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        text.parse::<u64>().ok()
    };
    if let Some(seed) = number("IO_NET_SIM_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let runs = number("IO_NET_SIM_RUNS").unwrap_or(60);
    let (came, odd) = (0..runs)
        .map(run)
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    println!("{came} messages, {odd} of them malformed or stale");
    assert!(came > 100 * runs && odd > runs);
}
