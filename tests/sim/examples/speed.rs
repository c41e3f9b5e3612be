//! What the stack alone costs: two stacks hand each other packets in one thread, nothing between.
//!
//! `speed bulk BYTES` moves 64 KiB super-segments one way; `speed pingpong ROUNDS` exchanges 64 bytes.
//! The copies into and out of the programs' buffers are part of it, as is everything but a driver.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant as Clock;

use io_net_sim::buffers::{Fifo, Inbox};
use io_net_tcpip::{
    Config, Env, IfaceAddr, IfaceConfig, IfaceId, Instant, Offload, RxChecksum, RxMeta, SocketId,
    Stack, TxMeta,
};

const CAPACITY: usize = 1 << 20;

/// An outbox whose packets are used again.
struct Outbox {
    packets: Vec<(Vec<u8>, u16)>,
    used: usize,
    stream: Option<(Fifo, Fifo)>,
}

impl Env for Outbox {
    type Send = Fifo;
    type Recv = Fifo;
    type Datagrams = Inbox;

    fn transmit<F: FnOnce(&mut [u8])>(
        &mut self,
        _iface: IfaceId,
        _next_hop: IpAddr,
        meta: &TxMeta,
        len: usize,
        fill: F,
    ) -> bool {
        if self.used == self.packets.len() {
            self.packets.push((Vec::with_capacity(65_536), 0));
        }
        let (bytes, gso_size) = &mut self.packets[self.used];
        if bytes.len() < len {
            bytes.resize(len, 0);
        } else {
            bytes.truncate(len);
        }
        fill(bytes);
        *gso_size = meta.gso_size;
        self.used += 1;
        true
    }

    fn open_stream(
        &mut self,
        _listener: SocketId,
        _socket: SocketId,
        _peer: SocketAddr,
    ) -> Option<(Fifo, Fifo)> {
        let pair = (Fifo::new(CAPACITY), Fifo::new(CAPACITY));
        self.stream = Some(pair.clone());
        Some(pair)
    }
}

struct Side {
    stack: Stack<Outbox>,
    env: Outbox,
}

impl Side {
    fn new(last: u8) -> Self {
        let mut stack = Stack::new(Config::default(), [u64::from(last); 4]);
        let offload = Offload {
            checksum: true,
            tso4: true,
            ..Offload::default()
        };
        let config = IfaceConfig {
            offload,
            ..IfaceConfig::default()
        };
        stack.add_iface(0, config).expect("a fresh stack");
        let addr = IpAddr::from([10, 0, 0, last]);
        stack
            .add_address(0, IfaceAddr { addr, prefix: 24 })
            .expect("a good address");
        let env = Outbox {
            packets: Vec::new(),
            used: 0,
            stream: None,
        };
        Side { stack, env }
    }

    /// Hands over what the other side has sent.
    fn receive(&mut self, now: Instant, from: &mut Side) {
        for (bytes, gso_size) in &from.env.packets[..from.env.used] {
            let meta = RxMeta {
                checksum: RxChecksum::Partial,
                gso_type: u8::from(*gso_size > 0),
                gso_size: *gso_size,
            };
            self.stack.handle_packet(now, 0, bytes, meta, &mut self.env);
        }
        from.env.used = 0;
        self.stack.flush(now, &mut self.env);
        while self.stack.poll_event().is_some() {}
    }
}

struct Pair {
    client: Side,
    server: Side,
    ids: (SocketId, SocketId),
    client_stream: (Fifo, Fifo),
    server_stream: (Fifo, Fifo),
}

fn connect() -> Pair {
    let (mut client, mut server) = (Side::new(1), Side::new(2));
    let now = Instant::from_millis(1);
    let addr: SocketAddr = "10.0.0.2:80".parse().expect("an address");
    let listener = server.stack.tcp_open().expect("a socket");
    server.stack.bind(listener, addr).expect("a free port");
    server
        .stack
        .tcp_listen(listener, 1)
        .expect("a bound socket");
    let stream = (Fifo::new(CAPACITY), Fifo::new(CAPACITY));
    let id = client.stack.tcp_open().expect("a socket");
    let (tx, rx) = stream.clone();
    client
        .stack
        .tcp_connect(now, id, addr, tx, rx)
        .expect("a route");
    client.stack.flush(now, &mut client.env);
    for _ in 0..3 {
        server.receive(now, &mut client);
        client.receive(now, &mut server);
    }
    let accepted = server.stack.tcp_accept(listener).expect("a connection");
    let server_stream = server.env.stream.clone().expect("buffers");
    Pair {
        client,
        server,
        ids: (id, accepted.socket),
        client_stream: stream,
        server_stream,
    }
}

fn bulk(bytes: u64) {
    let mut pair = connect();
    let block = vec![7u8; 256 * 1024];
    let (mut moved, mut micros) = (0u64, 1000u64);
    let start = Clock::now();
    let mut packets = 0;
    while moved < bytes {
        micros += 10;
        let now = Instant::from_nanos(micros * 1000);
        pair.client_stream.0.put(&block);
        pair.client.stack.tcp_send_progress(now, pair.ids.0);
        pair.client.stack.flush(now, &mut pair.client.env);
        packets += pair.client.env.used as u64;
        pair.server.receive(now, &mut pair.client);
        moved += pair.server_stream.1.take(usize::MAX).len() as u64;
        pair.server.stack.tcp_recv_progress(now, pair.ids.1);
        pair.server.stack.flush(now, &mut pair.server.env);
        pair.client.receive(now, &mut pair.server);
    }
    let seconds = start.elapsed().as_secs_f64();
    let gigabits = moved as f64 * 8.0 / seconds / 1e9;
    println!("bulk: {gigabits:.1} Gbit/s, both stacks in one thread, {packets} packets");
}

fn pingpong(rounds: u64) {
    let mut pair = connect();
    let message = [7u8; 64];
    let start = Clock::now();
    for round in 0..rounds {
        let now = Instant::from_nanos(1_000_000 + round * 10_000);
        pair.client_stream.0.put(&message);
        pair.client.stack.tcp_send_progress(now, pair.ids.0);
        pair.client.stack.flush(now, &mut pair.client.env);
        pair.server.receive(now, &mut pair.client);
        let got = pair.server_stream.1.take(64);
        pair.server.stack.tcp_recv_progress(now, pair.ids.1);
        pair.server_stream.0.put(&got);
        pair.server.stack.tcp_send_progress(now, pair.ids.1);
        pair.server.stack.flush(now, &mut pair.server.env);
        pair.client.receive(now, &mut pair.server);
        assert_eq!(pair.client_stream.1.take(64).len(), 64);
        pair.client.stack.tcp_recv_progress(now, pair.ids.0);
    }
    let nanos = start.elapsed().as_nanos() as f64 / rounds as f64;
    println!("pingpong: {nanos:.0} ns a round: two requests, each sent and received");
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    let count = args.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    match mode.as_str() {
        "bulk" => bulk(count),
        "pingpong" => pingpong(count),
        _ => eprintln!("usage: speed bulk BYTES | speed pingpong ROUNDS"),
    }
}
