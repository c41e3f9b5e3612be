//! Each message is executed once or its client gets an error, whatever happens to frames, cables,
//! servers and nodes.
//!
//! `IO_NET_SIM_SEED=n` replays one seed, `IO_NET_SIM_RUNS=n` sets how many are tried.

use std::time::Duration;

use io_net_qnet::Config;
use io_net_qnet::transport;
use io_net_sim::qnet::ledger::Tally;
use io_net_sim::qnet::programs::Habits;
use io_net_sim::qnet::world::{Plot, Weather, World};
use io_net_sim::rng::Rng;

/// A small world, as bad as the seed says.
fn plot(rng: &mut Rng) -> Plot {
    let some = |rng: &mut Rng, most: usize| if rng.chance(500) { rng.below(most) } else { 0 };
    let lans = 1 + rng.below(2);
    let mut qos = vec![""];
    if rng.chance(400) {
        qos.extend(["~preferred:en0", "~exclusive:en0"]);
        if lans == 2 {
            qos.extend(["~preferred:en1", "~exclusive:en1"]);
        }
    }
    let weather = Weather {
        loss: some(rng, 200),
        duplication: some(rng, 100),
        reordering: some(rng, 200),
        corruption: some(rng, 100),
        delay: Duration::from_micros(10 + rng.below(2000) as u64),
    };
    Plot {
        nodes: 2 + rng.below(2),
        lans,
        threads: 1 + rng.below(2),
        weather,
        habits: Habits {
            length_max: 10 + rng.below(3000) as u32,
            eager: [0, 100, 4096][rng.below(3)],
            work: Duration::from_micros(rng.below(30_000) as u64),
            rest: Duration::from_millis(20 + rng.below(200) as u64),
            patience: Duration::from_millis([20, 30_000][rng.below(2)]),
            unblock: rng.chance(500),
            fresh: 300,
            qos,
            ..Habits::default()
        },
        config: Config {
            msgsend_limit: [64, 1000, 1 << 20][rng.below(3)],
            chunk: [100, 1 << 20][rng.below(2)],
            transport: transport::Config {
                crc: weather.corruption > 0,
                ..Config::default().transport
            },
            ..Config::default()
        },
        ..Plot::default()
    }
}

/// One blow of fate.
fn strike(world: &mut World, rng: &mut Rng) {
    let node = rng.below(world.plot.nodes);
    let lan = rng.below(world.plot.lans);
    match rng.below(10) {
        0 => world.crash(node),
        1 if !world.is_up(node) => world.start(node),
        2 => {
            world.crash(node);
            world.start(node);
        }
        3 => world.set_server(node, false),
        4 => world.set_server(node, true),
        5 | 6 => world.plug(node, lan, false),
        7 => world.plug(node, lan, true),
        8 => world.part(|other| usize::from(other == node)),
        _ => world.part(|_| 0),
    }
}

/// Tells which seed it was that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay it with IO_NET_SIM_SEED={}", self.0);
        }
    }
}

fn run(seed: u64, secure: bool) -> Tally {
    let _seed = Seed(seed);
    let mut rng = Rng::new(seed);
    let plot = Plot {
        secure,
        ..plot(&mut rng)
    };
    let mut world = World::new(plot, seed);
    world.run_for(Duration::from_millis(150));
    for _ in 0..rng.below(5) {
        strike(&mut world, &mut rng);
        world.run_for(Duration::from_millis(rng.below(500) as u64));
    }
    world.heal();
    world.run_for(Duration::from_millis(150));
    world.settle(Duration::from_secs(60));
    world.assert_nothing_stays(Duration::from_millis(2500));
    world.ledger.tally
}

#[test]
fn each_message_is_executed_once_or_fails() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        text.parse::<u64>().ok()
    };
    if let Some(seed) = number("IO_NET_SIM_SEED") {
        println!("{:?}", run(seed, false));
        return;
    }
    let runs = number("IO_NET_SIM_RUNS").unwrap_or(10_000);
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let mut sum = Tally::default();
    std::thread::scope(|scope| {
        let work = |from| {
            (from..runs)
                .step_by(workers as usize)
                .map(|seed| run(seed, false))
                .collect::<Vec<_>>()
        };
        let workers = (0..workers).map(|from| scope.spawn(move || work(from)));
        let workers: Vec<_> = workers.collect();
        for tally in workers
            .into_iter()
            .flat_map(|w| w.join().expect("see the seed above"))
        {
            sum.answered += tally.answered;
            sum.failed += tally.failed;
            sum.failed_executed += tally.failed_executed;
            sum.pulses += tally.pulses;
        }
    });
    println!("{runs} seeds: {sum:?}");
    // Of everything that may happen, something did.
    assert!(sum.answered > 4 * runs && sum.pulses > runs / 10);
    assert!(runs < 1000 || (sum.failed > 0 && sum.failed_executed > 0));
}

#[test]
fn enciphered_messages_too() {
    let mut answered = 0;
    for seed in 0..40 {
        answered += run(seed, true).answered;
    }
    assert!(answered > 200, "{answered}");
}
