//! A thousand nodes on one LAN, each talking to a few others.

use std::time::Duration;

use io_net_qnet::Config;
use io_net_sim::qnet::programs::Habits;
use io_net_sim::qnet::world::{Plot, Weather, World};

const NODES: usize = 1000;

#[test]
fn a_thousand_nodes_talk_lose_some_and_recover() {
    let plot = Plot {
        nodes: NODES,
        threads: 1,
        targets: 2,
        weather: Weather {
            loss: 10,
            delay: Duration::from_micros(100),
            ..Weather::default()
        },
        habits: Habits {
            length_max: 500,
            work: Duration::from_millis(1),
            rest: Duration::from_millis(200),
            patience: Duration::from_secs(1_000_000),
            fresh: 300,
            ..Habits::default()
        },
        // That everybody tells everybody where he is, is a matter of hours in a crowd.
        config: Config {
            announce: Duration::ZERO,
            ..Config::default()
        },
        ..Plot::default()
    };
    let mut world = World::new(plot, 1);
    world.run_for(Duration::from_millis(700));
    let before = world.ledger.tally;
    assert!(before.answered > NODES as u64, "{before:?}");
    assert_eq!(world.ledger.errors, []);
    // One in twenty crashes; half of those come back.
    for node in (0..NODES).step_by(20) {
        world.crash(node);
        if node % 40 == 0 {
            world.start(node);
        }
    }
    world.run_for(Duration::from_millis(500));
    world.heal();
    world.settle(Duration::from_secs(30));
    let after = world.ledger.tally;
    println!("{after:?}");
    assert!(after.answered > before.answered + NODES as u64, "{after:?}");
    assert!(after.failed > 0);
    world.assert_nothing_stays(Duration::from_secs(1));
}
