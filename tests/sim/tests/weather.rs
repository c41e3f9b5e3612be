//! Bytes out are bytes in, whatever the network does.
//!
//! `IO_NET_SIM_SEED=n` replays one seed, `IO_NET_SIM_RUNS=n` sets how many are tried.

use std::time::Duration;

use io_net_sim::host::Host;
use io_net_sim::network::{Network, Weather};
use io_net_sim::rng::Rng;
use io_net_sim::transfer::exchange;
use io_net_tcpip::{Config, IfaceConfig, Offload};

fn offload(checksum: bool, tso: bool) -> Offload {
    Offload {
        checksum,
        tso4: tso,
        tso6: tso,
        uso: tso,
    }
}

fn network(mtu: u16, offload: Offload, weather: Weather, seed: u64) -> Network {
    let config = IfaceConfig {
        mtu,
        offload,
        up: true,
    };
    // Half the time partitioned, a connection may rightly time out: here it is not to give up.
    let patient = Config {
        syn_retries: 200,
        data_retries: 200,
        ..Config::default()
    };
    let host = |last, seed| Host::with_address(patient.clone(), seed, [10, 0, 0, last], config);
    Network::new(vec![host(1, seed), host(2, seed ^ 0xabcd)], weather, seed)
}

fn delay(ms: u64) -> Weather {
    Weather {
        delay: Duration::from_millis(ms),
        ..Weather::default()
    }
}

#[test]
fn fair_weather() {
    for (checksum, tso, whole) in [
        (false, false, false),
        (true, false, false),
        (true, true, false),
        (true, true, true),
    ] {
        let weather = Weather {
            keeps_super_segments: whole,
            ..delay(1)
        };
        let mut network = network(1500, offload(checksum, tso), weather, 1);
        let outcome = exchange(
            &mut network,
            [3_000_000, 100_000],
            1 << 18,
            &mut Rng::new(1),
        );
        assert_eq!(outcome.retransmits, 0, "nothing was lost");
    }
}

/// Weather, link and sizes of a run, all from its seed.
fn exchange_in_random_weather(seed: u64) {
    let mut rng = Rng::new(seed);
    let pick = |rng: &mut Rng, most: usize| if rng.chance(500) { 0 } else { rng.below(most) };
    let mut weather = Weather {
        loss: pick(&mut rng, 120),
        duplication: pick(&mut rng, 100),
        reordering: pick(&mut rng, 200),
        corruption: pick(&mut rng, 50),
        delay: Duration::from_micros(rng.below(40_000) as u64),
        keeps_super_segments: rng.chance(200),
        partition_period: None,
    };
    if rng.chance(150) {
        weather.partition_period = Some(Duration::from_millis(500 + rng.below(4000) as u64));
    }
    let mtu = [576, 1280, 1500, 9000, 65_535][rng.below(5)];
    let checksum = rng.chance(600);
    let offload = offload(checksum, checksum && rng.chance(700));
    let bytes = [pick(&mut rng, 300_000), pick(&mut rng, 300_000)];
    let capacity = [2_000, 17_000, 65_536, 400_000][rng.below(4)];
    println!("seed {seed}: {weather:?} mtu {mtu} {offload:?} bytes {bytes:?} buffers {capacity}");
    let mut network = network(mtu, offload, weather, seed);
    exchange(&mut network, bytes, capacity, &mut rng);
}

#[test]
fn any_weather() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    if let Some(seed) = number("IO_NET_SIM_SEED") {
        return exchange_in_random_weather(seed);
    }
    for seed in 0..number("IO_NET_SIM_RUNS").unwrap_or(200) {
        exchange_in_random_weather(seed);
    }
}
