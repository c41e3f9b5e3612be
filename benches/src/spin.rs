//! How near the two processors are: a ping-pong through shared memory between two pinned threads.
//!
//! On virtual machines this figure has modes, and all that crosses processors goes with it; results
//! are compared only within one mode.

use io_net_os::cpu::pin_thread;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Round trips that are timed.
const ROUNDS: u32 = 200_000;

/// A round trip that takes longer is of the far mode.
const FAR_NS: f64 = 250.0;

/// One that takes longer yet was disturbed: something else ran on the processors.
const DISTURBED_NS: f64 = 1000.0;

/// How near the processors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Near,
    Far,
    Disturbed,
}

impl Mode {
    /// All, the one to be preferred first.
    pub(crate) const ALL: [Self; 3] = [Self::Near, Self::Far, Self::Disturbed];
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin {
    /// Nanoseconds a round trip.
    pub(crate) ns: f64,
}

impl Spin {
    /// Measures; tens of milliseconds.
    pub(crate) fn measure() -> Self {
        let there = AtomicU32::new(0);
        let back = AtomicU32::new(0);
        let took = std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = pin_thread(1);
                for round in 1..=ROUNDS {
                    await_round(&there, round);
                    back.store(round, Ordering::Release);
                }
            });
            let timer = scope.spawn(|| {
                let _ = pin_thread(0);
                let start = Instant::now();
                for round in 1..=ROUNDS {
                    there.store(round, Ordering::Release);
                    await_round(&back, round);
                }
                start.elapsed()
            });
            timer.join().unwrap_or(Duration::MAX)
        });
        Self {
            ns: took.as_secs_f64() * 1e9 / f64::from(ROUNDS),
        }
    }

    /// The mode that the machine was in.
    pub(crate) fn mode(self) -> Mode {
        match self.ns {
            ns if ns > DISTURBED_NS => Mode::Disturbed,
            ns if ns > FAR_NS => Mode::Far,
            _ => Mode::Near,
        }
    }
}

fn await_round(word: &AtomicU32, round: u32) {
    while word.load(Ordering::Acquire) != round {
        std::hint::spin_loop();
    }
}
