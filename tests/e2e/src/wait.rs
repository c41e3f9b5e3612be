//! Waiting for a condition, never for a time.

use crate::Outcome;
use std::time::{Duration, Instant};

/// Polls `ready` until it gives something; an error that names `what` after `limit`.
///
/// # Errors
/// `what` did not come in time.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Outcome<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if start.elapsed() > limit {
            return Err(format!("waited {limit:?} in vain for {what}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// [`wait_for`] a condition that is true or not.
///
/// # Errors
/// As [`wait_for`].
pub fn holds_within(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> Outcome<()> {
    wait_for(what, limit, || condition().then_some(()))
}
