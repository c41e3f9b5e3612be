//! Many connections at once, opened, closed, aborted and forgotten in any order: nothing of them stays.
//!
//! `IO_NET_SIM_SEED=n` replays one seed, `IO_NET_SIM_RUNS=n` sets how many are tried.

use std::time::Duration;

use io_net_sim::host::Host;
use io_net_sim::network::{Network, Weather};
use io_net_sim::rng::Rng;
use io_net_tcpip::{Config, IfaceConfig, Ready, SocketId};

/// A socket that a program holds, and what it may still do.
struct Held {
    host: usize,
    id: SocketId,
    calls_left: usize,
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let weather = Weather {
        loss: rng.below(60),
        duplication: rng.below(60),
        reordering: rng.below(100),
        delay: Duration::from_micros(rng.below(5000) as u64),
        ..Weather::default()
    };
    println!("seed {seed}: {weather:?}");
    let config = Config {
        ephemeral_ports: (40_000, 40_039),
        data_retries: 6,
        ..Config::default()
    };
    let iface = IfaceConfig::default();
    let host = |last, seed| Host::with_address(config.clone(), seed, [10, 0, 0, last], iface);
    let mut network = Network::new(vec![host(1, seed), host(2, !seed)], weather, seed);
    let server = "10.0.0.2:80".parse().unwrap();
    let listener = network.hosts[1].listen(server, 8);
    let mut held: Vec<Held> = Vec::new();
    let (mut opened, mut ids) = (0, Vec::new());
    while opened < 60 || !held.is_empty() {
        if opened < 60 && rng.chance(300) {
            opened += 1;
            let now = network.now;
            // With 40 ports and TIME-WAIT, running out is one of the things that happen.
            if let Ok(id) = network.hosts[0].connect(now, server, 10_000) {
                held.push(Held {
                    host: 0,
                    id,
                    calls_left: 12,
                });
                ids.push((0, id));
            }
        }
        while let Some(accepted) = network.hosts[1].stack.tcp_accept(listener) {
            held.push(Held {
                host: 1,
                id: accepted.socket,
                calls_left: 12,
            });
            ids.push((1, accepted.socket));
        }
        if !held.is_empty() {
            let at = rng.below(held.len());
            if !act(&mut network, &mut held[at], &mut rng) {
                held.swap_remove(at);
            }
        }
        let until = network.now + Duration::from_micros(rng.below(20_000) as u64);
        while network.step(until) {}
        network.now = until;
    }
    let now = network.now;
    network.hosts[1].stack.close(now, listener).unwrap();
    network.run_for(Duration::from_secs(1200));
    for host in &mut network.hosts {
        host.take_events();
        let stay = host.stack.sockets();
        let stay: Vec<_> = stay.into_iter().map(|id| host.stack.tcp_info(id)).collect();
        assert!(stay.is_empty(), "sockets stay: {stay:#?}");
        assert_eq!(host.stack.poll_at(), None);
    }
    for (host, id) in ids {
        let ready = network.hosts[host].happened(id).ready;
        assert!(
            ready.contains(Ready::RELEASED),
            "host {host}: buffers of {id:?} stay"
        );
    }
}

/// One call of a program on its socket; false when that closed it.
fn act(network: &mut Network, held: &mut Held, rng: &mut Rng) -> bool {
    let now = network.now;
    let host = &mut network.hosts[held.host];
    held.calls_left -= 1;
    if held.calls_left == 0 || rng.chance(30) {
        host.stack.close(now, held.id).unwrap();
        host.poll(now);
        return false;
    }
    match rng.below(20) {
        0 => _ = host.stack.tcp_abort(now, held.id),
        1 => _ = host.stack.tcp_shutdown_send(now, held.id),
        2 => _ = host.stack.tcp_shutdown_recv(now, held.id),
        3..=10 => _ = host.write(now, held.id, &vec![1; rng.below(9000)]),
        _ => _ = host.read(now, held.id, rng.below(9000)),
    }
    host.poll(now);
    true
}

#[test]
fn nothing_stays() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    if let Some(seed) = number("IO_NET_SIM_SEED") {
        return run(seed);
    }
    (0..number("IO_NET_SIM_RUNS").unwrap_or(60)).for_each(run);
}
