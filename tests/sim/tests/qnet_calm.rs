//! Where nothing goes wrong, nothing fails.

use std::time::Duration;

use io_net_qnet::Config;
use io_net_sim::qnet::programs::Habits;
use io_net_sim::qnet::world::{Plot, Weather, World};

#[test]
fn all_messages_are_answered_in_good_weather() {
    for nodes in [2, 3, 16] {
        let plot = Plot {
            nodes,
            lans: 2,
            habits: Habits {
                length_max: 2000,
                patience: Duration::from_secs(1_000_000),
                ..Habits::default()
            },
            ..Plot::default()
        };
        let mut world = World::new(plot, nodes as u64);
        world.run_for(Duration::from_secs(1));
        world.settle(Duration::from_secs(5));
        let tally = world.ledger.tally;
        println!("{nodes} nodes: {tally:?}");
        assert_eq!(world.ledger.errors, []);
        assert!(tally.answered > 30 * nodes as u64 && tally.pulses > 0);
        world.assert_nothing_stays(Duration::from_secs(1));
    }
}

#[test]
fn long_messages_wait_for_room_and_arrive() {
    let mut config = Config::default();
    // Room for little more than one piece at a time.
    config.transport.send_bytes_max = 1 << 20;
    config.chunk = 500_000;
    config.msgsend_limit = 400_000;
    let plot = Plot {
        lans: 2,
        threads: 6,
        weather: Weather {
            loss: 5,
            delay: Duration::from_micros(50),
            ..Weather::default()
        },
        habits: Habits {
            length_max: 2_000_000,
            patience: Duration::from_secs(1_000_000),
            ..Habits::default()
        },
        config,
        mtu: 9000,
        ..Plot::default()
    };
    let mut world = World::new(plot, 1);
    world.run_for(Duration::from_millis(150));
    world.settle(Duration::from_secs(60));
    println!("{:?}", world.ledger.tally);
    assert_eq!(world.ledger.errors, []);
    assert!(world.ledger.tally.answered >= 12);
    world.assert_nothing_stays(Duration::from_secs(1));
}
