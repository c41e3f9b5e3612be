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
    let host = |last, seed| Host::with_address(Config::default(), seed, [10, 0, 0, last], config);
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
