//! How long processes have waited for a processor, from `/proc/PID/task/*/schedstat`.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// Watches the threads of some processes over a measurement.
#[derive(Debug)]
pub(crate) struct Waited {
    pids: Vec<u32>,
    before: HashMap<String, Duration>,
    start: Instant,
}

impl Waited {
    /// Starts watching.
    pub(crate) fn watch(pids: &[u32]) -> Self {
        Self {
            pids: pids.to_vec(),
            before: waits(pids),
            start: Instant::now(),
        }
    }

    /// The share of the time since that the worst thread has waited, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let elapsed = self.start.elapsed().as_secs_f64();
        waits(&self.pids)
            .iter()
            .map(|(task, now)| {
                let before = self.before.get(task).copied().unwrap_or_default();
                now.saturating_sub(before).as_secs_f64() / elapsed
            })
            .fold(0.0, f64::max)
    }
}

/// The time that each thread has been ready without running: the second field of its schedstat.
fn waits(pids: &[u32]) -> HashMap<String, Duration> {
    let tasks = pids
        .iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
    tasks
        .flatten()
        .flatten()
        .filter_map(|task| {
            let path = task.path().join("schedstat");
            let text = fs::read_to_string(&path).ok()?;
            let ns = text.split_whitespace().nth(1)?.parse().ok()?;
            Some((
                path.to_string_lossy().into_owned(),
                Duration::from_nanos(ns),
            ))
        })
        .collect()
}
