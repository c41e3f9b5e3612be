//! Every single fault, and every pair of faults, at every frame of a short conversation.
//!
//! Two nodes meet on two LANs and their clients send a few messages. The real code runs; what is
//! enumerated is what the network and fate may do to it: each frame lost, late, doubled, its LAN cut, or
//! either of its ends restarted. The ledger holds that each message is executed once or fails, and at the
//! end nothing is left of any.

use std::time::Duration;

use io_net_qnet::{Config, Resolver};
use io_net_sim::qnet::ledger::Tally;
use io_net_sim::qnet::programs::Habits;
use io_net_sim::qnet::world::{Fault, Plot, Weather, World};

const SINGLE: [Fault; 6] = [
    Fault::Lose,
    Fault::Repeat,
    Fault::Hold,
    Fault::Unplug,
    Fault::RestartSender,
    Fault::RestartReceiver,
];

const PAIRED: [Fault; 4] = [
    Fault::Lose,
    Fault::Repeat,
    Fault::Unplug,
    Fault::RestartReceiver,
];

/// A conversation of that length with those faults; what came of it, and how many frames it took.
fn converse(span: Duration, qos: &'static str, faults: &[(u64, Fault)]) -> (Tally, u64) {
    let plot = Plot {
        lans: 2,
        threads: 1,
        weather: Weather {
            delay: Duration::from_micros(100),
            ..Weather::default()
        },
        habits: Habits {
            // Several frames for some of the messages, and reads for the rest of them.
            length_max: 3000,
            work: Duration::from_micros(500),
            rest: Duration::from_millis(3),
            patience: Duration::from_millis(40),
            fresh: 500,
            qos: vec![qos],
            ..Habits::default()
        },
        config: Config {
            msgsend_limit: 1000,
            resolvers: vec![Resolver::Ndp],
            announce: Duration::ZERO,
            ..Config::default()
        },
        ..Plot::default()
    };
    let mut world = World::new(plot, 3);
    world.faults = faults.to_vec();
    world.run_for(span);
    let frames = world.frames;
    world.busy = false;
    world.run_for(Duration::from_millis(100));
    world.heal();
    world.settle(Duration::from_secs(20));
    world.assert_nothing_stays(Duration::from_secs(3));
    (world.ledger.tally, frames)
}

/// Tells which faults they were that something failed with.
struct Faults<'a>(&'static str, &'a [(u64, Fault)]);

impl Drop for Faults<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with {:?} over \"{}\"", self.1, self.0);
        }
    }
}

fn try_all(span: Duration, qos: &'static str, cases: &[Vec<(u64, Fault)>]) -> Tally {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut sum = Tally::default();
    std::thread::scope(|scope| {
        let work = |from| {
            let cases = cases.iter().skip(from).step_by(workers);
            let tallies = cases.map(|faults| {
                let _faults = Faults(qos, faults);
                converse(span, qos, faults).0
            });
            tallies.collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..workers)
            .map(|from| scope.spawn(move || work(from)))
            .collect();
        for tally in workers
            .into_iter()
            .flat_map(|w| w.join().expect("see above"))
        {
            sum.answered += tally.answered;
            sum.failed += tally.failed;
            sum.failed_executed += tally.failed_executed;
        }
    });
    println!("\"{qos}\": {} cases, {sum:?}", cases.len());
    sum
}

#[test]
fn every_single_fault() {
    let span = Duration::from_millis(12);
    for qos in ["", "~preferred:en1", "~exclusive:en0"] {
        let (calm, frames) = converse(span, qos, &[]);
        assert!(calm.answered >= 4 && frames > 40, "{calm:?} {frames}");
        let mut cases = Vec::new();
        for frame in 0..frames {
            cases.extend(SINGLE.map(|fault| vec![(frame, fault)]));
        }
        let sum = try_all(span, qos, &cases);
        assert!(sum.answered > cases.len() as u64 && sum.failed > 0);
    }
}

#[test]
fn every_pair_of_faults() {
    let span = Duration::from_millis(7);
    let (calm, frames) = converse(span, "", &[]);
    assert!(calm.answered >= 2 && frames > 20, "{calm:?} {frames}");
    let mut cases = Vec::new();
    for first in 0..frames {
        // A fault brings further frames with it: the second may hit those.
        for second in first + 1..frames + 4 {
            for a in PAIRED {
                cases.extend(PAIRED.map(|b| vec![(first, a), (second, b)]));
            }
        }
    }
    let sum = try_all(span, "", &cases);
    assert!(sum.answered > cases.len() as u64 && sum.failed_executed > 0);
}
