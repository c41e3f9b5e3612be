//! Two programs that send each other bytes over one connection, and check them.

use std::time::Duration;

use io_net_tcpip::{Instant, Ready, SocketId, State};

use crate::network::Network;
use crate::rng::Rng;

/// One direction of a transfer.
struct Direction {
    from: (usize, SocketId),
    to: (usize, SocketId),
    data: Vec<u8>,
    written: usize,
    read: usize,
    shut: bool,
}

/// How a transfer went.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Virtual time that it took.
    pub took: Duration,
    /// Segments sent again, both sides.
    pub retransmits: u64,
}

/// Connects host 0 to host 1, moves that many bytes each way, closes, and checks everything:
/// the bytes, the ends of both streams, the end of both connections.
///
/// # Panics
/// When anything is not as it should be, or not done within a day of virtual time.
pub fn exchange(
    network: &mut Network,
    bytes: [usize; 2],
    capacity: usize,
    rng: &mut Rng,
) -> Outcome {
    let start = network.now;
    let deadline = start + Duration::from_secs(86_400);
    let addr = "10.0.0.2:80".parse().expect("an address");
    network.hosts[1].env.send_capacity = capacity;
    network.hosts[1].env.recv_capacity = capacity;
    let listener = network.hosts[1].listen(addr, 4);
    let client = network.hosts[0]
        .connect(network.now, addr, capacity)
        .expect("a route");
    network.hosts[0].poll(network.now);
    let server = loop {
        assert!(network.step(deadline), "no connection within the day");
        if let Some(accepted) = network.hosts[1].stack.tcp_accept(listener) {
            break accepted.socket;
        }
    };
    let (a, b) = ((0, client), (1, server));
    let mut directions = [
        direction(a, b, bytes[0], rng),
        direction(b, a, bytes[1], rng),
    ];
    loop {
        let mut done = true;
        for direction in &mut directions {
            direction.work(network, rng);
            done &= direction.is_done(network);
        }
        if done {
            break;
        }
        assert!(
            network.step(deadline),
            "stuck: {}",
            describe(network, client, server)
        );
    }
    let took = network.now.since(start);
    close_all(network, [a, b], (1, listener), deadline);
    let retransmits = network
        .hosts
        .iter()
        .map(|host| host.stat("tcp_retransmits"))
        .sum();
    Outcome { took, retransmits }
}

fn direction(
    from: (usize, SocketId),
    to: (usize, SocketId),
    len: usize,
    rng: &mut Rng,
) -> Direction {
    let mut data = Vec::with_capacity(len + 8);
    while data.len() < len {
        data.extend(rng.number().to_le_bytes());
    }
    data.truncate(len);
    Direction {
        from,
        to,
        data,
        written: 0,
        read: 0,
        shut: false,
    }
}

impl Direction {
    /// Writes what fits, shuts at the end, and reads what is there, in odd amounts.
    fn work(&mut self, network: &mut Network, rng: &mut Rng) {
        let now = network.now;
        let (host, id) = self.from;
        if self.written < self.data.len() {
            let most = 1 + rng.below(100_000);
            let end = self.data.len().min(self.written + most);
            self.written += network.hosts[host].write(now, id, &self.data[self.written..end]);
        } else if !self.shut {
            self.shut = true;
            let host = &mut network.hosts[host];
            host.stack
                .tcp_shutdown_send(now, id)
                .expect("an open connection");
            host.poll(now);
        }
        let (host, id) = self.to;
        let most = if rng.chance(300) {
            rng.below(3000)
        } else {
            usize::MAX
        };
        let data = network.hosts[host].read(now, id, most);
        let expected = &self.data[self.read..(self.read + data.len()).min(self.data.len())];
        assert!(data == expected, "wrong bytes at {}", self.read);
        self.read += data.len();
    }

    fn is_done(&self, network: &mut Network) -> bool {
        let (host, id) = self.to;
        let happened = network.hosts[host].happened(id);
        assert_eq!(happened.error, None, "host {host}");
        let ended = happened.ready.contains(Ready::PEER_CLOSED);
        assert!(!ended || self.shut, "the end came early");
        ended && self.read == self.data.len()
    }
}

/// Closes both sockets and the listener, and checks that nothing of them stays.
fn close_all(
    network: &mut Network,
    sockets: [(usize, SocketId); 2],
    listener: (usize, SocketId),
    deadline: Instant,
) {
    for (host, id) in sockets.into_iter().chain([listener]) {
        let now = network.now;
        let host = &mut network.hosts[host];
        host.stack.close(now, id).expect("an open socket");
        host.poll(now);
    }
    while network
        .hosts
        .iter()
        .any(|host| !host.stack.sockets().is_empty())
    {
        assert!(network.step(deadline), "sockets stay for ever");
    }
    for (host, id) in sockets {
        let released = network.hosts[host]
            .happened(id)
            .ready
            .contains(Ready::RELEASED);
        assert!(released, "buffers of host {host} were not released");
    }
}

fn describe(network: &mut Network, client: SocketId, server: SocketId) -> String {
    let client = network.hosts[0].stack.tcp_info(client);
    let server = network.hosts[1].stack.tcp_info(server);
    let state =
        |info: &Option<io_net_tcpip::TcpInfo>| info.map_or(State::Closed, |info| info.state);
    format!(
        "{:?} {:?}\n{client:#?}\n{server:#?}",
        state(&client),
        state(&server)
    )
}
