//! Timing of one exchange at a time, and of a stream. Programs of the benches, ours and the peers',
//! use it and print one figure for the bench to read.
#![forbid(unsafe_code)]

use std::time::Instant;

/// Bytes of a small message.
pub const SMALL: usize = 64;

/// Bytes of a large message.
pub const LARGE: usize = 1 << 20;

/// Parts that the round trips of a run are timed in: reading the clock each time would count.
const BATCHES: usize = 100;

/// Makes `count` round trips after a tenth as many that are not counted, and prints the mean of the
/// median batch in nanoseconds.
///
/// # Errors
/// The first that `trip` returns.
pub fn round_trips<E>(count: usize, mut trip: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    for _ in 0..count / 10 {
        trip()?;
    }
    let batch = (count / BATCHES).max(1);
    let mut took = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..batch {
            trip()?;
        }
        took.push(start.elapsed().as_nanos() as f64 / batch as f64);
    }
    took.sort_by(f64::total_cmp);
    println!("{:.1}", took[BATCHES / 2]);
    Ok(())
}

/// Prints the bytes a second at which `run` moves `bytes`.
///
/// # Errors
/// What `run` returns.
pub fn rate<E>(bytes: usize, run: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    let start = Instant::now();
    run()?;
    println!("{:.0}", bytes as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
