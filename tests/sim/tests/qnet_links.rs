//! What the qualities of service promise when links go down and come back.

use std::time::Duration;

use io_net_sim::qnet::programs::Habits;
use io_net_sim::qnet::world::{Plot, Weather, World, station};
use io_net_wire::lwl4;

/// Two nodes on two LANs, whose clients send without a pause over `qos`.
fn world(qos: &'static str, seed: u64) -> World {
    let plot = Plot {
        lans: 2,
        weather: Weather {
            delay: Duration::from_micros(50),
            ..Weather::default()
        },
        habits: Habits {
            length_max: 3000,
            work: Duration::from_micros(100),
            rest: Duration::from_millis(1),
            fresh: 0,
            pulses: 0,
            patience: Duration::from_secs(1_000_000),
            qos: vec![qos],
            ..Habits::default()
        },
        ..Plot::default()
    };
    let mut world = World::new(plot, seed);
    world.run_for(Duration::from_millis(300));
    assert_eq!(world.ledger.errors, []);
    world
}

/// Frames with data that left over each LAN in the last `span`.
fn frames(world: &mut World, span: Duration) -> [usize; 2] {
    world.capture = Some(Vec::new());
    world.run_for(span);
    let capture = world.capture.take().unwrap_or_default();
    [0, 1].map(|lan| {
        let over = |from| (0..2).any(|node| station(node, lan) == from);
        let frames = capture.iter();
        let data = frames.filter(|sent| over(sent.from) && sent.frame[3] == lwl4::TYPE_DATA);
        data.count()
    })
}

/// The longest time in which no message was answered, from the moment when LAN 0 goes down.
fn outage(world: &mut World) -> Duration {
    for node in 0..2 {
        world.plug(node, 0, false);
    }
    let step = Duration::from_millis(1);
    let (mut longest, mut silent) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..500 {
        let before = world.ledger.tally.answered;
        world.run_for(step);
        silent = if world.ledger.tally.answered > before {
            Duration::ZERO
        } else {
            silent + step
        };
        longest = longest.max(silent);
    }
    longest
}

#[test]
fn a_link_that_fails_is_replaced_within_200_ms_and_nothing_is_lost() {
    for qos in ["", "~preferred:en0"] {
        let mut worst = Duration::ZERO;
        for seed in 0..6 {
            let mut world = world(qos, seed);
            worst = worst.max(outage(&mut world));
            world.settle(Duration::from_secs(5));
            assert_eq!(world.ledger.errors, [], "{qos} {seed}");
        }
        println!("{qos}: {worst:?}");
        assert!(worst < Duration::from_millis(200), "{qos}: {worst:?}");
    }
}

#[test]
fn preferred_keeps_to_its_link_falls_back_and_returns() {
    let mut world = world("~preferred:en1", 1);
    let second = Duration::from_secs(1);
    // Replies find their own way.
    let [_, preferred] = frames(&mut world, second);
    assert!(preferred > 100);
    for node in 0..2 {
        world.plug(node, 1, false);
    }
    world.run_for(second);
    let [other, _] = frames(&mut world, second);
    assert!(other > 100);
    for node in 0..2 {
        world.plug(node, 1, true);
    }
    world.run_for(second * 2);
    let [_, again] = frames(&mut world, second);
    assert!(again > preferred / 2, "{preferred} frames, then {again}");
    world.settle(second);
    assert_eq!(world.ledger.tally.failed, 0);
}

#[test]
fn exclusive_never_falls_back() {
    let mut world = world("~exclusive:en1", 1);
    let answered = world.ledger.tally.answered;
    assert!(answered > 100);
    for node in 0..2 {
        world.plug(node, 1, false);
    }
    world.run_for(Duration::from_secs(2));
    let down = world.ledger.tally;
    world.run_for(Duration::from_secs(2));
    let still_down = world.ledger.tally;
    assert_eq!(down.answered, still_down.answered, "it fell back");
    assert!(still_down.failed > 0, "and nobody was told");
    for node in 0..2 {
        world.plug(node, 1, true);
    }
    world.run_for(Duration::from_secs(2));
    assert!(world.ledger.tally.answered > still_down.answered);
    world.settle(Duration::from_secs(5));
    world.assert_nothing_stays(Duration::from_secs(5));
}
