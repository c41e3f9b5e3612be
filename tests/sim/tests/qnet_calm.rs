//! Where nothing goes wrong, nothing fails.

use std::time::Duration;

use io_net_sim::qnet::programs::Habits;
use io_net_sim::qnet::world::{Plot, World};

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
